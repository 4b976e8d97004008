/* Results: the masks of one prediction, in every form. */

#ifndef SAM_MM_RESULT_HPP
#define SAM_MM_RESULT_HPP

#include "error.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace sam_mm {

/// What helped when memory had run out.
enum class rung : std::uint32_t {
    none = SAM_MM_RUNG_NONE,
    release_caches = SAM_MM_RUNG_RELEASE_CACHES,
    empty_allocator = SAM_MM_RUNG_EMPTY_ALLOCATOR,
    lower_precision = SAM_MM_RUNG_LOWER_PRECISION,
    cpu = SAM_MM_RUNG_CPU,
};

/// Where the embedding of a prediction was when it was needed.
enum class embedding_source : std::uint32_t {
    none = SAM_MM_EMBEDDING_NONE,
    encoded = SAM_MM_EMBEDDING_ENCODED,
    device = SAM_MM_EMBEDDING_DEVICE,
    host = SAM_MM_EMBEDDING_HOST,
    disk = SAM_MM_EMBEDDING_DISK,
};

/// What a result holds, and how it was had.
struct result_info {
    std::uint32_t num_objects = 0;
    std::uint32_t masks_per_object = 0;
    std::uint32_t num_masks = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    /// Side of the square low-resolution logits.
    std::uint32_t mask_size = 0;
    bool embedding_reused = false;
    sam_mm::embedding_source embedding_source = sam_mm::embedding_source::none;
    bool prediction_reused = false;
    bool on_cpu = false;
    bool chunked_attention = false;
    sam_mm::precision precision = sam_mm::precision::fp32;
    rung recovered_by = rung::none;
    double encode_ms = 0;
    double decode_ms = 0;

    [[nodiscard]] static result_info from_c(const sam_mm_result_info &c) noexcept {
        result_info info;
        info.num_objects = c.num_objects;
        info.masks_per_object = c.masks_per_object;
        info.num_masks = c.num_masks;
        info.width = c.width;
        info.height = c.height;
        info.mask_size = c.mask_size;
        info.embedding_reused = c.embedding_reused != 0;
        info.embedding_source = static_cast<sam_mm::embedding_source>(c.embedding_source);
        info.prediction_reused = c.prediction_reused != 0;
        info.on_cpu = c.on_cpu != 0;
        info.chunked_attention = c.chunked_attention != 0;
        info.precision = static_cast<sam_mm::precision>(c.precision);
        info.recovered_by = static_cast<rung>(c.recovered_by);
        info.encode_ms = c.encode_ms;
        info.decode_ms = c.decode_ms;
        return info;
    }
};

/// One mask in figures.
struct mask_info {
    std::uint32_t object_index = 0;
    /// Pixels at the size of the image.
    std::uint64_t area = 0;
    /// Around the mask; zeros for an empty one.
    box bounding_box;
    /// IoU with the object that the model predicts for the mask.
    float score = 0;
    /// How sure the model is that there is such an object at all, as a logit: above 0 for yes; no value for models that do
    /// not tell (SAM, MobileSAM).
    std::optional<float> object_score;

    [[nodiscard]] static mask_info from_c(const sam_mm_mask_info &c) noexcept {
        mask_info info;
        info.object_index = c.object_index;
        info.area = c.area;
        info.bounding_box = {c.bounding_box[0], c.bounding_box[1], c.bounding_box[2], c.bounding_box[3]};
        info.score = c.score;
        if (c.has_object_score) info.object_score = c.object_score;
        return info;
    }
};

/// A mask at the size of the image, one byte a pixel: 1 in the mask, 0 outside. Borrowed from its result.
struct bitmask_view {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    /// Bytes from one row to the next.
    std::size_t row_stride = 0;
    const std::uint8_t *data = nullptr;

    [[nodiscard]] bool contains(std::uint32_t x, std::uint32_t y) const noexcept {
        return x < width && y < height && data[y * row_stride + x] != 0;
    }
    [[nodiscard]] span<const std::uint8_t> row(std::uint32_t y) const noexcept {
        return {data + y * row_stride, width};
    }
    /// All rows, one after the other.
    [[nodiscard]] span<const std::uint8_t> pixels() const noexcept { return {data, row_stride * height}; }
};

/// A mask as COCO run-length encoding. Borrowed from its result.
struct rle_view {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    /// Lengths of runs down the columns, of pixels outside and inside in turn.
    span<const std::uint32_t> counts;
    /// The same as COCO's compressed text. Ends with a NUL that does not count.
    std::string_view compressed;
};

/// Which pixels belong together.
enum class connectivity : std::uint32_t {
    sides = SAM_MM_CONNECTIVITY_4,
    sides_and_corners = SAM_MM_CONNECTIVITY_8,
};

/// Which outlines are wanted.
struct polygon_options {
    sam_mm::connectivity connectivity = sam_mm::connectivity::sides;
    /// Points may be left out that lie no farther than this from the outline, in pixels.
    double tolerance = 0;
    /// Rings that enclose fewer pixels are left out.
    std::uint64_t min_area = 0;

    [[nodiscard]] sam_mm_polygon_options to_c() const noexcept {
        sam_mm_polygon_options c = detail::defaults(sam_mm_polygon_options_init);
        c.connectivity = static_cast<std::uint32_t>(connectivity);
        c.tolerance = tolerance;
        c.min_area = min_area;
        return c;
    }
};

/// A closed outline; its last point joins the first. Borrowed from its result.
class ring_view {
public:
    ring_view(const float *xy, std::size_t size, std::int32_t parent) noexcept
        : xy_(xy), size_(size), parent_(parent) {}

    /// Points.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] point operator[](std::size_t index) const noexcept { return {xy_[2 * index], xy_[2 * index + 1]}; }
    [[nodiscard]] std::vector<point> points() const {
        std::vector<point> copied(size_);
        for (std::size_t i = 0; i < size_; ++i) copied[i] = (*this)[i];
        return copied;
    }
    /// x, y, x, y, ...
    [[nodiscard]] span<const float> coordinates() const noexcept { return {xy_, 2 * size_}; }
    [[nodiscard]] bool is_hole() const noexcept { return parent_ >= 0; }
    /// The ring in which this one is a hole; -1 for an outer outline.
    [[nodiscard]] std::int32_t parent() const noexcept { return parent_; }

private:
    const float *xy_;
    std::size_t size_;
    std::int32_t parent_;
};

/// The outlines of a mask: outer ones and holes. Filling them all by the even-odd rule gives the mask. Borrowed from its
/// result.
class polygons_view {
public:
    explicit polygons_view(const sam_mm_polygons &c) noexcept : c_(c) {}

    /// Rings.
    [[nodiscard]] std::size_t size() const noexcept { return c_.num_rings; }
    [[nodiscard]] bool empty() const noexcept { return c_.num_rings == 0; }
    [[nodiscard]] ring_view operator[](std::size_t ring) const noexcept {
        const std::size_t start = c_.ring_starts[ring];
        return {c_.points + 2 * start, c_.ring_starts[ring + 1] - start, c_.parents[ring]};
    }

private:
    sam_mm_polygons c_;
};

/// The masks of one prediction, numbered object after object: with three a object, masks 3 to 5 are those of object 1.
class result {
public:
    result() noexcept = default;
    /// Takes over a handle of the C API.
    explicit result(sam_mm_result *handle) noexcept : handle_(handle) {}

    [[nodiscard]] expected<result_info> try_describe() const {
        return detail::filled<sam_mm_result_info>(sam_mm_result_describe, get()).transform(result_info::from_c);
    }
    /// Figures of a mask; measured when first asked for.
    [[nodiscard]] expected<mask_info> try_mask(std::uint32_t mask) const {
        return detail::filled<sam_mm_mask_info>(sam_mm_result_mask_info, get(), mask).transform(mask_info::from_c);
    }
    /// The mask of an object that has the highest score.
    [[nodiscard]] expected<std::uint32_t> try_best_mask(std::uint32_t object = 0) const {
        std::uint32_t best = 0;
        auto done = detail::call(sam_mm_result_best_mask, get(), object, &best);
        if (!done) return done.error();
        return best;
    }
    /// Low-resolution logits, `mask_size` rows of `mask_size`. For `prompt::refining`.
    [[nodiscard]] expected<span<const float>> try_logits(std::uint32_t mask) const {
        const float *logits = nullptr;
        std::uint64_t size = 0;
        auto done = detail::call(sam_mm_result_logits, get(), mask, &logits, &size);
        if (!done) return done.error();
        return span<const float>(logits, static_cast<std::size_t>(size));
    }
    /// The mask at the size of the image. Made when first asked for, then kept.
    [[nodiscard]] expected<bitmask_view> try_bitmask(std::uint32_t mask) const {
        return detail::filled<sam_mm_bitmask>(sam_mm_result_bitmask, get(), mask)
            .transform([](const sam_mm_bitmask &c) {
                return bitmask_view{c.width, c.height, static_cast<std::size_t>(c.row_stride), c.data};
            });
    }
    /// Writes the mask at the size of the image into memory of the caller's, and keeps nothing: `on_value` in the mask, 0
    /// outside, rows `row_stride` bytes apart (0: without a gap).
    [[nodiscard]] expected<void> try_copy_bitmask(std::uint32_t mask, span<std::uint8_t> pixels,
                                                  std::uint64_t row_stride = 0, std::uint8_t on_value = 1) const {
        return detail::call(sam_mm_result_bitmask_copy, get(), mask, static_cast<std::uint32_t>(on_value),
                            pixels.data(), static_cast<std::uint64_t>(pixels.size()), row_stride);
    }
    /// The mask as COCO run-length encoding. Made when first asked for, then kept.
    [[nodiscard]] expected<rle_view> try_rle(std::uint32_t mask) const {
        return detail::filled<sam_mm_rle>(sam_mm_result_rle, get(), mask).transform([](const sam_mm_rle &c) {
            return rle_view{c.width, c.height, span<const std::uint32_t>(c.counts, c.num_counts),
                            std::string_view(c.compressed, static_cast<std::size_t>(c.compressed_len))};
        });
    }
    /// The outlines of the mask. Made once per set of options, then kept.
    [[nodiscard]] expected<polygons_view> try_polygons(std::uint32_t mask, const polygon_options &options = {}) const {
        const sam_mm_polygon_options c = options.to_c();
        auto polygons = detail::output<sam_mm_polygons>();
        auto done = detail::call(sam_mm_result_polygons, get(), mask, &c, &polygons);
        if (!done) return done.error();
        return polygons_view(polygons);
    }

#if SAM_MM_EXCEPTIONS
    [[nodiscard]] result_info describe() const { return try_describe().value(); }
    [[nodiscard]] mask_info mask(std::uint32_t index) const { return try_mask(index).value(); }
    [[nodiscard]] std::uint32_t best_mask(std::uint32_t object = 0) const { return try_best_mask(object).value(); }
    [[nodiscard]] span<const float> logits(std::uint32_t mask) const { return try_logits(mask).value(); }
    [[nodiscard]] bitmask_view bitmask(std::uint32_t mask) const { return try_bitmask(mask).value(); }
    void copy_bitmask(std::uint32_t mask, span<std::uint8_t> pixels, std::uint64_t row_stride = 0,
                      std::uint8_t on_value = 1) const {
        try_copy_bitmask(mask, pixels, row_stride, on_value).value();
    }
    [[nodiscard]] rle_view rle(std::uint32_t mask) const { return try_rle(mask).value(); }
    [[nodiscard]] polygons_view polygons(std::uint32_t mask, const polygon_options &options = {}) const {
        return try_polygons(mask, options).value();
    }
#endif

    [[nodiscard]] sam_mm_result *get() const noexcept { return handle_.get(); }
    /// Gives the handle up; it is then the caller's to free.
    [[nodiscard]] sam_mm_result *release() noexcept { return handle_.release(); }
    explicit operator bool() const noexcept { return get() != nullptr; }

private:
    detail::unique_handle<sam_mm_result, sam_mm_result_free> handle_;
};

} // namespace sam_mm

#endif /* SAM_MM_RESULT_HPP */
