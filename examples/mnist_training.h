/* SPDX-License-Identifier: MIT
 * mnist_training.h - what the programs that learn to read digits share: everything from the command
 * line to the last line but the network, its training and its test. */
#ifndef EXAMPLES_MNIST_TRAINING_H
#define EXAMPLES_MNIST_TRAINING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <tarn/tarn.h>

#include "mnist_data.h"
#include "mnist_options.h"
#include "progress.h"

enum { MNIST_NETWORK_BYTES = 256 };

typedef struct mnist_training {
    tarn_manager *tm;
    const mnist_options *options;
    mnist_data data;
    tarn_loader *train, *test; /* images of floats around 0 */
    progress progress;
    FILE *json; /* NULL: not asked for */

    /* made by the program */
    char network[MNIST_NETWORK_BYTES]; /* the sizes of its layers, such as "784-128-10" */
    tarn_module *net;
    tarn_optimizer *optimizer;
    void *layers;
    tarn_plan *plan; /* of its step, if it is to be planned */
} mnist_training;

/* A program. What the manager holds an error of needs no report. */
typedef struct mnist_method {
    mnist_program program;
    const char *schedule;              /* what becomes of the learning rate */
    bool flatten;                      /* images (B, pixels) instead of (B, height, width) */
    int64_t test_batch;                /* images of a test at a time */
    void *layers;                      /* room for the structures of the layers */
    bool (*create)(mnist_training *t); /* makes network, net, optimizer and *layers; false, with
                                          one line on stderr, where the data does not fit */
    void (*train_epoch)(mnist_training *t);      /* counts each step with mnist_training_count */
    int64_t (*count_correct)(mnist_training *t); /* over one pass of t->test */
} mnist_method;

/* Runs the program. Returns how it shall exit. */
int mnist_training_main(const mnist_method *method, int argc, char **argv);

/* The optimiser that the command line asks for, at its learning rate. */
tarn_optimizer *mnist_training_optimizer(const mnist_training *t);

/* Makes a step on a batch: calls the function, whose context is t, or has a plan do so. Returns the
 * loss, which is readable in the open scope. */
tarn_tensor *mnist_training_step(mnist_training *t, tarn_function step, tarn_tensor *images,
                                 tarn_tensor *labels);

/* Sets the learning rate of the step to come. `schedule` says all but how many steps there are. */
void mnist_training_set_rate(mnist_training *t, tarn_schedule schedule);

/* Counts a step and shows it, if it is time to. */
void mnist_training_count(mnist_training *t, const tarn_tensor *labels, tarn_tensor *loss);

#endif
