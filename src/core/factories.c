/* SPDX-License-Identifier: MIT
 * factories.c - tensors from nothing, from numbers and from chance. */
#include <math.h>
#include <string.h>

#include "core/manager.h"
#include "core/observer.h"
#include "core/random.h"
#include "core/values.h"

/* Holds why a layout cannot be. */
static void refuse(tarn_manager *tm, const char *factory, tarn_status status, tarn_dtype dtype,
                   const tarn_shape *shape, const tarn__layout *layout)
{
    char text[TARN__DESCRIPTION_BYTES];
    if (status == TARN_EDTYPE)
        (void)tarn__fail(tm, status, "%s: %d is no element type", factory, (int)dtype);
    else if (status == TARN_ELIMIT || status == TARN_EARG)
        (void)tarn__fail(tm, status, "%s: %d dimensions; 0 to %d are possible", factory,
                         shape->ndim, TARN_MAX_DIMS);
    else
        (void)tarn__fail(tm, status, "%s: shape %s %s", factory,
                         tarn__describe_layout(layout, text),
                         status == TARN_ESHAPE ? "has a negative size" : "holds too many bytes");
}

/* A handle in the open scope, or NULL with the error held. */
static tarn_tensor *make(tarn_manager *tm, const char *factory, tarn_dtype dtype,
                         const tarn_shape *shape, tarn_fill fill)
{
    tarn_tensor *t = tm != NULL ? tarn__tensor_begin(tm) : NULL;
    if (t == NULL) return NULL;
    const tarn_status status = tarn__layout_make(&t->layout, dtype, shape);
    if (status != TARN_OK) {
        refuse(tm, factory, status, dtype, shape, &t->layout);
        tarn__tensor_cancel(t);
        return NULL;
    }
    const char *operation = factory + sizeof("tarn_") - 1;
    const uint32_t tag = tarn__tag_of(tm, tm->place.path, operation, TARN_KIND_DATA);
    return tarn__adopt(tarn__tensor_complete(t, fill, tag));
}

tarn_tensor *tarn_zeros(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape)
{
    return make(tm, "tarn_zeros", dtype, &shape, TARN_ZEROED);
}

tarn_tensor *tarn_empty(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape)
{
    return make(tm, "tarn_empty", dtype, &shape, TARN_UNINITIALIZED);
}

static tarn_tensor *filled(tarn_manager *tm, const char *factory, tarn_dtype dtype,
                           const tarn_shape *shape, double value)
{
    tarn_tensor *t = make(tm, factory, dtype, shape, TARN_UNINITIALIZED);
    if (t != NULL) (void)tarn_fill_with(t, value);
    return t;
}

tarn_tensor *tarn_full(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape, double value)
{
    return filled(tm, "tarn_full", dtype, &shape, value);
}

tarn_tensor *tarn_ones(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape)
{
    return filled(tm, "tarn_ones", dtype, &shape, 1.0);
}

tarn_tensor *tarn_from_array(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape,
                             const void *values)
{
    tarn_tensor *t = make(tm, "tarn_from_array", dtype, &shape, TARN_UNINITIALIZED);
    if (t == NULL || tarn__bytes(t) == 0) return t;
    if (values == NULL) {
        tarn__tensor_end(t, TARN__ENDED_BY_RELEASE);
        (void)tarn__fail(tm, TARN_EARG, "tarn_from_array: values is NULL");
        return NULL;
    }
    if (!tm->dry) memcpy(t->data, values, tarn__bytes(t));
    tarn__observe_refusal(tm, "it makes a tensor with tarn_from_array");
    return t;
}

tarn_tensor *tarn_arange(tarn_manager *tm, tarn_dtype dtype, double start, double stop, double step)
{
    if (tm == NULL) return NULL;
    const double n = step == 0.0 ? NAN : ceil((stop - start) / step);
    if (!isfinite(start) || !isfinite(stop) || !isfinite(step) || !(n < 0x1p62)) {
        (void)tarn__fail(tm, TARN_EARG, "tarn_arange: from %g to %g in steps of %g is no range",
                         start, stop, step);
        return NULL;
    }
    const tarn_shape shape = TARN_SHAPE(n > 0 ? (int64_t)n : 0);
    tarn_tensor *t = make(tm, "tarn_arange", dtype, &shape, TARN_UNINITIALIZED);
    if (t == NULL || tm->dry) return t;
    unsigned char *data = t->data;
    for (int64_t i = 0; i < t->layout.numel; i++)
        tarn__store(data + (size_t)i * tarn_dtype_size(dtype), dtype, start + (double)i * step);
    tarn__observe_constant(t);
    return t;
}

tarn_tensor *tarn_eye(tarn_manager *tm, tarn_dtype dtype, int64_t n)
{
    const tarn_shape shape = TARN_SHAPE(n, n);
    tarn_tensor *t = make(tm, "tarn_eye", dtype, &shape, TARN_ZEROED);
    if (t == NULL || n == 0 || tm->dry) return t;
    tarn__touch(t, false);
    unsigned char *data = t->data;
    for (int64_t i = 0; i < n; i++)
        tarn__store(data + (size_t)(i * n + i) * tarn_dtype_size(dtype), dtype, 1.0);
    tarn__observe_constant(t);
    return t;
}

/* ---- chance */

static uint64_t stream_key(const tarn_manager *tm, uint64_t stream)
{
    return tarn__random_key(tarn__random_key(tm->seed, TARN__RANDOM_TENSOR), stream);
}

static tarn_tensor *make_random(tarn_manager *tm, const char *factory, tarn_dtype dtype,
                                const tarn_shape *shape)
{
    if (dtype == TARN_F32 || dtype == TARN_F64)
        return make(tm, factory, dtype, shape, TARN_UNINITIALIZED);
    (void)tarn__fail(tm, TARN_EDTYPE, "%s: element type %s; float32 or float64 is needed", factory,
                     tarn_dtype_name(dtype));
    return NULL;
}

tarn_tensor *tarn_random_uniform(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape, double low,
                                 double high, uint64_t stream)
{
    if (tm == NULL) return NULL;
    if (!isfinite(low) || !isfinite(high) || low > high || !isfinite(high - low)) {
        (void)tarn__fail(tm, TARN_EARG, "tarn_random_uniform: [%g, %g) is no interval", low, high);
        return NULL;
    }
    tarn_tensor *t = make_random(tm, "tarn_random_uniform", dtype, &shape);
    if (t == NULL || tm->dry) return t;
    const uint64_t key = stream_key(tm, stream);
    if (dtype == TARN_F32) tarn__fill_uniform_f32(t->data, tarn__elements(t), low, high, key);
    else tarn__fill_uniform_f64(t->data, tarn__elements(t), low, high, key);
    tarn__observe_constant(t);
    return t;
}

tarn_tensor *tarn_random_normal(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape, double mean,
                                double deviation, uint64_t stream)
{
    if (tm == NULL) return NULL;
    if (!isfinite(mean) || !isfinite(deviation) || deviation < 0) {
        (void)tarn__fail(tm, TARN_EARG,
                         "tarn_random_normal: mean %g and deviation %g are no distribution", mean,
                         deviation);
        return NULL;
    }
    tarn_tensor *t = make_random(tm, "tarn_random_normal", dtype, &shape);
    if (t == NULL || tm->dry) return t;
    const uint64_t key = stream_key(tm, stream);
    if (dtype == TARN_F32) tarn__fill_normal_f32(t->data, tarn__elements(t), mean, deviation, key);
    else tarn__fill_normal_f64(t->data, tarn__elements(t), mean, deviation, key);
    tarn__observe_constant(t);
    return t;
}
