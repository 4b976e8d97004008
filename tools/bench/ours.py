"""sam-mm through its C API."""

from reference.sam_mm import Prompt, SamMm


class Ours:
    def __init__(self, model_file: str, threads: int):
        self.sam, self.image, self.result = SamMm(model_file, threads), None, None

    def encode(self, pixels) -> None:
        if self.image is not None:
            self.image.free()  # with it goes the embedding
        self.image = self.sam.image(pixels)
        self.image.encode()

    def click(self, x: float, y: float) -> list:
        if self.result is not None:
            self.result.free()
        self.result = self.image.predict([Prompt(points=[(x, y)], labels=[1])], multimask=True)
        return [self.result.bitmask(i) for i in range(len(self.result))]


def open(model_file: str, threads: int) -> Ours:
    return Ours(model_file, threads)
