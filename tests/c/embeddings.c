/*
 * The three tiers of embeddings, from the side of a C caller: what is set, what is told, what is cleared, and that a later
 * session finds what an earlier one encoded. Arguments: the backend, its device, an empty folder.
 */
#include "check.h"

#define SIDE 32
#define IMAGES 6

static const char *backend, *device, *folder;
static int has_gpu;

static sam_mm_context *make_context(int with_disk, uint32_t compress) {
    sam_mm_context *context;
    sam_mm_options options;
    CHECK(sam_mm_options_init(&options, sizeof options) == SAM_MM_OK);
    CHECK(options.embedding_host_bytes == (uint64_t)1 << 30 && options.embedding_cache_entries == UINT64_MAX);
    CHECK(options.embedding_disk_folder == NULL && options.embedding_disk_bytes == (uint64_t)8 << 30);
    CHECK(options.embedding_disk_entries == 100000 && options.embedding_compress == 0);
    options.backend_path = backend;
    options.device = device;
    options.embedding_cache_entries = 2;
    options.embedding_compress = compress;
    options.prediction_cache_entries = 0;
    if (with_disk) {
        options.embedding_disk_folder = folder;
        options.embedding_disk_entries = 50;
    }
    OK(sam_mm_init(&options, &context, &error));
    return context;
}

static sam_mm_model *load(sam_mm_context *context) {
    sam_mm_model *model;
    sam_mm_model_options options;
    CHECK(sam_mm_model_options_init(&options, sizeof options) == SAM_MM_OK);
    options.data = (const uint8_t *)"fake-model\n";
    options.data_len = 11;
    OK(sam_mm_model_load(context, &options, &model, &error));
    return model;
}

static sam_mm_image *image_of(sam_mm_context *context, int gray) {
    static unsigned char pixels[SIDE * SIDE];
    sam_mm_image *image;
    sam_mm_image_desc desc;
    CHECK(sam_mm_image_desc_init(&desc, sizeof desc) == SAM_MM_OK);
    memset(pixels, gray, sizeof pixels);
    desc.format = SAM_MM_FORMAT_GRAY8;
    desc.width = desc.height = SIDE;
    desc.data = pixels;
    desc.data_len = sizeof pixels;
    OK(sam_mm_image_create(context, &desc, &image, &error));
    return image;
}

/* Where the embedding of an image was when a click needed it. */
static uint32_t source(sam_mm_model *model, sam_mm_image *image) {
    static const float point[2] = {9, 9};
    sam_mm_result *result;
    sam_mm_result_info info = {.struct_size = sizeof info};
    sam_mm_prompt prompt;
    sam_mm_predict_request request;
    CHECK(sam_mm_prompt_init(&prompt, sizeof prompt) == SAM_MM_OK);
    CHECK(sam_mm_predict_request_init(&request, sizeof request) == SAM_MM_OK);
    prompt.points = point;
    prompt.num_points = 1;
    request.prompts = &prompt;
    request.num_prompts = 1;
    OK(sam_predict(model, image, &request, &result, &error));
    OK(sam_mm_result_describe(result, &info, &error));
    CHECK(info.embedding_reused == (info.embedding_source != SAM_MM_EMBEDDING_ENCODED));
    sam_mm_result_free(result);
    return info.embedding_source;
}

static sam_mm_cache_info tier(sam_mm_context *context, uint32_t cache) {
    sam_mm_cache_info info = {.struct_size = sizeof info};
    OK(sam_mm_cache_describe(context, cache, &info, &error));
    return info;
}

static void an_earlier_session_encodes(void) {
    sam_mm_context *context = make_context(1, 0);
    sam_mm_model *model = load(context);
    sam_mm_image *images[IMAGES];
    sam_mm_cache_info all, on_device, in_host;
    int i;
    for (i = 0; i < IMAGES; ++i) {
        images[i] = image_of(context, 40 * i);
        CHECK(source(model, images[i]) == SAM_MM_EMBEDDING_ENCODED);
    }
    CHECK(source(model, images[IMAGES - 1]) == (has_gpu ? SAM_MM_EMBEDDING_DEVICE : SAM_MM_EMBEDDING_HOST));
    on_device = tier(context, SAM_MM_CACHE_EMBEDDING_DEVICE);
    in_host = tier(context, SAM_MM_CACHE_EMBEDDING_HOST);
    all = tier(context, SAM_MM_CACHE_EMBEDDING);
    CHECK(on_device.entries == (has_gpu ? 2 : 0) && on_device.max_entries == (has_gpu ? 2 : 0));
    CHECK(in_host.max_entries == 2 && in_host.max_bytes == (uint64_t)1 << 30);
    CHECK(all.bytes >= on_device.bytes && all.misses == IMAGES && all.hits == 1);
    CHECK(on_device.hits == (has_gpu ? 1 : 0) && in_host.hits == (has_gpu ? 0 : 1));
    for (i = 0; i < IMAGES; ++i) {
        sam_mm_image_free(images[i]);
    }
    sam_mm_model_free(model);
    CHECK(tier(context, SAM_MM_CACHE_EMBEDDING_DISK).entries == IMAGES);
    CHECK(tier(context, SAM_MM_CACHE_EMBEDDING).entries == 0);
    sam_mm_destroy(context);
}

static void a_later_one_finds_it_and_clears(void) {
    sam_mm_context *context = make_context(1, 0), *other = make_context(0, 0);
    sam_mm_model *model = load(context);
    sam_mm_image *first = image_of(context, 0), *second = image_of(context, 40), *third = image_of(context, 80);
    sam_mm_image *foreign = image_of(other, 0);
    sam_mm_cache_info disk = tier(context, SAM_MM_CACHE_EMBEDDING_DISK);
    uint64_t freed = 7;
    CHECK(disk.entries == IMAGES && disk.bytes > 0 && disk.max_entries == 50);
    CHECK(source(model, first) == SAM_MM_EMBEDDING_DISK);
    CHECK(source(model, second) == SAM_MM_EMBEDDING_DISK);

    FAILS(sam_mm_cache_clear_except(context, SAM_MM_CACHE_EMBEDDING, NULL, &freed, &error), SAM_MM_ERR_INVALID_HANDLE,
          "sam_mm_image");
    CHECK(freed == 0);
    FAILS(sam_mm_cache_clear_except(context, SAM_MM_CACHE_EMBEDDING, foreign, &freed, &error),
          SAM_MM_ERR_INVALID_ARGUMENT, "another context");
    FAILS(sam_mm_cache_clear_except(context, 99, first, &freed, &error), SAM_MM_ERR_INVALID_ARGUMENT, "cache");
    OK(sam_mm_cache_clear_except(context, SAM_MM_CACHE_EMBEDDING, second, &freed, &error));
    CHECK(freed > 0 && tier(context, SAM_MM_CACHE_EMBEDDING).entries == 1);
    CHECK(source(model, second) == (has_gpu ? SAM_MM_EMBEDDING_DEVICE : SAM_MM_EMBEDDING_HOST));
    CHECK(source(model, first) == SAM_MM_EMBEDDING_DISK);

    OK(sam_mm_cache_clear_except(context, SAM_MM_CACHE_EMBEDDING_DISK, third, NULL, &error));
    CHECK(tier(context, SAM_MM_CACHE_EMBEDDING_DISK).entries == 1);
    OK(sam_mm_cache_clear(context, SAM_MM_CACHE_EMBEDDING, &freed, &error));
    CHECK(source(model, first) == SAM_MM_EMBEDDING_ENCODED);
    CHECK(source(model, third) == SAM_MM_EMBEDDING_DISK);
    OK(sam_mm_cache_clear_except(context, SAM_MM_CACHE_PREDICTION, first, &freed, &error));
    OK(sam_mm_cache_clear_except(context, SAM_MM_CACHE_IMAGE, first, &freed, &error));
    sam_mm_image_free(first);
    sam_mm_image_free(second);
    sam_mm_image_free(third);
    sam_mm_image_free(foreign);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
    sam_mm_destroy(other);
}

static void half_precision_is_kept_apart(void) {
    sam_mm_context *context = make_context(1, 1);
    sam_mm_model *model = load(context);
    sam_mm_image *image = image_of(context, 77);
    CHECK(source(model, image) == SAM_MM_EMBEDDING_ENCODED);
    /* What is destroyed before its children writes what it has all the same. */
    sam_mm_destroy(context);
    sam_mm_model_free(model);
    sam_mm_image_free(image);

    context = make_context(1, 1);
    model = load(context);
    image = image_of(context, 77);
    CHECK(source(model, image) == SAM_MM_EMBEDDING_DISK);
    sam_mm_model_free(model);
    sam_mm_image_free(image);
    sam_mm_destroy(context);

    context = make_context(1, 0);
    model = load(context);
    image = image_of(context, 77);
    CHECK(source(model, image) == SAM_MM_EMBEDDING_ENCODED);
    sam_mm_model_free(model);
    sam_mm_image_free(image);
    sam_mm_destroy(context);
}

static void ends_without_freeing_anything(void) {
    sam_mm_context *context = make_context(1, 0);
    sam_mm_model *model = load(context);
    int i;
    for (i = 0; i < 200; ++i) {
        CHECK(source(model, image_of(context, i)) == SAM_MM_EMBEDDING_ENCODED);
    }
    puts("left");
}

int main(int argc, char **argv) {
    CHECK(argc == 4 || argc == 5);
    backend = argv[1];
    device = argv[2];
    folder = argv[3];
    has_gpu = strcmp(device, "cpu") != 0;
    if (argc == 5) {
        ends_without_freeing_anything();
        return 0;
    }
    an_earlier_session_encodes();
    a_later_one_finds_it_and_clears();
    half_precision_is_kept_apart();
    puts("tiers kept");
    return 0;
}
