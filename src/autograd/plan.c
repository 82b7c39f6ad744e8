/* SPDX-License-Identifier: MIT
 * plan.c - tarn_plan: when a step is recorded, replayed or simply called. */
#include "autograd/plan.h"

#include <stdio.h>

#include "autograd/tape.h"

/* ---- making and ending */

static void destroy_plan(tarn__object *object)
{
    tarn_plan *plan = (tarn_plan *)object;
    tarn__plan_drop_all(plan);
    for (int i = 0; i < TARN__PLAN_RESULTS; i++)
        if (plan->results[i] != NULL) tarn__tensor_end(plan->results[i], TARN__ENDED_BY_OWNER);
    tarn__object_free(object);
}

tarn_plan *tarn_plan_create(tarn_manager *tm, tarn_function step, void *context,
                            const tarn_plan_options *options)
{
    if (tm == NULL) return NULL;
    if (step == NULL) {
        (void)tarn__fail(tm, TARN_EARG, "tarn_plan_create: the step is NULL");
        return NULL;
    }
    tarn_plan *plan = tarn__object_new(tm, sizeof(*plan), destroy_plan);
    if (plan == NULL) return NULL;
    plan->step = step;
    plan->context = context;
    if (options != NULL) plan->options = *options;
    return plan;
}

void tarn_plan_destroy(tarn_plan *plan)
{
    if (plan == NULL) return;
    if (plan->busy)
        (void)tarn__fail(plan->object.manager, TARN_ESTATE,
                         "tarn_plan_destroy: called inside its own step");
    else destroy_plan(&plan->object);
}

/* ---- calling the step */

tarn_tensor *tarn__plan_call(tarn_plan *plan, tarn_list inputs, tarn__program *program)
{
    tarn_manager *tm = plan->object.manager;
    const tarn_scope scope = tarn_scope_begin(tm);
    if (!tarn_ok(tm)) return NULL;
    const uint32_t held = tm->held;
    tm->held = tm->depth;
    plan->busy = true;
    tarn_tensor *y = plan->step(inputs.items, inputs.n, plan->context), *result = NULL;
    plan->busy = false;
    tm->held = held;
    if (y != NULL && tarn_ok(tm) && y->manager != tm)
        (void)tarn__fail(tm, TARN_ESTATE,
                         "tarn_plan_run: the step returned a tensor of another manager");
    if (y != NULL && tarn_ok(tm) && tarn__readable(y, "tarn_plan_run"))
        result = tarn__plan_keep(plan, y, program);
    tarn_scope_end(scope);
    return result;
}

static tarn_tensor *call_eagerly(tarn_plan *plan, tarn_list inputs, tarn_plan_reason_code reason)
{
    plan->reason = reason;
    plan->stats.reasons[reason]++;
    tarn__plan_make_room(plan);
    return tarn__plan_call(plan, inputs, NULL);
}

static tarn_tensor *record(tarn_plan *plan, tarn_list inputs)
{
    tarn_manager *tm = plan->object.manager;
    tarn__plan_make_room(plan);
    tarn__program *p = tarn__program_begin(tm, inputs);
    if (p == NULL) return call_eagerly(plan, inputs, TARN_PLAN_MEMORY);
    tarn_tensor *result = tarn__plan_call(plan, inputs, p);
    tarn__program_end(p);
    if (!tarn_ok(tm)) {
        (void)snprintf(plan->text, sizeof(plan->text), "it failed");
        tarn__program_free(p);
    } else {
        tarn__plan_judge(plan, p);
    }
    plan->reason = plan->given_up ? TARN_PLAN_REFUSED : TARN_PLAN_RECORDING;
    plan->stats.reasons[plan->reason]++;
    return result;
}

/* ---- replays */

static tarn_tensor *replay(tarn_plan *plan, tarn__program *p, tarn_list inputs)
{
    plan->reason = TARN_PLAN_NONE;
    plan->stats.replays++;
    plan->stats.reasons[TARN_PLAN_NONE]++;
    const uint64_t every = plan->options.verify;
    if (every > 0 && plan->stats.replays % every == 0) {
        char what[sizeof(plan->why)] = "";
        tarn_tensor *result = tarn__plan_verify(plan, p, inputs, what, sizeof(what));
        if (what[0] == '\0') return result;
        tarn__plan_drop_all(plan);
        tarn__plan_give_up(plan, what);
        return NULL;
    }
    plan->busy = true;
    const tarn_status status = tarn__program_run(p, inputs);
    plan->busy = false;
    return status == TARN_OK ? tarn__plan_result(plan, p) : NULL;
}

/* ---- tarn_plan_run */

static tarn_status check_inputs(const tarn_plan *plan, tarn_list inputs)
{
    tarn_manager *tm = plan->object.manager;
    if (inputs.n < 0 || (inputs.n > 0 && inputs.items == NULL))
        return tarn__fail(tm, TARN_EARG, "tarn_plan_run: %d inputs, but none is given", inputs.n);
    for (int i = 0; i < inputs.n; i++) {
        if (inputs.items[i] == NULL)
            return tarn__fail(tm, TARN_EARG, "tarn_plan_run: input %d is NULL", i);
        if (inputs.items[i]->manager != tm)
            return tarn__fail(tm, TARN_ESTATE,
                              "tarn_plan_run: input %d belongs to another manager than the plan",
                              i);
        if (!tarn__readable(inputs.items[i], "tarn_plan_run")) return TARN_ESTALE;
    }
    return TARN_OK;
}

/* Why this run cannot be replayed or recorded, whatever the step is. */
static tarn_plan_reason_code obstacle(const tarn_plan *plan)
{
    const tarn_manager *tm = plan->object.manager;
    const tarn__tape *tape = tm->tape;
    if (plan->options.eager) return TARN_PLAN_OFF;
    if (tm->dry || tm->watch != 0) return TARN_PLAN_WATCHED;
    if (tm->observer != NULL || tm->draws != NULL || tm->replaying ||
        (tape != NULL && tape->running))
        return TARN_PLAN_INSIDE;
    return TARN_PLAN_NONE;
}

tarn_tensor *tarn_plan_run(tarn_plan *plan, tarn_list inputs)
{
    if (plan == NULL) return NULL;
    tarn_manager *tm = plan->object.manager;
    if (!tarn_ok(tm)) return NULL;
    if (plan->busy) {
        (void)tarn__fail(tm, TARN_ESTATE, "tarn_plan_run: called inside its own step");
        return NULL;
    }
    if (check_inputs(plan, inputs) != TARN_OK) return NULL;
    plan->stats.runs++;
    plan->text[0] = '\0';
    tarn_plan_reason_code reason = obstacle(plan);
    tarn__observe_refusal(tm, "it runs another plan");
    if (reason != TARN_PLAN_NONE) return call_eagerly(plan, inputs, reason);
    tarn__program *fitting = tarn__plan_find(plan, inputs);
    if (fitting != NULL) return replay(plan, fitting, inputs);
    reason = tarn__plan_why_none_fits(plan, inputs);
    if (!plan->given_up && plan->ready[TARN__PLAN_READY - 1] == NULL) return record(plan, inputs);
    if (reason == TARN_PLAN_NONE) reason = TARN_PLAN_REFUSED;
    return call_eagerly(plan, inputs, reason);
}

/* ---- questions */

bool tarn_plan_is_replayed(const tarn_plan *plan)
{
    return plan != NULL && plan->stats.runs > 0 && plan->reason == TARN_PLAN_NONE;
}

const char *tarn_plan_reason(tarn_plan *plan)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        TARN_PLAN_REASON_LIST(TEXT)
#undef TEXT
    };
    if (plan == NULL || plan->reason == TARN_PLAN_NONE) return "";
    const char *what = plan->reason == TARN_PLAN_REFUSED ? plan->why : plan->text;
    (void)snprintf(plan->sentence, sizeof(plan->sentence), "%s%s%s", texts[plan->reason],
                   what[0] != '\0' ? ": " : "", what);
    return plan->sentence;
}

tarn_plan_stats tarn_plan_get_stats(const tarn_plan *plan)
{
    if (plan == NULL) return (tarn_plan_stats){ 0 };
    tarn_plan_stats s = plan->stats;
    while (s.recordings < TARN__PLAN_READY && plan->ready[s.recordings] != NULL) s.recordings++;
    s.arena_bytes = plan->arena != NULL ? plan->arena->bytes : 0;
    const tarn__program *p = plan->ready[0];
    if (p == NULL) return s;
    s.instructions = (size_t)p->instructions.n;
    s.in_place = (size_t)p->n_in_place;
    s.bytes = p->arena_bytes;
    s.lower_bound = p->lower_bound;
    for (int32_t i = 0; i < p->values.n; i++)
        s.values += tarn__value_at(p, i)->place == TARN__VALUE_INSIDE;
    return s;
}

tarn_plan_reason_code tarn_plan_reason_of(const tarn_plan *plan)
{
    return plan == NULL ? TARN_PLAN_NONE : plan->reason;
}
