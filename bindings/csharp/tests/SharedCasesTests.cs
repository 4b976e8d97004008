using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;

namespace SamMm.Tests
{
    internal static class SharedCasesTests
    {
        /// <summary>Writes the hashes of the masks, which the common runner compares with those of the other languages.</summary>
        [Test]
        private static void The_shared_cases_give_masks_and_their_hashes_are_written()
        {
            var file = (Dictionary<string, object>)Json.Parse(File.ReadAllText(Scene.CasesFile));
            var hashes = new SortedDictionary<string, string>(StringComparer.Ordinal);
            var logits = new Dictionary<string, float[]>();
            using (SamContext context = Scene.NewContext())
            using (SamModel model = context.LoadDemoModel())
            using (SamImage image = Scene.Image(context))
            {
                foreach (Dictionary<string, object> asked in ((List<object>)file["cases"]).Cast<Dictionary<string, object>>())
                {
                    var name = (string)asked["name"];
                    using (SamResult result = model.Predict(image, Request(asked, logits)))
                    {
                        IEnumerable<SamMask> best = Enumerable.Range(0, result.ObjectCount).Select(i => result.Best(i));
                        hashes.Add(name, Hash(best.SelectMany(mask => mask.ToBytes()).ToArray()));
                        logits.Add(name, result.Best().GetLogits());
                    }
                }
            }
            Check.That(hashes.Count > 3, "there are " + hashes.Count + " cases");
            Check.Equal(hashes.Count, hashes.Values.Distinct().Count(), "different masks");
            string target = Environment.GetEnvironmentVariable("SAM_MM_HASHES_OUT");
            if (!string.IsNullOrEmpty(target))
                File.WriteAllText(target, "{" + string.Join(", ", hashes.Select(hash => $"\"{hash.Key}\": \"{hash.Value}\"")) + "}");
        }

        private static SamRequest Request(Dictionary<string, object> asked, Dictionary<string, float[]> logits)
        {
            var request = new SamRequest { Multimask = (bool)asked["multimask"] };
            foreach (Dictionary<string, object> given in ((List<object>)asked["prompts"]).Cast<Dictionary<string, object>>())
            {
                var prompt = new SamPrompt();
                if (given.ContainsKey("points"))
                {
                    var labels = (List<object>)given["labels"];
                    var points = (List<object>)given["points"];
                    for (int i = 0; i < points.Count; i++)
                    {
                        float[] point = Floats(points[i]);
                        prompt.Add(point[0], point[1], Convert.ToInt32(labels[i]) == 1);
                    }
                }
                if (given.ContainsKey("box")) prompt.Box = Box(given["box"]);
                if (given.ContainsKey("mask_of")) prompt.MaskInput = logits[(string)given["mask_of"]];
                request.Prompts.Add(prompt);
            }
            request.Boxes.AddRange(((List<object>)asked["boxes"]).Select(Box));
            return request;
        }

        private static SamBox Box(object values)
        {
            float[] edges = Floats(values);
            return new SamBox(edges[0], edges[1], edges[2], edges[3]);
        }

        private static float[] Floats(object values) => ((List<object>)values).Select(Convert.ToSingle).ToArray();

        private static string Hash(byte[] bytes)
        {
            using (SHA256 sha = SHA256.Create())
                return string.Concat(sha.ComputeHash(bytes).Select(value => value.ToString("x2")));
        }
    }
}
