/* SPDX-License-Identifier: MIT
 * loss.c - losses: numbers that training makes small. B is the number of rows (of a batch), C of
 * classes. */
#include "ops/loop.h"
#include "ops/op_list.h"
#include "ops/real.h"

enum { X = TARN__USES_IN0, Y = TARN__USES_IN1 };

/* ---- labels */

static int64_t label_at(const tarn_tensor *labels, int64_t b)
{
    switch (labels->layout.dtype) {
    case TARN_I32: return ((const int32_t *)labels->data)[b];
    case TARN_U8: return ((const uint8_t *)labels->data)[b];
    default: return ((const int64_t *)labels->data)[b];
    }
}

/* Both passes check the labels, although the backward pass sees those of the forward: a write
 * through an old pointer must not become a write outside of dx. */
static tarn_status check_labels(const tarn__call *call)
{
    const tarn_tensor *labels = call->in[1];
    const int64_t B = labels->layout.numel, C = call->in[0]->layout.dims[1];
    for (int64_t b = 0; b < B; b++) {
        const int64_t label = label_at(labels, b);
        if (label < 0 || label >= C)
            return tarn__call_fail(call, TARN_EARG, "label %lld of row %lld is not in [0, %lld)",
                                   (long long)label, (long long)b, (long long)C);
    }
    return TARN_OK;
}

/* ---- shape rules: every loss is a scalar */

static tarn_status infer_cross_entropy(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn_tensor *logits = call->in[0], *labels = call->in[1];
    const tarn__layout *x = &logits->layout, *l = &labels->layout;
    char x_text[TARN__DESCRIPTION_BYTES], l_text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (l->dtype != TARN_I32 && l->dtype != TARN_I64 && l->dtype != TARN_U8)
        return tarn__call_fail(call, TARN_EDTYPE, "labels is %s; int32, int64 or uint8 is needed",
                               tarn_dtype_name((tarn_dtype)l->dtype));
    if (x->ndim != 2 || l->ndim != 1)
        return tarn__call_fail(call, TARN_ESHAPE,
                               "logits %s, labels %s; logits (B, C) and labels (B) are needed",
                               tarn__describe(logits, x_text), tarn__describe(labels, l_text));
    if (x->dims[0] != l->dims[0])
        return tarn__call_fail(call, TARN_ESHAPE, "logits %s, labels %s: %lld and %lld rows differ",
                               tarn__describe(logits, x_text), tarn__describe(labels, l_text),
                               (long long)x->dims[0], (long long)l->dims[0]);
    out->dtype = x->dtype;
    out->ndim = 0;
    return TARN_OK;
}

static tarn_status infer_same_shapes(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn_tensor *x = call->in[0], *y = call->in[1];
    char x_text[TARN__DESCRIPTION_BYTES], y_text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (!tarn__same_shape(&x->layout, &y->layout))
        return tarn__call_fail(call, TARN_ESHAPE, "x %s, y %s: the shapes differ",
                               tarn__describe(x, x_text), tarn__describe(y, y_text));
    out->dtype = x->layout.dtype;
    out->ndim = 0;
    return TARN_OK;
}

/* ---- the operations */

#define TARN_KERNELS "ops/loss.inc"
#include "ops/for_each_float.h"

const tarn__op tarn__op_cross_entropy = {
    .name = "cross_entropy",
    .operands = { "logits", "labels" },
    .arity = 2,
    .any_dtype = 2,
    .uses = { TARN__USES_IN0 | TARN__USES_IN1, 0 },
    .infer = infer_cross_entropy,
    .forward = TARN__FLOATS(cross_entropy_forward),
    .backward = TARN__FLOATS(cross_entropy_backward),
};

const tarn__op tarn__op_bce_with_logits = {
    .name = "bce_with_logits",
    .operands = { "x", "y" },
    .arity = 2,
    .uses = { X | Y, X },
    .infer = infer_same_shapes,
    .forward = TARN__FLOATS(bce_with_logits_forward),
    .backward = TARN__FLOATS(bce_with_logits_backward),
};

const tarn__op tarn__op_mse = {
    .name = "mse",
    .operands = { "x", "y" },
    .arity = 2,
    .uses = { X | Y, X | Y },
    .infer = infer_same_shapes,
    .forward = TARN__FLOATS(mse_forward),
    .backward = TARN__FLOATS(mse_backward),
};

tarn_tensor *tarn_cross_entropy(tarn_tensor *logits, tarn_tensor *labels)
{
    return tarn__apply2(&tarn__op_cross_entropy, logits, labels, NULL);
}

tarn_tensor *tarn_bce_with_logits(tarn_tensor *x, tarn_tensor *y)
{
    return tarn__apply2(&tarn__op_bce_with_logits, x, y, NULL);
}

tarn_tensor *tarn_mse(tarn_tensor *x, tarn_tensor *y)
{
    return tarn__apply2(&tarn__op_mse, x, y, NULL);
}
