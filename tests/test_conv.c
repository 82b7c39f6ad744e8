/* SPDX-License-Identifier: MIT
 * test_conv.c - convolution and pooling beyond their rows of cases_conv.c: images that are cut into
 * pieces, particular values, memory, and what is refused. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define TENSOR(tm, dtype, shape, ...) \
    tarn_cast(tarn_from_array((tm), TARN_F64, (shape), (const double[]){ __VA_ARGS__ }), (dtype))
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)

#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

/* ---- pieces: whole numbers, of which every sum is exact, in any order */

typedef struct sizes {
    int64_t B, C, O, H, W, K, stride, padding, groups;
} sizes;

/* Integers from -3 to 3. */
static tarn_tensor *draw(tarn_manager *tm, tarn_shape shape, uint64_t stream)
{
    tarn_tensor *t = tarn_random_uniform(tm, TARN_F64, shape, -3.99, 3.99, stream);
    return tarn_cast(tarn_cast(t, TARN_I32), TARN_F64);
}

/* Adds up y, or from dy the gradients of x and w, one product at a time. */
static void plain(const sizes *s, const double *x, const double *w, const double *dy, double *y,
                  double *dx, double *dw)
{
    const int64_t P = (s->H + 2 * s->padding - s->K) / s->stride + 1;
    const int64_t Q = (s->W + 2 * s->padding - s->K) / s->stride + 1;
    const int64_t C = s->C / s->groups, O = s->O / s->groups;
    const tarn_shape outer = { 5, { s->B, s->O, C, s->K, s->K } };
    int64_t k[5] = { 0 };
    do {
        const int64_t c = k[1] / O * C + k[2],
                      weight = ((k[1] * C + k[2]) * s->K + k[3]) * s->K + k[4];
        for (int64_t p = 0; p < P; p++)
            for (int64_t q = 0; q < Q; q++) {
                const int64_t i = p * s->stride - s->padding + k[3];
                const int64_t j = q * s->stride - s->padding + k[4];
                const int64_t to = ((k[0] * s->O + k[1]) * P + p) * Q + q;
                const int64_t from = ((k[0] * s->C + c) * s->H + i) * s->W + j;
                if (i < 0 || i >= s->H || j < 0 || j >= s->W) continue;
                y[to] += x[from] * w[weight];
                dx[from] += dy[to] * w[weight];
                dw[weight] += dy[to] * x[from];
            }
        int axis = 4;
        while (axis >= 0 && ++k[axis] == outer.dims[axis]) k[axis--] = 0;
        if (axis < 0) break;
    } while (true);
}

static double *zeros_like(const tarn_tensor *t)
{
    double *v = calloc((size_t)tarn_numel(t) + 1, sizeof(double));
    assert_non_null(v);
    return v;
}

static void expect_exact(tarn_tensor *t, const double *values)
{
    check_close(t, values, (size_t)tarn_numel(t), 0);
}

/* y without a bias (C). */
static tarn_tensor *less(tarn_tensor *y, tarn_tensor *bias)
{
    return tarn_sub(y, tarn_reshape(bias, TARN_SHAPE(1, -1, 1, 1)));
}

static void check_pieces(tarn_manager *tm, const sizes *s)
{
    TARN_SCOPE(tm);
    const int64_t unseen_rows = (s->H + 2 * s->padding - s->K) % s->stride;
    const int64_t unseen_columns = (s->W + 2 * s->padding - s->K) % s->stride;
    const tarn_conv_options o = { .stride = { s->stride, s->stride },
                                  .padding = { s->padding, s->padding },
                                  .groups = s->groups,
                                  .output_padding = { unseen_rows, unseen_columns } };
    tarn_tensor *x = draw(tm, TARN_SHAPE(s->B, s->C, s->H, s->W), 1);
    tarn_tensor *w = draw(tm, TARN_SHAPE(s->O, s->C / s->groups, s->K, s->K), 2);
    tarn_tensor *dy = draw(tm, tarn_get_shape(tarn_conv2d(x, w, NULL, &o)), 3);
    double *y = zeros_like(dy), *dx = zeros_like(x), *dw = zeros_like(w);
    plain(s, tarn_data(x), tarn_data(w), tarn_data(dy), y, dx, dw);
    for (int type = TARN_F32; type <= TARN_F64; type++) {
        const tarn_dtype dtype = (tarn_dtype)type;
        tarn_tensor *a = tarn_require_grad(tarn_cast(x, dtype));
        tarn_tensor *b = tarn_require_grad(tarn_cast(w, dtype));
        tarn_tensor *result = tarn_conv2d(a, b, NULL, &o);
        expect_exact(result, y);
        tarn_tensor *v = tarn_cast(dy, dtype);
        check_status(tarn_backward_with(result, &(tarn_backward_options){ .gradient = v }),
                     TARN_OK);
        expect_exact(tarn_grad_of(a), dx);
        expect_exact(tarn_grad_of(b), dw);
        expect_exact(tarn_conv_transpose2d(v, tarn_cast(w, dtype), NULL, &o), dx);
        tarn_tensor *x_bias = tarn_cast(draw(tm, TARN_SHAPE(s->C), 4), dtype);
        tarn_tensor *y_bias = tarn_cast(draw(tm, TARN_SHAPE(s->O), 5), dtype);
        expect_exact(less(tarn_conv_transpose2d(v, tarn_cast(w, dtype), x_bias, &o), x_bias), dx);
        expect_exact(less(tarn_conv2d(a, b, y_bias, &o), y_bias), y);
        expect_exact(tarn_conv2d_dw(tarn_cast(x, dtype), v, TARN_SHAPE(s->K, s->K), &o), dw);
    }
    free(y);
    free(dx);
    free(dw);
}

/* Room is 1 MiB: of one image less than all windows, of several images some or all. */
static void images_in_pieces(void **state)
{
    static const sizes all[] = {
        { 2, 32, 3, 33, 31, 3, 1, 1, 1 }, /* 961 windows of 288 places: 902 fit, or 451 */
        { 2, 64, 6, 40, 34, 3, 1, 0, 2 }, /* the same in two groups */
        { 1, 8, 2, 9, 300, 9, 1, 4, 1 },  /* pieces of long rows */
        { 5, 16, 8, 32, 32, 3, 2, 1, 1 }, /* 256 windows of 144 places: 5 images fit, or 3 */
        { 4, 700, 3, 4, 4, 3, 1, 1, 1 },  /* so many places that only 64 windows are done */
        { 3, 5, 7, 20, 30, 1, 1, 0, 1 },  /* no columns at all */
        { 40, 8, 8, 9, 9, 3, 1, 1, 8 },   /* each channel alone */
        { 3, 5, 5, 28, 28, 3, 1, 1, 5 },  /* the same, of rows of about two blocks, */
        { 2, 3, 9, 17, 16, 3, 1, 0, 3 },  /* of three results a channel, */
        { 2, 2, 2, 6, 33, 5, 1, 2, 2 },   /* of 25 places, */
        { 1, 2, 4, 90, 70, 2, 1, 1, 2 },  /* in several bands, */
        { 2, 3, 3, 5, 4, 4, 1, 3, 3 },    /* of more padding than reach, */
        { 1, 2, 2, 4, 300, 3, 1, 5, 2 },  /* of rows that are all padding, */
        { 1, 1, 5, 9, 9, 3, 1, 1, 1 },    /* of too many results, */
        { 3, 4, 6, 14, 28, 2, 2, 0, 1 },  /* tiles, of rows of 14, */
        { 2, 4, 4, 8, 66, 2, 2, 0, 2 },   /* 33, */
        { 2, 2, 3, 20, 6, 2, 2, 0, 1 },   /* and 3 windows */
        { 2, 4, 4, 15, 15, 3, 2, 1, 4 },  /* and of windows that lie apart */
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) check_pieces(MANAGER(state), &all[i]);
}

/* A convolution asks for its result and for about a mebibyte of room, however large the image. */
static void room_is_bounded(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    TARN_NO_GRAD(tm);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 8, 256, 256));
    tarn_tensor *w = tarn_ones(tm, TARN_F32, TARN_SHAPE(8, 8, 3, 3));
    tarn_pool_reset_peaks(f->pool);
    const size_t before = tarn_pool_get_stats(f->pool).current_usage;
    tarn_tensor *y = tarn_conv2d(x, w, NULL, &(tarn_conv_options){ .padding = { 1, 1 } });
    const size_t most = tarn_pool_get_stats(f->pool).peak_usage - before;
    const size_t result = (size_t)tarn_numel(y) * sizeof(float);
    assert_in_range(most, result + 900000, result + (1 << 20));

    tarn_pool_reset_peaks(f->pool);
    const size_t held = tarn_pool_get_stats(f->pool).current_usage;
    tarn_tensor *one = tarn_ones(tm, TARN_F32, TARN_SHAPE(8, 8, 1, 1));
    const size_t bytes = 64 * sizeof(float);
    assert_non_null(tarn_conv2d(x, one, NULL, NULL)); /* none */
    assert_int_equal(tarn_pool_get_stats(f->pool).peak_usage - held, result + bytes);
}

/* The gradient of a bias that every window uses is summed in double. */
static void gradients_of_biases_are_exact(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const int64_t n = INT64_C(1) << 18;
    tarn_tensor *b = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(2)));
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(4, 1, n));
    tarn_tensor *w = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 1, 1));
    tarn_tensor *y = tarn_conv1d(x, w, b, NULL);
    tarn_tensor *dy = tarn_full(tm, TARN_F32, TARN_SHAPE(4, 2, n), 0.1);
    check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = dy }), TARN_OK);
    const double sum = (double)(4 * n) * (double)0.1F;
    check_close(tarn_grad_of(b), ((const double[]){ sum, sum }), 2, 0x1p-24 * sum);
}

/* ---- particular shapes */

static void one_dimension_is_two_of_one_row(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const tarn_conv_options one = { .stride = { 2, 7 }, .padding = { 3, 7 }, .groups = 2 };
    const tarn_conv_options two = { .stride = { 1, 2 }, .padding = { 0, 3 }, .groups = 2 };
    tarn_tensor *x = tarn_random_normal(tm, TARN_F32, TARN_SHAPE(3, 4, 50), 0, 1, 1);
    tarn_tensor *w = tarn_random_normal(tm, TARN_F32, TARN_SHAPE(6, 2, 5), 0, 1, 2);
    tarn_tensor *y = tarn_conv1d(x, w, NULL, &one);
    tarn_tensor *same = tarn_conv2d(tarn_reshape(x, TARN_SHAPE(3, 4, 1, 50)),
                                    tarn_reshape(w, TARN_SHAPE(6, 2, 1, 5)), NULL, &two);
    assert_int_equal(tarn_dim(y, 2), 26);
    assert_memory_equal(tarn_data(y), tarn_data(same), (size_t)tarn_numel(y) * sizeof(float));
}

static void without_images(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(tarn_zeros(tm, TARN_F32, TARN_SHAPE(0, 2, 5, 5)));
    tarn_tensor *w = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(3, 2, 3, 3)));
    tarn_tensor *b = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(3)));
    tarn_tensor *y = tarn_max_pool2d(tarn_conv2d(x, w, b, NULL), TARN_SHAPE(2, 2), NULL);
    assert_int_equal(tarn_dim(y, 0), 0);
    assert_int_equal(tarn_dim(y, 3), 1);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_sum(tarn_abs(tarn_grad_of(w)), TARN_ALL_AXES), 0);
    EXPECT(tarn_grad_of(b), 0, 0, 0);
}

static void without_channels(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *b = TENSOR(tm, TARN_F64, TARN_SHAPE(2), 3, 4);
    tarn_tensor *x = tarn_zeros(tm, TARN_F64, TARN_SHAPE(1, 0, 2, 2));
    EXPECT(tarn_conv2d(x, tarn_zeros(tm, TARN_F64, TARN_SHAPE(2, 0, 2, 1)), b, NULL), 3, 3, 4, 4);
    EXPECT(tarn_conv_transpose2d(x, tarn_zeros(tm, TARN_F64, TARN_SHAPE(0, 2, 1, 1)), b, NULL), 3,
           3, 3, 3, 4, 4, 4, 4);
}

/* ---- pooling */

#define EXPECT_GRADIENT(leaf, y, ...)                                       \
    do {                                                                    \
        tarn_zero_grad(leaf);                                               \
        check_status(tarn_backward(tarn_sum((y), TARN_ALL_AXES)), TARN_OK); \
        EXPECT(tarn_grad_of(leaf), __VA_ARGS__);                            \
    } while (0)

static void the_first_of_equals_wins(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int type = TARN_F32; type <= TARN_F64; type++) {
        tarn_tensor *x = tarn_require_grad(
            TENSOR(tm, (tarn_dtype)type, TARN_SHAPE(1, 1, 2, 4), 3, 3, 1, 5, 3, 3, 5, 5));
        EXPECT_GRADIENT(x, tarn_max_pool2d(x, TARN_SHAPE(2, 2), NULL), 1, 0, 0, 1, 0, 0, 0, 0);
        EXPECT_GRADIENT(x, tarn_adaptive_max_pool2d(x, TARN_SHAPE(1, 1)), 0, 0, 0, 1, 0, 0, 0, 0);
    }
}

static void nan_wins_and_padding_never_does(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const tarn_pooling_options o = { .stride = { 1, 1 }, .padding = { 1, 1 } };
    for (int type = TARN_F32; type <= TARN_F64; type++) {
        tarn_tensor *x = tarn_require_grad(
            TENSOR(tm, (tarn_dtype)type, TARN_SHAPE(1, 1, 5), -INFINITY, -INFINITY, -1, NAN, NAN));
        EXPECT(tarn_max_pool1d(x, 2, &o), -INFINITY, -INFINITY, -1, NAN, NAN, NAN);
        EXPECT_GRADIENT(x, tarn_max_pool1d(x, 2, &o), 2, 0, 1, 2, 1);
        EXPECT_GRADIENT(x, tarn_max_pool1d(x, 5, NULL), 0, 0, 0, 1, 0);
        EXPECT(tarn_avg_pool1d(x, 2, NULL), -INFINITY, NAN);
    }
}

static void means_count_padding_or_not(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(TENSOR(tm, TARN_F32, TARN_SHAPE(1, 1, 3), 6, 12, 18));
    tarn_pooling_options o = { .stride = { 2 }, .padding = { 1 } };
    EXPECT(tarn_avg_pool1d(x, 3, &o), 6, 10);
    EXPECT(tarn_avg_pool1d(x, 2, &o), 3, 15);
    o.count_inside = true;
    EXPECT(tarn_avg_pool1d(x, 3, &o), 9, 15);
    EXPECT(tarn_avg_pool1d(x, 2, &o), 6, 15);
    EXPECT_GRADIENT(x, tarn_avg_pool1d(x, 3, &o), 0.5, 1, 0.5);
}

/* Backward reads places, not x: that may change, or be gone. */
static void x_is_not_kept(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *leaf = tarn_require_grad(TENSOR(tm, TARN_F32, TARN_SHAPE(1, 1, 4), 1, 2, 4, 3));
    tarn_tensor *x = tarn_add_scalar(leaf, 1);
    tarn_tensor *y = tarn_max_pool1d(x, 2, NULL);
    check_status(tarn_fill_with(x, 0), TARN_OK);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(leaf), 0, 1, 1, 0);

    /* Without a recording, there are no places. */
    TARN_NO_GRAD(tm);
    const size_t before = tarn_pool_get_stats(tarn_manager_pool(tm)).live_blocks;
    assert_non_null(tarn_max_pool1d(leaf, 2, NULL));
    assert_int_equal(tarn_pool_get_stats(tarn_manager_pool(tm)).live_blocks, before + 1);
}

/* ---- what is refused */

static void sizes_that_do_not_come_out(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 4, 6));
    tarn_tensor *w = tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 7, 5));
    tarn_tensor *small = tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 1, 3));
    tarn_tensor *sequence = tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 3));
    REFUSES(tarn_conv2d(x, w, NULL, NULL), TARN_ESHAPE,
            "conv2d: x [1,1,4,6], w [1,1,7,5]: y would have the size (4 + 2 * 0 - 1 * (7 - 1) - 1) "
            "/ 1 + 1 = -2 along axis 2; a smaller kernel or a padding of at least 2 is needed");
    REFUSES(
        tarn_conv2d(x, w, NULL, &(tarn_conv_options){ .stride = { 2, 1 }, .padding = { 1, 1 } }),
        TARN_ESHAPE,
        "conv2d: x [1,1,4,6], w [1,1,7,5]: y would have the size (4 + 2 * 1 - 1 * (7 - 1) - 1) "
        "/ 2 + 1 = 0 along axis 2; a smaller kernel or a padding of at least 2 is needed");
    REFUSES(tarn_conv2d(x, small, NULL, &(tarn_conv_options){ .dilation = { 1, 3 } }), TARN_ESHAPE,
            "conv2d: x [1,1,4,6], w [1,1,1,3]: y would have the size (6 + 2 * 0 - 3 * (3 - 1) - 1) "
            "/ 1 + 1 = 0 along axis 3; a smaller kernel, less dilation or a padding of at least 1 "
            "is needed");
    assert_int_equal(
        tarn_dim(tarn_conv2d(x, small, NULL,
                             &(tarn_conv_options){ .padding = { 0, 1 }, .dilation = { 1, 3 } }),
                 3),
        2);
    REFUSES(tarn_conv1d(sequence, tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 4)), NULL, NULL),
            TARN_ESHAPE,
            "conv1d: x [1,1,3], w [1,1,4]: y would have the size (3 + 2 * 0 - 1 * (4 - 1) - 1) / 1 "
            "+ 1 = 0 along axis 2; a smaller kernel or a padding of at least 1 is needed");
    REFUSES(tarn_conv_transpose2d(tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 2, 2)), small, NULL,
                                  &(tarn_conv_options){ .padding = { 1, 0 } }),
            TARN_ESHAPE,
            "conv_transpose2d: x [1,1,2,2], w [1,1,1,3]: y would have the size (2 - 1) * 1 - 2 * 1 "
            "+ 1 * (1 - 1) + 0 + 1 = 0 along axis 2; less padding is needed");
    REFUSES(
        tarn_max_pool2d(x, TARN_SHAPE(2, 9), NULL), TARN_ESHAPE,
        "max_pool2d: x [1,1,4,6]: y would have the size (6 + 2 * 0 - 1 * (9 - 1) - 1) / 9 + 1 = "
        "0 along axis 3; a smaller kernel or a padding of at least 2 is needed");
    REFUSES(
        tarn_avg_pool1d(sequence, 4, NULL), TARN_ESHAPE,
        "avg_pool1d: x [1,1,3]: y would have the size (3 + 2 * 0 - 1 * (4 - 1) - 1) / 4 + 1 = 0 "
        "along axis 2; a smaller kernel or a padding of at least 1 is needed");
}

static void shapes_that_do_not_fit(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const tarn_conv_options two = { .groups = 2 };
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 4, 5, 5));
    tarn_tensor *w = tarn_zeros(tm, TARN_F32, TARN_SHAPE(6, 4, 3, 3));
    tarn_tensor *odd = tarn_zeros(tm, TARN_F32, TARN_SHAPE(5, 2, 3, 3));
    tarn_tensor *flat = tarn_zeros(tm, TARN_F32, TARN_SHAPE(4, 5, 5));
    tarn_tensor *dy = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 6, 3, 3));
    REFUSES(tarn_conv2d(flat, w, NULL, NULL), TARN_ESHAPE,
            "conv2d: x [4,5,5], w [6,4,3,3]; x (B, C, H, W) and w (O, C / groups, KH, KW) are "
            "needed (tarn_unsqueeze(x, 0) makes it [1,4,5,5])");
    REFUSES(tarn_conv1d(x, w, NULL, NULL), TARN_ESHAPE,
            "conv1d: x [2,4,5,5], w [6,4,3,3]; x (B, C, L) and w (O, C / groups, K) are needed");
    REFUSES(
        tarn_conv2d(x, w, NULL, &two), TARN_ESHAPE,
        "conv2d: x [2,4,5,5], w [6,4,3,3]: x has 4 channels (axis 1), and w takes 8 in 2 groups");
    REFUSES(tarn_conv2d(x, odd, NULL, NULL), TARN_ESHAPE,
            "conv2d: x [2,4,5,5], w [5,2,3,3]: x has 4 channels (axis 1), and w takes 2");
    REFUSES(tarn_conv2d(x, odd, NULL, &two), TARN_ESHAPE,
            "conv2d: x [2,4,5,5], w [5,2,3,3]: 2 groups do not divide the 5 channels of w");
    REFUSES(tarn_conv2d(x, w, NULL, &(tarn_conv_options){ .groups = 3 }), TARN_ESHAPE,
            "conv2d: x [2,4,5,5], w [6,4,3,3]: 3 groups do not divide the 4 channels of x");
    REFUSES(tarn_conv2d(x, w, tarn_zeros(tm, TARN_F32, TARN_SHAPE(4)), NULL), TARN_ESHAPE,
            "conv2d: w [6,4,3,3], bias [4]; bias (6) is needed");
    REFUSES(tarn_conv2d(x, tarn_zeros(tm, TARN_F32, TARN_SHAPE(6, 4, 0, 3)), NULL, NULL),
            TARN_ESHAPE, "conv2d: x [2,4,5,5], w [6,4,0,3]: the kernel is empty along axis 2");
    REFUSES(tarn_conv2d(tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 4, 5, 0)), w, NULL, NULL),
            TARN_ESHAPE, "conv2d: x [2,4,5,0], w [6,4,3,3]: x is empty along axis 3");
    REFUSES(tarn_conv_transpose2d(x, w, NULL, NULL), TARN_ESHAPE,
            "conv_transpose2d: x [2,4,5,5], w [6,4,3,3]: x has 4 channels (axis 1), and w takes 6");
    REFUSES(tarn_conv_transpose2d(dy, w, tarn_zeros(tm, TARN_F32, TARN_SHAPE(6)), NULL),
            TARN_ESHAPE, "conv_transpose2d: w [6,4,3,3], bias [6]; bias (4) is needed");
    REFUSES(tarn_conv2d_dw(x, dy, TARN_SHAPE(2, 3), NULL), TARN_ESHAPE,
            "conv2d_dw: x [2,4,5,5], dy [2,6,3,3]; dy [2,6,4,3] is needed");
    REFUSES(tarn_conv2d_dw(x, dy, TARN_SHAPE(3, 3, 3), NULL), TARN_EARG,
            "conv2d_dw: kernel has 3 sizes; rows and columns are needed");
    REFUSES(tarn_max_pool2d(flat, TARN_SHAPE(2, 2), NULL), TARN_ESHAPE,
            "max_pool2d: x [4,5,5]; x (B, C, H, W) is needed");
    REFUSES(tarn_avg_pool1d(x, 2, NULL), TARN_ESHAPE,
            "avg_pool1d: x [2,4,5,5]; x (B, C, L) is needed");
    REFUSES(tarn_adaptive_avg_pool2d(tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 0, 3)),
                                     TARN_SHAPE(1, 1)),
            TARN_ESHAPE, "adaptive_avg_pool2d: x [1,1,0,3] is empty along axis 2");
}

static void numbers_out_of_range(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 4, 5, 5));
    tarn_tensor *w = tarn_zeros(tm, TARN_F32, TARN_SHAPE(6, 4, 3, 3));
    const int64_t far = INT64_C(1) << 31;
#define OPTIONS(...) (&(tarn_conv_options){ __VA_ARGS__ })
#define POOLING(...) (&(tarn_pooling_options){ __VA_ARGS__ })
    REFUSES(tarn_conv2d(x, w, NULL, OPTIONS(.stride = { 1, -1 })), TARN_EARG,
            "conv2d: stride is -1; 1 to 2147483647 is possible");
    REFUSES(tarn_conv2d(x, w, NULL, OPTIONS(.padding = { far, 0 })), TARN_EARG,
            "conv2d: padding is 2147483648; 0 to 2147483647 is possible");
    REFUSES(tarn_conv2d(x, w, NULL, OPTIONS(.dilation = { INT64_MIN, 0 })), TARN_EARG,
            "conv2d: dilation is -9223372036854775808; 1 to 2147483647 is possible");
    REFUSES(tarn_conv2d(x, w, NULL, OPTIONS(.groups = -1)), TARN_EARG,
            "conv2d: groups is -1; 1 to 2147483647 is possible");
    REFUSES(tarn_conv_transpose2d(tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 6, 5, 5)), w, NULL,
                                  OPTIONS(.stride = { 2, 2 }, .output_padding = { 1, 2 })),
            TARN_EARG,
            "conv_transpose2d: output_padding is 2; less than the stride, 0 to 1, is possible");
    REFUSES(tarn_conv2d(x, w, NULL, OPTIONS(.padding = { far - 1, far - 1 })), TARN_EOVERFLOW,
            "conv2d: the result would hold too many elements");
    REFUSES(tarn_max_pool2d(x, TARN_SHAPE(0, 2), NULL), TARN_EARG,
            "max_pool2d: kernel is 0; 1 to 2147483647 is possible");
    REFUSES(tarn_max_pool2d(x, TARN_SHAPE(2), NULL), TARN_EARG,
            "max_pool2d: kernel has 1 sizes; rows and columns are needed");
    REFUSES(tarn_max_pool2d(x, TARN_SHAPE(2, 3), POOLING(.padding = { 1, 2 })), TARN_EARG,
            "max_pool2d: padding is 2 with a kernel of 3; at most half of that, 1, is possible");
    REFUSES(tarn_avg_pool2d(x, TARN_SHAPE(2, 3), POOLING(.stride = { -2, 1 })), TARN_EARG,
            "avg_pool2d: stride is -2; 1 to 2147483647 is possible");
    REFUSES(tarn_adaptive_max_pool2d(x, TARN_SHAPE(2, 0)), TARN_EARG,
            "adaptive_max_pool2d: size is 0; 1 to 2147483647 is possible");
#undef OPTIONS
#undef POOLING
}

/* Sizes that only views without elements reach are refused before they are multiplied. */
static void sizes_without_end(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *one = tarn_zeros(tm, TARN_F32, TARN_SHAPE(1, 1, 1));
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(0, 1, INT64_C(1) << 40));
    REFUSES(tarn_conv1d(x, one, NULL, NULL), TARN_ELIMIT,
            "conv1d: x [0,1,1099511627776], w [1,1,1]: sizes along axis 2 are limited to "
            "2147483647");
    REFUSES(tarn_max_pool1d(x, 2, NULL), TARN_ELIMIT,
            "max_pool1d: x [0,1,1099511627776]: sizes along axis 2 are limited to "
            "2147483647");
    tarn_tensor *plane = tarn_zeros(tm, TARN_F32, TARN_SHAPE(0, 1, 65536, 65536));
    REFUSES(tarn_max_pool2d(plane, TARN_SHAPE(2, 2), NULL), TARN_ELIMIT,
            "max_pool2d: x [0,1,65536,65536]: a channel may have 2147483647 elements at most");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(images_in_pieces),
        TEST(room_is_bounded),
        TEST(gradients_of_biases_are_exact),
        TEST(one_dimension_is_two_of_one_row),
        TEST(without_images),
        TEST(without_channels),
        TEST(the_first_of_equals_wins),
        TEST(nan_wins_and_padding_never_does),
        TEST(means_count_padding_or_not),
        TEST(x_is_not_kept),
        TEST(sizes_that_do_not_come_out),
        TEST(shapes_that_do_not_fit),
        TEST(numbers_out_of_range),
        TEST(sizes_without_end),
    };
    return cmocka_run_group_tests_name("conv", tests, NULL, NULL);
}
