/* SPDX-License-Identifier: MIT
 * backward.c - a pass that runs the kernels of gradients; tarn_backward.
 *
 * The handles in between end first, so that a buffer which no node saved goes back at once. Then
 * each node, newest first, gets its operands' gradients computed; what it saved and the gradient of
 * its output go back to the pool before the next node runs. */
#include "autograd/checkpoint.h"
#include "autograd/leaf.h"
#include "autograd/pass.h"
#include "core/assert.h"
#include "ops/observe.h"
#include "ops/run_kernel.h"
#include "ops/watch.h"

/* ---- one node */

/* Room for the gradient of a leaf: the leaf's own, or what the pass was asked for. It may be an
 * operand twice. */
static void make_leaf_din(const tarn__pass *p, tarn__call *call, tarn_tensor *t, int i)
{
    if (tarn__keeps_gradient(p, t)) {
        if (tarn__tape_note_addition(t) == TARN_OK) call->din[i] = tarn__leaf_grad(t);
        call->add[i] = t->grad_state == TARN__GRAD_ARRIVED;
        for (int j = 0; j < i; j++)
            if (call->din[j] != NULL && call->din[j] == call->din[i]) call->add[i] = true;
        return;
    }
    TARN_ASSERT(p->gradients != NULL && t->target != 0);
    tarn_tensor **gradient = &p->gradients[t->target - 1];
    if (*gradient != NULL) call->add[i] = true;
    else
        *gradient =
            tarn__gradient_new(t, TARN_UNINITIALIZED, tarn__tag_like(t, TARN_KIND_GRADIENT));
    call->din[i] = *gradient;
}

/* The gradient of a leaf has been written: whoever reads it must not find zeros pending. */
static void leaf_arrived(const tarn__pass *p, tarn_tensor *t, tarn_tensor *gradient)
{
    tarn__touch(gradient, true);
    if (!tarn__keeps_gradient(p, t)) return;
    if (p->tm->observer != NULL) p->tm->observer->leaf(p->tm, t, true);
    t->grad_state = TARN__GRAD_ARRIVED;
}

/* Whether the gradient of t, which is operand 0, may take the memory of the output's. */
static bool goes_in_place(const tarn__node *node, const tarn_tensor *t)
{
    if (!node->op->grad_in_place || node->dout->refs > 1) return false;
    if (node->op->is_view) return t->layout.numel == node->dout->layout.numel;
    return tarn__same_shape(&t->layout, &node->dout->layout);
}

/* Makes room for the gradient of operand i. */
static tarn_status make_din(const tarn__pass *p, tarn__call *call, tarn__node *node, int i)
{
    tarn_tensor *t = node->in[i];
    if (t->node == NULL) {
        make_leaf_din(p, call, t, i);
    } else if (t->node->dout != NULL) {
        call->din[i] = t->node->dout;
        call->add[i] = true;
    } else if (i == 0 && goes_in_place(node, t)) {
        call->din[i] = t->node->dout = node->dout;
        tarn__ref(node->dout);
        if (!node->op->is_view) return TARN_OK;
        node->dout->layout = t->layout;
        return tarn__layout_pack(&node->dout->layout); /* has as many elements as before */
    } else {
        call->din[i] = t->node->dout = tarn__gradient_new(t, TARN_UNINITIALIZED, t->node->tag);
    }
    return call->din[i] != NULL ? TARN_OK : tarn_error_code(p->tm);
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
    view.sequence = UINT64_MAX; /* no handle that anyone may refer to */
    view.data = (unsigned char *)din->data +
                (size_t)offset * tarn_dtype_size((tarn_dtype)din->layout.dtype);
    tarn__add_observed(&view, call->dout);
    return TARN_OK;
}

/* Runs the kernel on operands as it wants them. Those whose elements it does not read are passed
 * for their layouts. */
static tarn_status run_backward(tarn__call *call, const tarn__node *node)
{
    const tarn__op *op = node->op;
    if (op->is_view) return view_backward(call);
    tarn_status status = TARN_OK;
    unsigned prepared = 0;
    for (int i = 0; i < op->arity; i++) call->in[i] = node->in[i];
    for (unsigned rest = node->saved & ~(unsigned)TARN__USES_OUT; rest != 0; rest &= rest - 1) {
        const int i = tarn__first_bit(rest);
        if (tarn__is_plain(call->in[i]) || status != TARN_OK) continue;
        call->in[i] = tarn__prepare_operand(op, call->in[i]);
        if (call->in[i] != NULL) prepared |= 1u << i;
        else status = TARN_ENOMEM;
    }
    if (status == TARN_OK && op->scratch != NULL) status = tarn__take_scratch(call);
    if (status == TARN_OK && !call->manager->dry) {
        const bool is_f64 = node->in[0]->layout.dtype == TARN_F64;
        const tarn__kernel kernel = op->backward[tarn__simd()][is_f64];
        status = tarn__run_kernel(kernel, call, call->dout);
        tarn__observe_call(kernel, call);
    }
    if (call->scratch != NULL) tarn__unref(call->scratch);
    for (; prepared != 0; prepared &= prepared - 1)
        tarn__unref(call->in[tarn__first_bit(prepared)]);
    return status;
}

/* The same for a function that runs again. Its own pass notes hooks of leaves for itself. */
static tarn_status run_segment(const tarn__pass *p, const tarn__call *call, const tarn__node *node)
{
    const tarn_status status = tarn__segment_backward(p, call, node);
    if (p->leaf_hooks) tarn__pass_note_hooks(p, node);
    return status;
}

/* Those of the leaves whose gradients are complete with this node. */
static tarn_status call_leaf_hooks(const tarn__call *call, const tarn__node *node, unsigned leaves)
{
    tarn_status status = TARN_OK;
    for (unsigned rest = leaves; rest != 0 && status == TARN_OK; rest &= rest - 1) {
        const int i = tarn__first_bit(rest);
        status = tarn__pass_call_leaf_hooks(node->in[i], node, call->din[i], false);
    }
    return status;
}

/* Computes the gradients that node's operands want from the gradient of its output. */
static tarn_status run_node(const tarn__pass *p, tarn__node *node)
{
    tarn__call call = { .op = node->op,
                        .manager = p->tm,
                        .attr = &node->attr,
                        .out = node->out,
                        .aux = node->aux,
                        .dout = node->dout };
    unsigned leaves = 0;
    bool any = false;
    tarn_status status = TARN_OK;
    for (unsigned rest = node->wanted; rest != 0 && status == TARN_OK; rest &= rest - 1) {
        const int i = tarn__first_bit(rest);
        if (!tarn__gets_gradient(p, node, i)) continue;
        status = make_din(p, &call, node, i);
        any = any || node->in[i]->layout.numel > 0;
        if (node->in[i]->node == NULL) leaves |= 1u << i;
    }
    if (node->segment != NULL && status == TARN_OK) status = run_segment(p, &call, node);
    else if (status == TARN_OK && any) status = run_backward(&call, node);
    if (status != TARN_OK) return status;
    for (unsigned rest = leaves; rest != 0; rest &= rest - 1) {
        const int i = tarn__first_bit(rest);
        leaf_arrived(p, node->in[i], call.din[i]);
    }
    if (p->tm->watch != 0) status = tarn__watch_backward(&call, node->in);
    return status == TARN_OK && p->leaf_hooks ? call_leaf_hooks(&call, node, leaves) : status;
}

/* ---- the pass */

/* Ends the handles in between. */
static void spend(const tarn__pass *p)
{
    for (tarn__node *node = p->last; node != NULL; node = tarn__pass_before(p, node)) {
        tarn_tensor *t = node->out;
        const bool in_between = node != p->last && t->target == 0 && node->dout == NULL;
        if (in_between && tarn__pass_runs(p, node) && !t->kept && t->retains == 0 &&
            t->owner != TARN__OWNER_OBJECT)
            tarn__tensor_spend(t);
    }
}

/* The node's turn has come: the gradient of its output is complete. */
static tarn_status arrive(const tarn__pass *p, tarn__node *node)
{
    tarn_tensor *t = node->out;
    tarn_status status = TARN_OK;
    TARN_ASSERT(node->dout != NULL);
    if (t->hooks != NULL) status = tarn__pass_call_hooks(t, node->dout, false);
    if (status == TARN_OK && t->target != 0) {
        p->gradients[t->target - 1] = node->dout;
        tarn__ref(node->dout);
    }
    return status == TARN_OK && node->runs ? run_node(p, node) : status;
}

static bool takes_part(const tarn__pass *p, const tarn__node *node)
{
    return tarn__pass_runs(p, node) || (node->pass == p->id && node->out->target != 0);
}

tarn_status tarn__pass_run(const tarn__pass *p)
{
    if (!p->keep_graph) spend(p);
    const tarn__place before = tarn__enter_place(p->tm, "backward", TARN_KIND_WORKSPACE);
    tarn_status status = TARN_OK;
    for (tarn__node *node = p->last; node != NULL && status == TARN_OK;
         node = tarn__pass_before(p, node)) {
        if (!takes_part(p, node) || node->dout == NULL) continue;
        p->tm->label = node->op->name; /* for an error that tells where memory ended */
        status = arrive(p, node);
        p->tm->label = NULL;
        if (status != TARN_OK) break;
        tarn__unref(node->dout);
        node->dout = NULL;
        if (!p->keep_graph && node->runs) tarn__node_unsave(node);
    }
    tarn__pass_finish(p, p->keep_graph && status == TARN_OK);
    tarn__leave_place(p->tm, before);
    return status;
}

/* ---- tarn_backward */

static tarn_status check_loss(const tarn__pass *p, const tarn_tensor *loss)
{
    char text[TARN__DESCRIPTION_BYTES];
    if (!tarn__readable(loss, p->name)) return TARN_ESTALE;
    if (loss->requires_grad) return tarn__pass_check_freed(p, loss);
    return tarn__fail(p->tm, TARN_ESTATE,
                      "tarn_backward: nothing that requires a gradient leads to the loss %s%s",
                      tarn__describe(loss, text),
                      loss->graph_freed
                          ? " any more: the scope of its operations has ended"
                          : ": its operands were constants, detached, frozen, or used inside "
                            "TARN_NO_GRAD (tarn_require_grad makes a leaf of a tensor)");
}

/* Whether the given gradient can be read while that of the leaf is written. */
static bool stands_apart(const tarn_tensor *leaf, const tarn_tensor *gradient)
{
    return gradient != NULL && (leaf->grad == NULL || leaf->grad->storage != gradient->storage);
}

/* A loss that is a leaf itself: its gradient is the seed. */
static tarn_status add_to_leaf(const tarn__pass *p, tarn_tensor *leaf, tarn_tensor *seed)
{
    tarn__call call = { .manager = p->tm };
    if (!tarn__keeps_gradient(p, leaf) && leaf->target == 0) return TARN_OK;
    make_leaf_din(p, &call, leaf, 0);
    if (call.din[0] == NULL) return tarn_error_code(p->tm);
    if (call.add[0]) tarn__add_observed(call.din[0], seed);
    else tarn__copy_observed(call.din[0], seed);
    leaf_arrived(p, leaf, call.din[0]);
    return leaf->hooks != NULL ? tarn__pass_call_hooks(leaf, call.din[0], false) : TARN_OK;
}

static tarn_status backward_of_leaf(const tarn__pass *p, tarn_tensor *leaf, tarn_tensor *gradient)
{
    if (stands_apart(leaf, gradient)) {
        tarn__materialize(gradient);
        return add_to_leaf(p, leaf, gradient);
    }
    tarn_tensor *seed = tarn__pass_make_seed(leaf, gradient);
    if (seed == NULL) return tarn_error_code(leaf->manager);
    const tarn_status status = add_to_leaf(p, leaf, seed);
    tarn__unref(seed);
    return status;
}

tarn_status tarn__backward_inside(const tarn__pass *outer, uint64_t after, tarn_tensor *output,
                                  tarn_tensor *seed)
{
    tarn__pass p = { .tm = outer->tm,
                     .name = outer->name,
                     .after = after,
                     .targets = outer->targets,
                     .gradients = outer->gradients };
    if (!output->requires_grad) return TARN_OK;
    if (output->node == NULL) return add_to_leaf(&p, output, seed);
    tarn_status status = tarn__pass_mark(&p, &TARN_LIST(output));
    if (status != TARN_OK) return status;
    output->node->dout = tarn__pass_make_seed(output, seed);
    return output->node->dout != NULL ? tarn__pass_run(&p) : tarn_error_code(p.tm);
}

static tarn_status backward(tarn_tensor *loss, const tarn_backward_options *o)
{
    tarn_manager *tm = loss->manager;
    tarn__pass p = { .tm = tm, .name = "tarn_backward", .keep_graph = o->keep_graph };
    if (!tarn_ok(tm)) return tm->error;
    tarn_status status = check_loss(&p, loss);
    if (status == TARN_OK) status = tarn__pass_check_seed(&p, loss, o->gradient);
    if (status == TARN_OK) status = tarn__tape_enter(tm, p.name);
    if (status != TARN_OK) return status;
    tarn__ref(loss); /* whatever hooks do */
    if (loss->node == NULL) {
        status = backward_of_leaf(&p, loss, o->gradient);
    } else {
        status = tarn__pass_mark(&p, &TARN_LIST(loss));
        tarn_tensor *seed = status == TARN_OK ? tarn__pass_make_seed(loss, o->gradient) : NULL;
        if (status == TARN_OK && seed == NULL) status = tarn_error_code(tm);
        loss->node->dout = seed;
        if (status == TARN_OK) status = tarn__pass_run(&p);
    }
    tarn__unref(loss);
    tarn__tape_leave(tm, status);
    return status;
}

tarn_status tarn_backward_with(tarn_tensor *loss, const tarn_backward_options *options)
{
    static const tarn_backward_options defaults;
    if (loss == NULL) return TARN_EARG;
    const tarn_phase phase = tarn__phase_auto(loss->manager, "backward");
    const tarn_status status = backward(loss, options != NULL ? options : &defaults);
    tarn__phase_close(phase);
    return status;
}

tarn_status tarn_backward(tarn_tensor *loss) { return tarn_backward_with(loss, NULL); }
