/* SPDX-License-Identifier: MIT
 * gradient_stats.c - what gradients are like, in numbers and as a table. */
#include <math.h>
#include <string.h>

#include <tarn/debug.h>

#include "core/observer.h"
#include "nn/module.h"

#define TARN_KERNELS "nn/gradient_stats.inc"
#include "ops/for_each_float.h"

/* The figures of the elements of a tensor without gaps. */
static tarn_gradient_stats stats_of(tarn_tensor *t)
{
    tarn_gradient_stats s = { .arrived = true, .elements = t->layout.numel };
    tarn__observe_refusal(t->manager, "it asks what gradients are like");
    tarn__materialize(t);
    const int64_t n = s.elements;
    if (t->layout.dtype == TARN_F32) s.norm = norm_f32(t->data, n, survey_f32(t->data, n, &s));
    else s.norm = norm_f64(t->data, n, survey_f64(t->data, n, &s));
    if (n > s.not_finite) s.rms = s.norm / sqrt((double)(n - s.not_finite));
    return s;
}

/* A leaf whose elements have gaps, such as a view that became one, is not weighed. */
static double norm_of(tarn_tensor *t) { return t->layout.contiguous ? stats_of(t).norm : 0; }

tarn_gradient_stats tarn_get_gradient_stats(tarn_tensor *parameter)
{
    tarn_gradient_stats s = { .arrived = false };
    if (parameter == NULL || parameter->ended_by != TARN__ALIVE || parameter->grad == NULL ||
        parameter->grad_state == TARN__GRAD_EMPTY || parameter->manager->dry)
        return s;
    s = stats_of(parameter->grad);
    s.weight_norm = norm_of(parameter);
    s.ratio = s.norm == 0 ? 0 : s.norm / s.weight_norm;
    return s;
}

/* ---- the table */

static int width_of_names(const tarn_module *module)
{
    size_t width = strlen("gradient of");
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        const size_t n = strlen(tarn_name(p->tensor));
        width = n > width ? n : width;
    }
    return (int)width;
}

static bool print_line(FILE *stream, int width, tarn_tensor *t)
{
    const tarn_gradient_stats s = tarn_get_gradient_stats(t);
    const double zeros = s.elements > 0 ? 100 * (double)s.zeros / (double)s.elements : 0;
    if (fprintf(stream, "%-*s %10lld", width, tarn_name(t), (long long)t->layout.numel) < 0)
        return false;
    if (!t->requires_grad) return fprintf(stream, "  is not trained\n") >= 0;
    if (!s.arrived) return fprintf(stream, "  has received none\n") >= 0;
    return fprintf(stream, " %10.2e %10.2e %10.2e %10.2e %6.1f%% %10lld %10.2e\n", s.min, s.max,
                   s.mean_abs, s.rms, zeros, (long long)s.not_finite, s.ratio) >= 0;
}

tarn_status tarn_module_print_gradients(const tarn_module *module, FILE *stream)
{
    if (module == NULL || stream == NULL) return TARN_EARG;
    const int width = width_of_names(module);
    bool written = fprintf(stream, "%-*s %10s %10s %10s %10s %10s %7s %10s %10s\n", width,
                           "gradient of", "elements", "min", "max", "mean |g|", "rms", "zeros",
                           "not finite", "|g| / |w|") >= 0;
    for (tarn__member *p = NULL; (p = tarn__next_parameter(module, p)) != NULL;)
        written = print_line(stream, width, p->tensor) && written;
    return written ? TARN_OK : TARN_EIO;
}
