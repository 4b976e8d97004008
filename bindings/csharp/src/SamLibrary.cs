using System;
using System.Runtime.CompilerServices;
using SamMm.Native;

namespace SamMm
{
    /// <summary>The shared library behind these classes.</summary>
    public static unsafe class SamLibrary
    {
        /// <summary>
        /// The file of the library, to be set before anything else here is used. Null (default): the environment variable
        /// <c>SAM_MM_LIBRARY</c>, then the folder of this assembly and of the program, each with
        /// <c>runtimes/&lt;rid&gt;/native</c>, then the search of the system.
        /// </summary>
        public static string Path { get; set; }

        /// <summary>Version of the loaded library, such as <c>0.1.0</c>.</summary>
        public static string Version
        {
            get
            {
                LibraryLoader.Prepare();
                return LoadedVersion();
            }
        }

        // Methods of their own: a runtime may look for the library when it compiles what calls it.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static string LoadedVersion() => Utf8.Read(NativeMethods.sam_mm_version());

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static uint LoadedAbi() => NativeMethods.sam_mm_abi_version();

        /// <summary>The file that was loaded; null when the search of the system found it.</summary>
        public static string LoadedFrom
        {
            get
            {
                CheckAbi();
                return LibraryLoader.Chosen;
            }
        }

        /// <summary>Refuses a library whose binary interface is another one than these classes were made for.</summary>
        internal static void CheckAbi()
        {
            CheckRuntime();
            LibraryLoader.Prepare();
            uint loaded = LoadedAbi();
            if (loaded != NativeMethods.SAM_MM_ABI_VERSION)
            {
                throw new DllNotFoundException("the library " + (LibraryLoader.Chosen ?? LibraryLoader.FileName) + " (version " + Version
                    + ") has version " + loaded + " of the binary interface, and this assembly needs version "
                    + NativeMethods.SAM_MM_ABI_VERSION + "; install a library and an assembly of the same version");
            }
        }

        /// <summary>
        /// Refuses Mono in a mode in which a collection would damage memory. Mono stops threads with signals whose handler
        /// runs on the stack of the thread, and libtorch's kernels for CPUs (oneDNN) use the stack pointer for other things:
        /// the handler would write into somebody's data. In the mode "coop" threads in native code are not stopped.
        /// </summary>
        private static void CheckRuntime()
        {
            bool isMono = Type.GetType("Mono.Runtime") != null;
            bool isUnix = System.IO.Path.DirectorySeparatorChar == '/';
            string mode = Environment.GetEnvironmentVariable("MONO_THREADS_SUSPEND");
            if (isMono && isUnix && mode != "coop")
            {
                throw new PlatformNotSupportedException("Mono stops threads with signals, which native code for CPUs cannot bear; "
                    + "start the program with the environment variable MONO_THREADS_SUSPEND=coop (it is "
                    + (mode == null ? "not set" : "\"" + mode + "\"") + ")");
            }
        }
    }
}
