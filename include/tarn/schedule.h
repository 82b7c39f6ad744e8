/* schedule.h - how the learning rate changes while a network trains.
 *
 * A schedule is a plain structure that says which part of an optimiser's rate is used at a step;
 * steps count from 0. It keeps no state, so that a training that is taken up again asks for the
 * step that it is at:
 *
 *   const tarn_schedule schedule = { .kind = TARN_SCHEDULE_COSINE, .steps = 1000, .warmup = 50 };
 *   for (uint64_t step = 0; step < 1000; step++) {
 *       tarn_schedule_apply(optimizer, &schedule, step);
 *       ...
 *   }
 *
 * A step may as well be an epoch. Zero in a field means the default given there, and TARN_ZERO a
 * zero that is meant. */
#ifndef TARN_SCHEDULE_H
#define TARN_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/optim.h"

TARN_BEGIN_DECLS

/* The part at step t, with s = (t - warmup) / (steps - warmup), at most 1. */
typedef enum tarn_schedule_kind {
    TARN_SCHEDULE_CONSTANT,    /* 1 */
    TARN_SCHEDULE_STEP,        /* gamma^floor(t / every) */
    TARN_SCHEDULE_MULTI_STEP,  /* gamma^(how many milestones are <= t) */
    TARN_SCHEDULE_EXPONENTIAL, /* gamma^(t - warmup) */
    TARN_SCHEDULE_LINEAR,      /* 1 - (1 - floor) s */
    TARN_SCHEDULE_COSINE,      /* floor + (1 - floor) (1 + cos(pi s)) / 2 */
    TARN_SCHEDULE_ONE_CYCLE    /* along half a cosine up from 1 / div_factor, which is reached at 0,
                                  to 1 at rise steps - 1, along another down to
                                  1 / (div_factor final_div_factor) at steps - 1 (Smith 2018) */
} tarn_schedule_kind;

typedef struct tarn_schedule {
    tarn_schedule_kind kind;
    uint64_t steps;             /* of the whole: linear, cosine, one cycle; more than warmup */
    uint64_t warmup;            /* steps in which the part rises to 1 along a line, before what the
                                   kind says; 0: none. Not in one cycle, and in no step after the
                                   first `every` or milestone */
    double warmup_from;         /* the part at step 0; 0: 1 / (warmup + 1); at most 1 */
    double floor;               /* linear, cosine: where it ends; at most 1 */
    uint64_t every;             /* step: at least 1 */
    const uint64_t *milestones; /* multi-step: (n_milestones), none below the one before */
    size_t n_milestones;
    double gamma;            /* 0: 0.1, but for exponential, which needs one; finite */
    double rise;             /* one cycle: the part of the steps; 0: 0.3; at most 1 */
    double div_factor;       /* one cycle; 0: 25; finite */
    double final_div_factor; /* one cycle; 0: 10000; finite */
} tarn_schedule;

/* The part of the learning rate at a step. NaN for NULL and for numbers that the schedule cannot
 * have. */
TARN_API double tarn_schedule_at(const tarn_schedule *schedule, uint64_t step);

/* Lets the optimiser use that part of its rate, in all groups. Fails, with nothing changed:
 * TARN_EARG for NULL, and, held, for numbers that the schedule cannot have. */
TARN_API tarn_status tarn_schedule_apply(tarn_optimizer *optimizer, const tarn_schedule *schedule,
                                         uint64_t step);

/* ---- by what is measured */

typedef enum tarn_plateau_mode {
    TARN_PLATEAU_MIN, /* a loss: less is better */
    TARN_PLATEAU_MAX  /* an accuracy: more is better */
} tarn_plateau_mode;

/* Reduces the rate where a measure has stopped improving: after more than `patience` values in a
 * row none of which was better than the best by the threshold, a relative one unless `absolute`.
 * NaN is never better. What stands below the options is what it has seen. */
typedef struct tarn_plateau {
    tarn_plateau_mode mode;
    double factor;    /* of each reduction; below 1; 0: 0.1 */
    size_t patience;  /* 0: 10; TARN_NONE: none */
    double threshold; /* 0: 0.0001; TARN_ZERO: none */
    bool absolute;    /* the threshold is added to the best value, not multiplied with it */
    size_t cooldown;  /* values after a reduction that do not count; 0: none */
    double floor;     /* the least part of the rate; at most 1 */

    bool begun; /* the rest is indeterminate while false, as it is at first */
    double best, part;
    size_t worse, resting; /* values without improvement; values that will not count */
} tarn_plateau;

/* Takes the next value and returns the part of the learning rate to use from now on. NaN, with
 * nothing changed, for NULL and for options out of range. */
TARN_API double tarn_plateau_next(tarn_plateau *plateau, double value);

/* Takes the next value and lets the optimiser use that part of its rate, in all groups. Fails, with
 * nothing changed: TARN_EARG for NULL, and, held, for options out of range. */
TARN_API tarn_status tarn_plateau_apply(tarn_optimizer *optimizer, tarn_plateau *plateau,
                                        double value);

TARN_END_DECLS

#endif
