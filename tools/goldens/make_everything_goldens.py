"""Makes tests/everything/goldens.json: what the official generators make of grids, crops, boxes, masks and whole images.

    python make_everything_goldens.py > ../../tests/everything/goldens.json

Needs torch, torchvision, segment-anything 1.0, sam2 1.1, opencv-python-headless, pycocotools, Pillow >= 13. Whole images
are segmented with a model that a test can work out by itself: the fake backend's (tests/fake_backend/fake_masks.c). The
versions used are in the file.
"""

import contextlib
import json
import types
import warnings
from importlib.metadata import version

import cv2
import numpy as np
import torch
from pycocotools import mask as coco
from segment_anything import automatic_mask_generator as sam
from segment_anything.modeling.sam import Sam
from segment_anything.utils import amg
from segment_anything.utils.transforms import ResizeLongestSide
from torchvision.ops.boxes import batched_nms

warnings.filterwarnings("ignore")
from sam2 import automatic_mask_generator as sam2
from sam2.utils import misc
from sam2.utils.transforms import SAM2Transforms

INPUT, CELLS = 256, 64


def noise(count, seed):
    """32 random-looking bits per index; as in tests/pixels/drawing.rs."""
    h = np.arange(count, dtype=np.uint32) + np.uint32(seed * 0x9E3779B9 & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return h ^ (h >> np.uint32(16))


def slopes(width, height):
    """[height][width][3] uint8."""
    n = noise(width * height * 3, 1).reshape(height, width, 3)
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.uint32)
    return ((x * 3 + y * 5 + c * 85 + (n & 15)) & 255).astype(np.uint8)


# ---- parts ------------------------------------------------------------------------------------------------------------


def grids():
    """The points of a side; the others follow from them."""
    for side in (1, 2, 3, 7, 16, 32, 64):
        points = amg.build_point_grid(side)
        assert np.array_equal(points[:side, 0], points[::side, 1])
        yield {"points_per_side": side, "axis": points[:side, 0].tolist()}


def layers():
    for side, count, factor in ((32, 0, 1), (32, 2, 2), (10, 2, 3), (33, 3, 2)):
        made = amg.build_all_layer_point_grids(side, count, factor)
        yield {"points_per_side": side, "layers": count, "factor": factor, "points": [len(grid) for grid in made]}


def crops():
    for width, height, count, ratio in (
        (1500, 1000, 1, 512 / 1500), (1500, 1000, 3, 512 / 1500), (37, 53, 2, 512 / 1500), (640, 480, 2, 0.0),
        (481, 640, 2, 0.5), (65535, 300, 1, 0.99), (1000, 999, 1, 0.1), (8, 8, 3, 512 / 1500),
    ):
        boxes, layer_of = amg.generate_crop_boxes((height, width), count, ratio)
        yield {"width": width, "height": height, "layers": count, "overlap_ratio": ratio,
               "crops": [[layer, *box] for layer, box in zip(layer_of, boxes)]}


def edges():
    crops_of = [[0, 0, 300, 200], [0, 0, 180, 120], [120, 80, 300, 200], [60, 40, 240, 160]]
    for crop in crops_of:
        width, height = crop[2] - crop[0], crop[3] - crop[1]
        bits = noise(4 * 60, 11 + crop[0]).reshape(60, 4)
        x, y = np.sort(bits[:, :2] % np.uint32(width), 1), np.sort(bits[:, 2:] % np.uint32(height), 1)
        boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).astype(np.int64)
        # Just near, and just not.
        boxes[:4] = [[20, 20, width - 21, height - 21], [21, 21, width - 21, height - 21],
                     [21, 21, width - 20, height - 22], [0, 0, width - 1, height - 1]]
        near = amg.is_box_near_crop_edge(torch.from_numpy(boxes), crop, [0, 0, 300, 200])
        yield {"crop": crop, "image": [300, 200],
               "boxes": amg.uncrop_boxes_xyxy(torch.from_numpy(boxes), crop).tolist(), "cut": near.tolist()}


def duplicates():
    """Boxes and scores by formula; many scores are equal, and so are many boxes."""
    for count, seed, levels, threshold in ((40, 1, 3, 0.7), (200, 2, 5, 0.5), (200, 3, 1, 0.3), (300, 4, 200, 0.0),
                                           (1200, 5, 7, 0.7), (60, 6, 4, 0.6)):
        n = noise(5 * count, seed).reshape(count, 5)
        corner, size = n[:, :2] % np.uint32(24), n[:, 2:4] % np.uint32(9)
        boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
        scores = (n[:, 4] % np.uint32(levels)).astype(np.float32) / np.float32(levels)
        kept = batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores), torch.zeros(count), threshold).tolist()
        if count > 1000:
            # Of so many, torchvision sorts what stays once more, with a sort that gives equal scores in any order.
            kept.sort()
        yield {"count": count, "seed": seed, "levels": levels, "threshold": threshold, "kept": kept}


def speckled(width, height, seed, density):
    """A mask of specks; of low density islands, of high density holes."""
    n = noise(width * height, seed).reshape(height, width)
    return (n & np.uint32(0xFFFF)) < np.uint32(int(density * 0x10000))


def rle(mask):
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def regions():
    for width, height, seed, density in ((37, 29, 1, 0.3), (37, 29, 2, 0.65), (64, 48, 3, 0.12), (5, 61, 4, 0.5),
                                         (61, 5, 5, 0.5), (40, 40, 6, 0.0), (40, 40, 7, 1.0), (41, 23, 8, 0.06),
                                         (24, 24, 9, 0.04), (1, 1, 10, 1.0)):
        mask = speckled(width, height, seed, density)
        for area in (1, 2, 4, 10, 60, 5000):
            filled, holes = amg.remove_small_regions(mask, area, mode="holes")
            cleared, islands = amg.remove_small_regions(filled, area, mode="islands")
            yield {"width": width, "height": height, "seed": seed, "density": density, "min_area": area,
                   "changed": bool(holes or islands), "rle": rle(cleared)}


def connected_components(mask):
    """What SAM 2's CUDA kernel gives."""
    labels, areas = [], []
    for one in mask[:, 0].numpy().astype(np.uint8):
        _, label, stats, _ = cv2.connectedComponentsWithStats(one, connectivity=8)
        labels.append(label)
        areas.append(np.where(label > 0, stats[label, cv2.CC_STAT_AREA], 0))
    as_tensor = lambda parts: torch.from_numpy(np.stack(parts))[:, None]
    return as_tensor(labels), as_tensor(areas)


misc.get_connected_components = connected_components


def logits():
    """Logits of one mask, cleaned: as text of signs, and the sum of all."""
    for seed, density, area in ((1, 0.3, 3), (2, 0.65, 5), (3, 0.5, 1), (4, 0.1, 100), (5, 0.9, 2)):
        mask = speckled(32, 32, seed, density)
        given = torch.from_numpy(np.where(mask, 3.0, -2.0).astype(np.float32))[None, None]
        transforms = SAM2Transforms(resolution=INPUT, mask_threshold=0.0, max_hole_area=area, max_sprinkle_area=area)
        cleaned = transforms.postprocess_masks(given, (32, 32))[0, 0].numpy()
        yield {"seed": seed, "density": density, "max_area": area, "rle": rle(cleaned > 0), "sum": float(cleaned.sum())}


# ---- whole images -----------------------------------------------------------------------------------------------------


def checksum(pixels):
    """64-bit FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in pixels.tobytes():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


class Fake:
    """The fake backend's model on one image; points are pixels of the image."""

    def __init__(self, image, stretch):
        self.size = image.shape[:2]
        if stretch:
            from PIL import Image

            resized = np.asarray(Image.fromarray(image).resize((INPUT, INPUT), Image.BILINEAR))
            self.scale = np.float32(INPUT) / np.array(self.size[::-1], dtype=np.float32)
        else:
            resized = ResizeLongestSide(INPUT).apply_image(image)
            self.scale = np.float32(INPUT) / np.array([max(self.size)] * 2, dtype=np.float32)
        self.input_size = resized.shape[:2]
        brightness = np.float32(resized.astype(np.float64).sum() / 255 / resized.size)
        self.score = (np.float32(0.5) + brightness / np.float32(4)
                      + np.float32(checksum(resized) & 0xFFFF) / np.float32(524288))

    def decode(self, points, multimask, masks=None):
        """[n][k][cells][cells] logits, [n][k] scores; `masks` is [n][1][cells][cells]."""
        count = 3 if multimask else 1
        at = (np.arange(CELLS, dtype=np.float32) + np.float32(0.5)) * np.float32(INPUT / CELLS)
        x, y = (np.asarray(points, dtype=np.float32).reshape(-1, 2) * self.scale).T
        dx, dy = x[:, None, None] - at[None, None, :], y[:, None, None] - at[None, :, None]
        away = np.sqrt(dx * dx + dy * dy)
        radius = np.float32(INPUT / 8) * np.arange(1, count + 1, dtype=np.float32)
        logits = radius[None, :, None, None] - away[:, None]
        if masks is not None:
            logits = np.maximum(logits, masks.numpy())
        scores = self.score - np.arange(count, dtype=np.float32) / np.float32(16)
        return torch.from_numpy(logits), torch.from_numpy(np.tile(scores, (len(logits), 1)))


class SamPredictor:
    """What SamAutomaticMaskGenerator uses of the official one."""

    device = "cpu"
    model = types.SimpleNamespace(mask_threshold=0.0)
    transform = types.SimpleNamespace(apply_coords=lambda points, size: points)

    def set_image(self, image):
        self.fake = Fake(image, stretch=False)

    def reset_image(self):
        pass

    def predict_torch(self, points, labels, multimask_output, return_logits):
        low_res, scores = self.fake.decode(points, multimask_output)
        module = types.SimpleNamespace(image_encoder=types.SimpleNamespace(img_size=INPUT))
        masks = Sam.postprocess_masks(module, low_res, self.fake.input_size, self.fake.size)
        return masks, scores, low_res


class Sam2Predictor:
    """What SAM2AutomaticMaskGenerator uses of the official one."""

    device = "cpu"

    def __init__(self, area):
        self.post = SAM2Transforms(resolution=INPUT, mask_threshold=0.0, max_hole_area=area, max_sprinkle_area=area)
        self._transforms = types.SimpleNamespace(transform_coords=lambda points, normalize, orig_hw: points)

    def set_image(self, image):
        self.fake = Fake(image, stretch=True)

    def reset_predictor(self):
        pass

    def _predict(self, points, labels, mask_input=None, multimask_output=True, return_logits=True):
        low_res, scores = self.fake.decode(points, multimask_output, mask_input)
        return self.post.postprocess_masks(low_res, self.fake.size), scores, torch.clamp(low_res, -32.0, 32.0)


@contextlib.contextmanager
def replaced(module, name, value):
    former = getattr(module, name)
    setattr(module, name, value)
    yield
    setattr(module, name, former)


def images():
    lenient = {"pred_iou_thresh": 0.4, "stability_score_thresh": 0.8}
    cases = [
        ("sam", 200, 140, {**lenient, "points_per_side": 6, "points_per_batch": 7}),
        ("sam", 200, 140, {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "points_per_side": 5,
                           "box_nms_thresh": 0.2}),
        ("sam", 90, 150, {**lenient, "points_per_side": 8, "stability_score_thresh": 0.93, "box_nms_thresh": 0.5}),
        ("sam", 300, 240, {**lenient, "points_per_side": 6, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2}),
        ("sam", 333, 250, {**lenient, "points_per_side": 8, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2,
                           "crop_nms_thresh": 0.4, "box_nms_thresh": 0.6, "crop_overlap_ratio": 0.2}),
        ("sam", 200, 140, {**lenient, "points_per_side": 6, "min_mask_region_area": 2500}),
        ("sam", 200, 140, {**lenient, "points_per_side": 6, "stability_score_offset": 4.0,
                           "stability_score_thresh": 0.7}),
        ("sam2", 200, 140, {**lenient, "points_per_side": 6}),
        ("sam2", 200, 140, {**lenient, "points_per_side": 6, "mask_threshold": 5.0}),
        ("sam2", 160, 200, {**lenient, "points_per_side": 5, "use_m2m": True}),
        ("sam2", 160, 200, {**lenient, "points_per_side": 5, "multimask_output": False, "box_nms_thresh": 0.1}),
        ("sam2", 300, 200, {**lenient, "points_per_side": 5, "crop_n_layers": 1, "min_mask_region_area": 300}),
    ]
    for family, width, height, options in cases:
        if family == "sam":
            generator_of = sam.SamAutomaticMaskGenerator
            context = replaced(sam, "SamPredictor", lambda model: SamPredictor())
        else:
            generator_of = sam2.SAM2AutomaticMaskGenerator
            make = lambda model, max_hole_area, max_sprinkle_area: Sam2Predictor(max_hole_area)
            context = replaced(sam2, "SAM2ImagePredictor", make)
        with context:
            generator = generator_of(None, output_mode="coco_rle", **options)
        records = generator.generate(slopes(width, height))
        assert len(records) > 1, (family, options)
        yield {"family": family, "width": width, "height": height, "options": options, "masks": [
            {"area": record["area"], "bbox": record["bbox"], "predicted_iou": record["predicted_iou"],
             "stability_score": record["stability_score"], "point": record["point_coords"][0],
             "crop_box": record["crop_box"]} for record in records]}


def main():
    versions = {name: version(name) for name in
                ("torch", "torchvision", "segment-anything", "sam2", "opencv-python-headless", "pycocotools", "pillow")}
    sections = {"grids": grids, "layers": layers, "crops": crops, "edges": edges, "duplicates": duplicates,
                "regions": regions, "logits": logits, "images": images}
    print("{\n" + f'"versions": {json.dumps(versions)}', end="")
    for name, section in sections.items():
        entries = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in section())
        print(f',\n"{name}": [\n{entries}\n]', end="")
    print("\n}")


if __name__ == "__main__":
    main()
