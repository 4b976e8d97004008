//! Links between the project's own pages: files that must be there, headings that must exist.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What is wrong with the links of these pages, a line each. Links that leave the project are not looked at.
pub fn broken(pages: &[PathBuf], root: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let mut known: BTreeMap<PathBuf, HashSet<String>> = BTreeMap::new();
    for page in pages {
        let text = read(page)?;
        for link in links(&text) {
            if let Some(reason) = check(page, &link, &mut known)? {
                let shown = page.strip_prefix(root).unwrap_or(page);
                broken.push(format!("{}: {link}: {reason}", shown.display()));
            }
        }
    }
    Ok(broken)
}

fn read(page: &Path) -> Result<String> {
    fs::read_to_string(page).with_context(|| format!("{} cannot be read", page.display()))
}

/// Where the links and pictures of a page lead, in its order.
pub fn links(text: &str) -> Vec<String> {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES);
    let destinations = parser.filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.to_string())
        }
        _ => None,
    });
    destinations.collect()
}

/// Whether a link leads to a file of the project, rather than away or to another part of its page.
pub fn is_local(link: &str) -> bool {
    !link.contains("://") && !link.starts_with("mailto:")
}

fn check(
    page: &Path,
    link: &str,
    known: &mut BTreeMap<PathBuf, HashSet<String>>,
) -> Result<Option<String>> {
    if !is_local(link) {
        return Ok(None);
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        _ => resolved(page.parent().unwrap_or(Path::new("")), file),
    };
    if !target.exists() {
        return Ok(Some("there is no such file".to_owned()));
    }
    if anchor.is_empty() {
        return Ok(None);
    }
    if target.extension().is_none_or(|extension| extension != "md") {
        return Ok(Some("only pages have headings".to_owned()));
    }
    if !known.contains_key(&target) {
        known.insert(target.clone(), anchors(&read(&target)?));
    }
    let found = known[&target].contains(anchor);
    Ok((!found).then(|| "the page has no such heading".to_owned()))
}

/// A path without `..` and `.`, as far as the text alone tells.
fn resolved(folder: &Path, file: &str) -> PathBuf {
    let mut out = PathBuf::new();
    for component in folder.join(file).components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// What the headings of a page are called in links, by the rule of mdBook and GitHub: lower case, spaces as hyphens, no other
/// signs; the second of a name gets `-1`.
fn anchors(text: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let name = anchor(&heading.take().unwrap_or_default());
                let free = (0u32..)
                    .map(|n| {
                        if n == 0 {
                            name.clone()
                        } else {
                            format!("{name}-{n}")
                        }
                    })
                    .find(|name| !anchors.contains(name));
                anchors.extend(free);
            }
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let signs = heading.trim().chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    signs.collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_in(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("docs")).unwrap();
        fs::write(
            root.join("docs/other.md"),
            "# The `other` page, of two\n\n## Same\n\n## Same\n",
        )
        .unwrap();
        fs::write(root.join("file.c"), "").unwrap();
        let page = root.join("docs/page.md");
        fs::write(&page, text).unwrap();
        broken(&[page], &root).unwrap()
    }

    #[test]
    fn links_to_files_and_headings_that_are_there_are_fine() {
        let text = "# Here\n\n[a](other.md) [b](other.md#the-other-page-of-two) [c](other.md#same-1) [d](../file.c) \
                    [e](#here) [f](https://example.org/x) `[g](none.md)`\n\n```\n[h](none.md)\n```\n";
        assert_eq!(broken_in(text), [""; 0]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told_with_its_page() {
        let found = broken_in(
            "[a](none.md), [b](other.md#none), ![c](none.png) [d](../file.c#none) [e](#none)\n",
        );
        assert_eq!(
            found,
            [
                "docs/page.md: none.md: there is no such file",
                "docs/page.md: other.md#none: the page has no such heading",
                "docs/page.md: none.png: there is no such file",
                "docs/page.md: ../file.c#none: only pages have headings",
                "docs/page.md: #none: the page has no such heading",
            ]
        );
    }
}
