//! Embeddings as bytes.

use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::layout::AbiStruct;

use super::{Finding, Kept, checks, ensure};
use crate::raw::{Embedding, Table};
use crate::subject::Subject;

checks! { "embedding":
    "an exported embedding comes back bit for bit, with the same masks" => round_trip,
    "exporting into a place too small is refused, and tells the size" => small_place,
    "damaged bytes are refused, and the model goes on" => damaged,
    "an embedding that is NULL is refused" => null_embedding,
    "an export in half precision comes back close to the original" => half_precision,
    "half precision into a place too small, or none, is refused" => half_misused,
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
    let halved = match table.half() {
        Some(half) => export_half(subject, half, &embedding)?,
        None => None,
    };
    if let Some(halved) = halved {
        for index in [0, halved.len() / 2, halved.len() - 1] {
            let mut damaged = halved.clone();
            damaged[index] ^= 0xff;
            let what = format!("half precision with another byte {index}");
            let import = table.embedding_import(Some(&subject.model), Some(&damaged), None, true);
            import.0.refused(&what, &refused)?;
        }
    }
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

fn not_offered() -> Kept {
    Kept::NotConcerned(format!("it has no {SAM_MM_BACKEND_EMBEDDING_HALF}"))
}

/// What half precision may do to a logit, as a share of the largest, and to a score. The values of an embedding move by
/// 2⁻¹¹ at most; what a decoder makes of that is not told, so this is generous. A defect is far beyond it.
const CLOSE: f32 = 0.02;

/// An embedding in half precision; `None` when that cannot hold it.
fn export_half(
    subject: &Subject,
    half: &sam_mm_backend_embedding_half,
    embedding: &Embedding,
) -> Result<Option<Vec<u8>>, String> {
    let full = subject.export(embedding)?.len();
    let (mut place, mut written) = (vec![0; full], 0);
    let told =
        Table::embedding_export_half(half, Some(embedding), Some(&mut place), Some(&mut written));
    if told.code == SAM_MM_ERR_UNSUPPORTED {
        return Ok(None);
    }
    told.succeeded("embedding_export_half")?;
    ensure!(
        (1..full as u64).contains(&written),
        "it takes {written} bytes where all of the embedding takes {full}"
    );
    place.truncate(written as usize);
    Ok(Some(place))
}

fn half_precision(subject: &Subject) -> Finding {
    let Some(half) = subject.table.half() else {
        return Ok(not_offered());
    };
    ensure!(
        half.struct_size >= sam_mm_backend_embedding_half::MIN_SIZE
            && half.embedding_export_half.is_some(),
        "the table is too short, or has no function: struct_size is {}",
        half.struct_size
    );
    let embedding = subject.encode(&subject.photograph(8))?;
    let full = subject.export(&embedding)?;
    let Some(halved) = export_half(subject, half, &embedding)? else {
        return Ok(Kept::NotConcerned(
            "it cannot hold the embedding of this model".to_owned(),
        ));
    };
    let again = subject.import(&halved)?;
    ensure!(
        subject.table.embedding_bytes(Some(&again))
            == subject.table.embedding_bytes(Some(&embedding)),
        "the imported embedding holds another number of bytes"
    );
    ensure!(
        subject.export(&again)?.len() == full.len(),
        "the imported embedding is in another precision than the original"
    );
    ensure!(
        export_half(subject, half, &again)? == Some(halved),
        "half precision of what had it already differs"
    );
    let prompts = subject.click(true);
    let (before, after) = (
        subject.decode(&embedding, &prompts)?,
        subject.decode(&again, &prompts)?,
    );
    let (logit, score) = before.distance(&after);
    let largest = before
        .logits
        .iter()
        .fold(0.0, |most: f32, x| most.max(x.abs()));
    ensure!(
        logit <= CLOSE * largest && score <= CLOSE,
        "the imported embedding gives masks that are far from the original's: logits differ by {logit} of {largest}, \
         scores by {score}"
    );
    Ok(Kept::Yes)
}

fn half_misused(subject: &Subject) -> Finding {
    let Some(half) = subject.table.half() else {
        return Ok(not_offered());
    };
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let embedding = subject.encode(&subject.photograph(8))?;
    let mut place = vec![0x5a; subject.export(&embedding)?.len()];
    let mut written = 7;
    Table::embedding_export_half(
        half,
        Some(&embedding),
        Some(&mut place[..1]),
        Some(&mut written),
    )
    .refused("a place of one byte", &refused)?;
    ensure!(
        written == 7 && place.iter().all(|&byte| byte == 0x5a),
        "something was written all the same"
    );
    Table::embedding_export_half(half, Some(&embedding), None, Some(&mut written))
        .refused("a place that is NULL", &refused)?;
    Table::embedding_export_half(half, Some(&embedding), Some(&mut place), None)
        .refused("a place for the size that is NULL", &refused)?;
    Table::embedding_export_half(half, None, Some(&mut place), Some(&mut written))
        .refused("an embedding that is NULL", &[SAM_MM_ERR_INVALID_HANDLE])?;
    Ok(Kept::Yes)
}

fn null_embedding(subject: &Subject) -> Finding {
    let told = subject.table.embedding_export(None, None, Some(&mut 0));
    told.refused("embedding_export of NULL", &[SAM_MM_ERR_INVALID_HANDLE])?;
    Ok(Kept::Yes)
}
