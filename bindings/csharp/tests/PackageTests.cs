using System;
using System.Diagnostics;
using System.IO;
using SamMm.Native;

namespace SamMm.Tests
{
    internal static class PackageTests
    {
        private static readonly string Folder = Path.GetDirectoryName(typeof(PackageTests).Assembly.Location);

        /// <summary>What a package manager unpacks beside a program must be found by it.</summary>
        [Test]
        private static void A_package_has_the_library_where_the_assembly_looks_for_it()
        {
            string output = Path.Combine(Path.GetTempPath(), "sam_mm-package-" + Guid.NewGuid().ToString("N"));
            string script = Path.Combine(Given.Root, "bindings", "csharp", "pack.py");
            try
            {
                string package = LayoutTests.Run("python3", "\"" + script + "\" --assembly \"" + Path.Combine(Folder, "SamMm.dll")
                    + "\" --native linux-x64=\"" + Given.Library + "\" --out \"" + output + "\"").Trim();
                Check.That(package.EndsWith("SamMm.0.1.0.nupkg"), "name " + package);
                LayoutTests.Run("python3", "-m zipfile -e \"" + package + "\" \"" + output + "\"");
                Check.That(File.Exists(Path.Combine(output, "lib", "netstandard2.0", "SamMm.dll")), "assembly");
                Check.That(File.Exists(Path.Combine(output, "lib", "netstandard2.0", "SamMm.xml")), "documentation");
                string nuspec = File.ReadAllText(Path.Combine(output, "SamMm.nuspec"));
                Check.Contains("<id>SamMm</id>", nuspec);
                Check.Contains("<version>" + SamLibrary.Version + "</version>", nuspec);
                string place = Path.Combine(output, "runtimes", "linux-x64", "native", LibraryLoader.FileName);
                Check.SameBytes(File.ReadAllBytes(Given.Library), File.ReadAllBytes(place), "library");
            }
            finally
            {
                if (Directory.Exists(output)) Directory.Delete(output, true);
            }
        }

        [Test]
        private static void The_annotator_clicks_undoes_and_saves()
        {
            string mask = Path.Combine(Path.GetTempPath(), "sam_mm-mask-" + Guid.NewGuid().ToString("N") + ".pgm");
            string scene = Path.Combine(Path.GetDirectoryName(Scene.CasesFile), "scene.ppm");
            var start = new ProcessStartInfo("mono", "--debug \"" + Path.Combine(Folder, "Annotator.exe") + "\"")
                { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
            try
            {
                using (Process annotator = Process.Start(start))
                {
                    foreach (string command in new[]
                             {
                                 "prefetch " + scene, "undo", "open " + scene, "click 130.5 92.25", "save " + mask, "not 170 60.5",
                                 "undo", "click 9999 1", "memory", "quit"
                             })
                        annotator.StandardInput.WriteLine(command);
                    string output = annotator.StandardOutput.ReadToEnd();
                    annotator.WaitForExit();
                    Check.Equal(0, annotator.ExitCode, "exit code, after: " + output);
                    Check.Contains("! there is nothing to undo", output);
                    Check.Contains("192 × 144", output);
                    Check.Contains("known", output);
                    Check.Contains("9999", output);
                    Check.Contains("1 pictures prepared", output);
                }
                byte[] file = File.ReadAllBytes(mask);
                var pixels = new byte[Scene.Picture.Width * Scene.Picture.Height];
                Array.Copy(file, file.Length - pixels.Length, pixels, 0, pixels.Length);
                byte[] expected = Scene.ExpectedMask();
                for (int i = 0; i < expected.Length; i++) expected[i] *= 255;
                Check.SameBytes(expected, pixels, "the mask saved");
            }
            finally
            {
                File.Delete(mask);
            }
        }
    }
}
