/* SPDX-License-Identifier: MIT
 * window.h - windows that slide along an axis: what convolution and pooling have in common.
 *
 * Window j of an axis looks at the places j * stride - padding + t * dilation, t = 0 to kernel - 1,
 * of which those outside [0, size) are padding. */
#ifndef TARN_OPS_WINDOW_H
#define TARN_OPS_WINDOW_H

#include "ops/op.h"

typedef struct tarn__window {
    int64_t size; /* of the axis */
    int64_t kernel, stride, padding, dilation;
    int64_t count; /* of the windows */
} tarn__window;

/* The extent of one window less 1. */
static inline int64_t tarn__window_reach(const tarn__window *w)
{
    return w->dilation * (w->kernel - 1);
}

/* Whether a shape that an operation was given beside x, called `name`, is a pair; else TARN_EARG is
 * held, where x says by which manager. */
bool tarn__window_pair(const tarn__op *op, const tarn_tensor *x, const char *name,
                       const tarn_shape *shape);

/* Holds TARN_EARG unless least <= value <= INT32_MAX. So many at most are allowed of everything
 * here, so that no sum of their products overflows. */
tarn_status tarn__window_number(const tarn__call *call, const char *name, int64_t value,
                                int64_t least);

/* The same for stride, padding and dilation. */
tarn_status tarn__window_numbers(const tarn__call *call, const tarn__window *w);

/* Sets `count` for the size, floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1;
 * or the other way round `size` for the count, with `more` places at the end that no window
 * reaches. Holds TARN_ESHAPE if that is below 1; the message says along which axis, and begins with
 * `operands`. */
tarn_status tarn__window_slide(const tarn__call *call, tarn__window *w, int axis,
                               const char *operands);
tarn_status tarn__window_spread(const tarn__call *call, tarn__window *w, int64_t more, int axis,
                                const char *operands);

#endif
