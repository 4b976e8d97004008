using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;

namespace SamMm.Native
{
    /// <summary>
    /// A handle of the library. A call holds it from its first to its last instruction, so one that is disposed on another
    /// thread meanwhile is freed when the call has ended.
    /// </summary>
    internal abstract class NativeHandle : SafeHandle
    {
        protected NativeHandle(IntPtr value) : base(IntPtr.Zero, true)
        {
            SetHandle(value);
        }

        public override bool IsInvalid => handle == IntPtr.Zero;

        /// <summary>Holds the handle until the answer is disposed; refuses when it was disposed itself.</summary>
        public HandleUse Use() => new HandleUse(this);
    }

    /// <summary>A handle that is held for a call.</summary>
    internal struct HandleUse : IDisposable
    {
        private NativeHandle held;

        public HandleUse(NativeHandle handle)
        {
            bool added = false;
            handle.DangerousAddRef(ref added);
            held = handle;
        }

        public IntPtr Value => held.DangerousGetHandle();

        public void Dispose()
        {
            NativeHandle handle = held;
            held = null;
            handle?.DangerousRelease();
        }
    }

    internal sealed unsafe class ContextHandle : NativeHandle
    {
        /// <summary>What callbacks of the context are told about; kept until none can come any more.</summary>
        private readonly CallbackSlot[] slots;

        private static readonly HashSet<IntPtr> Open = new HashSet<IntPtr>();

        static ContextHandle()
        {
            // Threads of a context that have called a handler are known to the runtime. Mono does not exit before all of them
            // have ended, and they end with their context.
            AppDomain.CurrentDomain.ProcessExit += (sender, nothing) => DestroyAll();
        }

        public ContextHandle(sam_mm_context* value, params CallbackSlot[] slots) : base((IntPtr)value)
        {
            this.slots = slots;
            lock (Open) Open.Add(handle);
        }

        protected override bool ReleaseHandle()
        {
            lock (Open) Open.Remove(handle);
            NativeMethods.sam_mm_destroy((sam_mm_context*)handle);
            foreach (CallbackSlot slot in slots) slot.Release();
            return true;
        }

        /// <summary>Destroys what nobody has disposed. Calls that still run are refused by the library, or end first.</summary>
        private static void DestroyAll()
        {
            // In a handler that ends the program: the library would wait for the handler.
            if (CallbackSlot.IsInside) return;
            IntPtr[] left;
            lock (Open) left = Open.ToArray();
            foreach (IntPtr context in left) NativeMethods.sam_mm_destroy((sam_mm_context*)context);
        }
    }

    internal sealed unsafe class ModelHandle : NativeHandle
    {
        public ModelHandle(sam_mm_model* value) : base((IntPtr)value)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.sam_mm_model_free((sam_mm_model*)handle);
            return true;
        }
    }

    internal sealed unsafe class ImageHandle : NativeHandle
    {
        public ImageHandle(sam_mm_image* value) : base((IntPtr)value)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.sam_mm_image_free((sam_mm_image*)handle);
            return true;
        }
    }

    internal sealed unsafe class DisplayHandle : NativeHandle
    {
        public DisplayHandle(sam_mm_display* value) : base((IntPtr)value)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.sam_mm_display_free((sam_mm_display*)handle);
            return true;
        }
    }

    internal sealed unsafe class ResultHandle : NativeHandle
    {
        public ResultHandle(sam_mm_result* value) : base((IntPtr)value)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.sam_mm_result_free((sam_mm_result*)handle);
            return true;
        }
    }

    internal sealed unsafe class MaskSetHandle : NativeHandle
    {
        public MaskSetHandle(sam_mm_mask_set* value) : base((IntPtr)value)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.sam_mm_mask_set_free((sam_mm_mask_set*)handle);
            return true;
        }
    }
}
