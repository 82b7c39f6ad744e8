/* SPDX-License-Identifier: MIT
 * orthogonal.c - a random matrix of orthonormal rows, or of orthonormal columns where these are
 * fewer.
 *
 * Normal draws are made orthogonal by the modified Gram-Schmidt process, in double. Each vector
 * goes through it twice, which leaves it orthogonal to the last digits (Giraud, Langou, Rozloznik
 * 2005). The lengths that vectors are divided by are positive, and so the matrix is drawn evenly
 * from all of its kind (Mezzadri 2007). */
#include <math.h>

#include "core/manager.h"
#include "core/random.h"
#include "nn/init.h"

/* A vector of which less is left counts as a combination of those before it. */
static const double LEAST_REST = 1e-8;

/* The sum of products, in partial sums that a compiler can keep in vectors. */
static double dot(const double *x, const double *y, size_t n)
{
    enum { LANES = 8 };
    double lane[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lane[j] += x[i + j] * y[i + j];
    for (; i < n; i++) lane[0] += x[i] * y[i];
    double sum = 0;
    for (size_t j = 0; j < LANES; j++) sum += lane[j];
    return sum;
}

/* Takes from v, of n elements, what lies along the k unit vectors before it; returns the length of
 * the rest. */
static double take_projections(const double *before, size_t k, double *restrict v, size_t n)
{
    for (const double *q = before; q < before + k * n; q += n) {
        const double along = dot(q, v, n);
        for (size_t i = 0; i < n; i++) v[i] -= along * q[i];
    }
    return sqrt(dot(v, v, n));
}

/* Makes vector number k a unit vector that is orthogonal to those before it. It is drawn anew where
 * too little is left, which chance alone never brings about. */
static void make_orthogonal(double *vectors, size_t k, size_t n, uint64_t key)
{
    double *v = vectors + k * n, length = 0;
    for (uint64_t attempt = 0;; attempt++) {
        if (attempt > 0)
            tarn__fill_normal_f64(v, n, 0, 1, tarn__random_key(tarn__random_key(key, k), attempt));
        const double whole = sqrt(dot(v, v, n));
        (void)take_projections(vectors, k, v, n);
        length = take_projections(vectors, k, v, n);
        if (length > LEAST_REST * whole) break;
    }
    for (size_t i = 0; i < n; i++) v[i] /= length;
}

/* A workspace of k n doubles, to be unreferenced; NULL with TARN_ENOMEM held. */
static tarn_tensor *workspace(tarn_tensor *t, int64_t k, int64_t n)
{
    tarn__layout layout = { .dtype = TARN_F64, .ndim = 2, .dims = { k, n } };
    const tarn_status status = tarn__layout_pack(&layout);
    if (status == TARN_OK)
        return tarn__tensor_new_tagged(t->manager, &layout, TARN_UNINITIALIZED,
                                       tarn__tag_like(t, TARN_KIND_WORKSPACE));
    (void)tarn__fail(t->manager, status, "an orthogonal matrix needs too much room to work in");
    return NULL;
}

tarn_status tarn__fill_orthogonal(tarn_tensor *t, double gain, uint64_t key)
{
    const int64_t rows = t->layout.dims[0], columns = t->layout.numel / rows;
    const bool by_rows = rows <= columns;
    const int64_t k = by_rows ? rows : columns, n = by_rows ? columns : rows;
    tarn_tensor *room = workspace(t, k, n);
    if (room == NULL) return tarn_error_code(t->manager);
    if (!t->manager->dry) {
        double *vectors = room->data; /* (k, n) */
        tarn__fill_normal_f64(vectors, (size_t)(k * n), 0, 1, key);
        for (int64_t i = 0; i < k; i++) make_orthogonal(vectors, (size_t)i, (size_t)n, key);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                tarn__init_set(t, i * columns + j, gain * vectors[by_rows ? i * n + j : j * n + i]);
    }
    tarn__unref(room);
    return TARN_OK;
}
