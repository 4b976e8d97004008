package sammm.imagej;

import ij.gui.Roi;

/** What came of segmenting. */
public final class Outcome {
    /** The mask as a selection, with its name and its place in the stack. */
    public final Roi roi;

    /** IoU with the object that the model predicts for the mask. */
    public final float score;

    /** Pixels of the mask. */
    public final long area;

    /** The line for the status bar: score, size, times and memory. */
    public final String status;

    Outcome(Roi roi, float score, long area, String status) {
        this.roi = roi;
        this.score = score;
        this.area = area;
        this.status = status;
    }
}
