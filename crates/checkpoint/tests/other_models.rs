//! Models that are recognised as something else, and wrappers and prefixes around models.

mod support;

use sam_mm_checkpoint::{Architecture, Checkpoint};
use support::model::Model;
use support::{Claim, Pickle, archive, refusal};

#[test]
fn look_alikes_are_named() {
    let with = |tensor: &str, shape: &[usize]| {
        let mut model = Model::official("vit_b");
        model.tensors.insert(tensor.to_owned(), shape.to_vec());
        model
    };
    let alone = |tensor| Model::of([(tensor, vec![2, 2])]);
    for (model, name) in [
        (with("mask_decoder.hf_token.weight", &[1, 256]), "HQ-SAM"),
        (
            with("prompt_encoder.bbox_top_left_embeddings.weight", &[1, 256]),
            "EfficientSAM",
        ),
        (
            with("image_encoder.blocks.0.Adapter.fc1.weight", &[2, 2]),
            "adapter",
        ),
        (
            with(
                "image_encoder.blocks.0.attn.qkv.linear_a_q.weight",
                &[4, 768],
            ),
            "LoRA",
        ),
        (alone("image_encoder.features.0.0.c.weight"), "EdgeSAM"),
        (
            alone("image_encoder.backbone.input_stem.op_list.0.conv.weight"),
            "EfficientViT-SAM",
        ),
        (
            alone("image_encoder.stages.0.weight"),
            "image encoder of another kind",
        ),
        (
            alone("detector.backbone.vision_backbone.trunk.pos_embed"),
            "SAM 3",
        ),
        (
            alone("vision_encoder.layers.0.attn.qkv.weight"),
            "Hugging Face",
        ),
        (alone("blocks.0.attn.qkv.weight"), "plain ViT"),
        (
            alone("encoder.layers.encoder_layer_0.ln_1.weight"),
            "torchvision",
        ),
        (alone("model.0.conv.weight"), "YOLO"),
        (alone("layer1.0.conv1.weight"), "ResNet"),
        (alone("PromtEncoder.no_mask_embed.weight"), "MobileSAMv2"),
    ] {
        let text = model.complaint();
        assert!(
            text.contains(name) && text.contains("load"),
            "{name}: {text}"
        );
    }
}

#[test]
fn tensors_of_nothing_known_are_listed() {
    let text = Model::of([("encoder.weight", vec![1]), ("head.weight", vec![1])]).complaint();
    assert!(text.contains("(2: `encoder.weight`"), "{text}");
    assert!(text.contains("sam_vit_b_01ec64.pth"), "{text}");
}

#[test]
fn prefixes_before_all_parts_are_taken_off() {
    let plain = Model::official("vit_b");
    for prefix in [
        "module.",
        "model.",
        "sam.",
        "_orig_mod.",
        "module.model.sam.",
        "student.",
    ] {
        let mut wrapped = plain.clone().renamed(|name| format!("{prefix}{name}"));
        wrapped.tensors.insert("loss.weight".to_owned(), vec![1]);
        let report = wrapped.check().unwrap();
        assert_eq!(
            (report.used, report.unexpected),
            (314, vec!["loss.weight".to_owned()]),
            "{prefix}"
        );
    }
}

#[test]
fn what_compiling_a_part_put_into_names_is_taken_out() {
    let compiled = Model::official("vit_b")
        .renamed(|name| name.replace("image_encoder.", "image_encoder._orig_mod."));
    assert_eq!(compiled.check().unwrap().used, 314);
}

#[test]
fn of_several_prefixes_the_one_with_a_whole_model_is_taken() {
    let mut model = Model::official("vit_b").renamed(|name| format!("sam.{name}"));
    model.tensors.insert(
        "teacher.image_encoder.pos_embed".to_owned(),
        vec![1, 2, 2, 4],
    );
    assert_eq!(
        model.check().unwrap().unexpected,
        ["teacher.image_encoder.pos_embed"]
    );
}

#[test]
fn two_whole_models_in_one_file_are_refused_by_their_prefixes() {
    let mut model = Model::official("vit_t").renamed(|name| format!("student.{name}"));
    let teacher = Model::official("vit_t").renamed(|name| format!("teacher.{name}"));
    model.tensors.extend(teacher.tensors);
    let file = model.write();
    let text = Checkpoint::open(file.path()).unwrap_err().to_string();
    assert!(
        text.contains("`student.`") && text.contains("`teacher.`"),
        "{text}"
    );
}

/// `{key: {key: … {"weight": tensor}}}`, with a number beside every dictionary.
fn nested(keys: &[&str]) -> Vec<u8> {
    let mut pickle = Pickle::new();
    for key in keys {
        pickle.op(b"}(").text("epoch").int(3).text(key);
    }
    pickle
        .op(b"}(")
        .text("weight")
        .tensor(&Claim::sound())
        .op(b"u");
    for _ in keys {
        pickle.op(b"u");
    }
    archive(&pickle.end(), &[0; 24])
}

#[test]
fn wrappers_around_the_weights_are_opened() {
    for keys in [
        &[][..],
        &["state_dict"],
        &["model_state_dict"],
        &["model_state"],
        &["model"],
        &["model", "module"],
        &["my_weights"],
    ] {
        let checkpoint = Checkpoint::from_bytes(nested(keys), "model.pth").unwrap();
        assert_eq!(
            checkpoint.names().collect::<Vec<_>>(),
            ["weight"],
            "{keys:?}"
        );
    }
}

#[test]
fn wrappers_nested_too_deep_are_refused() {
    let text = refusal(&nested(&["a", "b", "c", "d", "e", "f"]));
    assert!(text.contains("no dictionary of tensors"), "{text}");
}

#[test]
fn of_two_unknown_dictionaries_of_tensors_none_is_guessed() {
    let mut pickle = Pickle::new();
    pickle.op(b"}(");
    for key in ["first", "second"] {
        pickle
            .text(key)
            .op(b"}")
            .text("weight")
            .tensor(&Claim::sound())
            .op(b"s");
    }
    let text = refusal(&archive(&pickle.op(b"u").end(), &[0; 24]));
    assert!(text.contains("`first`, `second`"), "{text}");
}

#[test]
fn a_tensor_beside_a_known_wrapper_does_not_hide_it() {
    let mut pickle = Pickle::new();
    pickle.op(b"}(").text("best_iou").tensor(&Claim::sound());
    pickle
        .text("model")
        .op(b"}")
        .text("weight")
        .tensor(&Claim::sound())
        .op(b"su");
    let checkpoint = Checkpoint::from_bytes(archive(&pickle.end(), &[0; 24]), "model.pth").unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["weight"]);
    assert!(Architecture::detect(&checkpoint).is_err());
}
