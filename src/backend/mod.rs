//! Backend plugins: found, loaded, and spoken to.
//!
//! [`open`] is the way in: it searches ([`search`]), loads what it finds ([`loader`]) after a look at the libtorch that
//! the process may already hold ([`libtorch`]), and lets the backend open the device that it runs best on. What was
//! tried, and what came of it, is kept in a [`Trail`].
//!
//! From there on, [`Device`], [`Model`] and [`Embedding`] are safe: each keeps its parent alive and is freed when
//! dropped, and the calls to one model take turns. [`Operation`] is what a plugin can ask of the host while it works.

mod call;
mod device;
mod embedding;
mod error;
mod host;
pub mod libtorch;
pub mod loader;
mod model;
mod operation;
pub mod search;
mod select;
mod trail;

pub use device::{Checkpoint, Device};
pub use embedding::Embedding;
pub use error::BackendError;
pub use loader::Plugin;
pub use model::{MaskBuffers, Model, Prompts};
pub use operation::{LogSink, Operation, OperationHooks, subscribe_log};
pub use sam_mm_backend_abi::sdk::{PixelData, Pixels};
pub use sam_mm_backend_abi::types::{
    AllocatorMemory, Attention, DeviceConfig, DeviceMemory, DeviceName, Element, Estimate,
    LogLevel, MemInfo, ModelInfo, Plan, Precision, Probe, Resize,
};
pub use search::SearchOptions;
pub use select::{Backends, DeviceOptions, DeviceRequest, Opened, open};
pub use trail::{Attempt, Outcome, Trail};
