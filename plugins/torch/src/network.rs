//! What the models have in common.

use sam_mm_backend_abi::sdk::{Attention, Element, MasksMut, Pixels, Precision, Prompts, Resize};
use sam_mm_checkpoint::Checkpoint;
use tch::Device;

use crate::embedding::{ImageEmbedding, ModelKey};
use crate::error::{CheckCancelled, Result};

/// A model on a device: an image to its embedding, and prompts on it to masks. Memory is told in elements of the model's
/// precision.
pub trait Network: Send {
    /// How an image is brought to the input, and as what.
    fn input(&self) -> (Resize, Element);

    /// Masks of a multimask output.
    fn multimask_count(&self) -> usize;

    /// Where the model is.
    fn device(&self) -> Device;

    /// Precision of the weights.
    fn precision(&self) -> Precision;

    /// What an embedding must have been made by to be decoded here.
    fn key(&self) -> ModelKey;

    /// Elements that the weights take, `parameters` and what is made of them on loading.
    fn weight_elements(&self, parameters: u64) -> u64;

    /// Elements that [`encode`](Self::encode) needs at its peak.
    fn encode_elements(&self, attention: Attention) -> u64;

    /// Elements that [`decode`](Self::decode) of so many objects needs at its peak.
    fn decode_elements(&self, objects: u32) -> u64;

    /// Bytes that [`set_precision`](Self::set_precision) takes in passing; `None` for a model that is changed as a whole.
    fn precision_change_bytes(&self) -> Option<u64>;

    /// Brings the weights, which are read again, to another precision. On an error the model is as before.
    ///
    /// # Errors
    /// When a tensor is missing or misshaped, memory runs out, or the operation is cancelled.
    fn set_precision(
        &mut self,
        checkpoint: &Checkpoint<'_>,
        precision: Precision,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<()>;

    /// Runs the image encoder.
    ///
    /// # Errors
    /// When the pixels do not suit the model, libtorch fails or the operation is cancelled.
    fn encode(
        &self,
        pixels: &Pixels<'_>,
        attention: Attention,
        check_cancelled: CheckCancelled<'_>,
    ) -> Result<ImageEmbedding>;

    /// Decodes every object of `prompts` into `masks`.
    ///
    /// # Errors
    /// When libtorch fails or the operation is cancelled.
    fn decode(
        &mut self,
        embedding: &ImageEmbedding,
        prompts: &Prompts<'_>,
        check_cancelled: CheckCancelled<'_>,
        masks: &mut MasksMut<'_>,
    ) -> Result<()>;
}
