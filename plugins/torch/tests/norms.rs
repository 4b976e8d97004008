//! Layer norms on inputs that vary so little that their ε decides: 1e-6 in the neck and in the
//! convolutions of the decoder, 1e-5 in TinyViT and the two-way transformer.
//!
//! On inputs of unit variance either ε gives the same to five digits, which no other golden would notice.

mod common;

use common::formula;
use common::golden::{Golden, max_difference};
use common::whole::{self, MASKS, Sizes, channels_first};
use sam_mm_backend_abi::sdk::Attention;
use sam_mm_checkpoint::{Architecture, Checkpoint, SamConfig, TinyVitStageConfig};
use sam_mm_torch::cells;
use sam_mm_torch::nn::Weights;
use sam_mm_torch::prompt_encoder::PromptEncoder;
use sam_mm_torch::tiny_vit::block::TinyVitBlock;
use sam_mm_torch::two_way_transformer::{ImageSide, TwoWayTransformer};
use tch::{Device, Kind, Tensor};

const GRID: usize = 6;
const DIM: i64 = 32;
/// What inputs and weights are times.
const SCALE: f64 = 1.0 / 32.0;

struct Quiet {
    golden: Golden,
    checkpoint: Checkpoint<'static>,
}

impl Quiet {
    fn open() -> Self {
        let golden = Golden::open("quiet");
        Self {
            checkpoint: golden.checkpoint(),
            golden,
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights::new(&self.checkpoint, Device::Cpu, Kind::Float)
    }

    fn config(&self) -> SamConfig {
        match Architecture::detect(&self.checkpoint).unwrap() {
            Architecture::Sam(config) => config,
            other => panic!("found {other:?}"),
        }
    }

    fn prompt_encoder(&self) -> PromptEncoder {
        let weights = self.weights().sub("prompt_encoder");
        PromptEncoder::load(&weights, &self.config().prompt_encoder).unwrap()
    }

    /// The largest difference from the golden as a part of its largest value.
    fn assert_is(&self, ours: &[f32], name: &str) {
        let theirs = self.golden.values(name);
        let largest = max_difference(&theirs, &vec![0.0; theirs.len()]);
        let difference = max_difference(ours, &theirs) / largest;
        assert!(difference < 1e-4, "{name}: {difference}");
    }
}

fn uniform(name: &str, shape: [i64; 2]) -> Tensor {
    let values = formula::uniform(name, (shape[0] * shape[1]) as usize);
    Tensor::from_slice(&values).view(shape) * SCALE
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

#[test]
fn norms_of_the_neck() {
    let quiet = Quiet::open();
    let sizes = Sizes {
        original: (300, 211),
        resized: (96, 68),
    };
    let sam = whole::load(&quiet.golden);
    for attention in [Attention::Full, Attention::Chunked] {
        let embedding = whole::encode(&*sam, &formula::image(96, 68), sizes, attention);
        quiet.assert_is(&channels_first(&embedding), "embedding");
    }
}

#[test]
fn norms_between_the_convolutions_of_a_mask_input() {
    let quiet = Quiet::open();
    let mut mask = vec![0.0; 16 * GRID * GRID];
    cells::from_rows(&formula::mask_logits(4 * GRID as i64), GRID, &mut mask);
    let mask = Tensor::from_slice(&mask).view([1, -1, 16]);
    let dense = quiet.prompt_encoder().embed_masks(&mask).unwrap();
    quiet.assert_is(&floats(&dense.squeeze_dim(0).transpose(0, 1)), "dense");
}

#[test]
fn norms_of_the_two_way_transformer() {
    let quiet = Quiet::open();
    let weights = quiet.weights().sub("mask_decoder").sub("transformer");
    let transformer = TwoWayTransformer::load(&weights, &quiet.config().mask_decoder).unwrap();
    let image = uniform("image", [DIM, (GRID * GRID) as i64]).transpose(0, 1);
    let tokens = uniform("tokens6", [6, DIM]).unsqueeze(0);
    let side = ImageSide::PerObject(image.contiguous().unsqueeze(0));
    let (queries, keys) = transformer
        .forward(side, quiet.prompt_encoder().dense_pe(), &tokens)
        .unwrap();
    quiet.assert_is(&floats(&queries), "queries");
    quiet.assert_is(&floats(&keys), "keys");
}

#[test]
fn the_norm_of_the_upscaling() {
    let quiet = Quiet::open();
    let mut sam = whole::load(&quiet.golden);
    let sizes = Sizes {
        original: (300, 211),
        resized: (96, 68),
    };
    let embedding = whole::encode(&*sam, &formula::image(96, 68), sizes, Attention::Full);
    let prompts = quiet.golden.prompts("");
    let decoded = whole::decode(&mut *sam, &embedding, &prompts, 4 * GRID);
    assert_eq!(decoded[0].scores.len(), MASKS);
    quiet.assert_is(&decoded[0].logits, "one_click.logits");
    quiet.assert_is(&decoded[0].scores, "one_click.scores");
}

#[test]
fn norms_of_tiny_vit() {
    let quiet = Quiet::open();
    let stage = TinyVitStageConfig {
        embed_dim: 16,
        depth: 1,
        resolution: 10,
        num_heads: 2,
        window_size: 7,
        hidden_dim: 64,
        local_conv_size: 3,
        downsample_stride: 0,
    };
    let block = TinyVitBlock::load(&quiet.weights().sub("padded"), &stage).unwrap();
    let map = uniform("padded.input", [100, 16]).view([10, 10, 16]);
    quiet.assert_is(&floats(&block.forward(map).unwrap()), "padded");
}
