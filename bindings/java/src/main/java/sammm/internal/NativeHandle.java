package sammm.internal;

import com.sun.jna.Pointer;

import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.Collections;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * A handle of the library. A call holds it from its first to its last instruction, so one that is closed on another thread, or
 * whose owner becomes garbage meanwhile, is freed when the call has ended.
 */
public final class NativeHandle {
    private final String what;
    private final Consumer<Pointer> free;
    private Pointer value;
    private int users;
    private boolean closed;

    public NativeHandle(String what, Pointer value, Consumer<Pointer> free) {
        this.what = what;
        this.value = value;
        this.free = free;
    }

    /** Holds the handle until the answer is closed; refuses when it was closed itself. */
    public synchronized Use use() {
        if (closed) {
            throw new IllegalStateException("the " + what + " was closed");
        }
        users++;
        return new Use(value);
    }

    /** Frees the handle, at once or when the last call has ended. Again: nothing. */
    public void close() {
        Pointer freed;
        synchronized (this) {
            closed = true;
            freed = take();
        }
        release(freed);
    }

    public synchronized boolean isClosed() {
        return closed;
    }

    private Pointer take() {
        if (!closed || users > 0) {
            return null;
        }
        Pointer taken = value;
        value = null;
        return taken;
    }

    private void release(Pointer freed) {
        if (freed != null) {
            free.accept(freed);
        }
    }

    /** A handle that is held for a call. */
    public final class Use implements AutoCloseable {
        private final Pointer held;
        private boolean ended;

        private Use(Pointer held) {
            this.held = held;
        }

        public Pointer pointer() {
            return held;
        }

        @Override
        public void close() {
            Pointer freed;
            synchronized (NativeHandle.this) {
                if (ended) {
                    return;
                }
                ended = true;
                users--;
                freed = take();
            }
            release(freed);
        }
    }

    // What was forgotten to be closed is freed some time after it became garbage.

    private static final ReferenceQueue<Object> GARBAGE = new ReferenceQueue<>();
    private static final Set<Forgotten> WATCHED = Collections.newSetFromMap(new ConcurrentHashMap<>());

    static {
        Thread reaper = new Thread(NativeHandle::reap, "sam-mm reaper");
        reaper.setDaemon(true);
        reaper.start();
    }

    private static final class Forgotten extends PhantomReference<Object> {
        private final NativeHandle handle;

        private Forgotten(Object owner, NativeHandle handle) {
            super(owner, GARBAGE);
            this.handle = handle;
        }
    }

    /** From now on the handle is closed when its owner is collected. The handle must not refer to the owner. */
    public NativeHandle ownedBy(Object owner) {
        WATCHED.add(new Forgotten(owner, this));
        return this;
    }

    private static void reap() {
        while (true) {
            try {
                Forgotten forgotten = (Forgotten) GARBAGE.remove();
                WATCHED.remove(forgotten);
                forgotten.handle.close();
            } catch (InterruptedException ignored) {
                // Nobody has reason to interrupt this thread, and handles go on being forgotten.
            } catch (RuntimeException | Error failure) {
                // One handle that cannot be freed must not keep the others.
            }
        }
    }
}
