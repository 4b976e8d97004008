//! Weights and images that follow from a formula: the twin of `tools/goldens/formula.py`.

/// `count` values in [-1, 1): the top 24 bits of SplitMix64 seeded with FNV-1a of the name.
pub fn uniform(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let value = |index: u64| {
        let z = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        (z >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (1..=count as u64).map(value).collect()
}

fn offset_and_scale(name: &str, shape: &[usize]) -> (f32, f32) {
    let leaf = name.rsplit('.').next().unwrap();
    match leaf {
        "running_var" => return (1.0, 0.5),
        "attention_biases" => return (0.0, 0.5),
        "pos_embed" | "rel_pos_h" | "rel_pos_w" => return (0.0, 0.1),
        "positional_encoding_gaussian_matrix" => return (0.0, 1.0),
        _ => {}
    }
    if shape.len() == 1 {
        return if leaf == "weight" {
            (1.0, 0.25)
        } else {
            (0.0, 0.25)
        };
    }
    let table = ["_embed.weight", "_token.weight", "_tokens.weight"];
    if table.iter().any(|end| name.ends_with(end)) || name.contains(".point_embeddings.") {
        return (0.0, 1.0);
    }
    let fan_in: usize = shape[1..].iter().product();
    (0.0, (3.0 / fan_in as f64).sqrt() as f32)
}

/// The tensor of this name and shape.
pub fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let (offset, scale) = offset_and_scale(name, shape);
    uniform(name, shape.iter().product())
        .into_iter()
        .map(|u| offset + scale * u)
        .collect()
}

/// An RGB image, `height` rows of `width` pixels.
pub fn image(width: i64, height: i64) -> Vec<u8> {
    let disc = (width.min(height) * 2 / 3).pow(2);
    let mut pixels = Vec::with_capacity((3 * width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            let inside = (2 * x - width).pow(2) + (2 * y - height).pow(2) < disc;
            for c in 0..3 {
                let slow = (x * x / 311 + y * (5 + 3 * c) / 4 + 61 * c) % 256;
                let tiles = (x / 37 + y / 53) % 2 * (40 + 50 * c);
                let disc = if inside { 90 - 30 * c } else { 0 };
                pixels.push(((slow + tiles + disc) % 256) as u8);
            }
        }
    }
    pixels
}

/// Low-resolution logits of a disc, `size` rows of `size`.
pub fn mask_logits(size: i64) -> Vec<f32> {
    let logit = |x: i64, y: i64| {
        let squared = (8 * x - 5 * size).pow(2) + (8 * y - 4 * size).pow(2);
        (16 - squared * 16 / (4 * size * size)).clamp(-16, 16) as f32
    };
    (0..size)
        .flat_map(|y| (0..size).map(move |x| logit(x, y)))
        .collect()
}
