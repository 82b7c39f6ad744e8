/* SPDX-License-Identifier: MIT
 * optimizer.c - what all optimisers share: parameters, groups, state, and a step for all of them or
 * none. */
#include "nn/optimizer.h"

#include <math.h>

#include "core/assert.h"
#include "core/observer.h"
#include "core/size.h"
#include "core/threads.h"
#include "nn/pattern.h"

/* ---- making and ending */

static void destroy_optimizer(tarn__object *object)
{
    tarn_optimizer *o = (tarn_optimizer *)object;
    tarn__tree_watch_end(&o->watch);
    if (o->own != NULL) o->family->end(o);
    for (size_t i = 0; i < o->n; i++)
        for (int j = 0; j < TARN__MAX_STATES; j++)
            if (o->slots[i].state[j] != NULL)
                tarn__tensor_end(o->slots[i].state[j], TARN__ENDED_BY_OWNER);
    tarn__object_free(object);
}

/* How many parameters an optimiser of the module serves; 0 with the error held. */
static size_t count_parameters(tarn_module *module, const tarn__optimizer_family *family)
{
    tarn_manager *tm = module->object.manager;
    if (module->frozen) {
        (void)tarn__fail(
            tm, TARN_ESTATE,
            "%s: %s is frozen: nothing of it can be trained (tarn_stop_grad holds single "
            "parameters, and not for good)",
            family->name, module->label);
        return 0;
    }
    const size_t n = (size_t)tarn_module_parameter_count(module);
    if (n == 0)
        (void)tarn__fail(tm, TARN_ESTATE,
                         "%s: the module has no parameters: its layers are made first",
                         family->name);
    return n;
}

/* A record with room for n slots and the groups, which are empty. */
static tarn_optimizer *allocate(tarn_module *module, const tarn__optimizer_family *family, size_t n,
                                size_t n_groups)
{
    tarn_manager *tm = module->object.manager;
    size_t slots, groups, bytes = SIZE_MAX;
    if (!tarn__size_mul(n, sizeof(tarn__slot), &slots) ||
        !tarn__size_mul(n_groups, sizeof(tarn__group), &groups) ||
        !tarn__size_add(slots, groups, &bytes) ||
        !tarn__size_add(bytes, sizeof(tarn_optimizer), &bytes)) {
        (void)tarn__fail_memory(tm, family->name, SIZE_MAX);
        return NULL;
    }
    tarn_optimizer *o = tarn__object_new(tm, bytes, destroy_optimizer);
    if (o == NULL) return NULL;
    o->family = family;
    o->n_groups = n_groups;
    o->groups = (tarn__group *)(void *)&o->slots[n];
    tarn__tree_watch_begin(&o->watch, module);
    return o;
}

/* Whether the pattern of a group means any parameter at all; the error is held otherwise. */
static bool check_pattern(const tarn_optimizer *o, tarn_module *module, const char *pattern,
                          size_t i)
{
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL)
        if (tarn__pattern_matches(pattern, module, p)) return true;
    (void)tarn__fail(o->object.manager, TARN_EARG,
                     "%s: group %zu (\"%.64s\"): no parameter has such a path", o->family->name, i,
                     pattern);
    return false;
}

static bool fill_groups(tarn_optimizer *o, tarn_module *module, const tarn__rates *rates,
                        const tarn_optimizer_group *groups)
{
    tarn_manager *tm = o->object.manager;
    tarn__group *rest = &o->groups[0];
    rest->rates = *rates;
    rest->lr_factor = 1;
    if (!tarn__rates_resolve(tm, o->family, &rest->rates)) return false;
    rest->kind = o->family->choose(&rest->rates);
    o->lr = o->base_lr = rest->rates.lr;
    for (size_t i = 0; i + 1 < o->n_groups; i++)
        if (!tarn__group_resolve(tm, o->family, &rest->rates, &groups[i], i, &o->groups[i + 1]) ||
            !check_pattern(o, module, groups[i].pattern, i))
            return false;
    return true;
}

/* The first group that means the parameter. */
static size_t find_group(const tarn_optimizer *o, const tarn_module *module, const tarn__member *p,
                         const tarn_optimizer_group *groups)
{
    for (size_t i = 0; i + 1 < o->n_groups; i++)
        if (tarn__pattern_matches(groups[i].pattern, module, p)) return i + 1;
    return 0;
}

/* Acquires the state of one parameter: zeros, of its layout; none for one that is frozen for good.
 * False with the error held. */
static bool fill_state(tarn_optimizer *o, tarn__slot *s)
{
    tarn_tensor *parameter = s->parameter;
    if (parameter->frozen) return true;
    const uint32_t tag = tarn__tag_like(parameter, TARN_KIND_OPTIMIZER);
    for (int j = 0; j < o->groups[s->group].kind->n_states; j++) {
        s->state[j] = tarn__own(
            tarn__tensor_new_tagged(o->object.manager, &parameter->layout, TARN_ZEROED, tag));
        if (s->state[j] == NULL) return false;
    }
    return true;
}

static bool fill_slots(tarn_optimizer *o, tarn_module *module, const tarn_optimizer_group *groups)
{
    tarn__member *p = NULL;
    while ((p = tarn__next_parameter(module, p)) != NULL) {
        tarn__slot *s = &o->slots[o->n++];
        s->parameter = p->tensor;
        s->group = find_group(o, module, p, groups);
        if (!fill_state(o, s)) return false;
    }
    return true;
}

tarn_optimizer *tarn__optimizer_create(tarn_module *module, const tarn__optimizer_family *family,
                                       const tarn__rates *rates, const tarn_optimizer_group *groups,
                                       size_t n_groups)
{
    if (module == NULL) return NULL;
    const size_t n = count_parameters(module, family);
    if (n == 0) return NULL;
    if ((groups == NULL && n_groups > 0) || n_groups == SIZE_MAX) {
        (void)tarn__fail(module->object.manager, TARN_EARG, "%s: %zu groups, but none is given",
                         family->name, n_groups);
        return NULL;
    }
    const tarn_optimizer_group none = { 0 };
    if (groups == NULL) groups = &none;
    tarn_optimizer *o = allocate(module, family, n, n_groups + 1);
    if (o == NULL) return NULL;
    if (fill_groups(o, module, rates, groups) && fill_slots(o, module, groups)) return o;
    destroy_optimizer(&o->object);
    return NULL;
}

void tarn_optimizer_destroy(tarn_optimizer *optimizer)
{
    if (optimizer == NULL) return;
    if (optimizer->busy)
        (void)tarn__fail(optimizer->object.manager, TARN_ESTATE,
                         "%s: destroyed inside its own step", optimizer->family->name);
    else destroy_optimizer(&optimizer->object);
}

/* ---- steps */

tarn_status tarn__optimizer_check(const tarn_optimizer *o)
{
    tarn_manager *tm = o->object.manager;
    if (!tarn_ok(tm)) return tm->error;
    if (o->busy)
        return tarn__fail(tm, TARN_ESTATE, "%s: a step inside its own step", o->family->name);
    if (o->watch.root == NULL)
        return tarn__fail(tm, TARN_ESTATE, "%s: the module was destroyed", o->family->name);
    return TARN_OK;
}

tarn_status tarn__optimizer_lacks_gradients(const tarn_optimizer *o)
{
    return tarn__fail(
        o->object.manager, TARN_ESTATE,
        "%s: no parameter has received a gradient since the last step: was tarn_backward "
        "called, of a loss that they lead to? (An optimiser trains the parameters that "
        "its module had when it was made.)",
        o->family->name);
}

/* Holds the error if the step may not be done. Nothing after this check can fail. */
static tarn_status check_step(const tarn_optimizer *o)
{
    const tarn_status status = tarn__optimizer_check(o);
    if (status != TARN_OK) return status;
    if (o->family->step != NULL)
        return tarn__fail(o->object.manager, TARN_ESTATE, "%s: its steps are those of %s",
                          o->family->name, o->family->step);
    for (size_t i = 0; i < o->n; i++)
        if (tarn__takes_part(&o->slots[i])) return TARN_OK;
    return tarn__optimizer_lacks_gradients(o);
}

/* The rates of this step. */
static void begin_step(tarn_optimizer *o)
{
    for (size_t i = 0; i < o->n_groups; i++) {
        o->groups[i].rates.lr = o->lr * o->groups[i].lr_factor;
        o->groups[i].prepared = 0;
    }
}

/* The pass of one kernel over one parameter, which threads share. */
typedef struct shared_update {
    const tarn__update *all;
    void (*kernel)(const tarn__update *u);
    size_t size; /* bytes of an element */
    int n_states;
} shared_update;

static void update_part(void *context, int part, int parts)
{
    const shared_update *s = context;
    tarn__update u = *s->all;
    const int64_t first = tarn__part_begin((int64_t)u.n, 64, part, parts);
    const int64_t end = tarn__part_begin((int64_t)u.n, 64, part + 1, parts);
    const size_t skipped = (size_t)first * s->size;
    u.n = (size_t)(end - first);
    u.w = (char *)u.w + skipped;
    u.g = (const char *)u.g + skipped;
    for (int j = 0; j < s->n_states; j++) u.state[j] = (char *)u.state[j] + skipped;
    s->kernel(&u);
}

static void share_update(const tarn__optimizer_kind *kind, tarn_dtype dtype, const tarn__update *u)
{
    shared_update s = { .all = u,
                        .kernel = kind->update[tarn__simd()][dtype == TARN_F64],
                        .size = tarn_dtype_size(dtype),
                        .n_states = kind->n_states };
    const size_t bytes = u->n * s.size * (size_t)(2 + kind->n_states);
    const int parts = tarn__parts_for((int64_t)bytes);
    if (parts == 1) s.kernel(u);
    else tarn__parallel(update_part, &s, parts);
}

/* One pass over a parameter. Parameters that were skipped now and then have made fewer steps than
 * others; coefficients are computed anew where the number changes, which is once in the usual case.
 */
static void update(tarn__group *group, tarn__slot *s)
{
    const tarn__optimizer_kind *kind = group->kind;
    tarn_tensor *w = s->parameter, *g = w->grad;
    TARN_ASSERT(w->layout.contiguous && g->layout.contiguous);
    TARN_ASSERT(g->layout.dtype == w->layout.dtype && tarn__same_shape(&g->layout, &w->layout));
    s->steps++;
    if (s->steps != group->prepared) kind->prepare(&group->rates, s->steps, group->c);
    group->prepared = s->steps;

    tarn__touch(w, false);
    tarn__materialize(g);
    tarn__update u = { .n = tarn__elements(w), .w = w->data, .g = g->data, .c = group->c };
    for (int j = 0; j < kind->n_states; j++) {
        tarn__touch(s->state[j], false);
        u.state[j] = s->state[j]->data;
    }
    if (!w->manager->dry) share_update(kind, (tarn_dtype)w->layout.dtype, &u);
    w->grad_state = TARN__GRAD_CONSUMED;
}

/* A step inside a plan: with the rates that are set then. */
static tarn_status step_again(void *object, double number, uint64_t *key)
{
    (void)number;
    (void)key;
    return tarn_optimizer_step(object);
}

static void observe_step(tarn_optimizer *o)
{
    const size_t before = offsetof(tarn_optimizer, steps);
    const tarn__action action = { .run = step_again,
                                  .object = o,
                                  .owner = &o->object,
                                  .name = o->family->name,
                                  .state = &o->steps,
                                  .state_bytes = o->object.bytes - before };
    tarn__observe_action(o->object.manager, &action);
}

tarn_status tarn_optimizer_step(tarn_optimizer *optimizer)
{
    if (optimizer == NULL) return TARN_EARG;
    const tarn_status status = check_step(optimizer);
    if (status != TARN_OK) return status;
    tarn_manager *tm = optimizer->object.manager;
    const tarn_phase phase = tarn__phase_auto(tm, "optimizer");
    if (tm->observer != NULL) observe_step(optimizer);
    begin_step(optimizer);
    for (size_t i = 0; i < optimizer->n; i++) {
        tarn__slot *s = &optimizer->slots[i];
        if (tarn__takes_part(s)) update(&optimizer->groups[s->group], s);
    }
    optimizer->steps++;
    tarn__observe_action_end(tm);
    tarn__phase_close(phase);
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

uint64_t tarn_optimizer_steps(const tarn_optimizer *optimizer)
{
    return optimizer == NULL ? 0 : optimizer->steps;
}

/* ---- learning rates */

double tarn_optimizer_lr(const tarn_optimizer *optimizer)
{
    return optimizer == NULL ? NAN : optimizer->lr;
}

static const char rate_is_set[] = "it sets a learning rate: set it between two runs";

/* Holds TARN_EARG unless the number may be a rate or scale one. */
static tarn_status check_rate(const tarn_optimizer *o, const char *what, double value)
{
    if (value >= 0 && isfinite(value)) return TARN_OK;
    return tarn__fail(o->object.manager, TARN_EARG,
                      "%s: %s %g; a finite number from 0 on is needed", o->family->name, what,
                      value);
}

tarn_status tarn_optimizer_set_lr(tarn_optimizer *optimizer, double lr)
{
    if (optimizer == NULL) return TARN_EARG;
    const tarn_status status = check_rate(optimizer, "learning rate", lr);
    if (status == TARN_OK) optimizer->lr = optimizer->base_lr = lr;
    tarn__observe_refusal(optimizer->object.manager, rate_is_set);
    return status;
}

tarn_status tarn_optimizer_scale_lr(tarn_optimizer *optimizer, double part)
{
    if (optimizer == NULL) return TARN_EARG;
    const double lr = optimizer->base_lr * part;
    tarn_status status = check_rate(optimizer, "part of the learning rate", part);
    if (status == TARN_OK) status = check_rate(optimizer, "learning rate", lr);
    if (status == TARN_OK) optimizer->lr = lr;
    tarn__observe_refusal(optimizer->object.manager, rate_is_set);
    return status;
}

double tarn_optimizer_group_lr(const tarn_optimizer *optimizer, size_t group)
{
    if (optimizer == NULL || group >= optimizer->n_groups - 1) return NAN;
    return optimizer->lr * optimizer->groups[group + 1].lr_factor;
}

tarn_status tarn_optimizer_set_group_factor(tarn_optimizer *optimizer, size_t group, double factor)
{
    if (optimizer == NULL) return TARN_EARG;
    if (group >= optimizer->n_groups - 1)
        return tarn__fail(optimizer->object.manager, TARN_EARG, "%s: group %zu of %zu",
                          optimizer->family->name, group, optimizer->n_groups - 1);
    const tarn_status status = check_rate(optimizer, "factor of the learning rate", factor);
    if (status == TARN_OK) optimizer->groups[group + 1].lr_factor = factor;
    tarn__observe_refusal(optimizer->object.manager, rate_is_set);
    return status;
}

int64_t tarn_optimizer_group_of(const tarn_optimizer *optimizer, const tarn_tensor *parameter)
{
    if (optimizer == NULL || parameter == NULL) return -1;
    for (size_t i = 0; i < optimizer->n; i++)
        if (optimizer->slots[i].parameter == parameter)
            return (int64_t)optimizer->slots[i].group - 1;
    return -1;
}
