using System;
using SamMm.Native;

namespace SamMm
{
    /// <summary>How the bytes of a picture are to be read.</summary>
    public enum SamPixelFormat
    {
        /// <summary>Three bytes a pixel: red, green, blue.</summary>
        Rgb8 = 0,
        /// <summary>Three bytes a pixel: blue, green, red (OpenCV; <c>Format24bppRgb</c> of System.Drawing).</summary>
        Bgr8 = 1,
        /// <summary>Four bytes a pixel: red, green, blue, alpha. Alpha is ignored.</summary>
        Rgba8 = 2,
        /// <summary>Four bytes a pixel: blue, green, red, alpha (<c>Format32bppArgb</c>, WPF's <c>Bgra32</c>).</summary>
        Bgra8 = 3,
        /// <summary>One byte a pixel.</summary>
        Gray8 = 4,
    }

    public sealed unsafe partial class SamContext
    {
        /// <summary>Makes an image of pixels, which are copied. Nothing is computed yet.</summary>
        /// <param name="pixels">Rows from the top.</param>
        /// <param name="width">Columns.</param>
        /// <param name="height">Rows.</param>
        /// <param name="format">How the bytes are to be read.</param>
        /// <param name="rowStride">Bytes from one row to the next; 0 when they follow without a gap.</param>
        /// <param name="contentId">
        /// What tells this picture from others, such as the text of a path with a time; null: the MD5 of the pixels.
        /// </param>
        public SamImage CreateImage(byte[] pixels, int width, int height, SamPixelFormat format = SamPixelFormat.Rgb8,
            int rowStride = 0, byte[] contentId = null)
        {
            if (pixels == null) throw new ArgumentNullException(nameof(pixels));
            fixed (byte* data = pixels)
                return CreateImage((IntPtr)data, pixels.LongLength, width, height, format, rowStride, contentId);
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP || SAM_MM_SPANS
        /// <summary>Makes an image of pixels, which are copied. Nothing is computed yet.</summary>
        public SamImage CreateImage(ReadOnlySpan<byte> pixels, int width, int height,
            SamPixelFormat format = SamPixelFormat.Rgb8, int rowStride = 0, byte[] contentId = null)
        {
            fixed (byte* data = &System.Runtime.InteropServices.MemoryMarshal.GetReference(pixels))
                return CreateImage((IntPtr)data, pixels.Length, width, height, format, rowStride, contentId);
        }
#endif

        /// <summary>
        /// Makes an image of pixels that lie anywhere, such as <c>BitmapData.Scan0</c>. They are copied before this returns.
        /// </summary>
        public SamImage CreateImage(IntPtr pixels, long length, int width, int height,
            SamPixelFormat format = SamPixelFormat.Rgb8, int rowStride = 0, byte[] contentId = null)
        {
            using (HandleUse use = Handle.Use())
            using (var memory = new Borrowed())
            {
                sam_mm_image_desc desc;
                Status.Check(NativeMethods.sam_mm_image_desc_init(&desc, (uint)sizeof(sam_mm_image_desc)), null);
                desc.format = (uint)format;
                desc.width = Status.Count(width, nameof(width));
                desc.height = Status.Count(height, nameof(height));
                desc.row_stride = Status.Count(rowStride, nameof(rowStride));
                desc.data = (byte*)pixels;
                desc.data_len = Status.Bytes(length, 0, nameof(length));
                desc.content_id = (byte*)memory.Pin(contentId);
                desc.content_id_len = contentId == null ? 0 : (ulong)contentId.LongLength;
                sam_mm_image* image;
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_image_create((sam_mm_context*)use.Value, &desc, &image, &error);
                Status.Check(status, error);
                return new SamImage(this, new ImageHandle(image), width, height);
            }
        }
    }

    /// <summary>An image, held as a copy of its pixels. May be used from many threads at once.</summary>
    public sealed unsafe partial class SamImage : IDisposable
    {
        internal readonly ImageHandle Handle;

        internal SamImage(SamContext context, ImageHandle handle, int width, int height)
        {
            Context = context;
            Handle = handle;
            Width = width;
            Height = height;
        }

        /// <summary>The context it was made with.</summary>
        public SamContext Context { get; }

        /// <summary>Columns.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }

        /// <summary>Brings the image to display size; quick when it was processed alike before and is still kept.</summary>
        public SamDisplay Process(SamDisplayOptions options = null)
        {
            using (HandleUse use = Handle.Use())
            {
                sam_mm_display_options given = (options ?? new SamDisplayOptions()).ToNative();
                sam_mm_display* display;
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_image_process((sam_mm_image*)use.Value, &given, &display, &error);
                Status.Check(status, error);
                return new SamDisplay(new DisplayHandle(display));
            }
        }

        /// <summary>Frees the image. Results made from it stay usable.</summary>
        public void Dispose() => Handle.Dispose();
    }
}
