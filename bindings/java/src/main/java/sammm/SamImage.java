package sammm;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import sammm.internal.Call;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/** An image, held as a copy of its pixels. May be used from many threads at once. */
public final class SamImage implements AutoCloseable {
    final NativeHandle handle;
    private final SamContext context;
    private final int width;
    private final int height;

    SamImage(SamContext context, Pointer image, int width, int height) {
        this.context = context;
        this.width = width;
        this.height = height;
        handle = new NativeHandle("image", image, NativeMethods::sam_mm_image_free).ownedBy(this);
    }

    /** The context it was made with. */
    public SamContext context() {
        return context;
    }

    /** Columns. */
    public int width() {
        return width;
    }

    /** Rows. */
    public int height() {
        return height;
    }

    /** Brings the image to display size; quick when it was processed alike before and is still kept. */
    public SamDisplay process(SamDisplayOptions options) {
        PointerByReference display = new PointerByReference();
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            int status = NativeMethods.sam_mm_image_process(use.pointer(), options.toNative(), display, error);
            Call.check(status, error);
        }
        return new SamDisplay(display.getValue());
    }

    /** Frees the image. Results made from it stay usable. */
    @Override
    public void close() {
        handle.close();
    }
}
