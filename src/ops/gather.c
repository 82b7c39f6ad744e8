/* SPDX-License-Identifier: MIT
 * gather.c - selection by indices and its opposite: gather and scatter_add with an index for every
 * element, index_select and index_add with one for a whole slice. Each is the other's gradient. */
#include <string.h>

#include "ops/lines.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

/* ---- the shape rules */

/* Holds the error: the operands, and what is needed. */
static tarn_status misfit(const tarn__call *call, const char *needed)
{
    char x[TARN__DESCRIPTION_BYTES], index[TARN__DESCRIPTION_BYTES], src[TARN__DESCRIPTION_BYTES];
    tarn__describe(call->in[0], x);
    tarn__describe(call->in[1], index);
    if (call->op->arity == 2)
        return tarn__call_fail(call, TARN_ESHAPE, "x %s, index %s: %s", x, index, needed);
    return tarn__call_fail(call, TARN_ESHAPE, "x %s, index %s, src %s: %s", x, index,
                           tarn__describe(call->in[2], src), needed);
}

/* Whether the index is inside x, but for the axis, and inside src, if there is one. */
static bool index_fits(const tarn__call *call, int axis)
{
    const tarn__layout *x = &call->in[0]->layout, *index = &call->in[1]->layout;
    const tarn__layout *src = call->op->arity == 3 ? &call->in[2]->layout : index;
    if (index->ndim != x->ndim || src->ndim != x->ndim) return false;
    for (int i = 0; i < x->ndim; i++)
        if (index->dims[i] > src->dims[i] || (i != axis && index->dims[i] > x->dims[i]))
            return false;
    return true;
}

static tarn_status gather_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int axis = tarn__axis_of_x(call, call->attr->axis);
    (void)offset;
    if (axis < 0) return TARN_EARG;
    const tarn_status status = tarn__check_index_dtype(call, 1);
    if (status != TARN_OK) return status;
    if (!index_fits(call, axis))
        return misfit(call, "as many axes are needed, none of index longer than that of x but the "
                            "one gathered along");
    *out = call->in[1]->layout;
    out->dtype = call->in[0]->layout.dtype;
    return TARN_OK;
}

static tarn_status scatter_add_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int axis = tarn__axis_of_x(call, call->attr->axis);
    if (axis < 0) return TARN_EARG;
    const tarn_status status = tarn__check_index_dtype(call, 1);
    if (status != TARN_OK) return status;
    if (!index_fits(call, axis))
        return misfit(call, "as many axes are needed, none of index longer than that of src, nor "
                            "than that of x but the one scattered along");
    return tarn__infer_same(call, out, offset);
}

static tarn_status index_select_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *index = &call->in[1]->layout;
    const int axis = tarn__axis_of_x(call, call->attr->axis);
    if (axis < 0) return TARN_EARG;
    const tarn_status status = tarn__check_index_dtype(call, 1);
    if (status != TARN_OK) return status;
    if (index->ndim != 1) return misfit(call, "an index of one axis is needed");
    (void)tarn__infer_same(call, out, offset);
    out->dims[axis] = index->dims[0];
    return TARN_OK;
}

static tarn_status index_add_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout, *src = &call->in[2]->layout;
    const tarn_status status = index_select_infer(call, out, offset);
    if (status != TARN_OK) return status;
    if (!tarn__same_shape(src, out))
        return misfit(call, "src is to have the shape of x with as many places along the axis as "
                            "the index");
    out->dims[call->attr->axis] = x->dims[call->attr->axis];
    return TARN_OK;
}

/* ---- kernels: of gather and index_select */

static tarn_status gather_forward(const tarn__call *call)
{
    const tarn_status status = tarn__lines_read(call);
    if (status == TARN_OK) tarn__lines_take(call, call->out, call->in[0], false);
    return status;
}

static tarn_status gather_backward(const tarn__call *call)
{
    tarn_tensor *dx = call->din[0];
    const tarn_status status = tarn__lines_read(call);
    if (status != TARN_OK) return status;
    if (!call->add[0]) memset(dx->data, 0, tarn__bytes(dx));
    tarn__lines_put(call, dx, call->dout);
    return TARN_OK;
}

/* ---- of scatter_add and index_add */

static tarn_status scatter_forward(const tarn__call *call)
{
    const tarn_status status = tarn__lines_read(call);
    if (status != TARN_OK) return status;
    tarn__copy_strided(call->out, call->in[0]);
    tarn__lines_put(call, call->out, call->in[2]);
    return TARN_OK;
}

static tarn_status scatter_backward(const tarn__call *call)
{
    tarn_tensor *dx = call->din[0], *dsrc = call->din[2];
    if (dx != NULL) (call->add[0] ? tarn__add_strided : tarn__copy_strided)(dx, call->dout);
    if (dsrc == NULL) return TARN_OK;
    const tarn_status status = tarn__lines_read(call);
    if (status != TARN_OK) return status;
    if (!call->add[2] && dsrc->layout.numel > call->in[1]->layout.numel)
        memset(dsrc->data, 0, tarn__bytes(dsrc));
    tarn__lines_take(call, dsrc, call->dout, call->add[2]);
    return TARN_OK;
}

/* ---- gradients as operations */

static tarn_tensor *zeros_like(const tarn_tensor *x)
{
    return tarn_zeros(x->manager, (tarn_dtype)x->layout.dtype, tarn__shape_of(x));
}

static tarn_tensor *gather_graph(const tarn__call *call, int i)
{
    tarn_tensor *zeros = zeros_like(call->in[i]);
    return tarn_scatter_add(zeros, call->attr->axis, call->in[1], call->dout);
}

static tarn_tensor *index_select_graph(const tarn__call *call, int i)
{
    tarn_tensor *zeros = zeros_like(call->in[i]);
    return tarn_index_add(zeros, call->attr->axis, call->in[1], call->dout);
}

/* What the index does not reach of src has no part in y. */
static tarn_tensor *scatter_add_graph(const tarn__call *call, int i)
{
    if (i == 0) return call->dout;
    tarn_tensor *dsrc = tarn_gather(call->dout, call->attr->axis, call->in[1]);
    const tarn__layout *src = &call->in[i]->layout, *index = &call->in[1]->layout;
    if (tarn__same_shape(src, index)) return dsrc;
    tarn_shape before = { .ndim = src->ndim }, after = { .ndim = src->ndim };
    for (int k = 0; k < src->ndim; k++) after.dims[k] = src->dims[k] - index->dims[k];
    return tarn_pad(dsrc, before, after, 0);
}

static tarn_tensor *index_add_graph(const tarn__call *call, int i)
{
    if (i == 0) return call->dout;
    return tarn_index_select(call->dout, call->attr->axis, call->in[1]);
}

/* ---- the operations */

const tarn__op tarn__op_gather = {
    .name = "gather",
    .operands = { "x", "index" },
    .arity = 2,
    .any_dtype = 3,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN1, 0 },
    .infer = gather_infer,
    .forward = TARN__ANY(gather_forward),
    .backward = TARN__ANY(gather_backward),
    .scratch = tarn__lines_scratch,
    .graph = gather_graph,
};
const tarn__op tarn__op_index_select = {
    .name = "index_select",
    .operands = { "x", "index" },
    .arity = 2,
    .any_dtype = 3,
    .layout = TARN__STRIDED,
    .uses = { TARN__USES_IN1, 0 },
    .infer = index_select_infer,
    .forward = TARN__ANY(gather_forward),
    .backward = TARN__ANY(gather_backward),
    .scratch = tarn__lines_scratch,
    .graph = index_select_graph,
};
const tarn__op tarn__op_scatter_add = {
    .name = "scatter_add",
    .operands = { "x", "index", "src" },
    .arity = 3,
    .any_dtype = 2,
    .layout = TARN__STRIDED,
    .uses = { 0, 0, TARN__USES_IN1 },
    .infer = scatter_add_infer,
    .forward = TARN__ANY(scatter_forward),
    .backward = TARN__ANY(scatter_backward),
    .scratch = tarn__lines_scratch,
    .graph = scatter_add_graph,
};
const tarn__op tarn__op_index_add = {
    .name = "index_add",
    .operands = { "x", "index", "src" },
    .arity = 3,
    .any_dtype = 2,
    .layout = TARN__STRIDED,
    .uses = { 0, 0, TARN__USES_IN1 },
    .infer = index_add_infer,
    .forward = TARN__ANY(scatter_forward),
    .backward = TARN__ANY(scatter_backward),
    .scratch = tarn__lines_scratch,
    .graph = index_add_graph,
};

/* Kernels see an axis that counts from 0. */
static tarn_tensor *apply(const tarn__op *op, tarn_tensor *x, int axis, tarn_tensor *index,
                          tarn_tensor *src)
{
    tarn_tensor *const in[] = { x, index, src };
    const int place = x != NULL ? tarn__axis(&x->layout, axis) : axis;
    return tarn__apply(op, in, &(tarn__attr){ .axis = place < 0 ? axis : place });
}

tarn_tensor *tarn_gather(tarn_tensor *x, int axis, tarn_tensor *index)
{
    return apply(&tarn__op_gather, x, axis, index, NULL);
}

tarn_tensor *tarn_index_select(tarn_tensor *x, int axis, tarn_tensor *index)
{
    return apply(&tarn__op_index_select, x, axis, index, NULL);
}

tarn_tensor *tarn_scatter_add(tarn_tensor *x, int axis, tarn_tensor *index, tarn_tensor *src)
{
    return apply(&tarn__op_scatter_add, x, axis, index, src);
}

tarn_tensor *tarn_index_add(tarn_tensor *x, int axis, tarn_tensor *index, tarn_tensor *src)
{
    return apply(&tarn__op_index_add, x, axis, index, src);
}
