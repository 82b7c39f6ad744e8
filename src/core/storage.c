/* SPDX-License-Identifier: MIT
 * storage.c - the memory of tensors: the pool's, adopted or borrowed; and the tags it carries. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include <string.h>

#include "core/clock.h"
#include "core/storage.h"

/* ---- tags */

uint32_t tarn__tag_find(tarn_manager *tm, const tarn__place *place, size_t slot)
{
    const uint32_t tag =
        tarn__tag_intern(tm->pool, place->path, place->operation, (tarn_kind)place->kind);
    tm->places[slot].tag = tag;
    tm->places[slot].place = *place;
    return tag;
}

void tarn__places_forget(tarn_manager *tm) { memset(tm->places, 0, sizeof(tm->places)); }

uint32_t tarn__tag_like(const tarn_tensor *t, tarn_kind kind)
{
    const tarn_manager *tm = t->manager;
    if (!tm->tags || t->storage == NULL || t->storage->block == NULL) return 0;
    return tarn__tag_of_kind(tm->pool, t->storage->block->tag, kind);
}

void tarn__mark_saved(tarn_tensor *t)
{
    tarn_manager *tm = t->manager;
    tarn__block *block = t->storage->block;
    if (!tm->tags || block == NULL) return;
    if (tarn__tag_at(tm->pool, block->tag)->kind != TARN_KIND_ACTIVATION) return;
    const uint32_t tag = tarn__tag_of_kind(tm->pool, block->tag, TARN_KIND_SAVED);
    if (tag != 0) tarn__cache_retag(tm->cache, block, tag);
}

/* ---- storages */

tarn__storage *tarn__storage_new_slowly(tarn_manager *tm, size_t bytes, uint32_t tag)
{
    tarn__block *block;
    tarn__storage *storage = tarn__storage_take(tm);
    if (storage == NULL) return NULL;
    const uint64_t begin = tm->time_calls ? tarn__clock_ns() : 0;
    const tarn_status status = tarn__cache_acquire(tm->cache, bytes, tag, &block);
    if (tm->time_calls) tm->acquire_ns += tarn__clock_ns() - begin;
    if (status == TARN_OK) return tarn__storage_fill(tm, storage, block, bytes);
    tarn__slab_give(&tm->storages, storage);
    return NULL;
}

void tarn__storage_release_slowly(tarn_manager *tm, tarn__block *block)
{
    const uint64_t begin = tm->time_calls ? tarn__clock_ns() : 0;
    if (tarn__cache_release(tm->cache, block) != TARN_OK)
        (void)tarn__fail(tm, TARN_ECORRUPT, "memory was written outside a tensor: %s",
                         tm->pool->last_mistake);
    if (tm->time_calls) tm->release_ns += tarn__clock_ns() - begin;
}

void tarn__storage_adopted(tarn_manager *tm, size_t bytes)
{
    tm->ever_adopted++;
    tm->adopted++;
    tm->adopted_bytes += bytes;
    if (tm->adopted > tm->peak_adopted) tm->peak_adopted = tm->adopted;
    if (tm->adopted_bytes > tm->peak_adopted_bytes) tm->peak_adopted_bytes = tm->adopted_bytes;
    tarn__pool_lock(tm->pool);
    tm->pool->figures.adopted += bytes;
    tarn__pool_unlock(tm->pool);
}

void tarn__storage_let_adopted_go(tarn_manager *tm, const tarn__storage *storage)
{
    if (storage->borrowed) return;
    if (storage->free_memory != NULL) storage->free_memory(storage->context, storage->data);
    tm->adopted--;
    tm->adopted_bytes -= storage->bytes;
    tarn__pool_lock(tm->pool);
    tm->pool->figures.adopted -= storage->bytes;
    tarn__pool_unlock(tm->pool);
}
