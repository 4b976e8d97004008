//! The allocator of CPU tensors: counted and held to a limit within scopes, and out of the way outside of them.

mod common;

use common::plugin::one_at_a_time;
use sam_mm_torch::shim::{
    AllocatorFigures, MemoryOf, PackedWeight, Scope, figures, limit_cpu, reset_peak,
};
use tch::{Device, Kind, Tensor};

const MIB: i64 = 1 << 20;

fn now() -> AllocatorFigures {
    figures(MemoryOf::Cpu).unwrap()
}

fn tensor(bytes: i64) -> Tensor {
    Tensor::zeros([bytes], (Kind::Uint8, Device::Cpu))
}

fn weight() -> Tensor {
    Tensor::ones([1024, 1024], (Kind::Float, Device::Cpu))
}

#[test]
fn what_is_allocated_outside_of_a_scope_is_neither_counted_nor_kept_nor_limited() {
    let _turn = one_at_a_time();
    let before = now();
    limit_cpu(Some(1));
    let outside = tensor(4 * MIB);
    assert_eq!(now().allocated, before.allocated);
    {
        let _scope = Scope::enter().unwrap();
        drop(outside);
        assert_eq!(now().reserved, before.reserved);
    }
    limit_cpu(None);
}

#[test]
fn a_scope_ends_with_its_own_thread_only() {
    let _turn = one_at_a_time();
    let _scope = Scope::enter().unwrap();
    let before = now();
    let elsewhere = std::thread::spawn(|| tensor(4 * MIB)).join().unwrap();
    assert_eq!(now().allocated, before.allocated);
    drop(elsewhere);
    assert_eq!(now(), before);
}

/// Within a scope, after it, and on another thread that ends before; the bare addresses are those of oneDNN's weights.
#[test]
fn a_block_may_be_freed_anywhere() {
    let _turn = one_at_a_time();
    let before = now();
    let scope = Scope::enter().unwrap();
    let (later, on_a_thread) = (tensor(3 * MIB), tensor(5 * MIB));
    let packed = PackedWeight::pack(&weight(), 4096).unwrap();
    assert!(packed.is_some() && now().allocated >= before.allocated + 8 * MIB as u64);
    drop(scope);
    drop(later);
    drop(packed);
    std::thread::spawn(move || drop(on_a_thread))
        .join()
        .unwrap();
    assert_eq!(
        (now().allocated, now().reserved),
        (before.allocated, before.reserved)
    );

    let packed = PackedWeight::pack(&weight(), 4096).unwrap();
    let scope = Scope::enter().unwrap();
    drop(packed);
    drop(scope);
    assert_eq!(
        (now().allocated, now().reserved),
        (before.allocated, before.reserved)
    );
}

#[test]
fn threads_that_allocate_and_free_at_once_leave_nothing_behind() {
    let _turn = one_at_a_time();
    let before = now();
    let (give, take) = std::sync::mpsc::channel::<Tensor>();
    let makers: Vec<_> = (0..3)
        .map(|seed: i64| {
            let give = give.clone();
            std::thread::spawn(move || {
                for round in 0..200 {
                    let scope = (round % 3 > 0).then(|| Scope::enter().unwrap());
                    give.send(tensor(MIB / 2 + (round * 7 + seed) % 5 * MIB / 2))
                        .unwrap();
                    drop(scope);
                }
            })
        })
        .collect();
    drop(give);
    for tensor in take {
        drop(tensor);
    }
    for maker in makers {
        maker.join().unwrap();
    }
    assert_eq!(
        (now().allocated, now().reserved),
        (before.allocated, before.reserved)
    );
}

#[test]
fn blocks_are_kept_for_reuse_until_the_scope_ends() {
    let _turn = one_at_a_time();
    let before = now();
    let scope = Scope::enter().unwrap();
    let first = tensor(4 * MIB);
    let address = first.data_ptr();
    drop(first);
    assert_eq!(now().allocated, before.allocated);
    assert_eq!(now().reserved, before.reserved + 4 * MIB as u64);
    let second = tensor(4 * MIB - 4096);
    assert_eq!(second.data_ptr(), address);
    drop(second);
    drop(scope);
    assert_eq!(now().reserved, before.reserved);
}

/// Sizes of which none fits into the blocks before it.
#[test]
fn kept_blocks_never_raise_the_peak() {
    let _turn = one_at_a_time();
    let before = now();
    reset_peak(MemoryOf::Cpu).unwrap();
    let _scope = Scope::enter().unwrap();
    for mebibytes in [2, 3, 5, 8, 13, 4, 9] {
        drop(tensor(mebibytes * MIB));
    }
    let peak = now().peak_reserved - before.reserved;
    assert_eq!(peak, 13 * MIB as u64);
    assert_eq!(now().peak_allocated, now().peak_reserved);
}

#[test]
fn beyond_the_limit_kept_blocks_go_first_and_then_allocations_fail() {
    let _turn = one_at_a_time();
    let before = now().reserved;
    limit_cpu(Some(before + 10 * MIB as u64));
    let _scope = Scope::enter().unwrap();
    drop(tensor(6 * MIB));
    let live = tensor(8 * MIB);
    let failure = Tensor::f_zeros([3 * MIB], (Kind::Uint8, Device::Cpu)).unwrap_err();
    let failure = sam_mm_torch::shim::Failure::from(failure);
    limit_cpu(None);
    assert_eq!(
        failure.kind(),
        sam_mm_torch::shim::FailureKind::OutOfMemory {
            requested: Some(3 * MIB as u64),
            free: Some(2 * MIB as u64)
        }
    );
    assert!(now().peak_reserved >= before + 8 * MIB as u64);
    drop(live);
    drop(tensor(20 * MIB));
}
