//! Handles: what a caller holds is a key, never an address.
//!
//! A key names a slot of a table, the generation of that slot and the kind of object. NULL, made-up, freed and
//! wrong-kind keys are therefore refused instead of followed. Keys are odd, so no aligned address is ever one.

use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::Error;

const KIND_BITS: u32 = 7;
const INDEX_SHIFT: u32 = 1 + KIND_BITS;
const INDEX_BITS: u32 = if usize::BITS >= 64 { 24 } else { 12 };
const GENERATION_SHIFT: u32 = INDEX_SHIFT + INDEX_BITS;
const GENERATION_BITS: u32 = usize::BITS - GENERATION_SHIFT;
const MAX_SLOTS: usize = 1 << INDEX_BITS;
/// Tags of tables are 1 to this.
const LAST_TAG: usize = 8;
const LAST_GENERATION: usize = (1 << GENERATION_BITS) - 1;

struct Slot<T> {
    /// Generation of the value in the slot, or of the next one when it is empty.
    generation: usize,
    value: Option<Arc<T>>,
}

struct Slots<T> {
    all: Vec<Slot<T>>,
    empty: Vec<usize>,
}

/// All live objects of one kind in this process. `H` is the opaque C type that its handles are pointers to.
pub struct Table<H, T> {
    tag: usize,
    kind: &'static str,
    slots: RwLock<Slots<T>>,
    handle: PhantomData<fn() -> H>,
}

struct Key {
    index: usize,
    generation: usize,
}

impl<H, T> Table<H, T> {
    /// An empty table. `tag` tells its keys from those of other tables; `kind` names them in messages.
    pub const fn new(tag: usize, kind: &'static str) -> Self {
        assert!(tag > 0 && tag <= LAST_TAG && LAST_TAG < 1 << KIND_BITS);
        Self {
            tag,
            kind,
            slots: RwLock::new(Slots {
                all: Vec::new(),
                empty: Vec::new(),
            }),
            handle: PhantomData,
        }
    }

    /// Puts an object into the table and gives its handle.
    pub fn insert(&self, value: Arc<T>) -> Result<*mut H, Error> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let index = match slots.empty.pop() {
            Some(index) => index,
            None if slots.all.len() < MAX_SLOTS => {
                slots.all.push(Slot {
                    generation: 1,
                    value: None,
                });
                slots.all.len() - 1
            }
            None => {
                let reason = format!(
                    "is one too many: {MAX_SLOTS} are alive already; free those no longer needed"
                );
                return Err(Error::invalid_argument(self.kind, reason));
            }
        };
        let slot = &mut slots.all[index];
        slot.value = Some(value);
        let key = slot.generation << GENERATION_SHIFT | index << INDEX_SHIFT | self.tag << 1 | 1;
        Ok(std::ptr::without_provenance_mut(key))
    }

    /// The object of a live handle.
    pub fn get(&self, handle: *const H) -> Result<Arc<T>, Error> {
        let key = self.key(handle)?;
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        match slots.all.get(key.index) {
            Some(Slot {
                generation,
                value: Some(value),
            }) if *generation == key.generation => Ok(Arc::clone(value)),
            _ => Err(self.refused(handle, "it was freed before, or never made by this library")),
        }
    }

    /// Takes the object of a live handle out of the table; the handle is stale from then on.
    pub fn remove(&self, handle: *const H) -> Result<Arc<T>, Error> {
        let key = self.key(handle)?;
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let taken = match slots.all.get_mut(key.index) {
            Some(slot) if slot.generation == key.generation => slot.value.take(),
            _ => None,
        };
        let value = taken.ok_or_else(|| {
            self.refused(handle, "it was freed before, or never made by this library")
        })?;
        // A slot whose generations are used up is retired: a key must never come back to life.
        if key.generation < LAST_GENERATION {
            slots.all[key.index].generation += 1;
            slots.empty.push(key.index);
        }
        Ok(value)
    }

    fn key(&self, handle: *const H) -> Result<Key, Error> {
        let bits = handle.addr();
        if bits == 0 {
            return Err(self.refused(handle, "it is NULL"));
        }
        let (tag, generation) = (bits >> 1 & ((1 << KIND_BITS) - 1), bits >> GENERATION_SHIFT);
        if bits & 1 == 0 || !(1..=LAST_TAG).contains(&tag) || generation == 0 {
            return Err(self.refused(handle, "it was never made by this library"));
        }
        if tag != self.tag {
            return Err(self.refused(handle, "it is a handle of another kind"));
        }
        Ok(Key {
            index: bits >> INDEX_SHIFT & (MAX_SLOTS - 1),
            generation,
        })
    }

    fn refused(&self, handle: *const H, why: &'static str) -> Error {
        Error::InvalidHandle {
            kind: self.kind,
            handle: handle.addr(),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Opaque {}

    fn table() -> Table<Opaque, u32> {
        Table::new(3, "test")
    }

    #[test]
    fn a_live_handle_gives_its_object() {
        let table = table();
        let (a, b) = (
            table.insert(Arc::new(1)).unwrap(),
            table.insert(Arc::new(2)).unwrap(),
        );
        assert_eq!((*table.get(a).unwrap(), *table.get(b).unwrap()), (1, 2));
    }

    #[test]
    fn a_stale_handle_is_refused_even_when_its_slot_is_used_again() {
        let table = table();
        let old = table.insert(Arc::new(1)).unwrap();
        table.remove(old).unwrap();
        let new = table.insert(Arc::new(2)).unwrap();
        assert_ne!(old, new);
        assert!(table.get(old).is_err());
        assert!(table.remove(old).is_err(), "freeing twice");
        assert_eq!(*table.get(new).unwrap(), 2);
    }

    #[test]
    fn null_addresses_and_handles_of_another_kind_are_refused() {
        let table = table();
        let other: Table<Opaque, u32> = Table::new(4, "other");
        let foreign = other.insert(Arc::new(9)).unwrap();
        table.insert(Arc::new(1)).unwrap();
        let local = 7_u64;
        for handle in [
            std::ptr::null(),
            foreign.cast_const(),
            (&raw const local).cast(),
            std::ptr::dangling(),
        ] {
            assert!(
                matches!(table.get(handle), Err(Error::InvalidHandle { .. })),
                "{handle:?}"
            );
        }
    }

    #[test]
    fn a_made_up_number_is_not_told_to_be_a_handle_of_another_kind() {
        let table = table();
        let other: Table<Opaque, u32> = Table::new(4, "other");
        let foreign = other.insert(Arc::new(9)).unwrap();
        let said = |handle| table.get(handle).unwrap_err().to_string();
        assert!(said(foreign).contains("another kind"));
        // An odd number, one whose kind there is but which is of no generation, and one of no kind.
        for made_up in [0x1234_5677_usize, 0x109, usize::MAX] {
            let words = said(std::ptr::without_provenance_mut(made_up));
            assert!(words.contains("never made"), "{words}");
        }
    }

    #[test]
    fn every_handle_is_odd_so_that_no_aligned_address_is_one() {
        let table = table();
        for i in 0..1000 {
            assert_eq!(table.insert(Arc::new(i)).unwrap().addr() & 1, 1);
        }
    }
}
