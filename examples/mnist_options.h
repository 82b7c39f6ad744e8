/* SPDX-License-Identifier: MIT
 * mnist_options.h - what the command lines of the programs that learn from digits ask for. */
#ifndef EXAMPLES_MNIST_OPTIONS_H
#define EXAMPLES_MNIST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tarn/export.h>

enum { MNIST_MAX_HIDDEN = 16, MNIST_N_TRACES = 4, MNIST_N_OPTIMIZERS = 3 };

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
    bool plan;                          /* record the step and replay it */
    bool dry_run;                       /* tell what training would need instead of training */
    const char *picture;                /* the file to draw */
} mnist_options;

/* Flags that not every program takes. */
enum {
    MNIST_TAKES_HIDDEN = 1,
    MNIST_TAKES_OPTIMIZER = 2,
    MNIST_TAKES_MEMORY = 4, /* all about memory, and --json, which tells of it, too */
    MNIST_TAKES_PICTURE = 8,
    MNIST_TAKES_PLAN = 16
};

/* A program, as far as its command line knows it. */
typedef struct mnist_program {
    const char *name;
    const char *purpose;              /* for the help: a sentence */
    const char *rate;                 /* the same: what --lr sets */
    unsigned takes;                   /* flags of the list above */
    mnist_options defaults;           /* where no flag says otherwise; no learning rate */
    double rates[MNIST_N_OPTIMIZERS]; /* that of each optimiser */
} mnist_program;

/* Reads the command line. True if the program shall run; else *status is how it shall exit: 0 after
 * --help, 1 where there is no output to write to, 2 after a mistake. What is wrong was said on
 * stderr. */
bool mnist_options_parse(const mnist_program *program, mnist_options *options, int argc,
                         char **argv, int *status);

/* Says in one line on stderr what went wrong, after the name of the program whose command line was
 * read. Always false. */
TARN_PRINTF(1, 2) bool mnist_fail(const char *format, ...);

/* "sgd", "adam" or "adamw". */
const char *mnist_optimizer_name(mnist_optimizer optimizer);

#endif
