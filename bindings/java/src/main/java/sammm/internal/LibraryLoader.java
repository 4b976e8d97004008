package sammm.internal;

import com.sun.jna.Library;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Platform;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Finds the shared library: the file named by the system property {@code sammm.library} or the environment variable
 * {@code SAM_MM_LIBRARY}, else the one in the jar, else the one that the system finds.
 */
public final class LibraryLoader {
    /** The ABI version that these classes were made for, as text: part of the name of the cache folder. */
    private static final String ABI = String.valueOf(0);

    private static volatile String loadedFrom;

    private LibraryLoader() {}

    /** The file that was loaded; null before, and when the system found it. */
    public static String loadedFrom() {
        return loadedFrom;
    }

    static NativeLibrary load() {
        String path = chosenByCaller();
        if (path == null) {
            path = fromJar(LibraryLoader.class.getClassLoader(), cacheFolder());
        }
        loadedFrom = path;
        Map<String, Object> options = Collections.singletonMap(Library.OPTION_STRING_ENCODING, (Object) "UTF-8");
        return NativeLibrary.getInstance(path == null ? "sam_mm" : path, options);
    }

    private static String chosenByCaller() {
        String origin = "the system property sammm.library";
        String path = System.getProperty("sammm.library");
        if (path == null || path.isEmpty()) {
            origin = "the environment variable SAM_MM_LIBRARY";
            path = System.getenv("SAM_MM_LIBRARY");
        }
        if (path == null || path.isEmpty()) {
            return null;
        }
        File file = new File(path);
        if (!file.isFile()) {
            throw new UnsatisfiedLinkError(origin + " is \"" + path + "\", and there is no such file");
        }
        return file.getAbsolutePath();
    }

    /** The folder in the jar for this platform, such as {@code linux-x86-64}. */
    public static String platform() {
        String system = Platform.isWindows() ? "windows" : Platform.isMac() ? "macos" : "linux";
        return system + "-" + Platform.ARCH;
    }

    /**
     * Takes the library and what lies beside it (plugins) out of the jar. The folder is named by its contents, so versions do
     * not meet in it, and a file appears in it complete or not at all, however many processes and class loaders do this at once.
     *
     * @return the library's file, or null when the jar has none for this platform
     */
    public static String fromJar(ClassLoader jar, Path cache) {
        String folder = "sammm/native/" + platform() + "/";
        try (InputStream list = jar.getResourceAsStream(folder + "files.txt")) {
            if (list == null) {
                return null;
            }
            Map<String, String> files = parse(list);
            Path target = Files.createDirectories(cache.resolve("abi" + ABI + "-" + hashOf(files)));
            String library = null;
            for (Map.Entry<String, String> file : files.entrySet()) {
                Path place = target.resolve(file.getKey());
                extract(jar, folder + file.getKey(), file.getValue(), place);
                if (library == null) {
                    library = place.toString();
                }
            }
            return library;
        } catch (IOException failure) {
            UnsatisfiedLinkError error = new UnsatisfiedLinkError("the library cannot be taken out of the jar into " + cache
                    + ": " + failure + "; name another folder with -Dsammm.cache=..., or the library with -Dsammm.library=...");
            error.initCause(failure);
            throw error;
        }
    }

    /** Lines of SHA-256 and name; the first one is the library. */
    private static Map<String, String> parse(InputStream list) throws IOException {
        Map<String, String> files = new LinkedHashMap<>();
        BufferedReader reader = new BufferedReader(new InputStreamReader(list, StandardCharsets.UTF_8));
        for (String line = reader.readLine(); line != null; line = reader.readLine()) {
            String[] parts = line.trim().split("\\s+", 2);
            if (parts.length == 2) {
                files.put(parts[1], parts[0]);
            }
        }
        if (files.isEmpty()) {
            throw new IOException("files.txt in the jar names no file");
        }
        return files;
    }

    private static String hashOf(Map<String, String> files) {
        MessageDigest digest = sha256();
        for (Map.Entry<String, String> file : files.entrySet()) {
            digest.update((file.getValue() + " " + file.getKey() + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return hex(digest.digest()).substring(0, 16);
    }

    private static void extract(ClassLoader jar, String resource, String hash, Path place) throws IOException {
        if (Files.isRegularFile(place) && hashOf(place).equals(hash)) {
            return;
        }
        Path draft = Files.createTempFile(place.getParent(), "draft-", ".tmp");
        try {
            try (InputStream contents = jar.getResourceAsStream(resource)) {
                if (contents == null) {
                    throw new IOException("files.txt in the jar names " + resource + ", which is not in it");
                }
                Files.copy(contents, draft, StandardCopyOption.REPLACE_EXISTING);
            }
            String found = hashOf(draft);
            if (!found.equals(hash)) {
                throw new IOException(resource + " has SHA-256 " + found + " and not " + hash + ": the jar is damaged");
            }
            move(draft, place, hash);
        } finally {
            Files.deleteIfExists(draft);
        }
    }

    private static void move(Path draft, Path place, String hash) throws IOException {
        try {
            Files.move(draft, place, StandardCopyOption.ATOMIC_MOVE);
        } catch (AtomicMoveNotSupportedException unsupported) {
            Files.move(draft, place, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException taken) {
            // Windows replaces no file that is loaded. Another process was faster: its file is as good.
            if (!Files.isRegularFile(place) || !hashOf(place).equals(hash)) {
                throw taken;
            }
        }
    }

    /** A folder of this user's alone: others must not be able to put a library there. */
    private static Path cacheFolder() {
        String chosen = System.getProperty("sammm.cache");
        if (chosen != null && !chosen.isEmpty()) {
            return Paths.get(chosen);
        }
        List<Path> candidates = new ArrayList<>();
        String home = System.getProperty("user.home", "");
        if (Platform.isWindows() && System.getenv("LOCALAPPDATA") != null) {
            candidates.add(Paths.get(System.getenv("LOCALAPPDATA"), "sam_mm"));
        } else if (Platform.isMac()) {
            candidates.add(Paths.get(home, "Library", "Caches", "sam_mm"));
        } else if (System.getenv("XDG_CACHE_HOME") != null && !System.getenv("XDG_CACHE_HOME").isEmpty()) {
            candidates.add(Paths.get(System.getenv("XDG_CACHE_HOME"), "sam_mm"));
        }
        candidates.add(Paths.get(home, ".cache", "sam_mm"));
        for (Path candidate : candidates) {
            try {
                Files.createDirectories(candidate);
                if (Files.isWritable(candidate)) {
                    return candidate;
                }
            } catch (IOException unusable) {
                // The next one may be better.
            }
        }
        try {
            return Files.createTempDirectory("sam_mm-");
        } catch (IOException failure) {
            throw new IllegalStateException("no folder can be written that the library could be put into; name one with "
                    + "-Dsammm.cache=...", failure);
        }
    }

    private static String hashOf(Path file) throws IOException {
        MessageDigest digest = sha256();
        byte[] buffer = new byte[1 << 16];
        try (InputStream contents = Files.newInputStream(file)) {
            for (int read = contents.read(buffer); read >= 0; read = contents.read(buffer)) {
                digest.update(buffer, 0, read);
            }
        }
        return hex(digest.digest());
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException("every Java has SHA-256", impossible);
        }
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte value : bytes) {
            text.append(Character.forDigit(value >> 4 & 15, 16)).append(Character.forDigit(value & 15, 16));
        }
        return text.toString();
    }
}
