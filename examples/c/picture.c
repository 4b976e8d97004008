#include "picture.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int picture_create(picture *made, uint32_t width, uint32_t height) {
    made->width = width, made->height = height;
    made->rgb = calloc((size_t)width * height, 3);
    return made->rgb != NULL;
}

void picture_free(picture *p) {
    free(p->rgb);
    memset(p, 0, sizeof *p);
}

/* ---- PPM ---- */

/* The next number of the header; blanks and comments before it are skipped. -1: there is none. */
static long header_number(FILE *file) {
    int c = fgetc(file);
    while (c == '#' || isspace(c)) {
        if (c == '#') {
            while (c != '\n' && c != EOF) c = fgetc(file);
        } else {
            c = fgetc(file);
        }
    }
    long value = -1;
    for (; isdigit(c) && value < 100000000; c = fgetc(file)) value = (value < 0 ? 0 : value * 10) + (c - '0');
    return value; /* the one blank behind the number is read too */
}

static const char *read_ppm(picture *read, FILE *file) {
    if (fgetc(file) != 'P' || fgetc(file) != '6') return "not a binary PPM file (it does not start with P6)";
    const long width = header_number(file), height = header_number(file), largest = header_number(file);
    if (width < 1 || height < 1 || width > 65535 || height > 65535) return "its width or height is out of range";
    if (largest != 255) return "it has not 8 bits per colour";
    if (!picture_create(read, (uint32_t)width, (uint32_t)height)) return "too large for the memory of this machine";
    const size_t pixels = (size_t)width * (size_t)height;
    if (fread(read->rgb, 3, pixels, file) != pixels) {
        picture_free(read);
        return "it ends before its last pixel";
    }
    return NULL;
}

const char *picture_read_ppm(picture *read, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return "it cannot be opened";
    memset(read, 0, sizeof *read);
    const char *problem = read_ppm(read, file);
    fclose(file);
    return problem;
}

/* ---- drawing ---- */

static const uint8_t WHITE[3] = {255, 255, 255}, GREEN[3] = {30, 200, 70}, RED[3] = {230, 40, 40};
static const uint8_t YELLOW[3] = {255, 225, 50};
static const uint8_t MASK_COLOURS[][3] = {{235, 50, 60}, {30, 110, 255}, {255, 180, 0}, {0, 175, 100},
                                          {190, 60, 225}, {0, 190, 215}, {255, 115, 0}, {150, 90, 40}};

static void blend(picture *onto, long x, long y, const uint8_t colour[3], double share) {
    if (x < 0 || y < 0 || x >= (long)onto->width || y >= (long)onto->height) return;
    uint8_t *pixel = onto->rgb + 3 * ((size_t)y * onto->width + (size_t)x);
    for (int i = 0; i < 3; i++) pixel[i] = (uint8_t)(pixel[i] * (1 - share) + colour[i] * share + 0.5);
}

/* Lines are as thick as the size of the picture asks for. */
static long thickness(const picture *p) {
    const uint32_t side = p->width < p->height ? p->width : p->height;
    return 1 + (long)side / 400;
}

void picture_paste(picture *onto, const picture *from, uint32_t x) {
    for (uint32_t y = 0; y < from->height; y++) {
        memcpy(onto->rgb + 3 * ((size_t)y * onto->width + x), from->rgb + 3 * (size_t)y * from->width,
               (size_t)from->width * 3);
    }
}

void picture_fade(picture *faded, uint32_t x0) {
    for (uint32_t y = 0; y < faded->height; y++) {
        for (uint32_t x = x0; x < faded->width; x++) {
            uint8_t *pixel = faded->rgb + 3 * ((size_t)y * faded->width + x);
            const double gray = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
            /* A trace of the colours stays, so that objects can still be told apart. */
            for (int i = 0; i < 3; i++) pixel[i] = (uint8_t)(0.9 * gray + 0.1 * pixel[i] + 0.5);
        }
    }
}

/* Whether the mask or the image ends within `near` of (x, y), seen in eight directions: all around would take minutes
 * for a large photograph. */
static int is_contour(const uint8_t *mask, long width, long height, uint64_t row_stride, long x, long y, long near) {
    const long slant = (7 * near + 5) / 10;
    const long steps[8][2] = {{near, 0}, {-near, 0}, {0, near}, {0, -near},
                              {slant, slant}, {-slant, slant}, {slant, -slant}, {-slant, -slant}};
    for (int i = 0; i < 8; i++) {
        const long at_x = x + steps[i][0], at_y = y + steps[i][1];
        if (at_x < 0 || at_y < 0 || at_x >= width || at_y >= height) return 1;
        if (!mask[(uint64_t)at_y * row_stride + (uint64_t)at_x]) return 1;
    }
    return 0;
}

void picture_draw_mask(picture *onto, uint32_t x0, const uint8_t *mask, uint32_t width, uint32_t height,
                       uint64_t row_stride, unsigned index) {
    const uint8_t *colour = MASK_COLOURS[index % (sizeof MASK_COLOURS / sizeof *MASK_COLOURS)];
    const long line = thickness(onto);
    for (long y = 0; y < (long)height; y++) {
        for (long x = 0; x < (long)width; x++) {
            if (!mask[(uint64_t)y * row_stride + (uint64_t)x]) continue;
            /* A white line outside of a line of the mask's colour shows on light and dark grounds alike. */
            if (is_contour(mask, width, height, row_stride, x, y, line)) blend(onto, x0 + x, y, WHITE, 1);
            else if (is_contour(mask, width, height, row_stride, x, y, 3 * line)) blend(onto, x0 + x, y, colour, 1);
            else blend(onto, x0 + x, y, colour, 0.5);
        }
    }
}

void picture_draw_click(picture *onto, uint32_t x0, float x, float y, int is_foreground) {
    const double radius = 2.0 + 3.0 * thickness(onto), ring = 1.0 + thickness(onto);
    const long reach = (long)(radius + ring) + 1;
    for (long dy = -reach; dy <= reach; dy++) {
        for (long dx = -reach; dx <= reach; dx++) {
            const long px = (long)x + dx, py = (long)y + dy;
            const double away = hypot(px + 0.5 - x, py + 0.5 - y);
            if (away <= radius + ring) blend(onto, x0 + px, py, WHITE, 1);
            if (away <= radius) blend(onto, x0 + px, py, is_foreground ? GREEN : RED, 1);
        }
    }
}

void picture_draw_box(picture *onto, uint32_t x0, const float corners[4]) {
    const long left = (long)corners[0], top = (long)corners[1], right = (long)corners[2], bottom = (long)corners[3];
    const long line = thickness(onto);
    for (long y = top; y < bottom; y++) {
        for (long x = left; x < right; x++) {
            if (x - left < line || right - x <= line || y - top < line || bottom - y <= line) {
                blend(onto, x0 + x, y, YELLOW, 1);
            }
        }
    }
}
