/* Everything in an image, from the side of a C caller. Takes the path of the fake backend (tests/fake_backend), which draws a
 * disc around each point. Exits with 1 and names the line whose check failed. */
#include "check.h"

#include <math.h>

#define WIDTH 96
#define HEIGHT 64
#define PIXELS (WIDTH * HEIGHT)

static unsigned char pixels[PIXELS * 3];

/* ---- makers ------------------------------------------------------------------------------------------------------- */

static sam_mm_context *make_context(const char *backend) {
    sam_mm_context *context;
    sam_mm_options options;
    CHECK(sam_mm_options_init(&options, sizeof options) == SAM_MM_OK);
    options.backend_path = backend;
    options.device = "cpu";
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

/* Under which discs pass. */
static sam_mm_everything_options lenient(void) {
    sam_mm_everything_options options;
    CHECK(sam_mm_everything_options_init(&options, sizeof options) == SAM_MM_OK);
    options.points_per_side = 4;
    options.points_per_batch = 5;
    options.pred_iou_thresh = 0.4;
    options.stability_score_thresh = 0.8;
    return options;
}

/* ---- checks ------------------------------------------------------------------------------------------------------- */

static void defaults_are_the_official_ones(void) {
    sam_mm_everything_options options;
    CHECK(sam_mm_everything_options_init(&options, sizeof options) == SAM_MM_OK);
    CHECK(options.points_per_side == 32 && options.points_per_batch == 64 && options.crop_n_layers == 0);
    CHECK(options.crop_n_points_downscale_factor == 1 && options.multimask == 1 && options.use_m2m == 0);
    CHECK(options.pred_iou_thresh == -1 && options.stability_score_thresh == 0.95);
    CHECK(options.stability_score_offset == 1 && options.mask_threshold == 0);
    CHECK(options.box_nms_thresh == 0.7 && options.crop_nms_thresh == 0.7);
    CHECK(fabs(options.crop_overlap_ratio - 512.0 / 1500.0) < 1e-15 && options.min_mask_region_area == 0);
    CHECK(options.num_point_grids == 0 && options.point_grids == NULL && options.on_step == NULL);
}

/* All forms of a mask tell of the same pixels. */
static void mask_is_one_in_every_form(const sam_mm_mask_set *masks, uint32_t index) {
    static unsigned char drawn[PIXELS];
    sam_mm_found_mask_info info;
    sam_mm_rle rle;
    sam_mm_polygons polygons;
    uint64_t area = 0, counted = 0;
    uint32_t i, x, y, left = WIDTH, top = HEIGHT, right = 0, bottom = 0;
    double enclosed = 0;
    info.struct_size = sizeof info;
    rle.struct_size = sizeof rle;
    polygons.struct_size = sizeof polygons;
    OK(sam_mm_mask_set_mask_info(masks, index, &info, &error));
    OK(sam_mm_mask_set_bitmask_copy(masks, index, 255, drawn, sizeof drawn, 0, &error));
    for (y = 0; y < HEIGHT; y++) {
        for (x = 0; x < WIDTH; x++) {
            if (drawn[y * WIDTH + x] == 255) {
                ++area;
                left = x < left ? x : left;
                top = y < top ? y : top;
                right = x + 1 > right ? x + 1 : right;
                bottom = y + 1 > bottom ? y + 1 : bottom;
            } else {
                CHECK(drawn[y * WIDTH + x] == 0);
            }
        }
    }
    CHECK(info.area == area && area > 0);
    CHECK(info.bounding_box[0] == (float)left && info.bounding_box[1] == (float)top);
    CHECK(info.bounding_box[2] == (float)right && info.bounding_box[3] == (float)bottom);
    OK(sam_mm_mask_set_rle(masks, index, &rle, &error));
    CHECK(rle.width == WIDTH && rle.height == HEIGHT && strlen(rle.compressed) == rle.compressed_len);
    for (i = 1; i < rle.num_counts; i += 2) {
        counted += rle.counts[i];
    }
    CHECK(counted == area);
    OK(sam_mm_mask_set_polygons(masks, index, NULL, &polygons, &error));
    for (i = 0; i < polygons.num_rings; i++) {
        const uint32_t first = polygons.ring_starts[i], end = polygons.ring_starts[i + 1];
        uint32_t at;
        for (at = first; at < end; at++) {
            const float *a = polygons.points + 2 * at, *b = polygons.points + 2 * (at + 1 < end ? at + 1 : first);
            enclosed += ((double)a[0] * b[1] - (double)b[0] * a[1]) / 2;
        }
    }
    CHECK(enclosed == (double)area);
    CHECK(info.predicted_iou > 0.4F && info.stability_score >= 0.8F && info.stability_score <= 1);
    CHECK(info.point[0] > 0 && info.point[0] < WIDTH && info.point[1] > 0 && info.point[1] < HEIGHT);
    CHECK(info.crop_box[2] <= WIDTH && info.crop_box[3] <= HEIGHT && info.crop_box[0] < info.crop_box[2]);
}

static void masks_come_with_figures_and_forms(sam_mm_image *image, sam_mm_model *model) {
    sam_mm_mask_set *masks;
    sam_mm_mask_set_info info;
    sam_mm_found_mask_info mask;
    sam_mm_everything_options options = lenient();
    unsigned char drawn[4];
    uint32_t index;
    options.crop_n_layers = 1;
    OK(sam_mm_image_segment_everything(image, model, &options, &masks, &error));
    info.struct_size = sizeof info;
    OK(sam_mm_mask_set_describe(masks, &info, &error));
    CHECK(info.num_masks > 3 && info.num_masks <= info.num_candidates);
    CHECK(info.width == WIDTH && info.height == HEIGHT && info.num_crops == 5);
    CHECK(info.num_points == 80 && info.num_batches == 20 && info.reduced_batch == 0 && info.peak_bytes > 0);
    for (index = 0; index < info.num_masks; index++) {
        mask_is_one_in_every_form(masks, index);
    }
    mask.struct_size = sizeof mask;
    FAILS(sam_mm_mask_set_mask_info(masks, info.num_masks, &mask, &error), SAM_MM_ERR_INVALID_ARGUMENT, "mask_index is");
    CHECK(mask.area == 0 && mask.crop_box[2] == 0);
    FAILS(sam_mm_mask_set_bitmask_copy(masks, 0, 0, drawn, 4, 0, &error), SAM_MM_ERR_INVALID_ARGUMENT, "on_value is 0");
    FAILS(sam_mm_mask_set_bitmask_copy(masks, 0, 1, drawn, 4, 0, &error), SAM_MM_ERR_INVALID_ARGUMENT, "4");
    FAILS(sam_mm_mask_set_bitmask_copy(masks, 0, 1, NULL, 4, 0, &error), SAM_MM_ERR_INVALID_ARGUMENT, "data is NULL");
    sam_mm_mask_set_free(masks);
    sam_mm_mask_set_free(masks);
    sam_mm_mask_set_free(NULL);
    FAILS(sam_mm_mask_set_describe(masks, &info, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_mask_set");
}

typedef struct {
    sam_mm_image *image;
    sam_mm_model *model;
    sam_mm_mask_set *last;
    double fraction;
    uint64_t found;
    uint32_t steps;
    uint32_t stop_at;
} watcher;

static int32_t watch(void *user_data, const sam_mm_everything_step *step) {
    watcher *seen = user_data;
    sam_mm_mask_set *masks;
    uint32_t index;
    CHECK(step->struct_size == sizeof *step && step->fraction >= seen->fraction && step->fraction <= 1);
    CHECK(step->num_crops == 1 && step->crop_index == 0 && step->points_total == 16);
    CHECK((step->num_masks == 0) == (step->masks == NULL));
    for (index = 0; index < step->num_masks; index++) {
        sam_mm_found_mask_info info;
        info.struct_size = sizeof info;
        OK(sam_mm_mask_set_mask_info(step->masks, index, &info, &error));
        CHECK(info.id == seen->found);
        ++seen->found;
    }
    /* What might wait for the call that this runs in is refused. */
    FAILS(sam_mm_image_segment_everything(seen->image, seen->model, NULL, &masks, &error), SAM_MM_ERR_INVALID_ARGUMENT,
          "inside a callback");
    seen->last = step->masks;
    seen->fraction = step->fraction;
    return ++seen->steps == seen->stop_at;
}

static void steps_are_told_and_can_be_stopped(sam_mm_image *image, sam_mm_model *model) {
    watcher seen = {image, model, NULL, 0, 0, 0, 0};
    sam_mm_everything_options options = lenient();
    sam_mm_mask_set *masks;
    sam_mm_mask_set_info info;
    options.on_step = watch;
    options.user_data = &seen;
    OK(sam_mm_image_segment_everything(image, model, &options, &masks, &error));
    info.struct_size = sizeof info;
    OK(sam_mm_mask_set_describe(masks, &info, &error));
    CHECK(seen.steps == 5 && seen.fraction == 1 && seen.found == info.num_candidates);
    sam_mm_mask_set_free(masks);
    FAILS(sam_mm_mask_set_describe(seen.last, &info, &error), SAM_MM_ERR_INVALID_HANDLE, "freed");
    memset(&seen, 0, sizeof seen);
    seen.image = image;
    seen.model = model;
    seen.stop_at = 3;
    FAILS(sam_mm_image_segment_everything(image, model, &options, &masks, &error), SAM_MM_ERR_CANCELLED, "cancelled");
    CHECK(masks == NULL && seen.steps == 3);
}

static void wrong_options_are_refused(sam_mm_image *image, sam_mm_model *model) {
    static const double points[4] = {0.25, 0.5, 0.75, 0.5};
    static const uint32_t sizes[1] = {2};
    sam_mm_everything_options options = lenient();
    sam_mm_mask_set *masks;
    sam_mm_mask_set_info info;
    options.points_per_side = 0;
    FAILS(sam_mm_image_segment_everything(image, model, &options, &masks, &error), SAM_MM_ERR_INVALID_ARGUMENT,
          "points_per_side is 0");
    options = lenient();
    options.pred_iou_thresh = NAN;
    FAILS(sam_mm_image_segment_everything(image, model, &options, &masks, &error), SAM_MM_ERR_INVALID_ARGUMENT,
          "pred_iou_thresh is NaN");
    options = lenient();
    options.num_point_grids = 1;
    FAILS(sam_mm_image_segment_everything(image, model, &options, &masks, &error), SAM_MM_ERR_INVALID_ARGUMENT,
          "point_grid_sizes is NULL");
    options.point_grid_sizes = sizes;
    FAILS(sam_mm_image_segment_everything(image, model, &options, &masks, &error), SAM_MM_ERR_INVALID_ARGUMENT,
          "point_grids is NULL");
    options.point_grids = points;
    OK(sam_mm_image_segment_everything(image, model, &options, &masks, &error));
    info.struct_size = sizeof info;
    OK(sam_mm_mask_set_describe(masks, &info, &error));
    CHECK(info.num_points == 2 && info.num_masks > 0);
    sam_mm_mask_set_free(masks);
    FAILS(sam_mm_image_segment_everything(NULL, model, NULL, &masks, &error), SAM_MM_ERR_INVALID_HANDLE, "sam_mm_image");
    FAILS(sam_mm_image_segment_everything(image, model, NULL, NULL, &error), SAM_MM_ERR_INVALID_ARGUMENT, "masks is NULL");
}

static void a_job_gives_the_same(sam_mm_image *image, sam_mm_model *model) {
    sam_mm_everything_options options = lenient();
    sam_mm_mask_set *masks, *same;
    sam_mm_mask_set_info info, of_job;
    sam_mm_result *result;
    sam_mm_job *job;
    sam_mm_job_info about;
    uint32_t state, index;
    options.points_per_batch = 0;
    FAILS(sam_mm_job_submit_everything(model, image, &options, NULL, &job, &error), SAM_MM_ERR_INVALID_ARGUMENT,
          "points_per_batch is 0");
    options = lenient();
    OK(sam_mm_image_segment_everything(image, model, &options, &masks, &error));
    OK(sam_mm_job_submit_everything(model, image, &options, NULL, &job, &error));
    OK(sam_mm_job_wait(job, -1, &state, &error));
    CHECK(state == SAM_MM_JOB_SUCCEEDED);
    about.struct_size = sizeof about;
    OK(sam_mm_job_describe(job, &about, &error));
    CHECK(about.kind == SAM_MM_JOB_KIND_EVERYTHING && about.progress == 1);
    FAILS(sam_mm_job_take_result(job, &result, &error), SAM_MM_ERR_INVALID_ARGUMENT, "sam_mm_job_take_mask_set");
    OK(sam_mm_job_take_mask_set(job, &same, &error));
    sam_mm_job_free(job);
    info.struct_size = of_job.struct_size = sizeof info;
    OK(sam_mm_mask_set_describe(masks, &info, &error));
    OK(sam_mm_mask_set_describe(same, &of_job, &error));
    CHECK(info.num_masks == of_job.num_masks);
    for (index = 0; index < info.num_masks; index++) {
        sam_mm_rle a, b;
        a.struct_size = b.struct_size = sizeof a;
        OK(sam_mm_mask_set_rle(masks, index, &a, &error));
        OK(sam_mm_mask_set_rle(same, index, &b, &error));
        CHECK(strcmp(a.compressed, b.compressed) == 0);
    }
    sam_mm_mask_set_free(masks);
    sam_mm_mask_set_free(same);
}

int main(int argc, char **argv) {
    sam_mm_context *context;
    sam_mm_model *model;
    sam_mm_image *image;
    size_t i;
    CHECK(argc == 2);
    for (i = 0; i < sizeof pixels; i++) {
        pixels[i] = (unsigned char)(i * 7);
    }
    context = make_context(argv[1]);
    OK(sam_mm_model_load(context, NULL, &model, &error));
    image = make_image(context);
    defaults_are_the_official_ones();
    masks_come_with_figures_and_forms(image, model);
    steps_are_told_and_can_be_stopped(image, model);
    wrong_options_are_refused(image, model);
    a_job_gives_the_same(image, model);
    sam_mm_image_free(image);
    sam_mm_model_free(model);
    sam_mm_destroy(context);
    puts("everything kept");
    return 0;
}
