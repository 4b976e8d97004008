/* Images. */

#ifndef SAM_MM_IMAGE_HPP
#define SAM_MM_IMAGE_HPP

#include "display.hpp"
#include "error.hpp"
#include "job.hpp"

namespace sam_mm {

class model;

/// Pixels of the caller's, borrowed for the call that takes them.
struct image_view {
    pixel_format format = pixel_format::rgb8;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    span<const std::uint8_t> pixels;
    /// Bytes from one row to the next; 0 when rows follow without a gap.
    std::uint64_t row_stride = 0;
    /// Bytes of the caller's choosing that tell this picture from others; empty: the MD5 of the pixels.
    std::string_view content_id = {};

    [[nodiscard]] sam_mm_image_desc to_c() const noexcept {
        sam_mm_image_desc c = detail::defaults(sam_mm_image_desc_init);
        c.format = static_cast<std::uint32_t>(format);
        c.width = width;
        c.height = height;
        c.row_stride = row_stride;
        c.data = pixels.data();
        c.data_len = pixels.size();
        if (!content_id.empty()) {
            c.content_id = reinterpret_cast<const std::uint8_t *>(content_id.data());
            c.content_id_len = content_id.size();
        }
        return c;
    }
};

/// An image, held as a copy of its pixels.
class image {
public:
    image() noexcept = default;
    /// Takes over a handle of the C API.
    explicit image(sam_mm_image *handle) noexcept : handle_(handle) {}

    /// Runs a model's image encoder now, so that the first prediction does not have to.
    [[nodiscard]] inline expected<void> try_encode(const model &with) const;
    /// Brings the image to display size. Needs no backend.
    [[nodiscard]] expected<display> try_process(const display_options &options = {}) const {
        const sam_mm_display_options c = options.to_c();
        sam_mm_display *made = nullptr;
        auto done = detail::call(sam_mm_image_process, get(), &c, &made);
        if (!done) return done.error();
        return display(made);
    }
    /// `try_encode` as a job.
    [[nodiscard]] inline expected<job<void>> try_submit_encode(const model &with, job_callback<void> ended = {}) const;
    /// `try_process` as a job.
    [[nodiscard]] expected<job<display>> try_submit_process(const display_options &options = {},
                                                            job_callback<display> ended = {}) const {
        const sam_mm_display_options c = options.to_c();
        return job<display>::try_submit(std::move(ended), [&](auto... places) {
            return sam_mm_job_submit_process(get(), &c, places...);
        });
    }

#if SAM_MM_EXCEPTIONS
    void encode(const model &with) const { try_encode(with).value(); }
    [[nodiscard]] display process(const display_options &options = {}) const { return try_process(options).value(); }
    [[nodiscard]] job<void> submit_encode(const model &with, job_callback<void> ended = {}) const {
        return try_submit_encode(with, std::move(ended)).value();
    }
    [[nodiscard]] job<display> submit_process(const display_options &options = {},
                                              job_callback<display> ended = {}) const {
        return try_submit_process(options, std::move(ended)).value();
    }
#endif

    [[nodiscard]] sam_mm_image *get() const noexcept { return handle_.get(); }
    /// Gives the handle up; it is then the caller's to free.
    [[nodiscard]] sam_mm_image *release() noexcept { return handle_.release(); }
    explicit operator bool() const noexcept { return get() != nullptr; }

private:
    detail::unique_handle<sam_mm_image, sam_mm_image_free> handle_;
};

} // namespace sam_mm

#include "model.hpp" /* has try_encode */

#endif /* SAM_MM_IMAGE_HPP */
