/* SPDX-License-Identifier: MIT
 * lion.c - Lion, the optimiser of signs (Chen et al. 2023). */
#include <math.h>

#include "nn/optimizer.h"
#include "ops/real.h"

/* Coefficients. */
enum { LR, SHRINK, BETA1, BETA1_REST, BETA2, BETA2_REST };

#define TARN_KERNELS "nn/lion.inc"
#include "ops/for_each_simd.h"

static void prepare(const tarn__rates *rates, uint64_t t, double *c)
{
    (void)t;
    c[LR] = rates->lr;
    c[SHRINK] = rates->lr * rates->weight_decay;
    c[BETA1] = rates->beta1;
    c[BETA1_REST] = 1 - rates->beta1;
    c[BETA2] = rates->beta2;
    c[BETA2_REST] = 1 - rates->beta2;
}

/* state: m */
static const tarn__optimizer_kind kind = { .n_states = 1,
                                           .prepare = prepare,
                                           .update = TARN__KERNELS(lion) };

static const tarn__optimizer_kind *choose(const tarn__rates *rates)
{
    (void)rates;
    return &kind;
}

static const tarn__optimizer_family lion = {
    .name = "lion",
    .numbers = { TARN__NUMBER(lr, 0.0001, INFINITY), TARN__NUMBER(beta1, 0.9, 1),
                 TARN__NUMBER(beta2, 0.99, 1), TARN__NUMBER(weight_decay, 0, INFINITY) },
    .choose = choose
};

tarn_optimizer *tarn_lion_create(tarn_module *module, const tarn_lion_options *options)
{
    const tarn_lion_options o = options == NULL ? (tarn_lion_options){ 0 } : *options;
    const tarn__rates rates = {
        .lr = o.lr, .beta1 = o.beta1, .beta2 = o.beta2, .weight_decay = o.weight_decay
    };
    return tarn__optimizer_create(module, &lion, &rates, o.groups, o.n_groups);
}
