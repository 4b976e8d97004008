//! The query: versions and the table.

use std::sync::LazyLock;

use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::layout::zeroed;

use super::{Finding, Kept, checks, ensure};
use crate::host::HOST;
use crate::raw::Table;
use crate::subject::Subject;

checks! { "query":
    "another major version is refused, in words" => other_major,
    "an earlier or later minor version is welcome" => other_minor,
    "a host or a place that is missing is refused" => missing_arguments,
    "the table is whole, named, and the same every time" => table,
    "an extension that nobody knows is denied" => extension,
}

fn other_major(subject: &Subject) -> Finding {
    for major in [0, SAM_MM_BACKEND_ABI_MAJOR + 1, 0xffff] {
        let (told, table) = subject.query.ask(major << 16, Some(&HOST), true);
        told.refused(&format!("major version {major}"), &[SAM_MM_ERR_UNSUPPORTED])?;
        ensure!(
            table.is_null(),
            "a table was given along with the refusal of major version {major}"
        );
    }
    let code = subject.query.ask_without_error(0);
    ensure!(
        code == SAM_MM_ERR_UNSUPPORTED,
        "without a place for words the refusal was {code}"
    );
    Ok(Kept::Yes)
}

fn other_minor(subject: &Subject) -> Finding {
    for minor in [0, 1, 0xffff] {
        let version = (SAM_MM_BACKEND_ABI_MAJOR << 16) | minor;
        subject
            .query
            .ask(version, Some(&HOST), true)
            .0
            .succeeded(&format!("the query for minor version {minor}"))?;
    }
    Ok(Kept::Yes)
}

fn missing_arguments(subject: &Subject) -> Finding {
    static SHORT: LazyLock<sam_mm_host> = LazyLock::new(|| sam_mm_host {
        struct_size: 8,
        ..zeroed()
    });
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let version = SAM_MM_BACKEND_ABI_VERSION;
    subject
        .query
        .ask(version, None, true)
        .0
        .refused("a host that is NULL", &refused)?;
    subject
        .query
        .ask(version, Some(&HOST), false)
        .0
        .refused("a place that is NULL", &refused)?;
    subject
        .query
        .ask(version, Some(&SHORT), true)
        .0
        .refused("a host of 8 bytes", &refused)?;
    Ok(Kept::Yes)
}

fn table(subject: &Subject) -> Finding {
    let (told, again) = subject
        .query
        .ask(SAM_MM_BACKEND_ABI_VERSION, Some(&HOST), true);
    told.succeeded("the query")?;
    let again = Table::check(again)?;
    ensure!(
        again.addresses() == subject.table.addresses(),
        "the table or its texts moved between two queries"
    );
    let major = subject.table.abi_version() >> 16;
    ensure!(
        major == SAM_MM_BACKEND_ABI_MAJOR,
        "the table says major version {major}"
    );
    for (name, text) in ["name", "version"].iter().zip(subject.table.texts()) {
        ensure!(
            text.is_some_and(|text| !text.is_empty()),
            "the {name} is NULL, empty or not UTF-8"
        );
    }
    Ok(Kept::Yes)
}

fn extension(subject: &Subject) -> Finding {
    ensure!(
        subject.table.denies_unknown_extensions(),
        "get_extension gave something for a made-up name"
    );
    Ok(Kept::Yes)
}
