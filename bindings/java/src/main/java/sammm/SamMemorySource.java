package sammm;

/** What reports device memory. */
public enum SamMemorySource {
    /** Nothing: a CPU, no backend loaded yet, or every probe failed. */
    NONE(0),
    /** The NVIDIA Management Library. */
    NVML(1),
    /** The CUDA runtime. */
    CUDA(2),
    /** The backend. */
    BACKEND(3);

    private final int number;

    SamMemorySource(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamMemorySource of(int number) {
        for (SamMemorySource value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamMemorySource " + number + " is newer than these classes; update them");
    }
}
