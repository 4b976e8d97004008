//! The suite that every backend passes, on the demo model.

mod common;

use sam_mm::model::DEMO_MODEL;
use sam_mm_conformance::{Checkpoint, Options, Target, run};

#[test]
fn the_plugin_keeps_every_promise_of_its_abi() {
    let options = Options::new(Checkpoint::Bytes(DEMO_MODEL.to_vec()));
    // SAFETY: the plugin of this package.
    let report = unsafe { run(&Target::File(common::plugin()), &options, |_| {}) }.unwrap();
    assert!(report.passed(), "{report}");
}
