/* SPDX-License-Identifier: MIT
 * views.c - operations that share the storage of their operand: reshape, transpose, slice, expand,
 * detach.
 *
 * A view has a shape rule that gives strides and offset, and no kernels. Its gradient needs none
 * either: backward asks the same rule for the same view of the operand's gradient, and adds there.
 * The rules therefore must depend on nothing but the operand's layout and the attributes. */
#include "core/size.h"
#include "ops/op.h"

/* ---- reshape */

/* Replaces one -1 among the sizes by what the number of elements asks for. */
static tarn_status complete_sizes(const tarn__call *call, tarn__layout *out)
{
    const int64_t numel = call->in[0]->layout.numel;
    int unknown = -1;
    int64_t known = 1;
    for (int i = 0; i < out->ndim; i++) {
        if (out->dims[i] == -1 && unknown < 0) unknown = i;
        else if (out->dims[i] < 0)
            return tarn__call_fail(call, TARN_ESHAPE, "size %lld of axis %d; one -1 is possible",
                                   (long long)out->dims[i], i);
        else if (!tarn__i64_mul(known, out->dims[i], &known))
            return tarn__call_fail(call, TARN_EOVERFLOW, "the new shape holds too many elements");
    }
    if (unknown >= 0 && known > 0 && numel % known == 0) {
        out->dims[unknown] = numel / known;
        known = numel;
    }
    if (known == numel && (unknown < 0 || out->dims[unknown] >= 0)) return TARN_OK;
    char from[TARN__DESCRIPTION_BYTES], to[TARN__DESCRIPTION_BYTES];
    return tarn__call_fail(call, TARN_ESHAPE, "x %s with %lld elements does not fit into %s",
                           tarn__describe(call->in[0], from), (long long)numel,
                           tarn__describe_layout(out, to));
}

/* Strides of the new shape over the old layout. Both are cut, from the last axis on, into runs of
 * equal size; inside a run the old axes must lie without gaps. False if they do not. */
static bool view_strides(const tarn__layout *x, tarn__layout *y)
{
    int j = y->ndim - 1;
    for (int i = x->ndim - 1; i >= 0;) {
        if (x->dims[i] == 1) {
            i--;
            continue;
        }
        int64_t run = x->dims[i], stride = x->strides[i], have = 1;
        int64_t next = stride * run;
        i--;
        while (i >= 0 && (x->dims[i] == 1 || x->strides[i] == next)) {
            if (x->dims[i] != 1) next = x->strides[i] * x->dims[i];
            run *= x->dims[i--];
        }
        while (j >= 0 && have * y->dims[j] <= run) {
            y->strides[j] = stride * have;
            have *= y->dims[j--];
        }
        if (have != run) return false;
    }
    for (; j >= 0; j--) y->strides[j] = 1; /* sizes of 1 are left */
    return true;
}

static tarn_status reshape_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    (void)offset;
    out->dtype = x->dtype;
    out->ndim = (uint8_t)call->attr->n_sizes;
    for (int i = 0; i < out->ndim; i++) out->dims[i] = call->attr->sizes[i];
    tarn_status status = complete_sizes(call, out);
    if (status != TARN_OK) return status;
    if (x->contiguous || x->numel == 0) return tarn__layout_pack(out);
    if (!view_strides(x, out)) {
        char from[TARN__DESCRIPTION_BYTES], to[TARN__DESCRIPTION_BYTES];
        return tarn__call_fail(call, TARN_ESHAPE,
                               "the strides of x %s allow no view as %s: use tarn_contiguous first",
                               tarn__describe(call->in[0], from), tarn__describe_layout(out, to));
    }
    tarn__layout_refresh(out);
    return TARN_OK;
}

/* ---- transpose, slice, expand, detach */

static tarn_status transpose_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)offset;
    *out = call->in[0]->layout;
    const int a = tarn__axis(out, call->attr->axis), b = tarn__axis(out, call->attr->axis_b);
    if (a < 0 || b < 0) {
        char text[TARN__DESCRIPTION_BYTES];
        return tarn__call_fail(call, TARN_EARG, "x %s has no axis %d",
                               tarn__describe(call->in[0], text),
                               a < 0 ? call->attr->axis : call->attr->axis_b);
    }
    const int64_t dim = out->dims[a], stride = out->strides[a];
    out->dims[a] = out->dims[b];
    out->strides[a] = out->strides[b];
    out->dims[b] = dim;
    out->strides[b] = stride;
    tarn__layout_refresh(out);
    return TARN_OK;
}

static tarn_status slice_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    char text[TARN__DESCRIPTION_BYTES];
    *out = call->in[0]->layout;
    const int axis = tarn__axis(out, call->attr->axis);
    if (axis < 0)
        return tarn__call_fail(call, TARN_EARG, "x %s has no axis %d",
                               tarn__describe(call->in[0], text), call->attr->axis);
    const int64_t size = out->dims[axis];
    const int64_t start = call->attr->sizes[0] + (call->attr->sizes[0] < 0 ? size : 0);
    const int64_t stop = call->attr->sizes[1] + (call->attr->sizes[1] < 0 ? size : 0);
    if (start < 0 || stop < start || stop > size)
        return tarn__call_fail(call, TARN_EARG, "[%lld, %lld) is not inside axis %d of x %s",
                               (long long)call->attr->sizes[0], (long long)call->attr->sizes[1],
                               call->attr->axis, tarn__describe(call->in[0], text));
    out->dims[axis] = stop - start;
    *offset = stop > start ? start * out->strides[axis] : 0;
    tarn__layout_refresh(out);
    return TARN_OK;
}

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

const tarn__op tarn__op_reshape = {
    .name = "reshape",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .grad_in_place = true,
    .infer = reshape_infer,
};
const tarn__op tarn__op_transpose = {
    .name = "transpose",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = transpose_infer,
};
const tarn__op tarn__op_slice = {
    .name = "slice",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = slice_infer,
};
const tarn__op tarn__op_expand = {
    .name = "expand",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = expand_infer,
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

/* A view whose attribute is a shape; the rank is checked here, because attributes hold no more
 * sizes. */
static tarn_tensor *apply_shape(const tarn__op *op, tarn_tensor *x, const tarn_shape *shape)
{
    tarn__attr attr = { .n_sizes = shape->ndim };
    if (shape->ndim < 0 || shape->ndim > TARN_MAX_DIMS) {
        if (x != NULL)
            (void)tarn__fail(x->manager, TARN_ELIMIT, "%s: %d dimensions; 0 to %d are possible",
                             op->name, shape->ndim, TARN_MAX_DIMS);
        return NULL;
    }
    for (int i = 0; i < shape->ndim; i++) attr.sizes[i] = shape->dims[i];
    return tarn__apply1(op, x, &attr);
}

tarn_tensor *tarn_reshape(tarn_tensor *x, tarn_shape shape)
{
    return apply_shape(&tarn__op_reshape, x, &shape);
}

tarn_tensor *tarn_expand(tarn_tensor *x, tarn_shape shape)
{
    return apply_shape(&tarn__op_expand, x, &shape);
}

tarn_tensor *tarn_transpose(tarn_tensor *x, int axis_a, int axis_b)
{
    return tarn__apply1(&tarn__op_transpose, x, &(tarn__attr){ .axis = axis_a, .axis_b = axis_b });
}

tarn_tensor *tarn_slice(tarn_tensor *x, int axis, int64_t start, int64_t stop)
{
    return tarn__apply1(&tarn__op_slice, x,
                        &(tarn__attr){ .axis = axis, .sizes = { start, stop } });
}

tarn_tensor *tarn_detach(tarn_tensor *x) { return tarn__apply1(&tarn__op_detach, x, NULL); }
