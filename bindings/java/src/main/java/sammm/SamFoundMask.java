package sammm;

import com.sun.jna.Memory;
import com.sun.jna.ptr.PointerByReference;

import java.util.List;

import sammm.internal.Call;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/** One mask of a set, which must not be closed when it is asked. */
public final class SamFoundMask {
    private final SamMaskSet set;
    private final int index;

    SamFoundMask(SamMaskSet set, int index) {
        this.set = set;
        this.index = index;
    }

    /** Its number in the set. */
    public int index() {
        return index;
    }

    /** Pixels of the mask. */
    public long area() {
        return info().area;
    }

    /** IoU with the object that the model predicts for the mask. */
    public float predictedIou() {
        return info().predicted_iou;
    }

    /** How little the mask changes with the threshold of its logits, 0 to 1. */
    public float stabilityScore() {
        return info().stability_score;
    }

    /** A box around the mask; zeros for an empty one. */
    public SamBox boundingBox() {
        return SamBox.of(info().bounding_box);
    }

    /** The mask at the size of the image, row by row: 1 in the mask, 0 outside. */
    public byte[] toBytes() {
        byte[] bytes = new byte[Math.multiplyExact(set.width(), set.height())];
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = set.handle.use(); Memory place = new Memory(bytes.length)) {
            int status =
                    NativeMethods.sam_mm_mask_set_bitmask_copy(use.pointer(), index, 1, place, bytes.length, 0, error);
            Call.check(status, error);
            place.read(0, bytes, 0, bytes.length);
        }
        return bytes;
    }

    /** The mask as COCO run-length encoding. */
    public SamRle toRle() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = set.handle.use()) {
            NativeMethods.sam_mm_rle rle = new NativeMethods.sam_mm_rle();
            Call.check(NativeMethods.sam_mm_mask_set_rle(use.pointer(), index, rle, error), error);
            return new SamRle(rle);
        }
    }

    /** The outlines of the mask; as {@link SamMask#toPolygons(double, long, boolean)}. */
    public List<SamRing> toPolygons(double tolerance, long minArea, boolean diagonal) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = set.handle.use()) {
            NativeMethods.sam_mm_polygons polygons = new NativeMethods.sam_mm_polygons();
            int status = NativeMethods.sam_mm_mask_set_polygons(
                    use.pointer(), index, SamRing.options(tolerance, minArea, diagonal), polygons, error);
            Call.check(status, error);
            return SamRing.copy(polygons);
        }
    }

    private NativeMethods.sam_mm_found_mask_info info() {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = set.handle.use()) {
            NativeMethods.sam_mm_found_mask_info info = new NativeMethods.sam_mm_found_mask_info();
            Call.check(NativeMethods.sam_mm_mask_set_mask_info(use.pointer(), index, info, error), error);
            return info;
        }
    }
}
