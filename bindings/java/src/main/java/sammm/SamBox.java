package sammm;

import java.awt.geom.Rectangle2D;
import java.util.Arrays;

/** A box in pixels of the original image: its right and bottom edge are one past the last pixel. */
public final class SamBox {
    private final float[] edges;

    /** Makes a box of its left, top, right and bottom edge. */
    public SamBox(float x0, float y0, float x1, float y1) {
        edges = new float[] {x0, y0, x1, y1};
    }

    /** Makes a box of a rectangle. */
    public static SamBox of(Rectangle2D box) {
        return new SamBox((float) box.getMinX(), (float) box.getMinY(), (float) box.getMaxX(), (float) box.getMaxY());
    }

    static SamBox of(float[] edges) {
        return new SamBox(edges[0], edges[1], edges[2], edges[3]);
    }

    float[] edges() {
        return edges.clone();
    }

    /** Left edge. */
    public float x0() {
        return edges[0];
    }

    /** Top edge. */
    public float y0() {
        return edges[1];
    }

    /** Right edge. */
    public float x1() {
        return edges[2];
    }

    /** Bottom edge. */
    public float y1() {
        return edges[3];
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof SamBox && Arrays.equals(edges, ((SamBox) other).edges);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(edges);
    }

    @Override
    public String toString() {
        return Arrays.toString(edges);
    }
}
