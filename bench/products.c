/* SPDX-License-Identifier: MIT
 * products.c - matrix products in BLAS alone. The only file outside the library that calls BLAS: it
 * is what tarn is measured against. */
#include "products.h"

#include <cblas.h>

#include "measure.h"

void product_run(const product *p)
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

static void run_one(void *context) { product_run(context); }

void product_tune(product *p, int repetitions)
{
    product variants[8];
    arm arms[8];
    for (int v = 0; v < 8; v++) {
        variants[v] = *p;
        variants[v].layout = v;
        arms[v] = (arm){ .run = run_one, .context = &variants[v] };
        arms[v].calls = calls_for(run_one, &variants[v], 50e3);
    }
    measure(arms, 8, repetitions);
    for (int v = 0; v < 8; v++)
        if (arms[v].median < arms[p->layout].median) p->layout = v;
}
