/* SPDX-License-Identifier: MIT
 * slab.c - records of one size from chunks. */
#include "core/slab.h"

#include "core/assert.h"
#include "core/pool.h"

enum { CHUNK_BYTES = 16 * 1024, CHUNK_HEADER = 64, RECORD_STEP = 16 };

void tarn__slab_init(tarn__slab *slab, tarn_pool *pool, size_t record_bytes)
{
    TARN_ASSERT(record_bytes <= CHUNK_BYTES - CHUNK_HEADER);
    const size_t rounded = (record_bytes + RECORD_STEP - 1) / RECORD_STEP * RECORD_STEP;
    *slab = (tarn__slab){ .pool = pool, .record_bytes = rounded };
}

bool tarn__slab_grow(tarn__slab *slab)
{
    unsigned char *chunk = slab->locked ? tarn__system_take(slab->pool, CHUNK_BYTES)
                                        : tarn__records_alloc(slab->pool, CHUNK_BYTES);
    if (chunk == NULL) return false;
    *(void **)(void *)chunk = slab->chunks;
    slab->chunks = chunk;
    slab->n_chunks++;
    for (size_t i = (CHUNK_BYTES - CHUNK_HEADER) / slab->record_bytes; i-- > 0;) {
        void *record = chunk + CHUNK_HEADER + i * slab->record_bytes;
        *(void **)record = slab->free;
        slab->free = record;
    }
    return true;
}

void tarn__slab_each(const tarn__slab *slab, void (*visit)(void *context, void *record),
                     void *context)
{
    const size_t n = (CHUNK_BYTES - CHUNK_HEADER) / slab->record_bytes;
    for (unsigned char *chunk = slab->chunks; chunk != NULL; chunk = *(void **)(void *)chunk)
        for (size_t i = 0; i < n; i++)
            visit(context, chunk + CHUNK_HEADER + i * slab->record_bytes);
}

void tarn__slab_end(tarn__slab *slab)
{
    for (void *chunk = slab->chunks, *next; chunk != NULL; chunk = next) {
        next = *(void **)chunk;
        if (slab->locked) tarn__system_give(slab->pool, chunk, CHUNK_BYTES);
        else tarn__records_free(slab->pool, chunk, CHUNK_BYTES);
    }
    *slab = (tarn__slab){ .pool = slab->pool,
                          .record_bytes = slab->record_bytes,
                          .locked = slab->locked };
}
