/* SPDX-License-Identifier: MIT
 * pool_lock.c - the pool's lock, and the caches that can be stopped under it. */
#include <sched.h>

#include "core/pool.h"
#include "core/system.h"

void tarn__pool_lock(tarn_pool *pool) { (void)pthread_mutex_lock(&pool->lock); }

size_t tarn__pool_held(const tarn_pool *pool)
{
    size_t held = 0;
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next) held += tarn__cache_held(c);
    return held;
}

static int64_t in_use_by_all(const tarn_pool *pool)
{
    int64_t in_use = tarn__cache_in_use(&pool->common);
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next)
        in_use += tarn__cache_in_use(c);
    return in_use;
}

size_t tarn__pool_cached(const tarn_pool *pool)
{
    const int64_t in_use = in_use_by_all(pool);
    return in_use <= 0 ? pool->figures.reserved : pool->figures.reserved - (size_t)in_use;
}

/* What no cache can grow by: everything reserved that is neither in use nor held, and each cache an
 * equal part of the rest. With one cache this is exactly the limit. */
static void share_out(tarn_pool *pool)
{
    if (pool->n_caches == 0) return;
    const size_t cached = tarn__pool_cached(pool), held = tarn__pool_held(pool);
    const size_t elsewhere = cached > held ? cached - held : 0;
    const size_t limit = tarn__cache_limit(pool);
    const size_t share = limit > elsewhere ? (limit - elsewhere) / pool->n_caches : 0;
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next) {
        const int64_t most = share > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)share;
        TARN__SET(c->floor, TARN__GET(c->stock) - most);
    }
}

void tarn__pool_note_cached(tarn_pool *pool, tarn__cache *own)
{
    int64_t most = (int64_t)tarn__pool_cached(pool);
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next) {
        const int64_t in_use = tarn__cache_in_use(c);
        most += in_use - TARN__GET(c->lowest);
        if (c == own || pool->stopped) TARN__SET(c->lowest, in_use);
    }
    if (most > (int64_t)pool->figures.peak_cached) pool->figures.peak_cached = (size_t)most;
}

static void resume(tarn_pool *pool)
{
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next)
        atomic_fetch_and_explicit(&c->special, ~(uint32_t)TARN__STOPPED, memory_order_release);
    pool->stopped = false;
}

/* The sum of the peaks of many caches says little: where one only acquires and another only
 * releases, it grows for ever. */
static void note_high(tarn_pool *pool)
{
    const int64_t in_use = in_use_by_all(pool);
    if (in_use > (int64_t)pool->high_in_use) pool->high_in_use = (size_t)in_use;
}

void tarn__pool_unlock(tarn_pool *pool)
{
    note_high(pool);
    share_out(pool);
    tarn__pool_note_cached(pool, NULL);
    if (pool->stopped) resume(pool);
    (void)pthread_mutex_unlock(&pool->lock);
}

void tarn__pool_stop(tarn_pool *pool)
{
    if (pool->stopped) return;
    pool->stopped = true;
    if (pool->caches == NULL) return;
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next)
        atomic_fetch_or_explicit(&c->special, TARN__STOPPED, memory_order_seq_cst);
    (void)tarn__process_barrier(); /* where it does not work, nobody is busy
                                      without the lock */
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next)
        while (atomic_load_explicit(&c->busy, memory_order_acquire) != 0) (void)sched_yield();
}
