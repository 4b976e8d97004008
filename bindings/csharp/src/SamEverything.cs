using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;
using SamMm.Native;

namespace SamMm
{
    /// <summary>
    /// How everything in an image is looked for: the parameters of the official generators. What is left null has its default
    /// there; docs/everything.md explains them.
    /// </summary>
    public sealed class SamEverythingOptions
    {
        /// <summary>Points along each side of the grid; default 32.</summary>
        public int? PointsPerSide { get; set; }

        /// <summary>Points decoded at once; fewer where memory is short. Default 64.</summary>
        public int? PointsPerBatch { get; set; }

        /// <summary>Layers of crops besides the whole image; default 0.</summary>
        public int? CropLayers { get; set; }

        /// <summary>The grid of layer n has <c>PointsPerSide / factor^n</c> points a side; default 1.</summary>
        public int? CropPointsDownscale { get; set; }

        /// <summary>Several masks for each point; default true.</summary>
        public bool? Multimask { get; set; }

        /// <summary>Each mask is given to the model once more for a better one; default false.</summary>
        public bool? UseM2m { get; set; }

        /// <summary>Masks stay whose predicted IoU is above this; the default is that of the model's family.</summary>
        public double? PredIouThreshold { get; set; }

        /// <summary>Masks stay whose stability score is not below this; default 0.95.</summary>
        public double? StabilityScoreThreshold { get; set; }

        /// <summary>Of two masks whose boxes have a greater IoU the better one stays; default 0.7.</summary>
        public double? BoxNmsThreshold { get; set; }

        /// <summary>The same across crops; default 0.7.</summary>
        public double? CropNmsThreshold { get; set; }

        /// <summary>Regions and holes that are smaller are removed; default 0: none.</summary>
        public long? MinMaskRegionArea { get; set; }

        internal unsafe sam_mm_everything_options ToNative()
        {
            sam_mm_everything_options options;
            Status.Check(
                NativeMethods.sam_mm_everything_options_init(&options, (uint)sizeof(sam_mm_everything_options)), null);
            if (PointsPerSide != null) options.points_per_side = Status.Count(PointsPerSide.Value, nameof(PointsPerSide));
            if (PointsPerBatch != null) options.points_per_batch = Status.Count(PointsPerBatch.Value, nameof(PointsPerBatch));
            if (CropLayers != null) options.crop_n_layers = Status.Count(CropLayers.Value, nameof(CropLayers));
            if (CropPointsDownscale != null)
                options.crop_n_points_downscale_factor = Status.Count(CropPointsDownscale.Value, nameof(CropPointsDownscale));
            if (Multimask != null) options.multimask = Multimask.Value ? 1u : 0u;
            if (UseM2m != null) options.use_m2m = UseM2m.Value ? 1u : 0u;
            options.pred_iou_thresh = PredIouThreshold ?? options.pred_iou_thresh;
            options.stability_score_thresh = StabilityScoreThreshold ?? options.stability_score_thresh;
            options.box_nms_thresh = BoxNmsThreshold ?? options.box_nms_thresh;
            options.crop_nms_thresh = CropNmsThreshold ?? options.crop_nms_thresh;
            options.min_mask_region_area =
                Status.Bytes(MinMaskRegionArea, options.min_mask_region_area, nameof(MinMaskRegionArea));
            return options;
        }
    }

    public sealed unsafe partial class SamModel
    {
        /// <summary>Finds everything in an image: masks around a grid of points, the good ones, each once. It takes long.</summary>
        public SamMaskSet SegmentEverything(SamImage image, SamEverythingOptions options = null)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            {
                sam_mm_everything_options native = (options ?? new SamEverythingOptions()).ToNative();
                sam_mm_mask_set* masks;
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_image_segment_everything(
                    (sam_mm_image*)picture.Value, (sam_mm_model*)model.Value, &native, &masks, &error);
                Status.Check(status, error);
                return new SamMaskSet(new MaskSetHandle(masks));
            }
        }

        /// <summary>Finds everything in an image on a thread of the library.</summary>
        public Task<SamMaskSet> SegmentEverythingAsync(SamImage image, SamEverythingOptions options = null,
            CancellationToken cancellation = default(CancellationToken), IProgress<double> progress = null)
        {
            if (image == null) throw new ArgumentNullException(nameof(image));
            using (HandleUse model = Handle.Use())
            using (HandleUse picture = image.Handle.Use())
            using (var memory = new Borrowed())
            {
                var native = (sam_mm_everything_options*)memory.Allocate(sizeof(sam_mm_everything_options));
                *native = (options ?? new SamEverythingOptions()).ToNative();
                var modelKey = (sam_mm_model*)model.Value;
                var imageKey = (sam_mm_image*)picture.Value;
                return PendingJob<SamMaskSet>.Start(Context,
                    (job, place, error) =>
                        NativeMethods.sam_mm_job_submit_everything(modelKey, imageKey, native, job, place, error),
                    ended =>
                    {
                        sam_mm_mask_set* masks;
                        sam_mm_error* error;
                        Status.Check(NativeMethods.sam_mm_job_take_mask_set(ended, &masks, &error), error);
                        return new SamMaskSet(new MaskSetHandle(masks));
                    }, cancellation, progress);
            }
        }
    }

    /// <summary>Masks that were found in an image. May be used from many threads at once.</summary>
    public sealed unsafe class SamMaskSet : IDisposable
    {
        internal readonly MaskSetHandle Handle;

        internal SamMaskSet(MaskSetHandle handle)
        {
            Handle = handle;
            var info = new sam_mm_mask_set_info { struct_size = (uint)sizeof(sam_mm_mask_set_info) };
            using (HandleUse use = Handle.Use())
            {
                sam_mm_error* error;
                Status.Check(NativeMethods.sam_mm_mask_set_describe((sam_mm_mask_set*)use.Value, &info, &error), error);
            }
            Width = (int)info.width;
            Height = (int)info.height;
            PointCount = (long)info.num_points;
            var masks = new SamFoundMask[info.num_masks];
            for (int i = 0; i < masks.Length; i++) masks[i] = new SamFoundMask(this, i);
            Masks = masks;
        }

        /// <summary>All masks, in the order of the official generators.</summary>
        public IReadOnlyList<SamFoundMask> Masks { get; }

        /// <summary>Columns of the image, and of the masks.</summary>
        public int Width { get; }

        /// <summary>Rows of the image, and of the masks.</summary>
        public int Height { get; }

        /// <summary>Points that were decoded.</summary>
        public long PointCount { get; }

        /// <summary>Frees the set. What was taken from masks are copies and stay.</summary>
        public void Dispose() => Handle.Dispose();
    }

    /// <summary>One mask of a set, which has to be alive when it is asked.</summary>
    public sealed unsafe class SamFoundMask
    {
        private readonly SamMaskSet set;

        internal SamFoundMask(SamMaskSet set, int index)
        {
            this.set = set;
            Index = index;
        }

        /// <summary>Its number in the set.</summary>
        public int Index { get; }

        /// <summary>Pixels of the mask.</summary>
        public long Area => (long)Info().area;

        /// <summary>IoU with the object that the model predicts for the mask.</summary>
        public float PredictedIou => Info().predicted_iou;

        /// <summary>How little the mask changes with the threshold of its logits, 0 to 1.</summary>
        public float StabilityScore => Info().stability_score;

        /// <summary>A box around the mask; zeros for an empty one.</summary>
        public SamBox BoundingBox
        {
            get
            {
                sam_mm_found_mask_info info = Info();
                float* box = info.bounding_box;
                return new SamBox(box[0], box[1], box[2], box[3]);
            }
        }

        /// <summary>The point it was found with.</summary>
        public SamPoint Point
        {
            get
            {
                sam_mm_found_mask_info info = Info();
                return new SamPoint(info.point[0], info.point[1]);
            }
        }

        /// <summary>The mask at the size of the image, row by row: <paramref name="onValue"/> in the mask, 0 outside.</summary>
        public byte[] ToBytes(byte onValue = 1)
        {
            var bytes = new byte[checked(set.Width * set.Height)];
            using (HandleUse use = set.Handle.Use())
            {
                fixed (byte* data = bytes)
                {
                    sam_mm_error* error;
                    int status = NativeMethods.sam_mm_mask_set_bitmask_copy((sam_mm_mask_set*)use.Value, (uint)Index, onValue,
                        data, (ulong)bytes.Length, 0, &error);
                    Status.Check(status, error);
                }
            }
            return bytes;
        }

        /// <summary>The mask as COCO run-length encoding.</summary>
        public SamRle ToRle()
        {
            using (HandleUse use = set.Handle.Use())
            {
                var rle = new sam_mm_rle { struct_size = (uint)sizeof(sam_mm_rle) };
                sam_mm_error* error;
                Status.Check(
                    NativeMethods.sam_mm_mask_set_rle((sam_mm_mask_set*)use.Value, (uint)Index, &rle, &error), error);
                return new SamRle(rle);
            }
        }

        /// <summary>The outlines of the mask; as <see cref="SamMask.ToPolygons"/>.</summary>
        public IReadOnlyList<SamRing> ToPolygons(double tolerance = 0, long minArea = 0, bool diagonal = false)
        {
            using (HandleUse use = set.Handle.Use())
            {
                sam_mm_polygon_options options = SamRing.Options(tolerance, minArea, diagonal);
                var polygons = new sam_mm_polygons { struct_size = (uint)sizeof(sam_mm_polygons) };
                sam_mm_error* error;
                int status = NativeMethods.sam_mm_mask_set_polygons(
                    (sam_mm_mask_set*)use.Value, (uint)Index, &options, &polygons, &error);
                Status.Check(status, error);
                return SamRing.Copy(polygons);
            }
        }

        private sam_mm_found_mask_info Info()
        {
            using (HandleUse use = set.Handle.Use())
            {
                var info = new sam_mm_found_mask_info { struct_size = (uint)sizeof(sam_mm_found_mask_info) };
                sam_mm_error* error;
                int status =
                    NativeMethods.sam_mm_mask_set_mask_info((sam_mm_mask_set*)use.Value, (uint)Index, &info, &error);
                Status.Check(status, error);
                return info;
            }
        }
    }
}
