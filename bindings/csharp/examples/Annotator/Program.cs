using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using SamMm;

namespace Annotator
{
    /// <summary>
    /// Annotates pictures from the console: commands come from the standard input, one a line, and `help` lists them. It shows
    /// what an annotation tool does with sam-mm: prepare the next picture while the user is at this one, click, look, undo, save.
    /// </summary>
    internal static class Program
    {
        private const string Help =
            "open FILE        shows a picture (binary PPM)\n" +
            "prefetch FILE…   prepares pictures in the background\n" +
            "click X Y        a point in the object\n" +
            "not X Y          a point outside of it\n" +
            "box X0 Y0 X1 Y1  a box around it\n" +
            "undo             takes the last click or box back\n" +
            "clear            begins another object\n" +
            "save FILE        writes the mask (PGM, 255 in the object)\n" +
            "memory           says how memory stands\n" +
            "quit             ends";

        private static int Main(string[] arguments)
        {
            string checkpoint = arguments.FirstOrDefault();
            try
            {
                using (var context = new SamContext())
                using (SamModel model = checkpoint == null ? context.LoadDemoModel() : context.LoadModel(checkpoint))
                using (var session = new Session(context, model))
                {
                    Console.WriteLine("Model: {0} {1} on {2}; `help` lists the commands", model.Info.Family, model.Info.Variant,
                        model.Info.Device);
                    for (string line = Console.ReadLine(); line != null; line = Console.ReadLine())
                        if (!Answer(session, line)) break;
                }
                return 0;
            }
            catch (SamMmException failure)
            {
                Console.Error.WriteLine(failure);
                return 1;
            }
        }

        /// <summary>Carries a command out; false ends the program.</summary>
        private static bool Answer(Session session, string line)
        {
            string[] words = line.Split(new[] { ' ', '\t' }, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0) return true;
            try
            {
                switch (words[0])
                {
                    case "open":
                        Console.WriteLine(session.Open(words[1]));
                        return true;
                    case "prefetch":
                        foreach (string file in words.Skip(1)) session.Prefetch(file);
                        return true;
                    case "click":
                    case "not":
                        float[] point = Numbers(words, 2);
                        Console.WriteLine(session.Change(prompt => prompt.Add(point[0], point[1], words[0] == "click")));
                        return true;
                    case "box":
                        float[] box = Numbers(words, 4);
                        Console.WriteLine(session.Change(prompt => prompt.Box = new SamBox(box[0], box[1], box[2], box[3])));
                        return true;
                    case "undo":
                        Console.WriteLine(session.Undo());
                        return true;
                    case "clear":
                        session.Clear();
                        return true;
                    case "save":
                        Console.WriteLine(session.Save(words[1]));
                        return true;
                    case "memory":
                        Console.WriteLine(session.Memory());
                        return true;
                    case "quit":
                        return false;
                    default:
                        Console.WriteLine(Help);
                        return true;
                }
            }
            // What a person can put right ends no session.
            catch (Exception failure) when (failure is SamMmException || failure is IOException || failure is FormatException
                                            || failure is InvalidOperationException || failure is IndexOutOfRangeException)
            {
                Console.WriteLine("! " + (failure is IndexOutOfRangeException ? "something is missing behind " + words[0] : failure.Message));
                return true;
            }
        }

        private static float[] Numbers(string[] words, int count)
        {
            if (words.Length != count + 1) throw new FormatException(words[0] + " needs " + count + " numbers");
            return words.Skip(1).Select(word => float.Parse(word, CultureInfo.InvariantCulture)).ToArray();
        }
    }

    /// <summary>The picture that is shown, and what was done to it.</summary>
    internal sealed class Session : IDisposable
    {
        private readonly SamContext context;
        private readonly SamModel model;
        private readonly Dictionary<string, Task> prefetched = new Dictionary<string, Task>();

        /// <summary>The prompt after each change; undoing takes the last one away.</summary>
        private readonly Stack<SamPrompt> prompts = new Stack<SamPrompt>();

        private SamImage image;
        private SamResult result;

        public Session(SamContext context, SamModel model)
        {
            this.context = context;
            this.model = model;
        }

        public string Open(string file)
        {
            Picture picture = Picture.Read(file);
            Clear();
            image?.Dispose();
            image = context.CreateImage(picture.Rgb, picture.Width, picture.Height);
            return file + ": " + picture.Width + " × " + picture.Height;
        }

        /// <summary>
        /// Encodes a picture while the user works at another one. The embedding stays in the cache, and is found by the pixels.
        /// </summary>
        public void Prefetch(string file)
        {
            Picture picture = Picture.Read(file);
            using (SamImage next = context.CreateImage(picture.Rgb, picture.Width, picture.Height))
                prefetched[file] = model.EncodeAsync(next);
        }

        public string Change(Action<SamPrompt> change)
        {
            SamPrompt changed = prompts.Count == 0 ? new SamPrompt() : Copy(prompts.Peek());
            change(changed);
            SamResult found = Predict(changed);
            prompts.Push(changed);
            Show(found);
            return Describe();
        }

        public string Undo()
        {
            if (prompts.Count == 0) throw new InvalidOperationException("there is nothing to undo");
            prompts.Pop();
            // Quick: what was predicted before is kept.
            Show(prompts.Count == 0 ? null : Predict(prompts.Peek()));
            return Describe();
        }

        public void Clear()
        {
            prompts.Clear();
            Show(null);
        }

        public string Save(string file)
        {
            if (result == null) throw new InvalidOperationException("there is no mask yet");
            Picture.WriteGray(file, result.Best().ToBytes(255), result.Width, result.Height);
            return file + " is written";
        }

        public string Memory()
        {
            int running = prefetched.Values.Count(task => !task.IsCompleted);
            SamCacheInfo kept = context.DescribeCache(SamCache.Embedding);
            return context.GetMemoryInfo().Text + "; " + kept.Entries + " pictures prepared, " + running + " in work";
        }

        private SamResult Predict(SamPrompt prompt)
        {
            if (image == null) throw new InvalidOperationException("open a picture first");
            // A single click leaves open whether the part or the whole is meant.
            bool isAmbiguous = prompt.Points.Count == 1 && prompt.Box == null;
            return model.Predict(image, prompt, isAmbiguous);
        }

        private void Show(SamResult found)
        {
            result?.Dispose();
            result = found;
        }

        private string Describe()
        {
            if (result == null) return "no object";
            SamMask best = result.Best();
            return string.Format(CultureInfo.InvariantCulture, "score {0:0.000}, {1} pixels, box {2}, {3}", best.Score, best.Area,
                best.BoundingBox, result.PredictionReused ? "known" : result.EmbeddingReused ? "picture known" : "encoded now");
        }

        private static SamPrompt Copy(SamPrompt prompt)
        {
            var copy = new SamPrompt { Box = prompt.Box };
            for (int i = 0; i < prompt.Points.Count; i++)
                copy.Add(prompt.Points[i].X, prompt.Points[i].Y, prompt.PointsInObject[i]);
            return copy;
        }

        public void Dispose()
        {
            result?.Dispose();
            image?.Dispose();
        }
    }
}
