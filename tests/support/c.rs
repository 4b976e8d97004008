//! The system's C and C++ compilers: programs, plugins and fake libraries for the tests are made on the spot.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

/// What a header must compile as.
#[derive(Clone, Copy, Debug)]
pub enum Language {
    C99,
    C11,
    C17,
    Cxx11,
    Cxx14,
    Cxx17,
    Cxx20,
}

impl Language {
    pub const ALL: [Self; 7] = [
        Self::C99,
        Self::C11,
        Self::C17,
        Self::Cxx11,
        Self::Cxx14,
        Self::Cxx17,
        Self::Cxx20,
    ];

    /// Those that `sam_mm.hpp` is for.
    pub const MODERN_CXX: [Self; 2] = [Self::Cxx17, Self::Cxx20];

    fn args(self) -> [&'static str; 3] {
        match self {
            Self::C99 => ["-x", "c", "-std=c99"],
            Self::C11 => ["-x", "c", "-std=c11"],
            Self::C17 => ["-x", "c", "-std=c17"],
            Self::Cxx11 => ["-x", "c++", "-std=c++11"],
            Self::Cxx14 => ["-x", "c++", "-std=c++14"],
            Self::Cxx17 => ["-x", "c++", "-std=c++17"],
            Self::Cxx20 => ["-x", "c++", "-std=c++20"],
        }
    }

    /// The option that names it.
    pub fn standard(self) -> &'static str {
        self.args()[2]
    }

    fn is_cxx(self) -> bool {
        self.args()[1] == "c++"
    }

    fn compiler(self) -> Command {
        let (variable, default) = if self.is_cxx() {
            ("CXX", "c++")
        } else {
            ("CC", "cc")
        };
        Command::new(env::var_os(variable).unwrap_or_else(|| default.into()))
    }
}

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// A finding of these ends the program with an exit status that is not 0.
pub const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// The folder of the committed headers.
pub fn include_dir() -> PathBuf {
    root().join("include")
}

/// The root of the project.
pub fn root() -> PathBuf {
    // The tests of other crates in the workspace share this file.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_root = |dir: &&Path| dir.join("include/sam_mm_backend.h").exists();
    manifest
        .ancestors()
        .find(is_root)
        .expect("the project has include/sam_mm_backend.h")
        .to_owned()
}

/// A folder for what is built here, kept between runs.
fn cache_dir() -> PathBuf {
    let dir = env::current_exe()
        .expect("a test has a path")
        .parent()
        .expect("in a folder")
        .join("c");
    fs::create_dir_all(&dir).expect("the target folder can be written to");
    dir
}

/// Asserts that a source compiles without a warning.
pub fn check_syntax(source: &str, language: Language) {
    check_syntax_with(source, language, &[]);
}

/// [`check_syntax`] with more options.
pub fn check_syntax_with(source: &str, language: Language, args: &[&str]) {
    let file = source_file(source, "syntax");
    let mut command = language.compiler();
    command
        .args(language.args())
        .args(WARNINGS)
        .args(args)
        .arg("-fsyntax-only")
        .arg("-I")
        .arg(include_dir())
        .arg(&file);
    succeed(&mut command);
}

/// Compiles and runs a C99 program and returns what it printed.
pub fn run(source: &str) -> String {
    let program = program(&[source_file(source, "program")], &[] as &[&str]);
    let output = Command::new(&program).output().expect("the program starts");
    assert!(output.status.success(), "{}: {output:?}", program.display());
    String::from_utf8(output.stdout).expect("the program prints UTF-8")
}

/// Compiles a C99 program and returns its path.
pub fn program(sources: &[PathBuf], args: &[impl AsRef<OsStr>]) -> PathBuf {
    program_in(Language::C99, sources, args)
}

/// Compiles a program of that language and returns its path.
pub fn program_in(language: Language, sources: &[PathBuf], args: &[impl AsRef<OsStr>]) -> PathBuf {
    build(language, sources, env::consts::EXE_SUFFIX, args)
}

/// Compiles a source text of C++ to an object file with more options, and returns its path.
pub fn object(source: &str, language: Language, args: &[&str]) -> PathBuf {
    let args = [&["-c", "-x", "c++"], args].concat();
    build(language, &[source_file(source, "object")], ".o", &args)
}

/// The C sources of a folder of the project.
pub fn sources_in(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(root().join(folder)).expect("the project has the folder");
    let mut sources: Vec<PathBuf> = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension() == Some(OsStr::new("c")))
        .collect();
    sources.sort();
    sources
}

/// Compiles a C99 shared library and returns its path. The name of the file says nothing; copy it to where it belongs.
pub fn shared_library(sources: &[PathBuf], args: &[impl AsRef<OsStr>]) -> PathBuf {
    let all: Vec<&OsStr> = ["-shared", "-fPIC", "-fvisibility=hidden"]
        .into_iter()
        .map(OsStr::new)
        .chain(args.iter().map(AsRef::as_ref))
        .collect();
    build(Language::C99, sources, env::consts::DLL_SUFFIX, &all)
}

/// Writes a source text to a file of the cache.
pub fn source_file(text: &str, stem: &str) -> PathBuf {
    let path = cache_dir().join(format!("{stem}-{:016x}.c", fingerprint(&text)));
    if fs::read_to_string(&path).ok().as_deref() != Some(text) {
        write_whole(&path, |part| {
            fs::write(part, text).expect("the target folder can be written to")
        });
    }
    path
}

/// Compiles unless the same sources were compiled with the same arguments and headers before.
fn build(
    language: Language,
    sources: &[PathBuf],
    suffix: &str,
    args: &[impl AsRef<OsStr>],
) -> PathBuf {
    let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
    let text =
        |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut headers = headers_in(&include_dir());
    if language.is_cxx() {
        headers.extend(headers_in(&include_dir().join("sam_mm")));
    }
    let texts: Vec<_> = sources.iter().map(|source| text(source)).collect();
    let local = local_headers(sources);
    let key = fingerprint(&(language.standard(), texts, headers, local, &args));
    let stem = sources[0].file_stem().expect("a file").to_string_lossy();
    let target = cache_dir().join(format!("{stem}-{key:016x}{suffix}"));
    if !target.exists() {
        write_whole(&target, |part| {
            let mut command = language.compiler();
            command
                .args([language.standard(), "-g", "-O1"])
                .args(WARNINGS)
                .arg("-I")
                .arg(include_dir());
            command
                .arg("-o")
                .arg(part)
                .args(sources)
                .args(&args)
                .arg("-lm");
            succeed(&mut command);
        });
    }
    target
}

/// The headers that lie beside the sources.
fn local_headers(sources: &[PathBuf]) -> Vec<Vec<u8>> {
    let folders = sources.iter().filter_map(|source| source.parent());
    let unique: std::collections::BTreeSet<&Path> = folders.collect();
    unique.into_iter().flat_map(headers_in).collect()
}

/// The texts of the headers in a folder.
fn headers_in(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).expect("a folder with sources can be read");
    let mut headers: Vec<PathBuf> = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "h" || extension == "hpp")
        })
        .collect();
    headers.sort();
    headers
        .iter()
        .map(|path| fs::read(path).expect("a header can be read"))
        .collect()
}

/// Tests run at once, in threads and in processes: a file appears whole or not at all.
fn write_whole(path: &Path, write: impl FnOnce(&Path)) {
    let thread = format!("{:?}", std::thread::current().id());
    let part = path.with_extension(format!("{}-{}.part", process::id(), fingerprint(&thread)));
    write(&part);
    fs::rename(&part, path).expect("the target folder can be written to");
}

fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn succeed(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("no compiler ({command:?}): {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
