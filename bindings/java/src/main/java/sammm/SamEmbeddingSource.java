package sammm;

/** Where the embedding of an image was when it was needed. */
public enum SamEmbeddingSource {
    /** None was needed: the prediction had been kept. */
    NONE(0),
    /** Nowhere: the image was encoded. */
    ENCODED(1),
    /** In the memory of the device. */
    DEVICE(2),
    /** In host memory. */
    HOST(3),
    /** On disk. */
    DISK(4);

    private final int number;

    SamEmbeddingSource(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamEmbeddingSource of(int number) {
        for (SamEmbeddingSource value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamEmbeddingSource " + number + " is newer than these classes; update them");
    }
}
