/* SPDX-License-Identifier: MIT
 * tape.c - recording, and forgetting with the scope. */
#include "autograd/tape.h"

#include <string.h>

#include "autograd/checkpoint.h"
#include "autograd/leaf.h"
#include "core/assert.h"
#include "core/observer.h"

void tarn__node_unsave(tarn__node *node)
{
    for (unsigned rest = node->saved; rest != 0; rest &= rest - 1)
        tarn__unsave(tarn__node_tensor(node, tarn__first_bit(rest)));
    node->saved = 0;
    if (node->aux != NULL) tarn__unref(node->aux);
    node->aux = NULL;
}

void tarn__node_free(tarn__tape *tape, tarn__node *node)
{
    tarn__node_unsave(node);
    *(node->prev != NULL ? &node->prev->next : &tape->first) = node->next;
    *(node->next != NULL ? &node->next->prev : &tape->last) = node->prev;
    tape->length--;
    node->out->node = NULL;
    node->out->graph_freed = true;
    if (node->out->owner == TARN__OWNER_NONE)
        node->out->requires_grad = false; /* outlived its scope */
    for (int i = 0; i < node->op->arity; i++)
        if (node->in[i] != NULL) tarn__unref(node->in[i]);
    if (node->dout != NULL) tarn__unref(node->dout);
    if (node->segment != NULL) tarn__segment_free(node->out->manager, node->segment);
    tarn__unref(node->out);
    tarn__slab_give(&tape->nodes, node);
}

/* ---- the recorder */

void tarn__node_save(tarn__node *node, int i)
{
    tarn_tensor *t = tarn__node_tensor(node, i);
    t->saves++;
    tarn__mark_saved(t);
}

/* Refers to the operands, and saves what the wanted gradients will read. */
static void take_operands(tarn__node *node, const tarn__call *call)
{
    const tarn__op *op = call->op;
    unsigned uses = 0, present = TARN__USES_OUT;
    memset(node->in, 0, sizeof(node->in));
    for (int i = 0; i < op->arity; i++) {
        tarn_tensor *t = node->in[i] = call->in[i];
        if (t == NULL) continue;
        tarn__ref(t);
        node->versions[i] = t->storage != NULL ? t->storage->version : 0;
        present |= 1u << i;
        if ((call->wanted >> i & 1) != 0) uses |= op->uses[i];
    }
    node->versions[TARN__MAX_OPERANDS] = call->out->storage->version;
    node->wanted = call->wanted;
    node->saved = (uint8_t)(uses & present);
    for (unsigned rest = node->saved; rest != 0; rest &= rest - 1)
        tarn__node_save(node, tarn__first_bit(rest));
}

static tarn_status record(const tarn__call *call)
{
    tarn_tensor *out = call->out;
    tarn__tape *tape = call->manager->tape;
    tarn__node *node = tarn__slab_take(&tape->nodes);
    if (node == NULL) return tarn__fail_memory(call->manager, "tape", sizeof(*node));
    node->op = call->op;
    node->out = out;
    node->dout = NULL;
    node->segment = NULL;
    node->pass = 0;
    if (call->attr != NULL) node->attr = *call->attr;
    node->aux = call->aux;
    if (node->aux != NULL) tarn__ref(node->aux);
    tarn__ref(out);
    take_operands(node, call);
    node->tag = tarn__tag_like(out, TARN_KIND_GRADIENT);
    node->position = ++tape->position;
    node->prev = tape->last;
    node->next = NULL;
    *(tape->last != NULL ? &tape->last->next : &tape->first) = node;
    tape->last = node;
    tape->length++;
    out->node = node;
    out->requires_grad = true;
    return TARN_OK;
}

/* The handle x becomes the result of the call. Another, on no memory, takes its place as the result
 * of the operation that made it, and as the operand. */
static tarn_status record_in_place(tarn__call *call)
{
    tarn_tensor *x = call->out;
    tarn_tensor *old = tarn__tensor_view(x, &x->layout, 0);
    if (old == NULL) return tarn_error_code(call->manager);
    tarn__tensor_spend(old);
    old->requires_grad = x->requires_grad;
    old->graph_freed = x->graph_freed;
    for (int i = 0; i < call->op->arity; i++)
        if (call->in[i] == x) call->in[i] = old;
    tarn__node *made_by = x->node;
    const tarn_status status = record(call); /* sets x->node */
    if (status == TARN_OK) {
        old->node = made_by;
        old->hooks = x->hooks;
        x->hooks = NULL;
        x->graph_freed = false;
    }
    if (status == TARN_OK && made_by != NULL) {
        made_by->out = old;
        tarn__ref(old);
        x->refs--;
    }
    tarn__unref(old);
    return status;
}

/* A node whose output only the node itself refers to cannot be reached by any backward pass.
 * Freeing it may orphan others in turn; a list instead of a recursion keeps the C stack flat. */
static void orphan(tarn_tensor *out)
{
    tarn__tape *tape = out->manager->tape;
    tarn__node *node = out->node;
    const bool finishing = tape->finishing != 0;
    if (finishing && node->pass == tape->finishing && node->runs) return; /* its turn comes */
    node->next_orphan = tape->orphans;
    tape->orphans = node;
    if (!finishing && !tape->draining) tarn__tape_drain(tape);
}

void tarn__tape_drain(tarn__tape *tape)
{
    tape->draining = true;
    while (tape->orphans != NULL) {
        tarn__node *node = tape->orphans;
        tape->orphans = node->next_orphan;
        tarn__node_free(tape, node);
    }
    tape->draining = false;
}

static uint64_t mark(const tarn_manager *tm) { return ((const tarn__tape *)tm->tape)->position; }
static uint64_t length(const tarn_manager *tm) { return ((const tarn__tape *)tm->tape)->length; }

static void truncate(tarn_manager *tm, uint64_t position, uint32_t depth)
{
    tarn__tape *tape = tm->tape;
    for (const tarn__node *n = tape->last; n != NULL && n->position > position; n = n->prev)
        if (n->out->owner == TARN__OWNER_SCOPE && n->out->scope < depth) return;
    while (tape->last != NULL && tape->last->position > position) {
        tarn_tensor *out = tape->last->out;
        out->requires_grad = false; /* what is retained goes on as a constant */
        tarn__node_free(tape, tape->last);
    }
}

static void destroy(tarn_manager *tm)
{
    tarn__tape *tape = tm->tape;
    while (tape->last != NULL) tarn__node_free(tape, tape->last);
    tarn__slab_end(&tape->nodes);
    tarn__slab_end(&tape->additions);
    tarn__records_free(tm->pool, tape, sizeof(*tape));
    tm->tape = NULL;
    tm->recorder = NULL;
}

static const tarn__recorder tape_recorder = {
    .record = record,
    .record_in_place = record_in_place,
    .mark = mark,
    .truncate = truncate,
    .orphan = orphan,
    .length = length,
    .destroy = destroy,
};

tarn__tape *tarn__tape_of(tarn_manager *tm)
{
    if (tm->tape != NULL) return tm->tape;
    tarn__tape *tape = tarn__records_alloc(tm->pool, sizeof(*tape));
    if (tape == NULL) {
        (void)tarn__fail_memory(tm, "tape", sizeof(*tape));
        return NULL;
    }
    tarn__slab_init(&tape->nodes, tm->pool, sizeof(tarn__node));
    tarn__slab_init(&tape->additions, tm->pool, sizeof(tarn__addition));
    tm->tape = tape;
    tm->recorder = &tape_recorder;
    return tape;
}

tarn_status tarn__tape_enter(tarn_manager *tm, const char *caller)
{
    tarn__tape *tape = tm->tape;
    if (tape->running)
        return tarn__fail(
            tm, TARN_ESTATE,
            "%s: called inside another pass: a hook, or a function that is run again, "
            "may compute but not differentiate",
            caller);
    tape->running = true;
    if (tm->observer != NULL) tm->observer->pass(tm, true);
    return TARN_OK;
}

tarn_status tarn__tape_note_addition(tarn_tensor *leaf)
{
    tarn__tape *tape = leaf->manager->tape;
    tarn__addition *addition = tarn__slab_take(&tape->additions);
    if (addition == NULL) return tarn__fail_memory(leaf->manager, "tape", sizeof(*addition));
    *addition = (tarn__addition){ tape->added, leaf };
    tape->added = addition;
    tarn__ref(leaf);
    return TARN_OK;
}

void tarn__tape_leave(tarn_manager *tm, tarn_status status)
{
    tarn__tape *tape = tm->tape;
    tape->running = false;
    if (tm->observer != NULL) tm->observer->pass(tm, false);
    while (tape->added != NULL) {
        tarn__addition *addition = tape->added;
        tape->added = addition->next;
        if (status != TARN_OK) tarn__leaf_empty(addition->leaf);
        tarn__unref(addition->leaf);
        tarn__slab_give(&tape->additions, addition);
    }
}
