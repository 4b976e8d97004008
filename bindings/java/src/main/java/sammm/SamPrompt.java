package sammm;

import java.util.ArrayList;
import java.util.List;

import sammm.internal.Borrowed;
import sammm.internal.Call;
import sammm.internal.NativeMethods;

/**
 * What one object is pointed at with: at least one of points, box and mask input. Coordinates are pixels of the original
 * image: (0, 0) is the outer corner of the first pixel, so the centre of a pixel is at .5.
 */
public final class SamPrompt {
    private final List<float[]> points = new ArrayList<>();
    private final List<Boolean> labels = new ArrayList<>();
    private SamBox box;
    private float[] maskInput;

    /** A prompt of one point in the object. */
    public static SamPrompt at(double x, double y) {
        return new SamPrompt().point(x, y, true);
    }

    /** A prompt of a box. */
    public static SamPrompt in(SamBox box) {
        return new SamPrompt().box(box);
    }

    /** Adds a point in the object, or outside of it. */
    public SamPrompt point(double x, double y, boolean isInObject) {
        points.add(new float[] {(float) x, (float) y});
        labels.add(isInObject);
        return this;
    }

    /** Takes the point added last away; false when there is none. */
    public boolean removeLastPoint() {
        if (points.isEmpty()) {
            return false;
        }
        points.remove(points.size() - 1);
        labels.remove(labels.size() - 1);
        return true;
    }

    /** Number of points. */
    public int pointCount() {
        return points.size();
    }

    /** Sets a box around the object; null for none. */
    public SamPrompt box(SamBox box) {
        this.box = box;
        return this;
    }

    /** Sets logits of an earlier result of the same model ({@link SamMask#logits}); null for none. */
    public SamPrompt maskInput(float[] logits) {
        if (logits != null && logits.length == 0) {
            throw new IllegalArgumentException("the mask input holds no values");
        }
        maskInput = logits == null ? null : logits.clone();
        return this;
    }

    void write(Borrowed memory, NativeMethods.sam_mm_prompt prompt) {
        Call.check(NativeMethods.sam_mm_prompt_init(prompt, prompt.size()), null);
        float[] coordinates = new float[2 * points.size()];
        int[] inObject = new int[points.size()];
        for (int i = 0; i < inObject.length; i++) {
            coordinates[2 * i] = points.get(i)[0];
            coordinates[2 * i + 1] = points.get(i)[1];
            inObject[i] = labels.get(i) ? 1 : 0;
        }
        prompt.num_points = inObject.length;
        prompt.points = memory.floats(coordinates);
        prompt.labels = memory.ints(inObject);
        prompt.bounding_box = box == null ? null : memory.floats(box.edges());
        prompt.mask_input = memory.floats(maskInput);
        prompt.mask_input_len = maskInput == null ? 0 : maskInput.length;
        prompt.write();
    }
}
