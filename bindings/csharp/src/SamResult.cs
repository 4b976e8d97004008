using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using SamMm.Native;

namespace SamMm
{
    /// <summary>What helped when memory had run out.</summary>
    public enum SamRecoveryRung
    {
        /// <summary>Memory did not run out.</summary>
        None = 0,
        /// <summary>Caches gave memory back.</summary>
        ReleaseCaches = 1,
        /// <summary>The allocator gave memory back.</summary>
        EmptyAllocator = 2,
        /// <summary>A plan that needs less: chunked attention, or half precision.</summary>
        LowerPrecision = 3,
        /// <summary>The CPU.</summary>
        Cpu = 4,
    }

    /// <summary>The masks of one prediction, object after object. May be used from many threads at once.</summary>
    public sealed unsafe class SamResult : IDisposable
    {
        internal readonly ResultHandle Handle;

        internal SamResult(ResultHandle handle)
        {
            Handle = handle;
            sam_mm_result_info info = Describe();
            ObjectCount = (int)info.num_objects;
            MasksPerObject = (int)info.masks_per_object;
            Width = (int)info.width;
            Height = (int)info.height;
            MaskSize = (int)info.mask_size;
            EmbeddingReused = info.embedding_reused != 0;
            PredictionReused = info.prediction_reused != 0;
            EncodeMs = info.encode_ms;
            DecodeMs = info.decode_ms;
            OnCpu = info.on_cpu != 0;
            Precision = (SamPrecision)info.precision;
            ChunkedAttention = info.chunked_attention != 0;
            RecoveredBy = (SamRecoveryRung)info.recovered_by;
            var masks = new SamMask[info.num_masks];
            for (int i = 0; i < masks.Length; i++) masks[i] = new SamMask(this, i);
            Masks = masks;
        }

        /// <summary>All masks; those of object <c>i</c> start at <c>i * MasksPerObject</c>.</summary>
        public IReadOnlyList<SamMask> Masks { get; }

        /// <summary>Objects, in the order of the request.</summary>
        public int ObjectCount { get; }

        /// <summary>Masks of each object.</summary>
        public int MasksPerObject { get; }

        /// <summary>Columns of the image, and of full-size masks.</summary>
        public int Width { get; }

        /// <summary>Rows of the image, and of full-size masks.</summary>
        public int Height { get; }

        /// <summary>Side of the square low-resolution logits.</summary>
        public int MaskSize { get; }

        /// <summary>Whether the image had been encoded before, or its embedding was not needed.</summary>
        public bool EmbeddingReused { get; }

        /// <summary>Whether the same had been predicted before, so that nothing was computed.</summary>
        public bool PredictionReused { get; }

        /// <summary>Milliseconds that encoding the image took; 0 when reused.</summary>
        public double EncodeMs { get; }

        /// <summary>Milliseconds that decoding the prompts took; 0 when reused.</summary>
        public double DecodeMs { get; }

        /// <summary>Whether the prompts were decoded on the CPU because the GPU had no room.</summary>
        public bool OnCpu { get; }

        /// <summary>Precision that the prompts were decoded in.</summary>
        public SamPrecision Precision { get; }

        /// <summary>Whether the image was encoded with attention in chunks, which needs less memory.</summary>
        public bool ChunkedAttention { get; }

        /// <summary>What helped when memory had run out on the way to this result.</summary>
        public SamRecoveryRung RecoveredBy { get; }

        /// <summary>The mask of an object with the highest score.</summary>
        public SamMask Best(int objectIndex = 0)
        {
            using (HandleUse use = Handle.Use())
            {
                uint index;
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_result_best_mask((sam_mm_result*)use.Value,
                    Status.Count(objectIndex, nameof(objectIndex)), &index, &error);
                Status.Check(status, error);
                return Masks[(int)index];
            }
        }

        private sam_mm_result_info Describe()
        {
            using (HandleUse use = Handle.Use())
            {
                var info = new sam_mm_result_info { struct_size = (uint)sizeof(sam_mm_result_info) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_result_describe((sam_mm_result*)use.Value, &info, &error), error);
                return info;
            }
        }

        /// <summary>Frees the result. Masks taken as bytes, polygons or encodings are copies and stay.</summary>
        public void Dispose() => Handle.Dispose();
    }

    /// <summary>One mask of a result. It needs its result, which has to be alive when it is asked.</summary>
    public sealed unsafe class SamMask
    {
        private readonly SamResult result;

        internal SamMask(SamResult result, int index)
        {
            this.result = result;
            Index = index;
        }

        /// <summary>Its number in the result.</summary>
        public int Index { get; }

        /// <summary>The object it is of.</summary>
        public int ObjectIndex => Index / result.MasksPerObject;

        /// <summary>IoU with the object that the model predicts for the mask.</summary>
        public float Score => Info().score;

        /// <summary>Pixels of the mask at the size of the image.</summary>
        public long Area => (long)Info().area;

        /// <summary>A box around the mask; zeros for an empty one.</summary>
        public SamBox BoundingBox
        {
            get
            {
                sam_mm_mask_info info = Info();
                float* box = info.bounding_box;
                return new SamBox(box[0], box[1], box[2], box[3]);
            }
        }

        /// <summary>The mask at the size of the image, row by row: <paramref name="onValue"/> in the mask, 0 outside.</summary>
        public byte[] ToBytes(byte onValue = 1)
        {
            var bytes = new byte[checked(result.Width * result.Height)];
            CopyTo(bytes, onValue);
            return bytes;
        }

        /// <summary>Writes the mask into an array of <c>Width * Height</c> bytes or more, or with rows further apart.</summary>
        public void CopyTo(byte[] target, byte onValue = 1, int rowStride = 0)
        {
            if (target == null) throw new ArgumentNullException(nameof(target));
            fixed (byte* data = target) CopyTo((IntPtr)data, target.LongLength, onValue, rowStride);
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP || SAM_MM_SPANS
        /// <summary>Writes the mask into memory of the caller's.</summary>
        public void CopyTo(Span<byte> target, byte onValue = 1, int rowStride = 0)
        {
            fixed (byte* data = &MemoryMarshal.GetReference(target))
                CopyTo((IntPtr)data, target.Length, onValue, rowStride);
        }
#endif

        /// <summary>Writes the mask into <paramref name="length"/> bytes that lie anywhere.</summary>
        public void CopyTo(IntPtr target, long length, byte onValue = 1, int rowStride = 0)
        {
            using (HandleUse use = result.Handle.Use())
            {
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_result_bitmask_copy((sam_mm_result*)use.Value, (uint)Index, onValue,
                    (byte*)target, Status.Bytes(length, 0, nameof(length)), Status.Count(rowStride, nameof(rowStride)), &error);
                Status.Check(status, error);
            }
        }

        /// <summary>The low-resolution logits, made to be the <see cref="SamPrompt.MaskInput"/> of a later prompt.</summary>
        public float[] GetLogits()
        {
            using (HandleUse use = result.Handle.Use())
            {
                float* logits;
                ulong length;
                sam_mm_error* error;
                int status =
                    NativeMethods.sam_mm_result_logits((sam_mm_result*)use.Value, (uint)Index, &logits, &length, &error);
                Status.Check(status, error);
                var copy = new float[length];
                Marshal.Copy((IntPtr)logits, copy, 0, copy.Length);
                return copy;
            }
        }

        /// <summary>The mask as COCO run-length encoding.</summary>
        public SamRle ToRle()
        {
            using (HandleUse use = result.Handle.Use())
            {
                var rle = new sam_mm_rle { struct_size = (uint)sizeof(sam_mm_rle) };
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_result_rle((sam_mm_result*)use.Value, (uint)Index, &rle, &error), error);
                return new SamRle(rle);
            }
        }

        /// <summary>
        /// The outlines of the mask. Points may be left out that lie no farther than <paramref name="tolerance"/> pixels from
        /// the outline; rings that enclose fewer than <paramref name="minArea"/> pixels are left out with all in them.
        /// </summary>
        public IReadOnlyList<SamRing> ToPolygons(double tolerance = 0, long minArea = 0, bool diagonal = false)
        {
            using (HandleUse use = result.Handle.Use())
            {
                sam_mm_polygon_options options;
                Status.Check(
                    NativeMethods.sam_mm_polygon_options_init(&options, (uint)sizeof(sam_mm_polygon_options)), null);
                options.tolerance = tolerance;
                options.min_area = Status.Bytes(minArea, 0, nameof(minArea));
                options.connectivity =
                    diagonal ? NativeMethods.SAM_MM_CONNECTIVITY_8 : NativeMethods.SAM_MM_CONNECTIVITY_4;
                var polygons = new sam_mm_polygons { struct_size = (uint)sizeof(sam_mm_polygons) };
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_result_polygons(
                    (sam_mm_result*)use.Value, (uint)Index, &options, &polygons, &error);
                Status.Check(status, error);
                return SamRing.Copy(polygons);
            }
        }

        private sam_mm_mask_info Info()
        {
            using (HandleUse use = result.Handle.Use())
            {
                var info = new sam_mm_mask_info { struct_size = (uint)sizeof(sam_mm_mask_info) };
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_result_mask_info((sam_mm_result*)use.Value, (uint)Index, &info, &error);
                Status.Check(status, error);
                return info;
            }
        }
    }

    /// <summary>A mask as COCO run-length encoding.</summary>
    public sealed unsafe class SamRle
    {
        internal SamRle(sam_mm_rle rle)
        {
            Width = (int)rle.width;
            Height = (int)rle.height;
            Compressed = Utf8.Read(rle.compressed, rle.compressed_len);
            var counts = new long[rle.num_counts];
            for (int i = 0; i < counts.Length; i++) counts[i] = rle.counts[i];
            Counts = counts;
        }

        /// <summary>Columns; COCO's <c>size</c> is <c>[height, width]</c>.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }

        /// <summary>Lengths of runs down the columns, outside and inside in turn, starting with outside.</summary>
        public IReadOnlyList<long> Counts { get; }

        /// <summary>COCO's compressed text.</summary>
        public string Compressed { get; }
    }

    /// <summary>A closed outline of a mask.</summary>
    public sealed unsafe class SamRing
    {
        private SamRing(SamPoint[] points, int parent)
        {
            Points = points;
            Parent = parent < 0 ? (int?)null : parent;
        }

        /// <summary>Corners of pixels; the last one joins the first.</summary>
        public IReadOnlyList<SamPoint> Points { get; }

        /// <summary>Null for an outer outline, else the number of the ring in which this one is a hole.</summary>
        public int? Parent { get; }

        internal static SamRing[] Copy(sam_mm_polygons polygons)
        {
            var rings = new SamRing[polygons.num_rings];
            for (int i = 0; i < rings.Length; i++)
            {
                uint start = polygons.ring_starts[i];
                var points = new SamPoint[polygons.ring_starts[i + 1] - start];
                for (int j = 0; j < points.Length; j++)
                {
                    float* at = polygons.points + 2 * (start + (ulong)j);
                    points[j] = new SamPoint(at[0], at[1]);
                }
                rings[i] = new SamRing(points, polygons.parents[i]);
            }
            return rings;
        }
    }
}
