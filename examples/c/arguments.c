#include "arguments.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: segment [--seed N | --image FILE.ppm [--checkpoint FILE]] [--point X,Y[,LABEL]]... [--box X0,Y0,X1,Y1]...\n"
    "               [--overlay FILE.png] [--device auto|cpu|cuda:N] [--threads N] [--backend FILE]\n"
    "\n"
    "Points and one box describe one object; several boxes are an object each. LABEL is 1 (default) for a point in the\n"
    "object, 0 for one outside. Without --image a scene is drawn, and without prompts each of its objects is clicked.\n";

static int refuse(const char *option, const char *value, const char *wanted) {
    fprintf(stderr, "segment: %s %s: %s is wanted\n\n%s", option, value ? value : "", wanted, USAGE);
    return 0;
}

/* A click belongs to the first object. */
static int add_click(arguments *read, const char *text) {
    object_prompt *object = &read->objects[0];
    float x, y;
    int label = 1, end = 0;
    if (sscanf(text, "%f,%f%n", &x, &y, &end) != 2) return refuse("--point", text, "X,Y or X,Y,LABEL");
    const char *rest = text + end;
    if (*rest && (sscanf(rest, ",%d%n", &label, &end) != 1 || rest[end] || (label != 0 && label != 1))) {
        return refuse("--point", text, "a label of 1 (in the object) or 0 (outside)");
    }
    if (object->num_clicks == MAX_CLICKS) return refuse("--point", text, "no more than 32 of them");
    object->clicks[object->num_clicks][0] = x, object->clicks[object->num_clicks][1] = y;
    object->labels[object->num_clicks++] = label;
    if (read->num_objects == 0) read->num_objects = 1;
    return 1;
}

/* The first box belongs to the first object, each further one is an object of its own. */
static int add_box(arguments *read, const char *text) {
    const uint32_t index = read->objects[0].has_box ? read->num_objects : 0;
    float box[4];
    int end = 0;
    if (sscanf(text, "%f,%f,%f,%f%n", &box[0], &box[1], &box[2], &box[3], &end) != 4 || text[end]) {
        return refuse("--box", text, "X0,Y0,X1,Y1");
    }
    if (index == MAX_OBJECTS) return refuse("--box", text, "no more than 32 of them");
    memcpy(read->objects[index].box, box, sizeof box);
    read->objects[index].has_box = 1;
    if (read->num_objects <= index) read->num_objects = index + 1;
    return 1;
}

/* A whole number that fits; "%u" would take -1 for one. */
static int read_number(const char *text, uint64_t largest, uint64_t *number) {
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    *number = value;
    return isdigit((unsigned char)*text) && !*end && !errno && value <= largest;
}

static int read_option(arguments *read, const char *option, const char *value) {
    uint64_t threads;
    if (!strcmp(option, "--image")) read->image = value;
    else if (!strcmp(option, "--checkpoint")) read->checkpoint = value;
    else if (!strcmp(option, "--backend")) read->backend = value;
    else if (!strcmp(option, "--device")) read->device = value;
    else if (!strcmp(option, "--overlay")) read->overlay = value;
    else if (!strcmp(option, "--point")) return add_click(read, value);
    else if (!strcmp(option, "--box")) return add_box(read, value);
    else if (!strcmp(option, "--seed")) {
        if (!read_number(value, UINT64_MAX, &read->seed)) return refuse(option, value, "a number");
    } else if (!strcmp(option, "--threads")) {
        if (!read_number(value, UINT32_MAX, &threads)) return refuse(option, value, "a number");
        read->threads = (uint32_t)threads;
    } else {
        return refuse(option, "", "another option");
    }
    return 1;
}

int arguments_read(arguments *read, int argc, char **argv) {
    memset(read, 0, sizeof *read);
    read->seed = 1;
    read->overlay = "overlay.png";
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) return refuse(argv[i], "", "a value behind it");
        if (!read_option(read, argv[i], argv[i + 1])) return 0;
    }
    if (read->num_objects > 1 && read->objects[0].num_clicks > 0) {
        return refuse("--point", "", "one --box at most beside points");
    }
    if (read->image && read->num_objects == 0) {
        return refuse("--image", read->image, "a --point or a --box that says what to segment");
    }
    return 1;
}
