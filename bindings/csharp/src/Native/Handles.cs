using System;
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

        public ContextHandle(sam_mm_context* value, params CallbackSlot[] slots) : base((IntPtr)value)
        {
            this.slots = slots;
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.sam_mm_destroy((sam_mm_context*)handle);
            foreach (CallbackSlot slot in slots) slot.Release();
            return true;
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
}
