//! Text that crosses the border: UTF-8, NUL-terminated.

use std::ffi::{CStr, c_char};
use std::path::PathBuf;

use crate::error::Error;

/// Text given by a caller, or `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that lives as long as `'a`.
pub unsafe fn optional<'a>(
    name: &'static str,
    text: *const c_char,
) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    match text.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let reason = format!(
                "is not UTF-8: byte {} of {:?}",
                error.valid_up_to(),
                text.to_string_lossy()
            );
            Err(Error::invalid_argument(name, reason))
        }
    }
}

/// A path given by a caller, or `None` for NULL. An empty one leads nowhere, and would make messages without a name.
///
/// # Safety
/// As for [`optional`].
pub unsafe fn optional_path(
    name: &'static str,
    text: *const c_char,
) -> Result<Option<PathBuf>, Error> {
    // SAFETY: passed on from the caller.
    match unsafe { optional(name, text)? } {
        Some("") => Err(Error::invalid_argument(
            name,
            "is \"\", which is no path; leave it NULL for the default",
        )),
        path => Ok(path.map(PathBuf::from)),
    }
}

/// Copies text into a fixed array, cut at a character when too long, always NUL-terminated.
pub fn fill<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    let mut end = text.len().min(N - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, &from) in array.iter_mut().zip(&text.as_bytes()[..end]) {
        *to = from as c_char;
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_too_long_is_cut_at_a_character_and_ends_with_nul() {
        let array: [c_char; 6] = fill("abcd€");
        assert_eq!(array.map(|byte| byte as u8), *b"abcd\0\0");
    }

    #[test]
    fn an_empty_path_is_refused_in_quotes() {
        // SAFETY: literals, and NULL is allowed.
        unsafe {
            let refused = optional_path("path", c"".as_ptr()).unwrap_err();
            assert!(refused.to_string().starts_with("path is \"\""), "{refused}");
            let given = optional_path("path", c"a/b".as_ptr()).unwrap();
            assert_eq!(given, Some(PathBuf::from("a/b")));
            assert_eq!(optional_path("path", std::ptr::null()).unwrap(), None);
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_place() {
        // SAFETY: a literal.
        let refused = unsafe { optional("path", c"ab\xff".as_ptr()) }.unwrap_err();
        assert!(refused.to_string().contains("byte 2"), "{refused}");
    }
}
