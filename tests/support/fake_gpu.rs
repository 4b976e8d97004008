//! The fake NVML and the fake CUDA runtime, compiled and steered (`tests/fake_script/README.md`).

use std::ffi::{CString, c_char};
use std::fs;
use std::path::{Path, PathBuf};

use libloading::Library;
use tempfile::TempDir;

use super::c;

type Control = unsafe extern "C" fn(*const c_char) -> i32;
type Value = unsafe extern "C" fn(*const c_char) -> i64;

/// A loaded copy of a fake library with a state of its own, in a folder of its own.
pub struct FakeLibrary {
    _folder: TempDir,
    path: PathBuf,
    control: Control,
    value: Value,
}

impl FakeLibrary {
    /// NVML, with the commands that describe the machine.
    pub fn nvml(commands: &[&str]) -> Self {
        Self::variant("nvml", "libnvidia-ml.so.1", &[], commands)
    }

    /// NVML of a driver that lacks the second form of the memory figures.
    pub fn old_nvml(commands: &[&str]) -> Self {
        Self::variant(
            "nvml",
            "libnvidia-ml.so.1",
            &["-DFAKE_OLD_DRIVER"],
            commands,
        )
    }

    /// The CUDA runtime of versions other than 12.
    pub fn cudart(commands: &[&str]) -> Self {
        Self::variant("cudart", "libcudart.so.13", &[], commands)
    }

    /// The CUDA runtime of version 12.
    pub fn cudart_12(commands: &[&str]) -> Self {
        Self::variant("cudart", "libcudart.so.12", &["-DFAKE_CUDA_12"], commands)
    }

    fn variant(name: &str, file: &str, args: &[&str], commands: &[&str]) -> Self {
        let tests = c::root().join("tests");
        let sources = [
            tests.join(format!("fake_{name}/fake_{name}.c")),
            tests.join("fake_script/script.c"),
        ];
        let args = [args, &["-pthread"]].concat();
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join(file);
        fs::copy(c::shared_library(&sources, &args), &path)
            .expect("a test may write to its own folder");
        // SAFETY: a library of ours whose initialisers do nothing; its symbols have these types. It is leaked, so that
        // they and its state stay when the probe unloads it.
        let (control, value) = unsafe {
            let library = Box::leak(Box::new(
                Library::new(&path).expect("the fake library can be loaded"),
            ));
            (
                *library
                    .get::<Control>(c"fake_control")
                    .expect("it has a script"),
                *library.get::<Value>(c"fake_value").expect("it has numbers"),
            )
        };
        let fake = Self {
            _folder: folder,
            path,
            control,
            value,
        };
        commands.iter().for_each(|command| fake.control(command));
        fake
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a command.
    pub fn control(&self, command: &str) {
        let text = CString::new(command).expect("a command has no NUL");
        // SAFETY: the function of the loaded library with a NUL-terminated text.
        let told = unsafe { (self.control)(text.as_ptr()) };
        assert_eq!(told, 0, "unknown command {command:?}");
    }

    /// A number.
    pub fn value(&self, name: &str) -> i64 {
        let text = CString::new(name).expect("a name has no NUL");
        // SAFETY: the function of the loaded library with a NUL-terminated text.
        let value = unsafe { (self.value)(text.as_ptr()) };
        assert_ne!(value, -1, "unknown number {name:?}");
        value
    }

    /// Waits until a call of a function is blocked.
    pub fn wait_until_blocked(&self, function: &str) {
        while self.value(&format!("waiting.{function}")) == 0 {
            std::thread::yield_now();
        }
    }
}
