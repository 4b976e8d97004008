/* Jobs and prefetching, from the side of a C caller. Takes the path of a fake backend (tests/fake_backend), and "all", or "exit" to end the
 * process while a job runs. Exits with 1 and the line of a check that failed. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#define SIDE 64

static unsigned char pixels[SIDE * SIDE * 3];
static const char *backend;
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

static void pause_a_moment(void) {
    struct timespec moment = {0, 1000000};
    nanosleep(&moment, NULL);
}

static void until_it_blocks(const char *waiting) {
    while (value(waiting) < 1) {
        pause_a_moment();
    }
}

/* ---- makers ------------------------------------------------------------------------------------------------------- */

static sam_mm_context *make_context(void) {
    sam_mm_options options;
    sam_mm_memory_options memory;
    sam_mm_context *context;
    CHECK(sam_mm_options_init(&options, sizeof options) == SAM_MM_OK);
    CHECK(sam_mm_memory_options_init(&memory, sizeof memory) == SAM_MM_OK);
    memory.monitor = 0;
    memory.host_threshold = 1;
    options.memory = &memory;
    options.backend_path = backend;
    options.device = "cpu";
    OK(sam_mm_init(&options, &context, &error));
    return context;
}

static sam_mm_model *load(sam_mm_context *context) {
    sam_mm_model *model;
    OK(sam_mm_model_load(context, NULL, &model, &error));
    return model;
}

static sam_mm_image *new_image(sam_mm_context *context) {
    static uint32_t number; /* The pixels are always the same; each image is to be one of its own. */
    sam_mm_image_desc desc;
    sam_mm_image *image;
    CHECK(sam_mm_image_desc_init(&desc, sizeof desc) == SAM_MM_OK);
    desc.width = desc.height = SIDE;
    desc.data = pixels;
    desc.data_len = sizeof pixels;
    ++number;
    desc.content_id = (const unsigned char *)&number;
    desc.content_id_len = sizeof number;
    OK(sam_mm_image_create(context, &desc, &image, &error));
    return image;
}

static const float here[2] = {20, 30};

static sam_mm_predict_request a_click(sam_mm_prompt *prompt) {
    sam_mm_predict_request request;
    CHECK(sam_mm_prompt_init(prompt, sizeof *prompt) == SAM_MM_OK);
    prompt->points = here;
    prompt->num_points = 1;
    CHECK(sam_mm_predict_request_init(&request, sizeof request) == SAM_MM_OK);
    request.prompts = prompt;
    request.num_prompts = 1;
    return request;
}

static sam_mm_job *submit_click(sam_mm_model *model, sam_mm_image *image) {
    sam_mm_prompt prompt;
    sam_mm_predict_request request = a_click(&prompt);
    sam_mm_job *job;
    OK(sam_mm_job_submit_predict(model, image, &request, NULL, &job, &error));
    /* What was asked for was copied. */
    memset(&prompt, 0x5a, sizeof prompt);
    memset(&request, 0x5a, sizeof request);
    return job;
}

static sam_mm_job *submit_encode(sam_mm_model *model, sam_mm_image *image) {
    sam_mm_job *job;
    OK(sam_mm_job_submit_encode(model, image, NULL, &job, &error));
    return job;
}

/* Of an image that only the job holds. */
static sam_mm_job *submit_encode_of_another(sam_mm_context *context, sam_mm_model *model) {
    sam_mm_image *image = new_image(context);
    sam_mm_job *job = submit_encode(model, image);
    sam_mm_image_free(image);
    return job;
}

static uint32_t end_of(sam_mm_job *job) {
    uint32_t state;
    OK(sam_mm_job_wait(job, -1, &state, &error));
    return state;
}

static sam_mm_job_info info_of(const sam_mm_job *job) {
    sam_mm_job_info info = {.struct_size = sizeof info};
    OK(sam_mm_job_describe(job, &info, &error));
    return info;
}

/* ---- callbacks ---------------------------------------------------------------------------------------------------- */

/* What a callback was told, and what it could do. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls;
    sam_mm_job *job;
    uint32_t state;
    int32_t waited;
    /* When there is a model, the next job is submitted from inside. */
    sam_mm_model *model;
    sam_mm_image *image;
    sam_mm_job *next;
} told;

static void begin(told *t) {
    memset(t, 0, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
}

static void ended(void *user_data, sam_mm_job *job) {
    told *t = user_data;
    sam_mm_job_info info = {.struct_size = sizeof info};
    OK(sam_mm_job_describe(job, &info, &error));
    OK(sam_mm_job_cancel(job, &error));
    pthread_mutex_lock(&t->lock);
    t->waited = sam_mm_job_wait(job, 0, NULL, NULL);
    t->job = job;
    t->state = info.state;
    if (t->model != NULL) {
        OK(sam_mm_job_submit_encode(t->model, t->image, NULL, &t->next, &error));
    }
    t->calls++;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

static void until_called(told *t, int calls) {
    pthread_mutex_lock(&t->lock);
    while (t->calls < calls) {
        pthread_cond_wait(&t->changed, &t->lock);
    }
    CHECK(t->calls == calls);
    pthread_mutex_unlock(&t->lock);
}

static void a_callback_is_called_once_whenever_it_comes(sam_mm_context *context, sam_mm_model *model) {
    sam_mm_job_options options;
    sam_mm_image *image = new_image(context);
    sam_mm_job *job, *next;
    told t;
    begin(&t);
    CHECK(sam_mm_job_options_init(&options, sizeof options) == SAM_MM_OK);
    options.reserved = 1;
    FAILS(sam_mm_job_submit_encode(model, image, &options, &job, &error), SAM_MM_ERR_INVALID_ARGUMENT, "reserved is 1");
    options.reserved = 0;
    options.callback = ended;
    options.user_data = &t;
    t.model = model;
    t.image = image;
    OK(sam_mm_job_submit_encode(model, image, &options, &job, &error));
    until_called(&t, 1);
    CHECK(t.job == job && t.state == SAM_MM_JOB_SUCCEEDED && t.waited == SAM_MM_ERR_INVALID_ARGUMENT);
    next = t.next;
    CHECK(end_of(next) == SAM_MM_JOB_SUCCEEDED);
    /* After the end, and in the place of another. */
    t.model = NULL;
    OK(sam_mm_job_set_callback(next, NULL, NULL, &error));
    OK(sam_mm_job_set_callback(next, ended, &t, &error));
    until_called(&t, 2);
    CHECK(t.job == next);
    sam_mm_job_free(next);
    sam_mm_job_free(job);
    CHECK(t.calls == 2);
    /* Before the end; and freed before it, in which case it is not called. */
    script("block encode");
    job = submit_encode_of_another(context, model);
    next = submit_encode_of_another(context, model);
    OK(sam_mm_job_set_callback(job, ended, &t, &error));
    OK(sam_mm_job_set_callback(next, ended, &t, &error));
    sam_mm_job_free(next);
    script("unblock encode");
    until_called(&t, 3);
    CHECK(t.job == job);
    sam_mm_job_free(job);
    sam_mm_image_free(image);
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

static void wrong_arguments_are_refused_at_once(sam_mm_context *context, sam_mm_model *model, sam_mm_image *image) {
    sam_mm_prompt prompt;
    sam_mm_predict_request request = a_click(&prompt);
    sam_mm_display_options display;
    sam_mm_model_options options;
    sam_mm_job *job = (sam_mm_job *)&job;
    float outside[2] = {SIDE + 1, 0};
    FAILS(sam_mm_job_submit_predict(NULL, image, &request, NULL, &job, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_model");
    CHECK(job == NULL);
    prompt.points = outside;
    FAILS(sam_mm_job_submit_predict(model, image, &request, NULL, &job, &error), SAM_MM_ERR_INVALID_ARGUMENT, "65");
    FAILS(sam_mm_job_submit_encode(model, NULL, NULL, &job, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_image");
    CHECK(sam_mm_display_options_init(&display, sizeof display) == SAM_MM_OK);
    display.min_size = 4000;
    FAILS(sam_mm_job_submit_process(image, &display, NULL, &job, &error), SAM_MM_ERR_INVALID_ARGUMENT, "4000");
    CHECK(sam_mm_model_options_init(&options, sizeof options) == SAM_MM_OK);
    options.precision = 9;
    FAILS(sam_mm_job_submit_model_load(context, &options, NULL, &job, &error), SAM_MM_ERR_INVALID_ARGUMENT, "is 9");
    FAILS(sam_mm_job_submit_encode(model, image, NULL, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "job is NULL");
    FAILS(sam_mm_job_wait(NULL, 0, NULL, &error), SAM_MM_ERR_INVALID_HANDLE, "NULL");
    FAILS(sam_mm_job_cancel((sam_mm_job *)model, &error), SAM_MM_ERR_INVALID_HANDLE, "another kind");
    sam_mm_job_free(NULL);
}

static void each_kind_gives_what_its_call_gives(sam_mm_context *context) {
    unsigned char checkpoint[] = "fake-model\nparameters=777\n";
    sam_mm_model_options options;
    sam_mm_model_info model_info = {.struct_size = sizeof model_info};
    sam_mm_display_info display_info = {.struct_size = sizeof display_info};
    sam_mm_prompt prompt;
    sam_mm_predict_request request;
    sam_mm_image *image = new_image(context);
    sam_mm_job *job;
    sam_mm_model *model, *again;
    sam_mm_result *mine, *its;
    sam_mm_display *display;
    sam_mm_job_info info;
    const float *a, *b;
    uint64_t a_len, b_len;

    CHECK(sam_mm_model_options_init(&options, sizeof options) == SAM_MM_OK);
    options.data = checkpoint;
    options.data_len = sizeof checkpoint - 1;
    script("block model_load");
    OK(sam_mm_job_submit_model_load(context, &options, NULL, &job, &error));
    memset(checkpoint, 0, sizeof checkpoint);
    until_it_blocks("waiting.model_load");
    script("unblock model_load");
    CHECK(end_of(job) == SAM_MM_JOB_SUCCEEDED);
    info = info_of(job);
    CHECK(info.kind == SAM_MM_JOB_KIND_MODEL_LOAD && info.state == SAM_MM_JOB_SUCCEEDED && info.status == SAM_MM_OK);
    CHECK(info.stage == SAM_MM_JOB_STAGE_ENDED && info.progress == 1.0);
    FAILS(sam_mm_job_take_result(job, &its, &error), SAM_MM_ERR_INVALID_ARGUMENT, "sam_mm_job_take_model");
    OK(sam_mm_job_take_model(job, &model, &error));
    OK(sam_mm_model_describe(model, &model_info, &error));
    CHECK(model_info.parameters == 777);
    FAILS(sam_mm_job_take_model(job, &again, &error), SAM_MM_ERR_INVALID_ARGUMENT, "taken before");
    CHECK(again == NULL);
    OK(sam_mm_job_check(job, &error));
    sam_mm_job_free(job);
    sam_mm_job_free(job);
    FAILS(sam_mm_job_check(job, &error), SAM_MM_ERR_INVALID_HANDLE, "freed before");

    job = submit_encode(model, image);
    CHECK(end_of(job) == SAM_MM_JOB_SUCCEEDED);
    OK(sam_mm_job_check(job, &error));
    FAILS(sam_mm_job_take_result(job, &its, &error), SAM_MM_ERR_INVALID_ARGUMENT, "no result to take");
    sam_mm_job_free(job);

    job = submit_click(model, image);
    CHECK(end_of(job) == SAM_MM_JOB_SUCCEEDED);
    OK(sam_mm_job_take_result(job, &its, &error));
    sam_mm_job_free(job);
    request = a_click(&prompt);
    OK(sam_predict(model, image, &request, &mine, &error));
    OK(sam_mm_result_logits(its, 0, &a, &a_len, &error));
    OK(sam_mm_result_logits(mine, 0, &b, &b_len, &error));
    CHECK(a_len == b_len && memcmp(a, b, (size_t)a_len * sizeof *a) == 0);
    sam_mm_result_free(mine);
    sam_mm_result_free(its);

    OK(sam_mm_job_submit_process(image, NULL, NULL, &job, &error));
    sam_mm_image_free(image);
    CHECK(end_of(job) == SAM_MM_JOB_SUCCEEDED);
    OK(sam_mm_job_take_display(job, &display, &error));
    sam_mm_job_free(job);
    OK(sam_mm_display_describe(display, &display_info, &error));
    CHECK(display_info.original_width == SIDE && display_info.width == 1024);
    sam_mm_display_free(display);
    sam_mm_model_free(model);
}

static void a_job_can_be_watched_waited_for_and_cancelled(sam_mm_context *context, sam_mm_model *model) {
    sam_mm_cache_info before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};
    sam_mm_image *image = new_image(context);
    sam_mm_result *result;
    sam_mm_job *job, *behind;
    sam_mm_job_info info;
    uint32_t state = 77;
    OK(sam_mm_cache_describe(context, SAM_MM_CACHE_EMBEDDING, &before, &error));
    script("block encode");
    job = submit_click(model, image);
    until_it_blocks("waiting.encode");
    behind = submit_click(model, image);
    OK(sam_mm_job_wait(job, 1, &state, &error));
    CHECK(state == SAM_MM_JOB_RUNNING);
    OK(sam_mm_job_wait(job, 0, NULL, &error));
    FAILS(sam_mm_job_wait(job, -2, &state, &error), SAM_MM_ERR_INVALID_ARGUMENT, "-2");
    info = info_of(job);
    CHECK(info.kind == SAM_MM_JOB_KIND_PREDICT && info.state == SAM_MM_JOB_RUNNING && info.status == SAM_MM_OK);
    FAILS(sam_mm_job_take_result(job, &result, &error), SAM_MM_ERR_INVALID_ARGUMENT, "has not ended");
    FAILS(sam_mm_job_check(job, &error), SAM_MM_ERR_INVALID_ARGUMENT, "has not ended");
    CHECK(result == NULL);
    OK(sam_mm_job_cancel(behind, &error));
    CHECK(end_of(behind) == SAM_MM_JOB_CANCELLED);
    OK(sam_mm_job_cancel(job, &error));
    OK(sam_mm_job_cancel(job, &error));
    CHECK(end_of(job) == SAM_MM_JOB_CANCELLED);
    info = info_of(job);
    CHECK(info.status == SAM_MM_ERR_CANCELLED && info.stage == SAM_MM_JOB_STAGE_ENDED);
    FAILS(sam_mm_job_take_result(job, &result, &error), SAM_MM_ERR_CANCELLED, "cancelled");
    FAILS(sam_mm_job_take_result(job, &result, &error), SAM_MM_ERR_CANCELLED, "cancelled");
    script("unblock encode");
    OK(sam_mm_cache_describe(context, SAM_MM_CACHE_EMBEDDING, &after, &error));
    CHECK(after.entries == before.entries);
    sam_mm_job_free(job);
    sam_mm_job_free(behind);
    /* What failed gives the error of the call. */
    script("fail encode 1 11 the device fell off the bus");
    job = submit_click(model, image);
    CHECK(end_of(job) == SAM_MM_JOB_FAILED);
    CHECK(info_of(job).status == SAM_MM_ERR_DEVICE_LOST);
    FAILS(sam_mm_job_take_result(job, &result, &error), SAM_MM_ERR_DEVICE_LOST, "fell off the bus");
    FAILS(sam_mm_job_check(job, &error), SAM_MM_ERR_DEVICE_LOST, "fell off the bus");
    OK(sam_mm_job_cancel(job, &error));
    CHECK(info_of(job).state == SAM_MM_JOB_FAILED);
    sam_mm_job_free(job);
    sam_mm_image_free(image);
}

static int32_t stop_at_the_encoder(void *user_data, const sam_mm_progress *event) {
    CHECK(event->source == SAM_MM_PROGRESS_JOB && event->progress >= 0 && event->progress <= 1);
    *(uint64_t *)user_data = event->id;
    return event->stage == SAM_MM_JOB_STAGE_ENCODING;
}

static int polls(sam_mm_context *context, sam_mm_progress *event) {
    uint32_t has_event;
    OK(sam_mm_progress_poll(context, event, &has_event, &error));
    return has_event != 0;
}

static void progress_is_told_and_can_stop_the_work(sam_mm_context *context, sam_mm_model *model) {
    sam_mm_progress event = {.struct_size = sizeof event};
    sam_mm_image *image = new_image(context);
    uint64_t id = 0;
    uint32_t stages = 0;
    sam_mm_job *job;
    while (polls(context, &event)) {
    }
    OK(sam_mm_progress_set(context, stop_at_the_encoder, &id, &error));
    job = submit_click(model, image);
    CHECK(end_of(job) == SAM_MM_JOB_CANCELLED);
    CHECK(info_of(job).id == id && id != 0);
    sam_mm_job_free(job);
    OK(sam_mm_progress_set(context, NULL, NULL, &error));
    while (polls(context, &event)) {
    }
    job = submit_click(model, image);
    CHECK(end_of(job) == SAM_MM_JOB_SUCCEEDED);
    while (polls(context, &event)) {
        CHECK(event.id == info_of(job).id);
        stages |= 1u << event.stage;
    }
    CHECK(event.stage == 0 && stages == (1u << SAM_MM_JOB_STAGE_WAITING | 1u << SAM_MM_JOB_STAGE_READING |
                                         1u << SAM_MM_JOB_STAGE_ENCODING | 1u << SAM_MM_JOB_STAGE_DECODING |
                                         1u << SAM_MM_JOB_STAGE_ENDED));
    sam_mm_job_free(job);
    sam_mm_image_free(image);
}

/* ---- prefetching -------------------------------------------------------------------------------------------------- */

static sam_mm_prefetch_info prefetch_of(sam_mm_context *context) {
    sam_mm_prefetch_info info = {.struct_size = sizeof info};
    OK(sam_mm_prefetch_describe(context, &info, &error));
    return info;
}

static void until_prefetched(sam_mm_context *context, uint64_t done) {
    while (prefetch_of(context).done < done) {
        pause_a_moment();
    }
}

static void images_that_are_coming_are_encoded(sam_mm_context *context, sam_mm_model *model) {
    sam_mm_image *here = new_image(context), *coming = new_image(context), *gone = new_image(context);
    sam_mm_prompt prompt;
    sam_mm_predict_request request = a_click(&prompt);
    sam_mm_result_info info = {.struct_size = sizeof info};
    sam_mm_prefetch_info prefetch = {.struct_size = sizeof prefetch};
    sam_mm_result *result;
    FAILS(sam_mm_prefetch_add(NULL, here, 0, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_model");
    FAILS(sam_mm_prefetch_add(model, NULL, 0, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_image");
    FAILS(sam_mm_prefetch_describe(NULL, &prefetch, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_context");
    OK(sam_predict(model, here, &request, &result, &error));
    sam_mm_result_free(result);
    script("block encode");
    OK(sam_mm_prefetch_add(model, coming, 0, &error));
    until_it_blocks("waiting.encode");
    OK(sam_mm_prefetch_add(model, gone, -1, &error));
    OK(sam_mm_prefetch_add(model, gone, 7, &error));
    prefetch = prefetch_of(context);
    CHECK(prefetch.running == 1 && prefetch.queued == 1 && prefetch.queued_bytes == sizeof pixels);
    CHECK(prefetch.paused == SAM_MM_PREFETCH_NOT_PAUSED && prefetch.reason[0] == '\0');
    sam_mm_image_free(gone);
    /* The encoding that never ends is no obstacle. */
    request.multimask = 0;
    OK(sam_predict(model, here, &request, &result, &error));
    sam_mm_result_free(result);
    script("unblock encode");
    until_prefetched(context, 2);
    OK(sam_predict(model, coming, &request, &result, &error));
    OK(sam_mm_result_describe(result, &info, &error));
    CHECK(info.embedding_reused == 1 && info.prediction_reused == 0);
    sam_mm_result_free(result);
    script("block encode");
    gone = new_image(context);
    OK(sam_mm_prefetch_add(model, gone, 0, &error));
    until_it_blocks("waiting.encode");
    OK(sam_mm_prefetch_remove(model, gone, &error));
    OK(sam_mm_prefetch_clear(context, &error));
    while (prefetch_of(context).running) {
        pause_a_moment();
    }
    CHECK(prefetch_of(context).cancelled == 1);
    script("unblock encode");
    sam_mm_image_free(gone);
    sam_mm_image_free(coming);
    sam_mm_image_free(here);
}

static void a_context_takes_its_jobs_along(sam_mm_context *context, sam_mm_model *model) {
    sam_mm_job *jobs[8], *late;
    sam_mm_image *image = new_image(context);
    told t;
    int i;
    begin(&t);
    script("block encode");
    for (i = 0; i < 8; ++i) {
        jobs[i] = submit_encode_of_another(context, model);
        OK(sam_mm_job_set_callback(jobs[i], ended, &t, &error));
    }
    until_it_blocks("waiting.encode");
    OK(sam_mm_prefetch_add(model, image, 0, &error));
    sam_mm_destroy(context);
    CHECK(t.calls == 8);
    for (i = 0; i < 8; ++i) {
        CHECK(info_of(jobs[i]).state == SAM_MM_JOB_CANCELLED);
        sam_mm_job_free(jobs[i]);
    }
    script("unblock encode");
    FAILS(sam_mm_job_submit_encode(model, image, NULL, &late, &error), SAM_MM_ERR_INVALID_ARGUMENT, "was destroyed");
    CHECK(late == NULL);
    FAILS(sam_mm_prefetch_add(model, image, 0, &error), SAM_MM_ERR_INVALID_ARGUMENT, "was destroyed");
    OK(sam_mm_image_encode(image, model, &error));
    sam_mm_image_free(image);
}

int main(int argc, char **argv) {
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    size_t i;
    CHECK(argc == 3);
    backend = argv[1];
    find_the_fakes_wheel();
    for (i = 0; i < sizeof pixels; ++i) {
        pixels[i] = (unsigned char)(i * 37 + i / 291);
    }
    context = make_context();
    model = load(context);
    image = new_image(context);
    if (strcmp(argv[2], "exit") == 0) {
        /* Nothing is freed, and a job is in the middle of it. */
        script("block encode");
        submit_encode(model, image);
        submit_encode_of_another(context, model);
        OK(sam_mm_prefetch_add(load(context), image, 0, &error));
        until_it_blocks("waiting.encode");
        puts("left");
        return 0;
    }
    wrong_arguments_are_refused_at_once(context, model, image);
    each_kind_gives_what_its_call_gives(context);
    a_job_can_be_watched_waited_for_and_cancelled(context, model);
    a_callback_is_called_once_whenever_it_comes(context, model);
    progress_is_told_and_can_stop_the_work(context, model);
    images_that_are_coming_are_encoded(context, model);
    sam_mm_image_free(image);
    a_context_takes_its_jobs_along(context, model);
    sam_mm_model_free(model);
    CHECK(value("live.devices") == 0 && value("violations") == 0);
    puts("jobs kept");
    return 0;
}
