/* SPDX-License-Identifier: MIT
 * reduce.h - what reductions share: their axes, and the two walks they are made of. */
#ifndef TARN_OPS_REDUCE_H
#define TARN_OPS_REDUCE_H

#include "ops/loop.h"
#include "ops/op.h"

/* ---- axes */

/* Checks the axes and applies `op`, whose attributes are then `axes` and `keep`; and `value`, for
 * those that take a number. */
tarn_tensor *tarn__apply_reduction(const tarn__op *op, tarn_tensor *x, const tarn_axes *axes);
tarn_tensor *tarn__apply_reduction_by(const tarn__op *op, tarn_tensor *x, const tarn_axes *axes,
                                      double value);

/* Checks the axis and applies `op` along it: attr.axis counts from the first then. */
tarn_tensor *tarn__apply_along(const tarn__op *op, tarn_tensor *x, int axis);

/* The number of terms of each output, as a divisor: that of an empty output may be any. */
double tarn__n_terms(const tarn__call *call);

/* A layout of the output as if the reduced axes of x had been kept, so that it broadcasts to x. The
 * offset of an element is its number among the outputs. */
tarn__layout tarn__kept_layout(const tarn__layout *x, uint32_t axes);

/* ---- walks */

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

/* For the kernels: runs a statement for each term of a block, in which `x` is the term, j the
 * number of its output in the piece and i that of the term in the block. The loops run along the
 * stride at which terms lie closest; the order within one output is the same either way. */
#define TARN__EACH_TERM(block, statement)                               \
    do {                                                                \
        const REAL *xs = (block)->x;                                    \
        const int64_t across = (block)->across, along = (block)->along; \
        if (along <= across)                                            \
            for (int64_t j = 0; j < (block)->w; j++)                    \
                for (int64_t i = 0; i < (block)->n; i++) {              \
                    const REAL x = xs[j * across + i * along];          \
                    statement;                                          \
                }                                                       \
        else                                                            \
            for (int64_t i = 0; i < (block)->n; i++)                    \
                for (int64_t j = 0; j < (block)->w; j++) {              \
                    const REAL x = xs[j * across + i * along];          \
                    statement;                                          \
                }                                                       \
    } while (0)

/* The same for all blocks of a piece, after which the walk is at the first of them again. */
#define TARN__EACH_TERM_OF_PIECE(reduction, statement)  \
    do TARN__EACH_TERM(&(reduction)->block, statement); \
    while (tarn__reduction_next_block(reduction))

/* Adds up k formulas of all terms x of each output j of a piece, in double: total[t][j] of them are
 * the sums of term[t]. Rows of terms without gaps go to lanes, as lanes.h says of k, op, unit and
 * the statements; columns of them vectorise as they are. */
#define TARN__TOTAL_PIECE(k, op, unit, reduction, total, ...)                                  \
    do {                                                                                       \
        for (int t = 0; t < (k); t++)                                                          \
            for (int64_t j = 0; j < (reduction)->block.w; j++) (total)[t][j] = (unit);         \
        do {                                                                                   \
            const tarn__reduce_block block = (reduction)->block;                               \
            const REAL *xs = block.x;                                                          \
            if (block.along == 1 && block.n > 1)                                               \
                for (int64_t j = 0; j < block.w; j++, xs += block.across) {                    \
                    double of_row[k];                                                          \
                    IN_LANES(k, op, unit, block.n, of_row, const NUMBER x = TAKE(xs);          \
                             __VA_ARGS__);                                                     \
                    for (int t = 0; t < (k); t++) (total)[t][j] = (total)[t][j] op of_row[t];  \
                }                                                                              \
            else if (block.across == 1)                                                        \
                for (int64_t i = 0; i < block.n; i++, xs += block.along) {                     \
                    TARN__INDEPENDENT                                                          \
                    for (int64_t j = 0; j < block.w; j++)                                      \
                        TARN__TOTAL_TERM(k, op, total, xs[j], __VA_ARGS__)                     \
                }                                                                              \
            else                                                                               \
                for (int64_t j = 0; j < block.w; j++)                                          \
                    for (int64_t i = 0; i < block.n; i++)                                      \
                        TARN__TOTAL_TERM(k, op, total, xs[j * block.across + i * block.along], \
                                         __VA_ARGS__)                                          \
        } while (tarn__reduction_next_block(reduction));                                       \
    } while (0)
#define TARN__TOTAL_TERM(k, op, total, element, ...)                            \
    {                                                                           \
        const double x = (double)(element);                                     \
        double term[k];                                                         \
        __VA_ARGS__;                                                            \
        for (int t = 0; t < (k); t++) (total)[t][j] = (total)[t][j] op term[t]; \
    }

/* Stores or adds each element of dx: `x` is the same element of the operand, `dy` and `o` are the
 * gradient and the number of its output, of which `constants` declares what does not depend on x.
 */
#define TARN__EACH_GRADIENT(call, constants, formula)                                              \
    do {                                                                                           \
        const tarn_tensor *in = (call)->in[0], *din = (call)->din[0];                              \
        const tarn__layout kept = tarn__kept_layout(&din->layout, (call)->attr->axes);             \
        const REAL *dys = (call)->dout->data;                                                      \
        const bool add = (call)->add[0];                                                           \
        tarn__loop loop;                                                                           \
        tarn__loop_begin(&loop, &din->layout, 3,                                                   \
                         (const tarn__layout *const[]){ &din->layout, &in->layout, &kept });       \
        do {                                                                                       \
            REAL *to = (REAL *)din->data + loop.offset[0];                                         \
            const REAL *from = (const REAL *)in->data + loop.offset[1];                            \
            const int64_t first = loop.offset[2], step = loop.step[1], o_step = loop.step[2];      \
            if (o_step == 0) {                                                                     \
                const int64_t o = first;                                                           \
                const REAL dy = dys[o];                                                            \
                constants;                                                                         \
                if (step == 1) TARN__GRADIENTS(1, , formula)                                       \
                else TARN__GRADIENTS(step, , formula)                                              \
            } else if (step == 1 && o_step == 1) {                                                 \
                TARN__GRADIENTS(1, const int64_t o = first + i; const REAL dy = dys[o]; constants; \
                                , formula)                                                         \
            } else {                                                                               \
                TARN__GRADIENTS(step, const int64_t o = first + i * o_step;                        \
                                const REAL dy = dys[o]; constants;, formula)                       \
            }                                                                                      \
        } while (tarn__loop_next(&loop));                                                          \
    } while (0)
#define TARN__GRADIENTS(step, of_output, formula)                        \
    {                                                                    \
        if (add) TARN__GRADIENTS_INTO(to[i] +, step, of_output, formula) \
        else TARN__GRADIENTS_INTO(, step, of_output, formula)            \
    }
#define TARN__GRADIENTS_INTO(before, step, of_output, formula) \
    {                                                          \
        TARN__INDEPENDENT                                      \
        for (int64_t i = 0; i < loop.n; i++) {                 \
            const REAL x = from[i * (step)];                   \
            of_output to[i] = before(formula);                 \
        }                                                      \
    }

/* Visits the outputs of a reduction one after the other; each time `terms` walks through its terms,
 * in x at terms.offset[0] after x_first, in dx, which has x's shape, at terms.offset[1] after
 * dx_first, in elements. */
typedef struct tarn__terms {
    tarn__loop outputs, terms;
    int64_t done; /* outputs of this row before this one */
    int64_t x_first, dx_first;
} tarn__terms;

void tarn__terms_begin(tarn__terms *t, const tarn_tensor *x, uint32_t axes, const tarn_tensor *dx);

/* Goes to the next output; false if there is none. */
bool tarn__terms_next(tarn__terms *t);

/* Adds to each element of y, an expanded view, the sum of those elements of x, of its shape and
 * float type, for which it stands. */
void tarn__add_sums(tarn_tensor *y, const tarn_tensor *x);

/* ---- gradients as expressions (reduce_graphs.c) */

/* A tensor of the output's shape with the reduced axes kept, so that it broadcasts to x; repeated
 * to the shape of x; and the axes themselves, to be kept. */
tarn_tensor *tarn__as_kept(const tarn__call *call, tarn_tensor *t);
tarn_tensor *tarn__repeated(const tarn__call *call, tarn_tensor *t);
tarn_axes tarn__kept_axes(const tarn__call *call);

/* a / b, 0 where b is 0; b broadcasts to a. */
tarn_tensor *tarn__divide_or_0(tarn_tensor *a, tarn_tensor *b);

/* In the shape of x: t, which broadcasts to it, at the terms whose places (those of argmax, axes
 * kept) are given, and 0 elsewhere. */
tarn_tensor *tarn__at_winners(const tarn__call *call, tarn_tensor *winners, tarn_tensor *t);

#endif
