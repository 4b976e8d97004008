/* The heart of an annotation tool: a list of pictures, of which the user opens one after the other and clicks objects.
 *
 * The picture on the screen never waits for sam-mm. The model loads as a job while the first picture is shown; the next
 * pictures are encoded before the user comes to them; each click is a job whose end is told by a callback, as a tool with
 * a window would want it; a click that the user has thought better of is cancelled; and what happens to memory is shown. The
 * pictures are drawn scenes, the user is a function, and the window is the terminal.
 *
 *     annotate [--pictures N] [--device NAME] [--backend FILE] [--checkpoint FILE]
 */

#include <sam_mm.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

#define MOST_PICTURES 32

typedef struct {
    scene drawn;
    sam_mm_image *image;
} page;

typedef struct {
    sam_mm_context *context;
    sam_mm_model *model;
    page pages[MOST_PICTURES];
    int num_pages;
    unsigned masks, cancelled;
} tool;

/* ---- errors ---- */

/* Whether a call succeeded; if not, tells why and frees the error. */
static int succeeded(const char *step, int32_t status, sam_mm_error *error) {
    if (status == SAM_MM_OK) return 1;
    fprintf(stderr, "annotate: %s: %s: %s\n", step, sam_mm_status_name(status), sam_mm_error_message(error));
    for (uint32_t depth = 0; sam_mm_error_cause(error, depth); depth++) {
        fprintf(stderr, "  because %s\n", sam_mm_error_cause(error, depth));
    }
    sam_mm_error_free(error);
    return 0;
}

/* ---- callbacks: they come on any thread, and do nothing but leave a note ---- */

static void on_log(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    fprintf(stderr, "annotate: %s%s\n", level == SAM_MM_LOG_ERROR ? "error: " : "", message);
}

/* A tool with a window posts a message to its own thread here, with the job's id. */
static void on_click_done(void *user_data, sam_mm_job *job) {
    sam_mm_job_info info = {.struct_size = sizeof info};
    if (sam_mm_job_describe(job, &info, NULL) == SAM_MM_OK) *(uint64_t *)user_data = info.id;
}

/* Non-zero would cancel; the bar of a window would be moved. */
static int32_t on_progress(void *user_data, const sam_mm_progress *event) {
    unsigned *steps = user_data;
    /* Each source tells from one thread at a time, but several may tell at once: count the prefetching alone. */
    if (event->source == SAM_MM_PROGRESS_PREFETCH) ++*steps;
    return 0;
}

/* ---- pictures ---- */

static int open_pages(tool *t) {
    for (int i = 0; i < t->num_pages; i++) {
        page *p = &t->pages[i];
        if (!scene_draw(&p->drawn, (uint64_t)i + 1)) {
            fprintf(stderr, "annotate: no memory for picture %d\n", i + 1);
            return 0;
        }
        char id[32]; /* what a tool has anyway, such as a path with its time; it saves reading all pixels */
        const int length = snprintf(id, sizeof id, "drawn scene %d", i + 1);
        sam_mm_error *error = NULL;
        sam_mm_image_desc desc;
        sam_mm_image_desc_init(&desc, sizeof desc);
        desc.width = p->drawn.width;
        desc.height = p->drawn.height;
        desc.data = p->drawn.rgb;
        desc.data_len = (uint64_t)p->drawn.width * p->drawn.height * 3;
        desc.content_id = (const uint8_t *)id;
        desc.content_id_len = (uint64_t)length;
        const int32_t status = sam_mm_image_create(t->context, &desc, &p->image, &error);
        if (!succeeded("opening a picture", status, error)) return 0;
    }
    return 1;
}

/* The picture as it is shown, while the model may still be loading. */
static int show(const page *p) {
    sam_mm_error *error = NULL;
    sam_mm_display *display;
    sam_mm_display_options options;
    sam_mm_display_options_init(&options, sizeof options);
    options.target_size = 800;
    options.format = SAM_MM_FORMAT_BGRA8;
    int32_t status = sam_mm_image_process(p->image, &options, &display, &error);
    if (!succeeded("showing a picture", status, error)) return 0;
    sam_mm_display_info info = {.struct_size = sizeof info};
    status = sam_mm_display_describe(display, &info, &error);
    printf("Showing %u x %u pixels as %u x %u\n", info.original_width, info.original_height, info.width, info.height);
    sam_mm_display_free(display);
    return succeeded("describing the picture shown", status, error);
}

/* Has the pictures that come next encoded, the nearest first. */
static int prepare_next(tool *t, int current) {
    for (int i = current + 1; i < t->num_pages && i <= current + 2; i++) {
        sam_mm_error *error = NULL;
        const int32_t status = sam_mm_prefetch_add(t->model, t->pages[i].image, -i, &error);
        if (!succeeded("preparing a picture", status, error)) return 0;
    }
    return 1;
}

/* ---- clicks ---- */

static sam_mm_job *submit_click(tool *t, const page *p, int object, uint64_t *done) {
    sam_mm_error *error = NULL;
    sam_mm_job *job = NULL;
    sam_mm_prompt prompt;
    sam_mm_prompt_init(&prompt, sizeof prompt);
    prompt.points = p->drawn.click[object];
    prompt.num_points = 1;
    sam_mm_predict_request request;
    sam_mm_predict_request_init(&request, sizeof request);
    request.prompts = &prompt;
    request.num_prompts = 1;
    sam_mm_job_options options;
    sam_mm_job_options_init(&options, sizeof options);
    options.callback = on_click_done;
    options.user_data = done;
    const int32_t status = sam_mm_job_submit_predict(t->model, p->image, &request, &options, &job, &error);
    succeeded("submitting a click", status, error);
    return job;
}

/* Stores the mask of a click as an annotation: here, a line with COCO's compressed run lengths. */
static int store(const sam_mm_result *result, int picture, int object) {
    sam_mm_error *error = NULL;
    uint32_t best = 0;
    int32_t status = sam_mm_result_best_mask(result, 0, &best, &error);
    if (!succeeded("choosing a mask", status, error)) return 0;
    sam_mm_mask_info mask = {.struct_size = sizeof mask};
    status = sam_mm_result_mask_info(result, best, &mask, &error);
    if (!succeeded("measuring a mask", status, error)) return 0;
    sam_mm_rle rle = {.struct_size = sizeof rle};
    status = sam_mm_result_rle(result, best, &rle, &error);
    if (!succeeded("encoding a mask", status, error)) return 0;
    printf("Picture %d, object %d: score %.3f, %llu pixels, %llu bytes of run lengths\n", picture + 1, object + 1,
           mask.score, (unsigned long long)mask.area, (unsigned long long)rle.compressed_len);
    return 1;
}

/* Waits for a click in steps, as a tool that redraws in between, and stores its mask. */
static int finish_click(tool *t, sam_mm_job *job, int picture, int object) {
    sam_mm_error *error = NULL;
    uint32_t state = SAM_MM_JOB_QUEUED;
    while (state < SAM_MM_JOB_SUCCEEDED) {
        const int32_t status = sam_mm_job_wait(job, 50, &state, &error);
        if (!succeeded("waiting for a click", status, error)) return 0;
    }
    sam_mm_result *result;
    const int32_t status = sam_mm_job_take_result(job, &result, &error);
    if (status == SAM_MM_ERR_CANCELLED) {
        sam_mm_error_free(error);
        t->cancelled++;
        return 1;
    }
    if (!succeeded("a click", status, error)) return 0;
    const int stored = store(result, picture, object);
    sam_mm_result_free(result);
    t->masks += (unsigned)stored;
    return stored;
}

/* The user clicks every object of a picture, and takes one more click back at once. */
static int annotate(tool *t, int picture) {
    const page *p = &t->pages[picture];
    sam_mm_job *jobs[SCENE_OBJECTS];
    uint64_t done[SCENE_OBJECTS + 1] = {0};
    int all = 1;
    for (int object = 0; object < SCENE_OBJECTS; object++) {
        jobs[object] = submit_click(t, p, object, &done[object]);
        all &= jobs[object] != NULL;
    }
    sam_mm_job *taken_back = submit_click(t, p, 0, &done[SCENE_OBJECTS]);
    sam_mm_job_cancel(taken_back, NULL);
    sam_mm_job_free(taken_back);
    for (int object = 0; object < SCENE_OBJECTS; object++) {
        all = all && finish_click(t, jobs[object], picture, object);
        /* From here on its callback does not run, so `done` may go. */
        sam_mm_job_free(jobs[object]);
    }
    return all;
}

/* ---- memory ---- */

static void show_memory(sam_mm_context *context) {
    sam_mm_memory_info info = {.struct_size = sizeof info};
    if (sam_mem_info(context, &info, NULL) == SAM_MM_OK) printf("Memory: %s\n", info.formatted);
    for (;;) {
        sam_mm_memory_event event = {.struct_size = sizeof event};
        uint32_t has_event = 0;
        if (sam_mm_memory_event_poll(context, &event, &has_event, NULL) != SAM_MM_OK || !has_event) return;
        printf("Memory event: %s\n", event.message);
    }
}

static void summarise(const tool *t, unsigned steps) {
    sam_mm_prefetch_info prefetch = {.struct_size = sizeof prefetch};
    sam_mm_cache_info cache = {.struct_size = sizeof cache};
    sam_mm_prefetch_describe(t->context, &prefetch, NULL);
    sam_mm_cache_describe(t->context, SAM_MM_CACHE_EMBEDDING, &cache, NULL);
    printf("%s", steps ? "Pictures were prepared in the background\n" : "");
    printf("{\"pictures\":%d,\"masks\":%u,\"prefetched\":%llu,\"skipped\":%llu,\"embeddings\":%llu}\n", t->num_pages,
           t->masks, (unsigned long long)prefetch.done, (unsigned long long)prefetch.skipped,
           (unsigned long long)cache.entries);
}

/* ---- the tool ---- */

static sam_mm_job *start(tool *t, int argc, char **argv) {
    sam_mm_error *error = NULL;
    sam_mm_job *job = NULL;
    sam_mm_options options;
    sam_mm_model_options model;
    sam_mm_options_init(&options, sizeof options);
    sam_mm_model_options_init(&model, sizeof model);
    options.log_callback = on_log;
    t->num_pages = 3;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--device")) options.device = argv[i + 1];
        if (!strcmp(argv[i], "--backend")) options.backend_path = argv[i + 1];
        if (!strcmp(argv[i], "--checkpoint")) model.path = argv[i + 1];
        if (!strcmp(argv[i], "--pictures")) t->num_pages = atoi(argv[i + 1]);
    }
    if (t->num_pages < 1 || t->num_pages > MOST_PICTURES) {
        fprintf(stderr, "annotate: --pictures takes 1 to %d\n", MOST_PICTURES);
        t->num_pages = 0;
        return NULL;
    }
    int32_t status = sam_mm_init(&options, &t->context, &error);
    if (!succeeded("starting sam-mm", status, error)) return NULL;
    status = sam_mm_job_submit_model_load(t->context, &model, NULL, &job, &error);
    succeeded("loading the model", status, error);
    return job;
}

static int run(tool *t, sam_mm_job *loading) {
    sam_mm_error *error = NULL;
    unsigned steps = 0;
    if (!loading || !open_pages(t) || !show(&t->pages[0])) return 0;
    int32_t status = sam_mm_progress_set(t->context, on_progress, &steps, &error);
    if (!succeeded("asking for progress", status, error)) return 0;
    status = sam_mm_job_wait(loading, -1, NULL, &error);
    if (!succeeded("waiting for the model", status, error)) return 0;
    status = sam_mm_job_take_model(loading, &t->model, &error);
    if (!succeeded("loading the model", status, error)) return 0;
    int done = 1;
    for (int i = 0; done && i < t->num_pages; i++) {
        done = prepare_next(t, i) && annotate(t, i);
        show_memory(t->context);
    }
    /* `steps` goes when this returns. */
    status = sam_mm_progress_set(t->context, NULL, NULL, &error);
    if (!succeeded("ending the progress", status, error)) return 0;
    if (done) summarise(t, steps);
    return done;
}

static void close_tool(tool *t) {
    for (int i = 0; i < t->num_pages; i++) {
        sam_mm_image_free(t->pages[i].image);
        scene_free(&t->pages[i].drawn);
    }
    sam_mm_model_free(t->model);
    sam_mm_destroy(t->context);
}

int main(int argc, char **argv) {
    static tool t;
    sam_mm_job *loading = start(&t, argc, argv);
    const int done = run(&t, loading);
    sam_mm_job_free(loading);
    close_tool(&t);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
