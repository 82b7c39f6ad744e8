/* SPDX-License-Identifier: MIT
 * buckets.c - size classes, dynamic buckets, and the search for a block of nearly the right size.
 *
 * With n the request in 64-byte quanta, classes 0 to 15 hold exactly n = 1 to 16. Above, each
 * doubling has eight classes: for 2^lg < n <= 2^(lg+1) the capacities are (9 + s) 2^(lg-3), s = 0
 * to 7, so that less than an eighth is lost. */
#include "core/assert.h"
#include "core/pool.h"

enum { EXACT_CLASSES = 16 };

static unsigned floor_log2(size_t n)
{
    return 63u - (unsigned)__builtin_clzll((unsigned long long)n);
}

unsigned tarn__class_of(size_t quanta)
{
    if (quanta <= EXACT_CLASSES) return (unsigned)quanta - 1;
    const unsigned lg = floor_log2(quanta - 1);
    const unsigned sub = (unsigned)((quanta - 1) >> (lg - 3)) & 7u;
    const unsigned c = EXACT_CLASSES + (lg - 4) * 8 + sub;
    return c < TARN__N_CLASSES ? c : TARN__N_CLASSES;
}

size_t tarn__class_quanta(unsigned class_index)
{
    if (class_index < EXACT_CLASSES) return class_index + 1;
    const unsigned lg = (class_index - EXACT_CLASSES) / 8 + 4;
    const unsigned sub = (class_index - EXACT_CLASSES) % 8;
    return (size_t)(9 + sub) << (lg - 3);
}

/* ---- dynamic buckets: a hash table of indices, linear probing; entries leave
 * only when it is rebuilt */

static size_t first_slot(size_t capacity)
{
    const uint64_t mixed = (uint64_t)(capacity / TARN__QUANTUM) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 53) % TARN__HASH_SLOTS;
}

tarn__bucket *tarn__dynamic_find(tarn_pool *pool, size_t capacity)
{
    for (size_t s = first_slot(capacity); pool->slots[s] != 0; s = (s + 1) % TARN__HASH_SLOTS)
        if (pool->buckets[pool->slots[s]].capacity == capacity)
            return &pool->buckets[pool->slots[s]];
    return NULL;
}

static void insert_slot(tarn_pool *pool, size_t index)
{
    size_t s = first_slot(pool->buckets[index].capacity);
    while (pool->slots[s] != 0) s = (s + 1) % TARN__HASH_SLOTS;
    pool->slots[s] = (uint16_t)index;
}

/* Drops every dynamic bucket without blocks. */
static void rebuild_slots(tarn_pool *pool)
{
    for (size_t s = 0; s < TARN__HASH_SLOTS; s++) pool->slots[s] = 0;
    pool->figures.dynamic_buckets = 0;
    for (size_t b = TARN__N_CLASSES; b < TARN__N_BUCKETS; b++) {
        if (pool->buckets[b].n_blocks == 0) {
            pool->buckets[b].capacity = 0;
        } else {
            insert_slot(pool, b);
            pool->figures.dynamic_buckets++;
        }
    }
}

tarn__bucket *tarn__dynamic_make(tarn_pool *pool, size_t capacity)
{
    tarn__bucket *found = tarn__dynamic_find(pool, capacity);
    if (found != NULL) return found;
    if (pool->figures.dynamic_buckets == TARN__N_DYNAMIC) rebuild_slots(pool);
    for (size_t b = TARN__N_CLASSES; b < TARN__N_BUCKETS; b++) {
        if (pool->buckets[b].capacity != 0) continue;
        pool->buckets[b].capacity = capacity;
        insert_slot(pool, b);
        pool->figures.dynamic_buckets++;
        return &pool->buckets[b];
    }
    return NULL;
}

void tarn__dynamic_drop_last(tarn_pool *pool, tarn__bucket *bucket)
{
    const size_t index = (size_t)(bucket - pool->buckets);
    size_t s = first_slot(bucket->capacity);
    while (pool->slots[s] != index) s = (s + 1) % TARN__HASH_SLOTS;
    pool->slots[s] = 0;
    bucket->capacity = 0;
    pool->figures.dynamic_buckets--;
}

/* ---- free lists */

void tarn__bucket_push(tarn_pool *pool, tarn__block *block)
{
    tarn__bucket *bucket = &pool->buckets[block->bucket];
    TARN__SET(block->state, TARN__BLOCK_FREE);
    pool->central += block->capacity;
    block->prev = NULL;
    block->next = bucket->first;
    if (bucket->first != NULL) bucket->first->prev = block;
    bucket->first = block;
    if (block->bucket < TARN__N_CLASSES)
        pool->occupied[block->bucket / 64] |= UINT64_C(1) << (block->bucket % 64);
}

void tarn__bucket_remove(tarn_pool *pool, tarn__block *block)
{
    tarn__bucket *bucket = &pool->buckets[block->bucket];
    pool->central -= block->capacity;
    if (block->prev != NULL) block->prev->next = block->next;
    else bucket->first = block->next;
    if (block->next != NULL) block->next->prev = block->prev;
    if (bucket->first == NULL && block->bucket < TARN__N_CLASSES)
        pool->occupied[block->bucket / 64] &= ~(UINT64_C(1) << (block->bucket % 64));
}

/* The first occupied class at or after `from`, or TARN__N_CLASSES. */
static unsigned next_occupied(const tarn_pool *pool, unsigned from)
{
    for (unsigned w = from / 64; w < TARN__N_CLASSES / 64; w++) {
        uint64_t bits = pool->occupied[w];
        if (w == from / 64) bits &= ~UINT64_C(0) << (from % 64);
        if (bits != 0) return w * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return TARN__N_CLASSES;
}

tarn__block *tarn__bucket_search(tarn_pool *pool, size_t bytes, unsigned class_index,
                                 bool *rejected)
{
    const size_t most = bytes + bytes / 8;
    tarn__block *best = NULL;
    const unsigned c = next_occupied(pool, class_index);
    if (c < TARN__N_CLASSES && pool->buckets[c].capacity <= most) best = pool->buckets[c].first;
    else if (c < TARN__N_CLASSES) *rejected = true;
    if (bytes <= TARN__SMALL_MAX) return best;

    size_t seen = 0;
    for (size_t b = TARN__N_CLASSES; seen < pool->figures.dynamic_buckets; b++) {
        TARN_ASSERT(b < TARN__N_BUCKETS);
        const tarn__bucket *bucket = &pool->buckets[b];
        if (bucket->capacity == 0) continue;
        seen++;
        if (bucket->first == NULL || bucket->capacity < bytes) continue;
        if (bucket->capacity > most) {
            *rejected = true;
            continue;
        }
        if (best == NULL || bucket->capacity < best->capacity) best = bucket->first;
    }
    return best;
}

tarn__block *tarn__bucket_last_resort(tarn_pool *pool, size_t bytes, unsigned class_index)
{
    if (bytes > TARN__SMALL_MAX) return NULL;
    const unsigned c = next_occupied(pool, class_index);
    return c < TARN__N_CLASSES && pool->buckets[c].capacity <= TARN__SMALL_MAX
               ? pool->buckets[c].first
               : NULL;
}
