/* SPDX-License-Identifier: MIT
 * graph.c - a pass that computes gradients by operations, which are recorded in turn: gradients
 * that can themselves be differentiated. */
#include "autograd/pass.h"
#include "core/assert.h"

/* ---- gradients of one node */

/* g, summed over the axes along which the operand of layout x was repeated. */
static tarn_tensor *sum_to(tarn_tensor *g, const tarn__layout *x)
{
    tarn_axes axes = { .keep = 1 };
    tarn_shape shape = { .ndim = x->ndim };
    if (g == NULL || tarn__same_shape(&g->layout, x)) return g;
    const int extra = g->layout.ndim - x->ndim;
    for (int axis = 0; axis < x->ndim; axis++) shape.dims[axis] = x->dims[axis];
    for (int axis = 0; axis < g->layout.ndim; axis++)
        if (axis < extra || x->dims[axis - extra] != g->layout.dims[axis])
            axes.axis[axes.n++] = axis;
    if (axes.n > 0) g = tarn_sum(g, axes);
    return tarn_reshape(g, shape);
}

/* The operands of a composition: those whose gradients are wanted are its targets, by handles of
 * their own; the others are cut off from what they were computed from. */
static tarn_status begin_composition(const tarn__pass *outer, const tarn__node *node,
                                     tarn__call *call, tarn_list *targets, tarn_tensor **aliases)
{
    for (int i = 0; i < node->op->arity; i++) {
        tarn_tensor *t = node->in[i];
        if (t == NULL) continue;
        /* What the kernels do not read is not saved: nobody has checked it. */
        if (t->storage != NULL && tarn__pass_check_version(outer, node, i) != TARN_OK)
            return TARN_ESTATE;
        if (!t->requires_grad) continue;
        const bool wanted = tarn__gets_gradient(outer, node, i);
        call->in[i] = wanted ? tarn_alias(t) : tarn_detach(t);
        if (call->in[i] == NULL) return tarn_error_code(outer->tm);
        if (wanted) aliases[targets->n++] = call->in[i];
    }
    return TARN_OK;
}

/* Runs a pass from the result of a composition to its operands. */
static tarn_status run_composition(const tarn__call *call, tarn__pass *p, tarn_tensor *y)
{
    if (y->node == NULL) return TARN_OK; /* no gradient goes through it */
    TARN_ASSERT(tarn__same_shape(&y->layout, &call->out->layout));
    tarn_tensor **seed = &y->node->dout;
    if (y->target != 0) seed = &p->gradients[y->target - 1]; /* it is an operand itself */
    else if (tarn__pass_mark(p, &TARN_LIST(y)) != TARN_OK) return tarn_error_code(p->tm);
    *seed = call->dout;
    tarn__ref(call->dout);
    return y->target != 0 ? TARN_OK : tarn__pass_run_graph(p);
}

/* The gradients of a node whose operation says what it is composed of: those of the composition.
 * The references belong to the caller. */
static tarn_status composed(const tarn__call *call, const tarn__pass *outer, const tarn__node *node,
                            tarn_tensor **gradients)
{
    tarn__call copy = *call;
    tarn_tensor *aliases[TARN__MAX_OPERANDS] = { NULL }, *arrived[TARN__MAX_OPERANDS] = { NULL };
    tarn_list targets = { 0, aliases };
    tarn_status status = begin_composition(outer, node, &copy, &targets, aliases);
    tarn_tensor *y = status == TARN_OK ? node->op->compose(&copy) : NULL;
    if (y == NULL) return tarn_error_code(call->manager);
    tarn__pass p = { .tm = call->manager,
                     .name = outer->name,
                     .keep_graph = true,
                     .independent = true,
                     .targets = &targets,
                     .gradients = arrived };
    for (int k = 0; k < targets.n; k++) aliases[k]->target = (uint32_t)k + 1;
    status = run_composition(call, &p, y);
    for (int i = 0; i < node->op->arity; i++) {
        if (copy.in[i] == NULL || copy.in[i]->target == 0) continue;
        gradients[i] = arrived[copy.in[i]->target - 1];
        copy.in[i]->target = 0;
    }
    return status;
}

/* ---- what arrives */

/* Adds a gradient that arrives to what is there; the sum is owned, g is not. */
static tarn_status add_to(tarn_tensor **sum, tarn_tensor *g)
{
    tarn_tensor *total = *sum == NULL ? g : tarn_add(*sum, g);
    if (total == NULL) return tarn_error_code(g->manager);
    tarn__ref(total);
    if (*sum != NULL) tarn__unref(*sum);
    *sum = total;
    return TARN_OK;
}

/* The same for a target, whose gradient shares no memory with another's. */
static tarn_status add_to_target(const tarn__pass *p, const tarn__node *node, const tarn_tensor *t,
                                 tarn_tensor *g)
{
    TARN_ASSERT(t->target != 0);
    tarn_tensor **sum = &p->gradients[t->target - 1];
    if (*sum == NULL && g->storage == node->dout->storage) g = tarn_mul_scalar(g, 1);
    return g != NULL ? add_to(sum, g) : tarn_error_code(p->tm);
}

/* Gives the gradient of an operand to the node that made it, or to the target that it is. */
static tarn_status deliver(const tarn__pass *p, const tarn__node *node, tarn_tensor *t,
                           tarn_tensor *g)
{
    g = sum_to(g, &t->layout);
    if (g == NULL) return tarn_error_code(p->tm);
    const bool goes_on = t->node != NULL && !(p->independent && t->target != 0);
    return goes_on ? add_to(&t->node->dout, g) : add_to_target(p, node, t, g);
}

/* ---- one node */

static tarn_status no_second(const tarn__pass *p, const tarn__node *node)
{
    return tarn__fail(
        p->tm, TARN_ESTATE, "%s: %s has no gradient that can be recorded (create_graph)%s", p->name,
        node->op->name, node->segment != NULL ? ": compute this part without tarn_checkpoint" : "");
}

/* Lets operations read what the node saved, though its handle may have ended; end_again undoes it,
 * in reverse order, since a tensor may be several operands. */
static void revive(const tarn__node *node, uint8_t ended_by[TARN__MAX_OPERANDS + 1])
{
    for (int i = 0; i <= TARN__MAX_OPERANDS; i++) {
        tarn_tensor *t = tarn__node_tensor(node, i);
        if (t == NULL) continue;
        ended_by[i] = t->ended_by;
        if (t->saves > 0) t->ended_by = TARN__ALIVE;
    }
}

static void end_again(const tarn__node *node, const uint8_t ended_by[TARN__MAX_OPERANDS + 1])
{
    for (int i = TARN__MAX_OPERANDS; i >= 0; i--)
        if (tarn__node_tensor(node, i) != NULL) tarn__node_tensor(node, i)->ended_by = ended_by[i];
}

/* Computes the gradients that node's operands want, and delivers them. */
static tarn_status run_operations(const tarn__pass *p, tarn__node *node)
{
    const tarn__op *op = node->op;
    tarn_tensor *gradients[TARN__MAX_OPERANDS] = { NULL };
    tarn__call call = { .op = op,
                        .manager = p->tm,
                        .attr = &node->attr,
                        .out = node->out,
                        .aux = node->aux,
                        .dout = node->dout };
    tarn_status status = TARN_OK;
    for (int i = 0; i < op->arity; i++) call.in[i] = node->in[i];
    if (op->graph == NULL && op->compose == NULL) return no_second(p, node);
    if (op->graph == NULL) status = composed(&call, p, node, gradients);
    for (int i = 0; i < op->arity && status == TARN_OK; i++) {
        if (!tarn__gets_gradient(p, node, i)) continue;
        tarn_tensor *g = op->graph != NULL ? op->graph(&call, i) : gradients[i];
        if (g != NULL) status = deliver(p, node, node->in[i], g);
        else status = tarn_error_code(p->tm);
    }
    for (int i = 0; i < op->arity; i++)
        if (gradients[i] != NULL) tarn__unref(gradients[i]);
    return status;
}

static tarn_status run_node(const tarn__pass *p, tarn__node *node)
{
    uint8_t ended_by[TARN__MAX_OPERANDS + 1] = { 0 };
    revive(node, ended_by);
    tarn_status status = run_operations(p, node);
    end_again(node, ended_by);
    for (int i = 0; i < node->op->arity && status == TARN_OK; i++) {
        tarn_tensor *t = node->in[i];
        if (tarn__gets_gradient(p, node, i) && t->node == NULL && t->hooks != NULL)
            status = tarn__pass_call_leaf_hooks(t, node, p->gradients[t->target - 1], true);
    }
    return status;
}

/* ---- the pass */

/* The node's turn has come: the gradient of its output is complete. */
static tarn_status arrive(const tarn__pass *p, tarn__node *node)
{
    tarn_tensor *t = node->out;
    if (t->hooks != NULL) {
        const tarn_status status = tarn__pass_call_hooks(t, node->dout, true);
        if (status != TARN_OK) return status;
    }
    if (t->target != 0) {
        const tarn_status status = add_to_target(p, node, t, node->dout);
        if (status != TARN_OK) return status;
    }
    return node->runs ? run_node(p, node) : TARN_OK;
}

tarn_status tarn__pass_run_graph(const tarn__pass *p)
{
    tarn_status status = TARN_OK;
    for (tarn__node *node = p->last; node != NULL && status == TARN_OK;
         node = tarn__pass_before(p, node)) {
        if (node->pass != p->id || node->dout == NULL) continue;
        const char *label = p->tm->label;
        p->tm->label = NULL;
        status = arrive(p, node);
        p->tm->label = label;
        tarn__unref(node->dout);
        node->dout = NULL;
    }
    tarn__pass_finish(p, true);
    return status;
}
