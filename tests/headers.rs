//! The C headers stand on their own in every C and C++ that callers use, and mean the same to both compilers.

mod support;

use std::fmt::Write as _;

use sam_mm_backend_abi::abi;
use support::c::{self, Language};

fn include(headers: &[&str]) -> String {
    headers
        .iter()
        .map(|header| format!("#include \"{header}\"\n"))
        .collect::<String>()
        + "int unused_;\n"
}

const HEADERS: [&str; 2] = ["sam_mm.h", "sam_mm_backend.h"];

#[test]
fn each_header_compiles_alone_and_twice_in_every_dialect() {
    for header in HEADERS {
        for language in Language::ALL {
            c::check_syntax(&include(&[header]), language);
            c::check_syntax(&include(&[header, header]), language);
        }
    }
}

/// Lines of C that print sizes and offsets, and what they print when C agrees with Rust.
#[derive(Default)]
struct Layout {
    c: String,
    rust: String,
}

impl Layout {
    fn size(&mut self, name: &str, size: usize) {
        writeln!(self.c, "printf(\"{name} %zu\\n\", sizeof({name}));").unwrap();
        writeln!(self.rust, "{name} {size}").unwrap();
    }

    fn assert_same_in_c(&self, header: &str) {
        let lines = &self.c;
        let program = format!(
            "#include <stdio.h>\n#include \"{header}\"\nint main(void) {{\n{lines}return 0;\n}}\n"
        );
        assert_eq!(c::run(&program), self.rust);
    }

    fn field(&mut self, name: &str, field: &str, offset: usize) {
        writeln!(
            self.c,
            "printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));"
        )
        .unwrap();
        writeln!(self.rust, "{name}.{field} {offset}").unwrap();
    }
}

macro_rules! layouts {
    ($($name:ident { $($field:ident),* $(,)? })*) => {{
        let mut layout = Layout::default();
        $(
            layout.size(stringify!($name), size_of::<$name>());
            $(layout.field(stringify!($name), stringify!($field), std::mem::offset_of!($name, $field));)*
            // Does not compile when a field is missing in the list.
            let _ = |value: $name| { let $name { $($field: _),* } = value; };
        )*
        layout
    }};
}

#[test]
fn the_structs_of_the_plugin_abi_have_one_layout_in_c_and_rust() {
    use sam_mm_backend_abi::abi::*;
    let layout = layouts! {
        sam_mm_host { struct_size, abi_version, log, is_cancelled, before_allocate, allocation_failed }
        sam_mm_backend_error { struct_size, reserved, requested_bytes, free_bytes, message }
        sam_mm_backend_probe { struct_size, score, reason }
        sam_mm_backend_device_config { struct_size, num_threads, device, memory_limit_bytes, allow_tf32, reserved }
        sam_mm_backend_mem_info { struct_size, known, total, free, allocated, reserved, peak_allocated }
        sam_mm_backend_checkpoint { struct_size, precision, path, data, data_len, name }
        sam_mm_backend_model_info {
            struct_size, resize, input_size, input_element, mask_size, multimask_count, parameters, embedding_bytes,
            weight_bytes, family, variant, precision_change_bytes,
        }
        sam_mm_backend_plan { struct_size, attention, precision, num_objects }
        sam_mm_backend_estimate {
            struct_size, reserved, embedding_bytes, encode_workspace_bytes, decode_workspace_bytes,
        }
        sam_mm_backend_pixels {
            struct_size, element, width, height, original_width, original_height, row_stride, data,
        }
        sam_mm_backend_prompts {
            struct_size, num_objects, multimask, reserved, point_counts, points, labels, has_box, boxes, has_mask, masks,
        }
        sam_mm_backend_masks { struct_size, reserved, logits, scores, object_scores }
        sam_mm_backend {
            struct_size, abi_version, name, version, probe, device_open, device_close, device_mem_info, device_trim,
            model_load, model_free, model_describe, model_set_precision, model_estimate, encode, decode,
            embedding_free, embedding_bytes, embedding_export, embedding_import, get_extension,
        }
        sam_mm_backend_embedding_half { struct_size, reserved, embedding_export_half }
    };
    layout.assert_same_in_c("sam_mm_backend.h");
}

#[test]
fn the_structs_of_the_api_have_one_layout_in_c_and_rust() {
    use sam_mm::capi::{
        cache::*, context::*, display::*, everything::*, image::*, job::*, memory::*,
        memory_events::*, memory_options::*, memory_report::*, model::*, predict::*, prefetch::*,
        progress::*, result::*,
    };
    let layout = layouts! {
        sam_mm_options {
            struct_size, num_threads, device, backend_path, log_callback, log_user_data, log_level, allow_tf32,
            embedding_cache_bytes, memory, prediction_cache_bytes, prediction_cache_entries, reserved,
            image_cache_bytes, image_cache_entries, embedding_host_bytes, embedding_cache_entries,
            embedding_disk_folder, embedding_disk_bytes, embedding_disk_entries, embedding_compress, reserved_2,
        }
        sam_mm_memory_options {
            struct_size, growth, fraction, warning_threshold, critical_threshold, host_threshold, lower_precision,
            cpu_fallback, monitor, monitor_period_ms, monitor_image_cache_bytes, monitor_device_threshold, max_age_ms,
            reserved, nvml_library, cudart_library,
        }
        sam_mm_backend_info { struct_size, reserved, name, version, path, device, trail }
        sam_mm_memory_info {
            struct_size, known, source, reserved_zero, used, total, free, utilization, allocated, reserved,
            embedding_cache, host_total, host_available, host_process, formatted, process,
            age_ms, stale, reserved_zero_2, device_name, device_uuid, failures,
        }
        sam_mm_memory_status { struct_size, level, utilization, message }
        sam_mm_memory_event { struct_size, kind, number, at_ms, bytes, value, message }
        sam_mm_memory_report {
            struct_size, health, operations_succeeded, operations_failed, embedding_hits, embedding_misses,
            optimizations, optimized_bytes, recoveries_attempted, recoveries_succeeded, warnings, criticals,
            peak_device_used, peak_device_process, peak_allocated, peak_host_process, prediction_hits,
            prediction_misses,
        }
        sam_mm_optimize_report {
            struct_size, performed, embedding_cache_bytes, allocator_bytes, image_cache_bytes, known, reserved,
            used_before, used_after, allocated_before, allocated_after, host_process_before, host_process_after,
            prediction_cache_bytes,
        }
        sam_mm_image_desc {
            struct_size, format, width, height, row_stride, data, data_len, content_id, content_id_len,
        }
        sam_mm_display_options {
            struct_size, target_size, min_size, max_size, shrinking, enlarging, format, reserved,
        }
        sam_mm_display_info {
            struct_size, format, original_width, original_height, width, height, scale_x, scale_y, original_aspect,
            aspect, row_stride, data, data_len,
        }
        sam_mm_cache_info {
            struct_size, reserved, entries, bytes, max_entries, max_bytes, hits, misses,
        }
        sam_mm_model_options { struct_size, precision, path, data, data_len }
        sam_mm_model_info {
            struct_size, precision, family, variant, name, device, parameters, weight_bytes, embedding_bytes,
            input_size, mask_size, multimask_count, reserved,
        }
        sam_mm_prompt { struct_size, num_points, points, labels, bounding_box, mask_input, mask_input_len }
        sam_mm_predict_request { struct_size, multimask, prompts, boxes, num_prompts, num_boxes }
        sam_mm_result_info {
            struct_size, num_objects, masks_per_object, num_masks, width, height, mask_size, embedding_reused,
            encode_ms, decode_ms, on_cpu, precision, chunked_attention, recovered_by, prediction_reused,
            reserved, embedding_source, reserved_2,
        }
        sam_mm_mask_info {
            struct_size, object_index, area, bounding_box, score, reserved, object_score, has_object_score,
        }
        sam_mm_bitmask { struct_size, width, height, reserved, row_stride, data }
        sam_mm_rle { struct_size, width, height, num_counts, counts, compressed, compressed_len }
        sam_mm_polygons { struct_size, num_rings, points, ring_starts, parents }
        sam_mm_polygon_options { struct_size, connectivity, tolerance, min_area }
        sam_mm_everything_step {
            struct_size, crop_index, num_crops, num_masks, points_done, points_total, fraction, masks,
        }
        sam_mm_everything_options {
            struct_size, points_per_side, points_per_batch, crop_n_layers, crop_n_points_downscale_factor, multimask,
            use_m2m, num_point_grids, pred_iou_thresh, stability_score_thresh, stability_score_offset,
            mask_threshold, box_nms_thresh, crop_nms_thresh, crop_overlap_ratio, min_mask_region_area, point_grids,
            point_grid_sizes, on_step, user_data,
        }
        sam_mm_mask_set_info {
            struct_size, num_masks, width, height, num_crops, reduced_batch, num_points, num_batches,
            num_candidates, peak_bytes,
        }
        sam_mm_found_mask_info {
            struct_size, crop_layer, id, area, bounding_box, predicted_iou, stability_score, point, crop_box,
        }
        sam_mm_job_options { struct_size, reserved, callback, user_data }
        sam_mm_job_info { struct_size, kind, state, stage, status, reserved, progress, id }
        sam_mm_prefetch_info {
            struct_size, paused, queued, queued_bytes, running, done, skipped, cancelled, reason,
        }
        sam_mm_progress { struct_size, source, number, at_ms, id, progress, stage, status }
    };
    layout.assert_same_in_c("sam_mm.h");
}

#[test]
fn both_headers_can_be_included_together() {
    for language in Language::ALL {
        c::check_syntax(
            &include(&["sam_mm.h", "sam_mm_backend.h", "sam_mm.h"]),
            language,
        );
    }
}

#[test]
fn the_constants_of_the_plugin_abi_have_one_value_in_c_and_rust() {
    macro_rules! constants {
        ($($name:ident),* $(,)?) => {(
            concat!($("printf(\"", stringify!($name), " %lld\\n\", (long long)", stringify!($name), ");\n"),*),
            [$(format!("{} {}\n", stringify!($name), abi::$name)),*].concat(),
        )};
    }
    let (c, rust) = constants! {
        SAM_MM_BACKEND_ABI_MAJOR, SAM_MM_BACKEND_ABI_MINOR, SAM_MM_BACKEND_ABI_VERSION, SAM_MM_OK,
        SAM_MM_ERR_INVALID_ARGUMENT, SAM_MM_ERR_INVALID_HANDLE, SAM_MM_ERR_UNSUPPORTED, SAM_MM_ERR_OUT_OF_MEMORY,
        SAM_MM_ERR_BACKEND_NOT_FOUND, SAM_MM_ERR_BACKEND, SAM_MM_ERR_CONFLICT, SAM_MM_ERR_CHECKPOINT, SAM_MM_ERR_IO,
        SAM_MM_ERR_DEVICE_UNAVAILABLE, SAM_MM_ERR_DEVICE_LOST, SAM_MM_ERR_CANCELLED, SAM_MM_ERR_POISONED,
        SAM_MM_ERR_INTERNAL, SAM_MM_LOG_ERROR, SAM_MM_LOG_WARN, SAM_MM_LOG_INFO, SAM_MM_LOG_DEBUG,
        SAM_MM_PRECISION_FP32, SAM_MM_PRECISION_FP16, SAM_MM_PRECISION_BF16, SAM_MM_ATTENTION_FULL,
        SAM_MM_ATTENTION_CHUNKED, SAM_MM_ELEMENT_U8, SAM_MM_ELEMENT_F32, SAM_MM_RESIZE_LONGEST_SIDE,
        SAM_MM_RESIZE_STRETCH, SAM_MM_MEM_DEVICE, SAM_MM_MEM_ALLOCATOR, SAM_MM_MEM_PEAK, SAM_MM_BACKEND_MESSAGE_LEN,
        SAM_MM_BACKEND_REASON_LEN,
    };
    let program = format!(
        "#include <stdio.h>\n#include \"sam_mm_backend.h\"\nint main(void) {{\n{c}\
         puts(SAM_MM_BACKEND_REQUIRES_MARKER);\nreturn 0;\n}}\n",
    );
    assert_eq!(
        c::run(&program),
        rust + abi::SAM_MM_BACKEND_REQUIRES_MARKER + "\n"
    );
}
