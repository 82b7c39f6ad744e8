/* SPDX-License-Identifier: MIT
 * loader.c - batches from data in memory.
 *
 * A loader has one or two streams of rows: inputs and targets. Each has one batch, whose storage
 * has room for a full batch and is filled again and again while nobody else holds it. */
#include "nn/loader.h"

#include <math.h>

#include "core/assert.h"
#include "core/manager.h"
#include "core/observer.h"
#include "nn/loader_fill.h"
#include "ops/op.h"

typedef struct stream {
    tarn_tensor *source; /* owned: a view of the user's tensor or a copy; NULL: no targets */
    tarn_tensor *batch;  /* owned: the last batch, or NULL */
    tarn__layout layout; /* of a full batch */
    size_t row;          /* elements in a row */
} stream;

struct tarn_loader {
    tarn__object object;
    tarn_loader_options options; /* with the defaults filled in */
    stream inputs, targets;
    tarn__rows rows;
    int64_t n_batches;
    int64_t epoch, batch; /* the running epoch, and the number of its next batch */
    bool at_end;          /* the epoch's end was told: the next call begins another */
};

/* ---- creation */

static void destroy_loader(tarn__object *object)
{
    tarn_loader *loader = (tarn_loader *)object;
    tarn_tensor *owned[] = { loader->inputs.source, loader->inputs.batch, loader->targets.source,
                             loader->targets.batch };
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        if (owned[i] != NULL) tarn__tensor_end(owned[i], TARN__ENDED_BY_OWNER);
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
static bool open_stream(stream *s, tarn_tensor *t, int64_t capacity, tarn_dtype dtype, bool flatten)
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

/* ---- batches */

/* A batch that was made a leaf counts as held, too: the next one is to be a constant again. */
static bool held_by_others(const tarn_tensor *t)
{
    return t->refs > 1 || t->saves > 0 || t->storage->refs > 1 || t->requires_grad;
}

/* Readies the stream's batch for n rows: the last one, unless somebody else holds it; then that one
 * is left to its holders. False with the error held. */
static bool ready_batch(stream *s, tarn_manager *tm, int64_t n)
{
    if (s->batch != NULL && held_by_others(s->batch)) {
        tarn__tensor_end(s->batch, TARN__ENDED_BY_OWNER);
        s->batch = NULL;
    }
    if (s->batch == NULL) {
        const tarn__place before = tarn__enter_place(tm, "batch", TARN_KIND_DATA);
        s->batch = tarn__own(tarn__tensor_new(tm, &s->layout, TARN_UNINITIALIZED));
        tarn__leave_place(tm, before);
    }
    if (s->batch == NULL) return false;
    s->batch->layout.dims[0] = n;
    const tarn_status status = tarn__layout_pack(&s->batch->layout);
    TARN_ASSERT(status == TARN_OK);
    (void)status;
    return true;
}

/* Readies the stream's batch to be filled as part of a job. */
static void add_part(tarn__fill_job *job, stream *s, double shift, double scale)
{
    tarn_tensor *to = s->batch;
    tarn__touch(to, true);
    if (s->row == 0 || to->manager->dry) return;
    tarn__materialize(s->source);
    tarn__fill_add(job, &(tarn__fill_part){ .from = s->source->data,
                                            .to = to->data,
                                            .row = s->row,
                                            .from_dtype = (tarn_dtype)s->source->layout.dtype,
                                            .to_dtype = (tarn_dtype)to->layout.dtype,
                                            .shift = shift,
                                            .scale = scale });
}

/* True if the epoch has another batch. Told of its end once, a loader begins the next epoch. */
static bool has_batch(tarn_loader *loader)
{
    if (loader->at_end) {
        if (loader->epoch < INT64_MAX) loader->epoch++;
        loader->batch = 0;
        loader->rows.ordered = false;
    }
    loader->at_end = loader->batch >= loader->n_batches;
    return !loader->at_end;
}

static bool next_batch(tarn_loader *loader, tarn_tensor **input, tarn_tensor **target)
{
    if (!tarn_ok(loader->object.manager) || !has_batch(loader)) return false;
    tarn_manager *tm = loader->object.manager;
    const bool wants_target = target != NULL && loader->targets.source != NULL;
    const int64_t size = loader->options.batch_size, first = loader->batch * size;
    const int64_t left = loader->rows.n - first, n = left < size ? left : size;
    if (!ready_batch(&loader->inputs, tm, n)) return false;
    if (wants_target && !ready_batch(&loader->targets, tm, n)) return false;

    tarn__rows_order(&loader->rows, tm, loader->options.stream, loader->epoch);
    tarn__fill_job job;
    tarn__fill_begin(&job, &loader->rows, first, n);
    add_part(&job, &loader->inputs, loader->options.shift, loader->options.scale);
    if (wants_target) add_part(&job, &loader->targets, 0, 1);
    tarn__fill_take_part(&job);
    loader->batch++;
    if (input != NULL) *input = loader->inputs.batch;
    if (wants_target) *target = loader->targets.batch;
    return true;
}

bool tarn_loader_next(tarn_loader *loader, tarn_tensor **input, tarn_tensor **target)
{
    if (input != NULL) *input = NULL;
    if (target != NULL) *target = NULL;
    if (loader == NULL) return false;
    tarn__observe_refusal(loader->object.manager, "it takes a batch from a loader");
    const tarn_phase phase = tarn__phase_auto(loader->object.manager, "data");
    const bool found = next_batch(loader, input, target);
    (void)tarn_phase_end(phase);
    return found;
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
    loader->epoch = epoch;
    loader->batch = 0;
    loader->at_end = false;
    loader->rows.ordered = false;
    return TARN_OK;
}

void tarn_loader_rewind(tarn_loader *loader)
{
    if (loader == NULL) return;
    if (loader->batch >= loader->n_batches) loader->at_end = true;
    else loader->batch = 0;
}

tarn_manager *tarn__loader_manager(const tarn_loader *loader) { return loader->object.manager; }
