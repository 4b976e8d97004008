//! Writes the C headers from the Rust sources, and names the shared library for the dynamic loader.
//!
//! Headers are made into `OUT_DIR` and, where they differ, copied into `include/`, which is committed: a change of the
//! API shows in the diff, and one that was not committed fails the drift check. A tree that cannot be written to (an
//! unpacked package) is left alone.

use std::path::{Path, PathBuf};
use std::{env, fs};

const SAM_MM_H: &str = "\
/* sam-mm: interactive Segment Anything that stays inside its memory budget.
 *
 * Errors    Functions return a status, SAM_MM_OK (0) or SAM_MM_ERR_...; the last argument, which may be NULL, receives
 *           an error with words, to be freed with sam_mm_error_free.
 * Outputs   come last, are cleared on entry and written on success only.
 * Structs   start with struct_size. sam_mm_..._init(&s, sizeof s) fills one with its defaults; for one that a function
 *           fills, set struct_size alone.
 * Handles   are keys, not addresses: NULL, freed or foreign ones are refused. Free them in any order.
 * Borrowed  text and arrays are valid until the object they were asked from is freed.
 * Threads   [any thread]: from any thread, also at once on the same handle. [callback]: a function of yours.
 * Pixels    are those of the original image: (0, 0) is the outer corner of the first, (width, height) of the last.
 *
 * The whole contract is docs/abi.md. Generated from src/capi; do not edit. */";

const SAM_MM_BACKEND_H: &str = "\
/* sam-mm: the border between the library and its backend plugins. For authors of backends; callers of the library
 * include sam_mm.h. The whole contract is docs/backends.md. Generated from crates/backend-abi; do not edit. */";

const BACKEND_QUERY: &str = "\
#if defined(_WIN32)
#define SAM_MM_BACKEND_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define SAM_MM_BACKEND_EXPORT __attribute__((visibility(\"default\")))
#else
#define SAM_MM_BACKEND_EXPORT
#endif

#ifdef __cplusplus
extern \"C\" {
#endif
/** What every plugin defines; see sam_mm_backend_query_fn. */
SAM_MM_BACKEND_EXPORT int32_t sam_mm_backend_query(uint32_t host_abi, const sam_mm_host *host,
                                                   const sam_mm_backend **out, sam_mm_backend_error *error);
#ifdef __cplusplus
}
#endif";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let capi = root.join("src/capi");
    let abi = root.join("crates/backend-abi/src/abi.rs");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", capi.display());
    println!("cargo:rerun-if-changed={}", abi.display());
    println!("cargo:rerun-if-changed={}", root.join("include").display());

    // The order of the header: what comes first is what a reader needs first.
    let sections = [
        "status", "version", "error", "log", "context", "memory", "model", "image", "predict",
        "result",
    ];
    let sources: Vec<PathBuf> = sections
        .iter()
        .map(|name| capi.join(format!("{name}.rs")))
        .collect();
    generate(&root, "sam_mm.h", "SAM_MM_H", SAM_MM_H, &sources, "");
    generate(
        &root,
        "sam_mm_backend.h",
        "SAM_MM_BACKEND_H",
        SAM_MM_BACKEND_H,
        &[abi],
        BACKEND_QUERY,
    );
}

fn generate(root: &Path, name: &str, guard: &str, chapter: &str, sources: &[PathBuf], after: &str) {
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(chapter.to_owned()),
        include_guard: Some(guard.to_owned()),
        cpp_compat: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        line_length: 120,
        style: cbindgen::Style::Both,
        // The table of a backend is what everything else hangs from.
        export: cbindgen::ExportConfig {
            include: vec!["sam_mm_backend_query_fn".to_owned()],
            ..Default::default()
        },
        sort_by: cbindgen::SortKey::None,
        ..cbindgen::Config::default()
    };
    let builder = sources.iter().fold(
        cbindgen::Builder::new().with_config(config),
        |builder, source| builder.with_src(source),
    );
    let bindings = match builder.generate() {
        Ok(bindings) => bindings,
        Err(error) => panic!("cannot make {name}: {error}"),
    };
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = tidy(&String::from_utf8(text).expect("cbindgen writes UTF-8"));
    let text = match text.rsplit_once("#endif  /* ") {
        Some((before, last)) if !after.is_empty() => {
            format!("{before}{after}\n\n#endif  /* {last}")
        }
        _ => text,
    };
    let made = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join(name);
    fs::write(&made, &text).expect("OUT_DIR is writable");
    let committed = root.join("include").join(name);
    if fs::read_to_string(&committed).is_ok_and(|present| present == text) {
        return;
    }
    if let Err(error) =
        fs::create_dir_all(root.join("include")).and_then(|()| fs::write(&committed, &text))
    {
        println!(
            "cargo:warning={} is out of date and cannot be written: {error}",
            committed.display()
        );
    }
}

/// Leaves out what only readers of the Rust source need (the `# Safety` sections), and gives short comments one line.
fn tidy(text: &str) -> String {
    let mut lines = Vec::new();
    let mut comment: Option<Vec<&str>> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        match &mut comment {
            None if trimmed == "/**" => comment = Some(Vec::new()),
            // The typedefs are there; `struct` before every use only lengthens the lines.
            None if line.starts_with("typedef struct") => lines.push(line.to_owned()),
            None => lines.push(line.replace("struct sam_mm_", "sam_mm_")),
            Some(words) if trimmed != "*/" => {
                words.push(trimmed.trim_start_matches('*').trim_start())
            }
            Some(words) => {
                let end = words
                    .iter()
                    .position(|&words| words == "# Safety")
                    .unwrap_or(words.len());
                let kept = &words[..end];
                let kept = &kept[..kept
                    .iter()
                    .rposition(|words| !words.is_empty())
                    .map_or(0, |last| last + 1)];
                let indent = " ".repeat(line.len() - line.trim_start().len() - 1);
                match kept {
                    [only] if indent.len() + only.len() <= 112 => {
                        lines.push(format!("{indent}/** {only} */"))
                    }
                    _ => {
                        lines.push(format!("{indent}/**"));
                        lines.extend(
                            kept.iter()
                                .map(|words| format!("{indent} * {words}").trim_end().to_owned()),
                        );
                        lines.push(format!("{indent} */"));
                    }
                }
                comment = None;
            }
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
