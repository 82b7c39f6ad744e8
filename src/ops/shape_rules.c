/* SPDX-License-Identifier: MIT
 * shape_rules.c - the shape rules that several operations share. */
#include "ops/op.h"

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

static tarn_status fail_broadcast(const tarn__call *call, int place)
{
    const tarn_tensor *a = call->in[0], *b = call->in[1];
    char a_text[TARN__DESCRIPTION_BYTES], b_text[TARN__DESCRIPTION_BYTES],
        axis[32] = "the last axis";
    if (place > 1) (void)snprintf(axis, sizeof(axis), "axis %d", -place);
    return tarn__call_fail(call, TARN_ESHAPE,
                           "%s %s, %s %s: sizes %lld and %lld of %s do not broadcast",
                           call->op->operands[0], tarn__describe(a, a_text), call->op->operands[1],
                           tarn__describe(b, b_text), (long long)size_from_last(&a->layout, place),
                           (long long)size_from_last(&b->layout, place), axis);
}

tarn_status tarn__infer_broadcast(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *a = &call->in[0]->layout, *b = &call->in[1]->layout;
    (void)offset;
    out->dtype = a->dtype;
    out->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int place = 1; place <= out->ndim; place++) {
        const int64_t m = size_from_last(a, place), n = size_from_last(b, place);
        if (m != n && m != 1 && n != 1) return fail_broadcast(call, place);
        out->dims[out->ndim - place] = m == 1 ? n : m;
    }
    return TARN_OK;
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
