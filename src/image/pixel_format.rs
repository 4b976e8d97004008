//! Layouts of a pixel in memory.

use std::fmt;

/// How the samples of a pixel lie in memory: 8 bits each, interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb8,
    /// Blue, green, red (OpenCV).
    Bgr8,
    /// Red, green, blue, alpha. Alpha is ignored: colours are taken as they are, not blended with anything.
    Rgba8,
    /// Blue, green, red, alpha (Windows bitmaps, Qt, Cairo). Alpha is ignored.
    Bgra8,
    /// One sample of luminance; the model sees it as red, green and blue alike.
    Gray8,
}

impl PixelFormat {
    /// Bytes of one pixel.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rgb8 => "RGB8",
            Self::Bgr8 => "BGR8",
            Self::Rgba8 => "RGBA8",
            Self::Bgra8 => "BGRA8",
            Self::Gray8 => "GRAY8",
        })
    }
}
