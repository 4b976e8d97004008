package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** How an image is brought to display size, in pixels and with its aspect kept. */
public final class SamDisplayOptions {
    private Integer targetSize;
    private Integer minSize;
    private Integer maxSize;
    private SamInterpolation shrinking;
    private SamInterpolation enlarging;
    private SamPixelFormat format;

    /** The longer side gets this size; default 1024. */
    public SamDisplayOptions targetSize(int targetSize) {
        this.targetSize = targetSize;
        return this;
    }

    /** The shorter side is never smaller; default 600. */
    public SamDisplayOptions minSize(int minSize) {
        this.minSize = minSize;
        return this;
    }

    /** The longer side is never larger; default 2048. */
    public SamDisplayOptions maxSize(int maxSize) {
        this.maxSize = maxSize;
        return this;
    }

    /** For images that become smaller; default area. */
    public SamDisplayOptions shrinking(SamInterpolation shrinking) {
        this.shrinking = shrinking;
        return this;
    }

    /** For images that become larger; default bilinear. */
    public SamDisplayOptions enlarging(SamInterpolation enlarging) {
        this.enlarging = enlarging;
        return this;
    }

    /** Format of the pixels; default RGB8. */
    public SamDisplayOptions format(SamPixelFormat format) {
        this.format = format;
        return this;
    }

    NativeMethods.sam_mm_display_options toNative() {
        NativeMethods.sam_mm_display_options options = new NativeMethods.sam_mm_display_options();
        Call.check(NativeMethods.sam_mm_display_options_init(options, options.size()), null);
        if (targetSize != null) {
            options.target_size = Call.notNegative(targetSize, "targetSize");
        }
        if (minSize != null) {
            options.min_size = Call.notNegative(minSize, "minSize");
        }
        if (maxSize != null) {
            options.max_size = Call.notNegative(maxSize, "maxSize");
        }
        if (shrinking != null) {
            options.shrinking = shrinking.number();
        }
        if (enlarging != null) {
            options.enlarging = enlarging.number();
        }
        if (format != null) {
            options.format = format.number();
        }
        return options;
    }
}
