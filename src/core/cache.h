/* SPDX-License-Identifier: MIT
 * cache.h - the free blocks and counters of one manager or thread, and the path of a block that is
 * reused: no lock, no shared atomic.
 *
 * Its owner alone works on a cache: it raises `busy`, looks whether `special` is zero, does its few
 * instructions, and lowers `busy`. Whoever holds the pool's lock can stop it: he sets a bit of
 * `special`, lets every processor see that (tarn__process_barrier: one system call, which spares
 * the owner a fence), and waits until `busy` is down; then the owner, finding `special`, queues for
 * the lock. Where there is no such barrier, `special` is never zero, and the owner always takes the
 * lock.
 *
 * Everything that is seldom wanted - tracing, full checking, injected failures, pass-through - is a
 * bit of `special`, too, and so costs nothing when it is off.
 *
 * Counters have one writer and many readers: relaxed atomics, which are plain loads and stores. */
#ifndef TARN_CORE_CACHE_H
#define TARN_CORE_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tarn/usage.h>

#include "core/checkers.h"

typedef struct tarn__block tarn__block;
typedef struct tarn__cache tarn__cache;

typedef enum tarn__block_state {
    TARN__BLOCK_VOID,
    TARN__BLOCK_FREE, /* in a bucket */
    TARN__BLOCK_CACHED,
    TARN__BLOCK_QUARANTINED,
    TARN__BLOCK_IN_USE
} tarn__block_state;

/* The first line of 64 bytes is what acquiring and releasing touch. */
struct tarn__block {
    tarn__block *prev, *next; /* in its list while free; prev only in buckets and quarantine */
    unsigned char *data;      /* its start; with full checking the holder's bytes begin later */
    size_t capacity;
    size_t requested; /* while in use; while cached: the number of the release
                         that put it there */
    size_t dirty;
    _Atomic uint64_t generation; /* counts acquisitions; never goes back */
    uint32_t tag;
    uint16_t bucket;
    _Atomic uint8_t state; /* a tarn__block_state; with generation: read by whoever releases */
    uint8_t dtype;         /* of an array */

    tarn__block *sibling; /* the next block of its region */
    struct tarn__region *region;
    uint64_t first_generation; /* when it was carved */
    uint32_t id;
};

enum {
    TARN__SMALL_MAX = 32 * 1024,
    TARN__SMALL_CLASSES = 56, /* the classes up to SMALL_MAX */
    TARN__LARGE_LISTS = 128,
    TARN__TWO_MIB = 2 * 1024 * 1024
};

/* Why a cache takes the lock. */
enum {
    TARN__STOPPED = 1,
    TARN__LOCK_ONLY = 2, /* there is no barrier */
    TARN__FAULTS = 4,
    TARN__TRACED = 8,
    TARN__CHECKED = 16,
    TARN__PASS_THROUGH = 32,
    TARN__WIPED = 64
};

/* What one tag's blocks take in one cache; negative where another cache released them. */
typedef struct tarn__tag_count {
    _Atomic int64_t live, peak, at_peak; /* bytes of blocks */
    _Atomic int64_t at_past;             /* common only: of the pool's peak before a cache left */
    _Atomic uint64_t acquired;
} tarn__tag_count;

typedef struct tarn__peaks {
    _Atomic int64_t usage, in_use, live;
} tarn__peaks;

/* Of blocks that it gave out and took back, in this cache; levels are differences, and negative
 * where blocks of other caches came back here:
 *
 *   live = allocations - releases     usage = requested_out - requested_in
 *   in_use = block_out - block_in     held = stock - in_use <= share,  that is,
 * floor <= in_use */
struct tarn__cache {
    _Atomic uint32_t busy, special;
    unsigned shift;        /* of the pool's quantum */
    uint32_t n_tags;       /* room in tags */
    tarn__tag_count *tags; /* owned: (n_tags), or NULL without statistics by tag */

    _Atomic uint64_t allocations, releases;
    _Atomic uint64_t requested_out, requested_in; /* bytes */
    _Atomic uint64_t block_out, block_in;         /* bytes of whole blocks */
    tarn__peaks peak;                             /* of the innermost phase */
    _Atomic int64_t composed;                     /* in_use when at_peak of the tags was noted */
    _Atomic int64_t floor;  /* of in_use: below it the cache would hold more than its share */
    _Atomic int64_t lowest; /* in_use since the pool last looked */

    tarn__block *small[TARN__SMALL_CLASSES]; /* linked by next, the last released first */
    tarn__block *large[TARN__LARGE_LISTS];   /* by a hash of the capacity */

    _Atomic int64_t stock; /* bytes of its free blocks and of those in use that it gave out */
    _Atomic uint64_t misses, missed_bytes; /* acquisitions carved anew, and their requested bytes */
    _Atomic uint64_t zeroed, zero_skipped;
    _Atomic uint64_t steps;
    tarn__peaks outer;   /* of the phases around the innermost, as far as they are over */
    tarn__peaks earlier; /* before the manager's own peaks were last reset */

    tarn_pool *pool;
    tarn__cache *prev, *next; /* among the pool's */
    uint16_t number;
    uint32_t until_sweep; /* steps until idle blocks are looked for */
    uint64_t marks[8];    /* releases at the last sweeps */
    uint32_t n_marks;
    uint64_t swept;       /* steps when it was last swept */
    bool asking;          /* on_out_of_memory runs */
    uint32_t peak_resets; /* how often its peaks were reset */
};

#define TARN__GET(counter) atomic_load_explicit(&(counter), memory_order_relaxed)
#define TARN__SET(counter, value) atomic_store_explicit(&(counter), (value), memory_order_relaxed)
#define TARN__ADD(counter, value) TARN__SET(counter, TARN__GET(counter) + (value))
#define TARN__RAISE(peak, level)                                 \
    do {                                                         \
        if ((level) > TARN__GET(peak)) TARN__SET(peak, (level)); \
    } while (0)

static inline int64_t tarn__cache_live(const tarn__cache *cache)
{
    return (int64_t)(TARN__GET(cache->allocations) - TARN__GET(cache->releases));
}

static inline int64_t tarn__cache_usage(const tarn__cache *cache)
{
    return (int64_t)(TARN__GET(cache->requested_out) - TARN__GET(cache->requested_in));
}

static inline int64_t tarn__cache_in_use(const tarn__cache *cache)
{
    return (int64_t)(TARN__GET(cache->block_out) - TARN__GET(cache->block_in));
}

/* Bytes of its free blocks. */
static inline size_t tarn__cache_held(const tarn__cache *cache)
{
    return (size_t)(TARN__GET(cache->stock) - tarn__cache_in_use(cache));
}

/* Makes a cache known to its pool; NULL if memory is short. Takes the lock. */
tarn__cache *tarn__cache_join(tarn_pool *pool);
/* Gives its blocks to the pool, its counts to the pool's own, and ends it. Takes the lock. */
void tarn__cache_leave(tarn__cache *cache);

/* Acquire and release with everything that the quick path leaves out; by the owner. On failure
 * (TARN_ENOMEM, TARN_EOVERFLOW) nothing but counts has changed. */
tarn_status tarn__cache_acquire_slow(tarn__cache *cache, size_t bytes, uint32_t tag,
                                     tarn__block **out);
tarn_status tarn__cache_release_slow(tarn__cache *cache, tarn__block *block);

/* Below every level. */
extern const tarn__peaks tarn__no_peaks;

/* The highest its levels were since the pool's peaks were last reset. */
tarn__peaks tarn__cache_peaks(const tarn__cache *cache);
/* Raises the peaks of this moment to the levels, or sets them. */
void tarn__peaks_reach(tarn__cache *cache);
void tarn__peaks_set(tarn__cache *cache);

/* Notes what the peak is made of. */
void tarn__cache_compose(tarn__cache *cache);

/* One step of somebody without a cache. Takes the lock. */
void tarn__common_step(tarn_pool *pool);

/* One step of the owner; idle blocks go back now and then. */
void tarn__cache_step(tarn__cache *cache);

/* Makes the holder's bytes read as zero, writing only what may not be. */
void tarn__block_zero(tarn__cache *cache, tarn__block *block);
/* Notes that all of them may hold something. */
void tarn__block_mark_dirty(tarn__block *block);

/* Books a block in use as if the direct callers of the pool had acquired it. Takes the lock. */
void tarn__cache_hand_over(tarn__cache *cache, tarn__block *block);

/* Gives a block in use another tag. */
void tarn__cache_retag(tarn__cache *cache, tarn__block *block, uint32_t tag);

/* ---- the quick path, for cache.c and those who include pool.h */

/* Whole quanta, whole pages from 2 MiB on; 0 if it overflows. */
static inline size_t tarn__large_rounded(unsigned shift, size_t bytes)
{
    size_t step = (size_t)1 << shift;
    if (bytes >= TARN__TWO_MIB && step < 4096) step = 4096;
    return bytes > SIZE_MAX - (step - 1) ? 0 : (bytes + (step - 1)) & ~(step - 1);
}

static inline unsigned tarn__large_list(size_t capacity)
{
    return (unsigned)(((uint64_t)(capacity / 64) * UINT64_C(0x9e3779b97f4a7c15)) >> 57);
}

/* True if the owner may work on the cache, until tarn__cache_exit. */
static inline bool tarn__cache_enter(tarn__cache *cache)
{
    TARN__SET(cache->busy, 1);
    atomic_signal_fence(memory_order_seq_cst);
    return atomic_load_explicit(&cache->special, memory_order_acquire) == 0;
}

static inline void tarn__cache_exit(tarn__cache *cache)
{
    atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* Lets the owner work on the cache in any case; returns whether it has the pool's lock for it, to
 * be handed to tarn__cache_close. */
bool tarn__cache_open(tarn__cache *cache);
void tarn__cache_close(tarn__cache *cache, bool locked);

/* The class of a small block. */
static inline unsigned tarn__small_class(unsigned shift, size_t bytes)
{
    const size_t last = bytes == 0 ? 0 : (bytes - 1) >> shift; /* the number of the last quantum */
    if (last < 16) return (unsigned)last;
    const unsigned lg = 63u - (unsigned)__builtin_clzll(last);
    return 16u + (lg - 4) * 8u + ((unsigned)(last >> (lg - 3)) & 7u);
}

static inline tarn__block **tarn__cache_list_of(tarn__cache *cache, const tarn__block *block)
{
    return block->bucket < TARN__SMALL_CLASSES ? &cache->small[block->bucket]
                                               : &cache->large[tarn__large_list(block->capacity)];
}

static inline void tarn__cache_push(tarn__cache *cache, tarn__block *block)
{
    tarn__block **list = tarn__cache_list_of(cache, block);
    TARN__SET(block->state, TARN__BLOCK_CACHED);
    block->next = *list;
    *list = block;
}

/* The link to a block of exactly the bucket that serves `bytes`; a link to NULL if there is
 * none. */
static inline tarn__block **tarn__cache_find(tarn__cache *cache, size_t bytes)
{
    if (bytes <= TARN__SMALL_MAX) return &cache->small[tarn__small_class(cache->shift, bytes)];
    const size_t capacity = tarn__large_rounded(cache->shift, bytes);
    tarn__block **link = &cache->large[tarn__large_list(capacity)];
    while (*link != NULL && (*link)->capacity != capacity) link = &(*link)->next;
    return link;
}

/* Books a block that goes out. */
static inline void tarn__cache_count_out(tarn__cache *cache, tarn__block *block, size_t bytes,
                                         uint32_t tag)
{
    const size_t capacity = block->capacity;
    /* In this order, so that a stale release never finds the block in use with the old number. */
    TARN__ADD(block->generation, 1);
    atomic_store_explicit(&block->state, TARN__BLOCK_IN_USE, memory_order_release);
    block->requested = bytes;
    block->tag = tag;
    const uint64_t allocations = TARN__GET(cache->allocations) + 1;
    const uint64_t requested = TARN__GET(cache->requested_out) + bytes;
    const uint64_t out = TARN__GET(cache->block_out) + capacity;
    TARN__SET(cache->allocations, allocations);
    TARN__SET(cache->requested_out, requested);
    TARN__SET(cache->block_out, out);
    const int64_t live = (int64_t)(allocations - TARN__GET(cache->releases));
    const int64_t usage = (int64_t)(requested - TARN__GET(cache->requested_in));
    const int64_t in_use = (int64_t)(out - TARN__GET(cache->block_in));
    TARN__RAISE(cache->peak.live, live);
    TARN__RAISE(cache->peak.usage, usage);
    TARN__RAISE(cache->peak.in_use, in_use);
    if (tag < cache->n_tags) {
        tarn__tag_count *count = &cache->tags[tag];
        const int64_t tag_live = TARN__GET(count->live) + (int64_t)capacity;
        TARN__SET(count->live, tag_live);
        TARN__RAISE(count->peak, tag_live);
        TARN__ADD(count->acquired, 1);
    }
}

/* Books one that comes back. */
static inline void tarn__cache_count_in(tarn__cache *cache, tarn__block *block)
{
    const size_t capacity = block->capacity, requested = block->requested;
    const uint64_t releases = TARN__GET(cache->releases) + 1;
    if (block->dirty < requested) block->dirty = requested;
    if (block->tag < cache->n_tags) {
        tarn__tag_count *count = &cache->tags[block->tag];
        TARN__SET(count->live, TARN__GET(count->live) - (int64_t)capacity);
    }
    TARN__SET(cache->releases, releases);
    TARN__ADD(cache->requested_in, requested);
    TARN__ADD(cache->block_in, capacity);
    block->requested = releases;
    tarn__block_forgotten(cache->pool, block->data, capacity);
}

/* A block that the cache has, or NULL. It calls nothing, so that callers need no frame for it. */
static inline tarn__block *tarn__cache_quick_acquire(tarn__cache *cache, size_t bytes, uint32_t tag)
{
    tarn__block *block = NULL;
    if (tarn__cache_enter(cache) && (tag < cache->n_tags || cache->tags == NULL)) {
        tarn__block **link = tarn__cache_find(cache, bytes);
        block = *link;
        if (block != NULL) {
            *link = block->next;
            tarn__cache_count_out(cache, block, bytes, tag);
        }
    }
    tarn__cache_exit(cache);
    if (block != NULL)
        tarn__block_known(cache->pool, block->data, block->capacity, block->data, bytes);
    return block;
}

/* Keeps a block in use as a free one; false if that is not to be: the lock is needed, the cache
 * would hold more than its share, or this was the peak and is to be noted first. */
static inline bool tarn__cache_quick_release(tarn__cache *cache, tarn__block *block)
{
    bool done = false;
    if (tarn__cache_enter(cache)) {
        const int64_t in_use = tarn__cache_in_use(cache);
        const int64_t left = in_use - (int64_t)block->capacity;
        done = left >= TARN__GET(cache->floor) && in_use <= TARN__GET(cache->composed) &&
               (block->tag < cache->n_tags || cache->tags == NULL);
        if (done) {
            if (left < TARN__GET(cache->lowest)) TARN__SET(cache->lowest, left);
            tarn__cache_count_in(cache, block);
            tarn__cache_push(cache, block);
        }
    }
    tarn__cache_exit(cache);
    return done;
}

/* Acquires; the block is not zeroed. On failure *out is NULL and nothing but counts has changed. */
static inline tarn_status tarn__cache_acquire(tarn__cache *cache, size_t bytes, uint32_t tag,
                                              tarn__block **out)
{
    *out = tarn__cache_quick_acquire(cache, bytes, tag);
    return *out != NULL ? TARN_OK : tarn__cache_acquire_slow(cache, bytes, tag, out);
}

/* Releases a block in use. Fails: TARN_ECORRUPT, with the block released, by full checking. */
static inline tarn_status tarn__cache_release(tarn__cache *cache, tarn__block *block)
{
    if (tarn__cache_quick_release(cache, block)) return TARN_OK;
    return tarn__cache_release_slow(cache, block);
}

#endif
