//! What can go wrong in the plugin, and which code of the ABI it is.

use sam_mm_backend_abi::{BackendError, abi};
use sam_mm_checkpoint::{CheckpointError, Problem};
use tch::TchError;

use crate::shim::{Failure, FailureKind};

/// Result of the plugin's own functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Asked between the stages of long work; an error of it ends the work.
pub type CheckCancelled<'a> = &'a dyn Fn() -> Result<()>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libtorch failed.
    #[error(transparent)]
    Torch(#[from] Failure),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A tensor that the model needs is missing or misshaped.
    #[error("{0}")]
    Weight(String),
    /// The host said no, or an argument is wrong.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A defect of the plugin.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A tensor of the model is not in the checkpoint.
    pub(crate) fn missing_weight(file: &str, name: &str) -> Self {
        Self::Weight(format!("{file} lacks the tensor `{name}`"))
    }

    /// A tensor of the model has another shape than the architecture tells.
    pub(crate) fn misshaped_weight(
        file: &str,
        name: &str,
        found: &[i64],
        expected: &[i64],
    ) -> Self {
        Self::Weight(format!(
            "{file} has the tensor `{name}` in the shape {found:?}, and the model needs {expected:?}"
        ))
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error.into())
    }
}

impl From<Error> for BackendError {
    fn from(error: Error) -> Self {
        match error {
            Error::Backend(error) => error,
            Error::Torch(failure) => match failure.kind() {
                FailureKind::OutOfMemory { requested, free } => {
                    Self::out_of_memory(failure.to_string(), requested, free)
                }
                FailureKind::DeviceLost => Self::device_lost(failure.to_string()),
                FailureKind::Other => Self::backend(failure.to_string()),
            },
            Error::Checkpoint(ref inner) => Self::new(code_of(inner.problem()), error.to_string()),
            Error::Weight(_) => Self::checkpoint(error.to_string()),
            Error::Internal(message) => Self::internal(message),
        }
    }
}

/// A file that cannot be opened is told from a damaged checkpoint.
fn code_of(problem: &Problem) -> i32 {
    match problem {
        Problem::Open(_) => abi::SAM_MM_ERR_IO,
        _ => abi::SAM_MM_ERR_CHECKPOINT,
    }
}
