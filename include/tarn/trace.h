/* trace.h - what happened in a pool, as files for people and programs.
 *
 * A pool made with options.trace_events keeps that many events in a ring; the oldest are dropped,
 * and how many is said in each file. Without it these functions write what they can: the present
 * state. */
#ifndef TARN_TRACE_H
#define TARN_TRACE_H

#include <stdio.h>

#include "tarn/export.h"
#include "tarn/pool.h"
#include "tarn/status.h"

TARN_BEGIN_DECLS

typedef enum tarn_trace_format {
    TARN_TRACE_CHROME, /* JSON for Perfetto and chrome://tracing: counters of in use, cached and
                          reserved bytes, the lives of blocks, phases and steps */
    TARN_TRACE_PICKLE, /* a snapshot for PyTorch's memory visualiser (memory_viz): segments, blocks
                          and the history of allocations, with tags as frames */
    TARN_TRACE_CSV,    /* one line an event, for replay: see the first line for its columns */
    TARN_TRACE_HTML    /* one page without any network: memory over time stacked by tag, the peak
                          explained, buckets and their reuse, the statistics */
} tarn_trace_format;

/* Writes the trace to a stream (binary for TARN_TRACE_PICKLE). It stops the pool's threads at their
 * next call while it copies the ring, not while it writes.
 * Fails: TARN_EARG for NULL or an unknown format; TARN_ENOMEM; TARN_EIO. */
TARN_API tarn_status tarn_pool_write_trace(const tarn_pool *pool, FILE *stream,
                                           tarn_trace_format format);

/* The same to a file, replaced only when all of it was written. `title` heads the HTML page; NULL:
 * "tarn". */
TARN_API tarn_status tarn_pool_save_trace(const tarn_pool *pool, const char *path,
                                          tarn_trace_format format, const char *title);

/* Forgets the events so far. */
TARN_API void tarn_pool_clear_trace(tarn_pool *pool);

TARN_END_DECLS

#endif
