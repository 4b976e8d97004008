//! What the plugin says of memory against what its allocator counted.

mod common;

use common::golden::Golden;
use common::plugin::{allocated, cpu, decode_in, demo_bytes, encode, load_in, one_at_a_time};
use sam_mm::backend::{Attention, Checkpoint, Model, Operation, Plan, Precision};
use sam_mm_backend_abi::abi::SAM_MM_ERR_UNSUPPORTED;

/// What small parts may add to any estimate.
const SLACK: u64 = 256 << 10;

/// Bytes at the peak of `work` over those before it.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let device = cpu(None);
    let (before, _) = allocated(&device);
    let made = work();
    (made, allocated(&device).1 - before)
}

fn assert_holds(what: &str, estimate: u64, measured: u64) {
    println!("{what}: estimated {estimate}, measured {measured}");
    assert!(estimate >= measured, "{what}: {estimate} < {measured}");
    assert!(
        estimate <= 2 * measured + SLACK,
        "{what}: {estimate} for {measured}"
    );
}

fn hold_encode_and_decode(what: &str, model: &Model, precision: Precision) {
    let plan = |attention, num_objects| Plan {
        attention,
        precision,
        num_objects,
    };
    for attention in [Attention::Full, Attention::Chunked] {
        let plan = plan(attention, 0);
        let estimate = model.estimate(&plan).unwrap();
        let (embedding, peak) = peak_of(|| encode(model, &plan, &Operation::detached()).unwrap());
        let total = estimate.encode_workspace_bytes + estimate.embedding_bytes;
        assert_holds(&format!("{what}, encode, {attention:?}"), total, peak);
        assert_eq!(embedding.bytes(), estimate.embedding_bytes);
    }
    for objects in [1, 3, 20] {
        let embedding = encode(model, &plan(Attention::Full, 1), &Operation::detached()).unwrap();
        let estimate = model.estimate(&plan(Attention::Full, objects)).unwrap();
        let objects = objects as usize;
        let (_, peak) = peak_of(|| {
            decode_in(
                model,
                &embedding,
                objects,
                precision,
                &Operation::detached(),
            )
            .unwrap()
        });
        let what = format!("{what}, decode of {objects}");
        assert_holds(&what, estimate.decode_workspace_bytes, peak);
    }
}

/// Loads a model in fp32, and in bf16 where the processor has it, and holds what it says of its memory to what it takes.
fn hold(what: &str, checkpoint: &[u8]) {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let what = format!("{what} in {precision}");
        let device = cpu(None);
        let (before, _) = allocated(&device);
        let model = match load_in(&device, Checkpoint::Bytes(checkpoint), precision) {
            Ok(model) => model,
            Err(error) => {
                assert_eq!(precision, Precision::Bf16, "{error}");
                assert_eq!(error.code(), SAM_MM_ERR_UNSUPPORTED, "{error}");
                return;
            }
        };
        let measured = allocated(&device).0 - before;
        let said = model.info().weight_bytes;
        println!("{what}: weights said {said}, measured {measured}");
        let apart = said.abs_diff(measured);
        assert!(
            apart <= measured / 20 + SLACK,
            "{what}: {said} of {measured}"
        );
        hold_encode_and_decode(&what, &model, precision);
    }
}

#[test]
fn memory_of_the_demo_model() {
    let _turn = one_at_a_time();
    hold("demo", &demo_bytes());
}

#[test]
fn memory_of_a_small_vit() {
    let _turn = one_at_a_time();
    hold("small", &Golden::open("sam_small").checkpoint_bytes());
}

#[test]
fn memory_of_a_mobile_sam() {
    let _turn = one_at_a_time();
    hold("MobileSAM", &Golden::open("mobile_sam").checkpoint_bytes());
}

#[test]
fn memory_of_a_sam_2_1_tiny() {
    let _turn = one_at_a_time();
    hold(
        "SAM 2.1 tiny",
        &Golden::open("sam2_tiny").checkpoint_bytes(),
    );
}

/// A model of any size, such as the real ViT-B: `SAM_MM_CHECKPOINT=sam_vit_b.pth cargo test --test estimates -- --ignored`.
#[test]
#[ignore = "needs a checkpoint of the caller's"]
fn memory_of_a_checkpoint_of_the_callers() {
    let _turn = one_at_a_time();
    let path = std::env::var_os("SAM_MM_CHECKPOINT").expect("SAM_MM_CHECKPOINT names a checkpoint");
    hold("the checkpoint", &std::fs::read(path).unwrap());
}
