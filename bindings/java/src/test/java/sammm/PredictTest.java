package sammm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.Graphics2D;
import java.awt.geom.Path2D;
import java.awt.image.BufferedImage;
import java.nio.ByteBuffer;
import java.util.stream.IntStream;

import org.junit.jupiter.api.Test;

class PredictTest {
    @Test
    void a_click_gives_a_mask_that_holds_the_clicked_pixel() {
        try (SamImage image = Scene.image(Scene.context()); SamResult result = Scene.model().predict(image, Scene.click())) {
            assertEquals(1, result.objectCount());
            assertEquals(Scene.model().info().multimaskCount(), result.masks().size());
            SamMask best = result.best();
            assertTrue(result.masks().stream().allMatch(mask -> mask.score() <= best.score()));
            byte[] bytes = best.toBytes();
            assertEquals(1, bytes[(int) Scene.Y * Scene.WIDTH + (int) Scene.X]);
            assertEquals(best.area(), IntStream.range(0, bytes.length).filter(i -> bytes[i] == 1).count());
            assertTrue(best.area() > 500 && best.area() < bytes.length / 2);
            int left = IntStream.range(0, bytes.length).filter(i -> bytes[i] == 1).map(i -> i % Scene.WIDTH).min().getAsInt();
            assertEquals(left, best.boundingBox().x0());
        }
    }

    @Test
    void pictures_of_every_type_give_one_mask() {
        byte[] rgb = Scene.rgb();
        byte[] expected;
        try (SamImage image = Scene.image(Scene.context())) {
            expected = Scene.predict(Scene.model(), image);
        }
        for (int type : new int[] {BufferedImage.TYPE_3BYTE_BGR, BufferedImage.TYPE_INT_RGB, BufferedImage.TYPE_INT_ARGB,
            BufferedImage.TYPE_INT_BGR, BufferedImage.TYPE_4BYTE_ABGR, BufferedImage.TYPE_4BYTE_ABGR_PRE}) {
            // A part of a larger picture: its pixels neither start at the array's start nor follow without a gap.
            BufferedImage large = new BufferedImage(Scene.WIDTH + 9, Scene.HEIGHT + 5, type);
            BufferedImage part = large.getSubimage(4, 3, Scene.WIDTH, Scene.HEIGHT);
            for (int i = 0; i < Scene.WIDTH * Scene.HEIGHT; i++) {
                int color = 0xff000000 | (rgb[3 * i] & 255) << 16 | (rgb[3 * i + 1] & 255) << 8 | rgb[3 * i + 2] & 255;
                part.setRGB(i % Scene.WIDTH, i / Scene.WIDTH, color);
            }
            try (SamImage image = Scene.context().createImage(part)) {
                assertArrayEquals(expected, Scene.predict(Scene.model(), image), "type " + type);
            }
        }
    }

    @Test
    void gray_pictures_are_taken_as_their_bytes() {
        BufferedImage gray = new BufferedImage(Scene.WIDTH, Scene.HEIGHT, BufferedImage.TYPE_BYTE_GRAY);
        byte[] bytes = new byte[Scene.WIDTH * Scene.HEIGHT];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = Scene.rgb()[3 * i];
            gray.getRaster().setSample(i % Scene.WIDTH, i / Scene.WIDTH, 0, bytes[i] & 255);
            if (i > Scene.WIDTH * 3) {
                break;
            }
        }
        try (SamImage ofPicture = Scene.context().createImage(gray);
                SamImage ofBytes = Scene.context().createImage(bytes, Scene.WIDTH, Scene.HEIGHT, SamPixelFormat.GRAY8)) {
            SamDisplayOptions same = new SamDisplayOptions().targetSize(Scene.WIDTH).minSize(0).format(SamPixelFormat.GRAY8);
            try (SamDisplay a = ofPicture.process(same); SamDisplay b = ofBytes.process(same)) {
                assertArrayEquals(bytes, a.pixels());
                assertArrayEquals(bytes, b.pixels());
            }
        }
    }

    @Test
    void direct_buffers_and_rows_with_a_gap_are_read() {
        int stride = 3 * Scene.WIDTH + 11;
        ByteBuffer padded = ByteBuffer.allocateDirect(7 + stride * Scene.HEIGHT);
        for (int y = 0; y < Scene.HEIGHT; y++) {
            padded.position(7 + y * stride);
            padded.put(Scene.rgb(), 3 * Scene.WIDTH * y, 3 * Scene.WIDTH);
        }
        padded.position(7);
        try (SamImage image = Scene.image(Scene.context());
                SamImage gaps = Scene.context().createImage(
                        padded, Scene.WIDTH, Scene.HEIGHT, SamPixelFormat.RGB8, stride, null)) {
            assertArrayEquals(Scene.predict(Scene.model(), image), Scene.predict(Scene.model(), gaps));
            assertEquals(7, padded.position(), "the buffer is left as it was");
        }
    }

    @Test
    void pictures_run_lengths_and_outlines_say_the_same_as_the_bytes() {
        try (SamImage image = Scene.image(Scene.context()); SamResult result = Scene.model().predict(image, Scene.click())) {
            SamMask mask = result.best();
            byte[] bytes = mask.toBytes();
            BufferedImage picture = mask.toImage();
            BufferedImage drawn = new BufferedImage(Scene.WIDTH, Scene.HEIGHT, BufferedImage.TYPE_BYTE_BINARY);
            Graphics2D graphics = drawn.createGraphics();
            Path2D shape = mask.toShape();
            graphics.fill(shape);
            graphics.dispose();
            byte[] decoded = decode(mask.toRle());
            for (int i = 0; i < bytes.length; i++) {
                int x = i % Scene.WIDTH;
                int y = i / Scene.WIDTH;
                assertEquals(bytes[i] * 255, picture.getRaster().getSample(x, y, 0), "picture");
                assertEquals(bytes[i], drawn.getRaster().getSample(x, y, 0), "shape at " + x + ", " + y);
                assertEquals(bytes[i], decoded[i], "run lengths");
            }
            int exact = mask.toPolygons().stream().mapToInt(SamRing::size).sum();
            assertTrue(mask.toPolygons(2, 0, false).stream().mapToInt(SamRing::size).sum() < exact);
            assertTrue(mask.toPolygons(0, mask.area() + 1, true).isEmpty());
        }
    }

    private static byte[] decode(SamRle rle) {
        byte[] bytes = new byte[rle.width() * rle.height()];
        int at = 0;
        byte value = 0;
        for (int count : rle.counts()) {
            for (int i = 0; i < count; i++, at++) {
                bytes[at % rle.height() * rle.width() + at / rle.height()] = value;
            }
            value = (byte) (1 - value);
        }
        assertEquals(bytes.length, at);
        return bytes;
    }

    @Test
    void objects_by_prompts_come_before_those_by_boxes() {
        try (SamImage image = Scene.image(Scene.context())) {
            SamBox around;
            try (SamResult alone = Scene.model().predict(image, Scene.click())) {
                around = alone.best().boundingBox();
            }
            SamRequest request =
                    new SamRequest(Scene.click()).box(around).box(new SamBox(2, 43, 83, 115)).multimask(false);
            try (SamResult result = Scene.model().predict(image, request)) {
                assertEquals(3, result.objectCount());
                assertEquals(3, result.masks().size());
                assertEquals(2, result.masks().get(2).objectIndex());
                byte[] byClick = result.masks().get(0).toBytes();
                byte[] byBox = result.masks().get(1).toBytes();
                long both = IntStream.range(0, byClick.length).filter(i -> byClick[i] + byBox[i] == 2).count();
                assertTrue(both > 0.8 * result.masks().get(0).area());
            }
        }
    }

    @Test
    void logits_of_a_result_refine_the_next() {
        try (SamImage image = Scene.image(Scene.context()); SamResult first = Scene.model().predict(image, Scene.click())) {
            float[] logits = first.best().logits();
            assertEquals(first.maskSize() * first.maskSize(), logits.length);
            SamPrompt refined = Scene.click().point(170, 60.5, false).maskInput(logits);
            try (SamResult second = Scene.model().predict(image, new SamRequest(refined).multimask(false))) {
                assertEquals(1, second.best().toBytes()[(int) Scene.Y * Scene.WIDTH + (int) Scene.X]);
            }
        }
    }

    @Test
    void the_same_prompt_again_is_not_computed_again() {
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            try (SamResult first = model.predict(image, Scene.click())) {
                assertTrue(!first.predictionReused() && !first.embeddingReused() && first.encodeMs() > 0);
            }
            try (SamResult second = model.predict(image, Scene.click())) {
                assertTrue(second.predictionReused());
            }
            assertEquals(1, context.memoryReport().predictionHits());
            assertEquals(1, context.describeCache(SamCache.EMBEDDING).entries());
            assertTrue(context.clearCache(SamCache.EMBEDDING) > 0);
            assertEquals(0, context.describeCache(SamCache.EMBEDDING).entries());
        }
    }

    @Test
    void a_display_image_converts_there_and_back() {
        SamDisplayOptions twice = new SamDisplayOptions().targetSize(384).minSize(0).format(SamPixelFormat.BGRA8);
        try (SamImage image = Scene.image(Scene.context()); SamDisplay display = image.process(twice);
                SamResult result = Scene.model().predict(image, Scene.click())) {
            assertEquals(384, display.width());
            assertEquals(4 * 384 * 288, display.pixels().length);
            assertArrayEquals(new float[] {96, 72}, display.pointsToOriginal(192, 144));
            assertEquals(new SamBox(20, 40, 60, 80), display.toDisplay(new SamBox(10, 20, 30, 40)));
            byte[] mask = result.best().toBytes();
            assertArrayEquals(mask, display.maskToOriginal(display.maskToDisplay(mask)));
        }
    }

    @Test
    void results_outlive_what_they_were_made_with() {
        SamResult result;
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            result = model.predict(image, Scene.click());
        }
        assertArrayEquals(Scene.expectedMask(), result.best().toBytes());
        result.close();
    }
}
