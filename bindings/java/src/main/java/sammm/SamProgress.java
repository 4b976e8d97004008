package sammm;

import sammm.internal.NativeMethods;

/** How far something is. */
public final class SamProgress {
    /** Whose progress it is. */
    public enum Source {
        /** Of a call that somebody waits in. */
        CALL,
        /** Of a future. */
        JOB,
        /** Of prefetching; the done part of the queue. */
        PREFETCH,
        /** A source that is newer than these classes. */
        OTHER
    }

    private final Source source;
    private final long number;
    private final long atMs;
    private final long id;
    private final double done;
    private final SamStage stage;
    private final SamStatus status;

    SamProgress(NativeMethods.sam_mm_progress from) {
        Source[] sources = Source.values();
        source = from.source >= 0 && from.source < sources.length ? sources[from.source] : Source.OTHER;
        number = from.number;
        atMs = from.at_ms;
        id = from.id;
        done = from.progress;
        stage = SamStage.of(from.stage);
        status = SamStatus.of(from.status);
    }

    /** Whose it is. */
    public Source source() {
        return source;
    }

    /** Its number, from 0 in each context. */
    public long number() {
        return number;
    }

    /** Milliseconds since the context was made. */
    public long atMs() {
        return atMs;
    }

    /** Number of the job; else 0. */
    public long id() {
        return id;
    }

    /** The done part of all, 0 to 1; within a stage an estimate. */
    public double done() {
        return done;
    }

    /** What is being done. */
    public SamStage stage() {
        return stage;
    }

    /** How it ended; until then {@link SamStatus#OK}. */
    public SamStatus status() {
        return status;
    }
}
