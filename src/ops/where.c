/* SPDX-License-Identifier: MIT
 * where.c - where and masked_fill: elements of one tensor or another, as a condition says.
 *
 * A condition is walked in pieces that become bytes, so that all else depends on the type of the
 * chosen elements alone. */
#include <string.h>

#include "core/values.h"
#include "ops/loop.h"
#include "ops/op_list.h"

enum { PIECE = 1024 };

/* ---- conditions */

/* n elements of a condition, `step` apart: 0 where it is false. */
static const uint8_t *flags_of(const tarn_tensor *c, int64_t offset, int64_t step, int64_t n,
                               uint8_t room[PIECE])
{
    if (c->layout.dtype == TARN_U8) {
        const uint8_t *flags = (const uint8_t *)c->data + offset;
        if (step == 1) return flags;
        for (int64_t i = 0; i < n; i++) room[i] = flags[i * step];
    } else if (c->layout.dtype == TARN_I32) {
        const int32_t *flags = (const int32_t *)c->data + offset;
        for (int64_t i = 0; i < n; i++) room[i] = flags[i * step] != 0;
    } else {
        const int64_t *flags = (const int64_t *)c->data + offset;
        for (int64_t i = 0; i < n; i++) room[i] = flags[i * step] != 0;
    }
    return room;
}

static tarn_status check_condition(const tarn__call *call, int i)
{
    const uint8_t dtype = call->in[i]->layout.dtype;
    if (dtype != TARN_F32 && dtype != TARN_F64) return TARN_OK;
    return tarn__call_fail(call, TARN_EDTYPE,
                           "%s is %s; uint8, int32 or int64 is needed (comparisons give uint8)",
                           call->op->operands[i], tarn_dtype_name((tarn_dtype)dtype));
}

/* ---- forward */

typedef void (*choose_row)(int64_t n, void *y, const uint8_t *flags, const void *a, int64_t a_step,
                           const void *b, int64_t b_step);

#define CHOOSE(type, a_element, b_element)                            \
    {                                                                 \
        TARN__INDEPENDENT                                             \
        for (int64_t i = 0; i < n; i++) {                             \
            const type if_set = (a_element), otherwise = (b_element); \
            ys[i] = flags[i] != 0 ? if_set : otherwise;               \
        }                                                             \
    }

/* Elements of one byte. */
static void choose_u8(int64_t n, void *y, const uint8_t *flags, const void *a, int64_t a_step,
                      const void *b, int64_t b_step)
{
    uint8_t *ys = y;
    const uint8_t *as = a, *bs = b;
    CHOOSE(uint8_t, as[i * a_step], bs[i * b_step])
}

#define TARN_KERNELS "ops/where.inc"
#include "ops/for_each_simd.h"

static choose_row row_of(uint8_t dtype)
{
    static const choose_row rows[][2] = TARN__KERNELS(choose);
    const size_t bytes = tarn__dtype_size(dtype);
    return bytes == 1 ? choose_u8 : rows[tarn__simd()][bytes == sizeof(double)];
}

/* What is chosen from: elements somewhere, and how they lie. */
typedef struct source {
    const unsigned char *data;
    const tarn__layout *layout;
} source;

static tarn_status choose(const tarn__call *call, const tarn_tensor *c, source a, source b)
{
    const tarn_tensor *y = call->out;
    const choose_row row = row_of(y->layout.dtype);
    const int64_t bytes = (int64_t)tarn__dtype_size(y->layout.dtype);
    unsigned char *to = y->data;
    uint8_t room[PIECE];
    tarn__loop loop;
    tarn__loop_begin(&loop, &y->layout, 4,
                     (const tarn__layout *const[]){ &y->layout, &c->layout, a.layout, b.layout });
    do {
        const int64_t *at = loop.offset, *step = loop.step;
        for (int64_t i = 0; i < loop.n; i += PIECE) {
            const int64_t n = loop.n - i < PIECE ? loop.n - i : PIECE;
            const uint8_t *flags = flags_of(c, at[1] + i * step[1], step[1], n, room);
            row(n, to + (at[0] + i) * bytes, flags, a.data + (at[2] + i * step[2]) * bytes, step[2],
                b.data + (at[3] + i * step[3]) * bytes, step[3]);
        }
    } while (tarn__loop_next(&loop));
    return TARN_OK;
}

static tarn_status where_forward(const tarn__call *call)
{
    const tarn_tensor *a = call->in[1], *b = call->in[2];
    return choose(call, call->in[0], (source){ a->data, &a->layout },
                  (source){ b->data, &b->layout });
}

static tarn_status masked_fill_forward(const tarn__call *call)
{
    const tarn_tensor *x = call->in[0];
    union {
        unsigned char bytes[8];
        double alignment;
    } value;
    tarn__store(value.bytes, (tarn_dtype)x->layout.dtype, call->attr->value);
    return choose(call, call->in[1],
                  (source){ value.bytes, &(tarn__layout){ .dtype = x->layout.dtype } },
                  (source){ x->data, &x->layout });
}

/* ---- backward */

typedef void (*route_kernel)(const tarn_tensor *dy, const tarn_tensor *c, bool set, tarn_tensor *dx,
                             bool add);

/* What arrives at operand i: dy where the condition, operand c, is as `set` says. */
static void route(const tarn__call *call, int i, int c, bool set)
{
    static const route_kernel routes[][2] = TARN__KERNELS(route);
    if (call->din[i] == NULL) return;
    const route_kernel kernel = routes[tarn__simd()][call->dout->layout.dtype == TARN_F64];
    kernel(call->dout, call->in[c], set, call->din[i], call->add[i]);
}

static tarn_status where_backward(const tarn__call *call)
{
    route(call, 1, 0, true);
    route(call, 2, 0, false);
    return TARN_OK;
}

static tarn_status masked_fill_backward(const tarn__call *call)
{
    route(call, 0, 1, false);
    return TARN_OK;
}

/* ---- gradients as operations */

static tarn_tensor *where_graph(const tarn__call *call, int i)
{
    tarn_tensor *dy = call->dout;
    tarn_tensor *zero = tarn_zeros(call->manager, tarn_get_dtype(dy), TARN_SCALAR);
    return i == 1 ? tarn_where(call->in[0], dy, zero) : tarn_where(call->in[0], zero, dy);
}

static tarn_tensor *masked_fill_graph(const tarn__call *call, int i)
{
    (void)i;
    return tarn_masked_fill(call->dout, call->in[1], 0);
}

/* ---- the operations */

static tarn_status where_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    tarn_status status = check_condition(call, 0);
    if (status == TARN_OK) status = tarn__check_one_dtype(call, 1, 2);
    if (status == TARN_OK) status = tarn__infer_broadcast(call, out, offset);
    out->dtype = call->in[1]->layout.dtype;
    return status;
}

static tarn_status masked_fill_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *x = &call->in[0]->layout, *mask = &call->in[1]->layout;
    bool fits = mask->ndim <= x->ndim;
    for (int i = 1; fits && i <= mask->ndim; i++) {
        const int64_t size = mask->dims[mask->ndim - i];
        fits = size == 1 || size == x->dims[x->ndim - i];
    }
    if (!fits) {
        char x_text[TARN__DESCRIPTION_BYTES], mask_text[TARN__DESCRIPTION_BYTES];
        return tarn__call_fail(call, TARN_ESHAPE, "x %s, mask %s: the mask does not broadcast to x",
                               tarn__describe(call->in[0], x_text),
                               tarn__describe(call->in[1], mask_text));
    }
    const tarn_status status = check_condition(call, 1);
    return status == TARN_OK ? tarn__infer_same(call, out, offset) : status;
}

const tarn__op tarn__op_where = {
    .name = "where",
    .operands = { "condition", "a", "b" },
    .arity = 3,
    .any_dtype = 1 | 2 | 4,
    .layout = TARN__STRIDED,
    .uses = { 0, TARN__USES_IN0, TARN__USES_IN0 },
    .infer = where_infer,
    .forward = TARN__ANY(where_forward),
    .backward = TARN__ANY(where_backward),
    .graph = where_graph,
};

const tarn__op tarn__op_masked_fill = {
    .name = "masked_fill",
    .operands = { "x", "mask" },
    .arity = 2,
    .any_dtype = 1 | 2,
    .layout = TARN__STRIDED,
    .in_place = true,
    .grad_in_place = true,
    .uses = { TARN__USES_IN1 },
    .infer = masked_fill_infer,
    .forward = TARN__ANY(masked_fill_forward),
    .backward = TARN__ANY(masked_fill_backward),
    .graph = masked_fill_graph,
};

tarn_tensor *tarn_where(tarn_tensor *condition, tarn_tensor *a, tarn_tensor *b)
{
    tarn_tensor *const in[] = { condition, a, b };
    return tarn__apply(&tarn__op_where, in, NULL);
}

tarn_tensor *tarn_masked_fill(tarn_tensor *x, tarn_tensor *mask, double value)
{
    return tarn__apply2(&tarn__op_masked_fill, x, mask, &(tarn__attr){ .value = value });
}
