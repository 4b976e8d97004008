/* Errors: what a failed call tells, as an exception or as the other half of an expected. */

#ifndef SAM_MM_ERROR_HPP
#define SAM_MM_ERROR_HPP

#include "base.hpp"

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sam_mm {

/// Why a call failed. Later versions may add to these.
enum class status : std::int32_t {
    ok = SAM_MM_OK,
    invalid_argument = SAM_MM_ERR_INVALID_ARGUMENT,
    invalid_handle = SAM_MM_ERR_INVALID_HANDLE,
    unsupported = SAM_MM_ERR_UNSUPPORTED,
    out_of_memory = SAM_MM_ERR_OUT_OF_MEMORY,
    backend_not_found = SAM_MM_ERR_BACKEND_NOT_FOUND,
    backend = SAM_MM_ERR_BACKEND,
    conflict = SAM_MM_ERR_CONFLICT,
    checkpoint = SAM_MM_ERR_CHECKPOINT,
    io = SAM_MM_ERR_IO,
    device_unavailable = SAM_MM_ERR_DEVICE_UNAVAILABLE,
    device_lost = SAM_MM_ERR_DEVICE_LOST,
    cancelled = SAM_MM_ERR_CANCELLED,
    poisoned = SAM_MM_ERR_POISONED,
    internal = SAM_MM_ERR_INTERNAL,
};

/// The name of a status, such as "SAM_MM_ERR_OUT_OF_MEMORY". Never goes away.
[[nodiscard]] inline std::string_view name(status code) noexcept {
    return sam_mm_status_name(static_cast<std::int32_t>(code));
}

/// What went wrong: a status, a message with the values and what to do, and what was behind it. A value of its own, which
/// needs neither the library nor the object that failed.
class error : public std::exception {
public:
    error(status code, std::string message, std::vector<std::string> causes = {})
        : code_(code), message_(std::move(message)), causes_(std::move(causes)), what_(name(code)) {
        what_ += ": ";
        what_ += message_;
        for (const std::string &cause : causes_) what_ += "\n  because " + cause;
    }

    [[nodiscard]] status code() const noexcept { return code_; }
    /// What was wrong, with the values, and what to do. UTF-8.
    [[nodiscard]] const std::string &message() const noexcept { return message_; }
    /// What caused the message, what caused that, and so on.
    [[nodiscard]] const std::vector<std::string> &causes() const noexcept { return causes_; }
    /// All of it: the status's name, the message, and a line for each cause.
    [[nodiscard]] const char *what() const noexcept override { return what_.c_str(); }

private:
    status code_;
    std::string message_;
    std::vector<std::string> causes_;
    std::string what_;
};

/// Either the value that a call gave, or the error of why it did not.
template <class T>
class [[nodiscard]] expected {
public:
    using value_type = T;

    expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    expected(sam_mm::error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value; to be asked for only when there is one.
    [[nodiscard]] T &operator*() & noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] const T &operator*() const & noexcept { return *std::get_if<0>(&state_); }
    [[nodiscard]] T &&operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    [[nodiscard]] T *operator->() noexcept { return std::get_if<0>(&state_); }
    [[nodiscard]] const T *operator->() const noexcept { return std::get_if<0>(&state_); }

    /// The error; to be asked for only when there is no value.
    [[nodiscard]] const sam_mm::error &error() const noexcept { return *std::get_if<1>(&state_); }
    [[nodiscard]] status code() const noexcept { return has_value() ? status::ok : error().code(); }

    template <class U>
    [[nodiscard]] T value_or(U &&otherwise) && {
        return has_value() ? std::move(**this) : static_cast<T>(std::forward<U>(otherwise));
    }

    /// What `f` makes of the value, or the same error.
    template <class F>
    [[nodiscard]] auto transform(F &&f) && -> expected<std::invoke_result_t<F, T>> {
        if (!has_value()) return error();
        return std::forward<F>(f)(std::move(**this));
    }

#if SAM_MM_EXCEPTIONS
    /// The value.
    /// @throws sam_mm::error when there is none.
    T &value() & {
        if (!has_value()) throw error();
        return **this;
    }
    T value() && {
        if (!has_value()) throw error();
        return std::move(**this);
    }
#endif

private:
    std::variant<T, sam_mm::error> state_;
};

/// Success, or the error of why there was none.
template <>
class [[nodiscard]] expected<void> {
public:
    using value_type = void;

    expected() = default;
    expected(sam_mm::error failure) : error_(std::move(failure)) {}

    [[nodiscard]] bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    /// The error; to be asked for only when there is one.
    [[nodiscard]] const sam_mm::error &error() const noexcept { return *error_; }
    [[nodiscard]] status code() const noexcept { return error_ ? error_->code() : status::ok; }

#if SAM_MM_EXCEPTIONS
    /// @throws sam_mm::error when there is one.
    void value() const {
        if (error_) throw *error_;
    }
#endif

private:
    std::optional<sam_mm::error> error_;
};

namespace detail {

/// Copies what an error of the C API tells, and frees it.
[[nodiscard]] inline error take_error(std::int32_t code, sam_mm_error *failure) {
    if (!failure) return {static_cast<status>(code), "no more is known"};
    std::vector<std::string> causes;
    for (std::uint32_t depth = 0; const char *cause = sam_mm_error_cause(failure, depth); ++depth) {
        causes.emplace_back(cause);
    }
    error taken(static_cast<status>(sam_mm_error_code(failure)), sam_mm_error_message(failure), std::move(causes));
    sam_mm_error_free(failure);
    return taken;
}

/// Calls a function of the C API that takes a place for an error last.
template <class Function, class... Arguments>
[[nodiscard]] expected<void> call(Function function, Arguments... arguments) {
    sam_mm_error *failure = nullptr;
    const std::int32_t code = function(arguments..., &failure);
    if (code == SAM_MM_OK) return {};
    return take_error(code, failure);
}

/// Calls a function of the C API that fills a struct.
template <class Struct, class Function, class... Arguments>
[[nodiscard]] expected<Struct> filled(Function function, Arguments... arguments) {
    Struct answer = output<Struct>();
    auto done = call(function, arguments..., &answer);
    if (!done) return done.error();
    return answer;
}

} // namespace detail
} // namespace sam_mm

#endif /* SAM_MM_ERROR_HPP */
