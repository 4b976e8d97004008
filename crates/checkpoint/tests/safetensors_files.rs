//! `.safetensors` files, sound and damaged.

mod support;

use std::collections::HashMap;

use safetensors::tensor::{Dtype as FileDtype, TensorView};
use sam_mm_checkpoint::{Checkpoint, Dtype, Format};
use support::{Claim, archive, refusal, state_dict};

fn file(tensors: &[(&str, FileDtype, &[usize], &[u8])], metadata: &[(&str, &str)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
        )
    });
    let metadata: HashMap<_, _> = metadata
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// A file with that header, made by hand.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn tensors_and_metadata_are_read() {
    let half = [0x00, 0x3c, 0x00, 0xc0]; // 1, -2
    let bytes = file(
        &[
            ("a", FileDtype::F16, &[2], &half),
            ("b", FileDtype::U8, &[1, 3], &[1, 2, 3]),
        ],
        &[("k", "v")],
    );
    let checkpoint = Checkpoint::from_bytes(&bytes[..], "model.safetensors").unwrap();
    assert_eq!(checkpoint.format(), Format::Safetensors);
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"]);
    let a = checkpoint.tensor("a").unwrap();
    assert_eq!((a.dtype, a.to_f32()), (Dtype::F16, vec![1.0, -2.0]));
    assert_eq!(checkpoint.tensor("b").unwrap().bytes, [1, 2, 3]);
    assert_eq!(checkpoint.metadata()["k"], "v");
    assert!(checkpoint.tensor("c").is_none());
}

#[test]
fn the_same_tensors_have_one_fingerprint_in_both_formats() {
    let torch = archive(&state_dict(&[Claim::sound()]), &[7; 24]);
    let safe = file(&[("weight", FileDtype::F32, &[2, 3], &[7; 24])], &[]);
    let fingerprint = |bytes: &[u8]| {
        Checkpoint::from_bytes(bytes, "model")
            .unwrap()
            .fingerprint()
    };
    assert_eq!(fingerprint(&torch), fingerprint(&safe));
}

#[test]
fn any_difference_changes_the_fingerprint() {
    let weights = |bytes: &[u8]| file(&[("weight", FileDtype::F32, &[2, 3], bytes)], &[]);
    let mut one_bit = [7; 24];
    one_bit[23] ^= 1;
    let files = [
        weights(&[7; 24]),
        weights(&one_bit),
        file(&[("weight", FileDtype::F32, &[3, 2], &[7; 24])], &[]),
        file(&[("weight", FileDtype::I32, &[2, 3], &[7; 24])], &[]),
        file(&[("other", FileDtype::F32, &[2, 3], &[7; 24])], &[]),
        file(
            &[("weight", FileDtype::F32, &[2, 3], &[7; 24])],
            &[("decoder_num_heads", "4")],
        ),
    ];
    let mut fingerprints: Vec<_> = files
        .iter()
        .map(|bytes| {
            Checkpoint::from_bytes(&bytes[..], "model")
                .unwrap()
                .fingerprint()
        })
        .collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), files.len());
}

#[test]
fn damaged_headers_are_refused() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for (header, data) in [
        (tensor("F32", "[2]", "[0,8]"), 4),
        (tensor("F32", "[2]", "[0,8]"), 12),
        (tensor("F32", "[2]", "[0,7]"), 7),
        (tensor("F32", "[2]", "[8,0]"), 8),
        (tensor("F32", "[2]", "[0,18446744073709551615]"), 8),
        (tensor("F32", "[18446744073709551615,2]", "[0,8]"), 8),
        (tensor("F32", "[4294967296,4294967296]", "[0,0]"), 0),
        (tensor("F32", "[-1]", "[0,8]"), 8),
        (tensor("X32", "[2]", "[0,8]"), 8),
        ("{".to_owned(), 8),
        ("{]".to_owned(), 8),
        (format!("{{\"w\":{}", "[".repeat(100_000)), 8),
    ] {
        let text = refusal(&raw(&header, &vec![0; data]));
        assert!(
            text.contains("safetensors header cannot be used"),
            "{header:.80}: {text}"
        );
    }
}

#[test]
fn a_zero_in_a_shape_does_not_hide_an_overflow() {
    let shape = "[0,4611686018427387904,4611686018427387904]";
    let header = format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#);
    let text = refusal(&raw(&header, &[]));
    assert!(text.contains("model.pth"), "{text}");
}

#[test]
fn a_header_larger_than_any_model_needs_is_refused_before_it_is_read() {
    let mut bytes = raw("{}", &[]);
    bytes[..8].copy_from_slice(&(9u64 << 20).to_le_bytes());
    assert!(refusal(&bytes).contains("9437184 bytes"));
    let spaces = raw(&format!("{{{}}}", " ".repeat(9 << 20)), &[]);
    assert!(refusal(&spaces).contains("more than"));
}

#[test]
fn a_file_without_tensors_is_refused() {
    assert!(refusal(&raw("{}", &[])).contains("no tensors"));
    assert!(refusal(&file(&[], &[("k", "v")])).contains("no tensors"));
}

#[test]
fn element_types_that_weights_do_not_have_are_named() {
    let bytes = file(&[("w", FileDtype::F8_E4M3, &[4], &[0; 4])], &[]);
    let text = refusal(&bytes);
    assert!(text.contains("`w`") && text.contains("F8_E4M3"), "{text}");
}

#[test]
fn a_cut_off_file_is_refused_at_any_length() {
    let whole = file(
        &[("weight", FileDtype::F32, &[2, 3], &[7; 24])],
        &[("k", "v")],
    );
    for keep in 0..whole.len() {
        refusal(&whole[..keep]);
    }
}
