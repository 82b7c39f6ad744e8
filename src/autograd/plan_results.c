/* SPDX-License-Identifier: MIT
 * plan_results.c - the tensors that a plan returns: one of each layout, which calls fill. */
#include "autograd/plan.h"
#include "ops/observe.h"

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

/* There are more places than recordings. */
void tarn__plan_make_room(tarn_plan *plan)
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
    tarn_tensor **room = NULL;
    *is_new = false;
    if (tarn__layout_pack(&layout) != TARN_OK) return NULL;
    for (int i = 0; i < TARN__PLAN_RESULTS; i++) {
        if (plan->results[i] == NULL) room = &plan->results[i];
        else if (tarn__same_layout(&plan->results[i]->layout, &layout)) return plan->results[i];
    }
    if (room == NULL) return NULL;
    const uint64_t recording = tm->recording;
    tm->recording = 0;
    const uint32_t tag = tarn__tag_of(tm, "", "plan", TARN_KIND_ACTIVATION);
    *room = tarn__own(tarn__tensor_try(tm, &layout, tag));
    tm->recording = recording;
    *is_new = *room != NULL;
    return *room;
}

tarn_tensor *tarn__plan_keep(tarn_plan *plan, tarn_tensor *y, tarn__program *program)
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
