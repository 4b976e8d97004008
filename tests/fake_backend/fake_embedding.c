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
  if (len == sizeof form) {
    memcpy(&form, bytes, sizeof form);
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
