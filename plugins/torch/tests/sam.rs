//! A whole SAM with a ViT encoder against the official code, in a small configuration whose windows do not divide the
//! map.

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
    let embedding = encode(&sam, &image(), SIZES, Attention::Full);
    let difference = max_difference(&channels_first(&embedding), &golden.values("embedding"));
    assert!(difference < 5e-5, "embedding: {difference}");
    assert_decodes_as_the_golden(&mut sam, &embedding, &golden, "", (SIDE, 1));
}

#[test]
fn chunked_attention_gives_the_embedding_of_the_official_model_too() {
    let golden = Golden::open("sam_small");
    let embedding = encode(&load(&golden), &image(), SIZES, Attention::Chunked);
    let difference = max_difference(&channels_first(&embedding), &golden.values("embedding"));
    assert!(difference < 5e-5, "embedding: {difference}");
}
