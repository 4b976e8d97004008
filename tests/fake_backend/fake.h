/* What the files of the fake backend share. See README.md for what it does and how tests steer it. */

#ifndef FAKE_H
#define FAKE_H

#include "sam_mm_backend.h"

/* The functions of the table that can be scripted, as commands name them. */
#define FAKE_FUNCTIONS(X) \
  X(probe) \
  X(device_open) \
  X(device_close) \
  X(device_mem_info) \
  X(device_trim) \
  X(model_load) \
  X(model_free) \
  X(model_describe) \
  X(model_set_precision) \
  X(model_estimate) \
  X(encode) \
  X(decode) \
  X(embedding_free) \
  X(embedding_bytes) \
  X(embedding_export) \
  X(embedding_import)

#define FAKE_AS_ENUM(name) FN_##name,
typedef enum { FAKE_FUNCTIONS(FAKE_AS_ENUM) FN_COUNT } fake_function;

typedef enum { KIND_DEVICE, KIND_MODEL, KIND_EMBEDDING, KIND_COUNT } fake_kind;

/* The memory of the pretended device, and that of the processor beside it. */
typedef enum { POOL_DEVICE, POOL_HOST } fake_pool;

/* Head of every object: live objects are listed, so a dead or foreign pointer is noticed without following it. */
typedef struct fake_object {
  fake_kind kind;
  /* Its handle plus its children. */
  int references;
  /* Whether the host still holds the handle. */
  int has_handle;
  /* Calls that are using it at this moment. */
  int in_use;
  uint64_t bytes;
  /* Which memory it lies in. */
  fake_pool pool;
  struct fake_object *parent;
  struct fake_object *next;
} fake_object;

/* What a model is: the defaults, or what a checkpoint of the form "fake-model\nkey=value\n..." says. */
typedef struct {
  uint32_t input_size;
  uint32_t mask_size;
  uint32_t multimask_count;
  uint32_t element;
  uint32_t resize;
  uint32_t halves;
  uint64_t parameters;
  uint64_t embedding_bytes;
  /* Bytes of an encode with full attention in fp32, and of a decode for each object in fp32; 0 for the formula. */
  uint64_t encode_workspace;
  uint64_t decode_workspace;
  char family[32];
  char variant[32];
  /* 1: scores are NaN; 2: the first logit of each mask is infinite. */
  uint32_t spoilt;
  /* Not 0: objects have scores. */
  uint32_t object_scores;
} fake_config;

typedef struct {
  fake_object object;
  char name[16];
} fake_device;

typedef struct {
  fake_object object;
  fake_config config;
  uint32_t precision;
} fake_model;

/* What `encode` keeps of an image; exported as it is. */
typedef struct {
  uint64_t checksum;
  float brightness;
  uint32_t original_width;
  uint32_t original_height;
  /* No byte of what is exported may be padding. */
  uint32_t reserved;
} fake_features;

typedef struct {
  fake_object object;
  fake_features features;
} fake_embedding;

/* fake_backend.c: the table that the query returns. */

extern sam_mm_backend fake_table;

/* fake_control.c: the script, the objects and the memory of the pretended device. */

extern const sam_mm_host *fake_host;

/* Counts the call, then does what the script says for it: log, block, sleep, fail. */
int32_t fake_begin(fake_function function, sam_mm_operation *operation, sam_mm_backend_error *error);

/* Writes an error and returns its code. */
int32_t fake_fail(sam_mm_backend_error *error, int32_t code, const char *format, ...);

/* Lists a new object under its parent and charges its bytes, which were allocated before. */
void fake_adopt(fake_object *object, fake_kind kind, fake_object *parent, uint64_t bytes);

/* The object of a handle, marked as in use until `fake_release`; NULL for anything else, with the error written. */
fake_object *fake_acquire(const void *handle, fake_kind kind, sam_mm_backend_error *error);
void fake_release(fake_object *object);

/* Bytes that a live object holds, 0 for anything else. */
uint64_t fake_bytes_of(const void *handle, fake_kind kind);

/* The host lets go of a handle. */
void fake_drop(const void *handle, fake_kind kind);

/* Takes bytes of the memory that an object lies in, with the host's help where they do not fit. */
int32_t fake_allocate(fake_function function, const fake_object *on, uint64_t bytes, sam_mm_operation *operation,
                      sam_mm_backend_error *error);
void fake_deallocate(const fake_object *on, uint64_t bytes);
void fake_memory_limit(const fake_object *device, uint64_t bytes);
void fake_mem_info(const fake_device *device, sam_mm_backend_mem_info *out);
uint64_t fake_trim(const fake_object *device);

/* Remembers a value that tests may ask for as "last.<name>". */
void fake_note(const char *name, uint64_t value);

const void *fake_extension(const char *id);

/* fake_model.c: the functions of models. */

int32_t fake_model_load(sam_mm_backend_device *device, const sam_mm_backend_checkpoint *checkpoint,
                        sam_mm_operation *operation, sam_mm_backend_model **out, sam_mm_backend_error *error);
int32_t fake_model_describe(sam_mm_backend_model *model, sam_mm_backend_model_info *out, sam_mm_backend_error *error);
int32_t fake_model_set_precision(sam_mm_backend_model *model, uint32_t precision, sam_mm_operation *operation,
                                 sam_mm_backend_error *error);
int32_t fake_model_estimate(sam_mm_backend_model *model, const sam_mm_backend_plan *plan,
                            sam_mm_backend_estimate *out, sam_mm_backend_error *error);
int32_t fake_encode(sam_mm_backend_model *model, const sam_mm_backend_pixels *pixels, const sam_mm_backend_plan *plan,
                    sam_mm_operation *operation, sam_mm_backend_embedding **out, sam_mm_backend_error *error);
int32_t fake_decode(sam_mm_backend_model *model, sam_mm_backend_embedding *embedding,
                    const sam_mm_backend_prompts *prompts, const sam_mm_backend_plan *plan,
                    sam_mm_operation *operation, const sam_mm_backend_masks *masks, sam_mm_backend_error *error);

/* fake_embedding.c: embeddings, and their form as bytes. */

#define FAKE_FNV_START UINT64_C(0xcbf29ce484222325)
uint64_t fake_fnv1a(uint64_t hash, const uint8_t *bytes, size_t count);

/* A new embedding of a model, whose bytes were allocated before. */
int32_t fake_give_embedding(fake_model *model, const fake_features *features, sam_mm_backend_embedding **out);
uint64_t fake_embedding_bytes(sam_mm_backend_embedding *embedding);
int32_t fake_embedding_export(sam_mm_backend_embedding *embedding, uint8_t *buffer, uint64_t capacity,
                              uint64_t *required, sam_mm_backend_error *error);
/* The extension SAM_MM_BACKEND_EMBEDDING_HALF. */
extern const sam_mm_backend_embedding_half fake_half;
int32_t fake_embedding_import(sam_mm_backend_model *model, const uint8_t *bytes, uint64_t len,
                              sam_mm_operation *operation, sam_mm_backend_embedding **out,
                              sam_mm_backend_error *error);

/* fake_masks.c: what an object's prompts make of an image. */

typedef struct {
  const float *points;
  const int32_t *labels;
  uint32_t point_count;
  const float *box;
  const float *mask;
} fake_prompt;

void fake_draw(const fake_config *config, const fake_features *features, const fake_prompt *prompt, uint32_t index,
               float *logits, float *score);

/* A struct of the host that is too short or missing is refused, naming it. */
#ifdef FAKE_DEFECT_IGNORES_STRUCT_SIZE
#define FAKE_TOO_SHORT(pointer, type) ((pointer) == NULL)
#else
#define FAKE_TOO_SHORT(pointer, type) ((pointer) == NULL || (pointer)->struct_size < sizeof(type))
#endif
#define FAKE_CHECK(pointer, type, error) \
  do { \
    if (FAKE_TOO_SHORT(pointer, type)) { \
      return fake_fail((error), SAM_MM_ERR_INVALID_ARGUMENT, \
                       #pointer " is NULL, or its struct_size is below the %u bytes of " #type, \
                       (unsigned)sizeof(type)); \
    } \
  } while (0)

#endif
