/* SPDX-License-Identifier: MIT
 * pool_check.c - walks all records of a pool and verifies the invariants of pool.h and of the
 * public header. */
#include "core/pool.h"

typedef struct totals {
    size_t reserved, in_use, requested, live, free_blocks;
} totals;

static bool region_holds(const tarn_pool *pool, const tarn__region *region, totals *sum)
{
    size_t carved = 0, n_in_use = 0;
    for (const tarn__block_record *b = region->blocks; b != NULL; b = b->sibling) {
        if (b->region != region || b->state == TARN__BLOCK_VOID) return false;
        if (b->data < region->data || b->data + b->capacity > region->data + region->bytes)
            return false;
        if ((uintptr_t)b->data % TARN__QUANTUM != 0) return false;
        if (b->bucket >= TARN__N_BUCKETS || pool->buckets[b->bucket].capacity != b->capacity)
            return false;
        if (b->dirty > b->capacity || b->requested > b->capacity) return false;
        /* Blocks are carved upwards and linked newest first: each begins where the next one ends.
         */
        const unsigned char *end =
            b->sibling != NULL ? b->sibling->data + b->sibling->capacity : region->data;
        if (b->data != end) return false;
        carved += b->capacity;
        if (b->state == TARN__BLOCK_IN_USE) {
            n_in_use++;
            sum->in_use += b->capacity;
            sum->requested += b->requested;
        } else {
            sum->free_blocks++;
        }
    }
    sum->live += n_in_use;
    sum->reserved += region->bytes;
    return carved == region->carved && n_in_use == region->n_in_use && carved <= region->bytes;
}

static bool buckets_hold(const tarn_pool *pool, size_t free_blocks, size_t live_blocks)
{
    size_t seen = 0, n_blocks = 0;
    for (unsigned i = 0; i < TARN__N_BUCKETS; i++) {
        const tarn__bucket *bucket = &pool->buckets[i];
        n_blocks += bucket->n_blocks;
        for (const tarn__block_record *b = bucket->first; b != NULL; b = b->next, seen++)
            if (b->state != TARN__BLOCK_FREE || b->bucket != i || seen > free_blocks) return false;
        if (i >= TARN__N_CLASSES) continue;
        const bool bit = (pool->occupied[i / 64] >> (i % 64) & 1) != 0;
        if (bit != (bucket->first != NULL)) return false;
    }
    return seen == free_blocks && n_blocks == free_blocks + live_blocks;
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
    return n_slots == n_buckets && n_buckets == pool->stats.dynamic_buckets;
}

static bool idle_list_holds(const tarn_pool *pool)
{
    size_t idle = 0, listed = 0;
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next) idle += r->n_in_use == 0;
    for (const tarn__region *r = pool->oldest_idle; r != NULL; r = r->newer, listed++)
        if (r->n_in_use != 0 || listed > idle) return false;
    return idle == listed;
}

tarn_status tarn_pool_check(const tarn_pool *pool)
{
    if (pool == NULL) return TARN_OK;
    totals sum = { 0 };
    for (const tarn__region *r = pool->regions; r != NULL; r = r->next)
        if (!region_holds(pool, r, &sum)) return TARN_ESTATE;

    const tarn_pool_stats *s = &pool->stats;
    const bool figures = sum.reserved == s->reserved && sum.in_use == s->in_use &&
                         sum.requested == s->current_usage && sum.live == s->live_blocks &&
                         s->current_usage <= s->in_use && s->in_use + s->cached == s->reserved &&
                         s->reserved <= pool->options.max_capacity &&
                         s->pool_allocations + s->misses == s->allocations &&
                         s->allocations - s->releases == s->live_blocks;
    const bool peaks = s->peak_usage >= s->current_usage && s->peak_in_use >= s->in_use &&
                       s->peak_reserved >= s->reserved && s->peak_cached >= s->cached &&
                       s->peak_live_blocks >= s->live_blocks;
    const bool lists = buckets_hold(pool, sum.free_blocks, sum.live) &&
                       dynamic_buckets_hold(pool) && idle_list_holds(pool);
    return figures && peaks && lists ? TARN_OK : TARN_ESTATE;
}
