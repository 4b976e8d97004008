package sammm.internal;

import com.sun.jna.CallbackReference;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;

import sammm.SamMmException;
import sammm.SamStatus;

/**
 * Jobs of the library as futures. The library calls back exactly once for every job that it has accepted, also when the context
 * is destroyed before; until then the job is held here.
 */
public final class Jobs {
    private static final AtomicLong NUMBERS = new AtomicLong();
    private static final Map<Long, Pending<?>> PENDING = new ConcurrentHashMap<>();
    private static final NativeMethods.sam_mm_job_set_callback_callback ENDED = Jobs::onEnded;
    private static final Pointer ENDED_FUNCTION = CallbackReference.getFunctionPointer(ENDED);

    private Jobs() {}

    /** Hands a call to the library. */
    public interface Submitter {
        int submit(NativeMethods.sam_mm_job_options options, PointerByReference job, PointerByReference error);
    }

    /** Submits a job; what the library refuses at once is thrown here. {@code kept} is not collected while the job runs. */
    public static <T> CompletableFuture<T> start(Object kept, Submitter submitter, Function<Pointer, T> take) {
        long number = NUMBERS.incrementAndGet();
        Pending<T> pending = new Pending<>(kept, take);
        PENDING.put(number, pending);
        PointerByReference job = new PointerByReference();
        PointerByReference error = new PointerByReference();
        int status;
        try {
            NativeMethods.sam_mm_job_options options = new NativeMethods.sam_mm_job_options();
            Call.check(NativeMethods.sam_mm_job_options_init(options, options.size()), null);
            options.callback = ENDED_FUNCTION;
            // No address: the library only hands it back.
            options.user_data = new Pointer(number);
            status = submitter.submit(options, job, error);
        } catch (RuntimeException | Error failure) {
            PENDING.remove(number);
            throw failure;
        }
        if (status != NativeMethods.SAM_MM_OK) {
            PENDING.remove(number);
            Call.check(status, error);
        }
        pending.future.job = job.getValue();
        return pending.future;
    }

    private static void onEnded(Pointer userData, Pointer job) {
        Pending<?> pending = PENDING.remove(Pointer.nativeValue(userData));
        Callbacks.inside(() -> {
            if (pending != null) {
                pending.finish(job);
            }
            NativeMethods.sam_mm_job_free(job);
        });
    }

    private static final class Pending<T> {
        private final Object kept;
        private final Function<Pointer, T> take;
        private final JobFuture<T> future = new JobFuture<>();

        private Pending(Object kept, Function<Pointer, T> take) {
            this.kept = kept;
            this.take = take;
        }

        private void finish(Pointer job) {
            try {
                future.end(take.apply(job), null);
            } catch (SamMmException failure) {
                future.end(null, failure);
            } catch (Throwable failure) {
                future.end(null, failure);
            }
        }

        @Override
        public String toString() {
            return "a job of " + kept;
        }
    }

    /** A future whose cancelling cancels the job. */
    private static final class JobFuture<T> extends CompletableFuture<T> {
        /** The key of the job; null until it is known. */
        private volatile Pointer job;

        @Override
        public boolean cancel(boolean mayInterrupt) {
            boolean cancelled = super.cancel(mayInterrupt);
            Pointer key = job;
            if (cancelled && key != null) {
                // A key that has been freed meanwhile is refused by the library, and nothing happens.
                NativeMethods.sam_mm_job_cancel(key, null);
            }
            return cancelled;
        }

        /** Ends on another thread: this one is in a callback, where what depends on the future may not call everything. */
        private void end(T made, Throwable failure) {
            boolean isCancelled = failure instanceof SamMmException
                    && ((SamMmException) failure).code() == SamStatus.CANCELLED;
            EXECUTOR.execute(() -> {
                boolean taken;
                if (isCancelled) {
                    taken = super.cancel(false);
                } else if (failure != null) {
                    taken = completeExceptionally(failure);
                } else {
                    taken = complete(made);
                }
                if (!taken && made instanceof AutoCloseable) {
                    closeQuietly((AutoCloseable) made);
                }
            });
        }
    }

    // The common pool may have no thread on a machine of one core; then it makes one for each task.
    private static final Executor EXECUTOR =
            ForkJoinPool.getCommonPoolParallelism() > 1 ? ForkJoinPool.commonPool() : task -> new Thread(task, "sam-mm").start();

    private static void closeQuietly(AutoCloseable unwanted) {
        try {
            unwanted.close();
        } catch (Exception ignored) {
            // Nobody wants it any more.
        }
    }
}
