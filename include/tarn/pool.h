/* pool.h - the memory pool: where every tensor, intermediate and gradient comes from.
 *
 * A block is asked for in bytes, rounded up to its bucket, and returns to that bucket when it is
 * released.
 *
 *   requested  bytes that callers asked for and hold
 *   in use     bytes of the blocks that hold them
 *   reserved   bytes obtained from the system for blocks
 *   cached     reserved bytes that nobody holds
 *
 *   requested <= in use <= reserved,   in use + cached == reserved
 *
 * Buckets lie 64 bytes apart up to 1 KiB; above, there are eight per doubling, so that at most an
 * eighth is lost; sizes above 32 KiB get exact buckets of their own. Blocks are aligned to 64
 * bytes. A pool is used by one thread at a time. */
#ifndef TARN_POOL_H
#define TARN_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/export.h"
#include "tarn/status.h"

TARN_BEGIN_DECLS

typedef struct tarn_pool tarn_pool;

#define TARN_UNLIMITED SIZE_MAX  /* as an option: no limit */
#define TARN_NONE (SIZE_MAX - 1) /* as an option: nothing at all, where 0 means the default */

/* Where a pool gets its memory. reserve returns `bytes` bytes that read as zero, aligned to 64, or
 * NULL; release takes back exactly what reserve gave, with the same size. Neither may call into
 * tarn. */
typedef struct tarn_system {
    void *(*reserve)(void *context, size_t bytes);
    void (*release)(void *context, void *memory, size_t bytes);
    void *context;
} tarn_system;

typedef struct tarn_pool_options {
    size_t initial_capacity; /* bytes reserved at creation; 0: none */
    size_t max_capacity;     /* cap on reserved bytes; 0: no cap */
    size_t cache_limit;   /* cap on cached bytes beyond initial_capacity; 0: 64 MiB + peak in use */
    double growth_factor; /* each region is this much larger than the last, up to 16 MiB; >= 1;
                             0: 2.0 */
    bool wipe_on_release; /* overwrite what a block held with zeros when it is released */
    const tarn_system *system; /* copied; NULL: the operating system */
} tarn_pool_options;

/* A block as its holder sees it. id and generation recognise a release that comes twice or late. */
typedef struct tarn_block {
    void *data;   /* 64-byte aligned; NULL in an empty block */
    size_t bytes; /* as requested; the block's capacity may be larger */
    uint32_t id;
    uint64_t generation;
} tarn_block;

typedef enum tarn_fill {
    TARN_UNINITIALIZED, /* contents are indeterminate: the caller overwrites all of it */
    TARN_ZEROED         /* reads as zero; only bytes not known to be zero are written */
} tarn_fill;

/* The statistics: X(type, field, meaning). The struct, the text and the JSON are made from this
 * list. */
#define TARN_POOL_STATS_LIST(X)                                                            \
    X(uint64_t, allocations, "acquisitions that succeeded")                                \
    X(uint64_t, pool_allocations, "acquisitions served by a block released before (hits)") \
    X(uint64_t, misses, "acquisitions carved from reserved or new memory")                 \
    X(uint64_t, releases, "releases that succeeded")                                       \
    X(size_t, current_usage, "requested bytes, now")                                       \
    X(size_t, peak_usage, "requested bytes, peak")                                         \
    X(size_t, in_use, "bytes of blocks in use, now")                                       \
    X(size_t, peak_in_use, "bytes of blocks in use, peak")                                 \
    X(size_t, reserved, "bytes reserved from the system, now")                             \
    X(size_t, peak_reserved, "bytes reserved from the system, peak")                       \
    X(size_t, cached, "reserved bytes not in use, now")                                    \
    X(size_t, peak_cached, "reserved bytes not in use, peak")                              \
    X(size_t, live_blocks, "blocks in use, now")                                           \
    X(size_t, peak_live_blocks, "blocks in use, peak")                                     \
    X(size_t, metadata, "bytes of the pool's and its managers' own records")               \
    X(uint64_t, total_allocated, "bytes ever reserved from the system")                    \
    X(uint64_t, memory_saved, "requested bytes served by released blocks")                 \
    X(uint64_t, system_allocations, "calls that reserved memory, records included")        \
    X(uint64_t, system_releases, "calls that gave memory back, records included")          \
    X(uint64_t, zeroed_bytes, "bytes written to make memory read as zero")                 \
    X(uint64_t, zero_skipped_bytes, "bytes known to be zero and not written")              \
    X(uint64_t, trims, "times cached memory went back to the system")                      \
    X(uint64_t, trimmed_bytes, "bytes that went back by trimming")                         \
    X(uint64_t, failed_acquisitions, "acquisitions that failed")                           \
    X(uint64_t, bad_releases, "releases refused: twice, stale or foreign")                 \
    X(size_t, dynamic_buckets, "exact buckets for repeated large sizes")                   \
    X(double, hit_ratio, "pool_allocations / allocations; 0 before the first")

typedef struct tarn_pool_stats {
#define TARN_POOL_STATS_FIELD(type, field, meaning) type field;
    TARN_POOL_STATS_LIST(TARN_POOL_STATS_FIELD)
#undef TARN_POOL_STATS_FIELD
} tarn_pool_stats;

/* Makes a pool; NULL options mean every default. NULL when the options are invalid (growth_factor
 * not finite or below 1, initial_capacity above max_capacity) or memory is short; *status, if
 * given, says which. */
TARN_API TARN_NODISCARD tarn_pool *tarn_pool_create(const tarn_pool_options *options,
                                                    tarn_status *status);

/* Gives everything back to the system. NULL does nothing.
 * Fails: TARN_ESTATE, with nothing done, while a manager uses the pool or a block is still held. */
TARN_API tarn_status tarn_pool_destroy(tarn_pool *pool);

/* Acquires at least `bytes` bytes (0 is allowed and gives a valid, distinct block).
 * Fails: TARN_ENOMEM at the cap or when the system refuses, after trimming the cache and trying
 * again; TARN_EOVERFLOW for sizes no allocator can serve. *out is then empty and nothing else has
 * changed. */
TARN_API TARN_NODISCARD tarn_status tarn_pool_acquire(tarn_pool *pool, size_t bytes, tarn_fill fill,
                                                      tarn_block *out);

/* Returns a block to its bucket. An empty block is ignored.
 * Fails: TARN_ESTATE if it was released before; TARN_EARG if this pool never gave it out. Nothing
 * changes then but a count. */
TARN_API tarn_status tarn_pool_release(tarn_pool *pool, tarn_block block);

/* Gives cached memory back to the system until at most keep_bytes stay cached or nothing more can
 * go (a region goes back when none of its blocks is in use). Returns the bytes given back. */
TARN_API size_t tarn_pool_trim(tarn_pool *pool, size_t keep_bytes);

/* Elements in the bucket that serves `count` elements by the logical rule: powers of two to 1024;
 * 3, 5, 7, 9, 10, 12, 15, 20, 25, 50 and 100; above 1024 the count itself. 0 for 0. The block
 * behind it follows tarn_pool_block_capacity. */
TARN_API size_t tarn_pool_bucket_capacity(size_t count);

/* Bytes of the bucket that serves a first request of `bytes` bytes; 0 if no bucket can. */
TARN_API size_t tarn_pool_block_capacity(size_t bytes);

/* The figures of this moment; all zero for NULL. */
TARN_API tarn_pool_stats tarn_pool_get_stats(const tarn_pool *pool);

/* Sets every peak to its current figure. */
TARN_API void tarn_pool_reset_peaks(tarn_pool *pool);

/* Writes the statistics as a table of one line a figure. Fails: TARN_EARG for NULL; TARN_EIO. */
TARN_API tarn_status tarn_pool_print_stats(const tarn_pool *pool, FILE *stream);

/* Writes the statistics as one JSON object into text, as snprintf does: at most `size` bytes with
 * the final NUL; the length that the whole needs is returned. */
TARN_API size_t tarn_pool_stats_json(const tarn_pool_stats *stats, char *text, size_t size);

/* Lets the n-th acquisition from now (1: the next) fail with TARN_ENOMEM, once; 0 disarms. For
 * tests of programs, too. */
TARN_API void tarn_pool_fail_acquisition(tarn_pool *pool, uint64_t n);

/* Verifies every invariant of the pool's records by walking them all. Fails: TARN_ESTATE when one
 * is broken. */
TARN_API tarn_status tarn_pool_check(const tarn_pool *pool);

TARN_END_DECLS

#endif
