/* SPDX-License-Identifier: MIT
 * pool.c - acquiring and releasing blocks. */
#include "core/pool.h"

#include <math.h>
#include <string.h>

#include "core/assert.h"
#include "core/checkers.h"
#include "core/size.h"
#include "core/system.h"

enum { DEFAULT_CACHE = 64 * 1024 * 1024 };

/* ---- creation and end */

static tarn_status complete_options(tarn_pool_options *o)
{
    if (o->growth_factor == 0.0) o->growth_factor = 2.0;
    if (o->max_capacity == 0) o->max_capacity = TARN_UNLIMITED;
    if (!isfinite(o->growth_factor) || o->growth_factor < 1.0) return TARN_EARG;
    if (o->max_capacity == TARN_NONE) return TARN_EARG;
    if (o->initial_capacity > o->max_capacity) return TARN_EARG;
    if (o->system != NULL && (o->system->reserve == NULL || o->system->release == NULL))
        return TARN_EARG;
    return TARN_OK;
}

static tarn_pool *make_pool(const tarn_pool_options *options)
{
    const tarn_system system = options->system != NULL ? *options->system : tarn__system_default;
    tarn_pool *pool = system.reserve(system.context, sizeof(*pool));
    if (pool == NULL) return NULL;
    pool->system = system;
    pool->options = *options;
    pool->options.system = NULL;
    pool->stats.system_allocations = 1;
    pool->stats.metadata = sizeof(*pool);
    for (unsigned c = 0; c < TARN__N_CLASSES; c++)
        pool->buckets[c].capacity = tarn__class_quanta(c) * TARN__QUANTUM;
    tarn__slab_init(&pool->regions_slab, pool, sizeof(tarn__region));
    return pool;
}

void tarn__pool_end(tarn_pool *pool)
{
    const tarn_system system = pool->system;
    tarn__regions_end(pool);
    system.release(system.context, pool, sizeof(*pool));
}

tarn_pool *tarn_pool_create(const tarn_pool_options *options, tarn_status *status)
{
    tarn_pool_options completed = options != NULL ? *options : (tarn_pool_options){ 0 };
    tarn_pool *pool = NULL;
    tarn_status result = complete_options(&completed);
    if (result == TARN_OK) {
        pool = make_pool(&completed);
        if (pool != NULL && !tarn__reserve_initial(pool)) {
            tarn__pool_end(pool);
            pool = NULL;
        }
        if (pool == NULL) result = TARN_ENOMEM;
    }
    if (status != NULL) *status = result;
    return pool;
}

tarn_status tarn_pool_destroy(tarn_pool *pool)
{
    if (pool == NULL) return TARN_OK;
    if (pool->n_users > 0 || pool->stats.live_blocks > 0) return TARN_ESTATE;
    tarn__pool_end(pool);
    return TARN_OK;
}

/* ---- acquire */

/* A free block for `bytes`, or a new one; sets *reused accordingly. The block is out of its bucket
 * and its region knows of it. NULL: out of memory. */
static tarn__block_record *find_block(tarn_pool *pool, size_t bytes, bool *reused)
{
    const size_t quanta = bytes == 0 ? 1 : (bytes - 1) / TARN__QUANTUM + 1;
    const unsigned class_index = tarn__class_of(quanta);
    const size_t large = bytes > TARN__SMALL_MAX ? tarn__large_capacity(bytes) : 0;
    tarn__bucket *bucket =
        large == 0 ? &pool->buckets[class_index] : tarn__dynamic_find(pool, large);
    tarn__block_record *block = bucket != NULL ? bucket->first : NULL;
    if (block == NULL) block = tarn__bucket_search(pool, bytes, class_index);
    const bool known = bucket != NULL;
    if (block == NULL && !known) bucket = tarn__dynamic_make(pool, large);
    const bool made = block == NULL && !known && bucket != NULL;
    if (bucket == NULL && class_index < TARN__N_CLASSES) bucket = &pool->buckets[class_index];
    *reused = block != NULL;
    if (block == NULL && bucket != NULL) {
        block = tarn__carve(pool, bucket, bucket->capacity);
        if (block != NULL) return block;
        if (made) tarn__dynamic_drop_last(pool, bucket);
        block = tarn__bucket_last_resort(pool, bytes, class_index);
        *reused = block != NULL;
    }
    if (block == NULL) return NULL;
    tarn__bucket_remove(pool, block);
    tarn__region_enter(pool, block->region);
    return block;
}

/* Makes the first `bytes` bytes read as zero, writing only those that may not. */
static void zero_block(tarn_pool *pool, tarn__block_record *block, size_t bytes)
{
    const size_t dirty = block->dirty < bytes ? block->dirty : bytes;
    if (dirty > 0) memset(block->data, 0, dirty);
    pool->stats.zeroed_bytes += dirty;
    pool->stats.zero_skipped_bytes += bytes - dirty;
    tarn__allow_defined(block->data, bytes);
}

void tarn__pool_zero(tarn_pool *pool, tarn_block handle)
{
    tarn__block_record *block = tarn__record_of(pool, handle.id);
    TARN_ASSERT(block != NULL && block->generation == handle.generation);
    zero_block(pool, block, handle.bytes);
}

void tarn__pool_mark_dirty(tarn_pool *pool, tarn_block handle)
{
    tarn__block_record *block = tarn__record_of(pool, handle.id);
    TARN_ASSERT(block != NULL && block->generation == handle.generation);
    if (block->dirty < block->requested) block->dirty = block->requested;
}

tarn_status tarn_pool_acquire(tarn_pool *pool, size_t bytes, tarn_fill fill, tarn_block *out)
{
    if (out == NULL) return TARN_EARG;
    *out = (tarn_block){ 0 };
    if (pool == NULL || (fill != TARN_UNINITIALIZED && fill != TARN_ZEROED)) return TARN_EARG;
    tarn_pool_stats *s = &pool->stats;
    if (bytes > PTRDIFF_MAX) {
        s->failed_acquisitions++;
        return TARN_EOVERFLOW;
    }
    bool reused = false;
    const bool inject = pool->fail_after != 0 && --pool->fail_after == 0;
    tarn__block_record *block = inject ? NULL : find_block(pool, bytes, &reused);
    if (block == NULL) {
        s->failed_acquisitions++;
        return TARN_ENOMEM;
    }
    block->state = TARN__BLOCK_IN_USE;
    block->requested = bytes;
    block->generation++;
    tarn__allow(block->data, bytes);
    if (fill == TARN_ZEROED) zero_block(pool, block, bytes);

    s->allocations++;
    s->pool_allocations += reused;
    s->misses += !reused;
    s->memory_saved += reused ? bytes : 0;
    s->live_blocks++;
    s->current_usage += bytes;
    s->in_use += block->capacity;
    s->cached -= block->capacity;
    tarn__note_peaks(s);
    if (s->in_use > pool->high_in_use) pool->high_in_use = s->in_use;
    *out = (tarn_block){ block->data, bytes, block->id, block->generation };
    return TARN_OK;
}

/* ---- release */

/* What was reserved at creation comes on top: it was asked for. */
static size_t cache_limit(const tarn_pool *pool)
{
    size_t limit = pool->options.cache_limit;
    if (limit == 0) limit = DEFAULT_CACHE + pool->high_in_use;
    if (limit == TARN_NONE) limit = 0;
    if (!tarn__size_add(limit, pool->options.initial_capacity, &limit)) limit = SIZE_MAX;
    return limit;
}

tarn_status tarn_pool_release(tarn_pool *pool, tarn_block handle)
{
    if (handle.data == NULL) return TARN_OK;
    if (pool == NULL) return TARN_EARG;
    tarn_pool_stats *s = &pool->stats;
    tarn__block_record *block = tarn__record_of(pool, handle.id);
    if (block == NULL || handle.generation == 0 || handle.generation > block->generation ||
        (handle.generation == block->generation && block->state != TARN__BLOCK_VOID &&
         handle.data != block->data)) {
        s->bad_releases++;
        return TARN_EARG;
    }
    if (block->state != TARN__BLOCK_IN_USE || handle.generation != block->generation) {
        s->bad_releases++;
        return TARN_ESTATE;
    }
    if (block->dirty < block->requested) block->dirty = block->requested;
    if (pool->options.wipe_on_release) {
        s->zeroed_bytes += block->requested;
        memset(block->data, 0, block->dirty);
        block->dirty = 0;
    }
    tarn__forbid(block->data, block->capacity);

    s->releases++;
    s->live_blocks--;
    s->current_usage -= block->requested;
    s->in_use -= block->capacity;
    s->cached += block->capacity;
    tarn__note_peaks(s);
    block->state = TARN__BLOCK_FREE;
    block->requested = 0;
    tarn__bucket_push(pool, block);
    tarn__region_leave(pool, block->region);
    if (s->cached > cache_limit(pool)) tarn__trim(pool, cache_limit(pool));
    return TARN_OK;
}

size_t tarn_pool_trim(tarn_pool *pool, size_t keep_bytes)
{
    return pool == NULL ? 0 : tarn__trim(pool, keep_bytes);
}

/* ---- questions */

size_t tarn_pool_bucket_capacity(size_t count)
{
    static const uint16_t capacities[] = { 0,  1,  2,  3,  4,  5,  7,   8,   9,   10,  12,  15,
                                           16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024 };
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
        if (count <= capacities[i]) return capacities[i];
    return count;
}

size_t tarn_pool_block_capacity(size_t bytes)
{
    if (bytes > PTRDIFF_MAX) return 0;
    if (bytes > TARN__SMALL_MAX) return tarn__large_capacity(bytes);
    const size_t quanta = bytes == 0 ? 1 : (bytes - 1) / TARN__QUANTUM + 1;
    return tarn__class_quanta(tarn__class_of(quanta)) * TARN__QUANTUM;
}

tarn_pool_stats tarn_pool_get_stats(const tarn_pool *pool)
{
    if (pool == NULL) return (tarn_pool_stats){ 0 };
    tarn_pool_stats stats = pool->stats;
    if (stats.allocations > 0)
        stats.hit_ratio = (double)stats.pool_allocations / (double)stats.allocations;
    return stats;
}

void tarn_pool_reset_peaks(tarn_pool *pool)
{
    if (pool == NULL) return;
    tarn_pool_stats *s = &pool->stats;
    s->peak_usage = s->current_usage;
    s->peak_in_use = s->in_use;
    s->peak_reserved = s->reserved;
    s->peak_cached = s->cached;
    s->peak_live_blocks = s->live_blocks;
}

void tarn_pool_fail_acquisition(tarn_pool *pool, uint64_t n)
{
    if (pool != NULL) pool->fail_after = n;
}
