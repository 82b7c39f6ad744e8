/* SPDX-License-Identifier: MIT
 * loader_batches.c - one batch after the other, here or ahead in a thread. */
#include <tarn/usage.h>

#include "core/assert.h"
#include "core/observer.h"
#include "nn/loader.h"

/* ---- batches */

/* A batch that was made a leaf counts as held, too: the next one is to be a constant again. */
static bool held_by_others(const tarn_tensor *t)
{
    return t->refs > 1 || t->saves > 0 || t->storage->refs > 1 || t->requires_grad;
}

/* Readies a batch or spare for n rows: the same again, unless somebody else holds it; then it is
 * left to its holders. False with the error held. */
static bool ready_batch(const tarn__stream *s, tarn_tensor **batch, tarn_manager *tm, int64_t n)
{
    if (*batch != NULL && held_by_others(*batch)) {
        tarn__tensor_end(*batch, TARN__ENDED_BY_OWNER);
        *batch = NULL;
    }
    if (*batch == NULL) {
        const tarn__place before = tarn__enter_place(tm, "batch", TARN_KIND_DATA);
        *batch = tarn__own(tarn__tensor_new(tm, &s->layout, TARN_UNINITIALIZED));
        tarn__leave_place(tm, before);
    }
    if (*batch == NULL) return false;
    (*batch)->layout.dims[0] = n;
    const tarn_status status = tarn__layout_pack(&(*batch)->layout);
    TARN_ASSERT(status == TARN_OK);
    (void)status;
    return true;
}

/* Makes the filling of a batch from the stream a part of a job. */
static void add_part(tarn__fill_job *job, tarn__stream *s, tarn_tensor *to, double shift,
                     double scale)
{
    tarn__touch(to, true);
    if (s->row == 0 || to->manager->dry) return;
    tarn__materialize(s->source);
    s->version = s->source->storage->version;
    tarn__fill_add(job, &(tarn__fill_part){ .from = s->source->data,
                                            .to = to->data,
                                            .row = s->row,
                                            .from_dtype = (tarn_dtype)s->source->layout.dtype,
                                            .to_dtype = (tarn_dtype)to->layout.dtype,
                                            .shift = shift,
                                            .scale = scale,
                                            .fuse = s->fuse });
}

/* Readies the memory of the epoch's batch of that number, the streams' batches or their spares, and
 * the job of filling it. False with the error held. */
static bool prepare(tarn_loader *loader, tarn__fill_job *job, int64_t number, bool with_target,
                    bool spare)
{
    tarn_manager *tm = loader->object.manager;
    tarn__stream *x = &loader->inputs, *y = &loader->targets;
    tarn_tensor **x_batch = spare ? &x->spare : &x->batch;
    tarn_tensor **y_batch = spare ? &y->spare : &y->batch;
    const int64_t size = loader->options.batch_size, first = number * size;
    const int64_t left = loader->rows.n - first, n = left < size ? left : size;
    if (!ready_batch(x, x_batch, tm, n)) return false;
    if (with_target && !ready_batch(y, y_batch, tm, n)) return false;
    tarn__fill_begin(job, &loader->rows, first, n);
    add_part(job, x, *x_batch, loader->options.shift, loader->options.scale);
    if (with_target) add_part(job, y, *y_batch, 0, 1);
    return true;
}

/* ---- reading ahead */

/* Gives the batch after the next one to the thread, if this was asked for and it can take one.
 * False with the error held. */
static bool read_ahead(tarn_loader *loader, bool with_target)
{
    tarn__loader_thread *thread = &loader->thread;
    const int64_t number = loader->batch + 1;
    if (!loader->options.prefetch || number >= loader->n_batches) return true;
    if (loader->object.manager->dry || !tarn__loader_thread_ready(thread)) return true;
    if (!prepare(loader, &thread->job, number, with_target, true)) return false;
    tarn__loader_thread_give(thread);
    loader->ahead = true;
    loader->ahead_target = with_target;
    return true;
}

void tarn__loader_drop_ahead(tarn_loader *loader)
{
    tarn__loader_thread_drop(&loader->thread);
    loader->ahead = false;
}

/* Whether the spare holds what would be read from the source now; else the error is held. */
static bool is_current(const tarn__stream *s)
{
    char text[TARN__DESCRIPTION_BYTES];
    if (s->row == 0 || s->source->storage->version == s->version) return true;
    (void)tarn__fail(s->source->manager, TARN_ESTATE,
                     "tarn_loader_next: the data %s were written to after a batch had been read "
                     "ahead from them: write to them between epochs, or load without prefetch",
                     tarn__describe(s->source, text));
    return false;
}

static void take_spare(tarn__stream *s)
{
    tarn_tensor *batch = s->batch;
    s->batch = s->spare;
    s->spare = batch;
}

/* Makes what was read ahead the streams' batches. False if that cannot be used; an error is held if
 * data were written to meanwhile. */
static bool take_ahead(tarn_loader *loader, bool with_target)
{
    if (!loader->ahead) return false;
    if (with_target && !loader->ahead_target) {
        tarn__loader_drop_ahead(loader);
        return false;
    }
    loader->ahead = false;
    if (!tarn__loader_thread_take(&loader->thread)) return false;
    if (!is_current(&loader->inputs)) return false;
    if (loader->ahead_target && !is_current(&loader->targets)) return false;
    take_spare(&loader->inputs);
    if (loader->ahead_target) take_spare(&loader->targets);
    return true;
}

/* ---- the next batch */

/* True if the epoch has another batch. Told of its end once, a loader begins the next epoch. */
static bool has_batch(tarn_loader *loader)
{
    if (loader->at_end) {
        if (loader->epoch < INT64_MAX) loader->epoch++;
        loader->batch = 0;
        loader->rows.ordered = false;
    }
    loader->at_end = loader->batch >= loader->n_batches;
    if (loader->at_end) tarn__loader_drop_ahead(loader);
    return !loader->at_end;
}

static bool next_batch(tarn_loader *loader, tarn_tensor **input, tarn_tensor **target)
{
    tarn_manager *tm = loader->object.manager;
    if (!tarn_ok(tm) || !has_batch(loader)) return false;
    const bool wants_target = target != NULL && loader->targets.source != NULL;
    tarn__rows_order(&loader->rows, tm, loader->options.stream, loader->epoch);
    if (!take_ahead(loader, wants_target)) {
        tarn__fill_job job;
        if (!tarn_ok(tm) || !prepare(loader, &job, loader->batch, wants_target, false))
            return false;
        tarn__fill_take_part(&job);
    }
    if (!read_ahead(loader, wants_target)) return false;
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
    tarn__phase_close(phase);
    return found;
}
