package sammm.imagej;

import ij.ImagePlus;
import ij.gui.Roi;
import ij.process.ColorProcessor;

import java.nio.file.Paths;
import java.util.Locale;

import sammm.SamContext;
import sammm.SamContextOptions;
import sammm.SamImage;
import sammm.SamMask;
import sammm.SamModel;
import sammm.SamPixelFormat;
import sammm.SamPrecision;
import sammm.SamPrompt;
import sammm.SamRequest;
import sammm.SamResult;

/** A context and a model that stay from run to run, so that an image is encoded once however often it is clicked at. */
final class Session {
    private static Session current;

    private final Settings settings;
    private final SamContext context;
    private final SamModel model;

    private Session(Settings settings) {
        this.settings = settings;
        SamContextOptions options = new SamContextOptions().device(settings.device);
        if (!settings.backend.isEmpty()) {
            options.backendPath(settings.backend);
        }
        context = new SamContext(options);
        try {
            model = settings.checkpoint.isEmpty()
                    ? context.loadDemoModel()
                    : context.loadModel(Paths.get(settings.checkpoint), SamPrecision.FP32);
        } catch (RuntimeException failure) {
            context.close();
            throw failure;
        }
    }

    /** The session there is, if it has these settings; else another one. */
    static synchronized Session open(Settings settings) {
        if (current != null && !current.settings.equals(settings)) {
            close();
        }
        if (current == null) {
            current = new Session(settings);
        }
        return current;
    }

    /** Gives the model and all memory back; the next run loads it again. Answers with a line for the status bar. */
    static synchronized String release() {
        if (current == null) {
            return "Segment Anything holds no memory";
        }
        close();
        return "Segment Anything gave its model and caches back";
    }

    private static void close() {
        current.model.close();
        current.context.close();
        current = null;
    }

    Outcome segment(ImagePlus picture) {
        Roi selection = picture.getRoi();
        SamPrompt prompt = Prompts.of(selection, picture.getWidth(), picture.getHeight());
        // A single click leaves open whether the part or the whole is meant; of several masks the best is taken.
        SamRequest request = new SamRequest(prompt).multimask(Prompts.isAmbiguous(selection));
        try (SamResult result = predict(picture, request)) {
            SamMask best = result.best();
            if (best.area() == 0) {
                throw new Refusal("Nothing was found at the selection.");
            }
            Roi roi = Masks.toRoi(best, result.width(), result.height());
            Masks.place(roi, picture, best.score());
            return new Outcome(roi, best.score(), best.area(), status(best, result));
        }
    }

    SamResult predict(ImagePlus picture, SamRequest request) {
        try (SamImage image = image(picture)) {
            return model.predict(image, request);
        }
    }

    /** The current slice as it is shown: with its window and level, its lookup table, its channels. */
    private SamImage image(ImagePlus picture) {
        ColorProcessor shown = picture.isComposite()
                ? new ColorProcessor(picture.getImage())
                : picture.getProcessor().convertToColorProcessor();
        byte[] rgb = new byte[3 * shown.getWidth() * shown.getHeight()];
        int at = 0;
        for (int color : (int[]) shown.getPixels()) {
            rgb[at++] = (byte) (color >> 16);
            rgb[at++] = (byte) (color >> 8);
            rgb[at++] = (byte) color;
        }
        return context.createImage(rgb, shown.getWidth(), shown.getHeight(), SamPixelFormat.RGB8);
    }

    private String status(SamMask mask, SamResult result) {
        String encoded = result.embeddingReused() ? "image known" : String.format(Locale.ROOT, "encoded in %.0f ms", result.encodeMs());
        // What matters first: ImageJ cuts a line off at the end of its window.
        return String.format(Locale.ROOT, "Score %.2f, %d px; %s; %s", mask.score(), mask.area(), context.memoryInfo().text(),
                encoded);
    }
}
