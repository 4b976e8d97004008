/*
 * What an object's prompts make of an image. Everything is measured in pixels of the model's input, at the middle of
 * each cell; positive is inside.
 *
 *   foreground point   radius - distance to it            radius = input_size / 8 * (index + 1)
 *   box                distance to its nearest side
 *   mask input         its logit
 *   ...of these the largest; without any of them -1; then
 *   background point   at most distance to it - input_size / 8
 *
 *   score = 0.5 + brightness / 4 + (checksum mod 65536) / 524288 - index / 16
 *
 * The brightness is the mean of all channels, 0 to 1; the checksum is 64-bit FNV-1a over the rows of the pixels as
 * `encode` got them.
 */

#include "fake.h"

#include <math.h>
#include <stddef.h>

static float distance(float ax, float ay, float bx, float by) {
  return sqrtf((ax - bx) * (ax - bx) + (ay - by) * (ay - by));
}

void fake_draw(const fake_config *config, const fake_features *features, const fake_prompt *prompt, uint32_t index,
               float *logits, float *score) {
  const float input = (float)config->input_size;
  const float cell = input / (float)config->mask_size;
  const float width = (float)features->original_width, height = (float)features->original_height;
  const float longest = width > height ? width : height;
  const float scale_x = input / (config->resize == SAM_MM_RESIZE_STRETCH ? width : longest);
  const float scale_y = input / (config->resize == SAM_MM_RESIZE_STRETCH ? height : longest);
  const float radius = input / 8;
  uint32_t row, column, i;
  for (row = 0; row < config->mask_size; row++) {
    for (column = 0; column < config->mask_size; column++) {
      const size_t at = (size_t)row * config->mask_size + column;
      const float x = ((float)column + 0.5f) * cell, y = ((float)row + 0.5f) * cell;
      float value = -HUGE_VALF;
      for (i = 0; i < prompt->point_count; i++) {
        if (prompt->labels[i] == 1) {
          const float away = distance(x, y, prompt->points[2 * i] * scale_x, prompt->points[2 * i + 1] * scale_y);
          value = fmaxf(value, radius * (float)(index + 1) - away);
        }
      }
      if (prompt->box != NULL) {
        const float across = fminf(x - prompt->box[0] * scale_x, prompt->box[2] * scale_x - x);
        const float down = fminf(y - prompt->box[1] * scale_y, prompt->box[3] * scale_y - y);
        value = fmaxf(value, fminf(across, down));
      }
      if (prompt->mask != NULL) {
        value = fmaxf(value, prompt->mask[at]);
      }
      if (value == -HUGE_VALF) {
        value = -1.0f;
      }
      for (i = 0; i < prompt->point_count; i++) {
        if (prompt->labels[i] == 0) {
          const float away = distance(x, y, prompt->points[2 * i] * scale_x, prompt->points[2 * i + 1] * scale_y);
          value = fminf(value, away - radius);
        }
      }
      logits[at] = value;
    }
  }
  *score = 0.5f + features->brightness / 4 + (float)(features->checksum & 0xffff) / 524288.0f - (float)index / 16;
  if (config->spoilt == 1) {
    *score = NAN;
  } else if (config->spoilt == 2) {
    logits[0] = HUGE_VALF;
  }
}
