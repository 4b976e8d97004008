package sammm;

/** What is being done. */
public enum SamStage {
    /** It waits for a thread, or for its turn with the model. */
    WAITING(0),
    /** A backend or a model is loaded. */
    LOADING(1),
    /** The pixels are read. */
    READING(2),
    /** The image encoder runs. */
    ENCODING(3),
    /** The mask decoder runs. */
    DECODING(4),
    /** The image is brought to display size. */
    PROCESSING(5),
    /** It has ended. */
    ENDED(6),
    /** A stage that is newer than these classes. */
    OTHER(-1);

    private final int number;

    SamStage(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamStage of(int number) {
        for (SamStage value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        return OTHER;
    }
}
