/* SPDX-License-Identifier: MIT
 * trace.h - a pool's events and its state at one moment, for those who write them to files. */
#ifndef TARN_CORE_TRACE_H
#define TARN_CORE_TRACE_H

#include <tarn/usage.h>

typedef enum tarn__event_kind {
    TARN__EVENT_ACQUIRE,
    TARN__EVENT_RELEASE,
    TARN__EVENT_RESERVE,   /* a region came from the system */
    TARN__EVENT_GIVE_BACK, /* a region went back */
    TARN__EVENT_FAIL,      /* an acquisition failed */
    TARN__EVENT_STEP,
    TARN__EVENT_PHASE_BEGIN,
    TARN__EVENT_PHASE_END,
    TARN__EVENT_RETAG /* a live block got another tag; `bytes` is the number of the one before */
} tarn__event_kind;

typedef struct tarn__event {
    uint64_t ns;      /* since the pool was made */
    uint64_t address; /* of the holder's bytes, or of the region */
    size_t bytes;     /* requested; of a region: its size */
    size_t capacity;  /* of the block */
    size_t in_use;    /* of the pool, after the event */
    size_t reserved;
    uint32_t id;     /* of the block; blocks that live at different times may share one */
    uint32_t tag;    /* index into tags; of phases: into phase_names */
    uint16_t thread; /* 0: direct callers under the lock; else the number of the cache */
    uint8_t kind;    /* a tarn__event_kind */
    bool hit;        /* an acquisition served by a released block */
} tarn__event;

typedef struct tarn__trace_block {
    uint64_t address;
    size_t bytes, capacity;
    uint32_t id, tag; /* tag: while in use */
    bool in_use;
} tarn__trace_block;

typedef struct tarn__trace_region {
    uint64_t address;
    size_t bytes;
    size_t first_block, n_blocks; /* in blocks, by address; what no block covers was never carved */
} tarn__trace_region;

/* All arrays are owned and end with tarn__trace_end. */
typedef struct tarn__trace {
    tarn__event *events; /* (n_events), oldest first */
    size_t n_events;
    uint64_t dropped;     /* events before the first that are lost */
    uint64_t now;         /* ns since the pool was made */
    tarn_tag_usage *tags; /* (n_tags), by index */
    size_t n_tags;
    char (*phase_names)[32]; /* (n_phase_names) */
    size_t n_phase_names;
    tarn__trace_region *regions; /* (n_regions) */
    size_t n_regions;
    tarn__trace_block *blocks; /* (n_blocks), region by region */
    size_t n_blocks;
    tarn_bucket_usage *buckets; /* (n_buckets), by capacity */
    size_t n_buckets;
    tarn_pool_stats stats;
} tarn__trace;

/* Copies all of it at one moment. Fails: TARN_ENOMEM, with *out empty. */
tarn_status tarn__trace_take(const tarn_pool *pool, tarn__trace *out);
void tarn__trace_end(const tarn_pool *pool, tarn__trace *trace);

/* Forgets the events so far. */
void tarn__trace_clear(tarn_pool *pool);

/* The pool's options in force and what the environment changed, "name value" a line; as
 * snprintf. */
size_t tarn__pool_report_options(const tarn_pool *pool, char *text, size_t size);

#endif
