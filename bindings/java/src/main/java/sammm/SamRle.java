package sammm;

import java.nio.charset.StandardCharsets;

import sammm.internal.NativeMethods;

/** A mask as COCO run-length encoding. */
public final class SamRle {
    private final int width;
    private final int height;
    private final int[] counts;
    private final String compressed;

    SamRle(NativeMethods.sam_mm_rle from) {
        width = from.width;
        height = from.height;
        counts = from.num_counts == 0 ? new int[0] : from.counts.getIntArray(0, from.num_counts);
        byte[] text = from.compressed.getByteArray(0, Math.toIntExact(from.compressed_len));
        compressed = new String(text, StandardCharsets.US_ASCII);
    }

    /** Columns; COCO's {@code size} is {@code [height, width]}. */
    public int width() {
        return width;
    }

    /** Rows. */
    public int height() {
        return height;
    }

    /** Lengths of runs down the columns, outside and inside in turn, starting with outside. */
    public int[] counts() {
        return counts.clone();
    }

    /** COCO's compressed text. */
    public String compressed() {
        return compressed;
    }
}
