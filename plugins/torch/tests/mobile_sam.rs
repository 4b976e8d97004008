//! A whole MobileSAM of full size against the official code.

mod common;

use common::golden::{Golden, max_difference};
use common::whole::{assert_decodes_as_the_golden, channels_first, encode_original, load};
use sam_mm_backend_abi::sdk::Attention;

/// Every 251st element of the embedding and every 13th row and column of the logits are in the golden.
const EMBEDDING_STEP: usize = 251;
const LOGITS_STEP: usize = 13;
const SIDE: usize = 256;

/// An image that needs no resizing, one that is enlarged and one that is made smaller.
#[test]
fn a_whole_mobile_sam_gives_the_embedding_and_masks_of_the_official_one() {
    let golden = Golden::open("mobile_sam");
    let mut sam = load(&golden);
    for name in ["wide", "tall", "large"] {
        let original = golden.values(&format!("{name}.original"));
        let embedding = encode_original(
            &*sam,
            original[0] as u32,
            original[1] as u32,
            Attention::Full,
        );
        let ours: Vec<f32> = channels_first(&embedding)
            .into_iter()
            .step_by(EMBEDDING_STEP)
            .collect();
        let difference = max_difference(&ours, &golden.values(&format!("{name}.embedding")));
        assert!(difference < 1e-4, "embedding of {name}: {difference}");
        let prefix = format!("{name}.");
        assert_decodes_as_the_golden(&mut *sam, &embedding, &golden, &prefix, (SIDE, LOGITS_STEP));
    }
}
