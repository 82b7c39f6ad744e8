/* SPDX-License-Identifier: MIT
 * concat.c - tensors behind one another: concat and stack, and roll and tile, which are made of it.
 *
 * An operation has a few operands, a caller any number of tensors: groups of them are joined first,
 * then what came of them, so that n tensors are copied log(n) times to base 5. */
#include "core/size.h"
#include "ops/op_list.h"
#include "ops/shapes.h"

/* ---- the operation: up to five operands, axis from 0 on; the caller has checked that they fit */

static tarn_status concat_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int axis = call->attr->axis;
    (void)tarn__infer_same(call, out, offset);
    for (int i = 1; i < TARN__MAX_OPERANDS && call->in[i] != NULL; i++)
        if (!tarn__i64_add(out->dims[axis], call->in[i]->layout.dims[axis], &out->dims[axis]))
            return tarn__call_fail(call, TARN_EOVERFLOW, "the result would hold too many elements");
    return TARN_OK;
}

/* The part of t, the result or its gradient, that is operand i. */
static tarn_tensor part(const tarn__call *call, const tarn_tensor *t, int i)
{
    const int axis = call->attr->axis;
    tarn_tensor view = *t;
    int64_t start = 0;
    for (int k = 0; k < i; k++) start += call->in[k]->layout.dims[axis];
    tarn__narrow(&view, axis, start, call->in[i]->layout.dims[axis], 1);
    return view;
}

static tarn_status concat_forward(const tarn__call *call)
{
    for (int i = 0; i < TARN__MAX_OPERANDS && call->in[i] != NULL; i++) {
        tarn_tensor y = part(call, call->out, i);
        tarn__copy_strided(&y, call->in[i]);
    }
    return TARN_OK;
}

static tarn_status concat_backward(const tarn__call *call)
{
    for (int i = 0; i < TARN__MAX_OPERANDS && call->in[i] != NULL; i++) {
        if (call->din[i] == NULL) continue;
        const tarn_tensor dy = part(call, call->dout, i);
        (call->add[i] ? tarn__add_strided : tarn__copy_strided)(call->din[i], &dy);
    }
    return TARN_OK;
}

static tarn_tensor *concat_graph(const tarn__call *call, int i)
{
    const int axis = call->attr->axis;
    int64_t start = 0;
    for (int k = 0; k < i; k++) start += call->in[k]->layout.dims[axis];
    return tarn_slice(call->dout, axis, start, start + call->in[i]->layout.dims[axis]);
}

const tarn__op tarn__op_concat = {
    .name = "concat",
    .operands = { "tensor 0", "tensor 1", "tensor 2", "tensor 3", "tensor 4" },
    .arity = TARN__MAX_OPERANDS,
    .optional = 0x1e,
    .any_dtype = 0x1f,
    .layout = TARN__STRIDED,
    .infer = concat_infer,
    .forward = TARN__ANY(concat_forward),
    .backward = TARN__ANY(concat_backward),
    .graph = concat_graph,
};

/* ---- any number of tensors */

/* What is joined; `stacked` along a new axis. */
typedef struct joining {
    tarn_tensor *const *tensors;
    int axis; /* from 0 on */
    bool stacked;
} joining;

/* Tensors first to first + n - 1, joined. What was made on the way ends, unless it is recorded,
 * with this call. */
static tarn_tensor *join(const joining *j, int first, int n)
{
    tarn_tensor *in[TARN__MAX_OPERANDS] = { NULL };
    const int groups = n < TARN__MAX_OPERANDS ? n : TARN__MAX_OPERANDS;
    const bool own = j->stacked || n > TARN__MAX_OPERANDS;
    bool complete = true;
    for (int i = 0, at = first; i < groups; i++) {
        const int size = n / groups + (i < n % groups ? 1 : 0);
        if (n > TARN__MAX_OPERANDS) in[i] = join(j, at, size);
        else in[i] = j->stacked ? tarn_unsqueeze(j->tensors[at], j->axis) : j->tensors[at];
        complete = complete && in[i] != NULL;
        at += size;
    }
    tarn_tensor *y =
        complete ? tarn__apply(&tarn__op_concat, in, &(tarn__attr){ .axis = j->axis }) : NULL;
    for (int i = 0; i < groups && own; i++) tarn_release(in[i]);
    return y;
}

/* Whether tensor i fits tensor 0. */
static tarn_status check_tensor(const tarn__call *call, const joining *j, int i)
{
    char first[TARN__DESCRIPTION_BYTES], other[TARN__DESCRIPTION_BYTES];
    const tarn_tensor *a = j->tensors[0], *b = j->tensors[i];
    if (a->layout.dtype != b->layout.dtype)
        return tarn__call_fail(call, TARN_EDTYPE,
                               "tensor 0 is %s, tensor %d is %s; one type is needed (tarn_cast "
                               "converts)",
                               tarn_dtype_name((tarn_dtype)a->layout.dtype), i,
                               tarn_dtype_name((tarn_dtype)b->layout.dtype));
    bool fits = a->layout.ndim == b->layout.ndim;
    for (int axis = 0; axis < a->layout.ndim && fits; axis++)
        fits = a->layout.dims[axis] == b->layout.dims[axis] || (axis == j->axis && !j->stacked);
    if (fits) return TARN_OK;
    tarn__describe(a, first);
    tarn__describe(b, other);
    if (!j->stacked && a->layout.ndim != b->layout.ndim)
        return tarn__call_fail(call, TARN_ESHAPE,
                               "tensor 0 %s, tensor %d %s: as many axes are needed (tarn_unsqueeze "
                               "adds one, tarn_stack makes a new one)",
                               first, i, other);
    if (j->stacked)
        return tarn__call_fail(call, TARN_ESHAPE, "tensor 0 %s, tensor %d %s: one shape is needed",
                               first, i, other);
    return tarn__call_fail(call, TARN_ESHAPE,
                           "tensor 0 %s, tensor %d %s: they may differ along axis %d alone", first,
                           i, other, j->axis);
}

/* The place of the axis, or -1 with the error held. */
static int join_axis(const tarn__call *call, const joining *j, int axis)
{
    char text[TARN__DESCRIPTION_BYTES];
    const tarn_tensor *x = j->tensors[0];
    const int ndim = x->layout.ndim, n = j->stacked ? ndim + 1 : ndim;
    if (n > TARN_MAX_DIMS) {
        (void)tarn__call_fail(call, TARN_ELIMIT, "tensor 0 %s has %d dimensions already",
                              tarn__describe(x, text), ndim);
        return -1;
    }
    if (axis >= -n && axis < n) return axis < 0 ? axis + n : axis;
    tarn__describe(x, text);
    if (j->stacked)
        (void)tarn__call_fail(call, TARN_EARG, "axis %d; %d to %d are possible for %s", axis, -n,
                              ndim, text);
    else (void)tarn__call_fail(call, TARN_EARG, "tensor 0 %s has no axis %d", text, axis);
    return -1;
}

/* The manager of all of them, or NULL where none can be told of what is wrong: as apply.c finds
 * it. *missing is the first that is NULL, or -1. */
static tarn_manager *manager_of(tarn_tensor *const *tensors, int n, int *missing)
{
    tarn_manager *frozen = NULL, *own = NULL;
    *missing = -1;
    for (int i = 0; i < n && tensors != NULL; i++) {
        const tarn_tensor *t = tensors[i];
        if (t == NULL && *missing < 0) *missing = i;
        if (t != NULL && t->frozen && frozen == NULL) frozen = t->manager;
        if (t != NULL && !t->frozen && own == NULL) own = t->manager;
    }
    return own != NULL || *missing >= 0 ? own : frozen;
}

static tarn_tensor *join_all(const tarn__op *op, tarn_tensor *const *tensors, int n, int axis,
                             bool stacked)
{
    joining j = { .tensors = tensors, .stacked = stacked };
    int missing;
    const tarn__call call = { .op = op, .manager = manager_of(tensors, n, &missing) };
    if (call.manager == NULL) return NULL;
    if (missing >= 0) {
        (void)tarn__call_fail(&call, TARN_EARG,
                              "tensor %d is NULL, but no call before failed: was it ever made?",
                              missing);
        return NULL;
    }
    j.axis = join_axis(&call, &j, axis);
    if (j.axis < 0) return NULL;
    for (int i = 1; i < n; i++)
        if (check_tensor(&call, &j, i) != TARN_OK) return NULL;
    return join(&j, 0, n);
}

tarn_tensor *tarn_concat(tarn_tensor *const *tensors, int n, int axis)
{
    return join_all(&tarn__op_concat, tensors, n, axis, false);
}

tarn_tensor *tarn_stack(tarn_tensor *const *tensors, int n, int axis)
{
    static const tarn__op stack_op = { .name = "stack" };
    return join_all(&stack_op, tensors, n, axis, true);
}

/* ---- a tensor and itself */

tarn_tensor *tarn_roll(tarn_tensor *x, int axis, int64_t shift)
{
    static const tarn__op roll_op = { .name = "roll" };
    if (x == NULL) return NULL;
    const tarn__call call = { .op = &roll_op, .manager = x->manager, .in = { x } };
    const int place = tarn__axis_of_x(&call, axis);
    if (place < 0) return NULL;
    const int64_t size = x->layout.dims[place];
    const int64_t last = size > 0 ? (shift % size + size) % size : 0; /* elements that come first */
    tarn_tensor *in[2];
    in[0] = tarn_slice(x, place, size - last, size);
    in[1] = tarn_slice(x, place, 0, size - last);
    tarn_tensor *y = tarn_concat(in, 2, place);
    tarn_release(in[0]);
    tarn_release(in[1]);
    return y;
}

tarn_tensor *tarn_tile(tarn_tensor *x, int axis, int64_t times)
{
    static const tarn__op tile_op = { .name = "tile" };
    if (x == NULL) return NULL;
    const tarn__call call = { .op = &tile_op, .manager = x->manager, .in = { x } };
    const int place = tarn__axis_of_x(&call, axis);
    if (place < 0) return NULL;
    if (times < 0) {
        (void)tarn__call_fail(&call, TARN_EARG, "%lld times", (long long)times);
        return NULL;
    }
    tarn_tensor *one = tarn_unsqueeze(x, place);
    if (one == NULL) return NULL;
    tarn_shape shape = tarn__shape_of(one);
    shape.dims[place] = times;
    tarn_tensor *repeated = tarn_expand(one, shape);
    tarn_tensor *y = tarn_flatten(repeated, place, place + 1);
    tarn_release(one);
    tarn_release(repeated);
    return y;
}
