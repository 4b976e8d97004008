"""sam-mm through its C API, by ctypes: `include/sam_mm.h` as far as the comparisons need it."""

import ctypes as ct
import os
from dataclasses import dataclass

import numpy as np

Handle = ct.c_void_p


class Struct(ct.Structure):
    """A struct of the header: knows its size, filled with defaults by its `…_init` function where it has one."""

    init = None

    def __init__(self, library=None, **fields):
        super().__init__()
        self.struct_size = ct.sizeof(self)
        if self.init is not None:
            status = getattr(library, self.init)(ct.byref(self), ct.sizeof(self))
            if status:
                raise RuntimeError(f"{self.init} refuses {ct.sizeof(self)} bytes (status {status})")
        for name, value in fields.items():
            setattr(self, name, value)


class Options(Struct):
    init = "sam_mm_options_init"
    _fields_ = [
        ("struct_size", ct.c_uint32), ("num_threads", ct.c_uint32), ("device", ct.c_char_p), ("backend_path", ct.c_char_p),
        ("log_callback", ct.c_void_p), ("log_user_data", ct.c_void_p), ("log_level", ct.c_int32), ("allow_tf32", ct.c_uint32),
        ("embedding_cache_bytes", ct.c_uint64), ("memory", ct.c_void_p), ("prediction_cache_bytes", ct.c_uint64),
        ("prediction_cache_entries", ct.c_uint32), ("reserved", ct.c_uint32),
    ]


class ModelOptions(Struct):
    init = "sam_mm_model_options_init"
    _fields_ = [
        ("struct_size", ct.c_uint32), ("precision", ct.c_uint32), ("path", ct.c_char_p), ("data", ct.c_void_p),
        ("data_len", ct.c_uint64),
    ]


class ImageDesc(Struct):
    init = "sam_mm_image_desc_init"
    _fields_ = [
        ("struct_size", ct.c_uint32), ("format", ct.c_uint32), ("width", ct.c_uint32), ("height", ct.c_uint32),
        ("row_stride", ct.c_uint64), ("data", ct.c_void_p), ("data_len", ct.c_uint64),
    ]


class PromptStruct(Struct):
    init = "sam_mm_prompt_init"
    _fields_ = [
        ("struct_size", ct.c_uint32), ("num_points", ct.c_uint32), ("points", ct.c_void_p), ("labels", ct.c_void_p),
        ("bounding_box", ct.c_void_p), ("mask_input", ct.c_void_p), ("mask_input_len", ct.c_uint64),
    ]


class PredictRequest(Struct):
    init = "sam_mm_predict_request_init"
    _fields_ = [
        ("struct_size", ct.c_uint32), ("multimask", ct.c_uint32), ("prompts", ct.c_void_p), ("boxes", ct.c_void_p),
        ("num_prompts", ct.c_uint32), ("num_boxes", ct.c_uint32),
    ]


class ResultInfo(Struct):
    _fields_ = [
        ("struct_size", ct.c_uint32), ("num_objects", ct.c_uint32), ("masks_per_object", ct.c_uint32),
        ("num_masks", ct.c_uint32), ("width", ct.c_uint32), ("height", ct.c_uint32), ("mask_size", ct.c_uint32),
        ("embedding_reused", ct.c_uint32), ("encode_ms", ct.c_double), ("decode_ms", ct.c_double),
    ]


class MaskInfo(Struct):
    _fields_ = [
        ("struct_size", ct.c_uint32), ("object_index", ct.c_uint32), ("area", ct.c_uint64),
        ("bounding_box", ct.c_float * 4), ("score", ct.c_float), ("reserved", ct.c_uint32),
        ("object_score", ct.c_float), ("has_object_score", ct.c_uint32),
    ]


class Bitmask(Struct):
    _fields_ = [
        ("struct_size", ct.c_uint32), ("width", ct.c_uint32), ("height", ct.c_uint32), ("reserved", ct.c_uint32),
        ("row_stride", ct.c_uint64), ("data", ct.c_void_p),
    ]


class EverythingOptions(Struct):
    init = "sam_mm_everything_options_init"
    _fields_ = [
        ("struct_size", ct.c_uint32), ("points_per_side", ct.c_uint32), ("points_per_batch", ct.c_uint32),
        ("crop_n_layers", ct.c_uint32), ("crop_n_points_downscale_factor", ct.c_uint32), ("multimask", ct.c_uint32),
        ("use_m2m", ct.c_uint32), ("num_point_grids", ct.c_uint32), ("pred_iou_thresh", ct.c_double),
        ("stability_score_thresh", ct.c_double), ("stability_score_offset", ct.c_double), ("mask_threshold", ct.c_double),
        ("box_nms_thresh", ct.c_double), ("crop_nms_thresh", ct.c_double), ("crop_overlap_ratio", ct.c_double),
        ("min_mask_region_area", ct.c_uint64), ("point_grids", ct.c_void_p), ("point_grid_sizes", ct.c_void_p),
        ("on_step", ct.c_void_p), ("user_data", ct.c_void_p),
    ]


class MaskSetInfo(Struct):
    _fields_ = [
        ("struct_size", ct.c_uint32), ("num_masks", ct.c_uint32), ("width", ct.c_uint32), ("height", ct.c_uint32),
        ("num_crops", ct.c_uint32), ("reduced_batch", ct.c_uint32), ("num_points", ct.c_uint64), ("num_batches", ct.c_uint64),
        ("num_candidates", ct.c_uint64), ("peak_bytes", ct.c_uint64),
    ]


class FoundMaskInfo(Struct):
    _fields_ = [
        ("struct_size", ct.c_uint32), ("crop_layer", ct.c_uint32), ("id", ct.c_uint64), ("area", ct.c_uint64),
        ("bounding_box", ct.c_float * 4), ("predicted_iou", ct.c_float), ("stability_score", ct.c_float),
        ("point", ct.c_float * 2), ("crop_box", ct.c_float * 4),
    ]


class Error(RuntimeError):
    """A call failed; the message and its causes as the library gives them."""


@dataclass
class Prompt:
    """One object. Coordinates are pixels of the original image; `mask_input` is (mask_size, mask_size) logits."""

    points: np.ndarray | None = None
    labels: np.ndarray | None = None
    box: np.ndarray | None = None
    mask_input: np.ndarray | None = None


class SamMm:
    """A context with one model. `options` are further fields of `sam_mm_options`."""

    def __init__(self, checkpoint: str, threads: int, device: str = "cpu", library: str | None = None, **options):
        self.lib = ct.CDLL(library or os.environ["SAM_MM_LIBRARY"])
        for name in ("error_message", "error_cause", "status_name", "version"):
            getattr(self.lib, f"sam_mm_{name}").restype = ct.c_char_p
        self.context, self.model = Handle(), Handle()
        options = Options(self.lib, num_threads=threads, device=device.encode(), **options)
        self.call("sam_mm_init", ct.byref(options), ct.byref(self.context))
        model_options = ModelOptions(self.lib, path=os.fsencode(checkpoint))
        self.call("sam_mm_model_load", self.context, ct.byref(model_options), ct.byref(self.model))

    def call(self, function: str, *arguments) -> None:
        """Calls a function whose last argument is the error."""
        error = Handle()
        status = getattr(self.lib, function)(*arguments, ct.byref(error))
        if status:
            raise Error(f"{function}: {self.describe(error, status)}")

    def describe(self, error: Handle, status: int) -> str:
        parts, depth = [self.lib.sam_mm_error_message(error)], 0
        while cause := self.lib.sam_mm_error_cause(error, depth):
            parts.append(cause)
            depth += 1
        self.lib.sam_mm_error_free(error)
        return f"{self.lib.sam_mm_status_name(status).decode()}: {b': '.join(parts).decode()}"

    def image(self, pixels: np.ndarray) -> "Image":
        """An image of RGB pixels, uint8 (height, width, 3); not encoded yet."""
        return Image(self, pixels)

    def close(self) -> None:
        self.lib.sam_mm_model_free(self.model)
        self.lib.sam_mm_destroy(self.context)


class Image:
    def __init__(self, sam: SamMm, pixels: np.ndarray):
        self.sam, self.handle = sam, Handle()
        height, width, _ = pixels.shape
        pixels = np.ascontiguousarray(pixels)
        desc = ImageDesc(sam.lib, width=width, height=height, data=pixels.ctypes.data, data_len=pixels.nbytes)
        sam.call("sam_mm_image_create", sam.context, ct.byref(desc), ct.byref(self.handle))

    def encode(self) -> None:
        self.sam.call("sam_mm_image_encode", self.handle, self.sam.model)

    def everything(self, **options) -> "MaskSet":
        """The masks of everything; `options` are fields of `sam_mm_everything_options`."""
        masks, options = Handle(), EverythingOptions(self.sam.lib, **options)
        self.sam.call("sam_mm_image_segment_everything", self.handle, self.sam.model, ct.byref(options), ct.byref(masks))
        return MaskSet(self.sam, masks)

    def predict(self, prompts: list[Prompt], multimask: bool) -> "Result":
        kept = []

        def address(array, dtype) -> int | None:
            if array is None:
                return None
            kept.append(np.ascontiguousarray(array, dtype))
            return kept[-1].ctypes.data

        structs = (PromptStruct * len(prompts))()
        for struct, prompt in zip(structs, prompts):
            struct.__init__(
                self.sam.lib,
                num_points=0 if prompt.points is None else len(prompt.points),
                points=address(prompt.points, np.float32),
                labels=address(prompt.labels, np.int32),
                bounding_box=address(prompt.box, np.float32),
                mask_input=address(prompt.mask_input, np.float32),
                mask_input_len=0 if prompt.mask_input is None else prompt.mask_input.size,
            )
        request = PredictRequest(
            self.sam.lib, multimask=int(multimask), prompts=ct.addressof(structs), num_prompts=len(prompts)
        )
        handle = Handle()
        self.sam.call("sam_predict", self.sam.model, self.handle, ct.byref(request), ct.byref(handle))
        return Result(self.sam, handle)

    def free(self) -> None:
        self.sam.lib.sam_mm_image_free(self.handle)


class Result:
    """Views of masks and logits are borrowed: they end with `free`."""

    def __init__(self, sam: SamMm, handle: Handle):
        self.sam, self.handle = sam, handle
        self.info = ResultInfo()
        sam.call("sam_mm_result_describe", handle, ct.byref(self.info))

    def __len__(self) -> int:
        return self.info.num_masks

    def mask_info(self, index: int) -> MaskInfo:
        info = MaskInfo()
        self.sam.call("sam_mm_result_mask_info", self.handle, ct.c_uint32(index), ct.byref(info))
        return info

    def score(self, index: int) -> float:
        return self.mask_info(index).score

    def object_scores(self) -> np.ndarray | None:
        """float32 (objects,); None of a model that gives none."""
        infos = [self.mask_info(i * self.info.masks_per_object) for i in range(self.info.num_objects)]
        return np.array([i.object_score for i in infos], np.float32) if all(i.has_object_score for i in infos) else None

    def logits(self, index: int) -> np.ndarray:
        """Low-resolution logits, float32 (mask_size, mask_size)."""
        data, length = ct.POINTER(ct.c_float)(), ct.c_uint64()
        self.sam.call("sam_mm_result_logits", self.handle, ct.c_uint32(index), ct.byref(data), ct.byref(length))
        return np.ctypeslib.as_array(data, (self.info.mask_size, self.info.mask_size))

    def bitmask(self, index: int) -> np.ndarray:
        """The mask at the size of the image, uint8 (height, width) of 0 and 1."""
        mask = Bitmask()
        self.sam.call("sam_mm_result_bitmask", self.handle, ct.c_uint32(index), ct.byref(mask))
        data = ct.cast(mask.data, ct.POINTER(ct.c_uint8))
        return np.ctypeslib.as_array(data, (mask.height, mask.width))

    def free(self) -> None:
        self.sam.lib.sam_mm_result_free(self.handle)


class MaskSet:
    """Masks of everything in an image, in their order."""

    def __init__(self, sam: SamMm, handle: Handle):
        self.sam, self.handle, self.info = sam, handle, MaskSetInfo()
        sam.call("sam_mm_mask_set_describe", handle, ct.byref(self.info))

    def __len__(self) -> int:
        return self.info.num_masks

    def mask_info(self, index: int) -> FoundMaskInfo:
        info = FoundMaskInfo()
        self.sam.call("sam_mm_mask_set_mask_info", self.handle, ct.c_uint32(index), ct.byref(info))
        return info

    def bitmask(self, index: int) -> np.ndarray:
        """The mask at the size of the image, bool (height, width)."""
        mask = np.empty((self.info.height, self.info.width), np.uint8)
        self.sam.call(
            "sam_mm_mask_set_bitmask_copy", self.handle, ct.c_uint32(index), ct.c_uint32(1), ct.c_void_p(mask.ctypes.data),
            ct.c_uint64(mask.nbytes), ct.c_uint64(self.info.width),
        )
        return mask.astype(bool)

    def free(self) -> None:
        self.sam.lib.sam_mm_mask_set_free(self.handle)
