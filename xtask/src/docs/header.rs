//! Reads a C header as build.rs writes it: boxed comments open sections, `/** … */` stands before what it is about.

use anyhow::{Result, bail};

/// A part of the header under one boxed comment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Its comment, without the box.
    pub comment: Vec<String>,
    pub items: Vec<Item>,
}

/// Something declared, with the comment before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub name: String,
    pub kind: Kind,
    /// Paragraphs, one line each.
    pub comment: Vec<String>,
    /// As it stands in the header, without comments.
    pub declaration: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    Constant { value: String },
    Handle,
    Struct { fields: Vec<Field> },
    Callback,
    Function,
}

/// A field of a struct.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Such as `const float *points`.
    pub declaration: String,
    /// In one line.
    pub comment: String,
}

/// The sections of a header; what stands before the first box is none.
pub fn read(text: &str) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("/* ===") {
            let box_lines = lines.by_ref().take_while(|line| !line.ends_with("*/"));
            let comment = box_lines.map(|line| unstarred(line).to_owned()).collect();
            sections.push(Section {
                comment,
                items: Vec::new(),
            });
        } else if line.starts_with("/**") {
            let comment = comment_from(line, &mut lines);
            let declaration = declaration_from(&mut lines)?;
            let Some(section) = sections.last_mut() else {
                bail!("{declaration:?} stands before the first section");
            };
            section.items.push(item(comment, &declaration)?);
        } else if line.starts_with("typedef") || line.starts_with("int32_t") {
            bail!("{line:?} has no comment before it");
        }
    }
    Ok(sections)
}

fn unstarred(line: &str) -> &str {
    let line = line.trim().trim_end_matches("*/").trim_start_matches('*');
    line.strip_prefix(' ').unwrap_or(line).trim_end()
}

/// The paragraphs of a comment that begins on `first`.
fn comment_from<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut text = vec![first.trim().trim_start_matches("/**").to_owned()];
    while !text.last().expect("it was begun").contains("*/") {
        match lines.next() {
            Some(line) => text.push(line.to_owned()),
            None => break,
        }
    }
    let mut paragraphs = vec![String::new()];
    for line in text.iter().map(|line| unstarred(line).trim().to_owned()) {
        let last = paragraphs.last_mut().expect("there is one");
        if line.is_empty() {
            paragraphs.push(String::new());
        } else if last.is_empty() {
            *last = line;
        } else {
            last.push(' ');
            last.push_str(&line);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// All lines of a declaration: one of a constant, else up to the semicolon that is in no braces.
fn declaration_from<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<String> {
    let mut declaration = String::new();
    let mut depth = 0i32;
    for line in lines {
        if line.trim().is_empty() && declaration.is_empty() {
            continue;
        }
        declaration.push_str(line);
        declaration.push('\n');
        if line.starts_with("#define") {
            return Ok(declaration);
        }
        // Comments hold braces and semicolons of their own.
        let code = line.trim_start();
        if !code.starts_with("/*") && !code.starts_with('*') {
            depth += code.matches('{').count() as i32 - code.matches('}').count() as i32;
            if depth == 0 && code.trim_end().ends_with(';') {
                return Ok(declaration);
            }
        }
    }
    bail!("a comment is followed by no declaration: {declaration:?}")
}

fn item(comment: Vec<String>, declaration: &str) -> Result<Item> {
    let words: Vec<&str> = declaration.split_whitespace().collect();
    let (name, kind) = match words.as_slice() {
        ["#define", name, value @ ..] => {
            let value = value.join(" ");
            (*name, Kind::Constant { value })
        }
        ["typedef", "struct", name, again] if again.trim_end_matches(';') == *name => {
            (*name, Kind::Handle)
        }
        ["typedef", "struct", name, "{", ..] => (
            *name,
            Kind::Struct {
                fields: fields(declaration)?,
            },
        ),
        ["typedef", ..] => match declaration
            .split_once("(*")
            .and_then(|(_, rest)| rest.split_once(')'))
        {
            Some((name, _)) => (name, Kind::Callback),
            None => bail!("a type of a form that is not known: {declaration:?}"),
        },
        _ => match declaration.split_once('(') {
            Some((before, _)) => (
                before.rsplit([' ', '*']).next().unwrap_or_default(),
                Kind::Function,
            ),
            None => bail!("a declaration of a form that is not known: {declaration:?}"),
        },
    };
    Ok(Item {
        name: name.to_owned(),
        kind,
        comment,
        declaration: without_comments(declaration),
    })
}

fn fields(declaration: &str) -> Result<Vec<Field>> {
    let mut lines = declaration.lines().skip(1);
    let mut fields = Vec::new();
    while let Some(line) = lines.next() {
        if !line.trim().starts_with("/**") {
            continue;
        }
        let comment = comment_from(line, &mut lines).join(" ");
        let mut declaration = String::new();
        for line in lines.by_ref() {
            declaration.push_str(line.trim());
            declaration.push(' ');
            if line.trim_end().ends_with(';') {
                break;
            }
        }
        let declaration = declaration.trim().trim_end_matches(';').to_owned();
        if declaration.is_empty() {
            bail!("a comment in a struct is followed by no field: {comment:?}");
        }
        fields.push(Field {
            declaration,
            comment,
        });
    }
    Ok(fields)
}

fn without_comments(declaration: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in declaration.lines() {
        let begins = line.trim_start().starts_with("/*");
        if !(inside || begins) {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        inside = (inside || begins) && !line.trim_end().ends_with("*/");
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
/* ====
 * All of it.
 * ==== */
#include <stdint.h>

/* ====
 * Things: how
 * they are made.
 * ==== */

/** A thing. */
typedef struct sam_thing sam_thing;

/** How many there are at most. */
#define SAM_MOST 3

/**
 * How it is made; see `SAM_MOST`.
 *
 * Two paragraphs.
 */
typedef struct sam_options {
  /** Its size. */
  uint32_t struct_size;
  /**
   * Where; in {braces};
   * over two lines.
   */
  const char *place;
} sam_options;

/** Hears of it. */
typedef void (*sam_fn)(void *user_data);

/**
 * Makes one. [any thread]
 *
 * Requires:
 * `thing` is valid.
 */
int32_t sam_thing_make(const sam_options *options,
                       sam_thing **thing);

/** Its name. */
const char *sam_thing_name(void);
";

    #[test]
    fn sections_hold_what_is_declared_under_their_box() {
        let sections = read(HEADER).unwrap();
        assert_eq!(sections.len(), 2);
        assert_eq!(sections[1].comment, ["Things: how", "they are made."]);
        let names: Vec<&str> = sections[1].items.iter().map(|item| &*item.name).collect();
        assert_eq!(
            names,
            [
                "sam_thing",
                "SAM_MOST",
                "sam_options",
                "sam_fn",
                "sam_thing_make",
                "sam_thing_name"
            ]
        );
    }

    #[test]
    fn a_struct_has_its_fields_with_their_comments() {
        let sections = read(HEADER).unwrap();
        let options = &sections[1].items[2];
        assert_eq!(options.comment.len(), 2);
        let Kind::Struct { fields } = &options.kind else {
            panic!("{options:?}");
        };
        assert_eq!(fields[1].declaration, "const char *place");
        assert_eq!(fields[1].comment, "Where; in {braces}; over two lines.");
        assert!(
            !options.declaration.contains("/*"),
            "{}",
            options.declaration
        );
    }

    #[test]
    fn a_function_without_a_comment_is_an_error() {
        let text = HEADER.replace("/** Its name. */\n", "");
        let text = text.replace("const char *sam_thing_name", "int32_t sam_thing_name");
        assert!(read(&text).unwrap_err().to_string().contains("no comment"));
    }
}
