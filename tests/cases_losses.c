/* SPDX-License-Identifier: MIT
 * cases_losses.c - cases of losses of elements and of directions. (Those with labels are in
 * cases_label_losses.c.) */
#include <math.h>
#include <string.h>

#include "op_cases.h"

/* Variants: choice = reduction; step = 1 for the operation's other form. */

static bool loss_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape shape;
        int choice;
    } variants[] = {
        { { 0, { 0 } }, TARN_REDUCE_MEAN },          { { 1, { 1 } }, TARN_REDUCE_MEAN },
        { { 2, { 4, 1 } }, TARN_REDUCE_MEAN },       { { 3, { 2, 3, 4 } }, TARN_REDUCE_MEAN },
        { { 1, { 0 } }, TARN_REDUCE_MEAN },          { { 1, { 600 } }, TARN_REDUCE_MEAN },
        { { 3, { 2, 3, 4 } }, TARN_REDUCE_SUM },     { { 1, { 0 } }, TARN_REDUCE_SUM },
        { { 3, { 2, 3, 4 } }, TARN_REDUCE_NONE },    { { 1, { 600 } }, TARN_REDUCE_NONE },
        { { 0, { 0 } }, TARN_REDUCE_NONE },          { { 2, { 0, 3 } }, TARN_REDUCE_NONE },
        { { 2, { 3, 5 } }, TARN_REDUCE_BATCH_MEAN }, { { 0, { 0 } }, TARN_REDUCE_BATCH_MEAN },
    };
    if (i >= OP_LENGTH(variants)) return false;
    for (int k = 0; k < 3; k++) v->shape[k] = variants[i].shape;
    v->choice = variants[i].choice;
    return true;
}

/* The same in both forms. */
static bool two_forms(int i, op_variant *v)
{
    v->step = i % 2;
    return loss_variant(i / 2, v);
}

/* ---- references: of losses and magnitudes, one by one, to the result */

static double divisor_of(const op_variant *v, const tarn_shape *losses)
{
    switch (v->choice) {
    case TARN_REDUCE_MEAN: return (double)op_shape_numel(losses);
    case TARN_REDUCE_BATCH_MEAN: return losses->ndim > 0 ? (double)losses->dims[0] : 1;
    default: return 1;
    }
}

static void begin(const op_variant *v, const tarn_shape *losses, op_array *out, op_array *magnitude)
{
    op_array_make(out, v->choice == TARN_REDUCE_NONE ? *losses : TARN_SCALAR);
    op_array_make(magnitude, out->shape);
}

static void take(const op_variant *v, const tarn_shape *losses, int64_t i, double loss, double size,
                 op_array *out, op_array *magnitude)
{
    const int64_t at = v->choice == TARN_REDUCE_NONE ? i : 0;
    out->data[at] += loss / divisor_of(v, losses);
    magnitude->data[at] += size / divisor_of(v, losses);
}

/* A mean of nothing is 0 / 0. */
static void finish(const op_variant *v, const tarn_shape *losses, op_array *out)
{
    if (divisor_of(v, losses) == 0 && out->n == 1) out->data[0] = NAN;
}

#define ELEMENT_LOSS(op, f, size)                                                      \
    static void op##_reference(const op_array *in, const op_variant *v, op_array *out, \
                               op_array *magnitude)                                    \
    {                                                                                  \
        begin(v, &in->shape, out, magnitude);                                          \
        for (int64_t i = 0; i < in->n; i++) {                                          \
            const double x = in[0].data[i], y = in[1].data[i];                         \
            take(v, &in->shape, i, (f), (size), out, magnitude);                       \
        }                                                                              \
        finish(v, &in->shape, out);                                                    \
    }

static const double DELTA = 0.5 + 0x1p-7, MARGIN = 0.5 + 0x1p-12;

static double huber_of(double d, bool smooth_l1)
{
    const double loss = fabs(d) <= DELTA ? d * d / 2 : DELTA * fabs(d) - DELTA * DELTA / 2;
    return smooth_l1 ? loss / DELTA : loss;
}

static double hinge_of(double x, double y, bool squared)
{
    const double missing = MARGIN - x * y, loss = missing <= 0 ? 0 : missing;
    return squared ? loss * loss : loss;
}

static double kl_of(double x, double y, bool log_target)
{
    const double p = log_target ? exp(y) : y;
    if (p == 0) return isnan(x) ? NAN : 0;
    return p * ((log_target ? y : log(y)) - x);
}

ELEMENT_LOSS(mse, (x - y) * (x - y), (fabs(x) + fabs(y)) * (fabs(x) + fabs(y)))
ELEMENT_LOSS(l1, fabs(x - y), fabs(x) + fabs(y))
ELEMENT_LOSS(huber, huber_of(x - y, v->step != 0), 2 * pow(fabs(x) + fabs(y) + 1, 2))
ELEMENT_LOSS(hinge, hinge_of(x, y, v->step != 0), pow(fabs(x *y) + 1, 2))
ELEMENT_LOSS(kl_divergence, kl_of(x, y, v->step != 0), (exp(y) + fabs(y)) * (3 + fabs(x) + fabs(y)))

static void gaussian_nll_reference(const op_array *in, const op_variant *v, op_array *out,
                                   op_array *magnitude)
{
    begin(v, &in->shape, out, magnitude);
    for (int64_t i = 0; i < in->n; i++) {
        const double d = in[0].data[i] - in[1].data[i], variance = in[2].data[i];
        const double constant = v->step != 0 ? log(8 * atan(1)) / 2 : 0;
        const double loss = log(variance) / 2 + d * d / (2 * variance) + constant;
        take(v, &in->shape, i, loss, 3 + d * d / variance, out, magnitude);
    }
    finish(v, &in->shape, out);
}

/* ---- bce_with_logits: step = 1 with weights of elements, 2 of positives, 3 both */

static bool bce_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape shape, weight, pos_weight;
        int which, choice;
    } weighted[] = {
        { { 2, { 4, 3 } }, { 2, { 4, 3 } }, { 0, { 0 } }, 1, TARN_REDUCE_MEAN },
        { { 2, { 4, 3 } }, { 2, { 4, 1 } }, { 0, { 0 } }, 1, TARN_REDUCE_NONE },
        { { 2, { 4, 3 } }, { 0, { 0 } }, { 1, { 3 } }, 2, TARN_REDUCE_SUM },
        { { 3, { 2, 4, 3 } }, { 2, { 4, 1 } }, { 1, { 3 } }, 3, TARN_REDUCE_MEAN },
        { { 3, { 2, 4, 3 } }, { 0, { 0 } }, { 3, { 2, 1, 1 } }, 3, TARN_REDUCE_NONE },
        { { 0, { 0 } }, { 0, { 0 } }, { 0, { 0 } }, 3, TARN_REDUCE_BATCH_MEAN },
        { { 2, { 0, 3 } }, { 1, { 3 } }, { 1, { 1 } }, 3, TARN_REDUCE_MEAN },
    };
    if (i >= OP_LENGTH(weighted)) return loss_variant(i - OP_LENGTH(weighted), v);
    v->shape[0] = v->shape[1] = weighted[i].shape;
    v->shape[2] = weighted[i].weight;
    v->shape[3] = weighted[i].pos_weight;
    v->step = weighted[i].which;
    v->choice = weighted[i].choice;
    return true;
}

/* Element i of an operand that is not drawn. */
static double constant(int64_t i) { return 0.5 + 0.25 * (double)(i % 7); }

/* Those elements as an array, and as a tensor. */
static op_array constants(tarn_shape shape)
{
    op_array a;
    op_array_make(&a, shape);
    for (int64_t i = 0; i < a.n; i++) a.data[i] = constant(i);
    return a;
}

static tarn_tensor *make_constants(tarn_tensor *like, tarn_shape shape)
{
    if (like == NULL) return NULL;
    op_array a = constants(shape);
    tarn_tensor *t = tarn_from_array(tarn_manager_of(like), TARN_F64, shape, a.data);
    op_array_free(&a);
    return tarn_cast(t, tarn_get_dtype(like));
}

static void bce_with_logits_reference(const op_array *in, const op_variant *v, op_array *out,
                                      op_array *magnitude)
{
    op_array weight = constants(v->shape[2]), pos_weight = constants(v->shape[3]);
    begin(v, &in->shape, out, magnitude);
    for (int64_t i = 0; i < in->n; i++) {
        const double x = in[0].data[i], y = in[1].data[i];
        double w = 1, p = 1;
        if ((v->step & 1) != 0) w = weight.data[op_place(&weight, &in->shape, i)];
        if ((v->step & 2) != 0) p = pos_weight.data[op_place(&pos_weight, &in->shape, i)];
        /* -p y log(sigmoid(x)) - (1 - y) log(1 - sigmoid(x)), without overflow */
        const double rest = log1p(exp(-fabs(x)));
        const double loss = w * (p * y * (fmax(-x, 0) + rest) + (1 - y) * (fmax(x, 0) + rest));
        const double size = w * (1 + p) * (fabs(x) + 1) * (1 + fabs(y));
        take(v, &in->shape, i, loss, size, out, magnitude);
    }
    finish(v, &in->shape, out);
    op_array_free(&weight);
    op_array_free(&pos_weight);
}

static tarn_tensor *bce_with_logits_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_bce_options options = {
        .weight = (v->step & 1) != 0 ? make_constants(in[0], v->shape[2]) : NULL,
        .pos_weight = (v->step & 2) != 0 ? make_constants(in[0], v->shape[3]) : NULL,
        .reduction = (tarn_reduction)v->choice,
    };
    if (v->step == 0 && v->choice == TARN_REDUCE_MEAN) return tarn_bce_with_logits(in[0], in[1]);
    return tarn_bce_with_logits_with(in[0], in[1], &options);
}

/* ---- directions */

static double cosine_of(int64_t n, int64_t step, const double *a, const double *b, double *size)
{
    double dot = 0, aa = 0, bb = 0, terms = 0;
    for (int64_t i = 0; i < n; i++) {
        dot += a[i * step] * b[i * step];
        terms += fabs(a[i * step] * b[i * step]);
        aa += a[i * step] * a[i * step];
        bb += b[i * step] * b[i * step];
    }
    const double norms = fmax(sqrt(aa), 1e-8) * fmax(sqrt(bb), 1e-8);
    *size = 1 + terms / norms;
    return isnan(aa + bb) ? NAN : dot / norms;
}

static bool similarity_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape shape;
        int axis;
    } variants[] = {
        { { 1, { 5 } }, 0 },        { { 2, { 3, 4 } }, 1 },       { { 2, { 3, 4 } }, 0 },
        { { 3, { 2, 5, 3 } }, -2 }, { { 2, { 0, 3 } }, 1 },       { { 2, { 3, 0 } }, 1 },
        { { 2, { 2, 1 } }, -1 },    { { 4, { 2, 2, 2, 2 } }, 1 },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[0] = v->shape[1] = variants[i].shape;
    v->axis = variants[i].axis;
    return true;
}

static tarn_tensor *cosine_similarity_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_cosine_similarity(in[0], in[1], v->axis);
}

static void cosine_similarity_reference(const op_array *in, const op_variant *v, op_array *out,
                                        op_array *magnitude)
{
    const tarn_shape *shape = &in[0].shape;
    const int axis = v->axis < 0 ? v->axis + shape->ndim : v->axis;
    tarn_shape left = { .ndim = 0 };
    int64_t after = 1;
    for (int i = 0; i < shape->ndim; i++) {
        if (i != axis) left.dims[left.ndim++] = shape->dims[i];
        if (i > axis) after *= shape->dims[i];
    }
    op_array_make(out, left);
    op_array_make(magnitude, left);
    for (int64_t i = 0; i < out->n; i++) {
        const int64_t first = i / after * after * shape->dims[axis] + i % after;
        out->data[i] = cosine_of(shape->dims[axis], after, in[0].data + first, in[1].data + first,
                                 &magnitude->data[i]);
    }
}

static bool embedding_variant(int i, op_variant *v)
{
    static const struct {
        tarn_shape rows;
        int64_t D;
        int choice;
    } variants[] = {
        { { 1, { 6 } }, 4, TARN_REDUCE_MEAN },    { { 1, { 6 } }, 4, TARN_REDUCE_NONE },
        { { 2, { 2, 3 } }, 3, TARN_REDUCE_SUM },  { { 2, { 2, 3 } }, 3, TARN_REDUCE_BATCH_MEAN },
        { { 0, { 0 } }, 5, TARN_REDUCE_MEAN },    { { 1, { 0 } }, 3, TARN_REDUCE_MEAN },
        { { 2, { 2, 3 } }, 3, TARN_REDUCE_NONE },
    };
    if (i >= OP_LENGTH(variants)) return false;
    v->shape[2] = variants[i].rows;
    v->shape[0] = v->shape[2];
    v->shape[0].dims[v->shape[0].ndim++] = variants[i].D;
    v->shape[1] = v->shape[0];
    v->choice = variants[i].choice;
    v->value = i % 2 != 0 ? 0.25 : 0;
    return true;
}

static tarn_tensor *cosine_embedding_apply(tarn_tensor *const *in, const op_variant *v)
{
    const tarn_cosine_options options = { .margin = v->value,
                                          .reduction = (tarn_reduction)v->choice };
    if (v->value == 0 && v->choice == TARN_REDUCE_MEAN)
        return tarn_cosine_embedding(in[0], in[1], in[2]);
    return tarn_cosine_embedding_with(in[0], in[1], in[2], &options);
}

static void cosine_embedding_reference(const op_array *in, const op_variant *v, op_array *out,
                                       op_array *magnitude)
{
    const tarn_shape *rows = &in[2].shape;
    const int64_t D = in[0].shape.dims[rows->ndim];
    begin(v, rows, out, magnitude);
    for (int64_t i = 0; i < in[2].n; i++) {
        double size;
        const double s = cosine_of(D, 1, in[0].data + i * D, in[1].data + i * D, &size);
        const double y = in[2].data[i], unlike = s <= v->value ? 0 : s - v->value;
        take(v, rows, i, isnan(y) ? NAN : y > 0 ? 1 - s : unlike, 1 + size, out, magnitude);
    }
    finish(v, rows, out);
}

/* ---- calls */

#define REDUCED_APPLY(op, type)                                                          \
    static tarn_tensor *op##_apply(tarn_tensor *const *in, const op_variant *v)          \
    {                                                                                    \
        const type options = { .reduction = (tarn_reduction)v->choice };                 \
        return v->choice == TARN_REDUCE_MEAN ? tarn_##op(in[0], in[1])                   \
                                             : tarn_##op##_with(in[0], in[1], &options); \
    }
REDUCED_APPLY(mse, tarn_loss_options)
REDUCED_APPLY(l1, tarn_loss_options)

static tarn_tensor *huber_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_huber_with(in[0], in[1],
                           &(tarn_huber_options){ .delta = DELTA,
                                                  .smooth_l1 = v->step != 0,
                                                  .reduction = (tarn_reduction)v->choice });
}

static tarn_tensor *hinge_apply(tarn_tensor *const *in, const op_variant *v)
{
    return tarn_hinge_with(in[0], in[1],
                           &(tarn_hinge_options){ .margin = MARGIN,
                                                  .squared = v->step != 0,
                                                  .reduction = (tarn_reduction)v->choice });
}

static tarn_tensor *kl_divergence_apply(tarn_tensor *const *in, const op_variant *v)
{
    if (v->step == 0 && v->choice == TARN_REDUCE_MEAN) return tarn_kl_divergence(in[0], in[1]);
    return tarn_kl_divergence_with(
        in[0], in[1],
        &(tarn_kl_options){ .log_target = v->step != 0, .reduction = (tarn_reduction)v->choice });
}

static tarn_tensor *gaussian_nll_apply(tarn_tensor *const *in, const op_variant *v)
{
    if (v->step == 0 && v->choice == TARN_REDUCE_MEAN)
        return tarn_gaussian_nll(in[0], in[1], in[2]);
    return tarn_gaussian_nll_with(
        in[0], in[1], in[2],
        &(tarn_gaussian_nll_options){ .full = v->step != 0,
                                      .reduction = (tarn_reduction)v->choice });
}

/* ---- the table */

/* clang-format off */

const op_case op_cases_losses[] = {
    /*  op                 operands                                variants      ulps  of gradients */
    ROW(bce_with_logits,   2, OF(OP_ANY, OP_UNIT),                 bce_variant,        4,  16, OP_NO_INFINITY),
    ROW(mse,               2, OF(OP_ANY, OP_ANY),                  loss_variant,       2,  16, 0),
    ROW(l1,                2, OF(OP_LATTICE, OP_BETWEEN),          loss_variant,       2,   4, 0),
    ROW(huber,             2, OF(OP_LATTICE, OP_BETWEEN),          two_forms,          4,   8, 0),
    ROW(hinge,             2, OF(OP_LATTICE, OP_BETWEEN),          two_forms,          4,  64, 0),
    ROW(kl_divergence,     2, OF(OP_ANY, OP_POSITIVE),             two_forms,          4, 256, 0),
    ROW(gaussian_nll,      3, OF(OP_ANY, OP_ANY, OP_POSITIVE),     two_forms,          4, 512, OP_NO_INFINITY | OP_NO_EXTREMES),
    ROW(cosine_similarity, 2, OF(OP_ANY, OP_ANY),                  similarity_variant, 4,  16, OP_NO_SCALAR),
    ROW(cosine_embedding,  3, OF(OP_ANY, OP_ANY, OP_NONZERO),      embedding_variant,  4,  16, OP_NO_SCALAR),
    { 0 },
};
