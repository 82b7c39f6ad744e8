/* SPDX-License-Identifier: MIT
 * acquire.c - acquiring a block under the lock: whatever the quick path leaves out. */
#include "core/assert.h"
#include "core/pool.h"
#include "core/random.h"
#include "core/size.h"

enum { OUT_OF_MEMORY_ATTEMPTS = 16 };

/* The smallest block of the cache that holds `bytes` and wastes at most an eighth of it, or
 * NULL. */
static tarn__block *search_cache(const tarn__cache *cache, size_t bytes, bool *rejected)
{
    const size_t most = bytes + bytes / 8;
    tarn__block *best = NULL;
    if (bytes <= TARN__SMALL_MAX) {
        unsigned i = tarn__small_class(cache->shift, bytes);
        while (i < TARN__SMALL_CLASSES && cache->small[i] == NULL) i++;
        if (i < TARN__SMALL_CLASSES && cache->small[i]->capacity <= most) best = cache->small[i];
        else if (i < TARN__SMALL_CLASSES) *rejected = true;
        return best;
    }
    for (unsigned i = 0; i < TARN__LARGE_LISTS; i++)
        for (tarn__block *b = cache->large[i]; b != NULL; b = b->next) {
            if (b->capacity > most) *rejected = true;
            if (b->capacity >= bytes && b->capacity <= most &&
                (best == NULL || b->capacity < best->capacity))
                best = b;
        }
    return best;
}

/* Takes a free block out of wherever it is. */
static void take_out(tarn__cache *cache, tarn__block *block)
{
    if (block->state == TARN__BLOCK_CACHED) {
        tarn__block **link = tarn__cache_list_of(cache, block);
        while (*link != block) link = &(*link)->next;
        *link = block->next;
    } else {
        TARN__ADD(cache->stock, (int64_t)block->capacity);
        tarn__bucket_remove(cache->pool, block);
        tarn__region_enter(cache->pool, block->region);
    }
}

/* A free block of nearly the right size, taken out of its list, or NULL. */
static tarn__block *find_free(tarn__cache *cache, size_t bytes, const tarn__bucket *bucket,
                              unsigned class_index)
{
    tarn__block *block = *tarn__cache_find(cache, bytes);
    if (block == NULL && bucket != NULL) block = bucket->first;
    if (block == NULL) {
        bool rejected = false;
        block = search_cache(cache, bytes, &rejected);
        tarn__block *other = tarn__bucket_search(cache->pool, bytes, class_index, &rejected);
        if (block == NULL || (other != NULL && other->capacity < block->capacity)) block = other;
        if (block == NULL && rejected) cache->pool->figures.window_rejects++;
    }
    if (block != NULL) take_out(cache, block);
    return block;
}

/* A new block for `bytes`, in the bucket that is known or one made for it, or NULL. */
static tarn__block *carve_new(tarn_pool *pool, tarn__bucket *known, size_t large,
                              unsigned class_index)
{
    tarn__bucket *made = known == NULL ? tarn__dynamic_make(pool, large) : NULL;
    tarn__bucket *bucket = known != NULL ? known : made;
    if (bucket == NULL && class_index < TARN__N_CLASSES) bucket = &pool->buckets[class_index];
    tarn__block *block = bucket != NULL ? tarn__carve(pool, bucket, bucket->capacity) : NULL;
    if (block == NULL && made != NULL) tarn__dynamic_drop_last(pool, made);
    return block;
}

/* A free block for `bytes`, or a new one; sets *reused accordingly. The block is in no list and its
 * region knows that it is out. NULL: cap or system refuse. */
static tarn__block *find_or_carve(tarn__cache *cache, size_t bytes, unsigned class_index,
                                  bool *reused)
{
    tarn_pool *pool = cache->pool;
    const size_t large = bytes > TARN__SMALL_MAX ? tarn__large_capacity(pool, bytes) : 0;
    tarn__bucket *known =
        large == 0 ? &pool->buckets[class_index] : tarn__dynamic_find(pool, large);
    tarn__block *block = find_free(cache, bytes, known, class_index);
    *reused = block != NULL;
    return block != NULL ? block : carve_new(pool, known, large, class_index);
}

/* The same; where it fails, whatever lies in caches is called back and counts, too. */
static tarn__block *find_block(tarn__cache *cache, size_t bytes, bool *reused)
{
    tarn_pool *pool = cache->pool;
    const size_t quanta = bytes == 0 ? 1 : ((bytes - 1) >> pool->shift) + 1;
    const unsigned class_index = tarn__class_of(quanta);
    tarn__block *block = find_or_carve(cache, bytes, class_index, reused);
    if (block != NULL) return block;
    pool->figures.retries++;
    tarn__pool_call_back(pool);
    block = find_or_carve(cache, bytes, class_index, reused);
    if (block != NULL) return block;
    block = tarn__bucket_last_resort(pool, bytes, class_index);
    *reused = block != NULL;
    if (block != NULL) take_out(cache, block);
    return block;
}

/* True if this acquisition is to fail although there is memory. */
static bool is_faulty(tarn_pool *pool)
{
    tarn_faults *f = &pool->faults;
    bool fails = false;
    if (f->nth == 1) {
        fails = true;
        if (!f->for_ever) f->nth = 0;
    } else if (f->nth > 1) {
        f->nth--;
    }
    if (f->probability > 0) {
        const double draw =
            (double)(tarn__random_key(f->seed, pool->fault_draws++) >> 11) * 0x1p-53;
        fails = fails || draw < f->probability;
    }
    return fails;
}

static tarn__block *acquire_once(tarn__cache *cache, size_t bytes, bool *reused)
{
    tarn_pool *pool = cache->pool;
    size_t padded;
    *reused = false;
    if (!tarn__size_add(bytes, 2 * pool->zone, &padded) || padded > PTRDIFF_MAX) return NULL;
    tarn__block *block = pool->options.mode == TARN_PASS_THROUGH
                             ? tarn__carve_alone(pool, padded > 0 ? padded : 1)
                             : find_block(cache, padded, reused);
    if (block != NULL && !*reused) TARN__ADD(cache->stock, (int64_t)block->capacity);
    return block;
}

/* Asks the callback whether to try again; the lock is open meanwhile. */
static bool asks_for_another(tarn__cache *cache, size_t bytes, int attempt)
{
    tarn_pool *pool = cache->pool;
    if (pool->options.on_out_of_memory == NULL || attempt > OUT_OF_MEMORY_ATTEMPTS) return false;
    if (cache->asking) return false; /* an acquisition of the callback's own */
    cache->asking = true;
    tarn__pool_unlock(pool);
    const bool again = pool->options.on_out_of_memory(pool->options.context, pool, bytes, attempt);
    tarn__pool_lock(pool);
    cache->asking = false;
    if (again) pool->figures.retries++;
    return again;
}

tarn_status tarn__cache_acquire_slow(tarn__cache *cache, size_t bytes, uint32_t tag,
                                     tarn__block **out)
{
    tarn_pool *pool = cache->pool;
    tarn__pool_lock(pool);
    tarn__pool_note_cached(pool, cache);
    bool reused = false;
    tarn__block *block = NULL;
    const bool fits = bytes <= PTRDIFF_MAX;
    const bool injected = fits && is_faulty(pool);
    if (fits && !injected) {
        block = acquire_once(cache, bytes, &reused);
        for (int attempt = 1; block == NULL && asks_for_another(cache, bytes, attempt); attempt++)
            block = acquire_once(cache, bytes, &reused);
    }
    if (block != NULL) {
        if (pool->zone > 0 && reused) (void)tarn__checked_pattern(pool, block);
        if (!tarn__cache_grow_tags(cache, tag)) tag = 0;
        tarn__cache_count_out(cache, block, bytes, tag);
        TARN__SET(cache->lowest, tarn__cache_in_use(cache));
        if (!reused) {
            TARN__ADD(cache->misses, 1);
            TARN__ADD(cache->missed_bytes, bytes);
        }
        if (pool->zone > 0) tarn__checked_acquire(pool, block);
        tarn__block_known(pool, block->data, block->capacity, tarn__block_data(pool, block), bytes);
        tarn__trace_block_event(pool, cache, TARN__EVENT_ACQUIRE, block, reused);
    } else {
        pool->figures.failed_acquisitions++;
        TARN__SET(pool->injected, injected);
        tarn__trace_other_event(pool, cache, TARN__EVENT_FAIL, bytes, tag);
    }
    tarn__pool_unlock(pool);
    *out = block;
    if (block != NULL) return TARN_OK;
    return fits ? TARN_ENOMEM : TARN_EOVERFLOW;
}
