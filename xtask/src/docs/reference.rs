//! Pages of the C API, from the header: one for each of its sections.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::header::{Item, Kind, Section};

/// A page of the book.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub title: String,
    /// Beside the other pages of the reference.
    pub file: String,
    pub text: String,
}

/// The page that lists the others, and theirs.
pub fn pages(sections: &[Section]) -> (String, Vec<Page>) {
    let places = places(sections);
    let pages: Vec<Page> = sections[1..]
        .iter()
        .map(|section| page(section, &places))
        .collect();
    let mut index = String::from("# C API\n\nGenerated from `include/sam_mm.h`. ");
    index.push_str("[The C contract](../abi.md) has what is true of all of it.\n\n");
    index.push_str("```text\n");
    for line in &sections[0].comment {
        writeln!(index, "{line}").expect("text can be written to");
    }
    index.push_str("```\n\n| | |\n|---|---|\n");
    for (page, section) in pages.iter().zip(&sections[1..]) {
        let names: Vec<String> = section
            .items
            .iter()
            .filter(|item| matches!(item.kind, Kind::Function | Kind::Handle))
            .map(|item| format!("[`{0}`]({1}#{0})", item.name, page.file))
            .collect();
        writeln!(
            index,
            "| [{}]({}) | {} |",
            page.title,
            page.file,
            names.join(" · ")
        )
        .expect("text can be written to");
    }
    (index, pages)
}

/// Where each name is explained.
fn places(sections: &[Section]) -> BTreeMap<String, String> {
    let mut places = BTreeMap::new();
    for section in &sections[1..] {
        let file = file(section);
        for item in &section.items {
            let anchor = match item.kind {
                Kind::Constant { .. } => "constants",
                _ => &item.name,
            };
            places.insert(item.name.clone(), format!("{file}#{anchor}"));
        }
    }
    places
}

/// What a section is called: its comment up to the first colon, comma or full stop.
fn title(section: &Section) -> String {
    let comment = section.comment.join(" ");
    let end = comment.find([':', ',', '.']).unwrap_or(comment.len());
    comment[..end].to_owned()
}

fn file(section: &Section) -> String {
    let words: Vec<String> = title(section)
        .split_whitespace()
        .map(|word| {
            word.chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .to_lowercase()
        })
        .filter(|word: &String| !word.is_empty())
        .collect();
    format!("{}.md", words.join("-"))
}

fn page(section: &Section, places: &BTreeMap<String, String>) -> Page {
    let title = title(section);
    let mut text = format!(
        "# {title}\n\n{}\n",
        linked(&section.comment.join(" "), places)
    );
    let constants: Vec<&Item> = section
        .items
        .iter()
        .filter(|item| matches!(item.kind, Kind::Constant { .. }))
        .collect();
    if !constants.is_empty() {
        text.push_str("\n## Constants\n\n| | | |\n|---|---|---|\n");
        for item in constants {
            let Kind::Constant { value } = &item.kind else {
                continue;
            };
            let comment = cell(&linked(&item.comment.join(" "), places));
            writeln!(text, "| `{}` | {value} | {comment} |", item.name)
                .expect("text can be written to");
        }
    }
    for item in &section.items {
        if !matches!(item.kind, Kind::Constant { .. }) {
            declared(item, places, &mut text);
        }
    }
    Page {
        title,
        file: file(section),
        text,
    }
}

fn declared(item: &Item, places: &BTreeMap<String, String>, text: &mut String) {
    write!(
        text,
        "\n## {}\n\n```c\n{}\n```\n",
        item.name, item.declaration
    )
    .expect("text can be written to");
    for paragraph in &item.comment {
        let paragraph = linked(paragraph, places);
        // What follows "Requires:" is the caller's side of an unsafe call.
        let paragraph = match paragraph.strip_prefix("Requires: ") {
            Some(rest) => format!("*Requires:* {rest}"),
            None => paragraph,
        };
        write!(text, "\n{paragraph}\n").expect("text can be written to");
    }
    if let Kind::Struct { fields } = &item.kind {
        text.push_str("\n| | |\n|---|---|\n");
        for field in fields {
            let comment = cell(&linked(&field.comment, places));
            writeln!(text, "| `{}` | {comment} |", field.declaration)
                .expect("text can be written to");
        }
    }
}

/// In a table a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Names in backticks that are explained somewhere become links there, and pages that are named become links to them.
fn linked(text: &str, places: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 0 {
            out.push_str(&pages_linked(part));
            continue;
        }
        // `sam_mm_options.memory`, `sam_mm_prompt_init(&p, …)`: the name is what comes first.
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        match places.get(&part[..end.unwrap_or(part.len())]) {
            Some(place) => write!(out, "[`{part}`]({place})").expect("text can be written to"),
            None => write!(out, "`{part}`").expect("text can be written to"),
        }
    }
    out
}

fn pages_linked(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let name = word.trim_end_matches(['.', ',', ')', ';', ':']);
        match name.trim_start_matches('(').strip_prefix("docs/") {
            Some(page) if page.ends_with(".md") => word.replace(
                &format!("docs/{page}"),
                &format!("[docs/{page}](../{page})"),
            ),
            _ => word.to_owned(),
        }
    });
    // A `<` that is no code would begin HTML.
    words.collect::<Vec<_>>().join(" ").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::*;

    const HEADER: &str = "\
/* ====
 * All.
 * ==== */

/* ====
 * Things, and how they are made.
 * ==== */

/** At most a | b; see `sam_make` and docs/abi.md. */
#define SAM_MOST 3

/**
 * Makes one with x < `SAM_MOST`.
 *
 * Requires:
 * nothing.
 */
int32_t sam_make(void);
";

    #[test]
    fn names_lead_to_where_they_are_explained() {
        let (index, pages) = pages(&header::read(HEADER).unwrap());
        assert!(
            index.contains("[`sam_make`](things.md#sam_make)"),
            "{index}"
        );
        let page = &pages[0];
        assert_eq!((&*page.title, &*page.file), ("Things", "things.md"));
        let text = &page.text;
        assert!(
            text.contains("At most a \\| b; see [`sam_make`](things.md#sam_make)"),
            "{text}"
        );
        assert!(text.contains("[docs/abi.md](../abi.md)"), "{text}");
        assert!(
            text.contains("x &lt; [`SAM_MOST`](things.md#constants)"),
            "{text}"
        );
        assert!(text.contains("*Requires:* nothing."), "{text}");
        assert!(
            text.contains("## sam_make\n\n```c\nint32_t sam_make(void);\n```"),
            "{text}"
        );
    }
}
