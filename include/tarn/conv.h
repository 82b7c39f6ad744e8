/* conv.h - convolution and pooling. (ops.h says how operations fail and what they are recorded
 * for.)
 *
 * Letters: B images of C channels, each H rows of W columns; or in one dimension B sequences of
 * C channels, each of length L. The kernel has KH rows and KW columns, or K places. H' is the size
 * that comes out where H goes in.
 *
 * Pairs in options are { of rows, of columns }; functions of one dimension read the first number. A
 * padding of p stands for p places more on both sides. Sizes, kernels and what options hold are at
 * most 2^31 - 1. */
#ifndef TARN_CONV_H
#define TARN_CONV_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/ops.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- convolution */

typedef struct tarn_conv_options {
    int64_t stride[2];         /* 0: 1 */
    int64_t padding[2];        /* zeros around */
    int64_t dilation[2];       /* from one place of the kernel to the next; 0: 1 */
    int64_t groups;            /* channels in so many groups, each seeing its own; 0: 1 */
    int64_t output_padding[2]; /* conv_transpose only: places more at the end, less than the
                                  stride */
} tarn_conv_options;

/* Convolution: each element of y is a window of x, weighed by the kernels of one output channel.
 * y[b,o,i,j] = bias[o] + the sum over c, r, s of w[o,c,r,s] x[b,c, i stride - padding + r dilation,
 * j stride - padding + s dilation], which is 0 outside x; c runs over the channels of o's group.
 *   x (B, C, H, W)   w (O, C / groups, KH, KW)   bias (O) or NULL   ->   y (B, O, H', W')
 *   H' = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1, and W' likewise
 * dx = conv_transpose(dy, w), dw = conv_dw(x, dy), dbias = dy summed over all axes but 1. Backward
 * arranges x into columns again, piece by piece; nothing but x and w is kept. NULL options mean
 * every default.
 * Fails also: TARN_EARG for options out of range; TARN_ESHAPE if H' or W' is below 1. */
TARN_API tarn_tensor *tarn_conv2d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                                  const tarn_conv_options *options);
/* Convolution in one dimension.
 *   x (B, C, L)   w (O, C / groups, K)   bias (O) or NULL   ->   y (B, O, L') */
TARN_API tarn_tensor *tarn_conv1d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                                  const tarn_conv_options *options);

/* The adjoint of the convolution with the same w and options. Each element of x, times the kernel,
 * is added to the places that the convolution would have read for it.
 *   x (B, C, H, W)   w (C, O / groups, KH, KW)   bias (O) or NULL   ->   y (B, O, H', W')
 *   H' = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1, and W' likewise
 * dx = conv(dy, w), dw = conv_dw(dy, x), dbias = dy summed over all axes but 1.
 * Fails also: TARN_EARG for options out of range; TARN_ESHAPE if H' or W' is below 1. */
TARN_API tarn_tensor *tarn_conv_transpose2d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                                            const tarn_conv_options *options);
/* The adjoint of the convolution in one dimension.
 *   x (B, C, L)   w (C, O / groups, K)   bias (O) or NULL   ->   y (B, O, L') */
TARN_API tarn_tensor *tarn_conv_transpose1d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                                            const tarn_conv_options *options);

/* The gradient of a convolution of x with respect to its weight, from the gradient dy of its
 * result. dw[o,c,r,s] is the sum over b, i, j of dy[b,o,i,j] times what the convolution multiplied
 * by w[o,c,r,s]. With conv and conv_transpose it is closed under differentiation.
 *   x (B, C, H, W)   dy (B, O, H', W')   kernel (KH, KW)   ->   dw (O, C / groups, KH, KW)
 * The gradient v of dw gives dx = conv_transpose(dy, v), ddy = conv(x, v).
 * Fails also: TARN_EARG for options out of range; TARN_ESHAPE unless the convolution of x has the
 * shape of dy. */
TARN_API tarn_tensor *tarn_conv2d_dw(tarn_tensor *x, tarn_tensor *dy, tarn_shape kernel,
                                     const tarn_conv_options *options);
/* The same in one dimension.
 *   x (B, C, L)   dy (B, O, L')   kernel K   ->   dw (O, C / groups, K) */
TARN_API tarn_tensor *tarn_conv1d_dw(tarn_tensor *x, tarn_tensor *dy, int64_t kernel,
                                     const tarn_conv_options *options);

/* ---- pooling: each channel by itself
 *
 *   x (B, C, H, W)   ->   y (B, C, H', W'),   H' = floor((H + 2 padding - KH) / stride) + 1
 *   x (B, C, L)      ->   y (B, C, L') */

typedef struct tarn_pooling_options {
    int64_t stride[2];  /* 0: the kernel's size, so that windows lie side by side */
    int64_t padding[2]; /* at most half the kernel */
    bool count_inside;  /* averages: divide by the places inside x, not by all of the window */
} tarn_pooling_options;

/* The largest element of each window, the first of equals; NaN if there is any. Padding never wins.
 * The gradient goes to the element that won. What is kept for backward is the places of the
 * winners, 4 bytes each, and not x. NULL options mean every default.
 * Fails also: TARN_EARG for options out of range; TARN_ESHAPE if H' or W' is below 1; TARN_ELIMIT
 * if a channel has more than 2^31 - 1 elements. */
TARN_API tarn_tensor *tarn_max_pool2d(tarn_tensor *x, tarn_shape kernel,
                                      const tarn_pooling_options *options);
TARN_API tarn_tensor *tarn_max_pool1d(tarn_tensor *x, int64_t kernel,
                                      const tarn_pooling_options *options);

/* The mean of each window, in which padding counts as zeros or, with count_inside, not at all.
 * dx = dy / count, added to each element of the window. Nothing is kept.
 * Fails also: TARN_EARG for options out of range; TARN_ESHAPE if H' or W' is below 1. */
TARN_API tarn_tensor *tarn_avg_pool2d(tarn_tensor *x, tarn_shape kernel,
                                      const tarn_pooling_options *options);
TARN_API tarn_tensor *tarn_avg_pool1d(tarn_tensor *x, int64_t kernel,
                                      const tarn_pooling_options *options);

/* The largest element, or the mean, of a given number of windows. Window i of n covers [floor(i H /
 * n), ceil((i + 1) H / n)), so that together they cover all and neighbours overlap by one place at
 * most; (1, 1) is one window of everything. Gradients are those of max_pool and avg_pool.
 *   x (B, C, H, W)   size (H', W')   ->   y (B, C, H', W')
 * Fails also: TARN_EARG for sizes below 1; TARN_ESHAPE if H or W is 0; TARN_ELIMIT as max_pool2d.
 */
TARN_API tarn_tensor *tarn_adaptive_max_pool2d(tarn_tensor *x, tarn_shape size);
TARN_API tarn_tensor *tarn_adaptive_avg_pool2d(tarn_tensor *x, tarn_shape size);

TARN_END_DECLS

#endif
