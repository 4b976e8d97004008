package sammm;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.IntByReference;
import com.sun.jna.ptr.PointerByReference;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import sammm.internal.Call;
import sammm.internal.NativeHandle;
import sammm.internal.NativeMethods;

/** The masks of one prediction, object after object. May be used from many threads at once. */
public final class SamResult implements AutoCloseable {
    final NativeHandle handle;
    private final NativeMethods.sam_mm_result_info info = new NativeMethods.sam_mm_result_info();
    private final List<SamMask> masks;

    SamResult(Pointer result) {
        handle = new NativeHandle("result", result, NativeMethods::sam_mm_result_free).ownedBy(this);
        PointerByReference error = new PointerByReference();
        Call.check(NativeMethods.sam_mm_result_describe(result, info, error), error);
        List<SamMask> all = new ArrayList<>();
        for (int i = 0; i < info.num_masks; i++) {
            all.add(new SamMask(this, i));
        }
        masks = Collections.unmodifiableList(all);
    }

    /** All masks; those of object {@code i} start at {@code i * masksPerObject()}. */
    public List<SamMask> masks() {
        return masks;
    }

    /** The mask of the first object with the highest score. */
    public SamMask best() {
        return best(0);
    }

    /** The mask of an object with the highest score. */
    public SamMask best(int objectIndex) {
        IntByReference index = new IntByReference();
        PointerByReference error = new PointerByReference();
        try (NativeHandle.Use use = handle.use()) {
            int object = Call.notNegative(objectIndex, "objectIndex");
            Call.check(NativeMethods.sam_mm_result_best_mask(use.pointer(), object, index, error), error);
        }
        return masks.get(index.getValue());
    }

    /** Objects, in the order of the request. */
    public int objectCount() {
        return info.num_objects;
    }

    /** Masks of each object. */
    public int masksPerObject() {
        return info.masks_per_object;
    }

    /** Columns of the image, and of full-size masks. */
    public int width() {
        return info.width;
    }

    /** Rows of the image, and of full-size masks. */
    public int height() {
        return info.height;
    }

    /** Side of the square low-resolution logits. */
    public int maskSize() {
        return info.mask_size;
    }

    /** Whether the image had been encoded before, or its embedding was not needed. */
    public boolean embeddingReused() {
        return info.embedding_reused != 0;
    }

    /** Whether the same had been predicted before, so that nothing was computed. */
    public boolean predictionReused() {
        return info.prediction_reused != 0;
    }

    /** Milliseconds that encoding the image took; 0 when reused. */
    public double encodeMs() {
        return info.encode_ms;
    }

    /** Milliseconds that decoding the prompts took; 0 when reused. */
    public double decodeMs() {
        return info.decode_ms;
    }

    /** Whether the prompts were decoded on the CPU because the GPU had no room. */
    public boolean onCpu() {
        return info.on_cpu != 0;
    }

    /** Precision that the prompts were decoded in. */
    public SamPrecision precision() {
        return SamPrecision.of(info.precision);
    }

    /** Whether the image was encoded with attention in chunks, which needs less memory. */
    public boolean chunkedAttention() {
        return info.chunked_attention != 0;
    }

    /** What helped when memory had run out on the way to this result. */
    public SamRecoveryRung recoveredBy() {
        return SamRecoveryRung.of(info.recovered_by);
    }

    /** Frees the result. Masks taken as bytes, pictures, polygons or encodings are copies and stay. */
    @Override
    public void close() {
        handle.close();
    }
}
