/* SPDX-License-Identifier: MIT
 * fit_steps.c - a step of a training by tarn_fit, and a validation. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <math.h>

#include <tarn/autograd.h>
#include <tarn/ops.h>

#include "core/clock.h"
#include "nn/ema.h"
#include "nn/fit.h"

/* ---- modes */

void tarn__fit_save_modes(const tarn__fit *f, bool *modes)
{
    size_t i = 0;
    for (tarn_module *m = f->module; m != NULL && i < f->n_modules;
         m = tarn__next_module(f->module, m))
        modes[i++] = m->training;
}

void tarn__fit_set_modes(const tarn__fit *f, const bool *modes)
{
    size_t i = 0;
    for (tarn_module *m = f->module; m != NULL && i < f->n_modules;
         m = tarn__next_module(f->module, m))
        m->training = modes[i++] && !m->frozen;
}

/* ---- figures */

void tarn__mean_add(tarn__mean *m, double loss, double metric, double rows)
{
    m->loss += loss * rows;
    m->metric += metric * rows;
    m->rows += rows;
}

/* "epoch 3, step 17", or after the steps "epoch 3". */
static void say_where(const tarn__fit *f, char text[64])
{
    if (f->in_step)
        (void)snprintf(text, 64, "epoch %" PRId64 ", step %" PRId64, f->now.epoch, f->now.step);
    else (void)snprintf(text, 64, "epoch %" PRId64, f->now.epoch);
}

bool tarn__fit_check_finite(const tarn__fit *f, const char *what, double value)
{
    char where[64];
    if (isfinite(value) || f->o.allow_non_finite) return true;
    say_where(f, where);
    (void)tarn__fail(f->tm, TARN_ENUMERIC, "tarn_fit: %s: the %s is %s", where, what,
                     isnan(value) ? "not a number" : "infinite");
    return false;
}

/* The loss of a batch and its value, by the step function, with the metric; NULL with the error
 * held. */
static tarn_tensor *compute_loss(const tarn__fit *f, tarn_tensor *x, tarn_tensor *y, double *value,
                                 double *metric)
{
    *metric = NAN;
    tarn_tensor *loss = f->o.step(f->o.context, x, y, metric);
    if (loss == NULL && tarn_ok(f->tm))
        (void)tarn__fail(f->tm, TARN_EARG, "tarn_fit: the step function returned NULL");
    *value = tarn_item(loss);
    if (!tarn_ok(f->tm)) return NULL;
    if (!tarn__fit_check_finite(f, f->in_step ? "loss" : "validation loss", *value)) return NULL;
    return loss;
}

/* ---- a step */

/* Adds the gradients of the next batch, one of so many of the step. */
static bool add_batch(tarn__fit *f, int64_t parts)
{
    tarn_tensor *x, *y;
    double value, metric;
    if (!tarn_loader_next(f->train, &x, &y)) {
        if (tarn_ok(f->tm))
            (void)tarn__fail(f->tm, TARN_ESTATE,
                             "tarn_fit: the loader has no batch where one was left: did another "
                             "use it?");
        return false;
    }
    TARN_SCOPE(f->tm);
    if (!tarn_ok(f->tm)) return false;
    const double rows = (double)tarn_dim(x, 0);
    tarn_tensor *loss = compute_loss(f, x, y, &value, &metric);
    if (loss == NULL) return false;
    if (parts > 1) loss = tarn_div_scalar(loss, (double)parts);
    if (tarn_backward(loss) != TARN_OK) return false;
    tarn__mean_add(&f->mean, value, metric, rows);
    f->now.loss += value / (double)parts;
    f->now.metric += metric / (double)parts;
    return true;
}

/* What is done with complete gradients. */
static bool use_gradients(tarn__fit *f)
{
    const tarn_fit_options *o = &f->o;
    if (o->clip_value > 0 && tarn_clip_grad_value(f->module, o->clip_value) != TARN_OK)
        return false;
    if (o->clip_norm > 0) f->now.gradient_norm = tarn_clip_grad_norm(f->module, o->clip_norm);
    return tarn_ok(f->tm) && tarn_optimizer_step(f->optimizer) == TARN_OK;
}

static bool set_rate(tarn__fit *f)
{
    const tarn_fit_options *o = &f->o;
    const uint64_t epoch = (uint64_t)f->now.epoch - 1;
    const uint64_t step = epoch * (uint64_t)f->now.steps + (uint64_t)f->now.step - 1;
    if (o->schedule != NULL && tarn_schedule_apply(f->optimizer, o->schedule,
                                                   o->schedule_epochs ? epoch : step) != TARN_OK)
        return false;
    f->now.lr = tarn_optimizer_lr(f->optimizer);
    return true;
}

bool tarn__fit_step(tarn__fit *f, int64_t parts)
{
    f->now.step++;
    f->now.loss = f->now.metric = 0;
    tarn__snapshot_take(&f->before);
    f->in_step = true;
    if (!set_rate(f)) return false;
    for (int64_t i = 0; i < parts; i++)
        if (!add_batch(f, parts)) return false;
    if (!use_gradients(f)) return false;
    f->in_step = false;
    f->result.steps++;
    if (f->o.ema != NULL && tarn_ema_update(f->o.ema) != TARN_OK) return false;
    f->now.seconds = 1e-9 * (double)(tarn__clock_ns() - f->began_ns);
    f->result.last = f->now;
    tarn__fit_show_step(f);
    if (f->o.on_step != NULL) f->stopped = !f->o.on_step(f->o.context, &f->now);
    return !f->stopped && tarn_ok(f->tm);
}

void tarn__fit_undo_step(tarn__fit *f)
{
    if (!f->in_step) return;
    (void)tarn__snapshot_restore(&f->before);
    tarn_optimizer_zero_grad(f->optimizer);
    f->in_step = false;
}

/* ---- a validation */

static bool validate_batch(tarn__fit *f, tarn_tensor *x, tarn_tensor *y, tarn__mean *mean)
{
    double value, metric;
    TARN_NO_GRAD(f->tm);
    if (!tarn_ok(f->tm)) return false;
    const double rows = (double)tarn_dim(x, 0);
    if (compute_loss(f, x, y, &value, &metric) == NULL) return false;
    tarn__mean_add(mean, value, metric, rows);
    return true;
}

bool tarn__fit_validate(tarn__fit *f)
{
    tarn_tensor *x, *y;
    tarn__mean mean = { .rows = 0 };
    bool good = true;
    const tarn_phase phase = tarn__phase_auto(f->tm, "validation");
    tarn__fit_save_modes(f, f->modes);
    tarn_module_eval(f->module);
    tarn_loader_rewind(f->o.validation);
    while (good && tarn_loader_next(f->o.validation, &x, &y)) good = validate_batch(f, x, y, &mean);
    tarn__fit_set_modes(f, f->modes);
    tarn__phase_close(phase);
    if (!good || !tarn_ok(f->tm)) return false;
    f->now.validation_loss = mean.loss / mean.rows;
    f->now.validation_metric = mean.metric / mean.rows;
    return true;
}
