//! `cargo xtask docs`: checks the links of all pages and makes the book of `docs/`, with the C API from the header.

mod header;
mod links;
mod mdbook;
mod reference;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::paths;

/// Pages that other pages link to as they stand in the project, not in the book.
const PAGES_OUTSIDE: [&str; 2] = ["README.md", "CONTRIBUTING.md"];

pub fn run() -> Result<()> {
    let root = paths::root();
    let staged = root.join("target/docs/src");
    let pages = stage(&root, &staged)?;
    check_links(&root, &pages)?;
    let book = mdbook::build(&root.join("target/docs"))?;
    println!("the book is in {}", book.join("index.html").display());
    Ok(())
}

/// Puts what the book is made from into `staged`: the pages of `docs/`, the reference, and files that pages link to.
fn stage(root: &Path, staged: &Path) -> Result<Vec<PathBuf>> {
    if staged.exists() {
        fs::remove_dir_all(staged)?;
    }
    let docs = root.join("docs");
    copy_folder(&docs, staged)?;
    fs::rename(staged.join("book.toml"), root.join("target/docs/book.toml"))?;
    let header = fs::read_to_string(root.join("include/sam_mm.h"))?;
    let (index, pages) = reference::pages(&header::read(&header)?);
    let folder = staged.join("reference");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("index.md"), index)?;
    for page in &pages {
        fs::write(folder.join(&page.file), &page.text)?;
    }
    list_reference(&staged.join("SUMMARY.md"), &pages)?;
    let every = markdown_in(staged)?;
    for page in &every {
        bring_linked_files(root, staged, page)?;
    }
    check_summary(staged, &every)?;
    Ok(every)
}

/// Adds the pages of the reference to the book's table of contents, under the one that lists them.
fn list_reference(summary: &Path, pages: &[reference::Page]) -> Result<()> {
    let text = fs::read_to_string(summary)?;
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(line);
        out.push('\n');
        if line.contains("(reference/index.md)") {
            for page in pages {
                out.push_str(&format!("  - [{}](reference/{})\n", page.title, page.file));
            }
        }
    }
    ensure!(
        out.len() > text.len() + 1,
        "docs/SUMMARY.md does not list reference/index.md"
    );
    Ok(fs::write(summary, out)?)
}

/// A page that is in no table of contents is not in the book.
fn check_summary(staged: &Path, pages: &[PathBuf]) -> Result<()> {
    let listed = links::links(&fs::read_to_string(staged.join("SUMMARY.md"))?);
    for page in pages {
        let name = page
            .strip_prefix(staged)?
            .to_string_lossy()
            .replace('\\', "/");
        ensure!(
            name == "SUMMARY.md" || listed.contains(&name),
            "docs/{name} is not in the book: list it in docs/SUMMARY.md"
        );
    }
    Ok(())
}

/// Copies files outside of `docs/` that a page links to into `project/` of the book, and has the link lead there.
fn bring_linked_files(root: &Path, staged: &Path, page: &Path) -> Result<()> {
    let mut text = fs::read_to_string(page)?;
    for link in links::links(&text) {
        let Some(outside) = link
            .strip_prefix("../")
            .filter(|link| !link.starts_with("../"))
        else {
            continue;
        };
        let depth = page.strip_prefix(staged)?.components().count();
        if depth > 1 {
            continue; // within the book
        }
        let file = outside.split('#').next().unwrap_or_default();
        let from = root.join(file);
        ensure!(
            from.exists(),
            "{}: {link}: there is no such file",
            page.display()
        );
        if from.is_dir() {
            bail!(
                "{}: {link} is a folder, which a book cannot show; link to a file",
                page.display()
            );
        }
        // mdBook copies all files but pages.
        let shown = if file.ends_with(".md") {
            format!("{file}.txt")
        } else {
            file.to_owned()
        };
        let to = staged.join("project").join(&shown);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(&from, &to)?;
        text = text.replace(&format!("]({link})"), &format!("](project/{shown})"));
    }
    Ok(fs::write(page, text)?)
}

fn check_links(root: &Path, staged: &[PathBuf]) -> Result<()> {
    let mut pages: Vec<PathBuf> = PAGES_OUTSIDE.iter().map(|page| root.join(page)).collect();
    for folder in ["bindings", "models", "tools", "tests", "plugins", "crates"] {
        pages.extend(markdown_in(&root.join(folder))?);
    }
    // Those of docs/ are looked at where the reference is beside them.
    pages.extend_from_slice(staged);
    let broken = links::broken(&pages, root)?;
    ensure!(
        broken.is_empty(),
        "links that lead nowhere:\n  {}",
        broken.join("\n  ")
    );
    println!("{} pages, all links lead somewhere", pages.len());
    Ok(())
}

/// Every page in a folder that git could know of.
fn markdown_in(folder: &Path) -> Result<Vec<PathBuf>> {
    const MADE: [&str; 6] = [
        "target",
        "node_modules",
        "bin",
        "obj",
        "__pycache__",
        ".pytest_cache",
    ];
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() {
            if !MADE.contains(&name) {
                found.extend(markdown_in(&path)?);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
