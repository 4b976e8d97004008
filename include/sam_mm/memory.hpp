/* Memory: its settings, figures, status, events and report. */

#ifndef SAM_MM_MEMORY_HPP
#define SAM_MM_MEMORY_HPP

#include "error.hpp"

#include <cmath>
#include <limits>
#include <optional>
#include <string>

namespace sam_mm {

/// Whether memory may grow as needed, or has a strict limit.
enum class growth : std::uint32_t {
    from_environment = SAM_MM_GROWTH_FROM_ENVIRONMENT,
    enabled = SAM_MM_GROWTH_ENABLED,
    disabled = SAM_MM_GROWTH_DISABLED,
};

/// How a context handles memory. A share without a value is that of its environment variable, and then its default; see
/// `sam_mm_memory_options` for both.
struct memory_options {
    sam_mm::growth growth = sam_mm::growth::from_environment;
    std::optional<double> fraction;
    std::optional<double> warning_threshold;
    std::optional<double> critical_threshold;
    std::optional<double> host_threshold;
    bool lower_precision = true;
    bool cpu_fallback = true;
    bool monitor = true;
    std::uint32_t monitor_period_ms = 1000;
    std::uint64_t monitor_image_cache_bytes = 1'000'000'000;
    double monitor_device_threshold = 0.8;
    std::uint32_t max_age_ms = 1000;
    /// File of NVML; empty finds it.
    std::string nvml_library;
    /// File of the CUDA runtime; empty finds it.
    std::string cudart_library;

    /// The same for C; valid while this is, and unchanged.
    [[nodiscard]] sam_mm_memory_options to_c() const noexcept {
        sam_mm_memory_options c = detail::defaults(sam_mm_memory_options_init);
        const auto share = [](const std::optional<double> &given, double otherwise) {
            return given ? *given : otherwise;
        };
        c.growth = static_cast<std::uint32_t>(growth);
        c.fraction = share(fraction, c.fraction);
        c.warning_threshold = share(warning_threshold, c.warning_threshold);
        c.critical_threshold = share(critical_threshold, c.critical_threshold);
        c.host_threshold = share(host_threshold, c.host_threshold);
        c.lower_precision = lower_precision;
        c.cpu_fallback = cpu_fallback;
        c.monitor = monitor;
        c.monitor_period_ms = monitor_period_ms;
        c.monitor_image_cache_bytes = monitor_image_cache_bytes;
        c.monitor_device_threshold = monitor_device_threshold;
        c.max_age_ms = max_age_ms;
        c.nvml_library = detail::text_or_null(nvml_library);
        c.cudart_library = detail::text_or_null(cudart_library);
        return c;
    }
};

/// What reports device memory.
enum class memory_source : std::uint32_t {
    none = SAM_MM_SOURCE_NONE,
    nvml = SAM_MM_SOURCE_NVML,
    cuda = SAM_MM_SOURCE_CUDA,
    backend = SAM_MM_SOURCE_BACKEND,
};

/// Memory at one moment. What could not be had has no value. Bytes, unless said otherwise.
struct memory_info {
    struct device_figures {
        std::uint64_t used;  ///< by all processes
        std::uint64_t total;
        std::uint64_t free;
        double utilization; ///< `used / total`
    };
    struct allocator_figures {
        std::uint64_t allocated; ///< in live tensors
        std::uint64_t reserved;  ///< held from the device, live or kept for reuse
    };
    struct host_figures {
        std::uint64_t total;     ///< that this process could use
        std::uint64_t available; ///< without swapping
        std::uint64_t process;   ///< held by this process
    };

    memory_source source = memory_source::none;
    std::optional<device_figures> device;
    std::optional<allocator_figures> allocator;
    std::optional<host_figures> host;
    /// Device memory that this process holds.
    std::optional<std::uint64_t> process;
    std::uint64_t embedding_cache = 0;
    /// One line for people.
    std::string formatted;
    std::uint64_t age_ms = 0;
    bool stale = false;
    std::string device_name;
    std::string device_uuid;
    /// Why better sources told nothing; empty when there is nothing to say.
    std::string failures;

    [[nodiscard]] static memory_info from_c(const sam_mm_memory_info &c) {
        memory_info info;
        info.source = static_cast<memory_source>(c.source);
        if (c.known & SAM_MM_MEMORY_DEVICE) info.device = device_figures{c.used, c.total, c.free, c.utilization};
        if (c.known & SAM_MM_MEMORY_ALLOCATOR) info.allocator = allocator_figures{c.allocated, c.reserved};
        if (c.known & SAM_MM_MEMORY_HOST) info.host = host_figures{c.host_total, c.host_available, c.host_process};
        if (c.known & SAM_MM_MEMORY_PROCESS) info.process = c.process;
        info.embedding_cache = c.embedding_cache;
        info.formatted = c.formatted;
        info.age_ms = c.age_ms;
        info.stale = c.stale != 0;
        info.device_name = c.device_name;
        info.device_uuid = c.device_uuid;
        info.failures = c.failures;
        return info;
    }
};

/// How full device memory is.
enum class memory_level : std::uint32_t {
    ok = SAM_MM_STATUS_OK,
    warning = SAM_MM_STATUS_WARNING,
    critical = SAM_MM_STATUS_CRITICAL,
    unknown = SAM_MM_STATUS_UNKNOWN,
};

struct memory_status {
    memory_level level = memory_level::ok;
    /// Share in use; no value below the warning threshold, or when not known.
    std::optional<double> utilization;
    /// For people; empty when there is nothing to say.
    std::string message;

    [[nodiscard]] static memory_status from_c(const sam_mm_memory_status &c) {
        memory_status status;
        status.level = static_cast<memory_level>(c.level);
        if (!std::isnan(c.utilization)) status.utilization = c.utilization;
        status.message = c.message;
        return status;
    }
};

/// Whose memory.
enum class memory_tier : std::uint32_t {
    device = SAM_MM_TIER_DEVICE,
    host = SAM_MM_TIER_HOST,
};

/// What `context::optimize` did. Bytes.
struct optimize_report {
    template <class T>
    struct change {
        T before;
        T after;
    };

    /// Whether memory was given back at all.
    bool performed = false;
    std::uint64_t image_cache_bytes = 0;
    std::uint64_t prediction_cache_bytes = 0;
    std::uint64_t embedding_cache_bytes = 0;
    std::uint64_t allocator_bytes = 0;
    std::optional<change<std::uint64_t>> used;         ///< device memory, by all processes
    std::optional<change<std::uint64_t>> allocated;    ///< in live tensors of the allocator
    std::optional<change<std::uint64_t>> host_process; ///< host memory of this process

    [[nodiscard]] static optimize_report from_c(const sam_mm_optimize_report &c) {
        using bytes = change<std::uint64_t>;
        optimize_report report;
        report.performed = c.performed != 0;
        report.image_cache_bytes = c.image_cache_bytes;
        report.prediction_cache_bytes = c.prediction_cache_bytes;
        report.embedding_cache_bytes = c.embedding_cache_bytes;
        report.allocator_bytes = c.allocator_bytes;
        if (c.known & SAM_MM_MEMORY_DEVICE) report.used = bytes{c.used_before, c.used_after};
        if (c.known & SAM_MM_MEMORY_ALLOCATOR) report.allocated = bytes{c.allocated_before, c.allocated_after};
        if (c.known & SAM_MM_MEMORY_HOST) report.host_process = bytes{c.host_process_before, c.host_process_after};
        return report;
    }
};

/// What happened to memory. New kinds may come.
enum class memory_event_kind : std::uint32_t {
    config_warning = SAM_MM_EVENT_CONFIG_WARNING,
    status = SAM_MM_EVENT_STATUS,
    optimized = SAM_MM_EVENT_OPTIMIZED,
    plan_downgraded = SAM_MM_EVENT_PLAN_DOWNGRADED,
    recovery_rung = SAM_MM_EVENT_RECOVERY_RUNG,
    recovered = SAM_MM_EVENT_RECOVERED,
    recovery_failed = SAM_MM_EVENT_RECOVERY_FAILED,
    monitor = SAM_MM_EVENT_MONITOR,
    probe_lost = SAM_MM_EVENT_PROBE_LOST,
    probe_back = SAM_MM_EVENT_PROBE_BACK,
};

struct memory_event {
    memory_event_kind kind{};
    /// From 0 in each context; a gap is what left the queue unread.
    std::uint64_t number = 0;
    /// Milliseconds since the context was made.
    std::uint64_t at_ms = 0;
    /// As the kind says; else 0.
    std::uint64_t bytes = 0;
    /// A share, for the kinds that have one.
    std::optional<double> value;
    /// For people, with the numbers.
    std::string message;

    [[nodiscard]] static memory_event from_c(const sam_mm_memory_event &c) {
        memory_event event;
        event.kind = static_cast<memory_event_kind>(c.kind);
        event.number = c.number;
        event.at_ms = c.at_ms;
        event.bytes = c.bytes;
        if (!std::isnan(c.value)) event.value = c.value;
        event.message = c.message;
        return event;
    }
};

/// How often recoveries from a lack of memory failed lately.
enum class health : std::uint32_t {
    healthy = SAM_MM_HEALTH_HEALTHY,
    monitoring = SAM_MM_HEALTH_MONITORING,
    degraded = SAM_MM_HEALTH_DEGRADED,
    critical = SAM_MM_HEALTH_CRITICAL,
};

/// What was counted since the context was made. The fields are those of the C struct, which is all numbers.
struct memory_report : sam_mm_memory_report {
    [[nodiscard]] sam_mm::health health_level() const noexcept { return static_cast<sam_mm::health>(health); }
};

} // namespace sam_mm

#endif /* SAM_MM_MEMORY_HPP */
