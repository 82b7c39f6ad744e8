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
 * bytes.
 *
 * Threads: a pool may serve any number of managers and threads. Each manager, and the thread that
 * first calls the pool directly, keeps free blocks and counters of its own, and takes neither lock
 * nor shared atomic to reuse one; other direct callers take the pool's lock. A block may be
 * released in another thread than the one that acquired it. The statistics are sums over all
 * threads, exact when no call is in flight; peaks are exact while one manager alone uses the
 * pool (and those of `reserved` always); with several, direct calls beside it, or blocks taken out
 * of tensors, they are upper bounds. Two threads that release the same block at the same moment are
 * the one mistake that may go unnoticed. */
#ifndef TARN_POOL_H
#define TARN_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/dtype.h"
#include "tarn/export.h"
#include "tarn/status.h"
#include "tarn/system.h"

TARN_BEGIN_DECLS

typedef struct tarn_pool tarn_pool;

#define TARN_UNLIMITED SIZE_MAX  /* as an option: no limit */
#define TARN_NONE (SIZE_MAX - 1) /* as an option: nothing at all, where 0 means the default */

/* Whether something is on; as an option, 0 stands for the default that is said there. */
typedef enum tarn_switch { TARN_DEFAULT, TARN_ON, TARN_OFF } tarn_switch;

typedef enum tarn_pool_mode {
    TARN_POOLED,
    TARN_PASS_THROUGH /* every block is an allocation of its own and goes back at once: for memory
                         checkers, which see each as if malloc had made it */
} tarn_pool_mode;

/* Light checking recognises double, stale and foreign releases, at no cost to speak of. Full
 * checking adds red zones around each block, 64 bytes or one alignment wide, a pattern in
 * uninitialised memory (0xFF: NaN as a float) and another in released memory, blocks that wait
 * before they are reused, and handles that are never reused. It costs two red zones and two passes
 * over the memory of each block, and a handle's memory stays taken until its manager ends. */
typedef enum tarn_checking { TARN_CHECK_LIGHT, TARN_CHECK_FULL } tarn_checking;

typedef enum tarn_zero_policy {
    TARN_ZERO_ON_DEMAND, /* zeros of a tensor are written when somebody reads or changes them */
    TARN_ZERO_AT_ONCE    /* zeros are written when the tensor is made: page faults come early, and
                            memory that is overwritten was written twice */
} tarn_zero_policy;

/* All sizes in bytes. A zeroed structure means every default. Each field can be set from outside
 * with an environment variable TARN_POOL_ and its name in capitals (TARN_POOL_MAX_CAPACITY=64M,
 * TARN_POOL_MODE=pass_through): it overrides the program, in every pool that is made, and is
 * listed by tarn_pool_print_stats; variables that are unknown or cannot be read are listed, too,
 * and have no effect. TARN_POOL_OVERRIDES=off turns this off. */
typedef struct tarn_pool_options {
    size_t initial_capacity; /* reserved at creation, from which blocks of every size are carved; 0:
                                none. Costs that memory as soon as it is used */
    size_t max_capacity;     /* cap on reserved bytes; 0 or TARN_UNLIMITED: none. The pool's and its
                                managers' own records (`metadata`: about 120 KiB, and some 400
                                bytes for each tensor that is alive at once) come on top */
    double growth_factor; /* each region for small blocks is this much larger than the last, up to
                             16 MiB; >= 1; 0: 2.0. More: fewer system calls, more memory ahead */
    size_t cache_limit;   /* cap on cached bytes beyond initial_capacity; 0: 64 MiB + the most that
                             was in use; TARN_NONE: nothing is cached. Less: more system calls */
    size_t alignment;     /* of every block, a power of two from 64 to 2 MiB; 0: 64. Blocks are
                             multiples of it */
    size_t decay_steps;   /* cached memory that was not used for so many steps (of an optimiser, or
                             calls of tarn_pool_step), or a quarter more, goes back; 0: 64 steps, as
                             far as more than 64 MiB are cached; TARN_UNLIMITED: never */
    tarn_switch track_stats;    /* default on. Off: no figures by tag, and no record of what a peak
                                   was made of; limits still hold */
    tarn_huge_pages huge_pages; /* of regions of 2 MiB and more */
    tarn_zero_policy zero_policy;
    bool wipe_on_release; /* overwrite what a block held with zeros when it is released. Costs a
                             pass over its memory and the lock */
    tarn_checking checking;
    tarn_pool_mode mode;
    size_t trace_events; /* the last so many events are kept for tarn_pool_write_trace; 0: none.
                            Costs 64 bytes and about 60 ns an event */
    const tarn_system *system; /* copied; NULL: the operating system */

    /* Asked when `bytes` bytes are not to be had even after trimming: true to try again, as after
     * releasing something or raising the cap with tarn_pool_set_max_capacity; false to let the
     * acquisition fail. `attempt` counts from 1; after 16 the acquisition fails. It may call
     * tarn_pool_ functions on this pool (an acquisition of its own that fails asks nobody), and
     * release tensors that are not operands of the call under way. NULL: fail at once. */
    bool (*on_out_of_memory)(void *context, tarn_pool *pool, size_t bytes, int attempt);

    /* Told in one line of every mistake that the pool recognises: a release that comes twice, late
     * or from elsewhere, an overrun, a write after release, a block that was never released. It may
     * not call into tarn. NULL: mistakes are counted and refused, and tarn_pool_print_stats shows
     * the last one. */
    void (*on_mistake)(void *context, const char *message);
    void *context; /* passed to both */
} tarn_pool_options;

/* A block as its holder sees it. id and generation recognise a release that comes twice or late. */
typedef struct tarn_block {
    void *data;   /* aligned as the options say; NULL in an empty block */
    size_t bytes; /* as requested; the block's capacity may be larger */
    uint32_t id;
    uint64_t generation;
} tarn_block;

typedef enum tarn_fill {
    TARN_UNINITIALIZED, /* contents are indeterminate: the caller overwrites all of it */
    TARN_ZEROED         /* reads as zero; only bytes not known to be zero are written */
} tarn_fill;

/* The statistics: X(kind, type, field, meaning). A COUNT only grows, a LEVEL is a figure of this
 * moment, a PEAK the highest it was. The struct, the text, the JSON and the differences are made
 * from this list. */
#define TARN_POOL_STATS_LIST(X)                                                                    \
    X(COUNT, uint64_t, allocations, "acquisitions that succeeded")                                 \
    X(COUNT, uint64_t, pool_allocations, "acquisitions served by a block released before (hits)")  \
    X(COUNT, uint64_t, misses, "acquisitions carved from reserved or new memory")                  \
    X(COUNT, uint64_t, releases, "releases that succeeded")                                        \
    X(LEVEL, size_t, current_usage, "requested bytes, now")                                        \
    X(PEAK, size_t, peak_usage, "requested bytes, peak")                                           \
    X(LEVEL, size_t, in_use, "bytes of blocks in use, now")                                        \
    X(PEAK, size_t, peak_in_use, "bytes of blocks in use, peak")                                   \
    X(LEVEL, size_t, reserved, "bytes reserved from the system, now")                              \
    X(PEAK, size_t, peak_reserved, "bytes reserved from the system, peak")                         \
    X(LEVEL, size_t, cached, "reserved bytes not in use, now")                                     \
    X(PEAK, size_t, peak_cached, "reserved bytes not in use, peak")                                \
    X(LEVEL, size_t, held, "of these, in the caches of managers and threads")                      \
    X(LEVEL, size_t, largest_free, "the largest block that is cached")                             \
    X(LEVEL, uint64_t, live_blocks, "blocks in use, now")                                          \
    X(PEAK, uint64_t, peak_live_blocks, "blocks in use, peak")                                     \
    X(LEVEL, size_t, adopted, "bytes of tensors in memory that is not the pool's")                 \
    X(LEVEL, size_t, metadata, "bytes of the pool's and its managers' own records")                \
    X(COUNT, uint64_t, total_allocated, "bytes ever reserved from the system")                     \
    X(COUNT, uint64_t, memory_saved, "requested bytes served by released blocks")                  \
    X(COUNT, uint64_t, system_allocations, "calls that reserved memory, records included")         \
    X(COUNT, uint64_t, system_releases, "calls that gave memory back, records included")           \
    X(COUNT, uint64_t, zeroed_bytes, "bytes written to make memory read as zero")                  \
    X(COUNT, uint64_t, zero_skipped_bytes, "bytes known to be zero and not written")               \
    X(COUNT, uint64_t, trims, "times cached memory went back to the system")                       \
    X(COUNT, uint64_t, trimmed_bytes, "bytes that went back by trimming")                          \
    X(COUNT, uint64_t, decayed_bytes, "of these, because they were idle for many steps")           \
    X(COUNT, uint64_t, window_rejects, "free blocks passed over because they were much too large") \
    X(COUNT, uint64_t, retries, "attempts after trimming or a callback")                           \
    X(COUNT, uint64_t, failed_acquisitions, "acquisitions that failed")                            \
    X(COUNT, uint64_t, bad_releases, "releases refused: twice, stale or foreign")                  \
    X(COUNT, uint64_t, damaged_blocks, "blocks written outside their bytes or after release")      \
    X(COUNT, uint64_t, steps, "steps")                                                             \
    X(LEVEL, size_t, dynamic_buckets, "exact buckets for repeated large sizes")                    \
    X(LEVEL, double, hit_ratio, "pool_allocations / allocations; 0 before the first")

typedef struct tarn_pool_stats {
#define TARN_POOL_STATS_FIELD(kind, type, field, meaning) type field;
    TARN_POOL_STATS_LIST(TARN_POOL_STATS_FIELD)
#undef TARN_POOL_STATS_FIELD
} tarn_pool_stats;

/* What changed between two moments: the later figure minus the earlier one, which for levels and
 * peaks may be negative; hit_ratio is that of the acquisitions in between. */
typedef struct tarn_pool_stats_difference {
#define TARN_POOL_STATS_FIELD(kind, type, field, meaning) TARN_POOL_STATS_CHANGE_##type field;
#define TARN_POOL_STATS_CHANGE_uint64_t int64_t
#define TARN_POOL_STATS_CHANGE_size_t int64_t
#define TARN_POOL_STATS_CHANGE_double double
    TARN_POOL_STATS_LIST(TARN_POOL_STATS_FIELD)
#undef TARN_POOL_STATS_FIELD
} tarn_pool_stats_difference;

/* ---- a pool's life */

/* Makes a pool; NULL options mean every default. NULL when the options are invalid (growth_factor
 * not finite or below 1, initial_capacity above max_capacity, an alignment or enumerator that does
 * not exist) or memory is short; *status, if given, says which. */
TARN_API TARN_NODISCARD tarn_pool *tarn_pool_create(const tarn_pool_options *options,
                                                    tarn_status *status);

/* Gives everything back to the system. NULL does nothing. Threads that used the pool must have
 * finished with it.
 * Fails: TARN_ESTATE, with nothing done, while a manager uses the pool or a block is still held;
 * on_mistake is told of each such block. */
TARN_API tarn_status tarn_pool_destroy(tarn_pool *pool);

/* A pool of the process with every default, made on first use; NULL if memory is short. Any thread.
 * tarn_pool_destroy ends it; the next call makes another. */
TARN_API tarn_pool *tarn_pool_default(void);

/* ---- acquire and release */

/* Acquires at least `bytes` bytes (0 is allowed and gives a valid, distinct block).
 * Fails: TARN_ENOMEM at the cap or when the system refuses, after trimming every cache, trying
 * again and asking on_out_of_memory; TARN_EOVERFLOW for sizes no allocator can serve. *out is then
 * empty and nothing else has changed. */
TARN_API TARN_NODISCARD tarn_status tarn_pool_acquire(tarn_pool *pool, size_t bytes, tarn_fill fill,
                                                      tarn_block *out);

/* Returns a block to its bucket. An empty block is ignored.
 * Fails: TARN_ESTATE if it was released before; TARN_EARG if this pool never gave it out. Nothing
 * changes then but a count. TARN_ECORRUPT, with the block released, if full checking finds that
 * its surroundings were written. */
TARN_API tarn_status tarn_pool_release(tarn_pool *pool, tarn_block block);

/* The same for whoever keeps pointers: `count` elements that read as zero, or NULL. */
TARN_API TARN_NODISCARD void *tarn_pool_acquire_array(tarn_pool *pool, size_t count,
                                                      tarn_dtype dtype);

/* Returns an array. NULL is ignored. With a pointer alone, a second release after the memory was
 * handed out again cannot be told from a right one; blocks do not have this weakness.
 * Fails: TARN_EARG for a pointer that tarn_pool_acquire_array did not give or that was released,
 * TARN_EDTYPE if it was acquired as another type; nothing changes then but a count. */
TARN_API tarn_status tarn_pool_release_array(tarn_pool *pool, void *array, tarn_dtype dtype);

/* ---- limits */

/* Gives cached memory back to the system, that of every manager and thread included, until at most
 * keep_bytes stay cached or nothing more can go (a region goes back when none of its blocks is in
 * use). Returns the bytes given back. */
TARN_API size_t tarn_pool_trim(tarn_pool *pool, size_t keep_bytes);

/* Ends a step of work, for decay_steps. tarn_optimizer_step does it for the pool of its manager. */
TARN_API void tarn_pool_step(tarn_pool *pool);

/* Changes the cap on reserved bytes; 0 or TARN_UNLIMITED: none. Returns the one before. Memory that
 * is reserved already stays: with a cap below it, nothing more is reserved. */
TARN_API size_t tarn_pool_set_max_capacity(tarn_pool *pool, size_t bytes);

/* ---- questions */

/* The options in force, defaults and the environment included; all zero for NULL. */
TARN_API tarn_pool_options tarn_pool_get_options(const tarn_pool *pool);

/* Elements in the bucket that serves `count` elements by the logical rule: powers of two to 1024;
 * 3, 5, 7, 9, 10, 12, 15, 20, 25, 50 and 100; above 1024 the count itself. 0 for 0. The block
 * behind it follows tarn_pool_block_capacity. */
TARN_API size_t tarn_pool_bucket_capacity(size_t count);

/* Bytes of the bucket that serves a first request of `bytes` bytes in a pool with the default
 * alignment and checking; 0 if no bucket can. */
TARN_API size_t tarn_pool_block_capacity(size_t bytes);

/* The figures of this moment; all zero for NULL. */
TARN_API tarn_pool_stats tarn_pool_get_stats(const tarn_pool *pool);

/* later - earlier, figure by figure. NULL counts as all zero. */
TARN_API tarn_pool_stats_difference tarn_pool_stats_subtract(const tarn_pool_stats *later,
                                                             const tarn_pool_stats *earlier);

/* Sets every peak to its current figure. */
TARN_API void tarn_pool_reset_peaks(tarn_pool *pool);

/* Writes the statistics as a table of one line a figure, and what the environment changed. Fails:
 * TARN_EARG for NULL; TARN_EIO. */
TARN_API tarn_status tarn_pool_print_stats(const tarn_pool *pool, FILE *stream);

/* Writes the statistics as one JSON object into text, as snprintf does: at most `size` bytes with
 * the final NUL; the length that the whole needs is returned. */
TARN_API size_t tarn_pool_stats_json(const tarn_pool_stats *stats, char *text, size_t size);

/* Verifies every invariant of the pool's records by walking them all, and with full checking the
 * red zones of every block. Fails: TARN_ESTATE when one is broken, TARN_ECORRUPT when only memory
 * around or in free blocks was written; on_mistake is told of each. */
TARN_API tarn_status tarn_pool_check(const tarn_pool *pool);

/* ---- injected failures, for tests of programs, too */

typedef struct tarn_faults {
    uint64_t nth;       /* the n-th acquisition from now (1: the next) fails; 0: none by number */
    bool for_ever;      /* and so do all after it */
    double probability; /* and each other one with this probability, from 0 to 1 */
    uint64_t seed;      /* of these draws */
} tarn_faults;

/* Lets acquisitions fail with TARN_ENOMEM although there is memory; NULL disarms. While armed,
 * every acquisition takes the lock. Fails: TARN_EARG for a probability that is none. */
TARN_API tarn_status tarn_pool_inject_faults(tarn_pool *pool, const tarn_faults *faults);

TARN_END_DECLS

#endif
