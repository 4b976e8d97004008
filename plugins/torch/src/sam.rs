//! The whole model (`modeling/sam.py`): an image to its embedding, and prompts on it to masks.

use sam_mm_backend_abi::sdk::{Attention, MasksMut, ObjectPrompt, Pixels, Precision, Prompts};
use sam_mm_checkpoint::{Checkpoint, ImageEncoderConfig, SamConfig};
use tch::{Device, Tensor};

use crate::cells::{self, PER_CELL};
use crate::embedding::{Geometry, ImageEmbedding, ModelKey};
use crate::error::{CheckCancelled, Result};
use crate::image_encoder_vit::ImageEncoderVit;
use crate::mask_decoder::{MaskDecoder, Masks};
use crate::needs::{self, AttentionBy};
use crate::nn::Weights;
use crate::precision::{element_size, kind_of};
use crate::preprocess::Normalisation;
use crate::prompt_encoder::PromptEncoder;
use crate::prompts::{Batch, CoordinateScale, batches};
use crate::shim::{has_attention_kernel, num_threads};
use crate::tiny_vit::TinyVit;
use crate::two_way_transformer::{ImageSide, SharedImage};

/// A model on a device.
pub struct Sam {
    config: SamConfig,
    key: ModelKey,
    device: Device,
    precision: Precision,
    normalisation: Normalisation,
    image_encoder: ImageEncoder,
    prompt_encoder: PromptEncoder,
    mask_decoder: MaskDecoder,
    /// Projections of the image that was last decoded without a mask input, by the number of its embedding. One image
    /// is enough: people click on one image at a time, and the projections are larger than the embedding.
    shared: Option<(u64, SharedImage)>,
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
            },
            device,
            precision,
            normalisation: Normalisation::new(config.pixel_mean, config.pixel_std),
            image_encoder,
            prompt_encoder: PromptEncoder::load(&weights.sub("prompt_encoder"), prompts)?,
            mask_decoder: MaskDecoder::load(&weights.sub("mask_decoder"), &config.mask_decoder)?,
            shared: None,
            config,
        })
    }

    /// Brings the weights, which are read again, to another precision. Needs little more memory than the larger of both
    /// takes. On an error the model is as before.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn set_precision(
        &mut self,
        checkpoint: &Checkpoint<'_>,
        precision: Precision,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<()> {
        self.shared = None;
        if let Err(error) = self.reload(checkpoint, precision, check_cancelled) {
            // What this needs was there a moment ago. Should it fail all the same, the model still runs, some layers in
            // one precision and some in the other.
            let _ = self.reload(checkpoint, self.precision, &|| Ok(()));
            return Err(error);
        }
        self.precision = precision;
        Ok(())
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
        let prompts = &self.config.prompt_encoder;
        self.prompt_encoder = PromptEncoder::load(&weights.sub("prompt_encoder"), prompts)?;
        let decoder = &self.config.mask_decoder;
        self.mask_decoder = MaskDecoder::load(&weights.sub("mask_decoder"), decoder)?;
        Ok(())
    }

    /// What the model is made of.
    pub fn config(&self) -> &SamConfig {
        &self.config
    }

    /// Precision of the weights.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What an embedding must have been made by to be decoded here.
    pub fn key(&self) -> ModelKey {
        self.key
    }

    /// Where the model is.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Elements of an embedding.
    pub fn embedding_elements(&self) -> usize {
        needs::embedding(&self.config.prompt_encoder)
    }

    /// Elements that the weights take, `parameters` and what is made of them on loading.
    pub fn weight_elements(&self, parameters: u64) -> u64 {
        parameters + needs::derived_weights(&self.config, self.attention_by()) as u64
    }

    /// Elements that are as large as one of fp32.
    fn wide(&self) -> usize {
        size_of::<f32>() / element_size(self.precision)
    }

    fn attention_by(&self) -> AttentionBy {
        if self.device == Device::Cpu && has_attention_kernel(None) {
            let threads = num_threads() as usize;
            AttentionBy::Kernel { threads }
        } else {
            AttentionBy::Operators
        }
    }

    /// Elements that [`encode`](Self::encode) needs at its peak.
    pub fn encode_elements(&self, attention: Attention) -> u64 {
        let elements = match &self.config.image_encoder {
            ImageEncoderConfig::TinyVit(config) => needs::encode_tiny_vit(config),
            ImageEncoderConfig::Vit(config) => {
                needs::encode_vit(config, attention, self.attention_by(), self.wide())
            }
        };
        elements as u64
    }

    /// Elements that [`decode`](Self::decode) of so many objects needs at its peak.
    pub fn decode_elements(&self, objects: u32) -> u64 {
        let at_once = (objects as usize).min(self.objects_at_once());
        needs::decode(&self.config, at_once, self.wide()) as u64
    }

    /// Runs the image encoder.
    ///
    /// # Errors
    /// When libtorch fails or the operation is cancelled.
    pub fn encode(
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
        ImageEmbedding::new(&cells, geometry, self.key)
    }

    /// Decodes every object of `prompts` into `masks`.
    ///
    /// # Errors
    /// When libtorch fails or the operation is cancelled.
    pub fn decode(
        &mut self,
        embedding: &ImageEmbedding,
        prompts: &Prompts<'_>,
        check_cancelled: CheckCancelled<'_>,
        masks: &mut MasksMut<'_>,
    ) -> Result<()> {
        let Geometry { original, resized } = embedding.geometry();
        let scale = CoordinateScale::new(original, resized);
        let image = embedding.cells().f_to_kind(kind_of(self.precision))?;
        for batch in batches(&prompts.objects, scale, self.objects_at_once()) {
            check_cancelled()?;
            let made = self.decode_batch(embedding.id(), &image, &batch, prompts)?;
            self.write(&made, &batch, masks)?;
        }
        Ok(())
    }

    /// Objects that are decoded together: as many as their images fit into the cache of a processor, or into a modest
    /// part of a GPU's memory. One is always taken.
    fn objects_at_once(&self) -> usize {
        let room = if self.device.is_cuda() {
            256 << 20
        } else {
            4 << 20
        };
        let image = needs::embedding(&self.config.prompt_encoder) * element_size(self.precision);
        (room / image).max(1)
    }

    fn decode_batch(
        &mut self,
        id: u64,
        image: &Tensor,
        batch: &Batch,
        prompts: &Prompts<'_>,
    ) -> Result<Masks> {
        let tokens = self.prompt_encoder.embed_points(&batch.tokens)?;
        let pe = self.prompt_encoder.dense_pe();
        let side = if batch.has_mask {
            let masks = self.mask_inputs(&batch.objects, &prompts.objects)?;
            let dense = self.prompt_encoder.embed_masks(&masks)?;
            ImageSide::PerObject(dense.f_add(image)?)
        } else {
            let offset = self.prompt_encoder.no_mask_embed();
            if self.shared.as_ref().is_none_or(|(of, _)| *of != id) {
                self.shared = None; // two at a time would double the peak
                let cells = image.f_add(offset)?;
                self.shared = Some((id, self.mask_decoder.share(&cells, pe)?));
            }
            let (_, projections) = self.shared.as_ref().expect("made above");
            ImageSide::Shared {
                embedding: image,
                offset,
                projections,
            }
        };
        self.mask_decoder
            .forward(side, pe, &tokens, prompts.multimask)
    }

    /// Mask inputs of some objects, `(B, N, 16)`.
    fn mask_inputs(&self, chosen: &[usize], objects: &[ObjectPrompt<'_>]) -> Result<Tensor> {
        let grid = self.key.grid as usize;
        let per_object = grid * grid * PER_CELL;
        let mut values = vec![0f32; chosen.len() * per_object];
        for (&object, values) in chosen.iter().zip(values.chunks_exact_mut(per_object)) {
            let mask = objects[object].mask.expect("the batch has mask inputs");
            cells::from_rows(mask, grid, values);
        }
        Ok(Tensor::f_from_slice(&values)?
            .f_view([-1, (grid * grid) as i64, PER_CELL as i64])?
            .f_to(self.device)?
            .f_to_kind(kind_of(self.precision))?)
    }

    /// Writes a batch to where its objects belong.
    fn write(&self, made: &Masks, batch: &Batch, masks: &mut MasksMut<'_>) -> Result<()> {
        let grid = self.key.grid as usize;
        let per_mask = grid * grid * PER_CELL;
        let per_object = masks.masks_per_object as usize;
        let total = batch.objects.len() * per_object;
        let mut logits = vec![0f32; total * per_mask];
        let mut scores = vec![0f32; total];
        made.logits.f_copy_data(&mut logits, total * per_mask)?;
        made.scores.f_copy_data(&mut scores, total)?;
        for (place, &object) in batch.objects.iter().enumerate() {
            for mask in 0..per_object {
                let from = place * per_object + mask;
                let values = &logits[from * per_mask..][..per_mask];
                cells::to_rows(values, grid, masks.mask_mut(object, mask));
                *masks.score_mut(object, mask) = scores[from];
            }
        }
        Ok(())
    }
}
