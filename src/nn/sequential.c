/* SPDX-License-Identifier: MIT
 * sequential.c - chains, and their steps that are no layers.
 *
 * A step and the layer that it runs are one record of the chain's module. */
#include "nn/sequential.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <tarn/shape.h>

#include "core/size.h"

typedef struct record {
    tarn_step step;
    max_align_t layer[];
} record;

/* ---- chains */

tarn_sequential tarn_sequential_create(tarn_module *parent, const char *name)
{
    tarn_sequential chain = { .module = tarn__module_add(parent, name, "sequential") };
    if (chain.module == NULL) return chain;
    chain.steps = tarn__module_record(chain.module, sizeof *chain.steps);
    if (chain.steps != NULL) return chain;
    tarn__module_discard(chain.module);
    return (tarn_sequential){ .module = NULL };
}

bool tarn__next_step(const tarn_sequential *chain, char name[TARN__NAME_BYTES])
{
    if (chain == NULL || chain->module == NULL || !tarn_ok(chain->module->object.manager))
        return false;
    (void)snprintf(name, TARN__NAME_BYTES, "%d", chain->steps->n);
    return true;
}

bool tarn__add_step(tarn_sequential *chain, tarn_module *module,
                    tarn_tensor *(*forward)(void *layer, tarn_tensor *x), const void *layer,
                    size_t bytes)
{
    if (module == NULL) return false;
    record *r = tarn__module_record(chain->module, offsetof(record, layer) + bytes);
    if (r == NULL) {
        tarn__module_discard(module);
        return false;
    }
    memcpy(r->layer, layer, bytes);
    r->step = (tarn_step){ .module = module, .forward = forward, .layer = r->layer };
    tarn_steps *steps = chain->steps;
    if (steps->last == NULL) steps->first = &r->step;
    else steps->last->next = &r->step;
    steps->last = &r->step;
    steps->n++;
    return true;
}

/* ---- steps that are functions
 *
 * What they run begins with their module, in whose name it runs. */

/* A module for the next step, that calls itself `kind`. NULL with the error held. */
static tarn_module *add_module(const tarn_sequential *chain, const char *kind)
{
    char name[TARN__NAME_BYTES];
    return tarn__next_step(chain, name) ? tarn__module_add(chain->module, name, kind) : NULL;
}

/* Holds TARN_EARG for a step that was asked for; returns NULL. */
static tarn_module *refuse(const tarn_sequential *chain, const char *what)
{
    if (chain != NULL && chain->module != NULL)
        (void)tarn__fail(chain->module->object.manager, TARN_EARG, "%s: step %d: %s",
                         chain->module->label, chain->steps->n, what);
    return NULL;
}

typedef struct activation_step {
    tarn_module *module;
    tarn_activation activation;
} activation_step;

static tarn_tensor *activation_forward(void *layer, tarn_tensor *x)
{
    const activation_step *s = layer;
    tarn_manager *tm = x->manager;
    const tarn__outside before = tarn__enter_layer(tm, s->module);
    tarn_tensor *y = tarn__activate(s->activation, x);
    tarn__leave_layer(tm, before);
    return y;
}

tarn_module *tarn_sequential_add_activation(tarn_sequential *chain, tarn_activation activation)
{
    const char *kind = tarn__activation_name(activation);
    if (kind == NULL) return refuse(chain, "unknown activation");
    const activation_step s = { .module = add_module(chain, kind), .activation = activation };
    return tarn__add_step(chain, s.module, activation_forward, &s, sizeof s) ? s.module : NULL;
}

typedef struct function_step {
    tarn_module *module;
    tarn_tensor *(*function)(tarn_tensor *x);
} function_step;

static tarn_tensor *function_forward(void *layer, tarn_tensor *x)
{
    const function_step *s = layer;
    tarn_manager *tm = x->manager;
    const tarn__outside before = tarn__enter_layer(tm, s->module);
    tarn_tensor *y = s->function(x);
    tarn__leave_layer(tm, before);
    return y;
}

static tarn_module *add_function(tarn_sequential *chain, const char *kind,
                                 tarn_tensor *(*function)(tarn_tensor *x))
{
    const function_step s = { .module = add_module(chain, kind), .function = function };
    return tarn__add_step(chain, s.module, function_forward, &s, sizeof s) ? s.module : NULL;
}

tarn_module *tarn_sequential_add_function(tarn_sequential *chain,
                                          tarn_tensor *(*function)(tarn_tensor *x))
{
    if (function == NULL) return refuse(chain, "the function is NULL");
    return add_function(chain, "function", function);
}

static tarn_tensor *flatten(tarn_tensor *x) { return tarn_flatten(x, 1, -1); }

tarn_module *tarn_sequential_add_flatten(tarn_sequential *chain)
{
    return add_function(chain, "flatten", flatten);
}

/* ---- pooling */

typedef struct pooling_step {
    tarn_module *module;
    tarn_pooling kind;
    tarn_shape size;
    tarn_pooling_options options;
} pooling_step;

static tarn_tensor *pool(const pooling_step *s, tarn_tensor *x)
{
    const bool images = s->size.ndim == 2;
    switch (s->kind) {
    case TARN_MAX_POOLING:
        return images ? tarn_max_pool2d(x, s->size, &s->options)
                      : tarn_max_pool1d(x, s->size.dims[0], &s->options);
    case TARN_AVG_POOLING:
        return images ? tarn_avg_pool2d(x, s->size, &s->options)
                      : tarn_avg_pool1d(x, s->size.dims[0], &s->options);
    case TARN_ADAPTIVE_MAX_POOLING: return tarn_adaptive_max_pool2d(x, s->size);
    case TARN_ADAPTIVE_AVG_POOLING: return tarn_adaptive_avg_pool2d(x, s->size);
    }
    return NULL;
}

static tarn_tensor *pooling_forward(void *layer, tarn_tensor *x)
{
    const pooling_step *s = layer;
    tarn_manager *tm = x->manager;
    const tarn__outside before = tarn__enter_layer(tm, s->module);
    tarn_tensor *y = pool(s, x);
    tarn__leave_layer(tm, before);
    return y;
}

static const char *name_pooling(tarn_pooling kind)
{
    switch (kind) {
    case TARN_MAX_POOLING: return "max_pool";
    case TARN_AVG_POOLING: return "avg_pool";
    case TARN_ADAPTIVE_MAX_POOLING: return "adaptive_max_pool";
    case TARN_ADAPTIVE_AVG_POOLING: return "adaptive_avg_pool";
    }
    return NULL;
}

tarn_module *tarn_sequential_add_pooling(tarn_sequential *chain, tarn_pooling kind, tarn_shape size,
                                         const tarn_pooling_options *options)
{
    const char *name = name_pooling(kind);
    if (name == NULL) return refuse(chain, "unknown kind of pooling");
    const bool adaptive = kind == TARN_ADAPTIVE_MAX_POOLING || kind == TARN_ADAPTIVE_AVG_POOLING;
    if (adaptive && options != NULL) return refuse(chain, "adaptive pooling has no options");
    if (adaptive && size.ndim != 2) return refuse(chain, "adaptive pooling has a size of two axes");
    if (size.ndim != 1 && size.ndim != 2) return refuse(chain, "pooling has a size of 1 or 2 axes");
    pooling_step s = { .module = add_module(chain, name), .kind = kind, .size = size };
    if (options != NULL) s.options = *options;
    return tarn__add_step(chain, s.module, pooling_forward, &s, sizeof s) ? s.module : NULL;
}

/* ---- steps of users */

typedef struct user_step {
    tarn_module *module;
    tarn_tensor *(*forward)(void *layer, tarn_tensor *x);
    void *layer; /* borrowed */
} user_step;

static tarn_tensor *user_forward(void *layer, tarn_tensor *x)
{
    const user_step *s = layer;
    tarn_manager *tm = x->manager;
    const tarn__outside before = tarn__enter_layer(tm, s->module);
    tarn_tensor *y = s->forward(s->layer, x);
    tarn__leave_layer(tm, before);
    return y;
}

tarn_module *tarn_sequential_add(tarn_sequential *chain,
                                 tarn_tensor *(*forward)(void *layer, tarn_tensor *x), void *layer)
{
    if (forward == NULL) return refuse(chain, "the function is NULL");
    const user_step s = { .module = add_module(chain, "step"), .forward = forward, .layer = layer };
    return tarn__add_step(chain, s.module, user_forward, &s, sizeof s) ? s.module : NULL;
}

/* ---- running
 *
 * A linear layer and the activation after it are one operation, which gives the same bits in less
 * memory. */

/* Runs the step *at with x, or with it the one after; *at becomes the last that was run. */
static tarn_tensor *run(const tarn_step **at, tarn_tensor *x)
{
    const tarn_step *step = *at, *next = step->next;
    if (step->forward != tarn__linear_step || next == NULL || next->forward != activation_forward)
        return step->forward(step->layer, x);
    const activation_step *s = next->layer;
    *at = next;
    return tarn__hidden_forward(step->layer, x, s->activation);
}

tarn_tensor *tarn_sequential_forward(const tarn_sequential *chain, tarn_tensor *x)
{
    if (chain == NULL || chain->module == NULL) return tarn__without_layer(x, "sequential");
    if (x == NULL) return tarn__without_input(chain->module);
    for (const tarn_step *step = chain->steps->first; step != NULL && x != NULL;
         step = step->next) {
        tarn_manager *tm = x->manager;
        x = run(&step, x);
        if (x == NULL && tarn_ok(tm))
            (void)tarn__fail(tm, TARN_EARG, "%s: it returned NULL", step->module->label);
    }
    return x;
}

/* ---- chains in chains */

static tarn_tensor *chain_forward(void *layer, tarn_tensor *x)
{
    return tarn_sequential_forward(layer, x);
}

tarn_sequential tarn_sequential_add_sequential(tarn_sequential *chain)
{
    const tarn_sequential nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_sequential inner = tarn_sequential_create(chain->module, name);
    return tarn__add_step(chain, inner.module, chain_forward, &inner, sizeof inner) ? inner
                                                                                    : nothing;
}
