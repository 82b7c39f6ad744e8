/* SPDX-License-Identifier: MIT
 * batch_norm.c - channels of mean 0 and deviation 1.
 *
 * Letters: x (B, C, M), M standing for all axes after the second. With the statistics of a channel,
 *
 *     u = (x - m) r,   r = 1 / sqrt(v + eps),   y = u w + b,
 *
 * and with the sums s = sum(dy) and t = sum(dy u) over the n = B M elements of a channel,
 *
 *     dw = t,   db = s,   dx = w r dy               where m and v were given,
 *                         dx = w r (dy - s/n - u t/n)   where they are those of x itself.
 *
 * In the second case they come from an operation of their own, batch_moments, of whose result
 * batch_norm is not a function: what x does to it is in dx already. So they are computed once,
 * though both the output and a layer's running statistics need them. */
#include <math.h>

#include "ops/batch_norm.h"
#include "ops/lanes.h"
#include "ops/loop.h"
#include "ops/op_list.h"

static const double DEFAULT_EPS = 1e-5;

typedef struct sizes {
    int64_t B, C, M;
} sizes;

static sizes sizes_of(const tarn__layout *x)
{
    sizes s = { x->dims[0], x->dims[1], 1 };
    for (int i = 2; i < x->ndim; i++) s.M *= x->dims[i];
    return s;
}

/* ---- shape rules */

static tarn_status check_x(const tarn__call *call)
{
    char text[TARN__DESCRIPTION_BYTES];
    if (call->in[0]->layout.ndim >= 2) return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE, "x %s; x (B, C, ...) is needed",
                           tarn__describe(call->in[0], text));
}

static tarn_status infer_moments(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    char text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (check_x(call) != TARN_OK) return TARN_ESHAPE;
    if (x->numel > 0 && x->numel == x->dims[1])
        return tarn__call_fail(call, TARN_ESHAPE,
                               "one element a channel in x %s: more are needed in training",
                               tarn__describe(call->in[0], text));
    *out = (tarn__layout){ .dtype = TARN_F64, .ndim = 2, .dims = { 2, x->dims[1] } };
    return TARN_OK;
}

static tarn_status infer_batch_norm(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    const double eps = call->attr->value;
    char text[TARN__DESCRIPTION_BYTES], other[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (check_x(call) != TARN_OK) return TARN_ESHAPE;
    for (int i = 1; i < call->op->arity; i++) {
        const tarn_tensor *t = call->in[i];
        if (t == NULL || (call->op->any_dtype >> i & 1) != 0) continue; /* the moments fit */
        if (t->layout.ndim != 1 || t->layout.dims[0] != x->dims[1])
            return tarn__call_fail(
                call, TARN_ESHAPE,
                "x %s, %s %s: for the %lld channels of x (axis 1) %s [%lld] is needed",
                tarn__describe(call->in[0], text), call->op->operands[i], tarn__describe(t, other),
                (long long)x->dims[1], call->op->operands[i], (long long)x->dims[1]);
    }
    if (!(eps >= 0 && eps < INFINITY))
        return tarn__call_fail(call, TARN_EARG, "eps is %g; a finite number from 0 on is needed",
                               eps);
    *out = *x;
    return TARN_OK;
}

/* ---- the room to work in: what there is of each channel, in double */

typedef struct channels {
    double *m, *r, *w, *b; /* (C) */
    double *s, *t;         /* (C): sums, of backward */
    void *numbers;         /* (NUMBERS, C): what elements meet, in their type */
} channels;

enum { NUMBERS = 5, PER_CHANNEL = 6 + NUMBERS };

static size_t batch_norm_scratch(const tarn__call *call)
{
    return (size_t)call->in[0]->layout.dims[1] * PER_CHANNEL * sizeof(double);
}

static channels channels_of(const tarn__call *call, int64_t C)
{
    double *at = call->scratch->data;
    return (channels){ at, at + C, at + 2 * C, at + 3 * C, at + 4 * C, at + 5 * C, at + 6 * C };
}

/* What gradients read. Moments or mean are operand 3. */
enum {
    X = TARN__USES_IN0,
    W = TARN__USES_IN1,
    MOMENTS = TARN__USES_IN3,
    MEAN = TARN__USES_IN3,
    VAR = TARN__USES_IN4
};

/* ---- whether statistics are given, and what the wanted gradients read */

static bool are_given(const tarn__call *call) { return call->op == &tarn__op_batch_norm_given; }

/* The bits of `uses` of all operands whose gradients are wanted. */
static unsigned reads_of(const tarn__call *call)
{
    unsigned reads = 0;
    for (int i = 0; i < call->op->arity; i++)
        if (call->din[i] != NULL) reads |= call->op->uses[i];
    return reads;
}

#define TARN_KERNELS "ops/batch_norm.inc"
#include "ops/for_each_simd.h"

/* ---- as other operations */

/* A vector along axis 1 of x. */
static tarn_tensor *along_channels(const tarn__call *call, tarn_tensor *t)
{
    tarn_shape shape = { .ndim = call->in[0]->layout.ndim - 1 };
    for (int i = 0; i < shape.ndim; i++) shape.dims[i] = i == 0 ? t->layout.dims[0] : 1;
    return tarn_reshape(tarn_contiguous(t), shape);
}

/* The mean over everything but channels. */
static tarn_tensor *channel_mean(tarn_tensor *x)
{
    tarn_axes axes = { .n = 1, .keep = 1, .axis = { 0 } };
    for (int i = 2; x != NULL && i < x->layout.ndim; i++) axes.axis[axes.n++] = i;
    return tarn_mean(x, axes);
}

static tarn_tensor *batch_norm_compose(const tarn__call *call)
{
    const bool given = are_given(call);
    tarn_tensor *mean = given ? along_channels(call, call->in[3]) : channel_mean(call->in[0]);
    tarn_tensor *d = tarn_sub(call->in[0], mean);
    tarn_tensor *variance =
        given ? along_channels(call, call->in[4]) : channel_mean(tarn_square(d));
    tarn_tensor *deviation = tarn_sqrt(tarn_add_scalar(variance, call->attr->value));
    tarn_tensor *y = tarn_div(d, deviation);
    if (call->in[1] != NULL) y = tarn_mul(y, along_channels(call, call->in[1]));
    if (call->in[2] != NULL) y = tarn_add(y, along_channels(call, call->in[2]));
    return y;
}

/* ---- the operations */

const tarn__op tarn__op_batch_moments = {
    .name = "batch_moments",
    .operands = { "x" },
    .arity = 1,
    .infer = infer_moments,
    .forward = TARN__KERNELS(moments_forward),
};

const tarn__op tarn__op_batch_norm = {
    .name = "batch_norm",
    .operands = { "x", "weight", "bias", "moments" },
    .arity = 4,
    .optional = 6,
    .any_dtype = 8,
    .uses = { X | W | MOMENTS, X | MOMENTS, 0, 0 },
    .infer = infer_batch_norm,
    .forward = TARN__KERNELS(batch_norm_forward),
    .backward = TARN__KERNELS(batch_norm_backward),
    .scratch = batch_norm_scratch,
    .compose = batch_norm_compose,
};

const tarn__op tarn__op_batch_norm_given = {
    .name = "batch_norm_given",
    .operands = { "x", "weight", "bias", "mean", "var" },
    .arity = 5,
    .optional = 6,
    .uses = { W | VAR, X | MEAN | VAR, 0, W | VAR, X | W | MEAN | VAR },
    .infer = infer_batch_norm,
    .forward = TARN__KERNELS(batch_norm_forward),
    .backward = TARN__KERNELS(batch_norm_backward),
    .scratch = batch_norm_scratch,
    .compose = batch_norm_compose,
};

tarn_tensor *tarn__batch_moments(tarn_tensor *x)
{
    return tarn__apply1(&tarn__op_batch_moments, x, NULL);
}

tarn_tensor *tarn__batch_norm(tarn_tensor *x, tarn_tensor *weight, tarn_tensor *bias,
                              tarn_tensor *moments, double eps)
{
    tarn_tensor *const in[] = { x, weight, bias, moments };
    const tarn__attr attr = { .value = eps != 0 ? eps : DEFAULT_EPS };
    return tarn__apply(&tarn__op_batch_norm, in, &attr);
}

static tarn_tensor *with_own_moments(tarn_tensor *x, tarn_tensor *weight, tarn_tensor *bias,
                                     double eps)
{
    tarn_manager *tm = x != NULL && !x->frozen ? x->manager : NULL;
    const char *label = tm != NULL ? tm->label : NULL;
    if (tm != NULL && label == NULL) tm->label = tarn__op_batch_norm.name;
    tarn_tensor *moments = tarn__batch_moments(x);
    if (tm != NULL) tm->label = label;
    return tarn__batch_norm(x, weight, bias, moments, eps);
}

tarn_tensor *tarn_batch_norm(tarn_tensor *x, tarn_tensor *weight, tarn_tensor *bias,
                             const tarn_batch_norm_options *options)
{
    static const tarn_batch_norm_options defaults;
    const tarn_batch_norm_options *o = options != NULL ? options : &defaults;
    if (o->mean == NULL && o->var == NULL) return with_own_moments(x, weight, bias, o->eps);
    tarn_tensor *const in[] = { x, weight, bias, o->mean, o->var };
    const tarn__attr attr = { .value = o->eps != 0 ? o->eps : DEFAULT_EPS };
    return tarn__apply(&tarn__op_batch_norm_given, in, &attr);
}
