/* SPDX-License-Identifier: MIT
 * mnist_memory.h - the memory of a training: how much it may take, what it took, and what it would
 * take. */
#ifndef EXAMPLES_MNIST_MEMORY_H
#define EXAMPLES_MNIST_MEMORY_H

#include <stdbool.h>

#include <tarn/tarn.h>

#include "mnist_options.h"

/* The pool that the command line asks for: its cap, and a record of events for the files. */
tarn_pool_options mnist_memory_options(const mnist_options *o);

/* Prints the figures of the manager and its pool, what the peak was made of, and its phases if they
 * were measured. */
void mnist_memory_print(const tarn_manager *tm);

/* Whether the files that were asked for can be written, which leaves nothing behind. False, with
 * one line on stderr, if not. */
bool mnist_memory_can_save(const mnist_options *o);

/* Writes them. False, with one line on stderr, if that fails. */
bool mnist_memory_save(const tarn_manager *tm, const mnist_options *o, const char *title);

/* Prints what a dry run of so many seconds found. */
void mnist_memory_print_forecast(const tarn_dry_run_result *result, double took);

#endif
