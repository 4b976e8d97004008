package sammm.imagej;

import ij.IJ;
import ij.ImagePlus;
import ij.WindowManager;
import ij.gui.GenericDialog;
import ij.gui.Overlay;
import ij.plugin.PlugIn;
import ij.plugin.frame.RoiManager;

import java.awt.GraphicsEnvironment;

import sammm.SamMmException;

/** The commands of the menu "Segment Anything". */
public final class SegmentAnything implements PlugIn {
    private static final String TITLE = "Segment Anything";

    @Override
    public void run(String argument) {
        try {
            switch (argument) {
                case "settings":
                    askForSettings();
                    break;
                case "release":
                    IJ.showStatus(Session.release());
                    break;
                default:
                    segment();
            }
        } catch (Refusal refusal) {
            IJ.error(TITLE, refusal.getMessage());
        } catch (SamMmException failure) {
            StringBuilder text = new StringBuilder(failure.getMessage());
            for (String cause : failure.causes()) {
                text.append("\nbecause ").append(cause);
            }
            IJ.error(TITLE, text.toString());
        } catch (LinkageError failure) {
            IJ.error(TITLE, "The sam_mm library cannot be loaded:\n" + failure.getMessage()
                    + "\nName its file in the environment variable SAM_MM_LIBRARY; see docs/imagej.md.");
        }
    }

    private static void segment() {
        ImagePlus picture = WindowManager.getCurrentImage();
        if (picture == null) {
            throw new Refusal("There is no image open.");
        }
        IJ.showStatus("Segmenting…");
        Outcome outcome = segment(picture);
        if (GraphicsEnvironment.isHeadless()) {
            // The ROI Manager is a window. In the overlay scripts find the selection, and it is saved with the image.
            Overlay overlay = picture.getOverlay() == null ? new Overlay() : picture.getOverlay();
            overlay.add(outcome.roi);
            picture.setOverlay(overlay);
        } else {
            RoiManager manager = RoiManager.getRoiManager();
            manager.addRoi(outcome.roi);
            manager.runCommand(picture, "Show All");
        }
        IJ.showStatus(outcome.status);
    }

    /** Segments what the selection of an image points at, on its current slice. For scripts; the ROI Manager is not used. */
    public static Outcome segment(ImagePlus picture) {
        return Session.open(Settings.load()).segment(picture);
    }

    private static void askForSettings() {
        Settings settings = Settings.load();
        GenericDialog dialog = new GenericDialog(TITLE);
        dialog.addMessage("Checkpoint: an official .pth or .pt file, or .safetensors.\n"
                + "Empty: the demo model, which knows drawn scenes, not photographs.");
        dialog.addFileField("Checkpoint", settings.checkpoint, 40);
        dialog.addStringField("Device", settings.device, 10);
        dialog.addMessage("Device: auto, cpu, or cuda:0 and so on.");
        dialog.addStringField("Backend", settings.backend, 40);
        dialog.addMessage("Backend: file of the plugin of sam_mm; empty to search for it.");
        dialog.showDialog();
        if (!dialog.wasCanceled()) {
            new Settings(dialog.getNextString(), dialog.getNextString(), dialog.getNextString()).save();
        }
    }
}
