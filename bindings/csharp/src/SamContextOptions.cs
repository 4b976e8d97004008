using System;
using SamMm.Native;

namespace SamMm
{
    /// <summary>How a context is set up. What is left null has the default of the library.</summary>
    public sealed class SamContextOptions
    {
        /// <summary><c>"cpu"</c>, <c>"cuda:0"</c>, or <c>"auto"</c> (default): the first usable GPU, else the CPU.</summary>
        public string Device { get; set; }

        /// <summary>Threads for work on the CPU; 0 (default) leaves the choice to the backend. Shared by the process.</summary>
        public int Threads { get; set; }

        /// <summary>File of the backend plugin; null (default) searches for one.</summary>
        public string BackendPath { get; set; }

        /// <summary>
        /// Receives the log from the first line on, on any thread, several lines at once. What it throws goes to
        /// <see cref="SamContext.CallbackFailed"/>.
        /// </summary>
        public Action<SamLogLine> LogHandler { get; set; }

        /// <summary>Most talkative level that the handler receives.</summary>
        public SamLogLevel LogLevel { get; set; } = SamLogLevel.Warn;

        /// <summary>Whether GPUs that have TF32 may use it for matrix products; default true.</summary>
        public bool? AllowTf32 { get; set; }

        /// <summary>Most bytes of image embeddings kept; default 1 GiB.</summary>
        public long? EmbeddingCacheBytes { get; set; }

        /// <summary>Most bytes of predictions kept; default 64 MiB.</summary>
        public long? PredictionCacheBytes { get; set; }

        /// <summary>Most predictions kept; default 50. 0 keeps none.</summary>
        public int? PredictionCacheEntries { get; set; }

        /// <summary>Most bytes of images processed for display that are kept; default 256 MiB.</summary>
        public long? ImageCacheBytes { get; set; }

        /// <summary>Most of them that are kept; default 10. 0 keeps none.</summary>
        public long? ImageCacheEntries { get; set; }

        /// <summary>Budget, thresholds and monitor; null (default) for their defaults.</summary>
        public SamMemoryOptions Memory { get; set; }

        internal unsafe sam_mm_options ToNative(Borrowed memory)
        {
            sam_mm_options options;
            Status.Check(NativeMethods.sam_mm_options_init(&options, (uint)sizeof(sam_mm_options)), null);
            options.device = memory.Text(Device);
            options.backend_path = memory.Text(BackendPath);
            options.num_threads = Status.Count(Threads, nameof(Threads));
            options.log_level = (int)LogLevel;
            if (AllowTf32 != null) options.allow_tf32 = AllowTf32.Value ? 1u : 0u;
            options.embedding_cache_bytes =
                Status.Bytes(EmbeddingCacheBytes, options.embedding_cache_bytes, nameof(EmbeddingCacheBytes));
            options.prediction_cache_bytes =
                Status.Bytes(PredictionCacheBytes, options.prediction_cache_bytes, nameof(PredictionCacheBytes));
            if (PredictionCacheEntries != null)
            {
                options.prediction_cache_entries =
                    Status.Count(PredictionCacheEntries.Value, nameof(PredictionCacheEntries));
            }
            options.image_cache_bytes = Status.Bytes(ImageCacheBytes, options.image_cache_bytes, nameof(ImageCacheBytes));
            options.image_cache_entries =
                Status.Bytes(ImageCacheEntries, options.image_cache_entries, nameof(ImageCacheEntries));
            if (Memory != null)
            {
                var place = (sam_mm_memory_options*)memory.Allocate(sizeof(sam_mm_memory_options));
                *place = Memory.ToNative(memory);
                options.memory = place;
            }
            return options;
        }
    }

    /// <summary>How memory is handled. What is left null is what the environment says, and then the default.</summary>
    public sealed class SamMemoryOptions
    {
        /// <summary>
        /// True: memory grows as needed, and crossing the budget sheds caches first. False: the budget is a strict limit.
        /// <c>SAM_ENABLE_MEMORY_GROWTH</c>, true.
        /// </summary>
        public bool? Growth { get; set; }

        /// <summary>Share of the device's memory to use at most; <c>SAM_GPU_MEMORY_FRACTION</c>, 0.9.</summary>
        public double? Fraction { get; set; }

        /// <summary>Share in use from which there are warnings; <c>SAM_MEMORY_WARNING_THRESHOLD</c>, 0.8.</summary>
        public double? WarningThreshold { get; set; }

        /// <summary>Share in use that is critical; <c>SAM_MEMORY_CRITICAL_THRESHOLD</c>, 0.95.</summary>
        public double? CriticalThreshold { get; set; }

        /// <summary>Share of host memory in use from which nothing more is cached in it; 0.9.</summary>
        public double? HostThreshold { get; set; }

        /// <summary>Whether a model may be brought to half precision when memory runs short; default true.</summary>
        public bool? LowerPrecision { get; set; }

        /// <summary>Whether an operation may run on the CPU when the GPU has no room for it; default true.</summary>
        public bool? CpuFallback { get; set; }

        /// <summary>Whether a background thread looks after memory; default true.</summary>
        public bool? Monitor { get; set; }

        /// <summary>Milliseconds from one look of that thread to the next; default 1000.</summary>
        public int? MonitorPeriodMs { get; set; }

        /// <summary>Bytes of processed images above which those not in use are dropped; default 1000000000.</summary>
        public long? MonitorImageCacheBytes { get; set; }

        /// <summary>Share of device memory above which unused memory is given back; default 0.8.</summary>
        public double? MonitorDeviceThreshold { get; set; }

        /// <summary>Most milliseconds that memory figures are old; default 1000.</summary>
        public int? MaxAgeMs { get; set; }

        /// <summary>File of NVML; null finds it.</summary>
        public string NvmlLibrary { get; set; }

        /// <summary>File of the CUDA runtime; null takes the one in the process, or the newest that is found.</summary>
        public string CudartLibrary { get; set; }

        internal unsafe sam_mm_memory_options ToNative(Borrowed memory)
        {
            sam_mm_memory_options options;
            Status.Check(NativeMethods.sam_mm_memory_options_init(&options, (uint)sizeof(sam_mm_memory_options)), null);
            if (Growth != null)
                options.growth = Growth.Value ? NativeMethods.SAM_MM_GROWTH_ENABLED : NativeMethods.SAM_MM_GROWTH_DISABLED;
            options.fraction = Fraction ?? options.fraction;
            options.warning_threshold = WarningThreshold ?? options.warning_threshold;
            options.critical_threshold = CriticalThreshold ?? options.critical_threshold;
            options.host_threshold = HostThreshold ?? options.host_threshold;
            if (LowerPrecision != null) options.lower_precision = LowerPrecision.Value ? 1u : 0u;
            if (CpuFallback != null) options.cpu_fallback = CpuFallback.Value ? 1u : 0u;
            if (Monitor != null) options.monitor = Monitor.Value ? 1u : 0u;
            if (MonitorPeriodMs != null)
                options.monitor_period_ms = Status.Count(MonitorPeriodMs.Value, nameof(MonitorPeriodMs));
            options.monitor_image_cache_bytes =
                Status.Bytes(MonitorImageCacheBytes, options.monitor_image_cache_bytes, nameof(MonitorImageCacheBytes));
            options.monitor_device_threshold = MonitorDeviceThreshold ?? options.monitor_device_threshold;
            if (MaxAgeMs != null) options.max_age_ms = Status.Count(MaxAgeMs.Value, nameof(MaxAgeMs));
            options.nvml_library = memory.Text(NvmlLibrary);
            options.cudart_library = memory.Text(CudartLibrary);
            return options;
        }
    }
}
