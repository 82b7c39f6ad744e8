/* SPDX-License-Identifier: MIT
 * cumsum.c - running sums along one axis. */
#include "ops/op_list.h"
#include "ops/reduce.h"

/* attr.choice: where the sums begin. The gradient of one is the other of dy. */
enum { FROM_FIRST, FROM_LAST };

/* Lanes side by side, of n terms each. y may be the memory of x. */
typedef struct lanes {
    int64_t w, n;
    const void *x;
    int64_t x_across, x_along;
    void *y;
    int64_t y_across, y_along;
    bool add;
} lanes;

#define TARN_KERNELS "ops/cumsum.inc"
#include "ops/for_each_float.h"

static tarn_tensor *cumsum_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn__attr attr = { .axis = call->attr->axis };
    attr.choice = call->attr->choice == FROM_FIRST ? FROM_LAST : FROM_FIRST;
    return tarn__apply1(call->op, call->dout, &attr);
}

const tarn__op tarn__op_cumsum = {
    .name = "cumsum",
    .operands = { "x" },
    .arity = 1,
    .layout = TARN__STRIDED,
    .grad_in_place = true,
    .infer = tarn__infer_same,
    .forward = TARN__FLOATS(cumsum_forward),
    .backward = TARN__FLOATS(cumsum_backward),
    .graph = cumsum_graph,
};

tarn_tensor *tarn_cumsum(tarn_tensor *x, int axis)
{
    return tarn__apply_along(&tarn__op_cumsum, x, axis);
}
