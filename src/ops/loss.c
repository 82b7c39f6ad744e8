/* SPDX-License-Identifier: MIT
 * loss.c - what losses share. */
#include "ops/loss.h"

#include <float.h>

#include "ops/remedies.h"

/* ---- shapes and reductions */

double tarn__loss_divisor(const tarn__attr *attr, const tarn__layout *losses)
{
    switch (attr->choice) {
    case TARN_REDUCE_MEAN: return (double)losses->numel;
    case TARN_REDUCE_BATCH_MEAN: return losses->ndim > 0 ? (double)losses->dims[0] : 1;
    default: return 1;
    }
}

tarn_status tarn__check_one_shape(const tarn__call *call, int i)
{
    const tarn_tensor *x = call->in[0], *y = call->in[i];
    char x_text[TARN__DESCRIPTION_BYTES], y_text[TARN__DESCRIPTION_BYTES];
    char remedy[TARN__REMEDY_BYTES];
    if (y == NULL || tarn__same_shape(&x->layout, &y->layout)) return TARN_OK;
    return tarn__call_fail(call, TARN_ESHAPE, "%s %s, %s %s: one shape is needed%s",
                           call->op->operands[0], tarn__describe(x, x_text), call->op->operands[i],
                           tarn__describe(y, y_text), tarn__remedy_reshape(call, i, remedy));
}

tarn_status tarn__infer_loss(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    for (int i = 1; i < call->op->arity; i++)
        if (tarn__check_one_shape(call, i) != TARN_OK) return TARN_ESHAPE;
    if (tarn__keeps_losses(call)) return tarn__infer_same(call, out, offset);
    out->dtype = call->in[0]->layout.dtype;
    out->ndim = 0;
    return TARN_OK;
}

/* ---- options */

bool tarn__take_reduction(const tarn__op *op, const tarn_tensor *x, tarn_reduction reduction,
                          tarn__attr *attr)
{
    attr->choice = (uint8_t)reduction;
    if (x == NULL || ((int)reduction >= 0 && reduction <= TARN_REDUCE_BATCH_MEAN)) return true;
    const tarn__call call = { .op = op, .manager = x->manager };
    (void)tarn__call_fail(&call, TARN_EARG, "there is no reduction %d", (int)reduction);
    return false;
}

bool tarn__take_positive(const tarn__op *op, const tarn_tensor *x, const char *name, double value,
                         tarn__attr *attr)
{
    attr->value = value;
    if (x == NULL) return true;
    const bool f32 = x->layout.dtype == TARN_F32;
    const double least = f32 ? (double)FLT_MIN : DBL_MIN, most = f32 ? (double)FLT_MAX : DBL_MAX;
    if (value >= least && value <= most) return true;
    const tarn__call call = { .op = op, .manager = x->manager };
    (void)tarn__call_fail(&call, TARN_EARG, "%s is %g; a positive finite number is needed", name,
                          value);
    return false;
}

bool tarn__is_constant(const tarn__op *op, const tarn_tensor *x, const char *name,
                       const tarn_tensor *option)
{
    if (x == NULL || option == NULL || !option->requires_grad) return true;
    const tarn__call call = { .op = op, .manager = x->manager };
    char text[TARN__DESCRIPTION_BYTES];
    (void)tarn__call_fail(&call, TARN_EARG,
                          "%s %s requires a gradient, but receives none: pass tarn_detach of it",
                          name, tarn__describe(option, text));
    return false;
}

/* ---- of other operations */

tarn_tensor *tarn__loss_gradient(const tarn__call *call)
{
    const double divisor = tarn__loss_divisor(call->attr, &call->in[0]->layout);
    return divisor == 1 ? call->dout : tarn_div_scalar(call->dout, divisor);
}

tarn_tensor *tarn__reduce_losses(const tarn__call *call, tarn_tensor *losses)
{
    if (losses == NULL || tarn__keeps_losses(call)) return losses;
    const double divisor = tarn__loss_divisor(call->attr, &losses->layout);
    tarn_tensor *sum = tarn_sum(losses, TARN_ALL_AXES);
    return divisor == 1 ? sum : tarn_div_scalar(sum, divisor);
}
