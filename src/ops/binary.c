/* SPDX-License-Identifier: MIT
 * binary.c - elementwise operations on two operands that broadcast. The formulas are in
 * binary.inc. */
#include <string.h>

#include "ops/loop.h"
#include "ops/op_list.h"
#include "ops/real.h"

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
#include "ops/for_each_float.h"

#define BINARY(op, f, da, da_reads, db, db_reads) \
    const tarn__op tarn__op_##op = {              \
        .name = #op,                              \
        .operands = { "a", "b" },                 \
        .arity = 2,                               \
        .layout = TARN__STRIDED,                  \
        .in_place = true,                         \
        .uses = { da_reads, db_reads },           \
        .infer = tarn__infer_broadcast,           \
        .forward = TARN__FLOATS(op##_forward),    \
        .backward = TARN__FLOATS(op##_backward),  \
    };
#include "ops/binary.inc"
#undef BINARY

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
