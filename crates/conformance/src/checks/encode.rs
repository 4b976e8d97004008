//! The image encoder.

use std::ptr;

use sam_mm_backend_abi::abi::*;
use sam_mm_backend_abi::types::{Element, Resize};

use super::{Finding, Kept, checks, ensure};
use crate::input::Image;
use crate::subject::{Subject, plan};

checks! { "encode":
    "images of every size from one pixel to the whole input are encoded" => sizes,
    "what lies between rows is not looked at" => stride,
    "the same image gives the same embedding" => same,
    "another image gives other masks" => other,
    "an embedding tells how many bytes it holds" => bytes,
    "pixels that cannot be are refused, and the model goes on" => nonsense,
}

fn sizes(subject: &Subject) -> Finding {
    let side = subject.info.input_size;
    let odd = (side / 2 + 1).min(side);
    let sizes = [
        (side, side),
        (1, 1),
        (side, 1),
        (1, side),
        (odd, side),
        (side, odd),
        (2.min(side), odd),
    ];
    // Stretched images always fill the input.
    let possible = match subject.info.resize {
        Resize::LongestSide => sizes.len(),
        Resize::Stretch => 1,
    };
    for &(width, height) in &sizes[..possible] {
        let embedding = subject
            .encode(&Image::new(&subject.info, width, height, 0, 3))
            .map_err(|how| format!("{width}x{height}: {how}"))?;
        subject
            .decode(&embedding, &subject.click(true))
            .map_err(|how| format!("{width}x{height}: {how}"))?;
    }
    Ok(Kept::Yes)
}

fn stride(subject: &Subject) -> Finding {
    let side = subject.info.input_size;
    let (width, height) = match subject.info.resize {
        Resize::LongestSide => ((side * 3 / 4).max(1), (side / 2).max(1)),
        Resize::Stretch => (side, side),
    };
    let mut seen = Vec::new();
    for padding in [0, 1, 17] {
        let embedding = subject.encode(&Image::new(&subject.info, width, height, padding, 4))?;
        seen.push(subject.decode(&embedding, &subject.click(true))?);
    }
    ensure!(
        seen.iter().all(|masks| *masks == seen[0]),
        "padding after the rows changed the masks"
    );
    Ok(Kept::Yes)
}

fn same(subject: &Subject) -> Finding {
    let exports: Result<Vec<_>, _> = (0..2)
        .map(|_| {
            subject
                .encode(&subject.photograph(5))
                .and_then(|one| subject.export(&one))
        })
        .collect();
    let exports = exports?;
    ensure!(
        exports[0] == exports[1],
        "two embeddings of one image differ"
    );
    Ok(Kept::Yes)
}

fn other(subject: &Subject) -> Finding {
    let masks: Result<Vec<_>, _> = [6, 7]
        .map(|seed| {
            subject
                .encode(&subject.photograph(seed))
                .and_then(|one| subject.decode(&one, &subject.click(true)))
        })
        .into_iter()
        .collect();
    let masks = masks?;
    ensure!(
        masks[0] != masks[1],
        "two images gave the same masks and scores"
    );
    Ok(Kept::Yes)
}

fn bytes(subject: &Subject) -> Finding {
    let embedding = subject.encode(&subject.photograph(1))?;
    let bytes = subject.table.embedding_bytes(Some(&embedding));
    let described = subject.info.embedding_bytes;
    ensure!(bytes > 0, "embedding_bytes is 0");
    // An allocator may round up, but not by more than a page or so.
    ensure!(
        bytes.abs_diff(described) <= described / 8 + 65_536,
        "embedding_bytes is {bytes}, the description says {described}"
    );
    ensure!(
        subject.table.embedding_bytes(None) == 0,
        "embedding_bytes of NULL is not 0"
    );
    Ok(Kept::Yes)
}

fn nonsense(subject: &Subject) -> Finding {
    let refused = [SAM_MM_ERR_INVALID_ARGUMENT];
    let side = subject.info.input_size;
    let image = subject.photograph(1);
    let good = image.wire();
    let other_element = match subject.info.input_element {
        Element::U8 => SAM_MM_ELEMENT_F32,
        Element::F32 => SAM_MM_ELEMENT_U8,
    };
    let bad = [
        ("no columns", sam_mm_backend_pixels { width: 0, ..*good }),
        ("no rows", sam_mm_backend_pixels { height: 0, ..*good }),
        (
            "too many columns",
            sam_mm_backend_pixels {
                width: side + 1,
                row_stride: 1 << 20,
                ..*good
            },
        ),
        (
            "too many rows",
            sam_mm_backend_pixels {
                height: side + 1,
                ..*good
            },
        ),
        (
            "the other element",
            sam_mm_backend_pixels {
                element: other_element,
                ..*good
            },
        ),
        (
            "an unknown element",
            sam_mm_backend_pixels {
                element: 77,
                ..*good
            },
        ),
        (
            "a stride below a row",
            sam_mm_backend_pixels {
                row_stride: 2,
                ..*good
            },
        ),
        (
            "a stride beyond memory",
            sam_mm_backend_pixels {
                row_stride: u64::MAX - 3,
                ..*good
            },
        ),
        (
            "no data",
            sam_mm_backend_pixels {
                data: ptr::null(),
                ..*good
            },
        ),
        (
            "an original without columns",
            sam_mm_backend_pixels {
                original_width: 0,
                ..*good
            },
        ),
        (
            "an original without rows",
            sam_mm_backend_pixels {
                original_height: 0,
                ..*good
            },
        ),
        (
            "a struct of 16 bytes",
            sam_mm_backend_pixels {
                struct_size: 16,
                ..*good
            },
        ),
    ];
    let encode =
        |pixels: Option<&sam_mm_backend_pixels>, plan: Option<&sam_mm_backend_plan>, place| {
            subject
                .table
                .encode(Some(&subject.model), pixels, plan, None, place)
        };
    for (what, pixels) in &bad {
        let (told, embedding) = encode(Some(pixels), Some(&plan(0)), true);
        told.refused(&format!("an image with {what}"), &refused)?;
        ensure!(
            embedding.is_none(),
            "an embedding was given along with the refusal of {what}"
        );
    }
    encode(None, Some(&plan(0)), true)
        .0
        .refused("pixels that are NULL", &refused)?;
    encode(Some(&good), None, true)
        .0
        .refused("a plan that is NULL", &refused)?;
    encode(Some(&good), Some(&plan(0)), false)
        .0
        .refused("a place that is NULL", &refused)?;
    subject.encode(&image)?;
    Ok(Kept::Yes)
}
