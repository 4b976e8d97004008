package sammm;

/** How important a line of the log is. */
public enum SamLogLevel {
    /** Something failed. */
    ERROR(1),
    /** Something is not as it should be, and work goes on. */
    WARN(2),
    /** Rare events worth knowing. */
    INFO(3),
    /** What happens inside, for finding a fault. */
    DEBUG(4);

    private final int number;

    SamLogLevel(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamLogLevel of(int number) {
        for (SamLogLevel value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamLogLevel " + number + " is newer than these classes; update them");
    }
}
