//! What the host relies on besides right masks: exports that come back bit for bit, refusals, cancelling, and an
//! out-of-memory that does no harm.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::golden::Golden;
use common::plugin::{cpu, decode, demo_bytes, demo_path, encode, load, one_at_a_time};
use sam_mm::backend::{
    Checkpoint, Device, LogLevel, Model, Operation, OperationHooks, Plan, Precision,
};
use sam_mm_backend_abi::abi;

fn demo(device: &Device) -> Model {
    load(device, Checkpoint::Bytes(&demo_bytes())).unwrap()
}

fn detached() -> Operation {
    Operation::detached()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Where fields of an export are; see `Header` in `src/embedding.rs`.
const VERSION: usize = 8;
const PRECISION: usize = 12;
const HEADER: usize = 80;

#[test]
fn an_exported_embedding_comes_back_bit_for_bit() {
    let _turn = one_at_a_time();
    let model = demo(&cpu(None));
    let embedding = encode(&model, &Plan::DEFAULT, &detached()).unwrap();
    let exported = embedding.export().unwrap();
    let imported = model.import(&exported, &detached()).unwrap();
    assert_eq!(imported.export().unwrap(), exported);
    assert_eq!(imported.bytes(), embedding.bytes());
    let before = decode(&model, &embedding, 2, &detached()).unwrap();
    let after = decode(&model, &imported, 2, &detached()).unwrap();
    assert_eq!(bits(&before.0), bits(&after.0));
    assert_eq!(bits(&before.1), bits(&after.1));
}

#[test]
fn half_precision_takes_half_the_bytes_and_moves_no_value_by_more_than_its_rounding() {
    let _turn = one_at_a_time();
    let model = demo(&cpu(None));
    let embedding = encode(&model, &Plan::DEFAULT, &detached()).unwrap();
    let exported = embedding.export().unwrap();
    let halved = embedding.export_half().unwrap().expect("all is in range");
    assert_eq!(halved.len() - HEADER, (exported.len() - HEADER) / 2);
    let imported = model.import(&halved, &detached()).unwrap();
    assert_eq!(imported.bytes(), embedding.bytes());
    assert_eq!(imported.export_half().unwrap(), Some(halved.clone()));
    let values = |bytes: Vec<u8>| -> Vec<f32> {
        let words = bytes[HEADER..].chunks_exact(4);
        words
            .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
            .collect()
    };
    let again = values(imported.export().unwrap());
    for (&before, &after) in values(exported).iter().zip(&again) {
        let bound = (before.abs() * 2_f32.powi(-11)).max(2_f32.powi(-25));
        assert!((before - after).abs() <= bound, "{before} became {after}");
    }
    for at in [0, 12, 60, 64, HEADER - 1, HEADER, halved.len() - 1] {
        let mut damaged = halved.clone();
        damaged[at] ^= 1;
        assert!(model.import(&damaged, &detached()).is_err(), "byte {at}");
    }
}

#[test]
fn bytes_that_are_not_a_whole_export_are_refused_with_the_reason() {
    let _turn = one_at_a_time();
    let model = demo(&cpu(None));
    let embedding = encode(&model, &Plan::DEFAULT, &detached()).unwrap();
    let exported = embedding.export().unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = exported.clone();
        change(&mut bytes);
        bytes
    };
    let last = exported.len() - 1;
    let damaged: [(Vec<u8>, &str); 10] = [
        (Vec::new(), "too few"),
        (exported[..HEADER - 1].to_vec(), "too few"),
        (exported[..HEADER].to_vec(), "not a whole embedding"),
        (exported[..last].to_vec(), "not a whole embedding"),
        (changed(&|bytes| bytes.push(0)), "not a whole embedding"),
        (changed(&|bytes| bytes[0] ^= 1), "SAMMMEMB"),
        (changed(&|bytes| bytes[VERSION] += 1), "of layout 2"),
        (
            changed(&|bytes| bytes[PRECISION] = 77),
            "unknown precision 77",
        ),
        (changed(&|bytes| bytes[HEADER] ^= 1), "checksum"),
        (changed(&|bytes| bytes[last] ^= 0x80), "checksum"),
    ];
    for (bytes, reason) in damaged {
        let error = model.import(&bytes, &detached()).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_INVALID_ARGUMENT, "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
}

#[test]
fn no_bit_of_the_header_can_flip_unnoticed() {
    let _turn = one_at_a_time();
    let model = demo(&cpu(None));
    let embedding = encode(&model, &Plan::DEFAULT, &detached()).unwrap();
    let mut bytes = embedding.export().unwrap();
    for bit in 0..8 * HEADER {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(model.import(&bytes, &detached()).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(model.import(&bytes, &detached()).is_ok());
}

/// Of one with other weights of the same shapes, and of one of another size.
#[test]
fn an_embedding_of_another_model_is_refused() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let bytes = demo_bytes();
    let model = load(&device, Checkpoint::Bytes(&bytes)).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    let fine_tuned = load(&device, Checkpoint::Bytes(&changed)).unwrap();
    let small = Golden::open("sam_small").checkpoint_bytes();
    let small = load(&device, Checkpoint::Bytes(&small)).unwrap();
    for other in [fine_tuned, small] {
        let embedding = encode(&other, &Plan::DEFAULT, &detached()).unwrap();
        let exported = embedding.export().unwrap();
        let error = model
            .import(&exported, &detached())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_INVALID_ARGUMENT);
        assert!(error.to_string().contains("another model"), "{error}");
    }
}

#[test]
fn a_checkpoint_from_a_path_and_from_bytes_is_one_model() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let from_bytes = demo(&device);
    let from_path = load(&device, Checkpoint::File(&demo_path())).unwrap();
    let embedding = encode(&from_bytes, &Plan::DEFAULT, &detached()).unwrap();
    let exported = embedding.export().unwrap();
    let imported = from_path.import(&exported, &detached()).unwrap();
    assert_eq!(imported.export().unwrap(), exported);
}

#[test]
fn a_file_that_is_missing_or_no_checkpoint_is_told_by_its_name() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let folder = std::env::temp_dir();
    let missing = folder.join("no such model \u{e9}.pth");
    let error = load(&device, Checkpoint::File(&missing))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_IO, "{error}");
    assert!(
        error.to_string().contains("no such model \u{e9}.pth"),
        "{error}"
    );
    let error = load(&device, Checkpoint::File(&folder))
        .map(|_| ())
        .unwrap_err();
    assert!(
        [abi::SAM_MM_ERR_IO, abi::SAM_MM_ERR_CHECKPOINT].contains(&error.code()),
        "{error}"
    );
    let error = load(&device, Checkpoint::Bytes(b"PK no checkpoint"))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_CHECKPOINT, "{error}");
}

#[test]
fn a_path_in_any_script_is_opened() {
    let _turn = one_at_a_time();
    let path = std::env::temp_dir().join(format!("modèle 模型 {}.safetensors", std::process::id()));
    std::fs::copy(demo_path(), &path).unwrap();
    let loaded = load(&cpu(None), Checkpoint::File(&path));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(loaded.unwrap().info().family, "sam");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf8_is_refused_as_an_argument() {
    use std::os::unix::ffi::OsStrExt;
    let _turn = one_at_a_time();
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff.pth"));
    let error = load(&cpu(None), Checkpoint::File(path))
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_INVALID_ARGUMENT, "{error}");
}

/// Cancels when it was asked so many times, and counts the questions.
struct CancelAfter {
    left: AtomicI64,
}

impl CancelAfter {
    fn operation(times: i64) -> (Arc<Self>, Operation) {
        let hooks = Arc::new(Self {
            left: AtomicI64::new(times),
        });
        let operation = Operation::new(Arc::clone(&hooks) as Arc<dyn OperationHooks>);
        (hooks, operation)
    }

    /// How often `run` asks when nobody cancels.
    fn questions<T>(run: impl FnOnce(&Operation) -> T) -> i64 {
        let many = 1 << 40;
        let (hooks, operation) = Self::operation(many);
        run(&operation);
        many - hooks.left.load(Ordering::SeqCst)
    }
}

impl OperationHooks for CancelAfter {
    fn is_cancelled(&self) -> bool {
        self.left.fetch_sub(1, Ordering::SeqCst) <= 0
    }

    fn before_allocate(&self, _: u64) -> bool {
        true
    }

    fn allocation_failed(&self, _: u64, _: u32) -> bool {
        false
    }

    fn log(&self, _: LogLevel, _: &str) {}
}

#[test]
fn encoding_can_be_cancelled_between_any_two_stages_and_works_the_next_time() {
    let _turn = one_at_a_time();
    let small = Golden::open("sam_small").checkpoint_bytes();
    for checkpoint in [demo_bytes(), small] {
        let device = cpu(None);
        let model = load(&device, Checkpoint::Bytes(&checkpoint)).unwrap();
        let plan = Plan::DEFAULT;
        let expected = encode(&model, &plan, &detached())
            .unwrap()
            .export()
            .unwrap();
        let questions =
            CancelAfter::questions(|operation| encode(&model, &plan, operation).is_ok());
        assert!(questions >= 4, "asked {questions} times");
        let live = device.mem_info().unwrap().allocator.unwrap().allocated;
        for times in 0..questions {
            let (_, operation) = CancelAfter::operation(times);
            let error = encode(&model, &plan, &operation).map(|_| ()).unwrap_err();
            assert_eq!(error.code(), abi::SAM_MM_ERR_CANCELLED, "{times}: {error}");
            let now = device.mem_info().unwrap().allocator.unwrap().allocated;
            assert_eq!(now, live, "after {times}");
        }
        let again = encode(&model, &plan, &detached())
            .unwrap()
            .export()
            .unwrap();
        assert_eq!(again, expected);
    }
}

/// More objects than are decoded at a time, so that there are batches to stop between.
#[test]
fn decoding_can_be_cancelled_between_any_two_batches_and_works_the_next_time() {
    let _turn = one_at_a_time();
    let model = demo(&cpu(None));
    let embedding = encode(&model, &Plan::DEFAULT, &detached()).unwrap();
    let objects = 100;
    let expected = decode(&model, &embedding, objects, &detached()).unwrap();
    let questions =
        CancelAfter::questions(|operation| decode(&model, &embedding, objects, operation).is_ok());
    assert!(questions >= 2, "asked {questions} times");
    for times in 0..questions {
        let (_, operation) = CancelAfter::operation(times);
        let error = decode(&model, &embedding, objects, &operation)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_CANCELLED, "{times}: {error}");
    }
    let again = decode(&model, &embedding, objects, &detached()).unwrap();
    assert_eq!(bits(&again.0), bits(&expected.0));
}

#[test]
fn loading_can_be_cancelled() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let bytes = demo_bytes();
    let (_, operation) = CancelAfter::operation(0);
    let checkpoint = Checkpoint::Bytes(&bytes);
    let loaded = device.load_model(checkpoint, "demo", Precision::Fp32, &operation);
    let error = loaded.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_CANCELLED, "{error}");
}

#[test]
fn out_of_memory_names_the_bytes_and_the_same_model_works_once_there_is_room() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let model = demo(&device);
    let expected = encode(&model, &Plan::DEFAULT, &detached())
        .unwrap()
        .export()
        .unwrap();
    let held = device.mem_info().unwrap().allocator.unwrap().reserved;
    for room in [4096, 100_000, 1_000_000] {
        let limit = held + room;
        let limited = cpu(Some(limit));
        let error = encode(&model, &Plan::DEFAULT, &detached())
            .map(|_| ())
            .unwrap_err();
        assert!(error.is_out_of_memory(), "{error}");
        let (requested, free) = (
            error.requested_bytes().unwrap(),
            error.free_bytes().unwrap(),
        );
        assert!(
            requested > free && free <= room,
            "{requested} of {free}: {error}"
        );
        let info = limited.mem_info().unwrap();
        assert_eq!(info.allocator.unwrap().reserved, held);
        assert!(info.peak_allocated.unwrap() <= limit);
        limited.trim().unwrap();
    }
    let _unlimited = cpu(None);
    let again = encode(&model, &Plan::DEFAULT, &detached())
        .unwrap()
        .export()
        .unwrap();
    assert_eq!(again, expected);
}

#[test]
fn decoding_and_loading_without_memory_fail_as_typed_errors_too() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let model = demo(&device);
    let embedding = encode(&model, &Plan::DEFAULT, &detached()).unwrap();
    let expected = decode(&model, &embedding, 3, &detached()).unwrap();
    let held = device.mem_info().unwrap().allocator.unwrap().reserved;
    let limited = cpu(Some(held + 10_000));
    let error = decode(&model, &embedding, 3, &detached()).unwrap_err();
    assert!(error.is_out_of_memory(), "{error}");
    let error = load(&limited, Checkpoint::Bytes(&demo_bytes()))
        .map(|_| ())
        .unwrap_err();
    assert!(error.is_out_of_memory(), "{error}");
    let _unlimited = cpu(None);
    let again = decode(&model, &embedding, 3, &detached()).unwrap();
    assert_eq!(bits(&again.0), bits(&expected.0));
}

/// Whether this processor computes in bf16. Where it does not, asking for it is refused and changes nothing.
fn computes_in_bf16(model: &Model) -> bool {
    #[cfg(target_arch = "x86_64")]
    let can = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let can = false;
    if !can {
        let before = encode(model, &Plan::DEFAULT, &detached()).unwrap();
        let refused = model.set_precision(Precision::Bf16, &detached());
        let error = refused.unwrap_err();
        assert!(error.is_unsupported(), "{error}");
        let after = encode(model, &Plan::DEFAULT, &detached()).unwrap();
        assert_eq!(before.export().unwrap(), after.export().unwrap());
    }
    can
}

#[test]
fn another_precision_needs_no_second_set_of_weights() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let small = Golden::open("sam_small").checkpoint_bytes();
    let model = load(&device, Checkpoint::Bytes(&small)).unwrap();
    if !computes_in_bf16(&model) {
        return;
    }
    let reserved = |device: &Device| device.mem_info().unwrap().allocator.unwrap().reserved;
    let held = reserved(&device);
    let in_passing = model.info().precision_change_bytes.unwrap();
    // Half of the weights is what a second set would take. So small a model is not far from that by its decoder alone.
    let limited = cpu(Some(held + in_passing.min(held / 3)));
    model.set_precision(Precision::Bf16, &detached()).unwrap();
    assert!(reserved(&limited) < held * 3 / 4, "{held}");
    let plan = Plan {
        precision: Precision::Bf16,
        ..Plan::DEFAULT
    };
    let _limited = cpu(Some(held + in_passing));
    model.set_precision(Precision::Fp32, &detached()).unwrap();
    let _unlimited = cpu(None);
    assert_eq!(reserved(&device), held);
    model.set_precision(Precision::Bf16, &detached()).unwrap();
    encode(&model, &plan, &detached()).unwrap();
}

#[test]
fn a_change_of_precision_that_stops_halfway_leaves_the_model_as_it_was() {
    let _turn = one_at_a_time();
    let device = cpu(None);
    let small = Golden::open("sam_small").checkpoint_bytes();
    let model = load(&device, Checkpoint::Bytes(&small)).unwrap();
    if !computes_in_bf16(&model) {
        return;
    }
    let exported = || {
        let embedding = encode(&model, &Plan::DEFAULT, &detached()).unwrap();
        embedding.export().unwrap()
    };
    let expected = exported();
    let questions = CancelAfter::questions(|operation| {
        model.set_precision(Precision::Bf16, operation).unwrap();
        model.set_precision(Precision::Fp32, &detached()).unwrap();
    });
    assert!(questions >= 2, "asked {questions} times");
    for times in 0..questions {
        let (_, operation) = CancelAfter::operation(times);
        let error = model
            .set_precision(Precision::Bf16, &operation)
            .unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_CANCELLED, "{times}: {error}");
        assert_eq!(exported(), expected, "{times}");
    }
    let held = device.mem_info().unwrap().allocator.unwrap().reserved;
    let _limited = cpu(Some(held + 1000));
    let error = model
        .set_precision(Precision::Bf16, &detached())
        .unwrap_err();
    let _unlimited = cpu(None);
    assert!(error.is_out_of_memory(), "{error}");
    assert_eq!(exported(), expected);
}
