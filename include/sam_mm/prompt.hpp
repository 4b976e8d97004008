/* Prompts: what objects are pointed at with. */

#ifndef SAM_MM_PROMPT_HPP
#define SAM_MM_PROMPT_HPP

#include "base.hpp"

#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

namespace sam_mm {

/// Whether a point lies in the object or outside of it.
enum class label : std::int32_t { background = 0, foreground = 1 };

/// What one object is pointed at with: points, a box, a mask, or all of them.
///
///     sam_mm::prompt().foreground(200, 300).background(20, 20)
class prompt {
public:
    prompt() = default;

    /// A single point in the object.
    [[nodiscard]] static prompt click(float x, float y) { return std::move(prompt().foreground(x, y)); }
    /// A box around the object.
    [[nodiscard]] static prompt around(const box &bounds) { return std::move(prompt().bounded_by(bounds)); }

    prompt &add(point at, label which) {
        points_.push_back(at);
        labels_.push_back(static_cast<std::int32_t>(which));
        return *this;
    }
    prompt &foreground(float x, float y) { return add({x, y}, label::foreground); }
    prompt &background(float x, float y) { return add({x, y}, label::background); }
    prompt &bounded_by(const box &bounds) {
        box_ = bounds;
        return *this;
    }
    /// Low-resolution logits of an earlier result (`result::logits`), which must stay alive until the prediction.
    prompt &refining(span<const float> logits) noexcept {
        mask_ = logits;
        return *this;
    }

    [[nodiscard]] const std::vector<point> &points() const noexcept { return points_; }

    /// The same for C; valid while this is, and unchanged.
    [[nodiscard]] sam_mm_prompt to_c() const noexcept {
        sam_mm_prompt c = detail::defaults(sam_mm_prompt_init);
        c.num_points = static_cast<std::uint32_t>(points_.size());
        if (!points_.empty()) {
            c.points = detail::coordinates(points_.data());
            c.labels = labels_.data();
        }
        if (box_) c.bounding_box = detail::coordinates(&*box_);
        if (!mask_.empty()) {
            c.mask_input = mask_.data();
            c.mask_input_len = mask_.size();
        }
        return c;
    }

private:
    std::vector<point> points_;
    std::vector<std::int32_t> labels_;
    std::optional<box> box_;
    span<const float> mask_;
};

/// What a prediction is asked for: an object for each prompt, then one for each box.
struct predict_request {
    std::vector<prompt> prompts;
    std::vector<box> boxes;
    /// Several masks per object, for prompts that leave open what is meant, such as a single click.
    bool multimask = true;

    predict_request() = default;
    predict_request(prompt one, bool several_masks = true) : multimask(several_masks) {
        prompts.push_back(std::move(one));
    }
    explicit predict_request(std::vector<prompt> objects, std::vector<box> boxed = {}, bool several_masks = true)
        : prompts(std::move(objects)), boxes(std::move(boxed)), multimask(several_masks) {}
    /// An object for each box.
    [[nodiscard]] static predict_request around(std::vector<box> boxed, bool several_masks = false) {
        return predict_request({}, std::move(boxed), several_masks);
    }
};

namespace detail {

/// A request for C, with the array it points into.
class c_request {
public:
    explicit c_request(const predict_request &request) : request_(defaults(sam_mm_predict_request_init)) {
        prompts_.reserve(request.prompts.size());
        for (const prompt &one : request.prompts) prompts_.push_back(one.to_c());
        request_.multimask = request.multimask;
        request_.prompts = prompts_.empty() ? nullptr : prompts_.data();
        request_.num_prompts = static_cast<std::uint32_t>(prompts_.size());
        request_.boxes = request.boxes.empty() ? nullptr : coordinates(request.boxes.data());
        request_.num_boxes = static_cast<std::uint32_t>(request.boxes.size());
    }
    c_request(const c_request &) = delete;
    c_request &operator=(const c_request &) = delete;

    [[nodiscard]] const sam_mm_predict_request *get() const noexcept { return &request_; }

private:
    std::vector<sam_mm_prompt> prompts_;
    sam_mm_predict_request request_;
};

} // namespace detail
} // namespace sam_mm

#endif /* SAM_MM_PROMPT_HPP */
