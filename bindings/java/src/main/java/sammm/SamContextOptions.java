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
    private Long embeddingCacheEntries;
    private Long embeddingHostBytes;
    private String embeddingDiskFolder;
    private Long embeddingDiskBytes;
    private Long embeddingDiskEntries;
    private Boolean embeddingCompress;
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

    /** Most image embeddings kept on the device, and in host memory each; by default their bytes alone count. */
    public SamContextOptions embeddingCacheEntries(long embeddingCacheEntries) {
        this.embeddingCacheEntries = embeddingCacheEntries;
        return this;
    }

    /** Most bytes of embeddings kept in host memory of those that left the device; default 1 GiB. */
    public SamContextOptions embeddingHostBytes(long embeddingHostBytes) {
        this.embeddingHostBytes = embeddingHostBytes;
        return this;
    }

    /** Folder in which embeddings are kept for later sessions; by default none. May be shared. */
    public SamContextOptions embeddingDiskFolder(String embeddingDiskFolder) {
        this.embeddingDiskFolder = embeddingDiskFolder;
        return this;
    }

    /** Most bytes of files in it; default 8 GiB. */
    public SamContextOptions embeddingDiskBytes(long embeddingDiskBytes) {
        this.embeddingDiskBytes = embeddingDiskBytes;
        return this;
    }

    /** Most files in it; default 100000. */
    public SamContextOptions embeddingDiskEntries(long embeddingDiskEntries) {
        this.embeddingDiskEntries = embeddingDiskEntries;
        return this;
    }

    /** Whether embeddings are kept in half precision beside the device, in half the bytes; default false. */
    public SamContextOptions embeddingCompress(boolean embeddingCompress) {
        this.embeddingCompress = embeddingCompress;
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
        if (embeddingCacheEntries != null) {
            options.embedding_cache_entries = Call.notNegative(embeddingCacheEntries, "embeddingCacheEntries");
        }
        if (embeddingHostBytes != null) {
            options.embedding_host_bytes = Call.notNegative(embeddingHostBytes, "embeddingHostBytes");
        }
        if (embeddingDiskFolder != null) {
            options.embedding_disk_folder = borrowed.text(embeddingDiskFolder);
        }
        if (embeddingDiskBytes != null) {
            options.embedding_disk_bytes = Call.notNegative(embeddingDiskBytes, "embeddingDiskBytes");
        }
        if (embeddingDiskEntries != null) {
            options.embedding_disk_entries = Call.notNegative(embeddingDiskEntries, "embeddingDiskEntries");
        }
        if (embeddingCompress != null) {
            options.embedding_compress = embeddingCompress ? 1 : 0;
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
