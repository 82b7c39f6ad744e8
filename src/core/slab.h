/* SPDX-License-Identifier: MIT
 * slab.h - records of one size (handles, storages, tape nodes): taken and given back in a few
 * instructions, from chunks that stay until the slab ends. */
#ifndef TARN_CORE_SLAB_H
#define TARN_CORE_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#include <tarn/pool.h>

/* Records of the library's objects: zeroed memory from the pool's system, counted as metadata. */
void *tarn__records_alloc(tarn_pool *pool, size_t bytes);
void tarn__records_free(tarn_pool *pool, void *record, size_t bytes);

typedef struct tarn__slab {
    tarn_pool *pool;     /* whose system the chunks come from, and whose metadata they count as */
    size_t record_bytes; /* a multiple of 16 */
    void *free;          /* records not in use, linked through their first word */
    void *chunks;        /* linked through their first word */
    size_t taken;        /* records in use */
    size_t n_chunks;
    bool locked; /* whoever takes records holds the pool's lock */
} tarn__slab;

void tarn__slab_init(tarn__slab *slab, tarn_pool *pool, size_t record_bytes);

/* Gets another chunk; false if memory is short. */
bool tarn__slab_grow(tarn__slab *slab);

/* A record with indeterminate contents, or NULL if memory is short. */
static inline void *tarn__slab_take(tarn__slab *slab)
{
    if (slab->free == NULL && !tarn__slab_grow(slab)) return NULL;
    void *record = slab->free;
    slab->free = *(void **)record;
    slab->taken++;
    return record;
}

/* Its first word is overwritten. */
static inline void tarn__slab_give(tarn__slab *slab, void *record)
{
    *(void **)record = slab->free;
    slab->free = record;
    slab->taken--;
}

/* Calls visit for every record of every chunk, in use or not; those never used are all zero but for
 * their first word. */
void tarn__slab_each(const tarn__slab *slab, void (*visit)(void *context, void *record),
                     void *context);

/* Gives every chunk back; the records end with it. */
void tarn__slab_end(tarn__slab *slab);

#endif
