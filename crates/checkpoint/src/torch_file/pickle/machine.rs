//! The stack machine. One method per kind of instruction; what a call makes is in `rebuild`.

use std::collections::HashMap;

use super::globals::Global;
use super::reader::Reader;
use super::value::{Object, ObjectId, Value};
use crate::error::{PickleProblem, shown};

/// Instructions that are run. ViT-H with the state of its optimiser takes about 100 000. As no instruction makes more
/// than one value, one object and one memo entry, this bounds the memory as well (to some 200 MB).
const MAX_INSTRUCTIONS: usize = 2_000_000;

/// Instructions by their names in Python's `pickletools`.
mod op {
    pub const MARK: u8 = b'(';
    pub const STOP: u8 = b'.';
    pub const POP: u8 = b'0';
    pub const POP_MARK: u8 = b'1';
    pub const DUP: u8 = b'2';
    pub const BININT: u8 = b'J';
    pub const BININT1: u8 = b'K';
    pub const BININT2: u8 = b'M';
    pub const NONE: u8 = b'N';
    pub const BINPERSID: u8 = b'Q';
    pub const REDUCE: u8 = b'R';
    pub const BINSTRING: u8 = b'T';
    pub const SHORT_BINSTRING: u8 = b'U';
    pub const BINUNICODE: u8 = b'X';
    pub const APPEND: u8 = b'a';
    pub const BUILD: u8 = b'b';
    pub const GLOBAL: u8 = b'c';
    pub const DICT: u8 = b'd';
    pub const EMPTY_DICT: u8 = b'}';
    pub const APPENDS: u8 = b'e';
    pub const BINGET: u8 = b'h';
    pub const LONG_BINGET: u8 = b'j';
    pub const LIST: u8 = b'l';
    pub const EMPTY_LIST: u8 = b']';
    pub const BINPUT: u8 = b'q';
    pub const LONG_BINPUT: u8 = b'r';
    pub const SETITEM: u8 = b's';
    pub const TUPLE: u8 = b't';
    pub const EMPTY_TUPLE: u8 = b')';
    pub const SETITEMS: u8 = b'u';
    pub const BINFLOAT: u8 = b'G';
    pub const BINBYTES: u8 = b'B';
    pub const SHORT_BINBYTES: u8 = b'C';
    pub const PROTO: u8 = 0x80;
    pub const NEWOBJ: u8 = 0x81;
    pub const TUPLE1: u8 = 0x85;
    pub const TUPLE2: u8 = 0x86;
    pub const TUPLE3: u8 = 0x87;
    pub const NEWTRUE: u8 = 0x88;
    pub const NEWFALSE: u8 = 0x89;
    pub const LONG1: u8 = 0x8a;
    pub const LONG4: u8 = 0x8b;
    pub const SHORT_BINUNICODE: u8 = 0x8c;
    pub const BINUNICODE8: u8 = 0x8d;
    pub const BINBYTES8: u8 = 0x8e;
    pub const EMPTY_SET: u8 = 0x8f;
    pub const ADDITEMS: u8 = 0x90;
    pub const FROZENSET: u8 = 0x91;
    pub const STACK_GLOBAL: u8 = 0x93;
    pub const MEMOIZE: u8 = 0x94;
    pub const FRAME: u8 = 0x95;
    pub const BYTEARRAY8: u8 = 0x96;
}

/// Protocols that `torch.save` can be told to use.
const PROTOCOLS: std::ops::RangeInclusive<u8> = 2..=5;

pub(super) struct Machine<'p> {
    reader: Reader<'p>,
    stack: Vec<Value<'p>>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'p>>,
    pub(super) table: Vec<Object<'p>>,
}

impl<'p> Machine<'p> {
    pub fn new(pickle: &'p [u8]) -> Self {
        Self {
            reader: Reader::new(pickle),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            table: Vec::new(),
        }
    }

    /// Runs to the end and gives all objects and the final value.
    pub fn run(mut self) -> Result<(Vec<Object<'p>>, Value<'p>), PickleProblem> {
        self.read_protocol()?;
        for _ in 0..MAX_INSTRUCTIONS {
            let instruction = self.reader.u8()?;
            if instruction == op::STOP {
                let root = self.pop()?;
                return Ok((self.table, root));
            }
            self.step(instruction)?;
        }
        Err(PickleProblem::Limit {
            what: "instructions",
            limit: MAX_INSTRUCTIONS,
        })
    }

    fn read_protocol(&mut self) -> Result<(), PickleProblem> {
        if self.reader.u8()? != op::PROTO {
            return Err(self.invalid("no protocol number"));
        }
        match self.reader.u8()? {
            protocol if PROTOCOLS.contains(&protocol) => Ok(()),
            other => Err(self.invalid(format!("protocol {other}, and 2 to 5 are read,"))),
        }
    }

    fn step(&mut self, instruction: u8) -> Result<(), PickleProblem> {
        match instruction {
            op::FRAME => self.reader.take(8).map(|_| ()),
            op::MARK => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => self.pop_or_unmark(),
            op::POP_MARK => self.pop_to_mark().map(|_| ()),
            op::DUP => {
                let top = self.top()?;
                self.push(top)
            }
            op::BINGET | op::LONG_BINGET => self.recall(instruction),
            op::BINPUT | op::LONG_BINPUT | op::MEMOIZE => self.remember(instruction),
            op::GLOBAL | op::STACK_GLOBAL => self.name_global(instruction),
            op::REDUCE | op::NEWOBJ => self.call(),
            op::BUILD => self.build(),
            op::BINPERSID => self.persistent_storage(),
            op::APPEND | op::APPENDS | op::ADDITEMS => self.extend(instruction),
            op::SETITEM | op::SETITEMS => self.set_items(instruction),
            _ => match self.scalar(instruction)? {
                Some(value) => self.push(value),
                None => self.collection(instruction),
            },
        }
    }

    /// Instructions whose value is in their argument; none for all others.
    fn scalar(&mut self, instruction: u8) -> Result<Option<Value<'p>>, PickleProblem> {
        let reader = &mut self.reader;
        Ok(Some(match instruction {
            op::NONE | op::NEWTRUE | op::NEWFALSE => Value::Inert,
            op::BININT => Value::Int(reader.i32()?.into()),
            op::BININT1 => Value::Int(reader.u8()?.into()),
            op::BININT2 => Value::Int(reader.u16()?.into()),
            op::LONG1 | op::LONG4 => {
                let len = if instruction == op::LONG1 {
                    reader.u8()?.into()
                } else {
                    reader.u32()?.into()
                };
                reader.long(len)?.map_or(Value::Inert, Value::Int)
            }
            op::BINFLOAT => {
                reader.take(8)?;
                Value::Inert
            }
            op::SHORT_BINUNICODE | op::BINUNICODE | op::BINUNICODE8 => {
                let len = match instruction {
                    op::SHORT_BINUNICODE => reader.u8()?.into(),
                    op::BINUNICODE => reader.u32()?.into(),
                    _ => reader.u64()?,
                };
                Value::Str(reader.text(len)?)
            }
            // Text that Python 2 wrote.
            op::SHORT_BINSTRING => {
                let len = reader.u8()?;
                Value::Str(reader.text(len.into())?)
            }
            op::BINSTRING => {
                let len = reader.u32()?;
                Value::Str(reader.text(len.into())?)
            }
            op::SHORT_BINBYTES | op::BINBYTES | op::BINBYTES8 | op::BYTEARRAY8 => {
                let len = match instruction {
                    op::SHORT_BINBYTES => reader.u8()?.into(),
                    op::BINBYTES => reader.u32()?.into(),
                    _ => reader.u64()?,
                };
                reader.take(len)?;
                Value::Inert
            }
            _ => return Ok(None),
        }))
    }

    fn collection(&mut self, instruction: u8) -> Result<(), PickleProblem> {
        let object = match instruction {
            op::EMPTY_TUPLE => Object::Tuple(Vec::new()),
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                let len = usize::from(instruction - op::TUPLE1) + 1;
                Object::Tuple(self.pop_many(len)?)
            }
            op::TUPLE => Object::Tuple(self.pop_to_mark()?),
            op::EMPTY_LIST | op::EMPTY_SET => Object::List(Vec::new()),
            op::LIST | op::FROZENSET => Object::List(self.pop_to_mark()?),
            op::EMPTY_DICT => Object::Dict(Vec::new()),
            op::DICT => {
                let items = self.pop_to_mark()?;
                Object::Dict(self.pairs(&items)?)
            }
            other => {
                return Err(self.invalid(format!(
                    "an instruction (0x{other:02x}) no checkpoint needs"
                )));
            }
        };
        self.push_object(object)
    }

    fn recall(&mut self, instruction: u8) -> Result<(), PickleProblem> {
        let key = self.memo_key(instruction)?;
        match self.memo.get(&key) {
            Some(&value) => self.push(value),
            None => Err(self.invalid(format!("a reference to value {key}, which it never made,"))),
        }
    }

    fn remember(&mut self, instruction: u8) -> Result<(), PickleProblem> {
        let key = if instruction == op::MEMOIZE {
            self.memo.len() as u32
        } else {
            self.memo_key(instruction)?
        };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn memo_key(&mut self, instruction: u8) -> Result<u32, PickleProblem> {
        match instruction {
            op::BINGET | op::BINPUT => self.reader.u8().map(u32::from),
            _ => self.reader.u32(),
        }
    }

    fn name_global(&mut self, instruction: u8) -> Result<(), PickleProblem> {
        let (module, name) = if instruction == op::GLOBAL {
            (self.reader.line()?, self.reader.line()?)
        } else {
            match self.pop_many(2)?[..] {
                [Value::Str(module), Value::Str(name)] => (module, name),
                _ => return Err(self.invalid("an object whose name is not text")),
            }
        };
        match Global::find(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(PickleProblem::ForbiddenGlobal {
                global: shown(&format!("{module}.{name}")),
            }),
        }
    }

    /// `REDUCE` and `NEWOBJ`: an object that may be named, called with a tuple of arguments.
    fn call(&mut self) -> Result<(), PickleProblem> {
        let arguments = self.pop()?;
        let Value::Global(global) = self.pop()? else {
            return Err(self.invalid("a call of something that cannot be called"));
        };
        let Some(Object::Tuple(arguments)) = self.object(arguments) else {
            return Err(self.invalid("a call whose arguments are not a tuple"));
        };
        let arguments = super::rebuild::arguments_of(arguments);
        match arguments.and_then(|arguments| self.rebuild(global, &arguments)) {
            Some(made) => self.push(made),
            None => Err(self.invalid("a call with arguments that the called object does not take")),
        }
    }

    /// `BUILD` gives an object its attributes, such as the `_metadata` of a state dict. No tensor depends on them.
    fn build(&mut self) -> Result<(), PickleProblem> {
        self.pop()?;
        match self.top()? {
            Value::Object(_) => Ok(()),
            _ => Err(self.invalid("attributes for something that has none")),
        }
    }

    /// `BINPERSID`: `("storage", class, key, location, number of elements)`.
    fn persistent_storage(&mut self) -> Result<(), PickleProblem> {
        let id = self.pop()?;
        let storage = match self.object(id) {
            Some(Object::Tuple(parts)) => super::rebuild::storage(parts),
            _ => None,
        };
        match storage {
            Some(storage) => self.push_object(Object::Storage(storage)),
            None => Err(self.invalid("a reference to something that is not a storage")),
        }
    }

    fn extend(&mut self, instruction: u8) -> Result<(), PickleProblem> {
        let items = if instruction == op::APPEND {
            self.pop_many(1)?
        } else {
            self.pop_to_mark()?
        };
        match self.top_object()? {
            Some(Object::List(list)) => {
                list.extend(items);
                Ok(())
            }
            Some(Object::Inert) => Ok(()),
            _ => Err(self.invalid("items for something that is not a list")),
        }
    }

    fn set_items(&mut self, instruction: u8) -> Result<(), PickleProblem> {
        let items = if instruction == op::SETITEM {
            self.pop_many(2)?
        } else {
            self.pop_to_mark()?
        };
        let pairs = self.pairs(&items)?;
        match self.top_object()? {
            Some(Object::Dict(dict)) => {
                dict.extend(pairs);
                Ok(())
            }
            Some(Object::Inert) => Ok(()),
            _ => Err(self.invalid("entries for something that is not a dictionary")),
        }
    }

    #[allow(clippy::type_complexity)]
    fn pairs(&self, items: &[Value<'p>]) -> Result<Vec<(Value<'p>, Value<'p>)>, PickleProblem> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.invalid("a dictionary key without its value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    pub(super) fn object(&self, value: Value<'p>) -> Option<&Object<'p>> {
        match value {
            Value::Object(ObjectId(id)) => self.table.get(id as usize),
            _ => None,
        }
    }

    pub(super) fn new_object(&mut self, object: Object<'p>) -> Value<'p> {
        let id = ObjectId(self.table.len() as u32);
        self.table.push(object);
        Value::Object(id)
    }

    fn push_object(&mut self, object: Object<'p>) -> Result<(), PickleProblem> {
        let value = self.new_object(object);
        self.push(value)
    }

    fn push(&mut self, value: Value<'p>) -> Result<(), PickleProblem> {
        self.stack.push(value);
        Ok(())
    }

    /// Lowest place that instructions may take values from: above the last open mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value<'p>, PickleProblem> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Value<'p>, PickleProblem> {
        match self.stack[self.floor()..].last() {
            Some(&top) => Ok(top),
            None => Err(self.invalid("an instruction that lacks a value to work on")),
        }
    }

    fn top_object(&mut self) -> Result<Option<&mut Object<'p>>, PickleProblem> {
        Ok(match self.top()? {
            Value::Object(ObjectId(id)) => self.table.get_mut(id as usize),
            _ => None,
        })
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'p>>, PickleProblem> {
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err(self.invalid("an instruction that lacks values to work on")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'p>>, PickleProblem> {
        match self.marks.pop() {
            Some(start) => Ok(self.stack.split_off(start)),
            None => Err(self.invalid("a collection without its beginning")),
        }
    }

    /// `POP` takes the top value, or the mark when there is none above it.
    fn pop_or_unmark(&mut self) -> Result<(), PickleProblem> {
        if self.stack.len() == self.floor() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    fn invalid(&self, what: impl Into<String>) -> PickleProblem {
        PickleProblem::Invalid {
            what: what.into(),
            position: self.reader.position(),
        }
    }
}
