/* SPDX-License-Identifier: MIT
 * plan.c - tarn_plan: when a step is recorded, replayed or simply called. */
#include "autograd/plan.h"

#include <stdio.h>
#include <string.h>

#include "autograd/tape.h"
#include "core/storage.h"

enum { MAX_MISSES = 8 };

/* ---- making and ending */

static void drop(tarn__program **programs, int i, int n)
{
    tarn__program_free(programs[i]);
    for (; i + 1 < n; i++) programs[i] = programs[i + 1];
    programs[n - 1] = NULL;
}

static void drop_all(tarn_plan *plan)
{
    while (plan->ready[0] != NULL) drop(plan->ready, 0, TARN__PLAN_READY);
    while (plan->waiting[0] != NULL) drop(plan->waiting, 0, TARN__PLAN_WAITING);
    if (plan->arena != NULL) tarn__storage_unref(plan->object.manager, plan->arena);
    plan->arena = NULL;
}

static void destroy_plan(tarn__object *object)
{
    tarn_plan *plan = (tarn_plan *)object;
    drop_all(plan);
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

/* ---- results */

tarn_tensor *tarn__plan_result(const tarn_plan *plan, const tarn__program *program)
{
    for (int32_t i = program->values.n - 1; i >= 0; i--) {
        const tarn__value *v = tarn__value_at(program, i);
        for (int k = 0; k < TARN__PLAN_RESULTS && v->place == TARN__VALUE_RESULT; k++)
            if (plan->results[k] != NULL && plan->results[k]->storage == v->storage)
                return plan->results[k];
    }
    return NULL;
}

static bool is_needed(const tarn_plan *plan, const tarn_tensor *result)
{
    for (int i = 0; i < TARN__PLAN_READY; i++)
        if (plan->ready[i] != NULL && tarn__plan_result(plan, plan->ready[i]) == result)
            return true;
    for (int i = 0; i < TARN__PLAN_WAITING; i++)
        if (plan->waiting[i] != NULL && tarn__plan_result(plan, plan->waiting[i]) == result)
            return true;
    return false;
}

/* Leaves room for another result: there are more places than recordings. */
static void make_room(tarn_plan *plan)
{
    for (int i = 0; i < TARN__PLAN_RESULTS; i++)
        if (plan->results[i] == NULL) return;
    for (int i = 0; i < TARN__PLAN_RESULTS; i++) {
        if (is_needed(plan, plan->results[i])) continue;
        tarn__tensor_end(plan->results[i], TARN__ENDED_BY_OWNER);
        plan->results[i] = NULL;
    }
}

/* The result of this layout, made if there is none; NULL without memory, and nothing held. Made
 * outside the recording, if there is one. */
static tarn_tensor *result_like(tarn_plan *plan, const tarn_tensor *y, bool *is_new)
{
    tarn_manager *tm = plan->object.manager;
    tarn__layout layout = y->layout;
    int i = 0;
    *is_new = false;
    if (tarn__layout_pack(&layout) != TARN_OK) return NULL;
    for (; i < TARN__PLAN_RESULTS && plan->results[i] != NULL; i++)
        if (plan->results[i]->layout.dtype == layout.dtype &&
            tarn__same_shape(&plan->results[i]->layout, &layout))
            return plan->results[i];
    if (i == TARN__PLAN_RESULTS) return NULL;
    const uint64_t recording = tm->recording;
    tm->recording = 0;
    const uint32_t tag = tarn__tag_of(tm, "", "plan", TARN_KIND_ACTIVATION);
    plan->results[i] = tarn__own(tarn__tensor_try(tm, &layout, tag));
    tm->recording = recording;
    *is_new = plan->results[i] != NULL;
    return plan->results[i];
}

/* ---- calling the step */

/* y in the plan's memory. Without memory for it y itself, which goes to the scope around. */
static tarn_tensor *keep_result(tarn_plan *plan, tarn_tensor *y, tarn__program *program)
{
    bool is_new;
    tarn__materialize(y);
    tarn_tensor *result = result_like(plan, y, &is_new);
    if (result == NULL) {
        if (program != NULL)
            tarn__program_refuse(program, "there was no memory for its result", false);
        return tarn_escape(y);
    }
    if (program != NULL) tarn__program_result(program, result, y, is_new);
    else tarn__copy_strided(result, y);
    result->storage->version++;
    return result;
}

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
        result = keep_result(plan, y, program);
    tarn_scope_end(scope);
    return result;
}

static tarn_tensor *call_eagerly(tarn_plan *plan, tarn_list inputs, tarn_plan_reason_code reason)
{
    plan->reason = reason;
    plan->stats.reasons[reason]++;
    make_room(plan);
    return tarn__plan_call(plan, inputs, NULL);
}

/* ---- recordings that become ready */

static void insert(tarn__program **programs, int n, tarn__program *p)
{
    if (programs[n - 1] != NULL) drop(programs, n - 1, n);
    for (int i = n - 1; i > 0; i--) programs[i] = programs[i - 1];
    programs[0] = p;
}

static void give_up(tarn_plan *plan, const char *why)
{
    plan->given_up = true;
    (void)snprintf(plan->why, sizeof(plan->why), "%s", why);
}

/* Makes the arena as large as the largest need. False without memory: then nothing is ready. */
static bool fit_arena(tarn_plan *plan, size_t bytes)
{
    tarn_manager *tm = plan->object.manager;
    if (plan->arena != NULL && plan->arena->bytes >= bytes) return true;
    if (plan->arena != NULL) tarn__storage_unref(tm, plan->arena);
    plan->arena = tarn__storage_new(tm, bytes > 0 ? bytes : 1,
                                    tarn__tag_of(tm, "", "plan", TARN_KIND_ACTIVATION));
    if (plan->arena == NULL) {
        drop_all(plan);
        return false;
    }
    plan->arena->refs = 1;
    for (int i = 0; i < TARN__PLAN_READY; i++)
        if (plan->ready[i] != NULL) tarn__program_link(plan->ready[i], plan->arena->data);
    return true;
}

/* Gives a recording that was made twice its memory. It ends where that cannot be. */
static bool make_ready(tarn_plan *plan, tarn__program *p)
{
    tarn__program_lay_out(p);
    if (p->refused != NULL || !fit_arena(plan, p->arena_bytes)) {
        (void)snprintf(plan->text, sizeof(plan->text), "there was no memory for the plan");
        tarn__program_free(p);
        return false;
    }
    tarn__program_link(p, plan->arena->data);
    insert(plan->ready, TARN__PLAN_READY, p);
    plan->misses = 0;
    return true;
}

/* What becomes of a recording: with its like it is ready, without it waits. */
static void judge(tarn_plan *plan, tarn__program *p)
{
    char what[sizeof(plan->text)] = "it was recorded for the first time";
    if (++plan->misses > MAX_MISSES)
        tarn__program_refuse(p, "it was not the same twice in many calls", false);
    if (p->refused != NULL) {
        (void)snprintf(plan->text, sizeof(plan->text), "%s", p->refused);
        if (p->for_good) drop_all(plan);
        if (p->for_good || plan->misses > MAX_MISSES) give_up(plan, p->refused);
        tarn__program_free(p);
        return;
    }
    for (int i = 0; i < TARN__PLAN_WAITING && plan->waiting[i] != NULL; i++) {
        char differs[sizeof(what)];
        if (tarn__program_equal(plan->waiting[i], p, differs, sizeof(differs))) {
            drop(plan->waiting, i, TARN__PLAN_WAITING);
            if (make_ready(plan, p))
                (void)snprintf(plan->text, sizeof(plan->text), "it will be replayed from now on");
            return;
        }
        if (i == 0) memcpy(what, differs, sizeof(what));
    }
    (void)snprintf(plan->text, sizeof(plan->text), "%s", what);
    insert(plan->waiting, TARN__PLAN_WAITING, p);
}

static tarn_tensor *record(tarn_plan *plan, tarn_list inputs)
{
    tarn_manager *tm = plan->object.manager;
    make_room(plan);
    tarn__program *p = tarn__program_begin(tm, inputs);
    if (p == NULL) return call_eagerly(plan, inputs, TARN_PLAN_MEMORY);
    tarn_tensor *result = tarn__plan_call(plan, inputs, p);
    tarn__program_end(p);
    if (!tarn_ok(tm)) {
        (void)snprintf(plan->text, sizeof(plan->text), "it failed");
        tarn__program_free(p);
    } else {
        judge(plan, p);
    }
    plan->reason = plan->given_up ? TARN_PLAN_REFUSED : TARN_PLAN_RECORDING;
    plan->stats.reasons[plan->reason]++;
    return result;
}

/* ---- replays */

static tarn_tensor *replay(tarn_plan *plan, int i, tarn_list inputs)
{
    tarn__program *p = plan->ready[i];
    for (; i > 0; i--) plan->ready[i] = plan->ready[i - 1];
    plan->ready[0] = p;
    plan->reason = TARN_PLAN_NONE;
    plan->stats.replays++;
    plan->stats.reasons[TARN_PLAN_NONE]++;
    const uint64_t every = plan->options.verify;
    if (every > 0 && plan->stats.replays % every == 0) {
        char what[sizeof(plan->why)] = "";
        tarn_tensor *result = tarn__plan_verify(plan, p, inputs, what, sizeof(what));
        if (what[0] == '\0') return result;
        drop_all(plan);
        give_up(plan, what);
        return NULL;
    }
    plan->busy = true;
    const tarn_status status = tarn__program_run(p, inputs);
    plan->busy = false;
    return status == TARN_OK ? tarn__plan_result(plan, p) : NULL;
}

/* Says why the recording that was used last does not fit, and lets go of those that never will. */
static tarn_plan_reason_code why_none_fits(tarn_plan *plan, tarn_list inputs)
{
    static const tarn_plan_reason_code reasons[] = {
        [TARN__GUARD_INPUTS] = TARN_PLAN_INPUTS,       [TARN__GUARD_MODES] = TARN_PLAN_MODES,
        [TARN__GUARD_TENSORS] = TARN_PLAN_TENSORS,     [TARN__GUARD_ENDED] = TARN_PLAN_TENSORS,
        [TARN__GUARD_GRADIENTS] = TARN_PLAN_GRADIENTS,
    };
    if (plan->ready[0] == NULL) return TARN_PLAN_NONE;
    tarn__program *last = plan->ready[0];
    const tarn__guard guard = tarn__program_guard(last, inputs, plan->text, sizeof(plan->text));
    for (int i = 0; i < TARN__PLAN_READY && plan->ready[i] != NULL;) {
        if (tarn__program_guard(plan->ready[i], inputs, NULL, 0) == TARN__GUARD_ENDED)
            drop(plan->ready, i, TARN__PLAN_READY);
        else i++;
    }
    return reasons[guard];
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
    for (int i = 0; i < TARN__PLAN_READY && plan->ready[i] != NULL; i++)
        if (tarn__program_guard(plan->ready[i], inputs, NULL, 0) == TARN__GUARD_HOLDS)
            return replay(plan, i, inputs);
    reason = why_none_fits(plan, inputs);
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
