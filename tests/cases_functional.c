/* SPDX-License-Identifier: MIT
 * cases_functional.c - cases of normalisation, embedding, attention and recurrence. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "op_cases.h"
#include "ops/batch_norm.h"

/* ---- normalisation of rows */

/* A part of x over which statistics are taken: `count` stretches of n elements, `step` apart. */
typedef struct part {
    const double *x;
    int64_t count, step, n;
} part;

typedef struct moments {
    double mean, r, size; /* size: the mean of |x| */
} moments;

static moments moments_of(const part *p, bool centered, double eps)
{
    moments m = { 0, 0, 0 };
    double square = 0;
    const double total = (double)(p->count * p->n);
    for (int64_t i = 0; i < p->count; i++)
        for (int64_t j = 0; j < p->n; j++) {
            const double x = p->x[i * p->step + j];
            m.mean += x;
            m.size += fabs(x);
        }
    m.mean = centered ? m.mean / total : 0;
    m.size /= total;
    for (int64_t i = 0; i < p->count; i++)
        for (int64_t j = 0; j < p->n; j++) {
            const double d = p->x[i * p->step + j] - m.mean;
            square += d * d;
        }
    m.r = 1 / sqrt(square / total + eps);
    return m;
}

/* y[i] = u w + b. */
static void normalize(op_array *out, op_array *magnitude, int64_t i, double x, moments m, double w,
                      double b)
{
    out->data[i] = (x - m.mean) * m.r * w + b;
    magnitude->data[i] = (fabs(x) + m.size) * m.r * fabs(w) + fabs(b);
}

static double element(const op_array *in, const op_variant *v, int operand, int64_t i)
{
    return v->n > operand ? in[operand].data[i] : operand == 1 ? 1 : 0;
}

static bool layer_norm_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape x;
        int axes, n;
    } variants[] = {
        { { 1, { 5 } }, 1, 3 },      { { 2, { 3, 4 } }, 1, 3 },       { { 2, { 3, 5 } }, 1, 1 },
        { { 2, { 3, 6 } }, 1, 2 },   { { 3, { 2, 3, 4 } }, 2, 3 },    { { 3, { 2, 3, 4 } }, 3, 2 },
        { { 2, { 4, 1 } }, 1, 3 },   { { 2, { 0, 3 } }, 1, 3 },       { { 2, { 3, 0 } }, 1, 3 },
        { { 2, { 5, 300 } }, 1, 3 }, { { 4, { 2, 1, 3, 7 } }, 1, 3 }, { { 2, { 70, 9 } }, 1, 3 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    const tarn_shape *x = &variants[i].x;
    v->shape[0] = *x;
    v->choice = variants[i].axes;
    v->n = variants[i].n;
    v->value = i % 2 == 0 ? 1e-5 : 0.125;
    for (int k = 1; k < 3; k++) {
        v->shape[k].ndim = v->choice;
        for (int j = 0; j < v->choice; j++) v->shape[k].dims[j] = x->dims[x->ndim - v->choice + j];
    }
    return true;
}

static tarn_tensor *layer_norm_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_layer_norm(in[0], v->choice, v->n > 1 ? in[1] : NULL, v->n > 2 ? in[2] : NULL,
                           v->value);
}

static void row_norm_reference(const op_array *in, const op_variant *v, op_array *out,
                               op_array *magnitude, bool centered)
{
    int64_t n = 1;
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int i = 0; i < v->choice; i++) n *= in->shape.dims[in->shape.ndim - 1 - i];
    for (int64_t i = 0; i < in->n; i++) {
        const part row = { in->data + i / n * n, 1, 0, n };
        normalize(out, magnitude, i, in->data[i], moments_of(&row, centered, v->value),
                  element(in, v, 1, i % n), element(in, v, 2, i % n));
    }
}

static void layer_norm_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    row_norm_reference(in, v, out, magnitude, true);
}

static bool rms_norm_variant(int i, op_variant *v)
{
    if (!layer_norm_variant(i, v)) return false;
    if (v->n > 2) v->n = 2;
    if (v->n == 1) v->choice = 1;
    return true;
}

static tarn_tensor *rms_norm_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_rms_norm(in[0], v->n > 1 ? in[1] : NULL, v->value);
}

static void rms_norm_reference(const op_array *in, const op_variant *v, op_array *out,
                               op_array *magnitude)
{
    row_norm_reference(in, v, out, magnitude, false);
}

/* ---- normalisation of channels */

static bool group_norm_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape x;
        int groups, n;
    } variants[] = {
        { { 2, { 2, 6 } }, 3, 3 },       { { 3, { 2, 4, 3 } }, 2, 3 },
        { { 3, { 2, 4, 3 } }, 1, 2 },    { { 4, { 2, 3, 2, 5 } }, 3, 1 },
        { { 3, { 0, 4, 3 } }, 2, 3 },    { { 3, { 2, 4, 0 } }, 2, 3 },
        { { 4, { 3, 6, 2, 2 } }, 2, 3 }, { { 3, { 2, 8, 50 } }, 4, 3 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = variants[i].x;
    v->shape[1] = v->shape[2] = TARN_SHAPE(variants[i].x.dims[1]);
    v->choice = variants[i].groups;
    v->n = variants[i].n;
    v->value = i % 2 == 0 ? 1e-5 : 0.125;
    return true;
}

static tarn_tensor *group_norm_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_group_norm(in[0], v->choice, v->n > 1 ? in[1] : NULL, v->n > 2 ? in[2] : NULL,
                           v->value);
}

static void group_norm_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    const int64_t B = in->shape.dims[0], C = in->shape.dims[1];
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < in->n; i++) {
        const int64_t n = in->n / (B * v->choice), M = in->n / (B * C);
        const part group = { in->data + i / n * n, 1, 0, n };
        normalize(out, magnitude, i, in->data[i], moments_of(&group, true, v->value),
                  element(in, v, 1, i / M % C), element(in, v, 2, i / M % C));
    }
}

static bool batch_norm_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape x;
        int n;
    } variants[] = {
        { { 2, { 5, 3 } }, 3 },       { { 2, { 4, 1 } }, 3 },    { { 3, { 2, 3, 5 } }, 3 },
        { { 4, { 2, 2, 3, 2 } }, 2 }, { { 3, { 1, 2, 6 } }, 1 }, { { 2, { 0, 3 } }, 3 },
        { { 3, { 2, 0, 3 } }, 3 },    { { 2, { 70, 9 } }, 3 },   { { 3, { 3, 4, 50 } }, 3 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = variants[i].x;
    for (int k = 1; k < OP_OPERANDS; k++) v->shape[k] = TARN_SHAPE(variants[i].x.dims[1]);
    v->n = variants[i].n;
    v->value = i % 2 == 0 ? 1e-5 : 0.125;
    return true;
}

static tarn_tensor *batch_norm_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_batch_norm(in[0], v->n > 1 ? in[1] : NULL, v->n > 2 ? in[2] : NULL,
                           &(tarn_batch_norm_options){ .eps = v->value });
}

/* All that channel c holds in a batch. */
static part channel(const op_array *x, int64_t c)
{
    const int64_t B = x->shape.dims[0], C = x->shape.dims[1], M = B * C > 0 ? x->n / (B * C) : 0;
    return (part){ x->data + c * M, B, C * M, M };
}

static void batch_norm_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    const int64_t C = in->shape.dims[1];
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < in->n; i++) {
        const int64_t c = i / (in->n / in->shape.dims[0] / C) % C;
        const part p = channel(in, c);
        normalize(out, magnitude, i, in->data[i], moments_of(&p, true, v->value),
                  element(in, v, 1, c), element(in, v, 2, c));
    }
}

static bool batch_norm_given_variant(int i, op_variant *v)
{
    if (!batch_norm_variant(i, v)) return false;
    v->n = 5;
    return true;
}

static tarn_tensor *batch_norm_given_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_batch_norm_options o = { in[3], in[4], v->value };
    if (in[3] == NULL && in[4] == NULL) return NULL; /* which means another operation */
    return tarn_batch_norm(in[0], in[1], in[2], &o);
}

static void batch_norm_given_reference(const op_array *in, const op_variant *v, op_array *out,
                                       op_array *magnitude)
{
    const int64_t C = in->shape.dims[1];
    op_array_make(out, in->shape);
    op_array_make(magnitude, in->shape);
    for (int64_t i = 0; i < in->n; i++) {
        const int64_t c = i / (in->n / in->shape.dims[0] / C) % C;
        const double mean = in[3].data[c];
        const moments m = { mean, 1 / sqrt(in[4].data[c] + v->value), fabs(mean) };
        normalize(out, magnitude, i, in->data[i], m, in[1].data[c], in[2].data[c]);
    }
}

static bool batch_moments_variant(int i, op_variant *v)
{
    if (!batch_norm_variant(i, v)) return false;
    v->n = 1;
    return true;
}

static tarn_tensor *batch_moments_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn__batch_moments(in[0]);
}

static void batch_moments_reference(const op_array *in, const op_variant *v, op_array *out,
                                    op_array *magnitude)
{
    const int64_t C = in->shape.dims[1];
    (void)v;
    op_array_make(out, TARN_SHAPE(2, C));
    op_array_make(magnitude, out->shape);
    for (int64_t c = 0; c < C; c++) {
        const part p = channel(in, c);
        const moments m = moments_of(&p, true, 0);
        out->data[c] = m.mean;
        out->data[C + c] = 1 / (m.r * m.r);
        magnitude->data[c] = m.size;
        magnitude->data[C + c] = 4 * (out->data[C + c] + m.size);
    }
}

/* ---- embedding */

static bool embedding_variant(int i, op_variant *v)
{
    static const struct {
        int64_t V, D;
        tarn_shape ids;
        tarn_dtype dtype;
    } variants[] = {
        { 5, 3, { 1, { 4 } }, TARN_I64 },      { 4, 4, { 2, { 3, 5 } }, TARN_I32 },
        { 3, 1, { 0, { 0 } }, TARN_U8 },       { 6, 2, { 3, { 2, 3, 2 } }, TARN_U8 },
        { 5, 3, { 1, { 0 } }, TARN_I64 },      { 40, 40, { 2, { 9, 50 } }, TARN_I64 },
        { 3, 2, { 2, { 2, 100 } }, TARN_I32 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = TARN_SHAPE(variants[i].V, variants[i].D);
    v->shape[1] = variants[i].ids;
    v->dtype = variants[i].dtype;
    return true;
}

static tarn_tensor *embedding_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_embedding(in[0], in[1]);
}

static void embedding_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude)
{
    const int64_t D = in[0].shape.dims[1];
    tarn_shape shape = in[1].shape;
    (void)v;
    shape.dims[shape.ndim++] = D;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    for (int64_t i = 0; i < out->n; i++)
        out->data[i] = in[0].data[(int64_t)in[1].data[i / D] * D + i % D];
}

/* ---- attention */

/* Whether row l may not attend to key s, and what is added to its score. */
typedef struct masking {
    bool hidden;
    double added;
} masking;

/* The mask of element i of the scores. The first trials of a row have none. */
static masking mask_at(const op_array *in, const op_variant *v, const tarn_shape *scores, int64_t i,
                       bool flags)
{
    const int64_t S = scores->dims[scores->ndim - 1], L = scores->dims[scores->ndim - 2];
    masking m = { v->choice != 0 && i % S > i / S % L, 0 };
    if (v->n < 4) return m;
    const double x = in[3].data[op_place(&in[3], scores, i)];
    if (flags) m.hidden = m.hidden || x == 0;
    else m.added = x;
    return m;
}

static bool sdpa_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape batch;
        int64_t L, S, E, V;
        tarn_shape mask;
        bool causal;
        double scale;
    } variants[] = {
        { { 0 }, 3, 4, 2, 3, { 0 }, false, 0 },
        { { 1, { 2 } }, 3, 3, 4, 2, { 0 }, true, 0 },
        { { 0 }, 4, 3, 3, 2, { 0 }, true, 0.3 },
        { { 0 }, 2, 5, 3, 1, { 0 }, true, 0 },
        { { 0 }, 3, 4, 2, 3, { 2, { 3, 4 } }, false, 0 },
        { { 2, { 2, 2 } }, 2, 3, 3, 2, { 2, { 2, 3 } }, true, -0.5 },
        { { 1, { 3 } }, 2, 3, 2, 2, { 3, { 3, 1, 3 } }, false, 0 },
        { { 1, { 2 } }, 3, 3, 2, 2, { 1, { 3 } }, false, 2 },
        { { 2, { 2, 3 } }, 2, 2, 1, 1, { 4, { 1, 3, 2, 1 } }, false, 0 },
        { { 0 }, 3, 2, 2, 2, { 2, { 1, 1 } }, true, 0 },
        { { 0 }, 1, 1, 1, 1, { 0 }, false, 0 },
        { { 1, { 0 } }, 3, 2, 2, 2, { 0 }, false, 0 },
        { { 0 }, 0, 2, 3, 2, { 0 }, false, 0 },
        { { 0 }, 3, 0, 2, 2, { 0 }, false, 0 },
        { { 0 }, 3, 2, 0, 2, { 0 }, false, 0 },
        { { 0 }, 3, 2, 2, 0, { 0 }, false, 0 },
        { { 1, { 2 } }, 70, 9, 5, 6, { 2, { 70, 9 } }, false, 0 }, /* two blocks of rows */
        { { 0 }, 130, 140, 8, 4, { 0 }, true, 0 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    const int n = variants[i].batch.ndim;
    for (int k = 0; k < 3; k++) {
        v->shape[k] = variants[i].batch;
        v->shape[k].ndim = n + 2;
        v->shape[k].dims[n] = k == 0 ? variants[i].L : variants[i].S;
        v->shape[k].dims[n + 1] = k == 2 ? variants[i].V : variants[i].E;
    }
    v->shape[3] = variants[i].mask;
    v->n = variants[i].mask.ndim > 0 ? 4 : 3;
    v->choice = variants[i].causal;
    v->value = variants[i].scale;
    v->dtype = TARN_U8;
    return true;
}

static tarn_tensor *sdpa_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_sdpa_options o = { in[3], v->choice != 0, v->value };
    return tarn_sdpa(in[0], in[1], in[2], &o);
}

/* A mask of any other type would be added. */
static tarn_tensor *sdpa_flags_apply(tarn_tensor *const *in, const op_variant *v)
{
    tarn_tensor *mask = in[3];
    if (mask != NULL && tarn_get_dtype(mask) != TARN_U8) mask = tarn_cast(mask, TARN_I64);
    const tarn_sdpa_options o = { mask, v->choice != 0, v->value };
    return tarn_sdpa(in[0], in[1], in[2], &o);
}

/* One row: its scores, which become probabilities; returns their largest size. */
static double attend(const op_array *in, const op_variant *v, const tarn_shape *scores, int64_t row,
                     bool flags, double *s)
{
    const int64_t S = scores->dims[scores->ndim - 1], L = scores->dims[scores->ndim - 2];
    const int64_t E = in[0].shape.dims[in[0].shape.ndim - 1];
    const double scale = v->value != 0 ? v->value : E > 0 ? 1 / sqrt((double)E) : 1;
    double largest = 0, max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < S; j++) {
        const masking m = mask_at(in, v, scores, row * S + j, flags);
        double size = fabs(m.added);
        s[j] = 0;
        for (int64_t e = 0; e < E; e++) {
            const double product = in[0].data[row * E + e] * in[1].data[(row / L * S + j) * E + e];
            s[j] += product;
            size += fabs(product * scale);
        }
        s[j] = m.hidden ? -INFINITY : s[j] * scale + m.added;
        largest = fmax(largest, size);
        max = fmax(max, s[j]);
    }
    for (int64_t j = 0; j < S; j++) sum += s[j] = exp(s[j] - (max == -INFINITY ? 0 : max));
    for (int64_t j = 0; j < S && sum != 0; j++) s[j] /= sum;
    return largest;
}

static void attention_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude, bool flags)
{
    const int last = in[0].shape.ndim - 1;
    const int64_t L = in[0].shape.dims[last - 1], S = in[1].shape.dims[last - 1],
                  V = in[2].shape.dims[last];
    tarn_shape shape = in[0].shape, scores = in[0].shape;
    shape.dims[last] = V;
    scores.dims[last] = S;
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    double *p = calloc((size_t)S + 1, sizeof(double));
    for (int64_t row = 0; out->n > 0 && row < out->n / V; row++) {
        const double size = attend(in, v, &scores, row, flags, p);
        for (int64_t j = 0; j < S && (v->choice == 0 || j < L); j++)
            for (int64_t c = 0; c < V; c++) {
                const double x = p[j] * in[2].data[(row / L * S + j) * V + c];
                out->data[row * V + c] += x;
                magnitude->data[row * V + c] += fabs(x) * (1 + 2 * size);
            }
    }
    free(p);
}

static void sdpa_reference(const op_array *in, const op_variant *v, op_array *out,
                           op_array *magnitude)
{
    attention_reference(in, v, out, magnitude, false);
}

static void sdpa_flags_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    attention_reference(in, v, out, magnitude, true);
}

/* ---- recurrence */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One unit of an LSTM, from the sums of its gates. */
static double lstm_unit(double i, double f, double g, double o, double c, double *next)
{
    *next = sigmoid(f) * c + sigmoid(i) * tanh(g);
    return sigmoid(o) * tanh(*next);
}

/* One unit of a GRU. */
static double gru_unit(const double x[3], const double q[3], double h)
{
    const double r = sigmoid(x[0] + q[0]), z = sigmoid(x[1] + q[1]);
    return (1 - z) * tanh(x[2] + r * q[2]) + z * h;
}

/* Shapes of rows and a state, the last axis of the former n times that of the latter. */
static bool gates_variant(int i, op_variant *v, int n_gates, int operands)
{
    static const tarn_shape states[] = { { 2, { 3, 2 } }, { 1, { 5 } },    { 3, { 2, 2, 3 } },
                                         { 2, { 0, 2 } }, { 2, { 3, 0 } }, { 2, { 1, 1 } },
                                         { 2, { 20, 9 } } };
    if (i >= OP_LENGTH(states)) return false;
    for (int k = 0; k < operands; k++) v->shape[k] = states[i];
    for (int k = 0; k + 1 < operands; k++) v->shape[k].dims[states[i].ndim - 1] *= n_gates;
    return true;
}

static bool lstm_gates_variant(int i, op_variant *v) { return gates_variant(i, v, 4, 2); }

static tarn_tensor *lstm_gates_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_lstm_gates(in[0], in[1]);
}

static void lstm_gates_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    const int64_t H = in[1].shape.dims[in[1].shape.ndim - 1], n = in[1].n;
    tarn_shape shape = { .ndim = in[1].shape.ndim + 1, .dims = { 2 } };
    (void)v;
    memcpy(shape.dims + 1, in[1].shape.dims, sizeof(shape.dims[0]) * (size_t)in[1].shape.ndim);
    op_array_make(out, shape);
    op_array_make(magnitude, shape);
    for (int64_t i = 0; i < n; i++) {
        const double *g = in[0].data + i / H * 4 * H + i % H;
        out->data[i] = lstm_unit(g[0], g[H], g[2 * H], g[3 * H], in[1].data[i], &out->data[n + i]);
        magnitude->data[i] = magnitude->data[n + i] = 2 + fabs(in[1].data[i]);
    }
}

static bool gru_gates_variant(int i, op_variant *v) { return gates_variant(i, v, 3, 3); }

static tarn_tensor *gru_gates_apply(tarn_tensor *const *in, const op_variant *v)
{
    (void)v;
    return tarn_gru_gates(in[0], in[1], in[2]);
}

static void gru_gates_reference(const op_array *in, const op_variant *v, op_array *out,
                                op_array *magnitude)
{
    const int64_t H = in[2].shape.dims[in[2].shape.ndim - 1];
    (void)v;
    op_array_make(out, in[2].shape);
    op_array_make(magnitude, in[2].shape);
    for (int64_t i = 0; i < in[2].n; i++) {
        const double *x = in[0].data + i / H * 3 * H + i % H, *q = in[1].data + (x - in[0].data);
        out->data[i] = gru_unit((const double[]){ x[0], x[H], x[2 * H] },
                                (const double[]){ q[0], q[H], q[2 * H] }, in[2].data[i]);
        magnitude->data[i] = 4 + 2 * fabs(in[2].data[i]);
    }
}

static int gates_of(const op_variant *v)
{
    return v->choice == TARN_LSTM ? 4 : v->choice == TARN_GRU ? 3 : 1;
}

/* Four kinds, with and without a bias and states, in both directions. */
static bool recurrence_variant(int i, op_variant *v)
{
    static const struct {
        int64_t B, T, H;
        int n;
        bool reverse;
    } variants[] = { { 2, 3, 2, 5, false }, { 1, 4, 1, 5, true },  { 3, 1, 2, 2, false },
                     { 2, 2, 3, 3, true },  { 0, 3, 2, 5, false }, { 2, 3, 0, 3, false },
                     { 9, 5, 8, 4, false } };
    if (i >= 4 * OP_LENGTH(variants)) return false;
    const int k = i / 4;
    const int64_t B = variants[k].B, H = variants[k].H;
    v->choice = i % 4;
    v->start = variants[k].reverse;
    v->n = v->choice == TARN_LSTM || variants[k].n < 5 ? variants[k].n : 4;
    v->shape[0] = TARN_SHAPE(B, variants[k].T, gates_of(v) * H);
    v->shape[1] = TARN_SHAPE(gates_of(v) * H, H);
    v->shape[2] = TARN_SHAPE(gates_of(v) * H);
    v->shape[3] = v->shape[4] = TARN_SHAPE(B, H);
    return true;
}

static tarn_tensor *recurrence_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_rnn_state state = { in[3], in[4] };
    const tarn_recurrence_options o = { (tarn_rnn_kind)v->choice, v->start != 0 };
    return tarn_recurrence(in[0], in[1], in[2], state, &o);
}

static void grow(double *size, double x)
{
    if (!isnan(x)) *size += fabs(x);
}

/* The product w h + b of unit j's gate g, b alone without h; *size grows by the absolute values of
 * its terms. */
static double hidden_product(const op_array *in, const op_variant *v, int64_t j, int g,
                             const double *h, double *size)
{
    const int64_t H = in[1].shape.dims[1], row = g * H + j;
    double sum = v->n > 2 ? in[2].data[row] : 0;
    grow(size, sum);
    for (int64_t k = 0; h != NULL && k < H; k++) {
        sum += in[1].data[row * H + k] * h[k];
        grow(size, in[1].data[row * H + k] * h[k]);
    }
    return sum;
}

/* Unit j of one step, from its input products and the states before. */
static double unit_step(const op_array *in, const op_variant *v, const double *x, int64_t j,
                        const double *h, double *c, double *size)
{
    const int64_t H = in[1].shape.dims[1];
    double xs[4] = { 0 }, qs[4] = { 0 };
    for (int g = 0; g < gates_of(v); g++) {
        xs[g] = x[g * H + j];
        qs[g] = hidden_product(in, v, j, g, h, size);
        grow(size, xs[g]);
    }
    switch ((tarn_rnn_kind)v->choice) {
    case TARN_LSTM:
        return lstm_unit(xs[0] + qs[0], xs[1] + qs[1], xs[2] + qs[2], xs[3] + qs[3], *c, c);
    case TARN_GRU: return gru_unit(xs, qs, h != NULL ? h[j] : 0);
    case TARN_RNN_RELU: return xs[0] + qs[0] <= 0 ? 0 : xs[0] + qs[0];
    default: return tanh(xs[0] + qs[0]);
    }
}

/* Errors grow from step to step with the size of what is added up. */
static void recurrence_reference(const op_array *in, const op_variant *v, op_array *out,
                                 op_array *magnitude)
{
    const int64_t B = in[0].shape.dims[0], T = in[0].shape.dims[1], H = in[1].shape.dims[1];
    const int64_t states = v->choice == TARN_LSTM ? 2 : 1;
    op_array_make(out, TARN_SHAPE(states, B, T, H));
    op_array_make(magnitude, out->shape);
    double *h = calloc((size_t)H + 1, sizeof(double)), *c = calloc((size_t)H + 1, sizeof(double));
    for (int64_t b = 0; b < B; b++) {
        double size = 1;
        for (int64_t j = 0; j < H; j++) {
            h[j] = v->n > 3 ? in[3].data[b * H + j] : 0;
            c[j] = v->n > 4 ? in[4].data[b * H + j] : 0;
            grow(&size, h[j]);
            grow(&size, c[j]);
        }
        for (int64_t step = 0; step < T; step++) {
            const int64_t t = v->start != 0 ? T - 1 - step : step, place = (b * T + t) * H;
            const double *x = in[0].data + place * gates_of(v);
            for (int64_t j = 0; j < H; j++)
                out->data[place + j] =
                    unit_step(in, v, x, j, step > 0 || v->n > 3 ? h : NULL, &c[j], &size);
            for (int64_t j = 0; j < H; j++) {
                h[j] = out->data[place + j];
                if (states > 1) out->data[B * T * H + place + j] = c[j];
                for (int64_t k = 0; k < states; k++)
                    magnitude->data[k * B * T * H + place + j] = size;
            }
        }
    }
    free(h);
    free(c);
}

/* ---- the table */

/* clang-format off */

enum { SDPA = OP_NO_SCALAR | OP_BY_LAYOUT | OP_NO_INFINITY | OP_NO_EXTREMES };

const op_case op_cases_functional[] = {
    /*  op               operands                          variants      ulps  of gradients */
    ROW(layer_norm,       3, OF(OP_ANY, OP_ANY, OP_ANY),   layer_norm_variant,       2,  64, OP_NO_SCALAR),
    ROW(rms_norm,         2, OF(OP_ANY, OP_ANY),           rms_norm_variant,         2,  64, OP_NO_SCALAR),
    ROW(group_norm,       3, OF(OP_ANY, OP_ANY, OP_ANY),   group_norm_variant,       2,  64, OP_NO_SCALAR),
    ROW(batch_moments,    1, OF(OP_ANY),                   batch_moments_variant,    2,   0, OP_NO_SCALAR | OP_NO_GRADIENT | OP_F64_RESULT),
    ROW(batch_norm,       3, OF(OP_ANY, OP_ANY, OP_ANY),   batch_norm_variant,       2,  64, OP_NO_SCALAR),
    ROW(batch_norm_given, 5, OF(OP_ANY, OP_ANY, OP_ANY, OP_ANY, OP_POSITIVE),
                                                           batch_norm_given_variant, 2,  64, OP_NO_SCALAR),
    ROW(embedding,        2, OF(OP_ANY, OP_LABELS),        embedding_variant,        0,   2, OP_LINEAR),
    ROW(sdpa,             4, OF(OP_ANY, OP_ANY, OP_ANY, OP_ANY),
                                                           sdpa_variant,            60, 200, SDPA),
    { "sdpa",             4, OF(OP_ANY, OP_ANY, OP_ANY, OP_FLAGS),
      sdpa_variant, sdpa_flags_apply, sdpa_flags_reference,                         60, 200, SDPA },
    ROW(lstm_gates,       2, OF(OP_ANY, OP_ANY),           lstm_gates_variant,      16,  32, OP_NO_SCALAR),
    ROW(gru_gates,        3, OF(OP_ANY, OP_ANY, OP_ANY),   gru_gates_variant,       16,  32, OP_NO_SCALAR),
    ROW(recurrence,       5, OF(OP_ANY, OP_ANY, OP_ANY, OP_ANY, OP_ANY),
                                                           recurrence_variant,      16, 400, OP_NO_SCALAR | OP_NO_INFINITY | OP_NO_EXTREMES),
    { 0 },
};
