/* SPDX-License-Identifier: MIT
 * graph.h - pieces of gradients that are written as operations (op.h, `graph`). A NULL passes
 * through them, as it does through operations. */
#ifndef TARN_OPS_GRAPH_H
#define TARN_OPS_GRAPH_H

#include "ops/op.h"

/* Zeros in the shape of dy. They count as computed from it, so that they can be differentiated in
 * turn, to zeros again. */
tarn_tensor *tarn__no_dx(tarn_tensor *dy);

/* Where two conditions hold, both of them results of comparisons. */
tarn_tensor *tarn__both(tarn_tensor *a, tarn_tensor *b);

/* dy where the condition holds, else 0. */
tarn_tensor *tarn__dy_where(tarn_tensor *condition, tarn_tensor *dy);

/* What an operand receives of dy for being larger than another: nothing where it is less, half
 * where both are equal, else all. */
tarn_tensor *tarn__dy_share(tarn_tensor *dy, tarn_tensor *less, tarn_tensor *equal);

#endif
