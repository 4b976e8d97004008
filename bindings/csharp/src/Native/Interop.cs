using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace SamMm.Native
{
    /// <summary>Texts of the library.</summary>
    internal static unsafe class Utf8
    {
        /// <summary>A text that ends with NUL; null for NULL.</summary>
        public static string Read(byte* text)
        {
            if (text == null) return null;
            int length = 0;
            while (text[length] != 0) length++;
            return length == 0 ? "" : Encoding.UTF8.GetString(text, length);
        }

        public static string Read(byte* text, ulong length) =>
            length == 0 ? "" : Encoding.UTF8.GetString(text, checked((int)length));
    }

    /// <summary>Memory that a call borrows: texts, arrays that must not move. Given back when disposed.</summary>
    internal sealed unsafe class Borrowed : IDisposable
    {
        private readonly List<GCHandle> pinned = new List<GCHandle>();
        private readonly List<IntPtr> allocated = new List<IntPtr>();

        /// <summary>A text as the library reads it; NULL for null.</summary>
        public byte* Text(string text)
        {
            if (text == null) return null;
            if (text.IndexOf('\0') >= 0)
                throw new ArgumentException("a text for the library holds the character 0: \"" + text + "\"");
            return (byte*)Pin(Encoding.UTF8.GetBytes(text + "\0"));
        }

        /// <summary>The first element of an array; NULL for null and for an empty one.</summary>
        public void* Pin(Array array)
        {
            if (array == null || array.Length == 0) return null;
            GCHandle handle = GCHandle.Alloc(array, GCHandleType.Pinned);
            pinned.Add(handle);
            return (void*)handle.AddrOfPinnedObject();
        }

        public void* Allocate(int bytes)
        {
            IntPtr memory = Marshal.AllocHGlobal(Math.Max(bytes, 1));
            allocated.Add(memory);
            return (void*)memory;
        }

        public void Dispose()
        {
            foreach (GCHandle handle in pinned) handle.Free();
            foreach (IntPtr memory in allocated) Marshal.FreeHGlobal(memory);
            pinned.Clear();
            allocated.Clear();
        }
    }

    /// <summary>What every call does with its status.</summary>
    internal static unsafe class Status
    {
        public static void Check(int status, sam_mm_error* error)
        {
            if (status != NativeMethods.SAM_MM_OK) throw SamMmException.Take(status, error);
        }

        public static ulong Bytes(long? wished, ulong standard, string name)
        {
            if (wished == null) return standard;
            if (wished < 0) throw new ArgumentOutOfRangeException(name, wished, "must not be negative");
            return (ulong)wished.Value;
        }

        public static uint Count(int value, string name)
        {
            if (value < 0) throw new ArgumentOutOfRangeException(name, value, "must not be negative");
            return (uint)value;
        }
    }
}
