/* Writes PNG files with nothing but the C library. The pixels are stored, not compressed: any program that reads PNG
 * reads them, and this stays small. */

#ifndef PNG_WRITE_H
#define PNG_WRITE_H

#include <stdint.h>

/* Writes width x height pixels of red, green and blue, rows without a gap. Returns 1, or 0 when the file could not be
 * written; errno then tells why. */
int png_write_rgb(const char *path, const uint8_t *rgb, uint32_t width, uint32_t height);

#endif
