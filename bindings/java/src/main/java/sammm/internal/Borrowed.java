package sammm.internal;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Memory that a call borrows: texts and arrays outside of Java's heap. Given back when closed. */
public final class Borrowed implements AutoCloseable {
    private final List<Memory> allocated = new ArrayList<>();

    public Memory allocate(long bytes) {
        Memory memory = new Memory(Math.max(bytes, 1));
        allocated.add(memory);
        return memory;
    }

    /** A text as the library reads it; null for null. */
    public Pointer text(String text) {
        if (text == null) {
            return null;
        }
        if (text.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("a text for the library holds the character 0: \"" + text + "\"");
        }
        return bytes((text + "\0").getBytes(StandardCharsets.UTF_8));
    }

    /** A copy of an array; null for null and for an empty one, as for the following. */
    public Pointer bytes(byte[] values) {
        if (values == null || values.length == 0) {
            return null;
        }
        Memory memory = allocate(values.length);
        memory.write(0, values, 0, values.length);
        return memory;
    }

    public Pointer floats(float[] values) {
        if (values == null || values.length == 0) {
            return null;
        }
        Memory memory = allocate(4L * values.length);
        memory.write(0, values, 0, values.length);
        return memory;
    }

    public Pointer ints(int[] values) {
        if (values == null || values.length == 0) {
            return null;
        }
        Memory memory = allocate(4L * values.length);
        memory.write(0, values, 0, values.length);
        return memory;
    }

    /** The bytes that remain in a buffer: itself when it is direct, else a copy. */
    public Pointer buffer(ByteBuffer buffer) {
        if (!buffer.hasRemaining()) {
            return null;
        }
        if (buffer.isDirect()) {
            return Native.getDirectBufferPointer(buffer).share(buffer.position());
        }
        byte[] values = new byte[buffer.remaining()];
        buffer.duplicate().get(values);
        return bytes(values);
    }

    @Override
    public void close() {
        for (Memory memory : allocated) {
            memory.close();
        }
        allocated.clear();
    }
}
