//! Prompt encoder and mask decoder.

use std::ptr;

use sam_mm_backend_abi::abi::*;

use super::{Finding, Kept, checks, ensure};
use crate::input::{Object, Output, Prompts, cells};
use crate::raw::Embedding;
use crate::subject::{Subject, plan};

checks! { "decode":
    "a click gives every mask and score, finite, and writes nothing beside them" => click,
    "every kind of prompt gives masks" => kinds,
    "objects of one call are what each of them is alone" => batch,
    "the same prompts give the same masks" => same,
    "another click gives another mask" => other,
    "a mask input makes a difference" => mask_input,
    "an embedding of another model is refused" => foreign,
    "prompts and places that cannot be are refused, and the model goes on" => nonsense,
}

/// How far a logit of an object in a batch may be from the same object alone: other sizes of matrices mean another
/// order of sums. SAM's logits reach some tens.
const BATCH_LOGIT: f32 = 1e-2;
/// The same for a score, which is between 0 and 1.
const BATCH_SCORE: f32 = 1e-3;

fn embedding(subject: &Subject) -> Result<Embedding, String> {
    subject.encode(&subject.photograph(2))
}

/// Low-resolution logits as an earlier result would hold them.
fn earlier_result(subject: &Subject) -> Vec<f32> {
    (0..cells(&subject.info))
        .map(|cell| ((cell % 37) as f32 - 18.0) / 3.0)
        .collect()
}

/// One object of each kind, with different numbers of points.
fn objects(subject: &Subject) -> Vec<Object> {
    let at = |share| subject.at(share);
    let bbox = Some([at(0.2), at(0.1), at(0.7), at(0.6)]);
    let mask = Some(earlier_result(subject));
    let points = vec![
        (at(0.3), at(0.3), 1),
        (at(0.6), at(0.2), 0),
        (at(0.35), at(0.4), 1),
    ];
    vec![
        Object::click(at(0.45), at(0.4)),
        Object {
            points: points.clone(),
            ..Object::default()
        },
        Object {
            bbox,
            ..Object::default()
        },
        Object {
            points: points[..1].to_vec(),
            bbox,
            ..Object::default()
        },
        Object {
            points: points[1..].to_vec(),
            mask: mask.clone(),
            ..Object::default()
        },
        Object { points, bbox, mask },
    ]
}

fn click(subject: &Subject) -> Finding {
    let embedding = embedding(subject)?;
    for multimask in [false, true] {
        let (told, output) =
            subject.try_decode(&subject.model, &embedding, &subject.click(multimask), None);
        told.succeeded("decode")?;
        output
            .masks()
            .map_err(|how| format!("with multimask {multimask}: {how}"))?;
    }
    let prompts = subject.click(true);
    let mut output = Output::new(&subject.info, &prompts);
    let masks = sam_mm_backend_masks {
        object_scores: ptr::null_mut(),
        ..*output.wire()
    };
    let wire = prompts.wire();
    let (model, plan) = (Some(&subject.model), plan(1));
    subject
        .table
        .decode(
            model,
            Some(&embedding),
            Some(&wire),
            Some(&plan),
            None,
            Some(&masks),
        )
        .succeeded("decode without a place for object scores")?;
    output.masks()?;
    Ok(Kept::Yes)
}

fn kinds(subject: &Subject) -> Finding {
    let embedding = embedding(subject)?;
    for (index, object) in objects(subject).into_iter().enumerate() {
        for multimask in [false, true] {
            let prompts = Prompts::new(&subject.info, std::slice::from_ref(&object), multimask);
            subject
                .decode(&embedding, &prompts)
                .map_err(|how| format!("kind {index}: {how}"))?;
        }
    }
    Ok(Kept::Yes)
}

fn batch(subject: &Subject) -> Finding {
    let embedding = embedding(subject)?;
    let objects = objects(subject);
    for multimask in [false, true] {
        let together = subject.decode(
            &embedding,
            &Prompts::new(&subject.info, &objects, multimask),
        )?;
        for (index, object) in objects.iter().enumerate() {
            let alone = Prompts::new(&subject.info, std::slice::from_ref(object), multimask);
            let alone = subject.decode(&embedding, &alone)?;
            let (logit, score) = together.of_object(index, objects.len()).distance(&alone);
            ensure!(
                logit <= BATCH_LOGIT && score <= BATCH_SCORE,
                "object {index} of {} differs from itself alone by {logit} in a logit and {score} in a score",
                objects.len()
            );
        }
    }
    Ok(Kept::Yes)
}

fn same(subject: &Subject) -> Finding {
    let embedding = embedding(subject)?;
    let prompts = Prompts::new(&subject.info, &objects(subject), true);
    let first = subject.decode(&embedding, &prompts)?;
    ensure!(
        first == subject.decode(&embedding, &prompts)?,
        "two decodes of the same prompts differ"
    );
    Ok(Kept::Yes)
}

fn other(subject: &Subject) -> Finding {
    let embedding = embedding(subject)?;
    let masks: Result<Vec<_>, _> = [0.2, 0.6]
        .map(|share| {
            Prompts::new(
                &subject.info,
                &[Object::click(subject.at(share), subject.at(share))],
                false,
            )
        })
        .iter()
        .map(|prompts| subject.decode(&embedding, prompts))
        .collect();
    let masks = masks?;
    ensure!(
        masks[0].logits != masks[1].logits,
        "two clicks in different places gave the same logits"
    );
    Ok(Kept::Yes)
}

fn mask_input(subject: &Subject) -> Finding {
    let embedding = embedding(subject)?;
    let click = Object::click(subject.at(0.45), subject.at(0.4));
    let with = Object {
        mask: Some(earlier_result(subject)),
        ..click.clone()
    };
    let masks: Result<Vec<_>, _> = [click, with]
        .map(|object| subject.decode(&embedding, &Prompts::new(&subject.info, &[object], false)))
        .into_iter()
        .collect();
    let masks = masks?;
    ensure!(
        masks[0].logits != masks[1].logits,
        "a click gave the same logits with and without a mask input"
    );
    Ok(Kept::Yes)
}

fn foreign(subject: &Subject) -> Finding {
    let model = subject.load(&subject.device)?;
    let embedding = embedding(subject)?;
    let (told, _) = subject.try_decode(&model, &embedding, &subject.click(false), None);
    told.refused(
        "an embedding of another model",
        &[SAM_MM_ERR_INVALID_ARGUMENT, SAM_MM_ERR_INVALID_HANDLE],
    )?;
    Ok(Kept::Yes)
}

/// Prompts that lie in one respect.
fn bad_prompts(good: &Prompts) -> Vec<(&'static str, sam_mm_backend_prompts)> {
    let yes = good.has_box.as_ptr();
    let wire = good.wire();
    vec![
        (
            "no objects",
            sam_mm_backend_prompts {
                num_objects: 0,
                ..*wire
            },
        ),
        (
            "points announced but not given",
            sam_mm_backend_prompts {
                points: ptr::null(),
                ..*wire
            },
        ),
        (
            "labels announced but not given",
            sam_mm_backend_prompts {
                labels: ptr::null(),
                ..*wire
            },
        ),
        (
            "a box announced but not given",
            sam_mm_backend_prompts {
                boxes: ptr::null(),
                ..*wire
            },
        ),
        (
            "a mask announced but not given",
            sam_mm_backend_prompts {
                has_mask: yes,
                masks: ptr::null(),
                ..*wire
            },
        ),
        (
            "a struct of 16 bytes",
            sam_mm_backend_prompts {
                struct_size: 16,
                ..*wire
            },
        ),
    ]
}

fn nonsense(subject: &Subject) -> Finding {
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let embedding = embedding(subject)?;
    let boxed = |x, label| Object {
        points: vec![(x, 1.0, label)],
        bbox: Some([0.0, 0.0, subject.at(0.5), subject.at(0.5)]),
        ..Object::default()
    };
    let good = Prompts::new(&subject.info, &[boxed(1.0, 1)], true);
    let mut output = Output::new(&subject.info, &good);
    let masks = output.wire();
    let (model, one, plan) = (Some(&subject.model), Some(&embedding), plan(1));
    let decode = |prompts: Option<&sam_mm_backend_prompts>,
                  masks: Option<&sam_mm_backend_masks>| {
        subject
            .table
            .decode(model, one, prompts, Some(&plan), None, masks)
    };
    for (what, prompts) in &bad_prompts(&good) {
        decode(Some(prompts), Some(&masks)).refused(&format!("prompts with {what}"), &refused)?;
    }
    for (what, x, label) in [
        ("label 7", 1.0, 7),
        ("label -2", 1.0, -2),
        ("a coordinate that is not a number", f32::NAN, 1),
        ("an endless coordinate", f32::INFINITY, 1),
    ] {
        let prompts = Prompts::new(&subject.info, &[boxed(x, label)], true);
        decode(Some(&prompts.wire()), Some(&masks))
            .refused(&format!("a point with {what}"), &refused)?;
    }
    decode(None, Some(&masks)).refused("prompts that are NULL", &refused)?;
    decode(Some(&good.wire()), None).refused("masks that are NULL", &refused)?;
    for (what, masks) in [
        (
            "no place for logits",
            sam_mm_backend_masks {
                logits: ptr::null_mut(),
                ..*masks
            },
        ),
        (
            "no place for scores",
            sam_mm_backend_masks {
                scores: ptr::null_mut(),
                ..*masks
            },
        ),
        (
            "a struct of 8 bytes",
            sam_mm_backend_masks {
                struct_size: 8,
                ..*masks
            },
        ),
    ] {
        decode(Some(&good.wire()), Some(&masks))
            .refused(&format!("masks with {what}"), &refused)?;
    }
    let null = [SAM_MM_ERR_INVALID_HANDLE];
    let prompts = good.wire();
    let masks: Option<&sam_mm_backend_masks> = Some(&masks);
    subject
        .table
        .decode(None, one, Some(&prompts), Some(&plan), None, masks)
        .refused("a model that is NULL", &null)?;
    subject
        .table
        .decode(model, None, Some(&prompts), Some(&plan), None, masks)
        .refused("an embedding that is NULL", &null)?;
    subject
        .table
        .decode(model, one, Some(&prompts), None, None, masks)
        .refused("a plan that is NULL", &refused)?;
    subject.decode(&embedding, &good)?;
    Ok(Kept::Yes)
}
