package sammm;

import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** The backend that a context runs on. */
public final class SamBackendInfo {
    private final String name;
    private final String version;
    private final String path;
    private final String device;
    private final String trail;

    SamBackendInfo(NativeMethods.sam_mm_backend_info from) {
        name = Call.text(from.name);
        version = Call.text(from.version);
        path = Call.text(from.path);
        device = Call.text(from.device);
        trail = Call.text(from.trail);
    }

    /** Short name, such as {@code torch}. */
    public String name() {
        return name;
    }

    /** Version of the plugin and of what it stands on. */
    public String version() {
        return version;
    }

    /** File it was loaded from. */
    public String path() {
        return path;
    }

    /** The device it runs on, {@code cpu} or {@code cuda:N}. */
    public String device() {
        return device;
    }

    /** Every file that was tried, a line each, and what came of it. */
    public String trail() {
        return trail;
    }
}
