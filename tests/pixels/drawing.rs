//! Images and logits drawn by formula, as in `tools/make_pixel_goldens.py`.

use sam_mm::image::{Image, ImageView, PixelFormat};

/// 32 random-looking bits for an index.
pub fn noise(index: usize, seed: u32) -> u32 {
    let mut h = (index as u32).wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    h = (h ^ (h >> 16)).wrapping_mul(0x7FEB_352D);
    h = (h ^ (h >> 15)).wrapping_mul(0x846C_A68B);
    h ^ (h >> 16)
}

/// RGB pixels of the image `name`.
pub fn rgb(name: &str, width: u32, height: u32) -> Vec<u8> {
    let sample = |index: usize| {
        let bits = noise(index, 1);
        let (x, y, c) = (
            index / 3 % width as usize,
            index / 3 / width as usize,
            index % 3,
        );
        match name {
            "noise" => bits as u8,
            "slopes" => ((x * 3 + y * 5 + c * 85) as u32 + (bits & 15)) as u8,
            _ => panic!("no image is called {name}"),
        }
    };
    (0..width as usize * height as usize * 3)
        .map(sample)
        .collect()
}

/// The image `name`.
pub fn image(name: &str, width: u32, height: u32) -> Image {
    let pixels = rgb(name, width, height);
    let view = ImageView::new(
        PixelFormat::Rgb8,
        width,
        height,
        width as usize * 3,
        &pixels,
    );
    Image::from_view(&view.unwrap()).unwrap()
}

/// `[size][size]` logits `name`.
pub fn logits(name: &str, size: u32) -> Vec<f32> {
    const DISCS: [(i64, i64, i64); 3] = [(96, 100, 70), (190, 60, 30), (150, 200, 45)];
    let logit = |index: usize| {
        let bits = i64::from(noise(index, 2) & 0xFFFF) - 0x8000;
        let unit = i64::from(256 / size);
        let (x, y) = (
            index as i64 % i64::from(size) * unit,
            index as i64 / i64::from(size) * unit,
        );
        match name {
            "noise" => bits as f32 / 4096.0,
            "discs" => {
                let inside = DISCS
                    .map(|(cx, cy, r)| r * r - (x - cx).pow(2) - (y - cy).pow(2))
                    .into_iter()
                    .max()
                    .unwrap();
                (inside * 64 + bits.div_euclid(8)) as f32 / 4096.0
            }
            _ => panic!("no logits are called {name}"),
        }
    };
    (0..size as usize * size as usize).map(logit).collect()
}
