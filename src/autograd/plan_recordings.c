/* SPDX-License-Identifier: MIT
 * plan_recordings.c - the recordings of a plan: those that wait for their like, those that can be
 * replayed, and the arena that these share. */
#include <stdio.h>
#include <string.h>

#include "autograd/plan.h"
#include "core/storage.h"

enum { MAX_MISSES = 8 };

/* ---- lists of them */

static void drop(tarn__program **programs, int i, int n)
{
    tarn__program_free(programs[i]);
    for (; i + 1 < n; i++) programs[i] = programs[i + 1];
    programs[n - 1] = NULL;
}

static void insert(tarn__program **programs, int n, tarn__program *p)
{
    if (programs[n - 1] != NULL) drop(programs, n - 1, n);
    for (int i = n - 1; i > 0; i--) programs[i] = programs[i - 1];
    programs[0] = p;
}

void tarn__plan_drop_all(tarn_plan *plan)
{
    while (plan->ready[0] != NULL) drop(plan->ready, 0, TARN__PLAN_READY);
    while (plan->waiting[0] != NULL) drop(plan->waiting, 0, TARN__PLAN_WAITING);
    if (plan->arena != NULL) tarn__storage_unref(plan->object.manager, plan->arena);
    plan->arena = NULL;
}

void tarn__plan_give_up(tarn_plan *plan, const char *why)
{
    plan->given_up = true;
    (void)snprintf(plan->why, sizeof(plan->why), "%s", why);
}

/* ---- becoming ready */

/* Makes the arena as large as the largest need. False without memory: then nothing is ready. */
static bool fit_arena(tarn_plan *plan, size_t bytes)
{
    tarn_manager *tm = plan->object.manager;
    if (plan->arena != NULL && plan->arena->bytes >= bytes) return true;
    if (plan->arena != NULL) tarn__storage_unref(tm, plan->arena);
    plan->arena = tarn__storage_new(tm, bytes > 0 ? bytes : 1,
                                    tarn__tag_of(tm, "", "plan", TARN_KIND_ACTIVATION));
    if (plan->arena == NULL) {
        tarn__plan_drop_all(plan);
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

void tarn__plan_judge(tarn_plan *plan, tarn__program *p)
{
    char what[sizeof(plan->text)] = "it was recorded for the first time";
    if (++plan->misses > MAX_MISSES)
        tarn__program_refuse(p, "it was not the same twice in many calls", false);
    if (p->refused != NULL) {
        (void)snprintf(plan->text, sizeof(plan->text), "%s", p->refused);
        if (p->for_good) tarn__plan_drop_all(plan);
        if (p->for_good || plan->misses > MAX_MISSES) tarn__plan_give_up(plan, p->refused);
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

/* ---- use */

tarn__program *tarn__plan_find(tarn_plan *plan, tarn_list inputs)
{
    int i = 0;
    while (i < TARN__PLAN_READY && plan->ready[i] != NULL &&
           tarn__program_guard(plan->ready[i], inputs, NULL, 0) != TARN__GUARD_HOLDS)
        i++;
    if (i == TARN__PLAN_READY || plan->ready[i] == NULL) return NULL;
    tarn__program *found = plan->ready[i];
    for (; i > 0; i--) plan->ready[i] = plan->ready[i - 1];
    plan->ready[0] = found;
    return found;
}

tarn_plan_reason_code tarn__plan_why_none_fits(tarn_plan *plan, tarn_list inputs)
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
