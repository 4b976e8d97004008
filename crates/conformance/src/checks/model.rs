//! Models: checkpoints, descriptions, precision, estimates.

use std::ptr;

use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::layout::zeroed;
use sam_mm_backend_abi::types::{Attention, ModelInfo, Plan, Precision};

use super::{Finding, Kept, checks, ensure};
use crate::subject::{Subject, describe, plan};

checks! { "model":
    "a checkpoint file that does not exist is an error of input, and named" => absent_file,
    "a checkpoint of noise is refused or becomes a model, but does no harm" => noise,
    "a checkpoint that is both or neither of path and bytes is refused" => both_or_neither,
    "loading with arguments that cannot be is refused" => load_nonsense,
    "the description stays the same, and is refused a place too small" => description,
    "a precision that nobody knows is refused" => unknown_precision,
    "a change of precision works or is refused, and the model goes on" => precision,
    "an estimate names the embedding, and never falls with more objects" => estimate,
    "chunked attention needs no more memory than full attention" => chunked,
    "a plan that nobody knows is refused" => unknown_plan,
    "a model that is NULL is refused" => null_model,
}

const REFUSED: [i32; 1] = [SAM_MM_ERR_INVALID_ARGUMENT];

fn absent_file(subject: &Subject) -> Finding {
    let mut wire = subject.checkpoint.wire();
    let path = c"/sam-mm-conformance/no/such/file.pth";
    (wire.path, wire.data, wire.data_len) = (path.as_ptr(), ptr::null(), 0);
    let (told, model) = subject
        .table
        .model_load(Some(&subject.device), Some(&wire), None, true);
    told.refused("a file that does not exist", &[SAM_MM_ERR_IO])?;
    ensure!(model.is_none(), "a model was given along with the refusal");
    Ok(Kept::Yes)
}

fn noise(subject: &Subject) -> Finding {
    let noise: Vec<u8> = (0..4096u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for bytes in [
        &noise[..],
        &noise[..1],
        b"PK\x03\x04 and no archive",
        b"\x10\0\0\0\0\0\0\0{\"no header\"",
    ] {
        let mut wire = subject.checkpoint.wire();
        (wire.path, wire.data, wire.data_len) = (ptr::null(), bytes.as_ptr(), bytes.len() as u64);
        let (told, model) =
            subject
                .table
                .model_load(Some(&subject.device), Some(&wire), None, true);
        match model {
            Some(model) => drop(describe(subject.table, &model)?),
            None => told.refused(
                "a checkpoint of noise",
                &[SAM_MM_ERR_CHECKPOINT, SAM_MM_ERR_UNSUPPORTED],
            )?,
        }
    }
    Ok(Kept::Yes)
}

fn both_or_neither(subject: &Subject) -> Finding {
    let mut wire = subject.checkpoint.wire();
    (wire.path, wire.data) = (ptr::null(), ptr::null());
    let load = |wire: &sam_mm_backend_checkpoint| {
        subject
            .table
            .model_load(Some(&subject.device), Some(wire), None, true)
            .0
    };
    load(&wire).refused("neither path nor bytes", &REFUSED)?;
    wire.path = c"path".as_ptr();
    (wire.data, wire.data_len) = (b"bytes".as_ptr(), 5);
    load(&wire).refused("both path and bytes", &REFUSED)?;
    Ok(Kept::Yes)
}

fn load_nonsense(subject: &Subject) -> Finding {
    let good = subject.checkpoint.wire();
    let short = sam_mm_backend_checkpoint {
        struct_size: 8,
        ..*subject.checkpoint.wire()
    };
    let load = |wire: Option<&sam_mm_backend_checkpoint>, place| {
        subject
            .table
            .model_load(Some(&subject.device), wire, None, place)
            .0
    };
    load(None, true).refused("a checkpoint that is NULL", &REFUSED)?;
    load(Some(&good), false).refused("a place that is NULL", &REFUSED)?;
    load(Some(&short), true).refused("a checkpoint of 8 bytes", &REFUSED)?;
    Ok(Kept::Yes)
}

fn description(subject: &Subject) -> Finding {
    let again = describe(subject.table, &subject.model)?;
    ensure!(
        again == subject.info,
        "the description changed from {:?} to {again:?}",
        subject.info
    );
    let mut short: sam_mm_backend_model_info = zeroed();
    short.struct_size = 16;
    let table = subject.table;
    table
        .model_describe(Some(&subject.model), Some(&mut short))
        .refused("a place of 16 bytes", &REFUSED)?;
    table
        .model_describe(Some(&subject.model), None)
        .refused("a place that is NULL", &REFUSED)?;
    Ok(Kept::Yes)
}

fn unknown_precision(subject: &Subject) -> Finding {
    let codes = [SAM_MM_ERR_UNSUPPORTED, SAM_MM_ERR_INVALID_ARGUMENT];
    subject
        .table
        .model_set_precision(Some(&subject.model), 77)
        .refused("precision 77", &codes)?;
    let wire = sam_mm_backend_checkpoint {
        precision: 77,
        ..*subject.checkpoint.wire()
    };
    let (told, _) = subject
        .table
        .model_load(Some(&subject.device), Some(&wire), None, true);
    told.refused("loading with precision 77", &codes)?;
    Ok(Kept::Yes)
}

fn geometry(info: &ModelInfo) -> (u32, u32, u32, &str, &str) {
    (
        info.input_size,
        info.mask_size,
        info.multimask_count,
        &info.family,
        &info.variant,
    )
}

fn precision(subject: &Subject) -> Finding {
    let model = subject.load(&subject.device)?;
    for &precision in Precision::ALL.iter().chain([&Precision::Fp32]) {
        let told = subject
            .table
            .model_set_precision(Some(&model), precision.to_abi());
        let now = describe(subject.table, &model)?;
        ensure!(
            geometry(&now) == geometry(&subject.info),
            "{precision} changed the description to {now:?}"
        );
        if told.code == SAM_MM_OK {
            let plan = Plan {
                precision,
                ..Plan::DEFAULT
            }
            .to_abi();
            let photograph = subject.photograph(1);
            let image = photograph.wire();
            let (told, embedding) =
                subject
                    .table
                    .encode(Some(&model), Some(&image), Some(&plan), None, true);
            told.succeeded(&format!("encode in {precision}"))?;
            ensure!(
                embedding.is_some(),
                "encode in {precision} gave no embedding"
            );
        } else {
            told.refused(&format!("{precision}"), &[SAM_MM_ERR_UNSUPPORTED])?;
            ensure!(
                precision != Precision::Fp32,
                "fp32 was refused: {}",
                told.message
            );
        }
    }
    let embedding = subject.encode_with(&model, &subject.photograph(1))?;
    subject.decode_with(&model, &embedding, &subject.click(true))?;
    Ok(Kept::Yes)
}

fn estimate_of(
    subject: &Subject,
    plan: &sam_mm_backend_plan,
) -> Result<sam_mm_backend_estimate, String> {
    let mut out = zeroed();
    subject
        .table
        .model_estimate(Some(&subject.model), Some(plan), Some(&mut out))
        .succeeded("model_estimate")?;
    Ok(out)
}

fn estimate(subject: &Subject) -> Finding {
    let mut last = 0;
    for objects in [0, 1, 2, 16, 1024] {
        let estimate = estimate_of(subject, &plan(objects))?;
        ensure!(
            estimate.embedding_bytes == subject.info.embedding_bytes
                && estimate.embedding_bytes > 0,
            "the embedding takes {} bytes by the estimate, {} by the description",
            estimate.embedding_bytes,
            subject.info.embedding_bytes
        );
        ensure!(
            estimate.decode_workspace_bytes >= last,
            "{objects} objects need {} bytes, fewer need {last}",
            estimate.decode_workspace_bytes
        );
        last = estimate.decode_workspace_bytes;
    }
    Ok(Kept::Yes)
}

fn chunked(subject: &Subject) -> Finding {
    let plan = Plan {
        attention: Attention::Chunked,
        ..Plan::DEFAULT
    }
    .to_abi();
    let mut out = zeroed();
    let told = subject
        .table
        .model_estimate(Some(&subject.model), Some(&plan), Some(&mut out));
    if told.code != SAM_MM_OK {
        told.refused("chunked attention", &[SAM_MM_ERR_UNSUPPORTED])?;
        return Ok(Kept::NotConcerned(told.message));
    }
    let full = estimate_of(subject, &crate::subject::plan(0))?.encode_workspace_bytes;
    ensure!(
        out.encode_workspace_bytes <= full,
        "chunked takes {} bytes, full {full}",
        out.encode_workspace_bytes
    );
    Ok(Kept::Yes)
}

fn unknown_plan(subject: &Subject) -> Finding {
    let unsupported = [SAM_MM_ERR_UNSUPPORTED];
    let odd = [
        (
            "attention 77",
            sam_mm_backend_plan {
                attention: 77,
                ..plan(0)
            },
        ),
        (
            "precision 77",
            sam_mm_backend_plan {
                precision: 77,
                ..plan(0)
            },
        ),
    ];
    let photograph = subject.photograph(1);
    let image = photograph.wire();
    for (what, plan) in odd {
        let told =
            subject
                .table
                .model_estimate(Some(&subject.model), Some(&plan), Some(&mut zeroed()));
        told.refused(&format!("an estimate for {what}"), &unsupported)?;
        let (told, _) =
            subject
                .table
                .encode(Some(&subject.model), Some(&image), Some(&plan), None, true);
        told.refused(&format!("encode with {what}"), &unsupported)?;
    }
    let table = subject.table;
    let model = Some(&subject.model);
    let short = sam_mm_backend_plan {
        struct_size: 8,
        ..plan(0)
    };
    table
        .model_estimate(model, None, Some(&mut zeroed()))
        .refused("a plan that is NULL", &REFUSED)?;
    table
        .model_estimate(model, Some(&short), Some(&mut zeroed()))
        .refused("a plan of 8 bytes", &REFUSED)?;
    table
        .model_estimate(model, Some(&plan(0)), None)
        .refused("a place that is NULL", &REFUSED)?;
    Ok(Kept::Yes)
}

fn null_model(subject: &Subject) -> Finding {
    let table = subject.table;
    let refused = [SAM_MM_ERR_INVALID_HANDLE];
    let photograph = subject.photograph(1);
    let image = photograph.wire();
    table
        .model_describe(None, Some(&mut zeroed()))
        .refused("model_describe of NULL", &refused)?;
    table
        .model_set_precision(None, 0)
        .refused("model_set_precision of NULL", &refused)?;
    table
        .model_estimate(None, Some(&plan(0)), Some(&mut zeroed()))
        .refused("model_estimate of NULL", &refused)?;
    table
        .encode(None, Some(&image), Some(&plan(0)), None, true)
        .0
        .refused("encode with NULL", &refused)?;
    table
        .embedding_import(None, Some(b"bytes"), None, true)
        .0
        .refused("embedding_import with NULL", &refused)?;
    Ok(Kept::Yes)
}
