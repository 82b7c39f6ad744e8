/* SPDX-License-Identifier: MIT
 * cache.c - the pool's lock, the caches that can be stopped under it, and all
 * of acquiring and releasing that the quick path leaves out. */
#include "core/cache.h"

#include <sched.h>
#include <string.h>

#include "core/assert.h"
#include "core/pool.h"
#include "core/random.h"
#include "core/size.h"
#include "core/system.h"

enum { MARKS = 8, DEFAULT_DECAY = 64, OUT_OF_MEMORY_ATTEMPTS = 16 };
static const size_t kept_from_decay = (size_t)64 * 1024 * 1024; /* by the default rule */

/* ---- lock and stop */

void tarn__pool_lock(tarn_pool *pool) { (void)pthread_mutex_lock(&pool->lock); }

static size_t held_by_all(const tarn_pool *pool)
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

/* What no cache can grow by: everything reserved that is neither in use nor
 * held, and each cache an equal part of the rest. With one cache this is
 * exactly the limit. */
static void share_out(tarn_pool *pool)
{
    if (pool->n_caches == 0) return;
    const size_t cached = tarn__pool_cached(pool), held = held_by_all(pool);
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

/* ---- blocks between caches and buckets */

/* Puts a block that is in no list into its bucket. */
static void to_bucket(tarn_pool *pool, tarn__block *block)
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

/* Sorts a list that is linked by next: merges runs of 1, 2, 4 ... blocks, as a
 * counter carries. */
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

/* Takes the blocks released at or before `mark` out of a list, and links them
 * before `taken`. */
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

/* Moves the blocks that were released at or before `mark` into their buckets,
 * the longest unused first. */
static void flush(tarn__cache *cache, uint64_t mark)
{
    tarn__block *taken = NULL;
    for (unsigned i = 0; i < TARN__SMALL_CLASSES; i++)
        taken = take_older(cache, &cache->small[i], mark, taken);
    for (unsigned i = 0; i < TARN__LARGE_LISTS; i++)
        taken = take_older(cache, &cache->large[i], mark, taken);
    for (tarn__block *b = sort(taken), *next; b != NULL; b = next) {
        next = b->next;
        to_bucket(cache->pool, b);
    }
}

void tarn__pool_gather(tarn_pool *pool)
{
    TARN_ASSERT(pool->stopped);
    for (tarn__cache *c = pool->caches; c != NULL; c = c->next) flush(c, UINT64_MAX);
    tarn__quarantine_drain(pool, 0);
}

/* ---- caches come and go */

static bool grow_tags(tarn__cache *cache, uint32_t tag)
{
    tarn_pool *pool = cache->pool;
    if (pool->options.track_stats == TARN_OFF || tag < cache->n_tags) return true;
    /* The common counts can always take what no other can. */
    if (cache != &pool->common && !grow_tags(&pool->common, tag)) return false;
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
        if (!grow_tags(cache, 0)) {
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
    if (cache->tags == NULL || !grow_tags(common, cache->n_tags - 1)) return;
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
    (void)grow_tags(&pool->common, pool->n_tags - 1);
    tarn__pool_note_past(pool);
    flush(cache, UINT64_MAX);
    *(cache->prev != NULL ? &cache->prev->next : &pool->caches) = cache->next;
    if (cache->next != NULL) cache->next->prev = cache->prev;
    pool->n_caches--;
    count_common(pool, cache);
    tarn__system_give(pool, cache->tags, cache->n_tags * sizeof(*cache->tags));
    tarn__system_give(pool, cache, sizeof(*cache));
    tarn__pool_unlock(pool);
}

/* ---- acquiring under the lock */

/* The smallest block of the cache that holds `bytes` and wastes at most an
 * eighth of it, or NULL.
 */
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

/* The bucket of a new block for `bytes`; *made says whether it was made for it.
 */
static tarn__bucket *bucket_for_new(tarn_pool *pool, tarn__bucket *known, size_t large,
                                    unsigned class_index, bool *made)
{
    *made = false;
    if (known != NULL) return known;
    tarn__bucket *bucket = tarn__dynamic_make(pool, large);
    *made = bucket != NULL;
    if (bucket == NULL && class_index < TARN__N_CLASSES) bucket = &pool->buckets[class_index];
    return bucket;
}

/* Everything that other caches keep goes back to the pool. */
static void call_back(tarn_pool *pool)
{
    tarn__pool_stop(pool);
    tarn__pool_gather(pool);
}

/* A free block for `bytes`, or a new one; sets *reused accordingly. The block
 * is in no list and its region knows that it is out. NULL: out of memory. */
static tarn__block *find_block(tarn__cache *cache, size_t bytes, bool *reused)
{
    tarn_pool *pool = cache->pool;
    const size_t quanta = bytes == 0 ? 1 : ((bytes - 1) >> pool->shift) + 1;
    const unsigned class_index = tarn__class_of(quanta);
    const size_t large = bytes > TARN__SMALL_MAX ? tarn__large_capacity(pool, bytes) : 0;
    tarn__bucket *known =
        large == 0 ? &pool->buckets[class_index] : tarn__dynamic_find(pool, large);
    tarn__block *block = find_free(cache, bytes, known, class_index);
    *reused = block != NULL;
    if (block != NULL) return block;

    bool made;
    tarn__bucket *bucket = bucket_for_new(pool, known, large, class_index, &made);
    if (bucket == NULL) return NULL;
    block = tarn__carve(pool, bucket, bucket->capacity);
    if (block != NULL) return block;
    if (made) tarn__dynamic_drop_last(pool, bucket);

    /* Cap or system refuse: whatever lies in caches counts now. */
    pool->figures.retries++;
    call_back(pool);
    known = large == 0 ? &pool->buckets[class_index] : tarn__dynamic_find(pool, large);
    block = find_free(cache, bytes, known, class_index);
    *reused = block != NULL;
    if (block != NULL) return block;
    bucket = bucket_for_new(pool, known, large, class_index, &made);
    if (bucket != NULL) block = tarn__carve(pool, bucket, bucket->capacity);
    if (block != NULL) return block;
    if (made) tarn__dynamic_drop_last(pool, bucket);
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
        if (!grow_tags(cache, tag)) tag = 0;
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

/* ---- releasing under the lock */

/* Where a released block goes: to the cache, or back to where others find it.
 */
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
    else to_bucket(pool, block);
    size_t limit; /* what waits comes on top: it is not to be reused yet */
    if (!tarn__size_add(tarn__cache_limit(pool), pool->quarantined, &limit)) return;
    if (tarn__pool_cached(pool) <= limit) return;
    if (cache != &pool->common) flush(cache, UINT64_MAX);
    if (tarn__trim(pool, limit, UINT64_MAX) == 0 && held_by_all(pool) > 0) {
        call_back(pool);
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
    if (!grow_tags(cache, block->tag) && block->tag < pool->common.n_tags)
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
    if (tag >= cache->n_tags && !grow_tags(cache, tag)) tag = 0;
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
    if (!grow_tags(to, block->tag)) block->tag = 0;
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

/* ---- steps */

/* Blocks that were released before the oldest mark have been idle for as many
 * sweeps as there are marks: they go to the pool, and from there to the system.
 * The lock is held. */
static void sweep_one(tarn__cache *cache, size_t n)
{
    tarn_pool *pool = cache->pool;
    if (cache->n_marks == n) {
        pool->idle_since = 0;
        flush(cache, cache->marks[0]);
        pool->idle_since = pool->step;
        memmove(cache->marks, cache->marks + 1, (n - 1) * sizeof(uint64_t));
        cache->n_marks--;
    }
    cache->marks[cache->n_marks++] = TARN__GET(cache->releases);
    cache->swept = TARN__GET(cache->steps);
}

/* Sweeps the cache of whoever steps, and those whose owners did not step since
 * they were swept. */
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
    if (!pool->traced && (cache->until_sweep > 0 || decay > UINT32_MAX)) return;
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
