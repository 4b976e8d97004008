using System;
using System.IO;
using System.Linq;

namespace SamMm.Tests
{
    internal static class ErrorTests
    {
        [Test]
        private static void A_missing_checkpoint_is_told_with_its_path()
        {
            var failure = Check.Throws<SamMmException>(() => Scene.Context.LoadModel("no such folder/ü 日本.pth"));
            Check.Equal(SamStatus.Io, failure.Code, "code");
            Check.Contains("ü 日本.pth", failure.Message);
            Check.Contains("(Io)", failure.ToString());
            foreach (string cause in failure.Causes) Check.Contains(cause, failure.ToString());
        }

        [Test]
        private static void A_damaged_checkpoint_is_told_as_one()
        {
            byte[] damaged = File.ReadAllBytes(Given.DemoCheckpoint).Take(5000).ToArray();
            Check.Equal(SamStatus.Checkpoint, Check.Throws<SamMmException>(() => Scene.Context.LoadModel(damaged)).Code, "code");
        }

        [Test]
        private static void Points_outside_of_the_image_are_refused_with_their_value()
        {
            using (SamImage image = Scene.Image())
            {
                var failure = Check.Throws<SamMmException>(() => Scene.Model.Predict(image, new SamPrompt().Add(4711, 5)));
                Check.Equal(SamStatus.InvalidArgument, failure.Code, "code");
                Check.Contains("4711", failure.Message);
            }
        }

        [Test]
        private static void Empty_requests_and_too_few_bytes_are_refused()
        {
            using (SamImage image = Scene.Image())
            {
                Check.Equal(SamStatus.InvalidArgument,
                    Check.Throws<SamMmException>(() => Scene.Model.Predict(image, new SamRequest())).Code, "no object");
                Check.Equal(SamStatus.InvalidArgument,
                    Check.Throws<SamMmException>(() => Scene.Model.Predict(image, new SamPrompt())).Code, "an empty prompt");
            }
            Check.Equal(SamStatus.InvalidArgument,
                Check.Throws<SamMmException>(() => Scene.Context.CreateImage(new byte[10], 100, 100)).Code, "ten bytes");
            Check.Throws<ArgumentOutOfRangeException>(() => Scene.Context.CreateImage(new byte[10], -1, 1));
            Check.Throws<ArgumentNullException>(() => Scene.Model.Predict(null, Scene.Click()));
        }

        [Test]
        private static void A_backend_that_is_not_there_is_told_with_every_path_tried()
        {
            using (var context = new SamContext(new SamContextOptions { BackendPath = "/nowhere/backend.so" }))
            {
                var failure = Check.Throws<SamMmException>(() => context.LoadDemoModel());
                Check.Equal(SamStatus.BackendNotFound, failure.Code, "code");
                Check.Contains("/nowhere/backend.so", failure.ToString());
            }
        }

        [Test]
        private static void Options_out_of_their_range_are_refused()
        {
            Check.Equal(SamStatus.InvalidArgument, Check.Throws<SamMmException>(
                () => new SamContext(new SamContextOptions { Memory = new SamMemoryOptions { Fraction = 7 } })).Code, "fraction");
            Check.Throws<ArgumentOutOfRangeException>(
                () => new SamContext(new SamContextOptions { EmbeddingCacheBytes = -1 }));
        }

        [Test]
        private static void What_was_disposed_refuses_and_may_be_disposed_again()
        {
            SamContext context = Scene.NewContext();
            SamImage image = Scene.Image(context);
            image.Dispose();
            image.Dispose();
            Check.Throws<ObjectDisposedException>(() => image.Process());
            context.Dispose();
            context.Dispose();
            Check.Throws<ObjectDisposedException>(() => context.GetMemoryInfo());
            SamResult result;
            using (SamImage scene = Scene.Image()) result = Scene.Model.Predict(scene, Scene.Click());
            SamMask mask = result.Best();
            result.Dispose();
            Check.Throws<ObjectDisposedException>(() => mask.ToBytes());
        }

        [Test]
        private static void Models_and_images_of_two_contexts_do_not_mix()
        {
            using (SamContext other = Scene.NewContext())
            using (SamImage image = Scene.Image(other))
            {
                Check.Equal(SamStatus.InvalidArgument,
                    Check.Throws<SamMmException>(() => Scene.Model.Predict(image, Scene.Click())).Code, "code");
            }
        }
    }
}
