using System;
using System.Diagnostics;
using System.IO;
using System.Text;
using SamMm.Native;

namespace SamMm.Tests
{
    internal static class LibraryTests
    {
        private static readonly string Program = typeof(LibraryTests).Assembly.Location;

        /// <summary>Runs this program again; <paramref name="library"/> is SAM_MM_LIBRARY, null leaves it away.</summary>
        private static string RunChild(string program, string library, params string[] arguments) =>
            RunChild("coop", program, library, arguments);

        private static string RunChild(string suspension, string program, string library, string[] arguments)
        {
            var command = new StringBuilder("--debug \"" + program + "\" --child");
            foreach (string argument in arguments) command.Append(" \"" + argument + "\"");
            var start = new ProcessStartInfo("mono", command.ToString())
                { UseShellExecute = false, RedirectStandardOutput = true, StandardOutputEncoding = Encoding.UTF8 };
            start.EnvironmentVariables["MONO_THREADS_SUSPEND"] = suspension;
            start.EnvironmentVariables.Remove("SAM_MM_LIBRARY");
            if (library != null) start.EnvironmentVariables["SAM_MM_LIBRARY"] = library;
            using (Process process = Process.Start(start))
            {
                System.Threading.Tasks.Task<string> written = process.StandardOutput.ReadToEndAsync();
                if (!process.WaitForExit((int)TimeSpan.FromMinutes(3).TotalMilliseconds))
                {
                    process.Kill();
                    throw new CheckFailed("the child does not end; it wrote: " + written.Result);
                }
                string output = written.Result.Trim();
                Check.Equal(0, process.ExitCode, "exit code of the child, which wrote: " + output + "; status");
                return output;
            }
        }

        private static void InFolder(Action<string> test)
        {
            string folder = Path.Combine(Path.GetTempPath(), "Prüf ordner ü 日本 " + Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(folder);
            try
            {
                test(folder);
            }
            finally
            {
                Directory.Delete(folder, true);
            }
        }

        private static string Copy(string file, params string[] target)
        {
            string place = Path.Combine(target);
            Directory.CreateDirectory(Path.GetDirectoryName(place));
            File.Copy(file, place);
            return place;
        }

        [Test]
        private static void The_library_is_taken_from_a_path_with_spaces_and_letters_of_all_kinds()
        {
            InFolder(folder =>
            {
                string library = Copy(Given.Library, folder, "libsam_mm.so");
                Check.Equal(SamLibrary.Version + "|" + library, RunChild(Program, library, "where"), "by the environment");
                Check.Equal(SamLibrary.Version + "|" + library, RunChild(Program, null, "chosen", library), "by the property");
            });
        }

        [Test]
        private static void A_checkpoint_is_read_from_such_a_path_too()
        {
            InFolder(folder =>
            {
                string library = Copy(Given.Library, folder, "libsam_mm.so");
                string checkpoint = Copy(Given.DemoCheckpoint, folder, "weights é.safetensors");
                Check.Equal(checkpoint, RunChild(Program, library, "checkpoint", checkpoint), "name of the model");
            });
        }

        [Test]
        private static void The_library_is_found_beside_the_assembly_and_where_packages_put_it()
        {
            InFolder(folder =>
            {
                string program = Copy(Program, folder, "a", "SamMm.Tests.exe");
                string library = Copy(Given.Library, folder, "a", "libsam_mm.so");
                Check.Equal(SamLibrary.Version + "|" + library, RunChild(program, null, "where"), "beside it");
                program = Copy(Program, folder, "b", "SamMm.Tests.exe");
                library = Copy(Given.Library, folder, "b", "runtimes", LibraryLoader.RuntimeId, "native", "libsam_mm.so");
                Check.Equal(SamLibrary.Version + "|" + library, RunChild(program, null, "where"), "in runtimes");
            });
        }

        [Test]
        private static void A_program_ends_that_has_not_disposed_its_context()
        {
            Check.Equal("left", RunChild(Program, Given.Library, "leave"), "what it wrote");
        }

        [Test]
        private static void A_library_that_is_not_there_is_named()
        {
            string answer = RunChild(Program, "/nowhere/libsam_mm.so", "where");
            Check.Contains("DllNotFoundException", answer);
            Check.Contains("/nowhere/libsam_mm.so", answer);
            Check.Contains("SAM_MM_LIBRARY", answer);
        }

        [Test]
        private static void Mono_that_stops_threads_with_signals_is_refused()
        {
            foreach (string mode in new[] { "hybrid", "preemptive" })
            {
                string answer = RunChild(mode, Program, Given.Library, new[] { "where" });
                Check.Contains("PlatformNotSupportedException", answer);
                Check.Contains("MONO_THREADS_SUSPEND=coop", answer);
                Check.Contains(mode, answer);
            }
        }

        [Test]
        private static void Versions_of_library_and_assembly_are_told()
        {
            Check.That(SamLibrary.Version.Split('.').Length == 3, "version " + SamLibrary.Version);
            Check.Equal(Given.Library, SamLibrary.LoadedFrom, "file");
        }
    }
}
