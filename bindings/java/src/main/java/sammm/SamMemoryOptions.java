package sammm;

import sammm.internal.Borrowed;
import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** How memory is handled. What is not set is what the environment says, and then the default. */
public final class SamMemoryOptions {
    private Boolean growth;
    private Double fraction;
    private Double warningThreshold;
    private Double criticalThreshold;
    private Double hostThreshold;
    private Boolean lowerPrecision;
    private Boolean cpuFallback;
    private Boolean monitor;
    private Integer monitorPeriodMs;
    private Long monitorImageCacheBytes;
    private Double monitorDeviceThreshold;
    private Integer maxAgeMs;
    private String nvmlLibrary;
    private String cudartLibrary;

    /** True: memory grows as needed, and crossing the budget sheds caches first. False: the budget is a strict limit. */
    public SamMemoryOptions growth(boolean growth) {
        this.growth = growth;
        return this;
    }

    /** Share of the device's memory to use at most; {@code SAM_GPU_MEMORY_FRACTION}, 0.9. */
    public SamMemoryOptions fraction(double fraction) {
        this.fraction = fraction;
        return this;
    }

    /** Share in use from which there are warnings; {@code SAM_MEMORY_WARNING_THRESHOLD}, 0.8. */
    public SamMemoryOptions warningThreshold(double warningThreshold) {
        this.warningThreshold = warningThreshold;
        return this;
    }

    /** Share in use that is critical; {@code SAM_MEMORY_CRITICAL_THRESHOLD}, 0.95. */
    public SamMemoryOptions criticalThreshold(double criticalThreshold) {
        this.criticalThreshold = criticalThreshold;
        return this;
    }

    /** Share of host memory in use from which nothing more is cached in it; 0.9. */
    public SamMemoryOptions hostThreshold(double hostThreshold) {
        this.hostThreshold = hostThreshold;
        return this;
    }

    /** Whether a model may be brought to half precision when memory runs short; default true. */
    public SamMemoryOptions lowerPrecision(boolean lowerPrecision) {
        this.lowerPrecision = lowerPrecision;
        return this;
    }

    /** Whether an operation may run on the CPU when the GPU has no room for it; default true. */
    public SamMemoryOptions cpuFallback(boolean cpuFallback) {
        this.cpuFallback = cpuFallback;
        return this;
    }

    /** Whether a background thread looks after memory; default true. */
    public SamMemoryOptions monitor(boolean monitor) {
        this.monitor = monitor;
        return this;
    }

    /** Milliseconds from one look of that thread to the next; default 1000. */
    public SamMemoryOptions monitorPeriodMs(int monitorPeriodMs) {
        this.monitorPeriodMs = monitorPeriodMs;
        return this;
    }

    /** Bytes of processed images above which those not in use are dropped; default 1000000000. */
    public SamMemoryOptions monitorImageCacheBytes(long monitorImageCacheBytes) {
        this.monitorImageCacheBytes = monitorImageCacheBytes;
        return this;
    }

    /** Share of device memory above which unused memory is given back; default 0.8. */
    public SamMemoryOptions monitorDeviceThreshold(double monitorDeviceThreshold) {
        this.monitorDeviceThreshold = monitorDeviceThreshold;
        return this;
    }

    /** Most milliseconds that memory figures are old; default 1000. */
    public SamMemoryOptions maxAgeMs(int maxAgeMs) {
        this.maxAgeMs = maxAgeMs;
        return this;
    }

    /** File of NVML; by default it is found. */
    public SamMemoryOptions nvmlLibrary(String nvmlLibrary) {
        this.nvmlLibrary = nvmlLibrary;
        return this;
    }

    /** File of the CUDA runtime; by default the one in the process, or the newest that is found. */
    public SamMemoryOptions cudartLibrary(String cudartLibrary) {
        this.cudartLibrary = cudartLibrary;
        return this;
    }

    NativeMethods.sam_mm_memory_options toNative(Borrowed memory) {
        NativeMethods.sam_mm_memory_options options = new NativeMethods.sam_mm_memory_options();
        Call.check(NativeMethods.sam_mm_memory_options_init(options, options.size()), null);
        if (growth != null) {
            options.growth = growth ? NativeMethods.SAM_MM_GROWTH_ENABLED : NativeMethods.SAM_MM_GROWTH_DISABLED;
        }
        if (fraction != null) {
            options.fraction = fraction;
        }
        if (warningThreshold != null) {
            options.warning_threshold = warningThreshold;
        }
        if (criticalThreshold != null) {
            options.critical_threshold = criticalThreshold;
        }
        if (hostThreshold != null) {
            options.host_threshold = hostThreshold;
        }
        if (lowerPrecision != null) {
            options.lower_precision = lowerPrecision ? 1 : 0;
        }
        if (cpuFallback != null) {
            options.cpu_fallback = cpuFallback ? 1 : 0;
        }
        if (monitor != null) {
            options.monitor = monitor ? 1 : 0;
        }
        if (monitorPeriodMs != null) {
            options.monitor_period_ms = Call.notNegative(monitorPeriodMs, "monitorPeriodMs");
        }
        if (monitorImageCacheBytes != null) {
            options.monitor_image_cache_bytes = Call.notNegative(monitorImageCacheBytes, "monitorImageCacheBytes");
        }
        if (monitorDeviceThreshold != null) {
            options.monitor_device_threshold = monitorDeviceThreshold;
        }
        if (maxAgeMs != null) {
            options.max_age_ms = Call.notNegative(maxAgeMs, "maxAgeMs");
        }
        if (nvmlLibrary != null) {
            options.nvml_library = memory.text(nvmlLibrary);
        }
        if (cudartLibrary != null) {
            options.cudart_library = memory.text(cudartLibrary);
        }
        return options;
    }
}
