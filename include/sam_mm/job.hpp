/* Jobs: calls that a thread of the context makes; and how far they are. */

#ifndef SAM_MM_JOB_HPP
#define SAM_MM_JOB_HPP

#include "callback.hpp"
#include "error.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace sam_mm {

class display;
class mask_set;
class model;
class result;

/// What a job is about.
enum class job_kind : std::uint32_t {
    model_load = SAM_MM_JOB_KIND_MODEL_LOAD,
    encode = SAM_MM_JOB_KIND_ENCODE,
    predict = SAM_MM_JOB_KIND_PREDICT,
    process = SAM_MM_JOB_KIND_PROCESS,
    everything = SAM_MM_JOB_KIND_EVERYTHING,
};

/// Where a job is. New states may come; from `succeeded` on it has ended.
enum class job_state : std::uint32_t {
    queued = SAM_MM_JOB_QUEUED,
    running = SAM_MM_JOB_RUNNING,
    succeeded = SAM_MM_JOB_SUCCEEDED,
    failed = SAM_MM_JOB_FAILED,
    cancelled = SAM_MM_JOB_CANCELLED,
};

[[nodiscard]] constexpr bool has_ended(job_state state) noexcept { return state >= job_state::succeeded; }

/// What is being done. New stages may come.
enum class stage : std::uint32_t {
    waiting = SAM_MM_JOB_STAGE_WAITING,
    loading = SAM_MM_JOB_STAGE_LOADING,
    reading = SAM_MM_JOB_STAGE_READING,
    encoding = SAM_MM_JOB_STAGE_ENCODING,
    decoding = SAM_MM_JOB_STAGE_DECODING,
    processing = SAM_MM_JOB_STAGE_PROCESSING,
    ended = SAM_MM_JOB_STAGE_ENDED,
};

/// A job as it is at this moment.
struct job_info {
    job_kind kind{};
    job_state state{};
    sam_mm::stage stage{};
    /// Once it has ended; until then `status::ok`.
    sam_mm::status status{};
    /// The done part of all, 0 to 1.
    double progress = 0;
    /// What it is called in progress events.
    std::uint64_t id = 0;

    [[nodiscard]] static job_info from_c(const sam_mm_job_info &c) noexcept {
        return {static_cast<job_kind>(c.kind),
                static_cast<job_state>(c.state),
                static_cast<sam_mm::stage>(c.stage),
                static_cast<sam_mm::status>(c.status),
                c.progress,
                c.id};
    }
};

/// Whose progress is told. New ones may come.
enum class progress_source : std::uint32_t {
    call = SAM_MM_PROGRESS_CALL,
    job = SAM_MM_PROGRESS_JOB,
    prefetch = SAM_MM_PROGRESS_PREFETCH,
};

/// How far something is.
struct progress {
    progress_source source{};
    /// From 0 in each context; a gap is what left the queue unread.
    std::uint64_t number = 0;
    /// Milliseconds since the context was made.
    std::uint64_t at_ms = 0;
    /// Number of the job; else 0.
    std::uint64_t id = 0;
    /// The done part of all, 0 to 1.
    double done = 0;
    sam_mm::stage stage{};
    /// Once it has ended; until then `status::ok`.
    sam_mm::status status{};

    [[nodiscard]] static progress from_c(const sam_mm_progress &c) noexcept {
        return {static_cast<progress_source>(c.source),
                c.number,
                c.at_ms,
                c.id,
                c.progress,
                static_cast<sam_mm::stage>(c.stage),
                static_cast<sam_mm::status>(c.status)};
    }
};

/// What a progress callback wants.
enum class verdict : std::int32_t { go_on = 0, cancel = 1 };

namespace detail {

/// How what a job made is taken: `sam_mm_job_take_...`.
template <class T>
struct taker;
template <>
struct taker<result> {
    using handle = sam_mm_result;
    static constexpr auto function = sam_mm_job_take_result;
};
template <>
struct taker<model> {
    using handle = sam_mm_model;
    static constexpr auto function = sam_mm_job_take_model;
};
template <>
struct taker<display> {
    using handle = sam_mm_display;
    static constexpr auto function = sam_mm_job_take_display;
};
template <>
struct taker<mask_set> {
    using handle = sam_mm_mask_set;
    static constexpr auto function = sam_mm_job_take_mask_set;
};

} // namespace detail

/// A job that somebody else owns. `T` is what it makes: a model, a result, a display,
/// a set of masks, or void for encoding.
template <class T>
class job_view {
public:
    job_view() noexcept = default;
    explicit job_view(sam_mm_job *handle) noexcept : handle_(handle) {}

    [[nodiscard]] expected<job_info> try_describe() const {
        return detail::filled<sam_mm_job_info>(sam_mm_job_describe, get()).transform(job_info::from_c);
    }
    /// Waits until it has ended. Refused inside a callback.
    [[nodiscard]] expected<job_state> try_wait() const { return wait_ms(-1); }
    /// Waits until it has ended or the time is over; tells where it is then.
    [[nodiscard]] expected<job_state> try_wait_for(std::chrono::milliseconds time) const {
        return wait_ms(time.count() < 0 ? 0 : time.count());
    }
    /// Tells it that its result is not wanted any more. Never waits.
    [[nodiscard]] expected<void> try_cancel() const { return detail::call(sam_mm_job_cancel, get()); }
    /// Success, or the job's error, once it has ended.
    [[nodiscard]] expected<void> try_check() const { return detail::call(sam_mm_job_check, get()); }
    /// Takes what it made, once. Fails with the job's error when it has none, and while it has not ended.
    [[nodiscard]] expected<T> try_take() const {
        if constexpr (std::is_void_v<T>) {
            return try_check();
        } else {
            typename detail::taker<T>::handle *made = nullptr;
            auto done = detail::call(detail::taker<T>::function, get(), &made);
            if (!done) return done.error();
            return T(made);
        }
    }
    /// Waits, then takes.
    [[nodiscard]] expected<T> try_join() const {
        auto ended = try_wait();
        if (!ended) return ended.error();
        return try_take();
    }

#if SAM_MM_EXCEPTIONS
    [[nodiscard]] job_info describe() const { return try_describe().value(); }
    job_state wait() const { return try_wait().value(); }
    job_state wait_for(std::chrono::milliseconds time) const { return try_wait_for(time).value(); }
    void cancel() const { try_cancel().value(); }
    void check() const { try_check().value(); }
    T take() const { return try_take().value(); }
    T join() const { return try_join().value(); }
#endif

    [[nodiscard]] sam_mm_job *get() const noexcept { return handle_; }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

protected:
    sam_mm_job *handle_ = nullptr;

private:
    [[nodiscard]] expected<job_state> wait_ms(std::int64_t time) const {
        std::uint32_t state = 0;
        auto done = detail::call(sam_mm_job_wait, get(), time, &state);
        if (!done) return done.error();
        return static_cast<job_state>(state);
    }
};

/// Is called once when a job has ended, on a thread of the context, perhaps before the submitting function returns. What
/// the job made can be taken there.
template <class T>
using job_callback = std::function<void(job_view<T> ended)>;

namespace detail {

/// A callback of a job, known to C by a number instead of an address: a job that is freed inside some callback, or before it
/// has ended, is not waited for, so its own may come while it goes.
template <class Entry>
class numbered {
public:
    numbered() = default;
    explicit numbered(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) {
        const std::lock_guard<std::mutex> lock(all().mutex);
        number_ = ++all().last;
        all().entries.emplace(number_, entry_);
    }
    numbered(numbered &&other) noexcept
        : entry_(std::move(other.entry_)), number_(std::exchange(other.number_, 0)) {}
    numbered &operator=(numbered &&other) noexcept {
        std::swap(entry_, other.entry_);
        std::swap(number_, other.number_);
        return *this;
    }
    numbered(const numbered &) = delete;
    numbered &operator=(const numbered &) = delete;
    ~numbered() {
        if (!number_) return;
        std::shared_ptr<Entry> gone; /* destroyed after the lock: it may hold anything */
        const std::lock_guard<std::mutex> lock(all().mutex);
        const auto found = all().entries.find(number_);
        gone = std::move(found->second);
        all().entries.erase(found);
    }

    [[nodiscard]] Entry *entry() const noexcept { return entry_.get(); }
    /// For C; null for none.
    [[nodiscard]] void *user_data() const noexcept { return reinterpret_cast<void *>(number_); }
    /// What a number stands for, kept alive; null when that is gone.
    [[nodiscard]] static std::shared_ptr<Entry> find(void *user_data) {
        const std::lock_guard<std::mutex> lock(all().mutex);
        const auto found = all().entries.find(reinterpret_cast<std::uintptr_t>(user_data));
        return found == all().entries.end() ? nullptr : found->second;
    }

private:
    struct registry {
        std::mutex mutex;
        std::map<std::uintptr_t, std::shared_ptr<Entry>> entries;
        std::uintptr_t last = 0;
    };
    /// Never destroyed: threads of a context may outlive the statics.
    static registry &all() {
        static registry *const made = new registry;
        return *made;
    }

    std::shared_ptr<Entry> entry_;
    std::uintptr_t number_ = 0;
};

struct ended_entry {
    std::function<void(sam_mm_job *)> function;
    thrown exceptions;
};

inline void on_ended(void *number, sam_mm_job *job) noexcept {
    const inside_callback inside;
    const auto entry = numbered<ended_entry>::find(number);
    if (entry) entry->exceptions.guard(0, [&] { return entry->function(job), 0; });
}

} // namespace detail

/// A job, cancelled when it is destroyed before it has ended.
template <class T>
class job : public job_view<T> {
public:
    job() noexcept = default;
    job(job &&other) noexcept
        : job_view<T>(std::exchange(other.handle_, nullptr)), ended_(std::move(other.ended_)),
          kept_(std::move(other.kept_)) {}
    job &operator=(job &&other) noexcept {
        if (this != &other) {
            sam_mm_job_free(std::exchange(this->handle_, std::exchange(other.handle_, nullptr)));
            ended_ = std::exchange(other.ended_, {});
            kept_ = std::exchange(other.kept_, nullptr);
        }
        return *this;
    }
    job(const job &) = delete;
    job &operator=(const job &) = delete;
    ~job() { sam_mm_job_free(this->handle_); }

    /// Submits: `submit` gets the options and the place of the job, then that of the error. `kept` lives as long as the job.
    template <class Submit>
    [[nodiscard]] static expected<job> try_submit(job_callback<T> callback, Submit &&submit,
                                                  std::shared_ptr<void> kept = nullptr) {
        job made;
        made.kept_ = std::move(kept);
        made.ended_ = numbered_callback(std::move(callback));
        sam_mm_job_options options = detail::defaults(sam_mm_job_options_init);
        options.callback = made.ended_.user_data() ? detail::on_ended : sam_mm_job_fn{};
        options.user_data = made.ended_.user_data();
        auto done = detail::call(
            [&](sam_mm_error **failure) { return submit(&options, &made.handle_, failure); });
        if (!done) return done.error();
        return made;
    }

    /// Calls a function once the job has ended, also when it has already; an empty one removes the one there is. Refused
    /// inside a callback. Not to be called by two threads at once.
    [[nodiscard]] expected<void> try_on_end(job_callback<T> callback) {
        auto next = numbered_callback(std::move(callback));
        auto done = detail::call(sam_mm_job_set_callback, this->get(),
                                 next.user_data() ? detail::on_ended : sam_mm_job_fn{}, next.user_data());
        if (done) ended_ = std::move(next);
        return done;
    }
    /// What the callback threw; null for nothing.
    [[nodiscard]] std::exception_ptr callback_exception() const {
        return ended_.entry() ? ended_.entry()->exceptions.take() : nullptr;
    }

#if SAM_MM_EXCEPTIONS
    void on_end(job_callback<T> callback) { try_on_end(std::move(callback)).value(); }
#endif

private:
    [[nodiscard]] static detail::numbered<detail::ended_entry> numbered_callback(job_callback<T> callback) {
        if (!callback) return {};
        auto entry = std::make_shared<detail::ended_entry>();
        entry->function = [callback = std::move(callback)](sam_mm_job *ended) { callback(job_view<T>(ended)); };
        return detail::numbered<detail::ended_entry>(std::move(entry));
    }

    detail::numbered<detail::ended_entry> ended_;
    std::shared_ptr<void> kept_;
};

} // namespace sam_mm

#endif /* SAM_MM_JOB_HPP */
