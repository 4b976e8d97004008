//! Projects outside of this tree, which know of sam-mm what `cargo xtask install` put into a prefix and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};
use tempfile::TempDir;

use crate::artifacts::Artifacts;
use crate::install::{self, Layout};
use crate::libtorch::Libtorch;
use crate::tally::Tally;
use crate::{paths, process};

/// A click in the scene of `tests/bindings`.
const CLICK: [&str; 2] = ["130.5", "92.25"];

/// What is installed, in a folder of its own, and where the projects are built.
pub struct Outside<'a> {
    folder: TempDir,
    libtorch: &'a Libtorch,
}

impl<'a> Outside<'a> {
    /// Installs everything but the command-line tool.
    pub fn install(artifacts: &Artifacts, libtorch: &'a Libtorch) -> Result<Self> {
        let outside = Self {
            folder: tempfile::tempdir()?,
            libtorch,
        };
        install::install(&outside.layout("installed")?, artifacts, None, true)?;
        Ok(outside)
    }

    /// What a project sees that uses CMake.
    pub fn cmake(&self) -> Tally {
        let mut tally = Tally::default();
        let programs = ["click_c", "click_cpp", "click_static", "click_cpp_static"];
        let built = self.copy_project("cmake_project", "with-cmake");
        tally.check("a CMake project finds the package and builds", || {
            let project = built.as_ref().map_err(copied)?;
            self.configure("installed", project, &[])?;
            process::run(
                Command::new("cmake")
                    .arg("--build")
                    .arg(project.join("build"))
                    .arg("--parallel"),
            )
        });
        for program in programs {
            tally.check(
                &format!("{program}, built with CMake, gives a mask"),
                || self.click(&built.as_ref().map_err(copied)?.join("build").join(program)),
            );
        }
        for (version, fits) in [
            ("0.1.0", true),
            ("0.0.9", false),
            ("0.2", false),
            ("1", false),
            ("0.1.0;EXACT", true),
            ("0.1...<0.3", true),
            ("0.2...0.3", false),
        ] {
            tally.check(
                &format!("version {version} of the package fits: {fits}"),
                || {
                    let project = built.as_ref().map_err(copied)?;
                    let wanted = format!("-DWANTED_VERSION={version}");
                    let found = self.configure("installed", project, &[&wanted]).is_ok();
                    ensure!(found == fits, "find_package succeeded: {found}");
                    Ok(())
                },
            );
        }
        tally.check("a component that is not there is named", || {
            let project = built.as_ref().map_err(copied)?;
            let options = ["-DWANTED_VERSION=0.1", "-DWANTED_COMPONENTS=shared;opencl"];
            match self.configure("installed", project, &options) {
                Err(error) if error.to_string().contains("opencl") => Ok(()),
                Err(error) => Err(error),
                Ok(()) => bail!("it was found"),
            }
        });
        tally.check("the prefix can be moved before CMake looks at it", || {
            let moved = self.moved("elsewhere with CMake")?;
            let project = self.copy_project("cmake_project", "moved-cmake")?;
            self.configure(&moved, &project, &[])?;
            let build = project.join("build");
            let mut command = Command::new("cmake");
            command.arg("--build").arg(&build);
            process::run(command.args(["--target", "click_c"]))?;
            self.click(&build.join("click_c"))
        });
        tally
    }

    /// What a project sees that uses pkg-config.
    pub fn pkg_config(&self) -> Tally {
        let mut tally = Tally::default();
        let built = self.copy_project("pkgconfig_project", "with-pkg-config");
        tally.check("pkg-config tells the version", || {
            let mut command = Command::new("pkg-config");
            command.args(["--modversion", "sam_mm"]);
            self.set_pkg_config("installed", &mut command)?;
            let version = process::output(&mut command)?;
            ensure!(version.trim() == env!("CARGO_PKG_VERSION"), "{version}");
            Ok(())
        });
        tally.check("a project with a Makefile builds", || {
            self.make("installed", built.as_ref().map_err(copied)?, "all")
        });
        for program in ["click_c", "click_cpp", "click_static"] {
            tally.check(
                &format!("{program}, built with pkg-config, gives a mask"),
                || self.click(&built.as_ref().map_err(copied)?.join(program)),
            );
        }
        tally.check(
            "the prefix can be moved before pkg-config looks at it",
            || {
                let moved = self.moved("elsewhere-with-pkg-config")?;
                let project = self.copy_project("pkgconfig_project", "moved-pkg-config")?;
                self.make(&moved, &project, "click_c")?;
                self.click(&project.join("click_c"))
            },
        );
        tally
    }

    fn layout(&self, prefix: &str) -> Result<Layout> {
        Layout::new(&self.folder.path().join(prefix), Path::new("lib"))
    }

    /// A copy of what was installed, under another name.
    fn moved(&self, name: &str) -> Result<String> {
        let to = self.folder.path().join(name);
        let mut command = Command::new("cp");
        command.arg("-a").arg(self.folder.path().join("installed"));
        process::run(command.arg(to))?;
        Ok(name.to_owned())
    }

    /// Copies a project out of the tree, with the programs that it builds.
    fn copy_project(&self, project: &str, name: &str) -> Result<PathBuf> {
        let outside = paths::root().join("tests/outside");
        let to = self.folder.path().join(name);
        fs::create_dir_all(&to)?;
        for folder in [outside.join(project), outside] {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if let (true, Some(file)) = (path.is_file(), path.file_name()) {
                    fs::copy(&path, to.join(file))?;
                }
            }
        }
        Ok(to)
    }

    fn configure(&self, prefix: &str, project: &Path, options: &[&str]) -> Result<()> {
        let mut command = Command::new("cmake");
        command
            .arg("-S")
            .arg(project)
            .arg("-B")
            .arg(project.join("build"));
        let mut path = std::ffi::OsString::from("-DCMAKE_PREFIX_PATH=");
        path.push(self.folder.path().join(prefix));
        command.arg(path).args(options);
        let output = command.output()?;
        if !output.status.success() {
            bail!(
                "cmake found: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    fn set_pkg_config(&self, prefix: &str, command: &mut Command) -> Result<()> {
        command.env("PKG_CONFIG_PATH", self.layout(prefix)?.pkg_config());
        Ok(())
    }

    fn make(&self, prefix: &str, project: &Path, target: &str) -> Result<()> {
        let mut command = Command::new("make");
        command
            .args(["--silent", "--jobs", "-C"])
            .arg(project)
            .arg(target);
        self.set_pkg_config(prefix, &mut command)?;
        process::run(&mut command)
    }

    /// Runs a program that was built, which clicks once.
    fn click(&self, program: &Path) -> Result<()> {
        let mut command = Command::new(program);
        command
            .arg(paths::root().join("tests/bindings/scene.ppm"))
            .args(CLICK);
        // The plugin must be found where it was installed, but what is linked into a program is not beside it.
        command.env_remove("SAM_MM_BACKEND_PATH");
        if program.to_string_lossy().ends_with("static") {
            command.env("SAM_MM_BACKEND_PATH", self.layout("installed")?.backends());
        }
        self.libtorch.set_for_callers(&mut command);
        let said = process::output(&mut command)?;
        ensure!(said.contains("the click is inside"), "it said: {said}");
        Ok(())
    }
}

fn copied(error: &anyhow::Error) -> anyhow::Error {
    anyhow::anyhow!("the project was not copied: {error}")
}
