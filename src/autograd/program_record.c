/* SPDX-License-Identifier: MIT
 * program_record.c - recording: the observer that has noted what a step does to memory; and what
 * a recording cannot answer for. */
#include "autograd/program_record.h"
#include "ops/observe.h"

/* ---- the observer */

/* The program that notes what happens now. NULL if it is refused, or if this belongs to an action,
 * which is noted as a whole. */
static tarn__program *noting(const tarn_manager *tm)
{
    tarn__program *p = tm->observed;
    return p->refused == NULL && p->depth == 0 ? p : NULL;
}

static void on_call(tarn_manager *tm, tarn__call_function kernel, const tarn__call *call)
{
    tarn__program *p = noting(tm);
    if (p != NULL) tarn__program_note_call(p, kernel, call);
}

static void on_constant(tarn_manager *tm, tarn_tensor *t)
{
    tarn__program *p = noting(tm);
    if (p != NULL) tarn__program_note_constant(p, t);
}

static void on_zero(tarn_manager *tm, const tarn_tensor *t)
{
    tarn__program *p = noting(tm);
    if (p != NULL) tarn__program_note_zero(p, t);
}

static void on_empty(tarn_manager *tm, const tarn_tensor *t)
{
    tarn__program *p = noting(tm);
    if (p != NULL) tarn__program_note_empty(p, t);
}

static void on_touch(tarn_manager *tm, tarn_tensor *t)
{
    tarn__program *p = tm->observed;
    if (p->refused != NULL) return;
    const int32_t value = tarn__program_value_of(p, t->storage);
    if (value < 0) return;
    tarn__value *v = tarn__value_at(p, value);
    if (v->place == TARN__VALUE_INPUT) tarn__program_refuse(p, "it changes an input", true);
    if (p->depth == 0) {
        v->touched = true;
        return;
    }
    v->acted = v->guarded = true;
    if (!t->requires_grad) return;
    const int32_t handle = tarn__program_note_handle(p, t); /* whose gradient the action uses */
    if (handle >= 0) tarn__handle_at(p, handle)->is_leaf = true;
}

static void on_view(tarn_manager *tm, tarn_tensor *t)
{
    tarn__program *p = tm->observed;
    if (p->refused == NULL) (void)tarn__program_note_handle(p, t);
}

static void on_leaf(tarn_manager *tm, tarn_tensor *t, bool arrived)
{
    tarn__program *p = noting(tm);
    const int32_t handle = p != NULL ? tarn__program_note_leaf(p, t) : -1;
    if (handle < 0) return; /* a leaf of the step's own */
    tarn__instruction *n = tarn__program_add_instruction(p, TARN__RUN_LEAF);
    if (n == NULL) return;
    n->handle = handle;
    n->arrived = arrived;
}

static void on_pass(tarn_manager *tm, bool begins)
{
    tarn__program *p = tm->observed;
    p->pass = begins ? ++p->passes : 0;
}

static void on_mode(tarn_manager *tm, const bool *mode, const tarn__object *owner)
{
    tarn__program *p = noting(tm);
    if (p != NULL) tarn__program_note_mode(p, mode, owner);
}

static void on_action(tarn_manager *tm, const tarn__action *action)
{
    tarn__program *p = tm->observed;
    if (p->depth++ > 0 || p->refused != NULL) return;
    tarn__instruction *n = tarn__program_add_instruction(p, TARN__RUN_ACTION);
    if (n == NULL) return;
    n->action = *action;
    n->owner = action->owner->serial;
}

static void on_action_end(tarn_manager *tm)
{
    tarn__program *p = tm->observed;
    if (p->depth > 0) p->depth--;
}

static void on_refusal(tarn_manager *tm, const char *what)
{
    tarn__program *p = tm->observed;
    if (p->depth == 0) tarn__program_refuse(p, what, true);
}

static void on_refusal_outside(tarn_manager *tm, const tarn_tensor *t, const char *what)
{
    tarn__program *p = tm->observed;
    if (t->sequence <= p->begin) tarn__program_refuse(p, what, true);
}

static const tarn__observer observer = {
    .call = on_call,
    .constant = on_constant,
    .zero = on_zero,
    .empty = on_empty,
    .touch = on_touch,
    .view = on_view,
    .leaf = on_leaf,
    .pass = on_pass,
    .mode = on_mode,
    .action = on_action,
    .action_end = on_action_end,
    .refuse = on_refusal,
    .refuse_outside = on_refusal_outside,
};

/* ---- begin and end */

tarn__program *tarn__program_begin(tarn_manager *tm, tarn_list inputs)
{
    tarn__program *p = tarn__program_new(tm);
    if (p == NULL) return NULL;
    p->mark = tm->last_recording += (uint64_t)1 << 32;
    for (int i = 0; i < inputs.n; i++) tarn__materialize(inputs.items[i]);
    p->begin = tm->sequence;
    p->no_grad = tm->frames[tm->depth].no_grad;
    p->objects_made = tm->objects_made;
    p->objects_ended = tm->objects_ended;
    p->storages = tm->storages.taken;
    p->tensors = tm->tensors.taken;
    for (int i = 0; i < inputs.n; i++) tarn__program_note_input(p, inputs.items[i]);
    tm->recording = p->mark;
    tm->observed = p;
    tm->observer = &observer;
    return p;
}

void tarn__program_result(tarn__program *p, tarn_tensor *result, tarn_tensor *from, bool is_new)
{
    if (is_new) {
        p->storages++;
        p->tensors++;
    }
    if (p->refused != NULL) {
        tarn__copy_strided(result, from);
        return;
    }
    const int32_t value = tarn__program_add_value(p, TARN__VALUE_RESULT, result->storage,
                                                  result->storage->data, result->storage->bytes);
    if (value >= 0) tarn__value_at(p, value)->guarded = true;
    p->has_result = true;
    tarn__copy_observed(result, from);
}

/* ---- what a recording cannot answer for */

typedef struct survivors {
    const tarn__program *p;
    bool found;
} survivors;

/* A storage that the step made, whether anything was noted of it or not. */
static void look_for_survivor(void *context, void *record)
{
    survivors *s = context;
    const tarn__storage *storage = record;
    if (storage->refs == 0 || storage->recorded >> 32 != s->p->mark >> 32) return;
    const int32_t value = (int32_t)(uint32_t)storage->recorded - 1;
    if (value < 0 || tarn__value_at(s->p, value)->place == TARN__VALUE_INSIDE) s->found = true;
}

static bool has_survivor(const tarn__program *p)
{
    survivors s = { .p = p };
    tarn__slab_each(&p->tm->storages, look_for_survivor, &s);
    return s.found;
}

static void check_values(tarn__program *p)
{
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        if (v->place != TARN__VALUE_OUTSIDE) continue;
        if (v->touched && !v->written)
            tarn__program_refuse(p, "it changes a tensor in a way that cannot be repeated", true);
        else if (!v->guarded)
            tarn__program_refuse(p, "it uses memory of which no tensor from outside is known",
                                 true);
    }
}

static void check_handles(tarn__program *p)
{
    for (int32_t i = 0; i < p->handles.n; i++) {
        const tarn__handle *h = tarn__handle_at(p, i);
        if (h->tensor->sequence != h->sequence || h->tensor->refs == 0 ||
            h->tensor->ended_by != TARN__ALIVE)
            tarn__program_refuse(p, "it ends a tensor from outside", false);
        else if (h->tensor->hooks != NULL)
            tarn__program_refuse(p, "a tensor that it uses has hooks", true);
    }
}

void tarn__program_end(tarn__program *p)
{
    tarn_manager *tm = p->tm;
    tm->recording = 0;
    tm->observed = NULL;
    tm->observer = NULL;
    if (p->refused != NULL) return;
    if (has_survivor(p))
        tarn__program_refuse(p, "something that it makes outlives it, such as first gradients",
                             false);
    if (p->objects_made != tm->objects_made || p->objects_ended != tm->objects_ended)
        tarn__program_refuse(p, "it makes or ends modules, optimisers or the like", false);
    if (p->storages != tm->storages.taken || p->tensors != tm->tensors.taken)
        tarn__program_refuse(p, "tensors from outside end in it, or others stay", false);
    check_handles(p);
    check_values(p);
    for (int32_t i = 0; i < p->inputs.n; i++) tarn__input_at(p, i)->tensor = NULL;
}
