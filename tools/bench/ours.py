"""sam-mm through its C API. What is measured is computing: nothing that was computed before may be found again."""

from pathlib import Path

from reference import names
from reference.sam_mm import Prompt, SamMm


class Ours:
    def __init__(self, model_file: str, threads: int):
        # Room for the embedding at hand, of 4 MiB or with the finer levels of SAM 2 of 16 MiB, and for no prediction.
        room = (18 if Path(model_file).stem in names.SAM_2 else 6) << 20
        self.sam = SamMm(model_file, threads, embedding_cache_bytes=room, prediction_cache_entries=0)
        self.image, self.result, self.encoded, self.click_encodes = None, None, 0, 0

    def encode(self, pixels) -> None:
        if self.image is not None:
            self.image.free()
        # One sample is another each time, for the same pixels would be found in the cache.
        self.encoded += 1
        pixels[0, 0, 0] = self.encoded % 256
        self.image = self.sam.image(pixels)
        self.image.encode()

    def click(self, x: float, y: float) -> list:
        if self.result is not None:
            self.result.free()
        self.result = self.image.predict([Prompt(points=[(x, y)], labels=[1])], multimask=True)
        self.click_encodes += not self.result.info.embedding_reused
        return [self.result.bitmask(i) for i in range(len(self.result))]


def open(model_file: str, threads: int) -> Ours:
    return Ours(model_file, threads)
