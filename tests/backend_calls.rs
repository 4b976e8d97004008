//! The safe wrappers over a plugin's functions, against the fake backend.

mod support;

use sam_mm::backend::{
    AllocatorMemory, Attention, Checkpoint, DeviceMemory, Element, MaskBuffers, PixelData, Pixels,
    Plan, Precision, Prompts, Resize,
};
use sam_mm_backend_abi::abi;
use support::calls::{
    CELLS, IMAGE, ONE_CLICK, decode, detached, encode, load, model_of, open_device, pixels,
};
use support::fake_backend::FakeBackend;

#[test]
fn a_model_describes_itself() {
    let fake = FakeBackend::new();
    let device = open_device(&fake, "cpu");
    let text =
        b"fake-model\ninput_size=128\nmask_size=32\nmultimask_count=4\nelement=1\nresize=1\n\
                 parameters=77\nembedding_bytes=999\nfamily=sam2\nvariant=tiny\n";
    let info = load(&device, text).unwrap().info();
    assert_eq!(
        (info.family.as_str(), info.variant.as_str()),
        ("sam2", "tiny")
    );
    assert_eq!(
        (info.input_size, info.mask_size, info.multimask_count),
        (128, 32, 4)
    );
    assert_eq!(
        (info.input_element, info.resize),
        (Element::F32, Resize::Stretch)
    );
    assert_eq!(
        (info.parameters, info.embedding_bytes, info.weight_bytes),
        (77, 999, 308)
    );
}

#[test]
fn a_model_that_cannot_be_is_refused_and_freed() {
    let fake = FakeBackend::new();
    let device = open_device(&fake, "cpu");
    for (text, why) in [
        (
            "input_size=100\nmask_size=64\n",
            "input_size 100 must be a positive multiple of mask_size 64",
        ),
        ("input_size=0\n", "input_size 0"),
        ("mask_size=0\n", "mask_size 0"),
        (
            "input_size=65536\nmask_size=65536\n",
            "input_size 65536 is larger than 16384",
        ),
        ("multimask_count=0\n", "multimask_count 0 must be 1 to 64"),
        ("element=9\n", "element 9"),
        ("resize=9\n", "resize 9"),
    ] {
        let error = load(&device, format!("fake-model\n{text}").as_bytes())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_INTERNAL, "{text}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(fake.value("live.models"), 0);
}

#[test]
fn an_image_and_a_click_arrive_as_they_are() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let embedding = encode(&model, &detached()).unwrap();
    let bytes = IMAGE[..12].iter().chain(&IMAGE[16..]);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    assert_eq!(fake.value("last.checksum"), (hash & i64::MAX as u64) as i64);
    let (logits, scores) = decode(&model, &embedding, &ONE_CLICK, &detached()).unwrap();
    // 100 of 400 pixels are 64 of 256 input pixels, 16 of 64 cells; the disc has a radius of 32 input pixels.
    let inside = |column: usize, row: usize| logits[row * 64 + column] > 0.0;
    assert!(inside(16, 16) && inside(22, 16) && inside(16, 9) && !inside(25, 16) && !inside(16, 6));
    let brightness = IMAGE.iter().map(|&value| f32::from(value)).sum::<f32>() / 255.0 / 24.0;
    let score = 0.5 + brightness / 4.0 + (hash & 0xffff) as f32 / 524_288.0;
    assert!(
        (scores[0] - score).abs() < 1e-6,
        "{} is not {score}",
        scores[0]
    );
}

#[test]
fn objects_with_points_boxes_and_masks_of_their_own_are_kept_apart() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let embedding = encode(&model, &detached()).unwrap();
    let mut masks = vec![-5.0; 3 * CELLS];
    masks[2 * CELLS + 7] = 4.0;
    let prompts = Prompts {
        multimask: false,
        point_counts: &[2, 0, 0],
        points: &[100.0, 100.0, 130.0, 100.0],
        labels: &[1, 0],
        has_box: &[0, 1, 0],
        boxes: &[
            0.0, 0.0, 0.0, 0.0, 200.0, 0.0, 400.0, 200.0, 0.0, 0.0, 0.0, 0.0,
        ],
        has_mask: &[0, 0, 1],
        masks: &masks,
    };
    let (logits, _) = decode(&model, &embedding, &prompts, &detached()).unwrap();
    let area = |object: usize| {
        logits[object * CELLS..][..CELLS]
            .iter()
            .filter(|&&logit| logit > 0.0)
            .count()
    };
    // Left of the background point a part of the disc is left; the box is half the width and half the square.
    let disc = decode(&model, &embedding, &ONE_CLICK, &detached())
        .unwrap()
        .0;
    let whole = disc.iter().filter(|&&logit| logit > 0.0).count();
    assert!(area(0) > 0 && area(0) < whole, "{} of {whole}", area(0));
    assert_eq!((area(1), area(2)), (32 * 32, 1));
}

#[test]
fn several_masks_for_an_object_grow_and_their_scores_fall() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let embedding = encode(&model, &detached()).unwrap();
    let prompts = Prompts {
        multimask: true,
        ..ONE_CLICK
    };
    let (logits, scores) = decode(&model, &embedding, &prompts, &detached()).unwrap();
    let areas: Vec<_> = logits
        .chunks(CELLS)
        .map(|mask| mask.iter().filter(|&&logit| logit > 0.0).count())
        .collect();
    assert!(areas.is_sorted() && areas.len() == 3, "{areas:?}");
    assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
}

#[test]
fn everything_is_freed_in_whatever_order_it_is_dropped() {
    let fake = FakeBackend::new();
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let device = open_device(&fake, "cpu");
        let model = load(&device, b"any").unwrap();
        let embedding = encode(&model, &detached()).unwrap();
        let (mut device, mut model, mut embedding) = (Some(device), Some(model), Some(embedding));
        for which in order {
            match which {
                0 => drop(device.take()),
                1 => drop(model.take()),
                _ => drop(embedding.take()),
            }
        }
        fake.assert_clean();
    }
}

#[test]
fn an_embedding_outlives_its_model_and_still_exports() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let embedding = encode(&model, &detached()).unwrap();
    let before = embedding.export().unwrap();
    drop(model);
    assert_eq!(embedding.export().unwrap(), before);
    drop(embedding);
    fake.assert_clean();
}

#[test]
fn an_exported_embedding_comes_back_the_same() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let embedding = encode(&model, &detached()).unwrap();
    let bytes = embedding.export().unwrap();
    let again = model.import(&bytes, &detached()).unwrap();
    assert_eq!(again.export().unwrap(), bytes);
    assert_eq!(again.bytes(), 4096);
    let masks = [&embedding, &again]
        .map(|embedding| decode(&model, embedding, &ONE_CLICK, &detached()).unwrap());
    assert_eq!(masks[0], masks[1]);
}

#[test]
fn bytes_that_are_no_embedding_are_refused() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let mut bytes = encode(&model, &detached()).unwrap().export().unwrap();
    bytes[40] ^= 1;
    for hostile in [&bytes[..], &bytes[..10], &[]] {
        let error = model.import(hostile, &detached()).map(|_| ()).unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_INVALID_ARGUMENT);
    }
}

#[test]
fn an_embedding_of_another_model_is_refused() {
    let fake = FakeBackend::new();
    let (model, other) = (model_of(&fake), model_of(&fake));
    let embedding = encode(&other, &detached()).unwrap();
    let error = decode(&model, &embedding, &ONE_CLICK, &detached()).unwrap_err();
    assert_eq!(error.to_string(), "the embedding was made by another model");
    assert_eq!(fake.value("calls.decode"), 0);
}

#[test]
fn pixels_that_do_not_suit_the_model_never_reach_the_plugin() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let good = pixels(&IMAGE);
    let floats = [0.0; 28];
    for bad in [
        Pixels { width: 0, ..good },
        Pixels { height: 0, ..good },
        Pixels {
            width: 257,
            row_stride: 3 * 257,
            height: 1,
            ..good
        },
        Pixels { height: 3, ..good },
        Pixels {
            row_stride: 11,
            ..good
        },
        Pixels {
            row_stride: usize::MAX,
            ..good
        },
        Pixels {
            data: PixelData::U8(&IMAGE[..27]),
            ..good
        },
        Pixels {
            data: PixelData::F32(&floats),
            ..good
        },
    ] {
        let error = model
            .encode(&bad, &Plan::DEFAULT, &detached())
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_INVALID_ARGUMENT, "{bad:?}");
    }
    assert_eq!(fake.value("calls.encode"), 0);
}

#[test]
fn prompts_and_buffers_whose_lengths_do_not_go_together_never_reach_the_plugin() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let embedding = encode(&model, &detached()).unwrap();
    for bad in [
        Prompts {
            point_counts: &[],
            ..ONE_CLICK
        },
        Prompts {
            point_counts: &[2],
            ..ONE_CLICK
        },
        Prompts {
            points: &[1.0],
            ..ONE_CLICK
        },
        Prompts {
            labels: &[],
            ..ONE_CLICK
        },
        Prompts {
            has_box: &[1],
            ..ONE_CLICK
        },
        Prompts {
            has_box: &[1],
            boxes: &[1.0; 3],
            ..ONE_CLICK
        },
        Prompts {
            has_box: &[1, 1],
            boxes: &[1.0; 4],
            ..ONE_CLICK
        },
        Prompts {
            has_mask: &[1],
            ..ONE_CLICK
        },
        Prompts {
            has_mask: &[1],
            masks: &[0.0; CELLS - 1],
            ..ONE_CLICK
        },
    ] {
        let error = decode(&model, &embedding, &bad, &detached()).unwrap_err();
        assert_eq!(error.code(), abi::SAM_MM_ERR_INVALID_ARGUMENT, "{bad:?}");
    }
    for (logits, scores) in [(CELLS - 1, 1), (CELLS, 0), (CELLS + 1, 1), (3 * CELLS, 3)] {
        let (mut logits, mut scores) = (vec![0.0; logits], vec![0.0; scores]);
        let mut buffers = MaskBuffers {
            logits: &mut logits,
            scores: &mut scores,
            object_scores: None,
        };
        let told = model.decode(
            &embedding,
            &ONE_CLICK,
            &Plan::DEFAULT,
            &detached(),
            &mut buffers,
        );
        assert_eq!(told.unwrap_err().code(), abi::SAM_MM_ERR_INVALID_ARGUMENT);
    }
    assert_eq!(fake.value("calls.decode"), 0);
}

#[test]
fn a_failure_keeps_its_code_and_its_words() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    for code in [2, 3, 6, 8, 9, 10, 11, 12, 14, 999] {
        fake.control(&format!("fail encode 1 {code} number {code} it is"));
        let error = encode(&model, &detached()).map(|_| ()).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string()),
            (code, format!("number {code} it is"))
        );
        assert!(!error.is_out_of_memory());
    }
    assert!(encode(&model, &detached()).is_ok());
}

#[test]
fn precision_changes_what_a_model_weighs() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    assert_eq!(model.info().weight_bytes, 4000);
    model.set_precision(Precision::Fp16, &detached()).unwrap();
    assert_eq!(model.info().weight_bytes, 2000);
    let device = open_device(&fake, "cpu");
    let whole = load(&device, b"fake-model\nhalves=0\n").unwrap();
    let error = whole
        .set_precision(Precision::Fp16, &detached())
        .unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_UNSUPPORTED);
    assert_eq!(whole.info().weight_bytes, 4000);
}

#[test]
fn an_estimate_tells_plans_apart() {
    let fake = FakeBackend::new();
    let model = model_of(&fake);
    let full = model
        .estimate(&Plan {
            num_objects: 2,
            ..Plan::DEFAULT
        })
        .unwrap();
    let chunked = model
        .estimate(&Plan {
            attention: Attention::Chunked,
            ..Plan::DEFAULT
        })
        .unwrap();
    assert_eq!(full.embedding_bytes, 4096);
    assert_eq!(full.encode_workspace_bytes, 256 * 256 * 16 * 4);
    assert_eq!(full.decode_workspace_bytes, 2 * 64 * 64 * 4 * 4);
    assert_eq!(
        chunked.encode_workspace_bytes,
        full.encode_workspace_bytes / 4
    );
}

#[test]
fn memory_figures_are_what_the_backend_knows_and_no_more() {
    let fake = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"]);
    fake.control("memory total=1000000 other=300000");
    let cpu = open_device(&fake, "cpu");
    assert_eq!(cpu.mem_info().unwrap().device, None);
    let gpu = open_device(&fake, "cuda:0");
    let model = load(&gpu, b"any").unwrap();
    let figures = gpu.mem_info().unwrap();
    assert_eq!(
        figures.device,
        Some(DeviceMemory {
            total: 1_000_000,
            free: 696_000
        })
    );
    assert_eq!(
        figures.allocator,
        Some(AllocatorMemory {
            allocated: 4000,
            reserved: 4000
        })
    );
    drop(model);
    assert_eq!(
        gpu.mem_info().unwrap().allocator,
        Some(AllocatorMemory {
            allocated: 0,
            reserved: 4000
        })
    );
    assert_eq!(gpu.trim().unwrap(), 4000);
    assert_eq!(gpu.mem_info().unwrap().peak_allocated, Some(4000));
}

#[test]
fn a_checkpoint_file_is_named_when_it_cannot_be_opened() {
    let fake = FakeBackend::new();
    let device = open_device(&fake, "cpu");
    let path = fake.folder().join("absent.pth");
    let told = device.load_model(
        Checkpoint::File(&path),
        "absent",
        Precision::Fp32,
        &detached(),
    );
    let error = told.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_IO);
    assert!(error.to_string().contains("absent.pth"), "{error}");
    std::fs::write(&path, "now it is there").unwrap();
    device
        .load_model(
            Checkpoint::File(&path),
            "present",
            Precision::Fp32,
            &detached(),
        )
        .unwrap();
}

#[cfg(unix)]
#[test]
fn a_checkpoint_path_that_is_not_text_is_refused_with_a_way_out() {
    use std::os::unix::ffi::OsStrExt;
    let fake = FakeBackend::new();
    let device = open_device(&fake, "cpu");
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff.pth"));
    let told = device.load_model(Checkpoint::File(path), "odd", Precision::Fp32, &detached());
    let error = told.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), abi::SAM_MM_ERR_INVALID_ARGUMENT);
    assert!(
        error
            .to_string()
            .contains("rename the file or give its bytes"),
        "{error}"
    );
}
