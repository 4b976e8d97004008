//! A whole model on images and prompts, as the official code was run for the goldens.

use sam_mm::image::{ImageView, PixelFormat, ResizeMode, SampleType, Samples, preprocess};
use sam_mm_backend_abi::sdk::{
    Attention, Element, MasksMut, PixelData, Pixels, Precision, Prompts, Resize,
};
use sam_mm_checkpoint::{Architecture, Checkpoint};
use sam_mm_torch::embedding::ImageEmbedding;
use sam_mm_torch::network::Network;
use sam_mm_torch::sam::Sam;
use sam_mm_torch::sam2::Sam2;
use tch::Device;

use super::formula;
use super::golden::{Golden, GoldenPrompt, max_difference};

/// Masks of one object as the goldens hold them: the single one, then the three of multimask output.
pub const MASKS: usize = 4;

/// A model with the weights of a golden, in fp32 on the CPU.
pub fn load(golden: &Golden) -> Box<dyn Network> {
    load_weights(&golden.checkpoint())
}

/// A model with the weights of a checkpoint, in fp32 on the CPU.
pub fn load_weights(checkpoint: &Checkpoint<'_>) -> Box<dyn Network> {
    let (device, precision, go_on) = (Device::Cpu, Precision::Fp32, || Ok(()));
    match Architecture::detect(checkpoint).unwrap() {
        Architecture::Sam(config) => {
            Box::new(Sam::load(checkpoint, config, device, precision, &go_on).unwrap())
        }
        Architecture::Sam2(config) => {
            Box::new(Sam2::load(checkpoint, config, device, precision, &go_on).unwrap())
        }
        other => panic!("found {other:?}"),
    }
}

/// Sizes of an image, `(width, height)`.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub original: (u32, u32),
    pub resized: (u32, u32),
}

/// Encodes pixels that are resized already.
pub fn encode(sam: &dyn Network, rgb: &[u8], sizes: Sizes, attention: Attention) -> ImageEmbedding {
    let pixels = Pixels {
        width: sizes.resized.0,
        height: sizes.resized.1,
        original_width: sizes.original.0,
        original_height: sizes.original.1,
        row_stride: 3 * sizes.resized.0 as usize,
        data: PixelData::U8(rgb),
    };
    sam.encode(&pixels, attention, &|| Ok(())).unwrap()
}

/// Resizes the image of the formula as the library does, and encodes it.
pub fn encode_original(
    sam: &dyn Network,
    width: u32,
    height: u32,
    attention: Attention,
) -> ImageEmbedding {
    let input_size = sam.key().input_size;
    let rgb = formula::image(i64::from(width), i64::from(height));
    let view = ImageView::new(PixelFormat::Rgb8, width, height, 3 * width as usize, &rgb).unwrap();
    let image = sam_mm::image::Image::from_view(&view).unwrap();
    let (resize, element) = sam.input();
    let mode = match resize {
        Resize::LongestSide => ResizeMode::LongestSide,
        Resize::Stretch => ResizeMode::Stretch,
    };
    let sample = match element {
        Element::U8 => SampleType::U8,
        Element::F32 => SampleType::F32,
    };
    let input = preprocess(&image, mode, sample, input_size).unwrap();
    let pixels = Pixels {
        width: input.width,
        height: input.height,
        original_width: width,
        original_height: height,
        row_stride: 3 * input.width as usize,
        data: match &input.samples {
            Samples::U8(bytes) => PixelData::U8(bytes),
            Samples::F32(values) => PixelData::F32(values),
        },
    };
    sam.encode(&pixels, attention, &|| Ok(())).unwrap()
}

/// The embedding in the order of the official code, `(C, H, W)`.
pub fn channels_first(embedding: &ImageEmbedding) -> Vec<f32> {
    Vec::try_from(embedding.cells().transpose(0, 1).flatten(0, -1)).unwrap()
}

/// What the model made of one object.
pub struct Decoded {
    /// [`MASKS`] maps, row by row.
    pub logits: Vec<f32>,
    /// One for each.
    pub scores: Vec<f32>,
    /// Whether there is an object; NaN where a model does not tell.
    pub object: f32,
}

/// Decodes all prompts together, without and with multimask output.
pub fn decode(
    sam: &mut dyn Network,
    embedding: &ImageEmbedding,
    prompts: &[GoldenPrompt],
    side: usize,
) -> Vec<Decoded> {
    let mask = formula::mask_logits(side as i64);
    let mut run = |multimask: bool, count: usize| {
        let mut logits = vec![f32::NAN; prompts.len() * count * side * side];
        let mut scores = vec![f32::NAN; prompts.len() * count];
        let mut objects = vec![f32::NAN; prompts.len()];
        let mut masks = MasksMut {
            masks_per_object: count as u32,
            logits: &mut logits,
            scores: &mut scores,
            object_scores: Some(&mut objects),
        };
        let prompts = Prompts {
            multimask,
            mask_size: side as u32,
            objects: prompts.iter().map(|prompt| prompt.object(&mask)).collect(),
        };
        sam.decode(embedding, &prompts, &|| Ok(()), &mut masks)
            .unwrap();
        (logits, scores, objects)
    };
    let (single, single_scores, objects) = run(false, 1);
    let (multi, multi_scores, _) = run(true, MASKS - 1);
    let of = |values: &[f32], object: usize| {
        let each = values.len() / prompts.len();
        values[object * each..][..each].to_vec()
    };
    (0..prompts.len())
        .map(|object| Decoded {
            logits: [of(&single, object), of(&multi, object)].concat(),
            scores: [of(&single_scores, object), of(&multi_scores, object)].concat(),
            object: objects[object],
        })
        .collect()
}

/// Every `step`-th row and column of maps with that side.
pub fn thinned(maps: &[f32], side: usize, step: usize) -> Vec<f32> {
    maps.chunks_exact(side)
        .enumerate()
        .filter(|(row, _)| (row % side).is_multiple_of(step))
        .flat_map(|(_, row)| row.iter().copied().step_by(step))
        .collect()
}

/// Holds the logits and scores of all prompts below `prefix` to those of the golden; of the logits, every `step`-th row
/// and column.
pub fn assert_decodes_as_the_golden(
    sam: &mut dyn Network,
    embedding: &ImageEmbedding,
    golden: &Golden,
    prefix: &str,
    (side, step): (usize, usize),
) {
    let prompts = golden.prompts(prefix);
    assert!(!prompts.is_empty());
    let decoded = decode(sam, embedding, &prompts, side);
    for (prompt, ours) in prompts.iter().zip(&decoded) {
        let name = format!("{prefix}{}", prompt.name);
        let theirs = golden.values(&format!("{name}.logits"));
        let object = golden.value(&format!("{name}.object"));
        let mut logits = thinned(&ours.logits, side, step);
        if object.is_some() {
            // What SAM 2's official predictor returns is held to this; masks are made from what the plugin gives.
            logits.iter_mut().for_each(|l| *l = l.clamp(-32.0, 32.0));
        }
        let logits = max_difference(&logits, &theirs);
        let squares: f32 = theirs.iter().map(|logit| logit * logit).sum();
        let size = (squares / theirs.len() as f32).sqrt().max(1.0);
        let scores = max_difference(&ours.scores, &golden.values(&format!("{name}.scores")));
        assert!(logits < 1e-4 * size, "logits of {name}: {logits} of {size}");
        assert!(scores < 2e-5, "scores of {name}: {scores}");
        match object {
            Some(theirs) => {
                let apart = max_difference(&[ours.object], &theirs);
                assert!(apart < 1e-4, "object score of {name}: {apart}");
            }
            None => assert!(ours.object.is_nan(), "{name} has an object score"),
        }
    }
}
