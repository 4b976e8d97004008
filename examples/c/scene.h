/* Draws a scene with known truth: a few coloured shapes on a quiet background. */

#ifndef SCENE_H
#define SCENE_H

#include <stdint.h>

#define SCENE_OBJECTS 4

/* Pixels of a drawn scene and what is known about it. */
typedef struct scene {
    uint32_t width, height;
    uint8_t *rgb;   /* height rows of width pixels of 3 bytes */
    uint8_t *owner; /* a byte a pixel: 0 background, i + 1 object i */
    float click[SCENE_OBJECTS][2]; /* x and y of a point inside each object */
    float box[SCENE_OBJECTS][4];   /* x0, y0, x1, y1 around each object */
} scene;

/* Draws the scene of a seed; the same seed gives the same scene. Returns 0 when memory runs out.
 * scene_free gives the memory back. */
int scene_draw(scene *drawn, uint64_t seed);

void scene_free(scene *drawn);

#endif
