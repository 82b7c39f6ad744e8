/* SPDX-License-Identifier: MIT
 * program_run.c - whether a program still fits, and running it. */
#include <stdio.h>
#include <string.h>

#include "autograd/leaf.h"
#include "autograd/program.h"
#include "ops/run_kernel.h"

/* ---- guards
 *
 * What differs is told where somebody asks: size is 0 otherwise. */

#define TELL(...) ((void)(size > 0 && snprintf(what, size, __VA_ARGS__)))

static bool same_layout(const tarn__layout *a, const tarn__layout *b)
{
    return a->dtype == b->dtype && tarn__same_shape(a, b) &&
           memcmp(a->strides, b->strides, a->ndim * sizeof(a->strides[0])) == 0;
}

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
        if (!same_layout(&t->layout, &in->layout)) {
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
        (void)snprintf(what, size,
                       "a module, optimiser or operation that the step uses was destroyed");
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

/* ---- before a run */

/* Points the views of the inputs to the tensors of this run. */
static void bind_inputs(tarn__program *p, tarn_list inputs)
{
    for (int32_t i = 0; i < p->inputs.n; i++) {
        const tarn__input *in = tarn__input_at(p, i);
        tarn__value *v = tarn__value_at(p, in->value);
        tarn_tensor *t = inputs.items[i];
        tarn__materialize(t);
        unsigned char *data = (unsigned char *)t->data - in->offset;
        if (v->data == data) continue;
        v->data = data;
        for (int32_t k = v->views; k >= 0; k = tarn__view_at(p, k)->next)
            tarn__view_at(p, k)->tensor.data = data + tarn__view_at(p, k)->offset;
    }
}

/* Zeros that are pending outside are written, unless it is a gradient that is stored over. Whoever
 * has saved what is changed here shall know. */
static void prepare_outside(tarn__program *p)
{
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        if (v->place != TARN__VALUE_OUTSIDE || v->first < 0) continue;
        if (v->written) v->storage->version++;
        if (!v->storage->zero_pending || (v->is_gradient && v->stored)) continue;
        tarn_tensor whole = { .manager = p->tm, .storage = v->storage };
        tarn__materialize_zeros(&whole);
    }
}

/* ---- running */

static tarn_status run_action(const tarn__program *p, tarn__instruction *n)
{
    uint64_t key = 0;
    const tarn_status status = n->action.run(n->action.object, n->action.number, &key);
    if (!n->action.draws) return status;
    n->action.key = key;
    for (int32_t i = n->users; i >= 0; i = tarn__instruction_at(p, i)->users)
        tarn__instruction_at(p, i)->attr.key = key;
    return status;
}

static void run_leaf(const tarn__program *p, const tarn__instruction *n)
{
    tarn_tensor *t = tarn__handle_at(p, n->handle)->tensor;
    if (n->arrived && t->grad != NULL) tarn__touch(t->grad, true);
    t->grad_state = n->arrived ? TARN__GRAD_ARRIVED : TARN__GRAD_EMPTY;
}

/* A backward pass that fails leaves the gradients that it touched empty. */
static void fail_pass(const tarn__program *p, int32_t at)
{
    const uint32_t pass = tarn__instruction_at(p, at)->pass;
    for (int32_t i = at; i >= 0 && pass != 0; i--) {
        const tarn__instruction *n = tarn__instruction_at(p, i);
        if (n->kind == TARN__RUN_LEAF && n->pass == pass)
            tarn__leaf_empty(tarn__handle_at(p, n->handle)->tensor);
    }
}

static tarn_status run_instruction(const tarn__program *p, tarn__instruction *n)
{
    tarn_tensor *whole = n->call.in[0];
    switch ((tarn__instruction_kind)n->kind) {
    case TARN__RUN_CALL:
        return tarn__run_kernel(n->kernel, &n->call,
                                n->call.dout != NULL ? n->call.dout : n->call.out);
    case TARN__RUN_ZERO: memset(whole->data, 0, tarn__bytes(whole)); return TARN_OK;
    case TARN__RUN_EMPTY: tarn__make_zero(whole); return TARN_OK;
    case TARN__RUN_FILL: tarn__materialize(whole); return TARN_OK;
    case TARN__RUN_LEAF: run_leaf(p, n); return TARN_OK;
    case TARN__RUN_ACTION: return run_action(p, n);
    }
    return TARN_OK;
}

tarn_status tarn__program_run(tarn__program *p, tarn_list inputs)
{
    tarn_manager *tm = p->tm;
    const char *label = tm->label;
    tarn_status status = TARN_OK;
    bind_inputs(p, inputs);
    prepare_outside(p);
    for (int32_t i = 0; i < p->instructions.n && status == TARN_OK; i++) {
        tarn__instruction *n = tarn__instruction_at(p, i);
        tm->label = n->label < 0 ? NULL : tarn__label_at(p, n->label)->text;
        status = run_instruction(p, n);
        if (status != TARN_OK) fail_pass(p, i);
    }
    tm->label = label;
    return status;
}
