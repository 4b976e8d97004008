//! The errors of the core, each with the status code that callers in other languages see.

use std::borrow::Cow;
use std::sync::Arc;

use sam_mm_backend_abi::abi;
use thiserror::Error;

use crate::backend::{BackendError, Precision};
use crate::image::ImageError;
use crate::image::display::DisplayError;
use crate::mask::MaskError;
use crate::memory::config::ConfigError;
use crate::memory::plan::NoPlanFits;
use crate::memory::recovery::Exhausted;
use crate::prompt::PromptError;

/// What can go wrong. The message says what was wrong, with the values, and what to do.
#[derive(Debug, Error)]
pub enum Error {
    /// An argument is wrong.
    #[error("{name} {reason}")]
    InvalidArgument {
        /// The argument.
        name: Cow<'static, str>,
        /// What is wrong with it; continues the sentence that its name starts.
        reason: Cow<'static, str>,
    },
    /// A handle does not stand for a live object.
    #[error("{handle:#x} is not a live {kind}: {why}")]
    InvalidHandle {
        /// Name of the handle's C type.
        kind: &'static str,
        /// The handle as a number.
        handle: usize,
        /// How that is known.
        why: &'static str,
    },
    /// Well formed, but cannot be served.
    #[error("{0}")]
    Unsupported(String),
    /// No way to run an operation fits in memory.
    #[error("{}cannot {operation}: {nothing_fits}", status.as_ref().map(|status| format!("{status}; ")).unwrap_or_default())]
    NoPlanFits {
        /// The operation.
        operation: String,
        /// What the manager says of a device that is critically full.
        status: Option<String>,
        /// Every way that was passed over, and why.
        nothing_fits: Box<NoPlanFits>,
    },
    /// Memory ran out, and no rung of the ladder helped.
    #[error(transparent)]
    OutOfMemory(Box<Exhausted<Error>>),
    /// A setting of memory that cannot be used.
    #[error(transparent)]
    MemoryConfig(#[from] ConfigError),
    /// Host memory for something could not be had.
    #[error("no memory for {bytes} bytes of {what}")]
    HostMemory {
        /// What it was for.
        what: &'static str,
        /// The bytes asked for.
        bytes: usize,
    },
    /// Pixels that cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image that cannot be brought to display size, or a conversion that cannot be made.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// A prompt that cannot be used.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A mask that cannot be made.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The model gave something that is no number.
    #[error(
        "the model {model} gave {value} as {what} of mask {mask}, which is no answer: the weights hold values that are \
        not finite, or overflowed in {precision}; fetch the checkpoint again, and load it in fp32"
    )]
    NotFinite {
        /// The model's name.
        model: String,
        /// A score or a logit.
        what: &'static str,
        /// The mask, counted from 0.
        mask: usize,
        /// The first such value.
        value: f32,
        /// What the model computed in.
        precision: Precision,
    },
    /// A backend could not be found, or failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Somebody asked to stop before there was a result.
    #[error("cancelled: it was asked to stop before there was a result")]
    Cancelled,
    /// A job ended with this error.
    #[error(transparent)]
    Job(Arc<Error>),
    /// An earlier panic left the context in doubt.
    #[error("an earlier internal failure left this context unusable; destroy it and make another")]
    Poisoned,
    /// A defect of the library.
    #[error("internal failure: {0}; this is a defect of sam-mm, please report it")]
    Internal(String),
}

impl Error {
    /// An argument and what is wrong with it, as one sentence: `"width", "is 0: …"`.
    pub fn invalid_argument(
        name: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::InvalidArgument {
            name: name.into(),
            reason: reason.into(),
        }
    }

    /// Whether memory was too short, on the device or in the host: less work at once may succeed.
    pub fn is_out_of_memory(&self) -> bool {
        self.code() == abi::SAM_MM_ERR_OUT_OF_MEMORY
    }

    /// Whether it only says that somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.code() == abi::SAM_MM_ERR_CANCELLED
    }

    /// The status code of the C API.
    pub fn code(&self) -> i32 {
        match self {
            Self::InvalidArgument { .. } | Self::Prompt(_) => abi::SAM_MM_ERR_INVALID_ARGUMENT,
            Self::Image(ImageError::OutOfMemory { .. })
            | Self::Display(DisplayError::Pixels(ImageError::OutOfMemory { .. }))
            | Self::Mask(MaskError::OutOfMemory { .. }) => abi::SAM_MM_ERR_OUT_OF_MEMORY,
            Self::Image(_) | Self::Display(_) | Self::Mask(_) => abi::SAM_MM_ERR_INVALID_ARGUMENT,
            Self::InvalidHandle { .. } => abi::SAM_MM_ERR_INVALID_HANDLE,
            Self::Unsupported(_) => abi::SAM_MM_ERR_UNSUPPORTED,
            Self::HostMemory { .. } | Self::NoPlanFits { .. } | Self::OutOfMemory(_) => {
                abi::SAM_MM_ERR_OUT_OF_MEMORY
            }
            Self::MemoryConfig(_) => abi::SAM_MM_ERR_INVALID_ARGUMENT,
            Self::NotFinite { .. } => abi::SAM_MM_ERR_BACKEND,
            Self::Backend(error) => error.code(),
            Self::Cancelled => abi::SAM_MM_ERR_CANCELLED,
            Self::Job(error) => error.code(),
            Self::Poisoned => abi::SAM_MM_ERR_POISONED,
            Self::Internal(_) => abi::SAM_MM_ERR_INTERNAL,
        }
    }
}
