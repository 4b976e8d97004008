//! The suite that every backend passes, on a SAM 2 with random weights. In a program of its own: a plugin serves one host, and
//! the suite is one.

mod common;

use sam_mm_conformance::{Checkpoint, Options, Target, run};

#[test]
fn the_plugin_keeps_every_promise_of_its_abi_with_sam_2() {
    let options = Options::new(Checkpoint::File(common::plugin::sam2_demo_path()));
    // SAFETY: the plugin of this package.
    let report = unsafe { run(&Target::File(common::plugin()), &options, |_| {}) }.unwrap();
    assert!(report.passed(), "{report}");
}
