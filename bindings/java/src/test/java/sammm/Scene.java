package sammm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;

/** The scene that the bindings share, and what it is segmented with. */
final class Scene {
    /** In an object of the scene. */
    static final double X = 130.5;
    static final double Y = 92.25;

    static final int WIDTH;
    static final int HEIGHT;
    private static final byte[] RGB;

    static {
        try {
            byte[] file = Files.readAllBytes(casesFile().resolveSibling("scene.ppm"));
            String head = new String(file, 0, 15, java.nio.charset.StandardCharsets.US_ASCII);
            String[] words = head.split("\\s+");
            WIDTH = Integer.parseInt(words[1]);
            HEIGHT = Integer.parseInt(words[2]);
            RGB = Arrays.copyOfRange(file, file.length - 3 * WIDTH * HEIGHT, file.length);
        } catch (IOException failure) {
            throw new ExceptionInInitializerError(failure);
        }
    }

    private static SamContext context;
    private static SamModel model;

    private Scene() {}

    static Path root() {
        return Paths.get("").toAbsolutePath().getParent().getParent();
    }

    static Path casesFile() {
        String given = System.getenv("SAM_MM_SHARED_CASES");
        return given != null ? Paths.get(given) : root().resolve("tests/bindings/cases.json");
    }

    static Path demoCheckpoint() {
        return root().resolve("models/sam_demo.safetensors");
    }

    static byte[] rgb() {
        return RGB.clone();
    }

    static synchronized SamContext context() {
        if (context == null) {
            context = newContext();
        }
        return context;
    }

    static synchronized SamModel model() {
        if (model == null) {
            model = context().loadDemoModel();
        }
        return model;
    }

    static SamContextOptions options() {
        return new SamContextOptions().device("cpu").threads(1);
    }

    static SamContext newContext() {
        return new SamContext(options());
    }

    static SamImage image(SamContext from) {
        return from.createImage(RGB, WIDTH, HEIGHT, SamPixelFormat.RGB8);
    }

    /** The scene with other pixels, so that nothing of it is cached. */
    static SamImage freshImage(SamContext from, int number) {
        byte[] rgb = rgb();
        for (int i = 0; i < 4; i++) {
            rgb[i] = (byte) (number >> 8 * i);
        }
        return from.createImage(rgb, WIDTH, HEIGHT, SamPixelFormat.RGB8);
    }

    static SamPrompt click() {
        return SamPrompt.at(X, Y);
    }

    static byte[] predict(SamModel model, SamImage image) {
        try (SamResult result = model.predict(image, click())) {
            return result.best().toBytes();
        }
    }

    /** The mask that the click gives, for comparison with what comes after something bad. */
    static byte[] expectedMask() {
        try (SamContext fresh = newContext(); SamModel loaded = fresh.loadDemoModel(); SamImage image = image(fresh)) {
            return predict(loaded, image);
        }
    }
}
