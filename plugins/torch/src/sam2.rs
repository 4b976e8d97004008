//! SAM 2 and 2.1 on images (`sam2/sam2_image_predictor.py`): an image to its embedding, and prompts on it to masks.
//!
//! What remembers the frames of a video is left out; in its place stands `no_mem_embed`, which the neck adds.

use sam_mm_backend_abi::sdk::{Attention, Element, MasksMut, Pixels, Precision, Prompts, Resize};
use sam_mm_checkpoint::{Checkpoint, Sam2Config};
use tch::Device;

use crate::decoder::Decoder;
use crate::embedding::{Geometry, ImageEmbedding, ModelKey};
use crate::error::{CheckCancelled, Result};
use crate::fpn_neck::FpnNeck;
use crate::hiera::Hiera;
use crate::needs::{self, AttentionBy};
use crate::network::Network;
use crate::nn::Weights;
use crate::precision::{element_size, kind_of};
use crate::preprocess::normalise_filling;

/// What the parts that prompts go through are called.
const DECODER: [&str; 2] = ["sam_prompt_encoder", "sam_mask_decoder"];

/// A model on a device.
pub struct Sam2 {
    config: Sam2Config,
    key: ModelKey,
    device: Device,
    precision: Precision,
    trunk: Hiera,
    neck: FpnNeck,
    decoder: Decoder,
}

impl Sam2 {
    /// Loads the model onto a device.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped, memory runs out, or the operation is cancelled.
    pub fn load(
        checkpoint: &Checkpoint<'_>,
        config: Sam2Config,
        device: Device,
        precision: Precision,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<Self> {
        let weights = Weights::new(checkpoint, device, kind_of(precision));
        let trunk = weights.sub("image_encoder").sub("trunk");
        Ok(Self {
            key: ModelKey {
                fingerprint: checkpoint.fingerprint().0,
                grid: config.prompt_encoder.image_embedding_size as u32,
                channels: config.prompt_encoder.embed_dim as u32,
                input_size: config.image_size() as u32,
                finer_levels: 2,
            },
            device,
            precision,
            trunk: Hiera::load(&trunk, &config.image_encoder, check_cancelled)?,
            neck: FpnNeck::load(&weights, &config)?,
            decoder: load_decoder(&weights, &config, precision)?,
            config,
        })
    }

    fn reload(
        &mut self,
        checkpoint: &Checkpoint<'_>,
        precision: Precision,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<()> {
        let weights = Weights::new(checkpoint, self.device, kind_of(precision));
        let trunk = weights.sub("image_encoder").sub("trunk");
        self.trunk.reload(&trunk, check_cancelled)?;
        self.neck = FpnNeck::load(&weights, &self.config)?;
        self.decoder = load_decoder(&weights, &self.config, precision)?;
        Ok(())
    }
}

fn load_decoder(weights: &Weights, config: &Sam2Config, precision: Precision) -> Result<Decoder> {
    let Sam2Config {
        prompt_encoder,
        mask_decoder,
        ..
    } = config;
    Decoder::load(weights, DECODER, prompt_encoder, mask_decoder, precision)
}

impl Network for Sam2 {
    fn input(&self) -> (Resize, Element) {
        (Resize::Stretch, Element::F32)
    }

    fn multimask_count(&self) -> usize {
        self.config.mask_decoder.num_multimask_outputs
    }

    fn device(&self) -> Device {
        self.device
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn key(&self) -> ModelKey {
        self.key
    }

    fn weight_elements(&self, parameters: u64) -> u64 {
        let wide = size_of::<f32>() / element_size(self.precision);
        let more = needs::derived_weights_of_sam2(&self.config, wide);
        (parameters as i64 + more) as u64
    }

    fn precision_change_bytes(&self) -> Option<u64> {
        Some(needs::precision_change_of_sam2(&self.config))
    }

    /// Needs little more memory than the larger of both precisions takes.
    fn set_precision(
        &mut self,
        checkpoint: &Checkpoint<'_>,
        precision: Precision,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<()> {
        self.decoder.forget_image();
        if let Err(error) = self.reload(checkpoint, precision, check_cancelled) {
            // As in SAM: what this needs was there a moment ago.
            let _ = self.reload(checkpoint, self.precision, &|| Ok(()));
            return Err(error);
        }
        self.precision = precision;
        Ok(())
    }

    fn encode_elements(&self, attention: Attention) -> u64 {
        let wide = size_of::<f32>() / element_size(self.precision);
        let by = AttentionBy::on(self.device);
        let on_gpu = self.device.is_cuda();
        needs::encode_sam2(&self.config, attention, by, wide, on_gpu) as u64
    }

    fn decode_elements(&self, objects: u32) -> u64 {
        self.decoder.elements(objects)
    }

    fn encode(
        &self,
        pixels: &Pixels<'_>,
        attention: Attention,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<ImageEmbedding> {
        let (side, kind) = (self.key.input_size, kind_of(self.precision));
        let statistics = [self.config.pixel_mean, self.config.pixel_std];
        let image = normalise_filling(pixels, statistics, side as usize, self.device)?;
        check_cancelled()?;
        let mut levels = Vec::with_capacity(4);
        let mut level = |stage, map: &tch::Tensor| {
            levels.push(self.neck.level(stage, &map.f_to_kind(kind)?)?);
            Ok(())
        };
        self.trunk
            .forward(image, attention, check_cancelled, &mut level)?;
        let geometry = Geometry {
            original: (pixels.original_width, pixels.original_height),
            resized: (side, side),
        };
        ImageEmbedding::new(&FpnNeck::fuse(levels)?, geometry, self.key)
    }

    fn decode(
        &mut self,
        embedding: &ImageEmbedding,
        prompts: &Prompts<'_>,
        check_cancelled: CheckCancelled<'_>,
        masks: &mut MasksMut<'_>,
    ) -> Result<()> {
        self.decoder
            .decode(embedding, prompts, check_cancelled, masks)
    }
}
