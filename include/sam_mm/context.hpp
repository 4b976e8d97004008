/* Contexts: one device, its memory, what is cached on it. */

#ifndef SAM_MM_CONTEXT_HPP
#define SAM_MM_CONTEXT_HPP

#include "callback.hpp"
#include "error.hpp"
#include "image.hpp"
#include "job.hpp"
#include "memory.hpp"
#include "model.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sam_mm {

/// How talkative the log is.
enum class log_level : std::int32_t {
    error = SAM_MM_LOG_ERROR,
    warn = SAM_MM_LOG_WARN,
    info = SAM_MM_LOG_INFO,
    debug = SAM_MM_LOG_DEBUG,
};

/// Receives a line of the log, borrowed for the call. Runs on any thread, several at once.
using log_callback = std::function<void(log_level level, std::string_view line)>;

/// Receives what happens to memory. Runs on any thread, several at once.
using memory_event_callback = std::function<void(const memory_event &event)>;

/// Receives how far something is, and may cancel it. Runs on any thread, several at once.
using progress_callback = std::function<verdict(const progress &event)>;

/// How a context is set up.
struct options {
    /// "cpu", "cuda:0", ...; empty: the first usable GPU, else the CPU.
    std::string device;
    /// File of the backend plugin; empty searches for one.
    std::string backend_path;
    /// Threads for work on the CPU; 0 leaves the backend's choice.
    std::uint32_t num_threads = 0;
    /// GPUs that have TF32 may use it for matrix products.
    bool allow_tf32 = true;
    /// Receives the log from the first line on.
    log_callback log;
    /// The most talkative level that it receives.
    log_level log_up_to = log_level::warn;
    std::uint64_t embedding_cache_bytes = std::uint64_t{1} << 30;
    std::uint64_t prediction_cache_bytes = std::uint64_t{64} << 20;
    std::uint32_t prediction_cache_entries = 50;
    std::uint64_t image_cache_bytes = std::uint64_t{256} << 20;
    std::uint64_t image_cache_entries = 10;
    /// Of embeddings that left the device.
    std::uint64_t embedding_host_bytes = std::uint64_t{1} << 30;
    /// Most embeddings on the device, and in host memory each; no value: their bytes alone count.
    std::optional<std::uint64_t> embedding_cache_entries;
    /// Folder in which embeddings are kept for later sessions; empty for none.
    std::string embedding_disk_folder;
    std::uint64_t embedding_disk_bytes = std::uint64_t{8} << 30;
    std::uint64_t embedding_disk_entries = 100000;
    /// Embeddings in host memory beside a device and on disk are kept in half precision.
    bool embedding_compress = false;
    memory_options memory;
};

/// The backend that a context runs on. The texts are borrowed from the context.
struct backend_info {
    std::string_view name;
    std::string_view version;
    std::string_view path;
    std::string_view device;
    /// Every file that was tried, a line each, and what came of it.
    std::string_view trail;
};

/// What is kept to be faster the next time.
enum class cache : std::uint32_t {
    embedding = SAM_MM_CACHE_EMBEDDING,
    prediction = SAM_MM_CACHE_PREDICTION,
    image = SAM_MM_CACHE_IMAGE,
    embedding_device = SAM_MM_CACHE_EMBEDDING_DEVICE,
    embedding_host = SAM_MM_CACHE_EMBEDDING_HOST,
    embedding_disk = SAM_MM_CACHE_EMBEDDING_DISK,
};

/// Why prefetching rests. New reasons may come.
enum class prefetch_pause : std::uint32_t {
    not_paused = SAM_MM_PREFETCH_NOT_PAUSED,
    device = SAM_MM_PREFETCH_PAUSED_DEVICE,
    host = SAM_MM_PREFETCH_PAUSED_HOST,
    unknown = SAM_MM_PREFETCH_PAUSED_UNKNOWN,
    cache = SAM_MM_PREFETCH_PAUSED_CACHE,
};

/// What prefetching is at. Counts are of images, since the context was made.
struct prefetch_info {
    prefetch_pause paused{};
    /// Why it rests, for people; empty when it does not.
    std::string reason;
    std::uint64_t queued = 0;
    std::uint64_t queued_bytes = 0;
    bool running = false;
    std::uint64_t done = 0;
    std::uint64_t skipped = 0;
    std::uint64_t cancelled = 0;

    [[nodiscard]] static prefetch_info from_c(const sam_mm_prefetch_info &c) {
        return {static_cast<prefetch_pause>(c.paused),
                c.reason,
                c.queued,
                c.queued_bytes,
                c.running != 0,
                c.done,
                c.skipped,
                c.cancelled};
    }
};

/// What a cache holds and how well it serves.
struct cache_info {
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    /// No value where only bytes count.
    std::optional<std::uint64_t> max_entries;
    std::uint64_t max_bytes = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;

    [[nodiscard]] static cache_info from_c(const sam_mm_cache_info &c) noexcept {
        cache_info info;
        info.entries = c.entries;
        info.bytes = c.bytes;
        if (c.max_entries != UINT64_MAX) info.max_entries = c.max_entries;
        info.max_bytes = c.max_bytes;
        info.hits = c.hits;
        info.misses = c.misses;
        return info;
    }
};

namespace detail {

using log_signature = void(log_level, std::string_view);
using memory_event_signature = void(const memory_event &);
using progress_signature = verdict(const progress &);

inline void on_log_line(void *user_data, std::int32_t level, const char *line) noexcept {
    const inside_callback inside;
    const auto *to = static_cast<handler<log_signature> *>(user_data);
    to->exceptions->guard(0, [&] { return to->function(static_cast<log_level>(level), view(line)), 0; });
}

inline void on_memory_event(void *user_data, const sam_mm_memory_event *event) noexcept {
    const inside_callback inside;
    const auto *to = static_cast<handler<memory_event_signature> *>(user_data);
    to->exceptions->guard(0, [&] { return to->function(memory_event::from_c(*event)), 0; });
}

inline std::int32_t on_progress(void *user_data, const sam_mm_progress *event) noexcept {
    const inside_callback inside;
    const auto *to = static_cast<handler<progress_signature> *>(user_data);
    return static_cast<std::int32_t>(
        to->exceptions->guard(verdict::go_on, [&] { return to->function(progress::from_c(*event)); }));
}

/// The callbacks of a context. They stay where they are when the context moves.
struct callbacks {
    thrown exceptions;
    callback_place<log_signature> log{&exceptions};
    callback_place<memory_event_signature> memory_events{&exceptions};
    callback_place<progress_signature> progress{&exceptions};
};

/// Options for C, with what they point to.
class c_options {
public:
    explicit c_options(const options &given) noexcept
        : options_(defaults(sam_mm_options_init)), memory_(given.memory.to_c()) {
        options_.num_threads = given.num_threads;
        options_.device = text_or_null(given.device);
        options_.backend_path = text_or_null(given.backend_path);
        options_.allow_tf32 = given.allow_tf32;
        options_.embedding_cache_bytes = given.embedding_cache_bytes;
        options_.prediction_cache_bytes = given.prediction_cache_bytes;
        options_.prediction_cache_entries = given.prediction_cache_entries;
        options_.image_cache_bytes = given.image_cache_bytes;
        options_.image_cache_entries = given.image_cache_entries;
        options_.embedding_host_bytes = given.embedding_host_bytes;
        options_.embedding_cache_entries = given.embedding_cache_entries.value_or(UINT64_MAX);
        options_.embedding_disk_folder = text_or_null(given.embedding_disk_folder);
        options_.embedding_disk_bytes = given.embedding_disk_bytes;
        options_.embedding_disk_entries = given.embedding_disk_entries;
        options_.embedding_compress = given.embedding_compress;
        options_.memory = &memory_;
    }
    c_options(const c_options &) = delete;
    c_options &operator=(const c_options &) = delete;

    [[nodiscard]] sam_mm_options *get() noexcept { return &options_; }

private:
    sam_mm_options options_;
    sam_mm_memory_options memory_;
};

} // namespace detail

/// One memory manager with its caches and models.
///
/// Its callbacks end with it: when the destructor returns, none runs or will run, so it must not run inside one. Models,
/// images and results stay usable.
class context {
public:
#if SAM_MM_EXCEPTIONS
    /// Makes a context. No backend is loaded and no device touched before the first call that needs one.
    explicit context(const options &given = {}) : context(try_create(given).value()) {}
#endif
    [[nodiscard]] static expected<context> try_create(const options &given = {}) {
        context made{nothing()};
        detail::c_options c(given);
        auto done = made.callbacks_->log.set(given.log, [&](detail::handler<detail::log_signature> *to) {
            if (to) {
                c.get()->log_callback = detail::on_log_line;
                c.get()->log_user_data = to;
                c.get()->log_level = static_cast<std::int32_t>(given.log_up_to);
            }
            sam_mm_context *handle = nullptr;
            auto created = detail::call(sam_mm_init, c.get(), &handle);
            made.handle_.reset(handle);
            return created;
        });
        if (!done) return done.error();
        return made;
    }

    context(context &&other) noexcept = default;
    context &operator=(context &&other) noexcept {
        handle_ = std::move(other.handle_); /* first: the callbacks of the old one may run until then */
        callbacks_ = std::move(other.callbacks_);
        return *this;
    }
    context(const context &) = delete;
    context &operator=(const context &) = delete;
    ~context() = default;

    /* ---- what it runs on, and what runs on it ---- */

    /// Loads the backend and opens the device if that has not happened yet.
    [[nodiscard]] expected<backend_info> try_backend() const {
        return detail::filled<sam_mm_backend_info>(sam_mm_backend_describe, get())
            .transform([](const sam_mm_backend_info &c) {
                return backend_info{detail::view(c.name), detail::view(c.version), detail::view(c.path),
                                    detail::view(c.device), detail::view(c.trail)};
            });
    }
    [[nodiscard]] expected<model> try_load_model(const model_options &which = {}) const {
        const sam_mm_model_options c = which.to_c();
        sam_mm_model *loaded = nullptr;
        auto done = detail::call(sam_mm_model_load, get(), &c, &loaded);
        if (!done) return done.error();
        return model(loaded);
    }
    /// `try_load_model` as a job.
    [[nodiscard]] expected<job<model>> try_submit_load_model(const model_options &which = {},
                                                             job_callback<model> ended = {}) const {
        const sam_mm_model_options c = which.to_c();
        return job<model>::try_submit(std::move(ended), [&](auto... places) {
            return sam_mm_job_submit_model_load(get(), &c, places...);
        });
    }
    /// Copies the pixels; computes nothing yet.
    [[nodiscard]] expected<image> try_create_image(const image_view &of) const {
        const sam_mm_image_desc c = of.to_c();
        sam_mm_image *made = nullptr;
        auto done = detail::call(sam_mm_image_create, get(), &c, &made);
        if (!done) return done.error();
        return image(made);
    }

    /* ---- memory ---- */

    [[nodiscard]] expected<memory_info> try_memory() const {
        return detail::filled<sam_mm_memory_info>(sam_mem_info, get()).transform(memory_info::from_c);
    }
    [[nodiscard]] expected<memory_status> try_check_memory() const {
        return detail::filled<sam_mm_memory_status>(sam_mm_memory_check, get()).transform(memory_status::from_c);
    }
    /// Whether a cache of the caller's may keep something more.
    [[nodiscard]] expected<bool> try_should_cache(memory_tier tier = memory_tier::device) const {
        std::uint32_t may = 0;
        auto done = detail::call(sam_mm_memory_should_cache, get(), static_cast<std::uint32_t>(tier), &may);
        if (!done) return done.error();
        return may != 0;
    }
    /// Gives memory back: what is short, or with `force` all that can be had.
    [[nodiscard]] expected<optimize_report> try_optimize(bool force = false) const {
        return detail::filled<sam_mm_optimize_report>(sam_optimize, get(), std::int32_t{force})
            .transform(optimize_report::from_c);
    }
    /// What was counted.
    [[nodiscard]] expected<memory_report> try_describe_memory() const {
        return detail::filled<memory_report>(sam_mm_memory_describe, get());
    }
    /// Everything that is known, as JSON.
    [[nodiscard]] expected<std::string> try_memory_report_json() const {
        std::string text;
        std::uint64_t required = 0;
        do { /* more may have happened in between */
            text.resize(static_cast<std::size_t>(required));
            auto done = detail::call(sam_mm_memory_report_json, get(), text.empty() ? nullptr : text.data(),
                                     static_cast<std::uint64_t>(text.size()), &required);
            if (!done) return done.error();
        } while (required > text.size());
        text.resize(static_cast<std::size_t>(required) - 1); /* the NUL */
        return text;
    }
    [[nodiscard]] expected<cache_info> try_describe_cache(cache which) const {
        return detail::filled<sam_mm_cache_info>(sam_mm_cache_describe, get(), static_cast<std::uint32_t>(which))
            .transform(cache_info::from_c);
    }
    /// Drops everything that a cache holds; returns the bytes given back at once.
    [[nodiscard]] expected<std::uint64_t> try_clear_cache(cache which) const {
        std::uint64_t freed = 0;
        auto done = detail::call(sam_mm_cache_clear, get(), static_cast<std::uint32_t>(which), &freed);
        if (!done) return done.error();
        return freed;
    }
    /// As `try_clear_cache`, but for what belongs to the picture of an image.
    [[nodiscard]] expected<std::uint64_t> try_clear_cache_except(cache which, const image &kept) const {
        std::uint64_t freed = 0;
        auto done = detail::call(sam_mm_cache_clear_except, get(), static_cast<std::uint32_t>(which),
                                 static_cast<const sam_mm_image *>(kept.get()), &freed);
        if (!done) return done.error();
        return freed;
    }
    /// What prefetching is at; see `model::try_prefetch`. Never waits.
    [[nodiscard]] expected<prefetch_info> try_describe_prefetch() const {
        return detail::filled<sam_mm_prefetch_info>(sam_mm_prefetch_describe, get()).transform(prefetch_info::from_c);
    }
    /// Takes everything out of the queue of prefetching. Never waits.
    [[nodiscard]] expected<void> try_clear_prefetch() const { return detail::call(sam_mm_prefetch_clear, get()); }

    /* ---- what happens ---- */

    /// Sends the log up to a level to a function; an empty one ends that. When this returns, the former function is not
    /// running any more and is destroyed. Refused inside a callback.
    [[nodiscard]] expected<void> try_on_log(log_callback callback, log_level up_to = log_level::warn) const {
        if (!callbacks_) return without_handle();
        return callbacks_->log.set(std::move(callback), [&](detail::handler<detail::log_signature> *to) {
            return detail::call(sam_mm_log_set, get(), to ? detail::on_log_line : sam_mm_log_fn{},
                                static_cast<void *>(to), static_cast<std::int32_t>(up_to));
        });
    }
    /// Sends memory events to a function; otherwise as `try_on_log`.
    [[nodiscard]] expected<void> try_on_memory_event(memory_event_callback callback) const {
        if (!callbacks_) return without_handle();
        return callbacks_->memory_events.set(
            std::move(callback), [&](detail::handler<detail::memory_event_signature> *to) {
                return detail::call(sam_mm_memory_events_set, get(),
                                    to ? detail::on_memory_event : sam_mm_memory_event_fn{}, static_cast<void *>(to));
            });
    }
    /// The oldest event that nobody has polled yet, if there is one; the last 256 are kept.
    [[nodiscard]] expected<std::optional<memory_event>> try_poll_memory_event() const {
        auto event = detail::output<sam_mm_memory_event>();
        std::uint32_t has_event = 0;
        auto done = detail::call(sam_mm_memory_event_poll, get(), &event, &has_event);
        if (!done) return done.error();
        return has_event ? std::optional<memory_event>(memory_event::from_c(event)) : std::nullopt;
    }
    /// Sends progress to a function, which may cancel what it is about; otherwise as `try_on_log`. What it throws cancels
    /// nothing.
    [[nodiscard]] expected<void> try_on_progress(progress_callback callback) const {
        if (!callbacks_) return without_handle();
        return callbacks_->progress.set(std::move(callback), [&](detail::handler<detail::progress_signature> *to) {
            return detail::call(sam_mm_progress_set, get(), to ? detail::on_progress : sam_mm_progress_fn{},
                                static_cast<void *>(to));
        });
    }
    /// The oldest progress that nobody has polled yet, if there is some; the last 256 are kept.
    [[nodiscard]] expected<std::optional<progress>> try_poll_progress() const {
        auto event = detail::output<sam_mm_progress>();
        std::uint32_t has_event = 0;
        auto done = detail::call(sam_mm_progress_poll, get(), &event, &has_event);
        if (!done) return done.error();
        return has_event ? std::optional<progress>(progress::from_c(event)) : std::nullopt;
    }
    /// The first exception that a callback let out since this was asked last; null for none.
    [[nodiscard]] std::exception_ptr callback_exception() const {
        return callbacks_ ? callbacks_->exceptions.take() : nullptr;
    }

#if SAM_MM_EXCEPTIONS
    [[nodiscard]] backend_info backend() const { return try_backend().value(); }
    [[nodiscard]] model load_model(const model_options &which = {}) const { return try_load_model(which).value(); }
    [[nodiscard]] job<model> submit_load_model(const model_options &which = {},
                                               job_callback<model> ended = {}) const {
        return try_submit_load_model(which, std::move(ended)).value();
    }
    [[nodiscard]] image create_image(const image_view &of) const { return try_create_image(of).value(); }
    [[nodiscard]] memory_info memory() const { return try_memory().value(); }
    [[nodiscard]] memory_status check_memory() const { return try_check_memory().value(); }
    [[nodiscard]] bool should_cache(memory_tier tier = memory_tier::device) const {
        return try_should_cache(tier).value();
    }
    optimize_report optimize(bool force = false) const { return try_optimize(force).value(); }
    [[nodiscard]] memory_report describe_memory() const { return try_describe_memory().value(); }
    [[nodiscard]] std::string memory_report_json() const { return try_memory_report_json().value(); }
    [[nodiscard]] cache_info describe_cache(cache which) const { return try_describe_cache(which).value(); }
    std::uint64_t clear_cache(cache which) const { return try_clear_cache(which).value(); }
    std::uint64_t clear_cache_except(cache which, const image &kept) const {
        return try_clear_cache_except(which, kept).value();
    }
    [[nodiscard]] prefetch_info describe_prefetch() const { return try_describe_prefetch().value(); }
    void clear_prefetch() const { try_clear_prefetch().value(); }
    void on_log(log_callback callback, log_level up_to = log_level::warn) const {
        try_on_log(std::move(callback), up_to).value();
    }
    void on_memory_event(memory_event_callback callback) const { try_on_memory_event(std::move(callback)).value(); }
    [[nodiscard]] std::optional<memory_event> poll_memory_event() const { return try_poll_memory_event().value(); }
    void on_progress(progress_callback callback) const { try_on_progress(std::move(callback)).value(); }
    [[nodiscard]] std::optional<progress> poll_progress() const { return try_poll_progress().value(); }
#endif

    [[nodiscard]] sam_mm_context *get() const noexcept { return handle_.get(); }
    explicit operator bool() const noexcept { return get() != nullptr; }

private:
    struct nothing {};
    explicit context(nothing) : callbacks_(new detail::callbacks) {}

    [[nodiscard]] static error without_handle() {
        return {status::invalid_handle, "the context was moved from; ask the object that it was moved to"};
    }

    std::unique_ptr<detail::callbacks> callbacks_; /* outlives the handle, whose destruction waits for the last call */
    detail::unique_handle<sam_mm_context, sam_mm_destroy> handle_;
};

} // namespace sam_mm

#endif /* SAM_MM_CONTEXT_HPP */
