using System;
using System.Runtime.InteropServices;
using SamMm.Native;

namespace SamMm
{
    /// <summary>How pixels are made from others.</summary>
    public enum SamInterpolation
    {
        /// <summary>The source pixel under the centre of the output pixel.</summary>
        Nearest = 0,
        /// <summary>Weighted mean of the neighbours.</summary>
        Bilinear = 1,
        /// <summary>Mean of the source pixels that the output pixel covers.</summary>
        Area = 2,
        /// <summary>Catmull-Rom.</summary>
        Cubic = 3,
    }

    /// <summary>How an image is brought to display size, in pixels and with its aspect kept.</summary>
    public sealed class SamDisplayOptions
    {
        /// <summary>The longer side gets this size; default 1024.</summary>
        public int? TargetSize { get; set; }

        /// <summary>The shorter side is never smaller; default 600.</summary>
        public int? MinSize { get; set; }

        /// <summary>The longer side is never larger; default 2048.</summary>
        public int? MaxSize { get; set; }

        /// <summary>For images that become smaller; default <see cref="SamInterpolation.Area"/>.</summary>
        public SamInterpolation? Shrinking { get; set; }

        /// <summary>For images that become larger; default <see cref="SamInterpolation.Bilinear"/>.</summary>
        public SamInterpolation? Enlarging { get; set; }

        /// <summary>Format of the pixels.</summary>
        public SamPixelFormat Format { get; set; } = SamPixelFormat.Rgb8;

        internal unsafe sam_mm_display_options ToNative()
        {
            sam_mm_display_options options;
            Status.Check(NativeMethods.sam_mm_display_options_init(&options, (uint)sizeof(sam_mm_display_options)), null);
            if (TargetSize != null) options.target_size = Status.Count(TargetSize.Value, nameof(TargetSize));
            if (MinSize != null) options.min_size = Status.Count(MinSize.Value, nameof(MinSize));
            if (MaxSize != null) options.max_size = Status.Count(MaxSize.Value, nameof(MaxSize));
            if (Shrinking != null) options.shrinking = (uint)Shrinking.Value;
            if (Enlarging != null) options.enlarging = (uint)Enlarging.Value;
            options.format = (uint)Format;
            return options;
        }
    }

    /// <summary>An image as it is shown: pixels, and how they came from the original ones.</summary>
    public sealed unsafe class SamDisplay : IDisposable
    {
        private readonly DisplayHandle handle;

        internal SamDisplay(DisplayHandle handle)
        {
            this.handle = handle;
            Read(info =>
            {
                Format = (SamPixelFormat)info.format;
                OriginalWidth = (int)info.original_width;
                OriginalHeight = (int)info.original_height;
                Width = (int)info.width;
                Height = (int)info.height;
                ScaleX = info.scale_x;
                ScaleY = info.scale_y;
                RowStride = (int)info.row_stride;
            });
        }

        private delegate void InfoReader(sam_mm_display_info info);

        /// <summary>Format of the pixels.</summary>
        public SamPixelFormat Format { get; private set; }

        /// <summary>Columns of the original image.</summary>
        public int OriginalWidth { get; private set; }

        /// <summary>Rows of the original image.</summary>
        public int OriginalHeight { get; private set; }

        /// <summary>Columns of the display image.</summary>
        public int Width { get; private set; }

        /// <summary>Rows of the display image.</summary>
        public int Height { get; private set; }

        /// <summary>Columns of the display image per column of the original.</summary>
        public double ScaleX { get; private set; }

        /// <summary>Rows of the display image per row of the original.</summary>
        public double ScaleY { get; private set; }

        /// <summary>Bytes from one row of the pixels to the next.</summary>
        public int RowStride { get; private set; }

        /// <summary>A copy of the pixels.</summary>
        public byte[] GetPixels()
        {
            byte[] pixels = null;
            Read(info =>
            {
                pixels = new byte[info.data_len];
                Marshal.Copy((IntPtr)info.data, pixels, 0, pixels.Length);
            });
            return pixels;
        }

        // The pixels are borrowed, so whoever reads them does it while the handle is held.
        private void Read(InfoReader read)
        {
            using (HandleUse use = handle.Use())
            {
                var info = new sam_mm_display_info { struct_size = (uint)sizeof(sam_mm_display_info) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_display_describe((sam_mm_display*)use.Value, &info, &error), error);
                read(info);
            }
        }

        /// <summary>A point of the display image, such as a click, as one of the original; brought to the edge if outside.</summary>
        public SamPoint ToOriginal(SamPoint point)
        {
            float[] converted = PointsToOriginal(new[] { point.X, point.Y });
            return new SamPoint(converted[0], converted[1]);
        }

        /// <summary>A point of the original image as one of the display image.</summary>
        public SamPoint ToDisplay(SamPoint point)
        {
            float[] converted = PointsToDisplay(new[] { point.X, point.Y });
            return new SamPoint(converted[0], converted[1]);
        }

        /// <summary>A box of the display image as one of the original; what lies outside is cut off.</summary>
        public SamBox ToOriginal(SamBox box) => Convert(box, NativeMethods.sam_mm_display_boxes_to_original);

        /// <summary>A box of the original image as one of the display image.</summary>
        public SamBox ToDisplay(SamBox box) => Convert(box, NativeMethods.sam_mm_display_boxes_to_display);

        /// <summary>x and y of points of the display image, or of a contour's vertices, as those of the original.</summary>
        public float[] PointsToOriginal(float[] points) =>
            Convert(points, 2, NativeMethods.sam_mm_display_points_to_original);

        /// <summary>x and y of points of the original image as those of the display image.</summary>
        public float[] PointsToDisplay(float[] points) => Convert(points, 2, NativeMethods.sam_mm_display_points_to_display);

        private delegate int ValueConverter(
            sam_mm_display* display, float* values, ulong count, float* converted, sam_mm_error** error);

        private SamBox Convert(SamBox box, ValueConverter converter)
        {
            float[] converted = Convert(new[] { box.X0, box.Y0, box.X1, box.Y1 }, 4, converter);
            return new SamBox(converted[0], converted[1], converted[2], converted[3]);
        }

        private float[] Convert(float[] values, int group, ValueConverter converter)
        {
            if (values == null) throw new ArgumentNullException(nameof(values));
            if (values.Length % group != 0)
                throw new ArgumentException("has " + values.Length + " values, which is no multiple of " + group, nameof(values));
            var converted = new float[values.Length];
            using (HandleUse use = handle.Use())
            {
                fixed (float* from = values)
                fixed (float* to = converted)
                {
                    sam_mm_error* error;
                    int status =
                        converter((sam_mm_display*)use.Value, from, (ulong)(values.Length / group), to, &error);
                    Status.Check(status, error);
                }
            }
            return converted;
        }

        /// <summary>A mask of the display image's size, one byte a pixel, as one of the original's.</summary>
        public byte[] MaskToOriginal(byte[] mask) => Convert(mask, OriginalWidth, OriginalHeight,
            NativeMethods.sam_mm_display_mask_to_original);

        /// <summary>A mask of the original image's size, one byte a pixel, as one of the display image's.</summary>
        public byte[] MaskToDisplay(byte[] mask) => Convert(mask, Width, Height,
            NativeMethods.sam_mm_display_mask_to_display);

        private delegate int MaskConverter(sam_mm_display* display, byte* mask, ulong maskLength, ulong maskStride,
            byte* converted, ulong convertedLength, ulong convertedStride, sam_mm_error** error);

        private byte[] Convert(byte[] mask, int width, int height, MaskConverter converter)
        {
            if (mask == null) throw new ArgumentNullException(nameof(mask));
            var converted = new byte[checked(width * height)];
            using (HandleUse use = handle.Use())
            {
                fixed (byte* from = mask)
                fixed (byte* to = converted)
                {
                    sam_mm_error* error;
                    int status = converter((sam_mm_display*)use.Value, from, (ulong)mask.Length, 0, to,
                        (ulong)converted.Length, 0, &error);
                    Status.Check(status, error);
                }
            }
            return converted;
        }

        /// <summary>Frees the display image.</summary>
        public void Dispose() => handle.Dispose();
    }
}
