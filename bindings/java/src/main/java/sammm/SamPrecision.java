package sammm;

/** Precision of a model's weights. */
public enum SamPrecision {
    /** 32 bits. */
    FP32(0),
    /** 16 bits, IEEE 754. */
    FP16(1),
    /** 16 bits with the range of 32 (bfloat16). */
    BF16(2);

    private final int number;

    SamPrecision(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamPrecision of(int number) {
        for (SamPrecision value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamPrecision " + number + " is newer than these classes; update them");
    }
}
