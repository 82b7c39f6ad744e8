/* SPDX-License-Identifier: MIT
 * fit.c - the usual loop of training. */
#define _POSIX_C_SOURCE 200809L
#include "nn/fit.h"

#include <math.h>

#include "core/clock.h"
#include "core/size.h"
#include "nn/ema.h"

/* ---- begin and end */

static tarn_status take_modes(tarn__fit *f)
{
    size_t bytes = SIZE_MAX;
    const tarn_module *m = f->module;
    do f->n_modules++;
    while ((m = tarn__next_module(f->module, m)) != NULL);
    if (tarn__size_mul(f->n_modules, 2 * sizeof *f->modes, &bytes))
        f->modes = tarn__records_alloc(f->tm->pool, bytes);
    if (f->modes == NULL) return tarn__fail_memory(f->tm, "tarn_fit", bytes);
    f->was_evaluating = !f->module->training;
    tarn__fit_save_modes(f, f->modes + f->n_modules);
    if (f->was_evaluating) tarn_module_train(f->module);
    return TARN_OK;
}

static void clear_figures(tarn__fit *f)
{
    const int64_t k = f->o.accumulate;
    f->now = (tarn_fit_figures){
        .epoch = f->o.done,
        .epochs = f->o.epochs,
        .steps = f->batches / k + (f->batches % k != 0),
        .loss = NAN,
        .metric = NAN,
        .validation_loss = NAN,
        .validation_metric = NAN,
        .gradient_norm = NAN,
        .lr = tarn_optimizer_lr(f->optimizer),
    };
    f->result.epochs = f->o.done;
    f->result.last = f->now;
    f->last_good = f->o.goal == TARN_FIT_METRIC_MAX ? -INFINITY : INFINITY;
}

static tarn_status begin(tarn__fit *f)
{
    clear_figures(f);
    tarn_status status = take_modes(f);
    if (status == TARN_OK) status = tarn__snapshot_begin(&f->before, f->module, false);
    if (status == TARN_OK && f->o.restore_best == TARN_ON)
        status = tarn__snapshot_begin(&f->best, f->module, true);
    if (status != TARN_OK) return status;
    if (f->o.done == 0) tarn_loader_rewind(f->train);
    else status = tarn_loader_seek(f->train, f->o.done);
    f->began_ns = tarn__clock_ns();
    tarn__fit_show_begin(f);
    return status;
}

static void end(tarn__fit *f)
{
    tarn__fit_undo_step(f);
    if (f->was_evaluating) tarn__fit_set_modes(f, f->modes + f->n_modules);
    tarn__snapshot_end(&f->before);
    tarn__snapshot_end(&f->best);
    if (f->modes != NULL)
        tarn__records_free(f->tm->pool, f->modes, f->n_modules * 2 * sizeof *f->modes);
}

/* ---- what is better */

/* The figure that shall get better. */
static double goal_of(const tarn__fit *f)
{
    const bool loss = f->o.goal == TARN_FIT_LOSS;
    if (f->o.validation != NULL) return loss ? f->now.validation_loss : f->now.validation_metric;
    return loss ? f->now.loss : f->now.metric;
}

/* Whether a figure is better than another by more than so much; NaN never is. */
static bool is_better(const tarn__fit *f, double value, double than, double by)
{
    return f->o.goal == TARN_FIT_METRIC_MAX ? value > than + by : value < than - by;
}

/* Judges the epoch by its figure. The weights that are kept are the best, be it by ever so little;
 * patience counts improvements by more than min_delta. */
static void judge(tarn__fit *f, double value)
{
    tarn_fit_result *r = &f->result;
    f->now.best = r->best_epoch == 0 ? !isnan(value) : is_better(f, value, r->best, 0);
    if (f->now.best) {
        r->best = value;
        r->best_epoch = f->now.epoch;
        tarn__snapshot_take(&f->best);
    }
    f->not_improved++;
    if (is_better(f, value, f->last_good, f->o.min_delta)) {
        f->last_good = value;
        f->not_improved = 0;
    }
}

/* ---- epochs */

/* Validates and judges: with averages, if there are any, these. */
static bool assess(tarn__fit *f)
{
    tarn_ema *ema = f->o.validation != NULL ? f->o.ema : NULL;
    if (ema != NULL && tarn_ema_apply(ema) != TARN_OK) return false;
    bool good = f->o.validation == NULL || tarn__fit_validate(f);
    const double value = goal_of(f);
    good = good && tarn__fit_check_finite(f, "figure that shall get better", value);
    if (good) judge(f, value);
    if (ema != NULL && tarn__ema_exchange(ema) != TARN_OK) return false;
    return good && (f->o.plateau == NULL ||
                    tarn_plateau_apply(f->optimizer, f->o.plateau, value) == TARN_OK);
}

/* One epoch. False if the training is to end. */
static bool run_epoch(tarn__fit *f)
{
    tarn_tensor *x, *y;
    const int64_t k = f->o.accumulate;
    f->now.epoch++;
    f->now.step = 0;
    f->now.best = false;
    f->mean = (tarn__mean){ .rows = 0 };
    f->epoch_ns = tarn__clock_ns();
    for (int64_t done = 0; done < f->batches; done += k)
        if (!tarn__fit_step(f, f->batches - done < k ? f->batches - done : k)) return false;
    (void)tarn_loader_next(f->train, &x, &y); /* the end of the epoch, to be told of it */
    f->now.loss = f->mean.loss / f->mean.rows;
    f->now.metric = f->mean.metric / f->mean.rows;
    if (!assess(f)) return false;
    f->now.seconds = 1e-9 * (double)(tarn__clock_ns() - f->began_ns);
    f->result.epochs = f->now.epoch;
    f->result.last = f->now;
    tarn__fit_show_epoch(f);
    if (f->o.on_epoch != NULL) f->stopped = !f->o.on_epoch(f->o.context, &f->now);
    return !f->stopped && tarn_ok(f->tm);
}

/* Runs all epochs, and says why they ended. */
static tarn_fit_end run(tarn__fit *f)
{
    while (f->now.epoch < f->o.epochs) {
        if (!run_epoch(f)) break;
        if (f->o.patience > 0 && f->not_improved >= f->o.patience) return TARN_FIT_NO_IMPROVEMENT;
    }
    if (!tarn_ok(f->tm)) return TARN_FIT_FAILED;
    return f->stopped ? TARN_FIT_STOPPED : TARN_FIT_COMPLETED;
}

/* Puts the best weights back, if that is wished and there are any. */
static bool restore(tarn__fit *f)
{
    if (f->o.restore_best != TARN_ON || f->result.best_epoch == 0) return true;
    if (tarn__snapshot_restore(&f->best) != TARN_OK) return false;
    f->result.restored = true;
    return true;
}

tarn_status tarn_fit(tarn_optimizer *optimizer, tarn_module *module, tarn_loader *train,
                     const tarn_fit_options *options, tarn_fit_result *result)
{
    tarn__fit f = { .tm = tarn__fit_manager(optimizer, module, train), .result = { .best = NAN } };
    tarn_status status = TARN_EARG;
    if (f.tm != NULL &&
        (status = tarn__fit_resolve(&f, optimizer, module, train, options)) == TARN_OK) {
        if (begin(&f) == TARN_OK) f.result.end = run(&f);
        if (f.result.end != TARN_FIT_FAILED && !restore(&f)) f.result.end = TARN_FIT_FAILED;
        tarn__fit_show_end(&f);
        end(&f);
        status = tarn_error_code(f.tm);
    }
    if (result != NULL) *result = f.result;
    return status;
}
