/* SPDX-License-Identifier: MIT
 * program_record.c - the observer that writes down what a step does to memory. */
#include <string.h>

#include "autograd/program.h"
#include "core/assert.h"
#include "ops/observe.h"

static const char no_memory[] = "there was no memory to record the step";

/* ---- values */

static bool full_of(const tarn__program *p) { return p->refused != NULL; }

static int32_t new_value(tarn__program *p, tarn__value_place place, tarn__storage *storage,
                         void *data, size_t bytes)
{
    tarn__value *v = tarn__program_push(p, &p->values);
    if (v == NULL) return -1;
    const int32_t i = p->values.n - 1;
    *v = (tarn__value){ .storage = storage,
                        .data = data,
                        .bytes = bytes,
                        .first = -1,
                        .last = -1,
                        .views = -1,
                        .home = i,
                        .place = (uint8_t)place };
    if (storage != NULL) storage->recorded = p->mark | (uint64_t)(uint32_t)(i + 1);
    return i;
}

/* The value of a storage; a storage from outside is met here for the first time, too. -1 if the
 * program cannot be had. */
static int32_t value_of(tarn__program *p, tarn__storage *storage)
{
    const bool marked = storage->recorded >> 32 == p->mark >> 32;
    const uint32_t number = (uint32_t)storage->recorded;
    if (marked && number != 0) return (int32_t)number - 1;
    if (marked && storage->block == NULL) {
        tarn__program_refuse(p, "it makes a tensor on memory that is not the pool's", true);
        return -1;
    }
    return new_value(p, marked ? TARN__VALUE_INSIDE : TARN__VALUE_OUTSIDE, storage, storage->data,
                     storage->bytes);
}

static bool is_input(const tarn__program *p, const tarn_tensor *t)
{
    for (int32_t i = 0; i < p->inputs.n; i++)
        if (tarn__input_at(p, i)->tensor == t) return true;
    return false;
}

/* The handle of a tensor from outside, to be guarded; -1: it is from inside, or an input. */
static int32_t note_handle(tarn__program *p, tarn_tensor *t)
{
    if (t == NULL || t->storage == NULL || t->sequence > p->begin || is_input(p, t)) return -1;
    for (int32_t i = 0; i < p->handles.n; i++)
        if (tarn__handle_at(p, i)->tensor == t) return i;
    if (t->node != NULL)
        tarn__program_refuse(p,
                             "it goes on from a tensor that a recorded operation outside computed "
                             "(tarn_detach cuts it off)",
                             true);
    const int32_t value = value_of(p, t->storage);
    tarn__handle *h = tarn__program_push(p, &p->handles);
    if (value < 0 || h == NULL) return -1;
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

/* ---- views */

static bool same_layout(const tarn__layout *a, const tarn__layout *b)
{
    if (a->dtype != b->dtype || !tarn__same_shape(a, b)) return false;
    return memcmp(a->strides, b->strides, a->ndim * sizeof(a->strides[0])) == 0;
}

static int32_t new_view(tarn__program *p, int32_t value, size_t offset, const tarn_tensor *t)
{
    int32_t *newest = value < 0 ? NULL : &tarn__value_at(p, value)->views;
    for (int32_t i = newest != NULL ? *newest : -1; i >= 0; i = tarn__view_at(p, i)->next) {
        const tarn__view *known = tarn__view_at(p, i);
        if (known->offset == offset && same_layout(&known->tensor.layout, &t->layout)) return i;
    }
    tarn__view *view = tarn__program_push(p, &p->views);
    if (view == NULL) return -1;
    *view = (tarn__view){ .value = value, .next = newest != NULL ? *newest : -1, .offset = offset };
    view->tensor.layout = t->layout;
    view->tensor.manager = p->tm;
    view->tensor.refs = 1;
    if (newest != NULL) *newest = p->views.n - 1;
    return p->views.n - 1;
}

/* t as a view, of which only the layout matters unless its elements are used. */
static int32_t view_of(tarn__program *p, tarn_tensor *t, bool used)
{
    if (t == NULL) return -1;
    (void)note_handle(p, t);
    if (!used || t->storage == NULL) return new_view(p, -1, 0, t);
    const int32_t value = value_of(p, t->storage);
    if (value < 0) return -1;
    const unsigned char *begin = t->storage->data;
    return new_view(p, value, (size_t)((const unsigned char *)t->data - begin), t);
}

/* All bytes of a value. */
static int32_t whole_of(tarn__program *p, int32_t value)
{
    tarn_tensor t = { .layout = { .dtype = TARN_U8, .ndim = 1 } };
    t.layout.dims[0] = (int64_t)tarn__value_at(p, value)->bytes;
    (void)tarn__layout_pack(&t.layout);
    return new_view(p, value, 0, &t);
}

/* ---- instructions */

static tarn__instruction *new_instruction(tarn__program *p, tarn__instruction_kind kind)
{
    tarn__instruction *n = tarn__program_push(p, &p->instructions);
    if (n == NULL) return NULL;
    n->kind = (uint8_t)kind;
    n->key = n->users = n->label = n->handle = -1;
    n->pass = p->pass;
    for (int i = 0; i < TARN__VIEWS; i++) n->views[i] = -1;
    return n;
}

static void note_read(tarn__program *p, int32_t view)
{
    if (view < 0 || tarn__view_at(p, view)->value < 0) return;
    tarn__value *v = tarn__value_at(p, tarn__view_at(p, view)->value);
    if (v->place == TARN__VALUE_INSIDE && !v->written && v->bytes > 0)
        tarn__program_refuse(p, "it reads a tensor of its own that nothing known has written",
                             true);
    if (v->first < 0) v->first = p->instructions.n - 1;
    v->last = p->instructions.n - 1;
}

static void note_write(tarn__program *p, int32_t view)
{
    if (view < 0 || tarn__view_at(p, view)->value < 0) return;
    tarn__value *v = tarn__value_at(p, tarn__view_at(p, view)->value);
    if (v->place == TARN__VALUE_INPUT) tarn__program_refuse(p, "it changes an input", true);
    v->stored = v->stored || v->first < 0;
    if (v->first < 0) v->first = p->instructions.n - 1;
    v->last = p->instructions.n - 1;
    v->written = true;
}

static int32_t label_of(tarn__program *p, const char *text)
{
    enum { BYTES = sizeof(((tarn__label *)NULL)->text) };
    if (text == NULL) return -1;
    for (int32_t i = 0; i < p->labels.n; i++)
        if (strncmp(tarn__label_at(p, i)->text, text, BYTES - 1) == 0) return i;
    tarn__label *label = tarn__program_push(p, &p->labels);
    if (label == NULL) return -1;
    const char *end = memchr(text, '\0', BYTES - 1);
    memcpy(label->text, text, end != NULL ? (size_t)(end - text) : BYTES - 1);
    return p->labels.n - 1;
}

/* An operation of the program's own ends with its object. */
static void note_op(tarn__program *p, const tarn__op *op)
{
    const uintptr_t at = (uintptr_t)op;
    for (const tarn__object *o = p->tm->objects; o != NULL; o = o->next) {
        if (at < (uintptr_t)o || at >= (uintptr_t)o + o->bytes) continue;
        tarn__owner_of_op *owner = tarn__program_push(p, &p->owners);
        if (owner != NULL) *owner = (tarn__owner_of_op){ o, o->serial };
        return;
    }
}

/* The action that drew the key, if one did. */
static int32_t drawn_by(const tarn__program *p, uint64_t key)
{
    for (int32_t i = p->instructions.n - 1; i >= 0 && key != 0; i--) {
        const tarn__instruction *n = tarn__instruction_at(p, i);
        if (n->kind == TARN__RUN_ACTION && n->action.draws && n->action.key == key) return i;
    }
    return -1;
}

/* Which operands the kernel reads: in backward what the wanted gradients use; the last bit is the
 * output's. */
static unsigned operands_read(const tarn__call *call)
{
    if (call->dout == NULL) return (1u << TARN__MAX_OPERANDS) - 1;
    unsigned used = 0;
    for (int i = 0; i < call->op->arity; i++)
        if (call->din[i] != NULL) used |= call->op->uses[i];
    return used;
}

/* Whether the gradient of operand i is added to what was there before the call. */
static bool adds_to_what_was(const tarn__call *call, int i)
{
    if (call->din[i] == NULL || !call->add[i]) return false;
    for (int j = 0; j < i; j++)
        if (call->din[j] == call->din[i]) return false;
    return true;
}

/* Fills in the views of a call, and what it reads and writes. */
static void note_views(tarn__program *p, const tarn__call *call, int32_t *views)
{
    const bool backward = call->dout != NULL;
    const unsigned used = operands_read(call);
    for (int i = 0; i < call->op->arity; i++) {
        views[TARN__VIEW_IN + i] = view_of(p, call->in[i], (used >> i & 1) != 0);
        views[TARN__VIEW_DIN + i] = view_of(p, call->din[i], true);
    }
    const bool uses_out = !backward || (used & TARN__USES_OUT) != 0;
    views[TARN__VIEW_OUT] = view_of(p, call->out, uses_out);
    views[TARN__VIEW_AUX] = view_of(p, call->aux, true);
    views[TARN__VIEW_SCRATCH] = view_of(p, call->scratch, true);
    views[TARN__VIEW_DOUT] = view_of(p, call->dout, true);
    for (int i = 0; i < call->op->arity; i++) {
        note_read(p, views[TARN__VIEW_IN + i]);
        if (adds_to_what_was(call, i)) note_read(p, views[TARN__VIEW_DIN + i]);
    }
    (backward ? note_read : note_write)(p, views[TARN__VIEW_OUT]);
    (backward ? note_read : note_write)(p, views[TARN__VIEW_AUX]);
    note_read(p, views[TARN__VIEW_DOUT]);
    note_write(p, views[TARN__VIEW_SCRATCH]);
    for (int i = 0; i < call->op->arity; i++) note_write(p, views[TARN__VIEW_DIN + i]);
}

static void on_call(tarn_manager *tm, tarn__call_function kernel, const tarn__call *call)
{
    tarn__program *p = tm->observed;
    if (full_of(p) || p->depth > 0) return;
    tarn__instruction *n = new_instruction(p, TARN__RUN_CALL);
    if (n == NULL) return;
    const int32_t i = p->instructions.n - 1;
    int32_t views[TARN__VIEWS];
    for (int k = 0; k < TARN__VIEWS; k++) views[k] = -1;
    n->kernel = kernel;
    n->call = (tarn__call){ .op = call->op, .manager = tm };
    memcpy(n->call.add, call->add, sizeof(call->add));
    if (call->attr != NULL) n->attr = *call->attr;
    n->key = drawn_by(p, n->attr.key);
    n->label = label_of(p, tm->label);
    note_op(p, call->op);
    note_views(p, call, views);
    memcpy(tarn__instruction_at(p, i)->views, views, sizeof(views));
}

/* ---- what comes from nowhere */

static void on_constant(tarn_manager *tm, tarn_tensor *t)
{
    tarn__program *p = tm->observed;
    const size_t bytes = tarn__bytes(t);
    if (full_of(p) || p->depth > 0 || bytes == 0) return;
    if (!t->layout.contiguous) {
        tarn__program_refuse(p, "it fills a tensor with gaps", true);
        return;
    }
    void *copy = tarn__records_alloc(tm->pool, bytes);
    const int32_t constant =
        copy != NULL ? new_value(p, TARN__VALUE_CONSTANT, NULL, copy, bytes) : -1;
    if (constant < 0) {
        tarn__records_free(tm->pool, copy, bytes);
        tarn__program_refuse(p, no_memory, false);
        return;
    }
    memcpy(copy, t->data, bytes);
    tarn__value_at(p, constant)->written = true;
    tarn__instruction *n = new_instruction(p, TARN__RUN_CALL);
    if (n == NULL) return;
    n->kernel = tarn__copy_kernel;
    n->call = (tarn__call){ .op = &tarn__copying, .manager = tm };
    const int32_t i = p->instructions.n - 1, from = new_view(p, constant, 0, t);
    const int32_t out = view_of(p, t, true);
    note_read(p, from);
    note_write(p, out);
    tarn__instruction_at(p, i)->views[TARN__VIEW_IN] = from;
    tarn__instruction_at(p, i)->views[TARN__VIEW_OUT] = out;
}

/* Zeros that were pending before the step are not its own. */
static void on_zero(tarn_manager *tm, const tarn_tensor *t)
{
    tarn__program *p = tm->observed;
    if (full_of(p) || p->depth > 0) return;
    const int32_t value = value_of(p, t->storage);
    if (value < 0) return;
    const tarn__value *v = tarn__value_at(p, value);
    const bool inside = v->place == TARN__VALUE_INSIDE;
    if (v->bytes == 0 || (!inside && v->first < 0)) return;
    tarn__instruction *n = new_instruction(p, inside ? TARN__RUN_ZERO : TARN__RUN_FILL);
    if (n == NULL) return;
    const int32_t i = p->instructions.n - 1, view = whole_of(p, value);
    note_write(p, view);
    tarn__instruction_at(p, i)->views[0] = view;
}

static void on_empty(tarn_manager *tm, const tarn_tensor *t)
{
    tarn__program *p = tm->observed;
    if (full_of(p) || p->depth > 0) return;
    const int32_t value = value_of(p, t->storage);
    if (value < 0 || tarn__value_at(p, value)->place == TARN__VALUE_INSIDE) return;
    tarn__instruction *n = new_instruction(p, TARN__RUN_EMPTY);
    if (n == NULL) return;
    const int32_t i = p->instructions.n - 1, view = whole_of(p, value);
    note_write(p, view);
    tarn__instruction_at(p, i)->views[0] = view;
}

static void on_touch(tarn_manager *tm, tarn_tensor *t)
{
    tarn__program *p = tm->observed;
    if (full_of(p)) return;
    const int32_t value = value_of(p, t->storage);
    if (value < 0) return;
    tarn__value *v = tarn__value_at(p, value);
    if (v->place == TARN__VALUE_INPUT) tarn__program_refuse(p, "it changes an input", true);
    if (p->depth == 0) {
        v->touched = true;
        return;
    }
    v->acted = v->guarded = true;
    if (!t->requires_grad) return;
    const int32_t handle = note_handle(p, t); /* whose gradient the action uses */
    if (handle >= 0) tarn__handle_at(p, handle)->is_leaf = true;
}

static void on_view(tarn_manager *tm, tarn_tensor *t)
{
    tarn__program *p = tm->observed;
    if (!full_of(p)) (void)note_handle(p, t);
}

/* ---- leaves, modes, actions, refusals */

static void on_leaf(tarn_manager *tm, tarn_tensor *t, bool arrived)
{
    tarn__program *p = tm->observed;
    if (full_of(p) || p->depth > 0) return;
    if (is_input(p, t)) tarn__program_refuse(p, "an input gets a gradient", true);
    const int32_t handle = note_handle(p, t);
    if (handle < 0) return; /* a leaf of the step's own */
    tarn__handle_at(p, handle)->is_leaf = true;
    if (t->grad != NULL) {
        const int32_t value = value_of(p, t->grad->storage);
        if (value >= 0) {
            tarn__value_at(p, value)->guarded = true;
            tarn__value_at(p, value)->is_gradient = true;
        }
    }
    tarn__instruction *n = new_instruction(p, TARN__RUN_LEAF);
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
    tarn__program *p = tm->observed;
    if (full_of(p) || p->depth > 0) return;
    for (int32_t i = 0; i < p->modes.n; i++)
        if (tarn__mode_at(p, i)->mode == mode) return;
    tarn__mode *m = tarn__program_push(p, &p->modes);
    if (m != NULL) *m = (tarn__mode){ mode, owner, owner->serial, *mode };
}

static void on_action(tarn_manager *tm, const tarn__action *action)
{
    tarn__program *p = tm->observed;
    if (p->depth++ > 0 || full_of(p)) return;
    tarn__instruction *n = new_instruction(p, TARN__RUN_ACTION);
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

static void note_input(tarn__program *p, tarn_tensor *t)
{
    const int32_t value = value_of(p, t->storage);
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
    for (int i = 0; i < inputs.n; i++) note_input(p, inputs.items[i]);
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
    if (full_of(p)) {
        tarn__copy_strided(result, from);
        return;
    }
    const int32_t value = new_value(p, TARN__VALUE_RESULT, result->storage, result->storage->data,
                                    result->storage->bytes);
    if (value >= 0) tarn__value_at(p, value)->guarded = true;
    p->has_result = true;
    tarn__copy_observed(result, from);
}

/* ---- what a recording cannot answer for */

typedef struct survivors {
    uint64_t mark;
    bool found;
} survivors;

static void look_for_survivor(void *context, void *record)
{
    survivors *s = context;
    const tarn__storage *storage = record;
    s->found = s->found || (storage->refs > 0 && storage->recorded >> 32 == s->mark >> 32 &&
                            (uint32_t)storage->recorded == 0);
}

static bool has_survivor(const tarn__program *p)
{
    survivors s = { .mark = p->mark };
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        if (v->place == TARN__VALUE_INSIDE && v->storage->refs > 0 &&
            v->storage->recorded == (p->mark | (uint64_t)(uint32_t)(i + 1)))
            return true;
    }
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
    if (full_of(p)) return;
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
