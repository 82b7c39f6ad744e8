/* SPDX-License-Identifier: MIT
 * conv.c - convolution, its adjoint, and the gradient of its weight, in one and two dimensions: the
 * operations and their public functions. conv.h says how the three belong together. */
#include "ops/conv.h"

#include <string.h>

#include "ops/depthwise.h"
#include "ops/gemm.h"
#include "ops/im2col.h"
#include "ops/loop.h"
#include "ops/tiles.h"

/* ---- which operand is which side */

static tarn__conv of_conv(const tarn__call *call)
{
    return tarn__conv_of(&call->in[0]->layout, &call->out->layout, &call->in[1]->layout,
                         call->attr);
}

static tarn__conv of_conv_transpose(const tarn__call *call)
{
    return tarn__conv_of(&call->out->layout, &call->in[0]->layout, &call->in[1]->layout,
                         call->attr);
}

static tarn__conv of_conv_dw(const tarn__call *call)
{
    return tarn__conv_of(&call->in[0]->layout, &call->in[1]->layout, &call->out->layout,
                         call->attr);
}

static size_t room(const tarn__call *call, const tarn__conv *c)
{
    return tarn__conv_room(c, tarn__dtype_size(call->in[0]->layout.dtype));
}

static size_t conv_scratch(const tarn__call *call)
{
    const tarn__conv c = of_conv(call);
    return room(call, &c);
}

static size_t conv_transpose_scratch(const tarn__call *call)
{
    const tarn__conv c = of_conv_transpose(call);
    return room(call, &c);
}

static size_t conv_dw_scratch(const tarn__call *call)
{
    const tarn__conv c = of_conv_dw(call);
    return room(call, &c);
}

/* Matrices with rows of n elements, and transposes of such. */
static tarn__matrix by_rows(const void *data, int64_t n) { return (tarn__matrix){ data, n, 1 }; }
static tarn__matrix by_columns(const void *data, int64_t n) { return (tarn__matrix){ data, 1, n }; }

#define TARN_KERNELS "ops/conv.inc"
#include "ops/for_each_float.h"

/* ---- gradients as operations */

/* The options that an operation ran with, without the output's padding. */
static tarn_conv_options options_of(const tarn__attr *attr)
{
    const int first = 2 - attr->choice; /* of one dimension the numbers stand second */
    tarn_conv_options o = { .groups = (int64_t)attr->key };
    for (int i = 0; first + i < 2; i++) {
        o.stride[i] = attr->sizes[first + i];
        o.padding[i] = attr->sizes[2 + first + i];
        o.dilation[i] = attr->sizes[4 + first + i];
    }
    return o;
}

static tarn_tensor *conv(const tarn__call *call, tarn_tensor *x, tarn_tensor *w)
{
    const tarn_conv_options o = options_of(call->attr);
    return (call->attr->choice == 1 ? tarn_conv1d : tarn_conv2d)(x, w, NULL, &o);
}

/* The adjoint, of the very size that windows slid over. */
static tarn_tensor *conv_transpose(const tarn__call *call, const tarn__conv *c, tarn_tensor *x,
                                   tarn_tensor *w)
{
    tarn_conv_options o = options_of(call->attr);
    const tarn__window *const axes[] = { &c->rows, &c->columns };
    const int first = call->attr->choice == 1 ? 1 : 0;
    for (int i = 0; first + i < 2; i++) {
        const tarn__window *a = axes[first + i];
        o.output_padding[i] =
            a->size + 2 * a->padding - tarn__window_reach(a) - 1 - (a->count - 1) * a->stride;
    }
    return (call->attr->choice == 1 ? tarn_conv_transpose1d : tarn_conv_transpose2d)(x, w, NULL,
                                                                                     &o);
}

static tarn_tensor *conv_dw(const tarn__call *call, const tarn__conv *c, tarn_tensor *x,
                            tarn_tensor *dy)
{
    const tarn_conv_options o = options_of(call->attr);
    if (call->attr->choice == 1) return tarn_conv1d_dw(x, dy, c->columns.kernel, &o);
    return tarn_conv2d_dw(x, dy, TARN_SHAPE(c->rows.kernel, c->columns.kernel), &o);
}

static tarn_tensor *dbias(const tarn__call *call)
{
    return tarn_sum(call->dout, call->attr->choice == 1 ? TARN_AXES(0, 2) : TARN_AXES(0, 2, 3));
}

static tarn_tensor *conv_graph(const tarn__call *call, int i)
{
    const tarn__conv c = of_conv(call);
    if (i == 0) return conv_transpose(call, &c, call->dout, call->in[1]);
    if (i == 1) return conv_dw(call, &c, call->in[0], call->dout);
    return dbias(call);
}

static tarn_tensor *conv_transpose_graph(const tarn__call *call, int i)
{
    const tarn__conv c = of_conv_transpose(call);
    if (i == 0) return conv(call, call->dout, call->in[1]);
    if (i == 1) return conv_dw(call, &c, call->dout, call->in[0]);
    return dbias(call);
}

static tarn_tensor *conv_dw_graph(const tarn__call *call, int i)
{
    const tarn__conv c = of_conv_dw(call);
    if (i == 0) return conv_transpose(call, &c, call->in[1], call->dout);
    return conv(call, call->in[0], call->dout);
}

/* ---- the operations */

#define CONV(text)                                                                      \
    {                                                                                   \
        .name = text, .operands = { "x", "w", "bias" }, .arity = 3, .optional = 4,      \
        .uses = { TARN__USES_IN1, TARN__USES_IN0, 0 }, .infer = tarn__conv_infer,       \
        .forward = TARN__FLOATS(conv_forward), .backward = TARN__FLOATS(conv_backward), \
        .scratch = conv_scratch, .graph = conv_graph,                                   \
    }

#define CONV_TRANSPOSE(text)                                                                  \
    {                                                                                         \
        .name = text, .operands = { "x", "w", "bias" }, .arity = 3, .optional = 4,            \
        .uses = { TARN__USES_IN1, TARN__USES_IN0, 0 }, .infer = tarn__conv_transpose_infer,   \
        .forward = TARN__FLOATS(conv_transpose_forward),                                      \
        .backward = TARN__FLOATS(conv_transpose_backward), .scratch = conv_transpose_scratch, \
        .graph = conv_transpose_graph,                                                        \
    }

#define CONV_DW(text)                                                                         \
    {                                                                                         \
        .name = text, .operands = { "x", "dy" }, .arity = 2,                                  \
        .uses = { TARN__USES_IN1, TARN__USES_IN0 }, .infer = tarn__conv_dw_infer,             \
        .forward = TARN__FLOATS(conv_dw_forward), .backward = TARN__FLOATS(conv_dw_backward), \
        .scratch = conv_dw_scratch, .graph = conv_dw_graph,                                   \
    }

const tarn__op tarn__op_conv1d = CONV("conv1d");
const tarn__op tarn__op_conv2d = CONV("conv2d");
const tarn__op tarn__op_conv_transpose1d = CONV_TRANSPOSE("conv_transpose1d");
const tarn__op tarn__op_conv_transpose2d = CONV_TRANSPOSE("conv_transpose2d");
const tarn__op tarn__op_conv1d_dw = CONV_DW("conv1d_dw");
const tarn__op tarn__op_conv2d_dw = CONV_DW("conv2d_dw");

/* ---- public functions */

static int64_t or_one(int64_t n) { return n == 0 ? 1 : n; }

/* Attributes of an operation in so many dimensions, with what stands in for zeros. */
static tarn__attr attr_of(int dimensions, const tarn_conv_options *options)
{
    static const tarn_conv_options defaults;
    const tarn_conv_options *o = options == NULL ? &defaults : options;
    const int first = 2 - dimensions;
    tarn__attr attr = { .key = (uint64_t)or_one(o->groups), .choice = (uint8_t)dimensions };
    for (int i = 0; first + i < 2; i++) {
        attr.sizes[first + i] = or_one(o->stride[i]);
        attr.sizes[2 + first + i] = o->padding[i];
        attr.sizes[4 + first + i] = or_one(o->dilation[i]);
        attr.sizes[6 + first + i] = o->output_padding[i];
    }
    return attr;
}

static tarn_tensor *apply(const tarn__op *op, int dimensions, tarn_tensor *const *in,
                          const tarn_conv_options *options)
{
    const tarn__attr attr = attr_of(dimensions, options);
    return tarn__apply(op, in, &attr);
}

tarn_tensor *tarn_conv1d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                         const tarn_conv_options *options)
{
    return apply(&tarn__op_conv1d, 1, (tarn_tensor *[]){ x, w, bias }, options);
}

tarn_tensor *tarn_conv2d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                         const tarn_conv_options *options)
{
    return apply(&tarn__op_conv2d, 2, (tarn_tensor *[]){ x, w, bias }, options);
}

tarn_tensor *tarn_conv_transpose1d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                                   const tarn_conv_options *options)
{
    return apply(&tarn__op_conv_transpose1d, 1, (tarn_tensor *[]){ x, w, bias }, options);
}

tarn_tensor *tarn_conv_transpose2d(tarn_tensor *x, tarn_tensor *w, tarn_tensor *bias,
                                   const tarn_conv_options *options)
{
    return apply(&tarn__op_conv_transpose2d, 2, (tarn_tensor *[]){ x, w, bias }, options);
}

tarn_tensor *tarn_conv1d_dw(tarn_tensor *x, tarn_tensor *dy, int64_t kernel,
                            const tarn_conv_options *options)
{
    tarn__attr attr = attr_of(1, options);
    attr.sizes[7] = kernel;
    return tarn__apply2(&tarn__op_conv1d_dw, x, dy, &attr);
}

tarn_tensor *tarn_conv2d_dw(tarn_tensor *x, tarn_tensor *dy, tarn_shape kernel,
                            const tarn_conv_options *options)
{
    if (!tarn__window_pair(&tarn__op_conv2d_dw, x, "kernel", &kernel)) return NULL;
    tarn__attr attr = attr_of(2, options);
    attr.sizes[6] = kernel.dims[0];
    attr.sizes[7] = kernel.dims[1];
    return tarn__apply2(&tarn__op_conv2d_dw, x, dy, &attr);
}
