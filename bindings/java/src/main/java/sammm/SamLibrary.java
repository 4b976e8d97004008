package sammm;

import sammm.internal.Call;
import sammm.internal.LibraryLoader;
import sammm.internal.NativeMethods;

/**
 * The shared library behind these classes. Which file it is, the system property {@code sammm.library} or the environment
 * variable {@code SAM_MM_LIBRARY} says; else it is taken from the jar, and else the system finds it.
 */
public final class SamLibrary {
    private SamLibrary() {}

    /** Version of the loaded library, such as {@code 0.1.0}. */
    public static String version() {
        return Call.text(NativeMethods.sam_mm_version());
    }

    /** The file that was loaded; null when the system found it. */
    public static String loadedFrom() {
        checkAbi();
        return LibraryLoader.loadedFrom();
    }

    /** Refuses a library whose binary interface is another one than these classes were made for. */
    static void checkAbi() {
        int loaded = NativeMethods.sam_mm_abi_version();
        if (loaded != NativeMethods.SAM_MM_ABI_VERSION) {
            throw new UnsatisfiedLinkError("the library " + LibraryLoader.loadedFrom() + " (version " + version() + ") has version "
                    + loaded + " of the binary interface, and these classes need version " + NativeMethods.SAM_MM_ABI_VERSION
                    + "; use a library and a jar of the same version");
        }
    }
}
