package sammm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.jna.Structure;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import sammm.internal.NativeMethods;

class LayoutTest {
    /** A C program prints the size of every struct and the place of every field, and Java must find the same. */
    @Test
    void every_struct_has_the_layout_that_a_c_compiler_gives_it(@TempDir Path folder) throws Exception {
        StringBuilder program = new StringBuilder("#include <stdio.h>\n#include <sam_mm.h>\nint main(void) {\n");
        StringBuilder expected = new StringBuilder();
        Method offset = Structure.class.getDeclaredMethod("fieldOffset", String.class);
        offset.setAccessible(true);
        int structs = 0;
        for (Class<?> type : NativeMethods.class.getDeclaredClasses()) {
            if (!Structure.class.isAssignableFrom(type)) {
                continue;
            }
            structs++;
            String name = type.getSimpleName();
            Structure value = (Structure) type.getConstructor().newInstance();
            assertEquals(value.size(), type.getField("struct_size").getInt(value));
            program.append("printf(\"" + name + " %zu\\n\", sizeof(" + name + "));\n");
            expected.append(name + " " + value.size() + "\n");
            List<String> order = Arrays.asList(type.getAnnotation(Structure.FieldOrder.class).value());
            for (String field : order) {
                program.append("printf(\"" + name + "." + field + " %zu %zu\\n\", offsetof(" + name + ", " + field
                        + "), sizeof(((" + name + " *)0)->" + field + "));\n");
                expected.append(name + "." + field + " " + offset.invoke(value, field) + " " + size(value, type.getField(field))
                        + "\n");
            }
        }
        program.append("return 0; }\n");
        assertTrue(structs > 15, structs + " structs");
        Path source = folder.resolve("layout.c");
        Files.write(source, program.toString().getBytes(StandardCharsets.UTF_8));
        String binary = folder.resolve("layout").toString();
        run("cc", "-I" + Scene.root().resolve("include"), source.toString(), "-o", binary);
        assertEquals(expected.toString(), run(binary));
    }

    private static int size(Structure value, Field field) throws IllegalAccessException {
        Class<?> type = field.getType();
        if (type == byte[].class) {
            return ((byte[]) field.get(value)).length;
        } else if (type == float[].class) {
            return 4 * ((float[]) field.get(value)).length;
        } else {
            return type == int.class || type == float.class ? 4 : 8;
        }
    }

    static String run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        BufferedReader output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        String text = output.lines().map(line -> line + "\n").collect(Collectors.joining());
        assertEquals(0, process.waitFor(), Arrays.toString(command) + " wrote " + text);
        return text;
    }

    @Test
    void the_numbers_of_the_enums_are_those_of_the_header() throws Exception {
        same("SAM_MM_FORMAT_", SamPixelFormat.values());
        same("SAM_MM_CACHE_", SamCache.values());
        same("SAM_MM_PRECISION_", SamPrecision.values());
        same("SAM_MM_INTERPOLATION_", SamInterpolation.values());
        same("SAM_MM_LOG_", SamLogLevel.values());
        same("SAM_MM_SOURCE_", SamMemorySource.values());
        same("SAM_MM_STATUS_", SamMemoryLevel.values());
        same("SAM_MM_TIER_", SamMemoryTier.values());
        same("SAM_MM_HEALTH_", SamMemoryHealth.values());
        same("SAM_MM_EVENT_", SamMemoryEventKind.values());
        same("SAM_MM_RUNG_", SamRecoveryRung.values());
        same("SAM_MM_ERR_", SamStatus.values());
        same("SAM_MM_JOB_STAGE_", SamStage.values());
    }

    private static void same(String prefix, Enum<?>[] values) throws Exception {
        int known = 0;
        for (Enum<?> value : values) {
            Method number = value.getDeclaringClass().getDeclaredMethod("number");
            number.setAccessible(true);
            int here = (Integer) number.invoke(value);
            if (here == -1) {
                continue;
            }
            String name = value == SamStatus.OK ? "SAM_MM_OK" : prefix + value.name();
            assertEquals(NativeMethods.class.getField(name).getInt(null), here, name);
            known += name.startsWith(prefix) ? 1 : 0;
        }
        long declared =
                Arrays.stream(NativeMethods.class.getFields()).filter(field -> field.getName().startsWith(prefix)).count();
        assertEquals(declared, known, prefix);
    }
}
