using SamMm.Native;

namespace SamMm
{
    /// <summary>What reports device memory.</summary>
    public enum SamMemorySource
    {
        /// <summary>Nothing: a CPU, no backend loaded yet, or every probe failed.</summary>
        None = 0,
        /// <summary>The NVIDIA Management Library.</summary>
        Nvml = 1,
        /// <summary>The CUDA runtime.</summary>
        Cuda = 2,
        /// <summary>The backend.</summary>
        Backend = 3,
    }

    /// <summary>How full device memory is.</summary>
    public enum SamMemoryLevel
    {
        /// <summary>Below the warning threshold, or no GPU.</summary>
        Ok = 0,
        /// <summary>From the warning threshold on.</summary>
        Warning = 1,
        /// <summary>From the critical threshold on.</summary>
        Critical = 2,
        /// <summary>There is a GPU, and nothing could tell how full it is.</summary>
        Unknown = 3,
    }

    /// <summary>Where something could be kept.</summary>
    public enum SamMemoryTier
    {
        /// <summary>Memory of the device.</summary>
        Device = 0,
        /// <summary>Memory of the host.</summary>
        Host = 1,
    }

    /// <summary>Memory at one moment, in bytes. A figure that could not be had is null.</summary>
    public sealed unsafe class SamMemoryInfo
    {
        internal SamMemoryInfo(sam_mm_memory_info* info)
        {
            bool device = (info->known & NativeMethods.SAM_MM_MEMORY_DEVICE) != 0;
            bool allocator = (info->known & NativeMethods.SAM_MM_MEMORY_ALLOCATOR) != 0;
            bool host = (info->known & NativeMethods.SAM_MM_MEMORY_HOST) != 0;
            bool process = (info->known & NativeMethods.SAM_MM_MEMORY_PROCESS) != 0;
            Source = (SamMemorySource)info->source;
            Used = device ? (long)info->used : (long?)null;
            Total = device ? (long)info->total : (long?)null;
            Free = device ? (long)info->free : (long?)null;
            Utilization = device ? info->utilization : (double?)null;
            Process = process ? (long)info->process : (long?)null;
            Allocated = allocator ? (long)info->allocated : (long?)null;
            Reserved = allocator ? (long)info->reserved : (long?)null;
            HostTotal = host ? (long)info->host_total : (long?)null;
            HostAvailable = host ? (long)info->host_available : (long?)null;
            HostProcess = host ? (long)info->host_process : (long?)null;
            EmbeddingCache = (long)info->embedding_cache;
            AgeMs = (long)info->age_ms;
            IsStale = info->stale != 0;
            Text = Utf8.Read(info->formatted);
            DeviceName = Utf8.Read(info->device_name);
            DeviceUuid = Utf8.Read(info->device_uuid);
            Failures = Utf8.Read(info->failures);
        }

        /// <summary>What reports device memory.</summary>
        public SamMemorySource Source { get; }

        /// <summary>Device memory in use, by all processes.</summary>
        public long? Used { get; }

        /// <summary>Device memory there is.</summary>
        public long? Total { get; }

        /// <summary>Device memory that is free.</summary>
        public long? Free { get; }

        /// <summary>Share of device memory in use, 0 to 1.</summary>
        public double? Utilization { get; }

        /// <summary>Device memory that this process holds.</summary>
        public long? Process { get; }

        /// <summary>In live tensors of the backend's allocator.</summary>
        public long? Allocated { get; }

        /// <summary>Held by the backend's allocator, live or kept for reuse.</summary>
        public long? Reserved { get; }

        /// <summary>Host memory this process could use.</summary>
        public long? HostTotal { get; }

        /// <summary>Host memory that can still be had without swapping.</summary>
        public long? HostAvailable { get; }

        /// <summary>Host memory this process holds.</summary>
        public long? HostProcess { get; }

        /// <summary>Image embeddings kept by this context.</summary>
        public long EmbeddingCache { get; }

        /// <summary>Milliseconds that the figures are old.</summary>
        public long AgeMs { get; }

        /// <summary>Whether they are older than wished, because a driver takes long to answer.</summary>
        public bool IsStale { get; }

        /// <summary>One line for people.</summary>
        public string Text { get; }

        /// <summary>Name of the device's product; empty when not known.</summary>
        public string DeviceName { get; }

        /// <summary>NVML's UUID of the device; empty when not known.</summary>
        public string DeviceUuid { get; }

        /// <summary>Why better sources told nothing; empty when there is nothing to say.</summary>
        public string Failures { get; }

        /// <summary>The line for people.</summary>
        public override string ToString() => Text;
    }

    /// <summary>How full device memory is.</summary>
    public sealed unsafe class SamMemoryStatus
    {
        internal SamMemoryStatus(sam_mm_memory_status* status)
        {
            Level = (SamMemoryLevel)status->level;
            Utilization = double.IsNaN(status->utilization) ? (double?)null : status->utilization;
            Message = Utf8.Read(status->message);
        }

        /// <summary>How full it is.</summary>
        public SamMemoryLevel Level { get; }

        /// <summary>Share in use; null when not known or below the warning threshold.</summary>
        public double? Utilization { get; }

        /// <summary>What to tell a person; empty when there is nothing to say.</summary>
        public string Message { get; }
    }

    /// <summary>What giving memory back did, in bytes. A figure that could not be had is null.</summary>
    public sealed class SamOptimizeReport
    {
        internal SamOptimizeReport(sam_mm_optimize_report report)
        {
            Performed = report.performed != 0;
            EmbeddingCacheBytes = (long)report.embedding_cache_bytes;
            PredictionCacheBytes = (long)report.prediction_cache_bytes;
            ImageCacheBytes = (long)report.image_cache_bytes;
            AllocatorBytes = (long)report.allocator_bytes;
            bool device = (report.known & NativeMethods.SAM_MM_MEMORY_DEVICE) != 0;
            bool allocator = (report.known & NativeMethods.SAM_MM_MEMORY_ALLOCATOR) != 0;
            bool host = (report.known & NativeMethods.SAM_MM_MEMORY_HOST) != 0;
            UsedBefore = device ? (long)report.used_before : (long?)null;
            UsedAfter = device ? (long)report.used_after : (long?)null;
            AllocatedBefore = allocator ? (long)report.allocated_before : (long?)null;
            AllocatedAfter = allocator ? (long)report.allocated_after : (long?)null;
            HostProcessBefore = host ? (long)report.host_process_before : (long?)null;
            HostProcessAfter = host ? (long)report.host_process_after : (long?)null;
        }

        /// <summary>Whether memory was given back; false when there was no need.</summary>
        public bool Performed { get; }

        /// <summary>Embeddings dropped.</summary>
        public long EmbeddingCacheBytes { get; }

        /// <summary>Predictions dropped.</summary>
        public long PredictionCacheBytes { get; }

        /// <summary>Processed images dropped.</summary>
        public long ImageCacheBytes { get; }

        /// <summary>Given back to the device by the backend's allocator.</summary>
        public long AllocatorBytes { get; }

        /// <summary>Device memory in use before, by all processes.</summary>
        public long? UsedBefore { get; }

        /// <summary>The same after.</summary>
        public long? UsedAfter { get; }

        /// <summary>In live tensors of the backend's allocator before.</summary>
        public long? AllocatedBefore { get; }

        /// <summary>The same after.</summary>
        public long? AllocatedAfter { get; }

        /// <summary>Host memory this process held before.</summary>
        public long? HostProcessBefore { get; }

        /// <summary>The same after.</summary>
        public long? HostProcessAfter { get; }
    }

    /// <summary>How recoveries from running out of memory went lately.</summary>
    public enum SamMemoryHealth
    {
        /// <summary>Recoveries, if any, mostly succeed.</summary>
        Healthy = 0,
        /// <summary>At least one in ten of the last ten failed.</summary>
        Monitoring = 1,
        /// <summary>At least three in ten failed.</summary>
        Degraded = 2,
        /// <summary>At least six in ten failed.</summary>
        Critical = 3,
    }

    /// <summary>What was counted in a context since it was made.</summary>
    public sealed class SamMemoryReport
    {
        internal SamMemoryReport(sam_mm_memory_report report)
        {
            Health = (SamMemoryHealth)report.health;
            OperationsSucceeded = (long)report.operations_succeeded;
            OperationsFailed = (long)report.operations_failed;
            EmbeddingHits = (long)report.embedding_hits;
            EmbeddingMisses = (long)report.embedding_misses;
            PredictionHits = (long)report.prediction_hits;
            PredictionMisses = (long)report.prediction_misses;
            Optimizations = (long)report.optimizations;
            OptimizedBytes = (long)report.optimized_bytes;
            RecoveriesAttempted = (long)report.recoveries_attempted;
            RecoveriesSucceeded = (long)report.recoveries_succeeded;
            Warnings = (long)report.warnings;
            Criticals = (long)report.criticals;
            PeakDeviceUsed = (long)report.peak_device_used;
            PeakDeviceProcess = (long)report.peak_device_process;
            PeakAllocated = (long)report.peak_allocated;
            PeakHostProcess = (long)report.peak_host_process;
        }

        /// <summary>How recoveries went lately.</summary>
        public SamMemoryHealth Health { get; }

        /// <summary>Encodings and decodings that gave a result.</summary>
        public long OperationsSucceeded { get; }

        /// <summary>Encodings and decodings that did not.</summary>
        public long OperationsFailed { get; }

        /// <summary>Embeddings that were found in the cache.</summary>
        public long EmbeddingHits { get; }

        /// <summary>Embeddings that had to be made.</summary>
        public long EmbeddingMisses { get; }

        /// <summary>Predictions that were found in the cache.</summary>
        public long PredictionHits { get; }

        /// <summary>Predictions that had to be made.</summary>
        public long PredictionMisses { get; }

        /// <summary>Times that memory was given back.</summary>
        public long Optimizations { get; }

        /// <summary>Bytes that were given back so.</summary>
        public long OptimizedBytes { get; }

        /// <summary>Operations that ran out of memory.</summary>
        public long RecoveriesAttempted { get; }

        /// <summary>Of those, the ones whose retry gave a result.</summary>
        public long RecoveriesSucceeded { get; }

        /// <summary>Times that device memory crossed the warning threshold.</summary>
        public long Warnings { get; }

        /// <summary>Times that device memory crossed the critical threshold.</summary>
        public long Criticals { get; }

        /// <summary>Most bytes of device memory seen in use, by all processes; 0 when not known.</summary>
        public long PeakDeviceUsed { get; }

        /// <summary>Most bytes of device memory seen in use by this process; 0 when not known.</summary>
        public long PeakDeviceProcess { get; }

        /// <summary>Most bytes in live tensors of the backend's allocator; 0 when not known.</summary>
        public long PeakAllocated { get; }

        /// <summary>Most bytes of host memory seen held by this process; 0 when not known.</summary>
        public long PeakHostProcess { get; }
    }

    /// <summary>What kind of thing happened to memory. New kinds may come.</summary>
    public enum SamMemoryEventKind
    {
        /// <summary>An environment variable was set aside for its default.</summary>
        ConfigWarning = 1,
        /// <summary>Device memory crossed a threshold; the value is the share in use.</summary>
        Status = 2,
        /// <summary>Memory was given back.</summary>
        Optimized = 3,
        /// <summary>An operation is run in another way than the best one, which does not fit.</summary>
        PlanDowngraded = 4,
        /// <summary>Memory ran out, and a rung of the ladder was climbed.</summary>
        RecoveryRung = 5,
        /// <summary>A retry after memory had run out succeeded.</summary>
        Recovered = 6,
        /// <summary>An operation that ran out of memory failed for good.</summary>
        RecoveryFailed = 7,
        /// <summary>The monitor acted.</summary>
        Monitor = 8,
        /// <summary>A source of memory figures fails, or tells less than it could.</summary>
        ProbeLost = 9,
        /// <summary>A source of memory figures tells them all again.</summary>
        ProbeBack = 10,
    }

    /// <summary>Something that happened to memory.</summary>
    public sealed unsafe class SamMemoryEvent
    {
        internal SamMemoryEvent(sam_mm_memory_event* happened)
        {
            Kind = (SamMemoryEventKind)happened->kind;
            Number = (long)happened->number;
            AtMs = (long)happened->at_ms;
            Bytes = (long)happened->bytes;
            Value = double.IsNaN(happened->value) ? (double?)null : happened->value;
            Message = Utf8.Read(happened->message);
        }

        /// <summary>What happened.</summary>
        public SamMemoryEventKind Kind { get; }

        /// <summary>Its number, from 0 in each context; a gap is what was not taken in time.</summary>
        public long Number { get; }

        /// <summary>Milliseconds since the context was made.</summary>
        public long AtMs { get; }

        /// <summary>Bytes, as the kind says; else 0.</summary>
        public long Bytes { get; }

        /// <summary>A share, as the kind says; else null.</summary>
        public double? Value { get; }

        /// <summary>For people, with the numbers.</summary>
        public string Message { get; }
    }
}
