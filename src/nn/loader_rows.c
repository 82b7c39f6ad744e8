/* SPDX-License-Identifier: MIT
 * loader_rows.c - which rows of the data a loader serves, and in what order. */
#include "nn/loader_rows.h"

#include <math.h>

#include "core/manager.h"
#include "core/random.h"
#include "core/size.h"

/* ---- the part */

tarn_status tarn__rows_check(tarn_manager *tm, const tarn_loader_options *o)
{
    if (!(o->from >= 0 && o->from <= 1 && o->to >= 0 && o->to <= 1))
        return tarn__fail(tm, TARN_EARG,
                          "tarn_loader_create: rows from %g to %g of all; 0 to 1 is possible",
                          o->from, o->to);
    if (o->from == o->to)
        return tarn__fail(tm, TARN_EARG, "tarn_loader_create: no rows from %g to %g of all",
                          o->from, o->to);
    return TARN_OK;
}

/* The row at which a part of all begins or ends. */
static int64_t boundary(double part, int64_t all)
{
    return part == 1 ? all : (int64_t)floor(part * (double)all + 0.5);
}

/* ---- orders */

static bool take(tarn_manager *tm, int64_t n, int64_t **order)
{
    size_t bytes;
    if (n == 0) return true;
    if (!tarn__size_mul((size_t)n, sizeof **order, &bytes)) bytes = SIZE_MAX;
    *order = tarn__records_alloc(tm->pool, bytes);
    if (*order == NULL) (void)tarn__fail_memory(tm, "tarn_loader_create", bytes);
    return *order != NULL;
}

/* The numbers below n in an order that is a function of the key, by Fisher and Yates. */
static void draw(int64_t *order, int64_t n, uint64_t key)
{
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)tarn__random_below((uint64_t)i + 1, key, (uint64_t)i);
        const int64_t row = order[i];
        order[i] = order[j];
        order[j] = row;
    }
}

bool tarn__rows_begin(tarn__rows *rows, tarn_manager *tm, const tarn_loader_options *o, int64_t all)
{
    const int64_t first = boundary(o->from, all), end = boundary(o->to, all);
    *rows = (tarn__rows){ .all = all,
                          .first = first,
                          .n = o->from < o->to ? end - first : all - first + end };
    if (o->shuffle && !take(tm, rows->n, &rows->order)) return false;
    if (!o->mix) return true;
    if (!take(tm, all, &rows->mixed)) return false;
    const uint64_t purpose = tarn__random_key(tm->seed, TARN__RANDOM_MIX);
    if (rows->mixed != NULL) draw(rows->mixed, all, tarn__random_key(purpose, (uint64_t)all));
    return true;
}

void tarn__rows_end(tarn__rows *rows, tarn_manager *tm)
{
    if (rows->order != NULL)
        tarn__records_free(tm->pool, rows->order, (size_t)rows->n * sizeof *rows->order);
    if (rows->mixed != NULL)
        tarn__records_free(tm->pool, rows->mixed, (size_t)rows->all * sizeof *rows->mixed);
    *rows = (tarn__rows){ .n = 0 };
}

/* The order is a function of seed, stream and epoch alone, so that training can be taken up again
 * at any epoch. */
void tarn__rows_order(tarn__rows *rows, const tarn_manager *tm, uint64_t stream, int64_t epoch)
{
    if (rows->order == NULL || rows->ordered) return;
    const uint64_t purpose = tarn__random_key(tm->seed, TARN__RANDOM_SHUFFLE);
    const uint64_t place = tarn__random_key(purpose, stream);
    draw(rows->order, rows->n, tarn__random_key(place, (uint64_t)epoch));
    rows->ordered = true;
}
