/* SPDX-License-Identifier: MIT
 * products.h - the matrix products of a training step in BLAS alone: the floor under the step.
 *
 * A product c (M,N) = a (M,K) b (K,N) may store each operand by rows or by columns, and may be
 * computed as itself or as its transpose, which is the same set of layouts: eight calls. The
 * fastest is found by measurement and then used. */
#ifndef TARN_BENCH_PRODUCTS_H
#define TARN_BENCH_PRODUCTS_H

enum { MAX_PRODUCTS = 16 };

typedef struct product {
    int m, n, k;
    int layout; /* 0 to 7: bit 0 a by columns, bit 1 b by columns, bit 2 c by columns */
    float *a, *b, *c;
} product;

typedef struct products {
    int n;
    product list[MAX_PRODUCTS];
} products;

/* Adds the product of these sizes, on buffers of its own. */
void products_add(products *p, int m, int n, int k);

/* Adds the products of one step of an MLP: forward, input gradients but the first, weight
 * gradients. */
void products_add_mlp(products *p, const int *sizes, int n_sizes, int batch);

/* Finds the fastest layout of each. */
void products_tune(products *p, int repetitions);

/* Runs all of them once, in order; an arm of measure. */
void products_run(void *context);

void products_free(products *p);

#endif
