package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** Something that happened to memory. */
public final class SamMemoryEvent {
    private final SamMemoryEventKind kind;
    private final long number;
    private final long atMs;
    private final long bytes;
    private final Double value;
    private final String message;

    SamMemoryEvent(NativeMethods.sam_mm_memory_event from) {
        kind = SamMemoryEventKind.of(from.kind);
        number = from.number;
        atMs = from.at_ms;
        bytes = from.bytes;
        value = Double.isNaN(from.value) ? null : (Double) from.value;
        message = Call.text(from.message);
    }

    /** What happened. */
    public SamMemoryEventKind kind() {
        return kind;
    }

    /** Its number, from 0 in each context; a gap is what was not taken in time. */
    public long number() {
        return number;
    }

    /** Milliseconds since the context was made. */
    public long atMs() {
        return atMs;
    }

    /** Bytes, as the kind says; else 0. */
    public long bytes() {
        return bytes;
    }

    /** A share, as the kind says; else null. */
    public Double value() {
        return value;
    }

    /** For people, with the numbers. */
    public String message() {
        return message;
    }
}
