/* SPDX-License-Identifier: MIT
 * adam.c - Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019). */
#include <math.h>
#include <tgmath.h>

#include "nn/optimizer.h"

/* Coefficients: step is lr / (1 - beta1^t), root is 1 / sqrt(1 - beta2^t), so that the update is
 * step m / (root sqrt(v) + eps). Decay acts on the gradient (Adam) or is shrinkage of the weight
 * (AdamW). */
enum { BETA1, BETA1_REST, BETA2, BETA2_REST, STEP, ROOT, EPS, DECAY };

#define TARN_KERNELS "nn/adam.inc"
#include "ops/for_each_simd.h"

/* 1 - beta^t. Where beta^t is at most e^-38, below half a unit in the last place of 1, it is not
 * computed: it takes as long as the update of a small net. */
static double rest_of_power(double beta, uint64_t t)
{
    return (1 - beta) * (double)t > 38 ? 1 : 1 - pow(beta, (double)t);
}

static void prepare_common(const tarn__rates *rates, uint64_t t, double *c)
{
    c[BETA1] = rates->beta1;
    c[BETA1_REST] = 1 - rates->beta1;
    c[BETA2] = rates->beta2;
    c[BETA2_REST] = 1 - rates->beta2;
    c[STEP] = rates->lr / rest_of_power(rates->beta1, t);
    c[ROOT] = 1 / sqrt(rest_of_power(rates->beta2, t));
    c[EPS] = rates->eps;
}

static void prepare_adam(const tarn__rates *rates, uint64_t t, double *c)
{
    prepare_common(rates, t, c);
    c[DECAY] = rates->weight_decay;
}

static void prepare_adamw(const tarn__rates *rates, uint64_t t, double *c)
{
    prepare_common(rates, t, c);
    c[DECAY] = rates->lr * rates->weight_decay;
}

/* state: m, v */
static const tarn__optimizer_kind adam_kind = { .n_states = 2,
                                                .prepare = prepare_adam,
                                                .update = TARN__KERNELS(adam) };

/* state: m, v */
static const tarn__optimizer_kind adamw_kind = { .n_states = 2,
                                                 .prepare = prepare_adamw,
                                                 .update = TARN__KERNELS(adamw) };

static const tarn__optimizer_kind *choose_adam(const tarn__rates *rates)
{
    (void)rates;
    return &adam_kind;
}

static const tarn__optimizer_kind *choose_adamw(const tarn__rates *rates)
{
    (void)rates;
    return &adamw_kind;
}

#define NUMBERS                                                               \
    {                                                                         \
        TARN__NUMBER(lr, 0.001, INFINITY), TARN__NUMBER(beta1, 0.9, 1),       \
            TARN__NUMBER(beta2, 0.999, 1), TARN__NUMBER(eps, 1e-8, INFINITY), \
            TARN__NUMBER(weight_decay, 0, INFINITY)                           \
    }

static const tarn__optimizer_family adam = { .name = "adam",
                                             .numbers = NUMBERS,
                                             .choose = choose_adam };

static const tarn__optimizer_family adamw = { .name = "adamw",
                                              .numbers = NUMBERS,
                                              .choose = choose_adamw };

static tarn_optimizer *create(tarn_module *module, const tarn__optimizer_family *family,
                              const tarn_adam_options *options)
{
    const tarn_adam_options o = options == NULL ? (tarn_adam_options){ 0 } : *options;
    const tarn__rates rates = {
        .lr = o.lr, .beta1 = o.beta1, .beta2 = o.beta2, .eps = o.eps, .weight_decay = o.weight_decay
    };
    return tarn__optimizer_create(module, family, &rates, o.groups, o.n_groups);
}

tarn_optimizer *tarn_adam_create(tarn_module *module, const tarn_adam_options *options)
{
    return create(module, &adam, options);
}

tarn_optimizer *tarn_adamw_create(tarn_module *module, const tarn_adam_options *options)
{
    return create(module, &adamw, options);
}
