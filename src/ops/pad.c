/* SPDX-License-Identifier: MIT
 * pad.c - a tensor inside a larger one: pad, and unslice, of which the gradients of slices are
 * made. */
#include "core/fill.h"
#include "core/size.h"
#include "core/values.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

/* An element, of any type. */
typedef union element {
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
} element;

static element element_of(const tarn_tensor *t, double value)
{
    element e;
    tarn__store(&e, (tarn_dtype)t->layout.dtype, value);
    return e;
}

/* Places [start, start + n) of t along an axis. */
static void fill_part(const tarn_tensor *t, int axis, int64_t start, int64_t n, element *value)
{
    tarn_tensor to = *t;
    tarn__narrow(&to, axis, start, n, 1);
    tarn_tensor from = to; /* the same element everywhere */
    from.data = value;
    for (int i = 0; i < from.layout.ndim; i++) from.layout.strides[i] = 0;
    tarn__layout_refresh(&from.layout);
    tarn__copy_strided(&to, &from);
}

/* Fills t along an axis but for [start, start + n), to which it is narrowed. */
static void surround(tarn_tensor *t, int axis, int64_t start, int64_t n, element *value)
{
    fill_part(t, axis, 0, start, value);
    fill_part(t, axis, start + n, t->layout.dims[axis] - start - n, value);
    tarn__narrow(t, axis, start, n, 1);
}

/* ---- pad: `axes` has the padded axes, and sizes, two for each of them, how many elements come
 * before and after */

enum { MOST_AXES = TARN_MAX_DIMS / 2 };

/* The part of t, which is padded, that is x, of n axes. */
static tarn_tensor inside(const tarn_tensor *t, const tarn__attr *attr)
{
    tarn_tensor view = *t;
    for (int axis = 0, k = 0; axis < t->layout.ndim; axis++) {
        if ((attr->axes >> axis & 1) == 0) continue;
        const int64_t before = attr->sizes[k++], after = attr->sizes[k++];
        tarn__narrow(&view, axis, before, t->layout.dims[axis] - before - after, 1);
    }
    return view;
}

static tarn_status pad_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)tarn__infer_same(call, out, offset);
    for (int axis = 0, k = 0; axis < out->ndim; axis++) {
        if ((call->attr->axes >> axis & 1) == 0) continue;
        int64_t *size = &out->dims[axis];
        const int64_t before = call->attr->sizes[k++], after = call->attr->sizes[k++];
        if (!tarn__i64_add(*size, before, size) || !tarn__i64_add(*size, after, size))
            return tarn__call_fail(call, TARN_EOVERFLOW, "the result would hold too many elements");
    }
    return TARN_OK;
}

static tarn_status pad_forward(const tarn__call *call)
{
    tarn_tensor y = *call->out;
    element value = element_of(&y, call->attr->value);
    for (int axis = 0, k = 0; axis < y.layout.ndim; axis++) {
        if ((call->attr->axes >> axis & 1) == 0) continue;
        surround(&y, axis, call->attr->sizes[k], call->in[0]->layout.dims[axis], &value);
        k += 2;
    }
    tarn__copy_strided(&y, call->in[0]);
    return TARN_OK;
}

static tarn_status pad_backward(const tarn__call *call)
{
    const tarn_tensor dy = inside(call->dout, call->attr);
    (call->add[0] ? tarn__add_strided : tarn__copy_strided)(call->din[0], &dy);
    return TARN_OK;
}

static tarn_tensor *pad_graph(const tarn__call *call, int i)
{
    const tarn__layout *x = &call->in[i]->layout;
    tarn_tensor *dy = call->dout;
    for (int axis = 0, k = 0; axis < x->ndim; axis++) {
        if ((call->attr->axes >> axis & 1) == 0) continue;
        const int64_t before = call->attr->sizes[k];
        dy = tarn_slice(dy, axis, before, before + x->dims[axis]);
        k += 2;
    }
    return dy;
}

/* ---- unslice: sizes has size, start and step along the axis */

static tarn_tensor sliced(const tarn_tensor *t, const tarn__layout *x, const tarn__attr *attr)
{
    const int axis = tarn__axis(x, attr->axis);
    tarn_tensor view = *t;
    tarn__narrow(&view, axis, attr->sizes[1], x->dims[axis], attr->sizes[2]);
    return view;
}

static tarn_status unslice_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int axis = tarn__axis_of_x(call, call->attr->axis);
    if (axis < 0) return TARN_EARG;
    (void)tarn__infer_same(call, out, offset);
    const int64_t size = call->attr->sizes[0], start = call->attr->sizes[1];
    const int64_t step = call->attr->sizes[2], n = out->dims[axis];
    const bool fits = start >= 0 && step >= 1 && start <= size &&
                      (n == 0 || (start < size && n - 1 <= (size - 1 - start) / step));
    if (!fits)
        return tarn__call_fail(call, TARN_ESHAPE,
                               "%lld places from %lld on in steps of %lld do not fit into %lld",
                               (long long)n, (long long)start, (long long)step, (long long)size);
    out->dims[axis] = size;
    return TARN_OK;
}

static tarn_status unslice_forward(const tarn__call *call)
{
    const tarn__layout *x = &call->in[0]->layout;
    const int axis = tarn__axis(x, call->attr->axis);
    tarn_tensor y = *call->out;
    element zero = element_of(&y, 0);
    if (call->attr->sizes[2] == 1) surround(&y, axis, call->attr->sizes[1], x->dims[axis], &zero);
    else {
        tarn__fill(y.data, tarn__elements(&y), &zero, tarn__dtype_size(y.layout.dtype));
        y = sliced(&y, x, call->attr);
    }
    tarn__copy_strided(&y, call->in[0]);
    return TARN_OK;
}

static tarn_status unslice_backward(const tarn__call *call)
{
    const tarn_tensor dy = sliced(call->dout, &call->din[0]->layout, call->attr);
    (call->add[0] ? tarn__add_strided : tarn__copy_strided)(call->din[0], &dy);
    return TARN_OK;
}

static tarn_tensor *unslice_graph(const tarn__call *call, int i)
{
    const int axis = tarn__axis(&call->in[i]->layout, call->attr->axis);
    const int64_t n = call->in[i]->layout.dims[axis];
    const int64_t start = call->attr->sizes[1], step = call->attr->sizes[2];
    return tarn_slice_step(call->dout, axis, start, n > 0 ? start + (n - 1) * step + 1 : start,
                           step);
}

/* ---- the operations */

const tarn__op tarn__op_pad = {
    .name = "pad",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = pad_infer,
    .forward = TARN__ANY(pad_forward),
    .backward = TARN__ANY(pad_backward),
    .graph = pad_graph,
};
const tarn__op tarn__op_unslice = {
    .name = "unslice",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = unslice_infer,
    .forward = TARN__ANY(unslice_forward),
    .backward = TARN__ANY(unslice_backward),
    .graph = unslice_graph,
};

tarn_tensor *tarn__unslice(tarn_tensor *x, int axis, int64_t size, int64_t start, int64_t step)
{
    return tarn__apply1(&tarn__op_unslice, x,
                        &(tarn__attr){ .axis = axis, .sizes = { size, start, step } });
}

static tarn_status check_pad(const tarn__call *call, const tarn_shape *before,
                             const tarn_shape *after)
{
    char text[TARN__DESCRIPTION_BYTES];
    const int ndim = call->in[0]->layout.ndim;
    if (before->ndim != after->ndim)
        return tarn__call_fail(call, TARN_EARG, "%d numbers of elements before, %d after",
                               before->ndim, after->ndim);
    if (before->ndim < 0 || before->ndim > ndim)
        return tarn__call_fail(call, TARN_EARG, "%d axes; x %s has %d", before->ndim,
                               tarn__describe(call->in[0], text), ndim);
    for (int i = 0; i < before->ndim; i++)
        if (before->dims[i] < 0 || after->dims[i] < 0)
            return tarn__call_fail(call, TARN_EARG, "%lld elements before, %lld after axis %d",
                                   (long long)before->dims[i], (long long)after->dims[i],
                                   i + ndim - before->ndim);
    return TARN_OK;
}

/* One call pads MOST_AXES axes. */
tarn_tensor *tarn_pad(tarn_tensor *x, tarn_shape before, tarn_shape after, double value)
{
    if (x == NULL) return NULL;
    const tarn__call call = { .op = &tarn__op_pad, .manager = x->manager, .in = { x } };
    if (check_pad(&call, &before, &after) != TARN_OK) return NULL;
    const int first = x->layout.ndim - before.ndim;
    tarn__attr attr = { .value = value };
    int k = 0;
    for (int i = 0; i < before.ndim; i++) {
        if (before.dims[i] == 0 && after.dims[i] == 0) continue;
        if (k == 2 * MOST_AXES) {
            x = tarn__apply1(&tarn__op_pad, x, &attr);
            attr = (tarn__attr){ .value = value };
            k = 0;
        }
        attr.axes |= 1U << (first + i);
        attr.sizes[k++] = before.dims[i];
        attr.sizes[k++] = after.dims[i];
    }
    return tarn__apply1(&tarn__op_pad, x, &attr);
}
