/* sam_mm.hpp against the fake backend: every form of every function, the ends of handles, and what callbacks may do. Takes
 * the backend's path. */
#include "check.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

constexpr std::uint32_t width = 96, height = 64;
std::string backend_path;
std::vector<std::uint8_t> pixels;

void fake(const std::string &command) {
    static auto control = reinterpret_cast<std::int32_t (*)(const char *)>(
        dlsym(dlopen(backend_path.c_str(), RTLD_NOW | RTLD_LOCAL), "fake_backend_control"));
    CHECK(control(command.c_str()) == 0);
}

sam_mm::options settings() {
    sam_mm::options options;
    options.device = "cpu";
    options.backend_path = backend_path;
    return options;
}

sam_mm::image_view picture() { return {sam_mm::pixel_format::rgb8, width, height, pixels}; }

/* ---- types ---- */

template <class Handle>
constexpr bool is_move_only = std::is_nothrow_move_constructible_v<Handle> && std::is_nothrow_move_assignable_v<Handle>
    && !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle>;
static_assert(is_move_only<sam_mm::context> && is_move_only<sam_mm::model> && is_move_only<sam_mm::image>);
static_assert(is_move_only<sam_mm::display> && is_move_only<sam_mm::result>);
static_assert(std::is_convertible_v<std::vector<std::uint8_t> &, sam_mm::span<const std::uint8_t>>);
static_assert(std::is_convertible_v<std::array<float, 3> &, sam_mm::span<const float>>);
static_assert(!std::is_convertible_v<std::vector<float> &, sam_mm::span<const std::uint8_t>>);
static_assert(!std::is_convertible_v<const std::vector<std::uint8_t> &, sam_mm::span<std::uint8_t>>);
static_assert(sam_mm::channels(sam_mm::pixel_format::bgra8) == 4 && sam_mm::channels(sam_mm::pixel_format::gray8) == 1);

void versions_are_those_of_the_library() {
    CHECK(sam_mm::abi_version() == sam_mm::header_abi_version);
    CHECK(sam_mm::header_version == SAM_MM_VERSION && sam_mm::version() == sam_mm_version());
    CHECK(sam_mm::name(sam_mm::status::out_of_memory) == "SAM_MM_ERR_OUT_OF_MEMORY");
}

void spans_see_what_they_are_given() {
    std::array<int, 3> numbers{4, 5, 6};
    const sam_mm::span<const int> all(numbers);
    CHECK(std::accumulate(all.begin(), all.end(), 0) == 15 && all.size() == 3 && all.size_bytes() == 3 * sizeof(int));
    CHECK(all.front() == 4 && all.back() == 6 && all.subspan(1, 1)[0] == 5 && all.first(2).size() == 2);
    CHECK(sam_mm::span<int>().empty());
    int plain[2] = {1, 2};
    sam_mm::span<int> writable(plain);
    writable[1] = 7;
    CHECK(plain[1] == 7);
}

/* ---- options ---- */

/* Fields, not bytes: what lies between them means nothing. NaN is a default too. */
void defaults_are_those_of_the_library() {
    const auto same = [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); };
    const sam_mm::options none;
    sam_mm::detail::c_options ours(none);
    const sam_mm_options *a = ours.get();
    const auto b = sam_mm::detail::defaults(sam_mm_options_init);
    CHECK(a->num_threads == b.num_threads && a->device == b.device && a->backend_path == b.backend_path);
    CHECK(a->log_callback == b.log_callback && a->log_level == b.log_level && a->allow_tf32 == b.allow_tf32);
    CHECK(static_cast<std::int32_t>(none.log_up_to) == b.log_level);
    CHECK(a->embedding_cache_bytes == b.embedding_cache_bytes && a->prediction_cache_bytes == b.prediction_cache_bytes);
    CHECK(a->prediction_cache_entries == b.prediction_cache_entries && a->image_cache_bytes == b.image_cache_bytes);
    CHECK(a->image_cache_entries == b.image_cache_entries && a->embedding_host_bytes == b.embedding_host_bytes);
    CHECK(a->embedding_cache_entries == b.embedding_cache_entries && a->embedding_compress == b.embedding_compress);
    CHECK(a->embedding_disk_folder == b.embedding_disk_folder && a->embedding_disk_bytes == b.embedding_disk_bytes);
    CHECK(a->embedding_disk_entries == b.embedding_disk_entries);

    const sam_mm_memory_options m = sam_mm::memory_options().to_c();
    const auto n = sam_mm::detail::defaults(sam_mm_memory_options_init);
    CHECK(m.growth == n.growth && same(m.fraction, n.fraction) && same(m.warning_threshold, n.warning_threshold));
    CHECK(same(m.critical_threshold, n.critical_threshold) && same(m.host_threshold, n.host_threshold));
    CHECK(m.lower_precision == n.lower_precision && m.cpu_fallback == n.cpu_fallback && m.monitor == n.monitor);
    CHECK(m.monitor_period_ms == n.monitor_period_ms && m.monitor_image_cache_bytes == n.monitor_image_cache_bytes);
    CHECK(same(m.monitor_device_threshold, n.monitor_device_threshold) && m.max_age_ms == n.max_age_ms);
    CHECK(m.nvml_library == n.nvml_library && m.cudart_library == n.cudart_library);

    const sam_mm_display_options d = sam_mm::display_options().to_c();
    const auto e = sam_mm::detail::defaults(sam_mm_display_options_init);
    CHECK(std::memcmp(&d, &e, sizeof d) == 0);
    const sam_mm_polygon_options p = sam_mm::polygon_options().to_c();
    const auto q = sam_mm::detail::defaults(sam_mm_polygon_options_init);
    CHECK(p.connectivity == q.connectivity && p.tolerance == q.tolerance && p.min_area == q.min_area);
    const sam_mm_model_options o = sam_mm::model_options().to_c();
    const auto r = sam_mm::detail::defaults(sam_mm_model_options_init);
    CHECK(o.precision == r.precision && o.path == r.path && o.data == r.data && o.data_len == r.data_len);
    const sam_mm_image_desc i = sam_mm::image_view().to_c();
    const auto k = sam_mm::detail::defaults(sam_mm_image_desc_init);
    CHECK(i.format == k.format && i.row_stride == k.row_stride && i.content_id == k.content_id);
    sam_mm::detail::c_everything_options everything{sam_mm::everything_options()};
    const sam_mm_everything_options *f = everything.get();
    const auto g = sam_mm::detail::defaults(sam_mm_everything_options_init);
    CHECK(f->points_per_side == g.points_per_side && f->points_per_batch == g.points_per_batch);
    CHECK(f->crop_n_layers == g.crop_n_layers && f->use_m2m == g.use_m2m && f->multimask == g.multimask);
    CHECK(f->crop_n_points_downscale_factor == g.crop_n_points_downscale_factor && f->point_grids == g.point_grids);
    CHECK(f->pred_iou_thresh == g.pred_iou_thresh && f->stability_score_thresh == g.stability_score_thresh);
    CHECK(f->stability_score_offset == g.stability_score_offset && f->mask_threshold == g.mask_threshold);
    CHECK(f->box_nms_thresh == g.box_nms_thresh && f->crop_nms_thresh == g.crop_nms_thresh && f->on_step == g.on_step);
    CHECK(f->crop_overlap_ratio == g.crop_overlap_ratio && f->min_mask_region_area == g.min_mask_region_area);
    const sam_mm::detail::c_request request{sam_mm::predict_request()};
    CHECK(request.get()->multimask == sam_mm::detail::defaults(sam_mm_predict_request_init).multimask);
}

void options_reach_the_library() {
    auto options = settings();
    options.memory.fraction = 1.5;
    FAILS(sam_mm::context::try_create(options), sam_mm::status::invalid_argument, "1.5");
    options = settings();
    options.device = "tpu:0";
    FAILS(sam_mm::context::try_create(options), sam_mm::status::invalid_argument, "tpu:0");
    options = settings();
    options.num_threads = 5000;
    FAILS(sam_mm::context::try_create(options), sam_mm::status::invalid_argument, "5000");
    options = settings();
    options.embedding_cache_bytes = 12345;
    options.prediction_cache_bytes = 23456;
    options.prediction_cache_entries = 3;
    options.image_cache_bytes = 34567;
    options.image_cache_entries = 4;
    const sam_mm::context context(options);
    CHECK(context.describe_cache(sam_mm::cache::embedding).max_bytes == 12345);
    const auto predictions = context.describe_cache(sam_mm::cache::prediction);
    CHECK(predictions.max_bytes == 23456 && predictions.max_entries == 3u);
    const auto images = context.describe_cache(sam_mm::cache::image);
    CHECK(images.max_bytes == 34567 && images.max_entries == 4u);
}

/* ---- errors ---- */

void errors_are_values_that_outlive_what_failed() {
    sam_mm::error kept(sam_mm::status::ok, "");
    {
        const sam_mm::context context(settings());
        const auto failed = context.try_load_model({"/no/such/file.pth", {}});
        CHECK(!failed);
        kept = failed.error();
    }
    CHECK(kept.code() != sam_mm::status::ok && kept.message().find("/no/such/file.pth") != std::string::npos);
    const std::string all = kept.what();
    CHECK(all.find(sam_mm::name(kept.code())) == 0 && all.find(kept.message()) != std::string::npos);
    for (const std::string &cause : kept.causes()) CHECK(all.find("because " + cause) != std::string::npos);
}

void the_same_failure_is_thrown() {
    const sam_mm::context context(settings());
    const auto returned = context.try_load_model({"/no/such/file.pth", {}});
    try {
        (void)context.load_model({"/no/such/file.pth", {}});
        CHECK(!"it throws");
    } catch (const sam_mm::error &thrown) {
        CHECK(std::string(thrown.what()) == returned.error().what());
    }
    try {
        sam_mm::options wrong;
        wrong.device = "tpu:0";
        const sam_mm::context none(wrong);
        CHECK(!"it throws");
    } catch (const std::exception &thrown) {
        CHECK(std::strstr(thrown.what(), "tpu:0") != nullptr);
    }
}

void failures_of_the_backend_keep_their_words() {
    const sam_mm::context context(settings());
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    fake("fail encode 1 6 the encoder tripped over a wire");
    FAILS(image.try_encode(model), sam_mm::status::backend, "the encoder tripped over a wire");
    fake("fail decode 1 6 the decoder fell as well");
    FAILS(model.try_predict(image, sam_mm::prompt::click(5, 5)), sam_mm::status::backend, "the decoder fell as well");
    fake("reset");
    CHECK(model.try_predict(image, sam_mm::prompt::click(5, 5)).has_value());
}

void an_expected_gives_its_value_on() {
    sam_mm::expected<int> good(7), bad(sam_mm::error(sam_mm::status::io, "no disk"));
    CHECK(good && *good == 7 && good.value() == 7 && good.code() == sam_mm::status::ok);
    CHECK(!bad && bad.code() == sam_mm::status::io && sam_mm::expected<int>(bad).value_or(3) == 3);
    CHECK(*sam_mm::expected<int>(good).transform([](int n) { return n * 1.5; }) == 10.5);
    CHECK(sam_mm::expected<int>(bad).transform([](int n) { return n; }).error().message() == "no disk");
    sam_mm::expected<std::unique_ptr<int>> owned(std::make_unique<int>(9));
    const std::unique_ptr<int> taken = *std::move(owned);
    CHECK(*taken == 9);
}

/* ---- handles ---- */

void what_is_empty_or_moved_from_is_refused() {
    const auto invalid = sam_mm::status::invalid_handle;
    sam_mm::model no_model;
    sam_mm::image no_image;
    const sam_mm::result no_result;
    const sam_mm::display no_display;
    CHECK(!no_model && !no_image && !no_result && !no_display && !no_model.release() && !no_image.release());
    FAILS(no_model.try_describe(), invalid, "");
    FAILS(no_model.try_predict(no_image, sam_mm::prompt::click(1, 1)), invalid, "");
    FAILS(no_image.try_encode(no_model), invalid, "");
    FAILS(no_image.try_process(), invalid, "");
    FAILS(no_result.try_describe(), invalid, "");
    FAILS(no_result.try_bitmask(0), invalid, "");
    FAILS(no_display.try_describe(), invalid, "");
    FAILS(no_display.try_mask_to_original(pixels), invalid, "");

    sam_mm::context first(settings());
    const sam_mm::context second = std::move(first);
    CHECK(second && !first);
    FAILS(first.try_memory(), invalid, "");
    FAILS(first.try_on_log([](auto, auto) {}), invalid, "moved from");
    FAILS(first.try_on_memory_event([](const auto &) {}), invalid, "moved from");
    CHECK(!first.callback_exception());
    CHECK(second.try_memory().has_value());
}

void children_outlive_their_parents_and_views_survive_a_move() {
    sam_mm::result kept;
    {
        const sam_mm::context context(settings());
        const auto model = context.load_model();
        kept = model.predict(context.create_image(picture()), sam_mm::prompt::click(20, 20));
    }
    const auto mask = kept.bitmask(0);
    const std::uint32_t sum = std::accumulate(mask.pixels().begin(), mask.pixels().end(), 0u);
    sam_mm::result moved = std::move(kept);
    CHECK(!kept && std::accumulate(mask.pixels().begin(), mask.pixels().end(), 0u) == sum);
    sam_mm_result *handle = moved.release();
    CHECK(handle && !moved);
    const sam_mm::result again(handle);
    CHECK(again.bitmask(0).data == mask.data);
}

void assigning_frees_what_was_there() {
    sam_mm::context context(settings());
    auto image = context.create_image(picture());
    sam_mm_image *former = image.get();
    image = context.create_image(picture());
    sam_mm_error *failure = nullptr;
    sam_mm_display *none = nullptr;
    CHECK(sam_mm_image_process(former, nullptr, &none, &failure) == SAM_MM_ERR_INVALID_HANDLE);
    sam_mm_error_free(failure);
    auto &same = image;
    image = std::move(same);
    CHECK(image.try_process().has_value());
    context = sam_mm::context(settings());
    CHECK(context.try_memory().has_value() && image.try_process().has_value());
}

/* ---- predicting ---- */

void a_box_gives_a_mask_in_every_form() {
    const sam_mm::context context(settings());
    const auto backend = context.backend();
    CHECK(backend.name == "fake" && backend.path == backend_path && backend.device == "cpu" && !backend.trail.empty());
    CHECK(!backend.version.empty());
    const auto model = context.load_model();
    const auto about = model.describe();
    CHECK(about.family == "fake" && about.device == "cpu" && about.parameters > 0 && about.mask_size > 0);
    CHECK(about.multimask_count == 3 && about.precision == sam_mm::precision::fp32 && !about.name.empty());

    const auto image = context.create_image(picture());
    image.encode(model);
    const auto request = sam_mm::predict_request::around({{8, 8, 40, 40}, {50, 10, 90, 60}});
    const auto masks = model.predict(image, request);
    const auto info = masks.describe();
    CHECK(info.num_objects == 2 && info.masks_per_object == 1 && info.num_masks == 2 && info.embedding_reused);
    CHECK(info.width == width && info.height == height && info.recovered_by == sam_mm::rung::none);
    CHECK(masks.best_mask() == 0 && masks.best_mask(1) == 1);

    const auto figures = masks.mask(1);
    CHECK(figures.object_index == 1 && figures.area > 0 && !figures.object_score && figures.bounding_box.width() > 0);
    const auto mask = masks.bitmask(1);
    std::uint64_t area = 0;
    for (std::uint32_t y = 0; y < mask.height; ++y) {
        for (const std::uint8_t pixel : mask.row(y)) area += pixel;
    }
    CHECK(area == figures.area && mask.contains(70, 35) && !mask.contains(10, 10) && !mask.contains(width, 0));

    std::vector<std::uint8_t> copied((width + 5) * height, 9);
    masks.copy_bitmask(1, copied, width + 5, 200);
    CHECK(copied[35 * (width + 5) + 70] == 200 && copied[10 * (width + 5) + 10] == 0 && copied[width] == 9);
    FAILS(masks.try_copy_bitmask(1, sam_mm::span<std::uint8_t>(copied).first(10)), sam_mm::status::invalid_argument,
          "10");

    const auto rle = masks.rle(1);
    CHECK(std::accumulate(rle.counts.begin(), rle.counts.end(), 0u) == width * height && rle.width == width);
    CHECK(!rle.compressed.empty() && rle.compressed.size() == std::strlen(rle.compressed.data()));

    const auto outlines = masks.polygons(1, {sam_mm::connectivity::sides_and_corners, 0.5, 4});
    CHECK(!outlines.empty() && outlines.size() >= 1 && !outlines[0].is_hole() && outlines[0].parent() == -1);
    const auto ring = outlines[0].points();
    CHECK(ring.size() == outlines[0].size() && ring[0] == outlines[0][0]);
    CHECK(outlines[0].coordinates().size() == 2 * ring.size() && outlines[0].coordinates()[1] == ring[0].y);
    FAILS(masks.try_bitmask(2), sam_mm::status::invalid_argument, "2");
    FAILS(masks.try_best_mask(2), sam_mm::status::invalid_argument, "2");
}

void every_part_of_a_prompt_arrives() {
    const sam_mm::context context(settings());
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    const auto first = model.predict(image, sam_mm::prompt::click(20, 20));
    CHECK(first.describe().num_masks == 3);
    const auto logits = first.logits(first.best_mask());
    CHECK(logits.size() == std::size_t{first.describe().mask_size} * first.describe().mask_size);

    sam_mm::prompt whole;
    whole.foreground(20, 20).background(2, 2).bounded_by({10, 10, 40, 40}).refining(logits);
    CHECK(whole.points().size() == 2);
    const sam_mm_prompt c = whole.to_c();
    CHECK(c.num_points == 2 && c.points[3] == 2.0f && c.labels[0] == 1 && c.labels[1] == 0);
    CHECK(c.bounding_box[2] == 40.0f && c.mask_input == logits.data() && c.mask_input_len == logits.size());
    const auto refined = model.predict(image, {whole, false});
    CHECK(refined.describe().num_masks == 1 && refined.describe().embedding_reused);
    CHECK(model.predict(image, {whole, false}).describe().prediction_reused);

    const auto mixed = model.predict(image, sam_mm::predict_request({whole, sam_mm::prompt::around({1, 1, 9, 9})},
                                                                    {{5, 5, 30, 30}}, true));
    CHECK(mixed.describe().num_objects == 3 && mixed.describe().num_masks == 9);
    FAILS(model.try_predict(image, sam_mm::prompt::click(97, 1)), sam_mm::status::invalid_argument, "97");
    FAILS(model.try_predict(image, sam_mm::predict_request()), sam_mm::status::invalid_argument, "");
}

void pixels_are_taken_in_other_orders_and_with_gaps() {
    const sam_mm::context context(settings());
    const auto model = context.load_model();
    std::vector<std::uint8_t> gray((width + 3) * height, 100);
    sam_mm::image_view view{sam_mm::pixel_format::gray8, width, height, gray};
    view.row_stride = width + 3;
    view.content_id = "a gray picture";
    CHECK(model.try_predict(context.create_image(view), sam_mm::prompt::click(5, 5)).has_value());
    view.pixels = view.pixels.first(100);
    FAILS(context.try_create_image(view), sam_mm::status::invalid_argument, "100");
}

/* ---- display ---- */

void coordinates_and_masks_go_to_the_screen_and_back() {
    const sam_mm::context context(settings());
    const auto image = context.create_image(picture());
    sam_mm::display_options options;
    options.target_size = 2 * width;
    options.min_size = 0;
    options.format = sam_mm::pixel_format::bgra8;
    const auto shown = image.process(options);
    const auto view = shown.describe();
    CHECK(view.width == 2 * width && view.height == 2 * height && view.original_width == width && view.scale_x == 2);
    CHECK(view.format == sam_mm::pixel_format::bgra8 && view.row_stride == 8 * width);
    CHECK(view.pixels.size() == view.row_stride * view.height && view.pixels[3] == 255);

    CHECK(shown.to_original(sam_mm::point{20, 30}) == sam_mm::point{10, 15});
    CHECK(shown.to_display(sam_mm::point{10, 15}) == sam_mm::point{20, 30});
    CHECK(shown.to_original(sam_mm::box{2, 4, 6, 8}) == sam_mm::box{1, 2, 3, 4});
    CHECK(shown.to_display(sam_mm::box{1, 2, 3, 4}) == sam_mm::box{2, 4, 6, 8});
    const std::vector<sam_mm::point> points{{0, 0}, {20, 30}};
    CHECK(shown.to_original(points)[1] == sam_mm::point{10, 15} && shown.to_display(points)[1] == sam_mm::point{40, 60});
    const std::vector<sam_mm::box> boxes{{2, 4, 6, 8}};
    CHECK(shown.to_original(boxes)[0] == sam_mm::box{1, 2, 3, 4} && shown.to_display(boxes).size() == 1);
    CHECK(shown.to_original(std::vector<sam_mm::point>()).empty());
    FAILS(shown.try_to_original(sam_mm::point{NAN, 0}), sam_mm::status::invalid_argument, "NaN");

    std::vector<std::uint8_t> mask(width * height, 0);
    mask[5 * width + 7] = 3;
    const auto larger = shown.mask_to_display(mask);
    CHECK(larger.size() == 4 * mask.size() && larger[11 * 2 * width + 15] == 3);
    CHECK(shown.mask_to_original(larger) == mask);
}

/* ---- memory and caches ---- */

void memory_is_told_in_values_that_may_be_missing() {
    const sam_mm::context context(settings());
    auto info = context.memory();
    CHECK(!info.device && !info.process && info.host && info.host->total > 0 && info.source == sam_mm::memory_source::none);
    CHECK(info.formatted == "Running on CPU - memory stats not available");
    const auto status = context.check_memory();
    CHECK(status.level == sam_mm::memory_level::ok && !status.utilization && status.message.empty());
    (void)context.should_cache(sam_mm::memory_tier::host);

    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    (void)model.predict(image, sam_mm::prompt::click(5, 5));
    CHECK(context.memory().embedding_cache > 0);
    const auto embeddings = context.describe_cache(sam_mm::cache::embedding);
    CHECK(embeddings.entries == 1 && embeddings.bytes > 0 && embeddings.misses >= 1 && !embeddings.max_entries);
    CHECK(context.clear_cache_except(sam_mm::cache::embedding, image) == 0);
    CHECK(context.clear_cache(sam_mm::cache::prediction) > 0);
    const auto report = context.optimize(true);
    CHECK(report.performed && report.embedding_cache_bytes > 0 && report.host_process.has_value());
    CHECK(context.describe_cache(sam_mm::cache::embedding).entries == 0);

    const auto counted = context.describe_memory();
    CHECK(counted.operations_succeeded == 2 && counted.health_level() == sam_mm::health::healthy);
    const std::string json = context.memory_report_json();
    CHECK(json.front() == '{' && json.back() == '}' && json.size() == std::strlen(json.c_str()));
}

/* ---- callbacks ---- */

void the_log_is_received_from_the_first_line_on_and_until_it_is_ended() {
    std::atomic<int> lines{0};
    auto token = std::make_shared<int>(1);
    auto options = settings();
    options.log_up_to = sam_mm::log_level::debug;
    options.log = [&lines, token](sam_mm::log_level level, std::string_view line) {
        CHECK(level >= sam_mm::log_level::error && level <= sam_mm::log_level::debug && !line.empty());
        ++lines;
    };
    sam_mm::context context(options);
    options.log = nullptr;
    const auto model = context.load_model();
    CHECK(lines > 0 && token.use_count() == 2);
    sam_mm::context moved = std::move(context);
    fake("log encode 2 a warning from the encoder");
    int seen = lines;
    moved.create_image(picture()).encode(model);
    CHECK(lines > seen);
    moved.on_log(nullptr);
    CHECK(token.use_count() == 1); /* the former function is gone, and what it held with it */
    seen = lines;
    moved.clear_cache(sam_mm::cache::embedding);
    moved.create_image(picture()).encode(model);
    CHECK(lines == seen);
    fake("reset");
}

void replacing_a_callback_waits_for_its_last_call() {
    const sam_mm::context context(settings());
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    fake("log encode 2 slowly");
    std::atomic<int> started{0}, ended{0};
    context.on_log([&](sam_mm::log_level, std::string_view) {
        ++started;
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        ++ended;
    });
    std::thread worker([&] { image.encode(model); });
    while (started == 0) std::this_thread::yield();
    context.on_log(nullptr);
    CHECK(started == ended);
    worker.join();
    fake("reset");
}

void what_a_callback_throws_stays_inside_and_can_be_had() {
    const sam_mm::context context(settings());
    context.on_log([](sam_mm::log_level, std::string_view line) { throw std::runtime_error(std::string(line)); },
                   sam_mm::log_level::debug);
    CHECK(!context.callback_exception());
    const auto model = context.load_model();
    const std::exception_ptr thrown = context.callback_exception();
    CHECK(thrown != nullptr && !context.callback_exception());
    try {
        std::rethrow_exception(thrown);
    } catch (const std::runtime_error &kept) {
        CHECK(std::strlen(kept.what()) > 0);
    }
}

void a_callback_may_ask_and_is_refused_what_would_wait_for_itself() {
    const sam_mm::context context(settings());
    std::atomic<int> asked{0};
    context.on_log(
        [&](sam_mm::log_level, std::string_view) {
            if (asked++) return;
            CHECK(context.try_memory().has_value());
            const auto refused = sam_mm::status::invalid_argument;
            FAILS(context.try_on_log(nullptr), refused, "inside a callback");
            FAILS(context.try_on_log([](auto, auto) {}), refused, "inside a callback");
            FAILS(context.try_on_memory_event(nullptr), refused, "inside a callback");
            FAILS(context.try_load_model(), refused, "inside a callback");
        },
        sam_mm::log_level::debug);
    (void)context.load_model();
    CHECK(asked > 0 && !context.callback_exception());
}

void memory_events_come_by_function_and_by_queue() {
    sam_mm::context context(settings());
    std::atomic<int> events{0};
    context.on_memory_event([&](const sam_mm::memory_event &event) {
        CHECK(event.kind == sam_mm::memory_event_kind::optimized && !event.message.empty());
        ++events;
    });
    const auto model = context.load_model();
    context.create_image(picture()).encode(model);
    context.optimize(true);
    CHECK(events == 1);
    const auto polled = context.poll_memory_event();
    CHECK(polled && polled->kind == sam_mm::memory_event_kind::optimized && polled->bytes > 0 && polled->number == 0);
    CHECK(!context.poll_memory_event());
    context.on_memory_event(nullptr);
    context = sam_mm::context(settings());
    CHECK(events == 1);
}

void many_threads_may_predict_and_change_callbacks_at_once() {
    const sam_mm::context context(settings());
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 20; ++i) {
                const float x = static_cast<float>(1 + t * 20 + i);
                CHECK(model.predict(image, sam_mm::prompt::click(x, 5)).describe().num_masks == 3);
                context.on_log([copy = std::vector<int>(100, t)](auto, auto) { CHECK(copy.size() == 100); },
                               sam_mm::log_level::debug);
            }
        });
    }
    for (std::thread &thread : threads) thread.join();
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    backend_path = argv[1];
    pixels.resize(width * height * 3);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 7);
    const struct {
        const char *name;
        void (*run)();
    } tests[] = {
#define TEST(name) {#name, name}
        TEST(versions_are_those_of_the_library),
        TEST(spans_see_what_they_are_given),
        TEST(defaults_are_those_of_the_library),
        TEST(options_reach_the_library),
        TEST(errors_are_values_that_outlive_what_failed),
        TEST(the_same_failure_is_thrown),
        TEST(failures_of_the_backend_keep_their_words),
        TEST(an_expected_gives_its_value_on),
        TEST(what_is_empty_or_moved_from_is_refused),
        TEST(children_outlive_their_parents_and_views_survive_a_move),
        TEST(assigning_frees_what_was_there),
        TEST(a_box_gives_a_mask_in_every_form),
        TEST(every_part_of_a_prompt_arrives),
        TEST(pixels_are_taken_in_other_orders_and_with_gaps),
        TEST(coordinates_and_masks_go_to_the_screen_and_back),
        TEST(memory_is_told_in_values_that_may_be_missing),
        TEST(the_log_is_received_from_the_first_line_on_and_until_it_is_ended),
        TEST(replacing_a_callback_waits_for_its_last_call),
        TEST(what_a_callback_throws_stays_inside_and_can_be_had),
        TEST(a_callback_may_ask_and_is_refused_what_would_wait_for_itself),
        TEST(memory_events_come_by_function_and_by_queue),
        TEST(many_threads_may_predict_and_change_callbacks_at_once),
    };
    int passed = 0;
    for (const auto &test : tests) {
        test.run();
        std::printf("ok %s\n", test.name);
        ++passed;
    }
    std::printf("%d passed, 0 failed\n", passed);
    return 0;
}
