/* What the other parts of sam_mm.hpp stand on: exceptions or none, views of arrays, points and boxes, owned handles. */

#ifndef SAM_MM_BASE_HPP
#define SAM_MM_BASE_HPP

#include "../sam_mm.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 201703L
#error "sam_mm.hpp needs C++17; sam_mm.h alone does with C++11"
#endif

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif
#if defined(__cpp_lib_span) && __cpp_lib_span >= 202002L
#include <span>
#define SAM_MM_STD_SPAN 1
#else
#define SAM_MM_STD_SPAN 0
#endif

/* 1: functions that throw are there besides those that return an expected. Define SAM_MM_NO_EXCEPTIONS to leave them out
 * where the compiler would have them. */
#if !defined(SAM_MM_NO_EXCEPTIONS) && (defined(__cpp_exceptions) || defined(_CPPUNWIND))
#define SAM_MM_EXCEPTIONS 1
#else
#define SAM_MM_EXCEPTIONS 0
#endif

namespace sam_mm {

/* ---- views of arrays ---- */

#if SAM_MM_STD_SPAN
/// A view of an array that somebody else owns.
template <class T>
using span = std::span<T>;
#else
/// A view of an array that somebody else owns; std::span where the library has it.
template <class T>
class span {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using size_type = std::size_t;
    using pointer = T *;
    using reference = T &;
    using iterator = T *;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N>
    constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
    /// Anything with `data()` and `size()`: a vector, an array, a span of what may be written to.
    template <class Container,
              class = std::enable_if_t<
                  !std::is_same_v<std::decay_t<Container>, span> && !std::is_array_v<std::remove_reference_t<Container>>
                  && (std::is_lvalue_reference_v<Container> || std::is_const_v<T>)
                  && std::is_convertible_v<std::remove_pointer_t<decltype(std::declval<Container &>().data())> (*)[],
                                           T (*)[]>
                  && std::is_convertible_v<decltype(std::declval<Container &>().size()), std::size_t>>>
    constexpr span(Container &&container) noexcept : data_(container.data()), size_(container.size()) {}

    [[nodiscard]] constexpr T *data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }
    [[nodiscard]] constexpr T &front() const noexcept { return data_[0]; }
    [[nodiscard]] constexpr T &back() const noexcept { return data_[size_ - 1]; }
    [[nodiscard]] constexpr T *begin() const noexcept { return data_; }
    [[nodiscard]] constexpr T *end() const noexcept { return data_ + size_; }
    [[nodiscard]] constexpr span first(std::size_t count) const noexcept { return {data_, count}; }
    [[nodiscard]] constexpr span subspan(std::size_t offset, std::size_t count) const noexcept {
        return {data_ + offset, count};
    }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

/* ---- coordinates ---- */

/// A point in pixels of the original image: (0, 0) is the outer corner of the first pixel, (width, height) of the last.
struct point {
    float x = 0;
    float y = 0;
};

/// A box in pixels of the original image: its corners, x0 < x1 and y0 < y1. Everywhere in the library, not COCO's width
/// and height; those are `width()` and `height()`.
struct box {
    float x0 = 0;
    float y0 = 0;
    float x1 = 0;
    float y1 = 0;

    [[nodiscard]] constexpr float width() const noexcept { return x1 - x0; }
    [[nodiscard]] constexpr float height() const noexcept { return y1 - y0; }
};

constexpr bool operator==(point a, point b) noexcept { return a.x == b.x && a.y == b.y; }
constexpr bool operator!=(point a, point b) noexcept { return !(a == b); }
constexpr bool operator==(const box &a, const box &b) noexcept {
    return a.x0 == b.x0 && a.y0 == b.y0 && a.x1 == b.x1 && a.y1 == b.y1;
}
constexpr bool operator!=(const box &a, const box &b) noexcept { return !(a == b); }

/// How the bytes of a pixel are ordered.
enum class pixel_format : std::uint32_t {
    rgb8 = SAM_MM_FORMAT_RGB8,
    bgr8 = SAM_MM_FORMAT_BGR8, ///< OpenCV
    rgba8 = SAM_MM_FORMAT_RGBA8,
    bgra8 = SAM_MM_FORMAT_BGRA8,
    gray8 = SAM_MM_FORMAT_GRAY8,
};

/// Bytes of a pixel.
[[nodiscard]] constexpr std::uint32_t channels(pixel_format format) noexcept {
    switch (format) {
    case pixel_format::rgba8:
    case pixel_format::bgra8: return 4;
    case pixel_format::gray8: return 1;
    default: return 3;
    }
}

/// Number format of weights, and of what was computed with them.
enum class precision : std::uint32_t {
    fp32 = SAM_MM_PRECISION_FP32,
    fp16 = SAM_MM_PRECISION_FP16,
    bf16 = SAM_MM_PRECISION_BF16,
};

/* ---- versions ---- */

/// Version of the header, as `major * 1000000 + minor * 1000 + patch`.
inline constexpr std::uint32_t header_version = SAM_MM_VERSION;
/// Version of the C ABI that this header speaks.
inline constexpr std::uint32_t header_abi_version = SAM_MM_ABI_VERSION;

/// Version of the loaded library, such as "0.1.0". Never goes away.
[[nodiscard]] inline std::string_view version() noexcept { return sam_mm_version(); }
/// Version of the C ABI that the loaded library speaks; programs and library go together when it is `header_abi_version`.
[[nodiscard]] inline std::uint32_t abi_version() noexcept { return sam_mm_abi_version(); }

namespace detail {

/// A handle of the C API that is freed with its owner.
template <class Handle, void (*Free)(Handle *)>
class unique_handle {
public:
    unique_handle() noexcept = default;
    explicit unique_handle(Handle *handle) noexcept : handle_(handle) {}
    unique_handle(unique_handle &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    unique_handle &operator=(unique_handle &&other) noexcept {
        reset(std::exchange(other.handle_, nullptr));
        return *this;
    }
    unique_handle(const unique_handle &) = delete;
    unique_handle &operator=(const unique_handle &) = delete;
    ~unique_handle() { reset(nullptr); }

    [[nodiscard]] Handle *get() const noexcept { return handle_; }
    [[nodiscard]] Handle *release() noexcept { return std::exchange(handle_, nullptr); }
    void reset(Handle *handle) noexcept {
        Handle *old = std::exchange(handle_, handle);
        if (old && old != handle) Free(old);
    }

private:
    Handle *handle_ = nullptr;
};

/// A struct that a function fills.
template <class Struct>
[[nodiscard]] Struct output() noexcept {
    Struct filled{};
    filled.struct_size = sizeof filled;
    return filled;
}

/// A struct with the library's defaults.
template <class Struct>
[[nodiscard]] Struct defaults(std::int32_t (*init)(Struct *, std::uint32_t)) noexcept {
    Struct filled{};
    init(&filled, sizeof filled);
    return filled;
}

/// A text for C; an empty one is none.
[[nodiscard]] inline const char *text_or_null(const std::string &text) noexcept {
    return text.empty() ? nullptr : text.c_str();
}

[[nodiscard]] inline std::string_view view(const char *text) noexcept { return text ? text : std::string_view(); }

static_assert(sizeof(point) == 2 * sizeof(float) && std::is_standard_layout_v<point>, "points are x, y, x, y ...");
static_assert(sizeof(box) == 4 * sizeof(float) && std::is_standard_layout_v<box>, "boxes are x0, y0, x1, y1, ...");

[[nodiscard]] inline const float *coordinates(const point *points) noexcept {
    return reinterpret_cast<const float *>(points);
}
[[nodiscard]] inline float *coordinates(point *points) noexcept { return reinterpret_cast<float *>(points); }
[[nodiscard]] inline const float *coordinates(const box *boxes) noexcept {
    return reinterpret_cast<const float *>(boxes);
}
[[nodiscard]] inline float *coordinates(box *boxes) noexcept { return reinterpret_cast<float *>(boxes); }

} // namespace detail
} // namespace sam_mm

#endif /* SAM_MM_BASE_HPP */
