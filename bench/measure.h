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
    int calls; /* of run per repetition: a repetition should last some hundred microseconds */
    const double *split; /* (2) NULL, or what run adds to: the wall time of its two parts */
    double median;       /* results, in nanoseconds per call */
    double mad;
    double parts[2]; /* with split: the medians of the parts, whose shares of the whole it gives */
} arm;

enum { MAX_REPETITIONS = 1001 };

/* The time, from any start. */
double now_ns(void);

/* From now on arms are timed by the processor time of this thread instead of the wall clock. Both
 * are the same where one thread works and nothing else does, but the former does not count what
 * other programs of the machine take, nor the threads of BLAS, which look for work for a while
 * after they have been started. */
void measure_processor_time(void);

/* Runs all arms in turn, `repetitions` times after one to warm up, and sets their results. */
void measure(arm *arms, int n_arms, int repetitions);

/* A call count for an arm that makes a repetition last about `nanoseconds`. */
int calls_for(void (*run)(void *context), void *context, double nanoseconds);

/* Options that every benchmark takes. */
typedef struct bench_options {
    int threads;      /* of BLAS; default 1 */
    int repetitions;  /* default 101 */
    FILE *json;       /* NULL without --json */
    const char *only; /* NULL without --only */
    char **operands;  /* (n_operands): what stands after the options */
    int n_operands;
} bench_options;

/* Reads the command line, readies BLAS and prints on what the benchmark runs. Exits with 2 after a
 * usage error, with 0 after --help. Benchmarks whose arms have no thread of their own call
 * bench_start_single, which measures processor time unless BLAS has several threads. */
bench_options bench_start(int argc, char **argv, const char *what);
bench_options bench_start_single(int argc, char **argv, const char *what, const char *operands);

/* The same for a benchmark that takes operands, such as "[FILE ...]". */
bench_options bench_start_on(int argc, char **argv, const char *what, const char *operands);

/* Whether a row is to be measured: all are, unless --only gives a part of their names. */
bool bench_wants(const bench_options *options, const char *row);

/* Closes the JSON file. Returns the exit status. */
int bench_end(const bench_options *options);

/* What a row is compared with beside its floor. */
typedef struct bench_peer {
    const char *name; /* NULL: none */
    double median_ns, mad_ns;
} bench_peer;

enum { BENCH_PEERS = 3 };

/* One row of the JSON file; the same keys in every benchmark. A negative figure or NULL becomes
 * null; ratio is median to floor. The first row of a file is no bench_row but the machine. */
typedef struct bench_row {
    const char *bench, *name, *note;
    const char *floor;  /* how the floor was measured */
    const char *reason; /* why it is far above its floor */
    double median_ns, mad_ns;
    double gemm_ns, stream_ns; /* of the floor: matrix products, and plain loops ... */
    double bytes;              /* ... that read and write so many bytes */
    double floor_ns, floor_mad_ns;
    bench_peer peers[BENCH_PEERS];
} bench_row;

/* A row that nothing is measured of yet: every figure is missing. */
bench_row bench_row_of(const char *bench, const char *name, const char *note);

/* Sets the times of the floor from an arm that was split into products and streams. */
void bench_set_floor(bench_row *row, const arm *floor);

void bench_write(const bench_options *options, const bench_row *row);

#endif
