//! Embeddings on the device, in host memory and on disk, against the fake backend: they move down instead of being
//! dropped, come back up as they were, and outlive the process.

mod support;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sam_mm::backend::{DeviceName, DeviceRequest, Precision};
use sam_mm::cache::embedding::Key;
use sam_mm::cache::weighted_lru::Limits;
use sam_mm::context::{Context, Options};
use sam_mm::embeddings::Source as From;
use sam_mm::embeddings::disk::{DiskOptions, HEADER};
use sam_mm::logging::Level;
use sam_mm::memory::analytics::Cache;
use sam_mm::memory::status::Tier;
use sam_mm::model::{Model, Source};
use sam_mm::prediction::Prediction;
use sam_mm::predictor::predict;
use sam_mm::prompt::Prompt;
use sam_mm::registered_image::RegisteredImage;
use support::child;
use support::fake_backend::FakeBackend;
use support::gpu_session::memory;
use support::setup::{HEIGHT, Setup, WIDTH};

/// Bytes of an embedding of the fake backend, on its device.
const EMBEDDING: u64 = 4096;
/// The same as bytes.
const EXPORT: u64 = 56;
const EXPORT_HALF: u64 = 50;

/// No prediction is kept, so that every click needs an embedding.
fn options(folder: Option<&Path>) -> Options {
    Options {
        prediction_cache: Limits {
            entries: 0,
            bytes: 0,
        },
        memory: memory(),
        embedding_disk: folder.map(|folder| DiskOptions {
            folder: folder.to_owned(),
            limits: DiskOptions::LIMITS,
        }),
        ..Options::default()
    }
}

fn gpu() -> FakeBackend {
    FakeBackend::variant(&["FAKE_CUDA_DEVICES=1"])
}

fn on_gpu(options: Options) -> Setup {
    Setup::on(DeviceName::Cuda(0), gpu(), options)
}

fn answer(prediction: &Prediction) -> (Vec<u32>, Vec<u32>) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    let scores: Vec<f32> = (0..3).map(|i| prediction.score(i).unwrap()).collect();
    (bits(prediction.logits(1).unwrap()), bits(&scores))
}

fn click(setup: &Setup, image: &RegisteredImage) -> ((Vec<u32>, Vec<u32>), From) {
    let prediction = setup.click(image).unwrap();
    let source = prediction.embedding_source.unwrap();
    let encoded = prediction.timings.encode_ms.is_some();
    assert_eq!(encoded, source == From::Encoded);
    (answer(&prediction), source)
}

fn exported(setup: &Setup, image: &RegisteredImage) -> Vec<u8> {
    let key = Key {
        image: image.key(),
        model: setup.model.id(),
    };
    let live = setup.context.embeddings().live(key);
    live.expect("it was just decoded")
        .embedding
        .export()
        .unwrap()
}

fn files(setup: &Setup) -> Vec<PathBuf> {
    let folder = setup.context.embeddings().disk_folder().unwrap();
    let files = fs::read_dir(folder).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn on_a_walk_over_a_hundred_images_every_return_costs_no_encoding_and_gives_the_same_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let setup = on_gpu(Options {
        embedding_cache_bytes: 5 * EMBEDDING,
        embedding_host_bytes: 10 * EXPORT,
        ..options(Some(folder.path()))
    });
    let images: Vec<_> = (0..100).map(|gray| setup.image(gray)).collect();
    let first: Vec<_> = images
        .iter()
        .map(|image| (click(&setup, image).0, exported(&setup, image)))
        .collect();
    let embeddings = setup.context.embeddings();
    embeddings.flush();
    let held = [Tier::Device, Tier::Host].map(|tier| embeddings.held(tier));
    assert_eq!(held.map(|held| held.entries), [5, 10]);
    assert_eq!(held.map(|held| held.bytes), [5 * EMBEDDING, 10 * EXPORT]);
    assert_eq!(setup.fake.value("live.embeddings"), 5);
    let back: Vec<From> = images
        .iter()
        .rev()
        .zip(first.iter().rev())
        .map(|(image, first)| {
            let (answer, source) = click(&setup, image);
            assert_eq!((&answer, &exported(&setup, image)), (&first.0, &first.1));
            source
        })
        .collect();
    let count = |source| back.iter().filter(|&&from| from == source).count();
    assert_eq!(
        [From::Encoded, From::Device, From::Host, From::Disk].map(count),
        [0, 5, 10, 85]
    );
    assert_eq!(setup.calls("encode"), 100);
    let tiers = [
        Cache::EmbeddingDevice,
        Cache::EmbeddingHost,
        Cache::EmbeddingDisk,
        Cache::Embedding,
    ];
    let looked_up = tiers.map(|tier| setup.context.memory().analytics().lookups(tier));
    assert_eq!(
        looked_up.map(|tier| (tier.hits, tier.misses)),
        [(5, 195), (10, 185), (85, 100), (100, 100)]
    );
    assert_eq!(setup.fake.value("violations"), 0);
}

#[test]
fn where_there_is_no_device_embeddings_go_from_host_memory_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::with(Options {
        embedding_cache_entries: 3,
        ..options(Some(folder.path()))
    });
    let images: Vec<_> = (0..20).map(|gray| setup.image(gray)).collect();
    let first: Vec<_> = images.iter().map(|image| click(&setup, image).0).collect();
    setup.context.embeddings().flush();
    assert_eq!(setup.context.embeddings().held(Tier::Host).entries, 3);
    assert_eq!(setup.context.embeddings().held(Tier::Device).entries, 0);
    for (image, first) in images.iter().zip(&first) {
        assert_eq!(&click(&setup, image), &(first.clone(), From::Disk));
    }
    let last = images.last().unwrap();
    assert_eq!(click(&setup, last).1, From::Host);
}

#[test]
fn memory_that_is_asked_for_is_given_back_and_the_embeddings_are_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let setup = on_gpu(Options {
        embedding_cache_bytes: 4 * EMBEDDING,
        ..options(Some(folder.path()))
    });
    let images: Vec<_> = (0..9).map(|gray| setup.image(gray)).collect();
    let first: Vec<_> = images.iter().map(|image| click(&setup, image).0).collect();
    setup.context.embeddings().flush();
    let held = setup.context.embeddings().bytes();
    assert_eq!(held, 4 * EMBEDDING + 5 * EXPORT);
    let report = setup.context.optimize(true);
    assert_eq!(report.optimized.by_caches(), held, "each byte counts once");
    assert_eq!(setup.context.embeddings().bytes(), 0);
    assert_eq!(setup.fake.value("live.embeddings"), 0);
    for (image, first) in images.iter().zip(&first) {
        assert_eq!(&click(&setup, image), &(first.clone(), From::Disk));
    }
    assert_eq!(setup.calls("encode"), 9);
}

#[test]
fn what_the_device_is_short_of_moves_to_host_memory() {
    let setup = on_gpu(options(None));
    let images: Vec<_> = (0..3).map(|gray| setup.image(gray)).collect();
    let first: Vec<_> = images.iter().map(|image| click(&setup, image).0).collect();
    let consumers = setup.context.memory().consumers();
    let released = consumers.release(Tier::Device, EMBEDDING + 1);
    assert_eq!(
        released.iter().map(|share| share.bytes).sum::<u64>(),
        2 * EMBEDDING
    );
    assert_eq!(
        setup.context.memory_info().embedding_cache,
        EMBEDDING + 2 * EXPORT
    );
    let again: Vec<_> = images.iter().map(|image| click(&setup, image)).collect();
    assert_eq!(again[0], (first[0].clone(), From::Host));
    assert_eq!(again[2], (first[2].clone(), From::Device));
    assert_eq!(setup.calls("encode"), 3);
}

#[test]
fn a_host_that_is_full_takes_nothing_and_the_disk_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    for (disk, source) in [(None, From::Encoded), (Some(folder.path()), From::Disk)] {
        let mut with = options(disk);
        // Every machine is fuller than that.
        with.memory.host_threshold = Some(0.001);
        let setup = on_gpu(with);
        let image = setup.image(5);
        let first = click(&setup, &image).0;
        let consumers = setup.context.memory().consumers();
        consumers.release(Tier::Device, u64::MAX);
        setup.context.embeddings().flush();
        assert!(setup.context.embeddings().is_empty());
        assert_eq!(click(&setup, &image), (first, source));
    }
}

#[test]
fn a_device_without_room_to_bring_an_embedding_up_has_it_decoded_on_the_processor() {
    let setup = on_gpu(options(None));
    let image = setup.image(9);
    let first = click(&setup, &image).0;
    setup
        .context
        .memory()
        .consumers()
        .release(Tier::Device, u64::MAX);
    setup.fake.control("short embedding_import 1 1000");
    let again = setup.click(&image).unwrap();
    assert_eq!(answer(&again), first);
    assert_eq!(again.embedding_source, Some(From::Host));
    assert_eq!(again.ran.as_ref().unwrap().way.tier, Tier::Host);
    assert_eq!(setup.calls("encode"), 1);
}

#[test]
fn another_session_finds_what_an_earlier_one_encoded_and_another_checkpoint_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let session = |checkpoint: Option<&[u8]>| {
        let setup = Setup::with(options(Some(folder.path())));
        let source = checkpoint.map_or(Source::Demo, Source::Bytes);
        let model = Model::load(&setup.context, source, Precision::Fp32).unwrap();
        let prompt = Prompt {
            points: &[[60.0, 40.0]],
            labels: &[1],
            ..Prompt::default()
        };
        let found: Vec<_> = (0..4)
            .map(|gray| {
                let found = predict(&model, &setup.image(gray), &[prompt], true).unwrap();
                (answer(&found), found.embedding_source.unwrap())
            })
            .collect();
        (found, setup.calls("encode"))
    };
    let (first, encoded) = session(None);
    assert_eq!(encoded, 4);
    let (again, encoded) = session(None);
    assert_eq!(encoded, 0);
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(again, &(first.0.clone(), From::Disk));
    }
    // The same architecture, and so the same form of embeddings.
    assert_eq!(session(Some(b"fake-model\nfamily=a\n")).1, 4);
    assert_eq!(session(Some(b"fake-model\nfamily=b\n")).1, 4);
    assert_eq!(session(Some(b"fake-model\nfamily=a\n")).1, 0);
}

#[test]
fn a_file_and_its_bytes_are_one_checkpoint_whatever_the_file_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::with(options(Some(&folder.path().join("kept"))));
    let bytes = b"fake-model\nfamily=c\n";
    let mut sources = Vec::new();
    for name in ["one", "two"] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        sources.push(Source::File(path));
    }
    sources.push(Source::Bytes(bytes));
    for source in sources {
        let model = Model::load(&setup.context, source, Precision::Fp32).unwrap();
        sam_mm::predictor::encode(&model, &setup.image(1))
            .map(drop)
            .unwrap();
    }
    assert_eq!(setup.calls("encode"), 1);
}

#[test]
fn ids_of_owners_and_pixels_do_not_meet_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let size = (WIDTH, HEIGHT);
    let encode_all = || {
        let setup = Setup::with(options(Some(folder.path())));
        let images = [
            setup.image_of(1, size),
            setup.image_of(1, size).with_content_id(b"one"),
            setup.image_of(1, size).with_content_id(b"two"),
            setup.image_of(1, (HEIGHT, WIDTH)).with_content_id(b"one"),
        ];
        for image in &images {
            click(&setup, image);
        }
        setup.calls("encode")
    };
    assert_eq!([encode_all(), encode_all()], [4, 0]);
}

#[test]
fn a_damaged_file_costs_an_encoding_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let encoded = |damage: &dyn Fn(&Path)| {
        let setup = Setup::with(options(Some(folder.path())));
        let image = setup.image(7);
        files(&setup).iter().for_each(|path| damage(path));
        let found = click(&setup, &image);
        setup.context.embeddings().flush();
        assert_eq!(files(&setup).len(), 1);
        found
    };
    let good = encoded(&|_| {}).0;
    let length = HEADER + EXPORT as usize;
    for at in [0, 9, HEADER - 1, HEADER, HEADER + 30, length - 1] {
        let flip = |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            assert_eq!(bytes.len(), length);
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
        };
        assert_eq!(encoded(&flip), (good.clone(), From::Encoded), "byte {at}");
        assert_eq!(encoded(&|_| {}), (good.clone(), From::Disk), "byte {at}");
    }
    for len in [0, 1, HEADER, length - 1] {
        let cut = |path: &Path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..len]).unwrap();
        };
        assert_eq!(encoded(&cut), (good.clone(), From::Encoded), "{len} bytes");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told_once_and_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"no folder").unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let sink = Box::new(move |_: Level, line: &str| kept.lock().unwrap().push(line.to_owned()));
    let fake = FakeBackend::new();
    let options = Options {
        device: DeviceRequest::Named(DeviceName::Cpu),
        backend_path: Some(fake.path().to_owned()),
        ..options(Some(&file))
    };
    let context = Arc::new(Context::new(options, Some((Level::Warn, sink))).unwrap());
    let model = Arc::new(Model::load(&context, Source::Demo, Precision::Fp32).unwrap());
    let setup = Setup {
        fake,
        context,
        model,
    };
    for gray in 0..5 {
        assert_eq!(click(&setup, &setup.image(gray)).1, From::Encoded);
        setup.context.embeddings().flush();
    }
    assert_eq!(click(&setup, &setup.image(0)).1, From::Host);
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(file.to_str().unwrap()), "{lines:?}");
}

#[test]
fn what_the_disk_holds_is_bounded_and_clearing_it_leaves_what_memory_holds() {
    let folder = tempfile::tempdir().unwrap();
    let entry = HEADER as u64 + EXPORT;
    let mut with = options(Some(folder.path()));
    with.embedding_cache_entries = 2;
    with.embedding_disk.as_mut().unwrap().limits.bytes = 10 * entry;
    let setup = Setup::with(with);
    for gray in 0..40 {
        click(&setup, &setup.image(gray));
        setup.context.embeddings().flush();
        assert!(files(&setup).len() <= 10);
    }
    let kept = files(&setup).len() as u64;
    assert!((9..=10).contains(&kept), "{kept}");
    let last = setup.image(39);
    let embeddings = setup.context.embeddings();
    assert_eq!(embeddings.clear_disk(Some(last.key())), (kept - 1) * entry);
    assert_eq!(embeddings.clear_disk(None), entry);
    assert_eq!((files(&setup).len(), embeddings.len()), (0, 2));
    assert_eq!(click(&setup, &last).1, From::Host);
    assert!(embeddings.clear(Some(last.key())) > 0);
    assert_eq!(click(&setup, &last).1, From::Host);
    embeddings.clear(None);
    assert_eq!(click(&setup, &last).1, From::Encoded);
}

#[test]
fn half_precision_takes_fewer_bytes_and_is_used_where_it_is_asked_for_alone() {
    let folder = tempfile::tempdir().unwrap();
    let compressing = |compress, fake| {
        let with = Options {
            embedding_compress: compress,
            embedding_cache_entries: 1,
            embedding_host_bytes: 100 * EXPORT,
            ..options(Some(folder.path()))
        };
        let cuda = DeviceName::Cuda(0);
        Setup::on(
            cuda,
            fake,
            Options {
                embedding_cache_entries: 1,
                ..with
            },
        )
    };
    let setup = compressing(true, gpu());
    // Of gray 77 the brightness has more digits than half precision.
    let images = [77, 78].map(|gray| setup.image(gray));
    let first = images.each_ref().map(|image| click(&setup, image).0);
    setup.context.embeddings().flush();
    assert_eq!(
        setup.context.embeddings().held(Tier::Host).bytes,
        EXPORT_HALF
    );
    let (again, source) = click(&setup, &images[0]);
    assert_eq!(source, From::Host);
    assert_ne!(again, first[0], "it was rounded");
    for (again, first) in again.1.iter().zip(&first[0].1) {
        let (again, first) = (f32::from_bits(*again), f32::from_bits(*first));
        assert!(
            (again - first).abs() <= first.abs() / 1024.0,
            "{again} {first}"
        );
    }
    let folder_bytes: u64 = files(&setup)
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert_eq!(folder_bytes, 2 * (HEADER as u64 + EXPORT_HALF));
    drop((images, setup));
    // Whoever did not ask for it gets all digits.
    let exact = compressing(false, gpu());
    assert_eq!(
        click(&exact, &exact.image(77)),
        (first[0].clone(), From::Encoded)
    );
    drop(exact);
    // All digits serve whoever asked for less; a backend without half precision keeps all of them.
    let without = FakeBackend::variant(&["FAKE_CUDA_DEVICES=1", "FAKE_NO_HALF"]);
    let setup = compressing(true, without);
    assert_eq!(
        click(&setup, &setup.image(77)),
        (first[0].clone(), From::Disk)
    );
}

#[test]
fn an_embedding_that_gave_nonsense_is_kept_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::with(options(Some(folder.path())));
    let source = Source::Bytes(b"fake-model\nspoilt=1\n");
    let model = Model::load(&setup.context, source, Precision::Fp32).unwrap();
    let prompt = Prompt {
        points: &[[60.0, 40.0]],
        labels: &[1],
        ..Prompt::default()
    };
    assert!(predict(&model, &setup.image(1), &[prompt], true).is_err());
    setup.context.embeddings().flush();
    assert!(files(&setup).is_empty() && setup.context.embeddings().is_empty());
}

#[test]
fn what_is_in_half_precision_because_memory_was_short_is_not_met_again_in_a_later_session() {
    let folder = tempfile::tempdir().unwrap();
    let session = support::gpu_session::GpuSession::new(Options {
        cpu_fallback: false,
        ..options(Some(folder.path()))
    });
    let image = session.image(1);
    use support::gpu_session::{EMBEDDING, ENCODE, MIB, WEIGHTS};
    session.leave(WEIGHTS + EMBEDDING + ENCODE / 8 + MIB);
    let low = session.click(&image).unwrap();
    assert_eq!(low.encode_ran.unwrap().way.plan.precision, Precision::Bf16);
    session.context.embeddings().flush();
    let disk = session.context.embeddings().disk_folder().unwrap();
    assert!(!disk.exists(), "nothing was written");
}

const FOLDER: &str = "SAM_MM_TEST_FOLDER";

fn folder_of_child() -> PathBuf {
    env::var_os(FOLDER).expect("the parent says where").into()
}

#[test]
fn a_process_killed_while_it_writes_leaves_nothing_that_harms() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..6_u64 {
        let mut writing = child::start(
            "a_process_killed_while_it_writes_leaves_nothing_that_harms",
            |command| {
                command.env(FOLDER, folder.path());
            },
            || {
                let setup = Setup::with(options(Some(&folder_of_child())));
                for width in 80.. {
                    for gray in 0..=255 {
                        click(&setup, &setup.image_of(gray, (width, 50)));
                    }
                }
            },
        );
        let disk = folder.path().join("sam_mm_embeddings_v1");
        let written = || fs::read_dir(&disk).map_or(0, Iterator::count) as u64;
        while written() < 40 * (round + 1) {
            assert!(writing.try_wait().unwrap().is_none(), "it ended by itself");
            thread::sleep(Duration::from_millis(1));
        }
        writing.kill().unwrap();
        writing.wait().unwrap();
    }
    let setup = Setup::with(options(Some(folder.path())));
    let fresh = Setup::with(options(None));
    let mut from_disk = 0;
    for gray in 0..60 {
        let size = (80, 50);
        let (found, source) = click(&setup, &setup.image_of(gray, size));
        assert_eq!(found, click(&fresh, &fresh.image_of(gray, size)).0);
        from_disk += u32::from(source == From::Disk);
    }
    assert!(from_disk >= 30, "{from_disk}");
}

#[test]
fn two_processes_that_share_a_small_folder_give_each_other_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let small = |folder: &Path| {
        let mut with = options(Some(folder));
        with.embedding_cache_entries = 1;
        with.embedding_disk.as_mut().unwrap().limits.entries = 20;
        Setup::with(with)
    };
    let hammer = |setup: &Setup, seed: u32| {
        let fresh = Setup::with(options(None));
        let mut from_disk = 0;
        for turn in 0..600_u32 {
            let gray = ((turn * (2 * seed + 3)) % 32) as u8;
            let (found, source) = click(setup, &setup.image(gray));
            assert_eq!(found, click(&fresh, &fresh.image(gray)).0, "gray {gray}");
            from_disk += u32::from(source == From::Disk);
        }
        from_disk
    };
    let mut other = child::start(
        "two_processes_that_share_a_small_folder_give_each_other_nothing_wrong",
        |command| {
            command.env(FOLDER, folder.path());
        },
        || {
            hammer(&small(&folder_of_child()), 1);
        },
    );
    let from_disk = hammer(&small(folder.path()), 2);
    assert!(other.wait().unwrap().success());
    assert!(from_disk > 0);
}
