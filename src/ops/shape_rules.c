/* SPDX-License-Identifier: MIT
 * shape_rules.c - the shape rules that several operations share. */
#include "ops/op.h"
#include "ops/remedies.h"

tarn_status tarn__infer_same(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    (void)offset;
    out->dtype = x->dtype;
    out->ndim = x->ndim;
    for (int axis = 0; axis < x->ndim; axis++) out->dims[axis] = x->dims[axis];
    return TARN_OK;
}

/* Places count from the last axis here, since that is where shapes align: 1 is the last. */
static int64_t size_from_last(const tarn__layout *layout, int place)
{
    return place <= layout->ndim ? layout->dims[layout->ndim - place] : 1;
}

/* The place at which the sizes of operands i and j are neither equal nor 1. */
static tarn_status fail_broadcast(const tarn__call *call, int i, int j, int place)
{
    const tarn_tensor *a = call->in[i], *b = call->in[j];
    char a_text[TARN__DESCRIPTION_BYTES], b_text[TARN__DESCRIPTION_BYTES],
        axis[32] = "the last axis", remedy[TARN__REMEDY_BYTES];
    if (place > 1) (void)snprintf(axis, sizeof(axis), "axis %d", -place);
    return tarn__call_fail(call, TARN_ESHAPE,
                           "%s %s, %s %s: sizes %lld and %lld of %s do not broadcast; they must be "
                           "equal, or one of them 1%s",
                           call->op->operands[i], tarn__describe(a, a_text), call->op->operands[j],
                           tarn__describe(b, b_text), (long long)size_from_last(&a->layout, place),
                           (long long)size_from_last(&b->layout, place), axis,
                           tarn__remedy_broadcast(call, i, j, remedy));
}

tarn_status tarn__infer_broadcast(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const int n = call->op->arity;
    (void)offset;
    out->dtype = call->in[0]->layout.dtype;
    out->ndim = 0;
    for (int i = 0; i < n; i++)
        if (call->in[i]->layout.ndim > out->ndim) out->ndim = call->in[i]->layout.ndim;
    for (int place = 1; place <= out->ndim; place++) {
        int decides = 0; /* the operand whose size is the output's */
        int64_t size = size_from_last(&call->in[0]->layout, place);
        for (int i = 1; i < n; i++) {
            const int64_t own = size_from_last(&call->in[i]->layout, place);
            if (own == size || own == 1) continue;
            if (size != 1) return fail_broadcast(call, decides, i, place);
            decides = i;
            size = own;
        }
        out->dims[out->ndim - place] = size;
    }
    return TARN_OK;
}

tarn_status tarn__check_one_dtype(const tarn__call *call, int i, int j)
{
    const uint8_t a = call->in[i]->layout.dtype, b = call->in[j]->layout.dtype;
    if (a == b) return TARN_OK;
    return tarn__call_fail(call, TARN_EDTYPE,
                           "%s is %s, %s is %s; one type is needed (tarn_cast converts)",
                           call->op->operands[i], tarn_dtype_name((tarn_dtype)a),
                           call->op->operands[j], tarn_dtype_name((tarn_dtype)b));
}

tarn_status tarn__infer_reduce(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout;
    (void)offset;
    out->dtype = x->dtype;
    out->ndim = 0;
    for (int axis = 0; axis < x->ndim; axis++) {
        const bool reduced = (call->attr->axes >> axis & 1) != 0;
        if (!reduced || call->attr->keep) out->dims[out->ndim++] = reduced ? 1 : x->dims[axis];
    }
    return TARN_OK;
}
