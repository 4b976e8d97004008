/* Images for the screen, and coordinates and masks there and back. */

#ifndef SAM_MM_DISPLAY_HPP
#define SAM_MM_DISPLAY_HPP

#include "error.hpp"

#include <vector>

namespace sam_mm {

/// How pixels are made from others.
enum class interpolation : std::uint32_t {
    nearest = SAM_MM_INTERPOLATION_NEAREST,
    bilinear = SAM_MM_INTERPOLATION_BILINEAR,
    area = SAM_MM_INTERPOLATION_AREA,
    cubic = SAM_MM_INTERPOLATION_CUBIC,
};

/// How an image is brought to display size, in pixels and with its aspect kept.
struct display_options {
    /// The longer side gets this size.
    std::uint32_t target_size = 1024;
    /// The shorter side is never smaller ...
    std::uint32_t min_size = 600;
    /// ... unless the longer one would be larger than this.
    std::uint32_t max_size = 2048;
    interpolation shrinking = interpolation::area;
    interpolation enlarging = interpolation::bilinear;
    pixel_format format = pixel_format::rgb8;

    [[nodiscard]] sam_mm_display_options to_c() const noexcept {
        sam_mm_display_options c = detail::defaults(sam_mm_display_options_init);
        c.target_size = target_size;
        c.min_size = min_size;
        c.max_size = max_size;
        c.shrinking = static_cast<std::uint32_t>(shrinking);
        c.enlarging = static_cast<std::uint32_t>(enlarging);
        c.format = static_cast<std::uint32_t>(format);
        return c;
    }
};

/// The pixels of a display image, and how they came from the original ones. Borrowed from the display image.
struct display_view {
    pixel_format format = pixel_format::rgb8;
    std::uint32_t original_width = 0;
    std::uint32_t original_height = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    double scale_x = 1;
    double scale_y = 1;
    double original_aspect = 1;
    double aspect = 1;
    /// Bytes from one row to the next.
    std::size_t row_stride = 0;
    span<const std::uint8_t> pixels;

    [[nodiscard]] static display_view from_c(const sam_mm_display_info &c) noexcept {
        display_view view;
        view.format = static_cast<pixel_format>(c.format);
        view.original_width = c.original_width;
        view.original_height = c.original_height;
        view.width = c.width;
        view.height = c.height;
        view.scale_x = c.scale_x;
        view.scale_y = c.scale_y;
        view.original_aspect = c.original_aspect;
        view.aspect = c.aspect;
        view.row_stride = static_cast<std::size_t>(c.row_stride);
        view.pixels = {c.data, static_cast<std::size_t>(c.data_len)};
        return view;
    }
};

/// An image as it is shown.
///
/// Its coordinates are counted as those of the original image: the corners of one are exactly those of the other. Points
/// and boxes that lie outside are brought to the edge; NaN and infinities are refused.
class display {
public:
    display() noexcept = default;
    /// Takes over a handle of the C API.
    explicit display(sam_mm_display *handle) noexcept : handle_(handle) {}

    [[nodiscard]] expected<display_view> try_describe() const {
        return detail::filled<sam_mm_display_info>(sam_mm_display_describe, get()).transform(display_view::from_c);
    }
    [[nodiscard]] expected<std::vector<point>> try_to_original(span<const point> points) const {
        return converted(sam_mm_display_points_to_original, points);
    }
    [[nodiscard]] expected<std::vector<point>> try_to_display(span<const point> points) const {
        return converted(sam_mm_display_points_to_display, points);
    }
    [[nodiscard]] expected<std::vector<box>> try_to_original(span<const box> boxes) const {
        return converted(sam_mm_display_boxes_to_original, boxes);
    }
    [[nodiscard]] expected<std::vector<box>> try_to_display(span<const box> boxes) const {
        return converted(sam_mm_display_boxes_to_display, boxes);
    }
    [[nodiscard]] expected<point> try_to_original(point at) const {
        return one(sam_mm_display_points_to_original, at);
    }
    [[nodiscard]] expected<point> try_to_display(point at) const { return one(sam_mm_display_points_to_display, at); }
    [[nodiscard]] expected<box> try_to_original(box bounds) const {
        return one(sam_mm_display_boxes_to_original, bounds);
    }
    [[nodiscard]] expected<box> try_to_display(box bounds) const { return one(sam_mm_display_boxes_to_display, bounds); }
    /// A mask of the display image's size, a byte a pixel and rows `row_stride` bytes apart (0: without a gap), as one of
    /// the original's, rows without a gap.
    [[nodiscard]] expected<std::vector<std::uint8_t>> try_mask_to_original(span<const std::uint8_t> mask,
                                                                           std::uint64_t row_stride = 0) const {
        auto view = try_describe();
        if (!view) return view.error();
        return mask_of(sam_mm_display_mask_to_original, mask, row_stride, view->original_width, view->original_height);
    }
    /// A mask of the original image's size as one of the display image's.
    [[nodiscard]] expected<std::vector<std::uint8_t>> try_mask_to_display(span<const std::uint8_t> mask,
                                                                          std::uint64_t row_stride = 0) const {
        auto view = try_describe();
        if (!view) return view.error();
        return mask_of(sam_mm_display_mask_to_display, mask, row_stride, view->width, view->height);
    }

#if SAM_MM_EXCEPTIONS
    [[nodiscard]] display_view describe() const { return try_describe().value(); }
    [[nodiscard]] std::vector<point> to_original(span<const point> points) const {
        return try_to_original(points).value();
    }
    [[nodiscard]] std::vector<point> to_display(span<const point> points) const {
        return try_to_display(points).value();
    }
    [[nodiscard]] std::vector<box> to_original(span<const box> boxes) const { return try_to_original(boxes).value(); }
    [[nodiscard]] std::vector<box> to_display(span<const box> boxes) const { return try_to_display(boxes).value(); }
    [[nodiscard]] point to_original(point at) const { return try_to_original(at).value(); }
    [[nodiscard]] point to_display(point at) const { return try_to_display(at).value(); }
    [[nodiscard]] box to_original(box bounds) const { return try_to_original(bounds).value(); }
    [[nodiscard]] box to_display(box bounds) const { return try_to_display(bounds).value(); }
    [[nodiscard]] std::vector<std::uint8_t> mask_to_original(span<const std::uint8_t> mask,
                                                             std::uint64_t row_stride = 0) const {
        return try_mask_to_original(mask, row_stride).value();
    }
    [[nodiscard]] std::vector<std::uint8_t> mask_to_display(span<const std::uint8_t> mask,
                                                            std::uint64_t row_stride = 0) const {
        return try_mask_to_display(mask, row_stride).value();
    }
#endif

    [[nodiscard]] sam_mm_display *get() const noexcept { return handle_.get(); }
    /// Gives the handle up; it is then the caller's to free.
    [[nodiscard]] sam_mm_display *release() noexcept { return handle_.release(); }
    explicit operator bool() const noexcept { return get() != nullptr; }

private:
    template <class T, class Function>
    [[nodiscard]] expected<T> one(Function function, const T &given) const {
        T answer = given;
        auto done = detail::call(function, get(), detail::coordinates(&given), std::uint64_t{1},
                                 detail::coordinates(&answer));
        if (!done) return done.error();
        return answer;
    }
    template <class T, class Function>
    [[nodiscard]] expected<std::vector<std::remove_const_t<T>>> converted(Function function, span<T> given) const {
        std::vector<std::remove_const_t<T>> answer(given.begin(), given.end());
        const auto count = static_cast<std::uint64_t>(answer.size());
        auto done = detail::call(function, get(), detail::coordinates(given.data()), count,
                                 detail::coordinates(answer.data()));
        if (!done) return done.error();
        return answer;
    }
    template <class Function>
    [[nodiscard]] expected<std::vector<std::uint8_t>> mask_of(Function function, span<const std::uint8_t> mask,
                                                              std::uint64_t row_stride, std::uint32_t width,
                                                              std::uint32_t height) const {
        std::vector<std::uint8_t> answer(std::size_t{width} * height);
        auto done = detail::call(function, get(), mask.data(), static_cast<std::uint64_t>(mask.size()), row_stride,
                                 answer.data(), static_cast<std::uint64_t>(answer.size()), std::uint64_t{0});
        if (!done) return done.error();
        return answer;
    }

    detail::unique_handle<sam_mm_display, sam_mm_display_free> handle_;
};

} // namespace sam_mm

#endif /* SAM_MM_DISPLAY_HPP */
