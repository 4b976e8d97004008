//! The plugin ABI, version 1: plain C types, generated into `include/sam_mm_backend.h`.
//!
//! Rules that hold for every type here:
//! - A struct that crosses the border starts with `struct_size`, set by the side that fills it. Fields are only
//!   appended. A reader treats fields past the writer's `struct_size` as absent.
//! - No C `enum`, `bool`, bit-field or by-value struct; integers have fixed width.
//! - Text is UTF-8 and NUL-terminated.
//! - Functions return a status: `SAM_MM_OK` or one of the `SAM_MM_ERR_…` codes. Outputs are written only on success.
#![allow(non_camel_case_types)]

use core::ffi::{CStr, c_char, c_void};

/// Major version of the plugin ABI. Host and plugin must agree on it.
pub const SAM_MM_BACKEND_ABI_MAJOR: u32 = 1;
/// Minor version of the plugin ABI. Additions only; what exists is told by `struct_size`.
pub const SAM_MM_BACKEND_ABI_MINOR: u32 = 0;
/// `major << 16 | minor`, as passed to `sam_mm_backend_query`.
pub const SAM_MM_BACKEND_ABI_VERSION: u32 =
    (SAM_MM_BACKEND_ABI_MAJOR << 16) | SAM_MM_BACKEND_ABI_MINOR;

/// Name of the one function a plugin exports.
pub const QUERY_SYMBOL: &CStr = c"sam_mm_backend_query";

/// A plugin that is tied to a version of a shared library embeds this text, followed by `library=version;`, anywhere
/// in its file (for example `sam-mm-backend-requires:libtorch=2.11.0;`). The host reads it before loading the plugin,
/// so that a process that already holds another version gets an error instead of a crash.
pub const SAM_MM_BACKEND_REQUIRES_MARKER: &str = "sam-mm-backend-requires:";

/// Success.
pub const SAM_MM_OK: i32 = 0;
/// An argument is wrong; the message holds its name and value.
pub const SAM_MM_ERR_INVALID_ARGUMENT: i32 = 1;
/// A handle is NULL, freed, or of another kind.
pub const SAM_MM_ERR_INVALID_HANDLE: i32 = 2;
/// The request is well formed, but this build, backend or model cannot serve it.
pub const SAM_MM_ERR_UNSUPPORTED: i32 = 3;
/// Memory ran out on the device or the host. Never used for any other failure of a device.
pub const SAM_MM_ERR_OUT_OF_MEMORY: i32 = 4;
/// No backend plugin could be loaded; the message lists every path tried and why it failed.
pub const SAM_MM_ERR_BACKEND_NOT_FOUND: i32 = 5;
/// The backend failed.
pub const SAM_MM_ERR_BACKEND: i32 = 6;
/// Something in the process conflicts with what is needed, such as another version of libtorch.
pub const SAM_MM_ERR_CONFLICT: i32 = 7;
/// A checkpoint file is damaged, incomplete, or not a model that is known.
pub const SAM_MM_ERR_CHECKPOINT: i32 = 8;
/// A file could not be opened or read.
pub const SAM_MM_ERR_IO: i32 = 9;
/// The device asked for does not exist here, or cannot be used.
pub const SAM_MM_ERR_DEVICE_UNAVAILABLE: i32 = 10;
/// The device failed while in use (a device-side assert, a lost GPU); the process must be restarted to use it again.
pub const SAM_MM_ERR_DEVICE_LOST: i32 = 11;
/// The caller cancelled the operation.
pub const SAM_MM_ERR_CANCELLED: i32 = 12;
/// An earlier internal failure left the context unusable; destroy it and make another.
pub const SAM_MM_ERR_POISONED: i32 = 13;
/// A defect of the library or the plugin, caught at the border.
pub const SAM_MM_ERR_INTERNAL: i32 = 14;

/// Log level: something failed.
pub const SAM_MM_LOG_ERROR: i32 = 1;
/// Log level: something is not as it should be, and work goes on.
pub const SAM_MM_LOG_WARN: i32 = 2;
/// Log level: rare events worth knowing.
pub const SAM_MM_LOG_INFO: i32 = 3;
/// Log level: what happens inside, for finding a fault.
pub const SAM_MM_LOG_DEBUG: i32 = 4;

/// IEEE 754 binary32.
pub const SAM_MM_PRECISION_FP32: u32 = 0;
/// IEEE 754 binary16.
pub const SAM_MM_PRECISION_FP16: u32 = 1;
/// bfloat16.
pub const SAM_MM_PRECISION_BF16: u32 = 2;

/// Id for `get_extension`: a `sam_mm_backend_embedding_half`.
pub const SAM_MM_BACKEND_EMBEDDING_HALF: &str = "embedding_export_half/1";

/// Attention scores of a layer are computed at once.
pub const SAM_MM_ATTENTION_FULL: u32 = 0;
/// Attention scores are computed for some queries at a time: the same result within rounding, a lower memory peak.
pub const SAM_MM_ATTENTION_CHUNKED: u32 = 1;

/// Pixels are `uint8_t`, 0–255.
pub const SAM_MM_ELEMENT_U8: u32 = 0;
/// Pixels are `float`, 0–1.
pub const SAM_MM_ELEMENT_F32: u32 = 1;

/// The longer side becomes `input_size`, the aspect stays, the rest of the square is padding that the backend adds
/// (SAM: `ResizeLongestSide`, PIL bilinear with antialias on 8-bit values).
pub const SAM_MM_RESIZE_LONGEST_SIDE: u32 = 0;
/// Both sides become `input_size`, the aspect is not kept (SAM 2: bilinear with antialias on float values).
pub const SAM_MM_RESIZE_STRETCH: u32 = 1;

/// `sam_mm_backend_mem_info.known`: `total` and `free` are filled.
pub const SAM_MM_MEM_DEVICE: u32 = 1;
/// `sam_mm_backend_mem_info.known`: `allocated` and `reserved` are filled.
pub const SAM_MM_MEM_ALLOCATOR: u32 = 2;
/// `sam_mm_backend_mem_info.known`: `peak_allocated` is filled.
pub const SAM_MM_MEM_PEAK: u32 = 4;

/// One running operation of the host, such as one `encode`. Opaque to the plugin, and meaningful only until the
/// function it was passed to returns. NULL is allowed everywhere and means an operation that is never cancelled and
/// never retried.
pub struct sam_mm_operation {
    _opaque: [u8; 0],
}

/// What the host offers a plugin. Valid until the process ends.
#[repr(C)]
pub struct sam_mm_host {
    /// Size of this struct as the host was compiled.
    pub struct_size: u32,
    /// The host's `SAM_MM_BACKEND_ABI_VERSION`.
    pub abi_version: u32,
    /// [any thread] Writes a line to the log of the context that runs `operation`, or of every context when NULL.
    /// `level` is one of `SAM_MM_LOG_…`.
    pub log: Option<
        unsafe extern "C" fn(operation: *mut sam_mm_operation, level: i32, message: *const c_char),
    >,
    /// [any thread] Non-zero when the operation should stop as soon as it can, returning `SAM_MM_ERR_CANCELLED`.
    /// To be asked between the stages of a long operation; cheap.
    pub is_cancelled: Option<unsafe extern "C" fn(operation: *mut sam_mm_operation) -> i32>,
    /// [thread of the operation] The operation is about to need `bytes` of device memory. The host may release caches
    /// before it returns. Non-zero: the host refuses; the plugin returns `SAM_MM_ERR_OUT_OF_MEMORY`.
    pub before_allocate:
        Option<unsafe extern "C" fn(operation: *mut sam_mm_operation, bytes: u64) -> i32>,
    /// [thread of the operation] An allocation of `bytes` failed for the `attempt`-th time (from 1). The host releases
    /// what it can. Non-zero: something was released, try once more; zero: give up with `SAM_MM_ERR_OUT_OF_MEMORY`.
    pub allocation_failed: Option<
        unsafe extern "C" fn(operation: *mut sam_mm_operation, bytes: u64, attempt: u32) -> i32,
    >,
}

/// Length of `sam_mm_backend_error.message`, the closing NUL included.
pub const SAM_MM_BACKEND_MESSAGE_LEN: usize = 4096;

/// Where a plugin writes what went wrong. Owned and zeroed by the host; may be NULL.
#[repr(C)]
pub struct sam_mm_backend_error {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// Zero; keeps the next field aligned.
    pub reserved: u32,
    /// For `SAM_MM_ERR_OUT_OF_MEMORY`: the bytes asked for, or 0 when not known.
    pub requested_bytes: u64,
    /// For `SAM_MM_ERR_OUT_OF_MEMORY`: the bytes that were free, or 0 when not known.
    pub free_bytes: u64,
    /// What was wrong, with the values, and what to do. UTF-8; cut at a character when too long.
    pub message: [c_char; SAM_MM_BACKEND_MESSAGE_LEN],
}

/// Length of `sam_mm_backend_probe.reason`, the closing NUL included.
pub const SAM_MM_BACKEND_REASON_LEN: usize = 1024;

/// Whether and how well a backend can run on a device.
#[repr(C)]
pub struct sam_mm_backend_probe {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// 0: cannot run on this device; larger is better (the torch backend: 50 on a CPU, 100 on a GPU).
    pub score: u32,
    /// Why it cannot run and what to do about it, or what was found. UTF-8.
    pub reason: [c_char; SAM_MM_BACKEND_REASON_LEN],
}

/// How a device is opened.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sam_mm_backend_device_config {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// Threads for work on the CPU; 0 leaves the backend's default. The backend may be able to honour it only once per
    /// process, and says so in the log.
    pub num_threads: u32,
    /// `"cpu"` or `"cuda:N"`.
    pub device: *const c_char,
    /// Most bytes of device memory that the backend's allocator may hold; 0: no limit.
    pub memory_limit_bytes: u64,
    /// Non-zero: TF32 matrix products are allowed where the device has them.
    pub allow_tf32: u32,
    /// Zero; for later use.
    pub reserved: u32,
}

/// Figures of the backend's allocator and of the device as the backend sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct sam_mm_backend_mem_info {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// Which of the following are filled: bits `SAM_MM_MEM_…`. A figure that could not be had is never reported as 0.
    pub known: u32,
    /// Bytes of memory the device has.
    pub total: u64,
    /// Bytes of device memory that are free for any process.
    pub free: u64,
    /// Bytes in live tensors.
    pub allocated: u64,
    /// Bytes that the allocator holds, live or kept for reuse.
    pub reserved: u64,
    /// Largest `allocated` since the device was opened.
    pub peak_allocated: u64,
}

/// Where a checkpoint comes from: a file, or bytes in memory. Borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sam_mm_backend_checkpoint {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// `SAM_MM_PRECISION_…` the weights are held in.
    pub precision: u32,
    /// Path of the file, or NULL when `data` is given.
    pub path: *const c_char,
    /// The checkpoint in memory (safetensors or `.pth`), or NULL when `path` is given.
    pub data: *const u8,
    /// Bytes at `data`.
    pub data_len: u64,
    /// What to call the checkpoint in messages.
    pub name: *const c_char,
}

/// What a loaded model is and needs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sam_mm_backend_model_info {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// `SAM_MM_RESIZE_…`: how an image is brought to the model's input.
    pub resize: u32,
    /// Side of the square input, in pixels (SAM: 1024).
    pub input_size: u32,
    /// `SAM_MM_ELEMENT_…` that `encode` takes.
    pub input_element: u32,
    /// Side of the square low-resolution logits, in cells (SAM: 256). `input_size` is a multiple of it.
    pub mask_size: u32,
    /// Masks per object with multimask output (SAM: 3). Without, it is one.
    pub multimask_count: u32,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of one image embedding in the model's precision.
    pub embedding_bytes: u64,
    /// Bytes of device memory the weights take.
    pub weight_bytes: u64,
    /// `"sam"`, `"mobile_sam"`, `"sam2"`. Valid while the model lives.
    pub family: *const c_char,
    /// Variant within the family, such as `"vit_b"`, or a description of a size that has no name. Valid while the
    /// model lives.
    pub variant: *const c_char,
    /// Bytes that `model_set_precision` needs at most in passing, beside the larger of the old and the new weights, when it
    /// goes about it piece by piece; 0 when it makes all new weights beside all old ones.
    pub precision_change_bytes: u64,
}

/// How an operation is to be run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct sam_mm_backend_plan {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// `SAM_MM_ATTENTION_…` of the image encoder.
    pub attention: u32,
    /// `SAM_MM_PRECISION_…` the operation computes in.
    pub precision: u32,
    /// Objects in one `decode`; 0 when only the encoder is asked about.
    pub num_objects: u32,
}

/// Memory that a plan needs on the device, over and above the weights.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct sam_mm_backend_estimate {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// Zero; keeps the next field aligned.
    pub reserved: u32,
    /// Bytes of the embedding that `encode` leaves behind.
    pub embedding_bytes: u64,
    /// Peak bytes of intermediate tensors in `encode`.
    pub encode_workspace_bytes: u64,
    /// Peak bytes of intermediate tensors in `decode`.
    pub decode_workspace_bytes: u64,
}

/// An image as the model wants it: resized by the host as `sam_mm_backend_model_info` says, RGB, interleaved, neither
/// normalised nor padded. Borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sam_mm_backend_pixels {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// `SAM_MM_ELEMENT_…`.
    pub element: u32,
    /// Columns, 1 to `input_size`.
    pub width: u32,
    /// Rows, 1 to `input_size`.
    pub height: u32,
    /// Columns of the original image; prompts are in its pixels.
    pub original_width: u32,
    /// Rows of the original image.
    pub original_height: u32,
    /// Bytes from one row to the next.
    pub row_stride: u64,
    /// First pixel: three elements, red, green, blue.
    pub data: *const c_void,
}

/// Prompts for a number of objects of one image. Borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sam_mm_backend_prompts {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// Objects asked for, at least 1.
    pub num_objects: u32,
    /// Non-zero: `multimask_count` masks per object; zero: one.
    pub multimask: u32,
    /// Zero; keeps the next field aligned.
    pub reserved: u32,
    /// `[num_objects]` points of each object; NULL when no object has any.
    pub point_counts: *const u32,
    /// `[sum(point_counts)][2]` x and y in pixels of the original image, object after object.
    pub points: *const f32,
    /// `[sum(point_counts)]` 1 foreground, 0 background, −1 not a point.
    pub labels: *const i32,
    /// `[num_objects]` non-zero where the object has a box; NULL when none has.
    pub has_box: *const u8,
    /// `[num_objects][4]` x0, y0, x1, y1 in pixels of the original image; undefined where `has_box` is 0.
    pub boxes: *const f32,
    /// `[num_objects]` non-zero where the object has a mask input; NULL when none has.
    pub has_mask: *const u8,
    /// `[num_objects][mask_size][mask_size]` low-resolution logits of an earlier result; undefined where `has_mask`
    /// is 0.
    pub masks: *const f32,
}

/// Where `decode` writes. Buffers are the host's and initialised; what they hold after an error is not looked at.
/// `n` is `multimask_count` with multimask output and 1 without.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sam_mm_backend_masks {
    /// Size of this struct, set by the host.
    pub struct_size: u32,
    /// Zero; keeps the next field aligned.
    pub reserved: u32,
    /// `[num_objects][n][mask_size][mask_size]` low-resolution logits; a mask is where they exceed 0.
    pub logits: *mut f32,
    /// `[num_objects][n]` predicted IoU.
    pub scores: *mut f32,
    /// `[num_objects]` object score logit; left alone by a model that has none (SAM), NULL when not wanted.
    pub object_scores: *mut f32,
}

/// An opened device. Opaque to the host.
pub struct sam_mm_backend_device {
    _opaque: [u8; 0],
}

/// A loaded model. Opaque to the host.
pub struct sam_mm_backend_model {
    _opaque: [u8; 0],
}

/// What the image encoder made of one image. Opaque to the host.
pub struct sam_mm_backend_embedding {
    _opaque: [u8; 0],
}

/// The functions of a backend. All are required but those marked optional. Valid until the process ends; a plugin is
/// never unloaded.
///
/// Every function is safe against any thread; the host calls the functions of one model from one thread at a time, but
/// may use several models, and may export, measure and free embeddings, ask for memory figures and trim at any time
/// from any thread, also from within the callbacks of `sam_mm_host`. It does not export or free an embedding that a
/// running `decode` uses.
/// A child keeps what it needs of its parent alive: objects may be freed in any order.
#[repr(C)]
pub struct sam_mm_backend {
    /// Size of this struct as the plugin was compiled.
    pub struct_size: u32,
    /// The plugin's `SAM_MM_BACKEND_ABI_VERSION`.
    pub abi_version: u32,
    /// Short name, such as `"torch"`.
    pub name: *const c_char,
    /// Version of the plugin and of what it stands on, such as `"0.1.0 (libtorch 2.11.0)"`.
    pub version: *const c_char,
    /// Whether the backend can run on `device` (`"cpu"`, `"cuda:N"`). Succeeds with score 0 and a reason when it
    /// cannot; must not allocate device memory.
    pub probe: Option<
        unsafe extern "C" fn(
            device: *const c_char,
            out: *mut sam_mm_backend_probe,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Opens a device.
    pub device_open: Option<
        unsafe extern "C" fn(
            config: *const sam_mm_backend_device_config,
            out: *mut *mut sam_mm_backend_device,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Closes a device. NULL is allowed.
    pub device_close: Option<unsafe extern "C" fn(device: *mut sam_mm_backend_device)>,
    /// Memory figures of a device. Quick; never waits for running work.
    pub device_mem_info: Option<
        unsafe extern "C" fn(
            device: *mut sam_mm_backend_device,
            out: *mut sam_mm_backend_mem_info,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Gives memory that the allocator only keeps for reuse back to the device. `freed` receives the bytes.
    pub device_trim: Option<
        unsafe extern "C" fn(
            device: *mut sam_mm_backend_device,
            freed: *mut u64,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Loads a model onto a device.
    pub model_load: Option<
        unsafe extern "C" fn(
            device: *mut sam_mm_backend_device,
            checkpoint: *const sam_mm_backend_checkpoint,
            operation: *mut sam_mm_operation,
            out: *mut *mut sam_mm_backend_model,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Frees a model. NULL is allowed.
    pub model_free: Option<unsafe extern "C" fn(model: *mut sam_mm_backend_model)>,
    /// Describes a model.
    pub model_describe: Option<
        unsafe extern "C" fn(
            model: *mut sam_mm_backend_model,
            out: *mut sam_mm_backend_model_info,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Changes the precision of a model's weights. `SAM_MM_ERR_UNSUPPORTED` when the device has no such precision; the
    /// model then is as before.
    pub model_set_precision: Option<
        unsafe extern "C" fn(
            model: *mut sam_mm_backend_model,
            precision: u32,
            operation: *mut sam_mm_operation,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Memory that a plan needs. `SAM_MM_ERR_UNSUPPORTED` for a plan the model cannot run.
    pub model_estimate: Option<
        unsafe extern "C" fn(
            model: *mut sam_mm_backend_model,
            plan: *const sam_mm_backend_plan,
            out: *mut sam_mm_backend_estimate,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Runs the image encoder.
    pub encode: Option<
        unsafe extern "C" fn(
            model: *mut sam_mm_backend_model,
            pixels: *const sam_mm_backend_pixels,
            plan: *const sam_mm_backend_plan,
            operation: *mut sam_mm_operation,
            out: *mut *mut sam_mm_backend_embedding,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Runs prompt encoder and mask decoder on an embedding that this model made.
    pub decode: Option<
        unsafe extern "C" fn(
            model: *mut sam_mm_backend_model,
            embedding: *mut sam_mm_backend_embedding,
            prompts: *const sam_mm_backend_prompts,
            plan: *const sam_mm_backend_plan,
            operation: *mut sam_mm_operation,
            masks: *const sam_mm_backend_masks,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Frees an embedding. NULL is allowed.
    pub embedding_free: Option<unsafe extern "C" fn(embedding: *mut sam_mm_backend_embedding)>,
    /// Bytes of device memory an embedding holds.
    pub embedding_bytes:
        Option<unsafe extern "C" fn(embedding: *mut sam_mm_backend_embedding) -> u64>,
    /// Writes an embedding as bytes that `embedding_import` of the same model takes back, bit for bit, in this or a
    /// later process. `required` receives the size, in any case; with a NULL `buffer` nothing else happens, with one
    /// shorter than required the call fails with `SAM_MM_ERR_INVALID_ARGUMENT`.
    pub embedding_export: Option<
        unsafe extern "C" fn(
            embedding: *mut sam_mm_backend_embedding,
            buffer: *mut u8,
            capacity: u64,
            required: *mut u64,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Makes an embedding from exported bytes. Bytes that are not from such an export, or from another model size,
    /// are refused with `SAM_MM_ERR_INVALID_ARGUMENT`.
    pub embedding_import: Option<
        unsafe extern "C" fn(
            model: *mut sam_mm_backend_model,
            bytes: *const u8,
            len: u64,
            operation: *mut sam_mm_operation,
            out: *mut *mut sam_mm_backend_embedding,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
    /// Optional. A table of further functions by name and revision (`"name/rev"`), or NULL.
    pub get_extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}

/// Optional extension `SAM_MM_BACKEND_EMBEDDING_HALF`: embeddings as bytes in half precision, for keeping many of them.
#[repr(C)]
pub struct sam_mm_backend_embedding_half {
    /// Size of this struct as the plugin was compiled.
    pub struct_size: u32,
    /// Zero; keeps the next field aligned.
    pub reserved: u32,
    /// As `embedding_export`, but each value is the nearest one of IEEE 754 binary16, and the bytes are fewer.
    /// `embedding_import` of the same model takes them back and gives an embedding of the precision that the embedding had,
    /// of which every value is within 2^-11 of the original, relatively (2^-25 absolutely, below 2^-14).
    /// `buffer` holds `capacity` bytes, at least as many as `embedding_export` requires; `written` receives how many were
    /// used. `SAM_MM_ERR_UNSUPPORTED` for an embedding that half precision cannot hold (a value beyond its range, or one
    /// that is not finite) or that has no more than half precision already.
    pub embedding_export_half: Option<
        unsafe extern "C" fn(
            embedding: *mut sam_mm_backend_embedding,
            buffer: *mut u8,
            capacity: u64,
            written: *mut u64,
            error: *mut sam_mm_backend_error,
        ) -> i32,
    >,
}

/// The one function a plugin exports, under the name `sam_mm_backend_query`. Free of side effects: it compares
/// versions and returns a table, so that the version is settled before anything runs.
///
/// `host_abi` is the host's `SAM_MM_BACKEND_ABI_VERSION`; `host` is not NULL. On a major version it does not know, the
/// plugin returns `SAM_MM_ERR_UNSUPPORTED` and says in `error` which it does.
pub type sam_mm_backend_query_fn = unsafe extern "C" fn(
    host_abi: u32,
    host: *const sam_mm_host,
    out: *mut *const sam_mm_backend,
    error: *mut sam_mm_backend_error,
) -> i32;
