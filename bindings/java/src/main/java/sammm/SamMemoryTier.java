package sammm;

/** Where something could be kept. */
public enum SamMemoryTier {
    /** Memory of the device. */
    DEVICE(0),
    /** Memory of the host. */
    HOST(1);

    private final int number;

    SamMemoryTier(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamMemoryTier of(int number) {
        for (SamMemoryTier value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamMemoryTier " + number + " is newer than these classes; update them");
    }
}
