//! A whole SAM with a ViT encoder against the official code, in a small configuration whose windows do not divide the
//! map.
//!
//! # What ports get wrong, and the test that notices
//!
//! Each line was tried: the source was broken so, and the test failed. `sam` is this file, the other names are files
//! beside it, `unit` a test in the source file, and `pixels` and `predictor` are tests of the workspace's root.
//!
//! | detail | broken as | noticed by |
//! |---|---|---|
//! | GELU | tanh instead of erf: mask input, ViT MLP, TinyViT MLP, its convolutions | `decoder_parts`, `sam`, `tiny_vit_parts` |
//! | normalisation | means 123.5, 116.5, 103.5; `x − mean/std`; channels swapped; padded before it | `sam`, `norms` |
//! | coordinates | cut to whole numbers; one factor for both axes; no + 0.5 | `decoder_parts`, `sam`, unit (`prompts`) |
//! | padding point | missing without a box; there with a box; keeps its position | `decoder_parts`, `sam`, unit (`prompts`) |
//! | box corners | embedded as points are | `decoder_parts`, `sam` |
//! | mask input | taken to be there; taken to be missing | `sam`, unit (`prompts`) |
//! | multimask output | tokens 0–2 instead of 1–3 | `sam` |
//! | IoU head | with sigmoid | `sam` |
//! | first layer | not skipping its positional encoding | `decoder_parts`, `norms`, `sam` |
//! | transformer MLP | GELU instead of ReLU | `decoder_parts`, `norms`, `sam` |
//! | ε of layer norms | 1e-6 and 1e-5 exchanged, part by part | `norms`; `sam` for the ViT blocks |
//! | relative positions | of the scaled query | `sam`; unit (`image_encoder_vit/composed`) for GPUs |
//! | window padding | zero keys instead of the projected zero | `sam`; unit (`image_encoder_vit/composed`) for GPUs |
//! | TinyViT | padded after its norm; biases by (x, y) | `tiny_vit_parts` |
//!
//! Not broken on purpose, held by comparison alone: the GELU of the fused kernels (`decoder_parts`, `sam`), resizing with antialias (`pixels/preprocess`, byte for byte Pillow's),
//! bilinear masks (`pixels/logit_mask`, pixel for pixel the official code's), windows of 7, 7, 14, 7 and the third
//! downsampling (`mobile_sam`).

mod common;

use common::formula;
use common::golden::{Golden, max_difference};
use common::whole::{Sizes, assert_decodes_as_the_golden, channels_first, encode, load};
use sam_mm_backend_abi::sdk::Attention;

const SIZES: Sizes = Sizes {
    original: (300, 211),
    resized: (96, 68),
};
const SIDE: usize = 24;

fn image() -> Vec<u8> {
    formula::image(96, 68)
}

#[test]
fn a_small_sam_gives_the_embedding_and_masks_of_the_official_one() {
    let golden = Golden::open("sam_small");
    let mut sam = load(&golden);
    let embedding = encode(&*sam, &image(), SIZES, Attention::Full);
    let difference = max_difference(&channels_first(&embedding), &golden.values("embedding"));
    assert!(difference < 5e-5, "embedding: {difference}");
    assert_decodes_as_the_golden(&mut *sam, &embedding, &golden, "", (SIDE, 1));
}

#[test]
fn chunked_attention_gives_the_embedding_of_the_official_model_too() {
    let golden = Golden::open("sam_small");
    let embedding = encode(&*load(&golden), &image(), SIZES, Attention::Chunked);
    let difference = max_difference(&channels_first(&embedding), &golden.values("embedding"));
    assert!(difference < 5e-5, "embedding: {difference}");
}
