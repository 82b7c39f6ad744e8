/* SPDX-License-Identifier: MIT
 * loss_cosine.c - the cosine between rows, and a loss of it. */
#include <math.h>
#include <string.h>

#include "ops/lanes.h"
#include "ops/loss.h"
#include "ops/op_list.h"
#include "ops/rows.h"

enum { A = TARN__USES_IN0, B = TARN__USES_IN1, Y = TARN__USES_IN2 };

static const double least_norm = 1e-8;

/* Two rows: the cosine between them, and their norms as they count, perhaps for more than they are:
 * those are cut. */
typedef struct angle {
    double cosine, norm[2];
    bool cut[2];
} angle;

/* From the sums of a b, of a^2 and of b^2. */
static angle make_angle(double ab, double aa, double bb)
{
    angle t = { .norm = { sqrt(aa), sqrt(bb) } };
    for (int i = 0; i < 2; i++) {
        t.cut[i] = t.norm[i] < least_norm;
        if (t.cut[i]) t.norm[i] = least_norm;
    }
    t.cosine = ab / (t.norm[0] * t.norm[1]);
    return t;
}

#define TARN_KERNELS "ops/loss_cosine.inc"
#include "ops/for_each_simd.h"

/* ---- cosine_similarity: attr: axis */

static tarn_status infer_similarity(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn_tensor *a = call->in[0];
    (void)offset;
    if (tarn__check_one_shape(call, 1) != TARN_OK) return TARN_ESHAPE;
    out->dtype = a->layout.dtype;
    out->ndim = 0;
    for (int axis = 0; axis < a->layout.ndim; axis++)
        if (axis != call->attr->axis) out->dims[out->ndim++] = a->layout.dims[axis];
    return TARN_OK;
}

/* The norm of x along an axis, at least least_norm. */
static tarn_tensor *norm_of(tarn_tensor *x, int axis)
{
    tarn_tensor *squares = tarn_square(x);
    tarn_tensor *sum = tarn_sum(squares, TARN_AXES(axis));
    tarn_tensor *positive = tarn_maximum_scalar(sum, least_norm * least_norm);
    return tarn_sqrt(positive);
}

static tarn_tensor *similarity_compose(const tarn__call *call)
{
    const int axis = call->attr->axis;
    tarn_tensor *products = tarn_mul(call->in[0], call->in[1]);
    tarn_tensor *dot = tarn_sum(products, TARN_AXES(axis));
    tarn_tensor *a = norm_of(call->in[0], axis);
    tarn_tensor *b = norm_of(call->in[1], axis);
    tarn_tensor *norms = tarn_mul(a, b);
    return tarn_div(dot, norms);
}

const tarn__op tarn__op_cosine_similarity = {
    .name = "cosine_similarity",
    .operands = { "a", "b" },
    .arity = 2,
    .uses = { A | B, A | B },
    .infer = infer_similarity,
    .forward = TARN__KERNELS(cosine_similarity_forward),
    .backward = TARN__KERNELS(cosine_similarity_backward),
    .compose = similarity_compose,
};

tarn_tensor *tarn_cosine_similarity(tarn_tensor *a, tarn_tensor *b, int axis)
{
    const tarn__op *op = &tarn__op_cosine_similarity;
    tarn__attr attr = { 0 };
    if (a != NULL && (attr.axis = tarn__axis(&a->layout, axis)) < 0) {
        const tarn__call call = { .op = op, .manager = a->manager };
        char text[TARN__DESCRIPTION_BYTES];
        (void)tarn__call_fail(&call, TARN_EARG, "a %s has no axis %d", tarn__describe(a, text),
                              axis);
        return NULL;
    }
    return tarn__apply2(op, a, b, &attr);
}

/* ---- cosine_embedding: attr: value = margin, choice = reduction */

static tarn_status infer_embedding(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *a = &call->in[0]->layout, *y = &call->in[2]->layout;
    char a_text[TARN__DESCRIPTION_BYTES], y_text[TARN__DESCRIPTION_BYTES];
    const tarn_status status = infer_similarity(call, out, offset);
    if (status != TARN_OK) return status;
    bool fits = a->ndim == y->ndim + 1;
    for (int axis = 0; axis < y->ndim && fits; axis++) fits = a->dims[axis] == y->dims[axis];
    if (!fits)
        return tarn__call_fail(call, TARN_ESHAPE, "a %s, y %s; a (..., D) and y (...) are needed",
                               tarn__describe(call->in[0], a_text),
                               tarn__describe(call->in[2], y_text));
    if (!tarn__keeps_losses(call)) out->ndim = 0;
    return TARN_OK;
}

/* y > 0 ? 1 - s : max(0, s - margin). */
static tarn_tensor *embedding_compose(const tarn__call *call)
{
    tarn_tensor *cosine = tarn_cosine_similarity(call->in[0], call->in[1], -1);
    tarn_tensor *like = tarn_rsub_scalar(cosine, 1);
    tarn_tensor *excess = tarn_sub_scalar(cosine, call->attr->value);
    tarn_tensor *unlike = tarn_relu(excess);
    tarn_tensor *condition = tarn_greater_scalar(call->in[2], 0);
    tarn_tensor *losses = tarn_where(condition, like, unlike);
    return tarn__reduce_losses(call, losses);
}

const tarn__op tarn__op_cosine_embedding = {
    .name = "cosine_embedding",
    .operands = { "a", "b", "y" },
    .arity = 3,
    .uses = { A | B | Y, A | B | Y },
    .infer = infer_embedding,
    .forward = TARN__KERNELS(cosine_embedding_forward),
    .backward = TARN__KERNELS(cosine_embedding_backward),
    .compose = embedding_compose,
};

tarn_tensor *tarn_cosine_embedding(tarn_tensor *a, tarn_tensor *b, tarn_tensor *y)
{
    return tarn_cosine_embedding_with(a, b, y, NULL);
}

tarn_tensor *tarn_cosine_embedding_with(tarn_tensor *a, tarn_tensor *b, tarn_tensor *y,
                                        const tarn_cosine_options *options)
{
    const tarn__op *op = &tarn__op_cosine_embedding;
    const tarn_cosine_options o = options != NULL ? *options : (tarn_cosine_options){ .margin = 0 };
    tarn__attr attr = { .value = o.margin };
    if (!tarn__take_reduction(op, a, o.reduction, &attr)) return NULL;
    if (a != NULL && !(o.margin >= -1 && o.margin <= 1)) {
        const tarn__call call = { .op = op, .manager = a->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "margin is %g; -1 to 1 is possible", o.margin);
        return NULL;
    }
    if (a != NULL) attr.axis = a->layout.ndim - 1;
    tarn_tensor *const in[] = { a, b, y };
    return tarn__apply(op, in, &attr);
}
