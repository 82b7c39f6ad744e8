/* SPDX-License-Identifier: MIT
 * products.c - matrix products in BLAS alone. The only file outside the library that calls BLAS: it
 * is what tarn is measured against. */
#include "products.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

#include "measure.h"

static float *filled(size_t n)
{
    float *data = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
    if (data == NULL) {
        fprintf(stderr, "benchmark: out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < n; i++) data[i] = (float)(i % 97) / 97 - 0.5f;
    return data;
}

void products_add(products *p, int m, int n, int k)
{
    if (p->n == MAX_PRODUCTS) abort();
    p->list[p->n++] = (product){ .m = m,
                                 .n = n,
                                 .k = k,
                                 .a = filled((size_t)m * (size_t)k),
                                 .b = filled((size_t)k * (size_t)n),
                                 .c = filled((size_t)m * (size_t)n) };
}

void products_add_mlp(products *p, const int *sizes, int n_sizes, int batch)
{
    for (int l = 0; l + 1 < n_sizes; l++) products_add(p, batch, sizes[l + 1], sizes[l]);
    for (int l = n_sizes - 2; l >= 0; l--) {
        products_add(p, sizes[l + 1], sizes[l], batch);
        if (l > 0) products_add(p, batch, sizes[l], sizes[l + 1]);
    }
}

static void multiply(const product *p)
{
    const CBLAS_TRANSPOSE a = (p->layout & 1) != 0 ? CblasTrans : CblasNoTrans;
    const CBLAS_TRANSPOSE b = (p->layout & 2) != 0 ? CblasTrans : CblasNoTrans;
    const int lda = a == CblasTrans ? p->m : p->k, ldb = b == CblasTrans ? p->k : p->n;
    if ((p->layout & 4) == 0) {
        cblas_sgemm(CblasRowMajor, a, b, p->m, p->n, p->k, 1, p->a, lda, p->b, ldb, 0, p->c, p->n);
        return;
    }
    /* c by columns: c^T = b^T a^T by rows, of the same memory. */
    const CBLAS_TRANSPOSE at = a == CblasTrans ? CblasNoTrans : CblasTrans;
    const CBLAS_TRANSPOSE bt = b == CblasTrans ? CblasNoTrans : CblasTrans;
    cblas_sgemm(CblasRowMajor, bt, at, p->n, p->m, p->k, 1, p->b, ldb, p->a, lda, 0, p->c, p->m);
}

static void run_one(void *context) { multiply(context); }

void products_tune(products *p, int repetitions)
{
    for (int i = 0; i < p->n; i++) {
        product variants[8];
        arm arms[8];
        for (int v = 0; v < 8; v++) {
            variants[v] = p->list[i];
            variants[v].layout = v;
            arms[v] = (arm){ .run = run_one, .context = &variants[v] };
            arms[v].calls = calls_for(run_one, &variants[v], 50e3);
        }
        measure(arms, 8, repetitions);
        for (int v = 1; v < 8; v++)
            if (arms[v].median < arms[p->list[i].layout].median) p->list[i].layout = v;
    }
}

void products_run(void *context)
{
    const products *p = context;
    for (int i = 0; i < p->n; i++) multiply(&p->list[i]);
}

void products_free(products *p)
{
    for (int i = 0; i < p->n; i++) {
        free(p->list[i].a);
        free(p->list[i].b);
        free(p->list[i].c);
    }
    p->n = 0;
}
