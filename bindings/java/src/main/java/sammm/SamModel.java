package sammm;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import java.util.concurrent.CompletableFuture;

import sammm.internal.Borrowed;
import sammm.internal.Call;
import sammm.internal.Jobs;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/** A loaded model. May be used from many threads at once; they take turns. */
public final class SamModel implements AutoCloseable {
    final NativeHandle handle;
    private final SamContext context;
    private final SamModelInfo info;

    SamModel(SamContext context, Pointer model) {
        this.context = context;
        handle = new NativeHandle("model", model, NativeMethods::sam_mm_model_free).ownedBy(this);
        PointerByReference error = new PointerByReference();
        NativeMethods.sam_mm_model_info known = new NativeMethods.sam_mm_model_info();
        Call.check(NativeMethods.sam_mm_model_describe(model, known, error), error);
        info = new SamModelInfo(known);
    }

    /** The context it was loaded with. */
    public SamContext context() {
        return context;
    }

    /** What the model is. */
    public SamModelInfo info() {
        return info;
    }

    /**
     * Predicts the masks of the objects pointed at; encodes the image first if this model has not seen it yet. Refused from
     * inside a handler.
     */
    public SamResult predict(SamImage image, SamRequest request) {
        PointerByReference result = new PointerByReference();
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use model = handle.use(); NativeHandle.Use picture = image.handle.use();
                Borrowed memory = new Borrowed()) {
            NativeMethods.sam_mm_predict_request given = request.toNative(memory);
            int status = NativeMethods.sam_predict(model.pointer(), picture.pointer(), given, result, error);
            Call.check(status, error);
        }
        return new SamResult(result.getValue());
    }

    /** Predicts the masks of one object, several of them. */
    public SamResult predict(SamImage image, SamPrompt prompt) {
        return predict(image, new SamRequest(prompt));
    }

    /** Runs the image encoder now, so that the first prediction does not have to. Quick when that was done before. */
    public void encode(SamImage image) {
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use model = handle.use(); NativeHandle.Use picture = image.handle.use()) {
            Call.check(NativeMethods.sam_mm_image_encode(picture.pointer(), model.pointer(), error), error);
        }
    }

    /**
     * Predicts on a thread of the library. The request is copied before this returns; model and image may be closed afterwards.
     * Cancelling the future stops the work as soon as that is possible. Wrong arguments throw at once. Allowed inside a handler.
     */
    public CompletableFuture<SamResult> predictAsync(SamImage image, SamRequest request) {
        try (NativeHandle.Use model = handle.use(); NativeHandle.Use picture = image.handle.use();
                Borrowed memory = new Borrowed()) {
            NativeMethods.sam_mm_predict_request given = request.toNative(memory);
            return Jobs.start(context,
                    (how, job, error) -> NativeMethods.sam_mm_job_submit_predict(
                            model.pointer(), picture.pointer(), given, how, job, error),
                    ended -> {
                        PointerByReference result = new PointerByReference();
                        PointerByReference error = new PointerByReference();
                        Call.check(NativeMethods.sam_mm_job_take_result(ended, result, error), error);
                        return new SamResult(result.getValue());
                    });
        }
    }

    /** Predicts the masks of one object, several of them, on a thread of the library. */
    public CompletableFuture<SamResult> predictAsync(SamImage image, SamPrompt prompt) {
        return predictAsync(image, new SamRequest(prompt));
    }

    /** Runs the image encoder on a thread of the library. */
    public CompletableFuture<Void> encodeAsync(SamImage image) {
        try (NativeHandle.Use model = handle.use(); NativeHandle.Use picture = image.handle.use()) {
            return Jobs.start(context,
                    (how, job, error) -> NativeMethods.sam_mm_job_submit_encode(
                            model.pointer(), picture.pointer(), how, job, error),
                    ended -> {
                        PointerByReference error = new PointerByReference();
                        Call.check(NativeMethods.sam_mm_job_check(ended, error), error);
                        return null;
                    });
        }
    }

    /** Frees the model and the embeddings it made; predictions that run end first. */
    @Override
    public void close() {
        handle.close();
    }
}
