package sammm;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import sammm.internal.Borrowed;
import sammm.internal.Call;
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

    /** Frees the model and the embeddings it made; predictions that run end first. */
    @Override
    public void close() {
        handle.close();
    }
}
