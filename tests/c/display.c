/* Display images and their cache, from the side of a C caller. Needs no backend. */
#include "check.h"

#include <math.h>

#define WIDTH 96
#define HEIGHT 64

static unsigned char pixels[WIDTH * HEIGHT * 3];

static sam_mm_context *make_context(void) {
    sam_mm_context *context;
    sam_mm_options options;
    CHECK(sam_mm_options_init(&options, sizeof options) == SAM_MM_OK);
    CHECK(options.image_cache_entries == 10 && options.image_cache_bytes == 256u << 20);
    options.image_cache_entries = 5;
    options.image_cache_bytes = 20u << 20;
    OK(sam_mm_init(&options, &context, &error));
    return context;
}

static sam_mm_image *make_image(sam_mm_context *context) {
    sam_mm_image *image;
    sam_mm_image_desc desc;
    CHECK(sam_mm_image_desc_init(&desc, sizeof desc) == SAM_MM_OK);
    desc.width = WIDTH;
    desc.height = HEIGHT;
    desc.data = pixels;
    desc.data_len = sizeof pixels;
    OK(sam_mm_image_create(context, &desc, &image, &error));
    return image;
}

/* The image is 96 x 64; the options show it at 192 x 128. */
static sam_mm_display_options twice(void) {
    sam_mm_display_options options;
    CHECK(sam_mm_display_options_init(&options, sizeof options) == SAM_MM_OK);
    CHECK(options.target_size == 1024 && options.min_size == 600 && options.max_size == 2048);
    CHECK(options.shrinking == SAM_MM_INTERPOLATION_AREA && options.enlarging == SAM_MM_INTERPOLATION_BILINEAR);
    options.target_size = 2 * WIDTH;
    options.min_size = 0;
    return options;
}

static void display_images_are_checked(sam_mm_image *image) {
    sam_mm_display *display = (sam_mm_display *)&display;
    sam_mm_display_info info = {.struct_size = sizeof info};
    sam_mm_display_options options = twice();
    static const float inside_out[4] = {5, 0, 4, 1};
    float point[2] = {NAN, 0}, box[4] = {7, 7, 7, 7};
    static unsigned char mask[HEIGHT * WIDTH], shown[4 * HEIGHT * WIDTH];
#define NOT_PROCESSED(text) \
    FAILS(sam_mm_image_process(image, &options, &display, &error), SAM_MM_ERR_INVALID_ARGUMENT, text)
#define NOT_CONVERTED(mask, mask_len, mask_stride, shown, shown_len, shown_stride, text) \
    FAILS(sam_mm_display_mask_to_display(display, mask, mask_len, mask_stride, shown, shown_len, shown_stride, &error), \
          SAM_MM_ERR_INVALID_ARGUMENT, text)

    FAILS(sam_mm_image_process(NULL, &options, &display, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_image");
    CHECK(display == NULL);
    FAILS(sam_mm_image_process(image, &options, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "display is NULL");
    options.max_size = 100;
    NOT_PROCESSED("max_size 100");
    options = twice();
    options.target_size = 0;
    NOT_PROCESSED("target_size is 0");
    options = twice();
    options.shrinking = 9;
    NOT_PROCESSED("shrinking is 9");
    options = twice();
    options.format = 17;
    NOT_PROCESSED("format is 17");
    options = twice();
    options.reserved = 1;
    NOT_PROCESSED("reserved is 1");
    FAILS(sam_mm_display_describe(NULL, &info, &error), SAM_MM_ERR_INVALID_HANDLE, "NULL");

    options = twice();
    OK(sam_mm_image_process(image, &options, &display, &error));
    FAILS(sam_mm_display_points_to_original(display, point, 1, point, &error), SAM_MM_ERR_INVALID_ARGUMENT, "point 0");
    FAILS(sam_mm_display_points_to_original(display, NULL, 1, point, &error), SAM_MM_ERR_INVALID_ARGUMENT, "points is NULL");
    FAILS(sam_mm_display_points_to_original(display, box, 1, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "converted is NULL");
    FAILS(sam_mm_display_points_to_display(display, box, UINT64_MAX, box, &error), SAM_MM_ERR_INVALID_ARGUMENT, "num_points");
    FAILS(sam_mm_display_boxes_to_original(display, inside_out, 1, box, &error), SAM_MM_ERR_INVALID_ARGUMENT, "inside out");
    FAILS(sam_mm_display_boxes_to_display(display, inside_out, 1, box, &error), SAM_MM_ERR_INVALID_ARGUMENT, "inside out");
    CHECK(box[0] == 7 && box[3] == 7);
    OK(sam_mm_display_points_to_original(display, NULL, 0, NULL, &error));
    NOT_CONVERTED(NULL, sizeof mask, 0, shown, sizeof shown, 0, "mask is NULL");
    NOT_CONVERTED(mask, sizeof mask, 0, NULL, sizeof shown, 0, "converted is NULL");
    NOT_CONVERTED(mask, sizeof mask - 1, 0, shown, sizeof shown, 0, "6143");
    NOT_CONVERTED(mask, sizeof mask, 0, shown, sizeof shown - 1, 0, "24575");
    NOT_CONVERTED(mask, sizeof mask, WIDTH - 1, shown, sizeof shown, 0, "stride of 95");
    NOT_CONVERTED(mask, sizeof mask, 0, mask, sizeof mask, 0, "overlaps");
    sam_mm_display_free(display);
    sam_mm_display_free(display);
    FAILS(sam_mm_display_describe(display, &info, &error), SAM_MM_ERR_INVALID_HANDLE, "freed before");
}

static void a_display_image_converts_there_and_back(sam_mm_image *image) {
    sam_mm_display *display;
    sam_mm_display_info info = {.struct_size = sizeof info};
    sam_mm_display_options options = twice();
    float values[4] = {10, 20, 191, 500};
    static unsigned char mask[HEIGHT][WIDTH], shown[2 * HEIGHT][2 * WIDTH + 3], back[HEIGHT][WIDTH];
    uint32_t x, y;

    options.format = SAM_MM_FORMAT_BGRA8;
    options.enlarging = SAM_MM_INTERPOLATION_NEAREST;
    OK(sam_mm_image_process(image, &options, &display, &error));
    OK(sam_mm_display_describe(display, &info, &error));
    CHECK(info.original_width == WIDTH && info.original_height == HEIGHT);
    CHECK(info.width == 2 * WIDTH && info.height == 2 * HEIGHT && info.scale_x == 2 && info.scale_y == 2);
    CHECK(info.aspect == 1.5 && info.original_aspect == 1.5 && info.format == SAM_MM_FORMAT_BGRA8);
    CHECK(info.row_stride == 8 * WIDTH && info.data_len == info.row_stride * info.height);
    for (y = 0; y < info.height; ++y) {
        for (x = 0; x < info.width; ++x) {
            const unsigned char *bgra = info.data + y * info.row_stride + 4 * x;
            const unsigned char *rgb = pixels + 3 * (y / 2 * WIDTH + x / 2);
            CHECK(bgra[0] == rgb[2] && bgra[1] == rgb[1] && bgra[2] == rgb[0] && bgra[3] == 255);
        }
    }
    OK(sam_mm_display_points_to_original(display, values, 2, values, &error));
    CHECK(values[0] == 5 && values[1] == 10 && values[2] == 95.5f && values[3] == HEIGHT);
    OK(sam_mm_display_points_to_display(display, values, 2, values, &error));
    CHECK(values[0] == 10 && values[1] == 20 && values[2] == 191 && values[3] == 2 * HEIGHT);
    OK(sam_mm_display_boxes_to_original(display, values, 1, values, &error));
    CHECK(values[0] == 5 && values[1] == 10 && values[2] == 95.5f && values[3] == HEIGHT);
    OK(sam_mm_display_boxes_to_display(display, values, 1, values, &error));
    CHECK(values[0] == 10 && values[3] == 2 * HEIGHT);

    for (y = 0; y < HEIGHT; ++y) {
        for (x = 0; x < WIDTH; ++x) {
            mask[y][x] = (unsigned char)(x * 7 + y);
        }
    }
    memset(shown, 77, sizeof shown);
    OK(sam_mm_display_mask_to_display(display, &mask[0][0], sizeof mask, 0, &shown[0][0], sizeof shown, sizeof shown[0],
                                      &error));
    CHECK(shown[5][9] == mask[2][4] && shown[5][2 * WIDTH] == 77);
    OK(sam_mm_display_mask_to_original(display, &shown[0][0], sizeof shown, sizeof shown[0], &back[0][0], sizeof back, 0,
                                       &error));
    CHECK(memcmp(mask, back, sizeof mask) == 0);
    sam_mm_display_free(display);
}

static void a_display_image_is_made_once_and_outlives_image_cache_and_context(sam_mm_context *context, sam_mm_image *image) {
    sam_mm_display *first, *second;
    sam_mm_display_info a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    sam_mm_cache_info cache = {.struct_size = sizeof cache};
    sam_mm_cache_info before = cache;
    uint64_t freed = 7, at, sum = 0;

    OK(sam_mm_cache_describe(context, SAM_MM_CACHE_IMAGE, &before, &error));
    OK(sam_mm_image_process(image, NULL, &first, &error));
    OK(sam_mm_image_process(image, NULL, &second, &error));
    OK(sam_mm_display_describe(first, &a, &error));
    OK(sam_mm_display_describe(second, &b, &error));
    CHECK(first != second && a.data == b.data && a.width == 1024 && a.height == 683);

    FAILS(sam_mm_cache_describe(NULL, SAM_MM_CACHE_IMAGE, &cache, &error), SAM_MM_ERR_INVALID_HANDLE, "NULL");
    FAILS(sam_mm_cache_describe(context, 9, &cache, &error), SAM_MM_ERR_INVALID_ARGUMENT, "cache is 9");
    FAILS(sam_mm_cache_clear(context, 9, &freed, &error), SAM_MM_ERR_INVALID_ARGUMENT, "cache is 9");
    CHECK(freed == 0);
    OK(sam_mm_cache_describe(context, SAM_MM_CACHE_EMBEDDING, &cache, &error));
    CHECK(cache.entries == 0 && cache.max_entries == UINT64_MAX && cache.max_bytes > 0);
    OK(sam_mm_cache_describe(context, SAM_MM_CACHE_IMAGE, &cache, &error));
    CHECK(cache.max_entries == 5 && cache.max_bytes == 20u << 20);
    CHECK(cache.hits == before.hits + 1 && cache.misses == before.misses + 1);
    /* Whether it is kept depends on how full the memory of this machine is. */
    CHECK(cache.entries <= 1 && (cache.entries == 0) == (cache.bytes == 0));

    OK(sam_mm_cache_clear(context, SAM_MM_CACHE_IMAGE, &freed, &error));
    CHECK(freed == 0);
    OK(sam_mm_cache_clear(context, SAM_MM_CACHE_PREDICTION, NULL, &error));
    OK(sam_mm_cache_describe(context, SAM_MM_CACHE_IMAGE, &cache, &error));
    CHECK(cache.entries == 0 && cache.bytes == 0);
    sam_mm_display_free(first);
    sam_mm_image_free(image);
    sam_mm_destroy(context);
    CHECK(b.data[0] == pixels[0]);
    for (at = 0; at < b.data_len; ++at) {
        sum += b.data[at];
    }
    CHECK(sum > 0);
    OK(sam_mm_display_describe(second, &a, &error));
    CHECK(a.data == b.data);
    sam_mm_display_free(second);
}

int main(void) {
    sam_mm_context *context = make_context();
    sam_mm_image *image;
    size_t i;

    for (i = 0; i < sizeof pixels; ++i) {
        pixels[i] = (unsigned char)(i * 37 + i / 291);
    }
    image = make_image(context);
    sam_mm_display_free(NULL);
    display_images_are_checked(image);
    a_display_image_converts_there_and_back(image);
    OK(sam_mm_cache_clear(context, SAM_MM_CACHE_IMAGE, NULL, &error));
    a_display_image_is_made_once_and_outlives_image_cache_and_context(context, image);
    puts("contract kept");
    return 0;
}
