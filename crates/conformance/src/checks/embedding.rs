//! Embeddings as bytes.

use sam_mm_backend_abi::abi::*;

use super::{Finding, Kept, checks, ensure};
use crate::subject::Subject;

checks! { "embedding":
    "an exported embedding comes back bit for bit, with the same masks" => round_trip,
    "exporting into a place too small is refused, and tells the size" => small_place,
    "damaged bytes are refused, and the model goes on" => damaged,
    "an embedding that is NULL is refused" => null_embedding,
}

fn round_trip(subject: &Subject) -> Finding {
    let embedding = subject.encode(&subject.photograph(8))?;
    let bytes = subject.export(&embedding)?;
    ensure!(!bytes.is_empty(), "the export has no bytes");
    let again = subject.import(&bytes)?;
    ensure!(
        subject.export(&again)? == bytes,
        "the export of the imported embedding differs"
    );
    for multimask in [false, true] {
        let prompts = subject.click(multimask);
        let (before, after) = (
            subject.decode(&embedding, &prompts)?,
            subject.decode(&again, &prompts)?,
        );
        ensure!(
            before == after,
            "the imported embedding gives other masks: {:?}",
            before.distance(&after)
        );
    }
    let held = |one| subject.table.embedding_bytes(Some(one));
    ensure!(
        held(&again) == held(&embedding),
        "the imported embedding holds another number of bytes"
    );
    Ok(Kept::Yes)
}

fn small_place(subject: &Subject) -> Finding {
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let embedding = subject.encode(&subject.photograph(8))?;
    let bytes = subject.export(&embedding)?;
    for len in [1, bytes.len() - 1] {
        let mut required = 0;
        let mut place = vec![0x5a; bytes.len()];
        let told = subject.table.embedding_export(
            Some(&embedding),
            Some(&mut place[..len]),
            Some(&mut required),
        );
        told.refused(
            &format!("{len} bytes for an export of {}", bytes.len()),
            &refused,
        )?;
        ensure!(
            required == bytes.len() as u64,
            "the size told was {required}, not {}",
            bytes.len()
        );
        ensure!(
            place[len..].iter().all(|&byte| byte == 0x5a),
            "something was written behind the place"
        );
    }
    let told = subject.table.embedding_export(Some(&embedding), None, None);
    told.refused("a place for the size that is NULL", &refused)?;
    Ok(Kept::Yes)
}

fn damaged(subject: &Subject) -> Finding {
    let embedding = subject.encode(&subject.photograph(8))?;
    let good = subject.export(&embedding)?;
    let noise: Vec<u8> = (0..good.len() as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    let mut longer = good.clone();
    longer.push(0);
    let mut other_head = good.clone();
    other_head.iter_mut().take(8).for_each(|byte| *byte ^= 0xff);
    let damaged: [(&str, &[u8]); 9] = [
        ("no bytes", &[]),
        ("the first byte", &good[..1]),
        ("the first half", &good[..good.len() / 2]),
        ("all but the last byte", &good[..good.len() - 1]),
        ("one byte too many", &longer),
        ("zeros", &vec![0; good.len()]),
        ("ones", &vec![0xff; good.len()]),
        ("noise", &noise),
        ("another head", &other_head),
    ];
    for (what, bytes) in damaged {
        let (told, made) =
            subject
                .table
                .embedding_import(Some(&subject.model), Some(bytes), None, true);
        told.refused(
            &format!("an export that is {what}"),
            &[SAM_MM_ERR_INVALID_ARGUMENT],
        )?;
        ensure!(
            made.is_none(),
            "an embedding was given along with the refusal of {what}"
        );
    }
    let table = subject.table;
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    table
        .embedding_import(Some(&subject.model), None, None, true)
        .0
        .refused("bytes that are NULL", &refused)?;
    table
        .embedding_import(Some(&subject.model), Some(&good), None, false)
        .0
        .refused("no place", &refused)?;
    subject.import(&good)?;
    Ok(Kept::Yes)
}

fn null_embedding(subject: &Subject) -> Finding {
    let told = subject.table.embedding_export(None, None, Some(&mut 0));
    told.refused("embedding_export of NULL", &[SAM_MM_ERR_INVALID_HANDLE])?;
    Ok(Kept::Yes)
}
