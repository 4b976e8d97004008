//! Finds the dictionary of tensors among the objects of a pickle.

use super::pickle::{Object, Objects, TensorObject, Value};
use crate::error::{Problem, listed, shown};

/// Keys under which training code keeps the weights, in the order they are tried: plain wrappers, Lightning, SAM 2
/// (`model`), micro-sam (`model_state`).
const WRAPPERS: [&str; 8] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "network",
    "net",
    "sam",
];
/// Entries that are searched for a dictionary of tensors under a key that is not known.
const MAX_SEARCHED: usize = 64;
/// Wrappers inside wrappers that are opened.
const MAX_DEPTH: usize = 4;

type Named<'o, 'p> = Vec<(&'p str, &'o TensorObject<'p>)>;

/// The tensors of the state dict, by name.
pub(super) fn find<'o, 'p>(objects: &'o Objects<'p>) -> Result<Named<'o, 'p>, Problem> {
    let mut value = objects.root();
    let mut path = Vec::new();
    for _ in 0..MAX_DEPTH {
        let Some(entries) = dictionary(objects, value) else {
            break;
        };
        let wrapped = WRAPPERS
            .iter()
            .find_map(|wrapper| Some((*wrapper, entry(&entries, wrapper)?)))
            .filter(|(_, inner)| dictionary(objects, *inner).is_some());
        let tensors = tensors(objects, &entries);
        match wrapped.or_else(|| only_dictionary(objects, &entries).filter(|_| tensors.is_empty()))
        {
            Some((key, inner)) => {
                path.push(key);
                value = inner;
            }
            None if tensors.is_empty() => break,
            None => return Ok(tensors),
        }
    }
    Err(Problem::NoStateDict(nothing_found(objects, value, &path)))
}

fn dictionary<'p>(objects: &Objects<'p>, value: Value<'p>) -> Option<Vec<(&'p str, Value<'p>)>> {
    let Object::Dict(pairs) = objects.get(value)? else {
        return None;
    };
    let named = |&(key, value): &(Value<'p>, Value<'p>)| match key {
        Value::Str(key) => Some((key, value)),
        _ => None,
    };
    Some(pairs.iter().filter_map(named).collect())
}

fn entry<'p>(entries: &[(&'p str, Value<'p>)], key: &str) -> Option<Value<'p>> {
    let found = entries.iter().rev().find(|(name, _)| *name == key);
    found.map(|(_, value)| *value)
}

fn tensors<'o, 'p>(objects: &'o Objects<'p>, entries: &[(&'p str, Value<'p>)]) -> Named<'o, 'p> {
    let tensor = |&(name, value): &(&'p str, Value<'p>)| match objects.get(value) {
        Some(Object::Tensor(tensor)) => Some((name, tensor)),
        _ => None,
    };
    entries.iter().filter_map(tensor).collect()
}

fn is_tensor<'p>(objects: &Objects<'p>, value: Value<'p>) -> bool {
    matches!(objects.get(value), Some(Object::Tensor(_)))
}

/// The one entry that is a dictionary with tensors in it, under whatever key.
fn only_dictionary<'p>(
    objects: &Objects<'p>,
    entries: &[(&'p str, Value<'p>)],
) -> Option<(&'p str, Value<'p>)> {
    let holds_tensors = |&&(_, value): &&(&'p str, Value<'p>)| match objects.get(value) {
        Some(Object::Dict(pairs)) => pairs.iter().any(|(_, value)| is_tensor(objects, *value)),
        _ => false,
    };
    let mut found = entries.iter().take(MAX_SEARCHED).filter(holds_tensors);
    match (found.next(), found.next()) {
        (Some(&only), None) => Some(only),
        _ => None,
    }
}

fn nothing_found<'p>(objects: &Objects<'p>, value: Value<'p>, path: &[&str]) -> String {
    let place = match path {
        [] => String::new(),
        path => format!(" under `{}`", shown(&path.join("."))),
    };
    let advice = "save the weights in Python with torch.save(model.state_dict(), path)";
    match dictionary(objects, value) {
        Some(entries) if !entries.is_empty() => {
            let keys = listed(entries.iter().map(|(key, _)| format!("`{}`", shown(key))));
            format!("holds no dictionary of tensors, or several{place} ({keys}): {advice}")
        }
        _ => format!("holds no dictionary of tensors{place}: {advice}"),
    }
}
