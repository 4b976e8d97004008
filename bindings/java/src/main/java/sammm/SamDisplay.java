package sammm;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import sammm.internal.Borrowed;
import sammm.internal.Call;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/** An image as it is shown: pixels, and how they came from the original ones. */
public final class SamDisplay implements AutoCloseable {
    private final NativeHandle handle;
    private final NativeMethods.sam_mm_display_info info = new NativeMethods.sam_mm_display_info();

    SamDisplay(Pointer display) {
        handle = new NativeHandle("display image", display, NativeMethods::sam_mm_display_free).ownedBy(this);
        PointerByReference error = new PointerByReference();
        Call.check(NativeMethods.sam_mm_display_describe(display, info, error), error);
    }

    /** Format of the pixels. */
    public SamPixelFormat format() {
        return SamPixelFormat.of(info.format);
    }

    /** Columns of the original image. */
    public int originalWidth() {
        return info.original_width;
    }

    /** Rows of the original image. */
    public int originalHeight() {
        return info.original_height;
    }

    /** Columns of the display image. */
    public int width() {
        return info.width;
    }

    /** Rows of the display image. */
    public int height() {
        return info.height;
    }

    /** Columns of the display image per column of the original. */
    public double scaleX() {
        return info.scale_x;
    }

    /** Rows of the display image per row of the original. */
    public double scaleY() {
        return info.scale_y;
    }

    /** A copy of the pixels, rows without a gap. */
    public byte[] pixels() {
        try (NativeHandle.Use use = handle.use()) {
            return info.data.getByteArray(0, Math.toIntExact(info.data_len));
        }
    }

    /** x and y of points of the display image, such as clicks, as those of the original; brought to the edge if outside. */
    public float[] pointsToOriginal(float... points) {
        return convert(points, 2, NativeMethods::sam_mm_display_points_to_original);
    }

    /** x and y of points of the original image as those of the display image. */
    public float[] pointsToDisplay(float... points) {
        return convert(points, 2, NativeMethods::sam_mm_display_points_to_display);
    }

    /** A box of the display image as one of the original; what lies outside is cut off. */
    public SamBox toOriginal(SamBox box) {
        return SamBox.of(convert(box.edges(), 4, NativeMethods::sam_mm_display_boxes_to_original));
    }

    /** A box of the original image as one of the display image. */
    public SamBox toDisplay(SamBox box) {
        return SamBox.of(convert(box.edges(), 4, NativeMethods::sam_mm_display_boxes_to_display));
    }

    private interface Values {
        int convert(Pointer display, Pointer values, long count, Pointer converted, PointerByReference error);
    }

    private float[] convert(float[] values, int group, Values converter) {
        if (values.length % group != 0) {
            throw new IllegalArgumentException("there are " + values.length + " values, which is no multiple of " + group);
        }
        if (values.length == 0) {
            return new float[0];
        }
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use(); Borrowed memory = new Borrowed()) {
            Pointer place = memory.floats(values);
            Call.check(converter.convert(use.pointer(), place, values.length / group, place, error), error);
            return place.getFloatArray(0, values.length);
        }
    }

    /** A mask of the display image's size, one byte a pixel, as one of the original's. */
    public byte[] maskToOriginal(byte[] mask) {
        return convert(mask, originalWidth(), originalHeight(), NativeMethods::sam_mm_display_mask_to_original);
    }

    /** A mask of the original image's size, one byte a pixel, as one of the display image's. */
    public byte[] maskToDisplay(byte[] mask) {
        return convert(mask, width(), height(), NativeMethods::sam_mm_display_mask_to_display);
    }

    private interface Masks {
        int convert(Pointer display, Pointer mask, long maskLength, long maskStride, Pointer converted,
                long convertedLength, long convertedStride, PointerByReference error);
    }

    private byte[] convert(byte[] mask, int width, int height, Masks converter) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use(); Borrowed memory = new Borrowed()) {
            Memory converted = memory.allocate(Math.multiplyExact(width, height));
            int status = converter.convert(
                    use.pointer(), memory.bytes(mask), mask.length, 0, converted, (long) width * height, 0, error);
            Call.check(status, error);
            return converted.getByteArray(0, width * height);
        }
    }

    /** Frees the display image. */
    @Override
    public void close() {
        handle.close();
    }
}
