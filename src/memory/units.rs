//! Bytes in words, time in numbers.

use std::fmt;
use std::time::Duration;

use serde::Serializer;

/// A number of bytes as people read it: `2.45 GB`, `96.0 MB`, `512 bytes`. A GB is 2³⁰ bytes, as `nvidia-smi` and the
/// boxes of cards count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MB: u64 = 1 << 20;
        const GB: u64 = 1 << 30;
        match self.0 {
            bytes @ 0..MB => write!(f, "{bytes} bytes"),
            bytes @ MB..GB => write!(f, "{:.1} MB", bytes as f64 / MB as f64),
            bytes => write!(f, "{:.2} GB", bytes as f64 / GB as f64),
        }
    }
}

/// A time in milliseconds, for JSON.
pub(super) fn milliseconds<S: Serializer>(
    time: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn bytes_read_in_the_unit_that_suits_them() {
        let texts = [0, 512, 96 << 20, 5 << 29].map(|bytes| Size(bytes).to_string());
        assert_eq!(texts, ["0 bytes", "512 bytes", "96.0 MB", "2.50 GB"]);
    }
}
