/* SPDX-License-Identifier: MIT
 * row_norm.c - rows of mean 0 and deviation 1: layer_norm, rms_norm and group_norm.
 *
 * All three cut x into rows of n elements and compute, with the statistics of each row,
 *
 *     u = (x - m) r,   m = mean(x),   r = 1 / sqrt(mean((x - m)^2) + eps),   y = u w + b;
 *
 * rms_norm takes m = 0. With g = dy w the gradients are
 *
 *     dx = r (g - mean(g) - u mean(g u)),   dw = sum(dy u),   db = sum(dy),
 *
 * rms_norm's without mean(g), the sums being over the elements that share one of w. The rows' m and
 * r are kept for backward, which computes u again. */
#include <math.h>

#include "ops/lanes.h"
#include "ops/loop.h"
#include "ops/op_list.h"

/* Row i is K stretches of M elements; stretch k has element (i % groups) K + k of w and b. */
typedef struct rows {
    int64_t count, K, M, groups;
    bool centered; /* m is the mean */
} rows;

/* What a row is normalised with: what forward leaves for backward, one a row. */
typedef struct moments {
    double m, r;
} moments;

/* The last attr->axis axes are a row, or a group of channels is. */
static rows rows_of(const tarn__call *call)
{
    const tarn__layout *x = &call->in[0]->layout;
    rows s = { 1, 1, 1, 1, call->op != &tarn__op_rms_norm };
    if (call->op == &tarn__op_group_norm) {
        s.groups = call->attr->sizes[0];
        s.count = x->dims[0] * s.groups;
        s.K = x->dims[1] / s.groups;
        for (int i = 2; i < x->ndim; i++) s.M *= x->dims[i];
        return s;
    }
    for (int i = 0; i < x->ndim; i++)
        *(i < x->ndim - call->attr->axis ? &s.count : &s.K) *= x->dims[i];
    return s;
}

/* ---- shape rules */

/* Whatever does not fit: the shapes of x and of operand i, and the one that is needed. */
static tarn_status misfit(const tarn__call *call, int i, const tarn__layout *needed)
{
    char x[TARN__DESCRIPTION_BYTES], w[TARN__DESCRIPTION_BYTES], n[TARN__DESCRIPTION_BYTES];
    return tarn__call_fail(call, TARN_ESHAPE, "x %s, %s %s; %s %s is needed",
                           tarn__describe(call->in[0], x), call->op->operands[i],
                           tarn__describe(call->in[i], w), call->op->operands[i],
                           tarn__describe_layout(needed, n));
}

/* Weight and bias, where given, have this shape. */
static tarn_status check_weights(const tarn__call *call, const tarn__layout *needed)
{
    for (int i = 1; i < call->op->arity; i++)
        if (call->in[i] != NULL && !tarn__same_shape(&call->in[i]->layout, needed))
            return misfit(call, i, needed);
    return TARN_OK;
}

static tarn_status check_eps(const tarn__call *call)
{
    const double eps = call->attr->value;
    if (eps >= 0 && eps < INFINITY) return TARN_OK;
    return tarn__call_fail(call, TARN_EARG, "eps is %g; a finite number from 0 on is needed", eps);
}

static tarn_status infer_last_axes(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    const int n = call->attr->axis;
    char text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (n < 1 || n > x->ndim)
        return tarn__call_fail(call, TARN_EARG, "%d axes of x %s; 1 to %d are possible", n,
                               tarn__describe(call->in[0], text), x->ndim);
    tarn__layout row = { .dtype = x->dtype, .ndim = (uint8_t)n };
    for (int i = 0; i < n; i++) row.dims[i] = x->dims[x->ndim - n + i];
    tarn_status status = check_weights(call, &row);
    if (status == TARN_OK) status = check_eps(call);
    if (status == TARN_OK) *out = *x;
    return status;
}

static tarn_status infer_groups(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    const int64_t groups = call->attr->sizes[0];
    char text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (x->ndim < 2)
        return tarn__call_fail(call, TARN_ESHAPE, "x %s; x (B, C, ...) is needed",
                               tarn__describe(call->in[0], text));
    if (groups < 1 || x->dims[1] % groups != 0)
        return tarn__call_fail(call, TARN_EARG, "%lld groups of the %lld channels of x %s",
                               (long long)groups, (long long)x->dims[1],
                               tarn__describe(call->in[0], text));
    tarn_status status = check_weights(
        call, &(tarn__layout){ .dtype = x->dtype, .ndim = 1, .dims = { x->dims[1] } });
    if (status == TARN_OK) status = check_eps(call);
    if (status == TARN_OK) *out = *x;
    return status;
}

/* ---- what is kept, and the room that sums need */

static void norm_aux(const tarn__call *call, tarn__layout *layout)
{
    layout->dtype = TARN_F64;
    layout->ndim = 2;
    layout->dims[0] = rows_of(call).count;
    layout->dims[1] = 2;
}

/* The gradients of w and b grow in double. */
static size_t norm_scratch(const tarn__call *call)
{
    const rows s = rows_of(call);
    if (call->dout == NULL || (call->din[1] == NULL && call->din[2] == NULL)) return 0;
    return 2 * (size_t)(s.groups * s.K) * sizeof(double);
}

#define TARN_KERNELS "ops/row_norm.inc"
#include "ops/for_each_simd.h"

/* ---- as other operations */

/* w as it lies beside x: along the last axes as it is, channels along axis 1. */
static tarn_tensor *beside_x(const tarn__call *call, tarn_tensor *w)
{
    if (call->op != &tarn__op_group_norm) return w;
    tarn_shape shape = { .ndim = call->in[0]->layout.ndim - 1 };
    for (int i = 0; i < shape.ndim; i++) shape.dims[i] = i == 0 ? w->layout.dims[0] : 1;
    return tarn_reshape(tarn_contiguous(w), shape);
}

static tarn_tensor *norm_compose(const tarn__call *call)
{
    const rows s = rows_of(call);
    tarn_tensor *x = tarn_contiguous(call->in[0]);
    tarn_tensor *u = tarn_reshape(x, TARN_SHAPE(s.count, s.K * s.M));
    if (s.centered) {
        tarn_tensor *mean = tarn_mean(u, TARN_AXES_KEEP(1));
        u = tarn_sub(u, mean);
    }
    tarn_tensor *square = tarn_square(u);
    tarn_tensor *variance = tarn_mean(square, TARN_AXES_KEEP(1));
    tarn_tensor *deviation = tarn_sqrt(tarn_add_scalar(variance, call->attr->value));
    tarn_tensor *y = tarn_reshape(tarn_div(u, deviation), tarn_get_shape(call->in[0]));
    if (call->in[1] != NULL) y = tarn_mul(y, beside_x(call, call->in[1]));
    if (call->in[2] != NULL) y = tarn_add(y, beside_x(call, call->in[2]));
    return y;
}

/* ---- the operations */

const tarn__op tarn__op_layer_norm = {
    .name = "layer_norm",
    .operands = { "x", "weight", "bias" },
    .arity = 3,
    .optional = 6,
    .uses = { TARN__USES_IN0 | TARN__USES_IN1, TARN__USES_IN0, 0 },
    .infer = infer_last_axes,
    .forward = TARN__KERNELS(norm_forward),
    .backward = TARN__KERNELS(norm_backward),
    .aux = norm_aux,
    .scratch = norm_scratch,
    .compose = norm_compose,
};

const tarn__op tarn__op_rms_norm = {
    .name = "rms_norm",
    .operands = { "x", "weight" },
    .arity = 2,
    .optional = 2,
    .uses = { TARN__USES_IN0 | TARN__USES_IN1, TARN__USES_IN0 },
    .infer = infer_last_axes,
    .forward = TARN__KERNELS(norm_forward),
    .backward = TARN__KERNELS(norm_backward),
    .aux = norm_aux,
    .scratch = norm_scratch,
    .compose = norm_compose,
};

const tarn__op tarn__op_group_norm = {
    .name = "group_norm",
    .operands = { "x", "weight", "bias" },
    .arity = 3,
    .optional = 6,
    .uses = { TARN__USES_IN0 | TARN__USES_IN1, TARN__USES_IN0, 0 },
    .infer = infer_groups,
    .forward = TARN__KERNELS(norm_forward),
    .backward = TARN__KERNELS(norm_backward),
    .aux = norm_aux,
    .scratch = norm_scratch,
    .compose = norm_compose,
};

tarn_tensor *tarn_layer_norm(tarn_tensor *x, int n_axes, tarn_tensor *weight, tarn_tensor *bias,
                             double eps)
{
    tarn_tensor *const in[] = { x, weight, bias };
    return tarn__apply(&tarn__op_layer_norm, in, &(tarn__attr){ .axis = n_axes, .value = eps });
}

tarn_tensor *tarn_rms_norm(tarn_tensor *x, tarn_tensor *weight, double eps)
{
    const int n_axes = weight != NULL ? weight->layout.ndim : 1;
    tarn_tensor *const in[] = { x, weight };
    return tarn__apply(&tarn__op_rms_norm, in, &(tarn__attr){ .axis = n_axes, .value = eps });
}

tarn_tensor *tarn_group_norm(tarn_tensor *x, int64_t groups, tarn_tensor *weight, tarn_tensor *bias,
                             double eps)
{
    tarn_tensor *const in[] = { x, weight, bias };
    return tarn__apply(&tarn__op_group_norm, in,
                       &(tarn__attr){ .sizes = { groups }, .n_sizes = 1, .value = eps });
}
