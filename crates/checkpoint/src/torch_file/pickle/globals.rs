//! The Python objects that a checkpoint may name. Everything else is refused.

use crate::tensor::Dtype;

/// A Python object that may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// A dictionary class. Called, it gives a dictionary.
    Dict,
    /// `set`, `list`, `torch.Size` and the like. Called with a sequence, they give that sequence.
    Sequence,
    /// Called, it gives something no tensor depends on (`torch.device`, `bytes` through `_codecs.encode`).
    Inert,
    /// A storage class, by the type of its elements.
    Storage(ElementType),
    /// An element type (`torch.float32`).
    Dtype(ElementType),
    /// `torch._utils._rebuild_tensor`
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensorV2,
    /// `torch._utils._rebuild_tensor_v3`
    RebuildTensorV3,
    /// `torch._utils._rebuild_parameter`, with or without state
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`: a tensor with Python attributes
    RebuildFromType,
    /// `torch.Tensor` and `torch.nn.Parameter`, as an argument of the former
    TensorClass,
}

/// Type of the elements of a storage or tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// One that is read.
    Read(Dtype),
    /// One that may be in the file, but not in the tensors that are used.
    Other(&'static str),
    /// Bytes; the tensor says what they are.
    Untyped,
}

impl Global {
    /// Finds an object by the module and name that the file gives.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict" | "Counter") => Self::Dict,
            ("builtins" | "__builtin__", "dict") => Self::Dict,
            ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "tuple") => Self::Sequence,
            ("torch", "Size") => Self::Sequence,
            ("builtins" | "__builtin__", "bytearray" | "complex" | "slice") => Self::Inert,
            ("builtins" | "__builtin__", "int" | "float" | "bool" | "str") => Self::Inert,
            ("_codecs", "encode") | ("torch", "device") => Self::Inert,
            ("torch.serialization", "_get_layout") => Self::Inert,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("torch" | "torch._tensor", "Tensor") => Self::TensorClass,
            ("torch.nn.parameter", "Parameter" | "Buffer") => Self::TensorClass,
            ("torch", "UntypedStorage") | ("torch.storage", "UntypedStorage") => {
                Self::Storage(ElementType::Untyped)
            }
            ("torch" | "torch.cuda", class) => match class.strip_suffix("Storage") {
                Some(class) => Self::Storage(storage_element(class)?),
                None if module == "torch" => Self::Dtype(dtype_element(class)?),
                None => return None,
            },
            _ => return None,
        })
    }
}

fn storage_element(class: &str) -> Option<ElementType> {
    Some(match class {
        "Float" => ElementType::Read(Dtype::F32),
        "Half" => ElementType::Read(Dtype::F16),
        "BFloat16" => ElementType::Read(Dtype::BF16),
        "Double" => ElementType::Read(Dtype::F64),
        "Long" => ElementType::Read(Dtype::I64),
        "Int" => ElementType::Read(Dtype::I32),
        "Byte" => ElementType::Read(Dtype::U8),
        "Bool" => ElementType::Read(Dtype::Bool),
        "Short" => ElementType::Other("int16"),
        "Char" => ElementType::Other("int8"),
        "ComplexFloat" => ElementType::Other("complex64"),
        "ComplexDouble" => ElementType::Other("complex128"),
        "QInt8" => ElementType::Other("qint8"),
        "QUInt8" => ElementType::Other("quint8"),
        "QInt32" => ElementType::Other("qint32"),
        _ => return None,
    })
}

fn dtype_element(name: &str) -> Option<ElementType> {
    const READ: [Dtype; 8] = [
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::F64,
        Dtype::I64,
        Dtype::I32,
        Dtype::U8,
        Dtype::Bool,
    ];
    const OTHER: [&str; 15] = [
        "int8",
        "int16",
        "uint16",
        "uint32",
        "uint64",
        "complex32",
        "complex64",
        "complex128",
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
        "quint8",
        "qint8",
    ];
    let read = READ.into_iter().find(|dtype| dtype.name() == name);
    let other = || OTHER.into_iter().find(|other| *other == name);
    read.map(ElementType::Read)
        .or_else(|| other().map(ElementType::Other))
}
