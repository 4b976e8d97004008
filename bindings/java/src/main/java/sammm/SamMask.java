package sammm;

import com.sun.jna.Memory;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;

import java.awt.geom.Path2D;
import java.awt.image.BufferedImage;
import java.awt.image.DataBufferByte;
import java.util.List;

import sammm.internal.Call;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/** One mask of a result. It needs its result, which must not be closed when it is asked. */
public final class SamMask {
    private final SamResult result;
    private final int index;

    SamMask(SamResult result, int index) {
        this.result = result;
        this.index = index;
    }

    /** Its number in the result. */
    public int index() {
        return index;
    }

    /** The object it is of. */
    public int objectIndex() {
        return index / result.masksPerObject();
    }

    /** IoU with the object that the model predicts for the mask. */
    public float score() {
        return info().score;
    }

    /** Pixels of the mask at the size of the image. */
    public long area() {
        return info().area;
    }

    /** A box around the mask; zeros for an empty one. */
    public SamBox boundingBox() {
        return SamBox.of(info().bounding_box);
    }

    /** The mask at the size of the image, row by row: 1 in the mask, 0 outside. */
    public byte[] toBytes() {
        return toBytes(1);
    }

    /** The same with another value, 1 to 255, in the mask. */
    public byte[] toBytes(int onValue) {
        byte[] bytes = new byte[Math.multiplyExact(result.width(), result.height())];
        copy(bytes, onValue);
        return bytes;
    }

    /** A gray picture: 255 in the mask, 0 outside. */
    public BufferedImage toImage() {
        BufferedImage picture = new BufferedImage(result.width(), result.height(), BufferedImage.TYPE_BYTE_GRAY);
        copy(((DataBufferByte) picture.getRaster().getDataBuffer()).getData(), 255);
        return picture;
    }

    private void copy(byte[] target, int onValue) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = result.handle.use(); Memory place = new Memory(target.length)) {
            int value = Call.notNegative(onValue, "onValue");
            int status = NativeMethods.sam_mm_result_bitmask_copy(
                    use.pointer(), index, value, place, target.length, 0, error);
            Call.check(status, error);
            place.read(0, target, 0, target.length);
        }
    }

    /** The low-resolution logits, made to be the mask input of a later prompt. */
    public float[] logits() {
        PointerByReference logits = new PointerByReference();
        LongByReference length = new LongByReference();
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = result.handle.use()) {
            Call.check(NativeMethods.sam_mm_result_logits(use.pointer(), index, logits, length, error), error);
            return logits.getValue().getFloatArray(0, Math.toIntExact(length.getValue()));
        }
    }

    /** The mask as COCO run-length encoding. */
    public SamRle toRle() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = result.handle.use()) {
            NativeMethods.sam_mm_rle rle = new NativeMethods.sam_mm_rle();
            Call.check(NativeMethods.sam_mm_result_rle(use.pointer(), index, rle, error), error);
            return new SamRle(rle);
        }
    }

    /** The outlines of the mask, following its pixels exactly. */
    public List<SamRing> toPolygons() {
        return toPolygons(0, 0, false);
    }

    /**
     * The outlines of the mask.
     *
     * @param tolerance points may be left out that lie no farther than this from the outline, in pixels
     * @param minArea rings that enclose fewer pixels are left out with all in them
     * @param diagonal whether pixels that share only a corner belong together
     */
    public List<SamRing> toPolygons(double tolerance, long minArea, boolean diagonal) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = result.handle.use()) {
            NativeMethods.sam_mm_polygon_options options = new NativeMethods.sam_mm_polygon_options();
            Call.check(NativeMethods.sam_mm_polygon_options_init(options, options.size()), null);
            options.tolerance = tolerance;
            options.min_area = Call.notNegative(minArea, "minArea");
            options.connectivity =
                    diagonal ? NativeMethods.SAM_MM_CONNECTIVITY_8 : NativeMethods.SAM_MM_CONNECTIVITY_4;
            NativeMethods.sam_mm_polygons polygons = new NativeMethods.sam_mm_polygons();
            Call.check(NativeMethods.sam_mm_result_polygons(use.pointer(), index, options, polygons, error), error);
            return SamRing.copy(polygons);
        }
    }

    /** The outlines as one shape with its holes, to be drawn or filled; even-odd. */
    public Path2D toShape() {
        Path2D shape = new Path2D.Float(Path2D.WIND_EVEN_ODD);
        for (SamRing ring : toPolygons()) {
            for (int i = 0; i < ring.size(); i++) {
                if (i == 0) {
                    shape.moveTo(ring.x(i), ring.y(i));
                } else {
                    shape.lineTo(ring.x(i), ring.y(i));
                }
            }
            shape.closePath();
        }
        return shape;
    }

    private NativeMethods.sam_mm_mask_info info() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = result.handle.use()) {
            NativeMethods.sam_mm_mask_info info = new NativeMethods.sam_mm_mask_info();
            Call.check(NativeMethods.sam_mm_result_mask_info(use.pointer(), index, info, error), error);
            return info;
        }
    }
}
