package sammm;

/** What helped when memory had run out. */
public enum SamRecoveryRung {
    /** Memory did not run out. */
    NONE(0),
    /** Caches gave memory back. */
    RELEASE_CACHES(1),
    /** The allocator gave memory back. */
    EMPTY_ALLOCATOR(2),
    /** A plan that needs less: chunked attention, or half precision. */
    LOWER_PRECISION(3),
    /** The CPU. */
    CPU(4);

    private final int number;

    SamRecoveryRung(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamRecoveryRung of(int number) {
        for (SamRecoveryRung value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamRecoveryRung " + number + " is newer than these classes; update them");
    }
}
