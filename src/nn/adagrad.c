/* SPDX-License-Identifier: MIT
 * adagrad.c - Adagrad (Duchi, Hazan and Singer 2011). */
#include <math.h>
#include <tgmath.h>

#include "nn/optimizer.h"

/* Coefficients. START is what v holds before the first step, whose state reads as zeros: it is
 * added there, and zero in all others. */
enum { STEP, DECAY, EPS, START };

#define TARN_KERNELS "nn/adagrad.inc"
#include "ops/for_each_simd.h"

static void prepare(const tarn__rates *rates, uint64_t t, double *c)
{
    c[STEP] = rates->lr / (1 + (double)(t - 1) * rates->lr_decay);
    c[DECAY] = rates->weight_decay;
    c[EPS] = rates->eps;
    c[START] = t == 1 ? rates->accumulator : 0;
}

/* state: v */
static const tarn__optimizer_kind kind = { .n_states = 1,
                                           .prepare = prepare,
                                           .update = TARN__KERNELS(adagrad) };

static const tarn__optimizer_kind *choose(const tarn__rates *rates)
{
    (void)rates;
    return &kind;
}

static const tarn__optimizer_family adagrad = {
    .name = "adagrad",
    .numbers = { TARN__NUMBER(lr, 0.01, INFINITY), TARN__NUMBER(lr_decay, 0, INFINITY),
                 TARN__NUMBER(weight_decay, 0, INFINITY), TARN__NUMBER(accumulator, 0, INFINITY),
                 TARN__NUMBER(eps, 1e-10, INFINITY) },
    .choose = choose
};

tarn_optimizer *tarn_adagrad_create(tarn_module *module, const tarn_adagrad_options *options)
{
    const tarn_adagrad_options o = options == NULL ? (tarn_adagrad_options){ 0 } : *options;
    const tarn__rates rates = { .lr = o.lr,
                                .lr_decay = o.lr_decay,
                                .weight_decay = o.weight_decay,
                                .accumulator = o.accumulator,
                                .eps = o.eps };
    return tarn__optimizer_create(module, &adagrad, &rates, o.groups, o.n_groups);
}
