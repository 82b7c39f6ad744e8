/* SPDX-License-Identifier: MIT
 * graph.c - pieces of gradients that are written as operations. */
#include "ops/graph.h"

static tarn_tensor *constant(tarn_tensor *t, tarn_dtype dtype, double value)
{
    return t != NULL ? tarn_full(t->manager, dtype, TARN_SCALAR, value) : NULL;
}

tarn_tensor *tarn__no_dx(tarn_tensor *dy)
{
    return tarn_masked_fill(dy, constant(dy, TARN_U8, 1), 0);
}

tarn_tensor *tarn__both(tarn_tensor *a, tarn_tensor *b) { return tarn_where(a, b, a); }

tarn_tensor *tarn__dy_where(tarn_tensor *condition, tarn_tensor *dy)
{
    return tarn_where(condition, dy, constant(dy, tarn_get_dtype(dy), 0));
}

tarn_tensor *tarn__dy_share(tarn_tensor *dy, tarn_tensor *less, tarn_tensor *equal)
{
    tarn_tensor *shared = tarn_where(equal, tarn_mul_scalar(dy, 0.5), dy);
    return tarn_masked_fill(shared, less, 0);
}
