/* SPDX-License-Identifier: MIT
 * clip.c - what is done to all gradients of a module at once. */
#include <float.h>
#include <math.h>

#include <tarn/autograd.h>

#include "core/observer.h"
#include "nn/module.h"

/* Partial sums, which a compiler can keep in vectors without reordering any addition. */
enum { LANES = 32 };

#define TARN_KERNELS "nn/clip.inc"
#include "ops/for_each_simd.h"

/* The gradient of a parameter that waits for a step, or NULL. */
static tarn_tensor *arrived(const tarn__member *parameter)
{
    return tarn_has_grad(parameter->tensor) ? parameter->tensor->grad : NULL;
}

/* The sum of the squares of all gradients' elements, each times `by`. */
static double sum_of_squares(tarn_module *module, double by)
{
    static double (*const f32[])(const float *, size_t, double) = TARN__LEVELS(sum_of_squares_f32);
    static double (*const f64[])(const double *, size_t, double) = TARN__LEVELS(sum_of_squares_f64);
    const int level = tarn__simd();
    double sum = 0;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        tarn_tensor *grad = arrived(p);
        if (grad == NULL) continue;
        const size_t n = tarn__elements(grad);
        tarn__materialize(grad);
        sum += grad->layout.dtype == TARN_F32 ? f32[level](grad->data, n, by)
                                              : f64[level](grad->data, n, by);
    }
    return sum;
}

/* The largest magnitude among all gradients' elements; NaN, with the error held, if one of them is
 * not finite. */
static double largest_magnitude(tarn_module *module)
{
    static double (*const f32[])(const float *, size_t) = TARN__LEVELS(largest_magnitude_f32);
    static double (*const f64[])(const double *, size_t) = TARN__LEVELS(largest_magnitude_f64);
    const int level = tarn__simd();
    double largest = 0;
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        tarn_tensor *grad = arrived(p);
        if (grad == NULL) continue;
        const size_t n = tarn__elements(grad);
        const double own =
            grad->layout.dtype == TARN_F32 ? f32[level](grad->data, n) : f64[level](grad->data, n);
        if (!isfinite(own)) {
            char text[TARN__DESCRIPTION_BYTES];
            (void)tarn__fail(module->object.manager, TARN_ENUMERIC,
                             "tarn_clip_grad_norm: the norm of the gradient of %s is not finite: "
                             "tarn_check_finite names the operation that made it so",
                             tarn__describe(p->tensor, text));
            return NAN;
        }
        largest = own > largest ? own : largest;
    }
    return largest;
}

/* The norm of all gradients as one vector; NaN with the error held. Squares that overflow or that
 * lose their digits near zero are computed again from elements brought near 1 by a power of two,
 * which rounds nothing. */
static double norm_of_gradients(tarn_module *module)
{
    const double sum = sum_of_squares(module, 1);
    if (sum > 0x1p-900 && sum <= DBL_MAX) return sqrt(sum);
    const double largest = largest_magnitude(module);
    if (!(largest > 0)) return largest;
    const int exponent = ilogb(largest) > -1000 ? ilogb(largest) : -1000;
    const double norm = ldexp(sqrt(sum_of_squares(module, ldexp(1, -exponent))), exponent);
    if (isfinite(norm)) return norm;
    (void)tarn__fail(module->object.manager, TARN_ENUMERIC,
                     "tarn_clip_grad_norm: the norm of all gradients is not finite, although their "
                     "elements are: the largest is %g",
                     largest);
    return NAN;
}

static void scale(tarn_tensor *grad, double factor)
{
    static void (*const f32[])(float *, size_t, double) = TARN__LEVELS(scale_f32);
    static void (*const f64[])(double *, size_t, double) = TARN__LEVELS(scale_f64);
    const int level = tarn__simd();
    tarn__touch(grad, false);
    if (grad->layout.dtype == TARN_F32) f32[level](grad->data, tarn__elements(grad), factor);
    else f64[level](grad->data, tarn__elements(grad), factor);
}

/* Clipping inside a plan. */
static tarn_status clip_norm_again(void *object, double max_norm, uint64_t *key)
{
    tarn_module *module = object;
    (void)key;
    (void)tarn_clip_grad_norm(module, max_norm);
    return tarn_error_code(module->object.manager);
}

static tarn_status clip_value_again(void *object, double limit, uint64_t *key)
{
    (void)key;
    return tarn_clip_grad_value(object, limit);
}

static void observe(tarn_module *module, double number, const char *name,
                    tarn_status (*again)(void *object, double number, uint64_t *key))
{
    const tarn__action action = { .run = again,
                                  .object = module,
                                  .number = number,
                                  .owner = &module->root->object,
                                  .name = name };
    tarn__observe_action(module->object.manager, &action);
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

    observe(module, max_norm, "clip_grad_norm", clip_norm_again);
    const double norm = tm->dry ? 0 : norm_of_gradients(module);
    tarn__member *p = NULL;
    if (norm > max_norm)
        while ((p = tarn__next_parameter(module, p)) != NULL)
            if (arrived(p) != NULL) scale(arrived(p), max_norm / norm);
    tarn__observe_action_end(tm);
    return norm;
}

static bool has_nan(tarn_tensor *grad)
{
    static bool (*const f32[])(const float *, size_t) = TARN__LEVELS(has_nan_f32);
    static bool (*const f64[])(const double *, size_t) = TARN__LEVELS(has_nan_f64);
    const int level = tarn__simd();
    const size_t n = tarn__elements(grad);
    tarn__materialize(grad);
    return grad->layout.dtype == TARN_F32 ? f32[level](grad->data, n) : f64[level](grad->data, n);
}

/* A limit above the largest number of a type cuts infinities to that number. */
static void cut(tarn_tensor *grad, double limit)
{
    static void (*const f32[])(float *, size_t, float) = TARN__LEVELS(cut_f32);
    static void (*const f64[])(double *, size_t, double) = TARN__LEVELS(cut_f64);
    const int level = tarn__simd();
    const size_t n = tarn__elements(grad);
    tarn__touch(grad, false);
    if (grad->layout.dtype == TARN_F32)
        f32[level](grad->data, n, limit < (double)FLT_MAX ? (float)limit : FLT_MAX);
    else f64[level](grad->data, n, limit < DBL_MAX ? limit : DBL_MAX);
}

tarn_status tarn_clip_grad_value(tarn_module *module, double limit)
{
    if (module == NULL) return TARN_EARG;
    tarn_manager *tm = module->object.manager;
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    if (!(limit > 0))
        return tarn__fail(tm, TARN_EARG, "tarn_clip_grad_value: limit %g is not above 0", limit);
    if (tm->dry) return TARN_OK;

    observe(module, limit, "clip_grad_value", clip_value_again);
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        if (arrived(p) == NULL || !has_nan(arrived(p))) continue;
        char text[TARN__DESCRIPTION_BYTES];
        tarn__observe_action_end(tm);
        return tarn__fail(tm, TARN_ENUMERIC,
                          "tarn_clip_grad_value: the gradient of %s has elements that are NaN",
                          tarn__describe(p->tensor, text));
    }
    while ((p = tarn__next_parameter(module, p)) != NULL)
        if (arrived(p) != NULL) cut(arrived(p), limit);
    tarn__observe_action_end(tm);
    return TARN_OK;
}

void tarn_module_zero_grad(tarn_module *module)
{
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL)
        if (p->tensor->requires_grad) (void)tarn_zero_grad(p->tensor);
}
