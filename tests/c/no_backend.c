/* What a program sees on a machine that has no backend: the library alone loads (it is opened by hand here, as a host
 * program with plugins does), memory figures can be asked for, and a model gives an error that lists what was tried.
 * Takes the library's path. Prints that error; exits with the number of the line whose check failed. */
#include "sam_mm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            return 1; \
        } \
    } while (0)

/* ISO C has no conversion from void * to a function; POSIX wants this one to work. */
#define LOAD(variable, name) \
    do { \
        void *symbol = dlsym(library, name); \
        CHECK(symbol != NULL); \
        memcpy(&variable, &symbol, sizeof symbol); \
    } while (0)

int main(int argc, char **argv) {
    int32_t (*init)(const sam_mm_options *, sam_mm_context **, sam_mm_error **);
    int32_t (*load)(sam_mm_context *, const sam_mm_model_options *, sam_mm_model **, sam_mm_error **);
    int32_t (*mem_info)(sam_mm_context *, sam_mm_memory_info *, sam_mm_error **);
    int32_t (*optimize)(sam_mm_context *, int32_t, sam_mm_optimize_report *, sam_mm_error **);
    int32_t (*error_code)(const sam_mm_error *);
    const char *(*error_message)(const sam_mm_error *);
    void (*error_free)(sam_mm_error *);
    void (*destroy)(sam_mm_context *);
    sam_mm_context *context;
    sam_mm_model *model = (sam_mm_model *)&context;
    sam_mm_error *error;
    sam_mm_memory_info info;
    sam_mm_optimize_report report;
    void *library;

    CHECK(argc == 2);
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    LOAD(init, "sam_mm_init");
    LOAD(load, "sam_mm_model_load");
    LOAD(mem_info, "sam_mem_info");
    LOAD(optimize, "sam_optimize");
    LOAD(error_code, "sam_mm_error_code");
    LOAD(error_message, "sam_mm_error_message");
    LOAD(error_free, "sam_mm_error_free");
    LOAD(destroy, "sam_mm_destroy");

    CHECK(init(NULL, &context, &error) == SAM_MM_OK && error == NULL);
    CHECK(load(context, NULL, &model, &error) == SAM_MM_ERR_BACKEND_NOT_FOUND);
    CHECK(model == NULL && error_code(error) == SAM_MM_ERR_BACKEND_NOT_FOUND);
    printf("%s\n", error_message(error));
    error_free(error);

    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(mem_info(context, &info, NULL) == SAM_MM_OK);
    CHECK((info.known & SAM_MM_MEMORY_HOST) != 0 && info.host_total > 0 && info.host_process > 0);
    CHECK((info.known & SAM_MM_MEMORY_DEVICE) == 0 && info.utilization != info.utilization);
    CHECK(strcmp(info.formatted, "Running on CPU - memory stats not available") == 0);
    printf("%s\n", info.formatted);

    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    CHECK(optimize(context, 1, &report, NULL) == SAM_MM_OK && report.performed == 1);
    destroy(context);
    return 0;
}
