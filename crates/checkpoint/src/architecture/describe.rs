//! Names and sizes of models, for people.

use super::config::{
    Architecture, ImageEncoderConfig, Sam2Config, SamConfig, SamVitConfig, TinyVitConfig,
};
use super::hiera::OfficialHiera;

/// A ViT encoder that has a name.
struct VitVariant {
    short: &'static str,
    long: &'static str,
    embed_dim: usize,
    depth: usize,
    num_heads: usize,
    global_attn_indexes: [usize; 4],
}

/// The encoders of `segment_anything/build_sam.py`.
const VIT_VARIANTS: [VitVariant; 3] = [
    VitVariant {
        short: "vit_b",
        long: "ViT-B",
        embed_dim: 768,
        depth: 12,
        num_heads: 12,
        global_attn_indexes: [2, 5, 8, 11],
    },
    VitVariant {
        short: "vit_l",
        long: "ViT-L",
        embed_dim: 1024,
        depth: 24,
        num_heads: 16,
        global_attn_indexes: [5, 11, 17, 23],
    },
    VitVariant {
        short: "vit_h",
        long: "ViT-H",
        embed_dim: 1280,
        depth: 32,
        num_heads: 16,
        global_attn_indexes: [7, 15, 23, 31],
    },
];

impl VitVariant {
    fn is(&self, vit: &SamVitConfig) -> bool {
        (self.embed_dim, self.depth, self.num_heads) == (vit.embed_dim, vit.depth(), vit.num_heads)
            && vit.global_attn_indexes() == self.global_attn_indexes
            && vit.window_size() == 14
            && vit.patch_size == 16
    }
}

impl Architecture {
    /// `"sam"`, `"mobile_sam"` or `"sam2"`.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Sam(config) => match config.image_encoder {
                ImageEncoderConfig::Vit(_) => "sam",
                ImageEncoderConfig::TinyVit(_) => "mobile_sam",
            },
            Self::Sam2(_) => "sam2",
        }
    }

    /// Variant within the family: `"vit_b"`, `"vit_l"`, `"vit_h"`, `"vit_t"`, `"sam2.1_hiera_tiny"` …, or a
    /// description of a size that has no name, such as `"ViT 128×6, 4 heads"`.
    pub fn variant(&self) -> String {
        match self {
            Self::Sam(config) => config.variant().0,
            Self::Sam2(config) => config.variant().0,
        }
    }

    /// Number of trained parameters that the model uses.
    pub fn parameters(&self) -> u64 {
        let tensors = self.expected_tensors();
        let parameters = tensors.iter().filter(|tensor| tensor.is_parameter);
        parameters.map(|tensor| tensor.len()).sum()
    }

    /// One line for people, such as `"SAM ViT-B, 1024×1024, 93.7 M parameters"`.
    pub fn describe(&self) -> String {
        let millions = self.parameters() as f64 / 1e6;
        let (name, size) = match self {
            Self::Sam(config) => (config.variant().1, config.image_size()),
            Self::Sam2(config) => (config.variant().1, config.image_size()),
        };
        format!("{name}, {size}×{size}, {millions:.1} M parameters")
    }
}

impl SamConfig {
    /// The short name, and the one for people.
    fn variant(&self) -> (String, String) {
        match &self.image_encoder {
            ImageEncoderConfig::Vit(vit) => vit_variant(vit),
            ImageEncoderConfig::TinyVit(tiny) => tiny_vit_variant(tiny),
        }
    }
}

fn vit_variant(vit: &SamVitConfig) -> (String, String) {
    match VIT_VARIANTS.iter().find(|variant| variant.is(vit)) {
        Some(variant) => (variant.short.to_owned(), format!("SAM {}", variant.long)),
        None => {
            let size = format!(
                "ViT {}×{}, {} heads",
                vit.embed_dim,
                vit.depth(),
                vit.num_heads
            );
            (size.clone(), format!("SAM {size}"))
        }
    }
}

fn tiny_vit_variant(tiny: &TinyVitConfig) -> (String, String) {
    let widths: Vec<_> = tiny.stages.iter().map(|stage| stage.embed_dim).collect();
    let depths: Vec<_> = tiny.stages.iter().map(|stage| stage.depth).collect();
    if widths == [64, 128, 160, 320] && depths == [2, 2, 6, 2] {
        return ("vit_t".to_owned(), "MobileSAM (TinyViT)".to_owned());
    }
    let size = format!(
        "TinyViT {}",
        widths
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("-")
    );
    (size.clone(), format!("MobileSAM {size}"))
}

impl Sam2Config {
    /// The short name, and the one for people.
    fn variant(&self) -> (String, String) {
        let version = if self.is_2_1 { "2.1" } else { "2" };
        let hiera = &self.image_encoder;
        if let Some(official) = OfficialHiera::of(hiera) {
            let (short, long) = (official.name, official.name.replace('_', " "));
            return (
                format!("sam{version}_hiera_{short}"),
                format!("SAM {version} Hiera {long}"),
            );
        }
        let depths: Vec<_> = hiera.stages.iter().map(|s| s.depth.to_string()).collect();
        let width = hiera.stages.first().map_or(0, |stage| stage.embed_dim);
        let size = format!("Hiera {width}, {} blocks", depths.join("-"));
        (size.clone(), format!("SAM {version} {size}"))
    }
}
