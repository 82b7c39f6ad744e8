/* SPDX-License-Identifier: MIT
 * arrays.c - acquire and release by pointer: a table of the arrays that are out, by address. */
#include "core/assert.h"
#include "core/pool.h"
#include "core/size.h"

/* A slot of an open-addressed table, probed linearly. */
struct tarn__array_slot {
    void *array; /* NULL: empty */
    uint32_t id;
};

static size_t home(const tarn_pool *pool, const void *array)
{
    const uint64_t mixed = (uint64_t)(uintptr_t)array / 64 * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (pool->array_slots - 1);
}

static void insert(tarn_pool *pool, void *array, uint32_t id)
{
    size_t i = home(pool, array);
    while (pool->arrays[i].array != NULL) i = (i + 1) & (pool->array_slots - 1);
    pool->arrays[i] = (struct tarn__array_slot){ array, id };
    pool->n_arrays++;
}

/* Keeps the table at most half full. */
static bool make_room(tarn_pool *pool)
{
    if (2 * (pool->n_arrays + 1) <= pool->array_slots) return true;
    struct tarn__array_slot *before = pool->arrays;
    const size_t n_before = pool->array_slots, n = n_before == 0 ? 64 : 2 * n_before;
    struct tarn__array_slot *arrays = tarn__system_take(pool, n * sizeof(*arrays));
    if (arrays == NULL) return false;
    pool->arrays = arrays;
    pool->array_slots = n;
    pool->n_arrays = 0;
    for (size_t i = 0; i < n_before; i++)
        if (before[i].array != NULL) insert(pool, before[i].array, before[i].id);
    tarn__system_give(pool, before, n_before * sizeof(*before));
    return true;
}

static struct tarn__array_slot *find(const tarn_pool *pool, const void *array)
{
    if (pool->array_slots == 0) return NULL;
    size_t i = home(pool, array);
    while (pool->arrays[i].array != NULL && pool->arrays[i].array != array)
        i = (i + 1) & (pool->array_slots - 1);
    return pool->arrays[i].array == array ? &pool->arrays[i] : NULL;
}

/* Empties a slot and moves those after it that would no longer be found. */
static void take_out(tarn_pool *pool, const struct tarn__array_slot *slot)
{
    const size_t mask = pool->array_slots - 1;
    size_t hole = (size_t)(slot - pool->arrays);
    for (size_t i = (hole + 1) & mask; pool->arrays[i].array != NULL; i = (i + 1) & mask) {
        const size_t from_home = (i - home(pool, pool->arrays[i].array)) & mask;
        if (from_home < ((i - hole) & mask)) continue; /* its home lies after the hole */
        pool->arrays[hole] = pool->arrays[i];
        hole = i;
    }
    pool->arrays[hole] = (struct tarn__array_slot){ NULL, 0 };
    pool->n_arrays--;
}

void *tarn_pool_acquire_array(tarn_pool *pool, size_t count, tarn_dtype dtype)
{
    size_t bytes;
    tarn_block block;
    const size_t size = tarn_dtype_size(dtype);
    if (pool == NULL || size == 0 || !tarn__size_mul(count, size, &bytes)) return NULL;
    if (tarn_pool_acquire(pool, bytes, TARN_ZEROED, &block) != TARN_OK) return NULL;
    tarn__pool_lock(pool);
    const bool room = make_room(pool);
    if (room) {
        insert(pool, block.data, block.id);
        tarn__block_of(pool, block.id)->dtype = (uint8_t)dtype;
    }
    tarn__pool_unlock(pool);
    if (room) return block.data;
    (void)tarn_pool_release(pool, block);
    return NULL;
}

tarn_status tarn_pool_release_array(tarn_pool *pool, void *array, tarn_dtype dtype)
{
    if (array == NULL) return TARN_OK;
    if (pool == NULL) return TARN_EARG;
    tarn_status status = TARN_OK;
    tarn_block handle = { 0 };
    tarn__pool_lock(pool);
    const struct tarn__array_slot *slot = find(pool, array);
    if (slot == NULL) {
        status = TARN_EARG;
        tarn__mistake(pool, "bad release: %p is no array of this pool, or was released before",
                      array);
    } else {
        const tarn__block *block = tarn__block_of(pool, slot->id);
        handle = (tarn_block){ array, block->requested, block->id, block->generation };
        if (block->dtype != dtype) {
            status = TARN_EDTYPE;
            tarn__mistake(pool, "bad release: array %p was acquired as %s and released as %s",
                          array, tarn_dtype_name((tarn_dtype)block->dtype), tarn_dtype_name(dtype));
        } else {
            take_out(pool, slot);
        }
    }
    if (status != TARN_OK) pool->figures.bad_releases++;
    tarn__pool_unlock(pool);
    return status != TARN_OK ? status : tarn_pool_release(pool, handle);
}

void tarn__arrays_end(tarn_pool *pool)
{
    tarn__system_give(pool, pool->arrays, pool->array_slots * sizeof(*pool->arrays));
}
