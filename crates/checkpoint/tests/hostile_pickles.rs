//! Pickles made to harm: each is refused with an error that says what is wrong with it, and nothing in it is run.

mod support;

use sam_mm_checkpoint::{Checkpoint, PickleProblem, Problem};
use support::{Pickle, archive, refusal};

fn pickle_refusal(pickle: &mut Pickle) -> String {
    refusal(&archive(&pickle.end(), &[0; 24]))
}

#[test]
fn no_python_object_outside_of_the_list_can_be_named() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("__builtin__", "__import__"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch", "storage._load_from_bytes"),
        ("torch.storage", "_load_from_bytes"),
        ("torch", "FloatStorage.from_file"),
        ("torch.cuda", "float32"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("collections", "namedtuple"),
        ("", ""),
    ] {
        let text = pickle_refusal(Pickle::new().global(module, name).op(b")R"));
        assert!(text.contains(&format!("`{module}.{name}`")), "{text}");
        assert!(text.contains("nothing in it was run"), "{text}");
    }
}

#[test]
fn a_python_object_named_through_the_stack_is_refused_as_well() {
    let text = pickle_refusal(Pickle::new().text("os").text("system").op(b"\x93"));
    assert!(text.contains("`os.system`"), "{text}");
}

#[test]
fn names_from_the_file_are_made_safe_to_print() {
    let text = pickle_refusal(Pickle::new().global("os\x1b[2J", &"x".repeat(10_000)));
    assert!(!text.contains('\x1b') && text.len() < 1_000, "{text}");
}

#[test]
fn instructions_that_reach_for_code_in_other_ways_are_refused() {
    for instructions in [
        &b"ios\nsystem\n"[..], // INST
        b"(o",                 // OBJ
        b"\x82\x01",           // EXT1
        b"\x83\x01\x00",       // EXT2
        b"\x84\x01\0\0\0",     // EXT4
        b"Pid\n",              // PERSID
        b"\x92",               // NEWOBJ_EX
        b"\x97",               // NEXT_BUFFER
        b"I1\n",               // INT, of protocol 0
        b"\xff",
    ] {
        let text = pickle_refusal(Pickle::new().op(instructions));
        assert!(text.contains("an instruction (0x"), "{text}");
    }
}

#[test]
fn calls_and_attributes_need_what_they_work_on() {
    for instructions in [
        &b"R"[..],  // nothing on the stack
        b"K\x01)R", // a number is called
        b"b",
        b"K\x01}b", // a number gets attributes
        b"t",
        b"u",
        b"a",
        b"0",
        b"2",
        b"1",
        b"K\x01a",
        b"}(K\x01u", // a key without its value
        b"K\x01Q",
        b"h\x00",
        b"\x93",
        b"}(s",             // values below the mark are out of reach
        b"K\x01(0\x85\x86", // TUPLE2 of one value
    ] {
        let text = pickle_refusal(Pickle::new().op(instructions));
        assert!(text.contains("data.pkl has"), "{instructions:?}: {text}");
    }
}

#[test]
fn allowed_objects_take_only_the_arguments_they_are_made_for() {
    for (module, name, arguments) in [
        ("torch._utils", "_rebuild_tensor_v2", &b")"[..]),
        ("torch._utils", "_rebuild_tensor_v2", b"(NK\x00))t"),
        ("torch._utils", "_rebuild_parameter", b"(K\x01t"),
        ("torch._tensor", "_rebuild_from_type_v2", b"(NNNNt"),
        ("torch", "FloatStorage", b")"),
        ("torch", "float32", b")"),
        ("torch", "Size", b"(K\x01t"),
        ("collections", "OrderedDict", b"]\x85"),
    ] {
        let text = pickle_refusal(Pickle::new().global(module, name).op(arguments).op(b"R"));
        assert!(
            text.contains("arguments that the called object does not take"),
            "{module}.{name}: {text}"
        );
    }
}

#[test]
fn nesting_of_any_depth_is_read_without_recursion() {
    let depth = 500_000;
    let mut pickle = Pickle::new();
    pickle.op(b")").op(&vec![0x85; depth]); // ((((…))))
    let text = pickle_refusal(&mut pickle);
    assert!(text.contains("no dictionary of tensors"), "{text}");
    let mut pickle = Pickle::new();
    pickle.op(&b"]".repeat(depth)).op(&b"a".repeat(depth - 1));
    assert!(pickle_refusal(&mut pickle).contains("no dictionary of tensors"));
}

#[test]
fn an_object_that_holds_itself_is_no_trouble() {
    // d = {}; d["state_dict"] = d
    let mut pickle = Pickle::new();
    pickle.op(b"}q\x00").text("state_dict").op(b"h\x00s");
    assert!(pickle_refusal(&mut pickle).contains("no dictionary of tensors"));
    // a list in itself, a tuple of that list twice
    assert!(pickle_refusal(Pickle::new().op(b"]q\x00h\x00ah\x00\x86")).contains("model.pth"));
}

#[test]
fn endless_programs_are_cut_off() {
    let text = pickle_refusal(Pickle::new().op(&b"N0".repeat(2_000_000)));
    assert!(text.contains("more than 2000000 instructions"), "{text}");
}

#[test]
fn one_long_tuple_cannot_be_copied_many_times() {
    let mut pickle = Pickle::new();
    pickle.op(b"(").op(&b"N".repeat(200_000)).op(b"tq\x000");
    pickle.global("torch", "Size").op(b"q\x010");
    // torch.Size(t), 200 000 times: 40 thousand million values, if each call made a copy.
    pickle.op(&b"h\x01h\x00\x85R0".repeat(200_000)).op(b"N");
    assert!(pickle_refusal(&mut pickle).contains("no dictionary of tensors"));
}

#[test]
fn lengths_beyond_the_end_are_a_truncated_pickle() {
    for instructions in [
        &b"X\xff\xff\xff\xff"[..],
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\x7f",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"cos",
        b"J\x01",
        b"N",
    ] {
        let bytes = [&b"\x80\x02"[..], instructions].concat();
        let text = refusal(&archive(&bytes, &[]));
        assert!(text.contains("ends early"), "{instructions:?}: {text}");
    }
    assert!(refusal(&archive(b"", &[])).contains("ends early"));
}

#[test]
fn protocols_other_than_2_to_5_are_refused() {
    for pickle in [&b"N."[..], b"\x80\x01N.", b"\x80\x06N."] {
        let text = refusal(&archive(pickle, &[]));
        assert!(text.contains("protocol"), "{text}");
    }
}

#[test]
fn problems_can_be_told_apart_by_type() {
    let error =
        Checkpoint::from_bytes(archive(b"\x80\x02cos\nsystem\n.", &[]), "model.pth").unwrap_err();
    let global = match error.problem() {
        Problem::Pickle(PickleProblem::ForbiddenGlobal { global }) => global,
        other => panic!("{other}"),
    };
    assert_eq!(global, "os.system");
}
