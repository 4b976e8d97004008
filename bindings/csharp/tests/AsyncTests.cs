using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using SamMm.Native;

namespace SamMm.Tests
{
    internal static class AsyncTests
    {
        private sealed class Heard : IProgress<double>
        {
            public readonly ConcurrentQueue<double> Values = new ConcurrentQueue<double>();

            public void Report(double value) => Values.Enqueue(value);
        }

        private static T Wait<T>(Task<T> task)
        {
            Check.That(((IAsyncResult)task).AsyncWaitHandle.WaitOne(TimeSpan.FromMinutes(3)), "the task ends");
            return task.GetAwaiter().GetResult();
        }

        [Test]
        private static void Tasks_load_process_encode_and_predict()
        {
            using (SamContext context = Scene.NewContext())
            using (SamModel model = Wait(context.LoadModelAsync(Given.DemoCheckpoint)))
            using (SamImage image = Scene.Image(context))
            {
                Check.Equal(Given.DemoCheckpoint, model.Info.Name, "name");
                Wait(model.EncodeAsync(image).ContinueWith(done => done.Status));
                using (SamResult result = Wait(model.PredictAsync(image, Scene.Click())))
                {
                    Check.That(result.EmbeddingReused, "encoding was done before");
                    Check.SameBytes(Scene.ExpectedMask(), result.Best().ToBytes(), "mask");
                }
                using (SamDisplay display = Wait(image.ProcessAsync(new SamDisplayOptions { TargetSize = 700 })))
                    Check.Equal(800, display.Width, "width, so that the height is 600");
            }
        }

        [Test]
        private static void Progress_rises_to_one()
        {
            var heard = new Heard();
            using (SamContext context = Scene.NewContext())
            using (SamModel model = Wait(context.LoadDemoModelAsync()))
            using (SamImage image = Scene.Image(context))
                Wait(model.PredictAsync(image, Scene.Click(), CancellationToken.None, heard)).Dispose();
            double[] values = heard.Values.ToArray();
            Check.That(values.Length > 2, "progress was told " + values.Length + " times");
            Check.That(values.Zip(values.Skip(1), (a, b) => a <= b).All(rises => rises), "it rises");
            Check.Equal(1.0, values.Last(), "the last one");
        }

        [Test]
        private static void A_job_is_told_of_all_its_progress_however_early_it_comes()
        {
            var everything = new ConcurrentQueue<SamProgress>();
            var heard = new List<Heard>();
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                model.Predict(image, Scene.Click()).Dispose();
                context.SetProgressHandler(progress =>
                {
                    everything.Enqueue(progress);
                    return true;
                });
                // These are answered from caches, many of them before the call that submits them returns.
                for (int i = 0; i < 200; i++)
                {
                    heard.Add(new Heard());
                    Wait(model.PredictAsync(image, Scene.Click(), CancellationToken.None, heard[i])).Dispose();
                }
                Check.Equal(0, context.JobProgress.EarlyCount, "jobs that something is still kept of");
            }
            // One job after the other: the order of their numbers.
            List<double[]> told = everything.GroupBy(progress => progress.Id).OrderBy(job => job.Key)
                .Select(job => job.Select(progress => progress.Done).Distinct().ToArray()).ToList();
            Check.Equal(heard.Count, told.Count, "jobs with progress");
            for (int i = 0; i < told.Count; i++)
                Check.That(told[i].SequenceEqual(heard[i].Values),
                    "job " + i + " was at " + string.Join(" ", told[i]) + ", told " + string.Join(" ", heard[i].Values));
        }

        [Test]
        private static void What_is_told_before_the_number_of_a_job_is_known_comes_later_and_in_order()
        {
            var all = new JobProgress();
            var heard = new Heard();
            var relay = new ProgressRelay(all, heard);
            all.Tell(7, 0.05);
            all.BeginSubmitting();
            all.Tell(7, 0.1);
            all.Tell(8, 0.7);
            all.Tell(7, 0.2);
            relay.Follow(7);
            Check.Equal(0, heard.Values.Count, "told by the thread that submits");
            all.Tell(7, 0.3);
            all.EndSubmitting();
            Check.Equal(0, all.EarlyCount, "jobs that something is kept of when none is submitted");
            all.Tell(7, 0.3);
            all.Tell(7, 0.9);
            relay.End(7, true);
            all.Tell(7, 2);
            Check.Equal("0.1 0.2 0.3 0.9 1", Text(heard), "progress");
        }

        [Test]
        private static void A_job_that_ends_before_its_number_is_known_is_told_of_all_its_progress()
        {
            foreach (bool succeeded in new[] { true, false })
            {
                var all = new JobProgress();
                var heard = new Heard();
                var relay = new ProgressRelay(all, heard);
                all.BeginSubmitting();
                all.Tell(7, 0.5);
                all.Tell(8, 0.6);
                relay.End(7, succeeded);
                Check.Equal(succeeded ? "0.5 1" : "0.5", Text(heard), "progress");
                relay.Follow(7);
                all.Tell(7, 2);
                all.Forget(8);
                all.EndSubmitting();
                Check.Equal(succeeded ? "0.5 1" : "0.5", Text(heard), "progress afterwards");
            }
        }

        private static string Text(Heard heard) =>
            string.Join(" ", heard.Values.Select(value => value.ToString(CultureInfo.InvariantCulture)));

        [Test]
        private static void What_is_wrong_is_thrown_at_once_and_what_fails_by_the_task()
        {
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                Check.Equal(SamStatus.InvalidArgument, Check.Throws<SamMmException>(
                    () => model.PredictAsync(image, new SamPrompt().Add(-5, 0))).Code, "a wrong point");
                Task<SamModel> missing = context.LoadModelAsync("no such file.pth");
                Check.Equal(SamStatus.Io, Check.Throws<SamMmException>(() => Wait(missing)).Code, "a missing file");
                Check.That(missing.IsFaulted, "the task is faulted");
            }
        }

        [Test]
        private static void A_token_cancelled_before_submits_nothing()
        {
            using (SamImage image = Scene.Image())
            {
                Task<SamResult> task = Scene.Model.PredictAsync(image, Scene.Click(), new CancellationToken(true));
                Check.That(task.IsCanceled, "the task is cancelled");
            }
        }

        [Test]
        private static void Cancelling_in_flight_cancels_the_task_and_harms_nothing()
        {
            byte[] expected = Scene.ExpectedMask();
            int cancelled = 0;
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            {
                for (int i = 0; i < 20; i++)
                {
                    using (var source = new CancellationTokenSource())
                    using (SamImage image = Scene.FreshImage(context, i))
                    {
                        Task<SamResult>[] tasks = Enumerable.Range(0, 3)
                            .Select(_ => model.PredictAsync(image, Scene.Click(), source.Token)).ToArray();
                        Thread.Sleep(i);
                        source.Cancel();
                        foreach (Task<SamResult> task in tasks)
                        {
                            try
                            {
                                Wait(task).Dispose();
                            }
                            catch (OperationCanceledException)
                            {
                                cancelled++;
                                Check.That(task.IsCanceled, "the task is cancelled");
                            }
                        }
                    }
                }
                Check.That(cancelled > 0, "some were cancelled in time");
                using (SamImage image = Scene.Image(context))
                using (SamResult result = Wait(model.PredictAsync(image, Scene.Click())))
                    Check.SameBytes(expected, result.Best().ToBytes(), "mask afterwards");
            }
        }

        [Test]
        private static void Disposing_the_context_ends_its_tasks()
        {
            for (int round = 0; round < 5; round++)
            {
                SamContext context = Scene.NewContext();
                var tasks = new List<Task<SamResult>>();
                using (SamModel model = context.LoadDemoModel())
                {
                    for (int i = 0; i < 6; i++)
                    {
                        using (SamImage image = Scene.FreshImage(context, i))
                            tasks.Add(model.PredictAsync(image, Scene.Click()));
                    }
                    context.Dispose();
                }
                foreach (Task<SamResult> task in tasks)
                {
                    Check.That(task.IsCompleted || SpinWait.SpinUntil(() => task.IsCompleted, TimeSpan.FromMinutes(1)), "it ends");
                    if (task.Status == TaskStatus.RanToCompletion) task.Result.Dispose();
                    else Check.That(task.IsCanceled, "cancelled, and not " + task.Exception);
                }
            }
        }

        [Test]
        private static void Tasks_go_on_when_nobody_holds_anything_but_them()
        {
            byte[] expected = Scene.ExpectedMask();
            Task<SamResult> task = Submit();
            for (int i = 0; i < 10 && !task.IsCompleted; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
            using (SamResult result = Wait(task)) Check.SameBytes(expected, result.Best().ToBytes(), "mask");
        }

        private static Task<SamResult> Submit()
        {
            SamContext context = Scene.NewContext();
            return context.LoadDemoModel().PredictAsync(Scene.Image(context), Scene.Click());
        }

        [Test]
        private static void A_progress_object_that_throws_spoils_nothing()
        {
            var told = new ConcurrentQueue<Exception>();
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                context.CallbackFailed += told.Enqueue;
                using (SamResult result = Wait(model.PredictAsync(image, Scene.Click(), CancellationToken.None, new Broken())))
                    Check.SameBytes(Scene.ExpectedMask(), result.Best().ToBytes(), "mask");
            }
            Check.That(told.Any(failure => failure.Message == "broken progress"), "its failure is told");
        }

        private sealed class Broken : IProgress<double>
        {
            public void Report(double value) => throw new InvalidOperationException("broken progress");
        }

        [Test]
        private static void A_progress_handler_that_says_no_cancels_the_task()
        {
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            {
                context.SetProgressHandler(progress => progress.Stage != SamStage.Encoding);
                using (SamImage image = Scene.Image(context))
                {
                    Check.Throws<OperationCanceledException>(() => Wait(model.PredictAsync(image, Scene.Click())));
                    context.SetProgressHandler(null);
                    using (SamResult result = model.Predict(image, Scene.Click()))
                        Check.SameBytes(Scene.ExpectedMask(), result.Best().ToBytes(), "mask");
                }
            }
        }
    }
}
