package sammm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.Collectors;

/** The cases that every language runs; the plugin for ImageJ runs them too. */
public final class SharedCases {
    private SharedCases() {}

    /**
     * Writes the hashes of the masks, which the common runner compares with those of the other languages.
     *
     * @param predict predicts on the scene
     * @param pixels  a mask of that result, a byte for each pixel, 0 or 1
     */
    @SuppressWarnings("unchecked")
    public static void writeHashes(Function<SamRequest, SamResult> predict, BiFunction<SamResult, SamMask, byte[]> pixels)
            throws Exception {
        String text = new String(Files.readAllBytes(Scene.casesFile()), StandardCharsets.UTF_8);
        List<Object> cases = (List<Object>) ((Map<String, Object>) Json.parse(text)).get("cases");
        Map<String, String> hashes = new TreeMap<>();
        Map<String, float[]> logits = new HashMap<>();
        for (Object each : cases) {
            Map<String, Object> asked = (Map<String, Object>) each;
            String name = (String) asked.get("name");
            try (SamResult result = predict.apply(request(asked, logits))) {
                ByteArrayOutputStream masks = new ByteArrayOutputStream();
                for (int i = 0; i < result.objectCount(); i++) {
                    byte[] mask = pixels.apply(result, result.best(i));
                    masks.write(mask, 0, mask.length);
                }
                byte[] hash = MessageDigest.getInstance("SHA-256").digest(masks.toByteArray());
                hashes.put(name, String.format("%064x", new BigInteger(1, hash)));
                logits.put(name, result.best().logits());
            }
        }
        assertTrue(hashes.size() > 3);
        assertEquals(hashes.size(), new HashSet<>(hashes.values()).size());
        String target = System.getenv("SAM_MM_HASHES_OUT");
        if (target != null && !target.isEmpty()) {
            String json = hashes.entrySet().stream().map(hash -> "\"" + hash.getKey() + "\": \"" + hash.getValue() + "\"")
                    .collect(Collectors.joining(", ", "{", "}"));
            Files.write(Paths.get(target), json.getBytes(StandardCharsets.UTF_8));
        }
    }

    @SuppressWarnings("unchecked")
    private static SamRequest request(Map<String, Object> asked, Map<String, float[]> logits) {
        SamRequest request = new SamRequest().multimask((Boolean) asked.get("multimask"));
        for (Object each : (List<Object>) asked.get("prompts")) {
            Map<String, Object> given = (Map<String, Object>) each;
            SamPrompt prompt = new SamPrompt();
            List<Object> points = (List<Object>) given.get("points");
            for (int i = 0; points != null && i < points.size(); i++) {
                float[] point = floats(points.get(i));
                boolean inside = ((Double) ((List<Object>) given.get("labels")).get(i)) == 1;
                prompt.point(point[0], point[1], inside);
            }
            if (given.containsKey("box")) {
                prompt.box(SamBox.of(floats(given.get("box"))));
            }
            if (given.containsKey("mask_of")) {
                prompt.maskInput(logits.get(given.get("mask_of")));
            }
            request.prompt(prompt);
        }
        for (Object box : (List<Object>) asked.get("boxes")) {
            request.box(SamBox.of(floats(box)));
        }
        return request;
    }

    @SuppressWarnings("unchecked")
    private static float[] floats(Object values) {
        List<Object> list = (List<Object>) values;
        float[] floats = new float[list.size()];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = ((Double) list.get(i)).floatValue();
        }
        return floats;
    }
}
