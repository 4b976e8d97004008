package sammm;

/** A cache of the context. */
public enum SamCache {
    /** What the image encoder made, by image and model. */
    EMBEDDING(0),
    /** What the mask decoder made, by image, model and prompt. */
    PREDICTION(1),
    /** Images processed for display. */
    IMAGE(2),
    /** Image embeddings on the device; empty where it has no memory of its own. */
    EMBEDDING_DEVICE(3),
    /** Image embeddings in host memory. */
    EMBEDDING_HOST(4),
    /** Image embeddings on disk. */
    EMBEDDING_DISK(5);

    private final int number;

    SamCache(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamCache of(int number) {
        for (SamCache value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamCache " + number + " is newer than these classes; update them");
    }
}
