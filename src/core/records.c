/* SPDX-License-Identifier: MIT
 * records.c - the library's own records that come and go in every step: they are kept for the next,
 * so that a steady step asks the system for nothing. */
#include "core/manager.h"

enum { SMALLEST = 64 };

static int size_of(size_t bytes)
{
    int i = 0;
    while (i < TARN__RECORD_SIZES && (size_t)SMALLEST << i < bytes) i++;
    return i;
}

void tarn__records_begin(tarn_manager *tm)
{
    for (int i = 0; i < TARN__RECORD_SIZES; i++)
        tarn__slab_init(&tm->records[i], tm->pool, (size_t)SMALLEST << i);
}

void tarn__records_end(tarn_manager *tm)
{
    for (int i = 0; i < TARN__RECORD_SIZES; i++) tarn__slab_end(&tm->records[i]);
}

void *tarn__record_take(tarn_manager *tm, const char *what, size_t bytes)
{
    const int i = size_of(bytes);
    void *record = i < TARN__RECORD_SIZES ? tarn__slab_take(&tm->records[i])
                                          : tarn__records_alloc(tm->pool, bytes);
    if (record == NULL) (void)tarn__fail_memory(tm, what, bytes);
    return record;
}

void tarn__record_give(tarn_manager *tm, void *record, size_t bytes)
{
    const int i = size_of(bytes);
    if (record == NULL) return;
    if (i < TARN__RECORD_SIZES) tarn__slab_give(&tm->records[i], record);
    else tarn__records_free(tm->pool, record, bytes);
}
