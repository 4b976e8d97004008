package sammm;

import sammm.internal.NativeMethods;

/** What was counted in a context since it was made. */
public final class SamMemoryReport {
    private final SamMemoryHealth health;
    private final long operationsSucceeded;
    private final long operationsFailed;
    private final long embeddingHits;
    private final long embeddingMisses;
    private final long predictionHits;
    private final long predictionMisses;
    private final long optimizations;
    private final long optimizedBytes;
    private final long recoveriesAttempted;
    private final long recoveriesSucceeded;
    private final long warnings;
    private final long criticals;
    private final long peakDeviceUsed;
    private final long peakDeviceProcess;
    private final long peakAllocated;
    private final long peakHostProcess;

    SamMemoryReport(NativeMethods.sam_mm_memory_report from) {
        health = SamMemoryHealth.of(from.health);
        operationsSucceeded = from.operations_succeeded;
        operationsFailed = from.operations_failed;
        embeddingHits = from.embedding_hits;
        embeddingMisses = from.embedding_misses;
        predictionHits = from.prediction_hits;
        predictionMisses = from.prediction_misses;
        optimizations = from.optimizations;
        optimizedBytes = from.optimized_bytes;
        recoveriesAttempted = from.recoveries_attempted;
        recoveriesSucceeded = from.recoveries_succeeded;
        warnings = from.warnings;
        criticals = from.criticals;
        peakDeviceUsed = from.peak_device_used;
        peakDeviceProcess = from.peak_device_process;
        peakAllocated = from.peak_allocated;
        peakHostProcess = from.peak_host_process;
    }

    /** How recoveries went lately. */
    public SamMemoryHealth health() {
        return health;
    }

    /** Encodings and decodings that gave a result. */
    public long operationsSucceeded() {
        return operationsSucceeded;
    }

    /** Encodings and decodings that did not. */
    public long operationsFailed() {
        return operationsFailed;
    }

    /** Embeddings that were found in the cache. */
    public long embeddingHits() {
        return embeddingHits;
    }

    /** Embeddings that had to be made. */
    public long embeddingMisses() {
        return embeddingMisses;
    }

    /** Predictions that were found in the cache. */
    public long predictionHits() {
        return predictionHits;
    }

    /** Predictions that had to be made. */
    public long predictionMisses() {
        return predictionMisses;
    }

    /** Times that memory was given back. */
    public long optimizations() {
        return optimizations;
    }

    /** Bytes that were given back so. */
    public long optimizedBytes() {
        return optimizedBytes;
    }

    /** Operations that ran out of memory. */
    public long recoveriesAttempted() {
        return recoveriesAttempted;
    }

    /** Of those, the ones whose retry gave a result. */
    public long recoveriesSucceeded() {
        return recoveriesSucceeded;
    }

    /** Times that device memory crossed the warning threshold. */
    public long warnings() {
        return warnings;
    }

    /** Times that device memory crossed the critical threshold. */
    public long criticals() {
        return criticals;
    }

    /** Most bytes of device memory seen in use, by all processes; 0 when not known. */
    public long peakDeviceUsed() {
        return peakDeviceUsed;
    }

    /** Most bytes of device memory seen in use by this process; 0 when not known. */
    public long peakDeviceProcess() {
        return peakDeviceProcess;
    }

    /** Most bytes in live tensors of the backend's allocator; 0 when not known. */
    public long peakAllocated() {
        return peakAllocated;
    }

    /** Most bytes of host memory seen held by this process; 0 when not known. */
    public long peakHostProcess() {
        return peakHostProcess;
    }
}
