//! The identity of a picture.

use std::fmt;

use md5::{Digest, Md5};

/// Stands where a picture's size does, in the digest of an id: no picture has this size, so that no id has the key of
/// any pixels.
const NO_SIZE: u32 = u32::MAX;

/// MD5 of an image's size and pixels, or of its size and an id that its owner gave it. Of pixels: the same picture has the same key however it was laid out in memory (RGB or BGR,
/// with alpha, with padded rows, gray or the same grays as RGB), and the same bytes under another size have another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageKey([u8; 16]);

impl ImageKey {
    /// Key of a picture that its owner tells from others by an id: a path with a time, a row of a database. The same id
    /// with another size is another picture.
    pub fn of_content_id(id: &[u8], width: u32, height: u32) -> Self {
        let mut md5 = begin(NO_SIZE, NO_SIZE);
        md5.update(width.to_le_bytes());
        md5.update(height.to_le_bytes());
        md5.update(id);
        Self(md5.finalize().into())
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ImageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageKey({self})")
    }
}

/// Key of tightly packed RGB pixels.
pub(super) fn of_rgb(width: u32, height: u32, rgb: &[u8]) -> ImageKey {
    let mut md5 = begin(width, height);
    md5.update(rgb);
    ImageKey(md5.finalize().into())
}

/// Key of gray pixels: that of the RGB picture they stand for.
pub(super) fn of_gray(width: u32, height: u32, gray: &[u8]) -> ImageKey {
    const CHUNK: usize = 1024;
    let mut md5 = begin(width, height);
    let mut rgb = [[0u8; 3]; CHUNK];
    for chunk in gray.chunks(CHUNK) {
        for (pixel, &value) in rgb.iter_mut().zip(chunk) {
            *pixel = [value; 3];
        }
        md5.update(rgb[..chunk.len()].as_flattened());
    }
    ImageKey(md5.finalize().into())
}

fn begin(width: u32, height: u32) -> Md5 {
    let mut md5 = Md5::new();
    md5.update(width.to_le_bytes());
    md5.update(height.to_le_bytes());
    md5
}
