/* SPDX-License-Identifier: MIT
 * loader_fill.h - how rows of data become the rows of a batch.
 *
 * A job is the filling of one batch. Several threads may take part in it: each takes a few rows at
 * a time that nobody else has taken. What a row becomes depends on itself alone, and so not on who
 * filled it. */
#ifndef TARN_NN_LOADER_FILL_H
#define TARN_NN_LOADER_FILL_H

#include <stdatomic.h>

#include "nn/loader_rows.h"

/* The rows of one tensor of the batch: y = (x - shift) scale, computed in double and rounded once.
 */
typedef struct tarn__fill_part {
    const void *from; /* all rows of the data, without gaps */
    void *to;         /* (n, row) */
    size_t row;       /* elements in a row, not 0 */
    tarn_dtype from_dtype, to_dtype;
    double shift, scale;
    bool fuse; /* bytes become floats as tarn__fill_can_fuse says */
} tarn__fill_part;

typedef struct tarn__fill_job {
    tarn__fill_part parts[2];
    int n_parts;
    const tarn__rows *rows;
    int64_t first, n;      /* the rows that are served from number `first` on, n of them */
    int64_t share;         /* rows to take at a time */
    _Atomic int64_t taken; /* rows taken so far; from n on, nothing is left */
} tarn__fill_job;

/* Whether float arithmetic, which is faster than double, turns every byte into the same float. */
bool tarn__fill_can_fuse(double shift, double scale);

/* Begins a job without parts. */
void tarn__fill_begin(tarn__fill_job *job, const tarn__rows *rows, int64_t first, int64_t n);

/* Adds a part: before anybody takes part. */
void tarn__fill_add(tarn__fill_job *job, const tarn__fill_part *part);

/* Fills rows until none is left to take. Those that others have taken may not be ready yet. Touches
 * nothing but the job and the memory that it names. */
void tarn__fill_take_part(tarn__fill_job *job);

/* Takes all that is left and does not fill it. */
void tarn__fill_drop(tarn__fill_job *job);

#endif
