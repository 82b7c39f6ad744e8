/* SPDX-License-Identifier: MIT
 * test_vmath.c - exp, log and their like of arrays, at every level that the processor has: how
 * exact they are, of which numbers what is special, and that nothing but a number itself decides
 * its result. TARN_TEST_STEP=257 in the environment tries every 257th number of F32, and so many
 * more of F64. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/cpu.h"
#include "core/simd.h"
#include "ops/vmath.h"

/* A function at each level, and what it should give. */
typedef struct function {
    const char *name;
    void (*f32[TARN__SIMD_LEVELS])(int64_t, float *, const float *);
    void (*f64[TARN__SIMD_LEVELS])(int64_t, double *, const double *);
    double (*exact)(double);
    long double (*more_exact)(long double);
    double most[2]; /* units in the last place with vectors, of F32 and of F64 */
} function;

#define MOST_exp 1.0, 1.0
#define MOST_expm1 1.0, 1.0
#define MOST_log 1.0, 1.0
#define MOST_log1p 1.0, 1.0
#define MOST_tanh 1.0, 1.0
#define MOST_sin 1.0, 1.0
#define MOST_cos 1.0, 1.0
#define MOST_erf 1.0, 1.0
#define MOST_erfc 4.0, 1.5

/* By the C library: what glibc documents. */
#define MOST_PLAIN 5.0

static const function functions[] = {
#define FUNCTION(f) \
    { #f, TARN__LEVELS(tarn__##f##_f32), TARN__LEVELS(tarn__##f##_f64), f, f##l, { MOST_##f } },
    TARN__VMATH_LIST(FUNCTION)
#undef FUNCTION
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0], N = 1024 };

/* The highest level that the processor has, whatever is in use. */
static int highest(void)
{
#if TARN__SIMD_X86
    const tarn__cpu cpu = tarn__cpu_detect();
    return cpu.avx512 ? TARN__SIMD_AVX512 : cpu.avx2 ? TARN__SIMD_AVX2 : TARN__SIMD_PLAIN;
#else
    return TARN__SIMD_PLAIN;
#endif
}

static double most_of(const function *f, bool is_f64, int level)
{
    return strcmp(tarn__simd_math(level), "C library") == 0 ? MOST_PLAIN : f->most[is_f64];
}

static uint32_t step(void)
{
    const char *text = getenv("TARN_TEST_STEP");
    const long value = text != NULL ? strtol(text, NULL, 10) : 0;
    return value > 0 ? (uint32_t)value : 16411;
}

/* ---- errors */

/* |y - exact| in units in the last place of `exact`, where numbers have `digits` binary digits and
 * the smallest is 2^least. If either is infinite or NaN, it errs by infinity unless it is the
 * number nearest to `exact`. */
static double error_of(double y, long double exact, double nearest, int digits, int least)
{
    int exponent;
    if (!isfinite(nearest) || !isfinite(y))
        return (isnan(nearest) && isnan(y)) || y == nearest ? 0 : INFINITY;
    (void)frexpl(exact, &exponent);
    if (exponent - digits < least) exponent = least + digits;
    return (double)(fabsl((long double)y - exact) / ldexpl(1, exponent - digits));
}

static double error_f32(float y, double exact)
{
    return error_of((double)y, (long double)exact, (double)(float)exact, 24, -149);
}

static double error_f64(double y, long double exact)
{
    return error_of(y, exact, (double)exact, 53, -1074);
}

/* The largest error so far, and where. */
typedef struct worst {
    double error, x;
} worst;

static void note(worst *w, double error, double x)
{
    if (!(error <= w->error)) *w = (worst){ error, x };
}

static void expect_worst(const function *f, bool is_f64, int level, worst w)
{
    const char *type = is_f64 ? "double" : "float";
    const double most = most_of(f, is_f64, level);
    print_message("%s of %s, %s: %.4f units in the last place, at %a\n", f->name, type,
                  tarn__simd_name(level), w.error, w.x);
    if (!(w.error <= most))
        fail_msg("%s of %s, %s: at most %g was promised", f->name, type, tarn__simd_name(level),
                 most);
}

/* F32 by double: every step-th number there is. */
static void errors_of_f32(void **state)
{
    static float x[N], y[N];
    static double exact[N];
    (void)state;
    for (int k = 0; k < N_FUNCTIONS; k++) {
        const function *f = &functions[k];
        worst w[TARN__SIMD_LEVELS] = { 0 };
        for (uint64_t bits = 0; bits < UINT64_C(1) << 32;) {
            int n = 0;
            for (; n < N && bits < UINT64_C(1) << 32; n++, bits += step()) {
                const uint32_t word = (uint32_t)bits;
                memcpy(&x[n], &word, sizeof word);
                exact[n] = f->exact((double)x[n]);
            }
            for (int level = 0; level <= highest(); level++) {
                f->f32[level](n, y, x);
                for (int i = 0; i < n; i++)
                    note(&w[level], error_f32(y[i], exact[i]), (double)x[i]);
            }
        }
        for (int level = 0; level <= highest(); level++) expect_worst(f, false, level, w[level]);
    }
}

static uint64_t draw(void)
{
    static uint64_t word = 88172645463325252u;
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    return word;
}

/* Any number there is, or one whose size is ordinary. */
static double draw_f64(bool ordinary)
{
    double x;
    const uint64_t word = draw();
    if (ordinary) return ldexp((double)(int64_t)word, -63 - 10 + (int)(draw() % 20));
    memcpy(&x, &word, sizeof x);
    return x;
}

/* F64 by long double, where that is more exact, and is computed as such. */
static void errors_of_f64(void **state)
{
    static double x[N], y[N];
    static long double exact[N];
    const long pieces = 100 * 16411L / (long)step();
    (void)state;
    if (!check_long_double()) {
        print_message("long double is no more than double here: errors of double are not known\n");
        skip();
    }
    for (int k = 0; k < N_FUNCTIONS; k++) {
        const function *f = &functions[k];
        worst w[TARN__SIMD_LEVELS] = { 0 };
        for (long piece = 0; piece < pieces; piece++) {
            for (int i = 0; i < N; i++) {
                x[i] = draw_f64(piece % 4 != 0);
                exact[i] = f->more_exact((long double)x[i]);
            }
            for (int level = 0; level <= highest(); level++) {
                f->f64[level](N, y, x);
                for (int i = 0; i < N; i++) note(&w[level], error_f64(y[i], exact[i]), x[i]);
            }
        }
        for (int level = 0; level <= highest(); level++) expect_worst(f, true, level, w[level]);
    }
}

/* ---- special numbers */

static const double special[] = {
    0,     -0.0,   INFINITY, -INFINITY, NAN,     0x1p-149,  -0x1p-149, 0x1p-1074, -0x1p-1074,
    1e-39, -1e-39, 1e-310,   -1e-310,   3e38,    -3e38,     1e30,      1.5e308,   -1.5e308,
    1,     -1,     -1.5,     88.7,      88.8,    -87.5,     -103.9,    -104.1,    709.7,
    709.9, -708.5, -745.1,   -745.2,    0x1p126, 0x1p1022,  1e5,       1e14,      1e200,
    9.1,   -9.1,   20,       -20,       28,      0x1p-1022, 0x1p-126,  0.5,       -0.999999
};
enum { N_SPECIAL = sizeof special / sizeof special[0] };

/* What is no ordinary number, and the sign of zeros, is as in the C library. */
static void expect_alike(const function *f, int level, double x, double y, double c)
{
    const bool alike = isnan(c) ? isnan(y) : isinf(c) || c == 0 ? y == c : isfinite(y);
    if (!alike || (!isnan(c) && (signbit(c) != 0) != (signbit(y) != 0)))
        fail_msg("%s(%a), %s: %a, and %a by the C library", f->name, x, tarn__simd_name(level), y,
                 c);
}

static void special_numbers(void **state)
{
    (void)state;
    for (int k = 0; k < N_FUNCTIONS; k++)
        for (int i = 0; i < N_SPECIAL; i++)
            for (int level = 0; level <= highest(); level++) {
                const function *f = &functions[k];
                const float x = (float)special[i];
                double y, c = f->exact(special[i]);
                float y32, c32 = (float)f->exact((double)x);
                f->f32[level](1, &y32, &x);
                f->f64[level](1, &y, &special[i]);
                /* Where the nearest number is 0, so may the smallest be, and the other way round.
                 */
                if (c == 0 || fabs(c) > 0x1p-1074) expect_alike(f, level, special[i], y, c);
                if (c32 == 0 || fabsf(c32) > 0x1p-149f)
                    expect_alike(f, level, (double)x, (double)y32, (double)c32);
                const double error = error_f32(y32, f->exact((double)x));
                if (!(error <= most_of(f, false, level)))
                    fail_msg("%s(%a), %s: %a errs by %g", f->name, (double)x,
                             tarn__simd_name(level), (double)y32, error);
            }
}

/* ---- place, length, level */

/* Numbers of all kinds, next to each other. */
static void fill(double *x, float *x32, int n)
{
    for (int i = 0; i < n; i++) {
        x[i] = i % 5 == 0 ? special[draw() % N_SPECIAL] : draw_f64(i % 5 != 1);
        x32[i] = (float)(i % 5 == 1 ? draw_f64(true) * 1e30 : x[i]);
    }
}

static void expect_alone(const function *f, int level, double x, const void *y, const void *alone,
                         size_t size)
{
    if (memcmp(y, alone, size) != 0)
        fail_msg("%s(%a), %s: it depends on what is beside it", f->name, x, tarn__simd_name(level));
}

/* A result is the same alone, in an array of any length, and in place; nothing else is written. */
static void only_the_number_decides(void **state)
{
    enum { MOST = 67, FREE = 4 };
    const double free_f64 = 1234.5;
    const float free_f32 = 1234.5f;
    double x[MOST], y[MOST + FREE], alone;
    float x32[MOST], y32[MOST + FREE], alone32;
    (void)state;
    for (int k = 0; k < N_FUNCTIONS; k++)
        for (int level = 0; level <= highest(); level++)
            for (int n = 0; n <= MOST; n++) {
                const function *f = &functions[k];
                const bool in_place = n % 2 == 0;
                fill(x, x32, n);
                for (int i = 0; i < n; i++) y[i] = x[i], y32[i] = x32[i];
                for (int i = n; i < n + FREE; i++) y[i] = free_f64, y32[i] = free_f32;
                f->f64[level](n, y, in_place ? y : x);
                f->f32[level](n, y32, in_place ? y32 : x32);
                for (int i = 0; i < n; i++) {
                    f->f64[level](1, &alone, &x[i]);
                    f->f32[level](1, &alone32, &x32[i]);
                    expect_alone(f, level, x[i], &y[i], &alone, sizeof alone);
                    expect_alone(f, level, (double)x32[i], &y32[i], &alone32, sizeof alone32);
                }
                for (int i = n; i < n + FREE; i++)
                    assert_true(y[i] == free_f64 && y32[i] == free_f32);
            }
}

static bool same_f64(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }
static bool same_f32(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

/* All levels with vectors give the same bits; but a NaN is any of them. */
static void vectors_of_every_width_agree(void **state)
{
    static double x[N], y[2][N];
    static float x32[N], y32[2][N];
    (void)state;
    for (int k = 0; k < N_FUNCTIONS; k++)
        for (int level = TARN__SIMD_PLAIN + 2; level <= highest(); level++)
            for (int piece = 0; piece < 50; piece++) {
                const function *f = &functions[k];
                fill(x, x32, N);
                for (int i = 0; i < 2; i++) {
                    f->f64[level - i](N, y[i], x);
                    f->f32[level - i](N, y32[i], x32);
                }
                for (int i = 0; i < N; i++) {
                    assert_true(isnan(y[0][i]) ? isnan(y[1][i]) : same_f64(y[0][i], y[1][i]));
                    assert_true(isnan(y32[0][i]) ? isnan(y32[1][i])
                                                 : same_f32(y32[0][i], y32[1][i]));
                }
            }
}

/* ---- powers */

static void (*const pow_f32[])(int64_t, float *, const float *,
                               const float *) = TARN__LEVELS(tarn__pow_f32);
static void (*const pow_f64[])(int64_t, double *, const double *,
                               const double *) = TARN__LEVELS(tarn__pow_f64);

/* Ordinary bases and exponents, and every pair of special ones. */
static void powers(void **state)
{
    static float x[N], s[N], y[N];
    double most = 0;
    (void)state;
    for (int level = 0; level <= highest(); level++) {
        for (int piece = 0; piece < 20; piece++) {
            const int n = N - piece;
            for (int i = 0; i < n; i++)
                x[i] = (float)fabs(draw_f64(true)), s[i] = (float)draw_f64(true);
            pow_f32[level](n, y, x, s);
            for (int i = 0; i < n; i++)
                most = fmax(most, error_f32(y[i], pow((double)x[i], (double)s[i])));
        }
        for (int i = 0; i < N_SPECIAL; i++)
            for (int j = 0; j < N_SPECIAL; j++) {
                const double c = pow(special[i], special[j]);
                double y64;
                pow_f64[level](1, &y64, &special[i], &special[j]);
                const long double exact = check_long_double() ? powl(special[i], special[j]) : c;
                if (isnan(c) ? !isnan(y64) : error_f64(y64, exact) > 2)
                    fail_msg("pow(%a, %a), %s: %a, and %a by the C library", special[i], special[j],
                             tarn__simd_name(level), y64, c);
            }
    }
    print_message("pow of float: %.4f units in the last place\n", most);
    assert_true(most <= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_of_f32),
        cmocka_unit_test(errors_of_f64),
        cmocka_unit_test(special_numbers),
        cmocka_unit_test(only_the_number_decides),
        cmocka_unit_test(vectors_of_every_width_agree),
        cmocka_unit_test(powers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
