using System;
using System.Collections.Generic;
using SamMm.Native;

namespace SamMm
{
    /// <summary>What went wrong, as a number: <c>SAM_MM_ERR_…</c> of the C API.</summary>
    public enum SamStatus
    {
        /// <summary>Success.</summary>
        Ok = 0,
        /// <summary>An argument is wrong; the message holds its name and value.</summary>
        InvalidArgument = 1,
        /// <summary>A handle is not alive. The classes here throw <see cref="ObjectDisposedException"/> before.</summary>
        InvalidHandle = 2,
        /// <summary>Well formed, but this build, backend or model cannot serve it.</summary>
        Unsupported = 3,
        /// <summary>Memory ran out on the device or the host.</summary>
        OutOfMemory = 4,
        /// <summary>No backend plugin could be loaded; the message lists every path tried.</summary>
        BackendNotFound = 5,
        /// <summary>The backend failed, or its answer is not finite.</summary>
        Backend = 6,
        /// <summary>Something in the process conflicts, such as another version of libtorch.</summary>
        Conflict = 7,
        /// <summary>A checkpoint is damaged, incomplete, or not a model that is known.</summary>
        Checkpoint = 8,
        /// <summary>A file could not be opened or read.</summary>
        Io = 9,
        /// <summary>The device asked for does not exist, or cannot be used.</summary>
        DeviceUnavailable = 10,
        /// <summary>The device failed while in use; the process must be restarted to use it again.</summary>
        DeviceLost = 11,
        /// <summary>The caller cancelled. Tasks become cancelled instead of throwing this.</summary>
        Cancelled = 12,
        /// <summary>An earlier internal failure left the context unusable; make another.</summary>
        Poisoned = 13,
        /// <summary>A defect of the library or the plugin, caught at the border.</summary>
        Internal = 14,
    }

    /// <summary>A call of the library failed. The message says what was wrong, with the values, and what to do.</summary>
    public class SamMmException : Exception
    {
        internal SamMmException(SamStatus code, string message, IReadOnlyList<string> causes) : base(message)
        {
            Code = code;
            Causes = causes;
        }

        /// <summary>What kind of failure it is.</summary>
        public SamStatus Code { get; }

        /// <summary>What caused the message, what caused that, and so on; empty when nothing is behind it.</summary>
        public IReadOnlyList<string> Causes { get; }

        /// <summary>The message, its code and its causes, then where it was thrown.</summary>
        public override string ToString()
        {
            string text = GetType().FullName + " (" + Code + "): " + Message;
            foreach (string cause in Causes) text += Environment.NewLine + "  because " + cause;
            return StackTrace == null ? text : text + Environment.NewLine + StackTrace;
        }

        /// <summary>Makes an exception of an error, which is freed.</summary>
        internal static unsafe SamMmException Take(int status, sam_mm_error* error)
        {
            if (error == null)
                return new SamMmException((SamStatus)status, Utf8.Read(NativeMethods.sam_mm_status_name(status)), new string[0]);
            try
            {
                var causes = new List<string>();
                for (uint depth = 0;; depth++)
                {
                    string cause = Utf8.Read(NativeMethods.sam_mm_error_cause(error, depth));
                    if (cause == null) break;
                    causes.Add(cause);
                }
                string message = Utf8.Read(NativeMethods.sam_mm_error_message(error));
                return new SamMmException((SamStatus)status, message, causes.AsReadOnly());
            }
            finally
            {
                NativeMethods.sam_mm_error_free(error);
            }
        }
    }
}
