//! What calls of the allowed objects make. None is given when the arguments are not those they take.

use super::globals::{ElementType, Global};
use super::machine::Machine;
use super::value::{Object, StorageObject, TensorObject, Value};

/// Axes that a tensor may have; PyTorch itself allows no more.
const MAX_AXES: usize = 64;

/// Arguments that a call may have; `_rebuild_tensor_v3` takes eight.
const MAX_ARGUMENTS: usize = 16;

/// A storage from its persistent id: `("storage", class, key, location, number of elements)`.
pub(super) fn storage<'p>(id: &[Value<'p>]) -> Option<StorageObject<'p>> {
    match *id {
        [
            Value::Str("storage"),
            Value::Global(Global::Storage(element)),
            Value::Str(key),
            Value::Str(_),
            Value::Int(len),
            ..,
        ] => Some(StorageObject { key, element, len }),
        _ => None,
    }
}

/// The arguments of a call, copied from their tuple. No call takes many, and a long tuple could be used many times.
pub(super) fn arguments_of<'p>(tuple: &[Value<'p>]) -> Option<Vec<Value<'p>>> {
    (tuple.len() <= MAX_ARGUMENTS).then(|| tuple.to_vec())
}

impl<'p> Machine<'p> {
    pub(super) fn rebuild(&mut self, global: Global, arguments: &[Value<'p>]) -> Option<Value<'p>> {
        match global {
            Global::Dict => self.dictionary(arguments),
            Global::Sequence => self.sequence(arguments),
            Global::Inert => Some(self.new_object(Object::Inert)),
            Global::RebuildTensor | Global::RebuildTensorV2 => match *arguments {
                [storage, offset, size, stride, ..] => {
                    self.tensor(storage, offset, size, stride, None)
                }
                _ => None,
            },
            Global::RebuildTensorV3 => match *arguments {
                [
                    storage,
                    offset,
                    size,
                    stride,
                    _grad,
                    _hooks,
                    Value::Global(Global::Dtype(element)),
                    ..,
                ] => self.tensor(storage, offset, size, stride, Some(element)),
                _ => None,
            },
            Global::RebuildParameter => self.as_tensor(*arguments.first()?),
            Global::RebuildFromType => match *arguments {
                [
                    Value::Global(function),
                    Value::Global(Global::TensorClass),
                    inner,
                    ..,
                ] if function != Global::RebuildFromType => {
                    let Object::Tuple(inner) = self.object(inner)? else {
                        return None;
                    };
                    let inner = arguments_of(inner)?;
                    let made = self.rebuild(function, &inner)?;
                    self.as_tensor(made)
                }
                _ => None,
            },
            Global::Storage(_) | Global::Dtype(_) | Global::TensorClass => None,
        }
    }

    /// A dictionary class takes nothing, another dictionary, or (`defaultdict`) what it makes missing entries with. The
    /// pairs that Python 2 gives to `OrderedDict` are refused.
    fn dictionary(&mut self, arguments: &[Value<'p>]) -> Option<Value<'p>> {
        if let Some(&first) = arguments.first() {
            match self.object(first) {
                Some(Object::Dict(_)) => return Some(first),
                Some(Object::List(_) | Object::Tuple(_)) => return None,
                _ => {}
            }
        }
        Some(self.new_object(Object::Dict(Vec::new())))
    }

    /// A sequence made from a sequence is taken to be the same one, so that no call can copy a long one.
    fn sequence(&mut self, arguments: &[Value<'p>]) -> Option<Value<'p>> {
        match arguments.first() {
            None => Some(self.new_object(Object::List(Vec::new()))),
            Some(&first) => match self.object(first)? {
                Object::Tuple(_) | Object::List(_) => Some(first),
                _ => None,
            },
        }
    }

    /// A tensor over a storage. `element` is its type when it is not that of the storage.
    fn tensor(
        &mut self,
        storage: Value<'p>,
        offset: Value<'p>,
        size: Value<'p>,
        stride: Value<'p>,
        element: Option<ElementType>,
    ) -> Option<Value<'p>> {
        let Object::Storage(storage) = self.object(storage)? else {
            return None;
        };
        let storage = *storage;
        let Value::Int(offset) = offset else {
            return None;
        };
        let tensor = TensorObject {
            storage,
            element: element.unwrap_or(storage.element),
            offset,
            shape: self.integers(size)?,
            strides: self.integers(stride)?,
        };
        Some(self.new_object(Object::Tensor(tensor)))
    }

    fn integers(&self, tuple: Value<'p>) -> Option<Vec<i64>> {
        let Object::Tuple(items) = self.object(tuple)? else {
            return None;
        };
        if items.len() > MAX_AXES {
            return None;
        }
        let integer = |value: &Value<'p>| match value {
            Value::Int(value) => Some(*value),
            _ => None,
        };
        items.iter().map(integer).collect()
    }

    fn as_tensor(&self, value: Value<'p>) -> Option<Value<'p>> {
        match self.object(value)? {
            Object::Tensor(_) => Some(value),
            _ => None,
        }
    }
}
