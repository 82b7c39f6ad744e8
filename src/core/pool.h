/* SPDX-License-Identifier: MIT
 * pool.h - the pool's records.
 *
 *   region   memory reserved from the system in one piece, carved into blocks from its start
 *   block    a carved piece; its record, found by id, outlives the piece, so that its generation
 *            can tell a stale release; blocks are never split or joined
 *   bucket   the free blocks of one capacity: the first N_CLASSES are the size classes, those after
 *            them are dynamic, of exact capacities above SMALL_MAX
 *
 * Small blocks (up to SMALL_MAX) share regions that grow; a larger block has a region of its own,
 * unless it fits into what initial_capacity reserved. A region none of whose blocks is in use is
 * idle and can go back; idle regions are linked by the time they became so.
 *
 * Invariants, verified by tarn_pool_check:
 *
 *   in_use == sum of capacity of blocks in use     reserved == sum of bytes of regions
 *   cached == reserved - in_use                    reserved <= max_capacity
 *   dirty of a block covers every byte that may not be zero, and is at most its capacity
 *   bit c of `occupied` is set iff class bucket c has a free block */
#ifndef TARN_CORE_POOL_H
#define TARN_CORE_POOL_H

#include <tarn/pool.h>

#include "core/slab.h"

enum {
    TARN__QUANTUM = 64,
    TARN__N_CLASSES = 256,
    TARN__N_DYNAMIC = 1024,
    TARN__N_BUCKETS = TARN__N_CLASSES + TARN__N_DYNAMIC,
    TARN__HASH_SLOTS = 2048, /* a power of two, at least twice TARN__N_DYNAMIC */
    TARN__SMALL_MAX = 32 * 1024,
    TARN__BLOCKS_PER_CHUNK = 128,
    TARN__PAGE = 4096
};

typedef enum tarn__block_state {
    TARN__BLOCK_VOID,
    TARN__BLOCK_FREE,
    TARN__BLOCK_IN_USE
} tarn__block_state;

typedef struct tarn__block_record {
    unsigned char *data;
    size_t capacity;
    size_t requested; /* while in use */
    size_t dirty;
    struct tarn__block_record *prev,
        *next;                          /* in its bucket while free; among void records only next */
    struct tarn__block_record *sibling; /* the next block of its region */
    struct tarn__region *region;
    uint32_t id;
    uint64_t generation; /* counts acquisitions; never goes back */
    uint16_t bucket;
    uint8_t state; /* a tarn__block_state */
} tarn__block_record;

typedef struct tarn__region {
    unsigned char *data;
    size_t bytes, carved;
    size_t n_in_use; /* blocks */
    tarn__block_record *blocks;
    bool any_size;                      /* large blocks may be carved from it, too */
    bool shared;                        /* made to be carved into several blocks */
    struct tarn__region *prev, *next;   /* among all regions */
    struct tarn__region *next_shared;   /* among shared regions */
    struct tarn__region *older, *newer; /* among idle regions */
} tarn__region;

typedef struct tarn__bucket {
    tarn__block_record *first; /* free blocks, the last released first */
    size_t capacity;
    size_t n_blocks; /* all its blocks, free or not */
} tarn__bucket;

struct tarn_pool {
    tarn__bucket buckets[TARN__N_BUCKETS];
    uint64_t occupied[TARN__N_CLASSES / 64];
    uint16_t
        slots[TARN__HASH_SLOTS]; /* dynamic buckets by capacity: index into buckets, 0 is empty */

    tarn__block_record **chunks; /* block records by id, TARN__BLOCKS_PER_CHUNK a chunk */
    uint32_t n_chunks, chunk_capacity;
    uint32_t n_records;               /* ids given out so far */
    tarn__block_record *void_records; /* records without a block, for reuse */

    tarn__slab regions_slab;
    tarn__region *regions;
    tarn__region *oldest_idle, *newest_idle;
    tarn__region *shared_regions; /* those of `regions` that are shared, linked by next_shared */
    size_t high_in_use;           /* the most that was ever in use; no reset touches it */

    tarn_system system;
    tarn_pool_options options;
    tarn_pool_stats stats;
    uint64_t fail_after; /* acquisitions until the injected failure; 0: none */
    size_t n_users;      /* managers */
};

/* ---- classes and buckets (buckets.c) */

/* The class that serves `quanta` >= 1 quanta, in constant time, and its capacity in quanta;
 * TARN__N_CLASSES if none does. */
unsigned tarn__class_of(size_t quanta);
size_t tarn__class_quanta(unsigned class_index);

/* The capacity of a block of its own for `bytes` > SMALL_MAX: whole quanta, whole pages from 2 MiB
 * on; 0 if it overflows. */
size_t tarn__large_capacity(size_t bytes);

/* The dynamic bucket of exactly this capacity, or NULL. */
tarn__bucket *tarn__dynamic_find(tarn_pool *pool, size_t capacity);
/* The same, made if need be; NULL if all are taken. */
tarn__bucket *tarn__dynamic_make(tarn_pool *pool, size_t capacity);
/* Takes back the making of the bucket made last. (No other entry of the table was probed past its
 * slot.) */
void tarn__dynamic_drop_last(tarn_pool *pool, tarn__bucket *bucket);

/* Puts a free block into its bucket, or takes it out. */
void tarn__bucket_push(tarn_pool *pool, tarn__block_record *block);
void tarn__bucket_remove(tarn_pool *pool, tarn__block_record *block);

/* The smallest free block of another bucket that holds `bytes` and wastes at most an eighth of it,
 * or NULL. */
tarn__block_record *tarn__bucket_search(tarn_pool *pool, size_t bytes, unsigned class_index);

/* Where neither cap nor system allow more: any free small block that holds a small request, or
 * NULL. */
tarn__block_record *tarn__bucket_last_resort(tarn_pool *pool, size_t bytes, unsigned class_index);

/* ---- regions (regions.c) */

/* A new block of `capacity` bytes for a bucket, in use, or NULL when cap or system refuse even
 * after giving back idle regions; nothing has changed then but the cache. */
tarn__block_record *tarn__carve(tarn_pool *pool, tarn__bucket *bucket, size_t capacity);

/* Reserves the region of initial_capacity. */
bool tarn__reserve_initial(tarn_pool *pool);

/* Called when a block of the region went into or out of use. */
void tarn__region_enter(tarn_pool *pool, tarn__region *region);
void tarn__region_leave(tarn_pool *pool, tarn__region *region);

/* Gives idle regions back, the longest idle first, until at most keep_bytes are cached. Returns the
 * bytes given back. */
size_t tarn__trim(tarn_pool *pool, size_t keep_bytes);

/* Gives everything back, blocks in use included. */
void tarn__regions_end(tarn_pool *pool);

/* Ends a pool, whoever still holds its blocks. */
void tarn__pool_end(tarn_pool *pool);

/* The record with this id, or NULL. */
static inline tarn__block_record *tarn__record_of(const tarn_pool *pool, uint32_t id)
{
    const uint32_t i = id - 1;
    if (i >= pool->n_records) return NULL;
    return &pool->chunks[i / TARN__BLOCKS_PER_CHUNK][i % TARN__BLOCKS_PER_CHUNK];
}

static inline void tarn__note_peaks(tarn_pool_stats *s)
{
    if (s->current_usage > s->peak_usage) s->peak_usage = s->current_usage;
    if (s->in_use > s->peak_in_use) s->peak_in_use = s->in_use;
    if (s->reserved > s->peak_reserved) s->peak_reserved = s->reserved;
    if (s->cached > s->peak_cached) s->peak_cached = s->cached;
    if (s->live_blocks > s->peak_live_blocks) s->peak_live_blocks = s->live_blocks;
}

/* Makes a block in use read as zero, writing only what may not be. */
void tarn__pool_zero(tarn_pool *pool, tarn_block handle);

/* Notes that all of a block in use may hold something, so that the next tarn__pool_zero writes all
 * of it. */
void tarn__pool_mark_dirty(tarn_pool *pool, tarn_block handle);

/* Bytes from the pool's system, counted but not capped: for records. */
void *tarn__system_take(tarn_pool *pool, size_t bytes);
void tarn__system_give(tarn_pool *pool, void *memory, size_t bytes);

#endif
