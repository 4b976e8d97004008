/* See script.h; the commands and numbers are in README.md. */

#define _POSIX_C_SOURCE 200809L

#include "script.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct {
  char name[48];
  uint64_t calls;
  /* The status of every call; 0 none. */
  int fail_code;
  int blocked;
  uint64_t waiting;
} step;

enum { STEPS = 64 };
static step steps[STEPS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void script_lock(void) {
  pthread_mutex_lock(&lock);
}

void script_unlock(void) {
  pthread_mutex_unlock(&lock);
}

/* What is to happen to a function; NULL when the library has none of this name. The lock is held. */
static step *step_of(const char *name) {
  int i;
  if (!script_is_function(name)) {
    return NULL;
  }
  for (i = 0; i < STEPS && steps[i].name[0] != '\0'; i++) {
    if (strcmp(steps[i].name, name) == 0) {
      return &steps[i];
    }
  }
  if (i == STEPS) {
    return NULL;
  }
  snprintf(steps[i].name, sizeof steps[i].name, "%s", name);
  return &steps[i];
}

int script_begin(const char *function) {
  step *now;
  int code = 0;
  script_lock();
  now = step_of(function);
  if (now != NULL) {
    now->calls++;
    now->waiting++;
    while (now->blocked) {
      const struct timespec pause = {0, 1000000};
      script_unlock();
      nanosleep(&pause, NULL);
      script_lock();
    }
    now->waiting--;
    code = now->fail_code;
  }
  script_unlock();
  return code;
}

static int apply(const char *command) {
  char verb[16] = "", name[48] = "";
  int code = 0;
  step *now;
  if (strcmp(command, "reset") == 0) {
    memset(steps, 0, sizeof steps);
    return script_library_command(command);
  }
  if (sscanf(command, "%15s %47s %d", verb, name, &code) >= 2 && (now = step_of(name)) != NULL) {
    if (strcmp(verb, "fail") == 0) {
      now->fail_code = code;
      return 1;
    }
    if (strcmp(verb, "block") == 0 || strcmp(verb, "unblock") == 0) {
      now->blocked = verb[0] == 'b';
      return 1;
    }
  }
  return script_library_command(command);
}

static int64_t value_of(const char *name) {
  const int calls = strncmp(name, "calls.", 6) == 0;
  if (calls || strncmp(name, "waiting.", 8) == 0) {
    const step *now = step_of(strchr(name, '.') + 1);
    return now == NULL ? -1 : (int64_t)(calls ? now->calls : now->waiting);
  }
  return script_library_value(name);
}

/* Runs a command of README.md. 0, or 1 for a command that is none. */
FAKE_EXPORT int32_t fake_control(const char *command);
int32_t fake_control(const char *command) {
  int known;
  script_lock();
  known = apply(command);
  script_unlock();
  return known ? 0 : 1;
}

/* A number of README.md, or -1 for one that is unknown. */
FAKE_EXPORT int64_t fake_value(const char *name);
int64_t fake_value(const char *name) {
  int64_t value;
  script_lock();
  value = value_of(name);
  script_unlock();
  return value;
}
