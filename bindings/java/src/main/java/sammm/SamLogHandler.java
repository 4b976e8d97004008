package sammm;

/** Receives the log. */
@FunctionalInterface
public interface SamLogHandler {
    /** One line, without a line end. Called on any thread, several at once; must not wait for a thread that calls the library. */
    void line(SamLogLevel level, String message);
}
