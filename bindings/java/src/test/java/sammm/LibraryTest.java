package sammm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.math.BigInteger;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import sammm.internal.LibraryLoader;

class LibraryTest {
    /** What runs in a Java of its own: where the library is found is settled once in each. */
    public static final class Child {
        public static void main(String[] arguments) {
            try {
                String file = SamLibrary.loadedFrom();
                System.out.println(SamLibrary.version() + "|" + file);
                if (arguments.length > 0) {
                    try (SamContext context = Scene.newContext(); SamModel model = context.loadModel(Paths.get(arguments[0]))) {
                        System.out.println(model.info().name());
                    }
                }
            } catch (UnsatisfiedLinkError refused) {
                System.out.println("refused|" + refused.getMessage());
            }
        }
    }

    private static String child(List<String> options, String classPath, String library, String... arguments) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Paths.get(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(options);
        command.addAll(Arrays.asList("-Dfile.encoding=UTF-8", "-cp", classPath, Child.class.getName()));
        command.addAll(Arrays.asList(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().remove("SAM_MM_LIBRARY");
        if (library != null) {
            builder.environment().put("SAM_MM_LIBRARY", library);
        }
        Process process = builder.start();
        String output = new String(readAll(process), StandardCharsets.UTF_8).trim();
        assertEquals(0, process.waitFor(), output);
        return output;
    }

    private static byte[] readAll(Process process) throws IOException {
        java.io.ByteArrayOutputStream all = new java.io.ByteArrayOutputStream();
        byte[] buffer = new byte[4096];
        for (int read = process.getInputStream().read(buffer); read >= 0; read = process.getInputStream().read(buffer)) {
            all.write(buffer, 0, read);
        }
        return all.toByteArray();
    }

    private static Path library() {
        return Paths.get(System.getenv("SAM_MM_LIBRARY"));
    }

    private static final String CLASS_PATH = System.getProperty("java.class.path");

    @Test
    void library_and_checkpoint_may_lie_in_paths_with_spaces_and_letters_of_all_kinds(@TempDir Path folder) throws Exception {
        Path strange = Files.createDirectories(folder.resolve("Prüf ordner ü 日本"));
        Path copy = Files.copy(library(), strange.resolve("libsam_mm.so"));
        Path checkpoint = Files.copy(Scene.demoCheckpoint(), strange.resolve("weights é.safetensors"));
        String expected = SamLibrary.version() + "|" + copy;
        assertEquals(expected + "\n" + checkpoint,
                child(new ArrayList<>(), CLASS_PATH, copy.toString(), checkpoint.toString()));
        assertEquals(expected, child(Arrays.asList("-Dsammm.library=" + copy), CLASS_PATH, null));
    }

    @Test
    void a_library_that_is_not_there_is_named() throws Exception {
        String answer = child(new ArrayList<>(), CLASS_PATH, "/nowhere/libsam_mm.so");
        assertTrue(answer.startsWith("refused|"), answer);
        assertTrue(answer.contains("/nowhere/libsam_mm.so") && answer.contains("SAM_MM_LIBRARY"), answer);
    }

    private static Path jarWithLibrary(Path folder, boolean damaged) throws Exception {
        Path jar = folder.resolve(damaged ? "damaged.jar" : "natives.jar");
        byte[] contents = Files.readAllBytes(library());
        String hash = String.format("%064x", new BigInteger(1, MessageDigest.getInstance("SHA-256").digest(contents)));
        if (damaged) {
            contents[contents.length / 2]++;
        }
        try (OutputStream file = Files.newOutputStream(jar); JarOutputStream out = new JarOutputStream(file)) {
            String place = "sammm/native/" + LibraryLoader.platform() + "/";
            out.putNextEntry(new JarEntry(place + "files.txt"));
            out.write((hash + "  libsam_mm.so\n").getBytes(StandardCharsets.UTF_8));
            out.putNextEntry(new JarEntry(place + "libsam_mm.so"));
            out.write(contents);
        }
        return jar;
    }

    @Test
    void the_library_is_taken_out_of_the_jar_by_many_processes_at_once(@TempDir Path folder) throws Exception {
        Path jar = jarWithLibrary(folder, false);
        Path cache = folder.resolve("cache ü");
        List<CompletableFuture<String>> children = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            children.add(CompletableFuture.supplyAsync(() -> {
                try {
                    return child(Arrays.asList("-Dsammm.cache=" + cache), CLASS_PATH + File.pathSeparator + jar, null);
                } catch (Exception failure) {
                    throw new IllegalStateException(failure);
                }
            }, task -> new Thread(task).start()));
        }
        for (CompletableFuture<String> each : children) {
            String answer = each.get();
            assertTrue(answer.startsWith(SamLibrary.version() + "|" + cache), answer);
        }
        try (Stream<Path> files = Files.walk(cache)) {
            List<Path> found = files.filter(Files::isRegularFile).collect(Collectors.toList());
            assertEquals(1, found.size(), "one file, and no drafts: " + found);
        }
    }

    @Test
    void a_damaged_jar_is_refused_and_a_damaged_copy_replaced(@TempDir Path folder) throws Exception {
        List<String> options = Arrays.asList("-Dsammm.cache=" + folder.resolve("cache"));
        String refused = child(options, CLASS_PATH + File.pathSeparator + jarWithLibrary(folder, true), null);
        assertTrue(refused.startsWith("refused|") && refused.contains("damaged"), refused);
        String classPath = CLASS_PATH + File.pathSeparator + jarWithLibrary(folder, false);
        String first = child(options, classPath, null);
        Path copy = Paths.get(first.substring(first.indexOf('|') + 1));
        Files.write(copy, "broken".getBytes(StandardCharsets.UTF_8));
        assertEquals(first, child(options, classPath, null));
        assertEquals(Files.size(library()), Files.size(copy));
    }

    @Test
    void two_class_loaders_take_the_library_out_and_use_it_at_once(@TempDir Path folder) throws Exception {
        Path jar = jarWithLibrary(folder, false);
        List<URL> urls = new ArrayList<>();
        for (String entry : CLASS_PATH.split(File.pathSeparator)) {
            urls.add(new File(entry).toURI().toURL());
        }
        urls.add(jar.toUri().toURL());
        List<CompletableFuture<byte[]>> loaders = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            loaders.add(CompletableFuture.supplyAsync(() -> {
                ClassLoader parent = ClassLoader.getSystemClassLoader().getParent();
                try (URLClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), parent)) {
                    Class<?> own = loader.loadClass(LibraryLoader.class.getName());
                    assertFalse(own == LibraryLoader.class, "the loader has classes of its own");
                    own.getMethod("fromJar", ClassLoader.class, Path.class).invoke(null, loader, folder.resolve("cache"));
                    java.lang.reflect.Method mask = loader.loadClass(Scene.class.getName()).getDeclaredMethod("expectedMask");
                    mask.setAccessible(true);
                    return (byte[]) mask.invoke(null);
                } catch (Exception failure) {
                    throw new IllegalStateException(failure);
                }
            }, task -> new Thread(task).start()));
        }
        byte[] expected = Scene.expectedMask();
        for (CompletableFuture<byte[]> loader : loaders) {
            assertTrue(Arrays.equals(expected, loader.get()));
        }
    }

    @Test
    void a_jar_without_a_library_for_this_platform_leaves_it_to_the_system(@TempDir Path folder) {
        assertNull(LibraryLoader.fromJar(LibraryTest.class.getClassLoader(), folder));
        assertEquals(library().toString(), SamLibrary.loadedFrom());
    }
}
