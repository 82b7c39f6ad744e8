/* SPDX-License-Identifier: MIT
 * stream.h - the time it takes to move bytes: plain loops that read and write arrays once, in the
 * widest vectors the processor has, and compute next to nothing. */
#ifndef TARN_BENCH_STREAM_H
#define TARN_BENCH_STREAM_H

#include <stddef.h>

enum { STREAM_READS = 4, STREAM_WRITES = 3, STREAM_LANES = 16 };

/* One pass over arrays of n floats: reads all of in, writes all of out. An array may be in both. */
typedef struct stream {
    int reads, writes;
    size_t n; /* what lies behind it up to a multiple of STREAM_LANES is touched, too */
    float *in[STREAM_READS], *out[STREAM_WRITES]; /* aligned to 64 bytes */
} stream;

void stream_run(const stream *s);

/* What it reads and writes, in bytes. */
double stream_bytes(const stream *s);

#endif
