/* SPDX-License-Identifier: MIT
 * test_row_lengths.c - reductions and what is built on them for rows of every length around those
 * at which kernels go over to vectors, along rows and along columns, with gaps and without. Values
 * are compared with plain loops, gradients with those that operations compute. */
#include <math.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

enum { ROWS = 3, MOST = 1100 };

static const int64_t lengths[] = { 1,  2,  3,  7,  8,  9,  15, 16, 17,  23,  24,  25,  31,  32,
                                   33, 39, 40, 41, 48, 63, 64, 65, 100, 127, 255, 256, 257, 1037 };

/* ---- what is computed, and how a plain loop does it: the results of one row, returned as their
 * number */

typedef struct row_op {
    const char *name;
    tarn_tensor *(*apply)(tarn_tensor *x, int axis);
    int64_t (*plain)(int64_t n, const double *x, double *y);
    double ulps; /* of the largest result, in the element type */
} row_op;

#define ALONG(axis) TARN_AXES(axis)

static tarn_tensor *apply_sum(tarn_tensor *x, int axis) { return tarn_sum(x, ALONG(axis)); }
static tarn_tensor *apply_prod(tarn_tensor *x, int axis) { return tarn_prod(x, ALONG(axis)); }
static tarn_tensor *apply_var(tarn_tensor *x, int axis) { return tarn_var(x, ALONG(axis), 0); }
static tarn_tensor *apply_std(tarn_tensor *x, int axis) { return tarn_std(x, ALONG(axis), 0); }
static tarn_tensor *apply_norm(tarn_tensor *x, int axis) { return tarn_norm(x, 2, ALONG(axis)); }
static tarn_tensor *apply_norm_1(tarn_tensor *x, int axis) { return tarn_norm(x, 1, ALONG(axis)); }
static tarn_tensor *apply_max(tarn_tensor *x, int axis) { return tarn_max(x, ALONG(axis)); }
static tarn_tensor *apply_min(tarn_tensor *x, int axis) { return tarn_min(x, ALONG(axis)); }
static tarn_tensor *apply_lse(tarn_tensor *x, int axis) { return tarn_logsumexp(x, ALONG(axis)); }

static int64_t plain_sum(int64_t n, const double *x, double *y)
{
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    *y = (double)sum;
    return 1;
}

static int64_t plain_prod(int64_t n, const double *x, double *y)
{
    long double product = 1;
    for (int64_t i = 0; i < n; i++) product *= x[i];
    *y = (double)product;
    return 1;
}

static int64_t plain_var(int64_t n, const double *x, double *y)
{
    long double mean = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i];
    mean /= n;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    *y = (double)(sum / n);
    return 1;
}

static int64_t plain_std(int64_t n, const double *x, double *y)
{
    (void)plain_var(n, x, y);
    *y = sqrt(*y);
    return 1;
}

static int64_t plain_norm(int64_t n, const double *x, double *y)
{
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (long double)x[i] * x[i];
    *y = (double)sqrtl(sum);
    return 1;
}

static int64_t plain_norm_1(int64_t n, const double *x, double *y)
{
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs(x[i]);
    *y = (double)sum;
    return 1;
}

static int64_t plain_max(int64_t n, const double *x, double *y)
{
    *y = x[0];
    for (int64_t i = 0; i < n; i++) *y = x[i] > *y ? x[i] : *y;
    return 1;
}

static int64_t plain_min(int64_t n, const double *x, double *y)
{
    *y = x[0];
    for (int64_t i = 0; i < n; i++) *y = x[i] < *y ? x[i] : *y;
    return 1;
}

static int64_t plain_lse(int64_t n, const double *x, double *y)
{
    long double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += expl((long double)x[i]);
    *y = (double)logl(sum);
    return 1;
}

static int64_t plain_softmax(int64_t n, const double *x, double *y)
{
    double log_sum;
    (void)plain_lse(n, x, &log_sum);
    for (int64_t i = 0; i < n; i++) y[i] = exp(x[i] - log_sum);
    return n;
}

static int64_t plain_log_softmax(int64_t n, const double *x, double *y)
{
    double log_sum;
    (void)plain_lse(n, x, &log_sum);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] - log_sum;
    return n;
}

static int64_t plain_cumsum(int64_t n, const double *x, double *y)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) y[i] = sum += x[i];
    return n;
}

static const row_op ops[] = {
    { "sum", apply_sum, plain_sum, 1 },
    { "prod", apply_prod, plain_prod, 400 },
    { "var", apply_var, plain_var, 20 },
    { "std", apply_std, plain_std, 20 },
    { "norm 2", apply_norm, plain_norm, 8 },
    { "norm 1", apply_norm_1, plain_norm_1, 20 },
    { "max", apply_max, plain_max, 0 },
    { "min", apply_min, plain_min, 0 },
    { "logsumexp", apply_lse, plain_lse, 8 },
    { "softmax", tarn_softmax, plain_softmax, 16 },
    { "log_softmax", tarn_log_softmax, plain_log_softmax, 8 },
    { "cumsum", tarn_cumsum, plain_cumsum, 64 },
};

/* ---- operands: rows of numbers around 1, and how they lie */

/* The same for float and double: 11 bits of a number that jumps about. */
static double element(int64_t row, int64_t i)
{
    const int64_t jump = ((i + 1) * 7919 + row * 104729) % 2003;
    return 0.875 + (double)jump / 8192;
}

typedef enum lie { BY_ROWS, BY_COLUMNS, WITH_GAPS, LIES } lie;

/* (ROWS, n), or (n, ROWS) by columns; `leaf` is what it is a view of. */
static tarn_tensor *make(tarn_manager *tm, tarn_dtype dtype, int64_t n, lie how, tarn_tensor **leaf)
{
    static double data[2 * ROWS * MOST];
    const int64_t gap = how == WITH_GAPS ? 2 : 1, wide = n * gap;
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < wide; i++)
            data[how == BY_COLUMNS ? i * ROWS + r : r * wide + i] = element(r, i / gap);
    const tarn_shape shape = how == BY_COLUMNS ? TARN_SHAPE(n, ROWS) : TARN_SHAPE(ROWS, wide);
    *leaf = tarn_require_grad(tarn_cast(tarn_from_array(tm, TARN_F64, shape, data), dtype));
    if (how != WITH_GAPS) return *leaf;
    tarn_tensor *pairs = tarn_reshape(*leaf, TARN_SHAPE(ROWS, n, 2));
    return tarn_select(pairs, 2, 0);
}

static double ulp(tarn_dtype dtype) { return dtype == TARN_F32 ? 0x1p-24 : 0x1p-53; }

/* ---- values */

static void check_values(tarn_manager *tm, const row_op *op, tarn_dtype dtype, int64_t n, lie how)
{
    TARN_SCOPE(tm);
    double x[MOST], plain[MOST];
    tarn_tensor *leaf, *operand = make(tm, dtype, n, how, &leaf);
    const int axis = how == BY_COLUMNS ? 0 : 1;
    tarn_tensor *y = tarn_cast(op->apply(operand, axis), TARN_F64);
    assert_true(tarn_ok(tm));
    if (how == BY_COLUMNS && tarn_ndim(y) == 2) y = tarn_transpose(y, 0, 1);
    y = tarn_contiguous(y);
    const double *results = tarn_data(y);
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t i = 0; i < n; i++) x[i] = element(r, i);
        const int64_t m = op->plain(n, x, plain);
        double largest = 0;
        for (int64_t i = 0; i < m; i++) largest = fmax(largest, fabs(plain[i]));
        for (int64_t i = 0; i < m; i++)
            if (!(fabs(results[r * m + i] - plain[i]) <= op->ulps * ulp(dtype) * largest))
                fail_msg("%s of %lld, lying %d, %s: result %lld of row %lld is %.17g, not %.17g",
                         op->name, (long long)n, (int)how, tarn_dtype_name(dtype), (long long)i,
                         (long long)r, results[r * m + i], plain[i]);
    }
}

/* ---- gradients, of the results weighed by numbers around 1 */

static void check_gradients(tarn_manager *tm, const row_op *op, tarn_dtype dtype, int64_t n,
                            lie how)
{
    TARN_SCOPE(tm);
    const tarn_grad_options create = { .create_graph = true };
    tarn_tensor *leaf, *operand = make(tm, dtype, n, how, &leaf), *recorded;
    tarn_tensor *y = op->apply(operand, how == BY_COLUMNS ? 0 : 1);
    tarn_tensor *numbers = tarn_arange(tm, dtype, 0, (double)tarn_numel(y), 1);
    tarn_tensor *weights = tarn_add_scalar(tarn_sin(numbers), 1.5);
    tarn_tensor *loss =
        tarn_sum(tarn_mul(y, tarn_reshape(weights, tarn_get_shape(y))), TARN_ALL_AXES);
    check_status(tarn_grad(TARN_LIST(loss), TARN_LIST(leaf), &recorded, &create), TARN_OK);
    check_status(tarn_backward(loss), TARN_OK);
    tarn_tensor *by_kernel = tarn_cast(tarn_grad_of(leaf), TARN_F64);
    tarn_tensor *by_operations = tarn_cast(tarn_contiguous(recorded), TARN_F64);
    const double *a = tarn_data(by_kernel), *e = tarn_data(by_operations);
    double largest = 0;
    for (int64_t i = 0; i < tarn_numel(leaf); i++) largest = fmax(largest, fabs(e[i]));
    for (int64_t i = 0; i < tarn_numel(leaf); i++)
        if (!(fabs(a[i] - e[i]) <= 400 * ulp(dtype) * fmax(largest, 1)))
            fail_msg("%s of %lld, lying %d, %s: gradient %lld is %.17g, and %.17g by operations",
                     op->name, (long long)n, (int)how, tarn_dtype_name(dtype), (long long)i, a[i],
                     e[i]);
}

/* ---- the first of equals, NaN before all, wherever in a row they are */

/* The place of the extreme in a row of small integers, in which NaN stands for itself. */
static int64_t plain_place(int64_t n, const double *x, bool largest)
{
    int64_t place = 0;
    for (int64_t i = 1; i < n && !isnan(x[place]); i++)
        if (isnan(x[i]) || (largest ? x[i] > x[place] : x[i] < x[place])) place = i;
    return place;
}

static void check_places(tarn_manager *tm, tarn_dtype dtype, int64_t n, const double *data,
                         bool by_columns, bool largest)
{
    TARN_SCOPE(tm);
    const tarn_axes axes = by_columns ? TARN_AXES(0) : TARN_AXES(1);
    tarn_tensor *x = tarn_cast(tarn_from_array(tm, TARN_F64, TARN_SHAPE(ROWS, n), data), dtype);
    if (by_columns) x = tarn_contiguous(tarn_transpose(x, 0, 1));
    x = tarn_require_grad(x);
    tarn_tensor *places = largest ? tarn_argmax(x, axes) : tarn_argmin(x, axes);
    tarn_tensor *best = tarn_keep(largest ? tarn_max(x, axes) : tarn_min(x, axes));
    check_status(tarn_backward(tarn_sum(best, TARN_ALL_AXES)), TARN_OK);
    const int64_t *at = tarn_data(places);
    const double *got = tarn_data(tarn_cast(best, TARN_F64));
    const double *dx = tarn_data(tarn_cast(tarn_grad_of(x), TARN_F64));
    for (int64_t r = 0; r < ROWS; r++) {
        const int64_t place = plain_place(n, data + r * n, largest);
        const double e = data[r * n + place];
        assert_int_equal(at[r], place);
        assert_true(isnan(e) ? isnan(got[r]) : got[r] == e && signbit(got[r]) == signbit(e));
        for (int64_t i = 0; i < n; i++)
            assert_true(dx[by_columns ? i * ROWS + r : r * n + i] == (i == place));
    }
}

/* Few different numbers, zeros of both signs among them; in some rows NaN. */
static void extremes_are_the_first(void **state)
{
    static double data[ROWS * MOST];
    for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
        for (int64_t variant = 0; variant < 6; variant++) {
            const int64_t n = lengths[l];
            for (int64_t r = 0; r < ROWS; r++)
                for (int64_t i = 0; i < n; i++) {
                    const int64_t jump = (i + 1) * (2 * variant + 3) * 31 + r * 7;
                    const double sign = jump / 5 % 2 != 0 ? -1 : 1;
                    double *x = &data[r * n + i];
                    *x = sign * (double)(jump % (1 + variant));
                    if (variant % 2 != 0 && i > n / 3 && jump % 11 == 0) *x = NAN;
                }
            for (tarn_dtype dtype = TARN_F32; dtype <= TARN_F64; dtype++)
                for (int how = 0; how < 4; how++)
                    check_places(MANAGER(state), dtype, n, data, how % 2 != 0, how / 2 != 0);
        }
}

/* ---- variances of numbers that are far from 0, or of which the first is far from all others */

static void check_variance(tarn_manager *tm, tarn_dtype dtype, int64_t n, const double *data)
{
    TARN_SCOPE(tm);
    double wanted;
    tarn_tensor *x = tarn_cast(tarn_from_array(tm, TARN_F64, TARN_SHAPE(n), data), dtype);
    tarn_tensor *weight = tarn_ones(tm, dtype, TARN_SHAPE(n));
    (void)plain_var(n, data, &wanted);
    const double var = tarn_item(tarn_var(x, TARN_ALL_AXES, 0));
    const double bound = dtype == TARN_F32 ? 0x1p-24 : 0x1p-53 * 4 * (double)n;
    if (!(fabs(var - wanted) <= bound * wanted))
        fail_msg("variance of %lld: %.17g, not %.17g", (long long)n, var, wanted);

    tarn_tensor *normal = tarn_cast(tarn_layer_norm(x, 1, weight, NULL, 0), TARN_F64);
    const double *u = tarn_data(normal);
    long double mean = 0;
    for (int64_t i = 0; i < n; i++) mean += data[i];
    mean /= n;
    const double of_mean = fabs((double)mean) * (dtype == TARN_F32 ? 0x1p-47 : 0x1p-52);
    const double least = of_mean / sqrt(wanted); /* how well the mean is known */
    for (int64_t i = 0; i < n; i++) {
        const double e = (double)((data[i] - mean) / sqrtl(wanted));
        if (!(fabs(u[i] - e) <= 8 * bound * fabs(e) + least))
            fail_msg("element %lld of %lld, normalised: %.17g, not %.17g", (long long)i,
                     (long long)n, u[i], e);
    }
}

static void variances_lose_nothing(void **state)
{
    static double data[MOST];
    if (!check_long_double()) skip();
    for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
        for (tarn_dtype dtype = TARN_F32; dtype <= TARN_F64 && lengths[l] > 1; dtype++)
            for (int variant = 0; variant < 3; variant++) {
                const double far = dtype == TARN_F32 ? 0x1p20 : 0x1p36;
                for (int64_t i = 0; i < lengths[l]; i++) data[i] = element(0, i) * 64;
                for (int64_t i = 0; i < lengths[l]; i++)
                    if (dtype == TARN_F32) data[i] = floor(data[i] * 8) / 8;
                if (variant == 1)
                    for (int64_t i = 0; i < lengths[l]; i++) data[i] += far;
                if (variant == 2) data[0] = -far;
                check_variance(MANAGER(state), dtype, lengths[l], data);
            }
}

/* ---- more columns than are taken together */

enum { WIDE = 150, DEEP = 37 };

static void expect_alike(const char *name, tarn_tensor *a, tarn_tensor *e)
{
    tarn_tensor *given = tarn_cast(tarn_contiguous(a), TARN_F64);
    tarn_tensor *wanted = tarn_cast(tarn_contiguous(e), TARN_F64);
    const double *x = tarn_data(given), *y = tarn_data(wanted);
    assert_int_equal(tarn_numel(given), tarn_numel(wanted));
    double largest = 0;
    for (int64_t i = 0; i < tarn_numel(wanted); i++) largest = fmax(largest, fabs(y[i]));
    for (int64_t i = 0; i < tarn_numel(wanted); i++)
        if (!(fabs(x[i] - y[i]) <= 400 * 0x1p-24 * largest))
            fail_msg("%s: element %lld is %.9g by columns, %.9g by rows", name, (long long)i, x[i],
                     y[i]);
}

/* A result by columns and by rows, and the gradients of its sum, which are added up over two
 * passes. */
static void compare_wide(tarn_manager *tm, const char *name,
                         tarn_tensor *(*apply)(tarn_tensor *x, int axis))
{
    TARN_SCOPE(tm);
    tarn_tensor *x = tarn_random_normal(tm, TARN_F32, TARN_SHAPE(2, DEEP, WIDE), 1, 0.25, 3);
    tarn_tensor *columns = tarn_require_grad(tarn_contiguous(x));
    tarn_tensor *rows = tarn_require_grad(tarn_contiguous(tarn_transpose(x, 1, 2)));
    for (int pass = 0; pass < 2; pass++) {
        tarn_tensor *by_columns = tarn_keep(apply(columns, 1));
        tarn_tensor *by_rows = tarn_keep(apply(rows, 2));
        tarn_tensor *shown = tarn_ndim(by_rows) == 3 ? tarn_transpose(by_rows, 1, 2) : by_rows;
        tarn_tensor *loss = tarn_add(tarn_sum(tarn_square(by_columns), TARN_ALL_AXES),
                                     tarn_sum(tarn_square(by_rows), TARN_ALL_AXES));
        expect_alike(name, by_columns, shown);
        check_status(tarn_backward(loss), TARN_OK);
    }
    expect_alike(name, tarn_grad_of(columns), tarn_transpose(tarn_grad_of(rows), 1, 2));
}

static tarn_tensor *apply_cosine(tarn_tensor *x, int axis)
{
    return tarn_cosine_similarity(x, tarn_add_scalar(tarn_sin(x), 1), axis);
}

/* The labels are those of (2, WIDE) rows; every fifth row is ignored. */
static tarn_tensor *apply_cross_entropy(tarn_tensor *x, int axis)
{
    static int64_t labels[2 * WIDE];
    tarn_manager *tm = tarn_manager_of(x);
    for (int64_t i = 0; i < 2 * WIDE; i++) labels[i] = i % 5 == 0 ? -1 : i * 7 % DEEP;
    const tarn_label_options options = {
        .reduction = TARN_REDUCE_NONE, .ignores = true, .ignore_index = -1, .label_smoothing = 0.1
    };
    const bool by_columns = axis == 1;
    const tarn_shape shape = by_columns ? TARN_SHAPE(2, WIDE) : TARN_SHAPE(2 * WIDE);
    if (!by_columns) x = tarn_reshape(x, TARN_SHAPE(2 * WIDE, DEEP));
    tarn_tensor *losses =
        tarn_cross_entropy_with(x, tarn_from_array(tm, TARN_I64, shape, labels), &options);
    return tarn_reshape(losses, TARN_SHAPE(2, WIDE));
}

static void wide_columns_are_as_rows(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++)
        compare_wide(tm, ops[o].name, ops[o].apply);
    compare_wide(tm, "cosine_similarity", apply_cosine);
    compare_wide(tm, "cross_entropy", apply_cross_entropy);
}

/* ---- all of them */

typedef void (*check)(tarn_manager *, const row_op *, tarn_dtype, int64_t, lie);

static void for_each(tarn_manager *tm, check run)
{
    for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++)
        for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++)
            for (int how = 0; how < LIES; how++)
                for (tarn_dtype dtype = TARN_F32; dtype <= TARN_F64; dtype++)
                    run(tm, &ops[o], dtype, lengths[l], (lie)how);
}

static void values_are_those_of_plain_loops(void **state)
{
    if (!check_long_double()) skip(); /* the plain loops would know no more than the kernels */
    for_each(MANAGER(state), check_values);
}

static void gradients_are_those_of_operations(void **state)
{
    for_each(MANAGER(state), check_gradients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_are_those_of_plain_loops, check_setup,
                                        check_teardown),
        cmocka_unit_test_setup_teardown(gradients_are_those_of_operations, check_setup,
                                        check_teardown),
        cmocka_unit_test_setup_teardown(extremes_are_the_first, check_setup, check_teardown),
        cmocka_unit_test_setup_teardown(variances_lose_nothing, check_setup, check_teardown),
        cmocka_unit_test_setup_teardown(wide_columns_are_as_rows, check_setup, check_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
