package sammm;

/** A cache of the context. */
public enum SamCache {
    /** What the image encoder made, by image and model. */
    EMBEDDING(0),
    /** What the mask decoder made, by image, model and prompt. */
    PREDICTION(1),
    /** Images processed for display. */
    IMAGE(2);

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
