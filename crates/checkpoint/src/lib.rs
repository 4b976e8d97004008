//! Reads Segment Anything checkpoints without running code in them, and finds out which model they hold.
//!
//! [`Checkpoint`] opens `.safetensors` files and the zip archives that `torch.save` writes (`.pth`, `.pt`). A file is
//! memory-mapped and its tensors are borrowed slices of the map, so a checkpoint is never held twice in memory.
//! The pickle inside a `.pth` file is read by an interpreter that knows tensors, dictionaries and numbers and nothing
//! else: a file that asks for any other Python object is refused with an error that names it.
//!
//! [`Architecture`] finds out the model from the names and shapes of the tensors, lists what such a model needs, and
//! holds a checkpoint against that list.
//!
//! ```no_run
//! use sam_mm_checkpoint::{Architecture, Checkpoint};
//!
//! # fn main() -> Result<(), sam_mm_checkpoint::CheckpointError> {
//! let checkpoint = Checkpoint::open("sam_vit_b_01ec64.pth")?;
//! let architecture = Architecture::detect(&checkpoint)?;
//! println!("{}", architecture.describe());
//! architecture.check(&checkpoint)?;
//! # Ok(())
//! # }
//! ```

mod architecture;
mod checkpoint;
mod error;
mod fingerprint;
mod foreign;
mod names;
mod safetensors_file;
mod source;
mod tensor;
mod torch_file;

pub use architecture::{
    Architecture, CheckReport, ExpectedTensor, HieraBlockConfig, HieraConfig, HieraStageConfig,
    ImageEncoderConfig, MaskDecoderConfig, PromptEncoderConfig, Sam2Config, Sam2DecoderConfig,
    SamConfig, SamVitConfig, TinyVitConfig, TinyVitStageConfig, VitBlockConfig,
};
pub use checkpoint::{Checkpoint, Format};
pub use error::{
    ArchitectureProblem, ArchiveProblem, CheckpointError, LayoutProblem, Mismatch, Misshaped,
    PickleProblem, Problem, Result,
};
pub use fingerprint::Fingerprint;
pub use foreign::ForeignFormat;
pub use tensor::{Dtype, TensorView};
