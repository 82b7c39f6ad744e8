/* SPDX-License-Identifier: MIT
 * pool_check.c - walks all records of a pool and verifies the invariants of pool.h and of the
 * public header. */
#include "core/pool.h"

typedef struct totals {
    size_t reserved, in_use, requested, live;
    size_t in_buckets, in_caches, in_quarantine; /* blocks */
    size_t central, held, quarantined;           /* bytes */
} totals;

static bool place_holds(const tarn_pool *pool, const tarn__block *b, totals *sum)
{
    if (b->bucket != TARN__NO_BUCKET &&
        (b->bucket > TARN__N_BUCKETS || pool->buckets[b->bucket].capacity != b->capacity))
        return false;
    switch ((tarn__block_state)b->state) {
    case TARN__BLOCK_IN_USE:
        sum->live++;
        sum->in_use += b->capacity;
        sum->requested += b->requested;
        return b->requested + 2 * pool->zone <= b->capacity && b->tag < pool->n_tags;
    case TARN__BLOCK_FREE:
        sum->in_buckets++;
        sum->central += b->capacity;
        return true;
    case TARN__BLOCK_CACHED:
        sum->in_caches++;
        sum->held += b->capacity;
        return true;
    case TARN__BLOCK_QUARANTINED:
        sum->in_quarantine++;
        sum->quarantined += b->capacity;
        return true;
    default: return false;
    }
}

/* Bytes known to be zero are. Few are looked at: the first and last of them. */
static bool zeros_hold(const tarn__block *b)
{
    if (b->state == TARN__BLOCK_IN_USE || b->dirty == b->capacity) return true;
    const unsigned char *first = b->data + b->dirty, *last = b->data + b->capacity - 1;
    tarn__allow_defined(first, 1);
    tarn__allow_defined(last, 1);
    const bool zero = *first == 0 && *last == 0;
    tarn__forbid(first, 1);
    tarn__forbid(last, 1);
    return zero;
}

static bool region_holds(const tarn_pool *pool, const tarn__region *region, totals *sum)
{
    const size_t quantum = (size_t)1 << pool->shift;
    size_t carved = 0, n_out = 0;
    for (const tarn__block *b = region->blocks; b != NULL; b = b->sibling) {
        if (b->region != region || !place_holds(pool, b, sum)) return false;
        if (b->data < region->data || b->data + b->capacity > region->data + region->room)
            return false;
        if ((uintptr_t)b->data % quantum != 0) return false;
        if (b->state != TARN__BLOCK_IN_USE && b->dirty > b->capacity) return false;
        /* Blocks are carved upwards and linked newest first: each begins where the next one
         * ends. */
        const unsigned char *end =
            b->sibling != NULL ? b->sibling->data + b->sibling->capacity : region->data;
        if (b->data != end) return false;
        carved += b->capacity;
        n_out += b->state != TARN__BLOCK_FREE;
    }
    sum->reserved += region->bytes;
    return carved == region->carved && n_out == region->n_out && carved <= region->room;
}

static bool buckets_hold(const tarn_pool *pool, const totals *sum)
{
    const size_t all = sum->in_buckets + sum->in_caches + sum->in_quarantine + sum->live;
    size_t seen = 0, n_blocks = 0;
    for (unsigned i = 0; i < TARN__N_BUCKETS; i++) {
        const tarn__bucket *bucket = &pool->buckets[i];
        n_blocks += bucket->n_blocks;
        for (const tarn__block *b = bucket->first; b != NULL; b = b->next, seen++)
            if (b->state != TARN__BLOCK_FREE || b->bucket != i || seen > sum->in_buckets)
                return false;
        if (i >= TARN__N_CLASSES) continue;
        const bool bit = (pool->occupied[i / 64] >> (i % 64) & 1) != 0;
        if (bit != (bucket->first != NULL)) return false;
    }
    return seen == sum->in_buckets && pool->central == sum->central &&
           (n_blocks == all || pool->options.mode == TARN_PASS_THROUGH);
}

/* Every dynamic bucket is found by its capacity, and the table holds nothing else. */
static bool dynamic_buckets_hold(const tarn_pool *pool)
{
    size_t n_buckets = 0, n_slots = 0;
    for (unsigned i = TARN__N_CLASSES; i < TARN__N_BUCKETS; i++) {
        const tarn__bucket *bucket = &pool->buckets[i];
        if (bucket->capacity == 0 && bucket->n_blocks > 0) return false;
        if (bucket->capacity == 0) continue;
        n_buckets++;
        /* Finding reads only; it is not const because of what it returns. */
        if (tarn__dynamic_find((tarn_pool *)pool, bucket->capacity) != bucket) return false;
    }
    for (unsigned s = 0; s < TARN__HASH_SLOTS; s++) n_slots += pool->slots[s] != 0;
    return n_slots == n_buckets && n_buckets == pool->figures.dynamic_buckets;
}

static bool idle_list_holds(const tarn_pool *pool)
{
    size_t idle = 0, listed = 0;
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next) idle += r->n_out == 0;
    for (const tarn__region *r = pool->oldest_idle; r != NULL; r = r->newer, listed++)
        if (r->n_out != 0 || listed > idle) return false;
    return idle == listed;
}

/* Walks the lists of a cache. */
static bool cache_holds(const tarn__cache *cache, size_t most, size_t *seen)
{
    size_t held = 0;
    for (unsigned i = 0; i < TARN__SMALL_CLASSES + TARN__LARGE_LISTS; i++) {
        const bool is_small = i < TARN__SMALL_CLASSES;
        const tarn__block *b = is_small ? cache->small[i] : cache->large[i - TARN__SMALL_CLASSES];
        for (; b != NULL; b = b->next, ++*seen) {
            if (b->state != TARN__BLOCK_CACHED || *seen > most) return false;
            if (is_small ? b->bucket != i
                         : tarn__large_list(b->capacity) != i - TARN__SMALL_CLASSES)
                return false;
            held += b->capacity;
        }
    }
    return held == tarn__cache_held(cache);
}

static bool caches_hold(const tarn_pool *pool, const totals *sum)
{
    size_t seen = 0, held = 0, n = 0, waiting = 0;
    for (const tarn__cache *c = pool->caches; c != NULL; c = c->next, n++) {
        if (!cache_holds(c, sum->in_caches, &seen)) return false;
        held += tarn__cache_held(c);
    }
    for (const tarn__block *b = pool->oldest_quarantined; b != NULL; b = b->next, waiting++)
        if (b->state != TARN__BLOCK_QUARANTINED || waiting > sum->in_quarantine) return false;
    return seen == sum->in_caches && held == sum->held && n == pool->n_caches &&
           waiting == sum->in_quarantine && pool->quarantined == sum->quarantined;
}

/* The bytes of all tags are the bytes in use. */
static bool tags_hold(const tarn_pool *pool, const totals *sum)
{
    if (pool->options.track_stats == TARN_OFF) return true;
    size_t live = 0;
    for (uint32_t i = 0; i < pool->n_tags; i++) {
        tarn_tag_usage row;
        tarn__tag_usage_of(pool, i, &row);
        live += row.live;
    }
    return live == sum->in_use;
}

static bool figures_hold(const tarn_pool *pool, const totals *sum)
{
    const tarn_pool_stats s = tarn__pool_stats_now(pool);
    const bool figures = sum->reserved == s.reserved && sum->in_use == s.in_use &&
                         sum->requested == s.current_usage && sum->live == s.live_blocks &&
                         s.current_usage <= s.in_use && s.in_use + s.cached == s.reserved &&
                         s.pool_allocations + s.misses == s.allocations &&
                         s.allocations - s.releases == s.live_blocks && s.held <= s.cached;
    const bool peaks = s.peak_usage >= s.current_usage && s.peak_in_use >= s.in_use &&
                       s.peak_reserved >= s.reserved && s.peak_cached >= s.cached &&
                       s.peak_live_blocks >= s.live_blocks;
    return figures && peaks;
}

/* Free memory is as it was left: zero where it is known to be. With full checking, what surrounds
 * blocks in use and what fills free ones is verified, too. */
static bool block_intact(tarn_pool *pool, const tarn__block *b)
{
    char text[224];
    if (pool->zone > 0)
        return b->state == TARN__BLOCK_IN_USE ? tarn__checked_zones(pool, b)
                                              : tarn__checked_pattern(pool, b);
    if (zeros_hold(b)) return true;
    tarn__mistake(pool, "%s, free, was written: by a late write, or an overrun of its neighbour",
                  tarn__block_text(pool, b, text));
    pool->figures.damaged_blocks++;
    return false;
}

static bool memory_holds(tarn_pool *pool)
{
    bool intact = true;
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next)
        for (const tarn__block *b = r->blocks; b != NULL; b = b->sibling)
            intact = block_intact(pool, b) && intact;
    return intact;
}

static bool records_hold(const tarn_pool *pool)
{
    totals sum = { 0 };
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next)
        if (!region_holds(pool, r, &sum)) return false;
    return figures_hold(pool, &sum) && buckets_hold(pool, &sum) && dynamic_buckets_hold(pool) &&
           idle_list_holds(pool) && caches_hold(pool, &sum) && tags_hold(pool, &sum);
}

tarn_status tarn_pool_check(const tarn_pool *constant)
{
    if (constant == NULL) return TARN_OK;
    tarn_pool *pool = (tarn_pool *)constant; /* the lock is not part of what is constant */
    tarn__pool_lock(pool);
    tarn__pool_stop(pool);
    tarn_status status = TARN_OK;
    if (!records_hold(pool)) {
        status = TARN_ESTATE;
        tarn__mistake(pool, "the pool's records contradict each other");
    } else if (!memory_holds(pool)) {
        status = TARN_ECORRUPT;
    }
    tarn__pool_unlock(pool);
    return status;
}
