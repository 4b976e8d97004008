/*
 * The CUDA runtime as a pretended machine answers it (README.md). It keeps count of the contexts that calls would make.
 */

#include "../fake_script/script.h"

#include <stdio.h>
#include <string.h>

typedef int cudaError_t;
enum { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidDevice = 101 };

/* The head of cudaDeviceProp as it has been since CUDA 10, and a rest as long as that of CUDA 12. */
typedef struct {
  char name[256];
  unsigned char uuid[16];
  unsigned char rest[760];
} cudaDeviceProp;

enum { DEVICES = 8 };

typedef struct {
  char bus_id[32];
  char name[128];
  unsigned char uuid[16];
  uint64_t total;
  uint64_t free_bytes;
  int has_context;
} fake_device;

static fake_device devices[DEVICES];
static int device_count;
/* Errors that were not fetched by the thread that made them; in all. */
static int64_t unfetched;

#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL __thread
#endif
static THREAD_LOCAL int current;
static THREAD_LOCAL cudaError_t last_error;

static cudaError_t end(cudaError_t status) {
  if (status != cudaSuccess && last_error == cudaSuccess) {
    script_lock();
    unfetched++;
    script_unlock();
    last_error = status;
  }
  return status;
}

#define BEGIN(name) \
  do { \
    const int failed = script_begin(name); \
    if (failed != 0) { \
      return end(failed); \
    } \
  } while (0)

static void make_context(int device) {
  script_lock();
  devices[device].has_context = 1;
  script_unlock();
}

FAKE_EXPORT cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceCount(int *count) {
  BEGIN("count");
  *count = device_count;
  return end(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDevice(int *device) {
  BEGIN("get_device");
  *device = current;
  return end(cudaSuccess);
}

/* Makes the device's context at once, as CUDA does since version 12. */
FAKE_EXPORT cudaError_t cudaSetDevice(int device);
cudaError_t cudaSetDevice(int device) {
  BEGIN("set_device");
  if (device < 0 || device >= device_count) {
    return end(cudaErrorInvalidDevice);
  }
  current = device;
  make_context(device);
  return end(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  BEGIN("memory");
  if (current >= device_count) {
    return end(cudaErrorInvalidDevice);
  }
  make_context(current);
  *free_bytes = (size_t)devices[current].free_bytes;
  *total = (size_t)devices[current].total;
  return end(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaDeviceGetPCIBusId(char *out, int length, int device);
cudaError_t cudaDeviceGetPCIBusId(char *out, int length, int device) {
  BEGIN("bus_id");
  if (device < 0 || device >= device_count) {
    return end(cudaErrorInvalidDevice);
  }
  if ((int)strlen(devices[device].bus_id) >= length) {
    return end(cudaErrorInvalidValue);
  }
  strcpy(out, devices[device].bus_id);
  return end(cudaSuccess);
}

static cudaError_t properties(cudaDeviceProp *out, int device) {
  BEGIN("properties");
  if (device < 0 || device >= device_count) {
    return end(cudaErrorInvalidDevice);
  }
  memset(out, 0, sizeof *out);
  snprintf(out->name, sizeof out->name, "%s", devices[device].name);
  memcpy(out->uuid, devices[device].uuid, sizeof out->uuid);
  return end(cudaSuccess);
}

#ifdef FAKE_CUDA_12
FAKE_EXPORT cudaError_t cudaGetDeviceProperties_v2(cudaDeviceProp *out, int device);
cudaError_t cudaGetDeviceProperties_v2(cudaDeviceProp *out, int device) {
  return properties(out, device);
}
#else
FAKE_EXPORT cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device) {
  return properties(out, device);
}
#endif

FAKE_EXPORT cudaError_t cudaGetLastError(void);
cudaError_t cudaGetLastError(void) {
  const cudaError_t status = last_error;
  script_lock();
  unfetched -= status != cudaSuccess;
  script_unlock();
  last_error = cudaSuccess;
  return status;
}

FAKE_EXPORT const char *cudaGetErrorString(cudaError_t status);
const char *cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case 35:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case 710:
      return "device-side assert triggered";
    default:
      return "pretended error";
  }
}

/* ---- script ----------------------------------------------------------------------------------------------------- */

int script_is_function(const char *name) {
  static const char *const names[] = {"count", "get_device", "set_device", "memory", "bus_id", "properties"};
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i], name) == 0) {
      return 1;
    }
  }
  return 0;
}

/* 32 hexadecimal digits with dashes among them, or `-` for none. */
static void read_uuid(const char *text, unsigned char *out) {
  unsigned int byte;
  int i;
  for (i = 0; i < 16; i++) {
    while (*text == '-') {
      text++;
    }
    if (sscanf(text, "%2x", &byte) != 1) {
      return;
    }
    out[i] = (unsigned char)byte;
    text += 2;
  }
}

int script_library_command(const char *command) {
  char bus_id[32] = "", uuid[64] = "";
  unsigned long long total = 0, free_bytes = 0;
  int number = 0, words = 0;
  if (strcmp(command, "reset") == 0) {
    device_count = 0;
    return 1;
  }
  if (sscanf(command, "device %31s %63s %llu %llu %n", bus_id, uuid, &total, &free_bytes, &words) == 4 && words > 0) {
    fake_device *device = &devices[device_count];
    if (device_count == DEVICES) {
      return 0;
    }
    device_count++;
    memset(device, 0, sizeof *device);
    snprintf(device->bus_id, sizeof device->bus_id, "%s", bus_id);
    snprintf(device->name, sizeof device->name, "%s", command + words);
    read_uuid(uuid, device->uuid);
    device->total = total;
    device->free_bytes = free_bytes;
    return 1;
  }
  if (sscanf(command, "memory %d %llu %llu", &number, &total, &free_bytes) == 3 && number >= 0 &&
      number < device_count) {
    devices[number].total = total;
    devices[number].free_bytes = free_bytes;
    return 1;
  }
  return 0;
}

int64_t script_library_value(const char *name) {
  int number;
  if (strcmp(name, "unfetched_errors") == 0) {
    return unfetched;
  }
  if (sscanf(name, "context.%d", &number) == 1 && number >= 0 && number < device_count) {
    return devices[number].has_context;
  }
  return -1;
}
