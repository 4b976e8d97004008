use std::sync::Barrier;
use std::thread;

use super::*;
use crate::backend::Precision;
use crate::embeddings::disk::backend_key;

const PLENTY: Limits = Limits {
    entries: 1000,
    bytes: 1 << 20,
};
const PAYLOAD: usize = 200;
const FILE: u64 = (HEADER + PAYLOAD) as u64;

fn id(image: u32) -> EntryId {
    EntryId {
        fingerprint: [1; 16],
        backend: backend_key("fake", "1"),
        preprocessing: 1,
        precision: Precision::Fp32,
        half: false,
        image: ImageKey::of_content_id(&image.to_le_bytes(), 1, 1),
    }
}

fn payload(image: u32) -> Vec<u8> {
    (0..PAYLOAD as u32).map(|i| (image * 7 + i) as u8).collect()
}

struct Setup {
    parent: tempfile::TempDir,
    folder: Folder,
}

impl Setup {
    fn new(limits: Limits) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path(), limits);
        Self { parent, folder }
    }

    fn store(&self, image: u32) {
        self.folder.store(&id(image), &payload(image)).unwrap();
    }

    fn load(&self, image: u32) -> Option<Vec<u8>> {
        self.folder.load(&id(image), 1 << 16)
    }

    fn path(&self, image: u32) -> PathBuf {
        self.folder.path().join(id(image).file_name())
    }

    /// The folder as another process has it.
    fn again(&self, limits: Limits) -> Folder {
        Folder::new(self.parent.path(), limits)
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn what_was_stored_is_found_bit_for_bit_also_by_another_process() {
    let setup = Setup::new(PLENTY);
    assert_eq!(setup.load(1), None);
    (1..=9).for_each(|image| setup.store(image));
    let again = setup.again(PLENTY);
    for image in 1..=9 {
        assert_eq!(setup.load(image), Some(payload(image)));
        assert_eq!(again.load(&id(image), 1 << 16), Some(payload(image)));
    }
    assert_eq!((again.usage().entries, again.usage().bytes), (9, 9 * FILE));
    assert_eq!(setup.folder.usage().bytes, 9 * FILE);
}

#[test]
fn another_checkpoint_backend_preprocessing_precision_form_or_image_is_another_entry() {
    let setup = Setup::new(PLENTY);
    setup.store(1);
    let others = [
        EntryId {
            fingerprint: [2; 16],
            ..id(1)
        },
        EntryId {
            backend: backend_key("fake", "2"),
            ..id(1)
        },
        EntryId {
            preprocessing: 2,
            ..id(1)
        },
        EntryId {
            precision: Precision::Bf16,
            ..id(1)
        },
        EntryId {
            half: true,
            ..id(1)
        },
        id(2),
    ];
    for other in others {
        assert_eq!(setup.folder.load(&other, 1 << 16), None, "{other:?}");
        // Not even in the file of that name.
        fs::copy(setup.path(1), setup.folder.path().join(other.file_name())).unwrap();
        assert_eq!(setup.folder.load(&other, 1 << 16), None, "{other:?}");
    }
    assert_eq!(setup.load(1), Some(payload(1)));
}

#[test]
fn a_file_with_any_bit_changed_or_of_any_other_length_is_no_entry() {
    let setup = Setup::new(PLENTY);
    setup.store(1);
    let good = fs::read(setup.path(1)).unwrap();
    let mut damaged = Vec::new();
    for at in (0..HEADER).chain([HEADER, HEADER + 77, good.len() - 1]) {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            damaged.push((format!("bit {bit} of byte {at}"), bytes));
        }
    }
    for len in 0..good.len() {
        damaged.push((format!("{len} bytes of it"), good[..len].to_vec()));
    }
    damaged.push(("a byte more".to_owned(), [&good[..], &[0]].concat()));
    damaged.push(("zeros".to_owned(), vec![0; good.len()]));
    for length in [0, 1, 1 << 31, 1 << 62, u64::MAX] {
        let mut bytes = good.clone();
        bytes[80..88].copy_from_slice(&length.to_le_bytes());
        damaged.push((format!("a payload of {length} bytes"), bytes));
    }
    for (what, bytes) in damaged {
        fs::write(setup.path(1), &bytes).unwrap();
        assert_eq!(setup.load(1), None, "{what}");
        assert_eq!(setup.load(1), None, "{what}, again");
        assert!(!setup.folder.touch(&id(1)), "{what}");
        let was_ours = entry::is_ours(&bytes);
        assert_eq!(setup.path(1).exists(), !was_ours, "{what}");
        setup.store(1);
        assert_eq!(setup.load(1), Some(payload(1)), "{what}");
    }
}

#[test]
fn a_payload_larger_than_an_embedding_can_be_is_not_read() {
    let setup = Setup::new(PLENTY);
    setup.store(1);
    assert!(setup.folder.load(&id(1), PAYLOAD as u64 - 1).is_none());
}

#[test]
fn the_least_recently_used_leave_when_either_limit_is_crossed_and_that_outlives_the_process() {
    for limits in [
        Limits {
            entries: 3,
            bytes: 1 << 20,
        },
        Limits {
            entries: 1000,
            bytes: 4 * FILE - 1,
        },
    ] {
        let setup = Setup::new(limits);
        for image in 1..=3 {
            setup.store(image);
            thread::sleep(Duration::from_millis(2));
        }
        assert!(setup.load(1).is_some());
        thread::sleep(Duration::from_millis(2));
        let again = setup.again(limits);
        again.store(&id(4), &payload(4)).unwrap();
        let left = [1, 2, 3, 4].map(|image| setup.load(image).is_some());
        assert_eq!(left, [true, false, true, true]);
        for image in 10..50 {
            setup.store(image);
            assert!(setup.names().len() <= 3);
        }
    }
}

#[test]
fn one_larger_than_the_folder_may_be_is_not_kept_and_nothing_leaves_for_it() {
    let setup = Setup::new(Limits {
        entries: 9,
        bytes: 2 * FILE,
    });
    setup.store(1);
    setup
        .folder
        .store(&id(2), &vec![0; 2 * FILE as usize])
        .unwrap();
    assert_eq!(setup.names(), [id(1).file_name()]);
}

#[test]
fn what_two_processes_write_is_bounded_together() {
    let limits = Limits {
        entries: 1000,
        bytes: 32 * FILE,
    };
    let setup = Setup::new(limits);
    let other = setup.again(limits);
    for image in 0..200 {
        setup.store(2 * image);
        other.store(&id(2 * image + 1), &payload(1)).unwrap();
        // Each may have written a sixteenth since it looked, and one more.
        assert!(setup.names().len() <= 32 + 2 * 3, "{}", setup.names().len());
    }
}

#[test]
fn a_file_that_vanishes_is_a_miss_and_no_error() {
    let setup = Setup::new(Limits {
        entries: 3,
        bytes: 1 << 20,
    });
    (1..=3).for_each(|image| setup.store(image));
    fs::remove_file(setup.path(2)).unwrap();
    assert_eq!(setup.load(2), None);
    assert!(!setup.folder.touch(&id(2)) && setup.folder.touch(&id(1)));
    fs::remove_dir_all(setup.folder.path()).unwrap();
    assert_eq!(setup.load(1), None);
    setup.store(4);
    assert_eq!(setup.load(4), Some(payload(4)));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_an_entry_is_a_miss_that_waits_for_nobody() {
    let setup = Setup::new(PLENTY);
    setup.store(1);
    setup.store(2);
    fs::remove_file(setup.path(1)).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(setup.path(1))
        .status();
    assert!(made.unwrap().success());
    assert_eq!((setup.load(1), setup.folder.touch(&id(1))), (None, false));
    assert!(setup.load(2).is_some());
    setup.folder.clear(Some(id(2).image));
    assert!(setup.path(1).exists(), "it is not ours");
}

#[test]
fn files_that_are_not_ours_are_left_alone_whatever_happens() {
    let setup = Setup::new(Limits {
        entries: 2,
        bytes: 1 << 20,
    });
    setup.store(1);
    let ours = id(1).file_name();
    let digest = ours.strip_suffix(entry::SUFFIX).unwrap();
    let foreign = [
        "holiday.jpg".to_owned(),
        digest.to_owned(),
        format!("{digest}.jpg"),
        format!("copy of {ours}"),
        format!("{}{}", &digest[1..], entry::SUFFIX),
        format!("{digest}.unfinished"),
    ];
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    let in_folders =
        |name: &String| [setup.parent.path(), setup.folder.path()].map(|folder| folder.join(name));
    for path in foreign.iter().flat_map(in_folders) {
        fs::write(&path, b"mine").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(old).unwrap();
    }
    let subfolder = setup.folder.path().join(id(7).file_name());
    fs::create_dir(&subfolder).unwrap();
    (1..20)
        .filter(|&image| image != 7)
        .for_each(|image| setup.store(image));
    assert_eq!(setup.folder.usage().entries, 2);
    assert!(setup.folder.store(&id(7), &payload(7)).is_err());
    assert_eq!(setup.load(7), None);
    assert!(setup.folder.clear(None) > 0);
    assert!(subfolder.is_dir());
    for path in foreign.iter().flat_map(in_folders) {
        assert_eq!(fs::read(&path).unwrap(), b"mine", "{}", path.display());
    }
}

#[test]
fn what_nobody_finished_goes_once_nobody_can_be_at_it_any_more() {
    let setup = Setup::new(PLENTY);
    setup.store(1);
    let ours = id(2).file_name();
    let digest = ours.strip_suffix(entry::SUFFIX).unwrap();
    let unfinished = |number: u32| {
        let name = format!("{digest}.{number:x}{}", entry::UNFINISHED);
        let path = setup.folder.path().join(name);
        fs::write(&path, b"half of it").unwrap();
        path
    };
    let (old, young) = (unfinished(1), unfinished(2));
    let file = File::options().write(true).open(&old).unwrap();
    file.set_modified(SystemTime::now() - 2 * ABANDONED)
        .unwrap();
    let again = setup.again(PLENTY);
    assert_eq!(again.usage().entries, 1);
    assert!(!old.exists() && young.exists());
}

#[test]
fn clearing_spares_the_image_that_is_named() {
    let setup = Setup::new(PLENTY);
    (1..=5).for_each(|image| setup.store(image));
    assert_eq!(setup.folder.clear(Some(id(3).image)), 4 * FILE);
    assert_eq!(setup.names(), [id(3).file_name()]);
    assert_eq!(setup.folder.clear(None), FILE);
    assert_eq!(setup.folder.usage().entries, 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_and_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, b"no folder").unwrap();
    let folder = Folder::new(&file, PLENTY);
    assert!(folder.store(&id(1), &payload(1)).is_err());
    assert_eq!(folder.load(&id(1), 1 << 16), None);
    assert_eq!(folder.usage().entries, 0);
    assert_eq!(fs::read(&file).unwrap(), b"no folder");
}

#[test]
fn many_who_read_write_and_evict_at_once_never_see_anything_but_whole_entries() {
    let limits = Limits {
        entries: 1000,
        bytes: 8 * FILE,
    };
    let setup = Setup::new(limits);
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for worker in 0..4_u32 {
            let (folder, start) = (setup.again(limits), &start);
            scope.spawn(move || {
                start.wait();
                for turn in 0..300 {
                    let image = (turn * (worker + 3)) % 24;
                    match folder.load(&id(image), 1 << 16) {
                        Some(found) => assert_eq!(found, payload(image)),
                        None => folder.store(&id(image), &payload(image)).unwrap(),
                    }
                }
            });
        }
    });
    assert!(setup.names().iter().all(|name| entry::is_entry_name(name)));
}
