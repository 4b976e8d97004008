/*
 * The part of NVIDIA's nvml.h that the fake implements: the layouts and numbers are those of the public ABI.
 */

#ifndef FAKE_NVML_H
#define FAKE_NVML_H

#include "../fake_script/script.h"

typedef enum {
  NVML_SUCCESS = 0,
  NVML_ERROR_INVALID_ARGUMENT = 2,
  NVML_ERROR_NOT_SUPPORTED = 3,
  NVML_ERROR_NO_PERMISSION = 4,
  NVML_ERROR_NOT_FOUND = 6,
  NVML_ERROR_INSUFFICIENT_SIZE = 7,
  NVML_ERROR_GPU_IS_LOST = 15,
  NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18
} nvmlReturn_t;

typedef struct fake_device *nvmlDevice_t;

typedef struct {
  char busIdLegacy[16];
  unsigned int domain;
  unsigned int bus;
  unsigned int device;
  unsigned int pciDeviceId;
  unsigned int pciSubSystemId;
  char busId[32];
} nvmlPciInfo_t;

typedef struct {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
} nvmlMemory_t;

typedef struct {
  unsigned int version;
  unsigned long long total;
  unsigned long long reserved;
  unsigned long long free;
  unsigned long long used;
} nvmlMemory_v2_t;

typedef struct {
  unsigned int pid;
  unsigned long long usedGpuMemory;
  unsigned int gpuInstanceId;
  unsigned int computeInstanceId;
} nvmlProcessInfo_t;

#define NVML_CALL FAKE_EXPORT nvmlReturn_t

NVML_CALL nvmlInit_v2(void);
NVML_CALL nvmlShutdown(void);
NVML_CALL nvmlSystemGetDriverVersion(char *version, unsigned int length);
NVML_CALL nvmlDeviceGetCount_v2(unsigned int *count);
NVML_CALL nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *out);
NVML_CALL nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *out);
NVML_CALL nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *out);
NVML_CALL nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length);
NVML_CALL nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length);
NVML_CALL nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *out);
NVML_CALL nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *out);
NVML_CALL nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *out);
NVML_CALL nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *out);
NVML_CALL nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending);
NVML_CALL nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count);
NVML_CALL nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *out);
NVML_CALL nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *is_mig);
#ifndef FAKE_OLD_DRIVER
NVML_CALL nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *out);
#endif
FAKE_EXPORT const char *nvmlErrorString(nvmlReturn_t status);

#endif
