/* SPDX-License-Identifier: MIT
 * cases_label_losses.c - cases of losses of rows with a label each. */
#include <math.h>

#include "op_cases.h"
#include "ops/op_list.h"

/* Variants: value = label smoothing, choice = reduction, step = 1 for class weights, stop = 1 where
 * labels equal to `start` are ignored. */

static bool label_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape logits, labels;
        tarn_dtype dtype;
        int choice, weighted, ignores;
        double smoothing;
    } variants[] = {
        { { 2, { 1, 1 } }, { 1, { 1 } }, TARN_I64, TARN_REDUCE_MEAN, 0, 0, 0 },
        { { 2, { 4, 3 } }, { 1, { 4 } }, TARN_I64, TARN_REDUCE_MEAN, 0, 0, 0 },
        { { 2, { 4, 3 } }, { 1, { 4 } }, TARN_I32, TARN_REDUCE_MEAN, 0, 0, 0 },
        { { 2, { 5, 10 } }, { 1, { 5 } }, TARN_U8, TARN_REDUCE_MEAN, 0, 0, 0 },
        { { 2, { 0, 3 } }, { 1, { 0 } }, TARN_I64, TARN_REDUCE_MEAN, 0, 0, 0 },
        { { 2, { 0, 3 } }, { 1, { 0 } }, TARN_I64, TARN_REDUCE_SUM, 1, 0, 0.1 },
        { { 2, { 5, 10 } }, { 1, { 5 } }, TARN_I64, TARN_REDUCE_SUM, 0, 0, 0 },
        { { 2, { 5, 10 } }, { 1, { 5 } }, TARN_I64, TARN_REDUCE_NONE, 0, 0, 0 },
        { { 2, { 5, 10 } }, { 1, { 5 } }, TARN_I64, TARN_REDUCE_MEAN, 1, 0, 0 },
        { { 2, { 5, 10 } }, { 1, { 5 } }, TARN_I64, TARN_REDUCE_MEAN, 0, 0, 0.125 },
        { { 2, { 8, 3 } }, { 1, { 8 } }, TARN_I32, TARN_REDUCE_MEAN, 0, 1, 0 },
        { { 2, { 8, 3 } }, { 1, { 8 } }, TARN_U8, TARN_REDUCE_NONE, 1, 1, 0.25 },
        { { 2, { 8, 3 } }, { 1, { 8 } }, TARN_I64, TARN_REDUCE_MEAN, 1, 1, 0.25 },
        { { 2, { 8, 3 } }, { 1, { 8 } }, TARN_I64, TARN_REDUCE_BATCH_MEAN, 1, 1, 1 },
        { { 3, { 2, 5, 4 } }, { 2, { 2, 4 } }, TARN_I64, TARN_REDUCE_MEAN, 0, 0, 0 },
        { { 3, { 2, 5, 4 } }, { 2, { 2, 4 } }, TARN_I32, TARN_REDUCE_NONE, 1, 1, 0.25 },
        { { 4, { 2, 3, 2, 3 } }, { 3, { 2, 2, 3 } }, TARN_U8, TARN_REDUCE_MEAN, 1, 1, 0.5 },
        { { 4, { 2, 3, 2, 3 } }, { 3, { 2, 2, 3 } }, TARN_I64, TARN_REDUCE_BATCH_MEAN, 0, 0, 0 },
        { { 3, { 2, 3, 0 } }, { 2, { 2, 0 } }, TARN_I64, TARN_REDUCE_NONE, 0, 0, 0 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = variants[i].logits;
    v->shape[1] = variants[i].labels;
    v->dtype = variants[i].dtype;
    v->choice = variants[i].choice;
    v->step = variants[i].weighted;
    v->stop = variants[i].ignores;
    v->start = 1;
    v->value = variants[i].smoothing;
    return true;
}

static double weight_of(const op_variant *v, int64_t c)
{
    return v->step != 0 ? 0.5 + 0.25 * (double)c : 1;
}

static tarn_tensor *make_weights(tarn_tensor *logits, const op_variant *v)
{
    double values[16];
    if (v->step == 0 || logits == NULL) return NULL;
    const int64_t C = v->shape[0].dims[1];
    for (int64_t c = 0; c < C; c++) values[c] = weight_of(v, c);
    tarn_tensor *w = tarn_from_array(tarn_manager_of(logits), TARN_F64, TARN_SHAPE(C), values);
    return tarn_cast(w, tarn_get_dtype(logits));
}

static tarn_label_options options_of(tarn_tensor *logits, const op_variant *v)
{
    return (tarn_label_options){ .weights = make_weights(logits, v),
                                 .label_smoothing = v->value,
                                 .ignores = v->stop != 0,
                                 .ignore_index = v->start,
                                 .reduction = (tarn_reduction)v->choice };
}

static bool is_default(const op_variant *v)
{
    return v->step == 0 && v->stop == 0 && v->value == 0 && v->choice == TARN_REDUCE_MEAN;
}

static tarn_tensor *cross_entropy_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_label_options options = options_of(in[0], v);
    return is_default(v) ? tarn_cross_entropy(in[0], in[1])
                         : tarn_cross_entropy_with(in[0], in[1], &options);
}

static tarn_tensor *nll_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_label_options options = options_of(in[0], v);
    return is_default(v) ? tarn_nll(in[0], in[1]) : tarn_nll_with(in[0], in[1], &options);
}

/* ---- references */

/* How (B, C, d1, ...) is walked: row r is that of label r. */
typedef struct walk {
    int64_t B, C, after;
} walk;

static walk walk_of(const tarn_shape *shape)
{
    walk w = { shape->dims[0], shape->dims[1], 1 };
    for (int i = 2; i < shape->ndim; i++) w.after *= shape->dims[i];
    return w;
}

static int64_t first_of(const walk *w, int64_t row)
{
    return row / w->after * w->C * w->after + row % w->after;
}

/* What the sum over rows is divided by. */
static double divisor_of(const op_array *labels, const op_variant *v)
{
    double sum = 0;
    if (v->choice == TARN_REDUCE_BATCH_MEAN) return (double)labels->shape.dims[0];
    if (v->choice != TARN_REDUCE_MEAN) return 1;
    for (int64_t row = 0; row < labels->n; row++) {
        const int64_t label = (int64_t)labels->data[row];
        if (v->stop == 0 || label != v->start) sum += weight_of(v, label);
    }
    return sum;
}

/* The loss of a row whose negative log-probabilities are log_sum - (x - shift), and its magnitude,
 * of numbers that are at most `size` in magnitude. */
static double row_loss(const op_variant *v, const walk *w, const double *x, double shift,
                       double log_sum, int64_t label, double size, double *magnitude)
{
    const double e = v->value;
    const double own = weight_of(v, label) * (log_sum - (x[label * w->after] - shift));
    double all = 0, weights = 0;
    for (int64_t c = 0; c < w->C; c++) {
        all += weight_of(v, c) * (log_sum - (x[c * w->after] - shift));
        weights += weight_of(v, c);
    }
    *magnitude = size * (weight_of(v, label) + e * weights);
    return e == 0 ? own : (1 - e) * own + e / (double)w->C * all;
}

static void label_loss(const op_array *in, const op_variant *v, bool normalise, op_array *out,
                       op_array *magnitude)
{
    const walk w = walk_of(&in[0].shape);
    const bool each = v->choice == TARN_REDUCE_NONE;
    const double divisor = divisor_of(&in[1], v);
    op_array_make(out, each ? in[1].shape : TARN_SCALAR);
    op_array_make(magnitude, out->shape);
    for (int64_t row = 0; row < in[1].n; row++) {
        const double *x = in[0].data + first_of(&w, row);
        const int64_t label = (int64_t)in[1].data[row];
        if (v->stop != 0 && label == v->start) continue;
        double max = 0, size = 0, of_row;
        const double log_sum = normalise ? op_log_sum(w.C, w.after, x, &max) : 0;
        for (int64_t c = 0; c < w.C; c++) size = fmax(size, fabs(x[c * w.after] - max));
        size += fabs(log_sum) + 1;
        out->data[each ? row : 0] += row_loss(v, &w, x, max, log_sum, label, size, &of_row);
        magnitude->data[each ? row : 0] += of_row;
    }
    for (int64_t i = 0; i < out->n; i++) {
        out->data[i] /= divisor;
        magnitude->data[i] /= divisor;
    }
}

static void cross_entropy_reference(const op_array *in, const op_variant *v, op_array *out,
                                    op_array *magnitude)
{
    label_loss(in, v, true, out, magnitude);
}

static void nll_reference(const op_array *in, const op_variant *v, op_array *out,
                          op_array *magnitude)
{
    label_loss(in, v, false, out, magnitude);
}

/* ---- what rows count: operand 0 are the weights */

static bool label_weights_variant(int i, op_variant *v)
{
    if (!label_variant(i, v)) return false;
    v->target = v->shape[0];
    v->shape[0] = TARN_SHAPE(v->target.dims[1]);
    return true;
}

static tarn_tensor *label_weights_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn__attr attr = {
        .value = v->value, .sizes = { v->start }, .keep = v->stop != 0, .choice = (uint8_t)v->choice
    };
    return tarn__apply2(&tarn__op_label_weights, in[0], in[1], &attr);
}

static void label_weights_reference(const op_array *in, const op_variant *v, op_array *out,
                                    op_array *magnitude)
{
    const walk w = walk_of(&v->target);
    double divisor = v->choice == TARN_REDUCE_BATCH_MEAN ? (double)w.B : 1;
    op_array_make(out, v->target);
    op_array_make(magnitude, v->target);
    if (v->choice == TARN_REDUCE_MEAN) {
        divisor = 0;
        for (int64_t row = 0; row < in[1].n; row++)
            if (v->stop == 0 || (int64_t)in[1].data[row] != v->start)
                divisor += in[0].data[(int64_t)in[1].data[row]];
    }
    for (int64_t row = 0; row < in[1].n; row++) {
        const int64_t label = (int64_t)in[1].data[row];
        if (v->stop != 0 && label == v->start) continue;
        for (int64_t c = 0; c < w.C; c++) {
            if (c != label && v->value == 0) continue;
            const double all = v->value == 0 ? 0 : v->value / (double)w.C * in[0].data[c];
            const double own = c == label ? (1 - v->value) * in[0].data[c] : 0;
            out->data[first_of(&w, row) + c * w.after] = (own + all) / divisor;
            magnitude->data[first_of(&w, row) + c * w.after] = (own + all) / divisor;
        }
    }
}

/* ---- the table */

/* clang-format off */

const op_case op_cases_label_losses[] = {
    /*  op             operands                       variants          ulps  of gradients */
    ROW(cross_entropy, 2, OF(OP_ANY, OP_LABELS),      label_variant,         4,  12, OP_NO_SCALAR),
    ROW(nll,           2, OF(OP_ANY, OP_LABELS),      label_variant,         4,  12, OP_NO_SCALAR),
    ROW(label_weights, 2, OF(OP_POSITIVE, OP_LABELS), label_weights_variant, 6,   0, OP_NO_GRADIENT | OP_NO_INFINITY | OP_NO_SCALAR),
    { 0 },
};
