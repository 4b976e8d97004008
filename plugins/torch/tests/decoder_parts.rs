//! The parts of the decoder against the official code, in a small configuration.

mod common;

use common::formula;
use common::golden::{Golden, GoldenPrompt, max_difference};
use sam_mm_checkpoint::{Architecture, Checkpoint, SamConfig};
use sam_mm_torch::cells;
use sam_mm_torch::nn::Weights;
use sam_mm_torch::prompt_encoder::PromptEncoder;
use sam_mm_torch::prompts::{CoordinateScale, TokenOrder};
use sam_mm_torch::two_way_transformer::{ImageSide, TwoWayTransformer};
use tch::{Device, Kind, Tensor};

const ORIGINAL: (u32, u32) = (300, 211);
const RESIZED: (u32, u32) = (96, 68);
const GRID: usize = 6;
const DIM: i64 = 32;

fn config(checkpoint: &Checkpoint<'_>) -> SamConfig {
    match Architecture::detect(checkpoint).unwrap() {
        Architecture::Sam(config) => config,
        other => panic!("found {other:?}"),
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

fn rows(values: &[f32], width: i64) -> Tensor {
    Tensor::from_slice(values).view([-1, width])
}

/// `(C, h, w)` of the official code to `(N, C)`.
fn to_cells(values: &[f32], channels: i64) -> Vec<f32> {
    floats(
        &Tensor::from_slice(values)
            .view([channels, -1])
            .transpose(0, 1)
            .contiguous(),
    )
}

struct Fixture {
    golden: Golden,
    checkpoint: Checkpoint<'static>,
}

impl Fixture {
    fn open(name: &str) -> Self {
        let golden = Golden::open(name);
        Self {
            checkpoint: golden.checkpoint(),
            golden,
        }
    }

    fn weights(&self) -> Weights<'_> {
        Weights::new(&self.checkpoint, Device::Cpu, Kind::Float)
    }

    fn prompt_encoder(&self) -> PromptEncoder {
        let config = config(&self.checkpoint).prompt_encoder;
        PromptEncoder::load(&self.weights().sub("prompt_encoder"), &config).unwrap()
    }

    fn transformer(&self) -> TwoWayTransformer {
        let config = config(&self.checkpoint).mask_decoder;
        let weights = self.weights().sub("mask_decoder").sub("transformer");
        TwoWayTransformer::load(&weights, &config).unwrap()
    }
}

#[test]
fn every_kind_of_prompt_is_embedded_as_by_the_official_code() {
    let fixture = Fixture::open("prompt_encoder");
    let encoder = fixture.prompt_encoder();
    let scale = CoordinateScale::new(ORIGINAL, RESIZED);
    let prompts = fixture.golden.prompts("");
    assert_eq!(prompts.len(), 10);
    for prompt in &prompts {
        let tokens = scale.tokens(&prompt.object(&[]), TokenOrder::PointsFirst);
        let sparse = encoder.embed_points(&[tokens]).unwrap();
        let theirs = fixture.golden.values(&format!("{}.sparse", prompt.name));
        let difference = max_difference(&floats(&sparse), &theirs);
        assert!(difference < 1e-5, "{}: {difference}", prompt.name);
    }
}

#[test]
fn a_mask_input_is_embedded_as_by_the_official_code() {
    let fixture = Fixture::open("prompt_encoder");
    let mut input = vec![0.0; 16 * GRID * GRID];
    cells::from_rows(&formula::mask_logits(4 * GRID as i64), GRID, &mut input);
    let input = Tensor::from_slice(&input).view([1, -1, 16]);
    let dense = fixture.prompt_encoder().embed_masks(&input).unwrap();
    let masked = |prompt: &GoldenPrompt| prompt.has_mask;
    let prompts = fixture.golden.prompts("");
    let names: Vec<_> = prompts
        .iter()
        .filter(|p| masked(p))
        .map(|p| &p.name)
        .collect();
    assert_eq!(names.len(), 3);
    for name in names {
        let theirs = fixture.golden.values(&format!("{name}.dense"));
        let difference = max_difference(&floats(&dense), &to_cells(&theirs, DIM));
        assert!(difference < 1e-5, "{name}: {difference}");
    }
}

#[test]
fn the_dense_positional_encoding_is_that_of_the_official_code() {
    let fixture = Fixture::open("prompt_encoder");
    let theirs = to_cells(&fixture.golden.values("dense_pe"), DIM);
    let difference = max_difference(&floats(fixture.prompt_encoder().dense_pe()), &theirs);
    assert!(difference < 1e-6, "{difference}");
}

/// Few tokens carry the image's projections over to themselves, many do not: 6 and 21 tokens take both ways.
#[test]
fn the_two_way_transformer_gives_what_the_official_one_does_for_few_and_many_tokens() {
    let fixture = Fixture::open("two_way_transformer");
    let (transformer, encoder) = (fixture.transformer(), fixture.prompt_encoder());
    let pe = encoder.dense_pe();
    let image = to_cells(&formula::uniform("image", DIM as usize * GRID * GRID), DIM);
    let image = rows(&image, DIM);
    for count in [6, 21] {
        let name = format!("tokens{count}");
        let tokens = formula::uniform(&name, count * DIM as usize);
        let tokens = rows(&tokens, DIM).unsqueeze(0);
        // A shared image whose cells are the sum of an embedding and an offset must give the same.
        let offset = rows(&formula::uniform("offset", DIM as usize), DIM).squeeze();
        let embedding = &image - &offset;
        let projections = transformer.share(&image, pe).unwrap();
        let shared = ImageSide::Shared {
            embedding: &embedding,
            offset: &offset,
            projections: &projections,
        };
        let own = ImageSide::PerObject(image.unsqueeze(0));
        for (way, side) in [("shared", shared), ("per object", own)] {
            let (queries, keys) = transformer.forward(side, pe, &tokens).unwrap();
            for (part, ours) in [("queries", queries), ("keys", keys)] {
                let theirs = fixture.golden.values(&format!("{name}.{part}"));
                let difference = max_difference(&floats(&ours), &theirs);
                assert!(difference < 2e-5, "{name}, {way}, {part}: {difference}");
            }
        }
    }
}
