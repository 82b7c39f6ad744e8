/* SPDX-License-Identifier: MIT
 * init.c - initial weights. Xavier and Kaiming come down to uniform or normal draws. */
#include "nn/init.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

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
    tarn_init r = init == NULL ? (tarn_init){ .kind = TARN_INIT_DEFAULT } : *init;
    if (r.kind == TARN_INIT_DEFAULT) {
        if (layout->ndim < 2) return (tarn_init){ .kind = TARN_INIT_CONSTANT };
        r.kind = TARN_INIT_KAIMING_UNIFORM;
    }
    if (r.kind == TARN_INIT_TRUNCATED_NORMAL && r.low == 0 && r.high == 0) {
        r.low = r.a - 2 * r.b;
        r.high = r.a + 2 * r.b;
    }
    return r;
}

/* Whether a kind is one of those that others come down to. */
static bool is_plain(tarn_init_kind kind)
{
    switch (kind) {
    case TARN_INIT_CONSTANT:
    case TARN_INIT_UNIFORM:
    case TARN_INIT_NORMAL:
    case TARN_INIT_TRUNCATED_NORMAL:
    case TARN_INIT_ORTHOGONAL:
    case TARN_INIT_IDENTITY: return true;
    default: return false;
    }
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
        *r = (tarn_init){ .kind = TARN_INIT_UNIFORM, .a = -bound, .b = bound };
    } else {
        *r = (tarn_init){ .kind = TARN_INIT_NORMAL, .b = deviation };
    }
    return true;
}

/* An upper bound of what drawing computes, in magnitude. NaN and infinity stay so. */
static double reach(const tarn_init *r)
{
    const double tail = r->low > r->a ? fabs(r->low) : r->high < r->a ? fabs(r->high) : 0;
    switch (r->kind) {
    case TARN_INIT_CONSTANT: return fabs(r->a);
    case TARN_INIT_NORMAL: return fabs(r->a) + NORMAL_REACH * fabs(r->b);
    case TARN_INIT_TRUNCATED_NORMAL: return fabs(r->a) + NORMAL_REACH * fabs(r->b) + tail;
    case TARN_INIT_UNIFORM: return fabs(r->a) + fabs(r->b);
    default: return r->gain;
    }
}

/* Whether the numbers of a plain kind can be drawn as numbers of a type. */
static bool has_fitting_numbers(const tarn_init *r, uint8_t dtype)
{
    const double limit = dtype == TARN_F32 ? (double)FLT_MAX : DBL_MAX;
    if (!(reach(r) <= limit)) return false;
    switch (r->kind) {
    case TARN_INIT_UNIFORM: return r->a <= r->b;
    case TARN_INIT_NORMAL: return r->b >= 0;
    case TARN_INIT_TRUNCATED_NORMAL: return r->b > 0 && r->low <= r->high;
    default: return true;
    }
}

static tarn_status fail_numbers(tarn_manager *tm, const char *label, const char *name,
                                const tarn_init *r)
{
    char text[160];
    switch (r->kind) {
    case TARN_INIT_UNIFORM:
        (void)snprintf(text, sizeof text, "uniform between %g and %g", r->a, r->b);
        break;
    case TARN_INIT_NORMAL:
        (void)snprintf(text, sizeof text, "normal of mean and deviation %g and %g", r->a, r->b);
        break;
    case TARN_INIT_TRUNCATED_NORMAL:
        (void)snprintf(text, sizeof text,
                       "normal of mean and deviation %g and %g, cut to %g and %g", r->a, r->b,
                       r->low, r->high);
        break;
    case TARN_INIT_CONSTANT: (void)snprintf(text, sizeof text, "constant %g", r->a); break;
    default: (void)snprintf(text, sizeof text, "of gain %g", r->gain);
    }
    return tarn__fail(tm, TARN_EARG, "%s: initial \"%s\" %s", label, name, text);
}

tarn_status tarn__init_resolve(tarn_manager *tm, const char *label, const char *name,
                               const tarn_init *init, const tarn__layout *layout, tarn_init *out)
{
    tarn_init r = with_defaults(init, layout);
    if (!(r.gain >= 0 && r.gain <= DBL_MAX))
        return tarn__fail(tm, TARN_EARG, "%s: initial \"%s\" of gain %g", label, name, r.gain);
    if (!is_plain(r.kind) && !resolve_scaled(&r, layout))
        return tarn__fail(tm, TARN_EARG, "%s: initial \"%s\" of unknown kind %d", label, name,
                          (int)r.kind);
    const bool is_matrix = r.kind == TARN_INIT_ORTHOGONAL || r.kind == TARN_INIT_IDENTITY;
    if (is_matrix && layout->ndim < 2)
        return tarn__fail(tm, TARN_EARG, "%s: initial \"%s\" %s has %d axes; two are needed", label,
                          name, r.kind == TARN_INIT_ORTHOGONAL ? "orthogonal" : "identity",
                          layout->ndim);
    if (is_matrix && r.gain == 0) r.gain = 1;

    if (layout->numel == 0) { /* the fans may be zero, and nothing is drawn */
        *out = (tarn_init){ .kind = TARN_INIT_CONSTANT };
        return TARN_OK;
    }
    if (!has_fitting_numbers(&r, layout->dtype)) return fail_numbers(tm, label, name, &r);
    *out = r;
    return TARN_OK;
}

/* Place size / 2 of each axis of a filter is its middle. */
static void fill_identity(tarn_tensor *t, double gain)
{
    const tarn__layout *l = &t->layout;
    const int64_t area = l->numel / (l->dims[0] * l->dims[1]);
    int64_t middle = 0;
    for (int axis = 2; axis < l->ndim; axis++) middle = middle * l->dims[axis] + l->dims[axis] / 2;
    for (int64_t i = 0; i < l->numel; i++) tarn__init_set(t, i, 0);
    for (int64_t i = 0; i < l->dims[0] && i < l->dims[1]; i++)
        tarn__init_set(t, (i * l->dims[1] + i) * area + middle, gain);
}

static void fill_normal(tarn_tensor *t, double mean, double deviation, uint64_t key)
{
    const size_t n = tarn__elements(t);
    if (t->layout.dtype == TARN_F32) tarn__fill_normal_f32(t->data, n, mean, deviation, key);
    else tarn__fill_normal_f64(t->data, n, mean, deviation, key);
}

static void fill_uniform(tarn_tensor *t, double low, double high, uint64_t key)
{
    const size_t n = tarn__elements(t);
    if (t->layout.dtype == TARN_F32) tarn__fill_uniform_f32(t->data, n, low, high, key);
    else tarn__fill_uniform_f64(t->data, n, low, high, key);
}

static void fill_truncated(tarn_tensor *t, const tarn_init *r, uint64_t key)
{
    const tarn__truncated d = { r->a, r->b, r->low, r->high };
    const size_t n = tarn__elements(t);
    if (t->layout.dtype == TARN_F32) tarn__fill_truncated_f32(t->data, n, &d, key);
    else tarn__fill_truncated_f64(t->data, n, &d, key);
}

/* A dry run learns of the room that the orthogonal kind works in; nothing else needs any. */
tarn_status tarn__init_fill(tarn_tensor *t, const tarn_init *r, uint64_t key)
{
    if (r->kind == TARN_INIT_ORTHOGONAL) return tarn__fill_orthogonal(t, r->gain, key);
    if (t->manager->dry) return TARN_OK;
    switch (r->kind) {
    case TARN_INIT_UNIFORM: fill_uniform(t, r->a, r->b, key); break;
    case TARN_INIT_NORMAL: fill_normal(t, r->a, r->b, key); break;
    case TARN_INIT_TRUNCATED_NORMAL: fill_truncated(t, r, key); break;
    case TARN_INIT_IDENTITY: fill_identity(t, r->gain); break;
    default:
        for (int64_t i = 0; i < t->layout.numel; i++) tarn__init_set(t, i, r->a);
    }
    return TARN_OK;
}
