//! An interpreter for the part of Python's pickle language that tensors need.
//!
//! A pickle is a program for a stack machine whose instructions can name and call any Python object. This machine has
//! the same instructions, but the objects that can be named are the few of [`globals`], and calling one of them makes
//! an entry in a table. No instruction can do anything else, whatever the file says.
//!
//! Objects live in a table and refer to one another by number, so neither cycles nor deep nesting need any care when
//! they are looked at or freed.

mod globals;
mod machine;
mod reader;
mod rebuild;
mod value;

pub(super) use globals::ElementType;
pub(super) use value::{Object, Objects, TensorObject, Value};
