/*
 * The script, the objects and the memory of the pretended device. State belongs to one loaded copy of the library.
 */

#define _POSIX_C_SOURCE 200809L

#include "fake.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const sam_mm_host *fake_host;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define FAKE_AS_NAME(name) #name,
static const char *const function_names[] = {FAKE_FUNCTIONS(FAKE_AS_NAME)};
static const char *const kind_names[] = {"devices", "models", "embeddings"};

/* ---- script ---------------------------------------------------------------------------------------------------- */

/* What is to happen to the calls of one function. */
typedef struct {
  uint64_t calls;
  /* Calls until the failure; 1 is the next one, 0 none. */
  uint64_t fail_in;
  int fail_always;
  int32_t fail_code;
  char fail_message[256];
  /* Calls until memory runs out, and how many attempts it stays so. */
  uint64_t oom_in;
  uint64_t oom_attempts;
  /* Only on the pretended device, not on the processor beside it. */
  int oom_on_device;
  /* Bytes that a neighbour takes just before the next allocation. */
  uint64_t taken;
  uint64_t slow_ms;
  int blocked;
  uint64_t waiting;
  int32_t log_level;
  char log_message[256];
} script;

static script scripts[FN_COUNT];

enum { NOTES = 24 };
static struct {
  const char *name;
  uint64_t value;
} notes[NOTES];

/* Times that the host broke its side of the contract. */
static uint64_t violations;

static void sleep_a_millisecond(void) {
  struct timespec pause = {0, 1000000};
  nanosleep(&pause, NULL);
}

static int cancelled(sam_mm_operation *operation) {
#ifdef FAKE_DEFECT_IGNORES_CANCEL
  (void)operation;
  return 0;
#else
  return operation != NULL && fake_host != NULL && fake_host->is_cancelled(operation) != 0;
#endif
}

int32_t fake_fail(sam_mm_backend_error *error, int32_t code, const char *format, ...) {
#ifndef FAKE_DEFECT_SAYS_NOTHING
  if (error != NULL && error->struct_size >= sizeof *error) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
  }
#else
  (void)error, (void)format;
#endif
  return code;
}

static int32_t run_out(sam_mm_backend_error *error, uint64_t requested, uint64_t free_bytes) {
  if (error != NULL && error->struct_size >= sizeof *error) {
    error->requested_bytes = requested;
    error->free_bytes = free_bytes;
  }
  return fake_fail(error, SAM_MM_ERR_OUT_OF_MEMORY, "the pretended device has no room for %llu bytes; %llu are free",
                   (unsigned long long)requested, (unsigned long long)free_bytes);
}

/* Waits while the function is blocked. Non-zero when the operation was cancelled meanwhile. */
static int stay_blocked(script *step, sam_mm_operation *operation) {
  int stop = 0;
  pthread_mutex_lock(&lock);
  if (step->blocked) {
    step->waiting++;
    while (step->blocked && !stop) {
      pthread_mutex_unlock(&lock);
      sleep_a_millisecond();
      stop = cancelled(operation);
      pthread_mutex_lock(&lock);
    }
    step->waiting--;
  }
  pthread_mutex_unlock(&lock);
  return stop;
}

/* Sleeps as long as the script says. Non-zero when the operation was cancelled before or meanwhile. */
static int take_time(uint64_t milliseconds, sam_mm_operation *operation) {
  int stop = cancelled(operation);
  while (milliseconds > 0 && !stop) {
    milliseconds--;
    sleep_a_millisecond();
    stop = cancelled(operation);
  }
  return stop;
}

int32_t fake_begin(fake_function function, sam_mm_operation *operation, sam_mm_backend_error *error) {
  script *step = &scripts[function];
  script now;
  int fails;
  pthread_mutex_lock(&lock);
  step->calls++;
  fails = step->fail_always || step->fail_in == 1;
  if (step->fail_in > 0) {
    step->fail_in--;
  }
  now = *step;
  pthread_mutex_unlock(&lock);
  if (now.log_level != 0 && fake_host != NULL) {
    fake_host->log(operation, now.log_level, now.log_message);
  }
  if (stay_blocked(step, operation) || take_time(now.slow_ms, operation)) {
    return fake_fail(error, SAM_MM_ERR_CANCELLED, "the operation was cancelled");
  }
  if (fails) {
    return fake_fail(error, now.fail_code, "%s", now.fail_message);
  }
  return SAM_MM_OK;
}

void fake_note(const char *name, uint64_t value) {
  int i;
  pthread_mutex_lock(&lock);
  for (i = 0; i < NOTES && notes[i].name != NULL && strcmp(notes[i].name, name) != 0; i++) {
  }
  if (i < NOTES) {
    notes[i].name = name;
    notes[i].value = value;
  }
  pthread_mutex_unlock(&lock);
}

/* ---- memory of the pretended device ----------------------------------------------------------------------------- */

typedef struct {
  uint64_t total;
  /* Held by others on the device. */
  uint64_t other;
  uint64_t limit;
  uint64_t allocated;
  /* Held by the allocator; freed bytes stay until trimmed. */
  uint64_t reserved;
  uint64_t peak;
  uint64_t peak_reserved;
  /* Of the unused bytes, those in pieces too small for any allocation. */
  uint64_t pieces;
} fake_memory;

/* The memory of the pretended device, and, where that is a GPU, of the processor beside it. */
static fake_memory pools[] = {{UINT64_C(1) << 40, 0, 0, 0, 0, 0, 0, 0}, {UINT64_C(1) << 40, 0, 0, 0, 0, 0, 0, 0}};
#define memory (pools[POOL_DEVICE])

static uint64_t smaller(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static uint64_t difference(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

/* Bytes free for any process. */
static uint64_t unclaimed(const fake_memory *pool) {
  return difference(pool->total, pool->other + pool->reserved);
}

/* Bytes that an allocation could have. The lock is held. */
static uint64_t room(const fake_memory *pool) {
  const uint64_t on_device = difference(pool->total, pool->other);
  const uint64_t most = pool->limit != 0 ? smaller(pool->limit, on_device) : on_device;
  return difference(most, pool->allocated + smaller(pool->pieces, pool->reserved - pool->allocated));
}

static uint64_t try_allocate(script *step, fake_memory *pool, uint64_t bytes, int *done) {
  uint64_t available;
  pthread_mutex_lock(&lock);
  memory.other += smaller(step->taken, unclaimed(&memory));
  step->taken = 0;
  available = room(pool);
  *done = 0;
  if (step->oom_in == 1 && step->oom_attempts > 0 && (pool == &memory || !step->oom_on_device)) {
    step->oom_attempts--;
    available = available < bytes ? available : bytes / 2;
  } else if (bytes <= available) {
    pool->pieces = smaller(pool->pieces, pool->reserved - pool->allocated);
    pool->allocated += bytes;
    pool->reserved = larger(pool->reserved, pool->allocated + pool->pieces);
    pool->peak = larger(pool->peak, pool->allocated);
    pool->peak_reserved = larger(pool->peak_reserved, pool->reserved);
    *done = 1;
  }
  pthread_mutex_unlock(&lock);
  return available;
}

int32_t fake_allocate(fake_function function, const fake_object *on, uint64_t bytes, sam_mm_operation *operation,
                      sam_mm_backend_error *error) {
  script *step = &scripts[function];
  uint32_t attempt;
  int done = 0;
  int32_t status = SAM_MM_OK;
  if (fake_host->before_allocate(operation, bytes) != 0) {
    return run_out(error, bytes, 0);
  }
  for (attempt = 1; !done && status == SAM_MM_OK; attempt++) {
    const uint64_t available = try_allocate(step, &pools[on->pool], bytes, &done);
    if (!done && fake_host->allocation_failed(operation, bytes, attempt) == 0) {
      status = run_out(error, bytes, available);
    }
  }
  pthread_mutex_lock(&lock);
  /* Once it began, running out goes on until its attempts are used up, be it within a call or over several. */
  if (step->oom_in > 1 || (step->oom_in == 1 && step->oom_attempts == 0)) {
    step->oom_in--;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

void fake_deallocate(const fake_object *on, uint64_t bytes) {
  pthread_mutex_lock(&lock);
  pools[on->pool].allocated -= bytes;
  pthread_mutex_unlock(&lock);
}

void fake_memory_limit(const fake_object *device, uint64_t bytes) {
  pthread_mutex_lock(&lock);
  pools[device->pool].limit = bytes;
  pthread_mutex_unlock(&lock);
}

void fake_mem_info(const fake_device *device, sam_mm_backend_mem_info *out) {
  const fake_memory *pool = &pools[device->object.pool];
  pthread_mutex_lock(&lock);
  out->known = SAM_MM_MEM_ALLOCATOR | SAM_MM_MEM_PEAK;
  out->allocated = pool->allocated;
  out->reserved = pool->reserved;
  out->peak_allocated = pool->peak;
  if (strcmp(device->name, "cpu") != 0) {
    out->known |= SAM_MM_MEM_DEVICE;
    out->total = pool->total;
    out->free = unclaimed(pool);
  }
  pthread_mutex_unlock(&lock);
}

uint64_t fake_trim(const fake_object *device) {
  fake_memory *pool = &pools[device->pool];
  uint64_t freed;
  pthread_mutex_lock(&lock);
  freed = pool->reserved - pool->allocated;
  pool->reserved = pool->allocated;
  pool->pieces = 0;
  pthread_mutex_unlock(&lock);
  return freed;
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

static fake_object *objects;

/* The live object of a handle. The lock is held. */
static fake_object *find(const void *handle, fake_kind kind) {
  fake_object *object;
  for (object = objects; object != NULL; object = object->next) {
    if ((const void *)object == handle && object->kind == kind && object->has_handle) {
      return object;
    }
  }
  return NULL;
}

void fake_adopt(fake_object *object, fake_kind kind, fake_object *parent, uint64_t bytes) {
  pthread_mutex_lock(&lock);
  object->kind = kind;
  object->references = 1;
  object->has_handle = 1;
  object->bytes = bytes;
  object->parent = parent;
  object->pool = parent != NULL ? parent->pool : object->pool;
  object->next = objects;
  objects = object;
  if (parent != NULL) {
    parent->references++;
  }
  pthread_mutex_unlock(&lock);
}

fake_object *fake_acquire(const void *handle, fake_kind kind, sam_mm_backend_error *error) {
  fake_object *object;
  pthread_mutex_lock(&lock);
  object = find(handle, kind);
  if (object != NULL) {
    /* A device may be used by many at once; a model, and an embedding that is decoded or exported, by one. */
    violations += kind != KIND_DEVICE && object->in_use > 0;
    object->in_use++;
  }
  pthread_mutex_unlock(&lock);
  if (object == NULL) {
    static const char *const names[] = {"device", "model", "embedding"};
    fake_fail(error, SAM_MM_ERR_INVALID_HANDLE, "%p is not a live %s", (void *)(uintptr_t)handle, names[kind]);
  }
  return object;
}

uint64_t fake_bytes_of(const void *handle, fake_kind kind) {
  const fake_object *object;
  uint64_t bytes = 0;
  pthread_mutex_lock(&lock);
  object = find(handle, kind);
  if (object != NULL) {
    bytes = object->bytes;
  }
  pthread_mutex_unlock(&lock);
  return bytes;
}

void fake_release(fake_object *object) {
  pthread_mutex_lock(&lock);
  object->in_use--;
  pthread_mutex_unlock(&lock);
}

static void unlist(fake_object *gone) {
  fake_object **link = &objects;
  while (*link != gone) {
    link = &(*link)->next;
  }
  *link = gone->next;
}

void fake_drop(const void *handle, fake_kind kind) {
  fake_object *object;
  if (handle == NULL) {
    return;
  }
  pthread_mutex_lock(&lock);
  object = find(handle, kind);
  if (object == NULL || object->in_use > 0) {
    violations++;
    object = NULL;
  } else {
    object->has_handle = 0;
  }
  /* The last reference of a child was a reference to its parent. */
  while (object != NULL && --object->references == 0) {
    fake_object *parent = object->parent;
    unlist(object);
    pools[object->pool].allocated -= object->bytes;
    free(object);
    object = parent;
  }
  pthread_mutex_unlock(&lock);
}

/* ---- what tests call -------------------------------------------------------------------------------------------- */

static script *script_of(const char *name) {
  int i;
  for (i = 0; i < FN_COUNT; i++) {
    if (strcmp(function_names[i], name) == 0) {
      return &scripts[i];
    }
  }
  return NULL;
}

static int apply(const char *command) {
  char verb[16] = "", name[32] = "";
  unsigned long long a = 0, b = 0;
  int used = 0;
  script *step;
  if (strcmp(command, "reset") == 0) {
    memset(scripts, 0, sizeof scripts);
    memset(notes, 0, sizeof notes);
    memory.total = UINT64_C(1) << 40;
    memory.other = 0;
    memory.pieces = 0;
    memory.peak = memory.allocated;
    memory.peak_reserved = memory.reserved;
    violations = 0;
    return 1;
  }
  if (sscanf(command, "memory total=%llu other=%llu", &a, &b) == 2) {
    memory.total = a;
    /* Nobody takes what our allocator holds. */
    memory.other = smaller(b, difference(a, memory.reserved));
    memory.peak_reserved = memory.reserved;
    return 1;
  }
  if (sscanf(command, "memory pieces=%llu", &a) == 1) {
    memory.pieces = a;
    return 1;
  }
  if (sscanf(command, "%15s %31s%n", verb, name, &used) < 2 || (step = script_of(name)) == NULL) {
    return 0;
  }
  command += used;
  if (strcmp(verb, "fail") == 0) {
    int code, words = 0;
    if (sscanf(command, "%llu %d %n", &a, &code, &words) != 2) {
      return 0;
    }
    step->fail_in = a;
    step->fail_always = a == 0;
    step->fail_code = code;
    snprintf(step->fail_message, sizeof step->fail_message, "%s",
             command[words] != '\0' ? command + words : "the script of the test says so");
  } else if ((strcmp(verb, "oom") == 0 || strcmp(verb, "short") == 0) && sscanf(command, "%llu %llu", &a, &b) == 2) {
    step->oom_in = a;
    step->oom_attempts = b;
    step->oom_on_device = strcmp(verb, "short") == 0;
  } else if (strcmp(verb, "neighbour") == 0 && sscanf(command, "%llu", &a) == 1) {
    step->taken = a;
  } else if (strcmp(verb, "slow") == 0 && sscanf(command, "%llu", &a) == 1) {
    step->slow_ms = a;
  } else if (strcmp(verb, "block") == 0) {
    step->blocked = 1;
  } else if (strcmp(verb, "unblock") == 0) {
    step->blocked = 0;
  } else if (strcmp(verb, "log") == 0) {
    int level, words = 0;
    if (sscanf(command, "%d %n", &level, &words) != 1) {
      return 0;
    }
    step->log_level = level;
    snprintf(step->log_message, sizeof step->log_message, "%s", command + words);
  } else {
    return 0;
  }
  return 1;
}

/* Runs a command of README.md. 0, or SAM_MM_ERR_INVALID_ARGUMENT for a command that is none. */
SAM_MM_BACKEND_EXPORT int32_t fake_backend_control(const char *command);
int32_t fake_backend_control(const char *command) {
  int known;
  pthread_mutex_lock(&lock);
  known = apply(command);
  pthread_mutex_unlock(&lock);
  return known ? SAM_MM_OK : SAM_MM_ERR_INVALID_ARGUMENT;
}

static int64_t memory_value(const char *name) {
  const struct {
    const char *name;
    uint64_t value;
  } values[] = {
      {"memory.total", memory.total},
      {"memory.other", memory.other},
      {"memory.allocated", memory.allocated},
      {"memory.reserved", memory.reserved},
      {"memory.peak_reserved", memory.peak_reserved},
      {"memory.host", pools[POOL_HOST].allocated},
  };
  size_t i;
  for (i = 0; i < sizeof values / sizeof *values; i++) {
    if (strcmp(values[i].name, name) == 0) {
      return (int64_t)values[i].value;
    }
  }
  return -1;
}

static int64_t value_of(const char *name) {
  const char *dot = strchr(name, '.');
  int i;
  if (strcmp(name, "violations") == 0) {
    return (int64_t)violations;
  }
  if (dot == NULL) {
    return -1;
  }
  dot++;
  if (strncmp(name, "calls.", 6) == 0 || strncmp(name, "waiting.", 8) == 0) {
    const script *step = script_of(dot);
    return step == NULL ? -1 : (int64_t)(name[0] == 'c' ? step->calls : step->waiting);
  }
  if (strncmp(name, "live.", 5) == 0) {
    for (i = 0; i < KIND_COUNT; i++) {
      if (strcmp(dot, kind_names[i]) == 0) {
        int64_t count = 0;
        const fake_object *object;
        for (object = objects; object != NULL; object = object->next) {
          count += object->kind == (fake_kind)i;
        }
        return count;
      }
    }
  }
  if (strncmp(name, "last.", 5) == 0) {
    for (i = 0; i < NOTES && notes[i].name != NULL; i++) {
      if (strcmp(dot, notes[i].name) == 0) {
        return (int64_t)notes[i].value;
      }
    }
  }
  return memory_value(name);
}

/* A number of README.md, or -1 for one that is unknown. */
SAM_MM_BACKEND_EXPORT int64_t fake_backend_value(const char *name);
int64_t fake_backend_value(const char *name) {
  int64_t value;
  pthread_mutex_lock(&lock);
  value = value_of(name);
  pthread_mutex_unlock(&lock);
  return value;
}

/* The same two functions as an extension table. */
typedef struct {
  uint32_t struct_size;
  uint32_t reserved;
  int32_t (*control)(const char *command);
  int64_t (*value)(const char *name);
} fake_control_table;

const void *fake_extension(const char *id) {
  static const fake_control_table extension = {sizeof extension, 0, fake_backend_control, fake_backend_value};
#ifndef FAKE_NO_HALF
  if (id != NULL && strcmp(id, SAM_MM_BACKEND_EMBEDDING_HALF) == 0) {
    return &fake_half;
  }
#endif
  return id != NULL && strcmp(id, "fake.control/1") == 0 ? &extension : NULL;
}
