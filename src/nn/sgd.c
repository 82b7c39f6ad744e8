/* SPDX-License-Identifier: MIT
 * sgd.c - stochastic gradient descent, with momentum or without. */
#include <math.h>

#include "nn/optimizer.h"

/* Coefficients. */
enum { LR, DECAY, MOMENTUM };

#define TARN_KERNELS "nn/sgd.inc"
#include "ops/for_each_float.h"

static void prepare(const tarn__rates *rates, uint64_t t, double *c)
{
    (void)t;
    c[LR] = rates->lr;
    c[DECAY] = rates->weight_decay;
    c[MOMENTUM] = rates->momentum;
}

static const tarn__optimizer_kind plain = {
    .name = "sgd", .n_states = 0, .prepare = prepare, .update = { sgd_f32, sgd_f64 }
};

/* state: v */
static const tarn__optimizer_kind with_momentum = { .name = "sgd",
                                                    .n_states = 1,
                                                    .prepare = prepare,
                                                    .update = { sgd_momentum_f32,
                                                                sgd_momentum_f64 } };

tarn_optimizer *tarn_sgd_create(tarn_module *module, const tarn_sgd_options *options)
{
    const tarn_sgd_options o = options == NULL ? (tarn_sgd_options){ 0 } : *options;
    const tarn__rates rates = { .lr = o.lr == 0 ? 0.01 : o.lr,
                                .momentum = o.momentum,
                                .weight_decay = o.weight_decay };
    if (!tarn__check_rate(module, "sgd", "lr", rates.lr, INFINITY) ||
        !tarn__check_rate(module, "sgd", "momentum", rates.momentum, 1) ||
        !tarn__check_rate(module, "sgd", "weight_decay", rates.weight_decay, INFINITY))
        return NULL;
    return tarn__optimizer_create(module, rates.momentum == 0 ? &plain : &with_momentum, &rates);
}
