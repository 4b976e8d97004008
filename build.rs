//! Generates the C headers from the Rust sources that define them, and names the shared library.
//!
//! `include/sam_mm.h` has one section per public module of `src/capi/`; `include/sam_mm_backend.h` is
//! `crates/backend-abi/src/abi.rs`. The headers are committed: the build rewrites one
//! that differs, so that `git diff` shows it, and goes on with the committed one where the tree is read-only.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Number behind the soname. It changes when a program compiled against an older header can no longer run.
const SOVERSION: u32 = 0;

const CAPI: &str = "src/capi";
/// The sections of `sam_mm.h` in the order a newcomer reads them, which also puts types before their use. A module that
/// is not named here comes last.
const SECTIONS: [&str; 19] = [
    "version",
    "status",
    "error",
    "log",
    "memory_options",
    "context",
    "memory",
    "memory_events",
    "memory_report",
    "image",
    "display",
    "model",
    "predict",
    "result",
    "everything",
    "job",
    "progress",
    "prefetch",
    "cache",
];

const BACKEND_ABI: &str = "crates/backend-abi/src/abi.rs";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={CAPI}");
    println!("cargo:rerun-if-changed={BACKEND_ABI}");
    println!("cargo:rerun-if-changed=include");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for (name, header) in [
        ("sam_mm.h", api_header(&root)?),
        ("sam_mm_backend.h", backend_header(&root)?),
    ] {
        // A source package without its workspace has the committed headers only.
        if let Some(text) = header {
            fs::write(out.join(name), &text)?;
            update(&root.join("include").join(name), &text);
        }
    }
    name_library(&out)
}

fn api_header(root: &Path) -> Result<Option<String>, Box<dyn Error>> {
    let Some(source) = read_source(&root.join(CAPI).join("mod.rs"))? else {
        return Ok(None);
    };
    let mut modules: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    modules.sort_by_key(|module| {
        SECTIONS
            .iter()
            .position(|section| section == module)
            .unwrap_or(SECTIONS.len())
    });
    let mut handles = String::new();
    let mut sections = String::new();
    for module in modules {
        let path = root.join(CAPI).join(format!("{module}.rs"));
        let Some(source) = read_source(&path)? else {
            continue;
        };
        let (opaque, rest) = split_handles(&declarations(&path, &source)?);
        handles.push_str(&opaque);
        if !rest.trim().is_empty() {
            sections.push_str(&format!(
                "\n{}\n{}\n",
                boxed_comment(&module_comment(&source)),
                rest.trim_matches('\n')
            ));
        }
    }
    let body = format!("{}\n{handles}{sections}", boxed_comment(&["Handles."]));
    Ok((!sections.is_empty()).then(|| wrap("SAM_MM_H", &module_comment(&source), &body)))
}

/// Takes the opaque types, with their comments, out of a file's declarations: sections use each other's.
fn split_handles(declarations: &str) -> (String, String) {
    let is_handle = |paragraph: &&str| {
        let last = paragraph.lines().last().unwrap_or("");
        last.starts_with("typedef struct ") && last.ends_with(';')
    };
    let (handles, rest): (Vec<&str>, Vec<&str>) = declarations.split("\n\n").partition(is_handle);
    (
        handles
            .iter()
            .map(|handle| format!("{}\n\n", handle.trim_matches('\n')))
            .collect(),
        rest.join("\n\n"),
    )
}

fn backend_header(root: &Path) -> Result<Option<String>, Box<dyn Error>> {
    let path = root.join(BACKEND_ABI);
    let Some(source) = read_source(&path)? else {
        return Ok(None);
    };
    let body = declarations(&path, &source)? + QUERY_PROTOTYPE;
    Ok(Some(wrap(
        "SAM_MM_BACKEND_H",
        &module_comment(&source),
        &body,
    )))
}

/// The function itself lives in the plugins, so no Rust source of the library has it.
const QUERY_PROTOTYPE: &str = r#"
/**
 * Marks the one function that a plugin exports.
 */
#if defined(_WIN32)
#define SAM_MM_BACKEND_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define SAM_MM_BACKEND_EXPORT __attribute__((visibility("default")))
#else
#define SAM_MM_BACKEND_EXPORT
#endif

/**
 * The function that a plugin defines; see `sam_mm_backend_query_fn`.
 */
SAM_MM_BACKEND_EXPORT int32_t sam_mm_backend_query(uint32_t host_abi,
                                                   const sam_mm_host *host,
                                                   const sam_mm_backend **out,
                                                   sam_mm_backend_error *error);
"#;

fn read_source(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What one source file declares for C, in its order: constants, types, functions.
fn declarations(path: &Path, source: &str) -> Result<String, Box<dyn Error>> {
    let items = |keywords: &[&str]| -> Vec<String> {
        let public = source.lines().filter_map(|line| {
            let rest = line.strip_prefix("pub ")?;
            keywords
                .iter()
                .find_map(|keyword| rest.strip_prefix(keyword))
        });
        public
            .map(|rest| {
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect()
            })
            .collect()
    };
    let types = items(&["struct ", "union ", "type "]);
    let (types, foreign): (Vec<_>, Vec<_>) =
        types.into_iter().partition(|name| name.starts_with("sam_"));
    let constants = items(&["const "])
        .into_iter()
        .filter(|name| !name.starts_with("SAM_MM_"));
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        style: cbindgen::Style::Both,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        no_includes: true,
        line_length: 120,
        export: cbindgen::ExportConfig {
            include: types,
            exclude: foreign.into_iter().chain(constants).collect(),
            ..Default::default()
        },
        ..Default::default()
    };
    let mut text = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(path)
        .generate()?
        .write(&mut text);
    Ok(for_c_readers(
        &(text_constants(source) + &String::from_utf8(text)?),
    ))
}

/// Constants that are texts, which cbindgen leaves out.
fn text_constants(source: &str) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let declared = line
            .strip_prefix("pub const SAM_MM_")
            .and_then(|rest| rest.split_once(": &str = "));
        let Some((name, value)) = declared else {
            continue;
        };
        let comments = lines[..index]
            .iter()
            .rev()
            .map_while(|line| line.strip_prefix("///"));
        let comment: Vec<&str> = comments.collect();
        let comment: String = comment
            .iter()
            .rev()
            .map(|line| format!(" *{line}\n"))
            .collect();
        out.push_str(&format!(
            "/**\n{comment} */\n#define SAM_MM_{name} {}\n\n",
            value.trim_end_matches(';')
        ));
    }
    out
}

/// Doc comments are written for rustdoc, whose heading for unsafe functions means nothing in C; a comment of one line
/// stands on one line; and types are named alike everywhere.
fn for_c_readers(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        let indent = &line[..line.len() - line.trim_start().len()];
        match (line.trim(), lines.get(index + 1..index + 3)) {
            ("/**", Some([only, end])) if end.trim() == "*/" => {
                let words = only.trim().trim_start_matches('*').trim();
                out.push_str(&format!("{indent}/** {words} */\n"));
                index += 3;
                continue;
            }
            ("* # Safety", _) => out.push_str(&format!("{indent}* Requires:\n")),
            // cbindgen writes the tag only where it has seen the type.
            _ if !line.starts_with("typedef struct ") => {
                out.push_str(&(line.replace("struct sam_", "sam_") + "\n"))
            }
            _ => out.push_str(&format!("{line}\n")),
        }
        index += 1;
    }
    out
}

/// The `//!` lines at the head of a file.
fn module_comment(source: &str) -> Vec<&str> {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect()
}

fn boxed_comment(lines: &[&str]) -> String {
    let rule = "=".repeat(76);
    let body: String = lines
        .iter()
        .map(|line| format!(" * {line}").trim_end().to_owned() + "\n")
        .collect();
    format!("/* {rule}\n{body} * {rule} */\n")
}

fn wrap(guard: &str, comment: &[&str], body: &str) -> String {
    let body = collapse_blank_lines(body);
    format!(
        "{}/* Generated by build.rs from the Rust sources; changes belong there. */\n\n\
         #ifndef {guard}\n#define {guard}\n\n\
         #include <stddef.h>\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n\
         \n{}\n\
         #ifdef __cplusplus\n}}  /* extern \"C\" */\n#endif\n\n\
         #endif  /* {guard} */\n",
        boxed_comment(comment),
        body.trim_matches('\n').to_owned() + "\n",
    )
}

fn collapse_blank_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && out.ends_with("\n\n")) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Brings a committed header up to date. A tree that cannot be written to (a package in the registry cache) keeps what
/// it has.
fn update(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|committed| committed.replace("\r\n", "\n") == text) {
        return;
    }
    if let Err(error) = fs::write(path, text) {
        println!(
            "cargo:warning={} differs from the sources and cannot be written: {error}",
            path.display()
        );
    }
}

/// Gives the shared library its soname, and links the name that programs will look for to the file beside it.
fn name_library(out: &Path) -> Result<(), Box<dyn Error>> {
    // cargo-c turns this feature on, sets the soname by itself and installs the links.
    if env::var_os("CARGO_FEATURE_CAPI").is_some() {
        return Ok(());
    }
    match env::var("CARGO_CFG_TARGET_OS")?.as_str() {
        "linux" | "freebsd" | "netbsd" | "openbsd" | "dragonfly" => {
            let soname = format!("libsam_mm.so.{SOVERSION}");
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
            // <profile>/build/<package>/out: the library will lie in <profile>.
            #[cfg(unix)]
            if let Some(profile) = out.ancestors().nth(3) {
                let _ = std::os::unix::fs::symlink("libsam_mm.so", profile.join(soname));
            }
        }
        "macos" => println!(
            "cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libsam_mm.{SOVERSION}.dylib"
        ),
        _ => {}
    }
    let _ = out;
    Ok(())
}
