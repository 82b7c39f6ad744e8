/* SPDX-License-Identifier: MIT
 * regions.c - memory from the system, carved into blocks; caps, and giving back. */
#include "core/assert.h"
#include "core/checkers.h"
#include "core/pool.h"
#include "core/size.h"

enum { REGION_MIN = 256 * 1024, REGION_MAX = 16 * 1024 * 1024 };

/* ---- records */

void *tarn__system_take(tarn_pool *pool, size_t bytes)
{
    void *memory = pool->system.reserve(pool->system.context, bytes);
    if (memory == NULL) {
        TARN__SET(pool->injected, false); /* this one was not */
        return NULL;
    }
    pool->figures.system_allocations++;
    pool->figures.metadata += bytes;
    return memory;
}

void tarn__system_give(tarn_pool *pool, void *memory, size_t bytes)
{
    if (memory == NULL) return;
    pool->figures.system_releases++;
    pool->figures.metadata -= bytes;
    pool->system.release(pool->system.context, memory, bytes);
}

void *tarn__report_take(tarn_pool *pool, size_t bytes)
{
    void *memory = tarn__system_take(pool, bytes);
    if (memory != NULL) pool->figures.reports++;
    return memory;
}

/* The same, giving back idle regions until it succeeds or none is left. */
static void *take_trimming(tarn_pool *pool, size_t bytes)
{
    for (;;) {
        void *memory = tarn__system_take(pool, bytes);
        if (memory != NULL || pool->oldest_idle == NULL) return memory;
        (void)tarn__trim(pool, tarn__pool_cached(pool) - 1, UINT64_MAX);
    }
}

void *tarn__records_alloc(tarn_pool *pool, size_t bytes)
{
    tarn__pool_lock(pool);
    void *memory = take_trimming(pool, bytes);
    if (memory == NULL) {
        tarn__pool_call_back(pool);
        memory = take_trimming(pool, bytes);
    }
    tarn__pool_unlock(pool);
    return memory;
}

void tarn__records_free(tarn_pool *pool, void *record, size_t bytes)
{
    if (record == NULL) return;
    tarn__pool_lock(pool);
    tarn__system_give(pool, record, bytes);
    tarn__pool_unlock(pool);
}

static size_t chunk_bytes(unsigned k)
{
    return ((size_t)TARN__FIRST_RECORDS << k) * sizeof(tarn__block);
}

/* A record without a block: a used one, whose generation goes on, or the next of a chunk. */
static tarn__block *take_record(tarn_pool *pool)
{
    tarn__block *record = pool->void_records;
    if (record != NULL) {
        pool->void_records = record->next;
        return record;
    }
    if (pool->n_records == UINT32_MAX - TARN__FIRST_RECORDS) return NULL;
    const uint64_t place = (uint64_t)pool->n_records + TARN__FIRST_RECORDS;
    const unsigned k = 63u - (unsigned)__builtin_clzll(place / TARN__FIRST_RECORDS);
    tarn__block *chunk = TARN__GET(pool->chunks[k]);
    if (chunk == NULL) {
        chunk = take_trimming(pool, chunk_bytes(k));
        if (chunk == NULL) return NULL;
        atomic_store_explicit(&pool->chunks[k], chunk, memory_order_release);
    }
    record = &chunk[place - ((uint64_t)TARN__FIRST_RECORDS << k)];
    record->id = ++pool->n_records;
    return record;
}

static void give_record(tarn_pool *pool, tarn__block *record)
{
    TARN__SET(record->state, TARN__BLOCK_VOID);
    record->data = NULL;
    record->next = pool->void_records;
    pool->void_records = record;
}

/* ---- idle regions */

static void idle_remove(tarn_pool *pool, tarn__region *region)
{
    *(region->older != NULL ? &region->older->newer : &pool->oldest_idle) = region->newer;
    *(region->newer != NULL ? &region->newer->older : &pool->newest_idle) = region->older;
}

static void idle_append(tarn_pool *pool, tarn__region *region)
{
    tarn__region *older = pool->newest_idle;
    region->idle_since = pool->idle_since;
    while (older != NULL && older->idle_since > region->idle_since) older = older->older;
    region->older = older;
    region->newer = older != NULL ? older->newer : pool->oldest_idle;
    *(older != NULL ? &older->newer : &pool->oldest_idle) = region;
    *(region->newer != NULL ? &region->newer->older : &pool->newest_idle) = region;
}

void tarn__region_enter(tarn_pool *pool, tarn__region *region)
{
    if (region->n_out++ == 0) idle_remove(pool, region);
}

void tarn__region_leave(tarn_pool *pool, tarn__region *region)
{
    TARN_ASSERT(region->n_out > 0);
    if (--region->n_out == 0) idle_append(pool, region);
}

/* Gives the memory of a region back, and the region's record. */
static void release_region(tarn_pool *pool, tarn__region *region)
{
    pool->figures.system_releases++;
    tarn__allow(region->memory, region->bytes);
    pool->system.release(pool->system.context, region->memory, region->bytes);
    tarn__slab_give(&pool->regions_slab, region);
}

static void unlink_shared(tarn_pool *pool, const tarn__region *region)
{
    tarn__region **link = &pool->shared_regions;
    while (*link != region) link = &(*link)->next_shared;
    *link = region->next_shared;
}

static void give_back(tarn_pool *pool, tarn__region *region)
{
    for (tarn__block *block = region->blocks, *next; block != NULL; block = next) {
        next = block->sibling;
        if (block->bucket != TARN__NO_BUCKET) {
            tarn__bucket_remove(pool, block);
            pool->buckets[block->bucket].n_blocks--;
        }
        give_record(pool, block);
    }
    idle_remove(pool, region);
    *(region->prev != NULL ? &region->prev->next : &pool->regions) = region->next;
    if (region->next != NULL) region->next->prev = region->prev;
    if (region->shared) unlink_shared(pool, region);

    pool->figures.reserved -= region->bytes;
    tarn__trace_region_event(pool, TARN__EVENT_GIVE_BACK, region);
    release_region(pool, region);
}

size_t tarn__trim(tarn_pool *pool, size_t keep_bytes, uint64_t idle_before)
{
    size_t given = 0, cached = tarn__pool_cached(pool);
    while (pool->oldest_idle != NULL && cached > keep_bytes &&
           pool->oldest_idle->idle_since < idle_before) {
        given += pool->oldest_idle->bytes;
        cached -= pool->oldest_idle->bytes;
        give_back(pool, pool->oldest_idle);
    }
    if (given > 0) {
        pool->figures.trims++;
        pool->figures.trimmed_bytes += given;
    }
    return given;
}

void tarn__regions_end(tarn_pool *pool)
{
    for (tarn__region *region = pool->regions, *next; region != NULL; region = next) {
        next = region->next;
        release_region(pool, region);
    }
    for (unsigned k = 0; k < TARN__N_CHUNKS; k++)
        tarn__system_give(pool, TARN__GET(pool->chunks[k]), chunk_bytes(k));
    tarn__slab_end(&pool->regions_slab);
}

/* ---- reserving */

/* A region with room for `room` bytes, aligned as the pool wants it, within the cap, or NULL. */
static tarn__region *reserve(tarn_pool *pool, size_t room)
{
    const size_t quantum = (size_t)1 << pool->shift, cap = pool->options.max_capacity;
    size_t bytes;
    if (!tarn__size_add(room, quantum - TARN__QUANTUM, &bytes)) return NULL;
    if (pool->figures.reserved > cap || bytes > cap - pool->figures.reserved) return NULL;
    tarn__region *region = tarn__slab_take(&pool->regions_slab);
    if (region == NULL) return NULL;
    unsigned char *memory = pool->system.reserve(pool->system.context, bytes);
    if (memory == NULL) {
        tarn__slab_give(&pool->regions_slab, region);
        return NULL;
    }
    if (pool->system.advise != NULL && bytes >= TARN__TWO_MIB)
        pool->system.advise(pool->system.context, memory, bytes, pool->options.huge_pages);
    tarn__forbid(memory, bytes);
    const size_t gap = (size_t)(-(uintptr_t)memory & (quantum - 1));
    *region = (tarn__region){ .memory = memory,
                              .data = memory + gap,
                              .bytes = bytes,
                              .room = bytes - gap,
                              .next = pool->regions };
    if (pool->regions != NULL) pool->regions->prev = region;
    pool->regions = region;
    idle_append(pool, region);

    tarn__pool_figures *f = &pool->figures;
    f->system_allocations++;
    f->total_allocated += bytes;
    f->reserved += bytes;
    if (f->reserved > f->peak_reserved) f->peak_reserved = f->reserved;
    tarn__trace_region_event(pool, TARN__EVENT_RESERVE, region);
    return region;
}

/* The same, giving back idle regions until it succeeds or none is left. */
static tarn__region *reserve_trimming(tarn_pool *pool, size_t room)
{
    for (;;) {
        tarn__region *region = reserve(pool, room);
        if (region != NULL || pool->oldest_idle == NULL) return region;
        const size_t keep = tarn__pool_cached(pool) - 1; /* at least the oldest goes */
        (void)tarn__trim(pool, keep, UINT64_MAX);
    }
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* A region to be carved into several blocks. */
static tarn__region *reserve_shared(tarn_pool *pool, size_t bytes)
{
    tarn__region *region = reserve(pool, bytes);
    if (region == NULL) return NULL;
    region->shared = true;
    region->next_shared = pool->shared_regions;
    pool->shared_regions = region;
    return region;
}

/* How much the next shared region should measure: more than the largest there is. */
static size_t wanted_bytes(const tarn_pool *pool)
{
    size_t largest = 0;
    for (const tarn__region *r = pool->shared_regions; r != NULL; r = r->next_shared)
        largest = larger(largest, r->bytes);
    const double next = (double)largest * pool->options.growth_factor;
    if (next >= REGION_MAX) return REGION_MAX;
    return larger((size_t)next & ~(size_t)(TARN__QUANTUM - 1), REGION_MIN);
}

/* A region for small blocks: as large as growth wants, less where cap or system refuse that, at
 * least `capacity`. */
static tarn__region *grow(tarn_pool *pool, size_t capacity)
{
    for (size_t bytes = wanted_bytes(pool); bytes > capacity; bytes /= 2) {
        tarn__region *region = reserve_shared(pool, bytes & ~(size_t)(TARN__QUANTUM - 1));
        if (region != NULL) return region;
    }
    return reserve_trimming(pool, capacity);
}

bool tarn__reserve_initial(tarn_pool *pool)
{
    size_t bytes;
    if (pool->options.initial_capacity == 0) return true;
    const size_t slack = ((size_t)1 << pool->shift) - TARN__QUANTUM;
    if (!tarn__size_round_up(pool->options.initial_capacity, TARN__QUANTUM, &bytes)) return false;
    bytes = smaller(bytes, pool->options.max_capacity);
    tarn__region *region = reserve_shared(pool, bytes > slack ? bytes - slack : bytes);
    if (region == NULL) return false;
    region->any_size = true;
    return true;
}

/* A region with room for a block of this capacity that may be carved for it, or NULL. */
static tarn__region *with_room(const tarn_pool *pool, size_t capacity)
{
    for (tarn__region *region = pool->shared_regions; region != NULL; region = region->next_shared)
        if ((region->any_size || capacity <= TARN__SMALL_MAX) &&
            region->room - region->carved >= capacity)
            return region;
    return NULL;
}

/* Cuts a block out of a region. */
static void carve(tarn_pool *pool, tarn__region *region, tarn__block *block, size_t capacity,
                  uint16_t bucket)
{
    block->data = region->data + region->carved;
    block->capacity = capacity;
    block->dirty = 0;
    block->region = region;
    block->sibling = region->blocks;
    block->bucket = bucket;
    TARN__SET(block->state, TARN__BLOCK_FREE);
    block->first_generation = TARN__GET(block->generation);
    region->blocks = block;
    region->carved += capacity;
    tarn__region_enter(pool, region);
}

tarn__block *tarn__carve(tarn_pool *pool, tarn__bucket *bucket, size_t capacity)
{
    tarn__block *block = take_record(pool);
    if (block == NULL) return NULL;
    tarn__region *region = with_room(pool, capacity);
    if (region == NULL)
        region =
            capacity <= TARN__SMALL_MAX ? grow(pool, capacity) : reserve_trimming(pool, capacity);
    if (region == NULL) {
        give_record(pool, block);
        return NULL;
    }
    carve(pool, region, block, capacity, (uint16_t)(bucket - pool->buckets));
    bucket->n_blocks++;
    return block;
}

tarn__block *tarn__carve_alone(tarn_pool *pool, size_t capacity)
{
    tarn__block *block = take_record(pool);
    tarn__region *region = block != NULL ? reserve_trimming(pool, capacity) : NULL;
    if (region != NULL) carve(pool, region, block, capacity, TARN__NO_BUCKET);
    else if (block != NULL) give_record(pool, block);
    return region != NULL ? block : NULL;
}
