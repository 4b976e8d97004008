package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/**
 * How everything in an image is looked for: the parameters of the official generators. What is not set has its default there;
 * docs/everything.md explains them.
 */
public final class SamEverythingOptions {
    private Integer pointsPerSide;
    private Integer pointsPerBatch;
    private Integer cropLayers;
    private Integer cropPointsDownscale;
    private Boolean multimask;
    private Boolean useM2m;
    private Double predIouThreshold;
    private Double stabilityScoreThreshold;
    private Double boxNmsThreshold;
    private Double cropNmsThreshold;
    private Long minMaskRegionArea;

    /** Points along each side of the grid; default 32. */
    public SamEverythingOptions pointsPerSide(int pointsPerSide) {
        this.pointsPerSide = pointsPerSide;
        return this;
    }

    /** Points decoded at once; fewer where memory is short. Default 64. */
    public SamEverythingOptions pointsPerBatch(int pointsPerBatch) {
        this.pointsPerBatch = pointsPerBatch;
        return this;
    }

    /** Layers of crops besides the whole image; default 0. */
    public SamEverythingOptions cropLayers(int cropLayers) {
        this.cropLayers = cropLayers;
        return this;
    }

    /** The grid of layer n has {@code pointsPerSide / factor^n} points a side; default 1. */
    public SamEverythingOptions cropPointsDownscale(int cropPointsDownscale) {
        this.cropPointsDownscale = cropPointsDownscale;
        return this;
    }

    /** Several masks for each point; default true. */
    public SamEverythingOptions multimask(boolean multimask) {
        this.multimask = multimask;
        return this;
    }

    /** Each mask is given to the model once more for a better one; default false. */
    public SamEverythingOptions useM2m(boolean useM2m) {
        this.useM2m = useM2m;
        return this;
    }

    /** Masks stay whose predicted IoU is above this; the default is that of the model's family. */
    public SamEverythingOptions predIouThreshold(double predIouThreshold) {
        this.predIouThreshold = predIouThreshold;
        return this;
    }

    /** Masks stay whose stability score is not below this; default 0.95. */
    public SamEverythingOptions stabilityScoreThreshold(double stabilityScoreThreshold) {
        this.stabilityScoreThreshold = stabilityScoreThreshold;
        return this;
    }

    /** Of two masks whose boxes have a greater IoU the better one stays; default 0.7. */
    public SamEverythingOptions boxNmsThreshold(double boxNmsThreshold) {
        this.boxNmsThreshold = boxNmsThreshold;
        return this;
    }

    /** The same across crops; default 0.7. */
    public SamEverythingOptions cropNmsThreshold(double cropNmsThreshold) {
        this.cropNmsThreshold = cropNmsThreshold;
        return this;
    }

    /** Regions and holes that are smaller are removed; default 0: none. */
    public SamEverythingOptions minMaskRegionArea(long minMaskRegionArea) {
        this.minMaskRegionArea = minMaskRegionArea;
        return this;
    }

    NativeMethods.sam_mm_everything_options toNative() {
        NativeMethods.sam_mm_everything_options options = new NativeMethods.sam_mm_everything_options();
        Call.check(NativeMethods.sam_mm_everything_options_init(options, options.size()), null);
        if (pointsPerSide != null) {
            options.points_per_side = Call.notNegative(pointsPerSide, "pointsPerSide");
        }
        if (pointsPerBatch != null) {
            options.points_per_batch = Call.notNegative(pointsPerBatch, "pointsPerBatch");
        }
        if (cropLayers != null) {
            options.crop_n_layers = Call.notNegative(cropLayers, "cropLayers");
        }
        if (cropPointsDownscale != null) {
            options.crop_n_points_downscale_factor = Call.notNegative(cropPointsDownscale, "cropPointsDownscale");
        }
        if (multimask != null) {
            options.multimask = multimask ? 1 : 0;
        }
        if (useM2m != null) {
            options.use_m2m = useM2m ? 1 : 0;
        }
        if (predIouThreshold != null) {
            options.pred_iou_thresh = predIouThreshold;
        }
        if (stabilityScoreThreshold != null) {
            options.stability_score_thresh = stabilityScoreThreshold;
        }
        if (boxNmsThreshold != null) {
            options.box_nms_thresh = boxNmsThreshold;
        }
        if (cropNmsThreshold != null) {
            options.crop_nms_thresh = cropNmsThreshold;
        }
        if (minMaskRegionArea != null) {
            options.min_mask_region_area = Call.notNegative(minMaskRegionArea, "minMaskRegionArea");
        }
        return options;
    }
}
