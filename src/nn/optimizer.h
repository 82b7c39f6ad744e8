/* SPDX-License-Identifier: MIT
 * optimizer.h - what an optimiser is.
 *
 * A family of optimisers is one file that ends in a constant structure: its name, the numbers that
 * its users choose, and which kind of step follows from them. A kind says how many tensors of state
 * it keeps for each parameter, and has the kernels of one pass over a parameter's memory. rates.c
 * checks the numbers, optimizer.c does the rest. */
#ifndef TARN_NN_OPTIMIZER_H
#define TARN_NN_OPTIMIZER_H

#include <stddef.h>

#include <tarn/autograd.h>
#include <tarn/optim.h>

#include "core/simd.h"
#include "nn/module.h"

enum { TARN__MAX_STATES = 3, TARN__MAX_COEFFICIENTS = 8 };

/* The numbers that a user chose. Each family says which it uses. */
typedef struct tarn__rates {
    double lr;
    double weight_decay;
    double momentum, dampening;
    double beta1, beta2;
    double alpha, eps;
    double lr_decay, accumulator;
    double tolerance_grad, tolerance_change;
    uint32_t nesterov, centered; /* yes or no; of a size that leaves no gap: states are compared by
                                    their bytes */
} tarn__rates;

/* A number of a family: where it is, what 0 stands for, and that it lies in [0, below). */
typedef struct tarn__number {
    const char *name;
    size_t offset; /* in tarn__rates */
    double usual, below;
} tarn__number;

#define TARN__NUMBER(field, usual, below)                    \
    {                                                        \
#field, offsetof(tarn__rates, field), (usual), below \
    }

enum { TARN__MAX_NUMBERS = 6 };

/* One parameter's part of a step: n elements each of w, g and the states, of one type, without gaps
 * or overlap. Coefficients are computed in double; the kernel rounds them to that type. */
typedef struct tarn__update {
    size_t n;
    void *w;                       /* the parameter */
    const void *g;                 /* its gradient */
    void *state[TARN__MAX_STATES]; /* zeros at first */
    const double *c;               /* coefficients, as the family numbers them */
} tarn__update;

typedef struct tarn__optimizer_kind {
    int n_states;

    /* Computes the coefficients c of a parameter's step number t, from 1. */
    void (*prepare)(const tarn__rates *rates, uint64_t t, double *c);

    /* By level (core/simd.h), and by the type of the parameter: [0] F32, [1] F64. */
    void (*update[TARN__SIMD_LEVELS][2])(const tarn__update *u);
} tarn__optimizer_kind;

typedef struct tarn__optimizer_family {
    const char *name;
    tarn__number numbers[TARN__MAX_NUMBERS]; /* those after the last have no name */

    /* The kind of steps that numbers ask for. */
    const tarn__optimizer_kind *(*choose)(const tarn__rates *rates);

    /* Of a family whose steps are its own: the function that makes them, and one that ends what is
     * kept for them. Else NULL. */
    const char *step;
    void (*end)(tarn_optimizer *o);
} tarn__optimizer_family;

/* What parameters have in common. */
typedef struct tarn__group {
    const tarn__optimizer_kind *kind;
    tarn__rates rates; /* lr is that of this step */
    double lr_factor;
    uint64_t prepared; /* the number of the step that c is for; 0: of none */
    double c[TARN__MAX_COEFFICIENTS];
} tarn__group;

/* A parameter, borrowed while the tree lives, and what the optimiser keeps for it. */
typedef struct tarn__slot {
    tarn_tensor *parameter;
    tarn_tensor *state[TARN__MAX_STATES]; /* owned */
    uint64_t steps;                       /* in which the parameter took part */
    size_t group;
} tarn__slot;

struct tarn_optimizer {
    tarn__object object;
    tarn__tree_watch watch; /* to the tree that the parameters belong to */
    const tarn__optimizer_family *family;
    void *own;      /* owned: what a family with steps of its own keeps, or NULL */
    bool busy;      /* it is inside such a step */
    double base_lr; /* as it was set last */
    double lr;      /* in use: base_lr, or a schedule's part of it */
    uint64_t steps;
    size_t n, n_groups;
    tarn__group *groups; /* (n_groups) behind the slots: [0] is of the parameters of no group, [i]
                            the user's group i - 1 */
    tarn__slot slots[];  /* (n) */
};

/* An optimiser for the parameters of the module, with numbers and groups as a user gave them. NULL
 * with the error held, and for NULL. */
tarn_optimizer *tarn__optimizer_create(tarn_module *module, const tarn__optimizer_family *family,
                                       const tarn__rates *rates, const tarn_optimizer_group *groups,
                                       size_t n_groups);

/* A parameter takes part in a step if a gradient has arrived since the last one. */
static inline bool tarn__takes_part(const tarn__slot *s) { return tarn_has_grad(s->parameter); }

/* Holds the error if a step may not begin, whatever the gradients. */
tarn_status tarn__optimizer_check(const tarn_optimizer *o);

/* Holds the error of a step for which no gradient has arrived. */
tarn_status tarn__optimizer_lacks_gradients(const tarn_optimizer *o);

/* What a user's number means where 0 stands for `usual`. */
static inline double tarn__meant(double value, double usual)
{
    return value == 0 ? usual : value == TARN_ZERO ? 0 : value;
}

/* Puts the defaults into the numbers of a family and checks them: TARN_EARG held, and false. */
bool tarn__rates_resolve(tarn_manager *tm, const tarn__optimizer_family *family,
                         tarn__rates *rates);

/* The group number i of a user, for a family whose other parameters have `rates`. Holds TARN_EARG
 * and returns false for numbers out of range or that the family does not have. */
bool tarn__group_resolve(tarn_manager *tm, const tarn__optimizer_family *family,
                         const tarn__rates *rates, const tarn_optimizer_group *from, size_t i,
                         tarn__group *group);

#endif
