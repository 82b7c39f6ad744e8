/* SPDX-License-Identifier: MIT
 * test_gemm_tiles.c - the products of our own, at the level of vectors that this process uses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/simd.h"
#include "ops/gemm_tiles.h"

enum { GAP = 5, DEPTH = 256, SMALL_DEPTH = 16, FEW = 8, FEW_DEEP = 16, DEEP = 256 };

/* An operand of its own memory, of exactly the size that its elements span. */
typedef struct operand {
    float *f32;
    double *f64;
    int64_t n; /* elements */
    int64_t row, column;
} operand;

static uint64_t state;
static double draw(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(float)((double)(state >> 40) / (1 << 23) - 1);
}

static operand make(int64_t rows, int64_t columns, bool by_columns)
{
    const int64_t leading = (by_columns ? rows : columns) + GAP;
    const int64_t last = by_columns ? columns - 1 : rows - 1;
    operand o = { .n = last * leading + (by_columns ? rows : columns),
                  .row = by_columns ? 1 : leading,
                  .column = by_columns ? leading : 1 };
    o.f32 = malloc((size_t)o.n * sizeof(*o.f32));
    o.f64 = malloc((size_t)o.n * sizeof(*o.f64));
    assert_true(o.f32 != NULL && o.f64 != NULL);
    for (int64_t i = 0; i < o.n; i++) o.f32[i] = (float)(o.f64[i] = draw());
    return o;
}

static void drop(operand *o)
{
    free(o->f32);
    free(o->f64);
}

static bool run(int64_t m, int64_t n, int64_t k, const operand *a, const operand *b, operand *c,
                bool add)
{
    const bool done =
        tarn__gemm_tiles_f32(m, n, k, (tarn__matrix){ a->f32, a->row, a->column },
                             (tarn__matrix){ b->f32, b->row, b->column }, c->f32, c->row, add);
    assert_int_equal(tarn__gemm_tiles_f64(m, n, k, (tarn__matrix){ a->f64, a->row, a->column },
                                          (tarn__matrix){ b->f64, b->row, b->column }, c->f64,
                                          c->row, add),
                     done);
    return done;
}

/* The sum of k products with one rounding each errs by at most k / 2 units of the largest partial
 * sum, which is at most k. */
static void expect_element(const operand *a, const operand *b, const operand *c, double before,
                           int64_t i, int64_t j, int64_t k)
{
    long double sum = before, size = fabs(before);
    for (int64_t p = 0; p < k; p++) {
        const long double term = (long double)a->f64[i * a->row + p * a->column] *
                                 (long double)b->f64[p * b->row + j * b->column];
        sum += term;
        size += fabsl(term);
    }
    const int64_t at = i * c->row + j;
    const long double err64 = fabsl((long double)c->f64[at] - sum);
    const long double err32 = fabsl((long double)c->f32[at] - sum);
    const long double steps = (long double)(k + 2) * size;
    if (!(err64 <= steps * 0x1p-53L) || !(err32 <= steps * 0x1p-24L))
        fail_msg("element %d, %d of depth %d: %.17g and %.9g, not %.17Lg", (int)i, (int)j, (int)k,
                 c->f64[at], (double)c->f32[at], sum);
}

/* The first elements once more, as a product of their own, which must give the same bits: of two
 * rows and two columns, or of more where so few would be computed in another way. */
static void expect_first(int64_t m, int64_t n, int64_t k, int orders, bool add, const operand *a,
                         const operand *b, const operand *c, const operand *was)
{
    const int64_t few = k < DEEP ? FEW : FEW_DEEP;
    const int64_t first = orders == 2 && k > SMALL_DEPTH && m > few && n > few ? few + 1 : 2;
    if (m < first || n < first) return;
    operand part = make(first, first, false);
    for (int64_t i = 0; i < first; i++)
        for (int64_t j = 0; j < first; j++) {
            part.f32[i * part.row + j] = (float)was->f64[i * was->row + j];
            part.f64[i * part.row + j] = was->f64[i * was->row + j];
        }
    assert_true(run(first, first, k, a, b, &part, add));
    for (int64_t i = 0; i < first; i++) {
        const size_t n_first = (size_t)first;
        assert_memory_equal(part.f32 + i * part.row, c->f32 + i * c->row, n_first * sizeof(float));
        assert_memory_equal(part.f64 + i * part.row, c->f64 + i * c->row, n_first * sizeof(double));
    }
    drop(&part);
}

/* Every element, what lies between the rows, and the first elements once more. */
static void expect_product(int64_t m, int64_t n, int64_t k, int orders, bool add)
{
    operand a = make(m, k, (orders & 1) != 0), b = make(k, n, (orders & 2) != 0);
    operand c = make(m, n, false), was = make(m, n, false);
    memcpy(was.f64, c.f64, (size_t)c.n * sizeof(*c.f64));
    for (int64_t i = 0; i < c.n; i++) was.f32[i] = c.f32[i];
    for (int64_t i = 0; i < m && !add; i++)
        for (int64_t j = 0; j < n; j++) c.f64[i * c.row + j] = c.f32[i * c.row + j] = NAN;
    const bool one = m == 1 || n == 1;
    if (one && !(orders == 2 && k >= DEEP)) {
        assert_false(run(m, n, k, &a, &b, &c, add));
    } else {
        assert_true(run(m, n, k, &a, &b, &c, add));
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < n; j++)
                expect_element(&a, &b, &c, add ? was.f64[i * c.row + j] : 0, i, j, k);
            for (int64_t j = n; j < c.row && i * c.row + j < c.n; j++)
                assert_true(c.f64[i * c.row + j] == was.f64[i * c.row + j] &&
                            c.f32[i * c.row + j] == was.f32[i * c.row + j]);
        }
        expect_first(m, n, k, orders, add, &a, &b, &c, &was);
    }
    drop(&a), drop(&b), drop(&c), drop(&was);
}

static void every_element_is_right(void **test)
{
    static const int64_t sizes[] = { 1, 2, 5, 6, 7, 12, 13, 16, 17, 25, 31, 32, 33, 49 };
    static const int64_t depths[] = { 1, 3, 16, 17, DEPTH };
    (void)test;
    if (tarn__simd() == TARN__SIMD_PLAIN) skip();
    state = check_seed();
    for (size_t m = 0; m < sizeof(sizes) / sizeof(sizes[0]); m++)
        for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++)
            for (size_t k = 0; k < sizeof(depths) / sizeof(depths[0]); k++)
                for (int orders = 0; orders < 4; orders++)
                    expect_product(sizes[m], sizes[n], depths[k], orders, (m + n + k) % 2 != 0);
}

static void depths_beyond_one_piece(void **test)
{
    static const int64_t depths[] = { DEPTH - 1, DEPTH + 1, 2 * DEPTH, 784, 1000 };
    (void)test;
    if (tarn__simd() == TARN__SIMD_PLAIN) skip();
    state = check_seed();
    for (size_t k = 0; k < sizeof(depths) / sizeof(depths[0]); k++)
        for (int orders = 0; orders < 8; orders++)
            expect_product(14, 35, depths[k], orders % 4, orders >= 4);
}

/* Rows beyond what is multiplied with all of b at a time. */
static void many_rows(void **test)
{
    (void)test;
    if (tarn__simd() == TARN__SIMD_PLAIN) skip();
    state = check_seed();
    for (int orders = 0; orders < 4; orders++) expect_product(1030, 67, 19, orders, orders == 1);
}

static void a_nan_stays_in_its_row_and_column(void **test)
{
    (void)test;
    if (tarn__simd() == TARN__SIMD_PLAIN) skip();
    state = check_seed();
    for (int orders = 0; orders < 4; orders++) {
        operand a = make(13, 20, (orders & 1) != 0), b = make(20, 35, (orders & 2) != 0);
        operand c = make(13, 35, false);
        a.f32[4 * a.row + 7 * a.column] = NAN;
        b.f64[7 * b.row + 34 * b.column] = NAN;
        assert_true(run(13, 35, 20, &a, &b, &c, false));
        for (int64_t i = 0; i < 13; i++)
            for (int64_t j = 0; j < 35; j++) {
                assert_int_equal(isnan(c.f32[i * c.row + j]) != 0, i == 4);
                assert_int_equal(isnan(c.f64[i * c.row + j]) != 0, j == 34);
            }
        drop(&a), drop(&b), drop(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_is_right),
        cmocka_unit_test(depths_beyond_one_piece),
        cmocka_unit_test(many_rows),
        cmocka_unit_test(a_nan_stays_in_its_row_and_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
