//! The parts of TinyViT against the official code, with few channels.

mod common;

use common::formula;
use common::golden::{Golden, max_difference};
use sam_mm_checkpoint::{Checkpoint, TinyVitStageConfig};
use sam_mm_torch::nn::Weights;
use sam_mm_torch::tiny_vit::block::TinyVitBlock;
use sam_mm_torch::tiny_vit::convolutions::{MbConv, PatchEmbed, PatchMerging};
use tch::{Device, Kind, Tensor};

struct Part {
    name: &'static str,
    golden: Golden,
    checkpoint: Checkpoint<'static>,
}

impl Part {
    fn named(name: &'static str) -> Self {
        let golden = Golden::open("tiny_vit_parts");
        Self {
            name,
            checkpoint: golden.checkpoint(),
            golden,
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights::new(&self.checkpoint, Device::Cpu, Kind::Float).sub(self.name)
    }

    fn input(&self, count: i64) -> Tensor {
        Tensor::from_slice(&formula::uniform(
            &format!("{}.input", self.name),
            count as usize,
        ))
    }

    /// An input that the official part takes as tokens.
    fn tokens(&self, side: i64, channels: i64) -> Tensor {
        self.input(side * side * channels)
            .view([side, side, channels])
    }

    /// An input that the official part takes with the channels first.
    fn image(&self, side: i64, channels: i64) -> Tensor {
        let image = self
            .input(side * side * channels)
            .view([channels, side, side]);
        image.permute([1, 2, 0]).contiguous()
    }

    fn assert_gives_the_golden(&self, map: &Tensor) {
        let ours: Vec<f32> = Vec::try_from(map.flatten(0, -1)).unwrap();
        let difference = max_difference(&ours, &self.golden.values(self.name));
        assert!(difference < 2e-5, "{}: {difference}", self.name);
    }
}

#[test]
fn patches_are_embedded_as_by_the_official_code() {
    let part = Part::named("patch_embed");
    let embed = PatchEmbed::load(&part.weights(), 3, 8, 16).unwrap();
    part.assert_gives_the_golden(&embed.forward(part.image(32, 3)).unwrap());
}

#[test]
fn an_inverted_bottleneck_gives_what_the_official_one_does() {
    let part = Part::named("mb_conv");
    let conv = MbConv::load(&part.weights(), 8, 32).unwrap();
    part.assert_gives_the_golden(&conv.forward(&part.image(9, 8)).unwrap());
}

#[test]
fn patches_are_merged_with_and_without_halving_the_resolution() {
    let part = Part::named("merge_halving");
    let merging = PatchMerging::load(&part.weights(), 8, 16, 2).unwrap();
    part.assert_gives_the_golden(&merging.forward(&part.tokens(10, 8)).unwrap());

    let part = Part::named("merge_keeping");
    let merging = PatchMerging::load(&part.weights(), 8, 320, 1).unwrap();
    part.assert_gives_the_golden(&merging.forward(&part.tokens(5, 8)).unwrap());
}

/// A map that windows do not divide, one that is a single window, and windows of another size.
#[test]
fn attention_in_windows_gives_what_the_official_one_does() {
    for (name, side, num_heads, window_size) in [
        ("padded", 10, 2, 7),
        ("one_window", 7, 4, 7),
        ("window_14", 16, 2, 14),
    ] {
        let part = Part::named(name);
        let stage = TinyVitStageConfig {
            embed_dim: 16,
            depth: 1,
            resolution: side as usize,
            num_heads,
            window_size,
            hidden_dim: 64,
            local_conv_size: 3,
            downsample_stride: 0,
        };
        let block = TinyVitBlock::load(&part.weights(), &stage).unwrap();
        part.assert_gives_the_golden(&block.forward(part.tokens(side, 16)).unwrap());
    }
}
