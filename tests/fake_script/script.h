/*
 * What the fake libraries have in common: functions that fail, block or take long on command. The state belongs to one
 * loaded copy of a library, which includes this header in one source and is compiled with script.c.
 */

#ifndef FAKE_SCRIPT_H
#define FAKE_SCRIPT_H

#include <stdint.h>

#if defined(_WIN32)
#define FAKE_EXPORT __declspec(dllexport)
#else
#define FAKE_EXPORT __attribute__((visibility("default")))
#endif

/* Of the library: runs a command that script.c does not know, or all of `reset`. The lock is held. 0 when unknown. */
int script_library_command(const char *command);
/* Of the library: a number that script.c does not know; -1 when unknown. The lock is held. */
int64_t script_library_value(const char *name);
/* Of the library: whether it has a function of this name. */
int script_is_function(const char *name);

/* Counts a call, waits while the function is blocked, and returns the status that it is to fail with, 0 for none. */
int script_begin(const char *function);

void script_lock(void);
void script_unlock(void);

#endif
