/* A project outside of sam-mm's tree: opens a picture, clicks once, and says what was found. Takes a binary PPM and the x
 * and y of the click. */

#include <sam_mm.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(const char *step, sam_mm_error *error) {
    fprintf(stderr, "%s: %s\n", step, sam_mm_error_message(error));
    sam_mm_error_free(error);
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (argc != 4) return EXIT_FAILURE;
    unsigned width, height;
    FILE *file = fopen(argv[1], "rb");
    if (!file || fscanf(file, "P6 %u %u 255", &width, &height) != 2 || fgetc(file) == EOF) return EXIT_FAILURE;
    const size_t bytes = (size_t)width * height * 3;
    uint8_t *rgb = malloc(bytes);
    if (!rgb || fread(rgb, 1, bytes, file) != bytes) return EXIT_FAILURE;
    fclose(file);

    sam_mm_error *error = NULL;
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    sam_mm_result *result;
    if (sam_mm_abi_version() != SAM_MM_ABI_VERSION) return EXIT_FAILURE;
    if (sam_mm_init(NULL, &context, &error) != SAM_MM_OK) return fail("starting", error);
    if (sam_mm_model_load(context, NULL, &model, &error) != SAM_MM_OK) return fail("loading", error);
    sam_mm_image_desc desc;
    sam_mm_image_desc_init(&desc, sizeof desc);
    desc.width = width;
    desc.height = height;
    desc.data = rgb;
    desc.data_len = bytes;
    if (sam_mm_image_create(context, &desc, &image, &error) != SAM_MM_OK) return fail("the picture", error);

    const float click[2] = {strtof(argv[2], NULL), strtof(argv[3], NULL)};
    sam_mm_prompt prompt;
    sam_mm_prompt_init(&prompt, sizeof prompt);
    prompt.points = click;
    prompt.num_points = 1;
    sam_mm_predict_request request;
    sam_mm_predict_request_init(&request, sizeof request);
    request.prompts = &prompt;
    request.num_prompts = 1;
    if (sam_predict(model, image, &request, &result, &error) != SAM_MM_OK) return fail("predicting", error);

    uint32_t best;
    sam_mm_mask_info info = {.struct_size = sizeof info};
    sam_mm_bitmask mask = {.struct_size = sizeof mask};
    if (sam_mm_result_best_mask(result, 0, &best, &error) != SAM_MM_OK) return fail("choosing", error);
    if (sam_mm_result_mask_info(result, best, &info, &error) != SAM_MM_OK) return fail("measuring", error);
    if (sam_mm_result_bitmask(result, best, &mask, &error) != SAM_MM_OK) return fail("the mask", error);
    const int inside = mask.data[(size_t)click[1] * mask.row_stride + (size_t)click[0]];
    printf("%llu pixels, score %.3f, the click is %s\n", (unsigned long long)info.area, info.score,
           inside ? "inside" : "outside");

    sam_mm_result_free(result);
    sam_mm_image_free(image);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
    free(rgb);
    return inside ? EXIT_SUCCESS : EXIT_FAILURE;
}
