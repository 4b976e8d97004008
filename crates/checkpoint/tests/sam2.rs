//! Finding out SAM 2: what shapes tell, what is known of official models, and what metadata says.

mod support;

use sam_mm_checkpoint::{Architecture, HieraBlockConfig, Sam2Config};
use support::model::Model;

const TINY: &str = "sam2.1_hiera_tiny";

fn sam2(model: &Model) -> Sam2Config {
    match model.detect().unwrap() {
        Architecture::Sam2(config) => config,
        other => panic!("{other:?}"),
    }
}

/// The official tiny model with one more block in its last stage, which is no official size.
fn unknown_size() -> Model {
    let mut model = Model::official(TINY);
    let twelfth = model.tensors.iter().filter_map(|(name, shape)| {
        let more = name.replace(".blocks.11.", ".blocks.12.");
        (more != *name).then(|| (more, shape.clone()))
    });
    let twelfth: Vec<_> = twelfth.collect();
    model.tensors.extend(twelfth);
    model
}

#[test]
fn the_stages_of_sam_2_have_their_official_sizes() {
    for (name, widths, depths, heads, windows, global, background) in [
        (
            TINY,
            [96, 192, 384, 768],
            [1, 2, 7, 2],
            [1, 2, 4, 8],
            [8, 4, 14, 7],
            [5, 7, 9],
            7,
        ),
        (
            "sam2.1_hiera_small",
            [96, 192, 384, 768],
            [1, 2, 11, 2],
            [1, 2, 4, 8],
            [8, 4, 14, 7],
            [7, 10, 13],
            7,
        ),
        (
            "sam2.1_hiera_base_plus",
            [112, 224, 448, 896],
            [2, 3, 16, 3],
            [2, 4, 8, 16],
            [8, 4, 14, 7],
            [12, 16, 20],
            14,
        ),
        (
            "sam2.1_hiera_large",
            [144, 288, 576, 1152],
            [2, 6, 36, 4],
            [2, 4, 8, 16],
            [8, 4, 16, 8],
            [23, 33, 43],
            7,
        ),
    ] {
        let config = sam2(&Model::official(name));
        let hiera = &config.image_encoder;
        let of = |f: fn(&sam_mm_checkpoint::HieraStageConfig) -> usize| {
            hiera.stages.iter().map(f).collect::<Vec<_>>()
        };
        assert_eq!(of(|stage| stage.embed_dim), widths, "{name}");
        assert_eq!(of(|stage| stage.depth), depths, "{name}");
        assert_eq!(of(|stage| stage.num_heads), heads, "{name}");
        assert_eq!(of(|stage| stage.window_size), windows, "{name}");
        assert_eq!(
            of(|stage| stage.mlp_dim),
            widths.map(|width| 4 * width),
            "{name}"
        );
        assert_eq!(of(|stage| stage.resolution), [256, 128, 64, 32], "{name}");
        assert_eq!(hiera.global_att_blocks, global, "{name}");
        assert_eq!(hiera.pos_embed_size, [background; 2], "{name}");
        assert_eq!(
            (hiera.pos_embed_window_size, hiera.patch_kernel),
            (8, 7),
            "{name}"
        );
        assert_eq!(config.image_size(), 1024, "{name}");
        assert_eq!(config.prompt_encoder.image_embedding_size, 64, "{name}");
        assert_eq!(
            config.mask_decoder.sam2.unwrap().obj_score_head_depth,
            3,
            "{name}"
        );
    }
}

/// `window_size` lags by a block in the official constructor: the first block of a stage starts from the map before.
#[test]
fn the_first_block_of_a_stage_has_the_window_of_the_stage_before_and_pools_its_queries() {
    let blocks = sam2(&Model::official(TINY)).image_encoder.blocks();
    assert_eq!(
        blocks[3],
        HieraBlockConfig {
            dim: 192,
            dim_out: 384,
            num_heads: 4,
            window_size: 4,
            pools_queries: true,
            resolution: 128,
            mlp_dim: 1536,
        }
    );
    let windows: Vec<_> = blocks.iter().map(|block| block.window_size).collect();
    assert_eq!(windows, [8, 8, 4, 4, 14, 0, 14, 0, 14, 0, 14, 7]);
    let pooled: Vec<_> = blocks.iter().map(|block| block.pools_queries).collect();
    let expected: Vec<_> = (0..12).map(|index| [1, 3, 10].contains(&index)).collect();
    assert_eq!(pooled, expected);
}

/// The tensors that 2.1 added are of use for videos alone.
#[test]
fn a_2_0_checkpoint_and_a_2_1_checkpoint_need_the_same_tensors() {
    let (old, new) = (
        sam2(&Model::official("sam2_hiera_tiny")),
        sam2(&Model::official(TINY)),
    );
    assert!(!old.is_2_1 && new.is_2_1);
    assert_eq!(old.expected_tensors(), new.expected_tensors());
    let variant = |name| Model::official(name).detect().unwrap().variant();
    assert_eq!(variant("sam2_hiera_tiny"), "sam2_hiera_tiny");
    assert_eq!(variant(TINY), TINY);
}

#[test]
fn what_remembers_the_frames_of_a_video_is_left_aside_by_name_and_nothing_else() {
    let mut model = Model::official(TINY);
    model.tensors.insert("adapter.weight".to_owned(), vec![1]);
    let report = model.check().unwrap();
    assert_eq!(report.unexpected, ["adapter.weight"]);
    assert!(
        report
            .ignored
            .iter()
            .any(|name| name.starts_with("memory_attention."))
    );
    let sam = Model::official("vit_b");
    let mut mixed = sam.clone();
    mixed
        .tensors
        .insert("memory_encoder.weight".to_owned(), vec![1]);
    assert_eq!(mixed.check().unwrap().unexpected, ["memory_encoder.weight"]);
}

#[test]
fn a_size_that_is_not_official_needs_metadata_and_says_which() {
    let text = unknown_size().complaint();
    for part in [
        "96, 192, 384, 768 channels wide",
        "1, 2, 7, 3 blocks deep",
        "`window_spec` and `global_att_blocks`",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let told = unknown_size()
        .with_metadata("num_heads", "1")
        .with_metadata("window_spec", "[8, 4, 14, 8]")
        .with_metadata("global_att_blocks", "(5,7,9)");
    let config = sam2(&told);
    assert_eq!(config.image_encoder.stages[3].window_size, 8);
    assert_eq!(told.detect().unwrap().variant(), "Hiera 96, 1-2-7-3 blocks");
    told.check().unwrap();
}

#[test]
fn metadata_settles_the_size_of_the_input() {
    let config = sam2(&Model::official(TINY).with_metadata("image_size", "512"));
    assert_eq!(config.image_size(), 512);
    assert_eq!(config.prompt_encoder.image_embedding_size, 32);
    assert_eq!(config.image_encoder.stages[0].resolution, 128);
}

#[test]
fn metadata_that_cannot_be_computed_with_is_refused_with_the_reason() {
    for (key, value, reason) in [
        ("image_size", "1000", "a multiple of 32 is needed"),
        ("image_size", "0", "a multiple of 32 is needed"),
        ("num_heads", "0", "0 heads"),
        ("num_heads", "5", "do not divide"),
        ("window_spec", "8,4,14", "there are 4 stages"),
        ("window_spec", "4,4,14,7", "tells that the first is 8"),
        ("window_spec", "8,3,14,7", "cannot halve 3"),
        ("global_att_blocks", "5,12", "there are 12 blocks"),
    ] {
        let text = Model::official(TINY).with_metadata(key, value).complaint();
        assert!(
            text.contains(key) && text.contains(reason),
            "{key}={value}: {text}"
        );
    }
}

#[test]
fn blocks_that_make_no_four_stages_are_refused() {
    let text = Model::official(TINY)
        .without("trunk.blocks.10.")
        .without("trunk.blocks.11.")
        .complaint();
    assert!(
        text.contains("[96, 192, 384]") && text.contains("must make 4 stages"),
        "{text}"
    );
}

#[test]
fn a_decoder_of_another_width_than_the_neck_is_refused() {
    let text = Model::official(TINY)
        .reshaped("neck.convs.0.conv.weight", &[128, 768, 1, 1])
        .complaint();
    assert!(
        text.contains("takes 256 channels, and this gives 128"),
        "{text}"
    );
}
