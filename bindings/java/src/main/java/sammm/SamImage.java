package sammm;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import java.util.concurrent.CompletableFuture;

import sammm.internal.Call;
import sammm.internal.Jobs;
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

    /** Brings the image to display size on a thread of the library. */
    public CompletableFuture<SamDisplay> processAsync(SamDisplayOptions options) {
        try (NativeHandle.Use use = handle.use()) {
            return Jobs.start(context,
                    (how, job, error) ->
                            NativeMethods.sam_mm_job_submit_process(use.pointer(), options.toNative(), how, job, error),
                    ended -> {
                        PointerByReference display = new PointerByReference();
                        PointerByReference error = new PointerByReference();
                        Call.check(NativeMethods.sam_mm_job_take_display(ended, display, error), error);
                        return new SamDisplay(display.getValue());
                    });
        }
    }

    /** Frees the image. Results made from it stay usable. */
    @Override
    public void close() {
        handle.close();
    }
}
