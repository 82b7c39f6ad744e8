/* SPDX-License-Identifier: MIT
 * lbfgs_step.c - a step of L-BFGS: directions from the history of gradients, and how far to go
 * along them. */
#include <math.h>

#include <tarn/lbfgs.h>

#include "core/observer.h"
#include "nn/lbfgs.h"

/* ---- evaluations */

/* A step: what it was given, and what it came to. */
typedef struct run {
    tarn_optimizer *o;
    tarn__lbfgs *b;
    tarn_closure closure;
    void *context;
    uint64_t iterations, evaluations;
    bool done, converged;                           /* ended by itself, and by a tolerance */
    tarn__gradient_sums sums[TARN__LINE_GRADIENTS]; /* of the gradient in each place */
} run;

/* Marks gradients so that the next backward pass stores. */
static void consume_gradients(const tarn_optimizer *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (tarn__takes_part(&o->slots[i])) o->slots[i].parameter->grad_state = TARN__GRAD_CONSUMED;
}

/* The loss where the parameters are, and gradients. False if an error is held afterwards. */
static bool call_closure(run *r, double *loss)
{
    tarn_optimizer *o = r->o;
    tarn_manager *tm = o->object.manager;
    consume_gradients(o);
    const tarn_scope scope = tarn_scope_begin(tm);
    *loss = tarn_ok(tm) ? r->closure(r->context) : NAN;
    tarn_scope_end(scope);
    r->evaluations++;
    if (tarn_ok(tm) && o->watch.root == NULL)
        (void)tarn__fail(tm, TARN_ESTATE, "lbfgs: the module was destroyed");
    return tarn_ok(tm);
}

/* Takes the gradients over into the place of a trial, whose loss is known. */
static void collect(run *r, tarn__trial *trial)
{
    tarn__gradient_sums *sums = &r->sums[trial->gradient];
    *sums = tarn__vectors_collect(r->o, tarn__vector_g(trial->gradient));
    if (!isfinite(trial->loss) || !isfinite(sums->magnitude)) trial->loss = INFINITY;
    consume_gradients(r->o);
}

/* For the line search. */
static bool evaluate(void *context, tarn__trial *trial)
{
    run *r = context;
    tarn__vectors_move(r->o, trial->t);
    if (!call_closure(r, &trial->loss)) return false;
    collect(r, trial);
    trial->slope = tarn__vectors_dot(r->o, tarn__vector_g(trial->gradient), TARN__VECTOR_DIRECTION);
    if (!isfinite(trial->slope)) trial->loss = INFINITY;
    return true;
}

/* Finds out who takes part. What was learnt is of use to the same parameters only. */
static bool choose_pieces(run *r)
{
    bool any = false;
    for (size_t i = 0; i < r->o->n; i++) {
        const bool active = tarn__takes_part(&r->o->slots[i]);
        if (r->b->pieces[i].active != active) r->b->begun = false;
        r->b->pieces[i].active = active;
        any = any || active;
    }
    if (!any) (void)tarn__optimizer_lacks_gradients(r->o);
    return any;
}

/* The first evaluation of a step. False with the error held. */
static bool evaluate_start(run *r, tarn__trial *start)
{
    double loss;
    if (!call_closure(r, &loss) || !choose_pieces(r)) return false;
    const int kept = r->b->gradient;
    *start = (tarn__trial){ .loss = loss, .gradient = tarn__line_free(kept, kept, kept) };
    if (r->o->object.manager->dry) return true;
    collect(r, start);
    if (isfinite(start->loss)) return true;
    (void)tarn__fail(r->o->object.manager, TARN_ENUMERIC,
                     "lbfgs: where the step begins the loss is %g, the sum of all derivatives' "
                     "magnitudes %g",
                     loss, r->sums[start->gradient].magnitude);
    return false;
}

/* ---- directions */

static size_t place_of(const tarn__lbfgs *b, size_t pair)
{
    return (b->first + pair) % b->n_places;
}

/* Learns from the last step: s is what was gone, y how the gradient changed. Pairs without clearly
 * positive curvature are of no use. */
static void learn(const run *r, const tarn__trial *at)
{
    tarn__lbfgs *b = r->b;
    const size_t place = place_of(b, b->n_pairs);
    double sy, yy;
    tarn__vectors_pair(r->o, place, tarn__vector_g(at->gradient), tarn__vector_g(b->gradient), b->t,
                       &sy, &yy);
    if (!(sy > 1e-10)) return;
    b->rho[place] = 1 / sy;
    b->scale = sy / yy;
    if (b->n_pairs == b->history) b->first = (b->first + 1) % b->n_places;
    else b->n_pairs++;
}

/* direction = -H g, with the inverse Hessian H that the pairs tell of (Nocedal and Wright,
 * algorithm 7.4). Each pass over the direction also makes the product that the next one needs. */
static void find_direction(const run *r, const tarn__trial *at)
{
    const tarn__lbfgs *b = r->b;
    const size_t n = b->n_pairs, d = TARN__VECTOR_DIRECTION, g = tarn__vector_g(at->gradient);
    double product =
        tarn__vectors_negate(r->o, d, g, n > 0 ? tarn__vector_s(place_of(b, n - 1)) : g);
    for (size_t i = n; i-- > 0;) {
        const size_t place = place_of(b, i);
        b->alpha[place] = product * b->rho[place];
        product = tarn__vectors_advance(
            r->o, d, -b->alpha[place], tarn__vector_y(place), i > 0 ? 1 : b->scale,
            i > 0 ? tarn__vector_s(place_of(b, i - 1)) : tarn__vector_y(place));
    }
    for (size_t i = 0; i < n; i++) {
        const size_t place = place_of(b, i);
        const double beta = product * b->rho[place];
        product = tarn__vectors_advance(r->o, d, b->alpha[place] - beta, tarn__vector_s(place), 1,
                                        i + 1 < n ? tarn__vector_y(place_of(b, i + 1))
                                                  : tarn__vector_s(place));
    }
}

/* Forgets the pairs: the next direction is that of steepest descent. */
static void forget(tarn__lbfgs *b)
{
    b->begun = false;
    b->n_pairs = b->first = 0;
    b->scale = 1;
}

/* ---- iterations */

/* Goes along the direction, whose slope is known, from one trial to the next; to the same one, with
 * t = 0, where nothing better is found. False with the error held. */
static bool go(run *r, double t, tarn__trial *at)
{
    const tarn__line line = { .evaluate = evaluate,
                              .context = r,
                              .start = *at,
                              .reach = tarn__vectors_largest(r->o, TARN__VECTOR_DIRECTION),
                              .tolerance_change = r->o->groups[0].rates.tolerance_change };
    tarn__vectors_mark(r->o);
    if (r->b->searches) {
        if (!tarn__line_search(&line, t, at)) return false;
        tarn__vectors_move(r->o, at->t);
    } else {
        const int start = at->gradient;
        *at = (tarn__trial){ .t = t, .gradient = tarn__line_free(start, start, start) };
        if (!evaluate(r, at)) return false;
        if (!isfinite(at->loss)) *at = line.start;
        if (at->t == 0) tarn__vectors_move(r->o, 0);
    }
    r->done = r->sums[at->gradient].largest <= r->o->groups[0].rates.tolerance_grad ||
              line.reach * at->t <= line.tolerance_change ||
              fabs(at->loss - line.start.loss) < line.tolerance_change;
    r->converged = r->done && at->t > 0;
    return true;
}

/* One direction and the way along it. False with the error held and the parameters where they were.
 */
static bool iterate(run *r, tarn__trial *at)
{
    tarn__lbfgs *b = r->b;
    double t = r->o->lr;
    r->iterations++;
    if (b->begun) {
        learn(r, at);
    } else {
        const double magnitude = r->sums[at->gradient].magnitude;
        forget(b);
        if (magnitude > 1) t /= magnitude;
    }
    find_direction(r, at);
    b->begun = true;
    b->gradient = at->gradient;
    b->t = at->t = 0;
    at->slope = tarn__vectors_dot(r->o, tarn__vector_g(at->gradient), TARN__VECTOR_DIRECTION);
    if (!(at->slope <= -r->o->groups[0].rates.tolerance_change)) {
        r->done = true;
        r->converged = isfinite(at->slope);
        return true;
    }
    if (!go(r, t, at)) {
        if (r->o->watch.root != NULL) tarn__vectors_move(r->o, 0);
        forget(b);
        return false;
    }
    b->t = at->t;
    if (at->t == 0) forget(b);
    return true;
}

/* The iterations of a step. False with the error held. */
static bool minimise(run *r, tarn_lbfgs_result *result)
{
    const tarn__lbfgs *b = r->b;
    tarn__trial at;
    if (!evaluate_start(r, &at)) return false;
    result->first_loss = at.loss;
    if (!r->o->object.manager->dry) {
        r->done = r->converged =
            r->sums[at.gradient].largest <= r->o->groups[0].rates.tolerance_grad;
        while (!r->done && r->o->lr > 0 && r->iterations < b->max_iter &&
               (r->iterations == 0 || r->evaluations < b->max_eval))
            if (!iterate(r, &at)) return false;
    }
    result->loss = at.loss;
    result->iterations = r->iterations;
    result->evaluations = r->evaluations;
    result->converged = r->converged;
    return true;
}

/* Whether the call can be served; the error is held otherwise. */
static bool check_call(const tarn_optimizer *o, tarn_closure closure)
{
    if (tarn__optimizer_check(o) != TARN_OK) return false;
    if (o->own != NULL && closure != NULL) return true;
    if (o->own == NULL)
        (void)tarn__fail(o->object.manager, TARN_EARG, "tarn_lbfgs_step: the optimiser is %s",
                         o->family->name);
    else (void)tarn__fail(o->object.manager, TARN_EARG, "tarn_lbfgs_step: the closure is NULL");
    return false;
}

tarn_status tarn_lbfgs_step(tarn_optimizer *optimizer, tarn_closure closure, void *context,
                            tarn_lbfgs_result *result)
{
    tarn_lbfgs_result found = { 0 };
    if (result != NULL) *result = found;
    if (optimizer == NULL) return TARN_EARG;
    tarn_manager *tm = optimizer->object.manager;
    if (!check_call(optimizer, closure)) return tarn_error_code(tm);
    tarn__observe_refusal(tm, "it makes a step of L-BFGS, which depends on values");
    const tarn_phase phase = tarn__phase_auto(tm, "optimizer");
    run r = { .o = optimizer, .b = optimizer->own, .closure = closure, .context = context };
    optimizer->busy = true;
    const bool done = minimise(&r, &found);
    optimizer->busy = false;
    tarn__phase_close(phase);
    if (!done) return tarn_error_code(tm);
    optimizer->steps++;
    tarn__manager_step(tm);
    if (result != NULL) *result = found;
    return TARN_OK;
}
