package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** What a loaded model is. */
public final class SamModelInfo {
    private final SamPrecision precision;
    private final String family;
    private final String variant;
    private final String name;
    private final String device;
    private final long parameters;
    private final long weightBytes;
    private final long embeddingBytes;
    private final int inputSize;
    private final int maskSize;
    private final int multimaskCount;

    SamModelInfo(NativeMethods.sam_mm_model_info from) {
        precision = SamPrecision.of(from.precision);
        family = Call.text(from.family);
        variant = Call.text(from.variant);
        name = Call.text(from.name);
        device = Call.text(from.device);
        parameters = from.parameters;
        weightBytes = from.weight_bytes;
        embeddingBytes = from.embedding_bytes;
        inputSize = from.input_size;
        maskSize = from.mask_size;
        multimaskCount = from.multimask_count;
    }

    /** Precision of the weights. */
    public SamPrecision precision() {
        return precision;
    }

    /** The family, such as {@code sam} or {@code mobile_sam}. */
    public String family() {
        return family;
    }

    /** {@code vit_b}, {@code vit_l}, {@code vit_h}, {@code vit_t}, or a description. */
    public String variant() {
        return variant;
    }

    /** What it was loaded from: the path as given, or a word for what has no path. */
    public String name() {
        return name;
    }

    /** The device it is on. */
    public String device() {
        return device;
    }

    /** Number of parameters. */
    public long parameters() {
        return parameters;
    }

    /** Bytes of device memory the weights take. */
    public long weightBytes() {
        return weightBytes;
    }

    /** Bytes of one image embedding. */
    public long embeddingBytes() {
        return embeddingBytes;
    }

    /** Side of the square the image is brought to, in pixels. */
    public int inputSize() {
        return inputSize;
    }

    /** Side of the square low-resolution logits; a mask input has that number squared of values. */
    public int maskSize() {
        return maskSize;
    }

    /** Masks per object with multimask output. */
    public int multimaskCount() {
        return multimaskCount;
    }
}
