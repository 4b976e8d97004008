//! A whole MobileSAM of full size against the official code.

mod common;

use common::formula;
use common::golden::{Golden, max_difference};
use sam_mm_backend_abi::sdk::{Attention, MasksMut, PixelData, Pixels, Precision, Prompts};
use sam_mm_checkpoint::Architecture;
use sam_mm_torch::sam::Sam;
use tch::{Device, Tensor};

const EMBEDDING_STEP: usize = 251;
const LOGITS_STEP: usize = 13;
const SIDE: usize = 256;

#[test]
fn a_whole_mobile_sam_gives_the_embedding_and_masks_of_the_official_one() {
    let golden = Golden::open("mobile_sam");
    let checkpoint = golden.checkpoint();
    let Architecture::Sam(config) = Architecture::detect(&checkpoint).unwrap() else {
        panic!("a MobileSAM is a SAM");
    };
    let mut sam = Sam::load(
        &checkpoint,
        config,
        Device::Cpu,
        Precision::Fp32,
        &|| Ok(()),
    )
    .unwrap();
    let image = formula::image(1024, 683);
    let pixels = Pixels {
        width: 1024,
        height: 683,
        original_width: 1024,
        original_height: 683,
        row_stride: 3 * 1024,
        data: PixelData::U8(&image),
    };
    let t0 = std::time::Instant::now();
    let embedding = sam.encode(&pixels, Attention::Full, &|| Ok(())).unwrap();
    eprintln!("encode {:?}", t0.elapsed());
    let cells = embedding.cells().transpose(0, 1).flatten(0, -1);
    let ours: Vec<f32> = Vec::try_from(cells).unwrap();
    let ours: Vec<f32> = ours.into_iter().step_by(EMBEDDING_STEP).collect();
    let difference = max_difference(&ours, &golden.values("wide.embedding"));
    eprintln!("embedding {difference}");
    assert!(difference < 1e-4, "embedding: {difference}");

    let mask = formula::mask_logits(SIDE as i64);
    let prompts = golden.prompts("wide.");
    assert_eq!(prompts.len(), 10);
    for multimask in [false, true] {
        let n = if multimask { 3 } else { 1 };
        let mut logits = vec![0.0; prompts.len() * n * SIDE * SIDE];
        let mut scores = vec![0.0; prompts.len() * n];
        let mut masks = MasksMut {
            masks_per_object: n as u32,
            logits: &mut logits,
            scores: &mut scores,
            object_scores: None,
        };
        let objects = Prompts {
            multimask,
            mask_size: SIDE as u32,
            objects: prompts.iter().map(|prompt| prompt.object(&mask)).collect(),
        };
        sam.decode(&embedding, &objects, &|| Ok(()), &mut masks)
            .unwrap();
        for (object, prompt) in prompts.iter().enumerate() {
            let first = if multimask { 1 } else { 0 };
            let theirs = golden.values(&format!("wide.{}.logits", prompt.name));
            let thin: Vec<f32> = logits[object * n * SIDE * SIDE..][..n * SIDE * SIDE]
                .chunks_exact(SIDE)
                .enumerate()
                .filter(|(row, _)| (row % SIDE).is_multiple_of(LOGITS_STEP))
                .flat_map(|(_, row)| row.iter().copied().step_by(LOGITS_STEP))
                .collect();
            let per_mask = theirs.len() / 4;
            let difference = max_difference(&thin, &theirs[first * per_mask..][..n * per_mask]);
            let theirs = golden.values(&format!("wide.{}.scores", prompt.name));
            let scores_difference =
                max_difference(&scores[object * n..][..n], &theirs[first..][..n]);
            eprintln!("{} {difference} {scores_difference}", prompt.name);
            assert!(difference < 1e-4, "{}: {difference}", prompt.name);
            assert!(
                scores_difference < 1e-5,
                "{}: {scores_difference}",
                prompt.name
            );
        }
    }
    let _ = Tensor::new();
}
