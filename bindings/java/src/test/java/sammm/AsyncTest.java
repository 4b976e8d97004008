package sammm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import org.junit.jupiter.api.Test;

class AsyncTest {
    private static <T> T await(CompletableFuture<T> future) throws Exception {
        return future.get(3, TimeUnit.MINUTES);
    }

    @Test
    void futures_load_process_encode_and_predict() throws Exception {
        try (SamContext context = Scene.newContext();
                SamModel model = await(context.loadModelAsync(Scene.demoCheckpoint(), SamPrecision.FP32));
                SamImage image = Scene.image(context)) {
            assertEquals(Scene.demoCheckpoint().toString(), model.info().name());
            await(model.encodeAsync(image));
            try (SamResult result = await(model.predictAsync(image, Scene.click()))) {
                assertTrue(result.embeddingReused());
                assertArrayEquals(Scene.expectedMask(), result.best().toBytes());
            }
            try (SamDisplay display = await(image.processAsync(new SamDisplayOptions().targetSize(700)))) {
                assertEquals(800, display.width(), "so that the height is 600");
            }
        }
    }

    @Test
    void futures_can_be_chained() throws Exception {
        try (SamContext context = Scene.newContext(); SamImage image = Scene.image(context)) {
            CompletableFuture<byte[]> mask = context.loadDemoModelAsync().thenCompose(
                    model -> model.predictAsync(image, Scene.click())).thenApply(result -> result.best().toBytes());
            assertArrayEquals(Scene.expectedMask(), await(mask));
        }
    }

    @Test
    void what_is_wrong_is_thrown_at_once_and_what_fails_by_the_future() throws Exception {
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            assertThrows(SamMmException.class, () -> model.predictAsync(image, SamPrompt.at(-5, 0)));
            CompletableFuture<SamModel> missing = context.loadModelAsync(Paths.get("no such file.pth"), SamPrecision.FP32);
            ExecutionException failure = assertThrows(ExecutionException.class, () -> await(missing));
            assertEquals(SamStatus.IO, assertInstanceOf(SamMmException.class, failure.getCause()).code());
        }
    }

    @Test
    void cancelling_in_flight_cancels_the_future_and_harms_nothing() throws Exception {
        byte[] expected = Scene.expectedMask();
        int cancelled = 0;
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel()) {
            for (int i = 0; i < 20; i++) {
                try (SamImage image = Scene.freshImage(context, i)) {
                    List<CompletableFuture<SamResult>> futures = new ArrayList<>();
                    for (int j = 0; j < 3; j++) {
                        futures.add(model.predictAsync(image, Scene.click()));
                    }
                    Thread.sleep(i);
                    for (CompletableFuture<SamResult> future : futures) {
                        future.cancel(true);
                    }
                    for (CompletableFuture<SamResult> future : futures) {
                        try {
                            await(future).close();
                        } catch (CancellationException expectedHere) {
                            cancelled++;
                        }
                    }
                }
            }
            assertTrue(cancelled > 0);
            try (SamImage image = Scene.image(context); SamResult result = await(model.predictAsync(image, Scene.click()))) {
                assertArrayEquals(expected, result.best().toBytes());
            }
        }
    }

    @Test
    void closing_the_context_ends_its_futures() throws Exception {
        for (int round = 0; round < 5; round++) {
            List<CompletableFuture<SamResult>> futures = new ArrayList<>();
            SamContext context = Scene.newContext();
            try (SamModel model = context.loadDemoModel()) {
                for (int i = 0; i < 6; i++) {
                    try (SamImage image = Scene.freshImage(context, i)) {
                        futures.add(model.predictAsync(image, Scene.click()));
                    }
                }
                context.close();
            }
            for (CompletableFuture<SamResult> future : futures) {
                try {
                    await(future).close();
                } catch (CancellationException ended) {
                    assertTrue(future.isCancelled());
                }
            }
        }
    }

    @Test
    void futures_go_on_when_nobody_holds_anything_but_them() throws Exception {
        byte[] expected = Scene.expectedMask();
        CompletableFuture<SamResult> future = submit();
        for (int i = 0; i < 20 && !future.isDone(); i++) {
            System.gc();
            Thread.sleep(5);
        }
        try (SamResult result = await(future)) {
            assertArrayEquals(expected, result.best().toBytes());
        }
    }

    private static CompletableFuture<SamResult> submit() {
        SamContext context = Scene.newContext();
        return context.loadDemoModel().predictAsync(Scene.image(context), Scene.click());
    }

    @Test
    void progress_is_told_and_a_handler_that_says_no_cancels() throws Exception {
        List<Double> told = new CopyOnWriteArrayList<>();
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            context.setProgressHandler(progress -> {
                told.add(progress.done());
                return progress.stage() != SamStage.ENCODING;
            });
            assertThrows(CancellationException.class, () -> await(model.predictAsync(image, Scene.click())));
            assertTrue(told.size() > 1);
            context.setProgressHandler(progress -> {
                throw new IllegalStateException("broken progress");
            });
            try (SamResult result = await(model.predictAsync(image, Scene.click()))) {
                assertArrayEquals(Scene.expectedMask(), result.best().toBytes());
            }
            context.setProgressHandler(null);
        }
    }
}
