package sammm;

import sammm.internal.NativeMethods;

/** What giving memory back did, in bytes. A figure that could not be had is null. */
public final class SamOptimizeReport {
    private final boolean performed;
    private final long embeddingCacheBytes;
    private final long predictionCacheBytes;
    private final long imageCacheBytes;
    private final long allocatorBytes;
    private final Long usedBefore;
    private final Long usedAfter;
    private final Long allocatedBefore;
    private final Long allocatedAfter;
    private final Long hostProcessBefore;
    private final Long hostProcessAfter;

    SamOptimizeReport(NativeMethods.sam_mm_optimize_report from) {
        performed = from.performed != 0;
        embeddingCacheBytes = from.embedding_cache_bytes;
        predictionCacheBytes = from.prediction_cache_bytes;
        imageCacheBytes = from.image_cache_bytes;
        allocatorBytes = from.allocator_bytes;
        usedBefore = (from.known & NativeMethods.SAM_MM_MEMORY_DEVICE) == 0 ? null : (Long) from.used_before;
        usedAfter = (from.known & NativeMethods.SAM_MM_MEMORY_DEVICE) == 0 ? null : (Long) from.used_after;
        allocatedBefore = (from.known & NativeMethods.SAM_MM_MEMORY_ALLOCATOR) == 0 ? null : (Long) from.allocated_before;
        allocatedAfter = (from.known & NativeMethods.SAM_MM_MEMORY_ALLOCATOR) == 0 ? null : (Long) from.allocated_after;
        hostProcessBefore = (from.known & NativeMethods.SAM_MM_MEMORY_HOST) == 0 ? null : (Long) from.host_process_before;
        hostProcessAfter = (from.known & NativeMethods.SAM_MM_MEMORY_HOST) == 0 ? null : (Long) from.host_process_after;
    }

    /** Whether memory was given back; false when there was no need. */
    public boolean performed() {
        return performed;
    }

    /** Embeddings dropped. */
    public long embeddingCacheBytes() {
        return embeddingCacheBytes;
    }

    /** Predictions dropped. */
    public long predictionCacheBytes() {
        return predictionCacheBytes;
    }

    /** Processed images dropped. */
    public long imageCacheBytes() {
        return imageCacheBytes;
    }

    /** Given back to the device by the backend's allocator. */
    public long allocatorBytes() {
        return allocatorBytes;
    }

    /** Device memory in use before, by all processes. */
    public Long usedBefore() {
        return usedBefore;
    }

    /** The same after. */
    public Long usedAfter() {
        return usedAfter;
    }

    /** In live tensors of the backend's allocator before. */
    public Long allocatedBefore() {
        return allocatedBefore;
    }

    /** The same after. */
    public Long allocatedAfter() {
        return allocatedAfter;
    }

    /** Host memory this process held before. */
    public Long hostProcessBefore() {
        return hostProcessBefore;
    }

    /** The same after. */
    public Long hostProcessAfter() {
        return hostProcessAfter;
    }
}
