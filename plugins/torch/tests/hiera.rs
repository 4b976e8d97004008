//! The trunk of SAM 2's image encoder against the official code, in a small configuration: windows that do not divide their
//! map, pooling that meets padded windows, and a block of global attention.

mod common;

use common::formula;
use common::golden::{Golden, max_difference};
use sam_mm_backend_abi::sdk::Attention;
use sam_mm_checkpoint::{Checkpoint, HieraConfig, HieraStageConfig};
use sam_mm_torch::hiera::{Hiera, MultiScaleBlock, pos_embed};
use sam_mm_torch::nn::Weights;
use tch::{Device, Kind, Tensor};

const SIDE: usize = 96;

/// That of `tools/goldens/make_sam2_goldens.py`.
fn config() -> HieraConfig {
    let stages = [(1, 8), (2, 4), (3, 4), (2, 2)].into_iter().enumerate();
    let stages = stages.map(|(index, (depth, window_size))| HieraStageConfig {
        embed_dim: 16 << index,
        depth,
        num_heads: 1 << index,
        window_size,
        resolution: 24 >> index,
        mlp_dim: 64 << index,
    });
    HieraConfig {
        image_size: SIDE,
        in_chans: 3,
        patch_kernel: 7,
        pos_embed_size: [5, 5],
        pos_embed_window_size: 8,
        stages: stages.collect(),
        global_att_blocks: vec![4],
    }
}

fn trunk_of<'a>(checkpoint: &'a Checkpoint<'a>) -> Weights<'a> {
    let weights = Weights::new(checkpoint, Device::Cpu, Kind::Float);
    weights.sub("image_encoder").sub("trunk")
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

fn assert_stages_are_those_of(name: &str, attention: Attention) {
    let golden = Golden::open(name);
    let checkpoint = golden.checkpoint();
    let trunk = Hiera::load(&trunk_of(&checkpoint), &config(), &|| Ok(())).unwrap();
    let pixels = Tensor::from_slice(&formula::uniform("pixels", 3 * SIDE * SIDE));
    let image = pixels.view([1, 3, SIDE as i64, SIDE as i64]) * f64::from(golden.weights_scale());
    let image = image
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2]);
    let mut seen = 0;
    let mut level = |stage, map: &Tensor| {
        let theirs = golden.values(&format!("stage{stage}"));
        let largest = max_difference(&theirs, &vec![0.0; theirs.len()]);
        let apart = max_difference(&floats(map), &theirs) / largest;
        assert!(
            apart < 2e-5,
            "{name}, stage {stage}, {attention:?}: {apart}"
        );
        seen += 1;
        Ok(())
    };
    trunk
        .forward(image, attention, &|| Ok(()), &mut level)
        .unwrap();
    assert_eq!(seen, 4);
}

#[test]
fn every_stage_gives_what_the_official_one_does_whatever_the_plan() {
    for attention in [Attention::Full, Attention::Chunked] {
        assert_stages_are_those_of("sam2_stages", attention);
    }
}

/// On inputs of unit variance an ε of 1e-5 gives the same to five digits.
#[test]
fn the_epsilon_of_layer_norms_is_that_of_the_official_trunk() {
    assert_stages_are_those_of("sam2_quiet", Attention::Full);
}

/// What runs where there is no kernel for a whole block, in bf16, and on a GPU.
#[test]
fn a_block_in_parts_is_the_whole_block() {
    let golden = Golden::open("sam2_stages");
    let checkpoint = golden.checkpoint();
    let trunk = trunk_of(&checkpoint);
    for (index, block) in config().blocks().into_iter().enumerate() {
        let weights = trunk.sub("blocks").sub(index);
        let (side, dim) = (block.resolution as i64, block.dim as i64);
        let map = Tensor::from_slice(&formula::uniform("map", (side * side * dim) as usize));
        let map = map.view([side, side, dim]);
        let block = MultiScaleBlock::load(&weights, &block).unwrap();
        let whole = block.forward(map.copy(), Attention::Full).unwrap();
        for attention in [Attention::Full, Attention::Chunked] {
            let parts = block.forward_in_parts(map.copy(), attention).unwrap();
            let largest = whole.abs().max().double_value(&[]);
            let apart = (&parts - &whole).abs().max().double_value(&[]) / largest;
            assert!(apart < 1e-5, "block {index}, {attention:?}: {apart}");
            assert!(
                parts.size() != map.size() || parts != map,
                "block {index} changes nothing"
            );
        }
    }
}

#[test]
fn positions_are_a_bicubic_background_and_a_repeated_window() {
    let golden = Golden::open("sam2_stages");
    let checkpoint = golden.checkpoint();
    let ours = floats(&pos_embed(&trunk_of(&checkpoint), &config()).unwrap());
    let apart = max_difference(&ours, &golden.values("pos_embed"));
    assert!(apart < 1e-6, "{apart}");
}
