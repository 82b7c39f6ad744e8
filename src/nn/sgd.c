/* SPDX-License-Identifier: MIT
 * sgd.c - stochastic gradient descent, with momentum or without. */
#include <math.h>

#include "nn/optimizer.h"

/* Coefficients. The first gradient is not dampened: there FRESH is 1. */
enum { LR, DECAY, MOMENTUM, FRESH };

#define TARN_KERNELS "nn/sgd.inc"
#include "ops/for_each_simd.h"

static void prepare(const tarn__rates *rates, uint64_t t, double *c)
{
    c[LR] = rates->lr;
    c[DECAY] = rates->weight_decay;
    c[MOMENTUM] = rates->momentum;
    c[FRESH] = t == 1 ? 1 : 1 - rates->dampening;
}

static const tarn__optimizer_kind plain = { .prepare = prepare, .update = TARN__KERNELS(sgd) };

/* state: v */
static const tarn__optimizer_kind with_momentum = { .n_states = 1,
                                                    .prepare = prepare,
                                                    .update = TARN__KERNELS(sgd_momentum) };

/* state: v */
static const tarn__optimizer_kind nesterov = { .n_states = 1,
                                               .prepare = prepare,
                                               .update = TARN__KERNELS(sgd_nesterov) };

static const tarn__optimizer_kind *choose(const tarn__rates *rates)
{
    if (rates->momentum == 0) return &plain;
    return rates->nesterov ? &nesterov : &with_momentum;
}

static const tarn__optimizer_family sgd = {
    .name = "sgd",
    .numbers = { TARN__NUMBER(lr, 0.01, INFINITY), TARN__NUMBER(momentum, 0, 1),
                 TARN__NUMBER(weight_decay, 0, INFINITY), TARN__NUMBER(dampening, 0, 1) },
    .choose = choose
};

tarn_optimizer *tarn_sgd_create(tarn_module *module, const tarn_sgd_options *options)
{
    const tarn_sgd_options o = options == NULL ? (tarn_sgd_options){ 0 } : *options;
    const tarn__rates rates = { .lr = o.lr,
                                .momentum = o.momentum,
                                .weight_decay = o.weight_decay,
                                .dampening = o.dampening,
                                .nesterov = o.nesterov };
    if (module != NULL && o.nesterov && (o.momentum <= TARN_ZERO || o.dampening > TARN_ZERO)) {
        (void)tarn__fail(module->object.manager, TARN_EARG,
                         "sgd: nesterov with momentum %g and dampening %g; it needs momentum, and "
                         "no dampening",
                         o.momentum, o.dampening);
        return NULL;
    }
    return tarn__optimizer_create(module, &sgd, &rates, o.groups, o.n_groups);
}
