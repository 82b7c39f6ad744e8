/* SPDX-License-Identifier: MIT
 * cache.c - caches: how they come, change and go, and how their blocks get to the buckets. */
#include "core/cache.h"

#include <string.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/system.h"

/* ---- blocks between caches and buckets */

/* Puts a block that is in no list into its bucket. */
void tarn__block_to_bucket(tarn_pool *pool, tarn__block *block)
{
    tarn__bucket_push(pool, block);
    tarn__region_leave(pool, block->region);
}

/* Merges two lists by the time of release. */
static tarn__block *merge(tarn__block *a, tarn__block *b)
{
    tarn__block *first = NULL, **end = &first;
    while (a != NULL && b != NULL) {
        tarn__block **earlier = a->requested <= b->requested ? &a : &b;
        *end = *earlier;
        end = &(*end)->next;
        *earlier = (*earlier)->next;
    }
    *end = a != NULL ? a : b;
    return first;
}

/* Sorts a list that is linked by next: merges runs of 1, 2, 4 ... blocks, as a counter carries. */
static tarn__block *sort(tarn__block *list)
{
    tarn__block *runs[48] = { NULL }, *sorted = NULL;
    while (list != NULL) {
        tarn__block *run = list;
        list = list->next;
        run->next = NULL;
        size_t i = 0;
        for (; runs[i] != NULL; i++) {
            run = merge(runs[i], run);
            runs[i] = NULL;
        }
        runs[i] = run;
    }
    for (size_t i = 0; i < 48; i++) sorted = merge(runs[i], sorted);
    return sorted;
}

/* Takes the blocks released at or before `mark` out of a list, and links them before `taken`. */
static tarn__block *take_older(tarn__cache *cache, tarn__block **link, uint64_t mark,
                               tarn__block *taken)
{
    while (*link != NULL) {
        tarn__block *b = *link;
        if (b->requested > mark) {
            link = &b->next;
            continue;
        }
        *link = b->next;
        TARN__SET(cache->stock, TARN__GET(cache->stock) - (int64_t)b->capacity);
        b->next = taken;
        taken = b;
    }
    return taken;
}

/* Moves the blocks that were released at or before `mark` into their buckets, the longest unused
 * first. */
void tarn__cache_flush(tarn__cache *cache, uint64_t mark)
{
    tarn__block *taken = NULL;
    for (unsigned i = 0; i < TARN__SMALL_CLASSES; i++)
        taken = take_older(cache, &cache->small[i], mark, taken);
    for (unsigned i = 0; i < TARN__LARGE_LISTS; i++)
        taken = take_older(cache, &cache->large[i], mark, taken);
    if (taken == NULL) return;
    for (tarn__block *b = sort(taken), *next; b != NULL; b = next) {
        next = b->next;
        tarn__block_to_bucket(cache->pool, b);
    }
}

void tarn__pool_gather(tarn_pool *pool)
{
    TARN_ASSERT(pool->stopped);
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next) tarn__cache_flush(c, UINT64_MAX);
    tarn__quarantine_drain(pool, 0);
}

/* Everything that other caches keep goes back to the pool. */
void tarn__pool_call_back(tarn_pool *pool)
{
    tarn__pool_stop(pool);
    tarn__pool_gather(pool);
}

/* ---- caches come and go */

bool tarn__cache_grow_tags(tarn__cache *cache, uint32_t tag)
{
    tarn_pool *pool = cache->pool;
    if (pool->options.track_stats == TARN_OFF || tag < cache->n_tags) return true;
    /* The common counts can always take what no other can. */
    if (cache != &pool->common && !tarn__cache_grow_tags(&pool->common, tag)) return false;
    uint32_t n = cache->n_tags == 0 ? 16 : cache->n_tags;
    while (n <= tag) n *= 2;
    tarn__tag_count *tags = tarn__system_take(pool, n * sizeof(*tags));
    if (tags == NULL) return false;
    if (cache->tags != NULL)
        memcpy((void *)tags, (void *)cache->tags, cache->n_tags * sizeof(*tags));
    tarn__system_give(pool, cache->tags, cache->n_tags * sizeof(*tags));
    cache->tags = tags;
    cache->n_tags = n;
    return true;
}

static uint32_t special_of(const tarn_pool *pool)
{
    uint32_t special = tarn__process_barrier_works() ? 0 : TARN__LOCK_ONLY;
    if (pool->faults.nth != 0 || pool->faults.probability > 0) special |= TARN__FAULTS;
    if (pool->events != NULL) special |= TARN__TRACED;
    if (pool->options.checking == TARN_CHECK_FULL) special |= TARN__CHECKED;
    if (pool->options.mode == TARN_PASS_THROUGH) special |= TARN__PASS_THROUGH;
    if (pool->options.wipe_on_release) special |= TARN__WIPED;
    return special | (pool->stopped ? (uint32_t)TARN__STOPPED : 0);
}

tarn__cache *tarn__cache_join(tarn_pool *pool)
{
    tarn__pool_lock(pool);
    tarn__cache *cache = tarn__system_take(pool, sizeof(*cache));
    if (cache != NULL) {
        cache->pool = pool;
        cache->shift = pool->shift;
        cache->outer = cache->earlier = tarn__no_peaks;
        if (!tarn__cache_grow_tags(cache, 0)) {
            tarn__system_give(pool, cache, sizeof(*cache));
            cache = NULL;
        }
    }
    if (cache != NULL) {
        TARN__SET(cache->special, special_of(pool));
        cache->number = ++pool->last_number;
        cache->next = pool->caches;
        if (pool->caches != NULL) pool->caches->prev = cache;
        pool->caches = cache;
        pool->n_caches++;
    }
    tarn__pool_unlock(pool);
    return cache;
}

/* Adds the counts of an ending cache to the pool's own. */
static void count_common(tarn_pool *pool, const tarn__cache *cache)
{
    tarn__cache *common = &pool->common;
    TARN__ADD(common->allocations, TARN__GET(cache->allocations));
    TARN__ADD(common->releases, TARN__GET(cache->releases));
    TARN__ADD(common->requested_out, TARN__GET(cache->requested_out));
    TARN__ADD(common->requested_in, TARN__GET(cache->requested_in));
    TARN__ADD(common->block_out, TARN__GET(cache->block_out));
    TARN__ADD(common->block_in, TARN__GET(cache->block_in));
    TARN__ADD(common->stock, TARN__GET(cache->stock));
    TARN__ADD(common->misses, TARN__GET(cache->misses));
    TARN__ADD(common->missed_bytes, TARN__GET(cache->missed_bytes));
    TARN__ADD(common->zeroed, TARN__GET(cache->zeroed));
    TARN__ADD(common->zero_skipped, TARN__GET(cache->zero_skipped));
    TARN__ADD(common->steps, TARN__GET(cache->steps));
    tarn__peaks_reach(common);
    if (cache->tags == NULL || !tarn__cache_grow_tags(common, cache->n_tags - 1)) return;
    for (uint32_t i = 0; i < cache->n_tags; i++) {
        const tarn__tag_count *from = &cache->tags[i];
        tarn__tag_count *to = &common->tags[i];
        TARN__ADD(to->live, TARN__GET(from->live));
        TARN__ADD(to->acquired, TARN__GET(from->acquired));
        TARN__RAISE(to->peak, TARN__GET(from->peak));
    }
}

void tarn__cache_leave(tarn__cache *cache)
{
    tarn_pool *pool = cache->pool;
    tarn__pool_lock(pool);
    tarn__pool_note_cached(pool, cache);
    if (tarn__cache_in_use(cache) > TARN__GET(cache->composed)) tarn__cache_compose(cache);
    (void)tarn__cache_grow_tags(&pool->common, pool->n_tags - 1);
    tarn__pool_note_past(pool);
    tarn__cache_flush(cache, UINT64_MAX);
    *(cache->prev != NULL ? &cache->prev->next : &pool->caches) = cache->next;
    if (cache->next != NULL) cache->next->prev = cache->prev;
    pool->n_caches--;
    count_common(pool, cache);
    tarn__system_give(pool, cache->tags, cache->n_tags * sizeof(*cache->tags));
    tarn__system_give(pool, cache, sizeof(*cache));
    tarn__pool_unlock(pool);
}

/* ---- blocks in use */

bool tarn__cache_open(tarn__cache *cache)
{
    if (tarn__cache_enter(cache)) return false;
    tarn__cache_exit(cache);
    tarn__pool_lock(cache->pool);
    return true;
}

void tarn__cache_close(tarn__cache *cache, bool locked)
{
    if (locked) tarn__pool_unlock(cache->pool);
    else tarn__cache_exit(cache);
}

void tarn__block_zero(tarn__cache *cache, tarn__block *block)
{
    tarn_pool *pool = cache->pool;
    unsigned char *data = tarn__block_data(pool, block);
    const size_t bytes = block->requested;
    size_t dirty = block->dirty > pool->zone ? block->dirty - pool->zone : 0;
    if (dirty > bytes) dirty = bytes;
    if (dirty > 0) memset(data, 0, dirty);
    const bool shared = cache == &pool->common;
    if (shared) tarn__pool_lock(pool);
    TARN__ADD(cache->zeroed, dirty);
    TARN__ADD(cache->zero_skipped, bytes - dirty);
    if (shared) tarn__pool_unlock(pool);
    tarn__allow_defined(data, bytes);
}

void tarn__block_mark_dirty(tarn__block *block)
{
    if (block->dirty < block->requested) block->dirty = block->requested;
}

void tarn__cache_retag(tarn__cache *cache, tarn__block *block, uint32_t tag)
{
    if (block->tag == tag) return;
    tarn_pool *pool = cache->pool;
    bool locked = tarn__cache_open(cache);
    if (tag >= cache->n_tags && !locked) {
        tarn__cache_close(cache, locked);
        tarn__pool_lock(pool);
        locked = true;
    }
    if (tag >= cache->n_tags && !tarn__cache_grow_tags(cache, tag)) tag = 0;
    const uint32_t before = block->tag;
    if (before < cache->n_tags && tag < cache->n_tags) {
        tarn__tag_count *from = &cache->tags[before], *to = &cache->tags[tag];
        const int64_t bytes = (int64_t)block->capacity, live = TARN__GET(to->live) + bytes;
        TARN__SET(from->live, TARN__GET(from->live) - bytes);
        TARN__SET(to->live, live);
        TARN__RAISE(to->peak, live);
        TARN__ADD(to->acquired, 1);
    }
    block->tag = tag;
    if (locked) tarn__trace_retag(pool, cache, block, before);
    tarn__cache_close(cache, locked);
}

void tarn__cache_hand_over(tarn__cache *cache, tarn__block *block)
{
    tarn_pool *pool = cache->pool;
    tarn__pool_lock(pool);
    tarn__pool_note_cached(pool, cache);
    tarn__pool_stop(pool);
    tarn__cache *to = TARN__GET(pool->direct);
    if (to == NULL) to = &pool->common;
    const int64_t capacity = (int64_t)block->capacity, in_use = tarn__cache_in_use(cache);
    if (in_use > TARN__GET(cache->composed)) tarn__cache_compose(cache);
    TARN__ADD(cache->releases, 1);
    TARN__ADD(cache->requested_in, block->requested);
    TARN__ADD(cache->block_in, block->capacity);
    TARN__ADD(cache->stock, -capacity);
    TARN__ADD(to->allocations, 1);
    TARN__ADD(to->requested_out, block->requested);
    TARN__ADD(to->block_out, block->capacity);
    TARN__ADD(to->stock, capacity);
    tarn__peaks_reach(to);
    if (block->tag < cache->n_tags) TARN__ADD(cache->tags[block->tag].live, -capacity);
    if (!tarn__cache_grow_tags(to, block->tag)) block->tag = 0;
    if (block->tag < to->n_tags) TARN__ADD(to->tags[block->tag].live, capacity);
    pool->figures.handed_over++;
    pool->figures.handed_bytes += block->requested;
    tarn__pool_unlock(pool);
}

void tarn__cache_compose(tarn__cache *cache)
{
    for (uint32_t i = 0; i < cache->n_tags; i++)
        TARN__SET(cache->tags[i].at_peak, TARN__GET(cache->tags[i].live));
    TARN__SET(cache->composed, tarn__cache_in_use(cache));
}
