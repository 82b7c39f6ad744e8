/* SPDX-License-Identifier: MIT
 * matmul.c - y = a b over the last two axes, the axes before them being batches that broadcast.
 *
 * Letters: a (..., M, K), b (..., K, N), y (..., M, N). A vector a is a matrix of one row, a vector
 * b one of one column, and y lacks that axis. */
#include <string.h>

#include "ops/gemm.h"
#include "ops/op.h"
#include "ops/remedies.h"

typedef struct sizes {
    int64_t M, N, K, batches;
    int64_t a_row, a_column, b_row, b_column; /* strides of the matrices */
} sizes;

/* The axes before the matrix, or before the vector. */
static int n_batch_axes(const tarn__layout *l) { return l->ndim < 2 ? 0 : l->ndim - 2; }

static int most_batch_axes(const tarn__call *call)
{
    const int a = n_batch_axes(&call->in[0]->layout), b = n_batch_axes(&call->in[1]->layout);
    return a > b ? a : b;
}

/* If b is one matrix and a has no gaps, the batches of a are one matrix of more rows. */
static sizes sizes_of(const tarn__call *call)
{
    const tarn__layout *a = &call->in[0]->layout, *b = &call->in[1]->layout;
    const tarn__layout *y = &call->out->layout;
    const int i = a->ndim - 1, j = n_batch_axes(b), axes = most_batch_axes(call);
    sizes s = { .K = a->dims[i], .batches = 1, .a_column = a->strides[i], .b_row = b->strides[j] };
    s.M = a->ndim < 2 ? 1 : a->dims[i - 1];
    s.a_row = a->ndim < 2 ? s.K : a->strides[i - 1];
    s.N = b->ndim < 2 ? 1 : b->dims[j + 1];
    s.b_column = b->ndim < 2 ? s.K : b->strides[j + 1];
    bool one_b = true;
    for (int axis = 0; axis < axes; axis++) s.batches *= y->dims[axis];
    for (int axis = 0; axis < j; axis++) one_b = one_b && b->dims[axis] == 1;
    if (one_b && a->contiguous) {
        s.M *= s.batches;
        s.batches = 1;
        s.a_row = s.K;
        s.a_column = 1;
    }
    return s;
}

/* ---- walking over the batches of y and, beside it, of both operands and their gradients */

typedef struct walk {
    const tarn__call *call;
    int axes; /* of batches */
    int64_t place[TARN_MAX_DIMS];
    int64_t a, b, da, db; /* offsets in elements of the current batch */
} walk;

/* The stride of one of the `axes` batch axes of y in an operand; 0 where the operand is repeated.
 */
static int64_t batch_stride(int axes, const tarn__layout *operand, int axis)
{
    const int own = axis - (axes - n_batch_axes(operand));
    return own < 0 || operand->dims[own] == 1 ? 0 : operand->strides[own];
}

/* Moves all offsets by `steps` along a batch axis. */
static void walk_move(walk *w, int axis, int64_t steps)
{
    const tarn__call *call = w->call;
    w->a += steps * batch_stride(w->axes, &call->in[0]->layout, axis);
    w->b += steps * batch_stride(w->axes, &call->in[1]->layout, axis);
    if (call->din[0] != NULL) w->da += steps * batch_stride(w->axes, &call->din[0]->layout, axis);
    if (call->din[1] != NULL) w->db += steps * batch_stride(w->axes, &call->din[1]->layout, axis);
}

static void walk_begin(walk *w, const tarn__call *call)
{
    *w = (walk){ .call = call, .axes = most_batch_axes(call) };
}

static void walk_next(walk *w)
{
    const tarn__layout *y = &w->call->out->layout;
    for (int axis = w->axes - 1; axis >= 0; axis--) {
        walk_move(w, axis, 1);
        if (++w->place[axis] < y->dims[axis]) return;
        walk_move(w, axis, -y->dims[axis]);
        w->place[axis] = 0;
    }
}

/* ---- the shape rule */

/* Holds the error: a and b, and what is wrong with them. */
static tarn_status misfit(const tarn__call *call, const char *what)
{
    char a[TARN__DESCRIPTION_BYTES], b[TARN__DESCRIPTION_BYTES];
    return tarn__call_fail(call, TARN_ESHAPE, "a %s, b %s: %s", tarn__describe(call->in[0], a),
                           tarn__describe(call->in[1], b), what);
}

/* Rows of a do not have as many elements as columns of b. */
static tarn_status inner_misfit(const tarn__call *call, int64_t a, int64_t b)
{
    char what[96 + TARN__REMEDY_BYTES], remedy[TARN__REMEDY_BYTES] = "";
    const tarn__layout *l = &call->in[1]->layout;
    if (l->ndim > 1 && l->dims[l->ndim - 1] == a) tarn__remedy_transpose(call, 1, remedy);
    (void)snprintf(what, sizeof(what), "rows of a have %lld elements, and columns of b %lld%s",
                   (long long)a, (long long)b, remedy);
    return misfit(call, what);
}

/* Axis `axis` of the batches, of `axes`, neither has one size nor is 1 in a or b. */
static tarn_status batch_misfit(const tarn__call *call, int axis, int axes, int64_t a, int64_t b)
{
    char what[128];
    (void)snprintf(what, sizeof(what),
                   "sizes %lld and %lld of axis %d do not broadcast; they must be equal, or one of "
                   "them 1",
                   (long long)a, (long long)b, axis - axes - 2);
    return misfit(call, what);
}

static tarn_status matmul_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *a = &call->in[0]->layout, *b = &call->in[1]->layout;
    (void)offset;
    if (a->ndim == 0 || b->ndim == 0)
        return misfit(call, "a scalar is neither matrix nor vector; tarn_mul multiplies by it");
    const int p = n_batch_axes(a), q = n_batch_axes(b), axes = p > q ? p : q;
    if (a->dims[a->ndim - 1] != b->dims[q])
        return inner_misfit(call, a->dims[a->ndim - 1], b->dims[q]);
    out->dtype = a->dtype;
    out->ndim = (uint8_t)axes;
    for (int axis = axes - 1; axis >= 0; axis--) {
        const int i = axis - (axes - p), j = axis - (axes - q);
        const int64_t m = i < 0 ? 1 : a->dims[i], n = j < 0 ? 1 : b->dims[j];
        if (m != n && m != 1 && n != 1) return batch_misfit(call, axis, axes, m, n);
        out->dims[axis] = m == 1 ? n : m;
    }
    if (a->ndim > 1) out->dims[out->ndim++] = a->dims[a->ndim - 2];
    if (b->ndim > 1) out->dims[out->ndim++] = b->dims[b->ndim - 1];
    return TARN_OK;
}

/* ---- the gradient as operations: da = dy b^T, db = a^T dy, of matrices */

/* dy with the axes that it lacks because operands are vectors. */
static tarn_tensor *whole_dy(const tarn__call *call)
{
    tarn_tensor *dy = call->dout;
    if (call->in[1]->layout.ndim < 2) dy = tarn_unsqueeze(dy, -1);
    if (call->in[0]->layout.ndim < 2) dy = tarn_unsqueeze(dy, -2);
    return dy;
}

static tarn_tensor *matmul_graph(const tarn__call *call, int i)
{
    tarn_tensor *other = call->in[1 - i];
    const bool is_vector = call->in[i]->layout.ndim < 2;
    tarn_tensor *dy = whole_dy(call);
    if (other->layout.ndim < 2) other = tarn_unsqueeze(other, i == 0 ? -1 : 0);
    other = tarn_transpose(other, -1, -2);
    tarn_tensor *d = i == 0 ? tarn_matmul(dy, other) : tarn_matmul(other, dy);
    return is_vector ? tarn_squeeze(d, i == 0 ? -2 : -1) : d;
}

#define TARN_KERNELS "ops/matmul.inc"
#include "ops/for_each_float.h"

const tarn__op tarn__op_matmul = {
    .name = "matmul",
    .operands = { "a", "b" },
    .arity = 2,
    .layout = TARN__MATRICES,
    .uses = { TARN__USES_IN1, TARN__USES_IN0 },
    .infer = matmul_infer,
    .forward = TARN__FLOATS(matmul_forward),
    .backward = TARN__FLOATS(matmul_backward),
    .graph = matmul_graph,
};

tarn_tensor *tarn_matmul(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_matmul, a, b, NULL);
}

/* ---- products of vectors */

/* Whether both are vectors. Where one is missing, the product tells. */
static bool are_vectors(const tarn__op *op, tarn_tensor *a, tarn_tensor *b)
{
    if (a == NULL || b == NULL || (a->layout.ndim == 1 && b->layout.ndim == 1)) return true;
    const tarn__call call = { .op = op,
                              .manager = a->frozen ? b->manager : a->manager,
                              .in = { a, b } };
    (void)misfit(&call, "vectors are needed");
    return false;
}

tarn_tensor *tarn_dot(tarn_tensor *a, tarn_tensor *b)
{
    static const tarn__op dot_op = { .name = "dot" };
    return are_vectors(&dot_op, a, b) ? tarn_matmul(a, b) : NULL;
}

tarn_tensor *tarn_outer(tarn_tensor *a, tarn_tensor *b)
{
    static const tarn__op outer_op = { .name = "outer" };
    if (!are_vectors(&outer_op, a, b)) return NULL;
    tarn_tensor *column = tarn_unsqueeze(a, 1);
    return tarn_mul(column, b);
}
