/* SPDX-License-Identifier: MIT
 * cases_products.c - cases of products. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op_cases.h"

/* ---- products */

static bool matmul_variant(int i, op_variant *v)
{
    static const tarn_shape pairs[][2] = {
        { { 2, { 2, 3 } }, { 2, { 3, 4 } } },
        { { 2, { 1, 1 } }, { 2, { 1, 1 } } },
        { { 2, { 1, 20 } }, { 2, { 20, 30 } } },
        { { 2, { 30, 20 } }, { 2, { 20, 1 } } },
        { { 2, { 3, 0 } }, { 2, { 0, 4 } } },
        { { 2, { 0, 3 } }, { 2, { 3, 4 } } },
        { { 2, { 6, 7 } }, { 2, { 7, 8 } } }, /* large enough for BLAS */
        { { 2, { 9, 17 } }, { 2, { 17, 13 } } },
        { { 3, { 2, 6, 7 } }, { 3, { 1, 7, 8 } } },
        { { 3, { 1, 6, 7 } }, { 3, { 2, 7, 8 } } },
        { { 3, { 2, 3, 4 } }, { 2, { 4, 5 } } },
        { { 3, { 2, 1, 4 } }, { 2, { 4, 5 } } },
        { { 2, { 3, 4 } }, { 3, { 2, 4, 5 } } },
        { { 4, { 2, 1, 3, 4 } }, { 4, { 1, 3, 4, 2 } } },
        { { 3, { 1, 3, 4 } }, { 3, { 0, 4, 2 } } },
        { { 2, { 40, 50 } }, { 2, { 50, 60 } } },
        { { 1, { 5 } }, { 1, { 5 } } },
        { { 1, { 400 } }, { 1, { 400 } } },
        { { 1, { 0 } }, { 1, { 0 } } },
        { { 1, { 4 } }, { 2, { 4, 3 } } },
        { { 2, { 3, 4 } }, { 1, { 4 } } },
        { { 1, { 30 } }, { 2, { 30, 40 } } },
        { { 2, { 40, 30 } }, { 1, { 30 } } },
        { { 1, { 4 } }, { 3, { 2, 4, 3 } } },
        { { 3, { 2, 3, 4 } }, { 1, { 4 } } },
        { { 4, { 2, 1, 3, 4 } }, { 1, { 4 } } },
        { { 3, { 0, 3, 4 } }, { 1, { 4 } } },
    };
    if (i >= OP_LENGTH(pairs)) return false;
    v->shape[0] = pairs[i][0];
    v->shape[1] = pairs[i][1];
    return true;
}

static tarn_tensor *matmul_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_matmul(in[0], in[1]);
}

/* The batches as shapes, and the sizes of the matrices; a vector a is one row, b one column. */
static void matmul_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    const op_array *a = &in[0], *b = &in[1];
    const int p = a->shape.ndim, q = b->shape.ndim;
    const int64_t M = p > 1 ? a->shape.dims[p - 2] : 1, K = a->shape.dims[p - 1];
    const int64_t N = q > 1 ? b->shape.dims[q - 1] : 1;
    op_array a_batches = { .shape = a->shape }, b_batches = { .shape = b->shape };
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    (void)v;
    a_batches.shape.ndim = p > 1 ? p - 2 : 0;
    b_batches.shape.ndim = q > 1 ? q - 2 : 0;
    const tarn_shape batches = op_broadcast(&a_batches.shape, &b_batches.shape);
    tarn_shape shape = batches;
    if (p > 1) shape.dims[shape.ndim++] = M;
    if (q > 1) shape.dims[shape.ndim++] = N;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    if (out->n == 0) return;
    do {
        const double *A = a->data + op_place_of(&a_batches, batches.ndim, index) * M * K;
        const double *B = b->data + op_place_of(&b_batches, batches.ndim, index) * K * N;
        for (int64_t m = 0; m < M; m++)
            for (int64_t n = 0; n < N; n++, i++)
                for (int64_t k = 0; k < K; k++) {
                    out->data[i] += A[m * K + k] * B[k * N + n];
                    magnitude->data[i] += fabs(A[m * K + k] * B[k * N + n]);
                }
    } while (op_next(&batches, index));
}

static bool dot_variant(int i, op_variant *v)
{
    static const int64_t sizes[] = { 5, 1, 0, 300 };
    if (i >= OP_LENGTH(sizes)) return false;
    v->shape[0] = v->shape[1] = TARN_SHAPE(sizes[i]);
    return true;
}

static tarn_tensor *dot_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_dot(in[0], in[1]);
}
#define dot_reference matmul_reference

static bool outer_variant(int i, op_variant *v)
{
    static const int64_t sizes[][2] = { { 3, 4 }, { 1, 5 }, { 0, 2 }, { 2, 0 } };
    if (i >= OP_LENGTH(sizes)) return false;
    v->shape[0] = TARN_SHAPE(sizes[i][0]);
    v->shape[1] = TARN_SHAPE(sizes[i][1]);
    return true;
}

static tarn_tensor *outer_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_outer(in[0], in[1]);
}

static void outer_reference(const op_array *in, const op_variant *v, op_array *out,
                            op_array *magnitude)
{
    (void)v;
    op_array_make(out, TARN_SHAPE(in[0].n, in[1].n));
    op_array_make(magnitude, out->shape);
    for (int64_t i = 0; i < out->n; i++) {
        out->data[i] = in[0].data[i / in[1].n] * in[1].data[i % in[1].n];
        magnitude->data[i] = fabs(out->data[i]);
    }
}

static bool affine_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape x;
        int64_t O;
        int n;
    } variants[] = {
        { { 2, { 4, 2 } }, 8, 3 },   { { 2, { 4, 8 } }, 1, 3 },   { { 2, { 4, 2 } }, 8, 2 },
        { { 1, { 5 } }, 3, 3 },      { { 2, { 6, 7 } }, 8, 3 },   { { 3, { 2, 3, 4 } }, 5, 3 },
        { { 2, { 7, 20 } }, 30, 3 }, { { 2, { 3, 0 } }, 2, 3 },   { { 2, { 0, 3 } }, 2, 3 },
        { { 2, { 3, 2 } }, 0, 3 },   { { 2, { 1, 40 } }, 50, 3 }, { { 2, { 37, 50 } }, 60, 3 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = variants[i].x;
    v->shape[1] = TARN_SHAPE(variants[i].O, variants[i].x.dims[variants[i].x.ndim - 1]);
    v->shape[2] = TARN_SHAPE(variants[i].O);
    v->n = variants[i].n;
    return true;
}

static tarn_tensor *affine_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_affine(in[0], in[1], v->n == 3 ? in[2] : NULL);
}

static void affine_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    const op_array *x = &in[0], *w = &in[1];
    const int64_t O = w->shape.dims[0], I = w->shape.dims[1];
    tarn_shape shape = x->shape;
    int64_t B = 1;
    for (int i = 0; i < shape.ndim - 1; i++) B *= shape.dims[i];
    shape.dims[shape.ndim - 1] = O;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    for (int64_t b = 0; b < B; b++)
        for (int64_t o = 0; o < O; o++) {
            const double bias = v->n == 3 ? in[2].data[o] : 0;
            double sum = bias, sum_abs = fabs(bias);
            for (int64_t i = 0; i < I; i++) {
                sum += x->data[b * I + i] * w->data[o * I + i];
                sum_abs += fabs(x->data[b * I + i] * w->data[o * I + i]);
            }
            out->data[b * O + o] = sum;
            magnitude->data[b * O + o] = sum_abs;
        }
}

static bool affine_act_variant(int i, op_variant *v)
{
    if (!affine_variant(i / 4, v)) return false;
    v->n = 2;
    v->choice = (int)TARN_RELU + i % 4;
    return true;
}

static tarn_tensor *affine_act_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_affine_act(in[0], in[1], NULL, (tarn_activation)v->choice);
}

/* None of these is steeper than 1. */
static void affine_act_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    affine_reference(in, v, out, magnitude);
    for (int64_t i = 0; i < out->n; i++) {
        double *y = &out->data[i];
        switch ((tarn_activation)v->choice) {
        case TARN_RELU: *y = *y <= 0 ? 0 : *y; break;
        case TARN_TANH: *y = tanh(*y); break;
        case TARN_SIGMOID: *y = 1 / (1 + exp(-*y)); break;
        default: *y = *y > 0 ? *y : 0.01 * *y; break;
        }
        magnitude->data[i] += fabs(*y);
    }
}

/* ---- the table */

/* clang-format off */

const op_case op_cases_products[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(matmul,          2, OF(OP_ANY, OP_ANY),            matmul_variant,       60,  80, OP_LINEAR | OP_NO_SCALAR | OP_BY_LAYOUT),
    ROW(affine,          3, OF(OP_ANY, OP_ANY, OP_ANY),    affine_variant,       60,  80, OP_LINEAR | OP_NO_SCALAR | OP_BY_LAYOUT),
    ROW(affine_act,      2, OF(OP_ANY, OP_ANY),            affine_act_variant,   60, 200, OP_NO_SCALAR | OP_COMPOSED | OP_BY_LAYOUT),
    ROW(dot,             2, OF(OP_ANY, OP_ANY),            dot_variant,          60,  80, OP_LINEAR | OP_NO_SCALAR | OP_COMPOSED | OP_BY_LAYOUT),
    ROW(outer,           2, OF(OP_ANY, OP_ANY),            outer_variant,         1,   8, OP_LINEAR | OP_NO_SCALAR | OP_COMPOSED),
    { 0 },
};
