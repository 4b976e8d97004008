"""Makes tests/pixels/goldens.json: what the official code makes of images and logits drawn by formula.

    python tools/make_pixel_goldens.py > tests/pixels/goldens.json

Needs Pillow >= 13, torch, torchvision, segment-anything, pycocotools. The formulas are repeated in
tests/pixels/drawing.rs. The versions used are in the file.
"""

import hashlib
import json
import types
from importlib.metadata import version

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pycocotools import mask as coco
from segment_anything.modeling.sam import Sam
from segment_anything.utils.transforms import ResizeLongestSide


def noise(count, seed):
    """32 random-looking bits per index."""
    h = np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x9E3779B9 & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return h ^ (h >> np.uint32(16))


def draw_image(name, width, height):
    """[height][width][3] uint8."""
    n = noise(width * height * 3, 1).reshape(height, width, 3)
    if name == "noise":
        return (n & 255).astype(np.uint8)
    # Slopes that wrap around, so that there are edges too, with a little noise.
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.uint32)
    return ((x * 3 + y * 5 + c * 85 + (n & 15)) & 255).astype(np.uint8)


def draw_logits(name, size):
    """[size][size] float32, exact in both languages."""
    n = (noise(size * size, 2).reshape(size, size) & 0xFFFF).astype(np.int64)
    if name == "noise":
        return ((n - 0x8000) / 4096).astype(np.float32)
    # Three discs, the edge slightly rough; units of 1/256 of the side.
    y, x = np.mgrid[0:size, 0:size].astype(np.int64) * (256 // size)
    discs = [(96, 100, 70), (190, 60, 30), (150, 200, 45)]
    inside = np.max([r * r - (x - cx) ** 2 - (y - cy) ** 2 for cx, cy, r in discs], axis=0)
    return ((inside * 64 + (n - 0x8000) // 8) / 4096).astype(np.float32)


def resized_bytes(name, width, height, input_size, mode):
    image = draw_image(name, width, height)
    if mode == "longest_side":
        resized = ResizeLongestSide(input_size).apply_image(image)
    else:
        resized = np.array(Image.fromarray(image).resize((input_size, input_size), Image.BILINEAR))
    return {
        "image": name, "width": width, "height": height, "input_size": input_size, "mode": mode,
        "resized_width": resized.shape[1], "resized_height": resized.shape[0],
        "md5": hashlib.md5(resized.tobytes()).hexdigest(),
    }


def resized_floats(name, width, height, input_size):
    image = torch.from_numpy(draw_image(name, width, height)).permute(2, 0, 1)[None].contiguous()
    resized = F.interpolate(
        image.float() / 255, (input_size, input_size), mode="bilinear", antialias=True, align_corners=False
    )
    values = resized[0].permute(1, 2, 0).flatten().tolist()
    return {
        "image": name, "width": width, "height": height, "input_size": input_size,
        "values": [round(value, 6) for value in values],
    }


def encoded(mask):
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "rle": rle["counts"].decode(),
        "area": int(coco.area(rle)),
        "box": [int(value) for value in coco.toBbox(rle)],
    }


def upsampled(name, size, input_size, width, height, geometry):
    logits = torch.from_numpy(draw_logits(name, size))[None, None]
    if geometry == "longest_side":
        resized = ResizeLongestSide.get_preprocess_shape(height, width, input_size)
        model = types.SimpleNamespace(image_encoder=types.SimpleNamespace(img_size=input_size))
        full = Sam.postprocess_masks(model, logits, resized, (height, width))
    else:
        full = F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
    return {
        "logits": name, "mask_size": size, "input_size": input_size, "width": width, "height": height,
        "geometry": geometry, **encoded((full[0, 0] > 0).numpy()),
    }


def encoded_rectangles(width, height, rectangles):
    """Rectangles [x, y, width, height] drawn one after the other, each the inverse of what was there."""
    mask = np.zeros((height, width), dtype=bool)
    for x, y, w, h in rectangles:
        mask[y : y + h, x : x + w] ^= True
    flat = mask.flatten(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat]))).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    golden = encoded(mask)
    uncompressed = coco.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
    assert uncompressed["counts"].decode() == golden["rle"]
    return {"width": width, "height": height, "rectangles": rectangles, "counts": counts, **golden}


def main():
    sides = [(1, 1), (1, 700), (17, 3000), (3000, 17), (333, 77), (1024, 3), (64, 64), (500, 1100), (1800, 1200)]
    goldens = {
        "versions": {
            name: version(name)
            for name in ("pillow", "torch", "torchvision", "segment-anything", "pycocotools")
        },
        "resized_bytes": [
            resized_bytes(name, width, height, input_size, "longest_side")
            for name in ("noise", "slopes")
            for width, height in sides
            for input_size in (1024, 100)
            # The original fails where a side rounds to 0.
            if 0 not in ResizeLongestSide.get_preprocess_shape(height, width, input_size)
        ]
        + [
            resized_bytes("slopes", width, height, 64, "stretch")
            for width, height in ((1, 1), (3, 5), (200, 10), (10, 200), (301, 400))
        ],
        "resized_floats": [
            resized_floats(name, width, height, input_size)
            for name, width, height, input_size in (
                ("noise", 1, 1, 2), ("noise", 3, 2, 7), ("noise", 7, 11, 7), ("slopes", 100, 3, 8), ("slopes", 90, 160, 9),
            )
        ],
        "masks": [
            upsampled(name, size, size * 4, width, height, geometry)
            for name, size, width, height in (
                ("discs", 256, 1800, 1200), ("discs", 256, 333, 777), ("discs", 256, 3000, 170), ("discs", 256, 96, 64),
                ("discs", 64, 640, 480), ("discs", 256, 1024, 1024), ("discs", 256, 1, 1), ("discs", 256, 1, 700),
                ("noise", 64, 150, 100), ("noise", 256, 60, 40), ("noise", 64, 300, 17),
            )
            for geometry in ("longest_side", "stretch")
        ],
        "rle": [
            encoded_rectangles(width, height, rectangles)
            for width, height, rectangles in (
                (1, 1, []), (1, 1, [[0, 0, 1, 1]]), (5, 4, []), (5, 4, [[0, 0, 5, 4]]), (5, 4, [[0, 0, 1, 1]]),
                (5, 4, [[4, 3, 1, 1]]), (7, 3, [[1, 0, 3, 3]]), (6, 6, [[0, 0, 6, 6], [1, 1, 4, 4], [2, 2, 2, 2]]),
                (5000, 4000, [[2500, 2000, 1, 1]]), (5000, 4000, [[10, 0, 4000, 4000], [600, 700, 3, 2000]]),
                (40, 9, [[x, x % 9, 30 - x, 3] for x in range(0, 30, 2)]),
            )
        ],
    }
    print("{")
    for section, golden in goldens.items():
        comma = "" if section == "rle" else ","
        if section == "versions":
            print(f'"versions": {json.dumps(golden)},')
        else:
            print(f'"{section}": [')
            print(",\n".join(json.dumps(entry, separators=(",", ":")) for entry in golden))
            print(f"]{comma}")
    print("}")


if __name__ == "__main__":
    main()
