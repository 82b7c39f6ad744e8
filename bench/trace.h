/* SPDX-License-Identifier: MIT
 * trace.h - the memory requests of a program, read from a trace, and made again of a pool.
 *
 * A trace is a table of lines in order, with the columns event (acquire or release), id and bytes.
 * So are those that tarn_pool_write_trace writes as TARN_TRACE_CSV: further columns and other
 * events are passed over. What is still held at the end is released then. */
#ifndef TARN_BENCH_TRACE_H
#define TARN_BENCH_TRACE_H

#include <stdbool.h>
#include <stdio.h>

#include <tarn/tarn.h>

enum { MAX_EVENTS = 1 << 16, MAX_BLOCKS = 1 << 14 };

typedef struct event {
    bool acquire;
    int id; /* of a block; one that was released may come again */
    size_t bytes;
} event;

typedef struct trace {
    char name[64];
    int n_events;
    event events[MAX_EVENTS];
} trace;

/* Reads the events; false if there are none, or a block comes or goes twice, or they are too many.
 */
bool trace_read(FILE *file, trace *t);

typedef struct replay {
    const trace *trace;
    int rounds; /* of the whole trace in one call */
    tarn_pool *pool;
    size_t stride; /* one byte of so many is written; 0: none */
    tarn_block blocks[MAX_BLOCKS];
} replay;

/* Acquires and releases; an arm of measure. */
void replay_pool(void *context);

/* Writes as `stride` says. */
static inline void replay_touch(const replay *r, void *data, size_t bytes)
{
    volatile unsigned char *at = data;
    if (r->stride == 0) return;
    for (size_t i = 0; i < bytes; i += r->stride) at[i] = 1;
}

#endif
