/* SPDX-License-Identifier: MIT
 * decay.c - steps, and memory that was idle for many of them. */
#include <string.h>

#include "core/pool.h"

enum { MARKS = 8, DEFAULT_DECAY = 64 };
static const size_t kept_from_decay = (size_t)64 * 1024 * 1024; /* by the default rule */

/* Blocks that were released before the oldest mark have been idle for as many sweeps as there are
 * marks: they go to the pool, and from there to the system. The lock is held. */
static void sweep_one(tarn__cache *cache, size_t n)
{
    tarn_pool *pool = cache->pool;
    if (cache->n_marks == n) {
        pool->idle_since = 0;
        tarn__cache_flush(cache, cache->marks[0]);
        pool->idle_since = pool->step;
        memmove(cache->marks, cache->marks + 1, (n - 1) * sizeof(uint64_t));
        cache->n_marks--;
    }
    cache->marks[cache->n_marks++] = TARN__GET(cache->releases);
    cache->swept = TARN__GET(cache->steps);
}

/* Sweeps the cache of whoever steps, and those whose owners did not step since they were swept. */
static void sweep(tarn__cache *cache, size_t decay)
{
    tarn_pool *pool = cache->pool;
    const size_t period = (decay + MARKS - 1) / MARKS, n = (decay + period - 1) / period;
    sweep_one(cache, n);
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next) {
        if (c == cache || TARN__GET(c->steps) != c->swept) continue;
        tarn__pool_stop(pool);
        sweep_one(c, n);
    }
    cache->until_sweep = (uint32_t)period;
    const size_t keep = pool->options.decay_steps == 0 ? kept_from_decay : 0;
    const uint64_t idle_before = pool->step > decay ? pool->step - decay : 1;
    pool->figures.decayed_bytes += tarn__trim(pool, keep, idle_before);
}

/* What a step does under the lock. */
static void step_locked(tarn__cache *cache, size_t decay)
{
    tarn_pool *pool = cache->pool;
    tarn__pool_note_cached(pool, cache);
    tarn__pool_count_steps(pool);
    tarn__trace_other_event(pool, cache, TARN__EVENT_STEP, 0, 0);
    if (cache->until_sweep == 0 && decay <= UINT32_MAX) sweep(cache, decay);
}

static size_t decay_of(const tarn_pool *pool)
{
    return pool->options.decay_steps == 0 ? DEFAULT_DECAY : pool->options.decay_steps;
}

static void count_step(tarn__cache *cache)
{
    TARN__ADD(cache->steps, 1);
    if (cache->until_sweep > 0) cache->until_sweep--;
}

void tarn__cache_step(tarn__cache *cache)
{
    tarn_pool *pool = cache->pool;
    const size_t decay = decay_of(pool);
    count_step(cache);
    /* Nobody takes more steps than fit into 32 bits. */
    if (pool->events == NULL && (cache->until_sweep > 0 || decay > UINT32_MAX)) return;
    tarn__pool_lock(pool);
    step_locked(cache, decay);
    tarn__pool_unlock(pool);
}

void tarn__common_step(tarn_pool *pool)
{
    tarn__pool_lock(pool);
    count_step(&pool->common);
    step_locked(&pool->common, decay_of(pool));
    tarn__pool_unlock(pool);
}

void tarn__pool_count_steps(tarn_pool *pool)
{
    pool->step = 1 + TARN__GET(pool->common.steps);
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next)
        pool->step += TARN__GET(c->steps);
    pool->idle_since = pool->step;
}
