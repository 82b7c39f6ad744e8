/* SPDX-License-Identifier: MIT
 * cases_losses.c - cases of losses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op_cases.h"

/* ---- losses */

static bool cross_entropy_variant(int i, op_variant *v)
{
    static const struct {
        int64_t B, C;
        tarn_dtype dtype;
    } variants[] = { { 1, 1, TARN_I64 },
                     { 4, 3, TARN_I64 },
                     { 4, 3, TARN_I32 },
                     { 5, 10, TARN_U8 },
                     { 0, 3, TARN_I64 } };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = TARN_SHAPE(variants[i].B, variants[i].C);
    v->shape[1] = TARN_SHAPE(variants[i].B);
    v->dtype = variants[i].dtype;
    return true;
}

static void cross_entropy_reference(const op_array *in, const op_variant *v, op_array *out,
                                    op_array *magnitude)
{
    const int64_t B = in[0].shape.dims[0], C = in[0].shape.dims[1];
    (void)v;
    op_array_make(out, TARN_SCALAR);
    op_array_make(magnitude, TARN_SCALAR);
    for (int64_t b = 0; b < B; b++) {
        double max;
        const double *row = in[0].data + b * C;
        const double log_sum = op_log_sum(C, 1, row, &max), x = row[(int64_t)in[1].data[b]];
        out->data[0] += log_sum - (x - max);
        magnitude->data[0] += fabs(log_sum) + fabs(x - max) + 1;
    }
    out->data[0] /= (double)B;
    magnitude->data[0] /= (double)B;
}

static bool loss_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[] = { { 0, { 0 } },       { 1, { 1 } }, { 2, { 4, 1 } },
                                         { 3, { 2, 3, 4 } }, { 1, { 0 } }, { 1, { 600 } } };
    if (i >= OP_LENGTH(shapes)) return false;
    v->shape[0] = v->shape[1] = shapes[i];
    return true;
}

#define MEAN_LOSS(op, f, size)                                                         \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        (void)v;                                                                       \
        op_array_make(out, TARN_SCALAR);                                               \
        op_array_make(magnitude, TARN_SCALAR);                                         \
        for (int64_t i = 0; i < in->n; i++) {                                          \
            const double x = in[0].data[i], y = in[1].data[i];                         \
            out->data[0] += (f);                                                       \
            magnitude->data[0] += (size);                                              \
        }                                                                              \
        out->data[0] /= (double)in->n;                                                 \
        magnitude->data[0] /= (double)in->n;                                           \
    }
/* -y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x)), without overflow */
MEAN_LOSS(bce_with_logits, fmax(x, 0) - x * y + log1p(exp(-fabs(x))), fabs(x) * (1 + fabs(y)) + 1)
MEAN_LOSS(mse, (x - y) * (x - y), (fabs(x) + fabs(y)) * (fabs(x) + fabs(y)))

#define LOSS_APPLY(op)                                                          \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v) \
    {                                                                           \
        (void)v;                                                                \
        return tarn_##op(in[0], in[1]);                                         \
    }
LOSS_APPLY(cross_entropy)
LOSS_APPLY(bce_with_logits)
LOSS_APPLY(mse)

/* ---- the table */

/* clang-format off */

const op_case op_cases_losses[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(cross_entropy,   2, OF(OP_ANY, OP_LABELS),         cross_entropy_variant, 4,   8, OP_NO_SCALAR),
    ROW(bce_with_logits, 2, OF(OP_ANY, OP_UNIT),           loss_variant,          4,   8, OP_NO_INFINITY),
    ROW(mse,             2, OF(OP_ANY, OP_ANY),            loss_variant,          2,  16, 0),
    { 0 },
};
