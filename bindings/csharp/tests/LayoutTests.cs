using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using SamMm.Native;

namespace SamMm.Tests
{
    internal static class LayoutTests
    {
        /// <summary>A C program prints the size of every struct and the place of every field, and C# must find the same.</summary>
        [Test]
        private static void Every_struct_has_the_layout_that_a_C_compiler_gives_it()
        {
            var program = new StringBuilder("#include <stdio.h>\n#include <sam_mm.h>\nint main(void) {\n");
            var expected = new StringBuilder();
            int structs = 0;
            foreach (Type type in typeof(NativeMethods).Assembly.GetTypes()
                         .Where(type => type.IsValueType && type.Name.StartsWith("sam_mm_") && type.GetField("struct_size") != null)
                         .OrderBy(type => type.Name, StringComparer.Ordinal))
            {
                structs++;
                program.AppendLine("printf(\"" + type.Name + " %zu\\n\", sizeof(" + type.Name + "));");
                expected.Append(type.Name + " " + Marshal.SizeOf(type) + "\n");
                foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.Public))
                {
                    string name = type.Name + "." + field.Name;
                    program.AppendLine("printf(\"" + name + " %zu %zu\\n\", offsetof(" + type.Name + ", " + field.Name
                        + "), sizeof(((" + type.Name + " *)0)->" + field.Name + "));");
                    expected.Append(name + " " + Marshal.OffsetOf(type, field.Name) + " " + SizeOf(field) + "\n");
                }
            }
            program.AppendLine("return 0; }");
            Check.That(structs > 15, "only " + structs + " structs were found");
            Check.Equal(expected.ToString(), RunC(program.ToString()), "layout");
        }

        private static int SizeOf(FieldInfo field) =>
            field.FieldType.IsPointer ? IntPtr.Size : Marshal.SizeOf(field.FieldType);

        private static string RunC(string program)
        {
            string folder = Path.Combine(Path.GetTempPath(), "sam_mm-layout-" + Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(folder);
            try
            {
                string source = Path.Combine(folder, "layout.c");
                string binary = Path.Combine(folder, "layout");
                File.WriteAllText(source, program);
                Run("cc", "-I\"" + Path.Combine(Given.Root, "include") + "\" \"" + source + "\" -o \"" + binary + "\"");
                return Run(binary, "");
            }
            finally
            {
                Directory.Delete(folder, true);
            }
        }

        internal static string Run(string program, string arguments)
        {
            var start = new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true };
            using (Process process = Process.Start(start))
            {
                string output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Check.Equal(0, process.ExitCode, program + " " + arguments + " exits with (output: " + output + ")");
                return output;
            }
        }

        [Test]
        private static void The_numbers_of_the_enums_are_those_of_the_header()
        {
            SameNumbers<SamStatus>("SAM_MM_ERR_", NativeMethods.SAM_MM_ERR_INTERNAL + 1, "SAM_MM_OK");
            SameNumbers<SamPixelFormat>("SAM_MM_FORMAT_", 5);
            SameNumbers<SamCache>("SAM_MM_CACHE_", 3);
            SameNumbers<SamPrecision>("SAM_MM_PRECISION_", 3);
            SameNumbers<SamInterpolation>("SAM_MM_INTERPOLATION_", 4);
            SameNumbers<SamLogLevel>("SAM_MM_LOG_", 4);
            SameNumbers<SamMemorySource>("SAM_MM_SOURCE_", 4);
            SameNumbers<SamMemoryLevel>("SAM_MM_STATUS_", 4);
            SameNumbers<SamMemoryTier>("SAM_MM_TIER_", 2);
            SameNumbers<SamMemoryHealth>("SAM_MM_HEALTH_", 4);
            SameNumbers<SamMemoryEventKind>("SAM_MM_EVENT_", 10);
            SameNumbers<SamRecoveryRung>("SAM_MM_RUNG_", 5);
        }

        private static void SameNumbers<T>(string prefix, int count, string extra = null)
        {
            var constants = typeof(NativeMethods).GetFields(BindingFlags.Static | BindingFlags.NonPublic)
                .Where(field => field.IsLiteral && (field.Name.StartsWith(prefix) || field.Name == extra))
                .ToDictionary(field => field.Name.Replace(prefix, "").Replace("SAM_MM_", "").Replace("_", "").ToLowerInvariant(),
                    field => Convert.ToInt64(field.GetRawConstantValue()));
            Check.Equal(count, constants.Count, "constants " + prefix);
            foreach (object value in Enum.GetValues(typeof(T)))
            {
                string name = value.ToString().ToLowerInvariant();
                Check.That(constants.ContainsKey(name), prefix + " has no " + name);
                Check.Equal(constants[name], Convert.ToInt64(value), prefix + name);
            }
            Check.Equal(count, Enum.GetValues(typeof(T)).Length, "values of " + typeof(T).Name);
        }
    }
}
