/* SPDX-License-Identifier: MIT
 * slice.c - views of a part of the operand: slice, select, split. (views.c says how views work.) */
#include "core/size.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

/* ---- the shape rules */

/* sizes: start, stop, step. */
static tarn_status slice_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int64_t *given = call->attr->sizes, step = given[2];
    char text[TARN__DESCRIPTION_BYTES];
    *out = call->in[0]->layout;
    const int axis = tarn__axis_of_x(call, call->attr->axis);
    if (axis < 0) return TARN_EARG;
    if (step < 1)
        return tarn__call_fail(call, TARN_EARG, "step %lld; 1 or more is needed", (long long)step);
    const int64_t size = out->dims[axis];
    const int64_t start = given[0] + (given[0] < 0 ? size : 0);
    const int64_t stop = given[1] + (given[1] < 0 ? size : 0);
    if (start < 0 || stop < start || stop > size)
        return tarn__call_fail(call, TARN_EARG, "[%lld, %lld) is not inside axis %d of x %s",
                               (long long)given[0], (long long)given[1], call->attr->axis,
                               tarn__describe(call->in[0], text));
    const int64_t n = stop > start ? (stop - start - 1) / step + 1 : 0;
    *offset = n > 0 ? start * out->strides[axis] : 0;
    out->dims[axis] = n;
    if (n > 1) out->strides[axis] *= step;
    tarn__layout_refresh(out);
    return TARN_OK;
}

/* sizes: the place. */
static tarn_status select_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    const int64_t given = call->attr->sizes[0];
    char text[TARN__DESCRIPTION_BYTES];
    const int axis = tarn__axis_of_x(call, call->attr->axis);
    if (axis < 0) return TARN_EARG;
    const int64_t size = x->dims[axis], place = given + (given < 0 ? size : 0);
    if (place < 0 || place >= size)
        return tarn__call_fail(call, TARN_EARG, "%lld is no place of axis %d of x %s",
                               (long long)given, call->attr->axis,
                               tarn__describe(call->in[0], text));
    *out = *x;
    out->ndim--;
    for (int i = axis; i < out->ndim; i++) {
        out->dims[i] = x->dims[i + 1];
        out->strides[i] = x->strides[i + 1];
    }
    tarn__layout_refresh(out);
    *offset = out->numel > 0 ? place * x->strides[axis] : 0;
    return TARN_OK;
}

/* ---- the gradients: dy in its place among zeros */

static tarn_tensor *slice_graph(const tarn__call *call, int i)
{
    const tarn__layout *x = &call->in[i]->layout;
    const int axis = tarn__axis(x, call->attr->axis);
    const int64_t size = x->dims[axis], start = call->attr->sizes[0];
    return tarn__unslice(call->dout, axis, size, start + (start < 0 ? size : 0),
                         call->attr->sizes[2]);
}

static tarn_tensor *select_graph(const tarn__call *call, int i)
{
    const tarn__layout *x = &call->in[i]->layout;
    const int axis = tarn__axis(x, call->attr->axis);
    const int64_t size = x->dims[axis], place = call->attr->sizes[0];
    tarn_tensor *dy = tarn_unsqueeze(call->dout, axis);
    return tarn__unslice(dy, axis, size, place + (place < 0 ? size : 0), 1);
}

/* ---- the operations */

const tarn__op tarn__op_slice = {
    .name = "slice",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = slice_infer,
    .graph = slice_graph,
};
const tarn__op tarn__op_select = {
    .name = "select",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .is_view = true,
    .infer = select_infer,
    .graph = select_graph,
};

tarn_tensor *tarn_slice(tarn_tensor *x, int axis, int64_t start, int64_t stop)
{
    return tarn_slice_step(x, axis, start, stop, 1);
}

tarn_tensor *tarn_slice_step(tarn_tensor *x, int axis, int64_t start, int64_t stop, int64_t step)
{
    return tarn__apply1(&tarn__op_slice, x,
                        &(tarn__attr){ .axis = axis, .sizes = { start, stop, step } });
}

tarn_tensor *tarn_select(tarn_tensor *x, int axis, int64_t place)
{
    return tarn__apply1(&tarn__op_select, x, &(tarn__attr){ .axis = axis, .sizes = { place } });
}

/* ---- several slices at once */

/* What messages begin with: operations that are made of others have a name, too. */
static const tarn__op split_op = { .name = "split" };

/* Whether the sizes, unless they are NULL, make up the axis. */
static tarn_status check_split(const tarn__call *call, int axis, const int64_t *sizes, int n)
{
    char text[TARN__DESCRIPTION_BYTES];
    const tarn__layout *x = &call->in[0]->layout;
    if (n < 1) return tarn__call_fail(call, TARN_EARG, "%d parts; 1 or more are needed", n);
    const int place = tarn__axis_of_x(call, axis);
    if (place < 0) return TARN_EARG;
    if (sizes == NULL) return TARN_OK;
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        if (sizes[i] < 0)
            return tarn__call_fail(call, TARN_EARG, "part %d has the size %lld", i,
                                   (long long)sizes[i]);
        if (!tarn__i64_add(sum, sizes[i], &sum))
            return tarn__call_fail(call, TARN_EOVERFLOW,
                                   "the sizes add up to more than there can be");
    }
    if (sum == x->dims[place]) return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE, "the sizes add up to %lld; axis %d of x %s has %lld",
                           (long long)sum, axis, tarn__describe(call->in[0], text),
                           (long long)x->dims[place]);
}

tarn_status tarn_split(tarn_tensor *x, int axis, const int64_t *sizes, int n, tarn_tensor **parts)
{
    for (int i = 0; i < n && parts != NULL; i++) parts[i] = NULL;
    if (x == NULL) return TARN_EARG;
    const tarn__call call = { .op = &split_op, .manager = x->manager, .in = { x } };
    if (parts == NULL) return tarn__call_fail(&call, TARN_EARG, "parts is NULL");
    const tarn_status status = check_split(&call, axis, sizes, n);
    if (status != TARN_OK) return status;
    const int64_t size = x->layout.dims[tarn__axis(&x->layout, axis)];
    int64_t start = 0;
    for (int i = 0; i < n; i++) {
        const int64_t own = sizes != NULL ? sizes[i] : size / n + (i < size % n ? 1 : 0);
        parts[i] = tarn_slice(x, axis, start, start + own);
        start += own;
        if (parts[i] != NULL) continue;
        for (int k = 0; k < i; k++) {
            tarn_release(parts[k]);
            parts[k] = NULL;
        }
        return tarn_error_code(x->manager);
    }
    return TARN_OK;
}
