package sammm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EverythingTest {
    private static SamEverythingOptions few() {
        return new SamEverythingOptions().pointsPerSide(6).predIouThreshold(0.5).stabilityScoreThreshold(0.5);
    }

    @Test
    void everything_is_found_each_once_and_the_same_in_the_background() throws Exception {
        try (SamImage image = Scene.image(Scene.context()); SamMaskSet set = Scene.model().segmentEverything(image, few());
                SamMaskSet again = Scene.model().segmentEverythingAsync(image, few()).get(3, TimeUnit.MINUTES)) {
            assertEquals(36, set.pointCount());
            assertTrue(set.masks().size() > 1);
            assertEquals(set.masks().size(), again.masks().size());
            for (SamFoundMask mask : set.masks()) {
                byte[] bytes = mask.toBytes();
                assertEquals(mask.area(), IntStream.range(0, bytes.length).filter(i -> bytes[i] == 1).count());
                assertEquals(bytes.length, Arrays.stream(mask.toRle().counts()).sum());
                assertTrue(!mask.toPolygons(0, 0, false).isEmpty() && mask.predictedIou() > 0.5);
                assertArrayEquals(bytes, again.masks().get(mask.index()).toBytes());
            }
        }
    }

    @Test
    void prefetched_images_are_known_when_they_are_clicked_at() throws Exception {
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel()) {
            try (SamImage image = Scene.image(context)) {
                model.prefetch(image, 5);
            }
            for (int i = 0; i < 12000 && context.describePrefetch().done() == 0; i++) {
                Thread.sleep(10);
            }
            try (SamImage image = Scene.image(context); SamResult result = model.predict(image, Scene.click())) {
                assertTrue(result.embeddingReused());
                assertNull(result.best().objectScore());
            }
            try (SamImage image = Scene.freshImage(context, 9)) {
                model.prefetch(image, 0);
                model.cancelPrefetch(image);
                context.clearPrefetch();
                assertEquals(0, context.describePrefetch().queued());
            }
        }
    }

    @Test
    void embeddings_on_disk_outlive_their_context(@TempDir Path folder) {
        for (SamEmbeddingSource source : new SamEmbeddingSource[] {SamEmbeddingSource.ENCODED, SamEmbeddingSource.DISK}) {
            SamContextOptions options = Scene.options().embeddingDiskFolder(folder.resolve("ü 日本").toString());
            try (SamContext context = new SamContext(options);
                    SamModel model = context.loadModel(Scene.demoCheckpoint()); SamImage image = Scene.image(context);
                    SamResult result = model.predict(image, Scene.click())) {
                assertEquals(source, result.embeddingSource());
                assertArrayEquals(Scene.expectedMask(), result.best().toBytes());
            }
        }
    }
}
