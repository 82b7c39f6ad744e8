/* SPDX-License-Identifier: MIT
 * views.c - operations that share the storage of their operand: transpose, permute, expand, detach;
 * reshape.c and slice.c have others.
 *
 * A view has a shape rule that gives strides and offset, and no kernels. Its gradient needs none
 * either: backward asks the same rule for the same view of the operand's gradient, and adds there.
 * The rules therefore must depend on nothing but the operand's layout and the attributes. */
#include "ops/op_list.h"
#include "ops/shapes.h"

/* ---- transpose and permute: the same axes in another order */

static tarn_status transpose_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)offset;
    *out = call->in[0]->layout;
    const int a = tarn__axis_of_x(call, call->attr->axis);
    const int b = a < 0 ? -1 : tarn__axis_of_x(call, call->attr->axis_b);
    if (b < 0) return TARN_EARG;
    const int64_t dim = out->dims[a], stride = out->strides[a];
    out->dims[a] = out->dims[b];
    out->strides[a] = out->strides[b];
    out->dims[b] = dim;
    out->strides[b] = stride;
    tarn__layout_refresh(out);
    return TARN_OK;
}

/* sizes: the axis of x that becomes axis 0, and so on. */
static tarn_status permute_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    char text[TARN__DESCRIPTION_BYTES];
    uint32_t seen = 0;
    (void)offset;
    *out = *x;
    for (int i = 0; i < call->attr->n_sizes && i < TARN_MAX_DIMS; i++) {
        const int axis = tarn__axis_of_x(call, (int)call->attr->sizes[i]);
        if (axis < 0) return TARN_EARG;
        if ((seen >> axis & 1) != 0)
            return tarn__call_fail(call, TARN_EARG, "axis %d of x %s is named twice",
                                   (int)call->attr->sizes[i], tarn__describe(call->in[0], text));
        seen |= 1U << axis;
        out->dims[i] = x->dims[axis];
        out->strides[i] = x->strides[axis];
    }
    if (call->attr->n_sizes != x->ndim)
        return tarn__call_fail(call, TARN_EARG, "%d axes are named; x %s has %d",
                               call->attr->n_sizes, tarn__describe(call->in[0], text), x->ndim);
    tarn__layout_refresh(out);
    return TARN_OK;
}

static tarn_tensor *transpose_graph(const tarn__call *call, int i)
{
    (void)i;
    return tarn_transpose(call->dout, call->attr->axis, call->attr->axis_b);
}

static tarn_tensor *permute_graph(const tarn__call *call, int i)
{
    const tarn__layout *x = &call->in[i]->layout;
    tarn_axes back = { .n = x->ndim };
    for (int k = 0; k < x->ndim; k++) back.axis[tarn__axis(x, (int)call->attr->sizes[k])] = k;
    return tarn_permute(call->dout, back);
}

/* ---- expand, detach */

static tarn_status expand_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)offset;
    const tarn__layout *x = &call->in[0]->layout;
    *out = (tarn__layout){ .dtype = x->dtype, .ndim = (uint8_t)call->attr->n_sizes };
    const int extra = out->ndim - x->ndim;
    bool fits = extra >= 0;
    for (int i = 0; i < out->ndim; i++) {
        const int64_t want = out->dims[i] = call->attr->sizes[i];
        if (!fits) continue;
        const int64_t have = i < extra ? 1 : x->dims[i - extra];
        if (want < 0 || (have != want && have != 1)) fits = false;
        out->strides[i] = i < extra || have != want ? 0 : x->strides[i - extra];
    }
    tarn__layout size = *out;
    if (fits && tarn__layout_pack(&size) != TARN_OK)
        return tarn__call_fail(call, TARN_EOVERFLOW, "the new shape holds too many elements");
    if (!fits) {
        char from[TARN__DESCRIPTION_BYTES], to[TARN__DESCRIPTION_BYTES];
        return tarn__call_fail(call, TARN_ESHAPE,
                               "x %s does not expand to %s: sizes must be equal or 1 in x",
                               tarn__describe(call->in[0], from), tarn__describe_layout(out, to));
    }
    tarn__layout_refresh(out);
    return TARN_OK;
}

static tarn_status detach_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)offset;
    *out = call->in[0]->layout;
    return TARN_OK;
}

/* ---- the operations */

const tarn__op tarn__op_transpose = {
    .name = "transpose",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = transpose_infer,
    .graph = transpose_graph,
};
const tarn__op tarn__op_permute = {
    .name = "permute",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = permute_infer,
    .graph = permute_graph,
};
const tarn__op tarn__op_expand = {
    .name = "expand",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = expand_infer,
    .graph = tarn__graph_same, /* which backward sums to the shape of x */
};
const tarn__op tarn__op_detach = {
    .name = "detach",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .stops_gradient = true,
    .infer = detach_infer,
};

tarn_tensor *tarn_expand(tarn_tensor *x, tarn_shape shape)
{
    return tarn__apply_shape(&tarn__op_expand, x, &shape);
}

tarn_tensor *tarn_broadcast_to(tarn_tensor *x, tarn_shape shape) { return tarn_expand(x, shape); }

tarn_tensor *tarn_transpose(tarn_tensor *x, int axis_a, int axis_b)
{
    return tarn__apply1(&tarn__op_transpose, x, &(tarn__attr){ .axis = axis_a, .axis_b = axis_b });
}

tarn_tensor *tarn_permute(tarn_tensor *x, tarn_axes axes)
{
    tarn__attr attr = { .n_sizes = axes.n };
    for (int i = 0; i < axes.n && i < TARN_MAX_DIMS; i++) attr.sizes[i] = axes.axis[i];
    return tarn__apply1(&tarn__op_permute, x, &attr);
}

tarn_tensor *tarn_detach(tarn_tensor *x) { return tarn__apply1(&tarn__op_detach, x, NULL); }
