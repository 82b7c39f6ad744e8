/* SPDX-License-Identifier: MIT
 * matmul.c - y = a b over the last two axes, the axes before them being batches that broadcast.
 *
 * Letters: a (..., M, K), b (..., K, N), y (..., M, N). */
#include <string.h>

#include "ops/gemm.h"
#include "ops/op.h"

typedef struct sizes {
    int64_t M, N, K, batches;
    int64_t a_row, a_column, b_row, b_column; /* strides of the matrices */
} sizes;

/* If b is one matrix and a has no gaps, the batches of a are one matrix of more rows. */
static sizes sizes_of(const tarn__call *call)
{
    const tarn__layout *a = &call->in[0]->layout, *b = &call->in[1]->layout;
    const tarn__layout *y = &call->out->layout;
    const int i = a->ndim - 2, j = b->ndim - 2;
    sizes s = { a->dims[i],    b->dims[j + 1],    a->dims[i + 1], 1,
                a->strides[i], a->strides[i + 1], b->strides[j],  b->strides[j + 1] };
    bool one_b = true;
    for (int axis = 0; axis < y->ndim - 2; axis++) s.batches *= y->dims[axis];
    for (int axis = 0; axis < j; axis++) one_b = one_b && b->dims[axis] == 1;
    if (one_b && a->contiguous) {
        s.M *= s.batches;
        s.batches = 1;
        s.a_row = s.K;
        s.a_column = 1;
    }
    return s;
}

/* ---- walking over the batches of y and, beside it, of both operands and their gradients */

typedef struct walk {
    const tarn__call *call;
    int64_t place[TARN_MAX_DIMS];
    int64_t a, b, da, db; /* offsets in elements of the current batch */
} walk;

/* The stride of a batch axis of y in an operand; 0 where the operand is repeated. */
static int64_t batch_stride(const tarn__layout *y, const tarn__layout *operand, int axis)
{
    const int own = axis - (y->ndim - operand->ndim);
    return own < 0 || operand->dims[own] == 1 ? 0 : operand->strides[own];
}

/* Moves all offsets by `steps` along a batch axis. */
static void walk_move(walk *w, int axis, int64_t steps)
{
    const tarn__call *call = w->call;
    const tarn__layout *y = &call->out->layout;
    w->a += steps * batch_stride(y, &call->in[0]->layout, axis);
    w->b += steps * batch_stride(y, &call->in[1]->layout, axis);
    if (call->din[0] != NULL) w->da += steps * batch_stride(y, &call->din[0]->layout, axis);
    if (call->din[1] != NULL) w->db += steps * batch_stride(y, &call->din[1]->layout, axis);
}

static void walk_begin(walk *w, const tarn__call *call) { *w = (walk){ .call = call }; }

static void walk_next(walk *w)
{
    const tarn__layout *y = &w->call->out->layout;
    for (int axis = y->ndim - 3; axis >= 0; axis--) {
        walk_move(w, axis, 1);
        if (++w->place[axis] < y->dims[axis]) return;
        walk_move(w, axis, -y->dims[axis]);
        w->place[axis] = 0;
    }
}

/* ---- the shape rule */

/* Holds the error: a and b, and what is wrong with them. */
static tarn_status misfit(const tarn__call *call, const char *what)
{
    char a[TARN__DESCRIPTION_BYTES], b[TARN__DESCRIPTION_BYTES];
    return tarn__call_fail(call, TARN_ESHAPE, "a %s, b %s: %s", tarn__describe(call->in[0], a),
                           tarn__describe(call->in[1], b), what);
}

static tarn_status matmul_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *a = &call->in[0]->layout, *b = &call->in[1]->layout;
    (void)offset;
    if (a->ndim < 2 || b->ndim < 2)
        return misfit(call, "a matrix has at least two axes; tarn_reshape adds one");
    if (a->dims[a->ndim - 1] != b->dims[b->ndim - 2])
        return misfit(call, "the last size of a and the last but one of b differ");
    out->dtype = a->dtype;
    out->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    out->dims[out->ndim - 2] = a->dims[a->ndim - 2];
    out->dims[out->ndim - 1] = b->dims[b->ndim - 1];
    for (int axis = out->ndim - 3; axis >= 0; axis--) {
        const int i = axis - (out->ndim - a->ndim), j = axis - (out->ndim - b->ndim);
        const int64_t p = i < 0 ? 1 : a->dims[i], q = j < 0 ? 1 : b->dims[j];
        if (p != q && p != 1 && q != 1) return misfit(call, "the batches do not broadcast");
        out->dims[axis] = p == 1 ? q : p;
    }
    return TARN_OK;
}

#define TARN_KERNELS "ops/matmul.inc"
#include "ops/for_each_float.h"

const tarn__op tarn__op_matmul = {
    .name = "matmul",
    .operands = { "a", "b" },
    .arity = 2,
    .layout = TARN__MATRICES,
    .uses = { TARN__USES_IN1, TARN__USES_IN0 },
    .infer = matmul_infer,
    .forward = TARN__FLOATS(matmul_forward),
    .backward = TARN__FLOATS(matmul_backward),
};

tarn_tensor *tarn_matmul(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_matmul, a, b, NULL);
}
