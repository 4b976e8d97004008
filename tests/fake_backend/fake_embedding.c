/* Embeddings of the fake backend. */

#include "fake.h"

#include <stdlib.h>
#include <string.h>

uint64_t fake_fnv1a(uint64_t hash, const uint8_t *bytes, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) {
    hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  }
  return hash;
}

int32_t fake_give_embedding(fake_model *model, const fake_features *features, sam_mm_backend_embedding **out) {
  fake_embedding *embedding = calloc(1, sizeof *embedding);
  if (embedding == NULL) {
    abort();
  }
  embedding->features = *features;
  fake_adopt(&embedding->object, KIND_EMBEDDING, &model->object, model->config.embedding_bytes);
  *out = (sam_mm_backend_embedding *)embedding;
  return SAM_MM_OK;
}

/* What is exported: who made it, what for, the features, and a checksum of all that goes before. */
typedef struct {
  char magic[8];
  uint32_t input_size;
  uint32_t mask_size;
  uint64_t embedding_bytes;
  fake_features features;
  uint64_t checksum;
} fake_export;

static const char export_magic[8] = {'F', 'A', 'K', 'E', 'E', 'M', 'B', '1'};

static fake_export exported_form(const fake_config *config, const fake_features *features) {
  fake_export form;
  memset(&form, 0, sizeof form);
  memcpy(form.magic, export_magic, sizeof form.magic);
  form.input_size = config->input_size;
  form.mask_size = config->mask_size;
  form.embedding_bytes = config->embedding_bytes;
  form.features = *features;
#ifdef FAKE_DEFECT_EXPORT_ROUNDS
  form.features.brightness = (float)(int)(form.features.brightness * 16) / 16;
#endif
  form.checksum = fake_fnv1a(FAKE_FNV_START, (const uint8_t *)&form, offsetof(fake_export, checksum));
  return form;
}

/* In half precision: as above with another magic, and the brightness in its place as binary16. Two bytes less. */
typedef struct {
  char magic[8];
  uint32_t input_size;
  uint32_t mask_size;
  uint64_t embedding_bytes;
  uint64_t image_checksum;
  uint32_t original_width;
  uint32_t original_height;
  uint64_t checksum;
  uint16_t brightness;
} fake_half_export;

/* Without the padding at the end. */
#define FAKE_HALF_EXPORT (offsetof(fake_half_export, brightness) + sizeof(uint16_t))

static const char half_magic[8] = {'F', 'A', 'K', 'E', 'H', 'L', 'F', '1'};

/* To the nearest binary16, ties to even; only for what is 0 or at least 2^-14 and below 65520. */
static int to_half(float value, uint16_t *half) {
  uint32_t bits, rounded;
  memcpy(&bits, &value, sizeof bits);
  *half = 0;
  if (value == 0) {
    return 1;
  }
  if (!(value >= 1.0f / 16384 && value < 65520.0f)) {
    return 0;
  }
  rounded = bits + 0xfff + ((bits >> 13) & 1);
  *half = (uint16_t)((rounded - (UINT32_C(112) << 23)) >> 13);
  return 1;
}

static float from_half(uint16_t half) {
  const uint32_t bits = half == 0 ? 0 : ((uint32_t)half << 13) + (UINT32_C(112) << 23);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint64_t half_checksum(const fake_half_export *form) {
  fake_half_export unsigned_form = *form;
  unsigned_form.checksum = 0;
  return fake_fnv1a(FAKE_FNV_START, (const uint8_t *)&unsigned_form, FAKE_HALF_EXPORT);
}

static int half_form(const fake_config *config, const fake_features *features, fake_half_export *form) {
  memset(form, 0, sizeof *form);
  memcpy(form->magic, half_magic, sizeof form->magic);
  form->input_size = config->input_size;
  form->mask_size = config->mask_size;
  form->embedding_bytes = config->embedding_bytes;
  form->image_checksum = features->checksum;
  form->original_width = features->original_width;
  form->original_height = features->original_height;
  if (!to_half(features->brightness, &form->brightness)) {
    return 0;
  }
#ifdef FAKE_DEFECT_HALF_IS_WRONG
  form->brightness ^= 0x0200;
#endif
  form->checksum = half_checksum(form);
  return 1;
}

/* Whether the bytes are such an export of this model; then the features are what they say. */
static int read_half(const fake_config *config, const uint8_t *bytes, uint64_t len, fake_features *features) {
  fake_half_export form;
  memset(&form, 0, sizeof form);
  if (len != FAKE_HALF_EXPORT) {
    return 0;
  }
  memcpy(&form, bytes, FAKE_HALF_EXPORT);
  if (memcmp(form.magic, half_magic, sizeof form.magic) != 0 || form.input_size != config->input_size ||
      form.mask_size != config->mask_size || form.embedding_bytes != config->embedding_bytes ||
      form.checksum != half_checksum(&form)) {
    return 0;
  }
  memset(features, 0, sizeof *features);
  features->checksum = form.image_checksum;
  features->brightness = from_half(form.brightness);
  features->original_width = form.original_width;
  features->original_height = form.original_height;
  return 1;
}

static int32_t fake_embedding_export_half(sam_mm_backend_embedding *handle, uint8_t *buffer, uint64_t capacity,
                                          uint64_t *written, sam_mm_backend_error *error) {
  fake_embedding *embedding;
  int32_t status = fake_begin(FN_embedding_export, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  embedding = (fake_embedding *)fake_acquire(handle, KIND_EMBEDDING, error);
  if (embedding == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  if (buffer == NULL || written == NULL || capacity < sizeof(fake_export)) {
    status = fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "capacity is %llu; %u bytes are needed, and a place",
                       (unsigned long long)capacity, (unsigned)sizeof(fake_export));
  } else {
    const fake_model *model = (const fake_model *)embedding->object.parent;
    fake_half_export form;
    if (half_form(&model->config, &embedding->features, &form)) {
      memcpy(buffer, &form, FAKE_HALF_EXPORT);
      *written = FAKE_HALF_EXPORT;
    } else {
      status = fake_fail(error, SAM_MM_ERR_UNSUPPORTED, "half precision cannot hold this embedding");
    }
  }
  fake_release(&embedding->object);
  return status;
}

const sam_mm_backend_embedding_half fake_half = {sizeof fake_half, 0, fake_embedding_export_half};

/* Allowed at any time, also while a decode uses the embedding. */
uint64_t fake_embedding_bytes(sam_mm_backend_embedding *handle) {
  fake_begin(FN_embedding_bytes, NULL, NULL);
  return fake_bytes_of(handle, KIND_EMBEDDING);
}

int32_t fake_embedding_export(sam_mm_backend_embedding *handle, uint8_t *buffer, uint64_t capacity,
                              uint64_t *required, sam_mm_backend_error *error) {
  fake_embedding *embedding;
  int32_t status = fake_begin(FN_embedding_export, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  if (required == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "required is NULL");
  }
  embedding = (fake_embedding *)fake_acquire(handle, KIND_EMBEDDING, error);
  if (embedding == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  *required = sizeof(fake_export);
  if (buffer != NULL && capacity < sizeof(fake_export)) {
    status = fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "capacity is %llu; the exported embedding has %u bytes",
                       (unsigned long long)capacity, (unsigned)sizeof(fake_export));
  } else if (buffer != NULL) {
    const fake_model *model = (const fake_model *)embedding->object.parent;
    const fake_export form = exported_form(&model->config, &embedding->features);
    memcpy(buffer, &form, sizeof form);
  }
  fake_release(&embedding->object);
  return status;
}

#ifndef FAKE_DEFECT_IMPORTS_ANYTHING
/* The checksum covers everything, and what it covers must be what this model would write. */
static int is_export_of(const fake_export *form, const fake_config *config) {
  const fake_export expected = exported_form(config, &form->features);
  return memcmp(form, &expected, sizeof expected) == 0;
}
#endif

static int32_t import_on(fake_model *model, const uint8_t *bytes, uint64_t len, sam_mm_operation *operation,
                         sam_mm_backend_embedding **out, sam_mm_backend_error *error) {
  fake_export form;
  int32_t status;
  memset(&form, 0, sizeof form);
  if (read_half(&model->config, bytes, len, &form.features)) {
    form = exported_form(&model->config, &form.features);
    bytes = (const uint8_t *)&form;
    len = sizeof form;
  }
  if (len == sizeof form) {
    memmove(&form, bytes, sizeof form);
  }
#ifndef FAKE_DEFECT_IMPORTS_ANYTHING
  if (len != sizeof form || !is_export_of(&form, &model->config)) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT,
                     "these %llu bytes are no exported embedding of this model", (unsigned long long)len);
  }
#endif
  status = fake_allocate(FN_embedding_import, &model->object, model->config.embedding_bytes, operation, error);
  return status == SAM_MM_OK ? fake_give_embedding(model, &form.features, out) : status;
}

int32_t fake_embedding_import(sam_mm_backend_model *handle, const uint8_t *bytes, uint64_t len,
                              sam_mm_operation *operation, sam_mm_backend_embedding **out,
                              sam_mm_backend_error *error) {
  fake_object *model;
  int32_t status = fake_begin(FN_embedding_import, operation, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  if (out == NULL || bytes == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "%s is NULL", out == NULL ? "out" : "bytes");
  }
  model = fake_acquire(handle, KIND_MODEL, error);
  if (model == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  status = import_on((fake_model *)model, bytes, len, operation, out, error);
  fake_release(model);
  return status;
}
