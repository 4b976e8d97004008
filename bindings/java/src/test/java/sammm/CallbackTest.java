package sammm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;

import org.junit.jupiter.api.Test;

class CallbackTest {
    @Test
    void the_log_is_heard_until_its_handler_is_removed() {
        List<String> lines = new CopyOnWriteArrayList<>();
        SamContextOptions options = Scene.options().log(SamLogLevel.DEBUG, (level, message) -> lines.add(level + message));
        try (SamContext context = new SamContext(options)) {
            context.loadDemoModel().close();
            assertFalse(lines.isEmpty());
            context.setLogHandler(SamLogLevel.DEBUG, null);
            int before = lines.size();
            context.loadDemoModel().close();
            assertEquals(before, lines.size());
            context.setLogHandler(SamLogLevel.DEBUG, (level, message) -> lines.add(message));
            context.loadDemoModel().close();
            assertTrue(lines.size() > before);
        }
    }

    @Test
    void what_a_handler_throws_is_told_and_the_call_goes_on() {
        List<String> thrown = new CopyOnWriteArrayList<>();
        SamContextOptions options = Scene.options().log(SamLogLevel.DEBUG, (level, message) -> {
            throw new IllegalStateException("the handler is broken");
        });
        try (SamContext context = new SamContext(options)) {
            context.onCallbackFailure(failure -> {
                thrown.add(failure.getMessage());
                throw new AssertionError("and so is this one");
            });
            context.setMemoryEventHandler(event -> {
                throw new StackOverflowError("events too");
            });
            try (SamModel model = context.loadDemoModel(); SamImage image = Scene.image(context);
                    SamResult result = model.predict(image, Scene.click())) {
                context.optimize(true);
                assertArrayEquals(Scene.expectedMask(), result.best().toBytes());
            }
        }
        assertTrue(thrown.contains("the handler is broken"), thrown.toString());
        assertTrue(thrown.contains("events too"), thrown.toString());
    }

    @Test
    void memory_events_come_by_handler_and_by_queue() {
        List<SamMemoryEvent> heard = new CopyOnWriteArrayList<>();
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            context.setMemoryEventHandler(heard::add);
            model.predict(image, Scene.click()).close();
            SamOptimizeReport report = context.optimize(true);
            assertTrue(report.performed() && report.embeddingCacheBytes() > 0);
            SamMemoryEvent optimized = heard.stream().filter(e -> e.kind() == SamMemoryEventKind.OPTIMIZED).findFirst().get();
            assertTrue(optimized.bytes() > 0 && !optimized.message().isEmpty());
            boolean polled = false;
            Optional<SamMemoryEvent> next = context.takeMemoryEvent();
            while (next.isPresent()) {
                polled |= next.get().number() == optimized.number();
                next = context.takeMemoryEvent();
            }
            assertTrue(polled);
            context.setMemoryEventHandler(null);
            int before = heard.size();
            context.optimize(true);
            assertEquals(before, heard.size());
        }
    }

    @Test
    void inside_a_handler_questions_are_answered_and_predictions_refused() {
        AtomicReference<SamMmException> refused = new AtomicReference<>();
        AtomicReference<String> answer = new AtomicReference<>();
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            context.setMemoryEventHandler(event -> {
                answer.set(context.memoryInfo().text());
                refused.compareAndSet(null,
                        assertThrows(SamMmException.class, () -> model.predict(image, Scene.click())));
            });
            model.encode(image);
            context.optimize(true);
        }
        assertTrue(answer.get().contains("CPU"));
        assertEquals(SamStatus.INVALID_ARGUMENT, refused.get().code());
    }

    @Test
    void a_context_may_be_closed_inside_its_handler() throws InterruptedException {
        SamContext context = Scene.newContext();
        context.setMemoryEventHandler(event -> context.close());
        try (SamModel model = context.loadDemoModel(); SamImage image = Scene.image(context)) {
            model.encode(image);
            context.optimize(true);
        }
        for (int i = 0; i < 6000 && !context.handle.isClosed(); i++) {
            Thread.sleep(10);
        }
        assertThrows(IllegalStateException.class, context::memoryInfo);
    }

    @Test
    void memory_is_told_in_figures_and_as_json() {
        try (SamContext context = Scene.newContext()) {
            SamMemoryInfo info = context.memoryInfo();
            assertTrue(info.text().contains("CPU"));
            assertNull(info.used());
            assertTrue(info.hostTotal() > info.hostProcess() && info.hostProcess() > 0);
            assertEquals(SamMemoryLevel.OK, context.checkMemory().level());
            assertTrue(context.memoryReportJson().contains("\"operations\""));
            assertEquals("cpu", context.describeBackend().device());
            assertEquals("torch", context.describeBackend().name());
            context.shouldCache(SamMemoryTier.HOST);
        }
    }
}
