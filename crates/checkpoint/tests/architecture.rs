//! Finding out the model, against the names and shapes that the official code gives.

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use sam_mm_checkpoint::{
    Architecture, Checkpoint, ImageEncoderConfig, MaskDecoderConfig, PromptEncoderConfig,
    SamConfig, SamVitConfig, TinyVitConfig, VitBlockConfig,
};
use support::model::{Model, official_lines};

fn sam(architecture: Architecture) -> SamConfig {
    match architecture {
        Architecture::Sam(config) => config,
        other => panic!("{other:?}"),
    }
}

fn vit(architecture: Architecture) -> SamVitConfig {
    match sam(architecture).image_encoder {
        ImageEncoderConfig::Vit(config) => config,
        other => panic!("{other:?}"),
    }
}

fn tiny_vit(architecture: Architecture) -> TinyVitConfig {
    match sam(architecture).image_encoder {
        ImageEncoderConfig::TinyVit(config) => config,
        other => panic!("{other:?}"),
    }
}

fn demo_model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/sam_demo.safetensors")
}

#[test]
fn official_models_are_recognised_and_complete() {
    for (name, family, description) in [
        ("vit_b", "sam", "SAM ViT-B, 1024×1024, 93.7 M parameters"),
        ("vit_l", "sam", "SAM ViT-L, 1024×1024, 312.3 M parameters"),
        ("vit_h", "sam", "SAM ViT-H, 1024×1024, 641.1 M parameters"),
        (
            "vit_t",
            "mobile_sam",
            "MobileSAM (TinyViT), 1024×1024, 9.8 M parameters",
        ),
        (
            "sam2_hiera_tiny",
            "sam2",
            "SAM 2 Hiera tiny, 1024×1024, 31.4 M parameters",
        ),
        (
            "sam2.1_hiera_tiny",
            "sam2",
            "SAM 2.1 Hiera tiny, 1024×1024, 31.4 M parameters",
        ),
        (
            "sam2.1_hiera_small",
            "sam2",
            "SAM 2.1 Hiera small, 1024×1024, 38.5 M parameters",
        ),
        (
            "sam2.1_hiera_base_plus",
            "sam2",
            "SAM 2.1 Hiera base plus, 1024×1024, 73.3 M parameters",
        ),
        (
            "sam2.1_hiera_large",
            "sam2",
            "SAM 2.1 Hiera large, 1024×1024, 216.9 M parameters",
        ),
    ] {
        let model = Model::official(name);
        let architecture = model.detect().unwrap();
        assert_eq!(architecture.family(), family);
        assert_eq!(architecture.variant(), name);
        assert_eq!(architecture.describe(), description);
        let report = model.check().unwrap();
        assert_eq!(report.unexpected, Vec::<String>::new(), "{name}");
        assert_eq!(
            report.used + report.ignored.len(),
            model.tensors.len(),
            "{name}"
        );
    }
}

#[test]
fn the_tensors_a_model_needs_are_those_its_official_code_makes() {
    for name in [
        "vit_b",
        "vit_l",
        "vit_h",
        "vit_t",
        "sam2_hiera_tiny",
        "sam2.1_hiera_tiny",
        "sam2.1_hiera_small",
        "sam2.1_hiera_base_plus",
        "sam2.1_hiera_large",
    ] {
        let expected = Model::official(name).detect().unwrap().expected_tensors();
        let ours: BTreeSet<_> = expected
            .iter()
            .map(|t| (t.name.clone(), t.shape.clone(), t.is_parameter))
            .collect();
        assert_eq!(ours.len(), expected.len(), "{name} lists a tensor twice");
        let official: BTreeSet<_> = official_lines(name)
            .into_iter()
            .filter(|line| !line.is_unused && !line.name.ends_with("num_batches_tracked"))
            .map(|line| (line.name, line.shape, line.is_parameter))
            .collect();
        assert_eq!(ours, official, "{name}");
    }
}

#[test]
fn parameters_are_counted_as_pytorch_counts_them() {
    for (name, in_pytorch) in [
        ("vit_b", 93_735_472),
        ("vit_l", 312_342_832),
        ("vit_h", 641_090_608),
        // Without what remembers the frames of a video.
        ("sam2_hiera_tiny", 31_440_721),
        ("sam2.1_hiera_small", 38_538_577),
        ("sam2.1_hiera_base_plus", 73_328_401),
        ("sam2.1_hiera_large", 216_924_865),
    ] {
        assert_eq!(
            Model::official(name).detect().unwrap().parameters(),
            in_pytorch
        );
    }
    // Without the classifier head, which makes no masks: 320 + 320 of its norm, 1000 × 320 + 1000 of its layer.
    let used = Model::official("vit_t").detect().unwrap().parameters();
    assert_eq!(used, 10_130_092 - 640 - 321_000);
}

#[test]
fn the_parts_of_vit_b_have_their_official_sizes() {
    let config = sam(Model::official("vit_b").detect().unwrap());
    let ImageEncoderConfig::Vit(vit) = &config.image_encoder else {
        panic!("{config:?}");
    };
    assert_eq!(
        (
            vit.image_size,
            vit.patch_size,
            vit.grid_size(),
            vit.in_chans
        ),
        (1024, 16, 64, 3)
    );
    assert_eq!(
        (vit.embed_dim, vit.depth(), vit.num_heads, vit.head_dim()),
        (768, 12, 12, 64)
    );
    assert_eq!(
        (vit.mlp_dim, vit.out_chans, vit.qkv_bias),
        (3072, 256, true)
    );
    assert_eq!(
        (vit.window_size(), vit.global_attn_indexes()),
        (14, vec![2, 5, 8, 11])
    );
    assert_eq!(
        vit.blocks[0],
        VitBlockConfig {
            window_size: 14,
            rel_pos_rows: Some(27)
        }
    );
    assert_eq!(
        vit.blocks[2],
        VitBlockConfig {
            window_size: 0,
            rel_pos_rows: Some(127)
        }
    );
    assert!(
        vit.use_rel_pos()
            && !vit
                .blocks
                .iter()
                .any(|block| vit.interpolates_rel_pos(block))
    );
    let prompts = PromptEncoderConfig {
        embed_dim: 256,
        image_embedding_size: 64,
        input_image_size: 1024,
        mask_in_chans: 16,
    };
    assert_eq!(
        (config.prompt_encoder, prompts.mask_input_size()),
        (prompts, 256)
    );
    let decoder = MaskDecoderConfig {
        transformer_dim: 256,
        transformer_depth: 2,
        num_heads: 8,
        mlp_dim: 2048,
        attention_downsample_rate: 2,
        num_multimask_outputs: 3,
        iou_head_depth: 3,
        iou_head_hidden_dim: 256,
        sam2: None,
    };
    assert_eq!(
        (config.mask_decoder, decoder.internal_dim()),
        (decoder, 128)
    );
    assert_eq!(config.pixel_mean, [123.675, 116.28, 103.53]);
    assert_eq!(config.pixel_std, [58.395, 57.12, 57.375]);
}

#[test]
fn the_stages_of_mobile_sam_have_their_official_sizes() {
    let config = tiny_vit(Model::official("vit_t").detect().unwrap());
    let of = |f: fn(&sam_mm_checkpoint::TinyVitStageConfig) -> usize| {
        config.stages.iter().map(f).collect::<Vec<_>>()
    };
    assert_eq!(
        (
            config.image_size,
            config.in_chans,
            config.stem_dim,
            config.out_chans
        ),
        (1024, 3, 32, 256)
    );
    assert_eq!(of(|stage| stage.embed_dim), [64, 128, 160, 320]);
    assert_eq!(of(|stage| stage.depth), [2, 2, 6, 2]);
    assert_eq!(of(|stage| stage.resolution), [256, 128, 64, 64]);
    assert_eq!(of(|stage| stage.num_heads), [0, 4, 5, 10]);
    assert_eq!(of(|stage| stage.window_size), [0, 7, 14, 7]);
    assert_eq!(of(|stage| stage.hidden_dim), [256, 512, 640, 1280]);
    assert_eq!(of(|stage| stage.local_conv_size), [0, 3, 3, 3]);
    assert_eq!(of(|stage| stage.downsample_stride), [2, 2, 1, 0]);
}

#[test]
fn the_demo_model_is_found_out_from_its_shapes_alone() {
    let checkpoint = Checkpoint::open(demo_model()).unwrap();
    let architecture = Architecture::detect(&checkpoint).unwrap();
    assert_eq!(architecture.variant(), "ViT 128×6, 4 heads");
    assert_eq!(
        architecture.describe(),
        "SAM ViT 128×6, 4 heads, 256×256, 1.6 M parameters"
    );
    assert_eq!(
        architecture.check(&checkpoint).unwrap().used,
        checkpoint.len()
    );
    let shapes = Model::of(
        checkpoint
            .tensors()
            .map(|(name, tensor)| (name, tensor.shape.to_vec())),
    );
    assert_eq!(shapes.detect().unwrap(), architecture);
    let vit = vit(architecture);
    assert_eq!(
        (vit.window_size(), vit.global_attn_indexes()),
        (8, vec![2, 5])
    );
}

#[test]
fn missing_and_misshaped_tensors_are_listed_with_their_shapes() {
    let text = Model::official("vit_b")
        .without("blocks.3.attn.proj.bias")
        .without("mask_decoder.iou_token.weight")
        .reshaped("blocks.7.mlp.lin2.weight", &[768, 3000])
        .renamed(|name| name.replace("no_mask_embed", "no_mask_embedding"))
        .complaint();
    for part in [
        "SAM ViT-B, 1024×1024",
        "of 314 tensors 3 are missing",
        "`image_encoder.blocks.3.attn.proj.bias` [768]",
        "`mask_decoder.iou_token.weight` [1, 256]",
        "1 is of another shape",
        "`image_encoder.blocks.7.mlp.lin2.weight` is [768, 3000], must be [768, 3072]",
        "1 is no part of it (`prompt_encoder.no_mask_embedding.weight`)",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn long_lists_are_cut_after_five() {
    let text = Model::official("vit_b").without(".attn.proj.").complaint();
    assert!(
        text.contains("24 are missing") && text.contains(", …)"),
        "{text}"
    );
    assert_eq!(text.matches("attn.proj").count(), 5, "{text}");
}

#[test]
fn a_model_that_lacks_any_one_tensor_is_refused_by_that_tensor_s_name() {
    for official in ["vit_b", "vit_t", "sam2.1_hiera_tiny"] {
        let model = Model::official(official);
        for tensor in model.detect().unwrap().expected_tensors() {
            let mut lacking = model.clone();
            lacking.tensors.remove(&tensor.name);
            let text = lacking.complaint();
            assert!(text.contains(&tensor.name), "{}: {text}", tensor.name);
        }
    }
}

#[test]
fn weights_that_are_not_real_numbers_are_refused() {
    let mut model = Model::official("vit_b");
    model
        .dtypes
        .insert("image_encoder.neck.0.weight".to_owned(), "I64");
    let text = model.complaint();
    assert!(
        text.contains("1 is not of a real type (`image_encoder.neck.0.weight` is int64)"),
        "{text}"
    );
}

#[test]
fn other_input_sizes_and_widths_load_by_their_shapes() {
    let model = Model::official("vit_b").reshaped("pos_embed", &[1, 32, 32, 768]);
    let vit = vit(model.detect().unwrap());
    assert_eq!(
        (vit.image_size, vit.window_size(), vit.global_attn_indexes()),
        (512, 14, vec![2, 5, 8, 11])
    );
    // The global blocks kept the 127 rows of a grid of 64; a grid of 32 uses 63, interpolated.
    let interpolated: Vec<_> = vit
        .blocks
        .iter()
        .map(|block| vit.interpolates_rel_pos(block))
        .collect();
    assert_eq!(interpolated.iter().filter(|is| **is).count(), 4);
    assert!(interpolated[2] && vit.rel_pos_rows_used(&vit.blocks[2]) == 63);
    model.check().unwrap();
}

#[test]
fn a_model_without_relative_positions_needs_metadata() {
    let model = Model::official("vit_b").without("rel_pos");
    let text = model.complaint();
    assert!(
        text.contains("rel_pos_h") && text.contains("`num_heads`"),
        "{text}"
    );
    let told = model
        .with_metadata("num_heads", "12")
        .with_metadata("window_size", "14")
        .with_metadata("global_attn_indexes", "2,5,8,11");
    let vit = vit(told.detect().unwrap());
    assert_eq!(
        (vit.num_heads, vit.window_size(), vit.use_rel_pos()),
        (12, 14, false)
    );
    told.check().unwrap();
}

#[test]
fn metadata_that_contradicts_the_shapes_is_refused() {
    for (key, value) in [
        ("image_size", "512"),
        ("patch_size", "14"),
        ("num_heads", "16"),
        ("window_size", "7"),
        ("num_heads", "twelve"),
        ("image_size", "-1024"),
        ("global_attn_indexes", "2,5,8,12"),
        ("global_attn_indexes", "2;5"),
    ] {
        let text = Model::official("vit_b")
            .with_metadata(key, value)
            .complaint();
        assert!(
            text.contains(&format!("`{key}`")) && text.contains("metadata"),
            "{key}={value}: {text}"
        );
    }
}

#[test]
fn heads_of_the_decoder_come_from_metadata_or_are_eight() {
    let heads = |model: Model| sam(model.detect().unwrap()).mask_decoder.num_heads;
    assert_eq!(heads(Model::official("vit_b")), 8);
    assert_eq!(
        heads(Model::official("vit_b").with_metadata("decoder_num_heads", "4")),
        4
    );
    let text = Model::official("vit_b")
        .with_metadata("decoder_num_heads", "7")
        .complaint();
    assert!(
        text.contains("decoder_num_heads") && text.contains("128"),
        "{text}"
    );
}

#[test]
fn mobile_sam_of_another_input_size_says_so_in_its_metadata() {
    let model = Model::official("vit_t").with_metadata("image_size", "512");
    let config = sam(model.detect().unwrap());
    assert_eq!(
        (
            config.image_size(),
            config.prompt_encoder.image_embedding_size
        ),
        (512, 32)
    );
    let text = Model::official("vit_t")
        .with_metadata("image_size", "1000")
        .complaint();
    assert!(text.contains("size of the input"), "{text}");
}

#[test]
fn the_classifier_head_of_mobile_sam_may_be_missing() {
    let report = Model::official("vit_t")
        .without("image_encoder.head.")
        .without("norm_head")
        .check()
        .unwrap();
    assert!(report.unexpected.is_empty());
}

#[test]
fn tensors_that_are_no_part_of_the_model_are_reported_and_harmless() {
    let mut model = Model::official("vit_b");
    model
        .tensors
        .insert("classifier.weight".to_owned(), vec![2, 256]);
    model.tensors.insert("pixel_mean".to_owned(), vec![3, 1, 1]);
    let report = model.check().unwrap();
    assert_eq!(report.unexpected, ["classifier.weight"]);
    assert_eq!(report.ignored, ["pixel_mean"]);
}

#[test]
fn pixel_values_in_the_file_are_used() {
    let mut model = Model::official("vit_t");
    model.tensors.insert("pixel_mean".to_owned(), vec![3, 1, 1]);
    assert_eq!(sam(model.detect().unwrap()).pixel_mean, [0.0; 3]);
}

#[test]
fn absurd_sizes_are_refused() {
    for (tensor, shape) in [
        ("pos_embed", vec![1, 1 << 20, 1, 1]),
        ("pos_embed", vec![1, 0, 0, 768]),
        ("pos_embed", vec![1, 64, 32, 768]),
        ("pos_embed", vec![64, 64, 768]),
        ("patch_embed.proj.weight", vec![768, 3, 16, 14]),
        ("mask_tokens.weight", vec![1, 256]),
        ("mask_tokens.weight", vec![4, 250]),
        ("rel_pos_h", vec![27, 60]),
    ] {
        let text = Model::official("vit_b")
            .reshaped(tensor, &shape)
            .complaint();
        assert!(
            text.contains(tensor) && text.contains("SAM"),
            "{tensor} {shape:?}: {text}"
        );
    }
}

#[test]
fn a_block_with_an_absurd_number_is_refused() {
    let mut model = Model::official("vit_b");
    model.tensors.insert(
        "image_encoder.blocks.4000000000.norm1.weight".to_owned(),
        vec![768],
    );
    assert!(model.complaint().contains("4000000000"));
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let narrow = Model::official("vit_b").reshaped("neck.0.weight", &[128, 768, 1, 1]);
    let text = narrow.complaint();
    assert!(
        text.contains("neck.0.weight") && text.contains("256 channels"),
        "{text}"
    );
}

#[test]
fn half_a_model_is_named_as_such() {
    for (lost, part) in [
        ("image_encoder", "image_encoder"),
        ("mask_decoder", "mask_decoder"),
        ("prompt_encoder", "prompt_encoder"),
    ] {
        let text = Model::official("vit_b").without(lost).complaint();
        assert!(text.contains("incomplete") && text.contains(part), "{text}");
    }
}

#[test]
fn defect_16_a_checkpoint_of_three_megabytes_is_as_valid_as_one_of_two_gigabytes() {
    let path = demo_model();
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bytes < 4 << 20, "{bytes}");
    let checkpoint = Checkpoint::open(path).unwrap();
    assert_eq!(Architecture::detect(&checkpoint).unwrap().family(), "sam");
}
