/* SPDX-License-Identifier: MIT
 * init.h - initial weights: from what a user asks to numbers. */
#ifndef TARN_NN_INIT_H
#define TARN_NN_INIT_H

#include <tarn/module.h>

#include "core/tensor.h"

/* Turns any initialiser into the constant, uniform or normal one that it means for a parameter of
 * this layout; NULL is the default. Holds TARN_EARG, naming `label` and `name`, if its numbers or
 * what they lead to do not fit. */
tarn_status tarn__init_resolve(tarn_manager *tm, const char *label, const char *name,
                               const tarn_init *init, const tarn__layout *layout, tarn_init *out);

/* Fills a contiguous tensor by a resolved initialiser; element i depends on the key and i alone. */
void tarn__init_fill(tarn_tensor *t, const tarn_init *resolved, uint64_t key);

#endif
