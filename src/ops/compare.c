/* SPDX-License-Identifier: MIT
 * compare.c - comparisons of two operands that broadcast, and of one with a number. */
#include <math.h>

#include "core/values.h"
#include "ops/loop.h"
#include "ops/op_list.h"

/* Every comparison: X(op, its sign in C). */
/* clang-format off */
#define COMPARISONS(X)         \
    X(equal,         ==)       \
    X(not_equal,     !=)       \
    X(less,          <)        \
    X(less_equal,    <=)       \
    X(greater,       >)        \
    X(greater_equal, >=)
/* clang-format on */

/* ---- rows */

typedef void (*compare_row)(int64_t n, uint8_t *restrict y, const void *a, int64_t a_step,
                            const void *b, int64_t b_step);

/* Two operands of one float type: op_pair, for each level. */
#define TARN_KERNELS "ops/compare.inc"
#include "ops/for_each_simd.h"

/* Two of one integer type. */
#define PAIR_ROW(op, sign, code, type)                                                          \
    static void op##_pair_##code(int64_t n, uint8_t *restrict y, const void *a, int64_t a_step, \
                                 const void *b, int64_t b_step)                                 \
    {                                                                                           \
        const type *as = a, *bs = b;                                                            \
        const type first = *bs;                                                                 \
        if (a_step == 1 && b_step == 1)                                                         \
            for (int64_t i = 0; i < n; i++) y[i] = as[i] sign bs[i];                            \
        else if (a_step == 1 && b_step == 0)                                                    \
            for (int64_t i = 0; i < n; i++) y[i] = as[i] sign first;                            \
        else                                                                                    \
            for (int64_t i = 0; i < n; i++) y[i] = as[i * a_step] sign bs[i * b_step];          \
    }

/* An integer operand and one double. Rounded to double, an integer compares with any other double
 * as it does itself; with the one that it was rounded to it is compared as an integer. (2^63, to
 * which integers of 64 bits are rounded but which is none, has become infinity before.) */
#define NUMBER_ROW(op, sign, code, type)                                                          \
    static void op##_number_##code(int64_t n, uint8_t *restrict y, const void *a, int64_t a_step, \
                                   const void *b, int64_t b_step)                                 \
    {                                                                                             \
        const type *as = a;                                                                       \
        const double s = *(const double *)b;                                                      \
        const int64_t whole = tarn__saturate(s, INT64_MIN, INT64_MAX);                            \
        (void)b_step;                                                                             \
        for (int64_t i = 0; i < n; i++) {                                                         \
            const type x = as[i * a_step];                                                        \
            y[i] = (double)x != s ? (double)x sign s : x sign whole;                              \
        }                                                                                         \
    }

#define PAIR_ROWS(op, sign)            \
    PAIR_ROW(op, sign, I32, int32_t)   \
    PAIR_ROW(op, sign, I64, int64_t)   \
    PAIR_ROW(op, sign, U8, uint8_t)    \
    NUMBER_ROW(op, sign, I32, int32_t) \
    NUMBER_ROW(op, sign, I64, int64_t) \
    NUMBER_ROW(op, sign, U8, uint8_t)
COMPARISONS(PAIR_ROWS)
#undef PAIR_ROWS
#undef NUMBER_ROW
#undef PAIR_ROW

/* ---- walks */

/* Compares an operand with what lies at b of the given layout; of an operand without axes, one
 * element. */
static tarn_status compare(const tarn__call *call, compare_row row, const void *b,
                           const tarn__layout *b_layout)
{
    const tarn_tensor *a = call->in[0], *y = call->out;
    const int64_t a_bytes = (int64_t)tarn__dtype_size(a->layout.dtype);
    const int64_t b_bytes = (int64_t)tarn__dtype_size(b_layout->dtype);
    tarn__loop loop;
    tarn__loop_begin(&loop, &y->layout, 3,
                     (const tarn__layout *const[]){ &y->layout, &a->layout, b_layout });
    do {
        row(loop.n, (uint8_t *)y->data + loop.offset[0],
            (const unsigned char *)a->data + loop.offset[1] * a_bytes, loop.step[1],
            (const unsigned char *)b + loop.offset[2] * b_bytes, loop.step[2]);
    } while (tarn__loop_next(&loop));
    return TARN_OK;
}

/* The rows of an operation: of floats by level, of integers with others and with numbers. */
typedef struct row_kernels {
    compare_row floats[TARN__SIMD_LEVELS][2], pair[TARN_U8 + 1], number[TARN_U8 + 1];
} row_kernels;

static compare_row float_row(const row_kernels *rows, uint8_t dtype)
{
    return rows->floats[tarn__simd()][dtype == TARN_F64];
}

static bool is_float(uint8_t dtype) { return dtype == TARN_F32 || dtype == TARN_F64; }

static tarn_status compare_pair(const tarn__call *call, const row_kernels *rows)
{
    const tarn_tensor *b = call->in[1];
    const uint8_t dtype = b->layout.dtype;
    return compare(call, is_float(dtype) ? float_row(rows, dtype) : rows->pair[dtype], b->data,
                   &b->layout);
}

/* Floats are compared with the number rounded to their type, as all operations with a number do;
 * integers with the number itself. */
static tarn_status compare_number(const tarn__call *call, const row_kernels *rows)
{
    const uint8_t dtype = call->in[0]->layout.dtype;
    const compare_row row = is_float(dtype) ? float_row(rows, dtype) : rows->number[dtype];
    const double s = call->attr->value >= 0x1p63 ? INFINITY : call->attr->value;
    if (dtype == TARN_F32) {
        const float rounded = (float)call->attr->value;
        return compare(call, row, &rounded, &(tarn__layout){ .dtype = TARN_F32 });
    }
    return compare(call, row, dtype == TARN_F64 ? &call->attr->value : &s,
                   &(tarn__layout){ .dtype = TARN_F64 });
}

/* ---- the operations */

static tarn_status compare_pair_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    tarn_status status = tarn__check_one_dtype(call, 0, 1);
    if (status == TARN_OK) status = tarn__infer_broadcast(call, out, offset);
    out->dtype = TARN_U8;
    return status;
}

static tarn_status compare_number_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    (void)tarn__infer_same(call, out, offset);
    out->dtype = TARN_U8;
    return TARN_OK;
}

#define COMPARISON(op, sign)                                                           \
    static const row_kernels op##_rows = { .floats = TARN__KERNELS(op##_pair),         \
                                           .pair = { [TARN_I32] = op##_pair_I32,       \
                                                     [TARN_I64] = op##_pair_I64,       \
                                                     [TARN_U8] = op##_pair_U8 },       \
                                           .number = { [TARN_I32] = op##_number_I32,   \
                                                       [TARN_I64] = op##_number_I64,   \
                                                       [TARN_U8] = op##_number_U8 } }; \
    static tarn_status op##_forward(const tarn__call *call)                            \
    {                                                                                  \
        return compare_pair(call, &op##_rows);                                         \
    }                                                                                  \
    static tarn_status op##_scalar_forward(const tarn__call *call)                     \
    {                                                                                  \
        return compare_number(call, &op##_rows);                                       \
    }                                                                                  \
    const tarn__op tarn__op_##op = {                                                   \
        .name = #op,                                                                   \
        .operands = { "a", "b" },                                                      \
        .arity = 2,                                                                    \
        .any_dtype = 1 | 2,                                                            \
        .layout = TARN__STRIDED,                                                       \
        .infer = compare_pair_infer,                                                   \
        .forward = TARN__ANY(op##_forward),                                            \
    };                                                                                 \
    const tarn__op tarn__op_##op##_scalar = {                                          \
        .name = #op "_scalar",                                                         \
        .operands = { "x" },                                                           \
        .arity = 1,                                                                    \
        .any_dtype = 1,                                                                \
        .layout = TARN__STRIDED,                                                       \
        .infer = compare_number_infer,                                                 \
        .forward = TARN__ANY(op##_scalar_forward),                                     \
    };                                                                                 \
    tarn_tensor *tarn_##op(tarn_tensor *a, tarn_tensor *b)                             \
    {                                                                                  \
        return tarn__apply2(&tarn__op_##op, a, b, NULL);                               \
    }                                                                                  \
    tarn_tensor *tarn_##op##_scalar(tarn_tensor *x, double s)                          \
    {                                                                                  \
        return tarn__apply1(&tarn__op_##op##_scalar, x, &(tarn__attr){ .value = s });  \
    }
COMPARISONS(COMPARISON)
#undef COMPARISON
