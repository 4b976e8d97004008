//! What a pickle can hold.

use super::globals::{ElementType, Global};
use super::machine::Machine;
use crate::error::PickleProblem;

/// A value on the stack. Small and copied; what has parts is an [`Object`] referred to by number.
#[derive(Clone, Copy, Debug)]
pub enum Value<'p> {
    /// `None`, truth values, floats, bytes, and whatever else no tensor depends on.
    Inert,
    Int(i64),
    Str(&'p str),
    Global(Global),
    Object(ObjectId),
}

/// Number of an object in its table.
#[derive(Clone, Copy, Debug)]
pub struct ObjectId(pub(super) u32);

/// A value that has parts.
#[derive(Debug)]
pub enum Object<'p> {
    Tuple(Vec<Value<'p>>),
    /// A list or a set.
    List(Vec<Value<'p>>),
    /// A dictionary of any class, as the pairs that were put in.
    Dict(Vec<(Value<'p>, Value<'p>)>),
    Storage(StorageObject<'p>),
    Tensor(TensorObject<'p>),
    /// Made by a call whose result no tensor depends on.
    Inert,
}

/// A reference to an entry of the archive.
#[derive(Clone, Copy, Debug)]
pub struct StorageObject<'p> {
    /// Name of the entry in `data/`.
    pub key: &'p str,
    pub element: ElementType,
    /// Number of elements, as the file claims; of bytes when it is untyped.
    pub len: i64,
}

/// A tensor, as the file claims; nothing is checked yet.
#[derive(Clone, Debug)]
pub struct TensorObject<'p> {
    pub storage: StorageObject<'p>,
    /// Type of its elements; in newer files not always that of the storage.
    pub element: ElementType,
    /// First element, counted from the start of the storage.
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

/// All objects of a pickle, and the one it stands for.
#[derive(Debug)]
pub struct Objects<'p> {
    table: Vec<Object<'p>>,
    root: Value<'p>,
}

impl<'p> Objects<'p> {
    /// Reads a pickle.
    pub fn read(pickle: &'p [u8]) -> Result<Self, PickleProblem> {
        let (table, root) = Machine::new(pickle).run()?;
        Ok(Self { table, root })
    }

    /// What the pickle stands for.
    pub fn root(&self) -> Value<'p> {
        self.root
    }

    /// The object that a value refers to.
    pub fn get(&self, value: Value<'p>) -> Option<&Object<'p>> {
        match value {
            Value::Object(ObjectId(id)) => self.table.get(id as usize),
            _ => None,
        }
    }
}
