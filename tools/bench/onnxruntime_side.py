"""ONNX Runtime, with the files that `bench.export` makes. Preprocessing is the official one, without PyTorch."""

from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

SIDE = 1024
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)


class OnnxRuntime:
    def __init__(self, model_file: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.encoder, self.decoder = (
            onnxruntime.InferenceSession(
                model_file.with_suffix(f".{part}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for part in ("encoder", "decoder")
        )
        self.no_mask = np.zeros((1, 1, 256, 256), np.float32)

    def encode(self, pixels: np.ndarray) -> None:
        self.height, self.width, _ = pixels.shape
        self.scale = SIDE / max(self.height, self.width)
        size = (int(self.width * self.scale + 0.5), int(self.height * self.scale + 0.5))
        resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        padded = np.zeros((1, 3, SIDE, SIDE), np.float32)
        padded[0, :, : size[1], : size[0]] = ((resized - MEAN) / STD).transpose(2, 0, 1)
        (self.embedding,) = self.encoder.run(None, {"image": padded})

    def click(self, x: float, y: float) -> np.ndarray:
        # Without a box the official encoder appends a point that is none.
        points = np.array([[[x * self.scale, y * self.scale], [0, 0]]], np.float32)
        masks, _, _ = self.decoder.run(None, {
            "image_embeddings": self.embedding,
            "point_coords": points,
            "point_labels": np.array([[1, -1]], np.float32),
            "mask_input": self.no_mask,
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array([self.height, self.width], np.float32),
        })
        return masks[0, 1:] > 0


def open(model_file: str, threads: int) -> OnnxRuntime:
    return OnnxRuntime(Path(model_file), threads)
