//! The script that a fake library exports: commands in, numbers out.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;

use libloading::Library;

type Control = unsafe extern "C" fn(*const c_char) -> i32;
type Value = unsafe extern "C" fn(*const c_char) -> i64;

/// The script of one loaded copy of a fake library.
#[derive(Clone, Copy)]
pub struct Script {
    control: Control,
    value: Value,
}

impl Script {
    /// Loads the library, for ever, and takes its two functions.
    pub fn load(path: &Path, control: &CStr, value: &CStr) -> Self {
        // SAFETY: a library of ours whose initialisers do nothing; its symbols have these types. It is leaked, so
        // that they stay valid.
        unsafe {
            let library = Box::leak(Box::new(
                Library::new(path).expect("the fake library can be loaded"),
            ));
            Self {
                control: *library.get::<Control>(control).expect("it has a script"),
                value: *library.get::<Value>(value).expect("it has numbers"),
            }
        }
    }

    /// Runs a command of the library's README.
    pub fn control(&self, command: &str) {
        let text = CString::new(command).expect("a command has no NUL");
        // SAFETY: the function of the loaded library with a NUL-terminated text.
        let told = unsafe { (self.control)(text.as_ptr()) };
        assert_eq!(told, 0, "unknown command {command:?}");
    }

    /// A number of the library's README.
    pub fn value(&self, name: &str) -> i64 {
        let text = CString::new(name).expect("a name has no NUL");
        // SAFETY: the function of the loaded library with a NUL-terminated text.
        let value = unsafe { (self.value)(text.as_ptr()) };
        assert_ne!(value, -1, "unknown number {name:?}");
        value
    }

    /// Waits until `count` calls of a function are blocked.
    pub fn wait_until_blocked(&self, function: &str, count: i64) {
        while self.value(&format!("waiting.{function}")) < count {
            std::thread::yield_now();
        }
    }
}
