/* SPDX-License-Identifier: MIT
 * schedule.c - which part of a learning rate is used when. */
#include <tarn/schedule.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "nn/optimizer.h"

static const double PI = 3.14159265358979323846;

/* ---- what is wrong with a schedule
 *
 * Each check returns whether all is well, and writes into the problem what is not. */

enum { PROBLEM_BYTES = 128 };

static bool check_part(char *problem, const char *name, double value)
{
    if (value >= 0 && value <= 1) return true;
    (void)snprintf(problem, PROBLEM_BYTES, "%s %g is not in [0, 1]", name, value);
    return false;
}

static bool check_positive(char *problem, const char *name, double value)
{
    if (value > 0 && isfinite(value)) return true;
    (void)snprintf(problem, PROBLEM_BYTES, "%s %g is not in (0, inf)", name, value);
    return false;
}

/* That the warm-up ends before a step, which `what` tells. */
static bool check_warmup(char *problem, const tarn_schedule *s, uint64_t step, const char *what)
{
    if (s->warmup <= step) return true;
    (void)snprintf(problem, PROBLEM_BYTES, "warm-up of %" PRIu64 ", %s at %" PRIu64, s->warmup,
                   what, step);
    return false;
}

static bool check_milestones(char *problem, const tarn_schedule *s)
{
    if (s->n_milestones == 0) return true;
    if (s->milestones == NULL) {
        (void)snprintf(problem, PROBLEM_BYTES, "%zu milestones, but none is given",
                       s->n_milestones);
        return false;
    }
    for (size_t i = 1; i < s->n_milestones; i++)
        if (s->milestones[i] < s->milestones[i - 1]) {
            (void)snprintf(problem, PROBLEM_BYTES,
                           "milestone %" PRIu64 " stands behind milestone %" PRIu64,
                           s->milestones[i], s->milestones[i - 1]);
            return false;
        }
    return check_warmup(problem, s, s->milestones[0], "the first milestone");
}

/* That there is a step after the warm-up. */
static bool check_steps(char *problem, const tarn_schedule *s)
{
    if (s->steps > s->warmup) return true;
    (void)snprintf(problem, PROBLEM_BYTES, "%" PRIu64 " steps, warm-up of %" PRIu64, s->steps,
                   s->warmup);
    return false;
}

static bool check_one_cycle(char *problem, const tarn_schedule *s)
{
    if (s->warmup > 0) {
        (void)snprintf(problem, PROBLEM_BYTES, "warm-up of %" PRIu64 " beside its own rise",
                       s->warmup);
        return false;
    }
    return check_steps(problem, s) && check_part(problem, "rise", tarn__meant(s->rise, 0.3)) &&
           check_positive(problem, "div_factor", tarn__meant(s->div_factor, 25)) &&
           check_positive(problem, "final_div_factor", tarn__meant(s->final_div_factor, 1e4));
}

static double gamma_of(const tarn_schedule *s)
{
    return s->kind == TARN_SCHEDULE_EXPONENTIAL ? s->gamma : tarn__meant(s->gamma, 0.1);
}

/* What the kind alone asks for. */
static bool check_kind(char *problem, const tarn_schedule *s)
{
    switch (s->kind) {
    case TARN_SCHEDULE_CONSTANT: return true;
    case TARN_SCHEDULE_STEP:
        if (s->every == 0) (void)snprintf(problem, PROBLEM_BYTES, "every 0 steps");
        return s->every > 0 && check_positive(problem, "gamma", gamma_of(s)) &&
               check_warmup(problem, s, s->every, "the first change");
    case TARN_SCHEDULE_MULTI_STEP:
        return check_positive(problem, "gamma", gamma_of(s)) && check_milestones(problem, s);
    case TARN_SCHEDULE_EXPONENTIAL: return check_positive(problem, "gamma", gamma_of(s));
    case TARN_SCHEDULE_LINEAR:
    case TARN_SCHEDULE_COSINE:
        return check_steps(problem, s) && check_part(problem, "floor", tarn__meant(s->floor, 0));
    case TARN_SCHEDULE_ONE_CYCLE: return check_one_cycle(problem, s);
    }
    (void)snprintf(problem, PROBLEM_BYTES, "there is no kind %d", (int)s->kind);
    return false;
}

static bool check_schedule(char *problem, const tarn_schedule *s)
{
    return check_part(problem, "warmup_from", tarn__meant(s->warmup_from, 0)) &&
           check_kind(problem, s);
}

static const char *name_of(tarn_schedule_kind kind)
{
    switch (kind) {
    case TARN_SCHEDULE_CONSTANT: return "constant";
    case TARN_SCHEDULE_STEP: return "step";
    case TARN_SCHEDULE_MULTI_STEP: return "multi-step";
    case TARN_SCHEDULE_EXPONENTIAL: return "exponential";
    case TARN_SCHEDULE_LINEAR: return "linear";
    case TARN_SCHEDULE_COSINE: return "cosine";
    case TARN_SCHEDULE_ONE_CYCLE: return "one cycle";
    }
    return "unknown";
}

/* ---- the parts, of schedules without a problem */

/* The rise of the warm-up, t steps in it. From the default on, every step but the last would go on
 * to the next multiple of one number. */
static double warm(const tarn_schedule *s, uint64_t t)
{
    const double from = tarn__meant(s->warmup_from, 1 / ((double)s->warmup + 1));
    return from + (1 - from) * (double)t / (double)s->warmup;
}

/* From a to b along half a cosine, of which x is done. */
static double half_cosine(double a, double b, double x)
{
    return b + (a - b) * 0.5 * (1 + cos(PI * x));
}

static double one_cycle(const tarn_schedule *s, double t)
{
    const double low = 1 / tarn__meant(s->div_factor, 25);
    const double end = low / tarn__meant(s->final_div_factor, 1e4);
    const double last = (double)s->steps - 1,
                 top = tarn__meant(s->rise, 0.3) * (double)s->steps - 1;
    if (t >= last) t = last;
    if (t <= top) return top > 0 ? half_cosine(low, 1, t / top) : 1;
    return half_cosine(1, end, (t - top) / (last - top));
}

/* How often the part has been multiplied by gamma before step t. */
static uint64_t changes(const tarn_schedule *s, uint64_t t)
{
    if (s->kind == TARN_SCHEDULE_STEP) return t / s->every;
    size_t n = 0;
    while (n < s->n_milestones && s->milestones[n] <= t) n++;
    return n;
}

double tarn_schedule_at(const tarn_schedule *schedule, uint64_t step)
{
    char problem[PROBLEM_BYTES];
    const tarn_schedule *s = schedule;
    if (s == NULL || !check_schedule(problem, s)) return NAN;
    if (step < s->warmup) return warm(s, step);
    const double done = (double)(step - s->warmup), all = (double)(s->steps - s->warmup);
    const double floor_part = tarn__meant(s->floor, 0);
    switch (s->kind) {
    case TARN_SCHEDULE_CONSTANT: return 1;
    case TARN_SCHEDULE_STEP:
    case TARN_SCHEDULE_MULTI_STEP: return pow(gamma_of(s), (double)changes(s, step));
    case TARN_SCHEDULE_EXPONENTIAL: return pow(gamma_of(s), done);
    case TARN_SCHEDULE_LINEAR:
        return step >= s->steps ? floor_part : 1 - (1 - floor_part) * done / all;
    case TARN_SCHEDULE_COSINE:
        if (step >= s->steps) return floor_part;
        return floor_part + (1 - floor_part) * 0.5 * (1 + cos(PI * done / all));
    case TARN_SCHEDULE_ONE_CYCLE: return one_cycle(s, (double)step);
    }
    return NAN;
}

tarn_status tarn_schedule_apply(tarn_optimizer *optimizer, const tarn_schedule *schedule,
                                uint64_t step)
{
    char problem[PROBLEM_BYTES];
    if (optimizer == NULL || schedule == NULL) return TARN_EARG;
    if (!check_schedule(problem, schedule))
        return tarn__fail(optimizer->object.manager, TARN_EARG, "%s schedule: %s",
                          name_of(schedule->kind), problem);
    return tarn_optimizer_scale_lr(optimizer, tarn_schedule_at(schedule, step));
}
