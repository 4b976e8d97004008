/* The command line of the example. */

#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdint.h>

#define MAX_OBJECTS 32
#define MAX_CLICKS 32

/* What one object is pointed at with. */
typedef struct object_prompt {
    float clicks[MAX_CLICKS][2];
    int32_t labels[MAX_CLICKS]; /* 1 foreground, 0 background */
    uint32_t num_clicks;
    float box[4];
    int has_box;
} object_prompt;

typedef struct arguments {
    const char *image;      /* PPM file; NULL: a drawn scene */
    const char *checkpoint; /* NULL: the built-in demo model */
    const char *backend;    /* plugin file; NULL: searched for */
    const char *device;
    const char *overlay; /* PNG file to write */
    uint64_t seed;       /* of the drawn scene */
    uint32_t threads;    /* 0: the backend's choice */
    object_prompt objects[MAX_OBJECTS];
    uint32_t num_objects; /* 0: none was named */
} arguments;

/* Reads the command line. Returns 1; or prints what is wrong with it and returns 0. */
int arguments_read(arguments *read, int argc, char **argv);

#endif
