package sammm.imagej;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ij.ImagePlus;
import ij.ImageStack;
import ij.WindowManager;
import ij.gui.Line;
import ij.gui.PointRoi;
import ij.gui.Roi;
import ij.process.ByteProcessor;
import ij.process.ColorProcessor;
import ij.process.FloatProcessor;
import ij.process.ImageProcessor;
import ij.process.ShortProcessor;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.List;
import java.util.stream.Collectors;

import javax.imageio.ImageIO;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import sammm.SamBox;
import sammm.SamContext;
import sammm.SamContextOptions;
import sammm.SamImage;
import sammm.SamModel;
import sammm.SamPixelFormat;
import sammm.SamPrompt;
import sammm.SamRequest;
import sammm.SamResult;
import sammm.SharedCases;

class SegmentAnythingTest {
    private static final int X = 130;
    private static final int Y = 92;

    @BeforeEach
    void use_the_demo_model_on_the_cpu() {
        settings("cpu").save();
    }

    private static Settings settings(String device) {
        return new Settings("", device, "");
    }

    @AfterAll
    static void release() {
        Session.release();
    }

    private static Path cases() {
        String given = System.getenv("SAM_MM_SHARED_CASES");
        return Paths.get(given != null ? given : "../../tests/bindings/cases.json");
    }

    private static ColorProcessor scene() throws Exception {
        return new ColorProcessor(ImageIO.read(cases().resolveSibling("scene.png").toFile()));
    }

    private static byte[] pixels(Roi roi, int width, int height) {
        byte[] pixels = new byte[width * height];
        for (java.awt.Point point : roi) {
            pixels[point.y * width + point.x] = 1;
        }
        return pixels;
    }

    /** What the library itself gives. */
    private static byte[] expected(byte[] pixels, SamPixelFormat format, int width, int height, SamRequest request) {
        try (SamContext context = new SamContext(new SamContextOptions().device("cpu")); SamModel model = context.loadDemoModel();
                SamImage image = context.createImage(pixels, width, height, format);
                SamResult result = model.predict(image, request)) {
            return result.best().toBytes();
        }
    }

    private static byte[] expected(ColorProcessor picture, SamRequest request) {
        int count = picture.getPixelCount();
        byte[] rgb = new byte[3 * count];
        for (int i = 0; i < count; i++) {
            int color = picture.get(i);
            rgb[3 * i] = (byte) (color >> 16);
            rgb[3 * i + 1] = (byte) (color >> 8);
            rgb[3 * i + 2] = (byte) color;
        }
        return expected(rgb, SamPixelFormat.RGB8, picture.getWidth(), picture.getHeight(), request);
    }

    @Test
    void the_shared_cases_give_selections_and_the_hashes_of_their_pixels_are_written() throws Exception {
        ImagePlus picture = new ImagePlus("scene", scene());
        Session session = Session.open(settings("cpu"));
        SharedCases.writeHashes(request -> session.predict(picture, request),
                (result, mask) -> pixels(Masks.toRoi(mask, result.width(), result.height()), result.width(), result.height()));
    }

    private static void assertSegments(byte[] expected, ImagePlus picture, Roi selection) {
        picture.setRoi(selection);
        Outcome outcome = SegmentAnything.segment(picture);
        assertArrayEquals(expected, pixels(outcome.roi, picture.getWidth(), picture.getHeight()));
        assertTrue(outcome.area > 100 && outcome.score > 0.2 && outcome.score <= 1.1, outcome.area + ", " + outcome.score);
    }

    @Test
    void a_point_gives_the_mask_that_the_library_gives() throws Exception {
        assertSegments(expected(scene(), new SamRequest(SamPrompt.at(X + 0.5, Y + 0.5))), new ImagePlus("scene", scene()),
                new PointRoi(X, Y));
    }

    @Test
    void a_point_between_pixels_is_taken_as_it_is() throws Exception {
        PointRoi between = new PointRoi(X + 0.25, Y + 0.75);
        assertTrue(between.subPixelResolution());
        assertSegments(expected(scene(), new SamRequest(SamPrompt.at(X + 0.25 + 0.5, Y + 0.75 + 0.5))), new ImagePlus("scene", scene()),
                between);
    }

    @Test
    void points_of_another_counter_are_outside_of_the_object() throws Exception {
        PointRoi points = new PointRoi(X, Y);
        points.setCounter(1);
        points.addPoint(170, 60);
        SamPrompt prompt = SamPrompt.at(X + 0.5, Y + 0.5).point(170.5, 60.5, false);
        assertSegments(expected(scene(), new SamRequest(prompt).multimask(false)), new ImagePlus("scene", scene()), points);
    }

    @Test
    void a_rectangle_is_a_box() throws Exception {
        SamRequest request = new SamRequest(SamPrompt.in(new SamBox(2, 43, 83, 115))).multimask(false);
        assertSegments(expected(scene(), request), new ImagePlus("scene", scene()), new Roi(2, 43, 81, 72));
    }

    @Test
    void a_rectangle_beyond_the_edge_is_cut_off() throws Exception {
        SamRequest request = new SamRequest(SamPrompt.in(new SamBox(0, 40, 84, 120))).multimask(false);
        assertSegments(expected(scene(), request), new ImagePlus("scene", scene()), new Roi(-20, 40, 104, 80));
    }

    @Test
    void gray_images_of_8_16_and_32_bits_are_segmented_as_they_are_shown() throws Exception {
        ByteProcessor gray = scene().convertToByteProcessor();
        byte[] expected = expected((byte[]) gray.getPixels(), SamPixelFormat.GRAY8, gray.getWidth(), gray.getHeight(),
                new SamRequest(SamPrompt.at(X + 0.5, Y + 0.5)));
        ShortProcessor deep = new ShortProcessor(gray.getWidth(), gray.getHeight());
        FloatProcessor real = new FloatProcessor(gray.getWidth(), gray.getHeight());
        for (int i = 0; i < gray.getPixelCount(); i++) {
            deep.set(i, 1000 + 16 * gray.get(i));
            real.setf(i, gray.get(i) / 255f - 3);
        }
        assertSegments(expected, new ImagePlus("8 bits", gray), new PointRoi(X, Y));
        ImagePlus shown = new ImagePlus("16 bits", deep);
        // 16 values become one gray.
        shown.setDisplayRange(1000, 1000 + 16 * 256 - 1);
        assertSegments(expected, shown, new PointRoi(X, Y));
        ImagePlus shownReal = new ImagePlus("32 bits", real);
        shownReal.setDisplayRange(-3, -2);
        assertSegments(expected, shownReal, new PointRoi(X, Y));
    }

    @Test
    void the_display_range_changes_what_is_segmented() throws Exception {
        ImagePlus picture = new ImagePlus("16 bits", scene().convertToByteProcessor().convertToShort(false));
        picture.setRoi(new PointRoi(X, Y));
        picture.setDisplayRange(0, 255);
        byte[] normal = pixels(SegmentAnything.segment(picture).roi, picture.getWidth(), picture.getHeight());
        picture.setDisplayRange(0, 120);
        byte[] bright = pixels(SegmentAnything.segment(picture).roi, picture.getWidth(), picture.getHeight());
        assertTrue(!java.util.Arrays.equals(normal, bright));
    }

    @Test
    void of_a_stack_the_current_slice_is_segmented_and_the_selection_tied_to_it() throws Exception {
        ImageStack stack = new ImageStack(192, 144);
        ImageProcessor flipped = scene();
        flipped.flipHorizontal();
        stack.addSlice(flipped);
        stack.addSlice(scene());
        stack.addSlice(flipped);
        stack.addSlice(flipped);
        ImagePlus picture = new ImagePlus("stack", stack);
        picture.setSlice(2);
        assertSegments(expected(scene(), new SamRequest(SamPrompt.at(X + 0.5, Y + 0.5))), picture, new PointRoi(X, Y));
        assertEquals(2, SegmentAnything.segment(picture).roi.getPosition());
        picture.setDimensions(1, 2, 2);
        picture.setOpenAsHyperStack(true);
        Roi roi = SegmentAnything.segment(picture).roi;
        assertEquals(2, roi.getZPosition());
        assertEquals(1, roi.getTPosition());
    }

    @Test
    void the_model_stays_from_run_to_run_and_the_image_is_encoded_once() throws Exception {
        Session.release();
        ImagePlus picture = new ImagePlus("scene", scene());
        picture.setRoi(new PointRoi(X, Y));
        String first = SegmentAnything.segment(picture).status;
        Session session = Session.open(Settings.load());
        picture.setRoi(new PointRoi(40, 80));
        String second = SegmentAnything.segment(picture).status;
        assertSame(session, Session.open(Settings.load()));
        assertTrue(first.contains("encoded in"), first);
        assertTrue(second.contains("image known"), second);
        assertTrue(second.contains("Running on CPU") || second.contains("Used:"), second);
        new Settings("", "auto", "").save();
        assertNotSame(session, Session.open(Settings.load()));
    }

    @Test
    void without_a_display_the_command_adds_the_selection_to_the_overlay() throws Exception {
        ImagePlus picture = new ImagePlus("scene", scene());
        picture.setRoi(new PointRoi(X, Y));
        WindowManager.setTempCurrentImage(picture);
        new SegmentAnything().run("segment");
        new SegmentAnything().run("segment");
        WindowManager.setTempCurrentImage(null);
        assertEquals(2, picture.getOverlay().size());
        Roi added = picture.getOverlay().get(0);
        assertArrayEquals(expected(scene(), new SamRequest(SamPrompt.at(X + 0.5, Y + 0.5))), pixels(added, 192, 144));
        assertTrue(added.getName().startsWith("SAM "), added.getName());
    }

    @Test
    void selections_that_say_nothing_are_refused_with_what_to_do() throws Exception {
        ImagePlus picture = new ImagePlus("scene", scene());
        assertTrue(assertThrows(Refusal.class, () -> SegmentAnything.segment(picture)).getMessage().contains("Select"));
        picture.setRoi(new Line(1, 1, 20, 20));
        assertTrue(assertThrows(Refusal.class, () -> SegmentAnything.segment(picture)).getMessage().contains("rectangle"));
        PointRoi outside = new PointRoi();
        outside.setCounter(1);
        outside.addPoint(10, 10);
        picture.setRoi(outside);
        assertTrue(assertThrows(Refusal.class, () -> SegmentAnything.segment(picture)).getMessage().contains("counter 0"));
    }

    @Test
    void every_command_of_the_menu_has_its_class() throws Exception {
        try (BufferedReader config = new BufferedReader(new InputStreamReader(
                SegmentAnything.class.getResourceAsStream("/plugins.config"), StandardCharsets.UTF_8))) {
            List<String> commands = config.lines().filter(line -> !line.startsWith("#")).collect(Collectors.toList());
            assertEquals(3, commands.size());
            for (String command : commands) {
                String name = command.substring(command.lastIndexOf(',') + 1, command.indexOf('(')).trim();
                assertTrue(ij.plugin.PlugIn.class.isAssignableFrom(Class.forName(name)), command);
            }
        }
        assertTrue(Files.exists(cases()));
    }
}
