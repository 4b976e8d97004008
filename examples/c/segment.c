/* Segments objects of a picture with sam-mm and draws the masks over it.
 *
 * Without arguments: draws a scene, clicks each object once, and compares the masks with what was drawn. With --image it
 * takes a picture of yours, and with --checkpoint a model that knows photographs. The steps are in main, in order.
 */

#include <sam_mm.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "picture.h"
#include "png_write.h"
#include "scene.h"

/* Everything that must be given back at the end. Each part may be empty: freeing nothing is allowed. */
typedef struct {
    picture input, output;
    scene drawn; /* owner is NULL when the input is no drawn scene */
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    sam_mm_result *result;
} session;

static void close_session(session *s) {
    sam_mm_result_free(s->result);
    sam_mm_image_free(s->image);
    sam_mm_model_free(s->model);
    sam_mm_destroy(s->context);
    picture_free(&s->output);
    if (s->drawn.owner) {
        scene_free(&s->drawn); /* the input's pixels are the scene's */
    } else {
        picture_free(&s->input);
    }
}

/* Whether a call succeeded; if not, prints the error with its causes and frees it. */
static int succeeded(const char *step, int32_t status, sam_mm_error *error) {
    if (status == SAM_MM_OK) return 1;
    fprintf(stderr, "segment: %s: %s: %s\n", step, sam_mm_status_name(status), sam_mm_error_message(error));
    for (uint32_t depth = 0; sam_mm_error_cause(error, depth); depth++) {
        fprintf(stderr, "  because %s\n", sam_mm_error_cause(error, depth));
    }
    sam_mm_error_free(error);
    return 0;
}

/* ---- the picture and what is asked for ---- */

static int read_input(session *s, arguments *given) {
    if (given->image) {
        const char *problem = picture_read_ppm(&s->input, given->image);
        if (problem) fprintf(stderr, "segment: %s: %s\n", given->image, problem);
        return !problem;
    }
    if (!scene_draw(&s->drawn, given->seed)) {
        fprintf(stderr, "segment: no memory for the scene\n");
        return 0;
    }
    s->input = (picture){s->drawn.width, s->drawn.height, s->drawn.rgb};
    if (given->num_objects == 0) {
        given->num_objects = SCENE_OBJECTS;
        for (int i = 0; i < SCENE_OBJECTS; i++) {
            memcpy(given->objects[i].clicks[0], s->drawn.click[i], sizeof s->drawn.click[i]);
            given->objects[i].labels[0] = 1;
            given->objects[i].num_clicks = 1;
        }
    }
    return 1;
}

/* ---- sam-mm ---- */

static int start(session *s, const arguments *given) {
    sam_mm_error *error = NULL;
    sam_mm_options options;
    sam_mm_options_init(&options, sizeof options);
    options.device = given->device;
    options.backend_path = given->backend;
    options.num_threads = given->threads;
    int32_t status = sam_mm_init(&options, &s->context, &error);
    if (!succeeded("starting sam-mm", status, error)) return 0;

    sam_mm_model_options model_options;
    sam_mm_model_options_init(&model_options, sizeof model_options);
    model_options.path = given->checkpoint; /* NULL: the demo model */
    status = sam_mm_model_load(s->context, &model_options, &s->model, &error);
    if (!succeeded("loading the model", status, error)) return 0;

    sam_mm_model_info info = {.struct_size = sizeof info};
    status = sam_mm_model_describe(s->model, &info, &error);
    if (!succeeded("describing the model", status, error)) return 0;
    printf("Model: %s %s, %.1f million parameters, on %s\n", info.family, info.variant, (double)info.parameters / 1e6,
           info.device);
    return 1;
}

static int predict(session *s, const arguments *given) {
    sam_mm_error *error = NULL;
    sam_mm_image_desc desc;
    sam_mm_image_desc_init(&desc, sizeof desc);
    desc.format = SAM_MM_FORMAT_RGB8;
    desc.width = s->input.width;
    desc.height = s->input.height;
    desc.data = s->input.rgb;
    desc.data_len = (uint64_t)s->input.width * s->input.height * 3;
    int32_t status = sam_mm_image_create(s->context, &desc, &s->image, &error);
    if (!succeeded("taking the picture", status, error)) return 0;

    sam_mm_prompt prompts[MAX_OBJECTS];
    int is_ambiguous = 0;
    for (uint32_t i = 0; i < given->num_objects; i++) {
        const object_prompt *object = &given->objects[i];
        sam_mm_prompt_init(&prompts[i], sizeof prompts[i]);
        prompts[i].points = object->clicks[0];
        prompts[i].labels = object->labels;
        prompts[i].num_points = object->num_clicks;
        prompts[i].bounding_box = object->has_box ? object->box : NULL;
        /* A single click leaves open whether the part or the whole is meant. */
        is_ambiguous |= object->num_clicks == 1 && !object->has_box;
    }
    sam_mm_predict_request request;
    sam_mm_predict_request_init(&request, sizeof request);
    request.prompts = prompts;
    request.num_prompts = given->num_objects;
    request.multimask = (uint32_t)is_ambiguous; /* several masks per object, of which the best is taken */
    status = sam_predict(s->model, s->image, &request, &s->result, &error);
    return succeeded("predicting", status, error);
}

/* ---- what comes out ---- */

/* What was found of one object: the figures of its best mask, and the IoU with what was drawn ("null": not known). */
typedef struct {
    sam_mm_mask_info info;
    char iou[16];
} finding;

/* The object of the drawn scene that a prompt points at, counted from 1; 0: none, or no drawn scene. */
static int object_meant(const session *s, const object_prompt *prompt) {
    if (!s->drawn.owner) return 0;
    float x = (prompt->box[0] + prompt->box[2]) / 2, y = (prompt->box[1] + prompt->box[3]) / 2;
    for (uint32_t i = prompt->num_clicks; i-- > 0;) {
        if (prompt->labels[i] == 1) x = prompt->clicks[i][0], y = prompt->clicks[i][1];
    }
    if (!(x >= 0 && y >= 0 && x < (float)s->drawn.width && y < (float)s->drawn.height)) return 0;
    return s->drawn.owner[(size_t)y * s->drawn.width + (size_t)x];
}

/* Intersection over union of a mask and an object of the drawn scene. */
static double iou_with_truth(const session *s, const sam_mm_bitmask *mask, int object) {
    uint64_t both = 0, either = 0;
    for (uint32_t y = 0; y < mask->height; y++) {
        for (uint32_t x = 0; x < mask->width; x++) {
            const int found = mask->data[y * mask->row_stride + x];
            const int drawn = s->drawn.owner[(size_t)y * s->drawn.width + x] == object;
            both += found && drawn;
            either += found || drawn;
        }
    }
    return either ? (double)both / (double)either : 0;
}

/* Finds and draws the best mask of an object. */
static int show_object(session *s, const arguments *given, uint32_t object, finding *found) {
    sam_mm_error *error = NULL;
    uint32_t best = 0;
    int32_t status = sam_mm_result_best_mask(s->result, object, &best, &error);
    if (!succeeded("choosing the best mask", status, error)) return 0;
    found->info = (sam_mm_mask_info){.struct_size = sizeof found->info};
    status = sam_mm_result_mask_info(s->result, best, &found->info, &error);
    if (!succeeded("measuring the mask", status, error)) return 0;
    sam_mm_bitmask mask = {.struct_size = sizeof mask};
    status = sam_mm_result_bitmask(s->result, best, &mask, &error);
    if (!succeeded("making the mask", status, error)) return 0;

    picture_draw_mask(&s->output, s->output.width - mask.width, mask.data, mask.width, mask.height, mask.row_stride,
                      object);
    const int meant = object_meant(s, &given->objects[object]);
    snprintf(found->iou, sizeof found->iou, "null");
    if (meant) snprintf(found->iou, sizeof found->iou, "%.4f", iou_with_truth(s, &mask, meant));
    printf("Object %u: score %.3f, %llu pixels", object + 1, found->info.score, (unsigned long long)found->info.area);
    printf(meant ? ", IoU with what was drawn %s\n" : "\n", found->iou);
    return 1;
}

/* The picture with the prompts on the left, with the masks on the right. */
static int draw(session *s, const arguments *given, finding *findings) {
    const uint32_t gap = 8 + s->input.width / 100, right = s->input.width + gap;
    if (!picture_create(&s->output, right + s->input.width, s->input.height)) {
        fprintf(stderr, "segment: no memory for the overlay\n");
        return 0;
    }
    memset(s->output.rgb, 255, (size_t)s->output.width * s->output.height * 3);
    picture_paste(&s->output, &s->input, 0);
    picture_paste(&s->output, &s->input, right);
    picture_fade(&s->output, right);
    for (uint32_t i = 0; i < given->num_objects; i++) {
        const object_prompt *object = &given->objects[i];
        if (object->has_box) picture_draw_box(&s->output, 0, object->box);
        for (uint32_t j = 0; j < object->num_clicks; j++) {
            picture_draw_click(&s->output, 0, object->clicks[j][0], object->clicks[j][1], object->labels[j]);
        }
        if (!show_object(s, given, i, &findings[i])) return 0;
    }
    if (!png_write_rgb(given->overlay, s->output.rgb, s->output.width, s->output.height)) {
        fprintf(stderr, "segment: %s cannot be written: %s\n", given->overlay, strerror(errno));
        return 0;
    }
    return 1;
}

static void print_json_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        if ((unsigned char)*text < 0x20) printf("\\u%04x", (unsigned)*text);
        else putchar(*text);
    }
    putchar('"');
}

/* Memory and times for people, then everything on one line for programs. */
static int summarise(const session *s, const arguments *given, const finding *findings) {
    sam_mm_error *error = NULL;
    sam_mm_memory_info memory = {.struct_size = sizeof memory};
    int32_t status = sam_mem_info(s->context, &memory, &error);
    if (!succeeded("asking for memory figures", status, error)) return 0;
    sam_mm_result_info info = {.struct_size = sizeof info};
    status = sam_mm_result_describe(s->result, &info, &error);
    if (!succeeded("describing the result", status, error)) return 0;

    printf("Encoding the picture took %.1f ms, predicting %.1f ms\nMemory: %s\n", info.encode_ms, info.decode_ms,
           memory.formatted);
    printf("{\"masks\":[");
    for (uint32_t i = 0; i < given->num_objects; i++) {
        const sam_mm_mask_info *mask = &findings[i].info;
        const float *box = mask->bounding_box;
        printf("%s{\"score\":%.4f,\"area\":%llu,\"box\":[%g,%g,%g,%g],\"iou_truth\":%s}", i ? "," : "", mask->score,
               (unsigned long long)mask->area, box[0], box[1], box[2], box[3], findings[i].iou);
    }
    printf("],\"memory\":");
    print_json_text(memory.formatted);
    printf(",\"overlay\":");
    print_json_text(given->overlay);
    printf(",\"encode_ms\":%.3f,\"predict_ms\":%.3f}\n", info.encode_ms, info.decode_ms);
    return 1;
}

int main(int argc, char **argv) {
    arguments given;
    session s;
    finding findings[MAX_OBJECTS];
    memset(&s, 0, sizeof s);
    if (!arguments_read(&given, argc, argv)) return 2;
    const int done = read_input(&s, &given) && start(&s, &given) && predict(&s, &given) && draw(&s, &given, findings)
        && summarise(&s, &given, findings);
    close_session(&s);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
