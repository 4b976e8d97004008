package sammm.imagej;

import ij.gui.PointRoi;
import ij.gui.Roi;
import ij.process.FloatPolygon;

import java.awt.Rectangle;

import sammm.SamBox;
import sammm.SamPrompt;

/** Selections of ImageJ as prompts. */
final class Prompts {
    /** Points of ImageJ are counted from the centre of the first pixel, its areas and sam-mm's points from its corner. */
    private static final double PIXEL_CENTRE = 0.5;

    private Prompts() {}

    /**
     * Points of counter 0 are in the object, those of other counters outside of it. Any selection with an area is a box around
     * the object.
     */
    static SamPrompt of(Roi selection, int width, int height) {
        if (selection == null) {
            throw new Refusal("Select something first: points in the object (point or multi-point tool; points of counter 1 "
                    + "are outside of it), or a rectangle around it.");
        }
        if (selection instanceof PointRoi) {
            return points((PointRoi) selection, width, height);
        }
        if (!selection.isArea()) {
            throw new Refusal("A " + selection.getTypeAsString() + " says not what is meant; select points or a rectangle.");
        }
        Rectangle box = selection.getBounds().intersection(new Rectangle(width, height));
        if (box.isEmpty()) {
            throw new Refusal("The selection lies outside of the image.");
        }
        return SamPrompt.in(SamBox.of(box));
    }

    /** Whether a selection leaves open what is meant: a single point. */
    static boolean isAmbiguous(Roi selection) {
        return selection instanceof PointRoi && ((PointRoi) selection).size() == 1;
    }

    private static SamPrompt points(PointRoi selection, int width, int height) {
        SamPrompt prompt = new SamPrompt();
        FloatPolygon points = selection.getFloatPolygon();
        boolean hasObject = false;
        for (int i = 0; i < points.npoints; i++) {
            boolean isInObject = selection.getCounter(i) == 0;
            hasObject |= isInObject;
            double x = Math.min(Math.max(points.xpoints[i] + PIXEL_CENTRE, 0), width);
            double y = Math.min(Math.max(points.ypoints[i] + PIXEL_CENTRE, 0), height);
            prompt.point(x, y, isInObject);
        }
        if (!hasObject) {
            throw new Refusal("All points are of a counter that means outside of the object; those of counter 0 are in it.");
        }
        return prompt;
    }
}
