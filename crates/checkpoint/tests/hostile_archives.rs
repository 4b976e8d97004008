//! Zip archives that are damaged, forged, or hold something else.

mod support;

use std::io::{Cursor, Write};

use support::{Claim, refusal, state_dict, zipped};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

#[test]
fn a_file_of_the_other_byte_order_is_refused() {
    let pickle = state_dict(&[Claim::sound()]);
    let bytes = zipped(&[
        ("a/data.pkl", &pickle),
        ("a/byteorder", b"big"),
        ("a/data/0", &[0; 24]),
    ]);
    let text = refusal(&bytes);
    assert!(text.contains("byte order `big`"), "{text}");
}

#[test]
fn entries_of_one_name_and_second_pickles_are_refused() {
    let pickle = state_dict(&[Claim::sound()]);
    // The writer refuses equal names, so one is changed in the finished bytes, in both directories.
    let mut bytes = zipped(&[
        ("a/data.pkl", &pickle),
        ("a/data/0", &[0; 24]),
        ("a/data/1", &[1; 24]),
    ]);
    let places: Vec<_> = (0..bytes.len() - 8)
        .filter(|&i| bytes[i..].starts_with(b"a/data/1"))
        .collect();
    assert_eq!(places.len(), 2);
    for place in places {
        bytes[place + 7] = b'0';
    }
    let text = refusal(&bytes);
    assert!(text.contains("two zip entries named `data/0`"), "{text}");
    let text = refusal(&zipped(&[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)]));
    assert!(text.contains("more than one data.pkl"), "{text}");
}

#[test]
fn archives_of_other_things_are_named() {
    let text = refusal(&zipped(&[("arr_0.npy", b"\x93NUMPY")]));
    assert!(text.contains("no data.pkl"), "{text}");
}

#[test]
fn a_compressed_entry_is_refused_and_never_unpacked() {
    // The writer of this build cannot compress, so the method is changed in both headers: 0 (stored) to 8 (deflated).
    let pickle = state_dict(&[Claim::sound()]);
    let mut bytes = zipped(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 24])]);
    for (magic, method) in [(&b"PK\x03\x04"[..], 8), (b"PK\x01\x02", 10)] {
        let header = (0..bytes.len() - 4)
            .find(|&i| bytes[i..].starts_with(magic))
            .unwrap();
        bytes[header + method] = 8;
    }
    let text = refusal(&bytes);
    assert!(
        text.contains("compressed") && text.contains("`data.pkl`"),
        "{text}"
    );
}

#[test]
fn a_directory_that_claims_many_entries_is_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..70_000 {
        zip.start_file(
            format!("{i:x}"),
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored),
        )
        .unwrap();
    }
    zip.write_all(b"x").unwrap();
    let text = refusal(&zip.finish().unwrap().into_inner());
    assert!(text.contains("70000 zip entries"), "{text}");
}

#[test]
fn a_cut_off_download_says_so() {
    let whole = Claim::sound().archive(24);
    for keep in [4, 30, whole.len() / 2, whole.len() - 23] {
        let text = refusal(&whole[..keep]);
        assert!(
            text.contains("cut short") && text.contains("fetch it again"),
            "{text}"
        );
    }
}
