/* The memory part of sam_mm.h, from the side of a C caller. Takes the path of a fake backend (tests/fake_backend), and
 * "cpu" or "cuda:0". Prints the context's report as JSON, and exits with 1 and the line of a check that failed. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <time.h>

#define SIDE 64
#define MB 1000000ull

static unsigned char pixels[SIDE * SIDE * 3];
static const char *backend, *device;
static int has_gpu;

/* ---- the fake backend --------------------------------------------------------------------------------------------- */

static int32_t (*steer)(const char *command);
static int64_t (*value)(const char *name);

static void find_the_fakes_wheel(void) {
    void *library = dlopen(backend, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    *(void **)&steer = dlsym(library, "fake_backend_control");
    *(void **)&value = dlsym(library, "fake_backend_value");
    CHECK(steer != NULL && value != NULL);
}

static void script(const char *command) {
    check(steer(command) == 0, __LINE__, command, NULL);
}

/* What the pretended device has, and what others hold of it. */
static void pretend(uint64_t total, uint64_t others) {
    char command[96];
    snprintf(command, sizeof command, "memory total=%llu other=%llu", (unsigned long long)total,
             (unsigned long long)others);
    script(command);
}

/* ---- contexts ----------------------------------------------------------------------------------------------------- */

/* No thread in the background, fresh figures at every question, and no library of this machine. */
static sam_mm_memory_options quiet_memory(void) {
    sam_mm_memory_options memory;
    CHECK(sam_mm_memory_options_init(&memory, sizeof memory) == SAM_MM_OK);
    memory.monitor = 0;
    memory.max_age_ms = 0;
    memory.host_threshold = 1;
    memory.nvml_library = "/nowhere/nvml";
    memory.cudart_library = "/nowhere/cudart";
    return memory;
}

static int32_t try_context(const sam_mm_memory_options *memory, sam_mm_context **context, sam_mm_error **error) {
    sam_mm_options options;
    CHECK(sam_mm_options_init(&options, sizeof options) == SAM_MM_OK);
    options.backend_path = backend;
    options.device = device;
    options.memory = memory;
    return sam_mm_init(&options, context, error);
}

static sam_mm_context *make_context(const sam_mm_memory_options *memory) {
    sam_mm_context *context;
    OK(try_context(memory, &context, &error));
    return context;
}

static sam_mm_model *load(sam_mm_context *context) {
    sam_mm_model *model;
    OK(sam_mm_model_load(context, NULL, &model, &error));
    return model;
}

static sam_mm_image *new_image(sam_mm_context *context) {
    static uint32_t number; /* The pixels are always the same; each image is to be one of its own. */
    sam_mm_image *image;
    sam_mm_image_desc desc;
    CHECK(sam_mm_image_desc_init(&desc, sizeof desc) == SAM_MM_OK);
    desc.width = desc.height = SIDE;
    desc.data = pixels;
    desc.data_len = sizeof pixels;
    number += 1;
    desc.content_id = (const uint8_t *)&number;
    desc.content_id_len = sizeof number;
    OK(sam_mm_image_create(context, &desc, &image, &error));
    return image;
}

static int32_t click(sam_mm_model *model, sam_mm_image *image, sam_mm_result_info *info, sam_mm_error **error) {
    static const float here[2] = {20, 30};
    sam_mm_prompt prompt;
    sam_mm_predict_request request;
    sam_mm_result *result;
    int32_t status;
    CHECK(sam_mm_prompt_init(&prompt, sizeof prompt) == SAM_MM_OK);
    prompt.points = here;
    prompt.num_points = 1;
    CHECK(sam_mm_predict_request_init(&request, sizeof request) == SAM_MM_OK);
    request.prompts = &prompt;
    request.num_prompts = 1;
    status = sam_predict(model, image, &request, &result, error);
    if (status == SAM_MM_OK) {
        info->struct_size = sizeof *info;
        OK(sam_mm_result_describe(result, info, &error));
        sam_mm_result_free(result);
    }
    return status;
}

/* Figures of now. They are stale while a question that a prediction asked is still being answered. */
static sam_mm_memory_info figures(sam_mm_context *context) {
    sam_mm_memory_info info = {.struct_size = sizeof info};
    do {
        OK(sam_mem_info(context, &info, &error));
    } while (info.stale);
    return info;
}

/* What one tier of the embeddings holds. */
static sam_mm_cache_info held_in(sam_mm_context *context, uint32_t cache) {
    sam_mm_cache_info info = {.struct_size = sizeof info};
    OK(sam_mm_cache_describe(context, cache, &info, &error));
    return info;
}

/* ---- options ------------------------------------------------------------------------------------------------------ */

static void bad_options_are_refused_with_their_value(void) {
    sam_mm_memory_options memory;
    sam_mm_context *context = (sam_mm_context *)&memory;
#define REFUSED(set, text) \
    do { \
        memory = quiet_memory(); \
        set; \
        FAILS(try_context(&memory, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, text); \
        CHECK(context == NULL); \
    } while (0)

    REFUSED(memory.fraction = 1.5, "fraction is 1.5");
    REFUSED(memory.fraction = -INFINITY, "fraction is -inf");
    REFUSED(memory.warning_threshold = -0.25, "warning_threshold is -0.25");
    REFUSED(memory.critical_threshold = 2, "critical_threshold is 2");
    REFUSED(memory.host_threshold = 1.001, "host_threshold is 1.001");
    REFUSED(memory.monitor_device_threshold = -1, "monitor_device_threshold is -1");
    REFUSED((memory.warning_threshold = 0.9, memory.critical_threshold = 0.5), "0.9 is above critical_threshold 0.5");
    REFUSED(memory.growth = 3, "growth is 3");
    REFUSED((memory.monitor = 1, memory.monitor_period_ms = 0), "monitor_period_ms is 0");
    REFUSED(memory.nvml_library = "caf\xe9", "nvml_library is not UTF-8");
    REFUSED(memory.cudart_library = "caf\xe9", "cudart_library is not UTF-8");
    REFUSED(memory.struct_size = 5, "struct_size 5");
#undef REFUSED

    memory = quiet_memory();
    memory.monitor_period_ms = 0; /* Means nothing without a monitor. */
    sam_mm_destroy(make_context(&memory));
    sam_mm_destroy(make_context(NULL));
}

static void options_of_other_sizes_are_understood(void) {
    struct {
        sam_mm_memory_options memory;
        uint64_t later;
    } newer;
    sam_mm_memory_options older;
    sam_mm_context *context;

    CHECK(sam_mm_memory_options_init(NULL, sizeof older) == SAM_MM_ERR_INVALID_ARGUMENT);
    CHECK(sam_mm_memory_options_init(&older, 3) == SAM_MM_ERR_INVALID_ARGUMENT);
    CHECK(sam_mm_memory_options_init(&older, sizeof older) == SAM_MM_OK);
    CHECK(older.struct_size == sizeof older && isnan(older.fraction) && isnan(older.host_threshold));
    CHECK(older.lower_precision == 1 && older.cpu_fallback == 1 && older.monitor == 1);
    CHECK(older.monitor_period_ms == 1000 && older.monitor_image_cache_bytes == 1000 * MB && older.max_age_ms == 1000);
    CHECK(older.monitor_device_threshold == 0.8 && older.nvml_library == NULL && older.cudart_library == NULL);

    older.fraction = 7; /* Lies behind what an older program knew of. */
    older.struct_size = offsetof(sam_mm_memory_options, fraction);
    sam_mm_destroy(make_context(&older));

    CHECK(sam_mm_memory_options_init(&newer.memory, sizeof newer) == SAM_MM_OK && newer.later == 0);
    sam_mm_destroy(make_context(&newer.memory));
    newer.later = 1;
    FAILS(try_context(&newer.memory, &context, &error), SAM_MM_ERR_UNSUPPORTED, "sam_mm_memory_options of ");
}

/* Takes the oldest event; 0 when there is none. */
static int next_event(sam_mm_context *context, sam_mm_memory_event *event) {
    uint32_t has_event = 7;
    event->struct_size = sizeof *event;
    OK(sam_mm_memory_event_poll(context, event, &has_event, &error));
    CHECK(has_event <= 1 && (has_event == 1) == (event->kind != 0));
    return (int)has_event;
}

static void nonsense_in_the_environment_gives_the_default_and_a_warning(void) {
    static const char *const bad[][2] = {
        {"SAM_GPU_MEMORY_FRACTION", "lots"},
        {"SAM_MEMORY_WARNING_THRESHOLD", "80%"},
        {"SAM_MEMORY_CRITICAL_THRESHOLD", "nan"},
        {"SAM_ENABLE_MEMORY_GROWTH", "maybe"},
    };
    sam_mm_memory_event event;
    sam_mm_context *context;
    sam_mm_memory_options memory = quiet_memory();
    unsigned seen = 0;
    size_t i;

    for (i = 0; i < 4; ++i) {
        CHECK(setenv(bad[i][0], bad[i][1], 1) == 0);
    }
    context = make_context(&memory);
    while (next_event(context, &event)) {
        CHECK(event.kind == SAM_MM_EVENT_CONFIG_WARNING && event.bytes == 0 && isnan(event.value));
        for (i = 0; i < 4; ++i) {
            if (strncmp(event.message, bad[i][0], strlen(bad[i][0])) == 0) {
                CHECK(strstr(event.message, bad[i][1]) != NULL && strstr(event.message, "; using ") != NULL);
                seen |= 1u << i;
            }
        }
    }
    CHECK(seen == 15);
    sam_mm_destroy(context);

    /* What the caller says goes before what the environment says, which then needs no warning. */
    memory.fraction = 0.5;
    memory.warning_threshold = 0.5;
    memory.critical_threshold = 0.6;
    memory.growth = SAM_MM_GROWTH_ENABLED;
    context = make_context(&memory);
    CHECK(!next_event(context, &event));
    sam_mm_destroy(context);
    for (i = 0; i < 4; ++i) {
        CHECK(unsetenv(bad[i][0]) == 0);
    }
}

/* ---- figures, status, gates --------------------------------------------------------------------------------------- */

static sam_mm_memory_status status_of(sam_mm_context *context) {
    sam_mm_memory_status answer = {.struct_size = sizeof answer};
    (void)figures(context);
    OK(sam_mm_memory_check(context, &answer, &error));
    return answer;
}

static uint32_t may_cache(sam_mm_context *context, uint32_t tier) {
    uint32_t answer = 7;
    (void)figures(context);
    OK(sam_mm_memory_should_cache(context, tier, &answer, &error));
    return answer;
}

static void before_a_backend_is_loaded_there_is_no_device(sam_mm_context *context) {
    sam_mm_memory_info info = figures(context);
    CHECK(strcmp(info.formatted, "Running on CPU - memory stats not available") == 0);
    CHECK((info.known & SAM_MM_MEMORY_DEVICE) == 0 && info.source == SAM_MM_SOURCE_NONE && isnan(info.utilization));
    CHECK(status_of(context).level == SAM_MM_STATUS_OK);
}

static void a_cpu_is_never_too_full(sam_mm_context *context) {
    sam_mm_memory_info info = figures(context);
    sam_mm_memory_status status = status_of(context);
    CHECK(strcmp(info.formatted, "Running on CPU - memory stats not available") == 0);
    CHECK((info.known & (SAM_MM_MEMORY_DEVICE | SAM_MM_MEMORY_PROCESS)) == 0 && isnan(info.utilization));
    CHECK((info.known & SAM_MM_MEMORY_ALLOCATOR) != 0 && info.allocated > 0 && info.reserved >= info.allocated);
    CHECK(info.device_name[0] == '\0' && info.device_uuid[0] == '\0' && info.failures[0] == '\0');
    CHECK(status.level == SAM_MM_STATUS_OK && isnan(status.utilization) && status.message[0] == '\0');
    CHECK(may_cache(context, SAM_MM_TIER_DEVICE) == 1 && may_cache(context, SAM_MM_TIER_HOST) == 1);
}

static void a_gpu_is_told_by_the_backend_when_nothing_else_tells(sam_mm_context *context) {
    sam_mm_memory_info info;
    pretend(1000 * MB, 300 * MB);
    info = figures(context);
    CHECK(info.source == SAM_MM_SOURCE_BACKEND && (info.known & SAM_MM_MEMORY_DEVICE) != 0);
    CHECK(info.total == 1000 * MB && info.used + info.free <= info.total && info.used >= 300 * MB);
    CHECK(info.utilization == (double)info.used / (double)info.total);
    CHECK((info.known & SAM_MM_MEMORY_PROCESS) == 0 && info.process == 0);
    CHECK(strncmp(info.formatted, "Used: 0.28 GB / Total: 0.93 GB (30.", 35) == 0);
    CHECK(strstr(info.failures, "/nowhere/nvml") != NULL && strstr(info.failures, "/nowhere/cudart") != NULL);
    CHECK(info.stale == 0);
}

static void thresholds_belong_to_the_graver_side(sam_mm_context *context) {
    sam_mm_memory_status status;
    pretend(1000 * MB, 300 * MB);
    status = status_of(context);
    CHECK(status.level == SAM_MM_STATUS_OK && isnan(status.utilization) && status.message[0] == '\0');
    CHECK(may_cache(context, SAM_MM_TIER_DEVICE) == 1);

    pretend(1000 * MB, 830 * MB);
    status = status_of(context);
    CHECK(status.level == SAM_MM_STATUS_WARNING && status.utilization >= 0.83 && status.utilization < 0.84);
    CHECK(strncmp(status.message, "High GPU memory usage: 83.", 26) == 0);
    CHECK(may_cache(context, SAM_MM_TIER_DEVICE) == 0 && may_cache(context, SAM_MM_TIER_HOST) == 1);

    pretend(1000 * MB, 960 * MB);
    status = status_of(context);
    CHECK(status.level == SAM_MM_STATUS_CRITICAL && status.utilization >= 0.96);
    CHECK(strncmp(status.message, "Critical GPU memory usage: 96.", 30) == 0);
    pretend(1000 * MB, 300 * MB);
}

static void a_full_host_closes_both_gates(void) {
    sam_mm_memory_options memory = quiet_memory();
    sam_mm_context *context;
    memory.host_threshold = 0;
    context = make_context(&memory);
    CHECK(may_cache(context, SAM_MM_TIER_DEVICE) == 0 && may_cache(context, SAM_MM_TIER_HOST) == 0);
    sam_mm_destroy(context);
}

static void an_output_is_not_written_past_its_size(sam_mm_context *context) {
    sam_mm_memory_info info;
    sam_mm_memory_event event;
    sam_mm_memory_report report;
    sam_mm_optimize_report done;
    const unsigned char *at;
    uint32_t has_event;
    size_t i;
#define ONLY_UP_TO(s, field, call) \
    do { \
        memset(&(s), 0x5a, sizeof(s)); \
        (s).struct_size = (uint32_t)((unsigned char *)&(s).field - (unsigned char *)&(s)); \
        OK(call); \
        at = (const unsigned char *)&(s); \
        for (i = (s).struct_size; i < sizeof(s); ++i) CHECK(at[i] == 0x5a); \
    } while (0)

    ONLY_UP_TO(info, process, sam_mem_info(context, &info, &error));
    CHECK(info.formatted[0] != '\0');
    ONLY_UP_TO(event, message, sam_mm_memory_event_poll(context, &event, &has_event, &error));
    ONLY_UP_TO(report, warnings, sam_mm_memory_describe(context, &report, &error));
    ONLY_UP_TO(done, known, sam_optimize(context, 1, &done, &error));
    CHECK(done.performed == 1);
#undef ONLY_UP_TO
}

/* ---- work --------------------------------------------------------------------------------------------------------- */

static void an_optimisation_tells_what_it_gave_back(sam_mm_context *context, sam_mm_model *model, sam_mm_image *image) {
    sam_mm_optimize_report report = {.struct_size = sizeof report};
    uint64_t kept;
    OK(sam_mm_image_encode(image, model, &error));
    kept = figures(context).embedding_cache;
    CHECK(kept > 0);

    OK(sam_optimize(context, 0, &report, &error));
    CHECK(report.performed == 0 && report.embedding_cache_bytes == 0 && report.allocator_bytes == 0);
    CHECK(figures(context).embedding_cache == kept);

    OK(sam_optimize(context, 1, &report, &error));
    CHECK(report.performed == 1 && report.embedding_cache_bytes == kept && report.image_cache_bytes == 0);
    CHECK(report.allocator_bytes > kept && (report.known & SAM_MM_MEMORY_ALLOCATOR) != 0);
    CHECK(report.allocated_before == report.allocated_after + kept);
    CHECK(((report.known & SAM_MM_MEMORY_DEVICE) != 0) == has_gpu);
    CHECK(report.used_before - report.used_after == (has_gpu ? report.allocator_bytes : 0));
    CHECK(figures(context).embedding_cache == 0);
}

static void only_what_is_short_is_given_back(void) {
    sam_mm_memory_options memory = quiet_memory();
    sam_mm_optimize_report report = {.struct_size = sizeof report};
    sam_mm_context *context = make_context(&memory);
    sam_mm_model *model = load(context);
    sam_mm_image *images[4];
    uint64_t kept;
    size_t i;
    pretend(1000 * MB, 0);
    for (i = 0; i < 4; ++i) {
        images[i] = new_image(context);
        OK(sam_mm_image_encode(images[i], model, &error));
    }
    kept = figures(context).embedding_cache;

    /* One byte more than what the allocator holds unused has to go: one embedding pays for it. */
    pretend(1000 * MB, 800 * MB - figures(context).allocated);
    CHECK(status_of(context).level == SAM_MM_STATUS_WARNING);
    OK(sam_optimize(context, 0, &report, &error));
    CHECK(report.performed == 1 && report.embedding_cache_bytes == kept / 4);
    CHECK(status_of(context).level == SAM_MM_STATUS_OK);
    /* It is kept all the same, in host memory. */
    CHECK(held_in(context, SAM_MM_CACHE_EMBEDDING_DEVICE).bytes == kept - kept / 4);
    CHECK(held_in(context, SAM_MM_CACHE_EMBEDDING_HOST).entries == (has_gpu ? 1 : 0));
    OK(sam_optimize(context, 0, &report, &error));
    CHECK(report.performed == 0);
    pretend(1000 * MB, 0);
    for (i = 0; i < 4; ++i) {
        sam_mm_image_free(images[i]);
    }
    sam_mm_model_free(model);
    sam_mm_destroy(context);
}

static sam_mm_memory_report counted(sam_mm_context *context) {
    sam_mm_memory_report report = {.struct_size = sizeof report};
    OK(sam_mm_memory_describe(context, &report, &error));
    return report;
}

static void a_result_tells_how_it_was_had(void) {
    sam_mm_memory_options memory = quiet_memory();
    sam_mm_context *context = make_context(&memory);
    sam_mm_model *model = load(context);
    sam_mm_image *image = new_image(context), *other = new_image(context), *third = new_image(context);
    sam_mm_result_info info;
    sam_mm_memory_event event;
    uint64_t downgrade = 0;
    int recovered = 0;

    /* Room for all: the best way. */
    pretend(1000 * MB, 0);
    OK(click(model, image, &info, &error));
    CHECK(info.on_cpu == 0 && info.precision == SAM_MM_PRECISION_FP32 && info.chunked_attention == 0);
    CHECK(info.recovered_by == SAM_MM_RUNG_NONE);

    /* Room for 3 MB below 90 %: full attention needs 4.2, chunked 1.05. */
    OK(sam_optimize(context, 1, NULL, &error));
    pretend(1000 * MB, 897 * MB);
    while (next_event(context, &event)) {
    }
    OK(click(model, image, &info, &error));
    CHECK(info.chunked_attention == 1 && info.on_cpu == 0 && info.precision == SAM_MM_PRECISION_FP32);
    while (next_event(context, &event)) {
        if (event.kind == SAM_MM_EVENT_PLAN_DOWNGRADED) {
            downgrade = event.bytes;
            CHECK(strstr(event.message, "chunked") != NULL && strstr(event.message, "instead of full") != NULL);
        }
    }
    CHECK(downgrade > 1000000 && downgrade < 1100000);

    /* No room at all, on a card that is critically full with what others hold: the CPU. */
    OK(sam_optimize(context, 1, NULL, &error));
    pretend(1000 * MB, 960 * MB);
    OK(click(model, image, &info, &error));
    CHECK(info.on_cpu == 1 && info.precision == SAM_MM_PRECISION_FP32);

    /* Memory that runs out all the same: the embedding kept of another image makes the room. */
    pretend(1000 * MB, 0);
    OK(click(model, other, &info, &error));
    script("oom encode 1 1");
    OK(click(model, third, &info, &error));
    CHECK(info.recovered_by == SAM_MM_RUNG_RELEASE_CACHES);
    while (next_event(context, &event)) {
        recovered += event.kind == SAM_MM_EVENT_RECOVERED;
    }
    CHECK(recovered == 1 && counted(context).recoveries_attempted == 1);
    CHECK(counted(context).recoveries_succeeded == 1 && counted(context).health == SAM_MM_HEALTH_HEALTHY);

    sam_mm_image_free(image);
    sam_mm_image_free(other);
    sam_mm_image_free(third);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
}

/* Figures told from memory are older than those that a plan has seen: they are no way back. */
static void a_threshold_is_crossed_once_however_old_the_figures_are(void) {
    sam_mm_memory_options memory = quiet_memory();
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    sam_mm_result_info info;
    int i;
    memory.max_age_ms = 600000;
    pretend(1000 * MB, 300 * MB);
    context = make_context(&memory);
    model = load(context);
    image = new_image(context);
    CHECK(figures(context).utilization < 0.4);
    pretend(1000 * MB, 830 * MB);
    for (i = 0; i < 3; ++i) {
        OK(click(model, image, &info, &error));
        CHECK(status_of(context).level == SAM_MM_STATUS_OK);
    }
    CHECK(counted(context).warnings == 1);
    pretend(1000 * MB, 0);
    sam_mm_image_free(image);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
}

static void a_refusal_has_the_numbers_and_leaves_everything_usable(void) {
    sam_mm_memory_options memory = quiet_memory();
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    sam_mm_result_info info;
    uint64_t optimizations;
    memory.cpu_fallback = 0;
    pretend(1000 * MB, 0);
    context = make_context(&memory);
    model = load(context);
    image = new_image(context);

    pretend(1000 * MB, 960 * MB);
    FAILS(click(model, image, &info, &error), SAM_MM_ERR_OUT_OF_MEMORY, "Critical GPU memory usage: 96.");
    optimizations = counted(context).optimizations;
    FAILS(click(model, image, &info, &error), SAM_MM_ERR_OUT_OF_MEMORY, "close other programs");
    CHECK(counted(context).operations_failed == 2 && counted(context).recoveries_attempted == 0);
    /* Nothing was left of ours to give back, and nothing is said to have been. */
    CHECK(counted(context).optimizations == optimizations);

    pretend(1000 * MB, 0);
    script("fail encode 0 4 the pretended memory ran out");
    FAILS(click(model, image, &info, &error), SAM_MM_ERR_OUT_OF_MEMORY, "ran out of memory");
    script("fail encode 0 6 a device-side assert of CUDA");
    FAILS(click(model, image, &info, &error), SAM_MM_ERR_BACKEND, "assert");
    CHECK(counted(context).recoveries_attempted == 1 && counted(context).recoveries_succeeded == 0);
    CHECK(counted(context).health == SAM_MM_HEALTH_CRITICAL);

    script("reset");
    pretend(1000 * MB, 0);
    /* A look at the device may have begun in between. */
    CHECK(status_of(context).level == SAM_MM_STATUS_OK);
    OK(click(model, image, &info, &error));
    CHECK(info.embedding_reused == 0);

    sam_mm_image_free(image);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
}

static void the_limit_is_set_on_the_allocator_without_growth_and_only_then(void) {
    sam_mm_memory_options memory = quiet_memory();
    sam_mm_backend_info info = {.struct_size = sizeof info};
    sam_mm_context *context;
    pretend(1000 * MB, 0);
    memory.fraction = 0.5;
    memory.growth = SAM_MM_GROWTH_DISABLED;
    context = make_context(&memory);
    OK(sam_mm_backend_describe(context, &info, &error));
    CHECK(value("last.memory_limit_bytes") == (int64_t)(500 * MB));
    sam_mm_destroy(context);

    memory.growth = SAM_MM_GROWTH_ENABLED;
    context = make_context(&memory);
    OK(sam_mm_backend_describe(context, &info, &error));
    CHECK(value("last.memory_limit_bytes") == 0);
    sam_mm_destroy(context);
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

typedef struct {
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    sam_mm_memory_event events[16];
    uint32_t count;
    uint64_t seen_embeddings;
} received;

static void remember(void *user_data, const sam_mm_memory_event *event) {
    received *all = user_data;
    sam_mm_model *model;
    sam_mm_memory_info info = {.struct_size = sizeof info};
    CHECK(event->struct_size == sizeof *event && all->count < 16);
    all->events[all->count++] = *event;
    /* Questions are answered from inside a callback; nothing there waits for itself. */
    OK(sam_mem_info(all->context, &info, &error));
    all->seen_embeddings = info.embedding_cache;
    (void)status_of(all->context);
    (void)counted(all->context);
    OK(sam_optimize(all->context, 1, NULL, &error));
    FAILS(sam_mm_memory_events_set(all->context, NULL, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "from inside");
    FAILS(sam_mm_log_set(all->context, NULL, NULL, 0, &error), SAM_MM_ERR_INVALID_ARGUMENT, "from inside");
    FAILS(sam_mm_image_encode(all->image, all->model, &error), SAM_MM_ERR_INVALID_ARGUMENT, "from inside");
    FAILS(click(all->model, all->image, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "from inside");
    FAILS(sam_mm_model_load(all->context, NULL, &model, &error), SAM_MM_ERR_INVALID_ARGUMENT, "from inside");
}

static void the_callback_gets_what_the_queue_gets(sam_mm_context *context, sam_mm_model *model, sam_mm_image *image) {
    static received all;
    sam_mm_memory_event event;
    uint32_t from_queue = 0, from_inside = 0;
    all.context = context;
    all.model = model;
    all.image = image;
    while (next_event(context, &event)) {
    }
    OK(sam_mm_memory_events_set(context, remember, &all, &error));
    OK(sam_optimize(context, 1, NULL, &error));
    OK(sam_optimize(context, 1, NULL, &error));
    OK(sam_mm_memory_events_set(context, NULL, NULL, &error));
    OK(sam_optimize(context, 1, NULL, &error));
    CHECK(all.count == 2 && all.seen_embeddings == 0);
    while (next_event(context, &event)) {
        CHECK(event.kind == SAM_MM_EVENT_OPTIMIZED && strstr(event.message, "(forced)") != NULL);
        if (from_queue < all.count && event.number == all.events[from_queue].number) {
            const sam_mm_memory_event *told = &all.events[from_queue++];
            CHECK(event.kind == told->kind && event.at_ms == told->at_ms && event.bytes == told->bytes);
            CHECK(strcmp(event.message, told->message) == 0);
        } else {
            ++from_inside;
        }
    }
    /* What the callback caused, and what came after it was removed, went to the queue alone. */
    CHECK(from_queue == 2 && from_inside == 3);
}

static void pause_a_moment(void) {
    const struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
}

typedef struct {
    sam_mm_context *context;
    int entered, leave, left, unregistered;
} slow_call;

#define SET(field) __atomic_store_n(&(field), 1, __ATOMIC_SEQ_CST)
#define IS_SET(field) __atomic_load_n(&(field), __ATOMIC_SEQ_CST)

static void dawdle(void *user_data, const sam_mm_memory_event *event) {
    slow_call *call = user_data;
    (void)event;
    SET(call->entered);
    while (!IS_SET(call->leave)) {
        pause_a_moment();
    }
    SET(call->left);
}

static void *optimise(void *user_data) {
    slow_call *call = user_data;
    OK(sam_optimize(call->context, 1, NULL, &error));
    return NULL;
}

static void *unregister(void *user_data) {
    slow_call *call = user_data;
    OK(sam_mm_memory_events_set(call->context, NULL, NULL, &error));
    CHECK(IS_SET(call->left));
    SET(call->unregistered);
    return NULL;
}

static void unregistering_waits_for_the_running_call(sam_mm_context *context) {
    static slow_call call;
    pthread_t working, waiting;
    int i;
    call.context = context;
    OK(sam_mm_memory_events_set(context, dawdle, &call, &error));
    CHECK(pthread_create(&working, NULL, optimise, &call) == 0);
    while (!IS_SET(call.entered)) {
        pause_a_moment();
    }
    CHECK(pthread_create(&waiting, NULL, unregister, &call) == 0);
    for (i = 0; i < 50; ++i) {
        pause_a_moment();
        CHECK(!IS_SET(call.unregistered));
    }
    SET(call.leave);
    CHECK(pthread_join(waiting, NULL) == 0 && pthread_join(working, NULL) == 0);
    CHECK(IS_SET(call.unregistered));
}

/* The background thread does what sam_optimize would, without being asked. */
static void the_monitor_relieves_a_full_gpu_of_what_is_unused(void) {
    sam_mm_memory_options memory = quiet_memory();
    sam_mm_memory_event event;
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    int waited = 0;
    memory.monitor = 1;
    memory.monitor_period_ms = 1;
    pretend(100 * MB, 0);
    context = make_context(&memory);
    model = load(context);
    image = new_image(context);
    OK(sam_mm_image_encode(image, model, &error));
    pretend(100 * MB, 82 * MB);
    do {
        while (!next_event(context, &event)) {
            CHECK(++waited < 60000);
            pause_a_moment();
        }
    } while (event.kind != SAM_MM_EVENT_MONITOR);
    CHECK(event.bytes > 4 * MB && strstr(event.message, "given back") != NULL);
    CHECK(figures(context).embedding_cache > 0);
    pretend(1000 * MB, 0);
    sam_mm_image_free(image);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
}

/* ---- report ------------------------------------------------------------------------------------------------------- */

static char *report_text(sam_mm_context *context) {
    uint64_t capacity = 0, required = 0;
    char *text = NULL;
    do {
        capacity = required;
        text = realloc(text, capacity + 1);
        CHECK(text != NULL);
        text[capacity] = 0x5a;
        OK(sam_mm_memory_report_json(context, capacity > 0 ? text : NULL, capacity, &required, &error));
        CHECK(text[capacity] == 0x5a && required > 2);
    } while (capacity < required);
    CHECK(strlen(text) + 1 == required);
    return text;
}

static void a_report_needs_its_room(sam_mm_context *context) {
    char small[8] = "12345";
    char *text = report_text(context);
    uint64_t required = strlen(text) + 1, capacity;
    /* One byte too few; the text may get longer or shorter between two calls. */
    do {
        capacity = required - 1;
        text[0] = 0x5a;
        OK(sam_mm_memory_report_json(context, text, capacity, &required, &error));
        text = realloc(text, required);
        CHECK(text != NULL);
    } while (required != capacity + 1);
    CHECK(text[0] == 0x5a);
    OK(sam_mm_memory_report_json(context, small, sizeof small, &required, &error));
    CHECK(required > sizeof small && strcmp(small, "12345") == 0);
    FAILS(sam_mm_memory_report_json(context, NULL, 5, &required, &error), SAM_MM_ERR_INVALID_ARGUMENT, "capacity of 5");
    CHECK(required == 0);
    FAILS(sam_mm_memory_report_json(context, small, 8, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "required is NULL");
    free(text);
}

static void print_report(sam_mm_context *context) {
    char *text = report_text(context);
    sam_mm_memory_report report = counted(context);
    printf("described %llu %llu %llu %llu %llu %llu\n", (unsigned long long)report.operations_succeeded,
           (unsigned long long)report.operations_failed, (unsigned long long)report.embedding_hits,
           (unsigned long long)report.embedding_misses, (unsigned long long)report.optimizations,
           (unsigned long long)report.recoveries_attempted);
    printf("%s\n", text);
    free(text);
}

/* ---- bad arguments ------------------------------------------------------------------------------------------------ */

static void handles_that_are_none_are_refused_everywhere(sam_mm_context *context) {
    sam_mm_memory_info info = {.struct_size = sizeof info};
    sam_mm_memory_status how_full = {.struct_size = sizeof how_full};
    sam_mm_memory_event event = {.struct_size = sizeof event};
    sam_mm_memory_report report = {.struct_size = sizeof report};
    sam_mm_optimize_report done = {.struct_size = sizeof done};
    uint32_t answer;
    uint64_t required;
#define REFUSED(call) FAILS(call, SAM_MM_ERR_INVALID_HANDLE, "is not a live sam_mm_context")
    REFUSED(sam_mem_info(context, &info, &error));
    CHECK(info.formatted[0] == '\0' && isnan(info.utilization));
    REFUSED(sam_mm_memory_check(context, &how_full, &error));
    answer = 7;
    REFUSED(sam_mm_memory_should_cache(context, SAM_MM_TIER_DEVICE, &answer, &error));
    CHECK(answer == 0);
    done.performed = 7;
    REFUSED(sam_optimize(context, 1, &done, &error));
    CHECK(done.performed == 0);
    REFUSED(sam_optimize(context, 1, NULL, &error));
    REFUSED(sam_mm_memory_events_set(context, remember, NULL, &error));
    answer = 7;
    REFUSED(sam_mm_memory_event_poll(context, &event, &answer, &error));
    CHECK(answer == 0);
    REFUSED(sam_mm_memory_describe(context, &report, &error));
    required = 7;
    REFUSED(sam_mm_memory_report_json(context, NULL, 0, &required, &error));
    CHECK(required == 0);
#undef REFUSED
}

static void places_that_are_none_are_refused(sam_mm_context *context) {
    sam_mm_memory_event event = {.struct_size = sizeof event};
    sam_mm_memory_status how_full = {.struct_size = 2};
    sam_mm_optimize_report done = {.struct_size = 0};
    uint32_t answer = 7;
#define REFUSED(call, text) FAILS(call, SAM_MM_ERR_INVALID_ARGUMENT, text)
    REFUSED(sam_mem_info(context, NULL, &error), "info (sam_mm_memory_info) is NULL");
    REFUSED(sam_mm_memory_check(context, NULL, &error), "status (sam_mm_memory_status) is NULL");
    REFUSED(sam_mm_memory_check(context, &how_full, &error), "struct_size 2");
    REFUSED(sam_mm_memory_should_cache(context, SAM_MM_TIER_HOST, NULL, &error), "may_cache is NULL");
    REFUSED(sam_mm_memory_should_cache(context, 7, &answer, &error), "tier is 7");
    CHECK(answer == 0);
    REFUSED(sam_optimize(context, 0, &done, &error), "struct_size 0");
    REFUSED(sam_mm_memory_event_poll(context, &event, NULL, &error), "has_event is NULL");
    REFUSED(sam_mm_memory_event_poll(context, NULL, &answer, &error), "event (sam_mm_memory_event) is NULL");
    REFUSED(sam_mm_memory_describe(context, NULL, &error), "report (sam_mm_memory_report) is NULL");
#undef REFUSED
    /* An error is not wanted by everybody. */
    CHECK(sam_mem_info(context, NULL, NULL) == SAM_MM_ERR_INVALID_ARGUMENT);
}

int main(int argc, char **argv) {
    sam_mm_memory_options memory;
    sam_mm_context *context, *stale;
    sam_mm_model *model;
    sam_mm_image *image;

    CHECK(argc == 3);
    backend = argv[1];
    device = argv[2];
    has_gpu = strcmp(device, "cpu") != 0;
    find_the_fakes_wheel();

    bad_options_are_refused_with_their_value();
    options_of_other_sizes_are_understood();
    nonsense_in_the_environment_gives_the_default_and_a_warning();
    a_full_host_closes_both_gates();

    memory = quiet_memory();
    context = make_context(&memory);
    before_a_backend_is_loaded_there_is_no_device(context);
    model = load(context);
    image = new_image(context);
    if (has_gpu) {
        a_gpu_is_told_by_the_backend_when_nothing_else_tells(context);
        thresholds_belong_to_the_graver_side(context);
    } else {
        a_cpu_is_never_too_full(context);
    }
    an_optimisation_tells_what_it_gave_back(context, model, image);
    an_output_is_not_written_past_its_size(context);
    the_callback_gets_what_the_queue_gets(context, model, image);
    unregistering_waits_for_the_running_call(context);
    a_report_needs_its_room(context);
    places_that_are_none_are_refused(context);
    handles_that_are_none_are_refused_everywhere(NULL);
    handles_that_are_none_are_refused_everywhere((sam_mm_context *)model);
    stale = make_context(&memory);
    sam_mm_destroy(stale);
    handles_that_are_none_are_refused_everywhere(stale);
    print_report(context);
    sam_mm_image_free(image);
    sam_mm_model_free(model);
    sam_mm_destroy(context);

    if (has_gpu) {
        the_monitor_relieves_a_full_gpu_of_what_is_unused();
        the_limit_is_set_on_the_allocator_without_growth_and_only_then();
        only_what_is_short_is_given_back();
        a_threshold_is_crossed_once_however_old_the_figures_are();
        a_result_tells_how_it_was_had();
        a_refusal_has_the_numbers_and_leaves_everything_usable();
    }
    puts("memory kept");
    return 0;
}
