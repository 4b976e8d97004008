using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace SamMm.Tests
{
    internal static class StressTests
    {
        /// <summary>Runs an action again and again on a thread until the answer is disposed.</summary>
        private sealed class Meanwhile : IDisposable
        {
            private readonly Thread thread;
            private volatile bool done;

            public Meanwhile(Action action)
            {
                thread = new Thread(() =>
                {
                    while (!done) action();
                });
                thread.Start();
            }

            public void Dispose()
            {
                done = true;
                thread.Join();
            }
        }

        private static void Collect()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Yield();
        }

        [Test]
        private static void Collections_while_predicting_disturb_nothing()
        {
            byte[] expected = Scene.ExpectedMask();
            using (new Meanwhile(Collect))
            {
                using (SamContext context = Scene.NewContext())
                using (SamModel model = context.LoadDemoModel())
                {
                    context.SetLogHandler(line => GC.KeepAlive(new byte[1000]), SamLogLevel.Debug);
                    for (int i = 0; i < 8; i++)
                    {
                        using (SamImage image = Scene.FreshImage(context, i))
                        using (SamResult result = model.Predict(image, Scene.Click()))
                            Check.Equal(image.Width, result.Width, "width");
                        using (SamImage image = Scene.Image(context))
                        using (SamResult result = model.Predict(image, Scene.Click()))
                            Check.SameBytes(expected, result.Best().ToBytes(), "mask " + i);
                    }
                }
            }
        }

        [Test]
        private static void What_nobody_disposed_is_collected_and_freed()
        {
            byte[] expected = Scene.ExpectedMask();
            for (int i = 0; i < 6; i++) LeaveEverythingBehind(expected);
            Collect();
            Collect();
            Check.SameBytes(expected, Scene.ExpectedMask(), "mask afterwards");
        }

        private static void LeaveEverythingBehind(byte[] expected)
        {
            SamContext context = Scene.NewContext();
            context.SetLogHandler(line => { }, SamLogLevel.Debug);
            SamModel model = context.LoadDemoModel();
            SamResult result = model.Predict(Scene.Image(context), Scene.Click());
            Check.SameBytes(expected, result.Best().ToBytes(), "mask");
            result.Masks[0].ToPolygons();
        }

        [Test]
        private static void Disposing_on_another_thread_during_calls_gives_results_or_refusals()
        {
            byte[] expected = Scene.ExpectedMask();
            int results = 0;
            for (int round = 0; round < 6; round++)
            {
                SamContext context = Scene.NewContext();
                SamModel model = context.LoadDemoModel();
                SamImage image = Scene.Image(context);
                var started = new CountdownEvent(2);
                var predicted = new ManualResetEventSlim();
                Task<int>[] callers = Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
                {
                    int count = 0;
                    started.Signal();
                    while (true)
                    {
                        try
                        {
                            using (SamResult result = model.Predict(image, Scene.Click()))
                                Check.SameBytes(expected, result.Best().ToBytes(), "mask");
                            count++;
                            predicted.Set();
                        }
                        catch (ObjectDisposedException)
                        {
                            return count;
                        }
                    }
                })).ToArray();
                started.Wait();
                // Some rounds end at the beginning of a call, the others whenever it is after a result, on a slow machine too.
                if (round > 2) Check.That(predicted.Wait(TimeSpan.FromMinutes(3)), "a prediction is made");
                Thread.Sleep(round % 3 * 15);
                foreach (IDisposable part in new IDisposable[] { image, context, model, image, context, model }) part.Dispose();
                results += callers.Sum(caller => caller.Result);
            }
            Check.That(results > 0, "some predictions were made before");
            Check.SameBytes(expected, Scene.ExpectedMask(), "mask afterwards");
        }

        [Test]
        private static void Many_threads_share_one_model()
        {
            byte[] expected = Scene.ExpectedMask();
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                Parallel.For(0, 16, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
                {
                    using (SamResult result = model.Predict(image, Scene.Click()))
                        Check.SameBytes(expected, result.Best().ToBytes(), "mask " + i);
                    context.GetMemoryInfo();
                    if (i % 5 == 0) context.Optimize(true);
                });
            }
        }

        [Test]
        private static void Handlers_are_exchanged_while_others_predict()
        {
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            {
                int number = 0;
                using (new Meanwhile(() =>
                       {
                           using (SamImage image = Scene.FreshImage(context, Interlocked.Increment(ref number)))
                               model.Predict(image, Scene.Click()).Dispose();
                           context.Optimize(true);
                       }))
                {
                    for (int i = 0; i < 200; i++)
                    {
                        var alive = new List<int> { i };
                        context.SetLogHandler(line => alive.Add(1), SamLogLevel.Debug);
                        context.SetMemoryEventHandler(happened => alive.Add(2));
                        context.SetLogHandler(null);
                        context.SetMemoryEventHandler(null);
                        int before = alive.Count;
                        if (i % 20 == 0) Collect();
                        Check.Equal(before, alive.Count, "calls after removal");
                    }
                }
            }
        }
    }
}
