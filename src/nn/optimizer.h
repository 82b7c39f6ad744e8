/* SPDX-License-Identifier: MIT
 * optimizer.h - what an optimiser is.
 *
 * A family of optimisers is one file that ends in a constant structure: its name, how many tensors
 * of state it keeps for each parameter, and the kernels of one pass over a parameter's memory.
 * optimizer.c does the rest. */
#ifndef TARN_NN_OPTIMIZER_H
#define TARN_NN_OPTIMIZER_H

#include <tarn/optim.h>

#include "nn/module.h"

enum { TARN__MAX_STATES = 2 };

/* The numbers that a user chose. Each family says which it uses. */
typedef struct tarn__rates {
    double lr;
    double weight_decay;
    double momentum;
    double beta1, beta2;
    double eps;
} tarn__rates;

/* One parameter's part of a step: n elements each of w, g and the states, of one type, without gaps
 * or overlap. Coefficients are computed in double; the kernel rounds them to that type. */
typedef struct tarn__update {
    size_t n;
    void *w;                       /* the parameter */
    const void *g;                 /* its gradient */
    void *state[TARN__MAX_STATES]; /* zeros at first */
    double c[8];                   /* coefficients, as the family numbers them */
} tarn__update;

typedef struct tarn__optimizer_kind {
    const char *name;
    int n_states;

    /* Computes the coefficients c of a parameter's step number t, from 1. */
    void (*prepare)(const tarn__rates *rates, uint64_t t, double *c);

    /* By the type of the parameter: [0] F32, [1] F64. */
    void (*update[2])(const tarn__update *u);
} tarn__optimizer_kind;

/* An optimiser for the parameters of the module. NULL with the error held, and for NULL. */
tarn_optimizer *tarn__optimizer_create(tarn_module *module, const tarn__optimizer_kind *kind,
                                       const tarn__rates *rates);

/* True if `value` lies in [0, below); else TARN_EARG is held and names it. */
bool tarn__check_rate(const tarn_module *module, const char *optimizer, const char *name,
                      double value, double below);

#endif
