using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace SamMm.Tests
{
    internal static class EverythingTests
    {
        private static SamEverythingOptions Few() =>
            new SamEverythingOptions { PointsPerSide = 6, PredIouThreshold = 0.5, StabilityScoreThreshold = 0.5 };

        [Test]
        private static void Everything_is_found_each_once_and_the_same_in_the_background()
        {
            using (SamImage image = Scene.Image())
            using (SamMaskSet set = Scene.Model.SegmentEverything(image, Few()))
            {
                Check.Equal(36L, set.PointCount, "points");
                Check.That(set.Masks.Count > 1, "masks: " + set.Masks.Count);
                foreach (SamFoundMask mask in set.Masks)
                {
                    byte[] bytes = mask.ToBytes();
                    Check.Equal(mask.Area, bytes.LongCount(value => value == 1), "area");
                    Check.Equal((long)bytes.Length, mask.ToRle().Counts.Sum(), "run lengths");
                    Check.That(mask.ToPolygons().Count > 0 && mask.PredictedIou > 0.5, "outlines and score");
                }
                using (SamMaskSet again = Scene.Model.SegmentEverythingAsync(image, Few()).GetAwaiter().GetResult())
                {
                    Check.Equal(set.Masks.Count, again.Masks.Count, "masks in the background");
                    for (int i = 0; i < set.Masks.Count; i++)
                        Check.SameBytes(set.Masks[i].ToBytes(), again.Masks[i].ToBytes(), "mask " + i);
                }
            }
        }

        [Test]
        private static void Prefetched_images_are_known_when_they_are_clicked_at()
        {
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            {
                using (SamImage image = Scene.Image(context)) model.Prefetch(image, 5);
                Check.That(SpinWait.SpinUntil(() => context.DescribePrefetch().Done == 1, TimeSpan.FromMinutes(2)),
                    "it is encoded: " + context.DescribePrefetch().Reason);
                using (SamImage image = Scene.Image(context))
                using (SamResult result = model.Predict(image, Scene.Click()))
                {
                    Check.That(result.EmbeddingReused, "the embedding was there");
                    Check.Equal<float?>(null, result.Best().ObjectScore, "object score of a model that gives none");
                }
                using (SamImage image = Scene.FreshImage(context, 9))
                {
                    model.Prefetch(image);
                    model.CancelPrefetch(image);
                    context.ClearPrefetch();
                    Check.Equal(0L, context.DescribePrefetch().Queued, "images that wait");
                }
            }
        }

        [Test]
        private static void Embeddings_on_disk_outlive_their_context()
        {
            string folder = Path.Combine(Path.GetTempPath(), "sam_mm embeddings ü " + Guid.NewGuid().ToString("N"));
            try
            {
                foreach (SamEmbeddingSource source in new[] { SamEmbeddingSource.Encoded, SamEmbeddingSource.Disk })
                {
                    using (SamContext context = Scene.NewContext(new SamContextOptions { EmbeddingDiskFolder = folder }))
                    using (SamModel model = context.LoadModel(Given.DemoCheckpoint))
                    using (SamImage image = Scene.Image(context))
                    using (SamResult result = model.Predict(image, Scene.Click()))
                    {
                        Check.Equal(source, result.EmbeddingSource, "where the embedding was");
                        Check.SameBytes(Scene.ExpectedMask(), result.Best().ToBytes(), "mask");
                    }
                }
            }
            finally
            {
                if (Directory.Exists(folder)) Directory.Delete(folder, true);
            }
        }
    }
}
