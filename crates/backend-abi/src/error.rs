//! The error of a backend: a code, words, and the figures of an out-of-memory.

use core::ffi::c_char;
use core::fmt;
use std::borrow::Cow;

use crate::abi;

/// What a function of a backend returns.
pub type Result<T> = core::result::Result<T, BackendError>;

/// What went wrong in a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendError {
    /// One of the `SAM_MM_ERR_…` codes; never `SAM_MM_OK`.
    pub code: i32,
    /// What was wrong, with the values, and what to do about it.
    pub message: String,
    /// For [`abi::SAM_MM_ERR_OUT_OF_MEMORY`]: the bytes asked for, where known.
    pub requested_bytes: Option<u64>,
    /// For [`abi::SAM_MM_ERR_OUT_OF_MEMORY`]: the bytes that were free, where known.
    pub free_bytes: Option<u64>,
}

impl BackendError {
    /// An error with a code and words. A code of `SAM_MM_OK` would read as success and becomes
    /// [`abi::SAM_MM_ERR_INTERNAL`].
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        let code = if code == abi::SAM_MM_OK {
            abi::SAM_MM_ERR_INTERNAL
        } else {
            code
        };
        Self {
            code,
            message: message.into(),
            requested_bytes: None,
            free_bytes: None,
        }
    }

    /// An argument is wrong; the message names it and its value.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_INVALID_ARGUMENT, message)
    }

    /// A handle is NULL, freed, or of another kind.
    pub fn invalid_handle(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_INVALID_HANDLE, message)
    }

    /// Well formed, but not something this backend, model or device can do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_UNSUPPORTED, message)
    }

    /// Memory ran out, and nothing else did: the host answers with its recovery ladder.
    pub fn out_of_memory(
        message: impl Into<String>,
        requested_bytes: Option<u64>,
        free_bytes: Option<u64>,
    ) -> Self {
        Self {
            requested_bytes,
            free_bytes,
            ..Self::new(abi::SAM_MM_ERR_OUT_OF_MEMORY, message)
        }
    }

    /// The backend failed.
    pub fn backend(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_BACKEND, message)
    }

    /// A checkpoint is damaged, incomplete, or not a model that is known.
    pub fn checkpoint(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_CHECKPOINT, message)
    }

    /// A file could not be opened or read.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_IO, message)
    }

    /// The device does not exist here, or cannot be used.
    pub fn device_unavailable(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_DEVICE_UNAVAILABLE, message)
    }

    /// The device failed while in use and is gone for this process.
    pub fn device_lost(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_DEVICE_LOST, message)
    }

    /// The host cancelled the operation.
    pub fn cancelled() -> Self {
        Self::new(abi::SAM_MM_ERR_CANCELLED, "the operation was cancelled")
    }

    /// A defect of the plugin or the host.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(abi::SAM_MM_ERR_INTERNAL, message)
    }

    /// Whether memory ran out.
    pub fn is_out_of_memory(&self) -> bool {
        self.code == abi::SAM_MM_ERR_OUT_OF_MEMORY
    }

    /// The same error with `what: ` before its message.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Copies the error into the host's struct: figures of 0 where not known, the message cut at a character.
    pub fn write_to(&self, error: &mut abi::sam_mm_backend_error) {
        error.requested_bytes = self.requested_bytes.unwrap_or(0);
        error.free_bytes = self.free_bytes.unwrap_or(0);
        write_text(&mut error.message, &self.message);
    }

    /// Reads what a plugin that returned `code` wrote. An empty message becomes one that names the code.
    pub fn read_from(code: i32, error: &abi::sam_mm_backend_error) -> Self {
        let message = match read_text(&error.message) {
            text if text.is_empty() => {
                format!(
                    "the backend returned {} ({code}) without saying why",
                    code_name(code)
                )
            }
            text => text.into_owned(),
        };
        let known =
            |bytes: u64| (code == abi::SAM_MM_ERR_OUT_OF_MEMORY && bytes > 0).then_some(bytes);
        Self {
            requested_bytes: known(error.requested_bytes),
            free_bytes: known(error.free_bytes),
            ..Self::new(code, message)
        }
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BackendError {}

/// The constant's name without its prefix, such as `OUT_OF_MEMORY`.
pub fn code_name(code: i32) -> &'static str {
    match code {
        abi::SAM_MM_OK => "OK",
        abi::SAM_MM_ERR_INVALID_ARGUMENT => "INVALID_ARGUMENT",
        abi::SAM_MM_ERR_INVALID_HANDLE => "INVALID_HANDLE",
        abi::SAM_MM_ERR_UNSUPPORTED => "UNSUPPORTED",
        abi::SAM_MM_ERR_OUT_OF_MEMORY => "OUT_OF_MEMORY",
        abi::SAM_MM_ERR_BACKEND_NOT_FOUND => "BACKEND_NOT_FOUND",
        abi::SAM_MM_ERR_BACKEND => "BACKEND",
        abi::SAM_MM_ERR_CONFLICT => "CONFLICT",
        abi::SAM_MM_ERR_CHECKPOINT => "CHECKPOINT",
        abi::SAM_MM_ERR_IO => "IO",
        abi::SAM_MM_ERR_DEVICE_UNAVAILABLE => "DEVICE_UNAVAILABLE",
        abi::SAM_MM_ERR_DEVICE_LOST => "DEVICE_LOST",
        abi::SAM_MM_ERR_CANCELLED => "CANCELLED",
        abi::SAM_MM_ERR_POISONED => "POISONED",
        abi::SAM_MM_ERR_INTERNAL => "INTERNAL",
        _ => "an unknown code",
    }
}

/// Copies `text` into a fixed buffer: NUL-terminated, cut at a character when too long, inner NULs dropped.
pub fn write_text(buffer: &mut [c_char], text: &str) {
    let Some(room) = buffer.len().checked_sub(1) else {
        return;
    };
    let mut used = 0;
    let mut utf8 = [0u8; 4];
    for character in text.chars().filter(|&c| c != '\0') {
        let bytes = character.encode_utf8(&mut utf8).as_bytes();
        if used + bytes.len() > room {
            break;
        }
        for &byte in bytes {
            buffer[used] = byte as c_char;
            used += 1;
        }
    }
    buffer[used] = 0;
}

/// The text in a fixed buffer, up to its NUL or its end; what is not UTF-8 is replaced.
pub fn read_text(buffer: &[c_char]) -> Cow<'static, str> {
    let bytes: Vec<u8> = buffer
        .iter()
        .map(|&c| c as u8)
        .take_while(|&byte| byte != 0)
        .collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeroed() -> abi::sam_mm_backend_error {
        abi::sam_mm_backend_error {
            struct_size: size_of::<abi::sam_mm_backend_error>() as u32,
            reserved: 0,
            requested_bytes: 0,
            free_bytes: 0,
            message: [0; abi::SAM_MM_BACKEND_MESSAGE_LEN],
        }
    }

    #[test]
    fn an_error_survives_the_border() {
        let error = BackendError::out_of_memory("no room for 5 bytes", Some(5), Some(3));
        let mut wire = zeroed();
        error.write_to(&mut wire);
        assert_eq!(BackendError::read_from(error.code, &wire), error);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut buffer = [0 as c_char; 8];
        write_text(&mut buffer, "abcdéfgh€");
        assert_eq!(read_text(&buffer), "abcdéf");
        write_text(&mut buffer, "abcdef€");
        assert_eq!(read_text(&buffer), "abcdef");
    }

    #[test]
    fn a_message_without_a_closing_nul_ends_with_its_buffer() {
        assert_eq!(read_text(&[b'a' as c_char; 4]), "aaaa");
    }

    #[test]
    fn a_failure_without_words_names_its_code() {
        let error = BackendError::read_from(abi::SAM_MM_ERR_IO, &zeroed());
        assert_eq!(
            error.message,
            "the backend returned IO (9) without saying why"
        );
    }

    #[test]
    fn memory_figures_belong_to_out_of_memory_alone() {
        let mut wire = zeroed();
        wire.requested_bytes = 7;
        assert_eq!(
            BackendError::read_from(abi::SAM_MM_ERR_IO, &wire).requested_bytes,
            None
        );
        assert_eq!(
            BackendError::read_from(abi::SAM_MM_ERR_OUT_OF_MEMORY, &wire).requested_bytes,
            Some(7)
        );
    }
}
