package sammm;

/** How the bytes of a picture are to be read. */
public enum SamPixelFormat {
    /** Three bytes a pixel: red, green, blue. */
    RGB8(0),
    /** Three bytes a pixel: blue, green, red ({@code BufferedImage.TYPE_3BYTE_BGR}). */
    BGR8(1),
    /** Four bytes a pixel: red, green, blue, alpha. Alpha is ignored. */
    RGBA8(2),
    /** Four bytes a pixel: blue, green, red, alpha. Alpha is ignored. */
    BGRA8(3),
    /** One byte a pixel. */
    GRAY8(4);

    private final int number;

    SamPixelFormat(int number) {
        this.number = number;
    }

    int number() {
        return number;
    }

    static SamPixelFormat of(int number) {
        for (SamPixelFormat value : values()) {
            if (value.number == number) {
                return value;
            }
        }
        throw new IllegalStateException("SamPixelFormat " + number + " is newer than these classes; update them");
    }
}
