/* SPDX-License-Identifier: MIT
 * softmax.c - softmax and log_softmax along one axis. */
#include "ops/op_list.h"
#include "ops/real.h"

/* A tensor without gaps as rows along an axis: `before` x n x `after` elements, of which row (i, j)
 * has those at i * n * after + j and then every `after`. */
typedef struct rows {
    int64_t before, n, after;
} rows;

static rows rows_of(const tarn__layout *layout, int axis)
{
    rows r = { 1, layout->dims[axis], 1 };
    for (int i = 0; i < axis; i++) r.before *= layout->dims[i];
    for (int i = axis + 1; i < layout->ndim; i++) r.after *= layout->dims[i];
    return r;
}

#define TARN_KERNELS "ops/softmax.inc"
#include "ops/for_each_float.h"

const tarn__op tarn__op_softmax = {
    .name = "softmax",
    .operands = { "x" },
    .arity = 1,
    .grad_in_place = true,
    .uses = { TARN__USES_OUT },
    .infer = tarn__infer_same,
    .forward = TARN__FLOATS(softmax_forward),
    .backward = TARN__FLOATS(softmax_backward),
};

const tarn__op tarn__op_log_softmax = {
    .name = "log_softmax",
    .operands = { "x" },
    .arity = 1,
    .grad_in_place = true,
    .uses = { TARN__USES_OUT },
    .infer = tarn__infer_same,
    .forward = TARN__FLOATS(log_softmax_forward),
    .backward = TARN__FLOATS(log_softmax_backward),
};

static tarn_tensor *along_axis(const tarn__op *op, tarn_tensor *x, int axis)
{
    tarn__attr attr = { 0 };
    if (x != NULL && (attr.axis = tarn__axis(&x->layout, axis)) < 0) {
        const tarn__call call = { .op = op, .manager = x->manager };
        char text[TARN__DESCRIPTION_BYTES];
        (void)tarn__call_fail(&call, TARN_EARG, "x %s has no axis %d", tarn__describe(x, text),
                              axis);
        return NULL;
    }
    return tarn__apply1(op, x, &attr);
}

tarn_tensor *tarn_softmax(tarn_tensor *x, int axis)
{
    return along_axis(&tarn__op_softmax, x, axis);
}

tarn_tensor *tarn_log_softmax(tarn_tensor *x, int axis)
{
    return along_axis(&tarn__op_log_softmax, x, axis);
}
