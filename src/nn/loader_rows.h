/* SPDX-License-Identifier: MIT
 * loader_rows.h - which rows of the data a loader serves, and in what order. */
#ifndef TARN_NN_LOADER_ROWS_H
#define TARN_NN_LOADER_ROWS_H

#include <tarn/data.h>

/* The rows first, first + 1, ... of all, n of them, going on at 0 after the last; counted in the
 * order `mixed`, and served in the order `order`. */
typedef struct tarn__rows {
    int64_t all, first, n;
    int64_t *mixed; /* owned: (all), or NULL */
    int64_t *order; /* owned: (n), or NULL without shuffling */
    bool ordered;   /* order is that of the running epoch */
} tarn__rows;

/* Holds TARN_EARG for options that name no part. */
tarn_status tarn__rows_check(tarn_manager *tm, const tarn_loader_options *o);

/* The rows that the options, in which the defaults are filled in, choose of so many. Their number
 * is known, and tarn__rows_end is safe, also after a failure: false with TARN_ENOMEM held. */
bool tarn__rows_begin(tarn__rows *rows, tarn_manager *tm, const tarn_loader_options *o,
                      int64_t all);
void tarn__rows_end(tarn__rows *rows, tarn_manager *tm);

/* Orders them for an epoch, if they are shuffled and not in its order already. */
void tarn__rows_order(tarn__rows *rows, const tarn_manager *tm, uint64_t stream, int64_t epoch);

/* The row of the data that is served as number i. */
static inline int64_t tarn__rows_at(const tarn__rows *rows, int64_t i)
{
    int64_t row = rows->order == NULL ? i : rows->order[i];
    row += row < rows->all - rows->first ? rows->first : rows->first - rows->all;
    return rows->mixed == NULL ? row : rows->mixed[row];
}

#endif
