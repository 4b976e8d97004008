package sammm;

/** How pixels are made from others. */
public enum SamInterpolation {
    /** The source pixel under the centre of the output pixel. */
    NEAREST(0),
    /** Weighted mean of the neighbours. */
    BILINEAR(1),
    /** Mean of the source pixels that the output pixel covers. */
    AREA(2),
    /** Catmull-Rom. */
    CUBIC(3);

    private final int number;

    SamInterpolation(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamInterpolation of(int number) {
        for (SamInterpolation value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamInterpolation " + number + " is newer than these classes; update them");
    }
}
