/* sam-mm: the border between the library and its backend plugins. For authors of backends; callers of the library
 * include sam_mm.h. The whole contract is docs/backends.md. Generated from crates/backend-abi; do not edit. */

#ifndef SAM_MM_BACKEND_H
#define SAM_MM_BACKEND_H

#include <stddef.h>
#include <stdint.h>

/** Major version of the plugin ABI. Host and plugin must agree on it. */
#define SAM_MM_BACKEND_ABI_MAJOR 1

/** Minor version of the plugin ABI. Additions only; what exists is told by `struct_size`. */
#define SAM_MM_BACKEND_ABI_MINOR 0

/** `major << 16 | minor`, as passed to `sam_mm_backend_query`. */
#define SAM_MM_BACKEND_ABI_VERSION ((SAM_MM_BACKEND_ABI_MAJOR << 16) | SAM_MM_BACKEND_ABI_MINOR)

/** Success. */
#define SAM_MM_OK 0

/** An argument is wrong; the message holds its name and value. */
#define SAM_MM_ERR_INVALID_ARGUMENT 1

/** A handle is NULL, freed, or of another kind. */
#define SAM_MM_ERR_INVALID_HANDLE 2

/** The request is well formed, but this build, backend or model cannot serve it. */
#define SAM_MM_ERR_UNSUPPORTED 3

/** Memory ran out on the device or the host. Never used for any other failure of a device. */
#define SAM_MM_ERR_OUT_OF_MEMORY 4

/** No backend plugin could be loaded; the message lists every path tried and why it failed. */
#define SAM_MM_ERR_BACKEND_NOT_FOUND 5

/** The backend failed. */
#define SAM_MM_ERR_BACKEND 6

/** Something in the process conflicts with what is needed, such as another version of libtorch. */
#define SAM_MM_ERR_CONFLICT 7

/** A checkpoint file is damaged, incomplete, or not a model that is known. */
#define SAM_MM_ERR_CHECKPOINT 8

/** A file could not be opened or read. */
#define SAM_MM_ERR_IO 9

/** The device asked for does not exist here, or cannot be used. */
#define SAM_MM_ERR_DEVICE_UNAVAILABLE 10

/**
 * The device failed while in use (a device-side assert, a lost GPU); the process must be restarted to use it again.
 */
#define SAM_MM_ERR_DEVICE_LOST 11

/** The caller cancelled the operation. */
#define SAM_MM_ERR_CANCELLED 12

/** An earlier internal failure left the context unusable; destroy it and make another. */
#define SAM_MM_ERR_POISONED 13

/** A defect of the library or the plugin, caught at the border. */
#define SAM_MM_ERR_INTERNAL 14

/** Log level: something failed. */
#define SAM_MM_LOG_ERROR 1

/** Log level: something is not as it should be, and work goes on. */
#define SAM_MM_LOG_WARN 2

/** Log level: rare events worth knowing. */
#define SAM_MM_LOG_INFO 3

/** Log level: what happens inside, for finding a fault. */
#define SAM_MM_LOG_DEBUG 4

/** IEEE 754 binary32. */
#define SAM_MM_PRECISION_FP32 0

/** IEEE 754 binary16. */
#define SAM_MM_PRECISION_FP16 1

/** bfloat16. */
#define SAM_MM_PRECISION_BF16 2

/** Attention scores of a layer are computed at once. */
#define SAM_MM_ATTENTION_FULL 0

/** Attention scores are computed for some queries at a time: the same result within rounding, a lower memory peak. */
#define SAM_MM_ATTENTION_CHUNKED 1

/** Pixels are `uint8_t`, 0–255. */
#define SAM_MM_ELEMENT_U8 0

/** Pixels are `float`, 0–1. */
#define SAM_MM_ELEMENT_F32 1

/**
 * The longer side becomes `input_size`, the aspect stays, the rest of the square is padding that the backend adds
 * (SAM: `ResizeLongestSide`, PIL bilinear with antialias on 8-bit values).
 */
#define SAM_MM_RESIZE_LONGEST_SIDE 0

/** Both sides become `input_size`, the aspect is not kept (SAM 2: bilinear with antialias on float values). */
#define SAM_MM_RESIZE_STRETCH 1

/** `sam_mm_backend_mem_info.known`: `total` and `free` are filled. */
#define SAM_MM_MEM_DEVICE 1

/** `sam_mm_backend_mem_info.known`: `allocated` and `reserved` are filled. */
#define SAM_MM_MEM_ALLOCATOR 2

/** `sam_mm_backend_mem_info.known`: `peak_allocated` is filled. */
#define SAM_MM_MEM_PEAK 4

/** Length of `sam_mm_backend_error.message`, the closing NUL included. */
#define SAM_MM_BACKEND_MESSAGE_LEN 4096

/** Length of `sam_mm_backend_probe.reason`, the closing NUL included. */
#define SAM_MM_BACKEND_REASON_LEN 1024

/** An opened device. Opaque to the host. */
typedef struct sam_mm_backend_device sam_mm_backend_device;

/** What the image encoder made of one image. Opaque to the host. */
typedef struct sam_mm_backend_embedding sam_mm_backend_embedding;

/** A loaded model. Opaque to the host. */
typedef struct sam_mm_backend_model sam_mm_backend_model;

/**
 * One running operation of the host, such as one `encode`. Opaque to the plugin, and meaningful only until the
 * function it was passed to returns. NULL is allowed everywhere and means an operation that is never cancelled and
 * never retried.
 */
typedef struct sam_mm_operation sam_mm_operation;

/** What the host offers a plugin. Valid until the process ends. */
typedef struct sam_mm_host {
  /** Size of this struct as the host was compiled. */
  uint32_t struct_size;
  /** The host's `SAM_MM_BACKEND_ABI_VERSION`. */
  uint32_t abi_version;
  /**
   * [any thread] Writes a line to the log of the context that runs `operation`, or of every context when NULL.
   * `level` is one of `SAM_MM_LOG_…`.
   */
  void (*log)(sam_mm_operation *operation, int32_t level, const char *message);
  /**
   * [any thread] Non-zero when the operation should stop as soon as it can, returning `SAM_MM_ERR_CANCELLED`.
   * To be asked between the stages of a long operation; cheap.
   */
  int32_t (*is_cancelled)(sam_mm_operation *operation);
  /**
   * [thread of the operation] The operation is about to need `bytes` of device memory. The host may release caches
   * before it returns. Non-zero: the host refuses; the plugin returns `SAM_MM_ERR_OUT_OF_MEMORY`.
   */
  int32_t (*before_allocate)(sam_mm_operation *operation, uint64_t bytes);
  /**
   * [thread of the operation] An allocation of `bytes` failed for the `attempt`-th time (from 1). The host releases
   * what it can. Non-zero: something was released, try once more; zero: give up with `SAM_MM_ERR_OUT_OF_MEMORY`.
   */
  int32_t (*allocation_failed)(sam_mm_operation *operation, uint64_t bytes, uint32_t attempt);
} sam_mm_host;

/** Whether and how well a backend can run on a device. */
typedef struct sam_mm_backend_probe {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** 0: cannot run on this device; larger is better (the torch backend: 50 on a CPU, 100 on a GPU). */
  uint32_t score;
  /** Why it cannot run and what to do about it, or what was found. UTF-8. */
  char reason[SAM_MM_BACKEND_REASON_LEN];
} sam_mm_backend_probe;

/** Where a plugin writes what went wrong. Owned and zeroed by the host; may be NULL. */
typedef struct sam_mm_backend_error {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** Zero; keeps the next field aligned. */
  uint32_t reserved;
  /** For `SAM_MM_ERR_OUT_OF_MEMORY`: the bytes asked for, or 0 when not known. */
  uint64_t requested_bytes;
  /** For `SAM_MM_ERR_OUT_OF_MEMORY`: the bytes that were free, or 0 when not known. */
  uint64_t free_bytes;
  /** What was wrong, with the values, and what to do. UTF-8; cut at a character when too long. */
  char message[SAM_MM_BACKEND_MESSAGE_LEN];
} sam_mm_backend_error;

/** How a device is opened. */
typedef struct sam_mm_backend_device_config {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /**
   * Threads for work on the CPU; 0 leaves the backend's default. The backend may be able to honour it only once per
   * process, and says so in the log.
   */
  uint32_t num_threads;
  /** `"cpu"` or `"cuda:N"`. */
  const char *device;
  /** Most bytes of device memory that the backend's allocator may hold; 0: no limit. */
  uint64_t memory_limit_bytes;
  /** Non-zero: TF32 matrix products are allowed where the device has them. */
  uint32_t allow_tf32;
  /** Zero; for later use. */
  uint32_t reserved;
} sam_mm_backend_device_config;

/** Figures of the backend's allocator and of the device as the backend sees it. */
typedef struct sam_mm_backend_mem_info {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /**
   * Which of the following are filled: bits `SAM_MM_MEM_…`. A figure that could not be had is never reported as 0.
   */
  uint32_t known;
  /** Bytes of memory the device has. */
  uint64_t total;
  /** Bytes of device memory that are free for any process. */
  uint64_t free;
  /** Bytes in live tensors. */
  uint64_t allocated;
  /** Bytes that the allocator holds, live or kept for reuse. */
  uint64_t reserved;
  /** Largest `allocated` since the device was opened. */
  uint64_t peak_allocated;
} sam_mm_backend_mem_info;

/** Where a checkpoint comes from: a file, or bytes in memory. Borrowed for the call. */
typedef struct sam_mm_backend_checkpoint {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** `SAM_MM_PRECISION_…` the weights are held in. */
  uint32_t precision;
  /** Path of the file, or NULL when `data` is given. */
  const char *path;
  /** The checkpoint in memory (safetensors or `.pth`), or NULL when `path` is given. */
  const uint8_t *data;
  /** Bytes at `data`. */
  uint64_t data_len;
  /** What to call the checkpoint in messages. */
  const char *name;
} sam_mm_backend_checkpoint;

/** What a loaded model is and needs. */
typedef struct sam_mm_backend_model_info {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** `SAM_MM_RESIZE_…`: how an image is brought to the model's input. */
  uint32_t resize;
  /** Side of the square input, in pixels (SAM: 1024). */
  uint32_t input_size;
  /** `SAM_MM_ELEMENT_…` that `encode` takes. */
  uint32_t input_element;
  /** Side of the square low-resolution logits, in cells (SAM: 256). `input_size` is a multiple of it. */
  uint32_t mask_size;
  /** Masks per object with multimask output (SAM: 3). Without, it is one. */
  uint32_t multimask_count;
  /** Number of parameters. */
  uint64_t parameters;
  /** Bytes of one image embedding in the model's precision. */
  uint64_t embedding_bytes;
  /** Bytes of device memory the weights take. */
  uint64_t weight_bytes;
  /** `"sam"`, `"mobile_sam"`, `"sam2"`. Valid while the model lives. */
  const char *family;
  /**
   * Variant within the family, such as `"vit_b"`, or a description of a size that has no name. Valid while the
   * model lives.
   */
  const char *variant;
} sam_mm_backend_model_info;

/** How an operation is to be run. */
typedef struct sam_mm_backend_plan {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** `SAM_MM_ATTENTION_…` of the image encoder. */
  uint32_t attention;
  /** `SAM_MM_PRECISION_…` the operation computes in. */
  uint32_t precision;
  /** Objects in one `decode`; 0 when only the encoder is asked about. */
  uint32_t num_objects;
} sam_mm_backend_plan;

/** Memory that a plan needs on the device, over and above the weights. */
typedef struct sam_mm_backend_estimate {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** Zero; keeps the next field aligned. */
  uint32_t reserved;
  /** Bytes of the embedding that `encode` leaves behind. */
  uint64_t embedding_bytes;
  /** Peak bytes of intermediate tensors in `encode`. */
  uint64_t encode_workspace_bytes;
  /** Peak bytes of intermediate tensors in `decode`. */
  uint64_t decode_workspace_bytes;
} sam_mm_backend_estimate;

/**
 * An image as the model wants it: resized by the host as `sam_mm_backend_model_info` says, RGB, interleaved, neither
 * normalised nor padded. Borrowed for the call.
 */
typedef struct sam_mm_backend_pixels {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** `SAM_MM_ELEMENT_…`. */
  uint32_t element;
  /** Columns, 1 to `input_size`. */
  uint32_t width;
  /** Rows, 1 to `input_size`. */
  uint32_t height;
  /** Columns of the original image; prompts are in its pixels. */
  uint32_t original_width;
  /** Rows of the original image. */
  uint32_t original_height;
  /** Bytes from one row to the next. */
  uint64_t row_stride;
  /** First pixel: three elements, red, green, blue. */
  const void *data;
} sam_mm_backend_pixels;

/** Prompts for a number of objects of one image. Borrowed for the call. */
typedef struct sam_mm_backend_prompts {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** Objects asked for, at least 1. */
  uint32_t num_objects;
  /** Non-zero: `multimask_count` masks per object; zero: one. */
  uint32_t multimask;
  /** Zero; keeps the next field aligned. */
  uint32_t reserved;
  /** `[num_objects]` points of each object; NULL when no object has any. */
  const uint32_t *point_counts;
  /** `[sum(point_counts)][2]` x and y in pixels of the original image, object after object. */
  const float *points;
  /** `[sum(point_counts)]` 1 foreground, 0 background, −1 not a point. */
  const int32_t *labels;
  /** `[num_objects]` non-zero where the object has a box; NULL when none has. */
  const uint8_t *has_box;
  /** `[num_objects][4]` x0, y0, x1, y1 in pixels of the original image; undefined where `has_box` is 0. */
  const float *boxes;
  /** `[num_objects]` non-zero where the object has a mask input; NULL when none has. */
  const uint8_t *has_mask;
  /**
   * `[num_objects][mask_size][mask_size]` low-resolution logits of an earlier result; undefined where `has_mask`
   * is 0.
   */
  const float *masks;
} sam_mm_backend_prompts;

/**
 * Where `decode` writes. Buffers are the host's and initialised; what they hold after an error is not looked at.
 * `n` is `multimask_count` with multimask output and 1 without.
 */
typedef struct sam_mm_backend_masks {
  /** Size of this struct, set by the host. */
  uint32_t struct_size;
  /** Zero; keeps the next field aligned. */
  uint32_t reserved;
  /** `[num_objects][n][mask_size][mask_size]` low-resolution logits; a mask is where they exceed 0. */
  float *logits;
  /** `[num_objects][n]` predicted IoU. */
  float *scores;
  /** `[num_objects]` object score logit; left alone by a model that has none (SAM), NULL when not wanted. */
  float *object_scores;
} sam_mm_backend_masks;

/**
 * The functions of a backend. All are required but those marked optional. Valid until the process ends; a plugin is
 * never unloaded.
 *
 * Every function is safe against any thread; the host calls the functions of one model from one thread at a time, but
 * may use several models, and may export, measure and free embeddings, ask for memory figures and trim at any time
 * from any thread, also from within the callbacks of `sam_mm_host`. It does not export or free an embedding that a
 * running `decode` uses.
 * A child keeps what it needs of its parent alive: objects may be freed in any order.
 */
typedef struct sam_mm_backend {
  /** Size of this struct as the plugin was compiled. */
  uint32_t struct_size;
  /** The plugin's `SAM_MM_BACKEND_ABI_VERSION`. */
  uint32_t abi_version;
  /** Short name, such as `"torch"`. */
  const char *name;
  /** Version of the plugin and of what it stands on, such as `"0.1.0 (libtorch 2.11.0)"`. */
  const char *version;
  /**
   * Whether the backend can run on `device` (`"cpu"`, `"cuda:N"`). Succeeds with score 0 and a reason when it
   * cannot; must not allocate device memory.
   */
  int32_t (*probe)(const char *device, sam_mm_backend_probe *out, sam_mm_backend_error *error);
  /** Opens a device. */
  int32_t (*device_open)(const sam_mm_backend_device_config *config,
                         sam_mm_backend_device **out,
                         sam_mm_backend_error *error);
  /** Closes a device. NULL is allowed. */
  void (*device_close)(sam_mm_backend_device *device);
  /** Memory figures of a device. Quick; never waits for running work. */
  int32_t (*device_mem_info)(sam_mm_backend_device *device,
                             sam_mm_backend_mem_info *out,
                             sam_mm_backend_error *error);
  /** Gives memory that the allocator only keeps for reuse back to the device. `freed` receives the bytes. */
  int32_t (*device_trim)(sam_mm_backend_device *device, uint64_t *freed, sam_mm_backend_error *error);
  /** Loads a model onto a device. */
  int32_t (*model_load)(sam_mm_backend_device *device,
                        const sam_mm_backend_checkpoint *checkpoint,
                        sam_mm_operation *operation,
                        sam_mm_backend_model **out,
                        sam_mm_backend_error *error);
  /** Frees a model. NULL is allowed. */
  void (*model_free)(sam_mm_backend_model *model);
  /** Describes a model. */
  int32_t (*model_describe)(sam_mm_backend_model *model,
                            sam_mm_backend_model_info *out,
                            sam_mm_backend_error *error);
  /**
   * Changes the precision of a model's weights. `SAM_MM_ERR_UNSUPPORTED` when the device has no such precision; the
   * model then is as before.
   */
  int32_t (*model_set_precision)(sam_mm_backend_model *model,
                                 uint32_t precision,
                                 sam_mm_operation *operation,
                                 sam_mm_backend_error *error);
  /** Memory that a plan needs. `SAM_MM_ERR_UNSUPPORTED` for a plan the model cannot run. */
  int32_t (*model_estimate)(sam_mm_backend_model *model,
                            const sam_mm_backend_plan *plan,
                            sam_mm_backend_estimate *out,
                            sam_mm_backend_error *error);
  /** Runs the image encoder. */
  int32_t (*encode)(sam_mm_backend_model *model,
                    const sam_mm_backend_pixels *pixels,
                    const sam_mm_backend_plan *plan,
                    sam_mm_operation *operation,
                    sam_mm_backend_embedding **out,
                    sam_mm_backend_error *error);
  /** Runs prompt encoder and mask decoder on an embedding that this model made. */
  int32_t (*decode)(sam_mm_backend_model *model,
                    sam_mm_backend_embedding *embedding,
                    const sam_mm_backend_prompts *prompts,
                    const sam_mm_backend_plan *plan,
                    sam_mm_operation *operation,
                    const sam_mm_backend_masks *masks,
                    sam_mm_backend_error *error);
  /** Frees an embedding. NULL is allowed. */
  void (*embedding_free)(sam_mm_backend_embedding *embedding);
  /** Bytes of device memory an embedding holds. */
  uint64_t (*embedding_bytes)(sam_mm_backend_embedding *embedding);
  /**
   * Writes an embedding as bytes that `embedding_import` of the same model takes back, bit for bit, in this or a
   * later process. `required` receives the size, in any case; with a NULL `buffer` nothing else happens, with one
   * shorter than required the call fails with `SAM_MM_ERR_INVALID_ARGUMENT`.
   */
  int32_t (*embedding_export)(sam_mm_backend_embedding *embedding,
                              uint8_t *buffer,
                              uint64_t capacity,
                              uint64_t *required,
                              sam_mm_backend_error *error);
  /**
   * Makes an embedding from exported bytes. Bytes that are not from such an export, or from another model size,
   * are refused with `SAM_MM_ERR_INVALID_ARGUMENT`.
   */
  int32_t (*embedding_import)(sam_mm_backend_model *model,
                              const uint8_t *bytes,
                              uint64_t len,
                              sam_mm_operation *operation,
                              sam_mm_backend_embedding **out,
                              sam_mm_backend_error *error);
  /** Optional. A table of further functions by name and revision (`"name/rev"`), or NULL. */
  const void *(*get_extension)(const char *id);
} sam_mm_backend;

/**
 * The one function a plugin exports, under the name `sam_mm_backend_query`. Free of side effects: it compares
 * versions and returns a table, so that the version is settled before anything runs.
 *
 * `host_abi` is the host's `SAM_MM_BACKEND_ABI_VERSION`; `host` is not NULL. On a major version it does not know, the
 * plugin returns `SAM_MM_ERR_UNSUPPORTED` and says in `error` which it does.
 */
typedef int32_t (*sam_mm_backend_query_fn)(uint32_t host_abi,
                                           const sam_mm_host *host,
                                           const sam_mm_backend **out,
                                           sam_mm_backend_error *error);

#if defined(_WIN32)
#define SAM_MM_BACKEND_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define SAM_MM_BACKEND_EXPORT __attribute__((visibility("default")))
#else
#define SAM_MM_BACKEND_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif
/** What every plugin defines; see sam_mm_backend_query_fn. */
SAM_MM_BACKEND_EXPORT int32_t sam_mm_backend_query(uint32_t host_abi, const sam_mm_host *host,
                                                   const sam_mm_backend **out, sam_mm_backend_error *error);
#ifdef __cplusplus
}
#endif

#endif  /* SAM_MM_BACKEND_H */
