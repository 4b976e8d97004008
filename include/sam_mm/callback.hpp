/* Callbacks as std::function, kept alive for as long as the library may call them. */

#ifndef SAM_MM_CALLBACK_HPP
#define SAM_MM_CALLBACK_HPP

#include "error.hpp"

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace sam_mm::detail {

/// The first exception that a callback let out. It must not reach the library, and should not be lost.
class thrown {
public:
    /// Calls `f`, and keeps what it throws. Returns what it returns, or `otherwise`.
    template <class R, class F>
    R guard(R otherwise, F &&f) noexcept {
#if SAM_MM_EXCEPTIONS
        try {
            return std::forward<F>(f)();
        } catch (...) {
            keep(std::current_exception());
            return otherwise;
        }
#else
        (void)otherwise;
        return std::forward<F>(f)();
#endif
    }

    /// Takes the exception out; null when there is none.
    [[nodiscard]] std::exception_ptr take() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return std::exchange(first_, nullptr);
    }

private:
    void keep(std::exception_ptr exception) noexcept {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!first_) first_ = std::move(exception);
    }

    std::mutex mutex_;
    std::exception_ptr first_;
};

/// A function of the caller's behind a `user_data`.
template <class Signature>
struct handler {
    std::function<Signature> function;
    thrown *exceptions;
};

/// How many callbacks this thread is inside of.
inline thread_local unsigned callback_depth = 0;

/// While it lives, this thread is inside a callback.
class inside_callback {
public:
    inside_callback() noexcept { ++callback_depth; }
    ~inside_callback() { --callback_depth; }
    inside_callback(const inside_callback &) = delete;
    inside_callback &operator=(const inside_callback &) = delete;
};

/// The place of one kind of callback.
template <class Signature>
class callback_place {
public:
    explicit callback_place(thrown *exceptions) noexcept : exceptions_(exceptions) {}

    /// Puts a function in place of the former one. `hand_over` gives the library the handler, or null for none; when that
    /// succeeds, the library has waited for the former one's last call, so it can go.
    template <class HandOver>
    expected<void> set(std::function<Signature> function, HandOver &&hand_over) {
        std::unique_ptr<handler<Signature>> next;
        if (function) next.reset(new handler<Signature>{std::move(function), exceptions_});
        // Inside a callback the library refuses to change any. Waiting for the lock there could be waiting for the one
        // who waits for this callback.
        std::unique_lock<std::mutex> lock(mutex_, std::defer_lock);
        if (callback_depth == 0) lock.lock();
        expected<void> done = hand_over(next.get());
        if (!done) return done;
        if (!lock) lock.lock();
        std::swap(current_, next);
        return done;
    }

private:
    thrown *exceptions_;
    std::mutex mutex_;
    std::unique_ptr<handler<Signature>> current_;
};

} // namespace sam_mm::detail

#endif /* SAM_MM_CALLBACK_HPP */
