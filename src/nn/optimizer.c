/* SPDX-License-Identifier: MIT
 * optimizer.c - what all optimisers share: parameters, state, and a step for all of them or
 * none. */
#include "nn/optimizer.h"

#include <math.h>

#include <tarn/autograd.h>

#include "core/assert.h"
#include "core/size.h"

/* A parameter, borrowed while the tree lives, and what the optimiser keeps for it. */
typedef struct slot {
    tarn_tensor *parameter;
    tarn_tensor *state[TARN__MAX_STATES]; /* owned */
    uint64_t steps;                       /* in which the parameter took part */
} slot;

struct tarn_optimizer {
    tarn__object object;
    tarn__tree_watch watch; /* to the tree that the parameters belong to */
    const tarn__optimizer_kind *kind;
    tarn__rates rates;
    uint64_t steps;
    size_t n;
    slot slots[]; /* (n) */
};

/* ---- making and ending */

static void destroy_optimizer(tarn__object *object)
{
    tarn_optimizer *o = (tarn_optimizer *)object;
    tarn__tree_watch_end(&o->watch);
    for (size_t i = 0; i < o->n; i++)
        for (int j = 0; j < TARN__MAX_STATES; j++)
            if (o->slots[i].state[j] != NULL)
                tarn__tensor_end(o->slots[i].state[j], TARN__ENDED_BY_OWNER);
    tarn__object_free(object);
}

/* Acquires the state of one parameter: zeros, of its layout. False with the error held. */
static bool fill_slot(tarn_optimizer *o, slot *s, tarn_tensor *parameter)
{
    s->parameter = parameter;
    const uint32_t tag = tarn__tag_like(parameter, TARN_KIND_OPTIMIZER);
    for (int j = 0; j < o->kind->n_states; j++) {
        s->state[j] = tarn__own(
            tarn__tensor_new_tagged(o->object.manager, &parameter->layout, TARN_ZEROED, tag));
        if (s->state[j] == NULL) return false;
    }
    return true;
}

tarn_optimizer *tarn__optimizer_create(tarn_module *module, const tarn__optimizer_kind *kind,
                                       const tarn__rates *rates)
{
    if (module == NULL) return NULL;
    tarn_manager *tm = module->object.manager;
    if (module->frozen) {
        (void)tarn__fail(tm, TARN_ESTATE, "%s: %s is frozen: nothing of it can be trained",
                         kind->name, module->label);
        return NULL;
    }
    const size_t n = (size_t)tarn_module_parameter_count(module);
    if (n == 0) {
        (void)tarn__fail(tm, TARN_ESTATE, "%s: the module has no parameters", kind->name);
        return NULL;
    }
    size_t bytes = SIZE_MAX;
    if (!tarn__size_mul(n, sizeof(slot), &bytes) ||
        !tarn__size_add(bytes, sizeof(tarn_optimizer), &bytes)) {
        (void)tarn__fail_memory(tm, kind->name, bytes);
        return NULL;
    }
    tarn_optimizer *o = tarn__object_new(tm, bytes, destroy_optimizer);
    if (o == NULL) return NULL;
    o->kind = kind;
    o->rates = *rates;
    tarn__tree_watch_begin(&o->watch, module);

    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        if (!fill_slot(o, &o->slots[o->n++], p->tensor)) {
            destroy_optimizer(&o->object);
            return NULL;
        }
    }
    return o;
}

void tarn_optimizer_destroy(tarn_optimizer *optimizer)
{
    if (optimizer != NULL) destroy_optimizer(&optimizer->object);
}

bool tarn__check_rate(const tarn_module *module, const char *optimizer, const char *name,
                      double value, double below)
{
    if (value >= 0 && value < below) return true;
    if (module != NULL)
        (void)tarn__fail(module->object.manager, TARN_EARG, "%s: %s %g is not in [0, %g)",
                         optimizer, name, value, below);
    return false;
}

/* ---- steps */

/* A parameter takes part in a step if a gradient has arrived since the last one. */
static bool takes_part(const slot *s) { return tarn_has_grad(s->parameter); }

/* Holds the error if the step may not be done. Nothing after this check can fail. */
static tarn_status check_step(const tarn_optimizer *o)
{
    tarn_manager *tm = o->object.manager;
    if (!tarn_ok(tm)) return tm->error;
    if (o->watch.root == NULL)
        return tarn__fail(tm, TARN_ESTATE, "%s: the module was destroyed", o->kind->name);
    for (size_t i = 0; i < o->n; i++)
        if (takes_part(&o->slots[i])) return TARN_OK;
    return tarn__fail(tm, TARN_ESTATE,
                      "%s: no parameter has received a gradient since the last step: was "
                      "tarn_backward called?",
                      o->kind->name);
}

/* One pass over a parameter. u->c holds the coefficients of its step. */
static void update(const tarn__optimizer_kind *kind, slot *s, tarn__update *u)
{
    tarn_tensor *w = s->parameter, *g = w->grad;
    TARN_ASSERT(w->layout.contiguous && g->layout.contiguous);
    TARN_ASSERT(g->layout.dtype == w->layout.dtype && tarn__same_shape(&g->layout, &w->layout));
    tarn__touch(w, false);
    tarn__materialize(g);
    u->n = tarn__elements(w);
    u->w = w->data;
    u->g = g->data;
    for (int j = 0; j < kind->n_states; j++) {
        tarn__touch(s->state[j], false);
        u->state[j] = s->state[j]->data;
    }
    if (!w->manager->dry) kind->update[w->layout.dtype == TARN_F64](u);
    w->grad_state = TARN__GRAD_CONSUMED;
}

/* Parameters that were skipped now and then have made fewer steps than others; coefficients are
 * computed anew where the number changes, which is once in the usual case. */
tarn_status tarn_optimizer_step(tarn_optimizer *optimizer)
{
    if (optimizer == NULL) return TARN_EARG;
    const tarn_status status = check_step(optimizer);
    if (status != TARN_OK) return status;
    tarn_manager *tm = optimizer->object.manager;
    const tarn_phase phase = tarn__phase_auto(tm, "optimizer");
    tarn__update u = { 0 };
    uint64_t prepared = 0;
    for (size_t i = 0; i < optimizer->n; i++) {
        slot *s = &optimizer->slots[i];
        if (!takes_part(s)) continue;
        s->steps++;
        if (s->steps != prepared) optimizer->kind->prepare(&optimizer->rates, s->steps, u.c);
        prepared = s->steps;
        update(optimizer->kind, s, &u);
    }
    optimizer->steps++;
    (void)tarn_phase_end(phase);
    tarn__manager_step(tm);
    return TARN_OK;
}

void tarn_optimizer_zero_grad(tarn_optimizer *optimizer)
{
    if (optimizer == NULL || optimizer->watch.root == NULL) return;
    for (size_t i = 0; i < optimizer->n; i++)
        if (optimizer->slots[i].parameter->requires_grad)
            (void)tarn_zero_grad(optimizer->slots[i].parameter);
}

/* ---- numbers */

double tarn_optimizer_lr(const tarn_optimizer *optimizer)
{
    return optimizer == NULL ? NAN : optimizer->rates.lr;
}

tarn_status tarn_optimizer_set_lr(tarn_optimizer *optimizer, double lr)
{
    if (optimizer == NULL) return TARN_EARG;
    if (!(lr >= 0 && isfinite(lr)))
        return tarn__fail(optimizer->object.manager, TARN_EARG,
                          "%s: learning rate %g; a finite number from 0 on is needed",
                          optimizer->kind->name, lr);
    optimizer->rates.lr = lr;
    return TARN_OK;
}

uint64_t tarn_optimizer_steps(const tarn_optimizer *optimizer)
{
    return optimizer == NULL ? 0 : optimizer->steps;
}
