package sammm;

/** What went wrong, as {@code SAM_MM_ERR_…} of the C API. */
public enum SamStatus {
    /** Success. */
    OK(0),
    /** An argument is wrong; the message holds its name and value. */
    INVALID_ARGUMENT(1),
    /** A handle is not alive. The classes here throw {@link IllegalStateException} before. */
    INVALID_HANDLE(2),
    /** Well formed, but this build, backend or model cannot serve it. */
    UNSUPPORTED(3),
    /** Memory ran out on the device or the host. */
    OUT_OF_MEMORY(4),
    /** No backend plugin could be loaded; the message lists every path tried. */
    BACKEND_NOT_FOUND(5),
    /** The backend failed, or its answer is not finite. */
    BACKEND(6),
    /** Something in the process conflicts, such as another version of libtorch. */
    CONFLICT(7),
    /** A checkpoint is damaged, incomplete, or not a model that is known. */
    CHECKPOINT(8),
    /** A file could not be opened or read. */
    IO(9),
    /** The device asked for does not exist, or cannot be used. */
    DEVICE_UNAVAILABLE(10),
    /** The device failed while in use; the process must be restarted to use it again. */
    DEVICE_LOST(11),
    /** The caller cancelled. Futures become cancelled instead. */
    CANCELLED(12),
    /** An earlier internal failure left the context unusable; make another. */
    POISONED(13),
    /** A defect of the library or the plugin, caught at the border. */
    INTERNAL(14),
    /** A number that this version does not know. */
    UNKNOWN(-1);

    private final int number;

    SamStatus(int number) {
        this.number = number;
    }

    /** The number in the C API. */
    public int number() {
        return number;
    }

    /** The status of a number; {@link #UNKNOWN} for one that this version does not know. */
    public static SamStatus of(int number) {
        for (SamStatus status : values()) {
            if (status.number == number) {
                return status;
            }
        }
        return UNKNOWN;
    }
}
