/* SPDX-License-Identifier: MIT
 * reshape.c - views that group the same elements, in the same order, into other axes: reshape,
 * squeeze, unsqueeze, flatten. (views.c says how views work.) */
#include "core/size.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

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

/* ---- squeeze, unsqueeze */

/* choice 1: every axis of size 1. */
static tarn_status squeeze_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    char text[TARN__DESCRIPTION_BYTES];
    int axis = -1;
    (void)offset;
    if (call->attr->choice == 0) {
        axis = tarn__axis_of_x(call, call->attr->axis);
        if (axis < 0) return TARN_EARG;
        if (x->dims[axis] != 1)
            return tarn__call_fail(call, TARN_ESHAPE, "axis %d of x %s has %lld elements, not one",
                                   call->attr->axis, tarn__describe(call->in[0], text),
                                   (long long)x->dims[axis]);
    }
    *out = *x;
    out->ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (axis < 0 ? x->dims[i] == 1 : i == axis) continue;
        out->dims[out->ndim] = x->dims[i];
        out->strides[out->ndim++] = x->strides[i];
    }
    return TARN_OK;
}

static tarn_status unsqueeze_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    const int given = call->attr->axis, axis = given < 0 ? given + x->ndim + 1 : given;
    char text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (x->ndim == TARN_MAX_DIMS)
        return tarn__call_fail(call, TARN_ELIMIT, "x %s has %d dimensions already",
                               tarn__describe(call->in[0], text), x->ndim);
    if (axis < 0 || axis > x->ndim)
        return tarn__call_fail(call, TARN_EARG, "axis %d; %d to %d are possible for x %s", given,
                               -x->ndim - 1, x->ndim, tarn__describe(call->in[0], text));
    *out = *x;
    out->ndim++;
    for (int i = x->ndim; i > axis; i--) {
        out->dims[i] = x->dims[i - 1];
        out->strides[i] = x->strides[i - 1];
    }
    out->dims[axis] = 1;
    out->strides[axis] = axis < x->ndim ? x->dims[axis] * x->strides[axis] : 1;
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
    .graph = tarn__graph_reshaped,
};
const tarn__op tarn__op_squeeze = {
    .name = "squeeze",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .grad_in_place = true,
    .infer = squeeze_infer,
    .graph = tarn__graph_reshaped,
};
const tarn__op tarn__op_unsqueeze = {
    .name = "unsqueeze",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .grad_in_place = true,
    .infer = unsqueeze_infer,
    .graph = tarn__graph_reshaped,
};

tarn_tensor *tarn__apply_shape(const tarn__op *op, tarn_tensor *x, const tarn_shape *shape)
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
    return tarn__apply_shape(&tarn__op_reshape, x, &shape);
}

tarn_tensor *tarn_squeeze(tarn_tensor *x, int axis)
{
    return tarn__apply1(&tarn__op_squeeze, x, &(tarn__attr){ .axis = axis });
}

tarn_tensor *tarn_squeeze_all(tarn_tensor *x)
{
    return tarn__apply1(&tarn__op_squeeze, x, &(tarn__attr){ .choice = 1 });
}

tarn_tensor *tarn_unsqueeze(tarn_tensor *x, int axis)
{
    return tarn__apply1(&tarn__op_unsqueeze, x, &(tarn__attr){ .axis = axis });
}

/* ---- flatten */

/* What messages begin with: an operation that is made of others has a name, too. */
static const tarn__op flatten_op = { .name = "flatten" };

tarn_tensor *tarn_flatten(tarn_tensor *x, int first, int last)
{
    if (x == NULL) return NULL;
    const tarn__call call = { .op = &flatten_op, .manager = x->manager, .in = { x } };
    const tarn__layout *from = &x->layout;
    tarn__layout to = { .dtype = from->dtype };
    const int p = tarn__axis_of_x(&call, first), q = p < 0 ? -1 : tarn__axis_of_x(&call, last);
    if (q < 0) return NULL;
    if (q < p) {
        (void)tarn__call_fail(&call, TARN_EARG, "axis %d comes before axis %d", last, first);
        return NULL;
    }
    for (int i = 0; i < from->ndim; i++) {
        if (i > p && i <= q) to.dims[to.ndim - 1] *= from->dims[i];
        else to.dims[to.ndim++] = from->dims[i];
    }
    tarn_shape shape = { .ndim = to.ndim };
    for (int i = 0; i < to.ndim; i++) shape.dims[i] = to.dims[i];
    const bool is_view = from->contiguous || from->numel == 0 || view_strides(from, &to);
    return tarn_reshape(is_view ? x : tarn_contiguous(x), shape);
}
