/* SPDX-License-Identifier: MIT
 * init.h - initial weights: from what a user asks to numbers. */
#ifndef TARN_NN_INIT_H
#define TARN_NN_INIT_H

#include <tarn/module.h>

#include "core/tensor.h"

/* Turns any initialiser into the one that it means for a parameter of this layout, without
 * defaults, Xavier or Kaiming; NULL is the default. Holds TARN_EARG, naming `label` and `name`, if
 * its numbers or what they lead to do not fit. */
tarn_status tarn__init_resolve(tarn_manager *tm, const char *label, const char *name,
                               const tarn_init *init, const tarn__layout *layout, tarn_init *out);

/* Fills a contiguous tensor by a resolved initialiser; what it draws depends on the key and the
 * shape alone. Holds TARN_ENOMEM if there is no room to work in. */
tarn_status tarn__init_fill(tarn_tensor *t, const tarn_init *resolved, uint64_t key);

/* Writes element i, rounded to the type of t. */
static inline void tarn__init_set(tarn_tensor *t, int64_t i, double value)
{
    if (t->layout.dtype == TARN_F32) ((float *)t->data)[i] = (float)value;
    else ((double *)t->data)[i] = value;
}

/* Fills a tensor of two axes or more with `gain` times an orthogonal matrix; fails likewise. */
tarn_status tarn__fill_orthogonal(tarn_tensor *t, double gain, uint64_t key);

#endif
