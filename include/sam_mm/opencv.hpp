/* Pictures and masks of OpenCV. Not part of sam_mm.hpp: include it where OpenCV is. */

#ifndef SAM_MM_OPENCV_HPP
#define SAM_MM_OPENCV_HPP

#include "../sam_mm.hpp"

#include <opencv2/core.hpp>

namespace sam_mm::opencv {

/// The pixels of a matrix as OpenCV's functions read and write them: CV_8UC3 is BGR, CV_8UC4 is BGRA, CV_8UC1 is gray. Parts
/// of larger matrices have gaps between their rows and need no copy. Borrowed from the matrix.
[[nodiscard]] inline expected<image_view> try_view(const cv::Mat &picture) {
    pixel_format format;
    switch (picture.type()) {
    case CV_8UC1: format = pixel_format::gray8; break;
    case CV_8UC3: format = pixel_format::bgr8; break;
    case CV_8UC4: format = pixel_format::bgra8; break;
    default:
        return error(status::invalid_argument,
                     "the matrix is of type " + cv::typeToString(picture.type())
                         + "; CV_8UC1, CV_8UC3 (BGR) and CV_8UC4 (BGRA) can be taken, others by way of cv::Mat::convertTo");
    }
    if (picture.empty() || picture.dims != 2) {
        return error(status::invalid_argument, "the matrix is empty or has more than two dimensions");
    }
    image_view view;
    view.format = format;
    view.width = static_cast<std::uint32_t>(picture.cols);
    view.height = static_cast<std::uint32_t>(picture.rows);
    view.row_stride = picture.step[0];
    // The last row of a part ends with its pixels: what follows may not be there.
    view.pixels = {picture.data, picture.step[0] * (view.height - std::size_t{1}) + view.width * picture.elemSize()};
    return view;
}

/// A mask as OpenCV wants it, CV_8UC1 with 255 in the mask and 0 outside, of its own memory. Nothing of that size is kept
/// with the result.
[[nodiscard]] inline expected<cv::Mat> try_mask(const result &of, std::uint32_t mask) {
    auto info = of.try_describe();
    if (!info) return info.error();
    cv::Mat copied(static_cast<int>(info->height), static_cast<int>(info->width), CV_8UC1);
    auto done = of.try_copy_bitmask(mask, {copied.data, copied.step[0] * info->height}, copied.step[0], 255);
    if (!done) return done.error();
    return copied;
}

/// A mask without a copy: CV_8UC1 with 1 in the mask and 0 outside. Borrowed from the result, and not to be written to.
[[nodiscard]] inline const cv::Mat borrow(const bitmask_view &mask) {
    return cv::Mat(static_cast<int>(mask.height), static_cast<int>(mask.width), CV_8UC1,
                   const_cast<std::uint8_t *>(mask.data), mask.row_stride);
}

/// A box of OpenCV for a prompt.
[[nodiscard]] inline box to_box(const cv::Rect2f &bounds) noexcept {
    return {bounds.x, bounds.y, bounds.x + bounds.width, bounds.y + bounds.height};
}
[[nodiscard]] inline cv::Rect2f to_rect(const box &bounds) noexcept {
    return {bounds.x0, bounds.y0, bounds.width(), bounds.height()};
}

/// Outlines as points of OpenCV, in the library's coordinates: they run along the edges of pixels, where (0, 0) is the outer
/// corner of the first pixel. To OpenCV's drawing functions (0, 0) is its centre: take 0.5 off for those.
[[nodiscard]] inline std::vector<std::vector<cv::Point2f>> to_contours(const polygons_view &polygons) {
    std::vector<std::vector<cv::Point2f>> contours(polygons.size());
    for (std::size_t i = 0; i < polygons.size(); ++i) {
        const ring_view ring = polygons[i];
        contours[i].reserve(ring.size());
        for (std::size_t j = 0; j < ring.size(); ++j) contours[i].emplace_back(ring[j].x, ring[j].y);
    }
    return contours;
}

#if SAM_MM_EXCEPTIONS
[[nodiscard]] inline image_view view(const cv::Mat &picture) { return try_view(picture).value(); }
[[nodiscard]] inline cv::Mat mask(const result &of, std::uint32_t index) { return try_mask(of, index).value(); }
#endif

} // namespace sam_mm::opencv

#endif /* SAM_MM_OPENCV_HPP */
