package sammm.internal;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import sammm.SamMmException;
import sammm.SamStatus;

/** What every call does with its status, and texts of the library. */
public final class Call {
    private Call() {}

    /** Throws what went wrong; {@code error} is freed. */
    public static void check(int status, PointerByReference error) {
        if (status != NativeMethods.SAM_MM_OK) {
            throw failure(status, error == null ? null : error.getValue());
        }
    }

    /** An exception made of an error, which is freed. */
    public static SamMmException failure(int status, Pointer error) {
        SamStatus code = SamStatus.of(status);
        if (error == null) {
            String name = text(NativeMethods.sam_mm_status_name(status));
            return new SamMmException(code, name, Collections.<String>emptyList());
        }
        try {
            List<String> causes = new ArrayList<>();
            String cause = text(NativeMethods.sam_mm_error_cause(error, 0));
            while (cause != null) {
                causes.add(cause);
                cause = text(NativeMethods.sam_mm_error_cause(error, causes.size()));
            }
            return new SamMmException(code, text(NativeMethods.sam_mm_error_message(error)), causes);
        } finally {
            NativeMethods.sam_mm_error_free(error);
        }
    }

    /** A text that ends with NUL; null for NULL. */
    public static String text(Pointer text) {
        return text == null ? null : text.getString(0, "UTF-8");
    }

    /** A text in an array of fixed size. */
    public static String text(byte[] fixed) {
        int length = 0;
        while (length < fixed.length && fixed[length] != 0) {
            length++;
        }
        return new String(fixed, 0, length, StandardCharsets.UTF_8);
    }

    public static int notNegative(int value, String name) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " is " + value + ", and must not be negative");
        }
        return value;
    }

    public static long notNegative(long value, String name) {
        if (value < 0) {
            throw new IllegalArgumentException(name + " is " + value + ", and must not be negative");
        }
        return value;
    }
}
