/* SPDX-License-Identifier: MIT
 * fit_check.c - what tarn_fit may be asked for. */
#include <math.h>

#include "nn/ema.h"
#include "nn/fit.h"
#include "nn/loader.h"
#include "nn/optimizer.h"

tarn_manager *tarn__fit_manager(const tarn_optimizer *optimizer, const tarn_module *module,
                                const tarn_loader *train)
{
    if (module != NULL) return module->object.manager;
    if (optimizer != NULL) return optimizer->object.manager;
    return train != NULL ? tarn__loader_manager(train) : NULL;
}

/* That all that takes part is there, of one manager and one tree. */
static tarn_status check_parts(const tarn__fit *f)
{
    tarn_manager *tm = f->tm;
    const char *missing = f->optimizer == NULL ? "optimizer"
                          : f->module == NULL  ? "module"
                          : f->train == NULL   ? "loader"
                          : f->o.step == NULL  ? "step function"
                                               : NULL;
    if (missing != NULL) return tarn__fail(tm, TARN_EARG, "tarn_fit: the %s is NULL", missing);
    const tarn_loader *validation = f->o.validation;
    if (f->optimizer->object.manager != tm || tarn__loader_manager(f->train) != tm ||
        (validation != NULL && tarn__loader_manager(validation) != tm))
        return tarn__fail(tm, TARN_ESTATE, "tarn_fit: parts of several managers");
    if (validation == f->train)
        return tarn__fail(tm, TARN_EARG, "tarn_fit: one loader for training and validation");
    if (f->optimizer->watch.root == NULL)
        return tarn__fail(tm, TARN_ESTATE, "tarn_fit: the module of the %s was destroyed",
                          f->optimizer->family->name);
    if (f->optimizer->watch.root != f->module->root)
        return tarn__fail(tm, TARN_ESTATE, "tarn_fit: the %s is of another tree than %s",
                          f->optimizer->family->name, f->module->label);
    if (f->o.ema != NULL && tarn__ema_root(f->o.ema) != f->module->root)
        return tarn__fail(tm, TARN_ESTATE, "tarn_fit: the averages are of another tree than %s",
                          f->module->label);
    if (tarn_ema_is_applied(f->o.ema))
        return tarn__fail(tm, TARN_ESTATE, "tarn_fit: the averages are applied");
    if (tarn_loader_batches(f->train) == 0)
        return tarn__fail(tm, TARN_ESTATE, "tarn_fit: the loader has no batch");
    if (validation != NULL && tarn_loader_batches(validation) == 0)
        return tarn__fail(tm, TARN_ESTATE, "tarn_fit: the loader of the validation has no batch");
    return TARN_OK;
}

/* The name of the option that is out of range, and its value; NULL if all is well. */
static const char *find_problem(const tarn_fit_options *o, double *value)
{
    const struct {
        const char *name;
        double value;
        bool fits;
    } numbers[] = {
        { "epochs", (double)o->epochs, o->epochs >= 0 },
        { "done", (double)o->done, o->done >= 0 },
        { "goal", (double)o->goal, (int)o->goal >= 0 && (int)o->goal <= (int)TARN_FIT_METRIC_MIN },
        { "patience", (double)o->patience, o->patience >= 0 },
        { "min_delta", o->min_delta, o->min_delta >= 0 && isfinite(o->min_delta) },
        { "clip_value", o->clip_value, o->clip_value >= 0 },
        { "clip_norm", o->clip_norm, o->clip_norm >= 0 },
        { "accumulate", (double)o->accumulate, o->accumulate >= 0 },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        *value = numbers[i].value;
        if (!numbers[i].fits) return numbers[i].name;
    }
    return NULL;
}

static tarn_status check_options(const tarn__fit *f)
{
    double value;
    const tarn_fit_options *o = &f->o;
    const char *name = find_problem(o, &value);
    if (name != NULL)
        return tarn__fail(f->tm, TARN_EARG, "tarn_fit: %s %g is out of range", name, value);
    if (o->schedule != NULL && o->plateau != NULL)
        return tarn__fail(f->tm, TARN_EARG, "tarn_fit: a schedule and a plateau: one is possible");
    const bool larger = o->goal == TARN_FIT_METRIC_MAX;
    if (o->plateau != NULL && (o->plateau->mode == TARN_PLATEAU_MAX) != larger)
        return tarn__fail(f->tm, TARN_EARG,
                          "tarn_fit: %s is better for the goal, and %s for the "
                          "plateau",
                          larger ? "more" : "less", larger ? "less" : "more");
    return TARN_OK;
}

tarn_status tarn__fit_resolve(tarn__fit *f, tarn_optimizer *optimizer, tarn_module *module,
                              tarn_loader *train, const tarn_fit_options *options)
{
    if (!tarn_ok(f->tm)) return tarn_error_code(f->tm);
    f->optimizer = optimizer;
    f->module = module;
    f->train = train;
    if (options != NULL) f->o = *options;
    tarn_status status = check_parts(f);
    if (status == TARN_OK) status = check_options(f);
    if (status != TARN_OK) return status;
    tarn_fit_options *o = &f->o;
    if (o->epochs == 0) o->epochs = 1;
    if (o->accumulate == 0) o->accumulate = 1;
    if (o->metric_name == NULL) o->metric_name = "metric";
    if (o->restore_best == TARN_DEFAULT) o->restore_best = o->patience > 0 ? TARN_ON : TARN_OFF;
    f->batches = tarn_loader_batches(train);
    return TARN_OK;
}
