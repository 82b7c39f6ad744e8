/* SPDX-License-Identifier: MIT
 * loader.c - making loaders, and their place in the data. */
#include "nn/loader.h"

#include <math.h>

#include "ops/op.h"

/* ---- creation */

static void close_stream(tarn__stream *s)
{
    tarn_tensor *owned[] = { s->source, s->batch, s->spare };
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        if (owned[i] != NULL) tarn__tensor_end(owned[i], TARN__ENDED_BY_OWNER);
}

static void destroy_loader(tarn__object *object)
{
    tarn_loader *loader = (tarn_loader *)object;
    tarn__loader_drop_ahead(loader);
    tarn__loader_thread_end(&loader->thread);
    close_stream(&loader->inputs);
    close_stream(&loader->targets);
    tarn__rows_end(&loader->rows, object->manager);
    tarn__object_free(object);
}

static tarn_status check_data(tarn_tensor *inputs, tarn_tensor *targets)
{
    tarn_manager *tm = inputs->manager;
    char x[TARN__DESCRIPTION_BYTES], y[TARN__DESCRIPTION_BYTES];
    if (!tarn__readable(inputs, "tarn_loader_create")) return tm->error;
    if (inputs->layout.ndim == 0)
        return tarn__fail(tm, TARN_ESHAPE, "tarn_loader_create: inputs %s have no rows",
                          tarn__describe(inputs, x));
    if (targets == NULL) return TARN_OK;
    if (targets->manager != tm)
        return tarn__fail(tm, TARN_ESTATE, "tarn_loader_create: targets of another manager");
    if (!tarn__readable(targets, "tarn_loader_create")) return tm->error;
    if (targets->layout.ndim == 0 || targets->layout.dims[0] != inputs->layout.dims[0])
        return tarn__fail(tm, TARN_ESHAPE,
                          "tarn_loader_create: inputs %s, targets %s: the numbers of rows differ",
                          tarn__describe(inputs, x), tarn__describe(targets, y));
    return TARN_OK;
}

static tarn_status check_options(tarn_manager *tm, const tarn_loader_options *o)
{
    if (o->batch_size < 0)
        return tarn__fail(tm, TARN_EARG,
                          "tarn_loader_create: batch size %lld; 1 or more is needed, 0 is 32",
                          (long long)o->batch_size);
    if (o->dtype != TARN_F32 && o->dtype != TARN_F64)
        return tarn__fail(tm, TARN_EARG,
                          "tarn_loader_create: batches of %s; float32 or float64 is needed",
                          tarn_dtype_name(o->dtype));
    if (!isfinite(o->scale) || !isfinite(o->shift))
        return tarn__fail(tm, TARN_EARG, "tarn_loader_create: scale %g and shift %g", o->scale,
                          o->shift);
    return tarn__rows_check(tm, o);
}

/* The rows of t without gaps: a view where they lie so, which keeps their storage, else a copy. */
static tarn_tensor *take_source(tarn_tensor *t)
{
    if (t->layout.contiguous) return tarn__own(tarn__tensor_view(t, &t->layout, 0));
    tarn__layout packed = t->layout;
    if (tarn__layout_pack(&packed) != TARN_OK) { /* an expanded tensor may be too large to copy */
        (void)tarn__fail(t->manager, TARN_EOVERFLOW, "tarn_loader_create: too many elements");
        return NULL;
    }
    tarn_tensor *copy = tarn__tensor_new(t->manager, &packed, TARN_UNINITIALIZED);
    if (copy == NULL) return NULL;
    tarn__materialize(t);
    tarn__copy_strided(copy, t);
    return tarn__own(copy);
}

/* Prepares a stream over t with batches of `capacity` rows at most. False with the error held. */
static bool open_stream(tarn__stream *s, tarn_tensor *t, int64_t capacity, tarn_dtype dtype,
                        bool flatten)
{
    tarn_shape shape = tarn_get_shape(t);
    int64_t row = 1; /* fits: layouts keep the product of their sizes in range, zeros left out */
    for (int i = 1; i < shape.ndim; i++) row *= shape.dims[i];
    shape.dims[0] = capacity;
    if (flatten) shape = TARN_SHAPE(capacity, row);
    const tarn_status status = tarn__layout_make(&s->layout, dtype, &shape);
    if (status != TARN_OK) {
        (void)tarn__fail(t->manager, status, "tarn_loader_create: a batch of %lld rows: %s",
                         (long long)capacity, tarn_status_text(status));
        return false;
    }
    s->row = (size_t)row;
    s->source = take_source(t);
    return s->source != NULL;
}

tarn_loader *tarn_loader_create(tarn_tensor *inputs, tarn_tensor *targets,
                                const tarn_loader_options *options)
{
    tarn_loader_options o = options == NULL ? (tarn_loader_options){ 0 } : *options;
    if (o.batch_size == 0) o.batch_size = 32;
    if (o.scale == 0) o.scale = 1;
    if (o.to == 0) o.to = 1;
    if (inputs == NULL) {
        if (targets != NULL)
            (void)tarn__fail(targets->manager, TARN_EARG, "tarn_loader_create: inputs are NULL");
        return NULL;
    }
    tarn_manager *tm = inputs->manager;
    if (check_data(inputs, targets) != TARN_OK || check_options(tm, &o) != TARN_OK) return NULL;

    tarn_loader *loader = tarn__object_new(tm, sizeof *loader, destroy_loader);
    if (loader == NULL) return NULL;
    const bool chosen = tarn__rows_begin(&loader->rows, tm, &o, inputs->layout.dims[0]);
    const int64_t n = loader->rows.n, capacity = n < o.batch_size ? n : o.batch_size;
    loader->options = o;
    loader->inputs.fuse = inputs->layout.dtype == TARN_U8 && o.dtype == TARN_F32 &&
                          tarn__fill_can_fuse(o.shift, o.scale);
    loader->n_batches = n / o.batch_size + (n % o.batch_size != 0 && !o.drop_last);
    if (!chosen || !open_stream(&loader->inputs, inputs, capacity, o.dtype, o.flatten) ||
        (targets != NULL && !open_stream(&loader->targets, targets, capacity,
                                         (tarn_dtype)targets->layout.dtype, false))) {
        destroy_loader(&loader->object);
        return NULL;
    }
    return loader;
}

void tarn_loader_destroy(tarn_loader *loader)
{
    if (loader != NULL) destroy_loader(&loader->object);
}

/* ---- places */

int64_t tarn_loader_batches(const tarn_loader *loader)
{
    return loader == NULL ? 0 : loader->n_batches;
}

int64_t tarn_loader_rows(const tarn_loader *loader) { return loader == NULL ? 0 : loader->rows.n; }

int64_t tarn_loader_epoch(const tarn_loader *loader) { return loader == NULL ? 0 : loader->epoch; }

tarn_status tarn_loader_seek(tarn_loader *loader, int64_t epoch)
{
    if (loader == NULL) return TARN_EARG;
    if (epoch < 0)
        return tarn__fail(loader->object.manager, TARN_EARG,
                          "tarn_loader_seek: epoch %lld; they count from 0", (long long)epoch);
    tarn__loader_drop_ahead(loader);
    loader->epoch = epoch;
    loader->batch = 0;
    loader->at_end = false;
    loader->rows.ordered = false;
    return TARN_OK;
}

void tarn_loader_rewind(tarn_loader *loader)
{
    if (loader == NULL) return;
    tarn__loader_drop_ahead(loader);
    if (loader->batch >= loader->n_batches) loader->at_end = true;
    else loader->batch = 0;
}

tarn_manager *tarn__loader_manager(const tarn_loader *loader) { return loader->object.manager; }
