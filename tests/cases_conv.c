/* SPDX-License-Identifier: MIT
 * cases_conv.c - cases of convolution and pooling.
 *
 * Of convolutions target is { stride, stride, padding, padding, dilation, dilation, groups, output
 * padding of columns }, step that of rows, start and stop the kernel of conv_dw; of pooling target
 * is { kernel, kernel, stride, stride, padding, padding, and the size of avg_unpool }, choice 1
 * where padding does not count. One dimension is two whose rows are one. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op_cases.h"
#include "ops/pooling.h"

/* ---- convolution: sizes */

/* The wide side is (B, C, H, W), the narrow one (B, O, P, Q), w (O, C / groups, R, S). */
typedef struct conv {
    int64_t B, C, O, groups;
    int64_t H, W, R, S, P, Q;
    int64_t stride[2], padding[2], dilation[2];
} conv;

static int64_t windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                       int64_t dilation)
{
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

static void count_windows(conv *c)
{
    c->P = windows(c->H, c->R, c->stride[0], c->padding[0], c->dilation[0]);
    c->Q = windows(c->W, c->S, c->stride[1], c->padding[1], c->dilation[1]);
}

/* Every stride, padding, dilation and grouping of two; then whatever else is particular. */
static bool conv_of(int i, conv *out)
{
    static const conv particular[] = {
        /* B C O groups, H W R S */
        { 2, 3, 2, 1, 3, 4, 1, 1, 0, 0, { 1, 1 }, { 0, 0 }, { 1, 1 } }, /* no columns */
        { 2, 3, 6, 3, 3, 2, 1, 1, 0, 0, { 1, 1 }, { 0, 0 }, { 1, 1 } },
        { 1, 2, 2, 1, 3, 4, 1, 1, 0, 0, { 2, 1 }, { 0, 0 }, { 1, 1 } },
        { 1, 2, 2, 1, 3, 3, 1, 1, 0, 0, { 1, 1 }, { 1, 0 }, { 1, 1 } },
        { 1, 4, 4, 4, 4, 4, 3, 3, 0, 0, { 1, 1 }, { 1, 1 }, { 1, 1 } }, /* each channel alone */
        { 1, 3, 6, 3, 4, 4, 3, 2, 0, 0, { 1, 1 }, { 1, 0 }, { 1, 1 } },
        { 2, 1, 3, 1, 3, 5, 3, 5, 0, 0, { 1, 1 }, { 0, 0 }, { 1, 1 } }, /* one window */
        { 1, 2, 2, 1, 1, 1, 3, 3, 0, 0, { 1, 1 }, { 2, 2 }, { 1, 1 } }, /* mostly padding */
        { 1, 1, 2, 1, 2, 2, 1, 1, 0, 0, { 1, 2 }, { 3, 3 }, { 1, 1 } },
        { 2, 1, 2, 1, 4, 9, 2, 3, 0, 0, { 1, 3 }, { 2, 0 }, { 1, 2 } }, /* rows are no columns */
        { 1, 2, 2, 2, 9, 4, 3, 2, 0, 0, { 3, 1 }, { 0, 2 }, { 2, 3 } },
        { 1, 1, 1, 1, 7, 7, 2, 2, 0, 0, { 4, 5 }, { 0, 0 }, { 1, 1 } }, /* gaps and ends unseen */
        { 0, 2, 3, 1, 4, 4, 3, 3, 0, 0, { 1, 1 }, { 0, 0 }, { 1, 1 } },
        { 2, 0, 3, 1, 4, 4, 3, 3, 0, 0, { 1, 1 }, { 0, 0 }, { 1, 1 } },
        { 2, 2, 0, 2, 4, 4, 3, 3, 0, 0, { 1, 1 }, { 0, 0 }, { 1, 1 } },
        { 3, 4, 8, 1, 9, 10, 3, 3, 0, 0, { 1, 1 }, { 1, 1 }, { 1, 1 } }, /* large enough for BLAS */
        { 3, 6, 4, 2, 9, 10, 3, 3, 0, 0, { 2, 2 }, { 1, 1 }, { 1, 1 } },
        { 2, 9, 8, 1, 6, 7, 1, 1, 0, 0, { 1, 1 }, { 0, 0 }, { 1, 1 } },
    };
    if (i < 16) {
        *out =
            (conv){ .B = 2, .C = 2, .O = 2, .groups = 1 + i / 8, .H = 5, .W = 4, .R = 3, .S = 2 };
        for (int k = 0; k < 2; k++) {
            out->stride[k] = 1 + i % 2;
            out->padding[k] = i / 2 % 2;
            out->dilation[k] = 1 + i / 4 % 2;
        }
    } else if (i - 16 < OP_LENGTH(particular)) {
        *out = particular[i - 16];
    } else {
        return false;
    }
    count_windows(out);
    return true;
}

static bool conv_of_rows(int i, conv *out)
{
    if (!conv_of(i, out)) return false;
    out->H = out->R = out->stride[0] = out->dilation[0] = 1;
    out->padding[0] = 0;
    count_windows(out);
    return true;
}

/* A shape of four sizes, or without the third. */
static tarn_shape shape_of(int dimensions, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return dimensions == 1 ? TARN_SHAPE(a, b, d) : TARN_SHAPE(a, b, c, d);
}

static void set_attributes(op_variant *v, const conv *c)
{
    for (int k = 0; k < 2; k++) {
        v->target.dims[k] = c->stride[k];
        v->target.dims[2 + k] = c->padding[k];
        v->target.dims[4 + k] = c->dilation[k];
    }
    v->target.dims[6] = c->groups;
    v->step =
        c->H - ((c->P - 1) * c->stride[0] - 2 * c->padding[0] + c->dilation[0] * (c->R - 1) + 1);
    v->target.dims[7] =
        c->W - ((c->Q - 1) * c->stride[1] - 2 * c->padding[1] + c->dilation[1] * (c->S - 1) + 1);
    v->start = c->R;
    v->stop = c->S;
}

static conv read_attributes(const op_variant *v)
{
    conv c = { .groups = v->target.dims[6] };
    for (int k = 0; k < 2; k++) {
        c.stride[k] = v->target.dims[k];
        c.padding[k] = v->target.dims[2 + k];
        c.dilation[k] = v->target.dims[4 + k];
    }
    return c;
}

static tarn_conv_options options_of(const op_variant *v)
{
    tarn_conv_options o = { .groups = v->target.dims[6] };
    const int first = v->shape[0].ndim == 3 ? 1 : 0;
    for (int k = 0; first + k < 2; k++) {
        o.stride[k] = v->target.dims[first + k];
        o.padding[k] = v->target.dims[2 + first + k];
        o.dilation[k] = v->target.dims[4 + first + k];
    }
    return o;
}

/* ---- convolution: the reference */

/* Calls `take` with every product of a convolution: the places in the wide side (-1: padding), the
 * narrow side and w. */
static void each_product(const conv *c,
                         void (*take)(void *context, int64_t x, int64_t y, int64_t w),
                         void *context)
{
    const int64_t in = c->C / c->groups, out = c->O / c->groups;
    const tarn_shape all = { 7, { c->B, c->O, c->P, c->Q, in, c->R, c->S } };
    int64_t k[TARN_MAX_DIMS] = { 0 };
    if (op_shape_numel(&all) == 0) return;
    do {
        const int64_t row = k[2] * c->stride[0] - c->padding[0] + k[5] * c->dilation[0];
        const int64_t column = k[3] * c->stride[1] - c->padding[1] + k[6] * c->dilation[1];
        const int64_t channel = k[1] / out * in + k[4];
        const bool inside = row >= 0 && row < c->H && column >= 0 && column < c->W;
        take(context, inside ? ((k[0] * c->C + channel) * c->H + row) * c->W + column : -1,
             ((k[0] * c->O + k[1]) * c->P + k[2]) * c->Q + k[3],
             ((k[1] * in + k[4]) * c->R + k[5]) * c->S + k[6]);
    } while (op_next(&all, k));
}

typedef struct sides {
    const double *x, *y, *w; /* what is known; the third is computed */
    op_array *out, *magnitude;
} sides;

static void add_product(const sides *s, int64_t to, double product)
{
    s->out->data[to] += product;
    s->magnitude->data[to] += fabs(product);
}

static void take_y(void *context, int64_t x, int64_t y, int64_t w)
{
    const sides *s = context;
    add_product(s, y, (x < 0 ? 0 : s->x[x]) * s->w[w]);
}

static void take_x(void *context, int64_t x, int64_t y, int64_t w)
{
    const sides *s = context;
    if (x >= 0) add_product(s, x, s->y[y] * s->w[w]);
}

static void take_w(void *context, int64_t x, int64_t y, int64_t w)
{
    const sides *s = context;
    add_product(s, w, (x < 0 ? 0 : s->x[x]) * s->y[y]);
}

/* The result begins as the bias, if there is one. */
static void begin_result(op_array *out, op_array *magnitude, tarn_shape shape, const op_array *bias)
{
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    int64_t n = 1;
    for (int i = 2; i < shape.ndim; i++) n *= shape.dims[i];
    for (int64_t i = 0; i < out->n && bias != NULL; i++) {
        out->data[i] = bias->data[i / n % shape.dims[1]];
        magnitude->data[i] = fabs(out->data[i]);
    }
}

/* Sizes of an image of two or one dimensions. */
static void image_sizes(const op_array *a, int64_t *rows, int64_t *columns)
{
    const tarn_shape *s = &a->shape;
    *rows = s->ndim == 3 ? 1 : s->dims[2];
    *columns = s->dims[s->ndim - 1];
}

/* ---- convolution: the three operations */

static void conv_variant(const conv *c, int dimensions, bool with_bias, op_variant *v)
{
    set_attributes(v, c);
    v->shape[0] = shape_of(dimensions, c->B, c->C, c->H, c->W);
    v->shape[1] = shape_of(dimensions, c->O, c->C / c->groups, c->R, c->S);
    v->shape[2] = TARN_SHAPE(c->O);
    v->n = with_bias ? 3 : 2;
}

static bool conv2d_variant(int i, op_variant *v)
{
    conv c;
    if (!conv_of(i, &c)) return false;
    conv_variant(&c, 2, i % 3 != 0, v);
    return true;
}

static bool conv1d_variant(int i, op_variant *v)
{
    conv c;
    if (!conv_of_rows(i, &c)) return false;
    conv_variant(&c, 1, i % 3 != 0, v);
    return true;
}

static tarn_tensor *conv2d_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_conv_options o = options_of(v);
    return tarn_conv2d(in[0], in[1], v->n == 3 ? in[2] : NULL, &o);
}

static tarn_tensor *conv1d_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_conv_options o = options_of(v);
    return tarn_conv1d(in[0], in[1], v->n == 3 ? in[2] : NULL, &o);
}

static void conv_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    conv c = read_attributes(v);
    c.B = in[0].shape.dims[0];
    c.C = in[0].shape.dims[1];
    c.O = in[1].shape.dims[0];
    image_sizes(&in[0], &c.H, &c.W);
    image_sizes(&in[1], &c.R, &c.S);
    count_windows(&c);
    begin_result(out, magnitude, shape_of(in[0].shape.ndim - 2, c.B, c.O, c.P, c.Q),
                 v->n == 3 ? &in[2] : NULL);
    each_product(&c, take_y, &(sides){ in[0].data, NULL, in[1].data, out, magnitude });
}

static void conv_transpose_variant(const conv *c, int dimensions, bool with_bias, op_variant *v)
{
    set_attributes(v, c);
    v->shape[0] = shape_of(dimensions, c->B, c->O, c->P, c->Q);
    v->shape[1] = shape_of(dimensions, c->O, c->C / c->groups, c->R, c->S);
    v->shape[2] = TARN_SHAPE(c->C);
    v->n = with_bias ? 3 : 2;
}

static bool conv_transpose2d_variant(int i, op_variant *v)
{
    conv c;
    if (!conv_of(i, &c)) return false;
    conv_transpose_variant(&c, 2, i % 3 != 0, v);
    return true;
}

static bool conv_transpose1d_variant(int i, op_variant *v)
{
    conv c;
    if (!conv_of_rows(i, &c)) return false;
    conv_transpose_variant(&c, 1, i % 3 != 0, v);
    return true;
}

static tarn_tensor *conv_transpose2d_apply(tarn_tensor *const *in, const op_variant *v)
{
    tarn_conv_options o = options_of(v);
    o.output_padding[0] = v->step;
    o.output_padding[1] = v->target.dims[7];
    return tarn_conv_transpose2d(in[0], in[1], v->n == 3 ? in[2] : NULL, &o);
}

static tarn_tensor *conv_transpose1d_apply(tarn_tensor *const *in, const op_variant *v)
{
    tarn_conv_options o = options_of(v);
    o.output_padding[0] = v->target.dims[7];
    return tarn_conv_transpose1d(in[0], in[1], v->n == 3 ? in[2] : NULL, &o);
}

static void conv_transpose_reference(const op_array *in, const op_variant *v, op_array *out,
                                     op_array *magnitude)
{
    conv c = read_attributes(v);
    c.B = in[0].shape.dims[0];
    c.O = in[0].shape.dims[1];
    c.C = in[1].shape.dims[1] * c.groups;
    image_sizes(&in[0], &c.P, &c.Q);
    image_sizes(&in[1], &c.R, &c.S);
    c.H = (c.P - 1) * c.stride[0] - 2 * c.padding[0] + c.dilation[0] * (c.R - 1) + v->step + 1;
    c.W = (c.Q - 1) * c.stride[1] - 2 * c.padding[1] + c.dilation[1] * (c.S - 1) +
          v->target.dims[7] + 1;
    begin_result(out, magnitude, shape_of(in[0].shape.ndim - 2, c.B, c.C, c.H, c.W),
                 v->n == 3 ? &in[2] : NULL);
    each_product(&c, take_x, &(sides){ NULL, in[0].data, in[1].data, out, magnitude });
}

static void conv_dw_variant(const conv *c, int dimensions, op_variant *v)
{
    set_attributes(v, c);
    v->shape[0] = shape_of(dimensions, c->B, c->C, c->H, c->W);
    v->shape[1] = shape_of(dimensions, c->B, c->O, c->P, c->Q);
}

static bool conv2d_dw_variant(int i, op_variant *v)
{
    conv c;
    if (!conv_of(i, &c)) return false;
    conv_dw_variant(&c, 2, v);
    return true;
}

static bool conv1d_dw_variant(int i, op_variant *v)
{
    conv c;
    if (!conv_of_rows(i, &c)) return false;
    conv_dw_variant(&c, 1, v);
    return true;
}

static tarn_tensor *conv2d_dw_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_conv_options o = options_of(v);
    return tarn_conv2d_dw(in[0], in[1], TARN_SHAPE(v->start, v->stop), &o);
}

static tarn_tensor *conv1d_dw_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_conv_options o = options_of(v);
    return tarn_conv1d_dw(in[0], in[1], v->stop, &o);
}

static void conv_dw_reference(const op_array *in, const op_variant *v, op_array *out,
                              op_array *magnitude)
{
    conv c = read_attributes(v);
    c.B = in[0].shape.dims[0];
    c.C = in[0].shape.dims[1];
    c.O = in[1].shape.dims[1];
    c.R = v->start;
    c.S = v->stop;
    image_sizes(&in[0], &c.H, &c.W);
    image_sizes(&in[1], &c.P, &c.Q);
    begin_result(out, magnitude, shape_of(in[0].shape.ndim - 2, c.O, c.C / c.groups, c.R, c.S),
                 NULL);
    each_product(&c, take_w, &(sides){ in[0].data, in[1].data, NULL, out, magnitude });
}

#define conv1d_reference conv_reference
#define conv2d_reference conv_reference
#define conv_transpose1d_reference conv_transpose_reference
#define conv_transpose2d_reference conv_transpose_reference
#define conv1d_dw_reference conv_dw_reference
#define conv2d_dw_reference conv_dw_reference

/* ---- pooling */

typedef struct pool {
    int64_t B, C, H, W;
    int64_t kernel[2], stride[2], padding[2]; /* adaptive: the number of windows first */
} pool;

static bool pool_of(int i, pool *out)
{
    static const pool particular[] = {
        { 1, 2, 5, 6, { 1, 1 }, { 2, 2 }, { 0, 0 } },
        { 2, 2, 4, 4, { 2, 2 }, { 0, 0 }, { 0, 0 } },
        { 1, 2, 4, 7, { 2, 3 }, { 0, 0 }, { 1, 1 } },
        { 1, 1, 6, 9, { 4, 5 }, { 1, 3 }, { 2, 2 } },
        { 1, 1, 1, 1, { 3, 3 }, { 1, 1 }, { 1, 1 } },
        { 1, 1, 8, 8, { 2, 2 }, { 5, 3 }, { 0, 0 } },   /* gaps */
        { 1, 3, 3, 19, { 3, 19 }, { 0, 0 }, { 0, 0 } }, /* one window, of long rows */
        { 0, 2, 4, 4, { 2, 2 }, { 0, 0 }, { 0, 0 } },
        { 2, 0, 4, 4, { 2, 2 }, { 0, 0 }, { 0, 0 } },
        { 3, 4, 13, 17, { 3, 3 }, { 2, 2 }, { 1, 1 } },
    };
    if (i < 8) {
        *out = (pool){ .B = 2, .C = 2, .H = 5, .W = 6 };
        for (int k = 0; k < 2; k++) {
            out->kernel[k] = 2 + i / 4;
            out->stride[k] = 1 + i % 2;
            out->padding[k] = i / 2 % 2;
        }
        return true;
    }
    if (i - 8 >= OP_LENGTH(particular)) return false;
    *out = particular[i - 8];
    return true;
}

static void pool_variant(const pool *p, int dimensions, op_variant *v)
{
    v->shape[0] = shape_of(dimensions, p->B, p->C, p->H, p->W);
    for (int k = 0; k < 2; k++) {
        v->target.dims[k] = p->kernel[k];
        v->target.dims[2 + k] = p->stride[k];
        v->target.dims[4 + k] = p->padding[k];
    }
}

static bool pool2d_variant(int i, op_variant *v)
{
    pool p;
    if (!pool_of(i, &p)) return false;
    pool_variant(&p, 2, v);
    return true;
}

static bool pool1d_variant(int i, op_variant *v)
{
    pool p;
    if (!pool_of(i, &p)) return false;
    pool_variant(&p, 1, v);
    return true;
}

/* Means: each twice, with padding that counts and padding that does not. */
static bool avg_pool2d_variant(int i, op_variant *v)
{
    v->choice = i % 2;
    return pool2d_variant(i / 2, v);
}

static bool avg_pool1d_variant(int i, op_variant *v)
{
    v->choice = i % 2;
    return pool1d_variant(i / 2, v);
}

static bool adaptive_variant(int i, op_variant *v)
{
    static const pool variants[] = {
        { 2, 2, 5, 6, { 1, 1 }, { 0 }, { 0 } },  { 2, 2, 5, 6, { 5, 6 }, { 0 }, { 0 } },
        { 2, 2, 5, 6, { 2, 4 }, { 0 }, { 0 } },  { 1, 2, 7, 6, { 3, 2 }, { 0 }, { 0 } },
        { 1, 2, 2, 3, { 5, 4 }, { 0 }, { 0 } }, /* windows repeat elements */
        { 1, 1, 1, 23, { 1, 2 }, { 0 }, { 0 } }, { 0, 2, 5, 6, { 2, 2 }, { 0 }, { 0 } },
        { 2, 3, 17, 13, { 4, 5 }, { 0 }, { 0 } }
    };
    if (i >= OP_LENGTH(variants)) return false;
    pool_variant(&variants[i], 2, v);
    return true;
}

static tarn_pooling_options pooling_options(const op_variant *v)
{
    const int first = v->shape[0].ndim == 3 ? 1 : 0;
    tarn_pooling_options o = { .count_inside = v->choice == 1 };
    for (int k = 0; first + k < 2; k++) {
        o.stride[k] = v->target.dims[2 + first + k];
        o.padding[k] = v->target.dims[4 + first + k];
    }
    return o;
}

static tarn_tensor *max_pool2d_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_pooling_options o = pooling_options(v);
    return tarn_max_pool2d(in[0], TARN_SHAPE(v->target.dims[0], v->target.dims[1]), &o);
}

static tarn_tensor *max_pool1d_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_pooling_options o = pooling_options(v);
    return tarn_max_pool1d(in[0], v->target.dims[1], &o);
}

static tarn_tensor *avg_pool2d_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_pooling_options o = pooling_options(v);
    return tarn_avg_pool2d(in[0], TARN_SHAPE(v->target.dims[0], v->target.dims[1]), &o);
}

static tarn_tensor *avg_pool1d_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_pooling_options o = pooling_options(v);
    return tarn_avg_pool1d(in[0], v->target.dims[1], &o);
}

static tarn_tensor *adaptive_max_pool2d_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_adaptive_max_pool2d(in[0], TARN_SHAPE(v->target.dims[0], v->target.dims[1]));
}

static tarn_tensor *adaptive_avg_pool2d_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_adaptive_avg_pool2d(in[0], TARN_SHAPE(v->target.dims[0], v->target.dims[1]));
}

/* The windows along one axis. */
typedef struct span {
    int64_t first, behind; /* places, some of them padding */
    int64_t n;             /* what a mean divides by */
} span;

typedef struct axis {
    int64_t size, kernel, stride, padding, count;
    bool adaptive, inside;
} axis;

static axis axis_of(const op_variant *v, int k, bool adaptive, int64_t size)
{
    const bool one = v->shape[0].ndim == 3 && k == 0;
    const int64_t *t = v->target.dims;
    axis a = { .size = size, .adaptive = adaptive, .inside = v->choice == 1 };
    a.kernel = one ? 1 : t[k];
    a.stride = one || t[2 + k] == 0 ? a.kernel : t[2 + k];
    a.padding = one ? 0 : t[4 + k];
    a.count = adaptive ? t[k] : windows(size, a.kernel, a.stride, a.padding, 1);
    return a;
}

static span span_of(const axis *a, int64_t i)
{
    span s = { 0 };
    if (a->adaptive) {
        s.first = (int64_t)floor((double)(i * a->size) / (double)a->count);
        s.behind = (int64_t)ceil((double)((i + 1) * a->size) / (double)a->count);
        s.n = s.behind - s.first;
    } else {
        s.first = i * a->stride - a->padding;
        s.behind = s.first + a->kernel;
        s.n = a->kernel;
        for (int64_t k = s.first; k < s.behind && a->inside; k++) s.n -= k < 0 || k >= a->size;
    }
    return s;
}

/* Calls `take` for each element of each window with its place in x, the window's in y, and what a
 * mean divides by. */
static void each_element(const axis *rows, const axis *columns, int64_t channels,
                         void (*take)(const sides *s, int64_t x, int64_t y, double n),
                         const sides *s)
{
    const tarn_shape all = { 3, { channels, rows->count, columns->count } };
    int64_t k[TARN_MAX_DIMS] = { 0 }, y = 0;
    if (channels == 0) return;
    do {
        const span r = span_of(rows, k[1]), c = span_of(columns, k[2]);
        for (int64_t i = r.first; i < r.behind; i++)
            for (int64_t j = c.first; j < c.behind; j++)
                if (i >= 0 && i < rows->size && j >= 0 && j < columns->size)
                    take(s, (k[0] * rows->size + i) * columns->size + j, y, (double)(r.n * c.n));
        y++;
    } while (op_next(&all, k));
}

static void take_max(const sides *s, int64_t x, int64_t y, double n)
{
    double *best = &s->out->data[y];
    (void)n;
    if (!isnan(*best) && !(s->x[x] <= *best)) *best = s->x[x];
}

static void take_mean(const sides *s, int64_t x, int64_t y, double n)
{
    add_product(s, y, s->x[x] / n);
}

static void take_share(const sides *s, int64_t x, int64_t y, double n)
{
    add_product(s, x, s->y[y] / n);
}

static void pool_reference(const op_array *in, const op_variant *v, bool adaptive, bool largest,
                           op_array *out, op_array *magnitude)
{
    int64_t H, W;
    const tarn_shape *s = &in->shape;
    image_sizes(in, &H, &W);
    const axis rows = axis_of(v, 0, adaptive, H), columns = axis_of(v, 1, adaptive, W);
    begin_result(out, magnitude,
                 shape_of(s->ndim - 2, s->dims[0], s->dims[1], rows.count, columns.count), NULL);
    for (int64_t i = 0; i < out->n && largest; i++) out->data[i] = -INFINITY;
    each_element(&rows, &columns, s->dims[0] * s->dims[1], largest ? take_max : take_mean,
                 &(sides){ in->data, NULL, NULL, out, magnitude });
}

static void max_pool_reference(const op_array *in, const op_variant *v, op_array *out,
                               op_array *magnitude)
{
    pool_reference(in, v, false, true, out, magnitude);
}

static void avg_pool_reference(const op_array *in, const op_variant *v, op_array *out,
                               op_array *magnitude)
{
    pool_reference(in, v, false, false, out, magnitude);
}

static void adaptive_max_pool2d_reference(const op_array *in, const op_variant *v, op_array *out,
                                          op_array *magnitude)
{
    pool_reference(in, v, true, true, out, magnitude);
}

static void adaptive_avg_pool2d_reference(const op_array *in, const op_variant *v, op_array *out,
                                          op_array *magnitude)
{
    pool_reference(in, v, true, false, out, magnitude);
}

/* The adjoint of means: in two dimensions, in one, and adaptive. */
static int variants_of(bool (*variant)(int i, op_variant *v))
{
    op_variant v = { .n = 0 };
    int n = 0;
    while (variant(n, &v)) n++;
    return n;
}

enum { ADAPTIVE = 2 }; /* choice */

static bool avg_unpool_variant(int i, op_variant *v)
{
    const int two = variants_of(avg_pool2d_variant), one = variants_of(avg_pool1d_variant);
    const bool adaptive = i >= two + one;
    if (adaptive  ? !adaptive_variant(i - two - one, v)
        : i < two ? !avg_pool2d_variant(i, v)
                  : !avg_pool1d_variant(i - two, v))
        return false;
    const int first = 4 - v->shape[0].ndim;
    for (int k = first; k < 2; k++) {
        int64_t *size = &v->shape[0].dims[2 + k - first];
        v->target.dims[6 + k] = *size;
        *size = axis_of(v, k, adaptive, *size).count;
    }
    if (adaptive) v->choice = ADAPTIVE;
    return true;
}

static tarn_tensor *avg_unpool_apply(tarn_tensor *const *in, const op_variant *v)
{
    const bool one = v->shape[0].ndim == 3, adaptive = v->choice == ADAPTIVE;
    tarn__attr attr = { .choice = one        ? TARN__POOLING_1D
                                  : adaptive ? TARN__POOLING_ADAPTIVE
                                             : TARN__POOLING_2D,
                        .keep = v->choice == 1 };
    for (int k = 0; k < 8; k++) attr.sizes[k] = v->target.dims[k];
    for (int k = 0; k < 2 && !adaptive; k++)
        if (attr.sizes[2 + k] == 0) attr.sizes[2 + k] = attr.sizes[k];
    return tarn__avg_unpool(in[0], &attr);
}

static void avg_unpool_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    const tarn_shape *s = &in->shape;
    const bool one = s->ndim == 3, adaptive = v->choice == ADAPTIVE;
    const int64_t H = one ? 1 : v->target.dims[6], W = v->target.dims[7];
    const axis rows = axis_of(v, 0, adaptive, H), columns = axis_of(v, 1, adaptive, W);
    begin_result(out, magnitude, shape_of(s->ndim - 2, s->dims[0], s->dims[1], H, W), NULL);
    each_element(&rows, &columns, s->dims[0] * s->dims[1], take_share,
                 &(sides){ NULL, in->data, NULL, out, magnitude });
}

#define max_pool1d_reference max_pool_reference
#define max_pool2d_reference max_pool_reference
#define avg_pool1d_reference avg_pool_reference
#define avg_pool2d_reference avg_pool_reference

/* ---- the table */

/* clang-format off */

const op_case op_cases_conv[] = {
    /*  op                 operands                        variants               ulps  of gradients */
    ROW(conv1d,            3, OF(OP_ANY, OP_ANY, OP_ANY),  conv1d_variant,           60,  80, OP_LINEAR | OP_NO_SCALAR),
    ROW(conv2d,            3, OF(OP_ANY, OP_ANY, OP_ANY),  conv2d_variant,           60,  80, OP_LINEAR | OP_NO_SCALAR),
    ROW(conv_transpose1d,  3, OF(OP_ANY, OP_ANY, OP_ANY),  conv_transpose1d_variant, 60,  80, OP_LINEAR | OP_NO_SCALAR),
    ROW(conv_transpose2d,  3, OF(OP_ANY, OP_ANY, OP_ANY),  conv_transpose2d_variant, 60,  80, OP_LINEAR | OP_NO_SCALAR),
    ROW(conv1d_dw,         2, OF(OP_ANY, OP_ANY),          conv1d_dw_variant,        60,  80, OP_LINEAR | OP_NO_SCALAR),
    ROW(conv2d_dw,         2, OF(OP_ANY, OP_ANY),          conv2d_dw_variant,        60,  80, OP_LINEAR | OP_NO_SCALAR),
    ROW(max_pool1d,        1, OF(OP_DISTINCT),             pool1d_variant,            0,   4, OP_NO_SCALAR),
    ROW(max_pool2d,        1, OF(OP_DISTINCT),             pool2d_variant,            0,   4, OP_NO_SCALAR),
    ROW(adaptive_max_pool2d, 1, OF(OP_DISTINCT),           adaptive_variant,          0,   4, OP_NO_SCALAR),
    ROW(avg_pool1d,        1, OF(OP_ANY),                  avg_pool1d_variant,        4,  10, OP_LINEAR | OP_NO_SCALAR),
    ROW(avg_pool2d,        1, OF(OP_ANY),                  avg_pool2d_variant,        4,  10, OP_LINEAR | OP_NO_SCALAR),
    ROW(adaptive_avg_pool2d, 1, OF(OP_ANY),                adaptive_variant,          4,  10, OP_LINEAR | OP_NO_SCALAR),
    ROW(avg_unpool,        1, OF(OP_ANY),                  avg_unpool_variant,       16,  10, OP_LINEAR | OP_NO_SCALAR),
    { 0 },
};
