//! Files that are often found under a checkpoint's name, and what is said about them.

mod support;

use sam_mm_checkpoint::{Checkpoint, ForeignFormat, Problem};
use support::{named, refusal};

#[track_caller]
fn assert_is(bytes: &[u8], expected: ForeignFormat) {
    let error = Checkpoint::from_bytes(bytes, "model.pth").unwrap_err();
    named(&error);
    match error.problem() {
        Problem::Foreign(found) => assert_eq!(*found, expected),
        other => panic!("{other}"),
    }
}

#[test]
fn a_git_lfs_pointer_says_how_to_fetch_the_file() {
    let pointer =
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ec2df6\nsize 375042383\n";
    assert_is(pointer, ForeignFormat::GitLfsPointer);
    assert!(refusal(pointer).contains("git lfs pull"));
}

#[test]
fn a_web_page_is_told_from_a_checkpoint() {
    for page in [
        &b"<!DOCTYPE html><html><body>404 Not Found</body></html>"[..],
        b"\n  <HTML lang=en>",
        b"\xef\xbb\xbf<html>",
        b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
    ] {
        assert_is(page, ForeignFormat::WebPage);
    }
    assert!(refusal(b"<html></html>").contains("download"));
}

#[test]
fn other_kinds_of_files_are_named() {
    assert_is(b"{\"error\": \"not found\"}", ForeignFormat::Json);
    assert_is(b"Not Found", ForeignFormat::Text);
    assert_is(b"\x1f\x8b\x08\0\0\0\0\0", ForeignFormat::Packed);
    assert_is(b"GGUF\x03\0\0\0", ForeignFormat::Gguf);
    assert_is(b"\x89HDF\r\n\x1a\n\0", ForeignFormat::Hdf5);
    assert_is(b"\x93NUMPY\x01\0", ForeignFormat::Npy);
    assert_is(b"\x89PNG\r\n\x1a\n", ForeignFormat::Picture);
    assert_is(b"\xff\xd8\xff\xe0", ForeignFormat::Picture);
    assert_is(b"\x08\x08\x12\x07pytorch", ForeignFormat::Onnx);
    assert_is(b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", ForeignFormat::Pickle);
    assert_is(b"\0\0\0\0\0\0\0\0\0\0", ForeignFormat::Unknown);
    assert_is(b"\x80", ForeignFormat::Unknown);
}

#[test]
fn a_tar_archive_is_told_by_its_mark() {
    let mut tar = vec![0; 1024];
    tar[..4].copy_from_slice(b"m.pt");
    tar[257..262].copy_from_slice(b"ustar");
    assert_is(&tar, ForeignFormat::Packed);
}

#[test]
fn an_empty_file_is_an_unfinished_download() {
    assert!(refusal(b"").contains("empty"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Checkpoint::open(file.path()).unwrap_err();
    assert!(matches!(error.problem(), Problem::Empty));
}

#[test]
fn a_missing_file_and_a_folder_are_refused_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("gewichte für SAM.pth");
    let error = Checkpoint::open(&missing).unwrap_err();
    assert!(
        error.to_string().contains("gewichte für SAM.pth"),
        "{error}"
    );
    assert!(matches!(error.problem(), Problem::Open(_)));
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("folder"), "{error}");
}

/// Names such as these come from callers that have no file.
#[test]
fn the_message_reads_on_from_the_name() {
    let error = Checkpoint::from_bytes(b"hello", "a checkpoint of 5 bytes in memory").unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("a checkpoint of 5 bytes in memory is a text file"),
        "{said}"
    );
}
