/* Models, and predicting with them. */

#ifndef SAM_MM_MODEL_HPP
#define SAM_MM_MODEL_HPP

#include "error.hpp"
#include "image.hpp"
#include "prompt.hpp"
#include "result.hpp"

#include <string>
#include <string_view>

namespace sam_mm {

/// Which model to load and how.
struct model_options {
    /// Checkpoint file, UTF-8; empty, with no `data`: the demo model that is built in.
    std::string path;
    /// Or the bytes of such a file, borrowed for the call.
    span<const std::uint8_t> data;
    sam_mm::precision precision = sam_mm::precision::fp32;

    /// The same for C; valid while this is, and unchanged.
    [[nodiscard]] sam_mm_model_options to_c() const noexcept {
        sam_mm_model_options c = detail::defaults(sam_mm_model_options_init);
        c.precision = static_cast<std::uint32_t>(precision);
        c.path = detail::text_or_null(path);
        c.data = data.empty() ? nullptr : data.data();
        c.data_len = data.size();
        return c;
    }
};

/// What a model is. The texts are borrowed from it.
struct model_info {
    /// "sam", "mobile_sam", ...
    std::string_view family;
    /// "vit_b", ..., or a description of a size that has no name.
    std::string_view variant;
    /// What it was loaded from.
    std::string_view name;
    /// "cpu" or "cuda:N".
    std::string_view device;
    sam_mm::precision precision = sam_mm::precision::fp32;
    std::uint64_t parameters = 0;
    std::uint64_t weight_bytes = 0;
    std::uint64_t embedding_bytes = 0;
    std::uint32_t input_size = 0;
    std::uint32_t mask_size = 0;
    std::uint32_t multimask_count = 0;

    [[nodiscard]] static model_info from_c(const sam_mm_model_info &c) noexcept {
        model_info info;
        info.family = detail::view(c.family);
        info.variant = detail::view(c.variant);
        info.name = detail::view(c.name);
        info.device = detail::view(c.device);
        info.precision = static_cast<sam_mm::precision>(c.precision);
        info.parameters = c.parameters;
        info.weight_bytes = c.weight_bytes;
        info.embedding_bytes = c.embedding_bytes;
        info.input_size = c.input_size;
        info.mask_size = c.mask_size;
        info.multimask_count = c.multimask_count;
        return info;
    }
};

/// A loaded model.
class model {
public:
    model() noexcept = default;
    /// Takes over a handle of the C API.
    explicit model(sam_mm_model *handle) noexcept : handle_(handle) {}

    [[nodiscard]] expected<model_info> try_describe() const {
        return detail::filled<sam_mm_model_info>(sam_mm_model_describe, get()).transform(model_info::from_c);
    }
    /// Predicts the masks of the objects that a request points at; encodes the image first if need be. A prompt alone is a
    /// request for several masks of one object.
    [[nodiscard]] expected<result> try_predict(const image &of, const predict_request &request) const {
        const detail::c_request c(request);
        sam_mm_result *made = nullptr;
        auto done = detail::call(sam_predict, get(), of.get(), c.get(), &made);
        if (!done) return done.error();
        return result(made);
    }

#if SAM_MM_EXCEPTIONS
    [[nodiscard]] model_info describe() const { return try_describe().value(); }
    [[nodiscard]] result predict(const image &of, const predict_request &request) const {
        return try_predict(of, request).value();
    }
#endif

    [[nodiscard]] sam_mm_model *get() const noexcept { return handle_.get(); }
    /// Gives the handle up; it is then the caller's to free.
    [[nodiscard]] sam_mm_model *release() noexcept { return handle_.release(); }
    explicit operator bool() const noexcept { return get() != nullptr; }

private:
    detail::unique_handle<sam_mm_model, sam_mm_model_free> handle_;
};

inline expected<void> image::try_encode(const model &with) const {
    return detail::call(sam_mm_image_encode, get(), with.get());
}

} // namespace sam_mm

#endif /* SAM_MM_MODEL_HPP */
