/*
 * A backend in plain C: no neural network, but the whole contract of sam_mm_backend.h, with results that a test can
 * work out by itself, and a script that makes it fail on command. This file: the table, the query and the device.
 */

#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FAKE_NAME
#define FAKE_NAME "fake"
#endif
#ifndef FAKE_VERSION
#define FAKE_VERSION "1.0 (C)"
#endif
#ifndef FAKE_ABI_VERSION
#define FAKE_ABI_VERSION SAM_MM_BACKEND_ABI_VERSION
#endif
/* How many CUDA devices it claims to see. */
#ifndef FAKE_CUDA_DEVICES
#define FAKE_CUDA_DEVICES 0
#endif
#ifndef FAKE_CPU_SCORE
#define FAKE_CPU_SCORE 10
#endif
#ifndef FAKE_CUDA_SCORE
#define FAKE_CUDA_SCORE 20
#endif

#ifdef FAKE_REQUIRES
/* Found by the host in the file, before it loads the plugin. */
SAM_MM_BACKEND_EXPORT const char fake_requires[] = SAM_MM_BACKEND_REQUIRES_MARKER FAKE_REQUIRES ";";
#endif

#ifdef FAKE_UNDEFINED_SYMBOL
extern int fake_symbol_that_nobody_defines(void);
#endif

/* The number of a CUDA device, -1 for the CPU, -2 for something else. */
static int cuda_number(const char *device) {
  char *end;
  long number;
  if (strcmp(device, "cpu") == 0) {
    return -1;
  }
  if (strncmp(device, "cuda:", 5) != 0 || device[5] < '0' || device[5] > '9') {
    return -2;
  }
  number = strtol(device + 5, &end, 10);
  return *end == '\0' && number < 1000 ? (int)number : -2;
}

static int32_t probe(const char *device, sam_mm_backend_probe *out, sam_mm_backend_error *error) {
  int number;
  int32_t status = fake_begin(FN_probe, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  FAKE_CHECK(out, sam_mm_backend_probe, error);
  if (device == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "device is NULL");
  }
  number = cuda_number(device);
  if (number == -2) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "device is \"%s\"; it must be \"cpu\" or \"cuda:N\"", device);
  }
  if (number == -1) {
    out->score = FAKE_CPU_SCORE;
    snprintf(out->reason, sizeof out->reason, "a pretended processor");
  } else if (number < FAKE_CUDA_DEVICES) {
    out->score = FAKE_CUDA_SCORE;
    snprintf(out->reason, sizeof out->reason, "a pretended GPU, number %d of %d", number, FAKE_CUDA_DEVICES);
  } else {
    out->score = 0;
    snprintf(out->reason, sizeof out->reason, "there is no %s: %d CUDA devices are pretended", device,
             FAKE_CUDA_DEVICES);
  }
  return SAM_MM_OK;
}

static int32_t device_open(const sam_mm_backend_device_config *config, sam_mm_backend_device **out,
                           sam_mm_backend_error *error) {
  fake_device *device;
  int number;
  int32_t status = fake_begin(FN_device_open, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  FAKE_CHECK(config, sam_mm_backend_device_config, error);
  if (out == NULL || config->device == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "%s is NULL", out == NULL ? "out" : "config.device");
  }
  number = cuda_number(config->device);
  if (number == -2) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "config.device is \"%s\"; it must be \"cpu\" or \"cuda:N\"",
                     config->device);
  }
  if (number >= FAKE_CUDA_DEVICES) {
    return fake_fail(error, SAM_MM_ERR_DEVICE_UNAVAILABLE, "there is no %s: %d CUDA devices are pretended",
                     config->device, FAKE_CUDA_DEVICES);
  }
  device = calloc(1, sizeof *device);
  if (device == NULL) {
    return fake_fail(error, SAM_MM_ERR_OUT_OF_MEMORY, "no host memory for a device");
  }
  snprintf(device->name, sizeof device->name, "%s", config->device);
  fake_note("num_threads", config->num_threads);
  fake_note("memory_limit_bytes", config->memory_limit_bytes);
  fake_note("allow_tf32", config->allow_tf32);
  /* Where a GPU is pretended, the processor beside it has a memory of its own. */
  device->object.pool = number == -1 && FAKE_CUDA_DEVICES > 0 ? POOL_HOST : POOL_DEVICE;
  fake_memory_limit(&device->object, config->memory_limit_bytes);
  fake_adopt(&device->object, KIND_DEVICE, NULL, 0);
  *out = (sam_mm_backend_device *)device;
  return SAM_MM_OK;
}

static void device_close(sam_mm_backend_device *device) {
  fake_begin(FN_device_close, NULL, NULL);
  fake_drop(device, KIND_DEVICE);
}

static int32_t device_mem_info(sam_mm_backend_device *handle, sam_mm_backend_mem_info *out,
                               sam_mm_backend_error *error) {
  fake_object *device;
  int32_t status = fake_begin(FN_device_mem_info, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  FAKE_CHECK(out, sam_mm_backend_mem_info, error);
  device = fake_acquire(handle, KIND_DEVICE, error);
  if (device == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  fake_mem_info((fake_device *)device, out);
  fake_release(device);
  return SAM_MM_OK;
}

static int32_t device_trim(sam_mm_backend_device *handle, uint64_t *freed, sam_mm_backend_error *error) {
  fake_object *device;
  int32_t status = fake_begin(FN_device_trim, NULL, error);
  if (status != SAM_MM_OK) {
    return status;
  }
  if (freed == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "freed is NULL");
  }
  device = fake_acquire(handle, KIND_DEVICE, error);
  if (device == NULL) {
    return SAM_MM_ERR_INVALID_HANDLE;
  }
  *freed = fake_trim(device);
  fake_release(device);
  return SAM_MM_OK;
}

static void model_free(sam_mm_backend_model *model) {
  fake_begin(FN_model_free, NULL, NULL);
  fake_drop(model, KIND_MODEL);
}

static void embedding_free(sam_mm_backend_embedding *embedding) {
  fake_begin(FN_embedding_free, NULL, NULL);
#ifndef FAKE_DEFECT_LEAKS
  fake_drop(embedding, KIND_EMBEDDING);
#else
  (void)embedding;
#endif
}

/* What the query returns, as far as the variant returns anything. */
sam_mm_backend fake_table = {
#ifdef FAKE_SHORT_STRUCT
    offsetof(sam_mm_backend, encode),
#else
    sizeof(sam_mm_backend),
#endif
    FAKE_ABI_VERSION,
#ifdef FAKE_NULL_NAME
    NULL,
#else
    FAKE_NAME,
#endif
    FAKE_VERSION,
    probe,
    device_open,
    device_close,
    device_mem_info,
    device_trim,
    fake_model_load,
    model_free,
    fake_model_describe,
    fake_model_set_precision,
    fake_model_estimate,
    fake_encode,
    fake_decode,
    embedding_free,
    fake_embedding_bytes,
    fake_embedding_export,
    fake_embedding_import,
    fake_extension,
};

#ifndef FAKE_NO_QUERY
int32_t sam_mm_backend_query(uint32_t host_abi, const sam_mm_host *host, const sam_mm_backend **out,
                             sam_mm_backend_error *error) {
#ifdef FAKE_QUERY_FAILS
  (void)host_abi, (void)host, (void)out;
  return fake_fail(error, SAM_MM_ERR_BACKEND, "the licence dongle is not plugged in");
#else
#ifndef FAKE_DEFECT_ACCEPTS_ANY_MAJOR
  if (host_abi >> 16 != SAM_MM_BACKEND_ABI_MAJOR) {
    return fake_fail(error, SAM_MM_ERR_UNSUPPORTED,
                     "the host speaks version %u.%u of the plugin ABI; this plugin speaks %u.%u",
                     (unsigned)(host_abi >> 16), (unsigned)(host_abi & 0xffff), (unsigned)SAM_MM_BACKEND_ABI_MAJOR,
                     (unsigned)SAM_MM_BACKEND_ABI_MINOR);
  }
#else
  (void)host_abi;
#endif
  FAKE_CHECK(host, sam_mm_host, error);
  if (out == NULL) {
    return fake_fail(error, SAM_MM_ERR_INVALID_ARGUMENT, "out is NULL");
  }
#ifdef FAKE_UNDEFINED_SYMBOL
  fake_symbol_that_nobody_defines();
#endif
#ifdef FAKE_MISSING
  fake_table.FAKE_MISSING = NULL;
#endif
  fake_host = host;
#ifdef FAKE_NULL_TABLE
  *out = NULL;
#else
  *out = &fake_table;
#endif
  return SAM_MM_OK;
#endif
}
#endif
