//! Models that resemble SAM, or are often taken for it, told by a tensor that only they have.

use super::shapes::Shapes;
use crate::error::ArchitectureProblem;

struct LookAlike {
    /// Beginnings of tensor names, one of which it has.
    signs: &'static [&'static str],
    model: &'static str,
    advice: &'static str,
}

const LOAD_THE_ORIGINAL: &str = "load the SAM or MobileSAM checkpoint instead";

const LOOK_ALIKES: [LookAlike; 17] = [
    LookAlike {
        signs: &["mask_decoder.hf_token", "mask_decoder.compress_vit_feat"],
        model: "HQ-SAM (SAM with a high-quality output token)",
        advice: "its mask decoder has parts that are not implemented; load the SAM checkpoint it was made from",
    },
    LookAlike {
        signs: &[
            "prompt_encoder.bbox_top_left_embeddings",
            "prompt_encoder.invalid_points",
        ],
        model: "EfficientSAM",
        advice: LOAD_THE_ORIGINAL,
    },
    LookAlike {
        signs: &[
            "image_encoder.backbone.input_stem",
            "image_encoder.backbone.stages",
        ],
        model: "EfficientViT-SAM",
        advice: LOAD_THE_ORIGINAL,
    },
    LookAlike {
        signs: &["image_encoder.features."],
        model: "EdgeSAM or RepViT-SAM (a RepViT image encoder)",
        advice: LOAD_THE_ORIGINAL,
    },
    LookAlike {
        signs: &[
            "image_encoder.blocks.0.Adapter",
            "image_encoder.blocks.0.MLP_Adapter",
            "image_encoder.blocks.0.Space_Adapter",
        ],
        model: "a SAM with adapter layers (SAM-Med2D, Medical SAM Adapter)",
        advice: "adapters are not implemented; load a checkpoint whose adapters were merged, or plain SAM",
    },
    LookAlike {
        signs: &[
            "image_encoder.blocks.0.attn.qkv.linear_a_q",
            "image_encoder.blocks.0.attn.qkv.lora_",
            "image_encoder.blocks.0.attn.qkv.base_layer",
        ],
        model: "a SAM with LoRA layers",
        advice: "merge them into the weights before saving (merge_and_unload), or load plain SAM",
    },
    LookAlike {
        signs: &[
            "detector.backbone.vision_backbone",
            "detector.backbone.language_backbone",
        ],
        model: "SAM 3",
        advice: LOAD_THE_ORIGINAL,
    },
    LookAlike {
        signs: &["vision_encoder.backbone."],
        model: "SAM 2 or SAM 3 in the layout of Hugging Face transformers",
        advice: "load a SAM or MobileSAM checkpoint in its original layout instead",
    },
    LookAlike {
        signs: &["vision_encoder.layers.", "shared_image_embedding."],
        model: "SAM in the layout of Hugging Face transformers",
        advice: "load the original file instead (sam_vit_b_01ec64.pth, sam_vit_l_0b3195.pth or sam_vit_h_4b8939.pth)",
    },
    LookAlike {
        signs: &["PromtEncoder.", "MaskDecoder."],
        model: "the prompt-guided decoder of MobileSAMv2",
        advice: "load the whole model instead (mobile_sam.pt)",
    },
    LookAlike {
        signs: &["vit.embeddings.", "vit.encoder."],
        model: "a ViT image classifier (Hugging Face)",
        advice: "it makes no masks; load a SAM checkpoint",
    },
    LookAlike {
        signs: &["encoder.layers.encoder_layer_0."],
        model: "a ViT image classifier (torchvision)",
        advice: "it makes no masks; load a SAM checkpoint",
    },
    LookAlike {
        signs: &["blocks.0.attn.qkv.weight", "blocks.0.norm1.weight"],
        model: "a plain ViT (a classifier or a backbone such as DINOv2 or MAE)",
        advice: "it makes no masks; load a SAM checkpoint",
    },
    LookAlike {
        signs: &["layers.0.blocks.0.conv1.c.weight"],
        model: "a TinyViT classifier, without the prompt encoder and mask decoder of MobileSAM",
        advice: "load the whole model (mobile_sam.pt)",
    },
    LookAlike {
        signs: &[
            "model.0.conv.weight",
            "model.0.conv.conv.weight",
            "0.conv.weight",
        ],
        model: "a YOLO model (FastSAM is one, too)",
        advice: "load a SAM checkpoint",
    },
    LookAlike {
        signs: &[
            "layer1.0.conv1.weight",
            "backbone.layer1.0.conv1.weight",
            "backbone.body.layer1.",
        ],
        model: "a ResNet, or a detector built on one",
        advice: "load a SAM checkpoint",
    },
    LookAlike {
        signs: &["model.diffusion_model.", "lora_unet_", "diffusion_model."],
        model: "a diffusion model or a LoRA for one",
        advice: "load a SAM checkpoint",
    },
];

pub(super) fn refuse(shapes: Shapes<'_>) -> Result<(), ArchitectureProblem> {
    let is = |look_alike: &&LookAlike| {
        look_alike
            .signs
            .iter()
            .any(|sign| shapes.any_starts_with(sign))
    };
    match LOOK_ALIKES.iter().find(is) {
        Some(LookAlike { model, advice, .. }) => {
            Err(ArchitectureProblem::LookAlike { model, advice })
        }
        None => Ok(()),
    }
}
