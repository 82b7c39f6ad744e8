/* SPDX-License-Identifier: MIT
 * plan_verify.c - a replay, undone, and the step itself, from the same state: all that either
 * changes must have the same bits. */
#include <stdio.h>
#include <string.h>

#include "autograd/plan.h"
#include "core/size.h"

/* A piece of memory that the step changes. */
typedef struct changed {
    void *data;
    size_t bytes;
    const char *name;          /* what it is, or */
    const tarn_tensor *tensor; /* whose it is */
} changed;

typedef struct walk {
    const tarn__program *p;
    int32_t value, instruction, handle; /* those that come next */
} walk;

/* The tensor on a value from outside: its own handle, or the leaf of which it is the gradient. */
static const tarn_tensor *tensor_of(const tarn__program *p, const tarn__value *v)
{
    for (int32_t i = 0; i < p->handles.n; i++) {
        const tarn__handle *h = tarn__handle_at(p, i);
        if (h->storage == v->storage) return h->tensor;
    }
    return NULL;
}

/* The next piece; false after the last. */
static bool next_piece(walk *s, changed *out)
{
    const tarn__program *p = s->p;
    while (s->value < p->values.n) {
        const tarn__value *v = tarn__value_at(p, s->value++);
        const bool changes = v->written || v->acted;
        if (v->place == TARN__VALUE_RESULT) {
            *out = (changed){ v->data, v->bytes, "the result", NULL };
            return true;
        }
        if (v->place != TARN__VALUE_OUTSIDE || !changes) continue;
        *out = (changed){ v->data, v->bytes, v->acted ? "the state of an optimiser" : "a tensor",
                          tensor_of(p, v) };
        return true;
    }
    while (s->instruction < p->instructions.n) {
        const tarn__instruction *n = tarn__instruction_at(p, s->instruction++);
        if (n->kind != TARN__RUN_ACTION || n->action.state_bytes == 0) continue;
        *out = (changed){ n->action.state, n->action.state_bytes, n->action.name, NULL };
        return true;
    }
    while (s->handle < p->handles.n) {
        const tarn__handle *h = tarn__handle_at(p, s->handle++);
        if (!h->is_leaf) continue;
        *out = (changed){ &h->tensor->grad_state, sizeof(h->tensor->grad_state),
                          "whether a gradient has arrived", h->tensor };
        return true;
    }
    return false;
}

static bool count_bytes(const tarn__program *p, size_t *bytes)
{
    walk s = { .p = p };
    changed piece;
    *bytes = 0;
    while (next_piece(&s, &piece))
        if (!tarn__size_add(*bytes, piece.bytes, bytes)) return false;
    return true;
}

static void save(const tarn__program *p, unsigned char *to)
{
    walk s = { .p = p };
    for (changed piece; next_piece(&s, &piece); to += piece.bytes)
        memcpy(to, piece.data, piece.bytes);
}

static void restore(const tarn__program *p, const unsigned char *from)
{
    walk s = { .p = p };
    for (changed piece; next_piece(&s, &piece); from += piece.bytes)
        memcpy(piece.data, from, piece.bytes);
}

/* Whether memory is as it was saved; if not, where it differs is in `what`. */
static bool compare(const tarn__program *p, const unsigned char *saved, char *what, size_t size)
{
    char text[TARN__DESCRIPTION_BYTES];
    walk s = { .p = p };
    for (changed piece; next_piece(&s, &piece); saved += piece.bytes) {
        if (memcmp(piece.data, saved, piece.bytes) == 0) continue;
        size_t at = 0;
        while (((const unsigned char *)piece.data)[at] == saved[at]) at++;
        (void)snprintf(what, size, "a replay gives other bits than the step: %s%s%s, byte %zu",
                       piece.name, piece.tensor != NULL ? " of " : "",
                       piece.tensor != NULL ? tarn__describe(piece.tensor, text) : "", at);
        return false;
    }
    return true;
}

/* Zeros that are pending are written: bytes are to be saved. */
static void write_zeros(tarn_manager *tm, const tarn__program *p)
{
    for (int32_t i = 0; i < p->values.n; i++) {
        const tarn__value *v = tarn__value_at(p, i);
        if (v->place != TARN__VALUE_OUTSIDE || v->first < 0 || !v->storage->zero_pending) continue;
        tarn_tensor whole = { .manager = tm, .storage = v->storage };
        tarn__materialize_zeros(&whole);
    }
}

tarn_tensor *tarn__plan_verify(tarn_plan *plan, tarn__program *program, tarn_list inputs,
                               char *what, size_t size)
{
    tarn_manager *tm = plan->object.manager;
    size_t bytes, both;
    unsigned char *before = NULL;
    if (count_bytes(program, &bytes) && tarn__size_mul(bytes, 2, &both))
        before = tarn__records_alloc(tm->pool, both > 0 ? both : 1);
    if (before == NULL) return tarn__plan_call(plan, inputs, NULL);
    unsigned char *after = before + bytes;
    write_zeros(tm, program);
    save(program, before);
    plan->busy = true;
    const tarn_status status = tarn__program_run(program, inputs);
    plan->busy = false;
    tarn_tensor *result = NULL;
    bool same = true;
    if (status == TARN_OK) {
        save(program, after);
        restore(program, before);
        result = tarn__plan_call(plan, inputs, NULL);
        same = !tarn_ok(tm) || compare(program, after, what, size);
    }
    tarn__records_free(tm->pool, before, both > 0 ? both : 1);
    if (!same) {
        (void)tarn__fail(tm, TARN_ESTATE,
                         "tarn_plan_run: %s (does the step depend on what is no input?)", what);
        return NULL;
    }
    if (status == TARN_OK && tarn_ok(tm)) plan->stats.verified++;
    return result;
}
