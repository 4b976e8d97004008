//! libtorch: an existing one, or the one inside PyTorch's package, installed into `.deps/libtorch`.

mod install;
mod record;
mod version;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, LIBRARY_PATH_VARIABLE};
use crate::python::Python;

use install::{Check, Parts};

/// The version that `tch` is made for.
pub const VERSION: &str = "2.11.0";

/// A libtorch that was checked.
#[derive(Clone, Debug)]
pub struct Libtorch {
    /// The folder with `lib` and `include` in it.
    root: PathBuf,
}

impl Libtorch {
    /// For programs that compile or link against libtorch, and those that need its folder to be told.
    pub fn set_for_build(&self, command: &mut Command) {
        command
            .env("LIBTORCH", &self.root)
            .env("LIBTORCH_CXX11_ABI", "1")
            .env_remove("LIBTORCH_USE_PYTORCH");
    }

    /// For programs that load sam-mm: it opens libtorch itself.
    pub fn set_for_callers(&self, command: &mut Command) {
        command.env("SAM_MM_LIBTORCH", &self.root);
    }

    /// For programs that are linked to libtorch themselves, such as the tests of the plugin.
    pub fn set_for_linked(&self, command: &mut Command) -> Result<()> {
        process::prepend_path(command, LIBRARY_PATH_VARIABLE, &self.root.join("lib"))
    }
}

/// `cargo xtask setup`: as [`ensure`], and looks at every byte of what is installed.
pub fn setup(existing: Option<&Path>, gpu: bool) -> Result<()> {
    let parts = if gpu { Parts::Gpu } else { Parts::Cpu };
    let libtorch = match existing {
        Some(root) => use_existing(root)?,
        None => install::ensure(parts, Check::Contents)?,
    };
    check_loads(&libtorch, parts)?;
    println!("libtorch {VERSION} is in {}", libtorch.root.display());
    Ok(())
}

/// libtorch for builds and runs; installs it when there is none.
pub fn ensure(existing: Option<&Path>) -> Result<Libtorch> {
    match existing {
        Some(root) => use_existing(root),
        None => install::ensure(Parts::Cpu, Check::Sizes),
    }
}

/// Tells a program that loads sam-mm of the libtorch that was named, if one was; installs none.
pub fn set_if_given(command: &mut Command, existing: Option<&Path>) -> Result<()> {
    if let Some(root) = existing {
        use_existing(root)?.set_for_callers(command);
    }
    Ok(())
}

/// The folder with PyTorch for Python. Importing it takes the parts for a GPU, whether there is one or not.
pub fn ensure_python_torch(python: &Python) -> Result<PathBuf> {
    python.require_supported()?;
    install::ensure_python_torch(python)
}

fn use_existing(root: &Path) -> Result<Libtorch> {
    let root = std::path::absolute(root)?;
    let found = version::read(&root).with_context(|| {
        format!(
            "{} (from --libtorch or LIBTORCH) is no libtorch; name the folder that has `lib` and `include` in it",
            root.display()
        )
    })?;
    if !version::is_compatible(&found, VERSION) {
        bail!(
            "{} holds libtorch {found}, and sam-mm is made for {VERSION}; name another one, or leave out --libtorch and \
             LIBTORCH to have it installed",
            root.display()
        );
    }
    Ok(Libtorch { root })
}

/// Loads the library in a process of its own: a damaged or incomplete one ends that process, not this.
fn check_loads(libtorch: &Libtorch, parts: Parts) -> Result<()> {
    if !process::exists("python3") {
        eprintln!("note: whether libtorch loads was not tried, which takes `python3`");
        return Ok(());
    }
    let names = match parts {
        Parts::Cpu => &["torch_cpu"][..],
        Parts::Gpu => &["torch_cpu", "torch_cuda"],
    };
    for name in names {
        let file = libtorch
            .root
            .join("lib")
            .join(crate::paths::shared_library(name));
        let mut command = Command::new("python3");
        command
            .args(["-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1])"])
            .arg(&file);
        libtorch.set_for_linked(&mut command)?;
        process::run(&mut command).with_context(|| format!("{} does not load", file.display()))?;
    }
    Ok(())
}
