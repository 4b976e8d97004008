package sammm;

/** What kind of thing happened to memory. */
public enum SamMemoryEventKind {
    /** An environment variable was set aside for its default. */
    CONFIG_WARNING(1),
    /** Device memory crossed a threshold; the value is the share in use. */
    STATUS(2),
    /** Memory was given back. */
    OPTIMIZED(3),
    /** An operation is run in another way than the best one, which does not fit. */
    PLAN_DOWNGRADED(4),
    /** Memory ran out, and a rung of the ladder was climbed. */
    RECOVERY_RUNG(5),
    /** A retry after memory had run out succeeded. */
    RECOVERED(6),
    /** An operation that ran out of memory failed for good. */
    RECOVERY_FAILED(7),
    /** The monitor acted. */
    MONITOR(8),
    /** A source of memory figures fails, or tells less than it could. */
    PROBE_LOST(9),
    /** A source of memory figures tells them all again. */
    PROBE_BACK(10),
    /** A kind that is newer than these classes. */
    OTHER(-1);

    private final int number;

    SamMemoryEventKind(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamMemoryEventKind of(int number) {
        for (SamMemoryEventKind value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        return OTHER;
    }
}
