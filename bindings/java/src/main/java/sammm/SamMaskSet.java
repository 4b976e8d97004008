package sammm;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import sammm.internal.Call;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/** Masks that were found in an image. May be used from many threads at once. */
public final class SamMaskSet implements AutoCloseable {
    final NativeHandle handle;
    private final NativeMethods.sam_mm_mask_set_info info = new NativeMethods.sam_mm_mask_set_info();
    private final List<SamFoundMask> masks;

    SamMaskSet(Pointer set) {
        handle = new NativeHandle("mask set", set, NativeMethods::sam_mm_mask_set_free).ownedBy(this);
        PointerByReference error = new PointerByReference();
        Call.check(NativeMethods.sam_mm_mask_set_describe(set, info, error), error);
        List<SamFoundMask> all = new ArrayList<>();
        for (int i = 0; i < info.num_masks; i++) {
            all.add(new SamFoundMask(this, i));
        }
        masks = Collections.unmodifiableList(all);
    }

    /** All masks, in the order of the official generators. */
    public List<SamFoundMask> masks() {
        return masks;
    }

    /** Columns of the image, and of the masks. */
    public int width() {
        return info.width;
    }

    /** Rows of the image, and of the masks. */
    public int height() {
        return info.height;
    }

    /** Points that were decoded. */
    public long pointCount() {
        return info.num_points;
    }

    /** Frees the set. What was taken from masks are copies and stay. */
    @Override
    public void close() {
        handle.close();
    }
}
