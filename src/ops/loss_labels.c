/* SPDX-License-Identifier: MIT
 * loss_labels.c - losses of rows of numbers, one a class, with a label each: cross_entropy and nll.
 * Rows lie along axis 1: of (B, C, d1, ...) there are B d1 ..., as many as labels.
 *
 * attr: value = label smoothing, keep = rows labelled sizes[0] are ignored, choice = reduction. */
#include "ops/formula.h"
#include "ops/lanes.h"
#include "ops/loss.h"
#include "ops/op_list.h"
#include "ops/real.h"
#include "ops/rows.h"

enum { X = TARN__USES_IN0, LABELS = TARN__USES_IN1, WEIGHTS = TARN__USES_IN2 };

/* ---- labels */

static int64_t label_at(const tarn_tensor *labels, int64_t row)
{
    switch (labels->layout.dtype) {
    case TARN_I32: return ((const int32_t *)labels->data)[row];
    case TARN_U8: return ((const uint8_t *)labels->data)[row];
    default: return ((const int64_t *)labels->data)[row];
    }
}

static bool is_ignored(const tarn__attr *attr, int64_t label)
{
    return attr->keep && label == attr->sizes[0];
}

static tarn_status label_misfit(const tarn__call *call, int64_t label, int64_t row, int64_t C)
{
    char text[TARN__DESCRIPTION_BYTES];
    return tarn__call_fail(
        call, TARN_EARG, "label %lld of row %lld is not in [0, %lld), the classes of %s %s%s",
        (long long)label, (long long)row, (long long)C, call->op->operands[0],
        tarn__describe(call->in[0], text),
        label < 0 ? " (rows with the ignore_index of the options are left out)" : "");
}

/* Both passes check the labels, although the backward pass sees those of the forward: a write
 * through an old pointer must not become a write outside of dx. */
static tarn_status check_labels(const tarn__call *call, int64_t C)
{
    const tarn_tensor *labels = call->in[1];
    for (int64_t row = 0; row < labels->layout.numel; row++) {
        const int64_t label = label_at(labels, row);
        if ((label < 0 || label >= C) && !is_ignored(call->attr, label))
            return label_misfit(call, label, row, C);
    }
    return TARN_OK;
}

/* ---- shape rules */

/* Whether labels have one more axis than they need, in which all classes stand. */
static bool are_one_hot(const tarn__call *call)
{
    return call->in[0]->layout.ndim >= 2 &&
           tarn__same_shape(&call->in[0]->layout, &call->in[1]->layout);
}

static tarn_status check_label_type(const tarn__call *call)
{
    const tarn__layout *l = &call->in[1]->layout;
    if (l->dtype == TARN_I32 || l->dtype == TARN_I64 || l->dtype == TARN_U8) return TARN_OK;
    return tarn__call_fail(call, TARN_EDTYPE, "labels is %s; int32, int64 or uint8 is needed (%s)",
                           tarn_dtype_name((tarn_dtype)l->dtype),
                           are_one_hot(call) ? "tarn_argmax(labels, TARN_AXES(1)) gives the classes"
                                             : "tarn_cast converts");
}

/* What makes labels of another number of axes fit. */
static const char *remedy_axes(const tarn__call *call)
{
    const tarn__layout *x = &call->in[0]->layout, *l = &call->in[1]->layout;
    if (are_one_hot(call)) return " (tarn_argmax(labels, TARN_AXES(1)) gives the classes)";
    if (x->ndim == 2 && l->ndim == 2 && l->dims[0] == x->dims[0] && l->dims[1] == 1)
        return " (tarn_squeeze(labels, 1) leaves the axis out)";
    return "";
}

/* Whether labels have the axes of x but for the classes. */
static tarn_status check_label_shape(const tarn__call *call)
{
    const tarn_tensor *logits = call->in[0], *labels = call->in[1];
    const tarn__layout *x = &logits->layout, *l = &labels->layout;
    const char *name = call->op->operands[0];
    char x_text[TARN__DESCRIPTION_BYTES], l_text[TARN__DESCRIPTION_BYTES], remedy[80] = "";
    tarn__describe(logits, x_text);
    tarn__describe(labels, l_text);
    if (x->ndim < 2 || l->ndim != x->ndim - 1)
        return tarn__call_fail(call, TARN_ESHAPE,
                               "%s %s, labels %s; %s (B, C%s) and labels (B%s) are needed%s", name,
                               x_text, l_text, name, x->ndim > 2 ? ", ..." : "",
                               x->ndim > 2 ? ", ..." : "", remedy_axes(call));
    if (x->dims[0] != l->dims[0])
        return tarn__call_fail(call, TARN_ESHAPE, "%s %s, labels %s: %lld and %lld rows differ",
                               name, x_text, l_text, (long long)x->dims[0], (long long)l->dims[0]);
    for (int axis = 2; axis < x->ndim; axis++) {
        if (x->dims[axis] == l->dims[axis - 1]) continue;
        if (x->ndim == 3 && x->dims[1] == l->dims[1])
            (void)snprintf(remedy, sizeof(remedy), " (tarn_transpose(%s, 1, 2) has them there)",
                           name);
        return tarn__call_fail(
            call, TARN_ESHAPE,
            "%s %s, labels %s: sizes %lld and %lld differ; classes are along axis 1 of %s%s", name,
            x_text, l_text, (long long)x->dims[axis], (long long)l->dims[axis - 1], name, remedy);
    }
    return TARN_OK;
}

static tarn_status check_weights(const tarn__call *call)
{
    const tarn_tensor *logits = call->in[0], *weights = call->in[2];
    char x_text[TARN__DESCRIPTION_BYTES], w_text[TARN__DESCRIPTION_BYTES];
    if (weights == NULL ||
        (weights->layout.ndim == 1 && weights->layout.dims[0] == logits->layout.dims[1]))
        return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE, "%s %s, weights %s; weights (%lld) is needed",
                           call->op->operands[0], tarn__describe(logits, x_text),
                           tarn__describe(weights, w_text), (long long)logits->layout.dims[1]);
}

static tarn_status infer_label_loss(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *l = &call->in[1]->layout;
    (void)offset;
    tarn_status status = check_label_type(call);
    if (status == TARN_OK) status = check_label_shape(call);
    if (status == TARN_OK) status = check_weights(call);
    if (status != TARN_OK) return status;
    out->dtype = call->in[0]->layout.dtype;
    out->ndim = tarn__keeps_losses(call) ? l->ndim : 0;
    for (int axis = 0; axis < out->ndim; axis++) out->dims[axis] = l->dims[axis];
    return TARN_OK;
}

/* Weights (C) and labels (B, d1, ...) give (B, C, d1, ...). */
static tarn_status infer_label_weights(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *w = &call->in[0]->layout, *l = &call->in[1]->layout;
    char w_text[TARN__DESCRIPTION_BYTES], l_text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    const tarn_status status = check_label_type(call);
    if (status != TARN_OK) return status;
    if (w->ndim != 1 || l->ndim < 1 || l->ndim >= TARN_MAX_DIMS)
        return tarn__call_fail(
            call, TARN_ESHAPE, "weights %s, labels %s; weights (C) and labels (B, ...) are needed",
            tarn__describe(call->in[0], w_text), tarn__describe(call->in[1], l_text));
    out->dtype = w->dtype;
    out->ndim = (uint8_t)(l->ndim + 1);
    out->dims[0] = l->dims[0];
    out->dims[1] = w->dims[0];
    for (int axis = 1; axis < l->ndim; axis++) out->dims[axis + 1] = l->dims[axis];
    return TARN_OK;
}

/* ---- gradients of other operations */

/* How much each class of each row counts in the loss: (B, C, d1, ...). */
static tarn_tensor *counts_of(const tarn__call *call)
{
    const tarn__layout *x = &call->in[0]->layout;
    tarn_tensor *weights = call->in[2];
    if (weights == NULL)
        weights = tarn_ones(call->manager, (tarn_dtype)x->dtype, TARN_SHAPE(x->dims[1]));
    return tarn__apply2(&tarn__op_label_weights, weights, call->in[1], call->attr);
}

/* dloss, with an axis of size 1 for the classes if it is one for each row. */
static tarn_tensor *gradient_of_rows(const tarn__call *call)
{
    if (!tarn__keeps_losses(call)) return call->dout;
    const tarn__layout *l = &call->in[1]->layout;
    tarn_shape shape = { .ndim = l->ndim + 1, .dims = { l->dims[0], 1 } };
    for (int axis = 1; axis < l->ndim; axis++) shape.dims[axis + 1] = l->dims[axis];
    tarn_tensor *dense = tarn_contiguous(call->dout);
    return tarn_reshape(dense, shape);
}

/* dx = (softmax(x) sum(counts) - counts) dloss, with the sum over classes. */
static tarn_tensor *cross_entropy_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *dloss = gradient_of_rows(call);
    tarn_tensor *counts = counts_of(call);
    tarn_tensor *sum = tarn_sum(counts, TARN_AXES_KEEP(1));
    tarn_tensor *p = tarn_softmax(call->in[0], 1);
    tarn_tensor *weighted = tarn_mul(p, sum);
    tarn_tensor *difference = tarn_sub(weighted, counts);
    return tarn_mul(difference, dloss);
}

/* dlog_p = -counts dloss. */
static tarn_tensor *nll_graph(const tarn__call *call, int i)
{
    (void)i;
    tarn_tensor *dloss = gradient_of_rows(call);
    tarn_tensor *counts = counts_of(call);
    tarn_tensor *product = tarn_mul(counts, dloss);
    return tarn_neg(product);
}

/* ---- the operations */

#define TARN_KERNELS "ops/loss_labels.inc"
#include "ops/for_each_simd.h"

const tarn__op tarn__op_cross_entropy = {
    .name = "cross_entropy",
    .operands = { "logits", "labels", "weights" },
    .arity = 3,
    .optional = 4,
    .any_dtype = 2,
    .uses = { X | LABELS | WEIGHTS },
    .infer = infer_label_loss,
    .forward = TARN__KERNELS(cross_entropy_forward),
    .backward = TARN__KERNELS(cross_entropy_backward),
    .graph = cross_entropy_graph,
};

const tarn__op tarn__op_nll = {
    .name = "nll",
    .operands = { "log_p", "labels", "weights" },
    .arity = 3,
    .optional = 4,
    .any_dtype = 2,
    .uses = { LABELS | WEIGHTS },
    .infer = infer_label_loss,
    .forward = TARN__KERNELS(nll_forward),
    .backward = TARN__KERNELS(nll_backward),
    .graph = nll_graph,
};

/* What the second derivatives of the others are made with; it has no gradient itself. */
const tarn__op tarn__op_label_weights = {
    .name = "label_weights",
    .operands = { "weights", "labels" },
    .arity = 2,
    .any_dtype = 2,
    .stops_gradient = true,
    .infer = infer_label_weights,
    .forward = TARN__KERNELS(label_weights_forward),
};

static tarn_tensor *apply(const tarn__op *op, tarn_tensor *x, tarn_tensor *labels,
                          const tarn_label_options *options)
{
    const tarn_label_options o =
        options != NULL ? *options : (tarn_label_options){ .weights = NULL };
    tarn__attr attr = { .value = o.label_smoothing, .keep = o.ignores };
    attr.sizes[0] = o.ignore_index;
    if (!tarn__take_reduction(op, x, o.reduction, &attr) ||
        !tarn__is_constant(op, x, "weights", o.weights))
        return NULL;
    if (x != NULL && !(o.label_smoothing >= 0 && o.label_smoothing <= 1)) {
        const tarn__call call = { .op = op, .manager = x->manager };
        (void)tarn__call_fail(&call, TARN_EARG, "label_smoothing is %g; 0 to 1 is possible",
                              o.label_smoothing);
        return NULL;
    }
    tarn_tensor *const in[] = { x, labels, o.weights };
    return tarn__apply(op, in, &attr);
}

tarn_tensor *tarn_cross_entropy(tarn_tensor *logits, tarn_tensor *labels)
{
    return apply(&tarn__op_cross_entropy, logits, labels, NULL);
}

tarn_tensor *tarn_cross_entropy_with(tarn_tensor *logits, tarn_tensor *labels,
                                     const tarn_label_options *options)
{
    return apply(&tarn__op_cross_entropy, logits, labels, options);
}

tarn_tensor *tarn_nll(tarn_tensor *log_p, tarn_tensor *labels)
{
    return apply(&tarn__op_nll, log_p, labels, NULL);
}

tarn_tensor *tarn_nll_with(tarn_tensor *log_p, tarn_tensor *labels,
                           const tarn_label_options *options)
{
    return apply(&tarn__op_nll, log_p, labels, options);
}
