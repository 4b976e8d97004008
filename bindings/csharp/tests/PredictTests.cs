using System;
using System.Collections.Generic;
using System.Linq;

namespace SamMm.Tests
{
    internal static class PredictTests
    {
        private static byte[] BestMask(SamImage image)
        {
            using (SamResult result = Scene.Model.Predict(image, Scene.Click())) return result.Best().ToBytes();
        }

        [Test]
        private static void A_click_gives_a_mask_that_holds_the_clicked_pixel()
        {
            using (SamImage image = Scene.Image())
            using (SamResult result = Scene.Model.Predict(image, Scene.Click()))
            {
                Check.Equal(1, result.ObjectCount, "objects");
                Check.Equal(Scene.Model.Info.MultimaskCount, result.Masks.Count, "masks");
                SamMask best = result.Best();
                Check.That(result.Masks.All(mask => mask.Score <= best.Score), "the best mask has the highest score");
                byte[] bytes = best.ToBytes();
                Check.Equal((byte)1, bytes[(int)Scene.Y * result.Width + (int)Scene.X], "the clicked pixel");
                Check.Equal(best.Area, bytes.LongCount(value => value == 1), "area");
                Check.Equal(0, bytes.Count(value => value > 1), "other values");
                Check.That(best.Area > 500 && best.Area < bytes.Length / 2, "area " + best.Area);
                SamBox box = best.BoundingBox;
                Check.Equal(Enumerable.Range(0, bytes.Length).Where(i => bytes[i] == 1).Min(i => i % result.Width), (int)box.X0, "x0");
                Check.Equal(Enumerable.Range(0, bytes.Length).Where(i => bytes[i] == 1).Max(i => i / result.Width) + 1, (int)box.Y1, "y1");
            }
        }

        [Test]
        private static void All_pixel_formats_of_one_picture_give_one_mask()
        {
            Ppm picture = Scene.Picture;
            byte[] rgb = picture.Rgb;
            int pixels = picture.Width * picture.Height;
            byte[] bgr = new byte[3 * pixels], rgba = new byte[4 * pixels], bgra = new byte[4 * pixels];
            for (int i = 0; i < pixels; i++)
            {
                for (int c = 0; c < 3; c++)
                {
                    bgr[3 * i + 2 - c] = rgb[3 * i + c];
                    rgba[4 * i + c] = rgb[3 * i + c];
                    bgra[4 * i + 2 - c] = rgb[3 * i + c];
                }
                rgba[4 * i + 3] = (byte)i;
                bgra[4 * i + 3] = (byte)(i * 7);
            }
            byte[] expected;
            using (SamImage image = Scene.Image()) expected = BestMask(image);
            using (SamImage image = Scene.Context.CreateImage(bgr, picture.Width, picture.Height, SamPixelFormat.Bgr8))
                Check.SameBytes(expected, BestMask(image), "BGR");
            using (SamImage image = Scene.Context.CreateImage(rgba, picture.Width, picture.Height, SamPixelFormat.Rgba8))
                Check.SameBytes(expected, BestMask(image), "RGBA");
            using (SamImage image = Scene.Context.CreateImage(bgra, picture.Width, picture.Height, SamPixelFormat.Bgra8))
                Check.SameBytes(expected, BestMask(image), "BGRA");
            using (SamImage image = Scene.Context.CreateImage(new ReadOnlySpan<byte>(rgb), picture.Width, picture.Height))
                Check.SameBytes(expected, BestMask(image), "a span");
        }

        [Test]
        private static void Rows_with_a_gap_are_read_and_written()
        {
            Ppm picture = Scene.Picture;
            int stride = 3 * picture.Width + 11;
            var padded = new byte[stride * picture.Height];
            for (int y = 0; y < picture.Height; y++)
                Array.Copy(picture.Rgb, 3 * picture.Width * y, padded, stride * y, 3 * picture.Width);
            byte[] expected;
            using (SamImage image = Scene.Image()) expected = BestMask(image);
            using (SamImage image = Scene.Context.CreateImage(
                       padded, picture.Width, picture.Height, SamPixelFormat.Rgb8, stride))
            using (SamResult result = Scene.Model.Predict(image, Scene.Click()))
            {
                Check.SameBytes(expected, result.Best().ToBytes(), "read");
                int width = picture.Width + 5;
                var target = Enumerable.Repeat((byte)77, width * picture.Height).ToArray();
                result.Best().CopyTo(new Span<byte>(target), 200, width);
                for (int i = 0; i < target.Length; i++)
                {
                    int x = i % width;
                    int wanted = x >= picture.Width ? 77 : expected[i / width * picture.Width + x] * 200;
                    Check.Equal(wanted, (int)target[i], "byte " + i + " of the padded mask");
                }
            }
        }

        [Test]
        private static void Run_lengths_and_outlines_say_the_same_as_the_bytes()
        {
            using (SamImage image = Scene.Image())
            using (SamResult result = Scene.Model.Predict(image, Scene.Click()))
            {
                SamMask mask = result.Best();
                byte[] bytes = mask.ToBytes();
                SamRle rle = mask.ToRle();
                Check.SameBytes(bytes, Decode(rle), "run lengths");
                Check.That(rle.Compressed.Length > 10, "compressed text " + rle.Compressed);
                double area = mask.ToPolygons().Sum(ring => -SignedArea(ring.Points));
                Check.Equal((double)mask.Area, Math.Abs(area), "area within the outlines");
                int exact = mask.ToPolygons().Sum(ring => ring.Points.Count);
                Check.That(mask.ToPolygons(2).Sum(ring => ring.Points.Count) < exact, "a tolerance leaves points out");
                Check.Equal(0, mask.ToPolygons(0, mask.Area + 1).Count, "rings above the smallest area");
            }
        }

        private static byte[] Decode(SamRle rle)
        {
            var bytes = new byte[rle.Width * rle.Height];
            int at = 0;
            byte value = 0;
            foreach (long count in rle.Counts)
            {
                for (long i = 0; i < count; i++, at++) bytes[at % rle.Height * rle.Width + at / rle.Height] = value;
                value = (byte)(1 - value);
            }
            Check.Equal(bytes.Length, at, "sum of the run lengths");
            return bytes;
        }

        private static double SignedArea(IReadOnlyList<SamPoint> ring)
        {
            double twice = 0;
            for (int i = 0; i < ring.Count; i++)
            {
                SamPoint a = ring[i], b = ring[(i + 1) % ring.Count];
                twice += (double)a.X * b.Y - (double)b.X * a.Y;
            }
            return twice / 2;
        }

        [Test]
        private static void Objects_by_prompts_come_before_those_by_boxes()
        {
            using (SamImage image = Scene.Image())
            {
                SamBox around;
                using (SamResult alone = Scene.Model.Predict(image, Scene.Click())) around = alone.Best().BoundingBox;
                var request = new SamRequest(Scene.Click()) { Multimask = false };
                request.Boxes.Add(around);
                request.Boxes.Add(new SamBox(2, 43, 83, 115));
                using (SamResult result = Scene.Model.Predict(image, request))
                {
                    Check.Equal(3, result.ObjectCount, "objects");
                    Check.Equal(3, result.Masks.Count, "masks");
                    Check.Equal(2, result.Masks[2].ObjectIndex, "object of the last mask");
                    byte[] byClick = result.Masks[0].ToBytes(), byBox = result.Masks[1].ToBytes();
                    int both = byClick.Where((value, i) => value == 1 && byBox[i] == 1).Count();
                    Check.That(both > 0.8 * byClick.Count(value => value == 1), "click and box find one object");
                }
            }
        }

        [Test]
        private static void Logits_of_a_result_refine_the_next()
        {
            using (SamImage image = Scene.Image())
            using (SamResult first = Scene.Model.Predict(image, Scene.Click()))
            {
                float[] logits = first.Best().GetLogits();
                Check.Equal(first.MaskSize * first.MaskSize, logits.Length, "logits");
                var refined = new SamPrompt { MaskInput = logits }.Add(Scene.X, Scene.Y).Add(170, 60.5f, false);
                using (SamResult second = Scene.Model.Predict(image, refined, false))
                    Check.Equal((byte)1, second.Masks[0].ToBytes()[(int)Scene.Y * second.Width + (int)Scene.X], "the pixel");
            }
        }

        [Test]
        private static void The_same_prompt_again_is_not_computed_again()
        {
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                using (SamResult first = model.Predict(image, Scene.Click()))
                {
                    Check.That(!first.PredictionReused && !first.EmbeddingReused, "the first one is computed");
                    Check.That(first.EncodeMs > 0, "encoding took time");
                }
                using (SamResult second = model.Predict(image, Scene.Click()))
                    Check.That(second.PredictionReused, "the second one is kept");
                Check.Equal(1L, context.GetMemoryReport().PredictionHits, "hits");
                Check.Equal(1L, context.DescribeCache(SamCache.Embedding).Entries, "embeddings");
                Check.That(context.ClearCache(SamCache.Embedding) > 0, "clearing gives bytes back");
                Check.Equal(0L, context.DescribeCache(SamCache.Embedding).Entries, "embeddings after clearing");
            }
        }

        [Test]
        private static void A_display_image_converts_there_and_back()
        {
            using (SamImage image = Scene.Image())
            using (SamDisplay display = image.Process(new SamDisplayOptions
                   { TargetSize = 384, MinSize = 0, Format = SamPixelFormat.Bgra8 }))
            {
                Check.Equal(384, display.Width, "width");
                Check.Equal(288, display.Height, "height");
                Check.Equal(4 * display.Width * display.Height, display.GetPixels().Length, "bytes");
                Check.Equal(new SamPoint(96, 72), display.ToOriginal(new SamPoint(192, 144)), "a point");
                Check.Equal(new SamBox(20, 40, 60, 80), display.ToDisplay(new SamBox(10, 20, 30, 40)), "a box");
                using (SamResult result = Scene.Model.Predict(image, Scene.Click()))
                {
                    byte[] mask = result.Best().ToBytes();
                    Check.SameBytes(mask, display.MaskToOriginal(display.MaskToDisplay(mask)), "a mask");
                }
            }
        }

        [Test]
        private static void Results_outlive_what_they_were_made_with()
        {
            SamResult result;
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
                result = model.Predict(image, Scene.Click());
            using (result) Check.SameBytes(Scene.ExpectedMask(), result.Best().ToBytes(), "mask");
        }
    }
}
