package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** How full device memory is. */
public final class SamMemoryStatus {
    private final SamMemoryLevel level;
    private final Double utilization;
    private final String message;

    SamMemoryStatus(NativeMethods.sam_mm_memory_status from) {
        level = SamMemoryLevel.of(from.level);
        utilization = Double.isNaN(from.utilization) ? null : (Double) from.utilization;
        message = Call.text(from.message);
    }

    /** How full it is. */
    public SamMemoryLevel level() {
        return level;
    }

    /** Share in use; null when not known or below the warning threshold. */
    public Double utilization() {
        return utilization;
    }

    /** What to tell a person; empty when there is nothing to say. */
    public String message() {
        return message;
    }
}
