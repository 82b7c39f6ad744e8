/* SPDX-License-Identifier: MIT
 * triangle.c - tril and triu: matrices with zeros on one side of a diagonal. */
#include <string.h>

#include "ops/op_list.h"

/* The columns [from, to) of row r that stay as they are; sizes has the diagonal. */
typedef struct kept {
    int64_t from, to;
} kept;

static int64_t clamped(int64_t i, int64_t n) { return i < 0 ? 0 : i > n ? n : i; }

static kept kept_of(const tarn__call *call, int64_t r, int64_t n)
{
    /* Far diagonals do not overflow: r is less than the rows there are, n of memory. */
    const int64_t diagonal = call->attr->sizes[0];
    const int64_t d = diagonal > n ? n : diagonal < -r - 1 ? -r - 1 : diagonal;
    if (call->op == &tarn__op_tril) return (kept){ 0, clamped(r + d + 1, n) };
    return (kept){ clamped(r + d, n), n };
}

static tarn_status triangle_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    char text[TARN__DESCRIPTION_BYTES];
    if (call->in[0]->layout.ndim < 2)
        return tarn__call_fail(call, TARN_ESHAPE, "x %s; a matrix has at least two axes",
                               tarn__describe(call->in[0], text));
    return tarn__infer_same(call, out, offset);
}

/* to = from in the triangle, else 0; both may be the same memory. */
static void copy_triangle(const tarn__call *call, tarn_tensor *to, const tarn_tensor *from)
{
    const tarn__layout *l = &to->layout;
    const int64_t n = l->dims[l->ndim - 1], m = l->dims[l->ndim - 2];
    const size_t size = tarn__dtype_size(l->dtype);
    unsigned char *y = to->data;
    const unsigned char *x = from->data;
    for (int64_t row = 0; row < l->numel / n; row++, x += (size_t)n * size, y += (size_t)n * size) {
        const kept k = kept_of(call, row % m, n);
        const size_t begin = (size_t)k.from * size, end = (size_t)k.to * size;
        memset(y, 0, begin);
        memmove(y + begin, x + begin, end - begin);
        memset(y + end, 0, (size_t)n * size - end);
    }
}

/* to += from in the triangle. */
#define ADD_TRIANGLE(name, type)                                                       \
    static void name(const tarn__call *call, tarn_tensor *to, const tarn_tensor *from) \
    {                                                                                  \
        const tarn__layout *l = &to->layout;                                           \
        const int64_t n = l->dims[l->ndim - 1], m = l->dims[l->ndim - 2];              \
        type *y = to->data;                                                            \
        const type *x = from->data;                                                    \
        for (int64_t row = 0; row < l->numel / n; row++, x += n, y += n) {             \
            const kept k = kept_of(call, row % m, n);                                  \
            for (int64_t i = k.from; i < k.to; i++) y[i] += x[i];                      \
        }                                                                              \
    }
ADD_TRIANGLE(add_triangle_f32, float)
ADD_TRIANGLE(add_triangle_f64, double)
#undef ADD_TRIANGLE

static tarn_status triangle_forward(const tarn__call *call)
{
    copy_triangle(call, call->out, call->in[0]);
    return TARN_OK;
}

static tarn_status triangle_backward(const tarn__call *call)
{
    tarn_tensor *dx = call->din[0], *dy = call->dout;
    if (!call->add[0]) copy_triangle(call, dx, dy);
    else (dx->layout.dtype == TARN_F64 ? add_triangle_f64 : add_triangle_f32)(call, dx, dy);
    return TARN_OK;
}

static tarn_tensor *triangle_graph(const tarn__call *call, int i)
{
    (void)i;
    return tarn__apply1(call->op, call->dout, call->attr);
}

const tarn__op tarn__op_tril = {
    .name = "tril",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .grad_in_place = true,
    .infer = triangle_infer,
    .forward = TARN__ANY(triangle_forward),
    .backward = TARN__ANY(triangle_backward),
    .graph = triangle_graph,
};
const tarn__op tarn__op_triu = {
    .name = "triu",
    .operands = { "x" },
    .arity = 1,
    .any_dtype = 1,
    .grad_in_place = true,
    .infer = triangle_infer,
    .forward = TARN__ANY(triangle_forward),
    .backward = TARN__ANY(triangle_backward),
    .graph = triangle_graph,
};

tarn_tensor *tarn_tril(tarn_tensor *x, int64_t diagonal)
{
    return tarn__apply1(&tarn__op_tril, x, &(tarn__attr){ .sizes = { diagonal } });
}

tarn_tensor *tarn_triu(tarn_tensor *x, int64_t diagonal)
{
    return tarn__apply1(&tarn__op_triu, x, &(tarn__attr){ .sizes = { diagonal } });
}
