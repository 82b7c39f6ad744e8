/* SPDX-License-Identifier: MIT
 * cases_reductions.c - cases of reductions and softmax. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op_cases.h"

/* ---- reductions: every set of axes of some shapes, with and without keeping them */

static bool reduce_variant(int i, op_variant *v)
{
    static const tarn_shape shapes[] = { { 0, { 0 } },        { 1, { 2 } },
                                         { 2, { 3, 5 } },     { 4, { 3, 2, 1, 2 } },
                                         { 2, { 3, 130 } },   { 2, { 130, 3 } },
                                         { 3, { 5, 4, 70 } }, { 2, { 0, 3 } } };
    for (int s = 0; s < OP_LENGTH(shapes); s++) {
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
    } while (op_next(&x->shape, index));
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
    if (i >= OP_LENGTH(variants)) return false;
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

static void log_softmax_row(int64_t n, int64_t step, const double *x, double *y, double *magnitude)
{
    double max;
    const double log_sum = op_log_sum(n, step, x, &max);
    for (int64_t i = 0; i < n; i++) {
        y[i * step] = x[i * step] - max - log_sum;
        magnitude[i * step] = fabs(x[i * step] - max) + fabs(log_sum) + 1;
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

/* ---- the table */

/* clang-format off */

const op_case op_cases_reductions[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(sum,             1, OF(OP_ANY),                    reduce_variant,        1,   1, OP_LINEAR),
    ROW(mean,            1, OF(OP_ANY),                    reduce_variant,        1,   1, OP_LINEAR),
    ROW(max,             1, OF(OP_DISTINCT),               extreme_variant,       0,   1, 0),
    ROW(min,             1, OF(OP_DISTINCT),               extreme_variant,       0,   1, 0),
    ROW(argmax,          1, OF(OP_DISTINCT),               extreme_variant,       0,   0, OP_NO_GRADIENT | OP_ANY_DTYPE | OP_I64_RESULT),
    ROW(softmax,         1, OF(OP_ANY),                    softmax_variant,       8,  24, OP_NO_SCALAR),
    ROW(log_softmax,     1, OF(OP_ANY),                    softmax_variant,       4, 128, OP_NO_SCALAR),
    { 0 },
};
