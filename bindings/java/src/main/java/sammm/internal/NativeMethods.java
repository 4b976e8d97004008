// Generated from src/capi: `cargo xtask bindings java`. Changes belong there. What the functions, structs and constants
// mean is documented in include/sam_mm.h.
package sammm.internal;

import com.sun.jna.Callback;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.ptr.IntByReference;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;

/** The C API, as it is. */
@SuppressWarnings({"checkstyle:all", "unused"})
public final class NativeMethods {
    static {
        Native.register(NativeMethods.class, LibraryLoader.load());
    }

    private NativeMethods() {}

    public static final int SAM_MM_CACHE_EMBEDDING = 0;
    public static final int SAM_MM_CACHE_PREDICTION = 1;
    public static final int SAM_MM_CACHE_IMAGE = 2;
    public static final int SAM_MM_INTERPOLATION_NEAREST = 0;
    public static final int SAM_MM_INTERPOLATION_BILINEAR = 1;
    public static final int SAM_MM_INTERPOLATION_AREA = 2;
    public static final int SAM_MM_INTERPOLATION_CUBIC = 3;
    public static final int SAM_MM_FORMAT_RGB8 = 0;
    public static final int SAM_MM_FORMAT_BGR8 = 1;
    public static final int SAM_MM_FORMAT_RGBA8 = 2;
    public static final int SAM_MM_FORMAT_BGRA8 = 3;
    public static final int SAM_MM_FORMAT_GRAY8 = 4;
    public static final int SAM_MM_JOB_QUEUED = 0;
    public static final int SAM_MM_JOB_RUNNING = 1;
    public static final int SAM_MM_JOB_SUCCEEDED = 2;
    public static final int SAM_MM_JOB_FAILED = 3;
    public static final int SAM_MM_JOB_CANCELLED = 4;
    public static final int SAM_MM_JOB_KIND_MODEL_LOAD = 0;
    public static final int SAM_MM_JOB_KIND_ENCODE = 1;
    public static final int SAM_MM_JOB_KIND_PREDICT = 2;
    public static final int SAM_MM_JOB_KIND_PROCESS = 3;
    public static final int SAM_MM_JOB_STAGE_WAITING = 0;
    public static final int SAM_MM_JOB_STAGE_LOADING = 1;
    public static final int SAM_MM_JOB_STAGE_READING = 2;
    public static final int SAM_MM_JOB_STAGE_ENCODING = 3;
    public static final int SAM_MM_JOB_STAGE_DECODING = 4;
    public static final int SAM_MM_JOB_STAGE_PROCESSING = 5;
    public static final int SAM_MM_JOB_STAGE_ENDED = 6;
    public static final int SAM_MM_LOG_ERROR = 1;
    public static final int SAM_MM_LOG_WARN = 2;
    public static final int SAM_MM_LOG_INFO = 3;
    public static final int SAM_MM_LOG_DEBUG = 4;
    public static final int SAM_MM_MEMORY_DEVICE = 1;
    public static final int SAM_MM_MEMORY_ALLOCATOR = 2;
    public static final int SAM_MM_MEMORY_HOST = 4;
    public static final int SAM_MM_MEMORY_PROCESS = 8;
    public static final int SAM_MM_SOURCE_NONE = 0;
    public static final int SAM_MM_SOURCE_NVML = 1;
    public static final int SAM_MM_SOURCE_CUDA = 2;
    public static final int SAM_MM_SOURCE_BACKEND = 3;
    public static final int SAM_MM_STATUS_OK = 0;
    public static final int SAM_MM_STATUS_WARNING = 1;
    public static final int SAM_MM_STATUS_CRITICAL = 2;
    public static final int SAM_MM_STATUS_UNKNOWN = 3;
    public static final int SAM_MM_TIER_DEVICE = 0;
    public static final int SAM_MM_TIER_HOST = 1;
    public static final int SAM_MM_EVENT_CONFIG_WARNING = 1;
    public static final int SAM_MM_EVENT_STATUS = 2;
    public static final int SAM_MM_EVENT_OPTIMIZED = 3;
    public static final int SAM_MM_EVENT_PLAN_DOWNGRADED = 4;
    public static final int SAM_MM_EVENT_RECOVERY_RUNG = 5;
    public static final int SAM_MM_EVENT_RECOVERED = 6;
    public static final int SAM_MM_EVENT_RECOVERY_FAILED = 7;
    public static final int SAM_MM_EVENT_MONITOR = 8;
    public static final int SAM_MM_EVENT_PROBE_LOST = 9;
    public static final int SAM_MM_EVENT_PROBE_BACK = 10;
    public static final int SAM_MM_GROWTH_FROM_ENVIRONMENT = 0;
    public static final int SAM_MM_GROWTH_ENABLED = 1;
    public static final int SAM_MM_GROWTH_DISABLED = 2;
    public static final int SAM_MM_HEALTH_HEALTHY = 0;
    public static final int SAM_MM_HEALTH_MONITORING = 1;
    public static final int SAM_MM_HEALTH_DEGRADED = 2;
    public static final int SAM_MM_HEALTH_CRITICAL = 3;
    public static final int SAM_MM_PRECISION_FP32 = 0;
    public static final int SAM_MM_PRECISION_FP16 = 1;
    public static final int SAM_MM_PRECISION_BF16 = 2;
    public static final int SAM_MM_PROGRESS_CALL = 0;
    public static final int SAM_MM_PROGRESS_JOB = 1;
    public static final int SAM_MM_PROGRESS_PREFETCH = 2;
    public static final int SAM_MM_RUNG_NONE = 0;
    public static final int SAM_MM_RUNG_RELEASE_CACHES = 1;
    public static final int SAM_MM_RUNG_EMPTY_ALLOCATOR = 2;
    public static final int SAM_MM_RUNG_LOWER_PRECISION = 3;
    public static final int SAM_MM_RUNG_CPU = 4;
    public static final int SAM_MM_CONNECTIVITY_4 = 0;
    public static final int SAM_MM_CONNECTIVITY_8 = 1;
    public static final int SAM_MM_OK = 0;
    public static final int SAM_MM_ERR_INVALID_ARGUMENT = 1;
    public static final int SAM_MM_ERR_INVALID_HANDLE = 2;
    public static final int SAM_MM_ERR_UNSUPPORTED = 3;
    public static final int SAM_MM_ERR_OUT_OF_MEMORY = 4;
    public static final int SAM_MM_ERR_BACKEND_NOT_FOUND = 5;
    public static final int SAM_MM_ERR_BACKEND = 6;
    public static final int SAM_MM_ERR_CONFLICT = 7;
    public static final int SAM_MM_ERR_CHECKPOINT = 8;
    public static final int SAM_MM_ERR_IO = 9;
    public static final int SAM_MM_ERR_DEVICE_UNAVAILABLE = 10;
    public static final int SAM_MM_ERR_DEVICE_LOST = 11;
    public static final int SAM_MM_ERR_CANCELLED = 12;
    public static final int SAM_MM_ERR_POISONED = 13;
    public static final int SAM_MM_ERR_INTERNAL = 14;
    public static final int SAM_MM_VERSION = 1000;
    public static final int SAM_MM_ABI_VERSION = 0;

    /** A callback. */
    public interface sam_mm_progress_set_callback extends Callback {
        int invoke(Pointer user_data, sam_mm_progress event);
    }

    /** A callback. */
    public interface sam_mm_job_set_callback_callback extends Callback {
        void invoke(Pointer user_data, Pointer job);
    }

    /** A callback. */
    public interface sam_mm_log_set_callback extends Callback {
        void invoke(Pointer user_data, int level, Pointer message);
    }

    /** A callback. */
    public interface sam_mm_memory_events_set_callback extends Callback {
        void invoke(Pointer user_data, sam_mm_memory_event event);
    }

    public static native int sam_mm_cache_describe(Pointer context, int cache, sam_mm_cache_info info, PointerByReference error);

    public static native int sam_mm_cache_clear(Pointer context, int cache, LongByReference freed, PointerByReference error);

    public static native int sam_mm_options_init(sam_mm_options options, int struct_size);

    public static native int sam_mm_init(sam_mm_options options, PointerByReference context, PointerByReference error);

    public static native void sam_mm_destroy(Pointer context);

    public static native int sam_mm_backend_describe(Pointer context, sam_mm_backend_info info, PointerByReference error);

    public static native int sam_mm_display_options_init(sam_mm_display_options options, int struct_size);

    public static native int sam_mm_image_process(Pointer image, sam_mm_display_options options, PointerByReference display, PointerByReference error);

    public static native int sam_mm_display_describe(Pointer display, sam_mm_display_info info, PointerByReference error);

    public static native int sam_mm_display_points_to_original(Pointer display, Pointer points, long num_points, Pointer converted, PointerByReference error);

    public static native int sam_mm_display_points_to_display(Pointer display, Pointer points, long num_points, Pointer converted, PointerByReference error);

    public static native int sam_mm_display_boxes_to_original(Pointer display, Pointer boxes, long num_boxes, Pointer converted, PointerByReference error);

    public static native int sam_mm_display_boxes_to_display(Pointer display, Pointer boxes, long num_boxes, Pointer converted, PointerByReference error);

    public static native int sam_mm_display_mask_to_original(Pointer display, Pointer mask, long mask_len, long mask_stride, Pointer converted, long converted_len, long converted_stride, PointerByReference error);

    public static native int sam_mm_display_mask_to_display(Pointer display, Pointer mask, long mask_len, long mask_stride, Pointer converted, long converted_len, long converted_stride, PointerByReference error);

    public static native void sam_mm_display_free(Pointer display);

    public static native int sam_mm_error_code(Pointer error);

    public static native Pointer sam_mm_error_message(Pointer error);

    public static native Pointer sam_mm_error_cause(Pointer error, int depth);

    public static native void sam_mm_error_free(Pointer error);

    public static native Pointer sam_mm_status_name(int status);

    public static native int sam_mm_image_desc_init(sam_mm_image_desc desc, int struct_size);

    public static native int sam_mm_image_create(Pointer context, sam_mm_image_desc desc, PointerByReference image, PointerByReference error);

    public static native int sam_mm_image_encode(Pointer image, Pointer model, PointerByReference error);

    public static native void sam_mm_image_free(Pointer image);

    public static native int sam_mm_job_options_init(sam_mm_job_options options, int struct_size);

    public static native int sam_mm_job_submit_model_load(Pointer context, sam_mm_model_options options, sam_mm_job_options job_options, PointerByReference job, PointerByReference error);

    public static native int sam_mm_job_submit_encode(Pointer model, Pointer image, sam_mm_job_options job_options, PointerByReference job, PointerByReference error);

    public static native int sam_mm_job_submit_predict(Pointer model, Pointer image, sam_mm_predict_request request, sam_mm_job_options job_options, PointerByReference job, PointerByReference error);

    public static native int sam_mm_job_submit_process(Pointer image, sam_mm_display_options options, sam_mm_job_options job_options, PointerByReference job, PointerByReference error);

    public static native int sam_mm_job_describe(Pointer job, sam_mm_job_info info, PointerByReference error);

    public static native int sam_mm_job_wait(Pointer job, long timeout_ms, IntByReference state, PointerByReference error);

    public static native int sam_mm_job_cancel(Pointer job, PointerByReference error);

    public static native int sam_mm_job_set_callback(Pointer job, sam_mm_job_set_callback_callback callback, Pointer user_data, PointerByReference error);

    public static native int sam_mm_job_check(Pointer job, PointerByReference error);

    public static native int sam_mm_job_take_result(Pointer job, PointerByReference result, PointerByReference error);

    public static native int sam_mm_job_take_model(Pointer job, PointerByReference model, PointerByReference error);

    public static native int sam_mm_job_take_display(Pointer job, PointerByReference display, PointerByReference error);

    public static native void sam_mm_job_free(Pointer job);

    public static native int sam_mm_log_set(Pointer context, sam_mm_log_set_callback callback, Pointer user_data, int max_level, PointerByReference error);

    public static native int sam_mem_info(Pointer context, sam_mm_memory_info info, PointerByReference error);

    public static native int sam_mm_memory_check(Pointer context, sam_mm_memory_status status, PointerByReference error);

    public static native int sam_mm_memory_should_cache(Pointer context, int tier, IntByReference may_cache, PointerByReference error);

    public static native int sam_optimize(Pointer context, int force, sam_mm_optimize_report report, PointerByReference error);

    public static native int sam_mm_memory_events_set(Pointer context, sam_mm_memory_events_set_callback callback, Pointer user_data, PointerByReference error);

    public static native int sam_mm_memory_event_poll(Pointer context, sam_mm_memory_event event, IntByReference has_event, PointerByReference error);

    public static native int sam_mm_memory_options_init(sam_mm_memory_options options, int struct_size);

    public static native int sam_mm_memory_describe(Pointer context, sam_mm_memory_report report, PointerByReference error);

    public static native int sam_mm_memory_report_json(Pointer context, Pointer buffer, long capacity, LongByReference required, PointerByReference error);

    public static native int sam_mm_model_options_init(sam_mm_model_options options, int struct_size);

    public static native int sam_mm_model_load(Pointer context, sam_mm_model_options options, PointerByReference model, PointerByReference error);

    public static native int sam_mm_model_describe(Pointer model, sam_mm_model_info info, PointerByReference error);

    public static native void sam_mm_model_free(Pointer model);

    public static native int sam_mm_prompt_init(sam_mm_prompt prompt, int struct_size);

    public static native int sam_mm_predict_request_init(sam_mm_predict_request request, int struct_size);

    public static native int sam_predict(Pointer model, Pointer image, sam_mm_predict_request request, PointerByReference result, PointerByReference error);

    public static native int sam_mm_progress_set(Pointer context, sam_mm_progress_set_callback callback, Pointer user_data, PointerByReference error);

    public static native int sam_mm_progress_poll(Pointer context, sam_mm_progress event, IntByReference has_event, PointerByReference error);

    public static native int sam_mm_result_describe(Pointer result, sam_mm_result_info info, PointerByReference error);

    public static native int sam_mm_result_mask_info(Pointer result, int mask_index, sam_mm_mask_info info, PointerByReference error);

    public static native int sam_mm_result_best_mask(Pointer result, int object_index, IntByReference mask_index, PointerByReference error);

    public static native int sam_mm_result_logits(Pointer result, int mask_index, PointerByReference logits, LongByReference logits_len, PointerByReference error);

    public static native int sam_mm_result_bitmask(Pointer result, int mask_index, sam_mm_bitmask bitmask, PointerByReference error);

    public static native int sam_mm_result_bitmask_copy(Pointer result, int mask_index, int on_value, Pointer data, long data_len, long row_stride, PointerByReference error);

    public static native int sam_mm_result_rle(Pointer result, int mask_index, sam_mm_rle rle, PointerByReference error);

    public static native int sam_mm_polygon_options_init(sam_mm_polygon_options options, int struct_size);

    public static native int sam_mm_result_polygons(Pointer result, int mask_index, sam_mm_polygon_options options, sam_mm_polygons polygons, PointerByReference error);

    public static native void sam_mm_result_free(Pointer result);

    public static native Pointer sam_mm_version();

    public static native int sam_mm_abi_version();


    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "reserved",
        "entries",
        "bytes",
        "max_entries",
        "max_bytes",
        "hits",
        "misses"
    })
    public static class sam_mm_cache_info extends Structure {
        public int struct_size;
        public int reserved;
        public long entries;
        public long bytes;
        public long max_entries;
        public long max_bytes;
        public long hits;
        public long misses;

        public sam_mm_cache_info() {
            struct_size = size();
        }

        public sam_mm_cache_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "num_threads",
        "device",
        "backend_path",
        "log_callback",
        "log_user_data",
        "log_level",
        "allow_tf32",
        "embedding_cache_bytes",
        "memory",
        "prediction_cache_bytes",
        "prediction_cache_entries",
        "reserved",
        "image_cache_bytes",
        "image_cache_entries"
    })
    public static class sam_mm_options extends Structure {
        public int struct_size;
        public int num_threads;
        public Pointer device;
        public Pointer backend_path;
        public Pointer log_callback;
        public Pointer log_user_data;
        public int log_level;
        public int allow_tf32;
        public long embedding_cache_bytes;
        public Pointer memory;
        public long prediction_cache_bytes;
        public int prediction_cache_entries;
        public int reserved;
        public long image_cache_bytes;
        public long image_cache_entries;

        public sam_mm_options() {
            struct_size = size();
        }

        public sam_mm_options(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "reserved",
        "name",
        "version",
        "path",
        "device",
        "trail"
    })
    public static class sam_mm_backend_info extends Structure {
        public int struct_size;
        public int reserved;
        public Pointer name;
        public Pointer version;
        public Pointer path;
        public Pointer device;
        public Pointer trail;

        public sam_mm_backend_info() {
            struct_size = size();
        }

        public sam_mm_backend_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "target_size",
        "min_size",
        "max_size",
        "shrinking",
        "enlarging",
        "format",
        "reserved"
    })
    public static class sam_mm_display_options extends Structure {
        public int struct_size;
        public int target_size;
        public int min_size;
        public int max_size;
        public int shrinking;
        public int enlarging;
        public int format;
        public int reserved;

        public sam_mm_display_options() {
            struct_size = size();
        }

        public sam_mm_display_options(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "format",
        "original_width",
        "original_height",
        "width",
        "height",
        "scale_x",
        "scale_y",
        "original_aspect",
        "aspect",
        "row_stride",
        "data",
        "data_len"
    })
    public static class sam_mm_display_info extends Structure {
        public int struct_size;
        public int format;
        public int original_width;
        public int original_height;
        public int width;
        public int height;
        public double scale_x;
        public double scale_y;
        public double original_aspect;
        public double aspect;
        public long row_stride;
        public Pointer data;
        public long data_len;

        public sam_mm_display_info() {
            struct_size = size();
        }

        public sam_mm_display_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "format",
        "width",
        "height",
        "row_stride",
        "data",
        "data_len",
        "content_id",
        "content_id_len"
    })
    public static class sam_mm_image_desc extends Structure {
        public int struct_size;
        public int format;
        public int width;
        public int height;
        public long row_stride;
        public Pointer data;
        public long data_len;
        public Pointer content_id;
        public long content_id_len;

        public sam_mm_image_desc() {
            struct_size = size();
        }

        public sam_mm_image_desc(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "reserved",
        "callback",
        "user_data"
    })
    public static class sam_mm_job_options extends Structure {
        public int struct_size;
        public int reserved;
        public Pointer callback;
        public Pointer user_data;

        public sam_mm_job_options() {
            struct_size = size();
        }

        public sam_mm_job_options(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "kind",
        "state",
        "stage",
        "status",
        "reserved",
        "progress",
        "id"
    })
    public static class sam_mm_job_info extends Structure {
        public int struct_size;
        public int kind;
        public int state;
        public int stage;
        public int status;
        public int reserved;
        public double progress;
        public long id;

        public sam_mm_job_info() {
            struct_size = size();
        }

        public sam_mm_job_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "known",
        "source",
        "reserved_zero",
        "used",
        "total",
        "free",
        "utilization",
        "allocated",
        "reserved",
        "embedding_cache",
        "host_total",
        "host_available",
        "host_process",
        "formatted",
        "process",
        "age_ms",
        "stale",
        "reserved_zero_2",
        "device_name",
        "device_uuid",
        "failures"
    })
    public static class sam_mm_memory_info extends Structure {
        public int struct_size;
        public int known;
        public int source;
        public int reserved_zero;
        public long used;
        public long total;
        public long free;
        public double utilization;
        public long allocated;
        public long reserved;
        public long embedding_cache;
        public long host_total;
        public long host_available;
        public long host_process;
        public byte[] formatted = new byte[128];
        public long process;
        public long age_ms;
        public int stale;
        public int reserved_zero_2;
        public byte[] device_name = new byte[96];
        public byte[] device_uuid = new byte[96];
        public byte[] failures = new byte[512];

        public sam_mm_memory_info() {
            struct_size = size();
        }

        public sam_mm_memory_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "level",
        "utilization",
        "message"
    })
    public static class sam_mm_memory_status extends Structure {
        public int struct_size;
        public int level;
        public double utilization;
        public byte[] message = new byte[128];

        public sam_mm_memory_status() {
            struct_size = size();
        }

        public sam_mm_memory_status(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "performed",
        "embedding_cache_bytes",
        "allocator_bytes",
        "image_cache_bytes",
        "known",
        "reserved",
        "used_before",
        "used_after",
        "allocated_before",
        "allocated_after",
        "host_process_before",
        "host_process_after",
        "prediction_cache_bytes"
    })
    public static class sam_mm_optimize_report extends Structure {
        public int struct_size;
        public int performed;
        public long embedding_cache_bytes;
        public long allocator_bytes;
        public long image_cache_bytes;
        public int known;
        public int reserved;
        public long used_before;
        public long used_after;
        public long allocated_before;
        public long allocated_after;
        public long host_process_before;
        public long host_process_after;
        public long prediction_cache_bytes;

        public sam_mm_optimize_report() {
            struct_size = size();
        }

        public sam_mm_optimize_report(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "kind",
        "number",
        "at_ms",
        "bytes",
        "value",
        "message"
    })
    public static class sam_mm_memory_event extends Structure {
        public int struct_size;
        public int kind;
        public long number;
        public long at_ms;
        public long bytes;
        public double value;
        public byte[] message = new byte[512];

        public sam_mm_memory_event() {
            struct_size = size();
        }

        public sam_mm_memory_event(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "growth",
        "fraction",
        "warning_threshold",
        "critical_threshold",
        "host_threshold",
        "lower_precision",
        "cpu_fallback",
        "monitor",
        "monitor_period_ms",
        "monitor_image_cache_bytes",
        "monitor_device_threshold",
        "max_age_ms",
        "reserved",
        "nvml_library",
        "cudart_library"
    })
    public static class sam_mm_memory_options extends Structure {
        public int struct_size;
        public int growth;
        public double fraction;
        public double warning_threshold;
        public double critical_threshold;
        public double host_threshold;
        public int lower_precision;
        public int cpu_fallback;
        public int monitor;
        public int monitor_period_ms;
        public long monitor_image_cache_bytes;
        public double monitor_device_threshold;
        public int max_age_ms;
        public int reserved;
        public Pointer nvml_library;
        public Pointer cudart_library;

        public sam_mm_memory_options() {
            struct_size = size();
        }

        public sam_mm_memory_options(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "health",
        "operations_succeeded",
        "operations_failed",
        "embedding_hits",
        "embedding_misses",
        "optimizations",
        "optimized_bytes",
        "recoveries_attempted",
        "recoveries_succeeded",
        "warnings",
        "criticals",
        "peak_device_used",
        "peak_device_process",
        "peak_allocated",
        "peak_host_process",
        "prediction_hits",
        "prediction_misses"
    })
    public static class sam_mm_memory_report extends Structure {
        public int struct_size;
        public int health;
        public long operations_succeeded;
        public long operations_failed;
        public long embedding_hits;
        public long embedding_misses;
        public long optimizations;
        public long optimized_bytes;
        public long recoveries_attempted;
        public long recoveries_succeeded;
        public long warnings;
        public long criticals;
        public long peak_device_used;
        public long peak_device_process;
        public long peak_allocated;
        public long peak_host_process;
        public long prediction_hits;
        public long prediction_misses;

        public sam_mm_memory_report() {
            struct_size = size();
        }

        public sam_mm_memory_report(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "precision",
        "path",
        "data",
        "data_len"
    })
    public static class sam_mm_model_options extends Structure {
        public int struct_size;
        public int precision;
        public Pointer path;
        public Pointer data;
        public long data_len;

        public sam_mm_model_options() {
            struct_size = size();
        }

        public sam_mm_model_options(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "precision",
        "family",
        "variant",
        "name",
        "device",
        "parameters",
        "weight_bytes",
        "embedding_bytes",
        "input_size",
        "mask_size",
        "multimask_count",
        "reserved"
    })
    public static class sam_mm_model_info extends Structure {
        public int struct_size;
        public int precision;
        public Pointer family;
        public Pointer variant;
        public Pointer name;
        public Pointer device;
        public long parameters;
        public long weight_bytes;
        public long embedding_bytes;
        public int input_size;
        public int mask_size;
        public int multimask_count;
        public int reserved;

        public sam_mm_model_info() {
            struct_size = size();
        }

        public sam_mm_model_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "num_points",
        "points",
        "labels",
        "bounding_box",
        "mask_input",
        "mask_input_len"
    })
    public static class sam_mm_prompt extends Structure {
        public int struct_size;
        public int num_points;
        public Pointer points;
        public Pointer labels;
        public Pointer bounding_box;
        public Pointer mask_input;
        public long mask_input_len;

        public sam_mm_prompt() {
            struct_size = size();
        }

        public sam_mm_prompt(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "multimask",
        "prompts",
        "boxes",
        "num_prompts",
        "num_boxes"
    })
    public static class sam_mm_predict_request extends Structure {
        public int struct_size;
        public int multimask;
        public Pointer prompts;
        public Pointer boxes;
        public int num_prompts;
        public int num_boxes;

        public sam_mm_predict_request() {
            struct_size = size();
        }

        public sam_mm_predict_request(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "source",
        "number",
        "at_ms",
        "id",
        "progress",
        "stage",
        "status"
    })
    public static class sam_mm_progress extends Structure {
        public int struct_size;
        public int source;
        public long number;
        public long at_ms;
        public long id;
        public double progress;
        public int stage;
        public int status;

        public sam_mm_progress() {
            struct_size = size();
        }

        public sam_mm_progress(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "num_objects",
        "masks_per_object",
        "num_masks",
        "width",
        "height",
        "mask_size",
        "embedding_reused",
        "encode_ms",
        "decode_ms",
        "on_cpu",
        "precision",
        "chunked_attention",
        "recovered_by",
        "prediction_reused",
        "reserved"
    })
    public static class sam_mm_result_info extends Structure {
        public int struct_size;
        public int num_objects;
        public int masks_per_object;
        public int num_masks;
        public int width;
        public int height;
        public int mask_size;
        public int embedding_reused;
        public double encode_ms;
        public double decode_ms;
        public int on_cpu;
        public int precision;
        public int chunked_attention;
        public int recovered_by;
        public int prediction_reused;
        public int reserved;

        public sam_mm_result_info() {
            struct_size = size();
        }

        public sam_mm_result_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "object_index",
        "area",
        "bounding_box",
        "score",
        "reserved"
    })
    public static class sam_mm_mask_info extends Structure {
        public int struct_size;
        public int object_index;
        public long area;
        public float[] bounding_box = new float[4];
        public float score;
        public int reserved;

        public sam_mm_mask_info() {
            struct_size = size();
        }

        public sam_mm_mask_info(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "width",
        "height",
        "reserved",
        "row_stride",
        "data"
    })
    public static class sam_mm_bitmask extends Structure {
        public int struct_size;
        public int width;
        public int height;
        public int reserved;
        public long row_stride;
        public Pointer data;

        public sam_mm_bitmask() {
            struct_size = size();
        }

        public sam_mm_bitmask(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "width",
        "height",
        "num_counts",
        "counts",
        "compressed",
        "compressed_len"
    })
    public static class sam_mm_rle extends Structure {
        public int struct_size;
        public int width;
        public int height;
        public int num_counts;
        public Pointer counts;
        public Pointer compressed;
        public long compressed_len;

        public sam_mm_rle() {
            struct_size = size();
        }

        public sam_mm_rle(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "num_rings",
        "points",
        "ring_starts",
        "parents"
    })
    public static class sam_mm_polygons extends Structure {
        public int struct_size;
        public int num_rings;
        public Pointer points;
        public Pointer ring_starts;
        public Pointer parents;

        public sam_mm_polygons() {
            struct_size = size();
        }

        public sam_mm_polygons(Pointer place) {
            super(place);
            read();
        }
    }

    /** A struct. */
    @Structure.FieldOrder({
        "struct_size",
        "connectivity",
        "tolerance",
        "min_area"
    })
    public static class sam_mm_polygon_options extends Structure {
        public int struct_size;
        public int connectivity;
        public double tolerance;
        public long min_area;

        public sam_mm_polygon_options() {
            struct_size = size();
        }

        public sam_mm_polygon_options(Pointer place) {
            super(place);
            read();
        }
    }

}
