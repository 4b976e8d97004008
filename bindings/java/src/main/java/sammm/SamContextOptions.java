package sammm;

import sammm.internal.Borrowed;
import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** How a context is set up. What is not set has the default of the library. */
public final class SamContextOptions {
    private String device;
    private Integer threads;
    private String backendPath;
    private Boolean allowTf32;
    private Long embeddingCacheBytes;
    private Long predictionCacheBytes;
    private Integer predictionCacheEntries;
    private Long imageCacheBytes;
    private Long imageCacheEntries;
    private SamMemoryOptions memory;
    SamLogHandler logHandler;
    SamLogLevel logLevel = SamLogLevel.WARN;

    /** {@code "cpu"}, {@code "cuda:0"}, or {@code "auto"} (default): the first usable GPU, else the CPU. */
    public SamContextOptions device(String device) {
        this.device = device;
        return this;
    }

    /** Threads for work on the CPU; 0 (default) leaves the choice to the backend. Shared by the process. */
    public SamContextOptions threads(int threads) {
        this.threads = threads;
        return this;
    }

    /** File of the backend plugin; by default one is searched for. */
    public SamContextOptions backendPath(String backendPath) {
        this.backendPath = backendPath;
        return this;
    }

    /** Whether GPUs that have TF32 may use it for matrix products; default true. */
    public SamContextOptions allowTf32(boolean allowTf32) {
        this.allowTf32 = allowTf32;
        return this;
    }

    /** Most bytes of image embeddings kept; default 1 GiB. */
    public SamContextOptions embeddingCacheBytes(long embeddingCacheBytes) {
        this.embeddingCacheBytes = embeddingCacheBytes;
        return this;
    }

    /** Most bytes of predictions kept; default 64 MiB. */
    public SamContextOptions predictionCacheBytes(long predictionCacheBytes) {
        this.predictionCacheBytes = predictionCacheBytes;
        return this;
    }

    /** Most predictions kept; default 50. 0 keeps none. */
    public SamContextOptions predictionCacheEntries(int predictionCacheEntries) {
        this.predictionCacheEntries = predictionCacheEntries;
        return this;
    }

    /** Most bytes of images processed for display that are kept; default 256 MiB. */
    public SamContextOptions imageCacheBytes(long imageCacheBytes) {
        this.imageCacheBytes = imageCacheBytes;
        return this;
    }

    /** Most of them that are kept; default 10. 0 keeps none. */
    public SamContextOptions imageCacheEntries(long imageCacheEntries) {
        this.imageCacheEntries = imageCacheEntries;
        return this;
    }

    /** Budget, thresholds and monitor. */
    public SamContextOptions memory(SamMemoryOptions memory) {
        this.memory = memory;
        return this;
    }

    /**
     * Receives the log from the first line on, on any thread, several lines at once. What it throws goes to
     * {@link SamContext#onCallbackFailure}.
     */
    public SamContextOptions log(SamLogLevel level, SamLogHandler handler) {
        logLevel = level;
        logHandler = handler;
        return this;
    }

    NativeMethods.sam_mm_options toNative(Borrowed borrowed) {
        NativeMethods.sam_mm_options options = new NativeMethods.sam_mm_options();
        Call.check(NativeMethods.sam_mm_options_init(options, options.size()), null);
        if (device != null) {
            options.device = borrowed.text(device);
        }
        if (threads != null) {
            options.num_threads = Call.notNegative(threads, "threads");
        }
        if (backendPath != null) {
            options.backend_path = borrowed.text(backendPath);
        }
        if (allowTf32 != null) {
            options.allow_tf32 = allowTf32 ? 1 : 0;
        }
        if (embeddingCacheBytes != null) {
            options.embedding_cache_bytes = Call.notNegative(embeddingCacheBytes, "embeddingCacheBytes");
        }
        if (predictionCacheBytes != null) {
            options.prediction_cache_bytes = Call.notNegative(predictionCacheBytes, "predictionCacheBytes");
        }
        if (predictionCacheEntries != null) {
            options.prediction_cache_entries = Call.notNegative(predictionCacheEntries, "predictionCacheEntries");
        }
        if (imageCacheBytes != null) {
            options.image_cache_bytes = Call.notNegative(imageCacheBytes, "imageCacheBytes");
        }
        if (imageCacheEntries != null) {
            options.image_cache_entries = Call.notNegative(imageCacheEntries, "imageCacheEntries");
        }
        if (memory != null) {
            NativeMethods.sam_mm_memory_options given = memory.toNative(borrowed);
            given.write();
            options.memory = borrowed.bytes(given.getPointer().getByteArray(0, given.size()));
        }
        options.log_level = logLevel.number();
        return options;
    }
}
