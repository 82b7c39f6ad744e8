/* SPDX-License-Identifier: MIT
 * test_init.c - initial weights: their distributions, and what they depend on.
 *
 * The draws are fixed by the seed, so that nothing here is left to chance. The bounds are those
 * that an honest generator passes nearly always: six standard errors of the statistic in question
 * (one failure in 5e8 draws of it). */
#include <float.h>
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "core/random.h"

/* What is measured of the elements of a parameter. */
typedef struct sample {
    int64_t n;
    double min, max, mean, variance, fourth; /* central moments */
} sample;

static double element(tarn_tensor *t, int64_t i)
{
    return tarn_get_dtype(t) == TARN_F32 ? (double)((const float *)tarn_data(t))[i]
                                         : ((const double *)tarn_data(t))[i];
}

static sample measure(tarn_tensor *t)
{
    sample s = { .n = tarn_numel(t), .min = INFINITY, .max = -INFINITY };
    for (int64_t i = 0; i < s.n; i++) {
        const double x = element(t, i);
        s.min = fmin(s.min, x);
        s.max = fmax(s.max, x);
        s.mean += x / (double)s.n;
    }
    for (int64_t i = 0; i < s.n; i++) {
        const double d = element(t, i) - s.mean;
        s.variance += d * d / (double)s.n;
        s.fourth += d * d * d * d / (double)s.n;
    }
    return s;
}

/* The mean of n draws has the standard error s / sqrt(n), their variance s^2 sqrt((k - 1) / n),
 * with k the kurtosis. */
static void check_moments(sample s, double mean, double deviation, double kurtosis)
{
    const double n = (double)s.n, variance = deviation * deviation;
    assert_true(fabs(s.mean - mean) <= 6 * deviation / sqrt(n));
    assert_true(fabs(s.variance - variance) <= 6 * variance * sqrt((kurtosis - 1) / n));
}

/* Within the bounds, and close to both: the largest of n uniform draws is below 1 - 20/n once in
 * e^20 times. */
static void check_uniform(tarn_tensor *t, double low, double high)
{
    const sample s = measure(t);
    const double width = high - low,
                 ulp = tarn_get_dtype(t) == TARN_F32 ? FLT_EPSILON : DBL_EPSILON;
    const double slack = ulp * fmax(fabs(low), fabs(high));
    assert_true(s.min >= low - slack && s.max <= high + slack);
    assert_true(s.min <= low + 20 * width / (double)s.n &&
                s.max >= high - 20 * width / (double)s.n);
    check_moments(s, (low + high) / 2, width / sqrt(12), 1.8);

    /* Ten bins of n/10 each: chi squared with 9 degrees of freedom exceeds 60 once in 1e9 times. */
    double bins[10] = { 0 }, chi = 0;
    for (int64_t i = 0; i < s.n; i++) {
        const int bin = (int)((element(t, i) - low) / width * 10);
        bins[bin < 0 ? 0 : bin > 9 ? 9 : bin]++;
    }
    for (int i = 0; i < 10; i++) {
        const double expected = (double)s.n / 10;
        chi += (bins[i] - expected) * (bins[i] - expected) / expected;
    }
    assert_true(chi < 60);
}

/* The fourth moment, 3 s^4, has the standard error s^4 sqrt(96 / n). */
static void check_normal(tarn_tensor *t, double mean, double deviation)
{
    const sample s = measure(t);
    const double fourth = pow(deviation, 4);
    check_moments(s, mean, deviation, 3);
    assert_true(fabs(s.fourth - 3 * fourth) <= 6 * fourth * sqrt(96 / (double)s.n));
    assert_true(s.max > mean + 3 * deviation && s.min < mean - 3 * deviation);
}

static void test_distributions(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const double in = 300, out = 200;
    const tarn_shape shape = TARN_SHAPE(200, 300);
    const struct {
        tarn_init init;
        bool normal;
        double a, b; /* bounds, or mean and deviation */
    } cases[] = {
        { { 0 }, false, -sqrt(6 / in), sqrt(6 / in) },
        { { .kind = TARN_INIT_DEFAULT, .gain = 1 }, false, -sqrt(3 / in), sqrt(3 / in) },
        { { .kind = TARN_INIT_UNIFORM, .a = -1, .b = 3 }, false, -1, 3 },
        { { .kind = TARN_INIT_NORMAL, .a = 5, .b = 0.5 }, true, 5, 0.5 },
        { { .kind = TARN_INIT_XAVIER_UNIFORM },
          false,
          -sqrt(6 / (in + out)),
          sqrt(6 / (in + out)) },
        { { .kind = TARN_INIT_XAVIER_NORMAL, .gain = 3 }, true, 0, 3 * sqrt(2 / (in + out)) },
        { { .kind = TARN_INIT_KAIMING_UNIFORM, .gain = 2 },
          false,
          -2 * sqrt(3 / in),
          2 * sqrt(3 / in) },
        { { .kind = TARN_INIT_KAIMING_NORMAL }, true, 0, sqrt(2 / in) },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int wide = 0; wide < 2; wide++) {
            char name[] = { wide ? 'd' : 'f', (char)('0' + i), '\0' };
            tarn_tensor *t = tarn_module_add_parameter(root, name, wide ? TARN_F64 : TARN_F32,
                                                       shape, &cases[i].init);
            assert_non_null(t);
            if (cases[i].normal) check_normal(t, cases[i].a, cases[i].b);
            else check_uniform(t, cases[i].a, cases[i].b);
        }
    }
}

/* The fans of a convolution's weight (O, I, h, w), of a vector and of a scalar. */
static void test_fans(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_init kaiming = { .kind = TARN_INIT_KAIMING_UNIFORM, .gain = 1 };
    const tarn_init xavier = { .kind = TARN_INIT_XAVIER_UNIFORM };
    tarn_tensor *t =
        tarn_module_add_parameter(root, "conv", TARN_F64, TARN_SHAPE(40, 30, 5, 5), &kaiming);
    check_uniform(t, -sqrt(3. / 750), sqrt(3. / 750));
    t = tarn_module_add_parameter(root, "conv_x", TARN_F64, TARN_SHAPE(40, 30, 5, 5), &xavier);
    check_uniform(t, -sqrt(6. / (750 + 1000)), sqrt(6. / (750 + 1000)));
    t = tarn_module_add_parameter(root, "vector", TARN_F64, TARN_SHAPE(10000), &kaiming);
    check_uniform(t, -sqrt(3.), sqrt(3.));
    t = tarn_module_add_parameter(root, "scalar", TARN_F64, TARN_SCALAR, &kaiming);
    assert_true(fabs(tarn_item(t)) <= sqrt(3.) && tarn_item(t) != 0);
    assert_non_null(tarn_module_add_parameter(root, "none", TARN_F32, TARN_SHAPE(4, 0), &xavier));
}

static void test_constants(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_init c = { .kind = TARN_INIT_CONSTANT, .a = -1.25 };
    const sample s = measure(tarn_module_add_parameter(root, "c", TARN_F32, TARN_SHAPE(9, 9), &c));
    assert_true(s.min == -1.25 && s.max == -1.25);
    const sample b = measure(tarn_module_add_parameter(root, "b", TARN_F64, TARN_SHAPE(9), NULL));
    assert_true(b.min == 0 && b.max == 0);
    const tarn_init point = { .kind = TARN_INIT_UNIFORM, .a = 2, .b = 2 };
    const sample p = measure(tarn_module_add_parameter(root, "p", TARN_F64, TARN_SHAPE(9), &point));
    assert_true(p.min == 2 && p.max == 2);
}

/* ---- orthogonal */

/* Whether the rows or columns, whichever are fewer, are orthogonal and of length `gain`. */
static void check_orthogonal(tarn_tensor *t, double gain)
{
    const int64_t rows = tarn_dim(t, 0), columns = tarn_numel(t) / rows;
    const bool by_rows = rows <= columns;
    const int64_t k = by_rows ? rows : columns, n = by_rows ? columns : rows;
    const double unit = tarn_get_dtype(t) == TARN_F32 ? FLT_EPSILON : DBL_EPSILON;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t l = 0; l < n; l++)
                sum += element(t, by_rows ? i * columns + l : l * columns + i) *
                       element(t, by_rows ? j * columns + l : l * columns + j);
            /* Rounding changes each element by half a unit of it at most. */
            if (!(fabs(sum - (i == j ? gain * gain : 0)) <= 8 * unit * gain * gain))
                fail_msg("%d and %d of (%d, %d): %.17g", (int)i, (int)j, (int)rows, (int)columns,
                         sum);
        }
}

static void test_orthogonal(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_shape shapes[] = { { 2, { 1, 1 } },  { 2, { 5, 5 } },       { 2, { 3, 70 } },
                                  { 2, { 70, 3 } }, { 4, { 4, 2, 3, 3 } }, { 4, { 20, 1, 2, 3 } },
                                  { 2, { 97, 97 } } };
    for (int i = 0; i < 7; i++)
        for (int wide = 0; wide < 2; wide++) {
            char name[] = { wide ? 'd' : 'f', (char)('0' + i), '\0' };
            const tarn_init init = { .kind = TARN_INIT_ORTHOGONAL, .gain = i % 2 != 0 ? 1.5 : 0 };
            tarn_tensor *t =
                tarn_module_add_parameter(root, name, wide ? TARN_F64 : TARN_F32, shapes[i], &init);
            assert_non_null(t);
            check_orthogonal(t, i % 2 != 0 ? 1.5 : 1);
        }
    const tarn_init init = { .kind = TARN_INIT_ORTHOGONAL };
    assert_non_null(tarn_module_add_parameter(root, "none", TARN_F32, TARN_SHAPE(3, 0), &init));
}

/* Drawn evenly, each element of a 3 x 3 matrix is a coordinate of a point on the sphere: uniform
 * between -1 and 1 (Archimedes). */
static void test_orthogonal_is_even(void **state)
{
    check_fixture *f = *state;
    enum { N = 3000 };
    double corners[N], middles[N];
    for (int i = 0; i < N; i++) {
        tarn_module *root = tarn_module_create(f->tm);
        const tarn_init init = { .kind = TARN_INIT_ORTHOGONAL };
        tarn_tensor *t = tarn_module_add_parameter(root, "w", TARN_F64, TARN_SHAPE(3, 3), &init);
        corners[i] = element(t, 0);
        middles[i] = element(t, 8);
        assert_int_equal(tarn_module_destroy(root), TARN_OK);
    }
    TARN_SCOPE(f->tm);
    check_uniform(tarn_from_array(f->tm, TARN_F64, TARN_SHAPE(N), corners), -1, 1);
    check_uniform(tarn_from_array(f->tm, TARN_F64, TARN_SHAPE(N), middles), -1, 1);
}

static void test_orthogonal_without_room(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_init init = { .kind = TARN_INIT_ORTHOGONAL };
    for (uint64_t n = 1; n <= 2; n++) { /* the parameter, the room to work in */
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(3, 3), &init));
        check_error_part(f->tm, TARN_ENOMEM, "");
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
    }
    assert_non_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(3, 3), &init));
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 1);
}

/* ---- truncated normal */

/* Mean and deviation of a standard normal number that lies between two bounds, and its kurtosis at
 * most that of an exponential tail. */
static void check_truncated(tarn_tensor *t, double mean, double deviation, double low, double high)
{
    const double a = (low - mean) / deviation, b = (high - mean) / deviation;
    const double pi = acos(-1), p = exp(-a * a / 2) / sqrt(2 * pi),
                 q = exp(-b * b / 2) / sqrt(2 * pi);
    const double mass = a > 0 ? (erfc(a / sqrt(2)) - erfc(b / sqrt(2))) / 2
                              : (erfc(-b / sqrt(2)) - erfc(-a / sqrt(2))) / 2;
    const double ap = isinf(a) ? 0 : a * p, bq = isinf(b) ? 0 : b * q;
    const double center = (p - q) / mass, variance = 1 + (ap - bq) / mass - center * center;
    const sample s = measure(t);
    assert_true(s.min >= low && s.max <= high);
    check_moments(s, mean + deviation * center, deviation * sqrt(variance), 9);
}

static void test_truncated(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const struct {
        double mean, deviation, low, high;
    } cases[] = {
        { 0, 1, -2, 2 },       { 5, 0.5, 4, 4.75 },
        { 0, 1, 0, INFINITY }, { 1, 2, -INFINITY, -1 },
        { 0, 1, 5, 6 },        { 0, 1, -INFINITY, -8 },
        { 0, 1, -100, 100 },   { -3, 0.25, -3.1, INFINITY },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int wide = 0; wide < 2; wide++) {
            char name[] = { wide ? 'd' : 'f', (char)('0' + i), '\0' };
            const tarn_init init = { .kind = TARN_INIT_TRUNCATED_NORMAL,
                                     .a = cases[i].mean,
                                     .b = cases[i].deviation,
                                     .low = cases[i].low,
                                     .high = cases[i].high };
            tarn_tensor *t = tarn_module_add_parameter(root, name, wide ? TARN_F64 : TARN_F32,
                                                       TARN_SHAPE(200, 100), &init);
            assert_non_null(t);
            check_truncated(t, cases[i].mean, cases[i].deviation, cases[i].low, cases[i].high);
        }
    const tarn_init usual = { .kind = TARN_INIT_TRUNCATED_NORMAL, .a = 1, .b = 0.02 };
    check_truncated(
        tarn_module_add_parameter(root, "usual", TARN_F64, TARN_SHAPE(100, 100), &usual), 1, 0.02,
        0.96, 1.04);
    const tarn_init point = { .kind = TARN_INIT_TRUNCATED_NORMAL, .b = 1, .low = 0.1, .high = 0.1 };
    const sample s =
        measure(tarn_module_add_parameter(root, "point", TARN_F64, TARN_SHAPE(9), &point));
    assert_true(s.min == 0.1 && s.max == 0.1);
}

/* An element does not depend on how many follow, and a float is within the bounds although these
 * are none. */
static void test_truncated_draws(void **state)
{
    (void)state;
    const tarn__truncated d = { .mean = 0, .deviation = 1, .low = 0.1, .high = 0.1 + 0x1p-20 };
    double few[5], many[50];
    float floats[500];
    tarn__fill_truncated_f64(few, 5, &d, 7);
    tarn__fill_truncated_f64(many, 50, &d, 7);
    assert_memory_equal(few, many, sizeof few);
    tarn__fill_truncated_f32(floats, 500, &d, 7);
    for (int i = 0; i < 500; i++)
        assert_true((double)floats[i] >= d.low && (double)floats[i] <= d.high);
}

/* ---- identity */

static void test_identity(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_init one = { .kind = TARN_INIT_IDENTITY }, two = { TARN_INIT_IDENTITY, .gain = 2 };
    check_close(tarn_module_add_parameter(root, "wide", TARN_F32, TARN_SHAPE(2, 3), &one),
                ((const double[]){ 1, 0, 0, 0, 1, 0 }), 6, 0);
    check_close(tarn_module_add_parameter(root, "tall", TARN_F64, TARN_SHAPE(3, 2), &two),
                ((const double[]){ 2, 0, 0, 2, 0, 0 }), 6, 0);
    /* A convolution passes each channel on. */
    check_close(tarn_module_add_parameter(root, "filter", TARN_F64, TARN_SHAPE(2, 2, 3), &one),
                ((const double[]){ 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0 }), 12, 0);
    tarn_tensor *t =
        tarn_module_add_parameter(root, "image", TARN_F64, TARN_SHAPE(1, 2, 3, 3), &one);
    for (int64_t i = 0; i < 18; i++) assert_true(element(t, i) == (i == 4 ? 1 : 0));
}

static void test_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_init bad[] = {
        { .kind = TARN_INIT_CONSTANT, .a = NAN },
        { .kind = TARN_INIT_CONSTANT, .a = INFINITY },
        { .kind = TARN_INIT_CONSTANT, .a = 1e39 }, /* no F32 */
        { .kind = TARN_INIT_UNIFORM, .a = 1, .b = 0 },
        { .kind = TARN_INIT_UNIFORM, .a = -INFINITY, .b = 0 },
        { .kind = TARN_INIT_UNIFORM, .a = 0, .b = NAN },
        { .kind = TARN_INIT_NORMAL, .a = 0, .b = -1 },
        { .kind = TARN_INIT_NORMAL, .a = NAN, .b = 1 },
        { .kind = TARN_INIT_NORMAL, .a = 0, .b = INFINITY },
        { .kind = TARN_INIT_XAVIER_NORMAL, .gain = -1 },
        { .kind = TARN_INIT_KAIMING_UNIFORM, .gain = NAN },
        { .kind = TARN_INIT_DEFAULT, .gain = INFINITY },
        { .kind = TARN_INIT_ORTHOGONAL, .gain = -1 },
        { .kind = TARN_INIT_ORTHOGONAL, .gain = 1e39 },
        { .kind = TARN_INIT_IDENTITY, .gain = NAN },
        { .kind = TARN_INIT_TRUNCATED_NORMAL },
        { .kind = TARN_INIT_TRUNCATED_NORMAL, .b = -1 },
        { .kind = TARN_INIT_TRUNCATED_NORMAL, .a = NAN, .b = 1 },
        { .kind = TARN_INIT_TRUNCATED_NORMAL, .b = INFINITY },
        { .kind = TARN_INIT_TRUNCATED_NORMAL, .b = 1, .low = 2, .high = 1 },
        { .kind = TARN_INIT_TRUNCATED_NORMAL, .b = 1, .low = NAN, .high = 1 },
        { .kind = TARN_INIT_TRUNCATED_NORMAL, .b = 1, .low = 1e39, .high = 1e40 },
        { .kind = TARN_INIT_TRUNCATED_NORMAL, .b = 1, .low = INFINITY, .high = INFINITY },
        { .kind = (tarn_init_kind)77 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(3, 3), &bad[i]));
        assert_int_equal(tarn_error_code(f->tm), TARN_EARG);
        assert_non_null(strstr(tarn_error_message(f->tm), "\"w\""));
        tarn_clear_error(f->tm);
    }
    for (int axes = 0; axes < 2; axes++) {
        const tarn_shape shape = { axes, { 3 } };
        const tarn_init orthogonal = { .kind = TARN_INIT_ORTHOGONAL };
        const tarn_init identity = { .kind = TARN_INIT_IDENTITY };
        assert_null(tarn_module_add_parameter(root, "w", TARN_F32, shape, &orthogonal));
        check_error_part(f->tm, TARN_EARG,
                         axes == 0 ? "orthogonal has 0 axes; two are needed"
                                   : "orthogonal has 1 axes; two are needed");
        assert_null(tarn_module_add_parameter(root, "w", TARN_F32, shape, &identity));
        check_error_part(f->tm, TARN_EARG, "axes; two are needed");
    }
    assert_int_equal(tarn_module_parameter_count(root), 0);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
}

/* ---- what the draws depend on */

static bool same(tarn_tensor *a, tarn_tensor *b)
{
    assert_non_null(a);
    assert_non_null(b);
    const size_t bytes = (size_t)tarn_numel(a) * tarn_dtype_size(tarn_get_dtype(a));
    return tarn_numel(a) == tarn_numel(b) && memcmp(tarn_data(a), tarn_data(b), bytes) == 0;
}

static tarn_tensor *weight(tarn_module *m, const char *name)
{
    return tarn_module_add_parameter(m, name, TARN_F32, TARN_SHAPE(8, 8), NULL);
}

static void test_nets_differ(void **state)
{
    check_fixture *f = *state;
    tarn_module *one = tarn_module_create(f->tm), *two = tarn_module_create(f->tm);
    assert_false(same(weight(one, "w"), weight(two, "w")));
    assert_false(same(weight(one, "u"), weight(one, "v")));
    tarn_module *child = tarn_module_add_child(one, "child");
    assert_false(same(weight(child, "w"), tarn_module_find(one, "w")));
}

/* Names are joined with a dot before they are hashed: "a.bc" and "ab.c" are two places. */
static void test_paths_differ(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *t = weight(tarn_module_add_child(root, "a"), "bc");
    tarn_tensor *u = weight(tarn_module_add_child(root, "ab"), "c");
    assert_false(same(t, u));
}

static void test_seed_and_order(void **state)
{
    check_fixture *f = *state;
    tarn_manager *twin =
        tarn_manager_create(&(tarn_manager_options){ .pool = f->pool, .seed = 42 });
    tarn_manager *other =
        tarn_manager_create(&(tarn_manager_options){ .pool = f->pool, .seed = 12 });
    tarn_module *a = tarn_module_create(f->tm), *b = tarn_module_create(twin);
    tarn_module *c = tarn_module_create(other);

    tarn_linear a1 = tarn_linear_create(a, "l1", 10, 20), a2 = tarn_linear_create(a, "l2", 20, 5);
    tarn_random_normal(twin, TARN_F32, TARN_SHAPE(100), 0, 1, 0);
    tarn_linear b2 = tarn_linear_create(b, "l2", 20, 5), b1 = tarn_linear_create(b, "l1", 10, 20);
    tarn_linear c1 = tarn_linear_create(c, "l1", 10, 20);
    assert_true(same(a1.weight, b1.weight) && same(a2.weight, b2.weight));
    assert_false(same(a1.weight, c1.weight));

    /* Same seed, same order, same digest; and the second net of each manager is the same again. */
    tarn_module *a_next = tarn_module_create(f->tm), *b_next = tarn_module_create(twin);
    assert_true(same(weight(a_next, "w"), weight(b_next, "w")));
    assert_true(tarn_module_digest(a_next) == tarn_module_digest(b_next));
    assert_int_equal(tarn_manager_destroy(twin), 0);
    assert_int_equal(tarn_manager_destroy(other), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_distributions),      TEST(test_fans),
        TEST(test_constants),          TEST(test_orthogonal),
        TEST(test_orthogonal_is_even), TEST(test_orthogonal_without_room),
        TEST(test_truncated),          TEST(test_truncated_draws),
        TEST(test_identity),           TEST(test_refused),
        TEST(test_nets_differ),        TEST(test_paths_differ),
        TEST(test_seed_and_order),
    };
#undef TEST
    return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
