/* SPDX-License-Identifier: MIT
 * plateau.c - learning rates that fall where a measure has stopped improving. */
#include <math.h>

#include <tarn/schedule.h>

#include "nn/optimizer.h"

/* The name of the option that is out of range, and its value; NULL if all is well. */
static const char *find_problem(const tarn_plateau *p, double *value)
{
    if (p->mode != TARN_PLATEAU_MIN && p->mode != TARN_PLATEAU_MAX) {
        *value = (double)p->mode;
        return "mode";
    }
    *value = tarn__meant(p->factor, 0.1);
    if (!(*value >= 0 && *value < 1)) return "factor";
    *value = tarn__meant(p->threshold, 1e-4);
    if (!(*value >= 0 && isfinite(*value))) return "threshold";
    *value = tarn__meant(p->floor, 0);
    if (!(*value >= 0 && *value <= 1)) return "floor";
    return NULL;
}

static bool is_better(const tarn_plateau *p, double value)
{
    const double threshold = tarn__meant(p->threshold, 1e-4);
    if (p->mode == TARN_PLATEAU_MIN)
        return value < (p->absolute ? p->best - threshold : p->best * (1 - threshold));
    return value > (p->absolute ? p->best + threshold : p->best * (1 + threshold));
}

double tarn_plateau_next(tarn_plateau *plateau, double value)
{
    tarn_plateau *p = plateau;
    double problem;
    if (p == NULL || find_problem(p, &problem) != NULL) return NAN;
    if (!p->begun) {
        p->begun = true;
        p->best = p->mode == TARN_PLATEAU_MIN ? INFINITY : -INFINITY;
        p->part = 1;
        p->worse = p->resting = 0;
    }
    if (is_better(p, value)) {
        p->best = value;
        p->worse = 0;
    } else {
        p->worse++;
    }
    if (p->resting > 0) {
        p->resting--;
        p->worse = 0;
    }
    const size_t patience = p->patience == 0 ? 10 : p->patience == TARN_NONE ? 0 : p->patience;
    if (p->worse > patience) {
        const double least = tarn__meant(p->floor, 0), next = p->part * tarn__meant(p->factor, 0.1);
        p->part = next < least ? least : next;
        p->resting = p->cooldown;
        p->worse = 0;
    }
    return p->part;
}

tarn_status tarn_plateau_apply(tarn_optimizer *optimizer, tarn_plateau *plateau, double value)
{
    double wrong;
    if (optimizer == NULL || plateau == NULL) return TARN_EARG;
    const char *name = find_problem(plateau, &wrong);
    if (name != NULL)
        return tarn__fail(optimizer->object.manager, TARN_EARG, "plateau: %s %g is out of range",
                          name, wrong);
    return tarn_optimizer_scale_lr(optimizer, tarn_plateau_next(plateau, value));
}
