//! What the plugin asks of the host while it works.

use std::sync::atomic::Ordering;

use sam_mm_backend_abi::abi::*;

use super::{Finding, Kept, checks, ensure};
use crate::host::Operation;
use crate::subject::{Subject, plan};

checks! { "operation":
    "an encode that is cancelled ends as cancelled, and the model goes on" => cancelled_encode,
    "a load or decode that is cancelled ends as cancelled, or as done" => cancelled_rest,
    "an encode that is refused memory ends as out of memory, and the model goes on" => refused_memory,
}

fn cancelled_encode(subject: &Subject) -> Finding {
    let photograph = subject.photograph(1);
    let image = photograph.wire();
    let operation = Operation::cancelled();
    let (told, embedding) = subject.table.encode(
        Some(&subject.model),
        Some(&image),
        Some(&plan(0)),
        Some(&operation),
        true,
    );
    told.refused(
        "an encode that was cancelled before it started",
        &[SAM_MM_ERR_CANCELLED],
    )?;
    ensure!(
        embedding.is_none(),
        "an embedding was given along with the end"
    );
    subject.encode(&subject.photograph(1))?;
    Ok(Kept::Yes)
}

fn cancelled_rest(subject: &Subject) -> Finding {
    let operation = Operation::cancelled();
    let checkpoint = subject.checkpoint.wire();
    let (told, model) = subject.table.model_load(
        Some(&subject.device),
        Some(&checkpoint),
        Some(&operation),
        true,
    );
    if model.is_none() {
        told.refused("a load that was cancelled", &[SAM_MM_ERR_CANCELLED])?;
    }
    ensure!(
        model.is_none() || told.code == SAM_MM_OK,
        "a model was given along with the end"
    );
    let embedding = subject.encode(&subject.photograph(1))?;
    let (told, output) = subject.try_decode(
        &subject.model,
        &embedding,
        &subject.click(true),
        Some(&operation),
    );
    if told.code == SAM_MM_OK {
        output.masks()?;
    } else {
        told.refused("a decode that was cancelled", &[SAM_MM_ERR_CANCELLED])?;
    }
    subject.decode(&embedding, &subject.click(true))?;
    Ok(Kept::Yes)
}

fn refused_memory(subject: &Subject) -> Finding {
    let photograph = subject.photograph(1);
    let image = photograph.wire();
    let operation = Operation::without_memory();
    let (told, embedding) = subject.table.encode(
        Some(&subject.model),
        Some(&image),
        Some(&plan(0)),
        Some(&operation),
        true,
    );
    if operation.announced.load(Ordering::SeqCst) == 0 {
        told.succeeded("an encode that announced no memory")?;
        return Ok(Kept::NotConcerned(
            "this backend does not announce what it allocates on this device".into(),
        ));
    }
    told.refused(
        "an encode that was refused memory",
        &[SAM_MM_ERR_OUT_OF_MEMORY],
    )?;
    ensure!(
        embedding.is_none(),
        "an embedding was given along with the end"
    );
    subject.encode(&subject.photograph(1))?;
    Ok(Kept::Yes)
}
