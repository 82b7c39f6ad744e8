/* SPDX-License-Identifier: MIT
 * storage.h - how the memory of tensors comes and goes: the usual way is inline, and storage.c has
 * the others. */
#ifndef TARN_CORE_STORAGE_H
#define TARN_CORE_STORAGE_H

#include "core/manager.h"
#include "core/pool.h"

/* A storage without memory, to be completed by the caller. NULL: out of memory, with no error
 * held. */
static inline tarn__storage *tarn__storage_take(tarn_manager *tm)
{
    tarn__storage *storage = tarn__slab_take(&tm->storages);
    if (storage == NULL) return NULL;
    storage->refs = storage->version = 0;
    storage->saved_in = 0;
    storage->recorded = tm->recording;
    storage->zero_pending = storage->borrowed = storage->read_only = storage->is_gradient = false;
    return storage;
}

static inline tarn__storage *tarn__storage_fill(tarn_manager *tm, tarn__storage *storage,
                                                tarn__block *block, size_t bytes)
{
    storage->block = block;
    storage->data = tarn__block_data(tm->pool, block);
    storage->bytes = bytes;
    if (tm->dry) tarn__allow_defined(storage->data, bytes); /* which reads as zero, never written */
    return storage;
}

/* With all that is seldom wanted: more records, blocks that the cache does not have, the time that
 * it takes. */
tarn__storage *tarn__storage_new_slowly(tarn_manager *tm, size_t bytes, uint32_t tag);
void tarn__storage_release_slowly(tarn_manager *tm, tarn__block *block);

/* The end of a storage on memory that is not the pool's. */
void tarn__storage_let_adopted_go(tarn_manager *tm, const tarn__storage *storage);

/* A storage of `bytes` bytes of the pool. NULL: out of memory, with no error held. */
static inline tarn__storage *tarn__storage_new(tarn_manager *tm, size_t bytes, uint32_t tag)
{
    tarn__block *block = NULL;
    if (tm->storages.free != NULL && !tm->time_calls)
        block = tarn__cache_quick_acquire(tm->cache, bytes, tag);
    if (block == NULL) return tarn__storage_new_slowly(tm, bytes, tag);
    return tarn__storage_fill(tm, tarn__storage_take(tm), block, bytes);
}

/* Drops a reference; the last one lets the memory go. */
static inline void tarn__storage_unref(tarn_manager *tm, tarn__storage *storage)
{
    if (--storage->refs > 0) return;
    tarn__block *block = storage->block;
    if (block == NULL) tarn__storage_let_adopted_go(tm, storage);
    tarn__slab_give(&tm->storages, storage);
    if (block == NULL) return;
    if (tm->time_calls || !tarn__cache_quick_release(tm->cache, block))
        tarn__storage_release_slowly(tm, block);
}

#endif
