//! Files made to harm: each is refused with an error that says what is wrong with it.

mod support;

use std::io::{Cursor, Write};

use sam_mm_checkpoint::{Checkpoint, LayoutProblem, PickleProblem, Problem};
use support::{Claim, Pickle, archive, named, refusal, state_dict, zipped};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn layout_problem(claim: &Claim, storage_bytes: usize) -> LayoutProblem {
    let error = Checkpoint::from_bytes(claim.archive(storage_bytes), "model.pth").unwrap_err();
    let text = named(&error);
    match error.problem() {
        Problem::Tensor { tensor, problem } => {
            assert!(tensor == "weight" && text.contains("`weight`"), "{text}");
            problem.clone()
        }
        _ => panic!("{text}"),
    }
}

fn pickle_refusal(pickle: &mut Pickle) -> String {
    refusal(&archive(&pickle.end(), &[0; 24]))
}

#[test]
fn the_sound_tensor_that_the_others_are_made_from_is_read() {
    let bytes = Claim::sound().archive(24);
    let checkpoint = Checkpoint::from_bytes(bytes, "model.pth").unwrap();
    assert_eq!(checkpoint.tensor("weight").unwrap().shape, [2, 3]);
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
fn a_tensor_outside_of_its_storage_is_refused() {
    let sound = Claim::sound();
    let beyond = |claim: Claim| match layout_problem(&claim, 24) {
        LayoutProblem::OutsideStorage { end, held: 6 } => end,
        other => panic!("{other}"),
    };
    assert_eq!(
        beyond(Claim {
            offset: 1,
            ..sound.clone()
        }),
        7
    );
    assert_eq!(
        beyond(Claim {
            offset: 6,
            ..sound.clone()
        }),
        12
    );
    assert_eq!(
        beyond(Claim {
            strides: vec![4, 1],
            ..sound.clone()
        }),
        7
    );
    assert_eq!(
        beyond(Claim {
            shape: vec![7],
            strides: vec![1],
            ..sound.clone()
        }),
        7
    );
    let past_the_end = Claim {
        shape: vec![0],
        strides: vec![1],
        offset: 7,
        ..sound
    };
    assert_eq!(beyond(past_the_end), 7);
}

#[test]
fn a_storage_shorter_than_it_is_said_to_be_is_refused() {
    let problem = layout_problem(&Claim::sound(), 20);
    assert!(
        matches!(
            problem,
            LayoutProblem::ShortStorage {
                claimed: 6,
                held: 5,
                ..
            }
        ),
        "{problem}"
    );
    let problem = layout_problem(
        &Claim {
            storage_len: i64::MAX,
            ..Claim::sound()
        },
        24,
    );
    assert!(
        matches!(problem, LayoutProblem::ShortStorage { .. }),
        "{problem}"
    );
}

#[test]
fn a_storage_that_is_not_in_the_file_is_named() {
    for key in ["1", "../data.pkl", "", "0/../0"] {
        let problem = layout_problem(
            &Claim {
                storage: key,
                ..Claim::sound()
            },
            24,
        );
        assert_eq!(problem, LayoutProblem::NoStorage(key.to_owned()));
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    let huge = 1 << 40;
    for (shape, strides) in [
        (vec![huge, huge], vec![huge, 1]),
        (vec![i64::MAX, 2], vec![2, 1]),
        (vec![2], vec![i64::MAX]),
        (vec![0, i64::MAX, i64::MAX], vec![1, 1, 1]),
        (vec![2, 2], vec![i64::MAX, i64::MAX]),
    ] {
        let problem = layout_problem(
            &Claim {
                shape: shape.clone(),
                strides,
                ..Claim::sound()
            },
            24,
        );
        let refused = matches!(
            problem,
            LayoutProblem::TooLarge { .. } | LayoutProblem::OutsideStorage { .. }
        );
        assert!(refused, "{shape:?}: {problem}");
    }
    let problem = layout_problem(
        &Claim {
            offset: i64::MAX,
            ..Claim::sound()
        },
        24,
    );
    assert!(
        matches!(problem, LayoutProblem::OutsideStorage { .. }),
        "{problem}"
    );
}

#[test]
fn negative_figures_are_refused_by_name() {
    for (what, claim) in [
        (
            "size",
            Claim {
                shape: vec![-2, 3],
                ..Claim::sound()
            },
        ),
        (
            "stride",
            Claim {
                strides: vec![-3, 1],
                ..Claim::sound()
            },
        ),
        (
            "offset",
            Claim {
                offset: -1,
                ..Claim::sound()
            },
        ),
        (
            "storage size",
            Claim {
                storage_len: -1,
                ..Claim::sound()
            },
        ),
    ] {
        let problem = layout_problem(&claim, 24);
        assert!(
            matches!(&problem, LayoutProblem::Negative { what: found, .. } if *found == what),
            "{problem}"
        );
    }
}

#[test]
fn elements_that_share_bytes_are_refused() {
    for (shape, strides) in [
        (vec![1 << 40], vec![0]),
        (vec![2, 3], vec![0, 1]),
        (vec![3, 3], vec![1, 1]),
        (vec![2, 3], vec![2, 1]),
    ] {
        let problem = layout_problem(
            &Claim {
                shape,
                strides,
                ..Claim::sound()
            },
            24,
        );
        assert!(
            matches!(problem, LayoutProblem::Overlapping { .. }),
            "{problem}"
        );
    }
}

#[test]
fn axes_and_strides_must_be_as_many_and_not_too_many() {
    let problem = layout_problem(
        &Claim {
            strides: vec![1],
            ..Claim::sound()
        },
        24,
    );
    assert_eq!(
        problem,
        LayoutProblem::RankMismatch {
            axes: 2,
            strides: 1
        }
    );
    let many = Claim {
        shape: vec![1; 17],
        strides: vec![1; 17],
        ..Claim::sound()
    };
    assert_eq!(
        layout_problem(&many, 24),
        LayoutProblem::TooManyAxes {
            axes: 17,
            limit: 16
        }
    );
}

#[test]
fn many_tensors_over_one_storage_cannot_claim_many_times_the_file() {
    let names: Vec<&'static str> = (0..3_000).map(|i| &*format!("t{i}").leak()).collect();
    let whole = |name| Claim {
        name,
        storage_len: 1 << 18,
        shape: vec![1 << 18],
        strides: vec![1],
        ..Claim::sound()
    };
    let claims: Vec<_> = names.into_iter().map(whole).collect();
    let text = refusal(&archive(&state_dict(&claims), &vec![0; 1 << 20]));
    assert!(text.contains("claim 3145728000 bytes"), "{text}");
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let twice = [Claim::sound(), Claim::sound()];
    let text = refusal(&archive(&state_dict(&twice), &[0; 24]));
    assert!(text.contains("two tensors named `weight`"), "{text}");
}

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
