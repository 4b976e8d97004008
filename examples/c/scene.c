#include "scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 768
#define MAX_CORNERS 96
#define PI 3.14159265358979323846

/* ---- random numbers: SplitMix64 ---- */

static double uniform(uint64_t *state, double low, double high) {
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return low + (high - low) * ((double)(z >> 11) / 9007199254740992.0);
}

static int below(uint64_t *state, int limit) {
    return (int)uniform(state, 0, limit);
}

/* ---- surfaces ---- */

typedef struct { double r, g, b; } colour;

/* A colour that turns into a second one along a direction: gradually, in stripes, or in checks. */
typedef struct {
    colour first, second;
    double dx, dy, period;
    enum { FLAT, GRADED, STRIPED, CHECKED, PATTERNS } pattern;
} surface;

static colour from_hue(double hue, double saturation, double value) {
    const double sixth = 6 * (hue - floor(hue)), chroma = value * saturation;
    const double side = chroma * (1 - fabs(fmod(sixth, 2) - 1)), grey = value - chroma;
    const double parts[6][3] = {{chroma, side, 0}, {side, chroma, 0}, {0, chroma, side},
                                {0, side, chroma}, {side, 0, chroma}, {chroma, 0, side}};
    const double *part = parts[(int)sixth % 6];
    return (colour){255 * (part[0] + grey), 255 * (part[1] + grey), 255 * (part[2] + grey)};
}

static colour mixed(colour a, colour b, double share_of_b) {
    const double share_of_a = 1 - share_of_b;
    return (colour){a.r * share_of_a + b.r * share_of_b, a.g * share_of_a + b.g * share_of_b,
                    a.b * share_of_a + b.b * share_of_b};
}

static colour surface_at(const surface *s, double x, double y) {
    const double along = (x * s->dx + y * s->dy) / s->period, across = (y * s->dx - x * s->dy) / s->period;
    double share = 0;
    switch (s->pattern) {
        case GRADED: share = 0.5 + 0.5 * sin(along); break;
        case STRIPED: share = sin(along * 12) > 0; break;
        case CHECKED: share = (sin(along * 9) > 0) != (sin(across * 9) > 0); break;
        default: break;
    }
    return mixed(s->first, s->second, share);
}

static surface random_surface(uint64_t *random, colour base, double contrast) {
    const double turn = uniform(random, 0, 2 * PI);
    const colour other = from_hue(uniform(random, 0, 1), 0.5, uniform(random, 0.2, 1));
    surface made = {base, mixed(base, other, contrast), cos(turn), sin(turn), SIDE / uniform(random, 3, 6), FLAT};
    made.pattern = below(random, PATTERNS);
    return made;
}

/* ---- outlines ---- */

/* A closed outline around a middle: corners at equal angles, each with its own distance. */
typedef struct {
    double x, y, turn, stretch;
    int corners;
    double distance[MAX_CORNERS];
} outline;

/* How far inside the outline a point lies along its ray from the middle: 1 in the middle, 0 on the outline, negative
 * outside. */
static double depth_in(const outline *shape, double x, double y) {
    const double c = cos(shape->turn), s = sin(shape->turn);
    const double u = (x - shape->x) * c + (y - shape->y) * s;
    const double v = ((y - shape->y) * c - (x - shape->x) * s) / shape->stretch;
    const double step = 2 * PI / shape->corners;
    const double angle = atan2(v, u) < 0 ? atan2(v, u) + 2 * PI : atan2(v, u);
    const int corner = (int)(angle / step) % shape->corners;
    const double past = angle - corner * step;
    const double here = shape->distance[corner], next = shape->distance[(corner + 1) % shape->corners];
    /* The ray meets the straight side between two corners. */
    const double reach = here * next * sin(step) / (here * sin(past) + next * sin(step - past));
    return 1 - hypot(u, v) / reach;
}

static outline random_outline(uint64_t *random, int kind, double x, double y) {
    outline made = {x, y, uniform(random, 0, 2 * PI), uniform(random, 0.75, 1), MAX_CORNERS, {0}};
    const double size = SIDE * uniform(random, 0.15, 0.185), phase = uniform(random, 0, 2 * PI);
    const double wave = uniform(random, 0.08, 0.16);
    const int sides = 4 + below(random, 3), points = 5 + below(random, 2);
    if (kind == 1) made.corners = sides;
    if (kind == 2) made.corners = 2 * points;
    for (int i = 0; i < made.corners; i++) {
        const double angle = 2 * PI * i / made.corners;
        switch (kind) {
            case 0: made.distance[i] = size; break;                                      /* ellipse */
            case 1: made.distance[i] = size * 1.1; break;                                /* polygon */
            case 2: made.distance[i] = size * (i % 2 ? 0.75 : 1.2); break;               /* star */
            default: made.distance[i] = size * (1 + wave * sin(3 * angle + phase)
                                                + 0.6 * wave * sin(2 * angle - phase)); /* blob */
        }
    }
    return made;
}

/* ---- the scene ---- */

static void blend(uint8_t *pixel, colour over, double share) {
    const double values[3] = {over.r, over.g, over.b};
    for (int i = 0; i < 3; i++) {
        const double value = pixel[i] * (1 - share) + values[i] * share;
        pixel[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
    }
}

static void paint_background(scene *drawn, uint64_t *random) {
    const colour base = from_hue(uniform(random, 0, 1), uniform(random, 0.05, 0.25), uniform(random, 0.75, 0.95));
    surface quiet = random_surface(random, base, 0.15);
    quiet.pattern = GRADED;
    for (uint32_t y = 0; y < drawn->height; y++) {
        for (uint32_t x = 0; x < drawn->width; x++) {
            blend(drawn->rgb + 3 * ((size_t)y * drawn->width + x), surface_at(&quiet, x, y), 1);
        }
    }
}

/* The share of a pixel that lies inside, by samples. */
static double coverage(const outline *shape, double x, double y) {
    enum { SAMPLES = 3 };
    const double middle = depth_in(shape, x + 0.5, y + 0.5);
    if (fabs(middle) > 0.05) return middle > 0;
    int inside = 0;
    for (int i = 0; i < SAMPLES * SAMPLES; i++) {
        inside += depth_in(shape, x + (i % SAMPLES + 0.5) / SAMPLES, y + (i / SAMPLES + 0.5) / SAMPLES) > 0;
    }
    return (double)inside / (SAMPLES * SAMPLES);
}

static void paint_object(scene *drawn, int object, const outline *shape, const surface *fill) {
    static const colour black = {0, 0, 0};
    const double shadow_shift = SIDE / 90.0, reach = 0.28 * SIDE; /* farther out nothing of it shows */
    const uint32_t x0 = (uint32_t)fmax(0, shape->x - reach), x1 = (uint32_t)fmin(SIDE, shape->x + reach);
    const uint32_t y0 = (uint32_t)fmax(0, shape->y - reach), y1 = (uint32_t)fmin(SIDE, shape->y + reach);
    for (uint32_t y = y0; y < y1; y++) {
        for (uint32_t x = x0; x < x1; x++) {
            const size_t at = (size_t)y * drawn->width + x;
            const double shadow = 0.5 + 4 * depth_in(shape, x - shadow_shift, y - shadow_shift);
            if (shadow > 0) blend(drawn->rgb + 3 * at, black, 0.35 * (shadow < 1 ? shadow : 1));
            const double share = coverage(shape, x, y);
            if (share <= 0) continue;
            /* Lit from the upper left. */
            const double light = 1.1 - 0.3 * ((x - shape->x) + (y - shape->y)) / SIDE;
            colour lit = surface_at(fill, x, y);
            lit.r *= light, lit.g *= light, lit.b *= light;
            blend(drawn->rgb + 3 * at, lit, share);
            if (share >= 0.5) drawn->owner[at] = (uint8_t)(object + 1);
        }
    }
}

static void measure_boxes(scene *drawn) {
    for (int i = 0; i < SCENE_OBJECTS; i++) {
        drawn->box[i][0] = (float)drawn->width, drawn->box[i][1] = (float)drawn->height;
        drawn->box[i][2] = drawn->box[i][3] = 0;
    }
    for (uint32_t y = 0; y < drawn->height; y++) {
        for (uint32_t x = 0; x < drawn->width; x++) {
            const int owner = drawn->owner[(size_t)y * drawn->width + x];
            if (!owner) continue;
            float *box = drawn->box[owner - 1];
            box[0] = fminf(box[0], (float)x), box[1] = fminf(box[1], (float)y);
            box[2] = fmaxf(box[2], (float)(x + 1)), box[3] = fmaxf(box[3], (float)(y + 1));
        }
    }
}

static void paint_objects(scene *drawn, uint64_t *random) {
    static const double middles[SCENE_OBJECTS][2] = {{0.27, 0.27}, {0.73, 0.28}, {0.27, 0.73}, {0.73, 0.72}};
    const double first_hue = uniform(random, 0, 1);
    const int first_kind = below(random, 4);
    for (int i = 0; i < SCENE_OBJECTS; i++) {
        const double x = SIDE * (middles[i][0] + uniform(random, -0.03, 0.03));
        const double y = SIDE * (middles[i][1] + uniform(random, -0.03, 0.03));
        const outline shape = random_outline(random, (first_kind + i) % 4, x, y);
        const colour base = from_hue(first_hue + 0.25 * i, uniform(random, 0.65, 0.9), uniform(random, 0.55, 0.9));
        const surface fill = random_surface(random, base, 0.25);
        paint_object(drawn, i, &shape, &fill);
        drawn->click[i][0] = (float)x, drawn->click[i][1] = (float)y;
    }
}

int scene_draw(scene *drawn, uint64_t seed) {
    const size_t pixels = (size_t)SIDE * SIDE;
    uint64_t random = seed * UINT64_C(0xD1342543DE82EF95) + 1;
    memset(drawn, 0, sizeof *drawn);
    drawn->width = drawn->height = SIDE;
    drawn->rgb = calloc(pixels, 3);
    drawn->owner = calloc(pixels, 1);
    if (!drawn->rgb || !drawn->owner) {
        scene_free(drawn);
        return 0;
    }
    paint_background(drawn, &random);
    paint_objects(drawn, &random);
    measure_boxes(drawn);
    return 1;
}

void scene_free(scene *drawn) {
    free(drawn->rgb);
    free(drawn->owner);
    memset(drawn, 0, sizeof *drawn);
}
