/* SPDX-License-Identifier: MIT
 * rmsprop.c - RMSprop (Hinton 2012), also centered (Graves 2013) and with momentum. */
#include <math.h>
#include <tgmath.h>

#include "nn/optimizer.h"

/* Coefficients. */
enum { LR, DECAY, ALPHA, REST, EPS, MOMENTUM };

#define TARN_KERNELS "nn/rmsprop.inc"
#include "ops/for_each_simd.h"

static void prepare(const tarn__rates *rates, uint64_t t, double *c)
{
    (void)t;
    c[LR] = rates->lr;
    c[DECAY] = rates->weight_decay;
    c[ALPHA] = rates->alpha;
    c[REST] = 1 - rates->alpha;
    c[EPS] = rates->eps;
    c[MOMENTUM] = rates->momentum;
}

/* [centered][with momentum]; state: v, then a, then b, those that there are. */
static const tarn__optimizer_kind kinds[2][2] = {
    { { .n_states = 1, .prepare = prepare, .update = TARN__KERNELS(rmsprop) },
      { .n_states = 2, .prepare = prepare, .update = TARN__KERNELS(rmsprop_momentum) } },
    { { .n_states = 2, .prepare = prepare, .update = TARN__KERNELS(rmsprop_centered) },
      { .n_states = 3, .prepare = prepare, .update = TARN__KERNELS(rmsprop_centered_momentum) } }
};

static const tarn__optimizer_kind *choose(const tarn__rates *rates)
{
    return &kinds[rates->centered][rates->momentum != 0];
}

static const tarn__optimizer_family rmsprop = {
    .name = "rmsprop",
    .numbers = { TARN__NUMBER(lr, 0.01, INFINITY), TARN__NUMBER(alpha, 0.99, 1),
                 TARN__NUMBER(eps, 1e-8, INFINITY), TARN__NUMBER(weight_decay, 0, INFINITY),
                 TARN__NUMBER(momentum, 0, 1) },
    .choose = choose
};

tarn_optimizer *tarn_rmsprop_create(tarn_module *module, const tarn_rmsprop_options *options)
{
    const tarn_rmsprop_options o = options == NULL ? (tarn_rmsprop_options){ 0 } : *options;
    const tarn__rates rates = { .lr = o.lr,
                                .alpha = o.alpha,
                                .eps = o.eps,
                                .weight_decay = o.weight_decay,
                                .momentum = o.momentum,
                                .centered = o.centered };
    return tarn__optimizer_create(module, &rmsprop, &rates, o.groups, o.n_groups);
}
