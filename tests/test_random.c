/* SPDX-License-Identifier: MIT
 * test_random.c - the counter-based generator against known answers, and the distributions of what
 * is drawn from it. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "check.h"
#include "core/random.h"

enum { DRAWS = 100000 };

/* The known answers of the authors' Random123 library for philox4x32-10. */
static void known_answers(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } rows[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t out[4];
        tarn__philox(rows[i].counter, rows[i].key, out);
        assert_memory_equal(out, rows[i].out, sizeof(out));
    }
}

/* FNV-1a of its authors' test vectors. */
static void hashes(void **state)
{
    (void)state;
    assert_true(tarn__hash_bytes(TARN__HASH_START, "", 0) == UINT64_C(0xcbf29ce484222325));
    assert_true(tarn__hash_bytes(TARN__HASH_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(tarn__hash_bytes(TARN__HASH_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
    const uint64_t half = tarn__hash_bytes(TARN__HASH_START, "foo", 3);
    assert_true(tarn__hash_bytes(half, "bar", 3) == UINT64_C(0x85944171f73967e8));
}

static void keys_differ(void **state)
{
    enum { N = 64 };
    uint64_t keys[N * N];
    (void)state;
    for (uint64_t seed = 0; seed < N; seed++)
        for (uint64_t purpose = 0; purpose < N; purpose++)
            keys[seed * N + purpose] = tarn__random_key(seed, purpose);
    for (size_t i = 0; i < N * N; i++)
        for (size_t j = 0; j < i; j++) assert_true(keys[i] != keys[j]);
}

/* A shorter fill is the beginning of a longer one: element i depends on key and i alone. */
static void elements_stand_alone(void **state)
{
    static float long_f32[DRAWS];
    static double long_f64[DRAWS];
    float f32[101];
    double f64[101];
    (void)state;
    for (size_t n = 0; n <= 101; n++) {
        tarn__fill_uniform_f32(f32, n, -2, 3, 7);
        tarn__fill_uniform_f32(long_f32, 101, -2, 3, 7);
        assert_memory_equal(f32, long_f32, n * sizeof(float));
        tarn__fill_uniform_f64(f64, n, -2, 3, 7);
        tarn__fill_uniform_f64(long_f64, 101, -2, 3, 7);
        assert_memory_equal(f64, long_f64, n * sizeof(double));
        tarn__fill_normal_f32(f32, n, 1, 2, 7);
        tarn__fill_normal_f32(long_f32, 101, 1, 2, 7);
        assert_memory_equal(f32, long_f32, n * sizeof(float));
        tarn__fill_normal_f64(f64, n, 1, 2, 7);
        tarn__fill_normal_f64(long_f64, 101, 1, 2, 7);
        assert_memory_equal(f64, long_f64, n * sizeof(double));
    }
}

/* The k-th moments of DRAWS numbers, each of which has the standard error given; six of them are
 * allowed, which chance exceeds once in 10^9. */
static void check_moments(const double *x, const double moments[4], const double errors[4])
{
    for (int k = 1; k <= 4; k++) {
        double sum = 0;
        for (size_t i = 0; i < DRAWS; i++) sum += pow(x[i], k);
        const double error = fabs(sum / DRAWS - moments[k - 1]);
        assert_true(error <= 6 * errors[k - 1]);
    }
}

static void distributions(void **state)
{
    static float f32[DRAWS];
    static double f64[DRAWS];
    /* E u^k = 1 / (k + 1), var u^k = 1 / (2k + 1) - 1 / (k + 1)^2;  E z^k = 0, 1, 0, 3, var z^k =
     * 1, 2, 15, 96. */
    double uniform[4], uniform_error[4];
    const double normal[] = { 0, 1, 0, 3 }, variance[] = { 1, 2, 15, 96 };
    double normal_error[4];
    (void)state;
    for (int k = 1; k <= 4; k++) {
        uniform[k - 1] = 1.0 / (k + 1);
        uniform_error[k - 1] = sqrt((1.0 / (2 * k + 1) - 1.0 / ((k + 1) * (k + 1))) / DRAWS);
        normal_error[k - 1] = sqrt(variance[k - 1] / DRAWS);
    }
    for (uint64_t key = 1; key <= 3; key++) {
        tarn__fill_uniform_f64(f64, DRAWS, 0, 1, key);
        check_moments(f64, uniform, uniform_error);
        tarn__fill_uniform_f32(f32, DRAWS, 0, 1, key);
        for (size_t i = 0; i < DRAWS; i++) f64[i] = (double)f32[i];
        check_moments(f64, uniform, uniform_error);
        tarn__fill_normal_f64(f64, DRAWS, 0, 1, key);
        check_moments(f64, normal, normal_error);
        tarn__fill_normal_f32(f32, DRAWS, 0, 1, key);
        for (size_t i = 0; i < DRAWS; i++) f64[i] = (double)f32[i];
        check_moments(f64, normal, normal_error);
    }
}

/* The open end stays open, also where rounding would reach it. */
static void bounds(void **state)
{
    static float f32[DRAWS];
    (void)state;
    tarn__fill_uniform_f32(f32, DRAWS, 1e8, 1e8 + 8, 3);
    for (size_t i = 0; i < DRAWS; i++) {
        assert_true((double)f32[i] >= 1e8);
        assert_true((double)f32[i] < 1e8 + 8);
    }
    tarn__fill_uniform_f32(f32, 10, 5, 5, 3);
    for (size_t i = 0; i < 10; i++) assert_true(f32[i] == 5);

    /* high - low is more than a double can hold. */
    static double f64[DRAWS];
    double sum = 0;
    tarn__fill_uniform_f64(f64, DRAWS, -DBL_MAX, DBL_MAX, 3);
    for (size_t i = 0; i < DRAWS; i++) {
        assert_true(f64[i] >= -DBL_MAX && f64[i] < DBL_MAX);
        sum += f64[i] / DBL_MAX / DRAWS;
    }
    assert_true(fabs(sum) < 6 * sqrt(1.0 / 3 / DRAWS));
}

/* Each value of a small range comes as often as chance allows (six deviations of a binomial). */
static void below(void **state)
{
    (void)state;
    for (uint64_t bound = 1; bound <= 7; bound++) {
        size_t count[7] = { 0 };
        for (uint64_t i = 0; i < DRAWS; i++) {
            const uint64_t value = tarn__random_below(bound, 11, i);
            assert_true(value < bound);
            count[value]++;
        }
        const double p = 1.0 / (double)bound, deviation = sqrt(DRAWS * p * (1 - p));
        for (uint64_t v = 0; v < bound; v++)
            assert_true(fabs((double)count[v] - DRAWS * p) <= 6 * deviation);
    }
    const uint64_t huge = UINT64_C(1) << 63;
    for (uint64_t i = 0; i < 1000; i++) assert_true(tarn__random_below(huge + 1, 5, i) <= huge);
}

/* Draws side by side are the draws one by one, also where the counter's lower half overflows. */
static void blocks_are_draws(void **state)
{
    static const uint64_t firsts[] = { 0, 64, UINT32_MAX - 5, UINT64_C(1) << 40 };
    uint32_t words[RANDOM_WORDS], four[4];
    (void)state;
    for (size_t k = 0; k < sizeof firsts / sizeof firsts[0]; k++) {
        tarn__random_block(UINT64_C(0x123456789abcdef), firsts[k], words);
        for (int i = 0; i < RANDOM_LANES; i++) {
            tarn__random_words(UINT64_C(0x123456789abcdef), firsts[k] + (uint64_t)i, four);
            assert_memory_equal(four, &words[4 * i], sizeof four);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_draws),
        cmocka_unit_test(known_answers),
        cmocka_unit_test(hashes),
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(elements_stand_alone),
        cmocka_unit_test(distributions),
        cmocka_unit_test(bounds),
        cmocka_unit_test(below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
