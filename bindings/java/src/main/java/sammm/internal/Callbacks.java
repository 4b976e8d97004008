package sammm.internal;

import java.util.function.Consumer;

/** The callbacks of a context. The library may call them as long as they are held here, so they must not be collected. */
public final class Callbacks {
    private static final ThreadLocal<Integer> DEPTH = ThreadLocal.withInitial(() -> 0);

    /** Told what handlers throw; null for nobody. */
    public volatile Consumer<Throwable> failed;

    private volatile NativeMethods.sam_mm_log_set_callback log;
    private volatile NativeMethods.sam_mm_memory_events_set_callback events;

    /** Receives lines of the log. */
    public interface Lines {
        void line(int level, String message);
    }

    /** Whether this thread is inside a callback. */
    public static boolean isInside() {
        return DEPTH.get() > 0;
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
    }
}
