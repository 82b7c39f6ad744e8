/* SPDX-License-Identifier: MIT
 * test_strided.c - copies and additions over strides: permuted and flipped tensors of sizes around
 * those of the blocks in which they are moved. */
#include <stdlib.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

static const int64_t lengths[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 33 };
enum { N_LENGTHS = sizeof(lengths) / sizeof(lengths[0]), MOST = 33 * 33 * 3 };

/* 0, 1, 2, ... modulo 251, of any type, without gaps. */
static tarn_tensor *count(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape)
{
    static double v[MOST];
    size_t n = 1;
    for (int i = 0; i < shape.ndim; i++) n *= (size_t)shape.dims[i];
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++) v[i] = (double)(i % 251);
    return tarn_cast(tarn_from_array(tm, TARN_F64, shape, v), dtype);
}

static void transposes_of_every_type(void **state)
{
    static const tarn_dtype dtypes[] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };
    static double expected[MOST];
    tarn_manager *tm = MANAGER(state);
    for (int d = 0; d < 5; d++)
        for (int a = 0; a < N_LENGTHS; a++)
            for (int b = 0; b < N_LENGTHS; b++) {
                TARN_SCOPE(tm);
                const int64_t n = lengths[a], m = lengths[b];
                tarn_tensor *x = count(tm, dtypes[d], TARN_SHAPE(3, n, m));
                for (int64_t i = 0; i < 3 * n * m; i++)
                    expected[i] = (double)((i / (n * m) * n * m + i % n * m + i / n % m) % 251);
                check_close(tarn_contiguous(tarn_transpose(x, 1, 2)), expected, (size_t)(3 * n * m),
                            0);
            }
}

/* (i, j, k) to (k, i, j), and with the order of rows changed. */
static void permutations_and_flips(void **state)
{
    static double moved[MOST], turned[MOST];
    tarn_manager *tm = MANAGER(state);
    for (int a = 0; a < N_LENGTHS; a++)
        for (int b = 0; b < N_LENGTHS; b++) {
            TARN_SCOPE(tm);
            const int64_t I = 3, J = lengths[a], K = lengths[b];
            tarn_tensor *x = count(tm, TARN_F32, TARN_SHAPE(I, J, K));
            for (int64_t i = 0; i < I; i++)
                for (int64_t j = 0; j < J; j++)
                    for (int64_t k = 0; k < K; k++) {
                        const double v = (double)(((i * J + j) * K + k) % 251);
                        moved[(k * I + i) * J + j] = v;
                        turned[((K - 1 - k) * I + i) * J + j] = v;
                    }
            tarn_tensor *y = tarn_permute(x, TARN_AXES(2, 0, 1));
            check_close(tarn_contiguous(y), moved, (size_t)(I * J * K), 0);
            check_close(tarn_flip(y, TARN_AXES(0)), turned, (size_t)(I * J * K), 0);
            check_close(tarn_permute(tarn_flip(x, TARN_AXES(2)), TARN_AXES(2, 0, 1)), turned,
                        (size_t)(I * J * K), 0);
        }
}

/* Gradients that come back through a transpose are added to one that is there. */
static void additions(void **state)
{
    static double expected[MOST];
    tarn_manager *tm = MANAGER(state);
    for (int type = TARN_F32; type <= TARN_F64; type++)
        for (int a = 0; a < N_LENGTHS; a++)
            for (int b = 0; b < N_LENGTHS; b++) {
                TARN_SCOPE(tm);
                const int64_t n = lengths[a], m = lengths[b];
                tarn_tensor *x = tarn_zeros(tm, (tarn_dtype)type, TARN_SHAPE(n, m));
                tarn_tensor *w = count(tm, (tarn_dtype)type, TARN_SHAPE(m, n));
                tarn_require_grad(x);
                tarn_tensor *y = tarn_mul(tarn_contiguous(tarn_transpose(x, 0, 1)), w);
                tarn_tensor *z = tarn_flip(x, TARN_AXES(1));
                z = tarn_sum(tarn_mul(z, tarn_transpose(w, 0, 1)), TARN_ALL_AXES);
                check_status(tarn_backward(tarn_add(tarn_sum(y, TARN_ALL_AXES), z)), TARN_OK);
                for (int64_t i = 0; i < n; i++)
                    for (int64_t j = 0; j < m; j++)
                        expected[i * m + j] =
                            (double)((j * n + i) % 251) + (double)(((m - 1 - j) * n + i) % 251);
                check_close(tarn_grad_of(x), expected, (size_t)(n * m), 0);
            }
}

/* A transposed operand that is large enough to be copied first, and the gradients of both. */
static void products_with_a_transpose(void **state)
{
    enum { N = 72, ALL = N * N };
    static double x[ALL], product[ALL], gradient[ALL];
    tarn_manager *tm = MANAGER(state);
    for (int i = 0; i < ALL; i++) x[i] = i % 251;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            product[i * N + j] = x[i * N + j] * x[j * N + i];
            gradient[i * N + j] = 2 * x[j * N + i];
        }
    tarn_tensor *t = tarn_require_grad(tarn_from_array(tm, TARN_F64, TARN_SHAPE(N, N), x));
    tarn_tensor *y = tarn_mul(t, tarn_transpose(t, 0, 1));
    check_close(y, product, ALL, 0);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    check_close(tarn_grad_of(t), gradient, ALL, 0);
}

/* A padded axis of no elements, several axes, and every type. */
static void borders(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *none = tarn_zeros(tm, TARN_I32, TARN_SHAPE(2, 0));
    check_close(tarn_pad(none, TARN_SHAPE(1, 1), TARN_SHAPE(0, 1), 7),
                ((const double[]){ 7, 7, 7, 7, 7, 7 }), 6, 0);
    for (int a = 0; a < N_LENGTHS; a++) {
        TARN_SCOPE(tm);
        static double expected[MOST];
        const int64_t n = lengths[a];
        tarn_tensor *x = count(tm, a % 2 == 0 ? TARN_U8 : TARN_F64, TARN_SHAPE(2, n, n));
        for (int64_t i = 0; i < 2 * (n + 3) * (n + 2); i++) {
            const int64_t c = i / ((n + 3) * (n + 2)), r = i / (n + 2) % (n + 3), k = i % (n + 2);
            const bool inside = r >= 1 && r < n + 1 && k >= 2;
            expected[i] = inside ? (double)(((c * n + r - 1) * n + k - 2) % 251) : 5;
        }
        check_close(tarn_pad(x, TARN_SHAPE(1, 2), TARN_SHAPE(2, 0), 5), expected,
                    (size_t)(2 * (n + 3) * (n + 2)), 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(transposes_of_every_type),
        TEST(permutations_and_flips),
        TEST(additions),
        TEST(products_with_a_transpose),
        TEST(borders),
    };
    return cmocka_run_group_tests_name("strided", tests, NULL, NULL);
}
