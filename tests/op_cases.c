/* SPDX-License-Identifier: MIT
 * op_cases.c - the operations: how each is tried, called, and what it should compute. */
#include "op_cases.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/random.h"

const char *op_trial_text = "";

/* ---- arrays */

int64_t op_shape_numel(const tarn_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape->ndim; i++) n *= shape->dims[i];
    return n;
}

void op_array_make(op_array *a, tarn_shape shape)
{
    a->shape = shape;
    a->n = op_shape_numel(&shape);
    a->data = calloc((size_t)a->n + 1, sizeof(double));
    assert_non_null(a->data);
}

void op_array_free(op_array *a)
{
    free(a->data);
    a->data = NULL;
}

/* Goes to the next index of a shape, last axis fastest; false after the last. */
static bool next(const tarn_shape *shape, int64_t *index)
{
    for (int axis = shape->ndim - 1; axis >= 0; axis--) {
        if (++index[axis] < shape->dims[axis]) return true;
        index[axis] = 0;
    }
    return false;
}

/* Where an array that aligns with `ndim` axes at the last, and is repeated along axes of size 1,
 * has an index. */
static int64_t place(const op_array *a, int ndim, const int64_t *index)
{
    int64_t p = 0;
    for (int axis = 0; axis < a->shape.ndim; axis++) {
        const int64_t i = index[axis + ndim - a->shape.ndim];
        p = p * a->shape.dims[axis] + (a->shape.dims[axis] == 1 ? 0 : i);
    }
    return p;
}

int64_t op_place(const op_array *a, const tarn_shape *shape, int64_t i)
{
    int64_t index[TARN_MAX_DIMS];
    for (int axis = shape->ndim - 1; axis >= 0; axis--) {
        index[axis] = i % shape->dims[axis];
        i /= shape->dims[axis];
    }
    return place(a, shape->ndim, index);
}

static tarn_shape broadcast(const tarn_shape *a, const tarn_shape *b)
{
    tarn_shape s = { .ndim = a->ndim > b->ndim ? a->ndim : b->ndim };
    for (int i = 0; i < s.ndim; i++) {
        const int p = i - (s.ndim - a->ndim), q = i - (s.ndim - b->ndim);
        const int64_t m = p < 0 ? 1 : a->dims[p], n = q < 0 ? 1 : b->dims[q];
        s.dims[i] = m == 1 ? n : m;
    }
    return s;
}

static double between(uint64_t *random, double low, double high)
{
    const double u = (double)(check_random(random) >> 11) * 0x1p-53;
    return floor((low + (high - low) * u) * 1024) / 1024;
}

static double draw_one(op_values values, uint64_t *random)
{
    const double side = (check_random(random) & 1) != 0 ? 1 : -1;
    switch (values) {
    case OP_ANY: return side * between(random, 0x1p-10, 2);
    case OP_POSITIVE: return between(random, 0.25, 3);
    case OP_NONZERO: return side * between(random, 0.25, 2);
    case OP_UNIT: return between(random, 0, 1);
    case OP_LATTICE: return floor(between(random, -64, 64)) * 2 / 64;
    case OP_BETWEEN: return (floor(between(random, -64, 64)) * 2 + 1) / 64;
    default: return 0;
    }
}

/* The numbers k / 64 around 0 in random order (Fisher and Yates). */
static void draw_distinct(op_array *a, uint64_t *random)
{
    for (int64_t i = 0; i < a->n; i++) a->data[i] = ((double)i - floor((double)a->n / 2)) / 64;
    for (int64_t i = a->n - 1; i > 0; i--) {
        const int64_t j = (int64_t)(check_random(random) % (uint64_t)(i + 1));
        const double other = a->data[j];
        a->data[j] = a->data[i];
        a->data[i] = other;
    }
}

void op_array_draw(op_array *a, const op_case *c, const op_variant *v, int i, uint64_t *random)
{
    const tarn_shape *logits = &v->shape[0];
    op_array_make(a, v->shape[i]);
    if (c->values[i] == OP_DISTINCT) draw_distinct(a, random);
    else
        for (int64_t k = 0; k < a->n; k++)
            a->data[k] =
                c->values[i] == OP_LABELS
                    ? (double)(check_random(random) % (uint64_t)logits->dims[logits->ndim - 1])
                    : draw_one(c->values[i], random);
}

const char *op_case_text(const op_case *c, const op_variant *v, char text[200])
{
    size_t n = (size_t)snprintf(text, 200, "%s", c->op);
    const int operands = v->n != 0 ? v->n : c->n;
    for (int i = 0; i < operands; i++) {
        n += (size_t)snprintf(text + n, 200 - n, " [");
        for (int axis = 0; axis < v->shape[i].ndim; axis++)
            n += (size_t)snprintf(text + n, 200 - n, axis == 0 ? "%d" : ",%d",
                                  (int)v->shape[i].dims[axis]);
        n += (size_t)snprintf(text + n, 200 - n, "]");
    }
    snprintf(text + n, 200 - n, ", axes %d of %d:%d,%d keep %d, axis %d, value %g, type %d",
             v->axes.n, v->shape[0].ndim, v->axes.axis[0], v->axes.axis[1], v->axes.keep, v->axis,
             v->value, (int)v->dtype);
    return text;
}

/* ---- strided operands */

bool op_layout_applies(op_layout layout, const op_array *a)
{
    switch (layout) {
    case OP_TRANSPOSED: return a->shape.ndim >= 2;
    case OP_EXPANDED: return a->shape.ndim >= 1 && a->shape.dims[0] > 1;
    default: return true;
    }
}

enum { BEFORE = 1, AFTER = 2 }; /* elements around a slice, along each axis */

static tarn_shape base_shape(const tarn_shape *shape, op_layout layout)
{
    tarn_shape s = *shape;
    if (layout == OP_SLICED && s.ndim == 0) return TARN_SHAPE(BEFORE + 1 + AFTER);
    for (int i = 0; i < s.ndim; i++) {
        if (layout == OP_TRANSPOSED) s.dims[i] = shape->dims[s.ndim - 1 - i];
        if (layout == OP_SLICED) s.dims[i] = BEFORE + shape->dims[i] + AFTER;
    }
    if (layout == OP_EXPANDED) s.dims[0] = 1;
    return s;
}

/* Where the base of an array has an index of it. */
static int64_t base_place(const tarn_shape *base, op_layout layout, const int64_t *index)
{
    int64_t p = 0;
    for (int i = 0; i < base->ndim; i++) {
        int64_t k = index[i];
        if (layout == OP_TRANSPOSED) k = index[base->ndim - 1 - i];
        if (layout == OP_SLICED) k = index[i] + BEFORE;
        if (layout == OP_EXPANDED && i == 0) k = 0;
        p = p * base->dims[i] + k;
    }
    return p;
}

tarn_tensor *op_base(tarn_manager *tm, tarn_dtype dtype, op_array *a, op_layout layout,
                     double filler)
{
    const tarn_shape shape = base_shape(&a->shape, layout);
    const int64_t n = op_shape_numel(&shape);
    op_array base;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    op_array_make(&base, shape);
    for (int64_t k = 0; k < n; k++) base.data[k] = filler;
    if (layout == OP_EXPANDED && a->n > 0) {
        const int64_t row = a->n / a->shape.dims[0];
        for (int64_t k = row; k < a->n; k++) a->data[k] = a->data[k - row];
    }
    if (a->n > 0) do
            base.data[base_place(&shape, layout, index)] = a->data[i++];
        while (next(&a->shape, index));

    tarn_tensor *doubles = tarn_from_array(tm, TARN_F64, shape, base.data);
    op_array_free(&base);
    return dtype == TARN_F64 ? doubles : tarn_cast(doubles, dtype);
}

tarn_tensor *op_view(tarn_tensor *base, op_layout layout, tarn_shape shape)
{
    tarn_tensor *t = base;
    const int ndim = shape.ndim;
    if (layout == OP_TRANSPOSED)
        for (int i = 0; i < ndim / 2; i++) t = tarn_transpose(t, i, -1 - i);
    if (layout == OP_SLICED) {
        for (int i = 0; i < ndim; i++) t = tarn_slice(t, i, BEFORE, -AFTER);
        if (ndim == 0) t = tarn_reshape(tarn_slice(t, 0, BEFORE, -AFTER), TARN_SCALAR);
    }
    if (layout == OP_EXPANDED) t = tarn_expand(t, shape);
    return t;
}

void op_array_read(op_array *a, tarn_tensor *t)
{
    const tarn_dtype dtype = tarn_get_dtype(t);
    const size_t bytes = (size_t)tarn_numel(t) * tarn_dtype_size(dtype);
    void *elements = malloc(bytes + 1);
    assert_non_null(elements);
    op_array_make(a, tarn_get_shape(t));
    check_status(tarn_copy_to(t, elements, bytes), TARN_OK);
    for (int64_t i = 0; i < a->n; i++) switch (dtype) {
#define READ(code, type, name) \
    case TARN_##code: a->data[i] = (double)((type *)elements)[i]; break;
            TARN_DTYPE_LIST(READ)
#undef READ
        }
    free(elements);
}

/* ---- trials */

void op_for_each_trial(tarn_manager *tm, int64_t most, void (*f)(tarn_manager *tm, op_trial *t))
{
    uint64_t random = check_seed();
    for (int row = 0; row < n_op_cases; row++) {
        const op_case *c = &op_cases[row];
        op_variant v = { .n = 0 };
        for (int i = 0; c->variant(i, &v); i++, v = (op_variant){ .n = 0 }) {
            TARN_SCOPE(tm);
            op_trial t = { c, v, v.n != 0 ? v.n : c->n, { { .n = 0 } } };
            int64_t elements = 0;
            for (int k = 0; k < t.n; k++) {
                op_array_draw(&t.in[k], c, &v, k, &random);
                elements += t.in[k].n;
            }
            char text[200];
            op_trial_text = op_case_text(c, &v, text);
            if (most == 0 || elements <= most) f(tm, &t);
            if (!tarn_ok(tm)) fail_msg("%s: %s", text, tarn_error_message(tm));
            for (int k = 0; k < t.n; k++) op_array_free(&t.in[k]);
        }
    }
    op_trial_text = "";
}

tarn_dtype op_operand_dtype(const op_trial *t, int i, tarn_dtype dtype)
{
    return t->c->values[i] == OP_LABELS ? t->v.dtype : dtype;
}

bool op_trial_allows(const op_trial *t, op_layout layout)
{
    if ((t->c->flags & OP_CONTIGUOUS) != 0 && layout != OP_PLAIN) return false;
    bool some = false;
    for (int i = 0; i < t->n; i++) some = some || op_layout_applies(layout, &t->in[i]);
    return some;
}

/* ---- elementwise: variants, calls and formulas */

#define LENGTH(array) ((int)(sizeof(array) / sizeof((array)[0])))

static bool any_shape(int i, op_variant *v)
{
    static const tarn_shape shapes[] = {
        { 0, { 0 } },    { 1, { 1 } },       { 1, { 0 } },          { 2, { 0, 3 } }, { 1, { 23 } },
        { 2, { 3, 5 } }, { 3, { 2, 1, 3 } }, { 4, { 2, 3, 2, 2 } }, { 1, { 812 } }
    };
    if (i >= LENGTH(shapes)) return false;
    v->shape[0] = shapes[i];
    v->value = 0.5 + 0x1p-11; /* between two numbers that are drawn */
    v->dtype = TARN_F64;
    return true;
}

static bool any_shape_negative(int i, op_variant *v)
{
    const bool more = any_shape(i, v);
    v->value = -0.25;
    return more;
}

/* 0, 1, 2 and others. */
static bool any_exponent(int i, op_variant *v)
{
    static const double exponents[] = { 2, 0, 1, 3, -1, 0.5, -2.75 };
    v->shape[0] = TARN_SHAPE(3, 5);
    if (i < LENGTH(exponents)) v->value = exponents[i];
    return i < LENGTH(exponents);
}

static bool any_pair(int i, op_variant *v)
{
    static const tarn_shape pairs[][2] = {
        { { 0, { 0 } }, { 0, { 0 } } },
        { { 1, { 7 } }, { 1, { 7 } } },
        { { 2, { 3, 5 } }, { 2, { 3, 5 } } },
        { { 1, { 1 } }, { 0, { 0 } } },
        { { 1, { 23 } }, { 0, { 0 } } },
        { { 2, { 2, 1 } }, { 1, { 2 } } },
        { { 2, { 4, 8 } }, { 1, { 8 } } },
        { { 2, { 4, 1 } }, { 2, { 4, 6 } } },
        { { 3, { 3, 1, 2 } }, { 3, { 1, 3, 2 } } },
        { { 3, { 1, 3, 2 } }, { 2, { 3, 2 } } },
        { { 4, { 2, 1, 3, 1 } }, { 4, { 1, 2, 1, 2 } } },
        { { 3, { 4, 6, 5 } }, { 2, { 6, 5 } } },
        { { 3, { 0, 1, 3 } }, { 3, { 0, 10, 3 } } },
        { { 2, { 1, 3 } }, { 2, { 0, 3 } } },
        { { 2, { 2, 600 } },
          { 2, { 2, 1 } } }, /* longer than the pieces in which rows are summed */
        { { 0, { 0 } }, { 2, { 2, 600 } } },
        { { 2, { 2, 300 } }, { 2, { 2, 300 } } },
    };
    if (i >= LENGTH(pairs)) return false;
    v->shape[0] = pairs[i][0];
    v->shape[1] = pairs[i][1];
    return true;
}

static double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
static double nan_max(double a, double b) { return isnan(a) || isnan(b) ? NAN : a > b ? a : b; }
static double nan_min(double a, double b) { return -nan_max(-a, -b); }

/* The call tarn_op(x) and y = f for each x; |y| is the magnitude. */
#define UNARY(op, f)                                                            \
    UNARY_REFERENCE(op, f)                                                      \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v) \
    {                                                                           \
        (void)v;                                                                \
        return tarn_##op(in[0]);                                                \
    }

/* The same with the number s. */
#define SCALAR(op, f)                                                           \
    UNARY_REFERENCE(op, f)                                                      \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v) \
    {                                                                           \
        return tarn_##op(in[0], v->value);                                      \
    }

#define UNARY_REFERENCE(op, f)                                                         \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        const double s = v->value;                                                     \
        (void)s;                                                                       \
        op_array_make(out, in->shape);                                                 \
        op_array_make(magnitude, in->shape);                                           \
        for (int64_t i = 0; i < in->n; i++) {                                          \
            const double x = in->data[i];                                              \
            out->data[i] = (f);                                                        \
            magnitude->data[i] = fabs(out->data[i]);                                   \
        }                                                                              \
    }

#define BINARY(op, f)                                                                  \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v)        \
    {                                                                                  \
        (void)v;                                                                       \
        return tarn_##op(in[0], in[1]);                                                \
    }                                                                                  \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        const tarn_shape shape = broadcast(&in[0].shape, &in[1].shape);                \
        int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;                                   \
        (void)v;                                                                       \
        op_array_make(out, shape);                                                     \
        op_array_make(magnitude, shape);                                               \
        if (out->n == 0) return;                                                       \
        do {                                                                           \
            const double a = in[0].data[place(&in[0], shape.ndim, index)];             \
            const double b = in[1].data[place(&in[1], shape.ndim, index)];             \
            out->data[i] = (f);                                                        \
            magnitude->data[i] = fabs(out->data[i]);                                   \
            i++;                                                                       \
        } while (next(&shape, index));                                                 \
    }

BINARY(add, a + b)
BINARY(sub, a - b)
BINARY(mul, a *b)
BINARY(div, a / b)
BINARY(pow, pow(a, b))
BINARY(maximum, nan_max(a, b))
BINARY(minimum, nan_min(a, b))

SCALAR(add_scalar, x + s)
SCALAR(sub_scalar, x - s)
SCALAR(rsub_scalar, s - x)
SCALAR(mul_scalar, x *s)
SCALAR(div_scalar, x / s)
SCALAR(rdiv_scalar, s / x)
SCALAR(pow_scalar, pow(x, s))
SCALAR(maximum_scalar, nan_max(x, s))
SCALAR(minimum_scalar, nan_min(x, s))
SCALAR(leaky_relu, x >= 0 ? x : s * x)

UNARY(neg, -x)
UNARY(abs, x *sign_of(x))
UNARY(exp, exp(x))
UNARY(log, log(x))
UNARY(sqrt, sqrt(x))
UNARY(square, x *x)
UNARY(tanh, tanh(x))
UNARY(sigmoid, 1 / (1 + exp(-x)))
UNARY(relu, isnan(x) ? x : x > 0 ? x : 0)
UNARY(detach, x)
UNARY(contiguous, x)

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
    };
    if (i >= LENGTH(pairs)) return false;
    v->shape[0] = pairs[i][0];
    v->shape[1] = pairs[i][1];
    return true;
}

static tarn_tensor *matmul_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_matmul(in[0], in[1]);
}

/* The batches as shapes, and the sizes of the matrices. */
static void matmul_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    const op_array *a = &in[0], *b = &in[1];
    const int p = a->shape.ndim, q = b->shape.ndim;
    const int64_t M = a->shape.dims[p - 2], K = a->shape.dims[p - 1], N = b->shape.dims[q - 1];
    op_array a_batches = { .shape = a->shape }, b_batches = { .shape = b->shape };
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    (void)v;
    a_batches.shape.ndim -= 2;
    b_batches.shape.ndim -= 2;
    const tarn_shape batches = broadcast(&a_batches.shape, &b_batches.shape);
    tarn_shape shape = batches;
    shape.dims[shape.ndim++] = M;
    shape.dims[shape.ndim++] = N;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    if (out->n == 0) return;
    do {
        const double *A = a->data + place(&a_batches, batches.ndim, index) * M * K;
        const double *B = b->data + place(&b_batches, batches.ndim, index) * K * N;
        for (int64_t m = 0; m < M; m++)
            for (int64_t n = 0; n < N; n++, i++)
                for (int64_t k = 0; k < K; k++) {
                    out->data[i] += A[m * K + k] * B[k * N + n];
                    magnitude->data[i] += fabs(A[m * K + k] * B[k * N + n]);
                }
    } while (next(&batches, index));
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
    if (i >= LENGTH(variants)) return false;
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

/* ---- reductions: every set of axes of some shapes, with and without keeping them */

static bool reduce_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[] = { { 0, { 0 } },        { 1, { 2 } },
                                         { 2, { 3, 5 } },     { 4, { 3, 2, 1, 2 } },
                                         { 2, { 3, 130 } },   { 2, { 130, 3 } },
                                         { 3, { 5, 4, 70 } }, { 2, { 0, 3 } } };
    for (int s = 0; s < LENGTH(shapes); s++) {
        const int sets = 1 << shapes[s].ndim;
        if (i >= 2 * sets) {
            i -= 2 * sets;
            continue;
        }
        v->shape[0] = shapes[s];
        v->axes.keep = i % 2;
        for (int axis = 0; axis < shapes[s].ndim; axis++)
            if ((i / 2 >> axis & 1) != 0)
                v->axes.axis[v->axes.n++] = axis % 2 != 0 ? axis - shapes[s].ndim : axis;
        return true;
    }
    return false;
}

static bool is_reduced(const op_variant *v, int ndim, int axis)
{
    for (int i = 0; i < v->axes.n; i++)
        if (v->axes.axis[i] == axis || v->axes.axis[i] + ndim == axis) return true;
    return v->axes.n == 0;
}

/* The same without those that reduce nothing. */
static bool extreme_variant(int i, op_variant *v)
{
    op_variant trial = { .n = 0 };
    for (int k = 0; reduce_variant(k, &trial); k++, trial = (op_variant){ .n = 0 }) {
        bool empty = false;
        for (int axis = 0; axis < trial.shape[0].ndim; axis++)
            if (is_reduced(&trial, trial.shape[0].ndim, axis))
                empty = empty || trial.shape[0].dims[axis] == 0;
        if (empty || i-- > 0) continue;
        *v = trial;
        return true;
    }
    return false;
}

static tarn_shape reduced_shape(const tarn_shape *x, const op_variant *v)
{
    tarn_shape shape = { 0 };
    for (int axis = 0; axis < x->ndim; axis++) {
        const bool reduced = is_reduced(v, x->ndim, axis);
        if (!reduced || v->axes.keep != 0) shape.dims[shape.ndim++] = reduced ? 1 : x->dims[axis];
    }
    return shape;
}

/* Calls `take` for each element with its output and its place among the terms of that output. */
static void reduce(const op_array *x, const op_variant *v,
                   void (*take)(void *context, int64_t output, int64_t term, double x),
                   void *context)
{
    const int ndim = x->shape.ndim;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    if (x->n == 0) return;
    do {
        int64_t output = 0, term = 0;
        for (int axis = 0; axis < ndim; axis++)
            if (is_reduced(v, ndim, axis)) term = term * x->shape.dims[axis] + index[axis];
            else output = output * x->shape.dims[axis] + index[axis];
        take(context, output, term, x->data[i++]);
    } while (next(&x->shape, index));
}

typedef struct sums {
    op_array *out, *magnitude;
} sums;

static void take_sum(void *context, int64_t output, int64_t term, double x)
{
    const sums *s = context;
    (void)term;
    s->out->data[output] += x;
    s->magnitude->data[output] += fabs(x);
}

static void sum_reference(const op_array *in, const op_variant *v, op_array *out,
                          op_array *magnitude)
{
    op_array_make(out, reduced_shape(&in->shape, v));
    op_array_make(magnitude, out->shape);
    reduce(in, v, take_sum, &(sums){ out, magnitude });
}

static void mean_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    double terms = 1;
    for (int axis = 0; axis < in->shape.ndim; axis++)
        if (is_reduced(v, in->shape.ndim, axis)) terms *= (double)in->shape.dims[axis];
    sum_reference(in, v, out, magnitude);
    for (int64_t i = 0; i < out->n; i++) {
        out->data[i] /= terms;
        magnitude->data[i] /= terms;
    }
}

typedef struct contest {
    double sign; /* 1: the largest wins; -1: the smallest */
    double *best;
    int64_t *where;
} contest;

static void take_best(void *context, int64_t output, int64_t term, double x)
{
    const contest *c = context;
    const double best = c->best[output];
    if (term == 0 || (!isnan(best) && (isnan(x) || c->sign * x > c->sign * best))) {
        c->best[output] = x;
        c->where[output] = term;
    }
}

/* Either the values that win or their places. */
static void extreme_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude, double sign, bool places)
{
    contest c = { sign, calloc((size_t)in->n + 1, sizeof(double)),
                  calloc((size_t)in->n + 1, sizeof(int64_t)) };
    op_array_make(out, reduced_shape(&in->shape, v));
    op_array_make(magnitude, out->shape);
    reduce(in, v, take_best, &c);
    for (int64_t i = 0; i < out->n; i++) out->data[i] = places ? (double)c.where[i] : c.best[i];
    free(c.best);
    free(c.where);
}

static void max_reference(const op_array *in, const op_variant *v, op_array *out,
                          op_array *magnitude)
{
    extreme_reference(in, v, out, magnitude, 1, false);
}

static void min_reference(const op_array *in, const op_variant *v, op_array *out,
                          op_array *magnitude)
{
    extreme_reference(in, v, out, magnitude, -1, false);
}

static void argmax_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    extreme_reference(in, v, out, magnitude, 1, true);
}

#define REDUCTION_APPLY(op)                                                     \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v) \
    {                                                                           \
        return tarn_##op(in[0], v->axes);                                       \
    }
REDUCTION_APPLY(sum)
REDUCTION_APPLY(mean)
REDUCTION_APPLY(max)
REDUCTION_APPLY(min)
REDUCTION_APPLY(argmax)

/* ---- softmax */

static bool softmax_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape shape;
        int axis;
    } variants[] = { { { 1, { 5 } }, 0 },     { { 2, { 3, 5 } }, 1 },     { { 2, { 3, 5 } }, 0 },
                     { { 2, { 4, 1 } }, -1 }, { { 3, { 2, 3, 4 } }, -2 }, { { 2, { 0, 3 } }, 1 },
                     { { 2, { 3, 0 } }, 1 },  { { 2, { 2, 101 } }, -1 } };
    if (i >= LENGTH(variants)) return false;
    v->shape[0] = variants[i].shape;
    v->axis = variants[i].axis;
    return true;
}

/* Calls f for each row along the axis, of n elements `step` apart. */
static void for_each_row(const op_array *x, int axis,
                         void (*f)(int64_t n, int64_t step, const double *x, double *y,
                                   double *magnitude),
                         double *y, double *magnitude)
{
    int64_t step = 1;
    if (axis < 0) axis += x->shape.ndim;
    for (int i = axis + 1; i < x->shape.ndim; i++) step *= x->shape.dims[i];
    const int64_t n = x->shape.dims[axis];
    for (int64_t i = 0; i < x->n; i++)
        if (i / step % n == 0) f(n, step, x->data + i, y + i, magnitude + i);
}

static double log_sum_exp(int64_t n, int64_t step, const double *x, double *max)
{
    double sum = 0;
    *max = -INFINITY;
    for (int64_t i = 0; i < n; i++) *max = fmax(*max, x[i * step]);
    for (int64_t i = 0; i < n; i++) sum += exp(x[i * step] - *max);
    return *max + log(sum);
}

static void log_softmax_row(int64_t n, int64_t step, const double *x, double *y, double *magnitude)
{
    double max;
    const double lse = log_sum_exp(n, step, x, &max);
    for (int64_t i = 0; i < n; i++) {
        y[i * step] = x[i * step] - lse;
        magnitude[i * step] = fabs(x[i * step] - max) + fabs(lse - max) + 1;
    }
}

static void softmax_row(int64_t n, int64_t step, const double *x, double *y, double *magnitude)
{
    log_softmax_row(n, step, x, y, magnitude);
    for (int64_t i = 0; i < n; i++) {
        y[i * step] = exp(y[i * step]);
        magnitude[i * step] *= y[i * step];
    }
}

#define SOFTMAX(op)                                                                    \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v)        \
    {                                                                                  \
        return tarn_##op(in[0], v->axis);                                              \
    }                                                                                  \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        op_array_make(out, in->shape);                                                 \
        op_array_make(magnitude, in->shape);                                           \
        for_each_row(in, v->axis, op##_row, out->data, magnitude->data);               \
    }
SOFTMAX(softmax)
SOFTMAX(log_softmax)

/* ---- losses */

static bool cross_entropy_variant(int i, op_variant *v)
{
    static const struct {
        int64_t B, C;
        tarn_dtype dtype;
    } variants[] = { { 1, 1, TARN_I64 },
                     { 4, 3, TARN_I64 },
                     { 4, 3, TARN_I32 },
                     { 5, 10, TARN_U8 },
                     { 0, 3, TARN_I64 } };
    if (i >= LENGTH(variants)) return false;
    v->shape[0] = TARN_SHAPE(variants[i].B, variants[i].C);
    v->shape[1] = TARN_SHAPE(variants[i].B);
    v->dtype = variants[i].dtype;
    return true;
}

static void cross_entropy_reference(const op_array *in, const op_variant *v, op_array *out,
                                    op_array *magnitude)
{
    const int64_t B = in[0].shape.dims[0], C = in[0].shape.dims[1];
    (void)v;
    op_array_make(out, TARN_SCALAR);
    op_array_make(magnitude, TARN_SCALAR);
    for (int64_t b = 0; b < B; b++) {
        double max;
        const double *row = in[0].data + b * C;
        const double lse = log_sum_exp(C, 1, row, &max), x = row[(int64_t)in[1].data[b]];
        out->data[0] += lse - x;
        magnitude->data[0] += fabs(lse - max) + fabs(x - max) + 1;
    }
    out->data[0] /= (double)B;
    magnitude->data[0] /= (double)B;
}

static bool loss_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[] = { { 0, { 0 } },       { 1, { 1 } }, { 2, { 4, 1 } },
                                         { 3, { 2, 3, 4 } }, { 1, { 0 } }, { 1, { 600 } } };
    if (i >= LENGTH(shapes)) return false;
    v->shape[0] = v->shape[1] = shapes[i];
    return true;
}

#define MEAN_LOSS(op, f, size)                                                         \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        (void)v;                                                                       \
        op_array_make(out, TARN_SCALAR);                                               \
        op_array_make(magnitude, TARN_SCALAR);                                         \
        for (int64_t i = 0; i < in->n; i++) {                                          \
            const double x = in[0].data[i], y = in[1].data[i];                         \
            out->data[0] += (f);                                                       \
            magnitude->data[0] += (size);                                              \
        }                                                                              \
        out->data[0] /= (double)in->n;                                                 \
        magnitude->data[0] /= (double)in->n;                                           \
    }
/* -y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x)) */
MEAN_LOSS(bce_with_logits, y *log1p(exp(-x)) + (1 - y) * log1p(exp(x)), fabs(x) + 1)
MEAN_LOSS(mse, (x - y) * (x - y), (fabs(x) + fabs(y)) * (fabs(x) + fabs(y)))

#define LOSS_APPLY(op)                                                          \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v) \
    {                                                                           \
        (void)v;                                                                \
        return tarn_##op(in[0], in[1]);                                         \
    }
LOSS_APPLY(cross_entropy)
LOSS_APPLY(bce_with_logits)
LOSS_APPLY(mse)

/* ---- views */

static bool reshape_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[][2] = { { { 2, { 3, 4 } }, { 2, { 2, 6 } } },
                                            { { 2, { 3, 4 } }, { 3, { 2, -1, 3 } } },
                                            { { 0, { 0 } }, { 2, { 1, 1 } } },
                                            { { 2, { 0, 4 } }, { 3, { 2, 0, 7 } } } };
    if (i >= LENGTH(shapes)) return false;
    v->shape[0] = shapes[i][0];
    v->target = shapes[i][1];
    return true;
}

static tarn_tensor *reshape_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_reshape(in[0], v->target);
}

static void reshape_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    tarn_shape shape = v->target;
    for (int i = 0; i < shape.ndim; i++)
        if (shape.dims[i] < 0) shape.dims[i] = in->n / -op_shape_numel(&v->target);
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    memcpy(out->data, in->data, (size_t)in->n * sizeof(double));
}

static bool transpose_variant(int i, op_variant *v)
{
    static const int axes[][2] = { { 0, 1 }, { 0, -1 }, { 1, 1 }, { -1, -2 } };
    if (i >= LENGTH(axes)) return false;
    v->shape[0] = TARN_SHAPE(2, 3, 4);
    v->axis = axes[i][0];
    v->axis_b = axes[i][1];
    return true;
}

static tarn_tensor *transpose_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_transpose(in[0], v->axis, v->axis_b);
}

/* out[index] = in[index with both axes exchanged] */
static void transpose_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude)
{
    const int ndim = in->shape.ndim, p = (v->axis + ndim) % ndim, q = (v->axis_b + ndim) % ndim;
    tarn_shape shape = in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    shape.dims[p] = in->shape.dims[q];
    shape.dims[q] = in->shape.dims[p];
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    do {
        int64_t from[TARN_MAX_DIMS];
        memcpy(from, index, sizeof(from));
        from[p] = index[q];
        from[q] = index[p];
        out->data[i++] = in->data[place(in, ndim, from)];
    } while (next(&shape, index));
}

static bool slice_variant(int i, op_variant *v)
{
    static const struct {
        int axis;
        int64_t start, stop;
    } slices[] = { { 0, 1, 3 }, { 1, 0, 4 }, { -1, 2, -1 }, { 0, -2, 3 }, { 1, 2, 2 } };
    if (i >= LENGTH(slices)) return false;
    v->shape[0] = TARN_SHAPE(3, 4);
    v->axis = slices[i].axis;
    v->start = slices[i].start;
    v->stop = slices[i].stop;
    return true;
}

static tarn_tensor *slice_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_slice(in[0], v->axis, v->start, v->stop);
}

static void slice_reference(const op_array *in, const op_variant *v, op_array *out,
                            op_array *magnitude)
{
    const int axis = v->axis < 0 ? v->axis + in->shape.ndim : v->axis;
    const int64_t size = in->shape.dims[axis];
    const int64_t start = v->start < 0 ? v->start + size : v->start;
    const int64_t stop = v->stop < 0 ? v->stop + size : v->stop;
    tarn_shape shape = in->shape;
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    shape.dims[axis] = stop - start;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    if (out->n == 0) return;
    do {
        int64_t from[TARN_MAX_DIMS];
        memcpy(from, index, sizeof(from));
        from[axis] += start;
        out->data[i++] = in->data[place(in, shape.ndim, from)];
    } while (next(&shape, index));
}

static bool expand_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[][2] = { { { 2, { 3, 1 } }, { 2, { 3, 4 } } },
                                            { { 1, { 3 } }, { 3, { 2, 2, 3 } } },
                                            { { 0, { 0 } }, { 1, { 5 } } },
                                            { { 2, { 1, 3 } }, { 2, { 0, 3 } } } };
    if (i >= LENGTH(shapes)) return false;
    v->shape[0] = shapes[i][0];
    v->target = shapes[i][1];
    return true;
}

static tarn_tensor *expand_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_expand(in[0], v->target);
}

static void expand_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    int64_t index[TARN_MAX_DIMS] = { 0 }, i = 0;
    op_array_make(out, v->target);
    op_array_make(magnitude, v->target);
    if (out->n == 0) return;
    do out->data[i++] = in->data[place(in, v->target.ndim, index)];
    while (next(&v->target, index));
}

/* ---- casts and draws */

static bool cast_variant(int i, op_variant *v)
{
    static const tarn_dtype types[] = { TARN_F64, TARN_F32, TARN_I32, TARN_I64, TARN_U8 };
    v->shape[0] = TARN_SHAPE(3, 5);
    if (i < LENGTH(types)) v->dtype = types[i];
    return i < LENGTH(types);
}

static tarn_tensor *cast_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_cast(in[0], v->dtype);
}

static double cast_one(double x, tarn_dtype dtype)
{
    if (dtype == TARN_F64) return x;
    if (dtype == TARN_F32) return (double)(float)x;
    const double low = dtype == TARN_I32 ? -0x1p31 : dtype == TARN_I64 ? -0x1p63 : 0;
    const double high = dtype == TARN_I32 ? 0x1p31 - 1 : dtype == TARN_I64 ? 0x1p63 : 255;
    return isnan(x) ? 0 : fmin(fmax(trunc(x), low), high);
}

static void cast_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < in->n; i++) out->data[i] = cast_one(in->data[i], v->dtype);
}

static bool dropout_variant(int i, op_variant *v)
{
    static const double probabilities[] = { 0, 0.5, 0.1, 1 };
    v->shape[0] = TARN_SHAPE(7, 11);
    v->stream = (uint64_t)i;
    if (i < LENGTH(probabilities)) v->value = probabilities[i];
    return i < LENGTH(probabilities);
}

static tarn_tensor *dropout_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_dropout(in[0], v->value, v->stream);
}

/* The draws of the manager of check.h, whose seed is 42: word i % 4 of Philox at counter i / 4. */
static void dropout_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    const uint64_t key = tarn__random_key(tarn__random_key(42, TARN__RANDOM_DROPOUT), v->stream);
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < in->n; i++) {
        const uint32_t counter[4] = { (uint32_t)(i / 4) };
        const uint32_t halves[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
        uint32_t words[4];
        tarn__philox(counter, halves, words);
        const bool kept = (double)words[i % 4] * 0x1p-32 >= v->value;
        out->data[i] = kept ? in->data[i] / (1 - v->value) : 0;
        magnitude->data[i] = fabs(out->data[i]);
    }
}

/* ---- the table */

#define ROW(name, n, values, variant, ulps, grad_ulps, flags)                             \
    {                                                                                     \
#name, n, values, variant, name##_apply, name##_reference, ulps, grad_ulps, flags \
    }
#define OF(...)     \
    {               \
        __VA_ARGS__ \
    }

/* clang-format off */

const op_case op_cases[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(add,             2, OF(OP_ANY, OP_ANY),            any_pair,              1,   1, OP_LINEAR),
    ROW(sub,             2, OF(OP_ANY, OP_ANY),            any_pair,              1,   1, OP_LINEAR),
    ROW(mul,             2, OF(OP_ANY, OP_ANY),            any_pair,              1,   1, OP_LINEAR),
    ROW(div,             2, OF(OP_ANY, OP_NONZERO),        any_pair,              1, 128, 0),
    ROW(pow,             2, OF(OP_POSITIVE, OP_ANY),       any_pair,              2, 512, OP_NO_INFINITY),
    ROW(maximum,         2, OF(OP_LATTICE, OP_BETWEEN),    any_pair,              0,   1, 0),
    ROW(minimum,         2, OF(OP_LATTICE, OP_BETWEEN),    any_pair,              0,   1, 0),

    ROW(add_scalar,      1, OF(OP_ANY),                    any_shape,             1,   1, OP_LINEAR),
    { "add_scalar",      1, OF(OP_ANY),                    any_shape, sub_scalar_apply, sub_scalar_reference,
                                                                                  1,   1, OP_LINEAR },
    ROW(rsub_scalar,     1, OF(OP_ANY),                    any_shape,             1,   1, OP_LINEAR),
    ROW(mul_scalar,      1, OF(OP_ANY),                    any_shape,             1,   1, OP_LINEAR),
    ROW(div_scalar,      1, OF(OP_ANY),                    any_shape,             1,   1, OP_LINEAR),
    ROW(rdiv_scalar,     1, OF(OP_NONZERO),                any_shape,             1,  16, 0),
    ROW(pow_scalar,      1, OF(OP_POSITIVE),               any_exponent,          2, 2048, 0),
    ROW(maximum_scalar,  1, OF(OP_ANY),                    any_shape,             0,   1, 0),
    ROW(minimum_scalar,  1, OF(OP_ANY),                    any_shape,             0,   1, 0),

    ROW(neg,             1, OF(OP_ANY),                    any_shape,             0,   1, OP_LINEAR),
    ROW(abs,             1, OF(OP_ANY),                    any_shape,             0,   1, 0),
    ROW(exp,             1, OF(OP_ANY),                    any_shape,             2,  24, 0),
    ROW(log,             1, OF(OP_POSITIVE),               any_shape,             2,   4, 0),
    ROW(sqrt,            1, OF(OP_POSITIVE),               any_shape,             1,   4, 0),
    ROW(square,          1, OF(OP_ANY),                    any_shape,             1,   4, 0),
    ROW(tanh,            1, OF(OP_ANY),                    any_shape,             4,  12, 0),
    ROW(sigmoid,         1, OF(OP_ANY),                    any_shape,             4,   4, 0),
    ROW(relu,            1, OF(OP_ANY),                    any_shape,             0,   1, 0),
    ROW(leaky_relu,      1, OF(OP_ANY),                    any_shape,             1,   1, 0),
    ROW(leaky_relu,      1, OF(OP_ANY),                    any_shape_negative,    1,   1, 0),

    ROW(matmul,          2, OF(OP_ANY, OP_ANY),            matmul_variant,       60,  80, OP_LINEAR),
    ROW(affine,          3, OF(OP_ANY, OP_ANY, OP_ANY),    affine_variant,       60,  80, OP_LINEAR),

    ROW(sum,             1, OF(OP_ANY),                    reduce_variant,        1,   1, OP_LINEAR),
    ROW(mean,            1, OF(OP_ANY),                    reduce_variant,        1,   1, OP_LINEAR),
    ROW(max,             1, OF(OP_DISTINCT),               extreme_variant,       0,   1, 0),
    ROW(min,             1, OF(OP_DISTINCT),               extreme_variant,       0,   1, 0),
    ROW(argmax,          1, OF(OP_DISTINCT),               extreme_variant,       0,   0, OP_NO_GRADIENT | OP_ANY_DTYPE),

    ROW(softmax,         1, OF(OP_ANY),                    softmax_variant,       8,  24, 0),
    ROW(log_softmax,     1, OF(OP_ANY),                    softmax_variant,       4, 128, 0),
    ROW(cross_entropy,   2, OF(OP_ANY, OP_LABELS),         cross_entropy_variant, 4,   8, 0),
    ROW(bce_with_logits, 2, OF(OP_ANY, OP_UNIT),           loss_variant,          4,   8, OP_NO_INFINITY),
    ROW(mse,             2, OF(OP_ANY, OP_ANY),            loss_variant,          2,  16, 0),

    ROW(reshape,         1, OF(OP_ANY),                    reshape_variant,       0,   1, OP_LINEAR | OP_ANY_DTYPE | OP_CONTIGUOUS),
    ROW(transpose,       1, OF(OP_ANY),                    transpose_variant,    0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(slice,           1, OF(OP_ANY),                    slice_variant,        0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(expand,          1, OF(OP_ANY),                    expand_variant,       0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(contiguous,      1, OF(OP_ANY),                    any_shape,             0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(cast,            1, OF(OP_ANY),                    cast_variant,          0,   1, OP_LINEAR | OP_ANY_DTYPE),
    ROW(dropout,         1, OF(OP_ANY),                    dropout_variant,       2,   2, OP_LINEAR),
    ROW(detach,          1, OF(OP_ANY),                    any_shape,             0,   0, OP_NO_GRADIENT | OP_ANY_DTYPE),
};
const int n_op_cases = LENGTH(op_cases);
