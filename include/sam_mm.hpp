/* sam-mm for C++17 and later: the whole of sam_mm.h with handles that free themselves, errors that are objects, views that
 * know their size, and callbacks that are functions.
 *
 *     sam_mm::context context;
 *     sam_mm::model model = context.load_model();                    // the built-in demo model
 *     sam_mm::image image = context.create_image({sam_mm::pixel_format::rgb8, width, height, pixels});
 *     sam_mm::result masks = model.predict(image, sam_mm::prompt::click(200, 300));
 *     sam_mm::bitmask_view best = masks.bitmask(masks.best_mask());  // borrowed from `masks`
 *
 * Errors     Every function that can fail is there twice: `predict` throws sam_mm::error, `try_predict` returns
 *            sam_mm::expected. Without exceptions (-fno-exceptions, or SAM_MM_NO_EXCEPTIONS defined) there is the second
 *            alone, and nothing here throws.
 * Handles    can be moved, not copied, and may be destroyed in any order. What a moved-from or default-made one is asked
 *            fails with status::invalid_handle.
 * Borrowed   views (`..._view`, std::string_view, span) belong to the object they were asked from. They are valid until it
 *            is destroyed; moving it leaves them valid.
 * Threads    as in sam_mm.h: everything may be called from any thread, also at once on the same object, except moving,
 *            assigning and destroying it.
 * Callbacks  run on any thread, several at once. What one throws is caught and kept for context::callback_exception.
 *
 * The whole of it is told in docs/cpp.md. Header only: link with the shared or the static library of sam-mm and nothing else. */

#ifndef SAM_MM_HPP
#define SAM_MM_HPP

#include "sam_mm/base.hpp"
#include "sam_mm/callback.hpp"
#include "sam_mm/context.hpp"
#include "sam_mm/display.hpp"
#include "sam_mm/error.hpp"
#include "sam_mm/everything.hpp"
#include "sam_mm/image.hpp"
#include "sam_mm/job.hpp"
#include "sam_mm/memory.hpp"
#include "sam_mm/model.hpp"
#include "sam_mm/prompt.hpp"
#include "sam_mm/result.hpp"

#endif /* SAM_MM_HPP */
