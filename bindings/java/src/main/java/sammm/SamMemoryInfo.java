package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** Memory at one moment, in bytes. A figure that could not be had is null. */
public final class SamMemoryInfo {
    private final SamMemorySource source;
    private final Long used;
    private final Long total;
    private final Long free;
    private final Double utilization;
    private final Long process;
    private final Long allocated;
    private final Long reserved;
    private final Long hostTotal;
    private final Long hostAvailable;
    private final Long hostProcess;
    private final long embeddingCache;
    private final long ageMs;
    private final boolean isStale;
    private final String text;
    private final String deviceName;
    private final String deviceUuid;
    private final String failures;

    SamMemoryInfo(NativeMethods.sam_mm_memory_info from) {
        source = SamMemorySource.of(from.source);
        used = (from.known & NativeMethods.SAM_MM_MEMORY_DEVICE) == 0 ? null : (Long) from.used;
        total = (from.known & NativeMethods.SAM_MM_MEMORY_DEVICE) == 0 ? null : (Long) from.total;
        free = (from.known & NativeMethods.SAM_MM_MEMORY_DEVICE) == 0 ? null : (Long) from.free;
        utilization = (from.known & NativeMethods.SAM_MM_MEMORY_DEVICE) == 0 ? null : (Double) from.utilization;
        process = (from.known & NativeMethods.SAM_MM_MEMORY_PROCESS) == 0 ? null : (Long) from.process;
        allocated = (from.known & NativeMethods.SAM_MM_MEMORY_ALLOCATOR) == 0 ? null : (Long) from.allocated;
        reserved = (from.known & NativeMethods.SAM_MM_MEMORY_ALLOCATOR) == 0 ? null : (Long) from.reserved;
        hostTotal = (from.known & NativeMethods.SAM_MM_MEMORY_HOST) == 0 ? null : (Long) from.host_total;
        hostAvailable = (from.known & NativeMethods.SAM_MM_MEMORY_HOST) == 0 ? null : (Long) from.host_available;
        hostProcess = (from.known & NativeMethods.SAM_MM_MEMORY_HOST) == 0 ? null : (Long) from.host_process;
        embeddingCache = from.embedding_cache;
        ageMs = from.age_ms;
        isStale = from.stale != 0;
        text = Call.text(from.formatted);
        deviceName = Call.text(from.device_name);
        deviceUuid = Call.text(from.device_uuid);
        failures = Call.text(from.failures);
    }

    /** What reports device memory. */
    public SamMemorySource source() {
        return source;
    }

    /** Device memory in use, by all processes. */
    public Long used() {
        return used;
    }

    /** Device memory there is. */
    public Long total() {
        return total;
    }

    /** Device memory that is free. */
    public Long free() {
        return free;
    }

    /** Share of device memory in use, 0 to 1. */
    public Double utilization() {
        return utilization;
    }

    /** Device memory that this process holds. */
    public Long process() {
        return process;
    }

    /** In live tensors of the backend's allocator. */
    public Long allocated() {
        return allocated;
    }

    /** Held by the backend's allocator, live or kept for reuse. */
    public Long reserved() {
        return reserved;
    }

    /** Host memory this process could use. */
    public Long hostTotal() {
        return hostTotal;
    }

    /** Host memory that can still be had without swapping. */
    public Long hostAvailable() {
        return hostAvailable;
    }

    /** Host memory this process holds. */
    public Long hostProcess() {
        return hostProcess;
    }

    /** Image embeddings kept by this context. */
    public long embeddingCache() {
        return embeddingCache;
    }

    /** Milliseconds that the figures are old. */
    public long ageMs() {
        return ageMs;
    }

    /** Whether they are older than wished, because a driver takes long to answer. */
    public boolean isStale() {
        return isStale;
    }

    /** One line for people. */
    public String text() {
        return text;
    }

    /** Name of the device's product; empty when not known. */
    public String deviceName() {
        return deviceName;
    }

    /** NVML's UUID of the device; empty when not known. */
    public String deviceUuid() {
        return deviceUuid;
    }

    /** Why better sources told nothing; empty when there is nothing to say. */
    public String failures() {
        return failures;
    }

    /** The line for people. */
    @Override
    public String toString() {
        return text;
    }
}
