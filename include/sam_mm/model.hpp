/* Models, and predicting with them. */

#ifndef SAM_MM_MODEL_HPP
#define SAM_MM_MODEL_HPP

#include "error.hpp"
#include "everything.hpp"
#include "image.hpp"
#include "job.hpp"
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
    /// `try_predict` as a job. The request is copied, so what its prompts refine may go.
    [[nodiscard]] expected<job<result>> try_submit_predict(const image &of, const predict_request &request,
                                                           job_callback<result> ended = {}) const {
        const detail::c_request c(request);
        return job<result>::try_submit(std::move(ended), [&](auto... places) {
            return sam_mm_job_submit_predict(get(), of.get(), c.get(), places...);
        });
    }
    /// Finds all masks in an image; encodes it first if need be. What `on_step` throws is thrown on, as it was.
    [[nodiscard]] expected<mask_set> try_segment_everything(const image &in,
                                                            const everything_options &options = {}) const {
        detail::c_everything_options c(options);
        detail::step_entry step;
        step.function = options.on_step;
        if (step.function) {
            c.get()->on_step = detail::on_step;
            c.get()->user_data = &step;
        }
        sam_mm_mask_set *found = nullptr;
        auto done = detail::call(sam_mm_image_segment_everything, in.get(), get(), c.get(), &found);
#if SAM_MM_EXCEPTIONS
        if (const std::exception_ptr thrown = step.exceptions.take()) {
            sam_mm_mask_set_free(found);
            std::rethrow_exception(thrown);
        }
#endif
        if (!done) return done.error();
        return mask_set(found);
    }
    /// `try_segment_everything` as a job. What `on_step` throws cancels it.
    [[nodiscard]] expected<job<mask_set>> try_submit_everything(const image &in, const everything_options &options = {},
                                                                job_callback<mask_set> ended = {}) const {
        using numbered_step = detail::numbered<detail::step_entry>;
        detail::c_everything_options c(options);
        std::shared_ptr<numbered_step> step;
        if (options.on_step) {
            auto entry = std::make_shared<detail::step_entry>();
            entry->function = options.on_step;
            step = std::make_shared<numbered_step>(std::move(entry));
            c.get()->on_step = detail::on_step_of_job;
            c.get()->user_data = step->user_data();
        }
        return job<mask_set>::try_submit(
            std::move(ended),
            [&](auto... places) { return sam_mm_job_submit_everything(get(), in.get(), c.get(), places...); }, step);
    }

    /// Asks for an image to be encoded before somebody clicks on it; larger priorities go first. Never waits.
    [[nodiscard]] expected<void> try_prefetch(const image &next, std::int32_t priority = 0) const {
        return detail::call(sam_mm_prefetch_add, get(), next.get(), priority);
    }
    /// Takes an image out of the queue, or stops encoding it. Never waits.
    [[nodiscard]] expected<void> try_stop_prefetch(const image &next) const {
        return detail::call(sam_mm_prefetch_remove, get(), next.get());
    }

#if SAM_MM_EXCEPTIONS
    [[nodiscard]] mask_set segment_everything(const image &in, const everything_options &options = {}) const {
        return try_segment_everything(in, options).value();
    }
    [[nodiscard]] job<mask_set> submit_everything(const image &in, const everything_options &options = {},
                                                  job_callback<mask_set> ended = {}) const {
        return try_submit_everything(in, options, std::move(ended)).value();
    }
    void prefetch(const image &next, std::int32_t priority = 0) const { try_prefetch(next, priority).value(); }
    void stop_prefetch(const image &next) const { try_stop_prefetch(next).value(); }
    [[nodiscard]] model_info describe() const { return try_describe().value(); }
    [[nodiscard]] result predict(const image &of, const predict_request &request) const {
        return try_predict(of, request).value();
    }
    [[nodiscard]] job<result> submit_predict(const image &of, const predict_request &request,
                                             job_callback<result> ended = {}) const {
        return try_submit_predict(of, request, std::move(ended)).value();
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

inline expected<job<void>> image::try_submit_encode(const model &with, job_callback<void> ended) const {
    return job<void>::try_submit(std::move(ended), [&](auto... places) {
        return sam_mm_job_submit_encode(with.get(), get(), places...);
    });
}

} // namespace sam_mm

#endif /* SAM_MM_MODEL_HPP */
