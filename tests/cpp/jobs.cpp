/* Jobs, prefetching and everything in an image with sam_mm.hpp against the fake backend. Takes the backend's path. */
#include "check.hpp"

#include <atomic>
#include <chrono>
#include <dlfcn.h>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

using namespace std::chrono_literals;

std::string backend_path;
const std::vector<std::uint8_t> pixels(96 * 64, 120);

void fake(const std::string &command) {
    static auto control = reinterpret_cast<std::int32_t (*)(const char *)>(
        dlsym(dlopen(backend_path.c_str(), RTLD_NOW | RTLD_LOCAL), "fake_backend_control"));
    CHECK(control(command.c_str()) == 0);
}

sam_mm::context make_context() {
    sam_mm::options options;
    options.device = "cpu";
    options.backend_path = backend_path;
    return sam_mm::context(options);
}

sam_mm::image_view picture() { return {sam_mm::pixel_format::gray8, 96, 64, pixels}; }

/* Waits for what another thread does, and fails instead of hanging. */
template <class Condition>
void until(Condition condition) {
    bool came = condition();
    for (int i = 0; i < 6000 && !came; ++i) {
        std::this_thread::sleep_for(10ms);
        came = condition();
    }
    CHECK(came);
}

static_assert(!std::is_copy_constructible_v<sam_mm::job<void>>);
static_assert(std::is_nothrow_move_constructible_v<sam_mm::job<sam_mm::result>>);

void each_kind_of_job_gives_what_the_call_would_have() {
    const auto context = make_context();
    auto loading = context.submit_load_model();
    const auto model = loading.join();
    CHECK(model.describe().family == "fake");
    const auto about = loading.describe();
    CHECK(about.kind == sam_mm::job_kind::model_load && about.state == sam_mm::job_state::succeeded);
    CHECK(sam_mm::has_ended(about.state) && about.stage == sam_mm::stage::ended && about.progress == 1);
    CHECK(about.status == sam_mm::status::ok);

    const auto image = context.create_image(picture());
    const auto encoding = image.submit_encode(model);
    encoding.join();
    encoding.check();
    auto predicting = model.submit_predict(image, sam_mm::prompt::click(20, 20));
    CHECK(predicting.wait() == sam_mm::job_state::succeeded);
    const sam_mm::result masks = predicting.take();
    CHECK(masks.describe().num_masks == 3 && masks.describe().embedding_reused);
    FAILS(predicting.try_take(), sam_mm::status::invalid_argument, "");
    sam_mm::display_options options;
    options.target_size = 192;
    options.min_size = 0;
    CHECK(image.submit_process(options).join().describe().width == 192);
}

void a_time_that_is_over_is_no_error_and_a_job_can_be_cancelled() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    fake("block encode");
    const auto job = model.submit_predict(image, sam_mm::prompt::click(20, 20));
    CHECK(!sam_mm::has_ended(job.wait_for(1ms)));
    FAILS(job.try_take(), sam_mm::status::invalid_argument, "");
    job.cancel();
    CHECK(job.wait() == sam_mm::job_state::cancelled);
    FAILS(job.try_take(), sam_mm::status::cancelled, "");
    FAILS(job.try_join(), sam_mm::status::cancelled, "");
    fake("reset");
}

void a_failure_is_that_of_the_call() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    FAILS(model.try_submit_predict(image, sam_mm::prompt::click(97, 1)), sam_mm::status::invalid_argument, "97");
    fake("fail encode 1 6 the encoder tripped over a wire");
    const auto job = image.submit_encode(model);
    CHECK(job.wait() == sam_mm::job_state::failed && job.describe().status == sam_mm::status::backend);
    FAILS(job.try_take(), sam_mm::status::backend, "tripped over a wire");
    fake("reset");
}

void a_callback_is_called_once_and_can_take_the_result() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    std::promise<sam_mm::result> promise;
    std::atomic<int> calls{0};
    auto job = model.submit_predict(image, sam_mm::prompt::click(20, 20), [&](sam_mm::job_view<sam_mm::result> ended) {
        ++calls;
        promise.set_value(ended.take());
    });
    CHECK(promise.get_future().get().describe().num_masks == 3);
    job.wait();
    /* A job that has ended calls a new one all the same. */
    std::promise<void> again;
    job.on_end([&](auto) { again.set_value(); });
    again.get_future().get();
    CHECK(calls == 1 && !job.callback_exception());
}

void what_a_callback_throws_stays_with_the_job() {
    const auto context = make_context();
    const auto image = context.create_image(picture());
    auto job = image.submit_process({}, [](auto) { throw std::runtime_error("not today"); });
    std::exception_ptr thrown;
    until([&] { return (thrown = job.callback_exception()) != nullptr; });
    try {
        std::rethrow_exception(thrown);
    } catch (const std::runtime_error &kept) {
        CHECK(std::string(kept.what()) == "not today");
    }
    CHECK(job.join().describe().original_width == 96);
}

void a_callback_lives_as_long_as_it_may_be_called_and_no_longer() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    auto token = std::make_shared<int>(1);
    fake("block encode");
    auto job = image.submit_encode(model, [token](auto) {});
    CHECK(token.use_count() == 2);
    auto moved = std::move(job);
    CHECK(!job && moved && token.use_count() == 2);
    moved.on_end([other = token, another = token](auto) {});
    CHECK(token.use_count() == 3);
    moved.on_end(nullptr);
    CHECK(token.use_count() == 1);
    moved.on_end([token](auto) {});
    moved = {}; /* cancelled, and not waited for */
    until([&] { return token.use_count() == 1; });
    fake("reset");
}

void a_job_may_be_destroyed_by_its_own_callback() {
    const auto context = make_context();
    const auto image = context.create_image(picture());
    std::atomic<bool> done{false};
    auto job = std::make_shared<sam_mm::job<sam_mm::display>>();
    std::promise<void> stored;
    auto token = std::make_shared<int>(1);
    *job = image.submit_process({}, [&done, &job, &stored, token](auto) {
        stored.get_future().get();
        job.reset();
        CHECK(*token == 1); /* what is running is not taken away */
        done = true;
    });
    stored.set_value();
    until([&] { return done.load(); });
    until([&] { return token.use_count() == 1; });
}

void jobs_may_be_submitted_from_callbacks_where_calls_are_refused() {
    const auto context = make_context();
    const auto image = context.create_image(picture());
    std::promise<sam_mm::job<sam_mm::result>> next;
    auto loading = context.submit_load_model({}, [&](sam_mm::job_view<sam_mm::model> ended) {
        const auto model = ended.take();
        FAILS(model.try_predict(image, sam_mm::prompt::click(1, 1)), sam_mm::status::invalid_argument, "callback");
        FAILS(ended.try_wait(), sam_mm::status::invalid_argument, "callback");
        next.set_value(model.submit_predict(image, sam_mm::prompt::click(20, 20)));
    });
    CHECK(next.get_future().get().join().describe().num_masks == 3);
}

void progress_comes_by_function_and_by_queue_and_may_cancel() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    while (context.poll_progress()) continue;
    std::atomic<std::uint64_t> wanted{UINT64_MAX};
    std::atomic<int> seen{0};
    context.on_progress([&](const sam_mm::progress &event) {
        CHECK(event.done >= 0 && event.done <= 1);
        ++seen;
        return event.id == wanted ? sam_mm::verdict::cancel : sam_mm::verdict::go_on;
    });
    const auto job = image.submit_encode(model);
    job.join();
    CHECK(seen > 0);
    bool polled = false;
    while (const auto event = context.poll_progress()) {
        polled |= event->source == sam_mm::progress_source::job && event->id == job.describe().id;
    }
    CHECK(polled);
    context.on_progress([](const sam_mm::progress &) -> sam_mm::verdict { throw 1; });
    context.clear_cache(sam_mm::cache::embedding);
    image.submit_encode(model).join(); /* an exception cancels nothing */
    CHECK(context.callback_exception() != nullptr);
    context.on_progress([](const sam_mm::progress &) { return sam_mm::verdict::cancel; });
    context.clear_cache(sam_mm::cache::embedding);
    FAILS(image.submit_encode(model).try_join(), sam_mm::status::cancelled, "");
    context.on_progress(nullptr);
}

void a_context_takes_its_jobs_with_it() {
    sam_mm::job<void> job;
    std::atomic<int> calls{0};
    {
        const auto context = make_context();
        const auto model = context.load_model();
        const auto image = context.create_image(picture());
        fake("block encode");
        job = image.submit_encode(model, [&](auto) { ++calls; });
    }
    CHECK(job.describe().state == sam_mm::job_state::cancelled);
    fake("reset");
    job = {};
    CHECK(calls <= 1);
}

void many_jobs_with_callbacks_may_come_and_go_at_once() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            std::atomic<int> ended{0};
            std::vector<sam_mm::job<sam_mm::result>> jobs;
            for (int i = 0; i < 20; ++i) {
                const auto click = sam_mm::prompt::click(static_cast<float>(1 + 4 * i), static_cast<float>(3 + t));
                jobs.push_back(model.submit_predict(image, click, [&](auto) { ++ended; }));
                if (i % 3 == 0) jobs.pop_back(); /* cancelled and gone, perhaps while it runs */
            }
            for (auto &job : jobs) CHECK(job.join().describe().num_masks == 3);
            /* A job that is gone calls nobody any more, so they stay until each has called. */
            until([&] { return ended >= 13; });
        });
    }
    for (std::thread &thread : threads) thread.join();
}

sam_mm::everything_options few_points() {
    sam_mm::everything_options options;
    options.points_per_side = 4;
    options.points_per_batch = 4;
    options.pred_iou_thresh = 0;
    options.stability_score_thresh = 0;
    return options;
}

void everything_is_found_by_call_and_by_job_and_told_step_by_step() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    auto options = few_points();
    double done = 0;
    std::uint32_t told = 0;
    options.on_step = [&](const sam_mm::everything_step &step) {
        CHECK(step.done >= done && step.done <= 1 && step.num_crops == 1 && step.points_total == 16);
        done = step.done;
        if (step.masks) {
            CHECK(step.masks.describe().num_masks == step.num_masks);
            told += step.num_masks;
        }
        return sam_mm::verdict::go_on;
    };
    const auto found = model.segment_everything(image, options);
    const auto info = found.describe();
    CHECK(info.num_masks > 0 && info.width == 96 && info.num_points == 16 && told >= info.num_masks && done == 1);
    const auto mask = found.mask(0);
    CHECK(mask.area > 0 && mask.point.x > 0 && mask.crop_box == sam_mm::box{0, 0, 96, 64});
    std::vector<std::uint8_t> pixels_of(96 * 64);
    found.copy_bitmask(0, pixels_of);
    std::uint64_t area = 0;
    for (const std::uint8_t pixel : pixels_of) area += pixel;
    CHECK(area == mask.area && !found.rle(0).compressed.empty() && !found.polygons(0).empty());
    FAILS(found.try_mask(info.num_masks), sam_mm::status::invalid_argument, "");
    FAILS(sam_mm::mask_set().try_describe(), sam_mm::status::invalid_handle, "");

    auto token = std::make_shared<int>(1);
    options.on_step = [token](const sam_mm::everything_step &) { return sam_mm::verdict::go_on; };
    {
        const auto job = model.submit_everything(image, options);
        options.on_step = nullptr;
        CHECK(token.use_count() == 2);
        CHECK(job.join().describe().num_masks == info.num_masks);
        CHECK(job.describe().kind == sam_mm::job_kind::everything);
    }
    until([&] { return token.use_count() == 1; });
}

void a_step_may_cancel_and_what_it_throws_comes_out_of_the_call() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    auto options = few_points();
    options.on_step = [](const sam_mm::everything_step &) { return sam_mm::verdict::cancel; };
    FAILS(model.try_segment_everything(image, options), sam_mm::status::cancelled, "");
    FAILS(model.submit_everything(image, options).try_join(), sam_mm::status::cancelled, "");
    options.on_step = [](const sam_mm::everything_step &) -> sam_mm::verdict { throw std::runtime_error("enough"); };
    try {
        (void)model.segment_everything(image, options);
        CHECK(!"it throws");
    } catch (const std::runtime_error &thrown) {
        CHECK(std::string(thrown.what()) == "enough");
    }
    FAILS(model.submit_everything(image, options).try_join(), sam_mm::status::cancelled, "");
    options = few_points();
    options.point_grids = {{{0.5, 0.5}, {0.25, 0.75}}};
    CHECK(model.segment_everything(image, options).describe().num_points == 2);
}

void images_are_encoded_before_they_are_asked_for() {
    const auto context = make_context();
    const auto model = context.load_model();
    const auto image = context.create_image(picture());
    model.prefetch(image, 3);
    until([&] { return context.describe_prefetch().done == 1; });
    CHECK(model.predict(image, sam_mm::prompt::click(5, 5)).describe().embedding_source
          == sam_mm::embedding_source::host);
    model.stop_prefetch(image);
    context.clear_prefetch();
    const auto rest = context.describe_prefetch();
    CHECK(rest.queued == 0 && rest.queued_bytes == 0 && rest.skipped == 0);
    FAILS(sam_mm::model().try_prefetch(image), sam_mm::status::invalid_handle, "");
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    backend_path = argv[1];
    const struct {
        const char *name;
        void (*run)();
    } tests[] = {
#define TEST(name) {#name, name}
        TEST(each_kind_of_job_gives_what_the_call_would_have),
        TEST(a_time_that_is_over_is_no_error_and_a_job_can_be_cancelled),
        TEST(a_failure_is_that_of_the_call),
        TEST(a_callback_is_called_once_and_can_take_the_result),
        TEST(what_a_callback_throws_stays_with_the_job),
        TEST(a_callback_lives_as_long_as_it_may_be_called_and_no_longer),
        TEST(a_job_may_be_destroyed_by_its_own_callback),
        TEST(jobs_may_be_submitted_from_callbacks_where_calls_are_refused),
        TEST(progress_comes_by_function_and_by_queue_and_may_cancel),
        TEST(a_context_takes_its_jobs_with_it),
        TEST(many_jobs_with_callbacks_may_come_and_go_at_once),
        TEST(everything_is_found_by_call_and_by_job_and_told_step_by_step),
        TEST(a_step_may_cancel_and_what_it_throws_comes_out_of_the_call),
        TEST(images_are_encoded_before_they_are_asked_for),
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
