/* SPDX-License-Identifier: MIT
 * leaf.h - the memory of gradients, and those of leaves, for backward and for optimisers. */
#ifndef TARN_AUTOGRAD_LEAF_H
#define TARN_AUTOGRAD_LEAF_H

#include <tarn/autograd.h>

#include "core/tensor.h"

/* Memory for a gradient of t, leaf or not, that nobody owns; NULL with the error held. */
tarn_tensor *tarn__gradient_new(const tarn_tensor *t, tarn_fill fill, uint32_t tag);

/* The gradient of a leaf, made if there is none yet (then it reads as zeros); NULL with the error
 * held. */
tarn_tensor *tarn__leaf_grad(tarn_tensor *t);

/* Empties it. */
void tarn__leaf_empty(tarn_tensor *t);

#endif
