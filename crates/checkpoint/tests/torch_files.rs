//! Files that the real `torch.save` wrote (`tools/make_checkpoint_fixtures.py`).

mod support;

use sam_mm_checkpoint::{Checkpoint, Dtype, Fingerprint, Format};
use support::{data, refusal, torch_file};

fn read(name: &str) -> Checkpoint<'static> {
    Checkpoint::from_bytes(torch_file(name), name).unwrap()
}

fn values(checkpoint: &Checkpoint<'_>, name: &str) -> Vec<f32> {
    checkpoint
        .tensor(name)
        .unwrap_or_else(|| panic!("{name} is missing"))
        .to_f32()
}

fn counted(count: usize) -> Vec<f32> {
    (0..count).map(|value| value as f32).collect()
}

#[test]
fn every_pickle_protocol_gives_the_same_tensors() {
    let fingerprints: Vec<Fingerprint> = (2..=5)
        .map(|protocol| {
            let checkpoint = read(&format!("protocol_{protocol}"));
            let names: Vec<_> = checkpoint.names().collect();
            assert_eq!(
                names,
                [
                    "conv.weight",
                    "norm.bias",
                    "norm.num_batches_tracked",
                    "norm.running_mean",
                    "norm.running_var",
                    "norm.weight"
                ]
            );
            assert_eq!(checkpoint.format(), Format::Torch);
            assert_eq!(
                checkpoint.tensor("conv.weight").unwrap().shape,
                [3, 2, 1, 1]
            );
            assert_eq!(values(&checkpoint, "conv.weight"), counted(6));
            assert_eq!(values(&checkpoint, "norm.weight"), counted(3));
            assert_eq!(values(&checkpoint, "norm.running_var"), [1.0; 3]);
            checkpoint.fingerprint()
        })
        .collect();
    assert!(
        fingerprints
            .iter()
            .all(|fingerprint| *fingerprint == fingerprints[0])
    );
}

#[test]
fn a_mapped_file_reads_as_its_bytes_do() {
    let mapped = Checkpoint::open(data("torch/protocol_2.pth")).unwrap();
    assert!(mapped.source_name().ends_with("protocol_2.pth"));
    assert_eq!(mapped.fingerprint(), read("protocol_2").fingerprint());
}

#[test]
fn tensors_are_borrowed_from_the_bytes_they_lie_in() {
    let bytes = torch_file("protocol_2");
    let checkpoint = Checkpoint::from_bytes(&bytes[..], "model.pth").unwrap();
    for (name, tensor) in checkpoint.tensors() {
        let inside = bytes.as_ptr_range().contains(&tensor.bytes.as_ptr());
        assert!(inside, "{name} was copied");
    }
}

#[test]
fn the_weights_of_a_training_checkpoint_are_found() {
    let checkpoint = read("trained");
    assert_eq!(checkpoint.len(), 6);
    assert_eq!(values(&checkpoint, "conv.weight"), counted(6));
}

#[test]
fn parameters_and_tensors_with_attributes_are_tensors() {
    assert_eq!(values(&read("parameters"), "weight"), counted(4));
    assert_eq!(values(&read("with_attribute"), "weight"), counted(4));
}

#[test]
fn every_element_type_is_read() {
    let checkpoint = read("dtypes");
    for dtype in [
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::F64,
        Dtype::I64,
        Dtype::I32,
        Dtype::U8,
    ] {
        let tensor = checkpoint.tensor(dtype.name()).unwrap();
        assert_eq!((tensor.dtype, tensor.shape), (dtype, &[2, 3][..]));
        assert_eq!(tensor.bytes.len(), 6 * dtype.size());
        assert_eq!(tensor.to_f32(), counted(6), "{dtype}");
    }
    assert_eq!(values(&checkpoint, "bool"), [1.0, 0.0, 1.0]);
    assert_eq!(values(&checkpoint, "scalar"), [2.5]);
    let empty = checkpoint.tensor("empty").unwrap();
    assert_eq!((empty.shape, empty.bytes.len()), (&[0, 3][..], 0));
}

#[test]
fn views_into_a_shared_storage_have_their_own_elements() {
    let checkpoint = read("views");
    assert_eq!(values(&checkpoint, "base"), counted(24));
    assert_eq!(values(&checkpoint, "tied"), counted(24));
    assert_eq!(values(&checkpoint, "rows"), counted(18)[6..]);
    assert_eq!(
        values(&checkpoint, "columns"),
        [2., 3., 4., 8., 9., 10., 14., 15., 16., 20., 21., 22.]
    );
    assert_eq!(
        values(&checkpoint, "every_second"),
        [1., 3., 5., 13., 15., 17.]
    );
    assert_eq!(values(&checkpoint, "one"), [15.0]);
    let transposed = checkpoint.tensor("transposed").unwrap();
    assert_eq!(
        (transposed.shape, transposed.strides),
        (&[6, 4][..], &[1, 6][..])
    );
    assert!(!transposed.is_contiguous());
    assert_eq!(transposed.to_f32()[..5], [0.0, 6.0, 12.0, 18.0, 1.0]);
}

#[test]
fn a_file_that_would_run_code_is_refused_by_the_name_of_what_it_calls() {
    let text = refusal(&torch_file("runs_code"));
    assert!(
        text.contains("`posix.system`") && text.contains("nothing in it was run"),
        "{text}"
    );
}

#[test]
fn a_whole_module_is_refused_with_the_way_to_save_its_weights() {
    let text = refusal(&torch_file("whole_module"));
    assert!(
        text.contains("`torch.nn.modules.linear.Linear`") && text.contains("state_dict"),
        "{text}"
    );
}

#[test]
fn files_of_other_formats_are_named_with_what_to_do() {
    for (name, what, advice) in [
        ("legacy", "before PyTorch 1.6", "torch.save(torch.load("),
        ("torchscript", "TorchScript", "state_dict()"),
        ("unread_dtype", "uint16", "original checkpoint"),
        ("expanded", "share bytes", "contiguous()"),
        ("no_tensors", "`epoch`", "state_dict()"),
        ("bare_tensor", "no dictionary of tensors", "state_dict()"),
    ] {
        let text = refusal(&torch_file(name));
        assert!(
            text.contains(what) && text.contains(advice),
            "{name}: {text}"
        );
    }
}
