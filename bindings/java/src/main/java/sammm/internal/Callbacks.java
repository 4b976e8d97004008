package sammm.internal;

import java.util.function.Consumer;
import java.util.function.Predicate;

/** The callbacks of a context. The library may call them as long as they are held here, so they must not be collected. */
public final class Callbacks {
    private static final ThreadLocal<Integer> DEPTH = ThreadLocal.withInitial(() -> 0);

    /** Told what handlers throw; null for nobody. */
    public volatile Consumer<Throwable> failed;

    private volatile NativeMethods.sam_mm_log_set_callback log;
    private volatile NativeMethods.sam_mm_memory_events_set_callback events;
    private volatile NativeMethods.sam_mm_progress_set_callback progress;

    /** Receives lines of the log. */
    public interface Lines {
        void line(int level, String message);
    }

    /** Whether this thread is inside a callback. */
    public static boolean isInside() {
        return DEPTH.get() > 0;
    }

    /** Runs what belongs to a callback of no handler. It must not throw. */
    static void inside(Runnable action) {
        DEPTH.set(DEPTH.get() + 1);
        try {
            action.run();
        } finally {
            DEPTH.set(DEPTH.get() - 1);
        }
    }

    /** Runs a handler so that nothing it throws gets out. */
    public void run(Runnable handler) {
        DEPTH.set(DEPTH.get() + 1);
        try {
            handler.run();
        } catch (Throwable thrown) {
            report(thrown);
        } finally {
            DEPTH.set(DEPTH.get() - 1);
        }
    }

    private void report(Throwable thrown) {
        Consumer<Throwable> listener = failed;
        if (listener != null) {
            try {
                listener.accept(thrown);
            } catch (Throwable again) {
                // Whoever is told about failures fails too: there is nobody left to tell.
            }
        }
    }

    public NativeMethods.sam_mm_log_set_callback makeLog(Lines handler) {
        return (userData, level, message) -> run(() -> handler.line(level, Call.text(message)));
    }

    public NativeMethods.sam_mm_memory_events_set_callback makeEvents(Consumer<NativeMethods.sam_mm_memory_event> handler) {
        return (userData, event) -> run(() -> handler.accept(event));
    }

    /** {@code handler} answers whether to go on. */
    public NativeMethods.sam_mm_progress_set_callback makeProgress(Predicate<NativeMethods.sam_mm_progress> handler) {
        return (userData, event) -> {
            boolean[] goOn = {true};
            run(() -> goOn[0] = handler.test(event));
            return goOn[0] ? 0 : 1;
        };
    }

    public void keepProgress(NativeMethods.sam_mm_progress_set_callback callback) {
        progress = callback;
    }

    public void dropProgress() {
        progress = null;
    }

    /** Makes and keeps the callback that a context starts with. */
    public NativeMethods.sam_mm_log_set_callback log(Lines handler) {
        log = makeLog(handler);
        return log;
    }

    public void keepLog(NativeMethods.sam_mm_log_set_callback callback) {
        log = callback;
    }

    public void dropLog() {
        log = null;
    }

    public void keepEvents(NativeMethods.sam_mm_memory_events_set_callback callback) {
        events = callback;
    }

    public void dropEvents() {
        events = null;
    }

    /** To be called when the library can call no more. */
    public void release() {
        log = null;
        events = null;
        progress = null;
    }
}
