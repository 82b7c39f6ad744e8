/* SPDX-License-Identifier: MIT
 * shapes.c - what operations on shapes share. */
#include "ops/shapes.h"

#include "core/values.h"

/* ---- axes and regions */

int tarn__axis_of_x(const tarn__call *call, int axis)
{
    char text[TARN__DESCRIPTION_BYTES];
    const int place = tarn__axis(&call->in[0]->layout, axis);
    if (place < 0)
        (void)tarn__call_fail(call, TARN_EARG, "x %s has no axis %d",
                              tarn__describe(call->in[0], text), axis);
    return place;
}

void tarn__narrow(tarn_tensor *view, int axis, int64_t start, int64_t n, int64_t step)
{
    tarn__layout *layout = &view->layout;
    const int64_t bytes = (int64_t)tarn__dtype_size(layout->dtype);
    if (n > 0 && layout->numel > 0)
        view->data = (unsigned char *)view->data + start * layout->strides[axis] * bytes;
    layout->dims[axis] = n;
    if (n > 1) layout->strides[axis] *= step;
    tarn__layout_refresh(layout);
}

/* ---- gradients */

tarn_tensor *tarn__graph_reshaped(const tarn__call *call, int i)
{
    tarn_tensor *dy = tarn_contiguous(call->dout);
    return tarn_reshape(dy, tarn__shape_of(call->in[i]));
}

tarn_tensor *tarn__graph_same(const tarn__call *call, int i)
{
    (void)i;
    return call->dout;
}

/* ---- indices */

tarn_status tarn__check_index_dtype(const tarn__call *call, int i)
{
    const uint8_t dtype = call->in[i]->layout.dtype;
    if (dtype == TARN_I32 || dtype == TARN_I64 || dtype == TARN_U8) return TARN_OK;
    return tarn__call_fail(call, TARN_EDTYPE,
                           "%s is %s; int32, int64 or uint8 is needed (tarn_cast converts)",
                           call->op->operands[i], tarn_dtype_name((tarn_dtype)dtype));
}

/* "[1,2]": the index of element i, last axis fastest. */
static const char *describe_place(const tarn__layout *shape, int64_t i,
                                  char text[TARN__DESCRIPTION_BYTES])
{
    tarn__layout place = { .ndim = shape->ndim };
    for (int axis = shape->ndim - 1; axis >= 0; axis--) {
        place.dims[axis] = i % shape->dims[axis];
        i /= shape->dims[axis];
    }
    return tarn__describe_layout(&place, text);
}

static int64_t index_at(const tarn_tensor *t, int64_t offset)
{
    switch (t->layout.dtype) {
    case TARN_I32: return ((const int32_t *)t->data)[offset];
    case TARN_U8: return ((const uint8_t *)t->data)[offset];
    default: return ((const int64_t *)t->data)[offset];
    }
}

tarn_status tarn__read_indices(const tarn__call *call, int i, int64_t size, int64_t *to)
{
    const tarn_tensor *t = call->in[i];
    for (int64_t k = 0; k < t->layout.numel; k++) {
        const int64_t index = to[k] = index_at(t, tarn__offset_of(&t->layout, k));
        if (index >= 0 && index < size) continue;
        char text[TARN__DESCRIPTION_BYTES];
        return tarn__call_fail(call, TARN_EARG, "%s %lld at %s is not in [0, %lld)",
                               call->op->operands[i], (long long)index,
                               describe_place(&t->layout, k, text), (long long)size);
    }
    return TARN_OK;
}
