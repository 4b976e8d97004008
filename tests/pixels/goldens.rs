//! What the official code made of the drawings: `tools/make_pixel_goldens.py`.

use serde_json::Value;

/// The entries of a section of `goldens.json`; there is at least one.
pub fn section(name: &str) -> Vec<Value> {
    let goldens: Value = serde_json::from_str(include_str!("goldens.json")).unwrap();
    let entries = goldens[name].as_array().unwrap().clone();
    assert!(!entries.is_empty());
    entries
}

/// A whole number of an entry.
pub fn number(entry: &Value, key: &str) -> u32 {
    entry[key].as_u64().unwrap().try_into().unwrap()
}

/// A text of an entry.
pub fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap()
}

/// A list of whole numbers of an entry.
pub fn numbers(entry: &Value, key: &str) -> Vec<u32> {
    serde_json::from_value(entry[key].clone()).unwrap()
}
