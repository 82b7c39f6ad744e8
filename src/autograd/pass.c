/* SPDX-License-Identifier: MIT
 * pass.c - what every pass does before it runs: marks, checks, seeds. */
#include "autograd/pass.h"

#include "autograd/leaf.h"
#include "core/assert.h"
#include "ops/observe.h"

static bool reached(const tarn__pass *p, const tarn__node *node) { return node->pass == p->id; }

/* ---- marks */

tarn_status tarn__pass_check_version(const tarn__pass *p, const tarn__node *node, int i)
{
    const tarn_tensor *t = tarn__node_tensor(node, i);
    if (t->storage->version == node->versions[i]) return TARN_OK;
    char text[TARN__DESCRIPTION_BYTES];
    return tarn__fail(t->manager, TARN_ESTATE,
                      "%s: %s %s, which %s saved for backward, was changed since: "
                      "change it after %s, or change a copy",
                      p->name, i < TARN__MAX_OPERANDS ? node->op->operands[i] : "result",
                      tarn__describe(t, text), node->op->name, p->name);
}

/* Checks what the node saved, and notes of gradients that this pass will read them. */
static tarn_status check_saved(tarn__pass *p, const tarn__node *node)
{
    tarn_status status = TARN_OK;
    for (unsigned rest = node->saved; rest != 0 && status == TARN_OK; rest &= rest - 1) {
        const int i = tarn__first_bit(rest);
        tarn__storage *storage = tarn__node_tensor(node, i)->storage;
        if (storage->is_gradient) {
            storage->saved_in = p->id;
            p->reads_gradients = true;
        }
        if (storage->version != node->versions[i]) status = tarn__pass_check_version(p, node, i);
    }
    return status;
}

tarn_status tarn__pass_fail_freed(const tarn__pass *p, const tarn_tensor *t)
{
    char text[TARN__DESCRIPTION_BYTES];
    return tarn__fail(t->manager, TARN_ESTATE,
                      "%s: the operations that computed tensor %s were released by an earlier "
                      "pass: set keep_graph in that pass, add the losses before one pass, or cut "
                      "off what the earlier one computed (tarn_detach)",
                      p->name, tarn__describe(t, text));
}

/* Marks the node that made t, if there is one to be marked. */
static tarn_status mark_reached(tarn__pass *p, const tarn_tensor *t)
{
    tarn__node *node = t->node;
    if (node == NULL || reached(p, node) || (p->independent && t->target != 0)) return TARN_OK;
    if (node->position <= p->after) {
        char text[TARN__DESCRIPTION_BYTES];
        return tarn__fail(p->tm, TARN_ESTATE,
                          "tarn_checkpoint: the function uses %s, which was computed outside from "
                          "what requires a gradient: make it one of the inputs",
                          tarn__describe(t, text));
    }
    node->pass = p->id;
    node->runs = p->targets == NULL;
    if (p->first == NULL || node->position < p->first->position) p->first = node;
    if (p->last == NULL || node->position > p->last->position) p->last = node;
    return TARN_OK;
}

static tarn_status mark_operands(tarn__pass *p, const tarn__node *node)
{
    tarn_status status = TARN_OK;
    for (unsigned rest = node->wanted; rest != 0 && status == TARN_OK; rest &= rest - 1) {
        const tarn_tensor *t = node->in[tarn__first_bit(rest)];
        status = tarn__pass_check_freed(p, t);
        if (status == TARN_OK) status = mark_reached(p, t);
        p->leaf_hooks = p->leaf_hooks || (t->hooks != NULL && t->node == NULL);
    }
    return status;
}

static bool has_leaf(const tarn_list *targets)
{
    for (int i = 0; i < targets->n; i++)
        if (targets->items[i]->node == NULL) return true;
    return false;
}

/* Of the reached nodes, oldest first, those run that lead to a target. (Without targets all do, and
 * are checked as they are reached.) A function that is run again may use any leaf. */
static tarn_status mark_runs(tarn__pass *p)
{
    tarn_status status = TARN_OK;
    const bool wants_leaf = has_leaf(p->targets);
    for (tarn__node *node = p->first; node != NULL && status == TARN_OK;
         node = node == p->last ? NULL : node->next) {
        if (!reached(p, node)) continue;
        node->runs = node->segment != NULL && wants_leaf;
        for (int i = 0; i < node->op->arity && !node->runs; i++)
            if (node->in[i] != NULL) node->runs = tarn__gets_gradient(p, node, i);
        if (node->runs) status = check_saved(p, node);
    }
    return status;
}

/* The pass may not write a gradient that it also reads. */
static tarn_status check_leaves(const tarn__pass *p, const tarn__node *node)
{
    for (unsigned rest = node->wanted; rest != 0; rest &= rest - 1) {
        const int i = tarn__first_bit(rest);
        const tarn_tensor *t = node->in[i];
        if (t->node != NULL || !tarn__gets_gradient(p, node, i)) continue;
        if (!tarn__keeps_gradient(p, t)) continue;
        if (t->grad == NULL || t->grad->storage->saved_in != p->id) continue;
        char text[TARN__DESCRIPTION_BYTES];
        return tarn__fail(t->manager, TARN_ESTATE,
                          "%s: the loss depends on the gradient of %s, to which this pass would "
                          "add: compute with a copy of it, such as tarn_add_scalar(g, 0)",
                          p->name, tarn__describe(t, text));
    }
    return TARN_OK;
}

void tarn__pass_note_hooks(const tarn__pass *p, const tarn__node *from)
{
    for (const tarn__node *node = from; node != NULL; node = tarn__pass_before(p, node))
        for (int i = 0; node->wanted >> i != 0 && tarn__pass_runs(p, node); i++)
            if (tarn__gets_gradient(p, node, i) && node->in[i]->node == NULL &&
                node->in[i]->hooks != NULL)
                node->in[i]->hooks->last_use = node;
}

tarn_status tarn__pass_mark(tarn__pass *p, const tarn_list *outputs)
{
    tarn_status status = TARN_OK;
    p->tape = p->tm->tape;
    p->id = ++p->tape->pass;
    p->first = p->last = NULL;
    for (int i = 0; i < outputs->n && status == TARN_OK; i++)
        status = mark_reached(p, outputs->items[i]);
    for (tarn__node *n = p->last; n != NULL && status == TARN_OK; n = tarn__pass_before(p, n)) {
        if (!reached(p, n)) continue;
        status = mark_operands(p, n);
        if (status == TARN_OK && n->runs) status = check_saved(p, n);
    }
    if (status == TARN_OK && p->targets != NULL) status = mark_runs(p);
    for (tarn__node *n = p->reads_gradients ? p->last : NULL; n != NULL && status == TARN_OK;
         n = tarn__pass_before(p, n))
        if (tarn__pass_runs(p, n)) status = check_leaves(p, n);
    if (status == TARN_OK && p->leaf_hooks) tarn__pass_note_hooks(p, p->last);
    return status;
}

/* ---- seeds */

tarn_status tarn__pass_check_seed(const tarn__pass *p, const tarn_tensor *output,
                                  const tarn_tensor *seed)
{
    char text[TARN__DESCRIPTION_BYTES], other[TARN__DESCRIPTION_BYTES];
    tarn_manager *tm = output->manager;
    const char *what = p->targets != NULL ? "output" : "loss";
    if (seed == NULL && output->layout.numel == 1) return TARN_OK;
    if (seed == NULL)
        return tarn__fail(
            tm, TARN_ESHAPE,
            "%s: the %s %s has %lld elements: reduce it to one (tarn_mean), or give a gradient of "
            "its shape",
            p->name, what, tarn__describe(output, text), (long long)output->layout.numel);
    if (seed->manager != tm)
        return tarn__fail(tm, TARN_ESTATE,
                          "%s: the gradient belongs to another manager than the %s", p->name, what);
    if (!tarn__readable(seed, p->name)) return TARN_ESTALE;
    const bool same_type = seed->layout.dtype == output->layout.dtype;
    if (same_type && tarn__same_shape(&seed->layout, &output->layout)) return TARN_OK;
    return tarn__fail(
        tm, same_type ? TARN_ESHAPE : TARN_EDTYPE, "%s: the gradient is %s %s, the %s %s %s",
        p->name, tarn_dtype_name((tarn_dtype)seed->layout.dtype), tarn__describe(seed, other), what,
        tarn_dtype_name((tarn_dtype)output->layout.dtype), tarn__describe(output, text));
}

tarn_tensor *tarn__pass_make_seed(const tarn_tensor *output, tarn_tensor *seed)
{
    const uint32_t tag = tarn__tag_like(output, TARN_KIND_GRADIENT);
    tarn_tensor *t = tarn__gradient_new(output, TARN_UNINITIALIZED, tag);
    if (t == NULL || output->manager->dry) return t;
    if (seed != NULL) {
        tarn__materialize(seed);
        tarn__copy_observed(t, seed);
        return t;
    }
    if (t->layout.dtype == TARN_F64) *(double *)t->data = 1;
    else *(float *)t->data = 1;
    tarn__observe_constant(t);
    return t;
}

/* ---- the end */

void tarn__pass_finish(const tarn__pass *p, bool keep)
{
    p->tape->finishing = p->id;
    for (tarn__node *node = p->last, *next; node != NULL; node = next) {
        next = tarn__pass_before(p, node);
        if (!reached(p, node)) continue;
        if (node->dout != NULL) tarn__unref(node->dout);
        node->dout = NULL;
        if (!keep && node->runs) tarn__node_free(p->tape, node);
    }
    p->tape->finishing = 0;
    tarn__tape_drain(p->tape);
}

/* ---- hooks */

/* While hooks run the gradient is owned, so that they cannot end it (but by tarn_stop_grad). One
 * that was nobody's and that they retained is a handle like any other afterwards. */
tarn_status tarn__pass_call_hooks(tarn_tensor *t, tarn_tensor *gradient, bool recorded)
{
    tarn_manager *tm = t->manager;
    const char *label = tm->label;
    const uint8_t owner = gradient->owner;
    const bool read_only = gradient->storage->read_only;
    tarn__observe_refusal(tm, "a hook is told of a gradient");
    tarn__ref(gradient);
    if (owner == TARN__OWNER_NONE) (void)tarn__own(gradient);
    gradient->owner = TARN__OWNER_OBJECT;
    gradient->storage->read_only = read_only || recorded;
    tm->label = NULL;
    tarn_scope scope = recorded ? (tarn_scope){ 0 } : tarn_no_grad_begin(tm);
    const uint32_t held = tm->held;
    tm->held = tm->depth;
    tarn__materialize(gradient);
    tm->next_hook = t->hooks;
    while (tm->next_hook != NULL && tarn_ok(tm)) {
        const tarn__hook *hook = tm->next_hook;
        tm->next_hook = hook->next;
        hook->call(hook->context, t, gradient);
    }
    tm->next_hook = NULL;
    tm->held = held;
    tarn_scope_end(scope);
    tm->label = label;
    if (gradient->owner == TARN__OWNER_OBJECT) {
        gradient->storage->read_only = read_only;
        gradient->owner = owner;
        if (owner == TARN__OWNER_NONE && gradient->retains > 0) {
            tarn__tensor_end(gradient, TARN__ENDED_BY_OWNER);
            return tm->error;
        }
    }
    tarn__unref(gradient);
    return tm->error;
}

tarn_status tarn__pass_call_leaf_hooks(tarn_tensor *leaf, const tarn__node *node,
                                       tarn_tensor *gradient, bool recorded)
{
    if (leaf->hooks == NULL || leaf->hooks->last_use != node) return TARN_OK;
    leaf->hooks->last_use = NULL; /* once, if it is both operands */
    return tarn__pass_call_hooks(leaf, gradient, recorded);
}
