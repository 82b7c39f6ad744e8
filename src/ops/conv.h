/* SPDX-License-Identifier: MIT
 * conv.h - convolution as three products of the same two sides.
 *
 * The wide side x (B, C, H, W) is what windows slide over; the narrow side y (B, O, H', W') has a
 * place for each window; w (O, C / groups, KH, KW) connects them. With X the columns of x - row
 * (c, r, s) has in column (i, j) what window (i, j) sees at its place (c, r, s) -
 *
 *     y = w X      conv         columns of x, then a product
 *     x = w^T y    conv_transpose, the gradient of x: a product, then columns added up to x
 *     w = y X^T    conv_dw, the gradient of w
 *
 * each for every group by itself. Whichever of the three an operation computes, its gradients are
 * the other two. In one dimension H, H' and KH are 1. */
#ifndef TARN_OPS_CONV_H
#define TARN_OPS_CONV_H

#include <tarn/conv.h>

#include "ops/window.h"

typedef struct tarn__conv {
    int64_t B, groups;
    int64_t C, O; /* channels of one group */
    tarn__window rows, columns;
    int64_t H_W;       /* elements of a channel of x */
    int64_t P;         /* of a channel of y: windows of an image */
    int64_t K;         /* places of a window: C KH KW */
    int64_t most;      /* windows whose columns there is room for; a multiple of P if above it */
    bool is_plain;     /* the columns of x are x itself: one place a window, each the next */
    bool are_tiles;    /* windows whose columns tiles.h parts and joins */
    bool is_depthwise; /* computed by depthwise.h, without columns and products */
} tarn__conv;

/* What is computed at once: windows [first, first + n) of each of some images. More than one image
 * means that n = P. */
typedef struct tarn__conv_piece {
    int64_t image, images;
    int64_t first, n;
} tarn__conv_piece;

/* The next piece, after { 0 } the first; false after the last. */
bool tarn__conv_next(const tarn__conv *c, tarn__conv_piece *piece);

/* ---- attributes: sizes are { stride, stride, padding, padding, dilation, dilation } and two more
 * (of conv_transpose the output's padding, of conv_dw the kernel), key is the number of groups, and
 * choice that of dimensions, 1 or 2. Of one dimension the first of each pair says nothing. */

/* The sizes that follow from shapes and attributes, for elements of so many bytes. */
tarn__conv tarn__conv_of(const tarn__layout *x, const tarn__layout *y, const tarn__layout *w,
                         const tarn__attr *attr);

/* Bytes of room for columns, and for y where a piece has several images. */
size_t tarn__conv_room(const tarn__conv *c, size_t element);

/* Shape rules. */
tarn_status tarn__conv_infer(const tarn__call *call, tarn__layout *out, int64_t *offset);
tarn_status tarn__conv_transpose_infer(const tarn__call *call, tarn__layout *out, int64_t *offset);
tarn_status tarn__conv_dw_infer(const tarn__call *call, tarn__layout *out, int64_t *offset);

#endif
