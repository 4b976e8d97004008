//! Tensors that claim what is not there: each is refused by name.

mod support;

use sam_mm_checkpoint::{Checkpoint, LayoutProblem, Problem};
use support::{Claim, archive, named, refusal, state_dict};

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

#[test]
fn the_sound_tensor_that_the_others_are_made_from_is_read() {
    let bytes = Claim::sound().archive(24);
    let checkpoint = Checkpoint::from_bytes(bytes, "model.pth").unwrap();
    assert_eq!(checkpoint.tensor("weight").unwrap().shape, [2, 3]);
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
