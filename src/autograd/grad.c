/* SPDX-License-Identifier: MIT
 * grad.c - tarn_grad: gradients of outputs with respect to inputs, and products with Jacobians and
 * Hessians made of it. */
#include <math.h>

#include "autograd/pass.h"
#include "core/size.h"
#include "ops/observe.h"

/* ---- arguments */

static tarn_manager *manager_of(tarn_list list)
{
    for (int i = 0; i < list.n && list.items != NULL; i++)
        if (list.items[i] != NULL) return list.items[i]->manager;
    return NULL;
}

static tarn_status check_list(tarn_manager *tm, const char *name, const char *what, tarn_list list)
{
    if (list.n < 1 || list.items == NULL)
        return tarn__fail(tm, TARN_EARG, "%s: no %ss are given", name, what);
    for (int i = 0; i < list.n; i++) {
        const tarn_tensor *t = list.items[i];
        if (t == NULL) return tarn__fail(tm, TARN_EARG, "%s: %s %d is NULL", name, what, i);
        if (t->manager != tm)
            return tarn__fail(tm, TARN_ESTATE,
                              "%s: %s %d belongs to another manager than the first output", name,
                              what, i);
        if (!tarn__readable(t, name)) return TARN_ESTALE;
    }
    return TARN_OK;
}

static tarn_status check_inputs(const tarn__pass *p, tarn_list inputs)
{
    char text[TARN__DESCRIPTION_BYTES];
    tarn_status status = check_list(p->tm, p->name, "input", inputs);
    for (int i = 0; i < inputs.n && status == TARN_OK; i++) {
        const tarn_tensor *t = inputs.items[i];
        if (!t->requires_grad)
            return tarn__fail(
                p->tm, TARN_ESTATE,
                "%s: input %d, %s, requires no gradient: tarn_require_grad before the "
                "outputs are computed from it",
                p->name, i, tarn__describe(t, text));
        status = tarn__pass_check_freed(p, t);
    }
    return status;
}

static tarn_status check_outputs(const tarn__pass *p, tarn_list outputs, tarn_tensor *const *seeds)
{
    tarn_status status = check_list(p->tm, p->name, "output", outputs);
    for (int i = 0; i < outputs.n && status == TARN_OK; i++) {
        status = tarn__pass_check_freed(p, outputs.items[i]);
        if (status == TARN_OK)
            status = tarn__pass_check_seed(p, outputs.items[i], seeds != NULL ? seeds[i] : NULL);
    }
    return status;
}

/* ---- targets */

/* Holds the tensors of a list, whatever hooks do to their handles, and lets them go. */
static void hold(tarn_list list)
{
    for (int i = 0; i < list.n; i++) tarn__ref(list.items[i]);
}

static void let_go(tarn_list list)
{
    for (int i = 0; i < list.n; i++) tarn__unref(list.items[i]);
}

/* Numbers the inputs, each tensor once. */
static void begin_targets(tarn_list inputs)
{
    for (int i = 0; i < inputs.n; i++)
        if (inputs.items[i]->target == 0) inputs.items[i]->target = (uint32_t)i + 1;
}

/* Hands the gradients to the open scope; one that nothing arrived at is zeros. A tensor named twice
 * has one gradient. */
static tarn_status end_targets(const tarn__pass *p, tarn_status status)
{
    const tarn_list *inputs = p->targets;
    for (int i = 0; i < inputs->n; i++) {
        const tarn_tensor *t = inputs->items[i];
        tarn_tensor *g = p->gradients[i];
        const bool first = t->target == (uint32_t)i + 1;
        if (!first) continue;
        if (status != TARN_OK && g != NULL) tarn__unref(g);
        if (status == TARN_OK && g == NULL && !p->unused_is_null) {
            g = tarn_zeros(p->tm, (tarn_dtype)t->layout.dtype, tarn_get_shape(t));
            if (g == NULL) status = tarn_error_code(p->tm);
        } else if (status == TARN_OK && g != NULL) {
            if (g->owner == TARN__OWNER_NONE) (void)tarn__adopt(g);
            else tarn__unref(g); /* by operations: a scope owns it already */
        }
        p->gradients[i] = status == TARN_OK ? g : NULL;
    }
    for (int i = 0; i < inputs->n; i++) {
        const uint32_t target = inputs->items[i]->target;
        p->gradients[i] = status == TARN_OK ? p->gradients[target - 1] : NULL;
    }
    for (int i = 0; i < inputs->n; i++) inputs->items[i]->target = 0;
    return status;
}

/* ---- seeds */

/* The seed as the pass adds it up: by operations a handle of the open scope, else nobody's. The
 * reference belongs to the caller. */
static tarn_tensor *seed_of(tarn_tensor *output, tarn_tensor *given, bool create_graph)
{
    if (!create_graph) return tarn__pass_make_seed(output, given);
    tarn_tensor *seed = given != NULL ? tarn_mul_scalar(given, 1)
                                      : tarn_ones(output->manager, (tarn_dtype)output->layout.dtype,
                                                  tarn_get_shape(output));
    if (seed != NULL) tarn__ref(seed);
    return seed;
}

/* Adds one seed to what waits at its output. */
static tarn_status add_seed(const tarn__pass *p, tarn_tensor *output, tarn_tensor *given,
                            bool create_graph)
{
    const bool is_input = output->node == NULL && output->target != 0;
    if (output->node == NULL && !is_input) return TARN_OK; /* a constant, or no input */
    tarn_tensor **at = is_input ? &p->gradients[output->target - 1] : &output->node->dout;
    tarn_tensor *seed = seed_of(output, given, create_graph);
    if (seed == NULL) return tarn_error_code(p->tm);
    if (*at == NULL) {
        *at = seed;
    } else if (create_graph) {
        tarn_tensor *sum = tarn_add(*at, seed);
        tarn__unref(seed);
        if (sum == NULL) return tarn_error_code(p->tm);
        tarn__ref(sum);
        tarn__unref(*at);
        *at = sum;
    } else {
        tarn__add_observed(*at, seed);
        tarn__unref(seed);
    }
    return TARN_OK;
}

/* ---- tarn_grad */

static tarn_status run_pass(tarn__pass *p, tarn_list outputs, const tarn_grad_options *o)
{
    tarn_status status = tarn__pass_mark(p, &outputs);
    for (int i = 0; i < outputs.n && status == TARN_OK; i++)
        status = add_seed(p, outputs.items[i], o->gradients != NULL ? o->gradients[i] : NULL,
                          o->create_graph);
    if (p->last == NULL) return status;
    if (status != TARN_OK) tarn__pass_finish(p, true);
    else if (o->create_graph) status = tarn__pass_run_graph(p);
    else status = tarn__pass_run(p);
    return status;
}

/* The same from the gradients' begin to their end. What is to be differentiated again is recorded
 * even inside TARN_NO_GRAD. */
static tarn_status run(tarn__pass *p, tarn_list outputs, tarn_list inputs,
                       const tarn_grad_options *o)
{
    const uint32_t depth = p->tm->depth;
    const bool no_grad = p->tm->frames[depth].no_grad;
    p->tm->frames[depth].no_grad = no_grad && !o->create_graph;
    hold(outputs);
    hold(inputs);
    begin_targets(inputs);
    const tarn_status status = end_targets(p, run_pass(p, outputs, o));
    let_go(inputs);
    let_go(outputs);
    p->tm->frames[depth].no_grad = no_grad;
    return status;
}

tarn_status tarn_grad(tarn_list outputs, tarn_list inputs, tarn_tensor **gradients,
                      const tarn_grad_options *options)
{
    static const tarn_grad_options defaults;
    const tarn_grad_options *o = options != NULL ? options : &defaults;
    tarn_manager *tm = manager_of(outputs);
    const bool overlap = gradients != NULL && o->gradients == gradients;
    for (int i = 0; i < inputs.n && gradients != NULL; i++) gradients[i] = NULL;
    if (tm == NULL) tm = manager_of(inputs);
    if (tm == NULL || gradients == NULL) return tarn__fail(tm, TARN_EARG, "tarn_grad: no tensors");
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    if (overlap)
        return tarn__fail(tm, TARN_EARG,
                          "tarn_grad: the gradients of outputs and inputs are one array");
    tarn__pass p = { .tm = tm,
                     .name = "tarn_grad",
                     .keep_graph = o->keep_graph || o->create_graph,
                     .unused_is_null = o->unused_is_null,
                     .targets = &inputs,
                     .gradients = gradients };
    tarn_status status = check_outputs(&p, outputs, o->gradients);
    if (status == TARN_OK) status = check_inputs(&p, inputs);
    if (status == TARN_OK) status = tarn__tape_enter(tm, p.name);
    if (status != TARN_OK) return status;
    const tarn_phase phase = tarn__phase_auto(tm, "backward");
    status = run(&p, outputs, inputs, o);
    tarn__phase_close(phase);
    tarn__tape_leave(tm, status);
    return status;
}
