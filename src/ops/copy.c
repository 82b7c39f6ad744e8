/* SPDX-License-Identifier: MIT
 * copy.c - contiguous and cast: the same elements in another place or type. */
#include "core/values.h"
#include "ops/loop.h"
#include "ops/op.h"

/* ---- contiguous */

static tarn_status contiguous_forward(const tarn__call *call)
{
    tarn__copy_strided(call->out, call->in[0]);
    return TARN_OK;
}

static tarn_status contiguous_backward(const tarn__call *call)
{
    if (call->add[0])
        tarn__add_strided(call->din[0], call->dout);
    else if (call->din[0] != call->dout)
        tarn__copy_strided(call->din[0], call->dout);
    return TARN_OK;
}

/* ---- cast: to y's type, truncating and saturating towards integers, NaN becoming 0 */

/* The largest value of each integer type plus one, as a double; the smallest are minus that, or 0. */
#define CAST_TO_INT(value, type, low, limit)                                                    \
    ((value) != (value)          ? (type)0                                                      \
     : (double)(value) <= (low)  ? (type)(low)                                                  \
     : (double)(value) >= (limit) ? (type)((limit) == 0x1p63 ? INT64_MAX : (int64_t)(limit)-1)  \
                                 : (type)(value))
#define TO_F32(v) ((float)(v))
#define TO_F64(v) ((double)(v))
#define TO_I32(v) CAST_TO_INT(v, int32_t, -0x1p31, 0x1p31)
#define TO_I64(v) CAST_TO_INT(v, int64_t, -0x1p63, 0x1p63)
#define TO_U8(v) CAST_TO_INT(v, uint8_t, 0.0, 0x1p8)

typedef void (*cast_row)(int64_t n, void *y, int64_t y_step, const void *x, int64_t x_step);

#define CAST_ROW(from, from_type, to, to_type)                                                  \
    static void cast_##from##_##to(int64_t n, void *y, int64_t y_step, const void *x,           \
                                   int64_t x_step)                                              \
    {                                                                                           \
        const from_type *restrict xs = x;                                                       \
        to_type *restrict ys = y;                                                               \
        for (int64_t i = 0; i < n; i++) ys[i * y_step] = TO_##to(xs[i * x_step]);               \
    }
#define CAST_FROM_F32(code, type, name) CAST_ROW(F32, float, code, type)
#define CAST_FROM_F64(code, type, name) CAST_ROW(F64, double, code, type)
#define CAST_FROM_I32(code, type, name) CAST_ROW(I32, int32_t, code, type)
#define CAST_FROM_I64(code, type, name) CAST_ROW(I64, int64_t, code, type)
#define CAST_FROM_U8(code, type, name) CAST_ROW(U8, uint8_t, code, type)
TARN_DTYPE_LIST(CAST_FROM_F32)
TARN_DTYPE_LIST(CAST_FROM_F64)
TARN_DTYPE_LIST(CAST_FROM_I32)
TARN_DTYPE_LIST(CAST_FROM_I64)
TARN_DTYPE_LIST(CAST_FROM_U8)

/* [from][to], in the order of the list of types. */
static const cast_row cast_rows[][5] = {
#define TO_ALL(from, type, name) \
    { cast_##from##_F32, cast_##from##_F64, cast_##from##_I32, cast_##from##_I64, cast_##from##_U8 },
    TARN_DTYPE_LIST(TO_ALL)
#undef TO_ALL
};

static void cast_all(tarn_tensor *y, const tarn_tensor *x)
{
    const cast_row row = cast_rows[x->layout.dtype][y->layout.dtype];
    const int64_t  x_bytes = (int64_t)tarn_dtype_size((tarn_dtype)x->layout.dtype);
    const int64_t  y_bytes = (int64_t)tarn_dtype_size((tarn_dtype)y->layout.dtype);
    tarn__loop     loop;
    tarn__loop_begin(&loop, &y->layout, 2, (const tarn__layout *const[]){ &y->layout, &x->layout });
    do {
        row(loop.n, (unsigned char *)y->data + loop.offset[0] * y_bytes, loop.step[0],
            (const unsigned char *)x->data + loop.offset[1] * x_bytes, loop.step[1]);
    } while (tarn__loop_next(&loop));
}

static tarn_status cast_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)offset;
    *out = call->in[0]->layout;
    out->dtype = call->attr->dtype;
    return TARN_OK;
}

static tarn_status cast_forward(const tarn__call *call)
{
    cast_all(call->out, call->in[0]);
    return TARN_OK;
}

/* Between floats; each is added in its own type. */
static tarn_status cast_backward(const tarn__call *call)
{
    tarn_tensor *dx = call->din[0];
    if (!call->add[0]) {
        cast_all(dx, call->dout);
        return TARN_OK;
    }
    const int64_t n = dx->layout.numel;
    const bool    to_double = dx->layout.dtype == TARN_F64, from_double = call->dout->layout.dtype == TARN_F64;
    for (int64_t i = 0; i < n; i++) {
        const double g = from_double ? ((const double *)call->dout->data)[i]
                                     : (double)((const float *)call->dout->data)[i];
        if (to_double)
            ((double *)dx->data)[i] += g;
        else
            ((float *)dx->data)[i] += (float)g;
    }
    return TARN_OK;
}

/* ---- the operations */

const tarn__op tarn__op_contiguous = {
    .name = "contiguous",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = tarn__infer_same,
    .forward = { contiguous_forward, contiguous_forward },
    .backward = { contiguous_backward, contiguous_backward },
};

const tarn__op tarn__op_cast = {
    .name = "cast",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = cast_infer,
    .forward = { cast_forward, cast_forward },
    .backward = { cast_backward, cast_backward },
};

tarn_tensor *tarn_contiguous(tarn_tensor *x)
{
    if (tarn_is_contiguous(x)) return tarn_reshape(x, tarn_get_shape(x));
    return tarn__apply1(&tarn__op_contiguous, x, NULL);
}

tarn_tensor *tarn_cast(tarn_tensor *x, tarn_dtype dtype)
{
    if (x != NULL && tarn_dtype_size(dtype) == 0) {
        (void)tarn__fail(x->manager, TARN_EDTYPE, "cast: %d is no element type", (int)dtype);
        return NULL;
    }
    return tarn__apply1(&tarn__op_cast, x, &(tarn__attr){ .dtype = (uint8_t)dtype });
}
