/* SPDX-License-Identifier: MIT
 * loss_elements.c - losses that compare tensors of one shape element by element. (Binary
 * cross-entropy, which may have weights, is in loss_bce.c.) */
#include "ops/loop.h"
#include "ops/loss.h"
#include "ops/op_list.h"
#include "ops/real.h"

#include "ops/loss_kernels.h"

#define TARN_KERNELS "ops/loss_elements.inc"
#include "ops/for_each_simd.h"

/* ---- mse: attr: choice = reduction, as in all that follow */

static tarn_tensor *mse_compose(const tarn__call *call)
{
    tarn_tensor *d = tarn_sub(call->in[0], call->in[1]);
    tarn_tensor *losses = tarn_square(d);
    return tarn__reduce_losses(call, losses);
}

const tarn__op tarn__op_mse = {
    .name = "mse",
    .operands = { "x", "y" },
    .arity = 2,
    .uses = { X | Y, X | Y },
    .infer = tarn__infer_loss,
    .forward = TARN__KERNELS(mse_forward),
    .backward = TARN__KERNELS(mse_backward),
    .compose = mse_compose,
};

static tarn_tensor *apply_reduced(const tarn__op *op, tarn_tensor *x, tarn_tensor *y,
                                  const tarn_loss_options *options)
{
    tarn__attr attr = { 0 };
    const tarn_reduction reduction = options != NULL ? options->reduction : TARN_REDUCE_MEAN;
    return tarn__take_reduction(op, x, reduction, &attr) ? tarn__apply2(op, x, y, &attr) : NULL;
}

tarn_tensor *tarn_mse(tarn_tensor *x, tarn_tensor *y) { return tarn_mse_with(x, y, NULL); }

tarn_tensor *tarn_mse_with(tarn_tensor *x, tarn_tensor *y, const tarn_loss_options *options)
{
    return apply_reduced(&tarn__op_mse, x, y, options);
}

/* ---- l1 */

static tarn_tensor *l1_compose(const tarn__call *call)
{
    tarn_tensor *d = tarn_sub(call->in[0], call->in[1]);
    tarn_tensor *losses = tarn_abs(d);
    return tarn__reduce_losses(call, losses);
}

const tarn__op tarn__op_l1 = {
    .name = "l1",
    .operands = { "x", "y" },
    .arity = 2,
    .uses = { X | Y, X | Y },
    .infer = tarn__infer_loss,
    .forward = TARN__KERNELS(l1_forward),
    .backward = TARN__KERNELS(l1_backward),
    .compose = l1_compose,
};

tarn_tensor *tarn_l1(tarn_tensor *x, tarn_tensor *y) { return tarn_l1_with(x, y, NULL); }

tarn_tensor *tarn_l1_with(tarn_tensor *x, tarn_tensor *y, const tarn_loss_options *options)
{
    return apply_reduced(&tarn__op_l1, x, y, options);
}

/* ---- huber: attr: value = delta, keep = divided by it */

/* With c = d cut to [-delta, delta], the loss is c (d - c / 2). */
static tarn_tensor *huber_compose(const tarn__call *call)
{
    const double delta = call->attr->value;
    tarn_tensor *d = tarn_sub(call->in[0], call->in[1]);
    tarn_tensor *below = tarn_minimum_scalar(d, delta);
    tarn_tensor *c = tarn_maximum_scalar(below, -delta);
    tarn_tensor *half = tarn_mul_scalar(c, 0.5);
    tarn_tensor *rest = tarn_sub(d, half);
    tarn_tensor *losses = tarn_mul(c, rest);
    if (call->attr->keep) losses = tarn_div_scalar(losses, delta);
    return tarn__reduce_losses(call, losses);
}

const tarn__op tarn__op_huber = {
    .name = "huber",
    .operands = { "x", "y" },
    .arity = 2,
    .uses = { X | Y, X | Y },
    .infer = tarn__infer_loss,
    .forward = TARN__KERNELS(huber_forward),
    .backward = TARN__KERNELS(huber_backward),
    .compose = huber_compose,
};

tarn_tensor *tarn_huber(tarn_tensor *x, tarn_tensor *y) { return tarn_huber_with(x, y, NULL); }

tarn_tensor *tarn_huber_with(tarn_tensor *x, tarn_tensor *y, const tarn_huber_options *options)
{
    const tarn__op *op = &tarn__op_huber;
    const tarn_huber_options o = options != NULL ? *options : (tarn_huber_options){ .delta = 0 };
    tarn__attr attr = { .keep = o.smooth_l1 };
    if (!tarn__take_reduction(op, x, o.reduction, &attr) ||
        !tarn__take_positive(op, x, "delta", o.delta == 0 ? 1 : o.delta, &attr))
        return NULL;
    return tarn__apply2(op, x, y, &attr);
}

/* ---- hinge: attr: value = margin, keep = squared */

static tarn_tensor *hinge_compose(const tarn__call *call)
{
    tarn_tensor *product = tarn_mul(call->in[0], call->in[1]);
    tarn_tensor *missing = tarn_rsub_scalar(product, call->attr->value);
    tarn_tensor *losses = tarn_relu(missing);
    if (call->attr->keep) losses = tarn_square(losses);
    return tarn__reduce_losses(call, losses);
}

const tarn__op tarn__op_hinge = {
    .name = "hinge",
    .operands = { "x", "y" },
    .arity = 2,
    .uses = { X | Y, X | Y },
    .infer = tarn__infer_loss,
    .forward = TARN__KERNELS(hinge_forward),
    .backward = TARN__KERNELS(hinge_backward),
    .compose = hinge_compose,
};

tarn_tensor *tarn_hinge(tarn_tensor *x, tarn_tensor *y) { return tarn_hinge_with(x, y, NULL); }

tarn_tensor *tarn_hinge_with(tarn_tensor *x, tarn_tensor *y, const tarn_hinge_options *options)
{
    const tarn__op *op = &tarn__op_hinge;
    const tarn_hinge_options o = options != NULL ? *options : (tarn_hinge_options){ .margin = 0 };
    tarn__attr attr = { .keep = o.squared };
    if (!tarn__take_reduction(op, x, o.reduction, &attr) ||
        !tarn__take_positive(op, x, "margin", o.margin == 0 ? 1 : o.margin, &attr))
        return NULL;
    return tarn__apply2(op, x, y, &attr);
}

/* ---- kl_divergence: attr: keep = y are logarithms */

/* dx = -g p, dy = g (log y + 1 - x), or g p (y - x + 1) where y are logarithms; 0 where p is 0. */
static tarn_tensor *kl_divergence_graph(const tarn__call *call, int i)
{
    tarn_tensor *x = call->in[0], *y = call->in[1];
    tarn_tensor *g = tarn__loss_gradient(call);
    tarn_tensor *p = call->attr->keep ? tarn_exp(y) : y;
    if (i == 0) {
        tarn_tensor *product = tarn_mul(p, g);
        return tarn_neg(product);
    }
    tarn_tensor *impossible = tarn_equal_scalar(p, 0);
    tarn_tensor *log_y = call->attr->keep ? y : tarn_log(y);
    tarn_tensor *difference = tarn_sub(log_y, x);
    tarn_tensor *slope = tarn_add_scalar(difference, 1);
    if (call->attr->keep) slope = tarn_mul(p, slope);
    tarn_tensor *possible = tarn_masked_fill(slope, impossible, 0);
    return tarn_mul(possible, g);
}

const tarn__op tarn__op_kl_divergence = {
    .name = "kl_divergence",
    .operands = { "x", "y" },
    .arity = 2,
    .uses = { Y, X | Y },
    .infer = tarn__infer_loss,
    .forward = TARN__KERNELS(kl_divergence_forward),
    .backward = TARN__KERNELS(kl_divergence_backward),
    .graph = kl_divergence_graph,
};

tarn_tensor *tarn_kl_divergence(tarn_tensor *x, tarn_tensor *y)
{
    return tarn_kl_divergence_with(x, y, NULL);
}

tarn_tensor *tarn_kl_divergence_with(tarn_tensor *x, tarn_tensor *y, const tarn_kl_options *options)
{
    const tarn__op *op = &tarn__op_kl_divergence;
    const tarn_kl_options o = options != NULL ? *options : (tarn_kl_options){ .log_target = false };
    tarn__attr attr = { .keep = o.log_target };
    return tarn__take_reduction(op, x, o.reduction, &attr) ? tarn__apply2(op, x, y, &attr) : NULL;
}

/* ---- gaussian_nll: attr: value = eps, keep = with the constant */

/* dx = g d / v, dv = g (1 - d^2 / v) / (2 v), with d = x - y. */
static tarn_tensor *gaussian_nll_graph(const tarn__call *call, int i)
{
    tarn_tensor *g = tarn__loss_gradient(call);
    tarn_tensor *v = tarn_maximum_scalar(call->in[2], call->attr->value);
    tarn_tensor *d =
        i == 1 ? tarn_sub(call->in[1], call->in[0]) : tarn_sub(call->in[0], call->in[1]);
    if (i < 2) {
        tarn_tensor *slope = tarn_div(d, v);
        return tarn_mul(slope, g);
    }
    tarn_tensor *square = tarn_square(d);
    tarn_tensor *ratio = tarn_div(square, v);
    tarn_tensor *rest = tarn_rsub_scalar(ratio, 1);
    tarn_tensor *quotient = tarn_div(rest, v);
    tarn_tensor *slope = tarn_mul_scalar(quotient, 0.5);
    return tarn_mul(slope, g);
}

const tarn__op tarn__op_gaussian_nll = {
    .name = "gaussian_nll",
    .operands = { "x", "y", "variance" },
    .arity = 3,
    .uses = { X | Y | Z, X | Y | Z, X | Y | Z },
    .infer = tarn__infer_loss,
    .forward = TARN__KERNELS(gaussian_nll_forward),
    .backward = TARN__KERNELS(gaussian_nll_backward),
    .graph = gaussian_nll_graph,
};

tarn_tensor *tarn_gaussian_nll(tarn_tensor *x, tarn_tensor *y, tarn_tensor *variance)
{
    return tarn_gaussian_nll_with(x, y, variance, NULL);
}

tarn_tensor *tarn_gaussian_nll_with(tarn_tensor *x, tarn_tensor *y, tarn_tensor *variance,
                                    const tarn_gaussian_nll_options *options)
{
    const tarn__op *op = &tarn__op_gaussian_nll;
    const tarn_gaussian_nll_options o =
        options != NULL ? *options : (tarn_gaussian_nll_options){ .eps = 0 };
    tarn__attr attr = { .keep = o.full };
    if (!tarn__take_reduction(op, x, o.reduction, &attr) ||
        !tarn__take_positive(op, x, "eps", o.eps == 0 ? 1e-6 : o.eps, &attr))
        return NULL;
    tarn_tensor *const in[] = { x, y, variance };
    return tarn__apply(op, in, &attr);
}
