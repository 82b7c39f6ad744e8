/* SPDX-License-Identifier: MIT
 * clip.c - what is done to all gradients of a module at once. */
#include <math.h>

#include <tarn/autograd.h>

#include "nn/module.h"

/* Partial sums, which a compiler can keep in vectors without reordering any addition. */
enum { LANES = 8 };

#define TARN_KERNELS "nn/clip.inc"
#include "ops/for_each_float.h"

/* The gradient of a parameter that waits for a step, or NULL. */
static tarn_tensor *arrived(const tarn__member *parameter)
{
    return tarn_has_grad(parameter->tensor) ? parameter->tensor->grad : NULL;
}

static double sum_of_squares(tarn_tensor *grad)
{
    tarn__materialize(grad);
    if (grad->layout.dtype == TARN_F32) return sum_of_squares_f32(grad->data, tarn__elements(grad));
    return sum_of_squares_f64(grad->data, tarn__elements(grad));
}

static void scale(tarn_tensor *grad, double factor)
{
    tarn__touch(grad, false);
    if (grad->layout.dtype == TARN_F32) scale_f32(grad->data, tarn__elements(grad), factor);
    else scale_f64(grad->data, tarn__elements(grad), factor);
}

double tarn_clip_grad_norm(tarn_module *module, double max_norm)
{
    if (module == NULL) return NAN;
    tarn_manager *tm = module->object.manager;
    if (!tarn_ok(tm)) return NAN;
    if (!(max_norm > 0)) {
        (void)tarn__fail(tm, TARN_EARG, "tarn_clip_grad_norm: max_norm %g is not above 0",
                         max_norm);
        return NAN;
    }

    double sum = 0;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        tarn_tensor *grad = arrived(p);
        if (grad == NULL) continue;
        sum += sum_of_squares(grad);
        if (!isfinite(sum)) {
            char text[TARN__DESCRIPTION_BYTES];
            (void)tarn__fail(tm, TARN_ENUMERIC,
                             "tarn_clip_grad_norm: the norm of the gradient of %s is not finite",
                             tarn__describe(p->tensor, text));
            return NAN;
        }
    }

    const double norm = sqrt(sum);
    if (norm > max_norm)
        while ((p = tarn__next_parameter(module, p)) != NULL)
            if (arrived(p) != NULL) scale(arrived(p), max_norm / norm);
    return norm;
}

void tarn_module_zero_grad(tarn_module *module)
{
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL)
        if (p->tensor->requires_grad) (void)tarn_zero_grad(p->tensor);
}
