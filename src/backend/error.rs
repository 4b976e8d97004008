//! What can go wrong with a backend.

use std::path::PathBuf;

use sam_mm_backend_abi::abi;
use sam_mm_backend_abi::error::BackendError as PluginError;
use thiserror::Error;

use super::libtorch::Conflict;
use super::trail::Trail;

/// How to come by the backend that most callers want.
const HOW_TO_GET_LIBTORCH: &str = "To get the libtorch backend, run `cargo xtask demo` in the sources of sam-mm, \
     which fetches libtorch 2.11 and builds the plugin into target/release; or install libtorch 2.11 and the plugin \
     yourself, put the plugin beside the sam_mm library or name its file or folder in SAM_MM_BACKEND_PATH, and set \
     SAM_MM_LIBTORCH to the folder of libtorch.";

/// What can go wrong with a backend. The message says what was wrong, with the values, and what to do.
#[derive(Clone, Debug, Error)]
pub enum BackendError {
    /// No plugin could be loaded.
    #[error("no backend plugin could be loaded.\n{trail}{HOW_TO_GET_LIBTORCH}")]
    NotFound {
        /// Every path tried and why it failed.
        trail: Trail,
    },
    /// No plugin could be loaded, at least one of them because of another library in the process.
    #[error("{conflict}\n{trail}")]
    Conflict {
        /// What conflicts.
        conflict: Box<Conflict>,
        /// Every path tried and why it failed.
        trail: Trail,
    },
    /// No loaded backend can run on the device asked for.
    #[error("no backend can run on {device}: {}", trail.reasons_first())]
    DeviceUnavailable {
        /// What was asked for: `cpu`, `cuda:N` or `auto`.
        device: String,
        /// What each backend said.
        trail: Trail,
    },
    /// A plugin's file cannot be used.
    #[error("{}: {reason}", path.display())]
    Unloadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A function of the plugin failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

impl BackendError {
    /// The status code of the C API.
    pub fn code(&self) -> i32 {
        match self {
            Self::NotFound { .. } | Self::Unloadable { .. } => abi::SAM_MM_ERR_BACKEND_NOT_FOUND,
            Self::Conflict { .. } => abi::SAM_MM_ERR_CONFLICT,
            Self::DeviceUnavailable { .. } => abi::SAM_MM_ERR_DEVICE_UNAVAILABLE,
            Self::Plugin(error) => error.code,
        }
    }

    /// Whether memory of the device or the host ran out, and nothing else did.
    pub fn is_out_of_memory(&self) -> bool {
        self.code() == abi::SAM_MM_ERR_OUT_OF_MEMORY
    }

    /// Whether what was asked for is well formed but cannot be done by this backend or model.
    pub fn is_unsupported(&self) -> bool {
        self.code() == abi::SAM_MM_ERR_UNSUPPORTED
    }

    /// The bytes that were asked for when memory ran out, where known.
    pub fn requested_bytes(&self) -> Option<u64> {
        self.plugin().and_then(|error| error.requested_bytes)
    }

    /// The bytes that were free when memory ran out, where known.
    pub fn free_bytes(&self) -> Option<u64> {
        self.plugin().and_then(|error| error.free_bytes)
    }

    /// The search that led to this error, where there was one.
    pub fn trail(&self) -> Option<&Trail> {
        match self {
            Self::NotFound { trail }
            | Self::Conflict { trail, .. }
            | Self::DeviceUnavailable { trail, .. } => Some(trail),
            Self::Unloadable { .. } | Self::Plugin(_) => None,
        }
    }

    fn plugin(&self) -> Option<&PluginError> {
        match self {
            Self::Plugin(error) => Some(error),
            _ => None,
        }
    }
}
