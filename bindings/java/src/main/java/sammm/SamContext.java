package sammm;

import com.sun.jna.CallbackReference;
import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.IntByReference;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;

import java.awt.image.BufferedImage;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Predicate;

import sammm.internal.Borrowed;
import sammm.internal.Call;
import sammm.internal.Callbacks;
import sammm.internal.Jobs;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/**
 * One memory manager with its caches and models. May be used from many threads at once. Models, images and results made from
 * it stay usable after it is closed, until they are closed themselves.
 */
public final class SamContext implements AutoCloseable {
    final NativeHandle handle;
    final Callbacks callbacks = new Callbacks();

    /** Makes a context with default options. */
    public SamContext() {
        this(new SamContextOptions());
    }

    /** Makes a context. No backend is loaded and no device touched before the first call that needs one. */
    public SamContext(SamContextOptions options) {
        SamLibrary.checkAbi();
        PointerByReference context = new PointerByReference();
        PointerByReference error = new PointerByReference();
        try (Borrowed memory = new Borrowed()) {
            NativeMethods.sam_mm_options given = options.toNative(memory);
            if (options.logHandler != null) {
                given.log_callback = CallbackReference.getFunctionPointer(callbacks.log(told(options.logHandler)));
            }
            Call.check(NativeMethods.sam_mm_init(given, context, error), error);
        }
        Callbacks kept = callbacks;
        handle = new NativeHandle("context", context.getValue(), value -> {
            NativeMethods.sam_mm_destroy(value);
            kept.release();
        }).ownedBy(this);
    }

    private static Callbacks.Lines told(SamLogHandler handler) {
        return (level, message) -> handler.line(SamLogLevel.of(level), message);
    }

    /**
     * Says who is told what a handler of the log, of events or of progress threw; null for nobody. Handlers run in the middle of
     * native code, so what they throw goes no further.
     */
    public void onCallbackFailure(Consumer<Throwable> listener) {
        callbacks.failed = listener;
    }

    /**
     * Replaces the handler of the log; null removes it. When this returns, the former handler is not running any more. Refused
     * from inside a handler.
     */
    public void setLogHandler(SamLogLevel level, SamLogHandler handler) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            if (handler == null) {
                Call.check(NativeMethods.sam_mm_log_set(use.pointer(), null, null, 0, error), error);
                callbacks.dropLog();
                return;
            }
            NativeMethods.sam_mm_log_set_callback made = callbacks.makeLog(told(handler));
            Call.check(NativeMethods.sam_mm_log_set(use.pointer(), made, null, level.number(), error), error);
            // Only now does nobody call the former one.
            callbacks.keepLog(made);
        }
    }

    /**
     * Replaces the handler of memory events; null removes it. When this returns, the former handler is not running any more.
     * Refused from inside a handler. {@link #takeMemoryEvent} gives the same events without a handler.
     */
    public void setMemoryEventHandler(Consumer<SamMemoryEvent> handler) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            if (handler == null) {
                Call.check(NativeMethods.sam_mm_memory_events_set(use.pointer(), null, null, error), error);
                callbacks.dropEvents();
                return;
            }
            NativeMethods.sam_mm_memory_events_set_callback made =
                    callbacks.makeEvents(event -> handler.accept(new SamMemoryEvent(event)));
            Call.check(NativeMethods.sam_mm_memory_events_set(use.pointer(), made, null, error), error);
            callbacks.keepEvents(made);
        }
    }

    /**
     * Replaces the handler of the progress of everything; null removes it. It answers whether to go on: false cancels what the
     * progress is about. When this returns, the former handler is not running any more. Refused from inside a
     * handler.
     */
    public void setProgressHandler(Predicate<SamProgress> handler) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            if (handler == null) {
                Call.check(NativeMethods.sam_mm_progress_set(use.pointer(), null, null, error), error);
                callbacks.dropProgress();
                return;
            }
            NativeMethods.sam_mm_progress_set_callback made =
                    callbacks.makeProgress(event -> handler.test(new SamProgress(event)));
            Call.check(NativeMethods.sam_mm_progress_set(use.pointer(), made, null, error), error);
            callbacks.keepProgress(made);
        }
    }

    /**
     * Loads a checkpoint file on a thread of the library. Cancelling the future stops the work as soon as that is possible, and
     * nothing is kept. Wrong arguments throw at once. Allowed inside a handler.
     */
    public CompletableFuture<SamModel> loadModelAsync(Path checkpoint, SamPrecision precision) {
        return loadAsync(checkpoint.toString(), precision);
    }

    /** Loads the demo model on a thread of the library. */
    public CompletableFuture<SamModel> loadDemoModelAsync() {
        return loadAsync(null, SamPrecision.FP32);
    }

    private CompletableFuture<SamModel> loadAsync(String path, SamPrecision precision) {
        try (NativeHandle.Use use = handle.use(); Borrowed memory = new Borrowed()) {
            NativeMethods.sam_mm_model_options options = modelOptions(memory, path, null, precision);
            return Jobs.start(this,
                    (how, job, error) ->
                            NativeMethods.sam_mm_job_submit_model_load(use.pointer(), options, how, job, error),
                    ended -> {
                        PointerByReference model = new PointerByReference();
                        PointerByReference error = new PointerByReference();
                        Call.check(NativeMethods.sam_mm_job_take_model(ended, model, error), error);
                        return new SamModel(this, model.getValue());
                    });
        }
    }

    /** Loads the demo model that is built in, which knows drawn scenes, not photographs. Refused from inside a handler. */
    public SamModel loadDemoModel() {
        return loadDemoModel(SamPrecision.FP32);
    }

    /** Loads the demo model in a precision. */
    public SamModel loadDemoModel(SamPrecision precision) {
        return load(null, null, precision);
    }

    /**
     * Loads a checkpoint file: an official {@code .pth} or {@code .pt} as it is, a fine-tune in the same layout, or
     * {@code .safetensors}. Refused from inside a handler.
     */
    public SamModel loadModel(Path checkpoint) {
        return loadModel(checkpoint, SamPrecision.FP32);
    }

    /** Loads a checkpoint file in a precision. */
    public SamModel loadModel(Path checkpoint, SamPrecision precision) {
        return load(checkpoint.toString(), null, precision);
    }

    /** Loads a model from the bytes of a checkpoint file. */
    public SamModel loadModel(byte[] checkpoint, SamPrecision precision) {
        if (checkpoint.length == 0) {
            throw new IllegalArgumentException("the checkpoint holds no bytes");
        }
        return load(null, checkpoint, precision);
    }

    private SamModel load(String path, byte[] checkpoint, SamPrecision precision) {
        PointerByReference model = new PointerByReference();
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use(); Borrowed memory = new Borrowed()) {
            NativeMethods.sam_mm_model_options options = modelOptions(memory, path, checkpoint, precision);
            Call.check(NativeMethods.sam_mm_model_load(use.pointer(), options, model, error), error);
        }
        return new SamModel(this, model.getValue());
    }

    static NativeMethods.sam_mm_model_options modelOptions(
            Borrowed memory, String path, byte[] checkpoint, SamPrecision precision) {
        NativeMethods.sam_mm_model_options options = new NativeMethods.sam_mm_model_options();
        Call.check(NativeMethods.sam_mm_model_options_init(options, options.size()), null);
        options.precision = precision.number();
        options.path = memory.text(path);
        options.data = memory.bytes(checkpoint);
        options.data_len = checkpoint == null ? 0 : checkpoint.length;
        return options;
    }

    /** Makes an image of a picture of any type, which is copied. Transparency is ignored. */
    public SamImage createImage(BufferedImage picture) {
        Pixels pixels = Pixels.of(picture);
        return createImage(pixels.buffer, picture.getWidth(), picture.getHeight(), pixels.format, pixels.rowStride, null);
    }

    /** Makes an image of pixels, rows from the top without a gap; they are copied. */
    public SamImage createImage(byte[] pixels, int width, int height, SamPixelFormat format) {
        return createImage(ByteBuffer.wrap(pixels), width, height, format, 0, null);
    }

    /**
     * Makes an image of the bytes that remain in a buffer, which are copied; a direct one is read where it is.
     *
     * @param rowStride bytes from one row to the next; 0 when they follow without a gap
     * @param contentId what tells this picture from others, such as the text of a path with a time; null: the MD5 of the pixels
     */
    public SamImage createImage(
            ByteBuffer pixels, int width, int height, SamPixelFormat format, int rowStride, byte[] contentId) {
        PointerByReference image = new PointerByReference();
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use(); Borrowed memory = new Borrowed()) {
            NativeMethods.sam_mm_image_desc desc = new NativeMethods.sam_mm_image_desc();
            Call.check(NativeMethods.sam_mm_image_desc_init(desc, desc.size()), null);
            desc.format = format.number();
            desc.width = Call.notNegative(width, "width");
            desc.height = Call.notNegative(height, "height");
            desc.row_stride = Call.notNegative(rowStride, "rowStride");
            desc.data = memory.buffer(pixels);
            desc.data_len = pixels.remaining();
            desc.content_id = memory.bytes(contentId);
            desc.content_id_len = contentId == null ? 0 : contentId.length;
            Call.check(NativeMethods.sam_mm_image_create(use.pointer(), desc, image, error), error);
        }
        return new SamImage(this, image.getValue(), width, height);
    }

    /** Which backend and device the context runs on; loads the backend if that has not happened yet. */
    public SamBackendInfo describeBackend() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            NativeMethods.sam_mm_backend_info info = new NativeMethods.sam_mm_backend_info();
            Call.check(NativeMethods.sam_mm_backend_describe(use.pointer(), info, error), error);
            return new SamBackendInfo(info);
        }
    }

    /** What a cache holds and how well it serves. */
    public SamCacheInfo describeCache(SamCache cache) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            NativeMethods.sam_mm_cache_info info = new NativeMethods.sam_mm_cache_info();
            Call.check(NativeMethods.sam_mm_cache_describe(use.pointer(), cache.number(), info, error), error);
            return new SamCacheInfo(info);
        }
    }

    /** Drops everything that a cache holds, and gives the bytes that were given back at once. */
    public long clearCache(SamCache cache) {
        PointerByReference error = new PointerByReference();
        LongByReference freed = new LongByReference();
        try (NativeHandle.Use use = handle.use()) {
            Call.check(NativeMethods.sam_mm_cache_clear(use.pointer(), cache.number(), freed, error), error);
            return freed.getValue();
        }
    }

    /** What is known about memory. Needs no backend and loads none. */
    public SamMemoryInfo memoryInfo() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            NativeMethods.sam_mm_memory_info info = new NativeMethods.sam_mm_memory_info();
            Call.check(NativeMethods.sam_mem_info(use.pointer(), info, error), error);
            return new SamMemoryInfo(info);
        }
    }

    /** Holds device memory against the thresholds. */
    public SamMemoryStatus checkMemory() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            NativeMethods.sam_mm_memory_status status = new NativeMethods.sam_mm_memory_status();
            Call.check(NativeMethods.sam_mm_memory_check(use.pointer(), status, error), error);
            return new SamMemoryStatus(status);
        }
    }

    /** Whether a cache may keep something more. A figure that is not known counts as no. */
    public boolean shouldCache(SamMemoryTier tier) {
        PointerByReference error = new PointerByReference();
        IntByReference may = new IntByReference();
        try (NativeHandle.Use use = handle.use()) {
            Call.check(NativeMethods.sam_mm_memory_should_cache(use.pointer(), tier.number(), may, error), error);
            return may.getValue() != 0;
        }
    }

    /** Gives memory back: what is short, or with {@code force} all that can be had. What is dropped is made again when needed. */
    public SamOptimizeReport optimize(boolean force) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            NativeMethods.sam_mm_optimize_report report = new NativeMethods.sam_mm_optimize_report();
            Call.check(NativeMethods.sam_optimize(use.pointer(), force ? 1 : 0, report, error), error);
            return new SamOptimizeReport(report);
        }
    }

    /** What was counted since the context was made. */
    public SamMemoryReport memoryReport() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            NativeMethods.sam_mm_memory_report report = new NativeMethods.sam_mm_memory_report();
            Call.check(NativeMethods.sam_mm_memory_describe(use.pointer(), report, error), error);
            return new SamMemoryReport(report);
        }
    }

    /** Everything that is known about memory, as JSON. */
    public String memoryReportJson() {
        PointerByReference error = new PointerByReference();
        LongByReference required = new LongByReference();
        try (NativeHandle.Use use = handle.use()) {
            Pointer context = use.pointer();
            Call.check(NativeMethods.sam_mm_memory_report_json(context, null, 0, required, error), error);
            while (true) {
                long capacity = required.getValue();
                try (Memory buffer = new Memory(capacity)) {
                    int status = NativeMethods.sam_mm_memory_report_json(context, buffer, capacity, required, error);
                    Call.check(status, error);
                    if (required.getValue() <= capacity) {
                        byte[] text = buffer.getByteArray(0, (int) required.getValue() - 1);
                        return new String(text, StandardCharsets.UTF_8);
                    }
                }
            }
        }
    }

    /** Takes the oldest memory event that nobody has taken yet, if there is one; the last 256 are kept. */
    public Optional<SamMemoryEvent> takeMemoryEvent() {
        PointerByReference error = new PointerByReference();
        IntByReference has = new IntByReference();
        try (NativeHandle.Use use = handle.use()) {
            NativeMethods.sam_mm_memory_event event = new NativeMethods.sam_mm_memory_event();
            Call.check(NativeMethods.sam_mm_memory_event_poll(use.pointer(), event, has, error), error);
            return has.getValue() == 0 ? Optional.empty() : Optional.of(new SamMemoryEvent(event));
        }
    }

    /**
     * Destroys the context once calls that run on other threads have ended. When this returns on a context that nobody uses, no
     * handler runs or will run. Inside a handler it is done by another thread.
     */
    @Override
    public void close() {
        if (Callbacks.isInside()) {
            // The library waits for handlers that run, and this one would wait for itself.
            new Thread(handle::close, "sam-mm close").start();
        } else {
            handle.close();
        }
    }
}
