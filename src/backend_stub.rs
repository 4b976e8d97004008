//! Stands in for the loader until it lands.
#![allow(missing_docs, unused, clippy::all)]
use crate::image::*;
use crate::logging::Log;
use crate::prompt::Prompts;
pub use sam_mm_backend_abi::BackendError;
use sam_mm_backend_abi::types::{MemInfo, ModelInfo, Plan, Precision};
use std::path::*;
use std::sync::Arc;
type R<T> = Result<T, BackendError>;
fn none() -> BackendError {
    BackendError::new(5, "no backend: the loader is not there yet")
}
pub fn check_device_name(n: &str) -> R<()> {
    Ok(())
}
pub struct SearchOptions {
    pub explicit: Option<PathBuf>,
}
pub struct DeviceConfig {
    pub num_threads: u32,
    pub memory_limit_bytes: u64,
    pub allow_tf32: bool,
}
pub struct Device;
pub struct Trail;
impl std::fmt::Display for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        Ok(())
    }
}
pub fn open(s: &SearchOptions, d: &str, c: &DeviceConfig, l: &Arc<Log>) -> R<(Device, Trail)> {
    Err(none())
}
impl Device {
    pub fn name(&self) -> &str {
        ""
    }
    pub fn backend_name(&self) -> &str {
        ""
    }
    pub fn backend_version(&self) -> &str {
        ""
    }
    pub fn backend_path(&self) -> &Path {
        Path::new("")
    }
    pub fn mem_info(&self) -> R<MemInfo> {
        Ok(MemInfo::default())
    }
    pub fn trim(&self) -> R<u64> {
        Ok(0)
    }
    pub fn load_model(&self, c: Checkpoint, n: &str, p: Precision, o: &Operation) -> R<Model> {
        Err(none())
    }
}
pub enum Checkpoint<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
}
pub struct Operation;
impl Operation {
    pub fn new(l: Arc<Log>) -> Self {
        Self
    }
}
pub struct Model(ModelInfo);
impl Model {
    pub fn info(&self) -> &ModelInfo {
        &self.0
    }
    pub fn encode(&self, i: &ModelInput, p: &Plan, o: &Operation) -> R<Embedding> {
        Err(none())
    }
    pub fn decode(
        &self,
        e: &Embedding,
        pr: &Prompts,
        p: &Plan,
        o: &Operation,
        l: &mut [f32],
        s: &mut [f32],
    ) -> R<()> {
        Err(none())
    }
}
pub struct Embedding;
impl Embedding {
    pub fn bytes(&self) -> u64 {
        0
    }
}
