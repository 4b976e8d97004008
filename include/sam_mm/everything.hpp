/* Everything in an image: all masks that a grid of points finds. */

#ifndef SAM_MM_EVERYTHING_HPP
#define SAM_MM_EVERYTHING_HPP

#include "error.hpp"
#include "job.hpp"
#include "result.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sam_mm {

/// How the masks of a set were found.
struct mask_set_info {
    std::uint32_t num_masks = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    /// Images that were looked at: the whole one and crops.
    std::uint32_t num_crops = 0;
    /// The smallest number of points that a batch was cut down to for want of memory; 0 when none was.
    std::uint32_t reduced_batch = 0;
    std::uint64_t num_points = 0;
    std::uint64_t num_batches = 0;
    /// Masks that passed the filters before duplicates went.
    std::uint64_t num_candidates = 0;
    /// Most bytes of host memory that logits and masks took together.
    std::uint64_t peak_bytes = 0;

    [[nodiscard]] static mask_set_info from_c(const sam_mm_mask_set_info &c) noexcept {
        return {c.num_masks,  c.width,       c.height,         c.num_crops, c.reduced_batch,
                c.num_points, c.num_batches, c.num_candidates, c.peak_bytes};
    }
};

/// One found mask in figures.
struct found_mask_info {
    /// Its number among all that were found: what it is called in the steps told on the way.
    std::uint64_t id = 0;
    std::uint64_t area = 0;
    box bounding_box;
    /// IoU with the object that the model predicts for the mask.
    float predicted_iou = 0;
    /// How little the mask changes with the threshold of its logits, 0 to 1.
    float stability_score = 0;
    /// The point it was found with.
    sam_mm::point point;
    /// The crop it was found in; layer 0 is the whole image.
    box crop_box;
    std::uint32_t crop_layer = 0;

    [[nodiscard]] static found_mask_info from_c(const sam_mm_found_mask_info &c) noexcept {
        const auto to_box = [](const float *corners) { return box{corners[0], corners[1], corners[2], corners[3]}; };
        return {c.id,
                c.area,
                to_box(c.bounding_box),
                c.predicted_iou,
                c.stability_score,
                {c.point[0], c.point[1]},
                to_box(c.crop_box),
                c.crop_layer};
    }
};

/// Masks that somebody else owns: those of a step, until its callback returns.
class mask_set_view {
public:
    mask_set_view() noexcept = default;
    explicit mask_set_view(sam_mm_mask_set *handle) noexcept : handle_(handle) {}

    [[nodiscard]] expected<mask_set_info> try_describe() const {
        return detail::filled<sam_mm_mask_set_info>(sam_mm_mask_set_describe, get()).transform(mask_set_info::from_c);
    }
    [[nodiscard]] expected<found_mask_info> try_mask(std::uint32_t mask) const {
        return detail::filled<sam_mm_found_mask_info>(sam_mm_mask_set_mask_info, get(), mask)
            .transform(found_mask_info::from_c);
    }
    /// The mask as COCO run-length encoding. Made when first asked for, then kept.
    [[nodiscard]] expected<rle_view> try_rle(std::uint32_t mask) const {
        return detail::filled<sam_mm_rle>(sam_mm_mask_set_rle, get(), mask).transform([](const sam_mm_rle &c) {
            return rle_view{c.width, c.height, span<const std::uint32_t>(c.counts, c.num_counts),
                            std::string_view(c.compressed, static_cast<std::size_t>(c.compressed_len))};
        });
    }
    /// Writes the mask at the size of the image into memory of the caller's; as `result::try_copy_bitmask`.
    [[nodiscard]] expected<void> try_copy_bitmask(std::uint32_t mask, span<std::uint8_t> pixels,
                                                  std::uint64_t row_stride = 0, std::uint8_t on_value = 1) const {
        return detail::call(sam_mm_mask_set_bitmask_copy, get(), mask, static_cast<std::uint32_t>(on_value),
                            pixels.data(), static_cast<std::uint64_t>(pixels.size()), row_stride);
    }
    /// The outlines of the mask. Made once per set of options, then kept.
    [[nodiscard]] expected<polygons_view> try_polygons(std::uint32_t mask, const polygon_options &options = {}) const {
        const sam_mm_polygon_options c = options.to_c();
        auto polygons = detail::output<sam_mm_polygons>();
        auto done = detail::call(sam_mm_mask_set_polygons, get(), mask, &c, &polygons);
        if (!done) return done.error();
        return polygons_view(polygons);
    }

#if SAM_MM_EXCEPTIONS
    [[nodiscard]] mask_set_info describe() const { return try_describe().value(); }
    [[nodiscard]] found_mask_info mask(std::uint32_t index) const { return try_mask(index).value(); }
    [[nodiscard]] rle_view rle(std::uint32_t mask) const { return try_rle(mask).value(); }
    void copy_bitmask(std::uint32_t mask, span<std::uint8_t> pixels, std::uint64_t row_stride = 0,
                      std::uint8_t on_value = 1) const {
        try_copy_bitmask(mask, pixels, row_stride, on_value).value();
    }
    [[nodiscard]] polygons_view polygons(std::uint32_t mask, const polygon_options &options = {}) const {
        return try_polygons(mask, options).value();
    }
#endif

    [[nodiscard]] sam_mm_mask_set *get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

protected:
    sam_mm_mask_set *handle_ = nullptr;
};

/// Masks that were found in an image.
class mask_set : public mask_set_view {
public:
    mask_set() noexcept = default;
    /// Takes over a handle of the C API.
    explicit mask_set(sam_mm_mask_set *handle) noexcept : mask_set_view(handle) {}
    mask_set(mask_set &&other) noexcept : mask_set_view(std::exchange(other.handle_, nullptr)) {}
    mask_set &operator=(mask_set &&other) noexcept {
        if (this != &other) {
            sam_mm_mask_set_free(handle_);
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    mask_set(const mask_set &) = delete;
    mask_set &operator=(const mask_set &) = delete;
    ~mask_set() { sam_mm_mask_set_free(handle_); }

    /// Gives the handle up; it is then the caller's to free.
    [[nodiscard]] sam_mm_mask_set *release() noexcept { return std::exchange(handle_, nullptr); }
};

/// Where a segmentation of everything stands.
struct everything_step {
    /// The crop that is looked at; 0 is the whole image.
    std::uint32_t crop_index = 0;
    std::uint32_t num_crops = 0;
    std::uint64_t points_done = 0;
    std::uint64_t points_total = 0;
    /// The done part of all, 0 to 1.
    double done = 0;
    /// The masks that the batch gave, until the callback returns; none when it gave none. One may still go because another
    /// is nearly the same and better.
    mask_set_view masks;
    std::uint32_t num_masks = 0;

    [[nodiscard]] static everything_step from_c(const sam_mm_everything_step &c) noexcept {
        return {c.crop_index, c.num_crops, c.points_done, c.points_total, c.fraction, mask_set_view(c.masks), c.num_masks};
    }
};

/// Is told each step, on the thread that does the work, and may cancel. What it throws cancels, and is thrown on by the call
/// that it was given to; a job ends as cancelled.
using step_callback = std::function<verdict(const everything_step &step)>;

/// How everything in an image is looked for. The defaults are those of the official generators.
struct everything_options {
    std::uint32_t points_per_side = 32;
    std::uint32_t points_per_batch = 64;
    std::uint32_t crop_n_layers = 0;
    std::uint32_t crop_n_points_downscale_factor = 1;
    bool multimask = true;
    bool use_m2m = false;
    /// Of the predicted IoU; no value: what the model's family has. 0: all masks stay.
    std::optional<double> pred_iou_thresh;
    double stability_score_thresh = 0.95;
    double stability_score_offset = 1;
    double mask_threshold = 0;
    double box_nms_thresh = 0.7;
    double crop_nms_thresh = 0.7;
    double crop_overlap_ratio = 512.0 / 1500.0;
    std::uint64_t min_mask_region_area = 0;
    /// Own points instead of a grid, as fractions of the image or crop: those for the whole image, then those for each layer
    /// of crops.
    std::vector<std::vector<std::pair<double, double>>> point_grids;
    step_callback on_step;
};

namespace detail {

struct step_entry {
    step_callback function;
    thrown exceptions;
};

inline std::int32_t tell_step(step_entry &to, const sam_mm_everything_step *step) noexcept {
    return static_cast<std::int32_t>(
        to.exceptions.guard(verdict::cancel, [&] { return to.function(everything_step::from_c(*step)); }));
}

/// Of a call, which is over before the function goes.
inline std::int32_t on_step(void *user_data, const sam_mm_everything_step *step) noexcept {
    const inside_callback inside;
    return tell_step(*static_cast<step_entry *>(user_data), step);
}

/// Of a job, which may take a step while it goes.
inline std::int32_t on_step_of_job(void *number, const sam_mm_everything_step *step) noexcept {
    const inside_callback inside;
    const auto entry = numbered<step_entry>::find(number);
    return entry ? tell_step(*entry, step) : static_cast<std::int32_t>(verdict::cancel);
}

/// Options for C, with the arrays they point to.
class c_everything_options {
public:
    explicit c_everything_options(const everything_options &given)
        : options_(defaults(sam_mm_everything_options_init)) {
        options_.points_per_side = given.points_per_side;
        options_.points_per_batch = given.points_per_batch;
        options_.crop_n_layers = given.crop_n_layers;
        options_.crop_n_points_downscale_factor = given.crop_n_points_downscale_factor;
        options_.multimask = given.multimask;
        options_.use_m2m = given.use_m2m;
        options_.pred_iou_thresh = given.pred_iou_thresh.value_or(options_.pred_iou_thresh);
        options_.stability_score_thresh = given.stability_score_thresh;
        options_.stability_score_offset = given.stability_score_offset;
        options_.mask_threshold = given.mask_threshold;
        options_.box_nms_thresh = given.box_nms_thresh;
        options_.crop_nms_thresh = given.crop_nms_thresh;
        options_.crop_overlap_ratio = given.crop_overlap_ratio;
        options_.min_mask_region_area = given.min_mask_region_area;
        for (const auto &grid : given.point_grids) {
            sizes_.push_back(static_cast<std::uint32_t>(grid.size()));
            for (const auto &[x, y] : grid) points_.insert(points_.end(), {x, y});
        }
        if (!sizes_.empty()) {
            options_.num_point_grids = static_cast<std::uint32_t>(sizes_.size());
            options_.point_grids = points_.data();
            options_.point_grid_sizes = sizes_.data();
        }
    }
    c_everything_options(const c_everything_options &) = delete;
    c_everything_options &operator=(const c_everything_options &) = delete;

    [[nodiscard]] sam_mm_everything_options *get() noexcept { return &options_; }

private:
    std::vector<double> points_;
    std::vector<std::uint32_t> sizes_;
    sam_mm_everything_options options_;
};

} // namespace detail
} // namespace sam_mm

#endif /* SAM_MM_EVERYTHING_HPP */
