package sammm;

/** How recoveries from running out of memory went lately. */
public enum SamMemoryHealth {
    /** Recoveries, if any, mostly succeed. */
    HEALTHY(0),
    /** At least one in ten of the last ten failed. */
    MONITORING(1),
    /** At least three in ten failed. */
    DEGRADED(2),
    /** At least six in ten failed. */
    CRITICAL(3);

    private final int number;

    SamMemoryHealth(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamMemoryHealth of(int number) {
        for (SamMemoryHealth value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamMemoryHealth " + number + " is newer than these classes; update them");
    }
}
