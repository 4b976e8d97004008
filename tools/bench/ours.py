"""sam-mm through its C API. What is measured is computing: nothing that was computed before may be found again."""

from reference.sam_mm import Prompt, SamMm


class Ours:
    def __init__(self, model_file: str, threads: int):
        # Room for the embedding at hand, of 4 MiB, and for no prediction.
        self.sam = SamMm(model_file, threads, embedding_cache_bytes=6 << 20, prediction_cache_entries=0)
        self.image, self.result, self.encoded = None, None, 0

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
        return [self.result.bitmask(i) for i in range(len(self.result))]


def open(model_file: str, threads: int) -> Ours:
    return Ours(model_file, threads)
