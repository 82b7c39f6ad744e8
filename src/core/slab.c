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

static void link_free(tarn__slab *slab, void *record)
{
    *(void **)record = slab->free;
    slab->free = record;
}

void *tarn__slab_take(tarn__slab *slab)
{
    if (slab->free == NULL) {
        unsigned char *chunk = tarn__system_take(slab->pool, CHUNK_BYTES);
        if (chunk == NULL) return NULL;
        *(void **)(void *)chunk = slab->chunks;
        slab->chunks = chunk;
        const size_t n = (CHUNK_BYTES - CHUNK_HEADER) / slab->record_bytes;
        for (size_t i = n; i-- > 0;) link_free(slab, chunk + CHUNK_HEADER + i * slab->record_bytes);
    }
    TARN_ASSERT(slab->free != NULL);
    void *record = slab->free;
    slab->free = *(void **)record;
    slab->taken++;
    return record;
}

void tarn__slab_give(tarn__slab *slab, void *record)
{
    TARN_ASSERT(slab->taken > 0);
    slab->taken--;
    link_free(slab, record);
}

void tarn__slab_end(tarn__slab *slab)
{
    for (void *chunk = slab->chunks, *next; chunk != NULL; chunk = next) {
        next = *(void **)chunk;
        tarn__system_give(slab->pool, chunk, CHUNK_BYTES);
    }
    *slab = (tarn__slab){ .pool = slab->pool, .record_bytes = slab->record_bytes };
}
