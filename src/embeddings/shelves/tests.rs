use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::embeddings::disk::{Contents, DiskModel, DiskOptions, backend_key};
use crate::image::ImageKey;

const BYTES: u64 = 100;
const PACKED: u64 = 40;

/// An embedding whose content is one number.
struct Fake {
    tier: Tier,
    content: u8,
    /// Counts those that are alive.
    alive: Arc<AtomicU64>,
}

impl Live for Fake {
    fn bytes(&self) -> u64 {
        BYTES
    }

    fn tier(&self) -> Tier {
        self.tier
    }

    fn precision(&self) -> Precision {
        Precision::Fp32
    }

    fn pack(&self, _half: bool) -> Option<Packed> {
        Some(Packed {
            bytes: vec![self.content; PACKED as usize],
            precision: Precision::Fp32,
            tried_better: false,
            half: false,
        })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Setup {
    shelves: Arc<Shelves<Fake>>,
    alive: Arc<AtomicU64>,
    host_has_room: Arc<AtomicBool>,
    tier: Tier,
    writer: Option<thread::JoinHandle<()>>,
    folder: Option<tempfile::TempDir>,
}

fn key(image: u8) -> Key {
    Key {
        image: ImageKey::of_content_id(&[image], 1, 1),
        model: 1,
    }
}

fn entries(entries: usize) -> Limits {
    Limits {
        entries,
        bytes: u64::MAX,
    }
}

impl Setup {
    fn new(device: usize, host: usize, with_disk: bool) -> Self {
        let folder = with_disk.then(|| tempfile::tempdir().unwrap());
        let disk = folder.as_ref().map(|folder| {
            let options = DiskOptions {
                folder: folder.path().to_owned(),
                limits: DiskOptions::LIMITS,
            };
            let disk = Disk::new(&options, false, Box::new(|line| panic!("{line}")));
            let model = DiskModel {
                contents: Contents::of_bytes(b"weights"),
                backend: backend_key("fake", "1"),
                precision: Precision::Fp32,
                embedding_bytes: BYTES,
            };
            disk.add_model(1, model);
            Arc::new(disk)
        });
        let host_has_room = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&host_has_room);
        let gate: Gate = Box::new(move || asked.load(Ordering::Relaxed));
        let shelves = Shelves::new(entries(device), entries(host), false, gate, disk);
        let shelves = Arc::new(shelves);
        let writer = with_disk.then(|| {
            let shelves = Arc::clone(&shelves);
            thread::spawn(move || shelves.write())
        });
        Self {
            shelves,
            alive: Arc::default(),
            host_has_room,
            tier: Tier::Device,
            writer,
            folder,
        }
    }

    fn make(&self, content: u8) -> Arc<Fake> {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Arc::new(Fake {
            tier: self.tier,
            content,
            alive: Arc::clone(&self.alive),
        })
    }

    fn insert(&self, image: u8) {
        self.shelves.insert(key(image), self.make(image), true);
    }

    /// The content of an embedding, which is brought up as the pipeline does it.
    fn find(&self, image: u8) -> Option<u8> {
        if let Some(live) = self.shelves.live(key(image)) {
            return Some(live.content);
        }
        let packed = self.shelves.packed(key(image));
        let packed = match packed {
            Some(packed) => packed,
            None => Arc::new(self.shelves.disk()?.load(key(image))?),
        };
        let content = packed.bytes[0];
        assert_eq!(packed.bytes, [content; PACKED as usize]);
        self.shelves.insert(key(image), self.make(content), false);
        Some(content)
    }

    fn held(&self) -> [u64; 2] {
        [Tier::Device, Tier::Host].map(|tier| self.shelves.held(tier).entries)
    }

    fn flush(&self) {
        self.shelves.flush(Duration::from_secs(60), |_| true);
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.shelves.close();
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap();
        }
        drop(self.folder.take());
    }
}

#[test]
fn what_leaves_the_device_is_in_host_memory_and_comes_back_the_same() {
    let setup = Setup::new(2, 3, false);
    (1..=5).for_each(|image| setup.insert(image));
    assert_eq!(setup.held(), [2, 3]);
    assert_eq!(setup.shelves.held(Tier::Host).bytes, 3 * PACKED);
    for image in 1..=5 {
        assert_eq!(setup.find(image), Some(image));
        assert!(setup.alive.load(Ordering::Relaxed) <= 2);
    }
    setup.insert(6);
    assert_eq!(setup.find(1), None, "without a disk the oldest goes");
}

#[test]
fn a_host_without_room_is_passed_over() {
    let setup = Setup::new(1, 9, true);
    setup.host_has_room.store(false, Ordering::Relaxed);
    (1..=4).for_each(|image| setup.insert(image));
    setup.flush();
    assert_eq!(setup.held(), [1, 0]);
    assert!((1..=4).all(|image| setup.find(image) == Some(image)));
    let without_disk = Setup::new(1, 9, false);
    without_disk.host_has_room.store(false, Ordering::Relaxed);
    (1..=2).for_each(|image| without_disk.insert(image));
    assert_eq!(without_disk.held(), [1, 0]);
}

#[test]
fn where_there_is_no_device_host_memory_leads_to_the_disk() {
    let mut setup = Setup::new(9, 2, true);
    setup.tier = Tier::Host;
    (1..=6).for_each(|image| setup.insert(image));
    setup.flush();
    assert_eq!(setup.held(), [0, 2]);
    assert!((1..=6).all(|image| setup.find(image) == Some(image)));
}

#[test]
fn what_is_given_back_on_the_device_is_free_and_kept_below() {
    let setup = Setup::new(9, 9, false);
    (1..=4).for_each(|image| setup.insert(image));
    assert_eq!(
        setup.shelves.release(Tier::Device, BYTES + 1, false),
        2 * BYTES
    );
    assert_eq!(
        (setup.held(), setup.alive.load(Ordering::Relaxed)),
        ([2, 2], 2)
    );
    assert_eq!(setup.shelves.release(Tier::Host, 1, false), PACKED);
    assert_eq!(setup.find(1), None);
    assert_eq!(setup.find(2), Some(2));
}

#[test]
fn with_the_host_short_as_well_nothing_is_moved_there() {
    let setup = Setup::new(9, 9, true);
    (1..=4).for_each(|image| setup.insert(image));
    let all = setup.shelves.release(Tier::Device, u64::MAX, true);
    assert_eq!((all, setup.held()), (4 * BYTES, [0, 0]));
    assert_eq!(setup.shelves.held(Tier::Host).bytes, 0);
    assert!((1..=4).all(|image| setup.find(image) == Some(image)));
}

#[test]
fn what_a_prediction_holds_is_neither_moved_nor_given_back() {
    let setup = Setup::new(9, 9, false);
    (1..=2).for_each(|image| setup.insert(image));
    let used = setup.shelves.live(key(1)).unwrap();
    assert_eq!(setup.shelves.idle_bytes(Tier::Device), BYTES);
    assert_eq!(setup.shelves.release(Tier::Device, u64::MAX, false), BYTES);
    assert!(Arc::ptr_eq(&used, &setup.shelves.live(key(1)).unwrap()));
    drop(used);
    assert_eq!(setup.shelves.release(Tier::Device, u64::MAX, false), BYTES);
}

#[test]
fn one_in_use_that_has_to_go_is_written_once_it_is_free_and_found_all_the_while() {
    let setup = Setup::new(1, 0, true);
    let used = setup.make(1);
    setup.shelves.insert(key(1), Arc::clone(&used), true);
    setup.insert(2);
    assert!(Arc::ptr_eq(&used, &setup.shelves.live(key(1)).unwrap()));
    drop(used);
    setup.flush();
    assert!(setup.shelves.live(key(1)).is_none());
    assert_eq!(setup.find(1), Some(1));
}

/// As a later session finds it: memory is gone.
#[test]
fn what_moved_to_the_host_before_it_was_written_is_written_from_there() {
    for _ in 0..20 {
        let setup = Setup::new(1, 9, true);
        (1..=8).for_each(|image| setup.insert(image));
        setup.flush();
        let disk = setup.shelves.disk().unwrap();
        assert!((1..=8).all(|image| disk.load(key(image)).is_some()));
    }
}

#[test]
fn what_is_dropped_while_it_waits_for_the_disk_is_dropped() {
    let setup = Setup::new(9, 9, true);
    let used = setup.make(1);
    setup.shelves.insert(key(1), Arc::clone(&used), true);
    setup.insert(2);
    let both = [Tier::Device, Tier::Host];
    let freed = setup.shelves.remove_where(&both, |known| known == key(1));
    assert_eq!(freed, 0, "somebody still holds it");
    drop(used);
    setup.flush();
    assert_eq!((setup.find(1), setup.find(2)), (None, Some(2)));
}

#[test]
fn whoever_looks_for_what_is_moving_finds_it() {
    let setup = Setup::new(2, 1000, true);
    (0..20).for_each(|image| setup.insert(image));
    // Bringing up is for whoever has the model's turn; others move down at any time.
    let turn_with_the_model = Mutex::new(());
    thread::scope(|scope| {
        for worker in 0..4_u8 {
            let (setup, turn_with_the_model) = (&setup, &turn_with_the_model);
            scope.spawn(move || {
                for turn in 0..200_u16 {
                    let image = ((turn * 7 + u16::from(worker) * 5) % 20) as u8;
                    let mine = turn_with_the_model.lock().unwrap();
                    assert_eq!(setup.find(image), Some(image));
                    drop(mine);
                    if turn % 50 == 49 {
                        setup.shelves.release(Tier::Device, u64::MAX, worker == 0);
                    }
                }
            });
        }
    });
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8),
    Find(u8),
    Release(Tier, u64),
    Spare,
    RemoveEven,
    HostHasRoom(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let tier = prop_oneof![Just(Tier::Device), Just(Tier::Host)];
    let step = prop_oneof![
        4 => (0..12_u8).prop_map(Step::Insert),
        6 => (0..12_u8).prop_map(Step::Find),
        2 => (tier, 0..3 * BYTES).prop_map(|(tier, want)| Step::Release(tier, want)),
        1 => Just(Step::Spare),
        1 => Just(Step::RemoveEven),
        1 => any::<bool>().prop_map(Step::HostHasRoom),
    ];
    proptest::collection::vec(step, 0..60)
}

/// The rule in its plainest form: two lists, the most recently used first.
#[derive(Default)]
struct Model {
    device: Vec<u8>,
    host: Vec<u8>,
    limits: [usize; 2],
    host_is_full: bool,
}

impl Model {
    fn insert(&mut self, image: u8) {
        self.host.retain(|&known| known != image);
        self.device.retain(|&known| known != image);
        let leaving = match self.limits[0] {
            0 => return,
            limit => self.device.split_off(self.device.len().min(limit - 1)),
        };
        self.device.insert(0, image);
        self.down(leaving, false);
    }

    fn down(&mut self, mut leaving: Vec<u8>, spare: bool) {
        while let Some(image) = leaving.pop() {
            if !(spare || self.host_is_full || self.limits[1] == 0) {
                self.host.insert(0, image);
                self.host.truncate(self.limits[1]);
            }
        }
    }

    fn find(&mut self, image: u8) -> bool {
        let known = self.device.contains(&image) || self.host.contains(&image);
        if known {
            self.insert(image);
        }
        known
    }

    fn release(&mut self, tier: Tier, want: u64, spare: bool) -> u64 {
        let (list, bytes) = match tier {
            Tier::Device => (&mut self.device, BYTES),
            Tier::Host => (&mut self.host, PACKED),
        };
        let count = list
            .len()
            .min(usize::try_from(want.div_ceil(bytes)).unwrap());
        let leaving = list.split_off(list.len() - count);
        if tier == Tier::Device {
            self.down(leaving, spare);
        }
        count as u64 * bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn without_a_disk_every_embedding_is_where_the_rule_says(
        device in 1..4_usize, host in 0..4_usize, steps in steps(),
    ) {
        let setup = Setup::new(device, host, false);
        let mut model = Model { limits: [device, host], ..Model::default() };
        for step in steps {
            match step {
                Step::Insert(image) => {
                    setup.insert(image);
                    model.insert(image);
                }
                Step::Find(image) => {
                    prop_assert_eq!(setup.find(image), model.find(image).then_some(image));
                }
                Step::Release(tier, want) => {
                    prop_assert_eq!(setup.shelves.release(tier, want, false), model.release(tier, want, false));
                }
                Step::Spare => {
                    let freed = setup.shelves.release(Tier::Device, u64::MAX, true);
                    prop_assert_eq!(freed, model.release(Tier::Device, u64::MAX, true));
                }
                Step::RemoveEven => {
                    let even: HashSet<Key> = (0..12).step_by(2).map(key).collect();
                    setup.shelves.remove_where(&[Tier::Device, Tier::Host], |key| even.contains(&key));
                    model.device.retain(|image| image % 2 == 1);
                    model.host.retain(|image| image % 2 == 1);
                }
                Step::HostHasRoom(has) => {
                    setup.host_has_room.store(has, Ordering::Relaxed);
                    model.host_is_full = !has;
                }
            }
            prop_assert_eq!(setup.held(), [model.device.len() as u64, model.host.len() as u64]);
            prop_assert_eq!(setup.shelves.held(Tier::Device).bytes, model.device.len() as u64 * BYTES);
            prop_assert_eq!(setup.shelves.held(Tier::Host).bytes, model.host.len() as u64 * PACKED);
            prop_assert_eq!(setup.alive.load(Ordering::Relaxed), model.device.len() as u64);
        }
    }

    #[test]
    fn with_a_disk_nothing_that_was_encoded_is_encoded_again_whatever_happens(
        device in 0..4_usize, host in 0..4_usize, steps in steps(),
    ) {
        let setup = Setup::new(device, host, true);
        let mut encoded = HashSet::new();
        for step in steps {
            match step {
                Step::Insert(image) => {
                    setup.insert(image);
                    encoded.insert(image);
                }
                Step::Find(image) => {
                    let known = encoded.contains(&image).then_some(image);
                    prop_assert_eq!(setup.find(image), known);
                }
                Step::Release(tier, want) => {
                    setup.shelves.release(tier, want, false);
                }
                Step::Spare => {
                    setup.shelves.release(Tier::Device, u64::MAX, true);
                }
                Step::RemoveEven => setup.flush(),
                Step::HostHasRoom(has) => setup.host_has_room.store(has, Ordering::Relaxed),
            }
        }
        setup.flush();
        let [on_device, in_host] = setup.held();
        prop_assert!(on_device <= device as u64 && in_host <= host as u64);
        for image in encoded {
            prop_assert_eq!(setup.find(image), Some(image));
        }
    }
}
