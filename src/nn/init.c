/* SPDX-License-Identifier: MIT
 * init.c - initial weights. Every kind comes down to a constant or a uniform or normal draw. */
#include "nn/init.h"

#include <float.h>
#include <math.h>

#include "core/manager.h"
#include "core/random.h"

/* Normal draws from 53 random bits lie within 8.6 deviations: a bound with room to spare. */
static const double NORMAL_REACH = 10;

/* The product of all sizes but one: fan_in without the first, fan_out without the second. */
static double fan(const tarn__layout *layout, int left_out)
{
    double product = 1;
    for (int i = 0; i < layout->ndim; i++)
        if (i != left_out) product *= (double)layout->dims[i];
    return product;
}

/* The default of a weight is Kaiming uniform, that of a bias (rank 0 or 1) zero. */
static tarn_init with_defaults(const tarn_init *init, const tarn__layout *layout)
{
    tarn_init r = init == NULL ? (tarn_init){ TARN_INIT_DEFAULT, 0, 0, 0 } : *init;
    if (r.kind == TARN_INIT_DEFAULT) {
        if (layout->ndim < 2) return (tarn_init){ TARN_INIT_CONSTANT, 0, 0, 0 };
        r.kind = TARN_INIT_KAIMING_UNIFORM;
    }
    return r;
}

/* The distribution that a kind of Xavier or Kaiming means. They fix its deviation s, which gives a
 * uniform one the bounds -s sqrt(3) and s sqrt(3). False if there is no such kind. */
static bool resolve_scaled(tarn_init *r, const tarn__layout *layout)
{
    const double fan_in = fan(layout, 0), fan_out = fan(layout, 1);
    const bool xavier = r->kind == TARN_INIT_XAVIER_UNIFORM || r->kind == TARN_INIT_XAVIER_NORMAL;
    const bool kaiming =
        r->kind == TARN_INIT_KAIMING_UNIFORM || r->kind == TARN_INIT_KAIMING_NORMAL;
    if (!xavier && !kaiming) return false;
    const double gain = r->gain != 0 ? r->gain : xavier ? 1 : sqrt(2);
    const double deviation = gain * (xavier ? sqrt(2 / (fan_in + fan_out)) : 1 / sqrt(fan_in));
    if (r->kind == TARN_INIT_XAVIER_UNIFORM || r->kind == TARN_INIT_KAIMING_UNIFORM) {
        const double bound = sqrt(3) * deviation;
        *r = (tarn_init){ TARN_INIT_UNIFORM, -bound, bound, 0 };
    } else {
        *r = (tarn_init){ TARN_INIT_NORMAL, 0, deviation, 0 };
    }
    return true;
}

/* An upper bound of what drawing computes, in magnitude. NaN and infinity stay so. */
static double reach(const tarn_init *r)
{
    switch (r->kind) {
    case TARN_INIT_CONSTANT: return fabs(r->a);
    case TARN_INIT_NORMAL: return fabs(r->a) + NORMAL_REACH * fabs(r->b);
    default: return fabs(r->a) + fabs(r->b);
    }
}

tarn_status tarn__init_resolve(tarn_manager *tm, const char *label, const char *name,
                               const tarn_init *init, const tarn__layout *layout, tarn_init *out)
{
    tarn_init r = with_defaults(init, layout);
    if (!(r.gain >= 0 && r.gain <= DBL_MAX))
        return tarn__fail(tm, TARN_EARG, "%s: initial \"%s\" of gain %g", label, name, r.gain);
    const bool known =
        r.kind == TARN_INIT_CONSTANT || r.kind == TARN_INIT_UNIFORM || r.kind == TARN_INIT_NORMAL;
    if (!known && !resolve_scaled(&r, layout))
        return tarn__fail(tm, TARN_EARG, "%s: initial \"%s\" of unknown kind %d", label, name,
                          (int)r.kind);

    if (layout->numel == 0) { /* the fans may be zero, and nothing is drawn */
        *out = (tarn_init){ TARN_INIT_CONSTANT, 0, 0, 0 };
        return TARN_OK;
    }
    const double limit = layout->dtype == TARN_F32 ? (double)FLT_MAX : DBL_MAX;
    const bool in_order = r.kind != TARN_INIT_UNIFORM || r.a <= r.b;
    const bool positive = r.kind != TARN_INIT_NORMAL || r.b >= 0;
    if (!(reach(&r) <= limit) || !in_order || !positive)
        return tarn__fail(tm, TARN_EARG, "%s: initial \"%s\" %s %g and %g", label, name,
                          r.kind == TARN_INIT_UNIFORM  ? "uniform between"
                          : r.kind == TARN_INIT_NORMAL ? "normal of mean and deviation"
                                                       : "constant: a and b are",
                          r.a, r.b);
    *out = r;
    return TARN_OK;
}

static void fill_constant(tarn_tensor *t, double value)
{
    const size_t n = tarn__elements(t);
    if (t->layout.dtype == TARN_F32)
        for (size_t i = 0; i < n; i++) ((float *)t->data)[i] = (float)value;
    else
        for (size_t i = 0; i < n; i++) ((double *)t->data)[i] = value;
}

void tarn__init_fill(tarn_tensor *t, const tarn_init *resolved, uint64_t key)
{
    const double a = resolved->a, b = resolved->b;
    const size_t n = tarn__elements(t);
    const bool f32 = t->layout.dtype == TARN_F32;
    if (resolved->kind == TARN_INIT_CONSTANT) fill_constant(t, a);
    else if (resolved->kind == TARN_INIT_UNIFORM && f32)
        tarn__fill_uniform_f32(t->data, n, a, b, key);
    else if (resolved->kind == TARN_INIT_UNIFORM) tarn__fill_uniform_f64(t->data, n, a, b, key);
    else if (f32) tarn__fill_normal_f32(t->data, n, a, b, key);
    else tarn__fill_normal_f64(t->data, n, a, b, key);
}
