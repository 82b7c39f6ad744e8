/* SPDX-License-Identifier: MIT
 * ema.c - exponential moving averages of weights. Applying them exchanges bytes, so that weights
 * and averages stay where they are: nothing that points to them needs to know. */
#include "nn/ema.h"

#include <string.h>

#include "core/observer.h"
#include "core/size.h"
#include "nn/module.h"

/* A parameter or buffer, borrowed while the tree lives, and what is kept of it. */
typedef struct pair {
    tarn_tensor *member;
    tarn_tensor *kept; /* owned */
    bool is_buffer;
} pair;

struct tarn_ema {
    tarn__object object;
    tarn__tree_watch watch; /* to the tree that the members belong to */
    double decay;
    bool warm_up, applied;
    uint64_t updates;
    size_t n;
    pair pairs[]; /* (n) */
};

#define TARN_KERNELS "nn/ema.inc"
#include "ops/for_each_simd.h"

/* ---- making and ending */

static void destroy_ema(tarn__object *object)
{
    tarn_ema *ema = (tarn_ema *)object;
    tarn__tree_watch_end(&ema->watch);
    for (size_t i = 0; i < ema->n; i++)
        if (ema->pairs[i].kept != NULL) tarn__tensor_end(ema->pairs[i].kept, TARN__ENDED_BY_OWNER);
    tarn__object_free(object);
}

/* Whether the module and the options allow an average; the error is held otherwise. */
static bool check(const tarn_module *module, double decay)
{
    tarn_manager *tm = module->object.manager;
    if (!(decay >= 0 && decay < 1))
        (void)tarn__fail(tm, TARN_EARG, "ema: decay %g is not in [0, 1)", decay);
    else if (module->frozen)
        (void)tarn__fail(tm, TARN_ESTATE, "ema: %s is frozen: nothing of it changes any more",
                         module->label);
    else if (tarn_module_parameter_count(module) == 0)
        (void)tarn__fail(tm, TARN_ESTATE, "ema: the module has no parameters");
    else return true;
    return false;
}

/* A copy of a member, or NULL with the error held. */
static tarn_tensor *copy_of(tarn_tensor *member)
{
    tarn_manager *tm = member->manager;
    const uint32_t tag = tarn__tag_like(member, TARN_KIND_OPTIMIZER);
    tarn_tensor *copy =
        tarn__own(tarn__tensor_new_tagged(tm, &member->layout, TARN_UNINITIALIZED, tag));
    if (copy == NULL) return NULL;
    tarn__materialize(member);
    if (!tm->dry && tarn__bytes(member) > 0) memcpy(copy->data, member->data, tarn__bytes(member));
    return copy;
}

tarn_ema *tarn_ema_create(tarn_module *module, const tarn_ema_options *options)
{
    const tarn_ema_options o = options == NULL ? (tarn_ema_options){ .decay = 0 } : *options;
    const double decay = o.decay == 0 ? 0.999 : o.decay;
    if (module == NULL || !check(module, decay)) return NULL;
    tarn_manager *tm = module->object.manager;
    size_t n = 0, bytes = SIZE_MAX;
    for (tarn__member *m = NULL; (m = tarn__next_member(module, m)) != NULL;)
        n += !m->tensor->frozen;
    if (!tarn__size_mul(n, sizeof(pair), &bytes) ||
        !tarn__size_add(bytes, sizeof(tarn_ema), &bytes)) {
        (void)tarn__fail_memory(tm, "ema", SIZE_MAX);
        return NULL;
    }
    tarn_ema *ema = tarn__object_new(tm, bytes, destroy_ema);
    if (ema == NULL) return NULL;
    ema->decay = decay;
    ema->warm_up = o.warm_up;
    tarn__tree_watch_begin(&ema->watch, module);
    for (tarn__member *m = NULL; (m = tarn__next_member(module, m)) != NULL;) {
        if (m->tensor->frozen) continue;
        pair *p = &ema->pairs[ema->n++];
        *p = (pair){ m->tensor, copy_of(m->tensor), m->is_buffer };
        if (p->kept == NULL) {
            destroy_ema(&ema->object);
            return NULL;
        }
    }
    return ema;
}

void tarn_ema_destroy(tarn_ema *ema)
{
    if (ema != NULL) destroy_ema(&ema->object);
}

/* ---- updates */

/* Holds the error if nothing can be done now. */
static tarn_status check_state(const tarn_ema *ema, bool applied, const char *hint)
{
    tarn_manager *tm = ema->object.manager;
    if (!tarn_ok(tm)) return tarn_error_code(tm);
    if (ema->watch.root == NULL)
        return tarn__fail(tm, TARN_ESTATE, "ema: the module was destroyed");
    if (ema->applied != applied) return tarn__fail(tm, TARN_ESTATE, "ema: %s", hint);
    return TARN_OK;
}

static void update(const pair *p, double rest)
{
    static void (*const f32[])(float *, const float *, size_t, double) = TARN__LEVELS(average_f32);
    static void (*const f64[])(double *, const double *, size_t, double) =
        TARN__LEVELS(average_f64);
    const int level = tarn__simd();
    tarn__materialize(p->member);
    tarn__touch(p->kept, false);
    const size_t n = tarn__elements(p->member);
    if (p->member->manager->dry || n == 0) return;
    if (p->is_buffer) memcpy(p->kept->data, p->member->data, tarn__bytes(p->member));
    else if (p->member->layout.dtype == TARN_F32)
        f32[level](p->kept->data, p->member->data, n, rest);
    else f64[level](p->kept->data, p->member->data, n, rest);
}

static tarn_status update_again(void *object, double number, uint64_t *key)
{
    (void)number;
    (void)key;
    return tarn_ema_update(object);
}

tarn_status tarn_ema_update(tarn_ema *ema)
{
    if (ema == NULL) return TARN_EARG;
    const tarn_status status = check_state(
        ema, false, "the averages are applied: tarn_ema_restore before the next update");
    if (status != TARN_OK) return status;
    const tarn__action action = { .run = update_again,
                                  .object = ema,
                                  .owner = &ema->object,
                                  .name = "ema_update",
                                  .state = &ema->updates,
                                  .state_bytes = sizeof(ema->updates) };
    tarn__observe_action(ema->object.manager, &action);
    const double t = (double)++ema->updates, first = (1 + t) / (10 + t);
    const double decay = ema->warm_up && first < ema->decay ? first : ema->decay;
    for (size_t i = 0; i < ema->n; i++) update(&ema->pairs[i], 1 - decay);
    tarn__observe_action_end(ema->object.manager);
    return TARN_OK;
}

uint64_t tarn_ema_updates(const tarn_ema *ema) { return ema == NULL ? 0 : ema->updates; }

/* ---- applying */

static void exchange_bytes(unsigned char *a, unsigned char *b, size_t n)
{
    unsigned char piece[4096];
    while (n > 0) {
        const size_t m = n < sizeof piece ? n : sizeof piece;
        memcpy(piece, a, m);
        memcpy(a, b, m);
        memcpy(b, piece, m);
        a += m;
        b += m;
        n -= m;
    }
}

tarn_status tarn__ema_exchange(tarn_ema *ema)
{
    for (size_t i = 0; i < ema->n; i++) {
        char text[TARN__DESCRIPTION_BYTES];
        if (ema->pairs[i].member->storage->read_only)
            return tarn__fail(ema->object.manager, TARN_ESTATE,
                              "ema: %s is frozen and cannot be exchanged",
                              tarn__describe(ema->pairs[i].member, text));
    }
    tarn__observe_refusal(ema->object.manager, "it exchanges weights and their averages");
    for (size_t i = 0; i < ema->n; i++) {
        const pair *p = &ema->pairs[i];
        tarn__touch(p->member, false);
        tarn__touch(p->kept, false);
        if (!p->member->manager->dry)
            exchange_bytes(p->member->data, p->kept->data, tarn__bytes(p->member));
    }
    ema->applied = !ema->applied;
    return TARN_OK;
}

tarn_status tarn_ema_apply(tarn_ema *ema)
{
    if (ema == NULL) return TARN_EARG;
    const tarn_status status = check_state(ema, false, "the averages are applied already");
    return status == TARN_OK ? tarn__ema_exchange(ema) : status;
}

tarn_status tarn_ema_restore(tarn_ema *ema)
{
    if (ema == NULL) return TARN_EARG;
    const tarn_status status =
        check_state(ema, true, "the averages are not applied: there is nothing to restore");
    return status == TARN_OK ? tarn__ema_exchange(ema) : status;
}

bool tarn_ema_is_applied(const tarn_ema *ema) { return ema != NULL && ema->applied; }

const tarn_module *tarn__ema_root(const tarn_ema *ema) { return ema->watch.root; }
