package sammm;

import org.junit.jupiter.api.Test;

class SharedCasesTest {
    @Test
    void the_shared_cases_give_masks_and_their_hashes_are_written() throws Exception {
        try (SamContext context = Scene.newContext(); SamModel model = context.loadDemoModel();
                SamImage image = Scene.image(context)) {
            SharedCases.writeHashes(request -> model.predict(image, request), (result, mask) -> mask.toBytes());
        }
    }
}
