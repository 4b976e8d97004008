package sammm.imagej;

import ij.ImagePlus;
import ij.gui.Roi;
import ij.plugin.filter.ThresholdToSelection;
import ij.process.ByteProcessor;
import ij.process.ImageProcessor;

import java.util.Locale;

import sammm.SamMask;

/** Masks as selections of ImageJ. */
final class Masks {
    private Masks() {}

    /** The same as "Create Selection" makes of the mask, so holes and parts are as elsewhere in ImageJ. */
    static Roi toRoi(SamMask mask, int width, int height) {
        ByteProcessor pixels = new ByteProcessor(width, height, mask.toBytes(255));
        pixels.setThreshold(255, 255, ImageProcessor.NO_LUT_UPDATE);
        return new ThresholdToSelection().convert(pixels);
    }

    /** Names the selection, and ties it to the slice that is shown. */
    static void place(Roi roi, ImagePlus picture, float score) {
        roi.setName(String.format(Locale.ROOT, "SAM %04d-%04d-%04d score %.2f", picture.getCurrentSlice(),
                (int) roi.getBounds().getCenterY(), (int) roi.getBounds().getCenterX(), score));
        if (picture.isHyperStack()) {
            int[] place = picture.convertIndexToPosition(picture.getCurrentSlice());
            roi.setPosition(place[0], place[1], place[2]);
        } else if (picture.getStackSize() > 1) {
            roi.setPosition(picture.getCurrentSlice());
        }
    }
}
