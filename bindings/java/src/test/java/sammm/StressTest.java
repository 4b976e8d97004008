package sammm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

import org.junit.jupiter.api.Test;

class StressTest {
    /** Runs an action again and again on a thread until it is closed. */
    private static final class Meanwhile implements AutoCloseable {
        private volatile boolean done;
        private volatile Throwable failure;
        private final Thread thread;

        Meanwhile(Runnable action) {
            thread = new Thread(() -> {
                try {
                    while (!done) {
                        action.run();
                    }
                } catch (Throwable thrown) {
                    failure = thrown;
                }
            });
            thread.start();
        }

        @Override
        public void close() throws InterruptedException {
            done = true;
            thread.join();
            assertEquals(null, failure);
        }
    }

    @Test
    void collections_while_predicting_disturb_nothing() throws Exception {
        byte[] expected = Scene.expectedMask();
        try (Meanwhile collecting = new Meanwhile(System::gc);
                SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel()) {
            context.setLogHandler(SamLogLevel.DEBUG, (level, message) -> new ArrayList<>(1000));
            for (int i = 0; i < 8; i++) {
                try (SamImage image = Scene.freshImage(context, i)) {
                    Scene.predict(model, image);
                }
                try (SamImage image = Scene.image(context)) {
                    assertArrayEquals(expected, Scene.predict(model, image));
                }
            }
        }
    }

    @Test
    void what_nobody_closed_is_collected_and_freed() throws Exception {
        byte[] expected = Scene.expectedMask();
        List<WeakReference<SamContext>> left = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            left.add(leaveEverythingBehind(expected));
        }
        for (int i = 0; i < 500 && left.stream().anyMatch(context -> context.get() != null); i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertTrue(left.stream().allMatch(context -> context.get() == null), "contexts are collected");
        Thread.sleep(200);
        assertArrayEquals(expected, Scene.expectedMask());
    }

    private static WeakReference<SamContext> leaveEverythingBehind(byte[] expected) {
        SamContext context = Scene.newContext();
        context.setLogHandler(SamLogLevel.DEBUG, (level, message) -> { });
        SamModel model = context.loadDemoModel();
        SamResult result = model.predict(Scene.image(context), Scene.click());
        assertArrayEquals(expected, result.best().toBytes());
        result.best().toPolygons();
        return new WeakReference<>(context);
    }

    @Test
    void closing_on_another_thread_during_calls_gives_results_or_refusals() throws Exception {
        byte[] expected = Scene.expectedMask();
        int results = 0;
        for (int round = 0; round < 6; round++) {
            SamContext context = Scene.newContext();
            SamModel model = context.loadDemoModel();
            SamImage image = Scene.image(context);
            CountDownLatch started = new CountDownLatch(2);
            CountDownLatch predicted = new CountDownLatch(1);
            List<CompletableFuture<Integer>> callers = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                callers.add(CompletableFuture.supplyAsync(() -> {
                    int count = 0;
                    started.countDown();
                    while (true) {
                        try (SamResult result = model.predict(image, Scene.click())) {
                            assertArrayEquals(expected, result.best().toBytes());
                            count++;
                            predicted.countDown();
                        } catch (IllegalStateException closed) {
                            return count;
                        }
                    }
                }, task -> new Thread(task).start()));
            }
            started.await();
            // Some rounds end at the beginning of a call, the others whenever it is after a result, on a slow machine too.
            if (round > 2) {
                assertTrue(predicted.await(3, TimeUnit.MINUTES));
            }
            Thread.sleep(round % 3 * 15);
            for (AutoCloseable part : new AutoCloseable[] {image, context, model, image, context, model}) {
                part.close();
            }
            for (CompletableFuture<Integer> caller : callers) {
                results += caller.get(3, TimeUnit.MINUTES);
            }
        }
        assertTrue(results > 0, "some predictions were made before");
        assertArrayEquals(expected, Scene.expectedMask());
    }

    @Test
    void many_threads_share_one_model() {
        byte[] expected = Scene.expectedMask();
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            IntStream.range(0, 16).parallel().forEach(i -> {
                assertArrayEquals(expected, Scene.predict(model, image));
                context.memoryInfo();
                if (i % 5 == 0) {
                    context.optimize(true);
                }
            });
        }
    }

    @Test
    void handlers_are_exchanged_while_others_predict() throws Exception {
        AtomicInteger number = new AtomicInteger();
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                Meanwhile predicting = new Meanwhile(() -> {
                    try (SamImage image = Scene.freshImage(context, number.incrementAndGet())) {
                        Scene.predict(model, image);
                    }
                    context.optimize(true);
                })) {
            for (int i = 0; i < 200; i++) {
                AtomicInteger calls = new AtomicInteger();
                context.setLogHandler(SamLogLevel.DEBUG, (level, message) -> calls.incrementAndGet());
                context.setMemoryEventHandler(event -> calls.incrementAndGet());
                context.setLogHandler(SamLogLevel.DEBUG, null);
                context.setMemoryEventHandler(null);
                int before = calls.get();
                if (i % 20 == 0) {
                    System.gc();
                }
                assertEquals(before, calls.get(), "calls after removal");
            }
        }
    }
}
