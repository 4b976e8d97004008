/* Checks for the C programs among the tests: the first that fails names its line and ends the program with 1. */
#ifndef CHECK_H
#define CHECK_H

#include "sam_mm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int condition, int line, const char *text, const sam_mm_error *error) {
    if (!condition) {
        fprintf(stderr, "line %d: %s%s%s\n", line, text, error != NULL ? ": " : "",
                error != NULL ? sam_mm_error_message(error) : "");
        exit(1);
    }
}
#define CHECK(condition) check((condition), __LINE__, #condition, NULL)

/* The call succeeds, and leaves no error. */
#define OK(call) \
    do { \
        sam_mm_error *error = NULL; \
        int32_t status = (call); \
        check(status == SAM_MM_OK && error == NULL, __LINE__, #call, error); \
    } while (0)

/* The call fails with this status and an error whose message holds this text; the error is freed. */
#define FAILS(call, expected, text) \
    do { \
        sam_mm_error *error = NULL; \
        int32_t status = (call); \
        check(status == (expected), __LINE__, #call, error); \
        check(sam_mm_error_code(error) == (expected), __LINE__, #call " has its code", error); \
        check(strstr(sam_mm_error_message(error), text) != NULL, __LINE__, #call " says \"" text "\"", error); \
        sam_mm_error_free(error); \
        sam_mm_error_free(error); \
        check(sam_mm_error_code(error) == SAM_MM_ERR_INVALID_HANDLE, __LINE__, "a freed error is refused", NULL); \
    } while (0)

#endif
