/* SPDX-License-Identifier: MIT
 * mnist_options.h - what the command line of the mnist example asks for. */
#ifndef EXAMPLES_MNIST_OPTIONS_H
#define EXAMPLES_MNIST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tarn/export.h>

enum { MNIST_MAX_HIDDEN = 16, MNIST_N_TRACES = 4 };

typedef enum mnist_optimizer { MNIST_SGD, MNIST_ADAM, MNIST_ADAMW } mnist_optimizer;

typedef struct mnist_options {
    const char *data; /* the directory asked for, or NULL */
    bool generated;   /* draw digits even if MNIST is at hand */
    int64_t epochs;
    int64_t batch;
    int n_hidden;
    int64_t hidden[MNIST_MAX_HIDDEN]; /* sizes of the hidden layers */
    double lr;
    mnist_optimizer optimizer;
    uint64_t seed;
    int threads;
    const char *json;                   /* the file asked for, or NULL */
    const char *traces[MNIST_N_TRACES]; /* the same for each tarn_trace_format */
    size_t max_capacity;                /* of the pool; 0: no cap */
    bool dry_run;                       /* tell what training would need instead of training */
} mnist_options;

/* Reads the command line. True if the program shall run; else *status is how it shall exit: 0 after
 * --help, 2 after a mistake, which was explained on stderr. */
bool mnist_options_parse(mnist_options *options, int argc, char **argv, int *status);

/* Says in one line on stderr what went wrong. Always false. */
TARN_PRINTF(1, 2) bool mnist_fail(const char *format, ...);

/* "sgd", "adam" or "adamw". */
const char *mnist_optimizer_name(mnist_optimizer optimizer);

#endif
