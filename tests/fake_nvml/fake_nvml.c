/*
 * NVML as a pretended machine answers it: GPUs, MIG instances and processes are those of a script (README.md).
 */

#include "nvml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UUID_MAX 96
#define NO_INSTANCE 0xFFFFFFFFu
/* The pid of the process that `growing` makes. */
#define NEIGHBOUR 1u
/* NVML_VALUE_NOT_AVAILABLE, for the bytes of a process. */
#define NOT_AVAILABLE UINT64_MAX

enum { DEVICES = 16, PROCESSES = 16 };

typedef struct {
  unsigned int pid;
  uint64_t bytes;
  int graphics;
} process;

struct fake_device {
  /* The GPU that it is a part of; -1 for a GPU. */
  int parent;
  char uuid[UUID_MAX];
  char name[96];
  char bus_id[32];
  uint64_t total;
  uint64_t reserved;
  /* Bytes that another process takes more at every question about memory. */
  uint64_t growth;
  /* What is wrong with it: the status of every call with it; NVML_ERROR_NOT_FOUND: it is not even listed. */
  int gone;
  int divided;
  process processes[PROCESSES];
  int process_count;
};

static struct fake_device devices[DEVICES];
static int device_count;
/* Initialisations that were not shut down. */
static int64_t running;

#define BEGIN(name) \
  do { \
    const int failed = script_begin(name); \
    if (failed != 0) { \
      return (nvmlReturn_t)failed; \
    } \
  } while (0)

#define BEGIN_WITH(name, device) \
  do { \
    BEGIN(name); \
    if ((device) == NULL) { \
      return NVML_ERROR_INVALID_ARGUMENT; \
    } \
    if ((device)->gone != 0) { \
      return NVML_ERROR_GPU_IS_LOST; \
    } \
  } while (0)

static nvmlReturn_t copy_text(char *out, unsigned int length, const char *text) {
  if (strlen(text) >= length) {
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  memcpy(out, text, strlen(text) + 1);
  return NVML_SUCCESS;
}

/* The index-th device that is listed under a parent, -1 for GPUs. */
static struct fake_device *listed(int parent, unsigned int index) {
  int i;
  for (i = 0; i < device_count; i++) {
    if (devices[i].parent == parent && devices[i].gone != NVML_ERROR_NOT_FOUND && index-- == 0) {
      return &devices[i];
    }
  }
  return NULL;
}

/* ---- the library ------------------------------------------------------------------------------------------------ */

nvmlReturn_t nvmlInit_v2(void) {
  BEGIN("init");
  script_lock();
  running++;
  script_unlock();
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlShutdown(void) {
  BEGIN("shutdown");
  script_lock();
  running--;
  script_unlock();
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
  return copy_text(version, length, "570.00");
}

const char *nvmlErrorString(nvmlReturn_t status) {
  return status == NVML_SUCCESS ? "Success" : "Pretended error";
}

/* ---- devices ---------------------------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
  BEGIN("count");
  *count = 0;
  while (listed(-1, *count) != NULL) {
    (*count)++;
  }
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *out) {
  BEGIN("handle");
  *out = listed(-1, index);
  return *out == NULL ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out) {
  int i;
  BEGIN("handle");
  for (i = 0; i < device_count; i++) {
    if (strcmp(devices[i].uuid, uuid) == 0) {
      *out = &devices[i];
      return devices[i].gone == 0 ? NVML_SUCCESS : (nvmlReturn_t)devices[i].gone;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *out) {
  unsigned int index;
  BEGIN("handle");
  for (index = 0; (*out = listed(-1, index)) != NULL; index++) {
    if (strcmp((*out)->bus_id, bus_id) == 0) {
      return NVML_SUCCESS;
    }
  }
  return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
  BEGIN_WITH("name", device);
  return copy_text(name, length, device->name);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
  BEGIN_WITH("uuid", device);
  return copy_text(uuid, length, device->uuid);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *out) {
  BEGIN_WITH("pci", device);
  memset(out, 0, sizeof *out);
  snprintf(out->busId, sizeof out->busId, "%s", device->bus_id);
  return NVML_SUCCESS;
}

/* ---- MIG -------------------------------------------------------------------------------------------------------- */

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending) {
  BEGIN_WITH("mig", device);
  *current = *pending = (unsigned int)device->divided;
  return NVML_SUCCESS;
}

/* As on real cards, this is how many there could be. */
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count) {
  BEGIN_WITH("mig", device);
  *count = 7;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *out) {
  BEGIN_WITH("mig", device);
  *out = listed((int)(device - devices), index);
  return *out == NULL ? NVML_ERROR_NOT_FOUND : NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *is_mig) {
  BEGIN_WITH("mig", device);
  *is_mig = device->parent >= 0;
  return NVML_SUCCESS;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static process *find_process(struct fake_device *device, unsigned int pid, int graphics) {
  int i;
  for (i = 0; i < device->process_count; i++) {
    if (device->processes[i].pid == pid && device->processes[i].graphics == graphics) {
      return &device->processes[i];
    }
  }
  return NULL;
}

static void add_bytes(struct fake_device *device, unsigned int pid, int graphics, uint64_t bytes) {
  process *one = find_process(device, pid, graphics);
  if (one == NULL && device->process_count < PROCESSES) {
    one = &device->processes[device->process_count++];
    one->pid = pid;
    one->graphics = graphics;
    one->bytes = 0;
  }
  if (one != NULL) {
    one->bytes += bytes;
  }
}

/* What processes hold. One that computes and draws is in two lists with the same bytes. */
static uint64_t grow_and_sum(struct fake_device *device) {
  uint64_t used = 0;
  int i;
  script_lock();
  if (device->growth > 0) {
    add_bytes(device, NEIGHBOUR, 0, device->growth);
  }
  for (i = 0; i < device->process_count; i++) {
    const process *one = &device->processes[i];
    if (one->bytes == NOT_AVAILABLE) {
      continue;
    }
    if (!one->graphics || find_process(device, one->pid, 0) == NULL) {
      used += one->bytes;
    }
  }
  script_unlock();
  return used;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *out) {
  BEGIN_WITH("memory", device);
  out->total = device->total;
  out->used = grow_and_sum(device) + device->reserved;
  out->free = out->total - out->used;
  return NVML_SUCCESS;
}

#ifndef FAKE_OLD_DRIVER
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *out) {
  BEGIN_WITH("memory", device);
  if (out->version != (sizeof *out | (2u << 24))) {
    return NVML_ERROR_INVALID_ARGUMENT;
  }
  out->total = device->total;
  out->reserved = device->reserved;
  out->used = grow_and_sum(device);
  out->free = out->total - out->reserved - out->used;
  return NVML_SUCCESS;
}
#endif

static nvmlReturn_t list_processes(const struct fake_device *device, int graphics, unsigned int *count,
                                   nvmlProcessInfo_t *out) {
  unsigned int found = 0;
  int i;
  for (i = 0; i < device->process_count; i++) {
    const process *one = &device->processes[i];
    if (one->graphics != graphics) {
      continue;
    }
    if (out != NULL && found < *count) {
      out[found].pid = one->pid;
      out[found].usedGpuMemory = one->bytes;
      out[found].gpuInstanceId = out[found].computeInstanceId = NO_INSTANCE;
    }
    found++;
  }
  if (found > *count) {
    *count = found;
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  *count = found;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                     nvmlProcessInfo_t *out) {
  BEGIN_WITH("processes", device);
  return list_processes(device, 0, count, out);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                      nvmlProcessInfo_t *out) {
  BEGIN_WITH("processes", device);
  return list_processes(device, 1, count, out);
}

/* ---- script ----------------------------------------------------------------------------------------------------- */

int script_is_function(const char *name) {
  static const char *const names[] = {"init",   "shutdown",  "count", "handle", "name", "uuid", "pci",
                                      "memory", "processes", "mig"};
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(names[i], name) == 0) {
      return 1;
    }
  }
  return 0;
}

static struct fake_device *add(int parent, const char *uuid, uint64_t total, uint64_t reserved) {
  struct fake_device *device;
  if (device_count == DEVICES) {
    return NULL;
  }
  device = &devices[device_count++];
  memset(device, 0, sizeof *device);
  device->parent = parent;
  device->total = total;
  device->reserved = reserved;
  snprintf(device->uuid, sizeof device->uuid, "%s", uuid);
  return device;
}

int script_library_command(const char *command) {
  char uuid[UUID_MAX] = "", bus_id[32] = "", kind[16] = "";
  unsigned long long total = 0, reserved = 0, bytes = 0;
  unsigned int number = 0, pid = 0;
  int words = 0, code = 0;
  struct fake_device *device;
  if (strcmp(command, "reset") == 0) {
    device_count = 0;
    return 1;
  }
  if (sscanf(command, "gpu %95s %31s %llu %llu %n", uuid, bus_id, &total, &reserved, &words) == 4 && words > 0) {
    device = add(-1, uuid, total, reserved);
    if (device == NULL) {
      return 0;
    }
    snprintf(device->bus_id, sizeof device->bus_id, "%s", bus_id);
    snprintf(device->name, sizeof device->name, "%s", command + words);
    return 1;
  }
  if (sscanf(command, "%15s %u%n", kind, &number, &words) != 2 || number >= (unsigned int)device_count) {
    return 0;
  }
  device = &devices[number];
  command += words;
  if (strcmp(kind, "divide") == 0) {
    device->divided = 1;
    return 1;
  }
  if (strcmp(kind, "mig") == 0 && sscanf(command, "%95s %llu %llu", uuid, &total, &reserved) == 3) {
    device = add((int)number, uuid, total, reserved);
    if (device == NULL) {
      return 0;
    }
    devices[number].divided = 1;
    snprintf(device->name, sizeof device->name, "%s MIG", devices[number].name);
    snprintf(device->bus_id, sizeof device->bus_id, "%s", devices[number].bus_id);
    return 1;
  }
  if ((strcmp(kind, "compute") == 0 || strcmp(kind, "graphics") == 0) &&
      sscanf(command, "%u %llu", &pid, &bytes) == 2) {
    add_bytes(device, pid, kind[0] == 'g', bytes);
    return 1;
  }
  if (strcmp(kind, "memory") == 0 && sscanf(command, "%llu %llu", &total, &reserved) == 2) {
    device->total = total;
    device->reserved = reserved;
    return 1;
  }
  if (strcmp(kind, "growing") == 0 && sscanf(command, "%llu", &bytes) == 1) {
    device->growth = bytes;
    return 1;
  }
  if (strcmp(kind, "gone") == 0 && sscanf(command, "%d", &code) == 1) {
    device->gone = code;
    return 1;
  }
  return 0;
}

int64_t script_library_value(const char *name) {
  return strcmp(name, "running") == 0 ? running : -1;
}
