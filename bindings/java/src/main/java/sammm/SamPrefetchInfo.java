package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** What prefetching is at. Counts are since the context was made. */
public final class SamPrefetchInfo {
    /** Why prefetching rests. */
    public enum Pause {
        /** It does not rest. */
        NOT_PAUSED,
        /** Device memory is at the warning threshold. */
        DEVICE,
        /** Host memory is at its threshold. */
        HOST,
        /** How full memory is could not be had. */
        UNKNOWN,
        /** Its half of the embedding cache holds images that have not been used yet. */
        CACHE,
        /** A reason that is newer than these classes. */
        OTHER
    }

    private final Pause paused;
    private final long queued;
    private final long queuedBytes;
    private final boolean isRunning;
    private final long done;
    private final long skipped;
    private final long cancelled;
    private final String reason;

    SamPrefetchInfo(NativeMethods.sam_mm_prefetch_info from) {
        Pause[] pauses = Pause.values();
        paused = from.paused >= 0 && from.paused < pauses.length ? pauses[from.paused] : Pause.OTHER;
        queued = from.queued;
        queuedBytes = from.queued_bytes;
        isRunning = from.running != 0;
        done = from.done;
        skipped = from.skipped;
        cancelled = from.cancelled;
        reason = Call.text(from.reason);
    }

    /** Why it rests, though images are waiting. */
    public Pause paused() {
        return paused;
    }

    /** Images that wait. */
    public long queued() {
        return queued;
    }

    /** Bytes of their pixels. */
    public long queuedBytes() {
        return queuedBytes;
    }

    /** Whether an image is encoded now. */
    public boolean isRunning() {
        return isRunning;
    }

    /** Images that are encoded, or were already. */
    public long done() {
        return done;
    }

    /** Images that were dropped: memory was too short, or they failed. */
    public long skipped() {
        return skipped;
    }

    /** Images that were taken out, or whose model was freed. */
    public long cancelled() {
        return cancelled;
    }

    /** Why it rests, for people; empty when it does not. */
    public String reason() {
        return reason;
    }
}
