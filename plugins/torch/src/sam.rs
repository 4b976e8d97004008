//! SAM and MobileSAM (`modeling/sam.py`): an image to its embedding, and prompts on it to masks.

use sam_mm_backend_abi::sdk::{Attention, Element, MasksMut, Pixels, Precision, Prompts, Resize};
use sam_mm_checkpoint::{Checkpoint, ImageEncoderConfig, SamConfig};
use tch::Device;

use crate::decoder::Decoder;
use crate::embedding::{Features, Geometry, ImageEmbedding, ModelKey};
use crate::error::{CheckCancelled, Result};
use crate::image_encoder_vit::ImageEncoderVit;
use crate::needs::{self, AttentionBy};
use crate::network::Network;
use crate::nn::Weights;
use crate::precision::{element_size, kind_of};
use crate::preprocess::Normalisation;
use crate::tiny_vit::TinyVit;

/// What the parts that prompts go through are called.
const DECODER: [&str; 2] = ["prompt_encoder", "mask_decoder"];

/// A model on a device.
pub struct Sam {
    config: SamConfig,
    key: ModelKey,
    device: Device,
    precision: Precision,
    normalisation: Normalisation,
    image_encoder: ImageEncoder,
    decoder: Decoder,
}

/// Either image encoder.
enum ImageEncoder {
    TinyVit(TinyVit),
    Vit(ImageEncoderVit),
}

impl Sam {
    /// Loads the model onto a device.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped, or memory runs out.
    pub fn load(
        checkpoint: &Checkpoint<'_>,
        config: SamConfig,
        device: Device,
        precision: Precision,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<Self> {
        let weights = Weights::new(checkpoint, device, kind_of(precision));
        let encoder_weights = weights.sub("image_encoder");
        let image_encoder = match &config.image_encoder {
            ImageEncoderConfig::TinyVit(config) => {
                ImageEncoder::TinyVit(TinyVit::load(&encoder_weights, config)?)
            }
            ImageEncoderConfig::Vit(config) => ImageEncoder::Vit(ImageEncoderVit::load(
                &encoder_weights,
                config,
                check_cancelled,
            )?),
        };
        let prompts = &config.prompt_encoder;
        Ok(Self {
            key: ModelKey {
                fingerprint: checkpoint.fingerprint().0,
                grid: prompts.image_embedding_size as u32,
                channels: prompts.embed_dim as u32,
                input_size: prompts.input_image_size as u32,
                finer_levels: 0,
            },
            device,
            precision,
            normalisation: Normalisation::new(config.pixel_mean, config.pixel_std),
            image_encoder,
            decoder: Decoder::load(&weights, DECODER, prompts, &config.mask_decoder, precision)?,
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
        let encoder = weights.sub("image_encoder");
        match (&mut self.image_encoder, &self.config.image_encoder) {
            (ImageEncoder::Vit(vit), ImageEncoderConfig::Vit(config)) => {
                vit.reload(&encoder, config, check_cancelled)?;
            }
            // A TinyViT is small.
            (other, ImageEncoderConfig::TinyVit(config)) => {
                *other = ImageEncoder::TinyVit(TinyVit::load(&encoder, config)?);
            }
            (ImageEncoder::TinyVit(_), ImageEncoderConfig::Vit(_)) => {
                unreachable!("the encoder was made by its configuration")
            }
        }
        let SamConfig {
            prompt_encoder,
            mask_decoder,
            ..
        } = &self.config;
        self.decoder = Decoder::load(&weights, DECODER, prompt_encoder, mask_decoder, precision)?;
        Ok(())
    }

    /// Elements that are as large as one of fp32.
    fn wide(&self) -> usize {
        size_of::<f32>() / element_size(self.precision)
    }
}

impl Network for Sam {
    fn input(&self) -> (Resize, Element) {
        (Resize::LongestSide, Element::U8)
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
        parameters + needs::derived_weights(&self.config, AttentionBy::on(self.device)) as u64
    }

    fn precision_change_bytes(&self) -> Option<u64> {
        needs::precision_change(&self.config)
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
            // What this needs was there a moment ago. Should it fail all the same, the model still runs, some layers in
            // one precision and some in the other.
            let _ = self.reload(checkpoint, self.precision, &|| Ok(()));
            return Err(error);
        }
        self.precision = precision;
        Ok(())
    }

    fn encode_elements(&self, attention: Attention) -> u64 {
        let elements = match &self.config.image_encoder {
            ImageEncoderConfig::TinyVit(config) => needs::encode_tiny_vit(config),
            ImageEncoderConfig::Vit(config) => {
                let by = AttentionBy::on(self.device);
                needs::encode_vit(config, attention, by, self.wide())
            }
        };
        elements as u64
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
        let input = self
            .normalisation
            .apply(pixels, self.key.input_size as usize, self.device)?;
        check_cancelled()?;
        let cells = match &self.image_encoder {
            // Windows alone: there is nothing to chunk, whatever the plan says.
            ImageEncoder::TinyVit(encoder) => {
                let image = input.f_to_kind(kind_of(self.precision))?;
                drop(input); // the encoder uses the image up, and so must be its only owner
                encoder.forward(image, check_cancelled)?
            }
            ImageEncoder::Vit(encoder) => encoder.forward(input, attention, check_cancelled)?,
        };
        let geometry = Geometry {
            original: (pixels.original_width, pixels.original_height),
            resized: (pixels.width, pixels.height),
        };
        let features = Features {
            cells,
            high_res: None,
        };
        ImageEmbedding::new(&features, geometry, self.key)
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
