/* Makes the masks of the shared cases in C and writes their hashes: what every other language must give.
 *
 * hash_cases CASES HASHES: CASES holds cases.json as lines of words, as `cargo xtask test bindings` writes it:
 *
 *     image FILE                             the picture
 *     case NAME MULTIMASK PROMPTS BOXES
 *     prompt POINTS HAS_BOX MASK_OF          MASK_OF: a case above, or -
 *     X Y LABEL                              of each point
 *     X0 Y0 X1 Y1                            of the prompt's box, then of the case's boxes
 */

#include <sam_mm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sha256.h"

enum { MOST = 16 };

typedef struct {
    char name[64];
    sam_mm_result *result;
} answered;

typedef struct {
    float points[MOST][2];
    int32_t labels[MOST];
    float box[4];
} coordinates;

static void require(int condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "hash_cases: %s\n", what);
        exit(1);
    }
}

static void succeed(int32_t status, sam_mm_error *error, const char *what) {
    if (status != SAM_MM_OK) fprintf(stderr, "hash_cases: %s: %s\n", what, sam_mm_error_message(error));
    if (status != SAM_MM_OK) exit(1);
}

static sam_mm_image *read_image(sam_mm_context *context, const char *path) {
    FILE *file = fopen(path, "rb");
    unsigned width, height;
    require(file && fscanf(file, "P6 %u %u 255", &width, &height) == 2 && fgetc(file) != EOF, "the picture is no PPM");
    const size_t bytes = (size_t)width * height * 3;
    uint8_t *rgb = malloc(bytes);
    require(rgb && fread(rgb, 1, bytes, file) == bytes, "the picture is cut off");
    fclose(file);

    sam_mm_error *error = NULL;
    sam_mm_image *image;
    sam_mm_image_desc desc;
    sam_mm_image_desc_init(&desc, sizeof desc);
    desc.width = width;
    desc.height = height;
    desc.data = rgb;
    desc.data_len = bytes;
    const int32_t status = sam_mm_image_create(context, &desc, &image, &error);
    succeed(status, error, "taking the picture");
    free(rgb);
    return image;
}

/* Reads one prompt. */
static void read_prompt(FILE *cases, const answered *before, int num_before, coordinates *at, sam_mm_prompt *prompt) {
    unsigned num_points, has_box;
    char mask_of[64];
    require(fscanf(cases, " prompt %u %u %63s", &num_points, &has_box, mask_of) == 3 && num_points <= MOST,
            "a prompt is wanted");
    sam_mm_prompt_init(prompt, sizeof *prompt);
    prompt->num_points = num_points;
    prompt->points = num_points ? at->points[0] : NULL;
    prompt->labels = num_points ? at->labels : NULL;
    for (unsigned i = 0; i < num_points; i++) {
        require(fscanf(cases, "%f %f %d", &at->points[i][0], &at->points[i][1], &at->labels[i]) == 3,
                "a point is wanted");
    }
    if (has_box) {
        require(fscanf(cases, "%f %f %f %f", &at->box[0], &at->box[1], &at->box[2], &at->box[3]) == 4,
                "a box is wanted");
        prompt->bounding_box = at->box;
    }
    for (int i = 0; i < num_before; i++) {
        if (strcmp(before[i].name, mask_of) != 0) continue;
        sam_mm_error *error = NULL;
        uint32_t best;
        int32_t status = sam_mm_result_best_mask(before[i].result, 0, &best, &error);
        succeed(status, error, "the best mask");
        status = sam_mm_result_logits(before[i].result, best, &prompt->mask_input, &prompt->mask_input_len, &error);
        succeed(status, error, "the logits");
    }
    require(strcmp(mask_of, "-") == 0 || prompt->mask_input, "a case is named that is not above");
}

/* Predicts what one case asks for; 0 at the end of the file. */
static int answer(FILE *cases, sam_mm_model *model, sam_mm_image *image, answered *all, int number) {
    static coordinates at[MOST];
    sam_mm_prompt prompts[MOST];
    float boxes[MOST][4];
    unsigned multimask, num_prompts, num_boxes;
    if (fscanf(cases, " case %63s %u %u %u", all[number].name, &multimask, &num_prompts, &num_boxes) != 4) return 0;
    require(number < MOST && num_prompts <= MOST && num_boxes <= MOST, "there is too much of something");
    for (unsigned i = 0; i < num_prompts; i++) read_prompt(cases, all, number, &at[i], &prompts[i]);
    for (unsigned i = 0; i < num_boxes; i++) {
        float *box = boxes[i];
        require(fscanf(cases, "%f %f %f %f", &box[0], &box[1], &box[2], &box[3]) == 4, "a box is wanted");
    }
    sam_mm_predict_request request;
    sam_mm_predict_request_init(&request, sizeof request);
    request.multimask = multimask;
    request.prompts = num_prompts ? prompts : NULL;
    request.num_prompts = num_prompts;
    request.boxes = num_boxes ? boxes[0] : NULL;
    request.num_boxes = num_boxes;
    sam_mm_error *error = NULL;
    const int32_t status = sam_predict(model, image, &request, &all[number].result, &error);
    succeed(status, error, all[number].name);
    return 1;
}

static void hash(const sam_mm_result *result, char hex[65]) {
    sam_mm_error *error = NULL;
    sam_mm_result_info info = {.struct_size = sizeof info};
    int32_t status = sam_mm_result_describe(result, &info, &error);
    succeed(status, error, "describing a result");
    sha256 hash;
    sha256_start(&hash);
    for (uint32_t object = 0; object < info.num_objects; object++) {
        uint32_t best;
        sam_mm_bitmask mask = {.struct_size = sizeof mask};
        status = sam_mm_result_best_mask(result, object, &best, &error);
        succeed(status, error, "the best mask");
        status = sam_mm_result_bitmask(result, best, &mask, &error);
        succeed(status, error, "making a mask");
        for (uint32_t y = 0; y < mask.height; y++) sha256_add(&hash, mask.data + y * mask.row_stride, mask.width);
    }
    sha256_finish(&hash, hex);
}

int main(int argc, char **argv) {
    require(argc == 3, "usage: hash_cases CASES HASHES");
    FILE *cases = fopen(argv[1], "r"), *hashes = fopen(argv[2], "w");
    char picture[1024];
    require(cases && fscanf(cases, " image %1023[^\n]", picture) == 1, "the cases cannot be read");
    require(hashes != NULL, "the hashes cannot be written");

    sam_mm_error *error = NULL;
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_options options;
    sam_mm_options_init(&options, sizeof options);
    options.device = "cpu";
    options.num_threads = 1;
    int32_t status = sam_mm_init(&options, &context, &error);
    succeed(status, error, "starting");
    status = sam_mm_model_load(context, NULL, &model, &error);
    succeed(status, error, "loading the demo model");
    sam_mm_image *image = read_image(context, picture);

    answered all[MOST + 1] = {{"", NULL}};
    int count = 0;
    while (answer(cases, model, image, all, count)) count++;
    require(feof(cases) && count > 0, "the cases end too early");
    fprintf(hashes, "{");
    for (int i = 0; i < count; i++) {
        char hex[65];
        hash(all[i].result, hex);
        fprintf(hashes, "%s\n  \"%s\": \"%s\"", i ? "," : "", all[i].name, hex);
        sam_mm_result_free(all[i].result);
    }
    fprintf(hashes, "\n}\n");
    require(fclose(hashes) == 0, "the hashes cannot be written");
    fclose(cases);
    sam_mm_image_free(image);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
    printf("%d cases\n", count);
    return 0;
}
