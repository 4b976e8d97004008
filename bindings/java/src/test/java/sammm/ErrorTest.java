package sammm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;

import org.junit.jupiter.api.Test;

class ErrorTest {
    private static SamMmException refused(org.junit.jupiter.api.function.Executable call, SamStatus code) {
        SamMmException failure = assertThrows(SamMmException.class, call);
        assertEquals(code, failure.code(), failure.toString());
        return failure;
    }

    @Test
    void a_missing_checkpoint_is_told_with_its_path() {
        SamMmException failure =
                refused(() -> Scene.context().loadModel(Paths.get("no such folder/weights.pth")), SamStatus.IO);
        assertTrue(failure.getMessage().contains("weights.pth"), failure.getMessage());
    }

    @Test
    void a_damaged_checkpoint_is_told_as_one() throws IOException {
        byte[] damaged = Arrays.copyOf(Files.readAllBytes(Scene.demoCheckpoint()), 5000);
        refused(() -> Scene.context().loadModel(damaged, SamPrecision.FP32), SamStatus.CHECKPOINT);
    }

    @Test
    void points_outside_of_the_image_are_refused_with_their_value() {
        try (SamImage image = Scene.image(Scene.context())) {
            SamMmException failure =
                    refused(() -> Scene.model().predict(image, SamPrompt.at(4711, 5)), SamStatus.INVALID_ARGUMENT);
            assertTrue(failure.getMessage().contains("4711"), failure.getMessage());
        }
    }

    @Test
    void empty_requests_and_too_few_bytes_are_refused() {
        try (SamImage image = Scene.image(Scene.context())) {
            refused(() -> Scene.model().predict(image, new SamRequest()), SamStatus.INVALID_ARGUMENT);
            refused(() -> Scene.model().predict(image, new SamPrompt()), SamStatus.INVALID_ARGUMENT);
        }
        refused(() -> Scene.context().createImage(new byte[10], 100, 100, SamPixelFormat.RGB8),
                SamStatus.INVALID_ARGUMENT);
        assertThrows(IllegalArgumentException.class,
                () -> Scene.context().createImage(new byte[10], -1, 1, SamPixelFormat.RGB8));
    }

    @Test
    void a_backend_that_is_not_there_is_told_with_every_path_tried() {
        try (SamContext context = new SamContext(new SamContextOptions().backendPath("/nowhere/backend.so"))) {
            SamMmException failure = refused(context::loadDemoModel, SamStatus.BACKEND_NOT_FOUND);
            assertTrue(failure.toString().contains("/nowhere/backend.so"), failure.toString());
        }
    }

    @Test
    void options_out_of_their_range_are_refused() {
        refused(() -> new SamContext(new SamContextOptions().memory(new SamMemoryOptions().fraction(7))),
                SamStatus.INVALID_ARGUMENT);
        assertThrows(IllegalArgumentException.class,
                () -> new SamContext(new SamContextOptions().embeddingCacheBytes(-1)));
    }

    @Test
    void what_was_closed_refuses_and_may_be_closed_again() {
        SamContext context = Scene.newContext();
        SamImage image = Scene.image(context);
        image.close();
        image.close();
        assertThrows(IllegalStateException.class, () -> image.process(new SamDisplayOptions()));
        context.close();
        context.close();
        assertThrows(IllegalStateException.class, context::memoryInfo);
        SamResult result;
        try (SamImage scene = Scene.image(Scene.context())) {
            result = Scene.model().predict(scene, Scene.click());
        }
        SamMask mask = result.best();
        result.close();
        assertThrows(IllegalStateException.class, mask::toBytes);
    }

    @Test
    void models_and_images_of_two_contexts_do_not_mix() {
        try (SamContext other = Scene.newContext(); SamImage image = Scene.image(other)) {
            refused(() -> Scene.model().predict(image, Scene.click()), SamStatus.INVALID_ARGUMENT);
        }
    }
}
