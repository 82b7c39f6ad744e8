/* SPDX-License-Identifier: MIT
 * backward.c - one pass from a loss to the leaves.
 *
 * First the nodes that lead to the loss are marked and everything that could go wrong is checked.
 * Then the handles in between end, so that a buffer which no node saved goes back at once. Then
 * each node, newest first, gets its operands' gradients computed; what it saved and the gradient of
 * its output go back to the pool before the next node runs. */
#include <tarn/autograd.h>

#include "autograd/leaf.h"
#include "autograd/tape.h"
#include "core/assert.h"

typedef struct pass {
    tarn_manager *tm;
    tarn__tape *tape;
    tarn__node *last;  /* the loss's */
    tarn__node *first; /* the oldest that leads to it */
    uint64_t id;
    bool keep_graph;
} pass;

static bool reached(const pass *p, const tarn__node *node) { return node->pass == p->id; }

/* Whether operand i gets a gradient. One that came to require it after the operation was recorded
 * does not: nothing was saved for it. */
static bool gets_gradient(const tarn__node *node, int i)
{
    return (node->wanted >> i & 1) != 0 && node->in[i]->requires_grad;
}

/* ---- mark and check */

/* Checks what the node saved, and notes that this pass will read it. */
static tarn_status check_saved(const pass *p, const tarn__node *node)
{
    for (int i = 0; i <= TARN__MAX_OPERANDS; i++) {
        if ((node->saved >> i & 1) == 0) continue;
        const tarn_tensor *t = tarn__node_tensor(node, i);
        t->storage->saved_in = p->id;
        if (t->storage->version == node->versions[i]) continue;
        char text[TARN__DESCRIPTION_BYTES];
        return tarn__fail(t->manager, TARN_ESTATE,
                          "tarn_backward: %s %s, which %s saved for backward, was changed since: "
                          "change it after tarn_backward, or change a copy",
                          i < TARN__MAX_OPERANDS ? node->op->operands[i] : "result",
                          tarn__describe(t, text), node->op->name);
    }
    return TARN_OK;
}

static tarn_status check_freed(const tarn_tensor *t)
{
    if (t->node != NULL || !t->graph_freed) return TARN_OK;
    char text[TARN__DESCRIPTION_BYTES];
    return tarn__fail(t->manager, TARN_ESTATE,
                      "tarn_backward: the operations that computed %s were released by an earlier "
                      "pass: set keep_graph in that pass, or add the losses before one pass",
                      tarn__describe(t, text));
}

static tarn_status mark_node(pass *p, const tarn__node *node)
{
    tarn_status status = check_saved(p, node);
    for (int i = 0; i < node->op->arity && status == TARN_OK; i++) {
        const tarn_tensor *t = node->in[i];
        if (t == NULL) continue;
        if ((node->wanted >> i & 1) != 0) status = check_freed(t);
        if (t->node == NULL) continue;
        t->node->pass = p->id;
        if (t->node->position < p->first->position) p->first = t->node;
    }
    return status;
}

/* The pass may not write a gradient that it also reads. */
static tarn_status check_leaves(const pass *p, const tarn__node *node)
{
    for (int i = 0; i < node->op->arity; i++) {
        const tarn_tensor *t = node->in[i];
        if (!gets_gradient(node, i) || t->grad == NULL) continue;
        if (t->grad->storage->saved_in != p->id) continue;
        char text[TARN__DESCRIPTION_BYTES];
        return tarn__fail(
            t->manager, TARN_ESTATE,
            "tarn_backward: the loss depends on the gradient of %s, to which this pass "
            "would add: compute with a copy of it, such as tarn_add_scalar(g, 0)",
            tarn__describe(t, text));
    }
    return TARN_OK;
}

/* The node before, as far as the pass reaches. */
static tarn__node *before(const pass *p, const tarn__node *node)
{
    return node == p->first ? NULL : node->prev;
}

static tarn_status mark(pass *p)
{
    tarn_status status = TARN_OK;
    p->first = p->last;
    p->last->pass = p->id;
    for (tarn__node *n = p->last; n != NULL && status == TARN_OK; n = before(p, n))
        if (reached(p, n)) status = mark_node(p, n);
    for (tarn__node *n = p->last; n != NULL && status == TARN_OK; n = before(p, n))
        if (reached(p, n)) status = check_leaves(p, n);
    return status;
}

/* Ends the handles in between. */
static void spend(const pass *p)
{
    for (tarn__node *node = before(p, p->last); node != NULL; node = before(p, node)) {
        tarn_tensor *t = node->out;
        if (reached(p, node) && !t->kept && t->retains == 0 && t->owner != TARN__OWNER_OBJECT)
            tarn__tensor_spend(t);
    }
}

/* ---- one node */

/* Makes room for the gradient of operand i. */
static tarn_status make_din(tarn__call *call, tarn__node *node, int i)
{
    tarn_tensor *t = node->in[i];
    call->add[i] = false;
    for (int j = 0; j < i; j++)
        if (node->in[j] == t && call->din[j] != NULL) call->add[i] = true;
    if (t->node == NULL) {
        call->din[i] = tarn__leaf_grad(t);
        if (t->grad_state == TARN__GRAD_ARRIVED) call->add[i] = true;
    } else if (t->node->dout != NULL) {
        call->din[i] = t->node->dout;
        call->add[i] = true;
    } else {
        tarn__layout layout = t->layout;
        if (tarn__layout_pack(&layout) != TARN_OK) return TARN_EOVERFLOW;
        const bool fits = node->op->is_view ? layout.numel == node->dout->layout.numel
                                            : tarn__same_shape(&layout, &node->dout->layout);
        const bool in_place = i == 0 && node->op->grad_in_place && fits;
        call->din[i] = in_place ? node->dout
                                : tarn__tensor_new_tagged(t->manager, &layout, TARN_UNINITIALIZED,
                                                          t->node->tag);
        if (in_place) {
            tarn__ref(node->dout);
            if (node->op->is_view) node->dout->layout = layout;
        }
        t->node->dout = call->din[i];
    }
    return call->din[i] != NULL ? TARN_OK : TARN_ENOMEM;
}

/* The gradient of a view's operand: dout, added to the same view of din. */
static tarn_status view_backward(const tarn__call *call)
{
    tarn_tensor *din = call->din[0];
    if (din == call->dout) return TARN_OK;
    const tarn__call same = {
        .op = call->op, .manager = call->manager, .attr = call->attr, .in = { din }
    };
    tarn_tensor view = *din;
    int64_t offset = 0;
    const tarn_status status = call->op->infer(&same, &view.layout, &offset);
    if (status != TARN_OK) return status;
    if (!call->add[0]) {
        tarn__make_zero(din);
        tarn__materialize(din);
    }
    view.data = (unsigned char *)din->data +
                (size_t)offset * tarn_dtype_size((tarn_dtype)din->layout.dtype);
    tarn__add_strided(&view, call->dout);
    return TARN_OK;
}

/* Runs the kernel on operands as it wants them. Those whose elements it does not read are passed
 * for their layouts. */
static tarn_status run_backward(tarn__call *call, const tarn__node *node)
{
    const tarn__op *op = node->op;
    if (op->is_view) return view_backward(call);
    tarn_status status = TARN_OK;
    tarn_tensor *prepared[TARN__MAX_OPERANDS] = { NULL };
    for (int i = 0; i < op->arity && status == TARN_OK; i++) {
        call->in[i] = node->in[i];
        if ((node->saved >> i & 1) == 0) continue;
        prepared[i] = call->in[i] = tarn__prepare_operand(op, node->in[i]);
        if (prepared[i] == NULL) status = TARN_ENOMEM;
    }
    if (status == TARN_OK && op->scratch != NULL) status = tarn__take_scratch(call);
    if (status == TARN_OK && !call->manager->dry)
        status = op->backward[node->in[0]->layout.dtype == TARN_F64](call);
    if (call->scratch != NULL) tarn__unref(call->scratch);
    for (int i = 0; i < op->arity; i++)
        if (prepared[i] != NULL) tarn__unref(prepared[i]);
    return status;
}

/* Computes the gradients that node's operands want from the gradient of its output. */
static tarn_status run_node(const pass *p, tarn__node *node)
{
    tarn__call call = { .op = node->op,
                        .manager = p->tm,
                        .attr = &node->attr,
                        .out = node->out,
                        .aux = node->aux,
                        .dout = node->dout };
    bool wanted = false;
    tarn_status status = TARN_OK;
    for (int i = 0; i < node->op->arity && status == TARN_OK; i++) {
        if (!gets_gradient(node, i)) continue;
        status = make_din(&call, node, i);
        wanted = wanted || node->in[i]->layout.numel > 0;
    }
    if (status == TARN_OK && wanted) status = run_backward(&call, node);
    if (status != TARN_OK) return status;
    for (int i = 0; i < node->op->arity; i++) {
        if (call.din[i] == NULL || node->in[i]->node != NULL) continue;
        tarn__touch(call.din[i], true);
        node->in[i]->grad_state = TARN__GRAD_ARRIVED;
    }
    return TARN_OK;
}

/* ---- the pass */

/* Empties the gradients of the leaves of reached nodes from the loss down to `stop`. */
static void empty_leaves(const pass *p, const tarn__node *stop)
{
    for (tarn__node *node = p->last; node != NULL; node = before(p, node)) {
        for (int i = 0; i < node->op->arity && reached(p, node); i++) {
            tarn_tensor *t = node->in[i];
            if (gets_gradient(node, i) && t->node == NULL) tarn__leaf_empty(t);
        }
        if (node == stop) return;
    }
}

/* Lets go of what the pass has used: the gradients of intermediates always, the nodes unless they
 * are kept. */
static void finish(const pass *p, bool keep)
{
    p->tape->finishing = true;
    for (tarn__node *node = p->last, *next; node != NULL; node = next) {
        next = before(p, node);
        if (!reached(p, node)) continue;
        if (node->dout != NULL) tarn__unref(node->dout);
        node->dout = NULL;
        if (!keep) tarn__node_free(p->tape, node);
    }
    p->tape->finishing = false;
}

static tarn_status walk(const pass *p)
{
    for (tarn__node *node = p->last; node != NULL; node = before(p, node)) {
        if (!reached(p, node)) continue;
        TARN_ASSERT(node->dout != NULL);
        p->tm->label = node->op->name; /* for an error that tells where memory ended */
        const tarn_status status = run_node(p, node);
        p->tm->label = NULL;
        if (status != TARN_OK) {
            empty_leaves(p, node);
            finish(p, false);
            return status;
        }
        tarn__unref(node->dout);
        node->dout = NULL;
        if (!p->keep_graph) tarn__node_unsave(node);
    }
    finish(p, p->keep_graph);
    return TARN_OK;
}

/* ---- the seed */

static tarn_status check_loss(const tarn_tensor *loss)
{
    char text[TARN__DESCRIPTION_BYTES];
    tarn_manager *tm = loss->manager;
    if (!tarn__readable(loss, "tarn_backward")) return TARN_ESTALE;
    if (loss->requires_grad) return check_freed(loss);
    return tarn__fail(
        tm, TARN_ESTATE, "tarn_backward: nothing that requires a gradient leads to the loss %s%s",
        tarn__describe(loss, text),
        loss->graph_freed ? " any more: the scope of its operations has ended"
                          : ": its operands were constants, detached, or used inside TARN_NO_GRAD");
}

static tarn_status check_gradient(const tarn_tensor *loss, const tarn_tensor *gradient)
{
    char text[TARN__DESCRIPTION_BYTES], other[TARN__DESCRIPTION_BYTES];
    tarn_manager *tm = loss->manager;
    if (gradient == NULL && loss->layout.numel == 1) return TARN_OK;
    if (gradient == NULL)
        return tarn__fail(tm, TARN_ESHAPE,
                          "tarn_backward: the loss %s has %lld elements: reduce it to one "
                          "(tarn_mean), or give a gradient of its shape",
                          tarn__describe(loss, text), (long long)loss->layout.numel);
    if (gradient->manager != tm)
        return tarn__fail(tm, TARN_ESTATE,
                          "tarn_backward: the gradient belongs to another manager than the loss");
    if (!tarn__readable(gradient, "tarn_backward")) return TARN_ESTALE;
    const bool same_type = gradient->layout.dtype == loss->layout.dtype;
    if (same_type && tarn__same_shape(&gradient->layout, &loss->layout)) return TARN_OK;
    return tarn__fail(tm, same_type ? TARN_ESHAPE : TARN_EDTYPE,
                      "tarn_backward: the gradient is %s %s, the loss %s %s",
                      tarn_dtype_name((tarn_dtype)gradient->layout.dtype),
                      tarn__describe(gradient, other),
                      tarn_dtype_name((tarn_dtype)loss->layout.dtype), tarn__describe(loss, text));
}

/* A contiguous copy of the given gradient, or ones. */
static tarn_tensor *make_seed(const tarn_tensor *loss, tarn_tensor *gradient)
{
    tarn__layout layout = loss->layout;
    if (tarn__layout_pack(&layout) != TARN_OK) return NULL;
    const uint32_t tag = tarn__tag_like(loss, TARN_KIND_GRADIENT);
    tarn_tensor *seed = tarn__tensor_new_tagged(loss->manager, &layout, TARN_UNINITIALIZED, tag);
    if (seed == NULL || loss->manager->dry) return seed;
    if (gradient != NULL) {
        tarn__materialize(gradient);
        tarn__copy_strided(seed, gradient);
    } else if (layout.dtype == TARN_F64) {
        *(double *)seed->data = 1;
    } else {
        *(float *)seed->data = 1;
    }
    return seed;
}

/* Whether the given gradient can be read while that of the leaf is written. */
static bool stands_apart(const tarn_tensor *leaf, const tarn_tensor *gradient)
{
    return gradient != NULL && (leaf->grad == NULL || leaf->grad->storage != gradient->storage);
}

/* A loss that is a leaf itself: its gradient is the seed. */
static tarn_status add_to_leaf(tarn_tensor *leaf, tarn_tensor *seed)
{
    tarn_tensor *grad = tarn__leaf_grad(leaf);
    if (grad == NULL) return TARN_ENOMEM;
    if (leaf->grad_state == TARN__GRAD_ARRIVED) tarn__add_strided(grad, seed);
    else tarn__copy_strided(grad, seed);
    tarn__touch(grad, true);
    leaf->grad_state = TARN__GRAD_ARRIVED;
    return TARN_OK;
}

static tarn_status backward(tarn_tensor *loss, const tarn_backward_options *o)
{
    tarn_manager *tm = loss->manager;
    if (!tarn_ok(tm)) return tm->error;
    tarn_status status = check_loss(loss);
    if (status == TARN_OK) status = check_gradient(loss, o->gradient);
    if (status != TARN_OK) return status;

    pass p = { .tm = tm, .tape = tm->tape, .last = loss->node, .keep_graph = o->keep_graph };
    p.id = ++p.tape->pass;
    if (p.last != NULL) status = mark(&p);
    if (status != TARN_OK) return status;
    if (p.last == NULL && stands_apart(loss, o->gradient)) {
        tarn__materialize(o->gradient);
        return add_to_leaf(loss, o->gradient);
    }
    tarn_tensor *seed = make_seed(loss, o->gradient);
    if (seed == NULL) return tm->error;
    if (p.last == NULL) {
        status = add_to_leaf(loss, seed);
        tarn__unref(seed);
        return status;
    }
    if (!p.keep_graph) spend(&p);
    p.last->dout = seed;
    const tarn__place before_it = tarn__enter_place(tm, "backward", TARN_KIND_WORKSPACE);
    status = walk(&p);
    tarn__leave_place(tm, before_it);
    return status;
}

tarn_status tarn_backward_with(tarn_tensor *loss, const tarn_backward_options *options)
{
    static const tarn_backward_options defaults;
    if (loss == NULL) return TARN_EARG;
    const tarn_phase phase = tarn__phase_auto(loss->manager, "backward");
    const tarn_status status = backward(loss, options != NULL ? options : &defaults);
    (void)tarn_phase_end(phase);
    return status;
}

tarn_status tarn_backward(tarn_tensor *loss) { return tarn_backward_with(loss, NULL); }
