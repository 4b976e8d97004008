using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;

namespace SamMm.Native
{
    /// <summary>
    /// Finds the shared library where packages and installers put it, which the runtimes do not do alike.
    /// </summary>
    internal static class LibraryLoader
    {
        private const string Name = "sam_mm";

        private static readonly object Gate = new object();
        private static bool isPrepared;
        private static string chosen;

        /// <summary>The file taken, or null when the search of the system decides.</summary>
        public static string Chosen => chosen;

        /// <summary>
        /// To be called before the first call into the library, which everything begins with that needs no object of it. Not
        /// left to a static constructor: Mono looks for the library before it runs that.
        /// </summary>
        public static void Prepare()
        {
            lock (Gate)
            {
                if (isPrepared) return;
                chosen = Find();
                Register();
                isPrepared = true;
            }
        }

        private static void Register()
        {
#if NET5_0_OR_GREATER
            NativeLibrary.SetDllImportResolver(typeof(LibraryLoader).Assembly, (requested, assembly, path) =>
                requested == Name && chosen != null ? NativeLibrary.Load(chosen) : IntPtr.Zero);
#else
            if (chosen == null) return;
            if (IsWindows)
            {
                // A library that is in the process is found by its name from then on.
                if (LoadLibraryEx(chosen, IntPtr.Zero, LoadWithAlteredSearchPath) == IntPtr.Zero)
                {
                    int code = Marshal.GetLastWin32Error();
                    if (code == BadExeFormat) throw new BadImageFormatException(WrongArchitecture(chosen));
                    throw new DllNotFoundException(chosen + " cannot be loaded: Windows error " + code);
                }
            }
            else
            {
                MapInMono(Name, chosen);
            }
#endif
        }

        private static string Find()
        {
            string wanted = SamLibrary.Path;
            string origin = "SamLibrary.Path";
            if (string.IsNullOrEmpty(wanted))
            {
                wanted = Environment.GetEnvironmentVariable("SAM_MM_LIBRARY");
                origin = "the environment variable SAM_MM_LIBRARY";
            }
            if (!string.IsNullOrEmpty(wanted))
            {
                if (!File.Exists(wanted))
                    throw new DllNotFoundException(origin + " is \"" + wanted + "\", and there is no such file");
                return Path.GetFullPath(wanted);
            }
            foreach (string candidate in Candidates())
                if (File.Exists(candidate)) return candidate;
            return null;
        }

        /// <summary>Every file looked for, in order; after these the system searches in its own way.</summary>
        public static IEnumerable<string> Candidates()
        {
            var folders = new List<string>();
            string beside = typeof(LibraryLoader).Assembly.Location;
            if (!string.IsNullOrEmpty(beside)) folders.Add(Path.GetDirectoryName(beside));
            folders.Add(AppDomain.CurrentDomain.BaseDirectory);
            foreach (string folder in folders)
            {
                yield return Path.Combine(folder, FileName);
                yield return Path.Combine(folder, "runtimes", RuntimeId, "native", FileName);
            }
        }

        public static string FileName =>
            IsWindows ? "sam_mm.dll" : IsMac ? "libsam_mm.dylib" : "libsam_mm.so";

        public static string RuntimeId
        {
            get
            {
                string system = IsWindows ? "win" : IsMac ? "osx" : "linux";
                return system + "-" + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
            }
        }

        private static bool IsWindows => RuntimeInformation.IsOSPlatform(OSPlatform.Windows);

        private static bool IsMac => RuntimeInformation.IsOSPlatform(OSPlatform.OSX);

#if !NET5_0_OR_GREATER
        private const uint LoadWithAlteredSearchPath = 8;
        private const int BadExeFormat = 193;

        private static string WrongArchitecture(string path) =>
            path + " is for another processor than this process (" + RuntimeId + ", " + 8 * IntPtr.Size + " bits)";

        private static void MapInMono(string name, string path)
        {
            try
            {
                mono_dllmap_insert(IntPtr.Zero, Text(name), null, Text(path), null);
            }
            catch (EntryPointNotFoundException)
            {
                // Not Mono: the runtime's own search has to find it.
            }
            catch (DllNotFoundException)
            {
                // The same, told in another way.
            }
        }

        private static byte[] Text(string text) => Encoding.UTF8.GetBytes(text + "\0");

        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl)]
        private static extern void mono_dllmap_insert(
            IntPtr assembly, byte[] dll, byte[] function, byte[] targetDll, byte[] targetFunction);

        [DllImport("kernel32", CharSet = CharSet.Unicode, SetLastError = true, EntryPoint = "LoadLibraryExW")]
        private static extern IntPtr LoadLibraryEx(string file, IntPtr reserved, uint flags);
#endif
    }
}
