/* SPDX-License-Identifier: MIT
 * program_instructions.c - what a step does to memory, as instructions: calls of kernels, with what
 * they read and write, and elements that come from nowhere. */
#include <string.h>

#include "autograd/program_record.h"
#include "ops/observe.h"

tarn__instruction *tarn__program_add_instruction(tarn__program *p, tarn__instruction_kind kind)
{
    tarn__instruction *n = tarn__program_push(p, &p->instructions);
    if (n == NULL) return NULL;
    n->kind = (uint8_t)kind;
    n->key = n->users = n->label = n->handle = -1;
    n->pass = p->pass;
    for (int i = 0; i < TARN__VIEWS; i++) n->views[i] = -1;
    return n;
}

/* ---- reading and writing, by the newest instruction */

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

/* ---- calls */

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

/* Fills in the views of a call, and notes what it reads and writes. */
static void note_views(tarn__program *p, const tarn__call *call, int32_t *views)
{
    const bool backward = call->dout != NULL;
    const unsigned used = operands_read(call);
    for (int i = 0; i < call->op->arity; i++) {
        views[TARN__VIEW_IN + i] = tarn__program_view_of(p, call->in[i], (used >> i & 1) != 0);
        views[TARN__VIEW_DIN + i] = tarn__program_view_of(p, call->din[i], true);
    }
    const bool uses_out = !backward || (used & TARN__USES_OUT) != 0;
    views[TARN__VIEW_OUT] = tarn__program_view_of(p, call->out, uses_out);
    views[TARN__VIEW_AUX] = tarn__program_view_of(p, call->aux, true);
    views[TARN__VIEW_SCRATCH] = tarn__program_view_of(p, call->scratch, true);
    views[TARN__VIEW_DOUT] = tarn__program_view_of(p, call->dout, true);
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

void tarn__program_note_call(tarn__program *p, tarn__kernel kernel, const tarn__call *call)
{
    tarn__instruction *n = tarn__program_add_instruction(p, TARN__RUN_CALL);
    if (n == NULL) return;
    n->kernel = kernel;
    n->call = (tarn__call){ .op = call->op, .manager = p->tm };
    memcpy(n->call.add, call->add, sizeof(call->add));
    if (call->attr != NULL) n->attr = *call->attr;
    n->key = drawn_by(p, n->attr.key);
    n->label = label_of(p, p->tm->label);
    tarn__program_note_op(p, call->op);
    note_views(p, call, n->views);
}

/* ---- what comes from nowhere */

void tarn__program_note_constant(tarn__program *p, tarn_tensor *t)
{
    const size_t bytes = tarn__bytes(t);
    if (bytes == 0) return;
    if (!t->layout.contiguous) {
        tarn__program_refuse(p, "it fills a tensor with gaps", true);
        return;
    }
    void *copy = tarn__records_alloc(p->tm->pool, bytes);
    const int32_t constant =
        copy != NULL ? tarn__program_add_value(p, TARN__VALUE_CONSTANT, NULL, copy, bytes) : -1;
    if (constant < 0) {
        tarn__records_free(p->tm->pool, copy, bytes);
        tarn__program_refuse(p, "there was no memory to record the step", false);
        return;
    }
    memcpy(copy, t->data, bytes);
    tarn__value_at(p, constant)->written = true;
    tarn__instruction *n = tarn__program_add_instruction(p, TARN__RUN_CALL);
    if (n == NULL) return;
    n->kernel = tarn__copy_kernel;
    n->call = (tarn__call){ .op = &tarn__copying, .manager = p->tm };
    n->views[TARN__VIEW_IN] = tarn__program_add_view(p, constant, 0, t);
    n->views[TARN__VIEW_OUT] = tarn__program_view_of(p, t, true);
    note_read(p, n->views[TARN__VIEW_IN]);
    note_write(p, n->views[TARN__VIEW_OUT]);
}

/* An instruction that writes all of a value. */
static void write_whole(tarn__program *p, tarn__instruction_kind kind, int32_t value)
{
    tarn__instruction *n = tarn__program_add_instruction(p, kind);
    if (n == NULL) return;
    n->views[0] = tarn__program_whole_of(p, value);
    note_write(p, n->views[0]);
}

/* Zeros that were pending before the step are not its own. */
void tarn__program_note_zero(tarn__program *p, const tarn_tensor *t)
{
    const int32_t value = tarn__program_value_of(p, t->storage);
    if (value < 0) return;
    const tarn__value *v = tarn__value_at(p, value);
    const bool inside = v->place == TARN__VALUE_INSIDE;
    if (v->bytes > 0 && (inside || v->first >= 0))
        write_whole(p, inside ? TARN__RUN_ZERO : TARN__RUN_FILL, value);
}

void tarn__program_note_empty(tarn__program *p, const tarn_tensor *t)
{
    const int32_t value = tarn__program_value_of(p, t->storage);
    if (value >= 0 && tarn__value_at(p, value)->place != TARN__VALUE_INSIDE)
        write_whole(p, TARN__RUN_EMPTY, value);
}
