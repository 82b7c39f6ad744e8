/* SPDX-License-Identifier: MIT
 * products.h - matrix products in BLAS alone: what the library's own are measured against.
 *
 * A product c (M,N) = a (M,K) b (K,N) may store each operand by rows or by columns, and may be
 * computed as itself or as its transpose, which is the same set of layouts: eight calls. The
 * fastest is found by measurement and then used. */
#ifndef TARN_BENCH_PRODUCTS_H
#define TARN_BENCH_PRODUCTS_H

typedef struct product {
    int m, n, k;
    int layout;       /* 0 to 7: bit 0 a by columns, bit 1 b by columns, bit 2 c by columns */
    float *a, *b, *c; /* borrowed */
} product;

void product_run(const product *p);

/* Finds the fastest layout. */
void product_tune(product *p, int repetitions);

#endif
