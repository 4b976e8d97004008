package sammm;

import com.sun.jna.Pointer;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import sammm.internal.Borrowed;
import sammm.internal.Call;
import sammm.internal.NativeMethods;

/** What a prediction is asked for: objects by prompts, objects by boxes alone, or both. */
public final class SamRequest {
    private final List<SamPrompt> prompts = new ArrayList<>();
    private final List<SamBox> boxes = new ArrayList<>();
    private boolean multimask = true;

    /** A request for objects, each with its prompt. */
    public SamRequest(SamPrompt... prompts) {
        this.prompts.addAll(Arrays.asList(prompts));
    }

    /** Adds an object with its prompt. */
    public SamRequest prompt(SamPrompt prompt) {
        prompts.add(prompt);
        return this;
    }

    /** Adds an object with its box; these are numbered after those of the prompts. */
    public SamRequest box(SamBox box) {
        boxes.add(box);
        return this;
    }

    /**
     * Says whether several masks per object are wanted (default), for prompts that leave open what is meant, such as a single
     * click.
     */
    public SamRequest multimask(boolean several) {
        multimask = several;
        return this;
    }

    NativeMethods.sam_mm_predict_request toNative(Borrowed memory) {
        NativeMethods.sam_mm_predict_request request = new NativeMethods.sam_mm_predict_request();
        Call.check(NativeMethods.sam_mm_predict_request_init(request, request.size()), null);
        request.multimask = multimask ? 1 : 0;
        if (!prompts.isEmpty()) {
            int size = new NativeMethods.sam_mm_prompt().size();
            Pointer all = memory.allocate((long) size * prompts.size());
            all.clear((long) size * prompts.size());
            for (int i = 0; i < prompts.size(); i++) {
                prompts.get(i).write(memory, new NativeMethods.sam_mm_prompt(all.share((long) i * size)));
            }
            request.prompts = all;
            request.num_prompts = prompts.size();
        }
        if (!boxes.isEmpty()) {
            float[] edges = new float[4 * boxes.size()];
            for (int i = 0; i < boxes.size(); i++) {
                System.arraycopy(boxes.get(i).edges(), 0, edges, 4 * i, 4);
            }
            request.boxes = memory.floats(edges);
            request.num_boxes = boxes.size();
        }
        return request;
    }
}
