package sammm;

/** How full device memory is. */
public enum SamMemoryLevel {
    /** Below the warning threshold, or no GPU. */
    OK(0),
    /** From the warning threshold on. */
    WARNING(1),
    /** From the critical threshold on. */
    CRITICAL(2),
    /** There is a GPU, and nothing could tell how full it is. */
    UNKNOWN(3);

    private final int number;

    SamMemoryLevel(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamMemoryLevel of(int number) {
        for (SamMemoryLevel value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamMemoryLevel " + number + " is newer than these classes; update them");
    }
}
