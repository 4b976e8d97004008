//! A backend in safe Rust.
//!
//! Implement [`Backend`], [`Device`], [`Model`] and [`Embedding`], and write
//! [`export_backend!`](crate::export_backend)`(MyBackend)` in a crate of type `cdylib`. The SDK checks every argument
//! before a trait method sees it (NULL, `struct_size`, strides and sizes against overflow, labels, handles of another
//! kind), catches panics, keeps parents alive for their children, and serialises the calls to one model.
//!
//! `examples/threshold_backend.rs` of this crate is a whole backend in a page.
//!
//! # Threads
//! The methods of one [`Model`] run one at a time, on whatever thread the host chose; so do those of one
//! [`Embedding`]. The methods of [`Device`] run at any time, also while a model works, and must not wait for it.
//! A model works while it calls into the host through [`Operation`]; the host may then export and free other
//! embeddings, ask for memory figures and trim, on the same thread.

mod entry;
mod export;
mod handle;
mod operation;
mod pixels;
mod prompts;

use core::ffi::{CStr, c_void};
use std::path::Path;

pub use crate::error::{BackendError, Result};
pub use crate::types::{
    AllocatorMemory, Attention, DeviceConfig, DeviceMemory, DeviceName, Element, Estimate,
    LogLevel, MemInfo, ModelInfo, Plan, Precision, Probe, Resize,
};
pub use entry::{Table, query, table};
pub use export::nul_terminated;
pub use operation::{AnyThread, Operation, log};
pub use pixels::{PixelData, Pixels};
pub use prompts::{MasksMut, ObjectPrompt, Prompts};

/// A backend: where everything starts. A type without a value; what it needs per device lives in [`Device`].
pub trait Backend: 'static {
    /// A device that was opened.
    type Device: Device;

    /// Short name, such as `"torch"`. Without NUL.
    const NAME: &'static str;

    /// Version of the plugin and of what it stands on, such as `"0.1.0 (libtorch 2.11.0)"`. Without NUL.
    const VERSION: &'static str;

    /// Whether and how well the backend can run on `device`. Allocates no device memory. Not being able to is no
    /// error but a score of 0 with a reason that says what to do.
    ///
    /// # Errors
    /// When it cannot be found out.
    fn probe(device: DeviceName) -> Result<Probe>;

    /// Opens a device.
    ///
    /// # Errors
    /// `SAM_MM_ERR_DEVICE_UNAVAILABLE` when it does not exist or cannot be used.
    fn open(config: &DeviceConfig) -> Result<Self::Device>;

    /// A table of further functions by name and revision (`"name/rev"`), valid until the process ends.
    fn extension(id: &CStr) -> Option<*const c_void> {
        let _ = id;
        None
    }
}

/// A device that was opened. Lives as long as any model on it.
pub trait Device: Send + Sync + 'static {
    /// A model on this device.
    type Model: Model;

    /// Memory figures. Quick; never waits for running work.
    ///
    /// # Errors
    /// When the device does not answer. A figure that cannot be had is not an error but `None`.
    fn mem_info(&self) -> Result<MemInfo>;

    /// Gives memory that the allocator only keeps for reuse back to the device, and returns the bytes.
    ///
    /// # Errors
    /// When the device fails.
    fn trim(&self) -> Result<u64>;

    /// Loads a model.
    ///
    /// # Errors
    /// `SAM_MM_ERR_IO`, `SAM_MM_ERR_CHECKPOINT`, `SAM_MM_ERR_UNSUPPORTED`, `SAM_MM_ERR_OUT_OF_MEMORY` or
    /// `SAM_MM_ERR_CANCELLED`, with a message that names the checkpoint and what was wrong in it.
    fn load_model(
        &self,
        checkpoint: &Checkpoint<'_>,
        operation: &Operation<'_>,
    ) -> Result<Self::Model>;
}

/// A loaded model. Its methods run one at a time. Lives as long as any embedding it made.
pub trait Model: Send + 'static {
    /// What the image encoder made of one image.
    type Embedding: Embedding;

    /// Describes the model. After [`set_precision`](Self::set_precision) only the figures of bytes may differ.
    fn info(&self) -> ModelInfo;

    /// Changes the precision of the weights. On an error the model is as before.
    ///
    /// # Errors
    /// `SAM_MM_ERR_UNSUPPORTED` when the device has no such precision.
    fn set_precision(&mut self, precision: Precision, operation: &Operation<'_>) -> Result<()>;

    /// Memory that a plan needs, over and above the weights.
    ///
    /// # Errors
    /// `SAM_MM_ERR_UNSUPPORTED` for a plan the model cannot run.
    fn estimate(&self, plan: &Plan) -> Result<Estimate>;

    /// Runs the image encoder.
    ///
    /// # Errors
    /// As the work needs; `SAM_MM_ERR_OUT_OF_MEMORY` only for memory that ran out.
    fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        plan: &Plan,
        operation: &Operation<'_>,
    ) -> Result<Self::Embedding>;

    /// Runs prompt encoder and mask decoder for every object of `prompts` and fills `masks`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode). What `masks` holds after an error is not looked at.
    fn decode(
        &mut self,
        embedding: &Self::Embedding,
        prompts: &Prompts<'_>,
        plan: &Plan,
        operation: &Operation<'_>,
        masks: &mut MasksMut<'_>,
    ) -> Result<()>;

    /// Makes an embedding from bytes that [`Embedding::export`] wrote, bit for bit.
    ///
    /// # Errors
    /// `SAM_MM_ERR_INVALID_ARGUMENT` for bytes that are not from such an export or are of another model size. The
    /// bytes may come from a damaged file: nothing in them is to be believed before it is checked.
    fn import_embedding(
        &mut self,
        bytes: &[u8],
        operation: &Operation<'_>,
    ) -> Result<Self::Embedding>;
}

/// What the image encoder made of one image. Its methods run one at a time.
pub trait Embedding: Send + 'static {
    /// Bytes of device memory it holds. Asked once, after it was made.
    fn device_bytes(&self) -> u64;

    /// Length of what [`export`](Self::export) writes. The same for every embedding of one model.
    fn export_len(&self) -> usize;

    /// Writes the embedding into `buffer`, which is [`export_len`](Self::export_len) long.
    ///
    /// # Errors
    /// When the device fails.
    fn export(&self, buffer: &mut [u8]) -> Result<()>;

    /// The embedding as fewer bytes, with each value the nearest one of half precision, for
    /// [`Model::import_embedding`] to take back in the precision it had. `None`, as here, for an embedding that half
    /// precision cannot hold, or that has no more already.
    ///
    /// # Errors
    /// When the device fails.
    fn export_half(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// Where a checkpoint comes from.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// The file or the bytes.
    pub source: CheckpointSource<'a>,
    /// What to call it in messages.
    pub name: &'a str,
    /// Precision the weights are to be held in.
    pub precision: Precision,
}

/// A checkpoint's file or bytes.
#[derive(Clone, Copy, Debug)]
pub enum CheckpointSource<'a> {
    /// A file to be read.
    Path(&'a Path),
    /// The checkpoint in memory.
    Bytes(&'a [u8]),
}
