/* SPDX-License-Identifier: MIT
 * pooling.c - the largest element or the mean of windows of each channel.
 *
 * Windows have a fixed size and slide, or (adaptive) have a fixed number and share the axis among
 * them. Of the largest, the place is kept: for F32 and windows of 2 x 2 a quarter of the bytes of
 * x, which backward then does not need, nor to search again.
 *
 * Attributes: sizes are { kernel, kernel, stride, stride, padding, padding } and, of avg_unpool,
 * the size that comes out; adaptive: { size, size }. choice is a TARN__POOLING_*, keep: padding
 * does not count. In one dimension the first of each pair says nothing. */
#include "ops/pooling.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/loop.h"
#include "ops/op_list.h"
#include "ops/pooling_walk.h"

#define TARN_KERNELS "ops/pooling_max.inc"
#include "ops/for_each_simd.h"
#define TARN_KERNELS "ops/pooling_mean.inc"
#include "ops/for_each_simd.h"

/* ---- shape rules */

static tarn_status check_rank(const tarn__call *call)
{
    char text[TARN__DESCRIPTION_BYTES];
    const bool one = call->attr->choice == TARN__POOLING_1D;
    const char *name = call->op->operands[0];
    if (call->in[0]->layout.ndim == (one ? 3 : 4)) return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE, "%s %s; %s (B, C, %s) is needed", name,
                           tarn__describe(call->in[0], text), name, one ? "L" : "H, W");
}

static tarn_status check_numbers(const tarn__call *call, const tarn__window *w)
{
    tarn_status status = tarn__window_number(call, "kernel", w->kernel, 1);
    if (status == TARN_OK) status = tarn__window_numbers(call, w);
    if (status != TARN_OK || w->padding <= w->kernel / 2) return status;
    return tarn__call_fail(call, TARN_EARG,
                           "padding is %lld with a kernel of %lld; at most half of that, %lld, is "
                           "possible",
                           (long long)w->padding, (long long)w->kernel, (long long)(w->kernel / 2));
}

/* The number of windows along axis `axis` of x, whose size is `size`. */
static tarn_status count_windows(const tarn__call *call, int axis, int64_t size, int64_t *count)
{
    char shape[TARN__DESCRIPTION_BYTES], text[TARN__DESCRIPTION_BYTES + 8];
    const tarn__attr *attr = call->attr;
    const int i = axis - call->in[0]->layout.ndim + 2; /* 0: rows, 1: columns */
    (void)snprintf(text, sizeof(text), "%s %s", call->op->operands[0],
                   tarn__describe(call->in[0], shape));
    if (attr->choice == TARN__POOLING_ADAPTIVE) {
        *count = attr->sizes[i];
        if (size < 1)
            return tarn__call_fail(call, TARN_ESHAPE, "%s is empty along axis %d", text, axis);
        return tarn__window_number(call, "size", *count, 1);
    }
    tarn__window w = window_of(attr, i);
    w.size = size;
    tarn_status status = check_numbers(call, &w);
    if (status == TARN_OK) status = tarn__window_slide(call, &w, axis, text);
    *count = w.count;
    return status;
}

/* Places are kept as int32. */
static tarn_status check_plane(const tarn__call *call, const tarn__layout *x)
{
    char text[TARN__DESCRIPTION_BYTES];
    int64_t n = 1;
    for (int axis = 2; axis < x->ndim; axis++)
        n = x->dims[axis] > INT32_MAX / n ? INT64_MAX : n * x->dims[axis];
    if (n <= INT32_MAX) return TARN_OK;
    return tarn__call_fail(call, TARN_ELIMIT, "x %s: a channel may have %d elements at most",
                           tarn__describe_layout(x, text), INT32_MAX);
}

static tarn_status pool_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    tarn_status status = check_rank(call);
    (void)offset;
    *out = *x;
    for (int axis = 2; axis < x->ndim && status == TARN_OK; axis++)
        status = count_windows(call, axis, x->dims[axis], &out->dims[axis]);
    return status == TARN_OK && call->op->aux != NULL ? check_plane(call, x) : status;
}

static tarn_status avg_unpool_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    char first[TARN__DESCRIPTION_BYTES], second[TARN__DESCRIPTION_BYTES];
    const tarn__layout *dy = &call->in[0]->layout;
    tarn__layout y = *dy;
    tarn_status status = check_rank(call);
    (void)offset;
    *out = *dy;
    for (int axis = 2; axis < dy->ndim && status == TARN_OK; axis++) {
        out->dims[axis] = call->attr->sizes[axis + 8 - dy->ndim];
        status = count_windows(call, axis, out->dims[axis], &y.dims[axis]);
    }
    if (status != TARN_OK || tarn__same_shape(&y, dy)) return status;
    return tarn__call_fail(call, TARN_ESHAPE, "dy %s; dy %s is needed",
                           tarn__describe(call->in[0], first), tarn__describe_layout(&y, second));
}

/* The places of the winners. */
static void max_pool_aux(const tarn__call *call, tarn__layout *layout)
{
    *layout = call->out->layout;
    layout->dtype = TARN_I32;
}

/* ---- gradients as operations */

/* dx: zeros, to whose elements in the places of winners dy is added. */
static tarn_tensor *max_pool_graph(const tarn__call *call, int i)
{
    const tarn__layout *x = &call->in[0]->layout;
    const pooling p = pooling_of(call, call->in[0], call->out);
    const int64_t n = p.rows.count * p.columns.count;
    tarn_shape shape = { .ndim = x->ndim };
    (void)i;
    for (int axis = 0; axis < x->ndim; axis++) shape.dims[axis] = x->dims[axis];
    tarn_tensor *places = tarn_reshape(call->aux, TARN_SHAPE(p.channels, n));
    tarn_tensor *packed = tarn_contiguous(call->dout);
    tarn_tensor *dy = tarn_reshape(packed, TARN_SHAPE(p.channels, n));
    tarn_tensor *zeros =
        tarn_zeros(call->manager, (tarn_dtype)x->dtype, TARN_SHAPE(p.channels, p.H_W));
    tarn_tensor *dx = tarn_scatter_add(zeros, 1, places, dy);
    return tarn_reshape(dx, shape);
}

static tarn_tensor *avg_pool_graph(const tarn__call *call, int i)
{
    const tarn__layout *x = &call->in[0]->layout;
    tarn__attr attr = *call->attr;
    (void)i;
    for (int axis = 2; axis < x->ndim; axis++) attr.sizes[axis + 8 - x->ndim] = x->dims[axis];
    return tarn__avg_unpool(call->dout, &attr);
}

static tarn_tensor *avg_unpool_graph(const tarn__call *call, int i)
{
    static const tarn__op *const pools[] = { [TARN__POOLING_1D] = &tarn__op_avg_pool1d,
                                             [TARN__POOLING_2D] = &tarn__op_avg_pool2d,
                                             [TARN__POOLING_ADAPTIVE] =
                                                 &tarn__op_adaptive_avg_pool2d };
    (void)i;
    return tarn__apply1(pools[call->attr->choice], call->dout, call->attr);
}

/* ---- the operations */

#define MAX_POOL(text)                                                                            \
    {                                                                                             \
        .name = text, .operands = { "x" }, .arity = 1, .infer = pool_infer,                       \
        .forward = TARN__KERNELS(max_pool_forward), .backward = TARN__KERNELS(max_pool_backward), \
        .aux = max_pool_aux, .graph = max_pool_graph,                                             \
    }

#define AVG_POOL(text)                                                                            \
    {                                                                                             \
        .name = text, .operands = { "x" }, .arity = 1, .infer = pool_infer,                       \
        .forward = TARN__KERNELS(avg_pool_forward), .backward = TARN__KERNELS(avg_pool_backward), \
        .graph = avg_pool_graph,                                                                  \
    }

const tarn__op tarn__op_max_pool1d = MAX_POOL("max_pool1d");
const tarn__op tarn__op_max_pool2d = MAX_POOL("max_pool2d");
const tarn__op tarn__op_avg_pool1d = AVG_POOL("avg_pool1d");
const tarn__op tarn__op_avg_pool2d = AVG_POOL("avg_pool2d");
const tarn__op tarn__op_adaptive_max_pool2d = MAX_POOL("adaptive_max_pool2d");
const tarn__op tarn__op_adaptive_avg_pool2d = AVG_POOL("adaptive_avg_pool2d");

const tarn__op tarn__op_avg_unpool = {
    .name = "avg_unpool",
    .operands = { "dy" },
    .arity = 1,
    .infer = avg_unpool_infer,
    .forward = TARN__KERNELS(avg_unpool_forward),
    .backward = TARN__KERNELS(avg_unpool_backward),
    .graph = avg_unpool_graph,
};

/* ---- functions */

static tarn_tensor *slide(const tarn__op *op, int choice, tarn_tensor *x, tarn_shape kernel,
                          const tarn_pooling_options *options)
{
    static const tarn_pooling_options defaults;
    const tarn_pooling_options *o = options == NULL ? &defaults : options;
    const int first = 2 - kernel.ndim;
    tarn__attr attr = { .choice = (uint8_t)choice, .keep = o->count_inside };
    for (int i = 0; i < kernel.ndim; i++) {
        attr.sizes[first + i] = kernel.dims[i];
        attr.sizes[2 + first + i] = o->stride[i] == 0 ? kernel.dims[i] : o->stride[i];
        attr.sizes[4 + first + i] = o->padding[i];
    }
    return tarn__apply1(op, x, &attr);
}

static tarn_tensor *adapt(const tarn__op *op, tarn_tensor *x, tarn_shape size)
{
    if (!tarn__window_pair(op, x, "size", &size)) return NULL;
    return tarn__apply1(
        op, x,
        &(tarn__attr){ .choice = TARN__POOLING_ADAPTIVE, .sizes = { size.dims[0], size.dims[1] } });
}

tarn_tensor *tarn_max_pool1d(tarn_tensor *x, int64_t kernel, const tarn_pooling_options *options)
{
    return slide(&tarn__op_max_pool1d, TARN__POOLING_1D, x, TARN_SHAPE(kernel), options);
}

tarn_tensor *tarn_max_pool2d(tarn_tensor *x, tarn_shape kernel, const tarn_pooling_options *options)
{
    if (!tarn__window_pair(&tarn__op_max_pool2d, x, "kernel", &kernel)) return NULL;
    return slide(&tarn__op_max_pool2d, TARN__POOLING_2D, x, kernel, options);
}

tarn_tensor *tarn_avg_pool1d(tarn_tensor *x, int64_t kernel, const tarn_pooling_options *options)
{
    return slide(&tarn__op_avg_pool1d, TARN__POOLING_1D, x, TARN_SHAPE(kernel), options);
}

tarn_tensor *tarn_avg_pool2d(tarn_tensor *x, tarn_shape kernel, const tarn_pooling_options *options)
{
    if (!tarn__window_pair(&tarn__op_avg_pool2d, x, "kernel", &kernel)) return NULL;
    return slide(&tarn__op_avg_pool2d, TARN__POOLING_2D, x, kernel, options);
}

tarn_tensor *tarn_adaptive_max_pool2d(tarn_tensor *x, tarn_shape size)
{
    return adapt(&tarn__op_adaptive_max_pool2d, x, size);
}

tarn_tensor *tarn_adaptive_avg_pool2d(tarn_tensor *x, tarn_shape size)
{
    return adapt(&tarn__op_adaptive_avg_pool2d, x, size);
}

tarn_tensor *tarn__avg_unpool(tarn_tensor *dy, const tarn__attr *attr)
{
    return tarn__apply1(&tarn__op_avg_unpool, dy, attr);
}
