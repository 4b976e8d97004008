/* Models and embeddings of the fake backend. */

#include "fake.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char config_head[] = "fake-model\n";

/* ---- checkpoints ------------------------------------------------------------------------------------------------ */

static void set_text(char *target, size_t size, const char *value) {
  snprintf(target, size, "%.*s", (int)strcspn(value, "\r\n"), value);
}

/* One "key=value" line. */
static int configure(fake_config *config, const char *line) {
  const char *value = strchr(line, '=');
  const size_t key = value == NULL ? 0 : (size_t)(value - line);
  unsigned long long number;
#define IS(name) (key == sizeof name - 1 && strncmp(line, name, key) == 0)
  if (value == NULL) {
    return 0;
  }
  value++;
  number = strtoull(value, NULL, 10);
  if (IS("input_size")) {
    config->input_size = (uint32_t)number;
  } else if (IS("mask_size")) {
    config->mask_size = (uint32_t)number;
  } else if (IS("multimask_count")) {
    config->multimask_count = (uint32_t)number;
  } else if (IS("element")) {
    config->element = (uint32_t)number;
  } else if (IS("resize")) {
    config->resize = (uint32_t)number;
  } else if (IS("halves")) {
    config->halves = (uint32_t)number;
  } else if (IS("parameters")) {
    config->parameters = number;
  } else if (IS("embedding_bytes")) {
    config->embedding_bytes = number;
  } else if (IS("encode_workspace")) {
    config->encode_workspace = number;
  } else if (IS("decode_workspace")) {
    config->decode_workspace = number;
  } else if (IS("spoilt")) {
    config->spoilt = (uint32_t)number;
  } else if (IS("object_scores")) {
    config->object_scores = (uint32_t)number;
  } else if (IS("family")) {
    set_text(config->family, sizeof config->family, value);
  } else if (IS("variant")) {
    set_text(config->variant, sizeof config->variant, value);
  } else {
    return 0;
  }
  return 1;
#undef IS
}

/* The model of a checkpoint's first bytes, which end in NUL: any file is the default model, but not an empty one. */
static int32_t understand(const char *text, const char *name, fake_config *config, sam_mm_backend_error *error) {
  static const fake_config defaults = {256,  64,     3,        SAM_MM_ELEMENT_U8, SAM_MM_RESIZE_LONGEST_SIDE, 1, 1000,
                                       4096, 0, 0, "fake", "fake_s", 0, 0};
  *config = defaults;
  if (text[0] == '\0') {
    return fake_fail(error, SAM_MM_ERR_CHECKPOINT, "%s is empty; the fake backend takes any other file", name);
  }
  if (strncmp(text, config_head, sizeof config_head - 1) != 0) {
    return SAM_MM_OK;
  }
  for (text += sizeof config_head - 1; *text != '\0'; text += strcspn(text, "\n"), text += *text == '\n') {
    if (!configure(config, text)) {
      return fake_fail(error, SAM_MM_ERR_CHECKPOINT, "%s: the line \"%.*s\" is not understood", name,
                       (int)strcspn(text, "\n"), text);
    }
  }
  return SAM_MM_OK;
}

static int32_t read_checkpoint(const sam_mm_backend_checkpoint *checkpoint, fake_config *config,
                               sam_mm_backend_error *error) {
  char head[1024];
  size_t length;
  const char *name = checkpoint->name != NULL ? checkpoint->name : "the checkpoint";
  if ((checkpoint->path == NULL) == (checkpoint->data == NULL)) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "exactly one of path and data must be given");
  }
  if (checkpoint->path != NULL) {
    FILE *file = fopen(checkpoint->path, "rb");
    if (file == NULL) {
      return fake_fail(error, SAM_MM_ERR_IO, "%s cannot be opened", checkpoint->path);
    }
    length = fread(head, 1, sizeof head - 1, file);
    fclose(file);
  } else {
    length = checkpoint->data_len < sizeof head - 1 ? (size_t)checkpoint->data_len : sizeof head - 1;
    memcpy(head, checkpoint->data, length);
  }
  /* A checkpoint in binary may begin with NUL; it is not empty for that. */
  if (length > 0 && head[0] == '\0') {
    head[0] = ' ';
  }
  head[length] = '\0';
  return understand(head, name, config, error);
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

static uint64_t element_bytes(uint32_t precision) {
  return precision == SAM_MM_PRECISION_FP32 ? 4 : 2;
}

static uint64_t weight_bytes(const fake_model *model) {
  return model->config.parameters * element_bytes(model->precision);
}

static int32_t check_precision(const fake_config *config, uint32_t precision, sam_mm_backend_error *error) {
  if (precision == SAM_MM_PRECISION_FP32 || (precision <= SAM_MM_PRECISION_BF16 && config->halves)) {
    return SAM_MM_OK;
  }
  return fake_fail(error, SAM_MM_ERR_UNSUPPORTED, "precision %u is not supported by this model", (unsigned)precision);
}

static int32_t check_plan(const fake_config *config, const sam_mm_backend_plan *plan, sam_mm_backend_error *error) {
  FAKE_CHECK(plan, sam_mm_backend_plan, error);
  if (plan->attention > SAM_MM_ATTENTION_CHUNKED) {
    return fake_fail(error, SAM_MM_ERR_UNSUPPORTED, "plan.attention is %u, which is not known here",
                     (unsigned)plan->attention);
  }
  return check_precision(config, plan->precision, error);
}

static uint64_t encode_workspace(const fake_config *config, const sam_mm_backend_plan *plan) {
  const uint64_t cells = (uint64_t)config->input_size * config->input_size;
#ifdef FAKE_DEFECT_ESTIMATE
  return cells * (plan->attention == SAM_MM_ATTENTION_FULL ? 4 : 16);
#else
  const uint64_t elements = config->encode_workspace != 0 ? config->encode_workspace / 4 : cells * 16;
  return elements / (plan->attention == SAM_MM_ATTENTION_FULL ? 1 : 4) * element_bytes(plan->precision);
#endif
}

static uint64_t decode_workspace(const fake_config *config, const sam_mm_backend_plan *plan, uint32_t objects) {
  const uint64_t cells = (uint64_t)config->mask_size * config->mask_size;
  const uint64_t elements = config->decode_workspace != 0 ? config->decode_workspace / 4 : cells * 4;
  return elements * objects * element_bytes(plan->precision);
}

int32_t fake_model_load(sam_mm_backend_device *handle, const sam_mm_backend_checkpoint *checkpoint,
                        sam_mm_operation *operation, sam_mm_backend_model **out, sam_mm_backend_error *error) {
  fake_object *device;
  fake_model *model;
  fake_config config;
  int32_t status = fake_begin(FN_model_load, operation, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  FAKE_CHECK(checkpoint, sam_mm_backend_checkpoint, error);
  if (out == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "out is NULL");
  }
  device = fake_acquire(handle, KIND_DEVICE, error);
  if (device == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  status = read_checkpoint(checkpoint, &config, error);
  if (status == SAM_MM_OK) {
    status = check_precision(&config, checkpoint->precision, error);
  }
  if (status == SAM_MM_OK) {
    status = fake_allocate(FN_model_load, device, config.parameters * element_bytes(checkpoint->precision), operation, error);
  }
  if (status == SAM_MM_OK) {
    model = calloc(1, sizeof *model);
    if (model == NULL) {
      abort();
    }
    model->config = config;
    model->precision = checkpoint->precision;
    fake_adopt(&model->object, KIND_MODEL, device, weight_bytes(model));
    *out = (sam_mm_backend_model *)model;
  }
  fake_release(device);
  return status;
}

int32_t fake_model_describe(sam_mm_backend_model *handle, sam_mm_backend_model_info *out,
                            sam_mm_backend_error *error) {
  fake_model *model;
  int32_t status = fake_begin(FN_model_describe, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  FAKE_CHECK(out, sam_mm_backend_model_info, error);
  model = (fake_model *)fake_acquire(handle, KIND_MODEL, error);
  if (model == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  out->resize = model->config.resize;
  out->input_size = model->config.input_size;
  out->input_element = model->config.element;
  out->mask_size = model->config.mask_size;
  out->multimask_count = model->config.multimask_count;
  out->parameters = model->config.parameters;
  out->embedding_bytes = model->config.embedding_bytes;
  out->weight_bytes = weight_bytes(model);
  out->family = model->config.family;
  out->variant = model->config.variant;
  fake_release(&model->object);
  return SAM_MM_OK;
}

int32_t fake_model_set_precision(sam_mm_backend_model *handle, uint32_t precision, sam_mm_operation *operation,
                                 sam_mm_backend_error *error) {
  fake_model *model;
  int32_t status = fake_begin(FN_model_set_precision, operation, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  model = (fake_model *)fake_acquire(handle, KIND_MODEL, error);
  if (model == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  status = check_precision(&model->config, precision, error);
  if (status == SAM_MM_OK) {
    status = fake_allocate(FN_model_set_precision, &model->object,
                           model->config.parameters * element_bytes(precision), operation, error);
  }
  if (status == SAM_MM_OK) {
    fake_deallocate(&model->object, model->object.bytes);
    model->precision = precision;
    model->object.bytes = weight_bytes(model);
  }
  fake_release(&model->object);
  return status;
}

int32_t fake_model_estimate(sam_mm_backend_model *handle, const sam_mm_backend_plan *plan,
                            sam_mm_backend_estimate *out, sam_mm_backend_error *error) {
  fake_model *model;
  int32_t status = fake_begin(FN_model_estimate, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  FAKE_CHECK(out, sam_mm_backend_estimate, error);
  model = (fake_model *)fake_acquire(handle, KIND_MODEL, error);
  if (model == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  status = check_plan(&model->config, plan, error);
  if (status == SAM_MM_OK) {
    out->embedding_bytes = model->config.embedding_bytes;
    out->encode_workspace_bytes = encode_workspace(&model->config, plan);
    out->decode_workspace_bytes = decode_workspace(&model->config, plan, plan->num_objects);
  }
  fake_release(&model->object);
  return status;
}

/* ---- encode ----------------------------------------------------------------------------------------------------- */

static int32_t check_pixels(const fake_config *config, const sam_mm_backend_pixels *pixels,
                            sam_mm_backend_error *error) {
  const uint64_t element = config->element == SAM_MM_ELEMENT_U8 ? 1 : 4;
  FAKE_CHECK(pixels, sam_mm_backend_pixels, error);
  if (pixels->element != config->element) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "pixels.element is %u; this model takes %u",
                     (unsigned)pixels->element, (unsigned)config->element);
  }
  if (pixels->width < 1 || pixels->height < 1 || pixels->width > config->input_size ||
      pixels->height > config->input_size || pixels->original_width < 1 || pixels->original_height < 1) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "the image is %ux%u, of %ux%u; a side must be 1 to %u",
                     (unsigned)pixels->width, (unsigned)pixels->height, (unsigned)pixels->original_width,
                     (unsigned)pixels->original_height, (unsigned)config->input_size);
  }
  if (pixels->data == NULL || pixels->row_stride < 3 * element * pixels->width || pixels->row_stride % element != 0 ||
      (uintptr_t)pixels->data % element != 0 || pixels->row_stride > INT64_MAX / pixels->height) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "pixels.data is %p with row_stride %llu for %u pixels a row",
                     (void *)(uintptr_t)pixels->data, (unsigned long long)pixels->row_stride,
                     (unsigned)pixels->width);
  }
  return SAM_MM_OK;
}

static fake_features look_at(const fake_config *config, const sam_mm_backend_pixels *pixels) {
  const size_t elements = (size_t)3 * pixels->width;
  double sum = 0;
  fake_features features;
  uint32_t row;
  size_t i;
  memset(&features, 0, sizeof features);
  features.checksum = FAKE_FNV_START;
  features.original_width = pixels->original_width;
  features.original_height = pixels->original_height;
  for (row = 0; row < pixels->height; row++) {
#ifdef FAKE_DEFECT_IGNORES_STRIDE
    const size_t stride = elements * (config->element == SAM_MM_ELEMENT_U8 ? 1 : 4);
#else
    const size_t stride = (size_t)pixels->row_stride;
#endif
    const uint8_t *start = (const uint8_t *)pixels->data + row * stride;
    if (config->element == SAM_MM_ELEMENT_U8) {
      for (i = 0; i < elements; i++) {
        sum += start[i] / 255.0;
      }
      features.checksum = fake_fnv1a(features.checksum, start, elements);
    } else {
      for (i = 0; i < elements; i++) {
        sum += ((const float *)(const void *)start)[i];
      }
      features.checksum = fake_fnv1a(features.checksum, start, elements * sizeof(float));
    }
  }
  features.brightness = (float)(sum / ((double)elements * pixels->height));
  return features;
}

static int32_t encode_on(fake_model *model, const sam_mm_backend_pixels *pixels, const sam_mm_backend_plan *plan,
                         sam_mm_operation *operation, sam_mm_backend_embedding **out, sam_mm_backend_error *error) {
  fake_features features;
  uint64_t workspace;
  int32_t status = check_pixels(&model->config, pixels, error);
  if (status == SAM_MM_OK) {
    status = check_plan(&model->config, plan, error);
  }
  if (status != SAM_MM_OK) {
    return status;
  }
  workspace = encode_workspace(&model->config, plan);
  status = fake_allocate(FN_encode, &model->object, model->config.embedding_bytes + workspace, operation, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  features = look_at(&model->config, pixels);
  fake_deallocate(&model->object, workspace);
  fake_note("checksum", features.checksum & INT64_MAX);
  fake_note("width", pixels->width);
  fake_note("height", pixels->height);
  fake_note("original_width", pixels->original_width);
  fake_note("original_height", pixels->original_height);
  fake_note("attention", plan->attention);
  fake_note("precision", plan->precision);
  return fake_give_embedding(model, &features, out);
}

int32_t fake_encode(sam_mm_backend_model *handle, const sam_mm_backend_pixels *pixels, const sam_mm_backend_plan *plan,
                    sam_mm_operation *operation, sam_mm_backend_embedding **out, sam_mm_backend_error *error) {
  fake_model *model;
  int32_t status;
  if (out == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "out is NULL");
  }
  model = (fake_model *)fake_acquire(handle, KIND_MODEL, error);
  if (model == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  status = fake_begin(FN_encode, operation, error);
  if (status == SAM_MM_OK) {
    status = encode_on(model, pixels, plan, operation, out, error);
  }
  fake_release(&model->object);
  return status;
}

/* ---- decode ----------------------------------------------------------------------------------------------------- */

static int32_t check_prompts(const sam_mm_backend_prompts *prompts, sam_mm_backend_error *error) {
  uint64_t points = 0, i;
  FAKE_CHECK(prompts, sam_mm_backend_prompts, error);
  if (prompts->num_objects == 0) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "prompts.num_objects is 0");
  }
  for (i = 0; prompts->point_counts != NULL && i < prompts->num_objects; i++) {
    points += prompts->point_counts[i];
  }
  if (points > 0 && (prompts->points == NULL || prompts->labels == NULL)) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "prompts.points or prompts.labels is NULL for %llu points",
                     (unsigned long long)points);
  }
  for (i = 0; i < points; i++) {
    if (prompts->labels[i] < -1 || prompts->labels[i] > 1) {
      return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "label %llu is %d; it must be 1, 0 or -1",
                       (unsigned long long)i, (int)prompts->labels[i]);
    }
    if (!isfinite(prompts->points[2 * i]) || !isfinite(prompts->points[2 * i + 1])) {
      return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "point %llu is not finite", (unsigned long long)i);
    }
  }
  for (i = 0; i < prompts->num_objects; i++) {
    if ((prompts->has_box != NULL && prompts->has_box[i] && prompts->boxes == NULL) ||
        (prompts->has_mask != NULL && prompts->has_mask[i] && prompts->masks == NULL)) {
      return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "object %llu has a box or mask, but there are none",
                       (unsigned long long)i);
    }
  }
  return SAM_MM_OK;
}

static int32_t draw_objects(const fake_config *config, const fake_embedding *embedding,
                            const sam_mm_backend_prompts *prompts, sam_mm_operation *operation,
                            const sam_mm_backend_masks *masks, sam_mm_backend_error *error) {
  const size_t cells = (size_t)config->mask_size * config->mask_size;
  const uint32_t n = prompts->multimask ? config->multimask_count : 1;
  fake_prompt prompt = {prompts->points, prompts->labels, 0, NULL, NULL};
  uint32_t object, index;
  for (object = 0; object < prompts->num_objects; object++) {
    const int has_box = prompts->has_box != NULL && prompts->has_box[object];
    const int has_mask = prompts->has_mask != NULL && prompts->has_mask[object];
    prompt.point_count = prompts->point_counts != NULL ? prompts->point_counts[object] : 0;
    prompt.box = has_box ? prompts->boxes + (size_t)4 * object : NULL;
    prompt.mask = has_mask ? prompts->masks + cells * object : NULL;
#ifndef FAKE_DEFECT_IGNORES_CANCEL
    if (fake_host->is_cancelled(operation)) {
      return fake_fail(error, SAM_MM_ERR_CANCELLED, "the operation was cancelled");
    }
#else
    (void)operation, (void)error;
#endif
    for (index = 0; index < n; index++) {
      const size_t at = (size_t)object * n + index;
      fake_draw(config, &embedding->features, &prompt, index, masks->logits + cells * at, masks->scores + at);
#ifdef FAKE_DEFECT_BATCH_DIFFERS
      masks->scores[at] += (float)object / 8;
#endif
#ifdef FAKE_DEFECT_UNSTABLE
      {
        static uint32_t calls;
        masks->logits[cells * at] += (float)++calls;
      }
#endif
    }
    if (config->object_scores && masks->object_scores != NULL) {
      masks->object_scores[object] = config->spoilt == 3 ? HUGE_VALF : (float)prompt.point_count - 1.5f;
    }
    prompt.points += (size_t)2 * prompt.point_count;
    prompt.labels += prompt.point_count;
  }
#ifdef FAKE_DEFECT_WRITES_TOO_MUCH
  masks->scores[(size_t)n * prompts->num_objects] = 0;
#endif
  return SAM_MM_OK;
}

static int32_t decode_on(fake_model *model, const fake_embedding *embedding, const sam_mm_backend_prompts *prompts,
                         const sam_mm_backend_plan *plan, sam_mm_operation *operation,
                         const sam_mm_backend_masks *masks, sam_mm_backend_error *error) {
  uint64_t workspace;
  int32_t status = check_prompts(prompts, error);
  if (status == SAM_MM_OK) {
    status = check_plan(&model->config, plan, error);
  }
  if (status != SAM_MM_OK) {
    return status;
  }
  FAKE_CHECK(masks, sam_mm_backend_masks, error);
  if (masks->logits == NULL || masks->scores == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "masks.logits or masks.scores is NULL");
  }
#ifndef FAKE_DEFECT_FOREIGN_EMBEDDING
  if (embedding->object.parent != &model->object) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "the embedding was made by another model");
  }
#endif
  workspace = decode_workspace(&model->config, plan, prompts->num_objects);
  status = fake_allocate(FN_decode, &model->object, workspace, operation, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  fake_note("num_objects", prompts->num_objects);
  fake_note("multimask", prompts->multimask != 0);
  status = draw_objects(&model->config, embedding, prompts, operation, masks, error);
  fake_deallocate(&model->object, workspace);
  return status;
}

int32_t fake_decode(sam_mm_backend_model *handle, sam_mm_backend_embedding *embedding_handle,
                    const sam_mm_backend_prompts *prompts, const sam_mm_backend_plan *plan,
                    sam_mm_operation *operation, const sam_mm_backend_masks *masks, sam_mm_backend_error *error) {
  fake_object *embedding;
  fake_object *model = fake_acquire(handle, KIND_MODEL, error);
  int32_t status;
  if (model == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  embedding = fake_acquire(embedding_handle, KIND_EMBEDDING, error);
  if (embedding == NULL) {
    fake_release(model);
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  status = fake_begin(FN_decode, operation, error);
  if (status == SAM_MM_OK) {
    status = decode_on((fake_model *)model, (fake_embedding *)embedding, prompts, plan, operation, masks, error);
  }
  fake_release(embedding);
  fake_release(model);
  return status;
}
