/* Pictures in memory: reading PPM files, and drawing masks and prompts on them. */

#ifndef PICTURE_H
#define PICTURE_H

#include <stdint.h>

/* Rows of pixels of red, green and blue, without gaps. */
typedef struct picture {
    uint32_t width, height;
    uint8_t *rgb;
} picture;

/* Makes a black picture. Returns 0 when memory runs out. */
int picture_create(picture *made, uint32_t width, uint32_t height);

/* Reads a binary PPM file (P6, 8 bit). Returns NULL, or what is wrong with the file. */
const char *picture_read_ppm(picture *read, const char *path);

void picture_free(picture *p);

/* Copies a picture into a larger one, its left edge at column x. */
void picture_paste(picture *onto, const picture *from, uint32_t x);

/* Takes most of the colour out of what lies right of column x0, so that masks stand out. */
void picture_fade(picture *faded, uint32_t x0);

/* The drawing functions take positions in pixels of a picture that picture_paste put at column x0. */

/* Tints where mask (a byte a pixel, width x height of the pasted picture, row_stride apart) is not 0, and draws its
 * contour in white and colour. index chooses the colour. */
void picture_draw_mask(picture *onto, uint32_t x0, const uint8_t *mask, uint32_t width, uint32_t height,
                       uint64_t row_stride, unsigned index);

/* Draws a click: green in a white ring for foreground, red for background. */
void picture_draw_click(picture *onto, uint32_t x0, float x, float y, int is_foreground);

/* Draws the frame of a box. */
void picture_draw_box(picture *onto, uint32_t x0, const float corners[4]);

#endif
