/* SPDX-License-Identifier: MIT
 * program_guards.c - what a step relies on (its inputs, tensors from outside, modes, the owners of
 * its operations): as it was when the program was recorded, and whether it still is. */
#include <stdio.h>

#include "autograd/program_record.h"

/* ---- as they were */

static bool is_input(const tarn__program *p, const tarn_tensor *t)
{
    for (int32_t i = 0; i < p->inputs.n; i++)
        if (tarn__input_at(p, i)->tensor == t) return true;
    return false;
}

void tarn__program_note_input(tarn__program *p, tarn_tensor *t)
{
    const int32_t value = tarn__program_value_of(p, t->storage);
    tarn__input *in = tarn__program_push(p, &p->inputs);
    if (value < 0 || in == NULL) return;
    tarn__value *v = tarn__value_at(p, value);
    v->place = TARN__VALUE_INPUT;
    v->guarded = true;
    *in = (tarn__input){ .tensor = t,
                         .layout = t->layout,
                         .value = value,
                         .offset = (size_t)((unsigned char *)t->data - v->data) };
    if (t->requires_grad || t->node != NULL)
        tarn__program_refuse(p, "an input requires a gradient", true);
}

int32_t tarn__program_note_handle(tarn__program *p, tarn_tensor *t)
{
    if (t == NULL || t->storage == NULL || t->sequence > p->begin || is_input(p, t)) return -1;
    for (int32_t i = 0; i < p->handles.n; i++)
        if (tarn__handle_at(p, i)->tensor == t) return i;
    if (t->node != NULL)
        tarn__program_refuse(p,
                             "it goes on from a tensor that a recorded operation outside computed "
                             "(tarn_detach cuts it off)",
                             true);
    const int32_t value = tarn__program_value_of(p, t->storage);
    if (value < 0 || tarn__value_at(p, value)->place == TARN__VALUE_RESULT) return -1;
    tarn__handle *h = tarn__program_push(p, &p->handles);
    if (h == NULL) return -1;
    tarn__value *v = tarn__value_at(p, value);
    if (v->place == TARN__VALUE_INPUT)
        tarn__program_refuse(p, "the memory of an input is that of another tensor, too", true);
    v->guarded = true;
    *h = (tarn__handle){ .tensor = t,
                         .storage = t->storage,
                         .data = t->data,
                         .grad = t->grad,
                         .sequence = t->sequence,
                         .requires_grad = t->requires_grad,
                         .frozen = t->frozen,
                         .arrived = t->grad_state == TARN__GRAD_ARRIVED };
    return p->handles.n - 1;
}

int32_t tarn__program_note_leaf(tarn__program *p, tarn_tensor *t)
{
    if (is_input(p, t)) tarn__program_refuse(p, "an input gets a gradient", true);
    const int32_t handle = tarn__program_note_handle(p, t);
    if (handle < 0) return -1;
    tarn__handle_at(p, handle)->is_leaf = true;
    const int32_t value = t->grad != NULL ? tarn__program_value_of(p, t->grad->storage) : -1;
    if (value < 0) return handle;
    tarn__value_at(p, value)->guarded = true;
    tarn__value_at(p, value)->is_gradient = true;
    return handle;
}

void tarn__program_note_mode(tarn__program *p, const bool *mode, const tarn__object *owner)
{
    for (int32_t i = 0; i < p->modes.n; i++)
        if (tarn__mode_at(p, i)->mode == mode) return;
    tarn__mode *m = tarn__program_push(p, &p->modes);
    if (m != NULL) *m = (tarn__mode){ mode, owner, owner->serial, *mode };
}

void tarn__program_note_op(tarn__program *p, const tarn__op *op)
{
    const uintptr_t at = (uintptr_t)op;
    for (const tarn__object *o = p->tm->objects; o != NULL; o = o->next) {
        if (at < (uintptr_t)o || at >= (uintptr_t)o + o->bytes) continue;
        tarn__owner_of_op *owner = tarn__program_push(p, &p->owners);
        if (owner != NULL) *owner = (tarn__owner_of_op){ o, o->serial };
        return;
    }
}

/* ---- whether they hold
 *
 * What differs is told where somebody asks: size is 0 otherwise. */

#define TELL(...) ((void)(size > 0 && snprintf(what, size, __VA_ARGS__)))

/* An input may not lie in memory that the program writes. Those storages live and stay the same
 * while the guards hold, so that another needs to be told from them once. */
static bool stands_apart(const tarn__program *p, tarn__input *in, const tarn_tensor *t)
{
    if (in->apart == t->storage) return true;
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        const bool changes = v->written || v->acted;
        if (changes && v->storage == t->storage &&
            (v->place == TARN__VALUE_OUTSIDE || v->place == TARN__VALUE_RESULT))
            return false;
    }
    in->apart = t->storage;
    return true;
}

/* Whether input i shares its storage with the same inputs as before, at the same distance. */
static bool shares_alike(const tarn__program *p, tarn_list inputs, int32_t i)
{
    const tarn__input *a = tarn__input_at(p, i);
    for (int32_t j = 0; j < i; j++) {
        const tarn__input *b = tarn__input_at(p, j);
        if (a->value != b->value) continue;
        const unsigned char *x = inputs.items[i]->data, *y = inputs.items[j]->data;
        if (inputs.items[i]->storage != inputs.items[j]->storage ||
            x - y != (ptrdiff_t)a->offset - (ptrdiff_t)b->offset)
            return false;
    }
    return true;
}

static tarn__guard guard_inputs(const tarn__program *p, tarn_list inputs, char *what, size_t size)
{
    char now[TARN__DESCRIPTION_BYTES], then[TARN__DESCRIPTION_BYTES];
    if (inputs.n != p->inputs.n) {
        TELL("%d inputs instead of %d", inputs.n, (int)p->inputs.n);
        return TARN__GUARD_INPUTS;
    }
    for (int32_t i = 0; i < p->inputs.n; i++) {
        tarn_tensor *t = inputs.items[i];
        tarn__input *in = tarn__input_at(p, i);
        if (!tarn__same_layout(&t->layout, &in->layout)) {
            TELL("input %d is %s %s%s instead of %s %s", (int)i,
                 tarn_dtype_name((tarn_dtype)t->layout.dtype),
                 tarn__describe_layout(&t->layout, now),
                 t->layout.contiguous ? "" : " with strides",
                 tarn_dtype_name((tarn_dtype)in->layout.dtype),
                 tarn__describe_layout(&in->layout, then));
            return TARN__GUARD_INPUTS;
        }
        const char *problem = NULL;
        if (t->requires_grad || t->node != NULL) problem = "requires a gradient";
        else if (!stands_apart(p, in, t)) problem = "lies in memory that the step changes";
        else if (!shares_alike(p, inputs, i)) problem = "shares memory in another way than before";
        if (problem == NULL) continue;
        TELL("input %d %s", (int)i, problem);
        return TARN__GUARD_INPUTS;
    }
    return TARN__GUARD_HOLDS;
}

/* What the program refers to by address must live. Looked for only after something has ended. */
static bool owners_live(tarn__program *p)
{
    tarn_manager *tm = p->tm;
    if (p->objects_ended == tm->objects_ended) return true;
    for (int32_t i = 0; i < p->modes.n; i++) {
        const tarn__mode *m = tarn__mode_at(p, i);
        if (!tarn__object_lives(tm, m->owner, m->serial)) return false;
    }
    for (int32_t i = 0; i < p->owners.n; i++) {
        const tarn__owner_of_op *o = tarn__owner_at(p, i);
        if (!tarn__object_lives(tm, o->object, o->serial)) return false;
    }
    for (int32_t i = 0; i < p->instructions.n; i++) {
        const tarn__instruction *n = tarn__instruction_at(p, i);
        if (n->kind == TARN__RUN_ACTION && !tarn__object_lives(tm, n->action.owner, n->owner))
            return false;
    }
    p->objects_ended = tm->objects_ended;
    return true;
}

static tarn__guard guard_handle(const tarn__handle *h, char *what, size_t size)
{
    const tarn_tensor *t = h->tensor;
    char text[TARN__DESCRIPTION_BYTES];
    if (t->sequence != h->sequence || t->ended_by != TARN__ALIVE || t->storage != h->storage ||
        t->data != h->data) {
        TELL("a tensor that the step uses has ended");
        return TARN__GUARD_ENDED;
    }
    const char *problem = NULL;
    tarn__guard guard = TARN__GUARD_TENSORS;
    if (t->requires_grad != h->requires_grad)
        problem = t->requires_grad ? "requires a gradient now" : "requires no gradient any more";
    else if (t->frozen != h->frozen) problem = "is frozen now";
    else if (t->node != NULL) problem = "was computed by a recorded operation";
    else if (t->hooks != NULL) problem = "has hooks now";
    else if (h->is_leaf && t->grad != h->grad) problem = "has another gradient";
    if (problem == NULL && h->is_leaf && (t->grad_state == TARN__GRAD_ARRIVED) != h->arrived) {
        problem = h->arrived ? "has no gradient to be added to" : "has a gradient already";
        guard = TARN__GUARD_GRADIENTS;
    }
    if (problem == NULL) return TARN__GUARD_HOLDS;
    TELL("%s %s", tarn__describe(t, text), problem);
    return guard;
}

tarn__guard tarn__program_guard(tarn__program *p, tarn_list inputs, char *what, size_t size)
{
    tarn__guard guard = guard_inputs(p, inputs, what, size);
    if (guard != TARN__GUARD_HOLDS) return guard;
    if (!owners_live(p)) {
        TELL("a module, optimiser or operation that the step uses was destroyed");
        return TARN__GUARD_ENDED;
    }
    if (p->tm->frames[p->tm->depth].no_grad != p->no_grad) {
        TELL("gradients are recorded %s", p->no_grad ? "now" : "no more");
        return TARN__GUARD_MODES;
    }
    for (int32_t i = 0; i < p->modes.n; i++) {
        const tarn__mode *m = tarn__mode_at(p, i);
        if (*m->mode == m->value) continue;
        TELL("a module is %s now", m->value ? "evaluating" : "training");
        return TARN__GUARD_MODES;
    }
    for (int32_t i = 0; i < p->handles.n; i++) {
        guard = guard_handle(tarn__handle_at(p, i), what, size);
        if (guard != TARN__GUARD_HOLDS) return guard;
    }
    return TARN__GUARD_HOLDS;
}
