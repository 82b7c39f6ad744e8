/* SPDX-License-Identifier: MIT
 * test_pooling.c - pooling of all that lies around the widths of vectors, against one loop over the
 * places of one window. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

enum { MOST = 3 * 40 * 150 };

typedef struct sizes {
    int64_t C, H, W, kernel[2], stride[2], padding[2]; /* adaptive: kernel is the size of y */
    bool adaptive, inside;
} sizes;

typedef struct results {
    int64_t P, Q;
    double max[MOST], mean[MOST], max_dx[MOST], mean_dx[MOST], dy[MOST];
} results;

/* Whole numbers from -3 to 3, so that many are equal, and here and there NaN. */
static double draw(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    const uint32_t v = *state >> 16;
    return v % 97 == 0 ? NAN : (double)(v % 7) - 3;
}

/* Where window i of an axis begins and ends, and how many places count. */
static void places(const sizes *s, int axis, int64_t size, int64_t i, int64_t *at)
{
    const int64_t k = s->kernel[axis];
    at[0] = s->adaptive ? i * size / k : i * s->stride[axis] - s->padding[axis];
    at[1] = s->adaptive ? ((i + 1) * size + k - 1) / k : at[0] + k;
    at[2] = at[1] - at[0];
    if (at[0] < 0) at[0] = 0;
    if (at[1] > size) at[1] = size;
    if (s->inside) at[2] = at[1] - at[0];
}

static void one_window(const sizes *s, const double *x, int64_t y, const int64_t *r,
                       const int64_t *c, results *to)
{
    double sum = 0;
    int64_t best = r[0] * s->W + c[0];
    for (int64_t i = r[0]; i < r[1]; i++)
        for (int64_t j = c[0]; j < c[1]; j++) {
            const int64_t k = i * s->W + j;
            if (!isnan(x[best]) && (isnan(x[k]) || x[k] > x[best])) best = k;
            sum += x[k];
        }
    const double n = (double)(r[2] * c[2]);
    const int64_t channel = y / (to->P * to->Q) * s->H * s->W;
    to->max[y] = x[best];
    to->mean[y] = sum / n;
    to->max_dx[channel + best] += to->dy[y];
    for (int64_t i = r[0]; i < r[1]; i++)
        for (int64_t j = c[0]; j < c[1]; j++) to->mean_dx[channel + i * s->W + j] += to->dy[y] / n;
}

static void plain(const sizes *s, const double *x, results *to)
{
    int64_t r[3], c[3], y = 0;
    memset(to->max_dx, 0, sizeof(to->max_dx));
    memset(to->mean_dx, 0, sizeof(to->mean_dx));
    for (int64_t channel = 0; channel < s->C; channel++)
        for (int64_t p = 0; p < to->P; p++)
            for (int64_t q = 0; q < to->Q; q++, y++) {
                places(s, 0, s->H, p, r);
                places(s, 1, s->W, q, c);
                one_window(s, x + channel * s->H * s->W, y, r, c, to);
            }
}

static tarn_tensor *pooled(const sizes *s, tarn_tensor *x, bool max)
{
    const tarn_shape kernel = TARN_SHAPE(s->kernel[0], s->kernel[1]);
    const tarn_pooling_options o = { .stride = { s->stride[0], s->stride[1] },
                                     .padding = { s->padding[0], s->padding[1] },
                                     .count_inside = s->inside };
    if (s->adaptive) return (max ? tarn_adaptive_max_pool2d : tarn_adaptive_avg_pool2d)(x, kernel);
    return (max ? tarn_max_pool2d : tarn_avg_pool2d)(x, kernel, &o);
}

/* Values, gradients and gradients that are added to, for one type. */
static void compare(tarn_manager *tm, const sizes *s, tarn_dtype dtype, const double *x_data,
                    results *expected)
{
    TARN_SCOPE(tm);
    const tarn_shape shape = TARN_SHAPE(1, s->C, s->H, s->W);
    tarn_tensor *x = tarn_cast(tarn_from_array(tm, TARN_F64, shape, x_data), dtype);
    x = tarn_require_grad(tarn_detach(x));
    const tarn_shape y_shape = TARN_SHAPE(1, s->C, expected->P, expected->Q);
    tarn_tensor *dy = tarn_cast(tarn_from_array(tm, TARN_F64, y_shape, expected->dy), dtype);
    const size_t n = (size_t)(s->C * expected->P * expected->Q), m = (size_t)(s->C * s->H * s->W);
    for (int max = 0; max < 2; max++) {
        const double *dx = max != 0 ? expected->max_dx : expected->mean_dx;
        double twice[MOST];
        for (size_t i = 0; i < m; i++) twice[i] = 2 * dx[i];
        tarn_zero_grad(x);
        {
            TARN_NO_GRAD(tm);
            check_close(pooled(s, x, max != 0), max != 0 ? expected->max : expected->mean, n, 1e-6);
        }
        for (int times = 1; times <= 2; times++) {
            tarn_tensor *y = pooled(s, x, max != 0);
            check_close(y, max != 0 ? expected->max : expected->mean, n, 1e-6);
            check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = dy }),
                         TARN_OK);
            check_close(tarn_grad_of(x), times == 1 ? dx : twice, m, 2e-5);
        }
    }
}

static void try_sizes(tarn_manager *tm, const sizes *s)
{
    static results expected;
    static double x[MOST];
    uint32_t state = 5;
    const int64_t size[] = { s->H, s->W };
    int64_t count[2];
    for (int i = 0; i < 2; i++)
        count[i] = s->adaptive ? s->kernel[i]
                               : (size[i] + 2 * s->padding[i] - s->kernel[i]) / s->stride[i] + 1;
    expected.P = count[0];
    expected.Q = count[1];
    for (int64_t i = 0; i < s->C * s->H * s->W; i++) x[i] = draw(&state);
    for (int64_t i = 0; i < s->C * count[0] * count[1]; i++) {
        const double d = draw(&state);
        expected.dy[i] = isnan(d) ? 4 : d;
    }
    plain(s, x, &expected);
    compare(tm, s, TARN_F32, x, &expected);
    compare(tm, s, TARN_F64, x, &expected);
}

/* Kernels that are compiled for, and others; rows that end before, at and behind a vector. */
static void sliding_windows(void **state)
{
    static const int64_t kernels[][4] = { { 2, 2, 2, 2 }, { 1, 2, 1, 2 }, { 3, 3, 2, 2 },
                                          { 4, 4, 4, 4 }, { 3, 3, 3, 3 }, { 3, 3, 1, 1 },
                                          { 2, 3, 1, 2 }, { 1, 5, 1, 3 }, { 2, 2, 3, 3 },
                                          { 2, 4, 2, 4 } };
    static const int64_t widths[] = { 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 36, 66 };
    for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++)
        for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++)
            for (int64_t padding = 0; padding <= 1; padding++) {
                const int64_t *n = kernels[k];
                sizes s = { .C = 3, .H = 8 + (int64_t)(w % 3), .W = widths[w] };
                if (n[1] > s.W + 2 * padding) continue;
                s.kernel[0] = n[0], s.kernel[1] = n[1], s.stride[0] = n[2], s.stride[1] = n[3];
                s.padding[0] = n[0] > 1 ? padding : 0;
                s.padding[1] = padding;
                s.inside = padding == 1 && w % 2 == 1;
                try_sizes(MANAGER(state), &s);
            }
}

static void adaptive_windows(void **state)
{
    static const int64_t inputs[][2] = { { 7, 7 }, { 8, 12 }, { 28, 28 }, { 6, 40 }, { 5, 1 } };
    static const int64_t outputs[][2] = { { 1, 1 }, { 7, 7 }, { 2, 3 }, { 4, 20 }, { 3, 5 } };
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < 5; k++) {
            const sizes s = { .C = 2,
                              .H = inputs[i][0],
                              .W = inputs[i][1],
                              .kernel = { outputs[k][0], outputs[k][1] },
                              .adaptive = true };
            try_sizes(MANAGER(state), &s);
        }
}

/* More windows beside one another than are computed at once. */
static void long_rows(void **state)
{
    for (int64_t kernel = 2; kernel <= 3; kernel++)
        for (int64_t stride = 1; stride <= 3; stride++) {
            const sizes s = { .C = 2,
                              .H = 4,
                              .W = 600 + stride,
                              .kernel = { 2, kernel },
                              .stride = { 2, stride },
                              .padding = { 0, 1 } };
            try_sizes(MANAGER(state), &s);
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(sliding_windows),
        TEST(adaptive_windows),
        TEST(long_rows),
    };
    return cmocka_run_group_tests_name("pooling", tests, NULL, NULL);
}
