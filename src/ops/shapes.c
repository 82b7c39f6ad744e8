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
