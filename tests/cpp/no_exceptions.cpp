/* sam_mm.hpp where nothing may be thrown. Takes the fake backend's path. */
#include "check.hpp"

#include <type_traits>
#include <utility>
#include <vector>

#if SAM_MM_EXCEPTIONS
#error "the functions that throw are there"
#endif

namespace {

template <class T, class = void>
struct can_throw : std::false_type {};
template <class T>
struct can_throw<T, std::void_t<decltype(std::declval<T>().describe())>> : std::true_type {};
static_assert(!can_throw<sam_mm::result>::value && !can_throw<sam_mm::model>::value);
static_assert(!std::is_constructible_v<sam_mm::context, sam_mm::options>);

void a_picture_becomes_a_mask(const char *backend) {
    sam_mm::options options;
    options.backend_path = backend;
    options.device = "cpu";
    int lines = 0;
    options.log = [&](sam_mm::log_level, std::string_view) { ++lines; };
    options.log_up_to = sam_mm::log_level::debug;
    const sam_mm::context context = OK(sam_mm::context::try_create(options));
    const sam_mm::model model = OK(context.try_load_model());
    CHECK(lines > 0 && !context.callback_exception());
    const std::vector<std::uint8_t> pixels(90 * 50, 80);
    const sam_mm::image image = OK(context.try_create_image({sam_mm::pixel_format::gray8, 90, 50, pixels}));
    const sam_mm::result masks = OK(model.try_predict(image, sam_mm::predict_request::around({{5, 5, 30, 30}})));
    const sam_mm::bitmask_view mask = OK(masks.try_bitmask(OK(masks.try_best_mask())));
    CHECK(mask.contains(15, 15) && !mask.contains(60, 15));
    OK(context.try_on_log(nullptr));
    CHECK(!OK(context.try_poll_memory_event()).has_value());
}

void a_failure_is_an_error_in_hand(const char *backend) {
    sam_mm::options options;
    options.backend_path = backend;
    options.device = "tpu";
    FAILS(sam_mm::context::try_create(options), sam_mm::status::invalid_argument, "tpu");
    options.device = "cpu";
    const sam_mm::context context = OK(sam_mm::context::try_create(options));
    FAILS(context.try_load_model({"/no/such/file.pth", {}}), sam_mm::status::io, "/no/such/file.pth");
    FAILS(sam_mm::model().try_describe(), sam_mm::status::invalid_handle, "");
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    a_picture_becomes_a_mask(argv[1]);
    std::puts("ok a_picture_becomes_a_mask");
    a_failure_is_an_error_in_hand(argv[1]);
    std::puts("ok a_failure_is_an_error_in_hand");
    std::puts("2 passed, 0 failed");
    return 0;
}
