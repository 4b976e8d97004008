//! What may be called an image.

use sam_mm::image::{ImageError, ImageView, MAX_SIDE, PixelFormat};

fn refusal(
    format: PixelFormat,
    width: u32,
    height: u32,
    row_stride: usize,
    data_len: usize,
) -> ImageError {
    ImageView::new(format, width, height, row_stride, &vec![0; data_len]).unwrap_err()
}

#[test]
fn an_image_without_pixels_is_refused() {
    for (width, height) in [(0, 0), (0, 5), (5, 0)] {
        assert_eq!(
            refusal(PixelFormat::Rgb8, width, height, 100, 100),
            ImageError::Empty { width, height }
        );
    }
}

#[test]
fn sides_and_pixel_counts_beyond_the_limits_are_refused() {
    let (side, too_long) = (MAX_SIDE, MAX_SIDE + 1);
    for (width, height) in [
        (too_long, 1),
        (1, too_long),
        (u32::MAX, u32::MAX),
        (side, side),
    ] {
        let error = refusal(PixelFormat::Rgba8, width, height, usize::MAX, 8);
        assert_eq!(error, ImageError::TooLarge { width, height });
    }
    assert!(
        ImageView::new(
            PixelFormat::Gray8,
            side,
            1,
            side as usize,
            &vec![0; side as usize]
        )
        .is_ok()
    );
    let error = refusal(PixelFormat::Gray8, 32768, 32769, 32768, 8);
    assert_eq!(
        error.to_string(),
        "an image of 32768 x 32769 pixels is too large; a side may have at most 65535 pixels and an image 1073741824"
    );
}

#[test]
fn a_stride_shorter_than_a_row_is_refused_with_both_lengths() {
    for (format, needed) in [
        (PixelFormat::Gray8, 7),
        (PixelFormat::Rgb8, 21),
        (PixelFormat::Bgr8, 21),
        (PixelFormat::Rgba8, 28),
        (PixelFormat::Bgra8, 28),
    ] {
        let error = refusal(format, 7, 2, needed - 1, 1000);
        assert_eq!(
            error,
            ImageError::StrideTooShort {
                row_stride: needed - 1,
                needed,
                width: 7,
                format
            }
        );
        assert!(ImageView::new(format, 7, 2, needed, &[0; 1000]).is_ok());
    }
}

#[test]
fn the_last_row_needs_no_padding_and_not_a_byte_less_than_its_pixels() {
    let needed = 2 * 40 + 9;
    assert!(ImageView::new(PixelFormat::Rgb8, 3, 3, 40, &vec![0; needed]).is_ok());
    let error = refusal(PixelFormat::Rgb8, 3, 3, 40, needed - 1);
    assert_eq!(
        error.to_string(),
        "3 x 3 RGB8 pixels at a row stride of 40 bytes need 89 bytes, but 88 were given"
    );
}

#[test]
fn a_stride_that_overflows_is_refused() {
    for row_stride in [usize::MAX, usize::MAX / 2, isize::MAX as usize] {
        let error = refusal(PixelFormat::Gray8, 4, 3, row_stride, 100);
        assert_eq!(
            error,
            ImageError::StrideTooLong {
                row_stride,
                height: 3
            }
        );
    }
    // With a single row the stride is never used.
    assert!(ImageView::new(PixelFormat::Gray8, 4, 1, usize::MAX, &[0; 4]).is_ok());
}

#[test]
fn rows_are_read_without_their_padding() {
    let data: Vec<u8> = (0..14).collect();
    let view = ImageView::new(PixelFormat::Gray8, 4, 3, 5, &data).unwrap();
    let rows: Vec<_> = view.rows().collect();
    assert_eq!(rows, [[0, 1, 2, 3], [5, 6, 7, 8], [10, 11, 12, 13]]);
}
