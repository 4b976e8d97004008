//! Thousands of damaged files: each must be read or refused with an error that names it, without a panic and without
//! an allocation out of proportion to the file.

mod support;

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use sam_mm_checkpoint::{Architecture, Checkpoint};
use support::{Claim, archive, named, state_dict, torch_file};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The test files have a few KB. What a hostile one may cost at most is some instructions and small tables.
const MEMORY_BOUND_MB: f32 = 64.0;

/// Reads a file and looks at all of it, as a consumer would.
fn survives(bytes: &[u8]) {
    match Checkpoint::from_bytes(bytes, "model.pth") {
        Ok(checkpoint) => {
            for (name, tensor) in checkpoint.tensors() {
                assert_eq!(
                    tensor.contiguous().len(),
                    tensor.len() * tensor.dtype.size(),
                    "{name}"
                );
                assert_eq!(tensor.to_f32().len(), tensor.len());
            }
            checkpoint.fingerprint();
            match Architecture::detect(&checkpoint) {
                Ok(architecture) => drop(
                    architecture
                        .check(&checkpoint)
                        .map_err(|error| named(&error)),
                ),
                Err(error) => drop(named(&error)),
            }
        }
        Err(error) => drop(named(&error)),
    }
    let peak = MEMORY.peak_usage_as_mb();
    assert!(
        peak < MEMORY_BOUND_MB,
        "{peak} MB were allocated for {} bytes",
        bytes.len()
    );
}

/// One way to damage a file. Positions are shares of its length.
#[derive(Clone, Debug)]
enum Damage {
    Flip(f64, u8),
    Truncate(f64),
    Fill(f64, usize, u8),
    Copy(f64, f64, usize),
    Remove(f64, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let at = |share: f64| ((share * len as f64) as usize).min(len.saturating_sub(1));
        if len == 0 {
            return;
        }
        match *self {
            Self::Flip(place, bits) => bytes[at(place)] ^= bits,
            Self::Truncate(place) => bytes.truncate(at(place)),
            Self::Fill(place, count, value) => {
                let end = (at(place) + count).min(len);
                bytes[at(place)..end].fill(value);
            }
            Self::Copy(from, to, count) => {
                let count = count.min(len - at(from)).min(len - at(to));
                bytes.copy_within(at(from)..at(from) + count, at(to));
            }
            Self::Remove(place, count) => {
                let end = (at(place) + count).min(len);
                bytes.drain(at(place)..end);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = || 0.0..1.0f64;
    prop_oneof![
        6 => (place(), 1..=255u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => place().prop_map(Damage::Truncate),
        2 => (place(), 1..64usize, prop_oneof![Just(0), Just(0xff), any::<u8>()])
            .prop_map(|(at, count, value)| Damage::Fill(at, count, value)),
        2 => (place(), place(), 1..64usize).prop_map(|(from, to, count)| Damage::Copy(from, to, count)),
        1 => (place(), 1..32usize).prop_map(|(at, count)| Damage::Remove(at, count)),
    ]
}

fn good_pickles() -> Vec<Vec<u8>> {
    let names = [
        "protocol_2",
        "protocol_4",
        "trained",
        "views",
        "with_attribute",
        "dtypes",
    ];
    names
        .iter()
        .map(|name| pickle_of(&torch_file(name)))
        .collect()
}

/// The `data.pkl` of a file.
fn pickle_of(bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let index = (0..zip.len()).find(|&i| {
        zip.by_index(i)
            .unwrap()
            .name()
            .unwrap()
            .ends_with("/data.pkl")
    });
    let mut pickle = Vec::new();
    std::io::Read::read_to_end(&mut zip.by_index(index.unwrap()).unwrap(), &mut pickle).unwrap();
    pickle
}

fn safetensors_file() -> Vec<u8> {
    let view = |shape: &[usize], bytes| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes)
            .unwrap()
    };
    let tensors = [
        ("image_encoder.pos_embed", view(&[1, 2, 2, 4], &[0; 64])),
        ("mask_decoder.iou_token.weight", view(&[1, 8], &[0; 32])),
    ];
    safetensors::serialize(
        tensors,
        Some([("num_heads".to_owned(), "2".to_owned())].into()),
    )
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives_are_read_or_refused(
        which in 0..6usize,
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let names = ["protocol_2", "protocol_4", "trained", "views", "dtypes", "legacy"];
        let mut bytes = torch_file(names[which]);
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        survives(&bytes);
    }

    #[test]
    fn damaged_pickles_are_read_or_refused(
        which in 0..6usize,
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut pickle = good_pickles().swap_remove(which);
        damages.iter().for_each(|damage| damage.apply(&mut pickle));
        survives(&archive(&pickle, &[0; 96]));
    }

    #[test]
    fn random_instructions_are_read_or_refused(
        instructions in prop::collection::vec(
            prop::sample::select(&b"()]}012abcdehjlqrstuBCGJKMNQRTUX\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8f\x90\x91\x93\x94\x00\x01"[..]),
            0..64,
        ),
    ) {
        let pickle = [&b"\x80\x02"[..], &instructions, b"."].concat();
        survives(&archive(&pickle, &[0; 24]));
    }

    #[test]
    fn any_claim_about_a_tensor_is_read_or_refused(
        offset in figure(),
        storage_len in figure(),
        shape in prop::collection::vec(figure(), 0..5),
        strides in prop::collection::vec(figure(), 0..5),
    ) {
        let claim = Claim { offset, storage_len, shape, strides, ..Claim::sound() };
        survives(&archive(&state_dict(&[claim]), &[0; 96]));
    }

    #[test]
    fn damaged_safetensors_are_read_or_refused(damages in prop::collection::vec(damage(), 1..6)) {
        let mut bytes = safetensors_file();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        survives(&bytes);
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..256), zip in any::<bool>()) {
        let start: &[u8] = if zip { b"PK\x03\x04" } else { b"" };
        survives(&[start, &bytes].concat());
    }
}

/// Small numbers, which make sound tensors, and the ones at which arithmetic breaks.
fn figure() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 0..8i64,
        1 => Just(-1),
        1 => prop::sample::select(&[i64::MAX, i64::MIN, 1 << 31, 1 << 32, 1 << 61, 1 << 62][..]),
        1 => any::<i64>(),
    ]
}

#[test]
fn every_truncation_of_a_checkpoint_is_refused() {
    let whole = torch_file("views");
    for keep in 0..whole.len() {
        assert!(
            Checkpoint::from_bytes(&whole[..keep], "model.pth").is_err(),
            "{keep} bytes"
        );
        survives(&whole[..keep]);
    }
}

#[test]
fn every_single_flipped_byte_is_survived() {
    for whole in [torch_file("protocol_2"), safetensors_file()] {
        for place in 0..whole.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= bits;
                survives(&bytes);
            }
        }
    }
}
