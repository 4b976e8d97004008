//! A conformance suite that every sam-mm backend plugin can be run through.
//!
//! It loads a plugin, calls every function of its table as a host would and as no host should, and says of each
//! promise of `include/sam_mm_backend.h` whether it was kept. Each check is named as a sentence. From the command line:
//!
//! ```text
//! sam-mm-conformance path/to/libsam_mm_mine.so --checkpoint model.safetensors
//! ```
//!
//! The suite speaks to the plugin directly, not through the host's wrappers, so that nothing is caught before it
//! arrives. A plugin that crashes takes the suite with it; the check that was running is named before it starts.

mod checks;
mod host;
mod input;
mod raw;
mod report;
mod subject;

use std::path::PathBuf;

use sam_mm::backend::libtorch::Settings;
use sam_mm::backend::loader::LoadError;
use sam_mm::backend::{DeviceName, Plugin};
use sam_mm_backend_abi::abi::sam_mm_backend_query_fn;
use thiserror::Error;

pub use report::{Entry, Report, Verdict};

/// What is tested.
#[derive(Clone, Debug)]
pub enum Target {
    /// A plugin's file.
    File(PathBuf),
    /// The query function of a backend that is linked into this program, and what to call it.
    Linked(sam_mm_backend_query_fn, &'static str),
}

/// The checkpoint that the models of the suite are loaded from.
#[derive(Clone, Debug)]
pub enum Checkpoint {
    /// A file.
    File(PathBuf),
    /// The bytes of one.
    Bytes(Vec<u8>),
}

/// How the suite runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The device to run on.
    pub device: DeviceName,
    /// What models are loaded from.
    pub checkpoint: Checkpoint,
    /// Only checks whose sentence contains this text; empty for all.
    pub only: String,
}

impl Options {
    /// Every check on the CPU.
    pub fn new(checkpoint: Checkpoint) -> Self {
        Self {
            device: DeviceName::Cpu,
            checkpoint,
            only: String::new(),
        }
    }
}

/// Why the suite could not begin.
#[derive(Debug, Error)]
pub enum SuiteError {
    /// The plugin's file cannot be loaded.
    #[error("{}: {reason}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: LoadError,
    },
    /// The file that was just loaded does not give its query again.
    #[error("{}: {reason}", path.display())]
    Query {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: libloading::Error,
    },
}

/// Runs the suite. `progress` is told of every check before it starts.
///
/// # Errors
/// When the plugin cannot even be loaded.
///
/// # Safety
/// A plugin is code: it is run as it is, with whatever it does. A [`Target::Linked`] query must be a function that was
/// made to keep the contract of `include/sam_mm_backend.h`.
pub unsafe fn run(
    target: &Target,
    options: &Options,
    progress: impl FnMut(&Entry),
) -> Result<Report, SuiteError> {
    let query = match target {
        Target::Linked(query, _) => *query,
        Target::File(path) => {
            // The host's own loader first: it settles libtorch, and says in words what is wrong.
            let load = Plugin::load(path, &Settings::of_this_process());
            load.map_err(|reason| SuiteError::Load {
                path: path.clone(),
                reason,
            })?;
            // SAFETY: the file was loaded above and has the symbol.
            unsafe { raw::query_of(path) }.map_err(|reason| SuiteError::Query {
                path: path.clone(),
                reason,
            })?
        }
    };
    Ok(checks::run_all(raw::Query(query), options, progress))
}
