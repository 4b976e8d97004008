/* sam-mm: interactive Segment Anything that stays inside its memory budget.
 *
 * Errors    Functions return a status, SAM_MM_OK (0) or SAM_MM_ERR_...; the last argument, which may be NULL, receives
 *           an error with words, to be freed with sam_mm_error_free.
 * Outputs   come last, are cleared on entry and written on success only.
 * Structs   start with struct_size. sam_mm_..._init(&s, sizeof s) fills one with its defaults; for one that a function
 *           fills, set struct_size alone.
 * Handles   are keys, not addresses: NULL, freed or foreign ones are refused. Free them in any order.
 * Borrowed  text and arrays are valid until the object they were asked from is freed.
 * Threads   [any thread]: from any thread, also at once on the same handle. [callback]: a function of yours.
 * Pixels    are those of the original image: (0, 0) is the outer corner of the first, (width, height) of the last.
 *
 * The whole contract is docs/abi.md. Generated from src/capi; do not edit. */

#ifndef SAM_MM_H
#define SAM_MM_H

#include <stddef.h>
#include <stdint.h>

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

/** Version of this header's API as a number: `major * 1000000 + minor * 1000 + patch`. */
#define SAM_MM_VERSION 1000

/**
 * Version of the C ABI. It changes only when a program compiled against an older header can no longer run, and with
 * it the shared library's soname.
 */
#define SAM_MM_ABI_VERSION 0

/** Log level: something failed. */
#define SAM_MM_LOG_ERROR 1

/** Log level: something is not as it should be, and work goes on. */
#define SAM_MM_LOG_WARN 2

/** Log level: rare events worth knowing. */
#define SAM_MM_LOG_INFO 3

/** Log level: what happens inside, for finding a fault. */
#define SAM_MM_LOG_DEBUG 4

/** `sam_mm_memory_info.known`: `used`, `total`, `free` and `utilization` are filled. */
#define SAM_MM_MEMORY_DEVICE 1

/** `sam_mm_memory_info.known`: `allocated` and `reserved` are filled. */
#define SAM_MM_MEMORY_ALLOCATOR 2

/** `sam_mm_memory_info.known`: `host_total`, `host_available` and `host_process` are filled. */
#define SAM_MM_MEMORY_HOST 4

/** Nothing reports device memory: the device is a CPU, or no backend has been loaded yet. */
#define SAM_MM_SOURCE_NONE 0

/** The NVIDIA Management Library reports it. Not used by this version. */
#define SAM_MM_SOURCE_NVML 1

/** The CUDA runtime reports it. Not used by this version. */
#define SAM_MM_SOURCE_CUDA 2

/** The backend reports it. */
#define SAM_MM_SOURCE_BACKEND 3

/** IEEE 754 binary32. */
#define SAM_MM_PRECISION_FP32 0

/** IEEE 754 binary16. */
#define SAM_MM_PRECISION_FP16 1

/** bfloat16. */
#define SAM_MM_PRECISION_BF16 2

/** Three bytes a pixel: red, green, blue. */
#define SAM_MM_FORMAT_RGB8 0

/** Three bytes a pixel: blue, green, red (OpenCV). */
#define SAM_MM_FORMAT_BGR8 1

/** Four bytes a pixel: red, green, blue, alpha. Alpha is ignored. */
#define SAM_MM_FORMAT_RGBA8 2

/** Four bytes a pixel: blue, green, red, alpha. Alpha is ignored. */
#define SAM_MM_FORMAT_BGRA8 3

/** One byte a pixel. */
#define SAM_MM_FORMAT_GRAY8 4

/** Pixels that share a side belong together; what touches at a corner only becomes two outlines. */
#define SAM_MM_CONNECTIVITY_4 0

/** Pixels that share a side or a corner belong together (OpenCV's `findContours`). */
#define SAM_MM_CONNECTIVITY_8 1

/**
 * One memory manager with its caches and models. Any number may live in a process; they share nothing but the loaded
 * backend plugins. May be used from many threads at once.
 */
typedef struct sam_mm_context sam_mm_context;

/**
 * What went wrong in one call: a code, a message and a chain of causes. Owned by the caller; freed with
 * `sam_mm_error_free`.
 */
typedef struct sam_mm_error sam_mm_error;

/**
 * An image, held as a copy of its pixels. Embeddings made from it are kept by the context until the image is freed.
 * May be used from many threads at once.
 */
typedef struct sam_mm_image sam_mm_image;

/** A loaded model. May be used from many threads at once; they take turns. */
typedef struct sam_mm_model sam_mm_model;

/**
 * The masks of one prediction. Masks are numbered object after object; with `masks_per_object` 3, masks 3 to 5 are
 * those of object 1. What is borrowed from it stays valid until it is freed. May be used from many threads at once.
 */
typedef struct sam_mm_result sam_mm_result;

/**
 * Receives one line of the log, without a line end. `message` is borrowed for the call. [callback, any thread, several
 * at once] It must not let a C++ exception or a `longjmp` out.
 */
typedef void (*sam_mm_log_fn)(void *user_data, int32_t level, const char *message);

/** How a context is set up. Fill it with `sam_mm_options_init`, then change what should differ. */
typedef struct sam_mm_options {
  /** `sizeof(sam_mm_options)`. */
  uint32_t struct_size;
  /**
   * Threads for work on the CPU; 0 (default) leaves the backend's own choice, usually one per core. Shared by all
   * contexts of the process: the last one set counts.
   */
  uint32_t num_threads;
  /**
   * `"cpu"`, `"cuda:0"` (or another number), or `"auto"`, which is what NULL (default) means: the first usable GPU,
   * else the CPU.
   */
  const char *device;
  /** File of the backend plugin; NULL (default) searches for one, see docs/backends.md. */
  const char *backend_path;
  /** Receives the log from the first line on; NULL (default) for none. See `sam_mm_log_set`. */
  sam_mm_log_fn log_callback;
  /** Passed to `log_callback`. */
  void *log_user_data;
  /** Most talkative level that `log_callback` receives; default `SAM_MM_LOG_WARN`. */
  int32_t log_level;
  /** Non-zero (default): GPUs that have TF32 may use it for matrix products. */
  uint32_t allow_tf32;
  /** Most bytes of image embeddings kept for coming back to an image (one of SAM is 4 MiB); default 1 GiB. */
  uint64_t embedding_cache_bytes;
} sam_mm_options;

/** The backend that a context runs on. */
typedef struct sam_mm_backend_info {
  /** `sizeof(sam_mm_backend_info)`. */
  uint32_t struct_size;
  /** Zero; keeps the next field aligned. */
  uint32_t reserved;
  /** Short name, such as `"torch"`. This and the other texts are borrowed until the context is destroyed. */
  const char *name;
  /** Version of the plugin and of what it stands on, such as `"0.1.0 (libtorch 2.11.0)"`. */
  const char *version;
  /** File it was loaded from. */
  const char *path;
  /** The device it runs on, `"cpu"` or `"cuda:N"`. */
  const char *device;
  /** Every file that was tried, a line each, and what came of it. */
  const char *trail;
} sam_mm_backend_info;

/**
 * Memory at one moment. A figure whose bit in `known` is not set could not be had; it then is 0 (`utilization`: NaN)
 * and means nothing.
 */
typedef struct sam_mm_memory_info {
  /** `sizeof(sam_mm_memory_info)`. */
  uint32_t struct_size;
  /** Which figures are filled: bits `SAM_MM_MEMORY_…`. */
  uint32_t known;
  /** What reports device memory: `SAM_MM_SOURCE_…`. */
  uint32_t source;
  /** Zero; keeps the next field aligned. */
  uint32_t reserved_zero;
  /** Bytes of device memory in use, by all processes. */
  uint64_t used;
  /** Bytes of device memory. */
  uint64_t total;
  /** Bytes of device memory that are free. */
  uint64_t free;
  /** `used / total`, 0 to 1. */
  double utilization;
  /** Bytes in live tensors of the backend's allocator. */
  uint64_t allocated;
  /** Bytes the backend's allocator holds, live or kept for reuse. */
  uint64_t reserved;
  /** Bytes of image embeddings kept by this context. */
  uint64_t embedding_cache;
  /** Bytes of host memory this process could use; inside a container those of its limit. */
  uint64_t host_total;
  /** Bytes of host memory that can still be had without swapping. */
  uint64_t host_available;
  /** Bytes of host memory this process holds (resident set). */
  uint64_t host_process;
  /**
   * One line for people: `Used: 2.45 GB / Total: 8.00 GB (30.6%)`, or
   * `Running on CPU - memory stats not available`.
   */
  char formatted[128];
} sam_mm_memory_info;

/** What `sam_optimize` did. */
typedef struct sam_mm_optimize_report {
  /** `sizeof(sam_mm_optimize_report)`. */
  uint32_t struct_size;
  /** 1 when memory was given back, 0 when there was no need. */
  uint32_t performed;
  /** Bytes of embeddings dropped from the context's cache. Ones that a running prediction uses go when it ends. */
  uint64_t embedding_cache_bytes;
  /** Bytes that the backend's allocator gave back to the device. */
  uint64_t allocator_bytes;
} sam_mm_optimize_report;

/** Which model to load and how. Fill it with `sam_mm_model_options_init`, then change what should differ. */
typedef struct sam_mm_model_options {
  /** `sizeof(sam_mm_model_options)`. */
  uint32_t struct_size;
  /** `SAM_MM_PRECISION_…` of the weights; default `SAM_MM_PRECISION_FP32`. */
  uint32_t precision;
  /**
   * Checkpoint file, UTF-8: an official `.pth` or `.pt` as it is, a fine-tune in the same layout, or `.safetensors`.
   * The model is found out from its tensors. NULL (default) with a NULL `data`: the demo model that is built in,
   * which knows drawn scenes, not photographs.
   */
  const char *path;
  /** Or the bytes of such a file in memory, borrowed for the call. */
  const uint8_t *data;
  /** Bytes at `data`. */
  uint64_t data_len;
} sam_mm_model_options;

/** What a loaded model is. */
typedef struct sam_mm_model_info {
  /** `sizeof(sam_mm_model_info)`. */
  uint32_t struct_size;
  /** `SAM_MM_PRECISION_…` of the weights. */
  uint32_t precision;
  /** `"sam"` or `"mobile_sam"`. This and the other texts are borrowed until the model is freed. */
  const char *family;
  /** `"vit_b"`, `"vit_l"`, `"vit_h"`, `"vit_t"`, or a description of a size that has no name. */
  const char *variant;
  /** What it was loaded from: the path as given, or a word for what has no path. */
  const char *name;
  /** The device it is on, `"cpu"` or `"cuda:N"`. */
  const char *device;
  /** Number of parameters. */
  uint64_t parameters;
  /** Bytes of device memory the weights take. */
  uint64_t weight_bytes;
  /** Bytes of one image embedding. */
  uint64_t embedding_bytes;
  /** Side of the square the image is brought to, in pixels (SAM: 1024). */
  uint32_t input_size;
  /** Side of the square low-resolution logits (SAM: 256); a mask input has `mask_size * mask_size` values. */
  uint32_t mask_size;
  /** Masks per object with multimask output (SAM: 3). */
  uint32_t multimask_count;
  /** Zero; for later use. */
  uint32_t reserved;
} sam_mm_model_info;

/** Pixels of a caller, borrowed for the call. Fill it with `sam_mm_image_desc_init`, then set what it is. */
typedef struct sam_mm_image_desc {
  /** `sizeof(sam_mm_image_desc)`. */
  uint32_t struct_size;
  /** `SAM_MM_FORMAT_…`; default `SAM_MM_FORMAT_RGB8`. */
  uint32_t format;
  /** Columns, 1 to 65535. */
  uint32_t width;
  /** Rows, 1 to 65535; `width * height` is at most 2^30. */
  uint32_t height;
  /** Bytes from one row to the next; 0 (default) when rows follow without a gap. */
  uint64_t row_stride;
  /** The first pixel of the top row. */
  const uint8_t *data;
  /** Bytes readable at `data`, at least `row_stride * (height - 1)` plus the bytes of the last row's pixels. */
  uint64_t data_len;
} sam_mm_image_desc;

/**
 * What one object is pointed at with; at least one of points, box and mask input. Coordinates are pixels of the
 * original image: (0, 0) is the outer corner of the first pixel, (width, height) that of the last. Fill it with
 * `sam_mm_prompt_init`, then set the parts there are.
 */
typedef struct sam_mm_prompt {
  /** `sizeof(sam_mm_prompt)`; the same in all prompts of a request, which is how they are told apart. */
  uint32_t struct_size;
  /** Points at `points`, 0 (default) to 4096. */
  uint32_t num_points;
  /** x and y of each point: `2 * num_points` values. */
  const float *points;
  /** `num_points` labels: 1 foreground, 0 background. NULL (default) when all are foreground. */
  const int32_t *labels;
  /** Four values x0, y0, x1, y1, or NULL (default). */
  const float *bounding_box;
  /** Low-resolution logits of an earlier result of the same model (`sam_mm_result_logits`), or NULL (default). */
  const float *mask_input;
  /** Values at `mask_input`: `mask_size * mask_size` of the model. */
  uint64_t mask_input_len;
} sam_mm_prompt;

/**
 * What a prediction is asked for: objects by full prompts, objects by boxes alone, or both. Fill it with
 * `sam_mm_predict_request_init`, then set what is wanted.
 */
typedef struct sam_mm_predict_request {
  /** `sizeof(sam_mm_predict_request)`. */
  uint32_t struct_size;
  /**
   * Non-zero (default): several masks per object (SAM: three), for prompts that leave open what is meant, such as a
   * single click. 0: one mask per object, for prompts that do not.
   */
  uint32_t multimask;
  /** `num_prompts` prompts, one after the other in memory; each asks for one object. */
  const sam_mm_prompt *prompts;
  /** `num_boxes` boxes of four values x0, y0, x1, y1; each asks for one object, numbered after those of `prompts`. */
  const float *boxes;
  /** Prompts at `prompts`. */
  uint32_t num_prompts;
  /** Boxes at `boxes`. `num_prompts + num_boxes` is 1 to 1024. */
  uint32_t num_boxes;
} sam_mm_predict_request;

/** What a result holds. */
typedef struct sam_mm_result_info {
  /** `sizeof(sam_mm_result_info)`. */
  uint32_t struct_size;
  /** Objects, in the order of the request. */
  uint32_t num_objects;
  /** Masks of each object. */
  uint32_t masks_per_object;
  /** `num_objects * masks_per_object`. */
  uint32_t num_masks;
  /** Columns of the image, and of full-size masks. */
  uint32_t width;
  /** Rows of the image, and of full-size masks. */
  uint32_t height;
  /** Side of the square low-resolution logits. */
  uint32_t mask_size;
  /** 1 when the image had been encoded before, 0 when this prediction did it. */
  uint32_t embedding_reused;
  /** Milliseconds that encoding the image took; 0 when `embedding_reused`. */
  double encode_ms;
  /** Milliseconds that decoding the prompts took. */
  double decode_ms;
} sam_mm_result_info;

/** One mask in figures. */
typedef struct sam_mm_mask_info {
  /** `sizeof(sam_mm_mask_info)`. */
  uint32_t struct_size;
  /** The object it is of, counted from 0 in the order of the request. */
  uint32_t object_index;
  /** Pixels of the mask at the size of the image. */
  uint64_t area;
  /**
   * x0, y0, x1, y1 around the mask, in the form of a prompt's box: x1 and y1 are one past the last pixel. COCO's
   * `bbox` is x0, y0, x1 - x0, y1 - y0. Zeros for an empty mask.
   */
  float bounding_box[4];
  /** IoU with the object that the model predicts for the mask. */
  float score;
  /** Zero; for later use. */
  uint32_t reserved;
} sam_mm_mask_info;

/** A mask at the size of the image, one byte a pixel: 1 in the mask, 0 outside. Borrowed until the result is freed. */
typedef struct sam_mm_bitmask {
  /** `sizeof(sam_mm_bitmask)`. */
  uint32_t struct_size;
  /** Columns. */
  uint32_t width;
  /** Rows. */
  uint32_t height;
  /** Zero; keeps the next field aligned. */
  uint32_t reserved;
  /** Bytes from one row to the next; rows follow without a gap, so this is `width`. */
  uint64_t row_stride;
  /** The first pixel of the top row. */
  const uint8_t *data;
} sam_mm_bitmask;

/** A mask as COCO run-length encoding. Borrowed until the result is freed. */
typedef struct sam_mm_rle {
  /** `sizeof(sam_mm_rle)`. */
  uint32_t struct_size;
  /** Columns; COCO's `size` is `[height, width]`. */
  uint32_t width;
  /** Rows. */
  uint32_t height;
  /** Numbers at `counts`. */
  uint32_t num_counts;
  /** Lengths of runs, down the columns from the left, of pixels outside and inside in turn, starting with outside. */
  const uint32_t *counts;
  /** The same as COCO's compressed text, byte for byte what `pycocotools.mask.encode` gives. NUL-terminated. */
  const char *compressed;
  /** Bytes of `compressed`, without the NUL. */
  uint64_t compressed_len;
} sam_mm_rle;

/** Which outlines are wanted. Fill it with `sam_mm_polygon_options_init`, then change what should differ. */
typedef struct sam_mm_polygon_options {
  /** `sizeof(sam_mm_polygon_options)`. */
  uint32_t struct_size;
  /** `SAM_MM_CONNECTIVITY_…`; default `SAM_MM_CONNECTIVITY_4`. */
  uint32_t connectivity;
  /**
   * Points may be left out that lie no farther than this from the outline, in pixels (Douglas–Peucker). 0 (default)
   * follows the pixels exactly.
   */
  double tolerance;
  /** Rings that enclose fewer pixels are left out with all that lies in them; default 0. */
  uint64_t min_area;
} sam_mm_polygon_options;

/** The outlines of a mask as closed rings. Borrowed until the result is freed. */
typedef struct sam_mm_polygons {
  /** `sizeof(sam_mm_polygons)`. */
  uint32_t struct_size;
  /**
   * Rings: outer outlines and holes. Filling them all by the even-odd rule gives the mask. Outer
   * outlines run clockwise as seen on the screen, holes the other way.
   */
  uint32_t num_rings;
  /** x and y of all points, ring after ring, in pixels: corners of pixels, so (0, 0) to (width, height). */
  const float *points;
  /**
   * `num_rings + 1` numbers: ring `i` has points `ring_starts[i]` to `ring_starts[i + 1]`, the latter excluded. The
   * last point joins the first, which is not repeated.
   */
  const uint32_t *ring_starts;
  /** `num_rings` numbers: -1 for an outer outline, else the ring in which this one is a hole. */
  const int32_t *parents;
} sam_mm_polygons;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/** The version of the loaded library as text, such as `"0.1.0"`. Never NULL, never freed. [any thread] */
const char *sam_mm_version(void);

/** The C ABI version of the loaded library; compare it with `SAM_MM_ABI_VERSION` of the header. [any thread] */
uint32_t sam_mm_abi_version(void);

/**
 * The status code of an error, the same as the failed function returned; `SAM_MM_ERR_INVALID_HANDLE` when `error` is
 * not a live error. [any thread]
 */
int32_t sam_mm_error_code(const sam_mm_error *error);

/**
 * What was wrong, with the values, and what to do. UTF-8, borrowed until the error is freed. Never NULL: for something
 * that is not a live error it says so. [any thread]
 */
const char *sam_mm_error_message(const sam_mm_error *error);

/**
 * The cause behind an error: `depth` 0 is what caused the message, 1 what caused that, and so on; NULL past the last
 * one. UTF-8, borrowed until the error is freed. [any thread]
 */
const char *sam_mm_error_cause(const sam_mm_error *error, uint32_t depth);

/** Frees an error. NULL and errors freed before are ignored. [any thread] */
void sam_mm_error_free(sam_mm_error *error);

/**
 * The name of a status code, such as `"SAM_MM_ERR_OUT_OF_MEMORY"`; `"unknown status"` for a number that is none.
 * Never NULL, never freed. [any thread]
 */
const char *sam_mm_status_name(int32_t status);

/**
 * Sends the lines of a context's log up to `max_level` to a callback; NULL removes the one there is. When this
 * function returns, the former callback is not running any more and its `user_data` may be freed; so it cannot be
 * called from inside a log callback. [any thread]
 */
int32_t sam_mm_log_set(sam_mm_context *context,
                       sam_mm_log_fn callback,
                       void *user_data,
                       int32_t max_level,
                       sam_mm_error **error);

/** Fills options with their defaults; `struct_size` is `sizeof(sam_mm_options)`. [any thread] */
int32_t sam_mm_options_init(sam_mm_options *options, uint32_t struct_size);

/**
 * Makes a context. `options` may be NULL for defaults; what it points to is borrowed for the call. No backend is
 * loaded and no device touched before the first call that needs one, so this succeeds on any machine. [any thread]
 */
int32_t sam_mm_init(const sam_mm_options *options, sam_mm_context **context, sam_mm_error **error);

/**
 * Destroys a context. Models, images and results made from it stay usable until they are freed themselves; what they
 * share is freed with the last of them. When this returns, no callback of the context runs or will run. NULL and
 * contexts destroyed before are ignored. Not to be called from a callback of this context. [any thread]
 */
void sam_mm_destroy(sam_mm_context *context);

/**
 * Tells which backend and device a context runs on; loads the backend and opens the device if that has not happened
 * yet. On failure the error lists every path tried and why it was not taken. [any thread]
 */
int32_t sam_mm_backend_describe(sam_mm_context *context,
                                sam_mm_backend_info *info,
                                sam_mm_error **error);

/**
 * Tells what is known about memory. It needs no backend and loads none; figures that cannot be had are marked as such,
 * so it fails for bad arguments only. [any thread]
 */
int32_t sam_mem_info(sam_mm_context *context, sam_mm_memory_info *info, sam_mm_error **error);

/**
 * Gives memory back: drops the cached image embeddings, then has the backend's allocator return what it only keeps for
 * reuse. With `force` 0 this happens when device memory is at least 80 % used or host memory at least 90 %; with any
 * other value always. Dropped embeddings are made again when their image is next predicted on. `report` may be NULL.
 * [any thread]
 */
int32_t sam_optimize(sam_mm_context *context,
                     int32_t force,
                     sam_mm_optimize_report *report,
                     sam_mm_error **error);

/** Fills options with their defaults; `struct_size` is `sizeof(sam_mm_model_options)`. [any thread] */
int32_t sam_mm_model_options_init(sam_mm_model_options *options, uint32_t struct_size);

/**
 * Loads a model onto the context's device; loads the backend first if that has not happened yet. `options` may be
 * NULL for the built-in demo model. [any thread]
 */
int32_t sam_mm_model_load(sam_mm_context *context,
                          const sam_mm_model_options *options,
                          sam_mm_model **model,
                          sam_mm_error **error);

/** Tells what a model is. [any thread] */
int32_t sam_mm_model_describe(const sam_mm_model *model,
                              sam_mm_model_info *info,
                              sam_mm_error **error);

/**
 * Frees a model and the embeddings it made; running predictions end first. NULL and models freed before are ignored.
 * [any thread]
 */
void sam_mm_model_free(sam_mm_model *model);

/** Fills a description with its defaults; `struct_size` is `sizeof(sam_mm_image_desc)`. [any thread] */
int32_t sam_mm_image_desc_init(sam_mm_image_desc *desc, uint32_t struct_size);

/**
 * Makes an image from pixels, which are copied (three bytes a pixel, one for gray). Nothing is computed yet: the first
 * prediction encodes the image, or `sam_mm_image_encode` does. [any thread]
 */
int32_t sam_mm_image_create(sam_mm_context *context,
                            const sam_mm_image_desc *desc,
                            sam_mm_image **image,
                            sam_mm_error **error);

/**
 * Runs the model's image encoder on an image now, so that the first prediction does not have to. Quick when the
 * embedding is there already. [any thread]
 */
int32_t sam_mm_image_encode(sam_mm_image *image, sam_mm_model *model, sam_mm_error **error);

/** Frees an image. Results made from it stay usable. NULL and images freed before are ignored. [any thread] */
void sam_mm_image_free(sam_mm_image *image);

/** Fills a prompt with its defaults; `struct_size` is `sizeof(sam_mm_prompt)`. [any thread] */
int32_t sam_mm_prompt_init(sam_mm_prompt *prompt, uint32_t struct_size);

/** Fills a request with its defaults; `struct_size` is `sizeof(sam_mm_predict_request)`. [any thread] */
int32_t sam_mm_predict_request_init(sam_mm_predict_request *request, uint32_t struct_size);

/**
 * Predicts the masks of the objects that a request points at. Encodes the image first if this model has not seen it
 * yet. Everything is copied: the request may be freed afterwards, and the result outlives model and image. [any thread]
 */
int32_t sam_predict(sam_mm_model *model,
                    sam_mm_image *image,
                    const sam_mm_predict_request *request,
                    sam_mm_result **result,
                    sam_mm_error **error);

/** Tells what a result holds. [any thread] */
int32_t sam_mm_result_describe(const sam_mm_result *result,
                               sam_mm_result_info *info,
                               sam_mm_error **error);

/** Tells score, area and box of a mask. Area and box are measured the first time they are asked for. [any thread] */
int32_t sam_mm_result_mask_info(const sam_mm_result *result,
                                uint32_t mask_index,
                                sam_mm_mask_info *info,
                                sam_mm_error **error);

/** Tells which mask of an object has the highest score. [any thread] */
int32_t sam_mm_result_best_mask(const sam_mm_result *result,
                                uint32_t object_index,
                                uint32_t *mask_index,
                                sam_mm_error **error);

/**
 * Gives the low-resolution logits of a mask: `mask_size * mask_size` values, row by row, borrowed until the result is
 * freed. Made to be the `mask_input` of a later prompt. [any thread]
 */
int32_t sam_mm_result_logits(const sam_mm_result *result,
                             uint32_t mask_index,
                             const float **logits,
                             uint64_t *logits_len,
                             sam_mm_error **error);

/**
 * Gives a mask at the size of the image. It is made the first time, which takes `width * height` bytes, and kept until
 * the result is freed; `sam_mm_result_bitmask_copy` keeps nothing. [any thread]
 */
int32_t sam_mm_result_bitmask(const sam_mm_result *result,
                              uint32_t mask_index,
                              sam_mm_bitmask *bitmask,
                              sam_mm_error **error);

/**
 * Writes a mask at the size of the image into the caller's memory: `on_value` (1 to 255) in the mask, 0 outside. Bytes
 * between the rows are left alone. [any thread]
 */
int32_t sam_mm_result_bitmask_copy(const sam_mm_result *result,
                                   uint32_t mask_index,
                                   uint32_t on_value,
                                   uint8_t *data,
                                   uint64_t data_len,
                                   uint64_t row_stride,
                                   sam_mm_error **error);

/** Gives a mask as COCO run-length encoding, straight from the logits. Made the first time, then kept. [any thread] */
int32_t sam_mm_result_rle(const sam_mm_result *result,
                          uint32_t mask_index,
                          sam_mm_rle *rle,
                          sam_mm_error **error);

/** Fills options with their defaults; `struct_size` is `sizeof(sam_mm_polygon_options)`. [any thread] */
int32_t sam_mm_polygon_options_init(sam_mm_polygon_options *options, uint32_t struct_size);

/**
 * Gives the outlines of a mask; `options` may be NULL for exact ones. Made once per set of options, then kept.
 * [any thread]
 */
int32_t sam_mm_result_polygons(const sam_mm_result *result,
                               uint32_t mask_index,
                               const sam_mm_polygon_options *options,
                               sam_mm_polygons *polygons,
                               sam_mm_error **error);

/** Frees a result and everything borrowed from it. NULL and results freed before are ignored. [any thread] */
void sam_mm_result_free(sam_mm_result *result);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SAM_MM_H */
