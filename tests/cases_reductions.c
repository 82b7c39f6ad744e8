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

/* The terms of each output. */
static double count_terms(const op_variant *v)
{
    const tarn_shape *x = &v->shape[0];
    double terms = 1;
    for (int axis = 0; axis < x->ndim; axis++)
        if (is_reduced(v, x->ndim, axis)) terms *= (double)x->dims[axis];
    return terms;
}

/* Few terms: their product is not too large for F32. */
static bool prod_variant(int i, op_variant *v)
{
    op_variant trial = { .n = 0 };
    for (int k = 0; reduce_variant(k, &trial); k++, trial = (op_variant){ .n = 0 }) {
        if (count_terms(&trial) > 20 || i-- > 0) continue;
        *v = trial;
        return true;
    }
    return false;
}

/* Each with a number that the operation takes, in turn. */
static bool with_number(int i, op_variant *v, const double *numbers, int n)
{
    if (!reduce_variant(i / n, v)) return false;
    v->value = numbers[i % n];
    return true;
}

static bool norm_variant(int i, op_variant *v)
{
    static const double p[] = { 1, 2, 3, 1.5, INFINITY };
    return with_number(i, v, p, OP_LENGTH(p));
}

/* Corrections for which there are enough terms. (Nothing has any number of them: NaN.) */
static bool var_variant(int i, op_variant *v)
{
    static const double correction[] = { 0, 1, 0.5 };
    op_variant trial = { .n = 0 };
    for (int k = 0; with_number(k, &trial, correction, OP_LENGTH(correction));
         k++, trial = (op_variant){ .n = 0 }) {
        const double terms = count_terms(&trial);
        if ((terms > 0 && terms <= trial.value) || i-- > 0) continue;
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
    const double terms = count_terms(v);
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
    op_array_make(out, reduced_shape(&in->shape, v));
    op_array_make(magnitude, out->shape);
    contest c = { sign, calloc((size_t)out->n + 1, sizeof(double)),
                  calloc((size_t)out->n + 1, sizeof(int64_t)) };
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

static void argmin_reference(const op_array *in, const op_variant *v, op_array *out,
                             op_array *magnitude)
{
    extreme_reference(in, v, out, magnitude, -1, true);
}

static void take_factor(void *context, int64_t output, int64_t term, double x)
{
    op_array *out = context;
    (void)term;
    out->data[output] *= x;
}

static void prod_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    op_array_make(out, reduced_shape(&in->shape, v));
    op_array_make(magnitude, out->shape);
    for (int64_t i = 0; i < out->n; i++) out->data[i] = 1;
    reduce(in, v, take_factor, out);
    for (int64_t i = 0; i < out->n; i++) magnitude->data[i] = fabs(out->data[i]);
}

/* ---- powers of differences, absolute values and exponentials, summed */

typedef struct powers {
    double p;
    const double *from; /* of each output: what terms are compared with */
    double *sum;
} powers;

static void take_square(void *context, int64_t output, int64_t term, double x)
{
    const powers *c = context;
    const double difference = x - c->from[output];
    (void)term;
    c->sum[output] += difference * difference;
}

/* The magnitude is that of the squares: a difference from the mean is nearly exact. */
static void var_reference(const op_array *in, const op_variant *v, op_array *out,
                          op_array *magnitude)
{
    op_array mean;
    mean_reference(in, v, &mean, magnitude);
    op_array_make(out, mean.shape);
    reduce(in, v, take_square, &(powers){ 2, mean.data, out->data });
    for (int64_t i = 0; i < out->n; i++) {
        const double divisor = count_terms(v) - v->value;
        out->data[i] /= divisor > 0 ? divisor : NAN;
        magnitude->data[i] = out->data[i];
    }
    op_array_free(&mean);
}

static void std_reference(const op_array *in, const op_variant *v, op_array *out,
                          op_array *magnitude)
{
    var_reference(in, v, out, magnitude);
    for (int64_t i = 0; i < out->n; i++) out->data[i] = magnitude->data[i] = sqrt(out->data[i]);
}

static void take_ratio(void *context, int64_t output, int64_t term, double x)
{
    const powers *c = context;
    (void)term;
    c->sum[output] += pow(fabs(x) / c->from[output], c->p);
}

/* The largest absolute value times the norm of the others' ratios to it. */
static void norm_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    op_array size, sum;
    op_array_make(&size, in->shape);
    for (int64_t i = 0; i < in->n; i++) size.data[i] = fabs(in->data[i]);
    extreme_reference(&size, v, out, magnitude, 1, false);
    op_array_make(&sum, out->shape);
    reduce(in, v, take_ratio, &(powers){ v->value, out->data, sum.data });
    for (int64_t i = 0; i < out->n; i++) {
        const double max = out->data[i];
        if (!isinf(v->value) && isfinite(max) && max > 0)
            out->data[i] = max * pow(sum.data[i], 1 / v->value);
        magnitude->data[i] = out->data[i];
    }
    op_array_free(&size);
    op_array_free(&sum);
}

static void take_exp(void *context, int64_t output, int64_t term, double x)
{
    const powers *c = context;
    (void)term;
    c->sum[output] += exp(x - c->from[output]);
}

static void logsumexp_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude)
{
    op_array max, zeros;
    extreme_reference(in, v, &max, &zeros, 1, false);
    op_array_make(out, max.shape);
    op_array_make(magnitude, max.shape);
    for (int64_t i = 0; i < max.n; i++)
        if (!isfinite(max.data[i])) max.data[i] = 0;
    reduce(in, v, take_exp, &(powers){ 0, max.data, out->data });
    for (int64_t i = 0; i < out->n; i++) {
        const double log_sum = log(out->data[i]);
        out->data[i] = max.data[i] + log_sum;
        magnitude->data[i] = fabs(max.data[i]) + fabs(log_sum) + 1;
    }
    op_array_free(&max);
    op_array_free(&zeros);
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
REDUCTION_APPLY(argmin)
REDUCTION_APPLY(prod)
REDUCTION_APPLY(logsumexp)

static tarn_tensor *var_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_var(in[0], v->axes, v->value);
}

static tarn_tensor *std_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_std(in[0], v->axes, v->value);
}

static tarn_tensor *norm_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_norm(in[0], v->value, v->axes);
}

/* ---- along one axis */

static bool axis_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape shape;
        int axis;
    } variants[] = {
        { { 1, { 5 } }, 0 },     { { 2, { 3, 5 } }, 1 },     { { 2, { 3, 5 } }, 0 },
        { { 2, { 4, 1 } }, -1 }, { { 3, { 2, 3, 4 } }, -2 }, { { 2, { 0, 3 } }, 1 },
        { { 2, { 3, 0 } }, 1 },  { { 2, { 2, 101 } }, -1 },  { { 2, { 3, 130 } }, 0 }
    };
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

static void cumsum_row(int64_t n, int64_t step, const double *x, double *y, double *magnitude)
{
    double sum = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        y[i * step] = sum += x[i * step];
        magnitude[i * step] = size += fabs(x[i * step]);
    }
}

#define ALONG_AXIS(op)                                                                 \
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
ALONG_AXIS(softmax)
ALONG_AXIS(log_softmax)
ALONG_AXIS(cumsum)

/* ---- the table */

/* clang-format off */

const op_case op_cases_reductions[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(sum,             1, OF(OP_ANY),                    reduce_variant,        1,   1, OP_LINEAR),
    ROW(mean,            1, OF(OP_ANY),                    reduce_variant,        1,   1, OP_LINEAR),
    ROW(max,             1, OF(OP_DISTINCT),               extreme_variant,       0,   1, 0),
    ROW(min,             1, OF(OP_DISTINCT),               extreme_variant,       0,   1, 0),
    ROW(argmax,          1, OF(OP_DISTINCT),               extreme_variant,       0,   0, OP_NO_GRADIENT | OP_ANY_DTYPE | OP_I64_RESULT),
    ROW(argmin,          1, OF(OP_DISTINCT),               extreme_variant,       0,   0, OP_NO_GRADIENT | OP_ANY_DTYPE | OP_I64_RESULT),
    ROW(prod,            1, OF(OP_NONZERO),                prod_variant,          1, 4096, OP_BY_LAYOUT),
    ROW(var,             1, OF(OP_DISTINCT),               var_variant,           1,  16, OP_BY_LAYOUT),
    ROW(std,             1, OF(OP_DISTINCT),               var_variant,           1,   8, OP_BY_LAYOUT),
    ROW(norm,            1, OF(OP_DISTINCT_SIZES),         norm_variant,          4,   8, OP_BY_LAYOUT),
    ROW(logsumexp,       1, OF(OP_ANY),                    reduce_variant,        4,   8, OP_BY_LAYOUT),
    ROW(cumsum,          1, OF(OP_ANY),                    axis_variant,          1,   1, OP_LINEAR | OP_NO_SCALAR),
    ROW(softmax,         1, OF(OP_ANY),                    axis_variant,          8,  24, OP_NO_SCALAR),
    ROW(log_softmax,     1, OF(OP_ANY),                    axis_variant,          4, 128, OP_NO_SCALAR),
    { 0 },
};
