/* SPDX-License-Identifier: MIT
 * test_indices.c - selection by indices in sizes around those of vectors, along every axis, of
 * every type of index and in several layouts, against one element after the other. */
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

enum { MOST = 40 * 40 };

static const tarn_dtype index_types[] = { TARN_I64, TARN_I32, TARN_U8 };
static const int64_t shapes[][2] = {
    { 1, 1 }, { 3, 17 }, { 17, 3 }, { 9, 33 }, { 33, 9 }, { 8, 16 }
};
enum { N_SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static double whole(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525U + 1013904223U;
    return (double)((*state >> 16) % below);
}

/* Numbers below `below`; `turned`: the transpose of a tensor that has them. */
static tarn_tensor *draw(tarn_manager *tm, tarn_dtype dtype, int64_t n, int64_t m, bool turned,
                         uint32_t below, double *v)
{
    static double t[MOST];
    uint32_t state = (uint32_t)(n * 41 + m + below);
    for (int64_t i = 0; i < n * m; i++) v[i] = whole(&state, below);
    for (int64_t i = 0; i < n * m; i++) t[i % m * n + i / m] = v[i];
    tarn_tensor *x =
        tarn_from_array(tm, TARN_F64, turned ? TARN_SHAPE(m, n) : TARN_SHAPE(n, m), turned ? t : v);
    x = tarn_detach(tarn_cast(x, dtype));
    return turned ? tarn_transpose(x, 0, 1) : x;
}

/* gather and its gradient, which is scatter_add's forward; several indices name one place. */
static void try_gather(tarn_manager *tm, tarn_dtype dtype, const int64_t *shape, int axis, int way)
{
    TARN_SCOPE(tm);
    static double x_data[MOST], dy_data[MOST], at_data[MOST], y[MOST], dx[MOST];
    const int64_t n = shape[0], m = shape[1];
    const uint32_t size = (uint32_t)(axis == 0 ? n : m);
    tarn_tensor *x = draw(tm, dtype, n, m, (way & 1) != 0, 100, x_data);
    tarn_tensor *at = draw(tm, index_types[way % 3], n, m, (way & 2) != 0, size, at_data);
    tarn_tensor *dy = draw(tm, dtype, n, m, (way & 4) != 0, 50, dy_data);
    for (int64_t i = 0; i < n * m; i++) dx[i] = x_data[i];
    for (int64_t i = 0; i < n * m; i++) {
        const int64_t place = (int64_t)at_data[i];
        const int64_t from = axis == 0 ? place * m + i % m : i / m * m + place;
        y[i] = x_data[from];
        dx[from] += dy_data[i];
    }
    check_close(tarn_gather(x, axis, at), y, (size_t)(n * m), 0);
    check_close(tarn_scatter_add(x, axis, at, dy), dx, (size_t)(n * m), 0);

    tarn_tensor *leaf = tarn_require_grad(tarn_contiguous(x));
    tarn_tensor *src = tarn_require_grad(tarn_contiguous(dy));
    tarn_tensor *loss = tarn_sum(tarn_mul(tarn_gather(leaf, axis, at), dy), TARN_ALL_AXES);
    tarn_tensor *other = tarn_mul(tarn_scatter_add(leaf, axis, at, src), x);
    check_status(tarn_backward(tarn_add(loss, tarn_sum(other, TARN_ALL_AXES))), TARN_OK);
    check_close(tarn_grad_of(leaf), dx, (size_t)(n * m), 0);
    check_close(tarn_grad_of(src), y, (size_t)(n * m), 0);
}

static void an_index_for_every_element(void **state)
{
    for (int type = TARN_F32; type <= TARN_F64; type++)
        for (int s = 0; s < N_SHAPES; s++)
            for (int axis = 0; axis < 2; axis++)
                for (int way = 0; way < 8; way++)
                    try_gather(MANAGER(state), (tarn_dtype)type, shapes[s], axis, way);
}

/* index_select, index_add and embedding: slices, some of which are named never, once or often. */
static void try_slices(tarn_manager *tm, tarn_dtype dtype, const int64_t *shape, int axis, int way)
{
    TARN_SCOPE(tm);
    static double x_data[MOST], dy_data[MOST], at_data[MOST], y[MOST], dx[MOST];
    const int64_t n = shape[0], m = shape[1], size = axis == 0 ? n : m;
    tarn_tensor *x = draw(tm, dtype, n, m, (way & 1) != 0, 100, x_data);
    tarn_tensor *at = draw(tm, index_types[way % 3], 1, size, false, (uint32_t)size, at_data);
    tarn_tensor *dy = draw(tm, dtype, n, m, (way & 2) != 0, 50, dy_data);
    at = tarn_reshape(at, TARN_SHAPE(size));
    for (int64_t i = 0; i < n * m; i++) dx[i] = x_data[i];
    for (int64_t i = 0; i < n * m; i++) {
        const int64_t place = (int64_t)at_data[axis == 0 ? i / m : i % m];
        const int64_t from = axis == 0 ? place * m + i % m : i / m * m + place;
        y[i] = x_data[from];
        dx[from] += dy_data[i];
    }
    check_close(tarn_index_select(x, axis, at), y, (size_t)(n * m), 0);
    check_close(tarn_index_add(x, axis, at, dy), dx, (size_t)(n * m), 0);

    tarn_tensor *leaf = tarn_require_grad(tarn_contiguous(x));
    tarn_tensor *rows = axis == 0 ? tarn_embedding(leaf, at) : tarn_index_select(leaf, axis, at);
    tarn_tensor *loss = tarn_sum(tarn_mul(rows, dy), TARN_ALL_AXES);
    tarn_tensor *other = tarn_sum(tarn_mul(leaf, x), TARN_ALL_AXES);
    check_status(tarn_backward(tarn_add(loss, other)), TARN_OK);
    check_close(tarn_grad_of(leaf), dx, (size_t)(n * m), 0);
}

static void an_index_for_a_slice(void **state)
{
    for (int type = TARN_F32; type <= TARN_F64; type++)
        for (int s = 0; s < N_SHAPES; s++)
            for (int axis = 0; axis < 2; axis++)
                for (int way = 0; way < 4; way++)
                    try_slices(MANAGER(state), (tarn_dtype)type, shapes[s], axis, way);
}

/* The first index that is out of range is named, wherever it stands, and in every layout. */
static void out_of_range(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(20, 20));
    for (int type = 0; type < 2; type++)
        for (int64_t i = 0; i < 399; i += 57) {
            TARN_SCOPE(tm);
            static double at[400];
            char text[128];
            memset(at, 0, sizeof(at));
            at[i] = i % 2 == 0 ? -1 : 20;
            at[399] = 21;
            tarn_tensor *t = tarn_from_array(tm, TARN_F64, TARN_SHAPE(20, 20), at);
            t = tarn_cast(t, index_types[type]);
            (void)snprintf(text, sizeof(text), "gather: index %d at [%d,%d] is not in [0, 20)",
                           (int)at[i], (int)(i / 20), (int)(i % 20));
            assert_null(tarn_gather(x, 1, t));
            check_error(tm, TARN_EARG, text);
            at[399] = 0;
            t = tarn_cast(tarn_from_array(tm, TARN_F64, TARN_SHAPE(20, 20), at), index_types[type]);
            (void)snprintf(text, sizeof(text), "gather: index %d at [%d,%d] is not in [0, 20)",
                           (int)at[i], (int)(i % 20), (int)(i / 20));
            assert_null(tarn_gather(x, 1, tarn_transpose(t, 0, 1)));
            check_error(tm, TARN_EARG, text);
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_index_for_every_element),
        TEST(an_index_for_a_slice),
        TEST(out_of_range),
    };
    return cmocka_run_group_tests_name("indices", tests, NULL, NULL);
}
