/* SPDX-License-Identifier: MIT
 * copy.c - contiguous, flip and cast: the same elements in another place or type. */
#include "core/values.h"
#include "ops/loop.h"
#include "ops/op_list.h"
#include "ops/reduce.h"
#include "ops/shapes.h"

/* ---- contiguous */

static tarn_status contiguous_forward(const tarn__call *call)
{
    tarn__copy_strided(call->out, call->in[0]);
    return TARN_OK;
}

static tarn_status contiguous_backward(const tarn__call *call)
{
    if (call->add[0]) tarn__add_strided(call->din[0], call->dout);
    else if (call->din[0]->data != call->dout->data) tarn__copy_strided(call->din[0], call->dout);
    return TARN_OK;
}

/* ---- flip */

/* t, seen from the other end of the axes. */
static tarn_tensor flipped(const tarn_tensor *t, uint32_t axes)
{
    tarn_tensor view = *t;
    const int64_t bytes = (int64_t)tarn__dtype_size(t->layout.dtype);
    for (int i = 0; i < t->layout.ndim; i++) {
        if ((axes >> i & 1) == 0 || t->layout.numel == 0) continue;
        const int64_t stride = t->layout.strides[i];
        view.data = (unsigned char *)view.data + (t->layout.dims[i] - 1) * stride * bytes;
        view.layout.strides[i] = -stride;
    }
    tarn__layout_refresh(&view.layout);
    return view;
}

static tarn_status flip_forward(const tarn__call *call)
{
    const tarn_tensor x = flipped(call->in[0], call->attr->axes);
    tarn__copy_strided(call->out, &x);
    return TARN_OK;
}

static tarn_status flip_backward(const tarn__call *call)
{
    const tarn_tensor dy = flipped(call->dout, call->attr->axes);
    (call->add[0] ? tarn__add_strided : tarn__copy_strided)(call->din[0], &dy);
    return TARN_OK;
}

static tarn_tensor *flip_graph(const tarn__call *call, int i)
{
    (void)i;
    return tarn__apply1(&tarn__op_flip, call->dout, call->attr);
}

/* ---- cast: to y's type, truncating and saturating towards integers, NaN becoming 0 */

/* Each source type goes through the widest of its kind, so that nothing is lost on the way: an
 * int64_t has no exact double, nor a float an exact integer. */
static inline int64_t integer_of_integer(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}
#define INTEGER(v, low, high)          \
    _Generic((v), float                \
             : tarn__saturate, double  \
             : tarn__saturate, default \
             : integer_of_integer)(v, low, high)

#define TO_F32(v) ((float)(v))
#define TO_F64(v) ((double)(v))
#define TO_I32(v) ((int32_t)INTEGER(v, INT32_MIN, INT32_MAX))
#define TO_I64(v) INTEGER(v, INT64_MIN, INT64_MAX)
#define TO_U8(v) ((uint8_t)INTEGER(v, 0, UINT8_MAX))

typedef void (*cast_row)(int64_t n, void *y, int64_t y_step, const void *x, int64_t x_step);

#define CAST_ROW(from, from_type, to, to_type)                                        \
    static void cast_##from##_##to(int64_t n, void *y, int64_t y_step, const void *x, \
                                   int64_t x_step)                                    \
    {                                                                                 \
        const from_type *restrict xs = x;                                             \
        to_type *restrict ys = y;                                                     \
        for (int64_t i = 0; i < n; i++) ys[i * y_step] = TO_##to(xs[i * x_step]);     \
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
#undef CAST_ROW

/* [from][to], in the order of the list of types. */
static const cast_row cast_rows[][5] = {
#define TO_ALL(from, type, name)                                                  \
    { cast_##from##_F32, cast_##from##_F64, cast_##from##_I32, cast_##from##_I64, \
      cast_##from##_U8 },
    TARN_DTYPE_LIST(TO_ALL)
#undef TO_ALL
};

static void cast_all(tarn_tensor *y, const tarn_tensor *x)
{
    const cast_row row = cast_rows[x->layout.dtype][y->layout.dtype];
    const int64_t x_bytes = (int64_t)tarn_dtype_size((tarn_dtype)x->layout.dtype);
    const int64_t y_bytes = (int64_t)tarn_dtype_size((tarn_dtype)y->layout.dtype);
    tarn__loop loop;
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

/* dx += dy, of any two float types. */
#define ADD_CAST(name, to_type, from_type)                                        \
    static void name(tarn_tensor *dx, const tarn_tensor *dy)                      \
    {                                                                             \
        to_type *to = dx->data;                                                   \
        const from_type *from = dy->data;                                         \
        for (int64_t i = 0; i < dx->layout.numel; i++) to[i] += (to_type)from[i]; \
    }
ADD_CAST(add_f64_to_f32, float, double)
ADD_CAST(add_f32_to_f64, double, float)
#undef ADD_CAST

/* Only casts between floats are recorded. */
static tarn_status cast_backward(const tarn__call *call)
{
    tarn_tensor *dx = call->din[0], *dy = call->dout;
    if (!call->add[0]) cast_all(dx, dy);
    else if (dx->layout.dtype == dy->layout.dtype) tarn__add_strided(dx, dy);
    else (dx->layout.dtype == TARN_F64 ? add_f32_to_f64 : add_f64_to_f32)(dx, dy);
    return TARN_OK;
}

static tarn_tensor *cast_graph(const tarn__call *call, int i)
{
    return tarn_cast(call->dout, (tarn_dtype)call->in[i]->layout.dtype);
}

/* ---- the operations */

const tarn__op tarn__op_contiguous = {
    .name = "contiguous",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .grad_in_place = true,
    .infer = tarn__infer_same,
    .forward = TARN__ANY(contiguous_forward),
    .backward = TARN__ANY(contiguous_backward),
    .graph = tarn__graph_same,
};

const tarn__op tarn__op_flip = {
    .name = "flip",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = tarn__infer_same,
    .forward = TARN__ANY(flip_forward),
    .backward = TARN__ANY(flip_backward),
    .graph = flip_graph,
};

const tarn__op tarn__op_cast = {
    .name = "cast",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .layout = TARN__STRIDED,
    .infer = cast_infer,
    .forward = TARN__ANY(cast_forward),
    .backward = TARN__ANY(cast_backward),
    .graph = cast_graph,
};

tarn_tensor *tarn_contiguous(tarn_tensor *x)
{
    if (tarn_is_contiguous(x)) return tarn_reshape(x, tarn_get_shape(x));
    return tarn__apply1(&tarn__op_contiguous, x, NULL);
}

tarn_tensor *tarn_flip(tarn_tensor *x, tarn_axes axes)
{
    return tarn__apply_reduction(&tarn__op_flip, x, &axes);
}

tarn_tensor *tarn_cast(tarn_tensor *x, tarn_dtype dtype)
{
    if (x != NULL && tarn_dtype_size(dtype) == 0) {
        const tarn__call call = { .op = &tarn__op_cast, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EDTYPE, "%d is no element type", (int)dtype);
        return NULL;
    }
    return tarn__apply1(&tarn__op_cast, x, &(tarn__attr){ .dtype = (uint8_t)dtype });
}
