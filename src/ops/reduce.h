/* SPDX-License-Identifier: MIT
 * reduce.h - what reductions share: their axes, and the two walks they are made of. */
#ifndef TARN_OPS_REDUCE_H
#define TARN_OPS_REDUCE_H

#include "ops/loop.h"
#include "ops/op.h"

/* Checks the axes and applies `op`, whose attributes are then `axes` and `keep`. */
tarn_tensor *tarn__apply_reduction(const tarn__op *op, tarn_tensor *x, const tarn_axes *axes);

/* Outputs that are computed together: a piece of a row of them. */
enum { TARN__REDUCE_PIECE = 64 };

/* A block of x: the terms of `w` outputs, `n` of each. Term i of output j is at x[j * across + i *
 * along]. */
typedef struct tarn__reduce_block {
    int64_t w, n;
    int64_t across, along;
    int64_t place; /* of the first term among all of its output, in the order of the reduced axes */
    const void *x;
} tarn__reduce_block;

/* Walks x block by block: for each piece of outputs, in order, the blocks of their terms, in
 * order. */
typedef struct tarn__reduction {
    tarn__loop outputs, terms;
    int64_t done;  /* outputs of this row before this piece */
    int64_t bytes; /* of an element of x */
    const char *x;
    tarn__reduce_block block;
} tarn__reduction;

void tarn__reduction_begin(tarn__reduction *r, const tarn_tensor *x, uint32_t axes);

/* The same where outputs are the elements of a tensor y of the shape of x, which repeats them along
 * `axes`: those of a piece begin at outputs.offset[1] + done * outputs.step[1]. */
void tarn__reduction_begin_into(tarn__reduction *r, const tarn_tensor *x, uint32_t axes,
                                const tarn_tensor *y);

/* Goes to the next block of the same outputs; false if there is none. */
bool tarn__reduction_next_block(tarn__reduction *r);

/* Goes to the first block of the next outputs; false if there are none. */
bool tarn__reduction_next_piece(tarn__reduction *r);

/* Adds to each element of y, an expanded view, the sum of those elements of x, of its shape and
 * float type, for which it stands. */
void tarn__add_sums(tarn_tensor *y, const tarn_tensor *x);

#endif
