using System;
using System.IO;
using System.Text;

namespace SamMm.Tests
{
    /// <summary>The scene that the bindings share, and a demo model to click at it with.</summary>
    internal static class Scene
    {
        private static SamContext context;
        private static SamModel model;

        public static readonly Ppm Picture = Ppm.Read(Path.Combine(Path.GetDirectoryName(CasesFile), "scene.ppm"));

        public static string CasesFile => Given.Variable("SAM_MM_SHARED_CASES");

        /// <summary>In an object of the scene.</summary>
        public const float X = 130.5f, Y = 92.25f;

        public static SamContext Context
        {
            get
            {
                if (context == null) context = NewContext();
                return context;
            }
        }

        public static SamModel Model
        {
            get
            {
                if (model == null) model = Context.LoadDemoModel();
                return model;
            }
        }

        public static SamContext NewContext(SamContextOptions options = null)
        {
            options = options ?? new SamContextOptions();
            options.Device = "cpu";
            options.Threads = 1;
            return new SamContext(options);
        }

        public static SamImage Image(SamContext from = null) =>
            (from ?? Context).CreateImage(Picture.Rgb, Picture.Width, Picture.Height);

        /// <summary>The scene with other pixels, so that nothing of it is cached.</summary>
        public static SamImage FreshImage(SamContext from, int number)
        {
            var rgb = (byte[])Picture.Rgb.Clone();
            for (int i = 0; i < 4; i++) rgb[i] = (byte)(number >> (8 * i));
            return from.CreateImage(rgb, Picture.Width, Picture.Height);
        }

        public static SamPrompt Click() => new SamPrompt().Add(X, Y);

        /// <summary>The mask that the click gives, for comparison with what comes after something bad.</summary>
        public static byte[] ExpectedMask()
        {
            using (SamContext fresh = NewContext())
            using (SamModel loaded = fresh.LoadDemoModel())
            using (SamImage image = Image(fresh))
            using (SamResult result = loaded.Predict(image, Click()))
                return result.Best().ToBytes();
        }

        public static void Close()
        {
            model?.Dispose();
            context?.Dispose();
        }
    }

    /// <summary>A binary PPM picture.</summary>
    internal sealed class Ppm
    {
        public int Width, Height;
        public byte[] Rgb;

        public static Ppm Read(string path)
        {
            byte[] file = File.ReadAllBytes(path);
            int at = 0;
            string[] head = new string[4];
            for (int i = 0; i < head.Length; i++)
            {
                var word = new StringBuilder();
                while (file[at] > ' ') word.Append((char)file[at++]);
                at++;
                head[i] = word.ToString();
            }
            Check.Equal("P6", head[0], "kind of " + path);
            var picture = new Ppm { Width = int.Parse(head[1]), Height = int.Parse(head[2]) };
            picture.Rgb = new byte[3 * picture.Width * picture.Height];
            Array.Copy(file, at, picture.Rgb, 0, picture.Rgb.Length);
            return picture;
        }
    }
}
