//! Prompts on an embedding to masks: the prompt encoder and the mask decoder together, the same in all families.

use sam_mm_backend_abi::sdk::{MasksMut, ObjectPrompt, Precision, Prompts};
use sam_mm_checkpoint::{MaskDecoderConfig, PromptEncoderConfig};
use tch::{Device, Tensor};

use crate::cells::{self, PER_CELL};
use crate::embedding::{Features, Geometry, ImageEmbedding};
use crate::error::{CheckCancelled, Result};
use crate::mask_decoder::{MaskDecoder, Masks};
use crate::needs;
use crate::nn::Weights;
use crate::precision::{element_size, kind_of};
use crate::prompt_encoder::PromptEncoder;
use crate::prompts::{Batch, CoordinateScale, TokenOrder, batches};
use crate::two_way_transformer::{ImageSide, SharedImage};

/// The half of a model that prompts go through.
pub struct Decoder {
    prompt_config: PromptEncoderConfig,
    mask_config: MaskDecoderConfig,
    prompt_encoder: PromptEncoder,
    mask_decoder: MaskDecoder,
    order: TokenOrder,
    device: Device,
    precision: Precision,
    /// Projections of the image that was last decoded without a mask input, by the number of its embedding. One image
    /// is enough: people click on one image at a time, and the projections are larger than the embedding.
    shared: Option<(u64, SharedImage)>,
}

impl Decoder {
    /// Loads both parts from the tensors below `[prompt_encoder, mask_decoder]`.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped, or memory runs out.
    pub fn load(
        weights: &Weights,
        [prompt_encoder, mask_decoder]: [&str; 2],
        prompt_config: &PromptEncoderConfig,
        mask_config: &MaskDecoderConfig,
        precision: Precision,
    ) -> Result<Self> {
        Ok(Self {
            prompt_encoder: PromptEncoder::load(&weights.sub(prompt_encoder), prompt_config)?,
            mask_decoder: MaskDecoder::load(&weights.sub(mask_decoder), mask_config)?,
            order: match mask_config.sam2 {
                None => TokenOrder::PointsFirst,
                Some(_) => TokenOrder::BoxFirst,
            },
            prompt_config: *prompt_config,
            mask_config: *mask_config,
            device: weights.device(),
            precision,
            shared: None,
        })
    }

    /// Lets go of what is kept of the last image.
    pub fn forget_image(&mut self) {
        self.shared = None;
    }

    /// Elements that [`decode`](Self::decode) of so many objects needs at its peak.
    pub fn elements(&self, objects: u32) -> u64 {
        let at_once = (objects as usize).min(self.objects_at_once());
        // Elements that are as large as one of fp32.
        let wide = size_of::<f32>() / element_size(self.precision);
        needs::decode(&self.prompt_config, &self.mask_config, at_once, wide) as u64
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
        let image = embedding.features().to_kind(kind_of(self.precision))?;
        let tokens = |object: &ObjectPrompt<'_>| scale.tokens(object, self.order);
        for batch in batches(&prompts.objects, tokens, self.objects_at_once()) {
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
        let image = needs::embedding(&self.prompt_config) * element_size(self.precision);
        (room / image).max(1)
    }

    fn decode_batch(
        &mut self,
        id: u64,
        image: &Features,
        batch: &Batch,
        prompts: &Prompts<'_>,
    ) -> Result<Masks> {
        let tokens = self.prompt_encoder.embed_points(&batch.tokens)?;
        let pe = self.prompt_encoder.dense_pe();
        let side = if batch.has_mask {
            let masks = self.mask_inputs(&batch.objects, &prompts.objects)?;
            let dense = self.prompt_encoder.embed_masks(&masks)?;
            ImageSide::PerObject(dense.f_add(&image.cells)?)
        } else {
            let offset = self.prompt_encoder.no_mask_embed();
            if self.shared.as_ref().is_none_or(|(of, _)| *of != id) {
                self.shared = None; // two at a time would double the peak
                let cells = image.cells.f_add(offset)?;
                self.shared = Some((id, self.mask_decoder.share(&cells, pe)?));
            }
            let (_, projections) = self.shared.as_ref().expect("made above");
            ImageSide::Shared {
                embedding: &image.cells,
                offset,
                projections,
            }
        };
        let high_res = image.high_res.as_ref();
        self.mask_decoder
            .forward(side, pe, high_res, &tokens, prompts.multimask)
    }

    /// Mask inputs of some objects, `(B, N, 16)`.
    fn mask_inputs(&self, chosen: &[usize], objects: &[ObjectPrompt<'_>]) -> Result<Tensor> {
        let grid = self.prompt_config.image_embedding_size;
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
        let grid = self.prompt_config.image_embedding_size;
        let per_mask = grid * grid * PER_CELL;
        let per_object = masks.masks_per_object as usize;
        let count = batch.objects.len();
        let total = count * per_object;
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
        if let (Some(made), Some(out)) = (&made.object_scores, masks.object_scores.as_mut()) {
            let mut scores = vec![0f32; count];
            made.f_copy_data(&mut scores, count)?;
            for (score, &object) in scores.into_iter().zip(&batch.objects) {
                out[object] = score;
            }
        }
        Ok(())
    }
}
