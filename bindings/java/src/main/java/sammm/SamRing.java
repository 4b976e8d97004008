package sammm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import sammm.internal.NativeMethods;

/** A closed outline of a mask: corners of pixels, of which the last one joins the first. */
public final class SamRing {
    private final float[] points;
    private final int parent;

    private SamRing(float[] points, int parent) {
        this.points = points;
        this.parent = parent;
    }

    static List<SamRing> copy(NativeMethods.sam_mm_polygons polygons) {
        List<SamRing> rings = new ArrayList<>();
        if (polygons.num_rings == 0) {
            return rings;
        }
        int[] starts = polygons.ring_starts.getIntArray(0, polygons.num_rings + 1);
        int[] parents = polygons.parents.getIntArray(0, polygons.num_rings);
        float[] all = polygons.points.getFloatArray(0, 2 * starts[polygons.num_rings]);
        for (int i = 0; i < parents.length; i++) {
            rings.add(new SamRing(Arrays.copyOfRange(all, 2 * starts[i], 2 * starts[i + 1]), parents[i]));
        }
        return rings;
    }

    /** Number of points. */
    public int size() {
        return points.length / 2;
    }

    /** From the left. */
    public float x(int point) {
        return points[2 * point];
    }

    /** From the top. */
    public float y(int point) {
        return points[2 * point + 1];
    }

    /** x and y of all points. */
    public float[] points() {
        return points.clone();
    }

    /** The number of the ring in which this one is a hole; -1 for an outer outline. */
    public int parent() {
        return parent;
    }
}
