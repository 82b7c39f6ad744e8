/* SPDX-License-Identifier: MIT
 * regions.c - memory from the system, carved into blocks; caps, and giving back. */
#include "core/assert.h"
#include "core/checkers.h"
#include "core/manager.h"
#include "core/pool.h"
#include "core/size.h"

enum { REGION_MIN = 256 * 1024, REGION_MAX = 16 * 1024 * 1024 };

/* ---- records */

void *tarn__system_take(tarn_pool *pool, size_t bytes)
{
    void *memory = pool->system.reserve(pool->system.context, bytes);
    if (memory == NULL) return NULL;
    pool->stats.system_allocations++;
    pool->stats.metadata += bytes;
    return memory;
}

void tarn__system_give(tarn_pool *pool, void *memory, size_t bytes)
{
    if (memory == NULL) return;
    pool->stats.system_releases++;
    pool->stats.metadata -= bytes;
    pool->system.release(pool->system.context, memory, bytes);
}

void *tarn__records_alloc(tarn_pool *pool, size_t bytes) { return tarn__system_take(pool, bytes); }

void tarn__records_free(tarn_pool *pool, void *record, size_t bytes)
{
    tarn__system_give(pool, record, bytes);
}

/* Room for one more chunk of block records in the table of chunks. */
static bool grow_chunk_table(tarn_pool *pool)
{
    if (pool->n_chunks < pool->chunk_capacity) return true;
    const uint32_t capacity = pool->chunk_capacity == 0 ? 8 : pool->chunk_capacity * 2;
    tarn__block_record **chunks = tarn__system_take(pool, capacity * sizeof(tarn__block_record *));
    if (chunks == NULL) return false;
    for (uint32_t i = 0; i < pool->n_chunks; i++) chunks[i] = pool->chunks[i];
    tarn__system_give(pool, pool->chunks, pool->chunk_capacity * sizeof(tarn__block_record *));
    pool->chunks = chunks;
    pool->chunk_capacity = capacity;
    return true;
}

/* A record without a block: a used one, whose generation goes on, or the next of a chunk. */
static tarn__block_record *take_record(tarn_pool *pool)
{
    tarn__block_record *record = pool->void_records;
    if (record != NULL) {
        pool->void_records = record->next;
        return record;
    }
    if (pool->n_records == pool->n_chunks * TARN__BLOCKS_PER_CHUNK) {
        if (pool->n_records > UINT32_MAX - TARN__BLOCKS_PER_CHUNK || !grow_chunk_table(pool))
            return NULL;
        pool->chunks[pool->n_chunks] =
            tarn__system_take(pool, TARN__BLOCKS_PER_CHUNK * sizeof(tarn__block_record));
        if (pool->chunks[pool->n_chunks] == NULL) return NULL;
        pool->n_chunks++;
    }
    record = &pool->chunks[pool->n_records / TARN__BLOCKS_PER_CHUNK]
                          [pool->n_records % TARN__BLOCKS_PER_CHUNK];
    record->id = ++pool->n_records;
    return record;
}

static void give_record(tarn_pool *pool, tarn__block_record *record)
{
    record->state = TARN__BLOCK_VOID;
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
    region->older = pool->newest_idle;
    region->newer = NULL;
    *(region->older != NULL ? &region->older->newer : &pool->oldest_idle) = region;
    pool->newest_idle = region;
}

void tarn__region_enter(tarn_pool *pool, tarn__region *region)
{
    if (region->n_in_use++ == 0) idle_remove(pool, region);
}

void tarn__region_leave(tarn_pool *pool, tarn__region *region)
{
    TARN_ASSERT(region->n_in_use > 0);
    if (--region->n_in_use == 0) idle_append(pool, region);
}

/* Gives the memory of a region back, and the region's record. */
static void release_region(tarn_pool *pool, tarn__region *region)
{
    pool->stats.system_releases++;
    tarn__allow(region->data, region->bytes);
    pool->system.release(pool->system.context, region->data, region->bytes);
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
    for (tarn__block_record *block = region->blocks, *next; block != NULL; block = next) {
        next = block->sibling;
        tarn__bucket_remove(pool, block);
        pool->buckets[block->bucket].n_blocks--;
        give_record(pool, block);
    }
    idle_remove(pool, region);
    *(region->prev != NULL ? &region->prev->next : &pool->regions) = region->next;
    if (region->next != NULL) region->next->prev = region->prev;
    if (region->shared) unlink_shared(pool, region);

    pool->stats.reserved -= region->bytes;
    pool->stats.cached -= region->bytes;
    release_region(pool, region);
}

size_t tarn__trim(tarn_pool *pool, size_t keep_bytes)
{
    size_t given = 0;
    while (pool->oldest_idle != NULL && pool->stats.cached > keep_bytes) {
        given += pool->oldest_idle->bytes;
        give_back(pool, pool->oldest_idle);
    }
    if (given > 0) {
        pool->stats.trims++;
        pool->stats.trimmed_bytes += given;
    }
    return given;
}

void tarn__regions_end(tarn_pool *pool)
{
    for (tarn__region *region = pool->regions, *next; region != NULL; region = next) {
        next = region->next;
        release_region(pool, region);
    }
    for (uint32_t i = 0; i < pool->n_chunks; i++)
        tarn__system_give(pool, pool->chunks[i],
                          TARN__BLOCKS_PER_CHUNK * sizeof(tarn__block_record));
    tarn__system_give(pool, pool->chunks, pool->chunk_capacity * sizeof(tarn__block_record *));
    tarn__slab_end(&pool->regions_slab);
}

/* ---- reserving */

/* A region of exactly `bytes` bytes within the cap, or NULL. */
static tarn__region *reserve(tarn_pool *pool, size_t bytes)
{
    const size_t cap = pool->options.max_capacity;
    if (pool->stats.reserved > cap || bytes > cap - pool->stats.reserved) return NULL;
    tarn__region *region = tarn__slab_take(&pool->regions_slab);
    if (region == NULL) return NULL;
    unsigned char *data = pool->system.reserve(pool->system.context, bytes);
    if (data == NULL) {
        tarn__slab_give(&pool->regions_slab, region);
        return NULL;
    }
    tarn__forbid(data, bytes);
    *region = (tarn__region){ .data = data, .bytes = bytes, .next = pool->regions };
    if (pool->regions != NULL) pool->regions->prev = region;
    pool->regions = region;
    idle_append(pool, region);

    pool->stats.system_allocations++;
    pool->stats.total_allocated += bytes;
    pool->stats.reserved += bytes;
    pool->stats.cached += bytes;
    return region;
}

/* The same, giving back idle regions until it succeeds or none is left. */
static tarn__region *reserve_trimming(tarn_pool *pool, size_t bytes)
{
    for (;;) {
        tarn__region *region = reserve(pool, bytes);
        if (region != NULL || pool->oldest_idle == NULL) return region;
        const size_t keep = pool->stats.cached - 1; /* at least the oldest goes */
        tarn__trim(pool, keep);
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
    if (!tarn__size_round_up(pool->options.initial_capacity, TARN__QUANTUM, &bytes)) return false;
    tarn__region *region = reserve_shared(pool, smaller(bytes, pool->options.max_capacity));
    if (region == NULL) return false;
    region->any_size = true;
    tarn__note_peaks(&pool->stats);
    return true;
}

/* A region with room for a block of this capacity that may be carved for it, or NULL. */
static tarn__region *with_room(const tarn_pool *pool, size_t capacity)
{
    for (tarn__region *region = pool->shared_regions; region != NULL; region = region->next_shared)
        if ((region->any_size || capacity <= TARN__SMALL_MAX) &&
            region->bytes - region->carved >= capacity)
            return region;
    return NULL;
}

tarn__block_record *tarn__carve(tarn_pool *pool, tarn__bucket *bucket, size_t capacity)
{
    tarn__block_record *block = take_record(pool);
    if (block == NULL) return NULL;
    tarn__region *region = with_room(pool, capacity);
    if (region == NULL)
        region =
            capacity <= TARN__SMALL_MAX ? grow(pool, capacity) : reserve_trimming(pool, capacity);
    if (region == NULL) {
        give_record(pool, block);
        return NULL;
    }
    block->data = region->data + region->carved;
    block->capacity = capacity;
    block->dirty = 0;
    block->region = region;
    block->sibling = region->blocks;
    block->bucket = (uint16_t)(bucket - pool->buckets);
    block->state = TARN__BLOCK_FREE;
    region->blocks = block;
    region->carved += capacity;
    bucket->n_blocks++;
    tarn__region_enter(pool, region);
    return block;
}
