/* The contract of sam_mm.h, from the side of a C caller. Runs against any backend whose device is the CPU; takes the
 * backend's path. Exits with 1 and names the line whose check failed. */
#include "check.h"

#include <math.h>

#define WIDTH 96
#define HEIGHT 64

static unsigned char pixels[WIDTH * HEIGHT * 3];
static int log_lines;

static void count_line(void *user_data, int32_t level, const char *message) {
    CHECK(user_data == &log_lines && level >= SAM_MM_LOG_ERROR && level <= SAM_MM_LOG_DEBUG && message[0] != '\0');
    ++log_lines;
}

static void versions_and_names(void) {
    CHECK(strchr(sam_mm_version(), '.') != NULL);
    CHECK(sam_mm_abi_version() == SAM_MM_ABI_VERSION);
    CHECK(strcmp(sam_mm_status_name(SAM_MM_ERR_OUT_OF_MEMORY), "SAM_MM_ERR_OUT_OF_MEMORY") == 0);
    CHECK(strcmp(sam_mm_status_name(-7), "unknown status") == 0);
    CHECK(sam_mm_error_code(NULL) == SAM_MM_ERR_INVALID_HANDLE);
    CHECK(strstr(sam_mm_error_message(NULL), "no error") != NULL);
    CHECK(sam_mm_error_cause(NULL, 0) == NULL);
}

static void freeing_nothing_is_no_fault(void) {
    sam_mm_error_free(NULL);
    sam_mm_destroy(NULL);
    sam_mm_model_free(NULL);
    sam_mm_image_free(NULL);
    sam_mm_result_free(NULL);
}

static sam_mm_image_desc description(void) {
    sam_mm_image_desc desc;
    CHECK(sam_mm_image_desc_init(&desc, sizeof desc) == SAM_MM_OK);
    desc.width = WIDTH;
    desc.height = HEIGHT;
    desc.data = pixels;
    desc.data_len = sizeof pixels;
    return desc;
}

static sam_mm_context *make_context(const char *backend) {
    sam_mm_context *context;
    sam_mm_options options;
    CHECK(sam_mm_options_init(&options, sizeof options) == SAM_MM_OK);
    options.backend_path = backend;
    options.device = "cpu";
    options.log_callback = count_line;
    options.log_user_data = &log_lines;
    options.log_level = SAM_MM_LOG_DEBUG;
    OK(sam_mm_init(&options, &context, &error));
    return context;
}

static void options_are_checked(void) {
    sam_mm_context *context = (sam_mm_context *)&context;
    struct {
        sam_mm_options options;
        uint64_t later;
    } newer;
    sam_mm_options options;
    sam_mm_memory_options memory;

    FAILS(sam_mm_init(NULL, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "context is NULL");
    CHECK(sam_mm_options_init(NULL, sizeof options) == SAM_MM_ERR_INVALID_ARGUMENT);
    CHECK(sam_mm_options_init(&options, sizeof options) == SAM_MM_OK);
    options.struct_size = 3;
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "struct_size 3");
    CHECK(context == NULL);
    options.struct_size = sizeof options;
    options.device = "tpu:0";
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "tpu:0");
    options.device = NULL;
    options.backend_path = "";
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "backend_path is \"\"");
    options.backend_path = NULL;
    options.device = "caf\xe9";
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "UTF-8");
    options.device = NULL;
    options.log_callback = count_line;
    options.log_level = 99;
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "99");
    options.log_callback = NULL;
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "99");
    options.log_level = SAM_MM_LOG_WARN;
    options.reserved = 1;
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "reserved is 1");
    options.reserved = 0;
    options.reserved_2 = 2;
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "reserved_2 is 2");
    options.reserved_2 = 0;
    CHECK(sam_mm_memory_options_init(&memory, sizeof memory) == SAM_MM_OK);
    memory.reserved = 3;
    options.memory = &memory;
    FAILS(sam_mm_init(&options, &context, &error), SAM_MM_ERR_INVALID_ARGUMENT, "memory.reserved is 3");

    CHECK(sam_mm_options_init(&newer.options, sizeof newer) == SAM_MM_OK && newer.later == 0);
    OK(sam_mm_init(&newer.options, &context, &error));
    sam_mm_destroy(context);
    newer.later = 1;
    FAILS(sam_mm_init(&newer.options, &context, &error), SAM_MM_ERR_UNSUPPORTED, "does not know");
}

static void images_are_checked(sam_mm_context *context) {
    sam_mm_image *image = (sam_mm_image *)&image;
    sam_mm_image_desc desc = description();

    FAILS(sam_mm_image_create(context, NULL, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "desc (sam_mm_image_desc) is NULL");
    CHECK(image == NULL);
    FAILS(sam_mm_image_create(NULL, &desc, &image, &error), SAM_MM_ERR_INVALID_HANDLE, "NULL");
    FAILS(sam_mm_image_create((sam_mm_context *)&desc, &desc, &image, &error), SAM_MM_ERR_INVALID_HANDLE, "never made");
    desc.format = 17;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "17");
    desc = description();
    desc.content_id_len = 5;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "content_id is NULL");
    desc.content_id = pixels;
    desc.content_id_len = 0;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "content_id_len is 0");
    desc.content_id_len = 4097;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "4097");
    desc = description();
    desc.data = NULL;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "data is NULL");
    desc = description();
    desc.data_len -= 1;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "18431");
    desc = description();
    desc.row_stride = WIDTH * 3 - 1;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "287");
    desc = description();
    desc.width = 0;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "0 x 64");
    desc = description();
    desc.width = desc.height = 0xffffffffu;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "4294967295");
    desc = description();
    desc.width = desc.height = 65535;
    desc.data_len = UINT64_MAX;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "1073741824");
    desc = description();
    desc.row_stride = UINT64_MAX;
    FAILS(sam_mm_image_create(context, &desc, &image, &error), SAM_MM_ERR_INVALID_ARGUMENT, "");
}

static void models_are_checked(sam_mm_context *context) {
    sam_mm_model *model = (sam_mm_model *)&model;
    sam_mm_model_options options;
    CHECK(sam_mm_model_options_init(&options, sizeof options) == SAM_MM_OK);
    options.data_len = 5;
    FAILS(sam_mm_model_load(context, &options, &model, &error), SAM_MM_ERR_INVALID_ARGUMENT, "data is NULL, but data_len is 5");
    CHECK(model == NULL);
}

static sam_mm_prompt click(const float *point) {
    sam_mm_prompt prompt;
    CHECK(sam_mm_prompt_init(&prompt, sizeof prompt) == SAM_MM_OK);
    prompt.points = point;
    prompt.num_points = 1;
    return prompt;
}

static sam_mm_predict_request asking(const sam_mm_prompt *prompts, uint32_t count) {
    sam_mm_predict_request request;
    CHECK(sam_mm_predict_request_init(&request, sizeof request) == SAM_MM_OK);
    request.prompts = prompts;
    request.num_prompts = count;
    return request;
}

static void prompts_are_checked(sam_mm_model *model, sam_mm_image *image) {
    static const float here[2] = {20, 30};
    float bad[2] = {20, 30}, box[4] = {10, 10, 5, 20}, logits[9] = {0};
    int32_t label = 7;
    sam_mm_result *result = (sam_mm_result *)&label;
    sam_mm_prompt prompt = click(here);
    sam_mm_predict_request request = asking(&prompt, 1);
#define REFUSED(text) FAILS(sam_predict(model, image, &request, &result, &error), SAM_MM_ERR_INVALID_ARGUMENT, text)

    FAILS(sam_predict(NULL, image, &request, &result, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_model");
    CHECK(result == NULL);
    FAILS(sam_predict(model, (sam_mm_image *)model, &request, &result, &error), SAM_MM_ERR_INVALID_HANDLE, "another kind");
    FAILS(sam_predict(model, image, NULL, &result, &error), SAM_MM_ERR_INVALID_ARGUMENT, "NULL");
    FAILS(sam_predict(model, image, &request, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "result is NULL");
    request.num_prompts = 0;
    REFUSED("no prompts");
    request.num_prompts = 4000000000u;
    REFUSED("4000000000");
    request = asking(NULL, 1);
    REFUSED("prompts is NULL, but num_prompts is 1");
    request = asking(&prompt, 1);
    request.num_boxes = 1;
    REFUSED("boxes is NULL, but num_boxes is 1");

    request = asking(&prompt, 1);
    prompt.num_points = 0;
    REFUSED("empty");
    prompt.num_points = 4000000000u;
    REFUSED("4000000000");
    prompt = click(bad);
    bad[0] = NAN;
    REFUSED("NaN");
    bad[0] = WIDTH + 0.5f;
    REFUSED("96.5");
    bad[0] = -1;
    REFUSED("-1");
    prompt = click(NULL);
    REFUSED("points of prompt 0 is NULL, but num_points is 1");
    prompt = click(here);
    prompt.labels = &label;
    REFUSED("label 7");
    prompt = click(here);
    prompt.bounding_box = box;
    REFUSED("inside out");
    box[2] = box[0];
    REFUSED("no area");
    prompt = click(here);
    prompt.mask_input = logits;
    REFUSED("mask_input_len");
    prompt.mask_input_len = 9;
    REFUSED("9 values");
    prompt.mask_input = NULL;
    REFUSED("mask_input of prompt 0 is NULL, but mask_input_len is 9");
    prompt = click(here);
    prompt.struct_size = 1u << 30;
    REFUSED("struct_size");
}

static void every_form_of_a_mask_agrees(const sam_mm_result *result, uint32_t index) {
    sam_mm_mask_info info = {.struct_size = sizeof info};
    sam_mm_bitmask mask = {.struct_size = sizeof mask};
    sam_mm_rle rle = {.struct_size = sizeof rle};
    sam_mm_polygons polygons = {.struct_size = sizeof polygons};
    unsigned char copy[HEIGHT][WIDTH + 5], packed[HEIGHT][WIDTH];
    uint64_t area = 0, sum = 0, inside = 0;
    double twice_signed_area = 0;
    uint32_t x, y, i;

    OK(sam_mm_result_mask_info(result, index, &info, &error));
    OK(sam_mm_result_bitmask(result, index, &mask, &error));
    CHECK(mask.width == WIDTH && mask.height == HEIGHT && mask.row_stride >= WIDTH);
    memset(copy, 77, sizeof copy);
    memset(packed, 77, sizeof packed);
    OK(sam_mm_result_bitmask_copy(result, index, 255, &copy[0][0], sizeof copy, sizeof copy[0], &error));
    OK(sam_mm_result_bitmask_copy(result, index, 255, &packed[0][0], sizeof packed, 0, &error));
    for (y = 0; y < HEIGHT; ++y) {
        for (x = 0; x < WIDTH; ++x) {
            unsigned char pixel = mask.data[y * mask.row_stride + x];
            CHECK(pixel <= 1 && copy[y][x] == 255 * pixel && packed[y][x] == copy[y][x]);
            area += pixel;
        }
        CHECK(y + 1 == HEIGHT || (copy[y][WIDTH] == 77 && copy[y][WIDTH + 4] == 77));
    }
    CHECK(area == info.area);

    OK(sam_mm_result_rle(result, index, &rle, &error));
    for (i = 0; i < rle.num_counts; ++i) {
        sum += rle.counts[i];
        inside += i % 2 == 1 ? rle.counts[i] : 0;
    }
    CHECK(rle.width == WIDTH && rle.height == HEIGHT && sum == WIDTH * HEIGHT && inside == area);
    CHECK(strlen(rle.compressed) == rle.compressed_len);

    OK(sam_mm_result_polygons(result, index, NULL, &polygons, &error));
    for (i = 0; i < polygons.num_rings; ++i) {
        uint32_t first = polygons.ring_starts[i], end = polygons.ring_starts[i + 1], k;
        CHECK(end >= first + 4 && polygons.parents[i] < (int32_t)i);
        for (k = first; k < end; ++k) {
            const float *a = &polygons.points[2 * k], *b = &polygons.points[2 * (k + 1 < end ? k + 1 : first)];
            twice_signed_area += (double)a[0] * b[1] - (double)b[0] * a[1];
        }
    }
    CHECK(twice_signed_area == 2.0 * (double)area);
}

static void a_result_outlives_its_parents(sam_mm_model *model, sam_mm_image *image, sam_mm_context *context) {
    static const float points[4] = {20, 30, 70, 40}, boxes[4] = {8, 8, 60, 50};
    sam_mm_prompt prompts[2];
    sam_mm_predict_request request = asking(prompts, 2);
    sam_mm_result *result, *refined;
    sam_mm_result_info info = {.struct_size = sizeof info};
    sam_mm_mask_info mask = {.struct_size = sizeof mask};
    const float *logits;
    uint64_t logits_len;
    uint32_t i, best;

    prompts[0] = click(points);
    prompts[1] = click(points + 2);
    request.boxes = boxes;
    request.num_boxes = 1;
    OK(sam_predict(model, image, &request, &result, &error));
    OK(sam_mm_result_describe(result, &info, &error));
    CHECK(info.num_objects == 3 && info.num_masks == 3 * info.masks_per_object && info.masks_per_object >= 1);
    CHECK(info.width == WIDTH && info.height == HEIGHT && info.decode_ms >= 0);
    CHECK(info.embedding_reused == 1);
    OK(sam_mm_result_best_mask(result, 1, &best, &error));
    CHECK(best / info.masks_per_object == 1);
    FAILS(sam_mm_result_best_mask(result, 3, &best, &error), SAM_MM_ERR_INVALID_ARGUMENT, "is 3");
    FAILS(sam_mm_result_mask_info(result, info.num_masks, &mask, &error), SAM_MM_ERR_INVALID_ARGUMENT, "mask_index");
    OK(sam_mm_result_mask_info(result, best, &mask, &error));
    CHECK(mask.has_object_score == 0 && mask.object_score == 0);

    OK(sam_mm_result_logits(result, best, &logits, &logits_len, &error));
    CHECK(logits_len == (uint64_t)info.mask_size * info.mask_size);
    prompts[1].mask_input = logits;
    prompts[1].mask_input_len = logits_len;
    request = asking(&prompts[1], 1);
    request.multimask = 0;
    OK(sam_predict(model, image, &request, &refined, &error));

    sam_mm_image_free(image);
    sam_mm_destroy(context);
    sam_mm_model_free(model);
    FAILS(sam_predict(model, image, &request, &refined, &error), SAM_MM_ERR_INVALID_HANDLE, "freed before");

    for (i = 0; i < info.num_masks; ++i) {
        every_form_of_a_mask_agrees(result, i);
    }
    sam_mm_result_free(result);
    sam_mm_result_free(result);
    FAILS(sam_mm_result_describe(result, &info, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_result");
}

/* Whether a click on an image of this description was answered from the cache. */
static int clicked_before(sam_mm_context *context, sam_mm_model *model, const sam_mm_image_desc *desc) {
    static const float here[2] = {41, 23};
    sam_mm_prompt prompt = click(here);
    sam_mm_predict_request request = asking(&prompt, 1);
    sam_mm_result_info info = {.struct_size = sizeof info};
    sam_mm_image *image;
    sam_mm_result *result;
    OK(sam_mm_image_create(context, desc, &image, &error));
    OK(sam_predict(model, image, &request, &result, &error));
    sam_mm_image_free(image);
    OK(sam_mm_result_describe(result, &info, &error));
    CHECK(!info.prediction_reused || (info.embedding_reused == 1 && info.decode_ms == 0));
    sam_mm_result_free(result);
    return (int)info.prediction_reused;
}

static void the_same_picture_is_known_again(sam_mm_context *context, sam_mm_model *model) {
    static const unsigned char name[] = "a picture of the test";
    sam_mm_memory_report report = {.struct_size = sizeof report};
    sam_mm_image_desc desc = description();
    CHECK(!clicked_before(context, model, &desc));
    CHECK(clicked_before(context, model, &desc));
    desc.content_id = name;
    desc.content_id_len = sizeof name;
    CHECK(!clicked_before(context, model, &desc));
    pixels[0] ^= 1;
    CHECK(clicked_before(context, model, &desc));
    desc.content_id_len -= 1;
    CHECK(!clicked_before(context, model, &desc));
    OK(sam_mm_memory_describe(context, &report, &error));
    CHECK(report.prediction_hits == 2 && report.prediction_misses == 3);
}

static void the_log_stops_when_told(sam_mm_context *context) {
    sam_mm_optimize_report report = {.struct_size = sizeof report};
    int before;
    OK(sam_optimize(context, 1, &report, &error));
    CHECK(report.performed == 1);
    CHECK(log_lines > 0);
    OK(sam_mm_log_set(context, NULL, NULL, 0, &error));
    before = log_lines;
    OK(sam_optimize(context, 1, NULL, &error));
    CHECK(log_lines == before);
    FAILS(sam_mm_log_set(context, NULL, NULL, 77, &error), SAM_MM_ERR_INVALID_ARGUMENT, "77");
    FAILS(sam_mm_log_set(NULL, NULL, NULL, 0, &error), SAM_MM_ERR_INVALID_HANDLE, "NULL");
}

int main(int argc, char **argv) {
    sam_mm_context *context, *other;
    sam_mm_model *model;
    sam_mm_image *image, *foreign;
    sam_mm_image_desc desc = description();
    sam_mm_model_info model_info = {.struct_size = sizeof model_info};
    sam_mm_backend_info backend = {.struct_size = sizeof backend};
    sam_mm_memory_info memory = {.struct_size = sizeof memory};
    static const float here[2] = {20, 30};
    sam_mm_prompt prompt = click(here);
    sam_mm_predict_request request = asking(&prompt, 1);
    sam_mm_result *result;
    size_t i;

    CHECK(argc == 2);
    for (i = 0; i < sizeof pixels; ++i) {
        pixels[i] = (unsigned char)(i * 37 + i / 291);
    }
    versions_and_names();
    freeing_nothing_is_no_fault();
    options_are_checked();

    context = make_context(argv[1]);
    images_are_checked(context);
    models_are_checked(context);
    OK(sam_mm_backend_describe(context, &backend, &error));
    CHECK(backend.name[0] != '\0' && strcmp(backend.device, "cpu") == 0 && backend.trail[0] != '\0');
    OK(sam_mm_model_load(context, NULL, &model, &error));
    OK(sam_mm_model_describe(model, &model_info, &error));
    CHECK(model_info.mask_size > 0 && model_info.multimask_count > 0 && model_info.family[0] != '\0');
    OK(sam_mm_image_create(context, &desc, &image, &error));
    prompts_are_checked(model, image);

    other = make_context(argv[1]);
    OK(sam_mm_image_create(other, &desc, &foreign, &error));
    FAILS(sam_predict(model, foreign, &request, &result, &error), SAM_MM_ERR_INVALID_ARGUMENT, "another context");
    sam_mm_image_free(foreign);
    sam_mm_destroy(other);

    the_same_picture_is_known_again(context, model);
    OK(sam_mm_image_encode(image, model, &error));
    OK(sam_mem_info(context, &memory, &error));
    CHECK(memory.embedding_cache > 0 && memory.formatted[0] != '\0');
    the_log_stops_when_told(context);
    OK(sam_mem_info(context, &memory, &error));
    CHECK(memory.embedding_cache == 0);
    OK(sam_mm_image_encode(image, model, &error));
    a_result_outlives_its_parents(model, image, context);
    puts("contract kept");
    return 0;
}
