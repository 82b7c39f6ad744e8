/* SPDX-License-Identifier: MIT
 * slab.h - records of one size (handles, storages, tape nodes): taken and given back in a few
 * instructions, from chunks that stay until the slab ends. */
#ifndef TARN_CORE_SLAB_H
#define TARN_CORE_SLAB_H

#include <stddef.h>

#include <tarn/pool.h>

typedef struct tarn__slab {
    tarn_pool *pool;     /* whose system the chunks come from, and whose metadata they count as */
    size_t record_bytes; /* a multiple of 16 */
    void *free;          /* records not in use, linked through their first word */
    void *chunks;        /* linked through their first word */
    size_t taken;        /* records in use */
} tarn__slab;

void tarn__slab_init(tarn__slab *slab, tarn_pool *pool, size_t record_bytes);

/* A record with indeterminate contents, or NULL if memory is short. */
void *tarn__slab_take(tarn__slab *slab);

void tarn__slab_give(tarn__slab *slab, void *record);

/* Gives every chunk back; the records end with it. */
void tarn__slab_end(tarn__slab *slab);

#endif
