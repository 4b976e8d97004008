//! `cargo xtask install`: the library, its headers, what CMake and pkg-config know about it, the torch plugin and the
//! command-line tool, in a prefix that can be moved afterwards.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::arguments::InstallOptions;
use crate::artifacts::{self, Artifacts};
use crate::{libtorch, paths};

/// The version of the workspace, which is that of the library.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Number in the file names of the shared library: the version of the C ABI.
const SOVERSION: u32 = 0;

pub fn run(options: &InstallOptions, existing: Option<&Path>) -> Result<()> {
    let libtorch = libtorch::ensure(existing)?;
    let artifacts = artifacts::build(&libtorch)?;
    let tool = artifacts::build_tool()?;
    let layout = Layout::new(&options.prefix, &options.libdir)?;
    install(&layout, &artifacts, Some(&tool), !options.without_plugin)?;
    println!("sam-mm {VERSION} is in {}", layout.prefix.display());
    for line in layout.hints() {
        println!("{line}");
    }
    Ok(())
}

/// Where things go.
pub struct Layout {
    prefix: PathBuf,
    /// Folder of the libraries within the prefix.
    libdir: PathBuf,
}

impl Layout {
    /// # Errors
    /// When `libdir` leads out of the prefix: what is installed finds its parts by way of it.
    pub fn new(prefix: &Path, libdir: &Path) -> Result<Self> {
        let is_inside = libdir
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        ensure!(
            is_inside && libdir.components().next().is_some(),
            "--libdir is {}; it is the folder of the libraries within the prefix, such as lib or lib64",
            libdir.display()
        );
        Ok(Self {
            prefix: std::path::absolute(prefix)?,
            libdir: libdir.to_owned(),
        })
    }

    pub fn include(&self) -> PathBuf {
        self.prefix.join("include")
    }

    pub fn libraries(&self) -> PathBuf {
        self.prefix.join(&self.libdir)
    }

    pub fn backends(&self) -> PathBuf {
        self.libraries().join("sam_mm/backends")
    }

    pub fn cmake_package(&self) -> PathBuf {
        self.libraries().join("cmake/sam_mm")
    }

    pub fn pkg_config(&self) -> PathBuf {
        self.libraries().join("pkgconfig")
    }

    pub fn programs(&self) -> PathBuf {
        self.prefix.join("bin")
    }

    /// The way from a folder below that of the libraries up to the prefix.
    fn up_from(&self, below: usize) -> String {
        vec![".."; self.libdir.components().count() + below].join("/")
    }

    fn libdir_text(&self) -> String {
        let parts: Vec<_> = self
            .libdir
            .iter()
            .map(|part| part.to_string_lossy())
            .collect();
        parts.join("/")
    }

    /// What to set where the system does not look into this prefix by itself.
    fn hints(&self) -> Vec<String> {
        if ["/usr", "/usr/local"]
            .iter()
            .any(|known| Path::new(known) == self.prefix)
        {
            return vec!["Now run `ldconfig` (Linux, as root).".to_owned()];
        }
        vec![
            format!("CMake:      -DCMAKE_PREFIX_PATH={}", self.prefix.display()),
            format!(
                "pkg-config: PKG_CONFIG_PATH={}",
                self.pkg_config().display()
            ),
            format!(
                "doctor:     {} doctor",
                self.programs().join("sam-mm").display()
            ),
        ]
    }
}

/// File names of the libraries on this system.
struct Names {
    /// The shared library's file, from the prefix's folder of libraries or programs.
    shared: String,
    /// What programs linked with it look for; empty where that is the file itself.
    soname: String,
    /// Further names of the shared library, and what each leads to.
    links: Vec<(String, String)>,
    static_library: String,
    /// What a linker on Windows takes instead of the shared library.
    import_library: Option<String>,
    /// Libraries of the system that a program with the static library in it needs: what
    /// `rustc --print native-static-libs` tells.
    system: &'static [&'static str],
}

impl Names {
    fn of_this_system() -> Self {
        let link = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        if cfg!(windows) {
            return Self {
                shared: "sam_mm.dll".into(),
                soname: String::new(),
                links: Vec::new(),
                static_library: "sam_mm.lib".into(),
                import_library: Some("sam_mm.dll.lib".into()),
                system: &[
                    "kernel32", "ntdll", "userenv", "ws2_32", "dbghelp", "psapi", "powrprof",
                    "oleaut32", "ole32",
                ],
            };
        }
        if cfg!(target_os = "macos") {
            let file = format!("libsam_mm.{SOVERSION}.dylib");
            return Self {
                links: vec![link("libsam_mm.dylib", &file)],
                soname: format!("@rpath/{file}"),
                shared: file,
                static_library: "libsam_mm.a".into(),
                import_library: None,
                system: &["iconv", "m"],
            };
        }
        let (file, soname) = (
            format!("libsam_mm.so.{VERSION}"),
            format!("libsam_mm.so.{SOVERSION}"),
        );
        Self {
            links: vec![link(&soname, &file), link("libsam_mm.so", &soname)],
            shared: file,
            soname,
            static_library: "libsam_mm.a".into(),
            import_library: None,
            system: &["gcc_s", "util", "rt", "pthread", "m", "dl", "c"],
        }
    }
}

/// Puts everything in place. A program that runs with a former version goes on with it.
pub fn install(
    layout: &Layout,
    artifacts: &Artifacts,
    tool: Option<&Path>,
    with_plugin: bool,
) -> Result<()> {
    install_headers(layout)?;
    let names = Names::of_this_system();
    install_libraries(layout, artifacts, &names)?;
    let texts = Texts::new(layout, &names);
    texts.write("sam_mm.pc.in", &layout.pkg_config().join("sam_mm.pc"))?;
    for name in ["sam_mm-config.cmake", "sam_mm-config-version.cmake"] {
        texts.write(
            &format!("cmake/{name}.in"),
            &layout.cmake_package().join(name),
        )?;
    }
    if with_plugin {
        let folder = layout.backends();
        copy(
            &artifacts.plugin,
            &folder.join(paths::shared_library("sam_mm_torch")),
        )?;
    }
    copy(
        &paths::root().join("packaging/backends/README.md"),
        &layout.backends().join("README.md"),
    )?;
    if let Some(tool) = tool {
        let name = tool.file_name().context("a program has a name")?;
        copy(tool, &layout.programs().join(name))?;
    }
    Ok(())
}

fn install_headers(layout: &Layout) -> Result<()> {
    let source = paths::root().join("include");
    for folder in ["", "sam_mm"] {
        for entry in fs::read_dir(source.join(folder))? {
            let path = entry?.path();
            if path.is_file() {
                let name = path.file_name().context("a file has a name")?;
                copy(&path, &layout.include().join(folder).join(name))?;
            }
        }
    }
    Ok(())
}

fn install_libraries(layout: &Layout, artifacts: &Artifacts, names: &Names) -> Result<()> {
    let shared = if cfg!(windows) {
        layout.programs()
    } else {
        layout.libraries()
    };
    copy(&artifacts.library, &shared.join(&names.shared))?;
    copy(
        &artifacts.static_library,
        &layout.libraries().join(&names.static_library),
    )?;
    if let Some(import) = &names.import_library {
        copy(
            &artifacts.folder().join(import),
            &layout.libraries().join(import),
        )?;
    }
    for (name, target) in &names.links {
        replace(&shared.join(name), |part| symlink(target, part))?;
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(target: &str, path: &Path) -> std::io::Result<()> {
    fs::copy(path.with_file_name(target), path).map(drop)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    replace(to, |part| fs::copy(from, part).map(drop))
        .with_context(|| format!("{} cannot be installed", from.display()))
}

/// Makes a file beside its place and moves it there: what is open stays as it was.
fn replace(place: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let folder = place.parent().context("a file lies in a folder")?;
    let name = place.file_name().context("a file has a name")?;
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let part = folder.join(format!(".{}.part", name.to_string_lossy()));
    let _ = fs::remove_file(&part);
    make(&part)
        .and_then(|()| fs::rename(&part, place))
        .with_context(|| format!("{} cannot be written", place.display()))
}

/// The files of `packaging` with `@NAME@` filled in.
struct Texts {
    values: Vec<(&'static str, String)>,
}

impl Texts {
    fn new(layout: &Layout, names: &Names) -> Self {
        let libdir = layout.libdir_text();
        let shared = if cfg!(windows) {
            format!("bin/{}", names.shared)
        } else {
            format!("{libdir}/{}", names.shared)
        };
        let import = names.import_library.as_ref();
        let flags: Vec<String> = names
            .system
            .iter()
            .map(|name| format!("-l{name}"))
            .collect();
        let frameworks = if cfg!(target_os = "macos") {
            " -framework CoreFoundation -framework IOKit"
        } else {
            ""
        };
        let mut parts = VERSION.split('.');
        let (major, minor) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
        let series = if major == "0" {
            format!("{major}\\\\.{minor}")
        } else {
            major.to_owned()
        };
        let values = vec![
            ("VERSION", VERSION.to_owned()),
            ("MAJOR", major.to_owned()),
            ("SERIES_REGEX", series),
            ("LIBDIR", libdir.clone()),
            ("UP_TO_PREFIX", layout.up_from(2)),
            ("UP_FROM_PKGCONFIG", layout.up_from(1)),
            ("SHARED_FILE", shared),
            ("SONAME", names.soname.clone()),
            (
                "IMPLIB",
                import.map_or_else(String::new, |file| format!("{libdir}/{file}")),
            ),
            ("STATIC_FILE", format!("{libdir}/{}", names.static_library)),
            (
                "STATIC_LIBRARIES",
                format!(
                    "{}{}",
                    names.system.join(";"),
                    frameworks.replace(" -framework ", ";-framework ")
                ),
            ),
            ("STATIC_FLAGS", flags.join(" ") + frameworks),
            ("POINTER_BYTES", size_of::<usize>().to_string()),
            ("POINTER_BITS", usize::BITS.to_string()),
        ];
        Self { values }
    }

    fn write(&self, template: &str, place: &Path) -> Result<()> {
        let path = paths::root().join("packaging").join(template);
        let template =
            fs::read_to_string(&path).with_context(|| format!("{} is missing", path.display()))?;
        let text = self.fill(&template);
        replace(place, |part| fs::write(part, text))
    }

    fn fill(&self, template: &str) -> String {
        let filled = self
            .values
            .iter()
            .fold(template.to_owned(), |text, (name, value)| {
                text.replace(&format!("@{name}@"), value)
            });
        debug_assert!(
            !filled.contains('@') || cfg!(target_os = "macos"),
            "{filled}"
        );
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_libraries_lies_within_the_prefix() {
        let layout = |libdir: &str| Layout::new(Path::new("/opt/sam"), Path::new(libdir));
        for wrong in ["", "/usr/lib", "../lib", "."] {
            let error = layout(wrong).err().unwrap().to_string();
            assert!(error.contains("--libdir"), "{error}");
        }
        let deep = layout("lib/x86_64-linux-gnu").unwrap();
        assert_eq!(deep.up_from(2), "../../../..");
        let package = Path::new("/opt/sam/lib/x86_64-linux-gnu/cmake/sam_mm");
        assert_eq!(deep.cmake_package(), package);
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let layout = Layout::new(Path::new("/opt/sam"), Path::new("lib")).unwrap();
        let texts = Texts::new(&layout, &Names::of_this_system());
        for template in [
            "sam_mm.pc.in",
            "cmake/sam_mm-config.cmake.in",
            "cmake/sam_mm-config-version.cmake.in",
        ] {
            let text = fs::read_to_string(paths::root().join("packaging").join(template)).unwrap();
            let filled = texts.fill(&text);
            let left = filled
                .split('@')
                .nth(1)
                .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
            assert_eq!(left, None, "{template}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("deep/to"));
        for text in ["first", "second"] {
            fs::write(&from, text).unwrap();
            copy(&from, &to).unwrap();
            assert_eq!(fs::read_to_string(&to).unwrap(), text);
        }
        let names: Vec<_> = fs::read_dir(folder.path().join("deep")).unwrap().collect();
        assert_eq!(names.len(), 1);
    }
}
