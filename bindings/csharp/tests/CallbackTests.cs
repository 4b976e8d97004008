using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Threading;

namespace SamMm.Tests
{
    internal static class CallbackTests
    {
        [Test]
        private static void The_log_is_heard_until_its_handler_is_removed()
        {
            var lines = new ConcurrentQueue<SamLogLine>();
            using (SamContext context = Scene.NewContext(new SamContextOptions
                   { LogHandler = lines.Enqueue, LogLevel = SamLogLevel.Debug }))
            {
                context.LoadDemoModel().Dispose();
                Check.That(lines.Any(line => line.Message.Length > 0), "lines are heard");
                Check.That(lines.All(line => line.Level >= SamLogLevel.Error && line.Level <= SamLogLevel.Debug), "levels");
                context.SetLogHandler(null);
                int before = lines.Count;
                context.LoadDemoModel().Dispose();
                Check.Equal(before, lines.Count, "lines after the handler was removed");
                var second = new ConcurrentQueue<SamLogLine>();
                context.SetLogHandler(second.Enqueue, SamLogLevel.Debug);
                context.LoadDemoModel().Dispose();
                Check.That(second.Count > 0, "another handler hears lines");
            }
        }

        [Test]
        private static void What_a_handler_throws_is_told_and_the_call_goes_on()
        {
            var thrown = new ConcurrentQueue<Exception>();
            using (SamContext context = Scene.NewContext(new SamContextOptions
                   {
                       LogHandler = _ => throw new InvalidOperationException("the handler is broken"),
                       LogLevel = SamLogLevel.Debug
                   }))
            {
                context.CallbackFailed += thrown.Enqueue;
                context.CallbackFailed += _ => throw new Exception("and so is this one");
                context.SetMemoryEventHandler(_ => throw new InvalidOperationException("events too"));
                using (SamModel model = context.LoadDemoModel())
                using (SamImage image = Scene.Image(context))
                using (SamResult result = model.Predict(image, Scene.Click()))
                {
                    context.Optimize(true);
                    Check.SameBytes(Scene.ExpectedMask(), result.Best().ToBytes(), "mask");
                }
            }
            Check.That(thrown.Any(exception => exception.Message == "the handler is broken"), "the log's failure is told");
            Check.That(thrown.Any(exception => exception.Message == "events too"), "the events' failure is told");
        }

        [Test]
        private static void Memory_events_come_by_handler_and_by_queue()
        {
            var heard = new ConcurrentQueue<SamMemoryEvent>();
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                context.SetMemoryEventHandler(heard.Enqueue);
                model.Predict(image, Scene.Click()).Dispose();
                SamOptimizeReport report = context.Optimize(true);
                Check.That(report.Performed && report.EmbeddingCacheBytes > 0, "the embedding is given back");
                SamMemoryEvent optimized = heard.Single(happened => happened.Kind == SamMemoryEventKind.Optimized);
                Check.That(optimized.Message.Length > 0 && optimized.Bytes > 0, "it is told with bytes and words");
                bool polled = false;
                while (context.TryTakeMemoryEvent(out SamMemoryEvent next)) polled |= next.Number == optimized.Number;
                Check.That(polled, "the queue has it too");
                context.SetMemoryEventHandler(null);
                int before = heard.Count;
                context.Optimize(true);
                Check.Equal(before, heard.Count, "events after the handler was removed");
            }
        }

        [Test]
        private static void Inside_a_handler_questions_are_answered_and_predictions_refused()
        {
            SamMmException refused = null;
            string answer = null;
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                context.SetMemoryEventHandler(_ =>
                {
                    answer = context.GetMemoryInfo().Text;
                    refused = refused ?? Check.Throws<SamMmException>(() => model.Predict(image, Scene.Click()));
                });
                model.Encode(image);
                context.Optimize(true);
                Check.Contains("CPU", answer);
                Check.Equal(SamStatus.InvalidArgument, refused.Code, "code");
            }
        }

        [Test]
        private static void A_context_may_be_disposed_inside_its_handler()
        {
            var disposed = new ManualResetEventSlim();
            SamContext context = Scene.NewContext();
            context.SetMemoryEventHandler(_ =>
            {
                context.Dispose();
                disposed.Set();
            });
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                model.Encode(image);
                context.Optimize(true);
            }
            Check.That(disposed.IsSet, "the handler ran");
            Check.That(SpinWait.SpinUntil(() => IsDisposed(context), TimeSpan.FromSeconds(60)), "the context goes");
        }

        private static bool IsDisposed(SamContext context)
        {
            try
            {
                context.GetMemoryInfo();
                return false;
            }
            catch (ObjectDisposedException)
            {
                return true;
            }
        }

        [Test]
        private static void Memory_is_told_in_figures_and_as_JSON()
        {
            using (SamContext context = Scene.NewContext())
            {
                SamMemoryInfo before = context.GetMemoryInfo();
                Check.Contains("CPU", before.Text);
                Check.Equal<long?>(null, before.Used, "device memory of a CPU");
                Check.That(before.HostTotal > before.HostProcess && before.HostProcess > 0, "host memory");
                Check.Equal(SamMemoryLevel.Ok, context.CheckMemory().Level, "level");
                Check.Contains("\"operations\"", context.GetMemoryReportJson());
                Check.Equal("cpu", context.DescribeBackend().Device, "device");
                Check.Equal("torch", context.DescribeBackend().Name, "backend");
            }
        }
    }
}
