"""The interfaces of the official `segment_anything` and `sam2`, on this library: change the import, keep the code.

    from sam_mm.compat import SamPredictor, sam_model_registry

    sam = sam_model_registry["vit_h"](checkpoint="sam_vit_h_4b8939.pth").to("cuda")
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    masks, scores, logits = predictor.predict(point_coords=points, point_labels=labels)

What differs: PyTorch is not needed; images and predictions that were seen before are found again, whatever was set in between;
points and boxes outside of the image are refused; `get_image_embedding` and `set_torch_image` are not there.
"""

from ._generator import SamAutomaticMaskGenerator
from ._predictor import SamPredictor
from ._sam import Sam, build_sam, build_sam_vit_b, build_sam_vit_h, build_sam_vit_l, sam_model_registry
from ._sam2 import SAM2ImagePredictor, build_sam2
from ._transform import ResizeLongestSide

__all__ = [
    "ResizeLongestSide", "SAM2ImagePredictor", "Sam", "SamAutomaticMaskGenerator", "SamPredictor", "build_sam",
    "build_sam2", "build_sam_vit_b", "build_sam_vit_h", "build_sam_vit_l", "sam_model_registry",
]
