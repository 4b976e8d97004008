package sammm;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** A call of the library failed. The message says what was wrong, with the values, and what to do. */
public class SamMmException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final SamStatus code;
    private final ArrayList<String> causes;

    /** Made by the binding. */
    public SamMmException(SamStatus code, String message, List<String> causes) {
        super(message);
        this.code = code;
        this.causes = new ArrayList<>(causes);
    }

    /** What kind of failure it is. */
    public SamStatus code() {
        return code;
    }

    /** What caused the message, what caused that, and so on; empty when nothing is behind it. */
    public List<String> causes() {
        return Collections.unmodifiableList(causes);
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(getClass().getName() + " (" + code + "): " + getMessage());
        for (String cause : causes) {
            text.append(System.lineSeparator()).append("  because ").append(cause);
        }
        return text.toString();
    }
}
