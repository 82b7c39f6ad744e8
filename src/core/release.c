/* SPDX-License-Identifier: MIT
 * release.c - releasing a block under the lock: whatever the quick path leaves out. */
#include <string.h>

#include "core/pool.h"
#include "core/size.h"
#include "core/system.h"

/* Where a released block goes: to the cache, or back to where others find it. */
static void put_back(tarn__cache *cache, tarn__block *block)
{
    tarn_pool *pool = cache->pool;
    const bool keeps =
        pool->options.mode != TARN_PASS_THROUGH && pool->zone == 0 && cache != &pool->common;
    if (!keeps) TARN__SET(cache->stock, TARN__GET(cache->stock) - (int64_t)block->capacity);
    if (pool->options.mode == TARN_PASS_THROUGH) {
        tarn__region *region = block->region;
        tarn__region_leave(pool, region);
        (void)tarn__trim(pool, 0, UINT64_MAX);
        return;
    }
    if (pool->zone > 0) tarn__checked_release(pool, block);
    else if (keeps) tarn__cache_push(cache, block);
    else tarn__block_to_bucket(pool, block);
    size_t limit; /* what waits comes on top: it is not to be reused yet */
    if (!tarn__size_add(tarn__cache_limit(pool), pool->quarantined, &limit)) return;
    if (tarn__pool_cached(pool) <= limit) return;
    if (cache != &pool->common) tarn__cache_flush(cache, UINT64_MAX);
    if (tarn__trim(pool, limit, UINT64_MAX) == 0 && tarn__pool_held(pool) > 0) {
        tarn__pool_call_back(pool);
        (void)tarn__trim(pool, limit, UINT64_MAX);
    }
}

tarn_status tarn__cache_release_slow(tarn__cache *cache, tarn__block *block)
{
    tarn_pool *pool = cache->pool;
    tarn__pool_lock(pool);
    tarn__pool_note_cached(pool, cache);
    const bool intact = pool->zone == 0 || tarn__checked_zones(pool, block);
    tarn__trace_block_event(pool, cache, TARN__EVENT_RELEASE, block, false);
    if (!tarn__cache_grow_tags(cache, block->tag) && block->tag < pool->common.n_tags)
        TARN__ADD(pool->common.tags[block->tag].live, -(int64_t)block->capacity);
    const bool wipes = pool->options.wipe_on_release && pool->zone == 0 &&
                       pool->system.reserve != tarn__system_dry.reserve;
    if (wipes) {
        const size_t dirty = block->dirty > block->requested ? block->dirty : block->requested;
        memset(block->data, 0, dirty);
        TARN__ADD(cache->zeroed, block->requested);
    }
    if (tarn__cache_in_use(cache) > TARN__GET(cache->composed)) tarn__cache_compose(cache);
    tarn__cache_count_in(cache, block);
    TARN__SET(cache->lowest, tarn__cache_in_use(cache));
    if (wipes) block->dirty = 0;
    put_back(cache, block);
    tarn__pool_unlock(pool);
    return intact ? TARN_OK : TARN_ECORRUPT;
}
