/* SPDX-License-Identifier: MIT
 * binary.c - elementwise operations on two operands that broadcast. The formulas are in
 * binary.inc. */
#include <string.h>

#include "ops/graph.h"
#include "ops/lanes.h"
#include "ops/loop.h"
#include "ops/op_list.h"
#include "ops/real.h"
#include "ops/vmath.h"

enum { NOTHING = 0, A = TARN__USES_IN0, B = TARN__USES_IN1, Y = TARN__USES_OUT };

/* Whether all n elements of the output can be computed in one row: the operand has as many, without
 * gaps, or just one. */
static bool is_one_row(const tarn_tensor *t, int64_t n)
{
    return t->layout.numel == 1 || (t->layout.numel == n && t->layout.contiguous);
}

/* Elements of a gradient that are computed before they are summed. */
enum { PIECE = 256 };

#define TARN_KERNELS "ops/binary_loops.inc"
#include "ops/for_each_simd.h"

/* ---- gradients as operations, where they do not fit into the page
 *
 * Where a power does not depend on an operand, whatever its formula says (the base 0 with the
 * exponent 0; the base 0 with any that is not negative), base and gradient are replaced by numbers
 * with which the formula gives 0, and its derivatives are 0 as well. */

static tarn_tensor *one_where(tarn_tensor *condition, tarn_tensor *x)
{
    tarn_tensor *one = x != NULL ? tarn_ones(x->manager, tarn_get_dtype(x), TARN_SCALAR) : NULL;
    return tarn_where(condition, one, x);
}

static tarn_tensor *pow_da(tarn_tensor *dy, tarn_tensor *a, tarn_tensor *b)
{
    tarn_tensor *no_base = tarn_equal_scalar(a, 0);
    tarn_tensor *no_exponent = tarn_equal_scalar(b, 0);
    tarn_tensor *constant = tarn__both(no_base, no_exponent);
    tarn_tensor *scaled = tarn_mul(tarn_masked_fill(dy, constant, 0), b);
    tarn_tensor *base = one_where(constant, a);
    return tarn_mul(scaled, tarn_pow(base, tarn_add_scalar(b, -1)));
}

static tarn_tensor *pow_db(tarn_tensor *dy, tarn_tensor *a, tarn_tensor *b, tarn_tensor *y)
{
    tarn_tensor *no_base = tarn_equal_scalar(a, 0);
    tarn_tensor *not_negative = tarn_greater_equal_scalar(b, 0);
    tarn_tensor *constant = tarn__both(no_base, not_negative);
    tarn_tensor *scaled = tarn_mul(dy, y);
    return tarn_mul(scaled, tarn_log(one_where(constant, a)));
}

static tarn_tensor *dy_if_larger(tarn_tensor *dy, tarn_tensor *a, tarn_tensor *b)
{
    tarn_tensor *less = tarn_less(a, b);
    tarn_tensor *equal = tarn_equal(a, b);
    return tarn__dy_share(dy, less, equal);
}

/* ---- the operations */

#define BINARY(op, f, da, da_reads, db, db_reads, graph_da, graph_db) \
    BINARY_WRITTEN(op, da_reads, db_reads, graph_da, graph_db)
#define BINARY_WRITTEN(op, da_reads, db_reads, graph_da, graph_db)                        \
    static tarn_tensor *op##_graph(const tarn__call *call, int i)                         \
    {                                                                                     \
        tarn_tensor *a = call->in[0], *b = call->in[1], *y = call->out, *dy = call->dout; \
        (void)a, (void)b, (void)y;                                                        \
        if (i == 0) return (graph_da);                                                    \
        return (graph_db);                                                                \
    }                                                                                     \
    const tarn__op tarn__op_##op = {                                                      \
        .name = #op,                                                                      \
        .operands = { "a", "b" },                                                         \
        .arity = 2,                                                                       \
        .layout = TARN__STRIDED,                                                          \
        .by_element = true,                                                               \
        .in_place = true,                                                                 \
        .uses = { da_reads, db_reads },                                                   \
        .infer = tarn__infer_broadcast,                                                   \
        .forward = TARN__KERNELS(op##_forward),                                           \
        .backward = TARN__KERNELS(op##_backward),                                         \
        .graph = op##_graph,                                                              \
    };
#include "ops/binary.inc"
#undef BINARY
#undef BINARY_WRITTEN

tarn_tensor *tarn_add(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_add, a, b, NULL);
}

tarn_tensor *tarn_sub(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_sub, a, b, NULL);
}

tarn_tensor *tarn_mul(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_mul, a, b, NULL);
}

tarn_tensor *tarn_div(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_div, a, b, NULL);
}

tarn_tensor *tarn_pow(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_pow, a, b, NULL);
}

tarn_tensor *tarn_maximum(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_maximum, a, b, NULL);
}

tarn_tensor *tarn_minimum(tarn_tensor *a, tarn_tensor *b)
{
    return tarn__apply2(&tarn__op_minimum, a, b, NULL);
}
