//! An open device.

use std::path::Path;
use std::ptr;
use std::sync::Arc;

use sam_mm_backend_abi::abi;
use sam_mm_backend_abi::error::BackendError as PluginError;
use sam_mm_backend_abi::layout::zeroed;
use sam_mm_backend_abi::types::{DeviceConfig, DeviceName, MemInfo, Precision};

use super::call::{call, written};
use super::error::BackendError;
use super::loader::{Plugin, c_string, required};
use super::model::Model;
use super::operation::Operation;

/// A device that a backend opened. Used from many threads at once; closed when it and every model on it are dropped.
#[derive(Clone)]
pub struct Device {
    pub(super) inner: Arc<Open>,
}

pub(super) struct Open {
    pub(super) plugin: Arc<Plugin>,
    raw: *mut abi::sam_mm_backend_device,
    name: DeviceName,
}

// SAFETY: the ABI makes every function safe against any thread; the pointer is only passed to them.
unsafe impl Send for Open {}
// SAFETY: as above.
unsafe impl Sync for Open {}

/// Where a checkpoint comes from.
#[derive(Clone, Copy, Debug)]
pub enum Checkpoint<'a> {
    /// A file.
    File(&'a Path),
    /// The bytes of one.
    Bytes(&'a [u8]),
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn open(plugin: &Arc<Plugin>, config: &DeviceConfig) -> Result<Self, BackendError> {
        let name = c_string(&config.device.to_string());
        let wire = abi::sam_mm_backend_device_config {
            num_threads: config.num_threads.unwrap_or(0),
            device: name.as_ptr(),
            memory_limit_bytes: config.memory_limit_bytes.unwrap_or(0),
            allow_tf32: config.allow_tf32.into(),
            ..zeroed()
        };
        let mut raw = ptr::null_mut();
        let device_open = required(plugin.table().device_open);
        // SAFETY: the plugin's function with arguments as the ABI asks for; `name` lives through the call.
        call(|error| unsafe { device_open(&raw const wire, &raw mut raw, error) })?;
        let raw = written(raw, plugin.name(), "device")?;
        Ok(Self {
            inner: Arc::new(Open {
                plugin: Arc::clone(plugin),
                raw,
                name: config.device,
            }),
        })
    }

    /// Opens a device with the backend that this one belongs to: another one, or the same one with other settings.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn open_another(&self, config: &DeviceConfig) -> Result<Self, BackendError> {
        Self::open(&self.inner.plugin, config)
    }

    /// `cpu` or `cuda:N`.
    pub fn name(&self) -> DeviceName {
        self.inner.name
    }

    /// The backend it belongs to.
    pub fn plugin(&self) -> &Plugin {
        &self.inner.plugin
    }

    /// Memory figures now. Never waits for running work.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn mem_info(&self) -> Result<MemInfo, BackendError> {
        let mut wire: abi::sam_mm_backend_mem_info = zeroed();
        let device_mem_info = required(self.inner.plugin.table().device_mem_info);
        // SAFETY: the plugin's function with a live device and a struct to fill.
        call(|error| unsafe { device_mem_info(self.inner.raw, &raw mut wire, error) })?;
        Ok(MemInfo::from_abi(&wire))
    }

    /// Gives memory that the allocator only keeps for reuse back to the device; how many bytes.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn trim(&self) -> Result<u64, BackendError> {
        let mut freed = 0;
        let device_trim = required(self.inner.plugin.table().device_trim);
        // SAFETY: the plugin's function with a live device and a number to fill.
        call(|error| unsafe { device_trim(self.inner.raw, &raw mut freed, error) })?;
        Ok(freed)
    }

    /// Loads a model. `name` is what messages call the checkpoint.
    ///
    /// # Errors
    /// What the plugin says; `SAM_MM_ERR_INVALID_ARGUMENT` for a path that is not UTF-8, which plugins do not take.
    pub fn load_model(
        &self,
        checkpoint: Checkpoint<'_>,
        name: &str,
        precision: Precision,
        operation: &Operation,
    ) -> Result<Model, BackendError> {
        let name = c_string(name);
        let path = match checkpoint {
            Checkpoint::File(path) => Some(path_text(path)?),
            Checkpoint::Bytes(_) => None,
        };
        let (data, data_len) = match checkpoint {
            Checkpoint::File(_) => (ptr::null(), 0),
            Checkpoint::Bytes(bytes) => (bytes.as_ptr(), bytes.len() as u64),
        };
        let wire = abi::sam_mm_backend_checkpoint {
            precision: precision.to_abi(),
            path: path.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
            data,
            data_len,
            name: name.as_ptr(),
            ..zeroed()
        };
        let mut raw = ptr::null_mut();
        let model_load = required(self.inner.plugin.table().model_load);
        // SAFETY: the plugin's function with a live device; the texts and bytes live through the call.
        call(|error| unsafe {
            model_load(
                self.inner.raw,
                &raw const wire,
                operation.as_ptr(),
                &raw mut raw,
                error,
            )
        })?;
        let raw = written(raw, self.inner.plugin.name(), "model")?;
        // SAFETY: a model that the plugin has just given, and nobody else knows.
        unsafe { Model::adopt(Arc::clone(&self.inner), raw) }
    }
}

fn path_text(path: &Path) -> Result<std::ffi::CString, BackendError> {
    let refuse = |what: &str| {
        let message =
            format!("the checkpoint's path {path:?} {what}; rename the file or give its bytes");
        Err(PluginError::invalid_argument(message).into())
    };
    match path.to_str() {
        None => refuse("is not valid UTF-8"),
        Some(text) => std::ffi::CString::new(text).or_else(|_| refuse("contains NUL")),
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let device_close = required(self.plugin.table().device_close);
        // SAFETY: the plugin's function with a live device that nobody uses afterwards.
        unsafe { device_close(self.raw) }
    }
}
