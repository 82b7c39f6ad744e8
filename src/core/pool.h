/* SPDX-License-Identifier: MIT
 * pool.h - the pool's records.
 *
 *   region   memory reserved from the system in one piece, carved into blocks
 * from its start block    a carved piece; its record, found by id, outlives the
 * piece, so that its generation can tell a stale release; blocks are never
 * split or joined bucket   the free blocks of one capacity: the first N_CLASSES
 * are the size classes, those after them are dynamic, of exact capacities above
 * SMALL_MAX cache    the free blocks and counters of one manager or thread
 * (cache.h); what no cache holds lies in the buckets, under the pool's lock
 *
 * Small blocks (up to SMALL_MAX) share regions that grow; a larger block has a region of its own,
 * unless it fits into what initial_capacity reserved. A region none of whose blocks is out, in use
 * or in a cache, is idle and can go back; idle regions are linked by the time they became so.
 *
 * Everything here is read and written under `lock`, but: a block in use belongs to its holder, a
 * block in a cache to the cache, and `chunks` and `tags` are published and then stay.
 *
 * Invariants, verified by tarn_pool_check:
 *
 *   in_use == sum of capacity of blocks in use     reserved == sum of bytes of
 * regions cached == reserved - in_use                    reserved <=
 * max_capacity when it was reserved dirty of a block covers every byte that may
 * not be zero, and is at most its capacity bit c of `occupied` is set iff class
 * bucket c has a free block a block is in exactly one place: in use, in a
 * cache, in a bucket, in quarantine */
#ifndef TARN_CORE_POOL_H
#define TARN_CORE_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include <tarn/usage.h>

#include "core/cache.h"
#include "core/pool_options.h"
#include "core/slab.h"
#include "core/trace.h"

enum {
    TARN__QUANTUM = 64, /* the least; a pool's own is its alignment */
    TARN__N_CLASSES = 256,
    TARN__N_DYNAMIC = 1024,
    TARN__N_BUCKETS = TARN__N_CLASSES + TARN__N_DYNAMIC,
    TARN__NO_BUCKET = TARN__N_BUCKETS, /* of blocks that are reserved one by one */
    TARN__HASH_SLOTS = 2048,           /* a power of two, at least twice TARN__N_DYNAMIC */
    TARN__FIRST_RECORDS = 64, /* block records come in chunks: so many, then twice as many ... */
    TARN__N_CHUNKS = 27,      /* for all ids of 32 bits */
    TARN__TAGS_PER_CHUNK = 64,
    TARN__N_TAG_CHUNKS = 64
};

typedef struct tarn__region {
    unsigned char *memory;      /* as reserved, `bytes` bytes */
    unsigned char *data;        /* aligned; blocks are carved from here */
    size_t bytes, room, carved; /* room: from data to the end */
    size_t n_out;               /* blocks in use or in a cache */
    uint64_t idle_since;        /* the step in which it became idle */
    tarn__block *blocks;
    bool any_size;                      /* large blocks may be carved from it, too */
    bool shared;                        /* made to be carved into several blocks */
    struct tarn__region *prev, *next;   /* among all regions */
    struct tarn__region *next_shared;   /* among shared regions */
    struct tarn__region *older, *newer; /* among idle regions */
} tarn__region;

typedef struct tarn__bucket {
    tarn__block *first; /* free blocks, the last released first */
    size_t capacity;
    size_t n_blocks; /* all its blocks, wherever they are */
} tarn__bucket;

/* Where blocks come from. Published once, then only of_kind changes. */
typedef struct tarn__tag {
    char path[TARN_TAG_PATH_BYTES];
    char operation[TARN_TAG_OPERATION_BYTES];
    uint8_t kind;                           /* a tarn_kind */
    uint64_t live_blocks;                   /* as last counted, under the lock */
    _Atomic uint32_t of_kind[TARN_N_KINDS]; /* the same place with another kind;
                                               0: not known yet */
} tarn__tag;

/* Figures that only change under the lock. */
typedef struct tarn__pool_figures {
    size_t reserved, peak_reserved, peak_cached;
    size_t adopted;
    size_t metadata;
    uint64_t total_allocated;
    uint64_t system_allocations, system_releases;
    uint64_t trims, trimmed_bytes, decayed_bytes;
    uint64_t window_rejects, retries, failed_acquisitions;
    uint64_t bad_releases, damaged_blocks;
    size_t dynamic_buckets;
    uint64_t reports; /* of system_allocations: for reports, which a step does not answer for */
    uint64_t handed_over, handed_bytes; /* blocks that one cache gave another: counted in both */
} tarn__pool_figures;

struct tarn_pool {
    pthread_mutex_t lock;
    tarn__bucket buckets[TARN__N_BUCKETS];
    uint64_t occupied[TARN__N_CLASSES / 64];
    uint16_t slots[TARN__HASH_SLOTS]; /* dynamic buckets by capacity: index into
                                         buckets, 0 is empty */

    _Atomic(tarn__block *) chunks[TARN__N_CHUNKS]; /* block records by id */
    uint32_t n_records;                            /* ids given out so far */
    tarn__block *void_records;                     /* records without a block, for reuse */

    _Atomic(tarn__tag *) tags[TARN__N_TAG_CHUNKS];
    uint32_t n_tags; /* tag 0 is that of direct callers */

    tarn__cache *caches;           /* all, linked */
    uint32_t n_caches;             /* managers' and threads'; without `common` */
    uint16_t last_number;          /* of a cache */
    tarn__cache common;            /* counters of those who have no cache; those of ended
                                      caches, too */
    _Atomic(tarn__cache *) direct; /* of the thread that first called the pool directly, or NULL */
    _Atomic(const void *) direct_thread;

    tarn__slab regions_slab;
    tarn__region *regions;
    tarn__region *oldest_idle, *newest_idle;
    tarn__region *shared_regions; /* those of `regions` that are shared, linked by
                                     next_shared */
    size_t central;               /* bytes of blocks in buckets and quarantine */

    tarn__block *oldest_quarantined, *newest_quarantined; /* full checking */
    size_t quarantined;                                   /* bytes */

    struct tarn__array_slot *arrays; /* of tarn_pool_acquire_array: (array_slots), by address */
    size_t array_slots, n_arrays;

    tarn__event *events; /* the ring: (options.trace_events), or NULL */
    uint64_t n_events;   /* ever */
    char (*phase_names)[32];
    size_t n_phase_names, phase_name_room;

    tarn_system system;
    tarn_pool_options options; /* complete; system is NULL */
    tarn__overrides overrides;
    char last_mistake[512]; /* as told, or as would have been */
    unsigned shift;         /* of the quantum */
    size_t zone;            /* bytes before and at least after each block that nobody may
                               touch */
    uint64_t epoch;         /* ns, of the clock at creation */
    uint64_t step;          /* steps of all managers and callers, as last counted */
    uint64_t idle_since;    /* what regions that become idle note: the step, or 0 for
                               long ago */
    tarn__peaks past;       /* peaks as they were before caches left */
    size_t high_in_use;     /* the most that was in use when the lock was given back */
    tarn__pool_figures figures;
    tarn_faults faults;
    uint64_t fault_draws;
    _Atomic bool injected; /* the last acquisition that failed did so on purpose */
    bool stopped;          /* all caches are */
    size_t n_users;        /* managers */
};

/* ---- lock, and stopping the caches (pool_lock.c) */

void tarn__pool_lock(tarn_pool *pool);
/* Also shares the room for cached bytes out among the caches anew. */
void tarn__pool_unlock(tarn_pool *pool);

/* Under the lock: makes every cache stay away, so that its blocks and counters may be written,
 * until the unlock. */
void tarn__pool_stop(tarn_pool *pool);

/* Under the lock, stopped: moves every block of every cache, and the quarantine, into the
 * buckets. */
void tarn__pool_gather(tarn_pool *pool);

/* Stops the caches and gathers. */
void tarn__pool_call_back(tarn_pool *pool);

/* Moves the blocks of a cache that were released at or before `mark` into their buckets, the
 * longest unused first; and one that is in no list. */
void tarn__cache_flush(tarn__cache *cache, uint64_t mark);
void tarn__block_to_bucket(tarn_pool *pool, tarn__block *block);

/* Makes room for counts of a tag; false if memory is short. */
bool tarn__cache_grow_tags(tarn__cache *cache, uint32_t tag);

/* Bytes of free blocks in all caches. */
size_t tarn__pool_held(const tarn_pool *pool);

/* ---- classes and buckets (buckets.c) */

/* The class that serves `quanta` >= 1 quanta, in constant time, and its capacity in quanta;
 * TARN__N_CLASSES if none does. */
unsigned tarn__class_of(size_t quanta);
size_t tarn__class_quanta(unsigned class_index);

/* The capacity of a block of its own for `bytes` > SMALL_MAX: whole quanta, whole pages from 2 MiB
 * on; 0 if it overflows. */
static inline size_t tarn__large_capacity(const tarn_pool *pool, size_t bytes)
{
    return tarn__large_rounded(pool->shift, bytes);
}

/* The dynamic bucket of exactly this capacity, or NULL. */
tarn__bucket *tarn__dynamic_find(tarn_pool *pool, size_t capacity);
/* The same, made if need be; NULL if all are taken. */
tarn__bucket *tarn__dynamic_make(tarn_pool *pool, size_t capacity);
/* Takes back the making of the bucket made last. (No other entry of the table was probed past its
 * slot.) */
void tarn__dynamic_drop_last(tarn_pool *pool, tarn__bucket *bucket);

/* Puts a free block into its bucket, or takes it out. */
void tarn__bucket_push(tarn_pool *pool, tarn__block *block);
void tarn__bucket_remove(tarn_pool *pool, tarn__block *block);

/* The smallest free block of another bucket that holds `bytes` and wastes at most an eighth of it,
 * or NULL. */
tarn__block *tarn__bucket_search(tarn_pool *pool, size_t bytes, unsigned class_index,
                                 bool *rejected);

/* Where neither cap nor system allow more: any free small block that holds a small request, or
 * NULL. */
tarn__block *tarn__bucket_last_resort(tarn_pool *pool, size_t bytes, unsigned class_index);

/* ---- regions (regions.c) */

/* A new block of `capacity` bytes for a bucket, out of it, or NULL when cap or system refuse even
 * after giving back idle regions; nothing has changed then but what is cached. */
tarn__block *tarn__carve(tarn_pool *pool, tarn__bucket *bucket, size_t capacity);

/* The same with a region of its own and no bucket, for pass-through. */
tarn__block *tarn__carve_alone(tarn_pool *pool, size_t capacity);

/* Reserves the region of initial_capacity. */
bool tarn__reserve_initial(tarn_pool *pool);

/* Called when a block of the region left a bucket or came into one. */
void tarn__region_enter(tarn_pool *pool, tarn__region *region);
void tarn__region_leave(tarn_pool *pool, tarn__region *region);

/* Gives idle regions back, the longest idle first, until at most keep_bytes are cached; with
 * idle_before, only those idle since before that step. Returns the bytes given back. */
size_t tarn__trim(tarn_pool *pool, size_t keep_bytes, uint64_t idle_before);

/* Gives everything back, blocks in use included. */
void tarn__regions_end(tarn_pool *pool);

/* Tells of every block that is still held; how many there are. */
size_t tarn__pool_tell_leaks(tarn_pool *pool);

/* Ends a pool, whoever still holds its blocks. */
void tarn__pool_end(tarn_pool *pool);

/* The record with this id, or NULL. Chunk k holds FIRST_RECORDS 2^k of them. */
static inline tarn__block *tarn__block_of(const tarn_pool *pool, uint32_t id)
{
    if (id == 0) return NULL;
    const uint64_t place = (uint64_t)id - 1 + TARN__FIRST_RECORDS;
    const unsigned k = 63u - (unsigned)__builtin_clzll(place / TARN__FIRST_RECORDS);
    tarn__block *chunk = atomic_load_explicit(&pool->chunks[k], memory_order_acquire);
    return chunk == NULL ? NULL : &chunk[place - ((uint64_t)TARN__FIRST_RECORDS << k)];
}

/* The holder's bytes of a block. */
static inline unsigned char *tarn__block_data(const tarn_pool *pool, const tarn__block *block)
{
    return block->data + pool->zone;
}

/* Bytes not in use, as far as known: exact while no other cache works. */
size_t tarn__pool_cached(const tarn_pool *pool);

/* The pool's peaks: sums over its caches, or what they were before some left; *past tells which. */
tarn__peaks tarn__pool_peaks(const tarn_pool *pool, bool *past);
/* Keeps them from passing with a cache that is about to leave. */
void tarn__pool_note_past(tarn_pool *pool);

/* Notes what may have been cached at most since this was last called, by the owner of `own` (or
 * NULL); to be called before what is reserved changes. */
void tarn__pool_note_cached(tarn_pool *pool, tarn__cache *own);

/* The statistics; the lock is held and the caches are stopped. */
tarn_pool_stats tarn__pool_stats_now(const tarn_pool *pool);
/* The figures of one tag; rows of buckets as tarn_pool_get_buckets. */
void tarn__tag_usage_of(const tarn_pool *pool, uint32_t tag, tarn_tag_usage *row);
size_t tarn__pool_buckets(const tarn_pool *pool, tarn_bucket_usage *rows, size_t n);

/* Adds up the steps of all. */
void tarn__pool_count_steps(tarn_pool *pool);

/* How much may be cached. */
size_t tarn__cache_limit(const tarn_pool *pool);

/* ---- checking (checked.c) */

/* Fills the red zones, and with a pattern the bytes that are not to read as zero. */
void tarn__checked_acquire(const tarn_pool *pool, tarn__block *block);
/* Verifies the red zones of a block in use; tells and counts what is wrong. */
bool tarn__checked_zones(tarn_pool *pool, const tarn__block *block);
/* The same of the pattern in a block that waits; on release it is written and the block waits. */
void tarn__checked_release(tarn_pool *pool, tarn__block *block);
bool tarn__checked_pattern(tarn_pool *pool, const tarn__block *block);
/* Lets blocks out of quarantine, into their buckets, until at most `keep` bytes wait. */
void tarn__quarantine_drain(tarn_pool *pool, size_t keep);
/* Tells on_mistake, and keeps the text for the statistics; printf's. */
void tarn__mistake(tarn_pool *pool, const char *format, ...) TARN_PRINTF(2, 3);
/* "block 7 of mlp.0 by affine (activation)": what messages show of a block. */
const char *tarn__block_text(const tarn_pool *pool, const tarn__block *block, char text[224]);

/* ---- tags (tags.c) */

static inline tarn__tag *tarn__tag_at(const tarn_pool *pool, uint32_t tag)
{
    return &atomic_load_explicit(&pool->tags[tag / TARN__TAGS_PER_CHUNK],
                                 memory_order_acquire)[tag % TARN__TAGS_PER_CHUNK];
}

/* The tag of a place, made if need be; 0 if memory or numbers are short. Takes the lock. */
uint32_t tarn__tag_intern(tarn_pool *pool, const char *path, const char *operation, tarn_kind kind);

/* The tag of the same place with another kind. Takes the lock the first time. */
uint32_t tarn__tag_find_kind(tarn_pool *pool, uint32_t tag, tarn_kind kind);
static inline uint32_t tarn__tag_of_kind(tarn_pool *pool, uint32_t tag, tarn_kind kind)
{
    tarn__tag *from = tarn__tag_at(pool, tag);
    if (from->kind == kind) return tag;
    const uint32_t found = atomic_load_explicit(&from->of_kind[kind], memory_order_acquire);
    return found != 0 ? found : tarn__tag_find_kind(pool, tag, kind);
}

bool tarn__tags_begin(tarn_pool *pool);
void tarn__tags_end(tarn_pool *pool);

/* ---- events (pool_trace.c); under the lock */

bool tarn__trace_begin(tarn_pool *pool);
void tarn__trace_stop(tarn_pool *pool);
void tarn__trace_block_event(tarn_pool *pool, const tarn__cache *cache, tarn__event_kind kind,
                             const tarn__block *block, bool hit);
void tarn__trace_retag(tarn_pool *pool, const tarn__cache *cache, const tarn__block *block,
                       uint32_t before);
void tarn__trace_region_event(tarn_pool *pool, tarn__event_kind kind, const tarn__region *region);
void tarn__trace_other_event(tarn_pool *pool, const tarn__cache *cache, tarn__event_kind kind,
                             size_t bytes, uint32_t tag);

/* Takes the lock, if there are events. */
void tarn__trace_phase(tarn_pool *pool, const tarn__cache *cache, tarn__event_kind kind,
                       const char name[32]);

/* ---- arrays.c and defaults.c */

void tarn__arrays_end(tarn_pool *pool);

/* Told of the end of a pool or manager, in case it is the default one. */
void tarn__default_pool_ends(const tarn_pool *pool);

/* ---- memory for records */

/* Bytes from the pool's system, zeroed, counted but not capped; the lock is held. */
void *tarn__system_take(tarn_pool *pool, size_t bytes);
void tarn__system_give(tarn_pool *pool, void *memory, size_t bytes);

/* The same for a report, that is about to be given back. */
void *tarn__report_take(tarn_pool *pool, size_t bytes);

#endif
