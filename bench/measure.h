/* SPDX-License-Identifier: MIT
 * measure.h - what every benchmark shares: interleaved timing, medians, the table and the JSON
 * rows.
 *
 * Machines are noisy and clocks drift: the arms of a comparison take turns, repetition by
 * repetition, and a row gives the median over the repetitions and the median absolute deviation
 * from it. */
#ifndef TARN_BENCH_MEASURE_H
#define TARN_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdio.h>

/* One arm: runs its work once. */
typedef struct arm {
    void (*run)(void *context);
    void *context;
    int calls;     /* of run per repetition: a repetition should last some hundred microseconds */
    double median; /* results, in nanoseconds per call */
    double mad;
} arm;

enum { MAX_REPETITIONS = 1001 };

/* Runs all arms in turn, `repetitions` times after one to warm up, and sets their results. */
void measure(arm *arms, int n_arms, int repetitions);

/* A call count for an arm that makes a repetition last about `nanoseconds`. */
int calls_for(void (*run)(void *context), void *context, double nanoseconds);

/* Options that every benchmark takes. */
typedef struct bench_options {
    int threads;     /* of BLAS; default 1 */
    int repetitions; /* default 101 */
    FILE *json;      /* NULL without --json */
    char **operands; /* (n_operands): what stands after the options */
    int n_operands;
} bench_options;

/* Reads the command line, readies BLAS and prints on what the benchmark runs. Exits with 2 after a
 * usage error, with 0 after --help. */
bench_options bench_start(int argc, char **argv, const char *what);

/* The same for a benchmark that takes operands, such as "[FILE ...]". */
bench_options bench_start_on(int argc, char **argv, const char *what, const char *operands);

/* Closes the JSON file. Returns the exit status. */
int bench_end(const bench_options *options);

/* One row of the JSON file; the same keys in every benchmark. A negative figure becomes null; ratio
 * is median to floor. */
typedef struct bench_row {
    const char *bench, *name, *note;
    double median_ns, mad_ns, gemm_ns, stream_ns, floor_ns;
} bench_row;
void bench_write(const bench_options *options, const bench_row *row);

#endif
