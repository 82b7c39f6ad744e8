/* SPDX-License-Identifier: MIT
 * test_shape.c - particulars of views, selection, copies and products: what is shared, what is
 * refused and how it is told. Values and gradients are in the table of cases. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "ops/shapes.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)
#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, dtype, ...)                                                         \
    tarn_cast(tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                              (const double[]){ __VA_ARGS__ }),                        \
              (dtype))
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)
#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

/* 0, 1, 2, ... */
static tarn_tensor *counted(tarn_manager *tm, tarn_shape shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape.ndim; i++) n *= shape.dims[i];
    return tarn_reshape(tarn_arange(tm, TARN_F32, 0, (double)n, 1), shape);
}

static void expect_shape(const tarn_tensor *t, tarn_shape shape)
{
    const tarn_shape actual = tarn_get_shape(t);
    assert_int_equal(actual.ndim, shape.ndim);
    for (int i = 0; i < shape.ndim; i++) assert_int_equal(actual.dims[i], shape.dims[i]);
}

/* ---- views */

static void views_share_storage(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3, 4));
    const float *data = tarn_data(x);
    tarn_tensor *p = tarn_permute(x, TARN_AXES(2, 0, 1));
    expect_shape(p, TARN_SHAPE(4, 2, 3));
    assert_ptr_equal(tarn_data(p), data);
    assert_int_equal(tarn_stride(p, 0), 1);
    assert_ptr_equal(tarn_data(tarn_squeeze_all(x)), data);
    assert_ptr_equal(tarn_data(tarn_unsqueeze(p, 1)), data);
    assert_ptr_equal(tarn_data(tarn_flatten(x, 0, -1)), data);
    assert_ptr_equal(tarn_data(tarn_select(x, 1, -1)), data + 8);
    assert_ptr_equal(tarn_data(tarn_slice_step(x, 2, 1, 4, 2)), data + 1);
    assert_int_equal(tarn_stride(tarn_slice_step(x, 2, 1, 4, 2), 2), 2);
    assert_ptr_equal(tarn_data(tarn_broadcast_to(x, TARN_SHAPE(5, 2, 3, 4))), data);

    /* Two axes that lie behind one another are one; others are copied. */
    tarn_tensor *joined = tarn_flatten(tarn_transpose(x, 0, 1), 0, 1);
    expect_shape(joined, TARN_SHAPE(6, 4));
    assert_ptr_not_equal(tarn_data(joined), data);
    EXPECT(tarn_select(joined, 1, 0), 0, 12, 4, 16, 8, 20);
    assert_ptr_equal(tarn_data(tarn_flatten(tarn_slice(x, 2, 0, 2), 0, 1)), data);
}

static void axes_of_size_one_come_and_go(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3));
    expect_shape(tarn_unsqueeze(x, 0), TARN_SHAPE(1, 2, 3));
    expect_shape(tarn_unsqueeze(x, -1), TARN_SHAPE(2, 3, 1));
    expect_shape(tarn_unsqueeze(x, -3), TARN_SHAPE(1, 2, 3));
    tarn_tensor *back = tarn_squeeze(tarn_unsqueeze(tarn_transpose(x, 0, 1), 1), 1);
    expect_shape(back, TARN_SHAPE(3, 2));
    EXPECT(back, 0, 3, 1, 4, 2, 5);
    expect_shape(tarn_squeeze_all(tarn_unsqueeze(tarn_unsqueeze(x, 0), 3)), TARN_SHAPE(2, 3));
    assert_true(tarn_is_contiguous(tarn_unsqueeze(x, 1)));
    REFUSES(tarn_squeeze(x, 1), TARN_ESHAPE, "squeeze: axis 1 of x [2,3] has 3 elements, not one");
    REFUSES(tarn_squeeze(x, 2), TARN_EARG, "squeeze: x [2,3] has no axis 2");
    REFUSES(tarn_unsqueeze(x, 3), TARN_EARG, "unsqueeze: axis 3; -3 to 2 are possible for x [2,3]");
    tarn_tensor *most = tarn_zeros(tm, TARN_U8, TARN_SHAPE(1, 1, 1, 1, 1, 1, 1, 1));
    REFUSES(tarn_unsqueeze(most, 0), TARN_ELIMIT,
            "unsqueeze: x [1,1,1,1,1,1,1,1] has 8 dimensions already");
    REFUSES(tarn_one_hot(most, 3, TARN_F32), TARN_ELIMIT,
            "one_hot: labels [1,1,1,1,1,1,1,1] has 8 dimensions already");
    REFUSES(tarn_flatten(x, 1, 0), TARN_EARG, "flatten: axis 0 comes before axis 1");
    REFUSES(tarn_flatten(tarn_zeros(tm, TARN_F32, TARN_SCALAR), 0, 0), TARN_EARG,
            "flatten: x [] has no axis 0");
}

static void views_tell_what_is_wrong(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3));
    REFUSES(tarn_permute(x, TARN_AXES(0)), TARN_EARG, "permute: 1 axes are named; x [2,3] has 2");
    REFUSES(tarn_permute(x, TARN_ALL_AXES), TARN_EARG, "permute: 0 axes are named; x [2,3] has 2");
    REFUSES(tarn_permute(x, TARN_AXES(1, -1)), TARN_EARG,
            "permute: axis -1 of x [2,3] is named twice");
    REFUSES(tarn_permute(x, TARN_AXES(0, 2)), TARN_EARG, "permute: x [2,3] has no axis 2");
    REFUSES(tarn_permute(x, ((tarn_axes){ .n = 9 })), TARN_EARG,
            "permute: axis 0 of x [2,3] is named twice");
    REFUSES(tarn_slice_step(x, 1, 0, 3, 0), TARN_EARG, "slice: step 0; 1 or more is needed");
    REFUSES(tarn_slice_step(x, 1, 2, 4, 2), TARN_EARG,
            "slice: [2, 4) is not inside axis 1 of x [2,3]");
    REFUSES(tarn_select(x, 0, 2), TARN_EARG, "select: 2 is no place of axis 0 of x [2,3]");
    REFUSES(tarn_select(x, -1, -4), TARN_EARG, "select: -4 is no place of axis -1 of x [2,3]");
    REFUSES(tarn_broadcast_to(x, TARN_SHAPE(2, 4)), TARN_ESHAPE,
            "expand: x [2,3] does not expand to [2,4]: sizes must be equal or 1 in x");
    EXPECT(tarn_slice_step(x, 1, 0, 3, INT64_MAX), 0, 3);
}

static void split_makes_slices(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 5)), *parts[3];
    check_status(tarn_split(x, 1, (const int64_t[]){ 1, 0, 4 }, 3, parts), TARN_OK);
    EXPECT(parts[0], 0, 5);
    expect_shape(parts[1], TARN_SHAPE(2, 0));
    EXPECT(parts[2], 1, 2, 3, 4, 6, 7, 8, 9);
    check_status(tarn_split(x, -1, NULL, 3, parts), TARN_OK);
    EXPECT(parts[0], 0, 1, 5, 6);
    EXPECT(parts[1], 2, 3, 7, 8);
    EXPECT(parts[2], 4, 9);

    check_status(tarn_split(x, 1, (const int64_t[]){ 1, 2, 3 }, 3, parts), TARN_ESHAPE);
    assert_null(parts[0]);
    check_error(tm, TARN_ESHAPE, "split: the sizes add up to 6; axis 1 of x [2,5] has 5");
    check_status(tarn_split(x, 1, (const int64_t[]){ 7, -2 }, 2, parts), TARN_EARG);
    check_error(tm, TARN_EARG, "split: part 1 has the size -2");
    check_status(tarn_split(x, 1, (const int64_t[]){ INT64_MAX, 2 }, 2, parts), TARN_EOVERFLOW);
    check_error(tm, TARN_EOVERFLOW, "split: the sizes add up to more than there can be");
    check_status(tarn_split(x, 2, NULL, 2, parts), TARN_EARG);
    check_error(tm, TARN_EARG, "split: x [2,5] has no axis 2");
    check_status(tarn_split(x, 1, NULL, 0, parts), TARN_EARG);
    check_error(tm, TARN_EARG, "split: 0 parts; 1 or more are needed");
    check_status(tarn_split(NULL, 0, NULL, 2, parts), TARN_EARG);
    assert_null(parts[1]);
    check_status(tarn_split(x, 0, NULL, 2, NULL), TARN_EARG);
    check_error(tm, TARN_EARG, "split: parts is NULL");
}

/* ---- copies */

static void every_type_is_copied(void **state)
{
    tarn_manager *tm = MANAGER(state);
    static const tarn_dtype types[] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };
    for (int i = 0; i < 5; i++) {
        tarn_tensor *x = tarn_cast(counted(tm, TARN_SHAPE(2, 3)), types[i]);
        EXPECT(tarn_flip(x, TARN_ALL_AXES), 5, 4, 3, 2, 1, 0);
        EXPECT(tarn_roll(x, 1, -1), 1, 2, 0, 4, 5, 3);
        EXPECT(tarn_tile(x, 1, 2), 0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5);
        EXPECT(tarn_pad(x, TARN_SHAPE(1), TARN_SHAPE(0), 7.9),
               types[i] == TARN_F32   ? 7.9F
               : types[i] == TARN_F64 ? 7.9
                                      : 7,
               0, 1, 2,
               types[i] == TARN_F32   ? 7.9F
               : types[i] == TARN_F64 ? 7.9
                                      : 7,
               3, 4, 5);
        EXPECT(tarn_tril(x, 0), 0, 0, 0, 3, 4, 0);
        EXPECT(tarn_triu(x, 1), 0, 1, 2, 0, 0, 5);
        EXPECT(tarn_concat((tarn_tensor *const[]){ x, x }, 2, 1), 0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4,
               5);
        tarn_tensor *index = VECTOR(tm, TARN_I32, 2, 0);
        EXPECT(tarn_index_select(x, 1, index), 2, 0, 5, 3);
        EXPECT(tarn_gather(x, 1, tarn_unsqueeze(index, 1)), 2, 3);
        assert_int_equal(tarn_get_dtype(tarn_gather(x, 1, tarn_unsqueeze(index, 1))), types[i]);
    }
}

static void zeros_of_triangles_are_zeros(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_full(tm, TARN_F64, TARN_SHAPE(2, 2), NAN);
    EXPECT(tarn_tril(x, 0), NAN, 0, NAN, NAN);
    EXPECT(tarn_triu(x, INT64_MAX), 0, 0, 0, 0);
    EXPECT(tarn_tril(x, INT64_MAX), NAN, NAN, NAN, NAN);
    EXPECT(tarn_tril(x, INT64_MIN), 0, 0, 0, 0);
    EXPECT(tarn_triu(x, INT64_MIN), NAN, NAN, NAN, NAN);
    REFUSES(tarn_triu(tarn_select(x, 0, 0), 0), TARN_ESHAPE,
            "triu: x [2]; a matrix has at least two axes");
}

static void copies_tell_what_is_wrong(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3));
    REFUSES(tarn_flip(x, TARN_AXES(0, 0)), TARN_EARG, "flip: axis 0 of x [2,3] is named twice");
    REFUSES(tarn_roll(x, 2, 1), TARN_EARG, "roll: x [2,3] has no axis 2");
    REFUSES(tarn_tile(x, 0, -1), TARN_EARG, "tile: -1 times");
    REFUSES(tarn_pad(x, TARN_SHAPE(1, 2, 3), TARN_SHAPE(0, 0, 0), 0), TARN_EARG,
            "pad: 3 axes; x [2,3] has 2");
    REFUSES(tarn_pad(x, TARN_SHAPE(1, 2), TARN_SHAPE(0), 0), TARN_EARG,
            "pad: 2 numbers of elements before, 1 after");
    REFUSES(tarn_pad(x, TARN_SHAPE(1), TARN_SHAPE(-1), 0), TARN_EARG,
            "pad: 1 elements before, -1 after axis 1");
    REFUSES(tarn_pad(x, TARN_SHAPE(INT64_MAX), TARN_SHAPE(0), 0), TARN_EOVERFLOW,
            "pad: the result would hold too many elements");
    REFUSES(tarn_pad(x, TARN_SHAPE(INT64_MAX / 8, 0), TARN_SHAPE(0, 0), 0), TARN_EOVERFLOW,
            "pad: the result would hold too many elements");
    REFUSES(tarn__unslice(x, 1, 5, 0, 3), TARN_ESHAPE,
            "unslice: 3 places from 0 on in steps of 3 do not fit into 5");
    REFUSES(tarn__unslice(x, 2, 5, 0, 1), TARN_EARG, "unslice: x [2,3] has no axis 2");
}

/* All axes, which takes two operations. */
static void eight_axes_are_padded(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_shape one = { .ndim = 8 }, none = { .ndim = 8 };
    for (int i = 0; i < 8; i++) one.dims[i] = 1;
    tarn_tensor *x = tarn_require_grad(tarn_full(tm, TARN_F64, one, 3));
    tarn_tensor *y = tarn_pad(x, one, none, 2);
    assert_int_equal(tarn_numel(y), 256);
    assert_int_equal((int)tarn_item(tarn_sum(y, TARN_ALL_AXES)), 255 * 2 + 3);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(x), 1);
}

/* ---- joining */

/* More tensors than an operation has operands, of several sizes: values, gradients, and nothing
 * left of what was made on the way. */
static void many_tensors_are_joined(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int n = 1; n <= 131; n += 13) {
        TARN_SCOPE(tm);
        tarn_tensor *all[131];
        int64_t total = 0;
        for (int i = 0; i < n; i++) {
            all[i] = tarn_require_grad(tarn_full(tm, TARN_F32, TARN_SHAPE(2, i % 4), i));
            total += i % 4;
        }
        const uint64_t before = tarn_manager_get_stats(tm).active;
        tarn_tensor *y = tarn_concat(all, n, 1);
        assert_int_equal(tarn_manager_get_stats(tm).active, before + 1);
        expect_shape(y, TARN_SHAPE(2, total));
        const float *data = tarn_data(y);
        for (int i = 0, at = 0; i < n; i++)
            for (int k = 0; k < i % 4; k++, at++) {
                assert_int_equal((int)data[at], i);
                assert_int_equal((int)data[total + at], i);
            }
        if (total == 0) continue;
        tarn_tensor *weights = counted(tm, TARN_SHAPE(2, total));
        check_status(tarn_backward(tarn_sum(tarn_mul(y, weights), TARN_ALL_AXES)), TARN_OK);
        for (int i = 0, at = 0; i < n; i++) {
            const float *grad = tarn_data(tarn_grad_of(all[i]));
            for (int k = 0; k < i % 4; k++, at++) {
                assert_int_equal((int)grad[k], at);
                assert_int_equal((int)grad[i % 4 + k], total + at);
            }
        }
    }
}

static void many_tensors_are_stacked(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *all[40];
    for (int i = 0; i < 40; i++) all[i] = tarn_full(tm, TARN_I64, TARN_SHAPE(3), i);
    const uint64_t before = tarn_manager_get_stats(tm).handles;
    tarn_tensor *y = tarn_stack(all, 40, -1);
    assert_int_equal(tarn_manager_get_stats(tm).handles, before + 1);
    expect_shape(y, TARN_SHAPE(3, 40));
    const int64_t *data = tarn_data(y);
    for (int i = 0; i < 120; i++) assert_int_equal(data[i], i % 40);
    expect_shape(tarn_stack(all, 1, 0), TARN_SHAPE(1, 3));
    tarn_tensor *copy = tarn_concat(all, 1, 0);
    assert_ptr_not_equal(tarn_data(copy), tarn_data(all[0]));
}

static void joining_names_what_does_not_fit(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *a = counted(tm, TARN_SHAPE(2, 3)), *b = counted(tm, TARN_SHAPE(2, 4));
    tarn_tensor *c = tarn_cast(a, TARN_F64), *scalar = tarn_zeros(tm, TARN_F32, TARN_SCALAR);
    tarn_tensor *const sizes[] = { a, a, a, a, a, a, b, a };
    tarn_tensor *const types[] = { a, a, a, a, a, a, a, c };
    tarn_tensor *const missing[] = { a, a, NULL, a, a, a, a };
    tarn_tensor *const scalars[] = { scalar, scalar };
    REFUSES(tarn_concat(sizes, 8, 0), TARN_ESHAPE,
            "concat: tensor 0 [2,3], tensor 6 [2,4]: they may differ along axis 0 alone");
    assert_non_null(tarn_concat(sizes, 8, 1));
    REFUSES(tarn_stack(sizes, 8, 0), TARN_ESHAPE,
            "stack: tensor 0 [2,3], tensor 6 [2,4]: one shape is needed");
    REFUSES(tarn_concat(types, 8, 0), TARN_EDTYPE,
            "concat: tensor 0 is float32, tensor 7 is float64; one type is needed (tarn_cast "
            "converts)");
    REFUSES(tarn_stack(missing, 7, 0), TARN_EARG,
            "stack: tensor 2 is NULL, but no call before failed: was it ever made?");
    REFUSES(tarn_concat(sizes, 2, 2), TARN_EARG, "concat: tensor 0 [2,3] has no axis 2");
    REFUSES(tarn_stack(sizes, 2, 3), TARN_EARG, "stack: axis 3; -3 to 2 are possible for [2,3]");
    REFUSES(tarn_concat(scalars, 2, 0), TARN_EARG, "concat: tensor 0 [] has no axis 0");
    EXPECT(tarn_stack(scalars, 2, 0), 0, 0);
    tarn_tensor *most = tarn_zeros(tm, TARN_U8, TARN_SHAPE(1, 1, 1, 1, 1, 1, 1, 1));
    REFUSES(tarn_stack(&most, 1, 0), TARN_ELIMIT,
            "stack: tensor 0 [1,1,1,1,1,1,1,1] has 8 dimensions already");
    assert_null(tarn_concat(NULL, 3, 0));
    assert_null(tarn_concat(sizes, 0, 0));
    check_no_error(tm);
    tarn_tensor *wide =
        tarn_expand(tarn_zeros(tm, TARN_U8, TARN_SHAPE(1)), TARN_SHAPE(INT64_MAX / 2 + 1));
    REFUSES(tarn_concat((tarn_tensor *const[]){ wide, wide }, 2, 0), TARN_EOVERFLOW,
            "concat: the result would hold too many elements");
}

/* ---- indices */

static void one_hot_of_every_kind(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EXPECT(tarn_one_hot(VECTOR(tm, TARN_U8, 2, 0), 3, TARN_I64), 0, 0, 1, 1, 0, 0);
    expect_shape(tarn_one_hot(tarn_zeros(tm, TARN_I32, TARN_SHAPE(2, 0)), 0, TARN_F32),
                 TARN_SHAPE(2, 0, 0));
    tarn_tensor *labels = tarn_reshape(VECTOR(tm, TARN_I64, 1, 2, 0, 3), TARN_SHAPE(2, 2));
    REFUSES(tarn_one_hot(labels, 3, TARN_F32), TARN_EARG,
            "one_hot: label 3 at [1,1] is not in [0, 3)");
    REFUSES(tarn_one_hot(VECTOR(tm, TARN_I32, 0, -1), 3, TARN_F32), TARN_EARG,
            "one_hot: label -1 at [1] is not in [0, 3)");
    REFUSES(tarn_one_hot(VECTOR(tm, TARN_F32, 0), 3, TARN_F32), TARN_EDTYPE,
            "one_hot: label is float32; int32, int64 or uint8 is needed (tarn_cast converts)");
    REFUSES(tarn_one_hot(labels, -1, TARN_F32), TARN_EARG, "one_hot: -1 classes");
    REFUSES(tarn_one_hot(labels, 3, (tarn_dtype)17), TARN_EDTYPE, "one_hot: 17 is no element type");
}

/* The same place many times: one sum of doubles, rounded once. */
static void sums_at_one_place_are_exact(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const int64_t n = INT64_C(1) << 20;
    tarn_tensor *ones = tarn_ones(tm, TARN_F32, TARN_SHAPE(3));
    tarn_tensor *src = tarn_full(tm, TARN_F32, TARN_SHAPE(n), 0.1);
    tarn_tensor *index = tarn_full(tm, TARN_U8, TARN_SHAPE(n), 1);
    const double sum = (double)(float)(1 + (double)n * (double)0.1F);
    EXPECT(tarn_scatter_add(ones, 0, index, src), 1, sum, 1);
    EXPECT(tarn_index_add(ones, 0, index, src), 1, sum, 1);
    tarn_tensor *x = tarn_require_grad(tarn_zeros(tm, TARN_F32, TARN_SHAPE(3)));
    for (int which = 0; which < 2; which++) {
        tarn_tensor *y = which == 0 ? tarn_gather(x, 0, index) : tarn_index_select(x, 0, index);
        check_status(tarn_zero_grad(x), TARN_OK);
        check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = src }), TARN_OK);
        EXPECT(tarn_grad_of(x), 0, (double)(float)((double)n * (double)0.1F), 0);
    }
}

static void an_index_may_be_a_view(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = counted(tm, TARN_SHAPE(3, 4));
    tarn_tensor *row = VECTOR(tm, TARN_I64, 3, 0);
    EXPECT(tarn_gather(x, 1, tarn_expand(row, TARN_SHAPE(3, 2))), 3, 0, 7, 4, 11, 8);
    tarn_tensor *t = tarn_transpose(x, 0, 1); /* (4, 3) */
    EXPECT(tarn_index_select(t, 0, row), 3, 7, 11, 0, 4, 8);
    EXPECT(
        tarn_index_add(tarn_zeros(tm, TARN_F32, TARN_SHAPE(4, 3)), 0, row, tarn_slice(t, 0, 1, 3)),
        2, 6, 10, 0, 0, 0, 0, 0, 0, 1, 5, 9);
}

static void indices_are_checked(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3));
    tarn_tensor *index = tarn_reshape(VECTOR(tm, TARN_I64, 0, 1, 2, 3), TARN_SHAPE(2, 2));
    tarn_tensor *list = VECTOR(tm, TARN_I32, 0, -1), *wrong = VECTOR(tm, TARN_F32, 0, 1);
    tarn_tensor *src = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 2));
    tarn_tensor *small = tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 2));
    REFUSES(tarn_gather(x, 1, index), TARN_EARG, "gather: index 3 at [1,1] is not in [0, 3)");
    REFUSES(tarn_scatter_add(x, -1, index, src), TARN_EARG,
            "scatter_add: index 3 at [1,1] is not in [0, 3)");
    REFUSES(tarn_index_select(x, 0, list), TARN_EARG,
            "index_select: index -1 at [1] is not in [0, 2)");
    REFUSES(tarn_index_add(x, 1, list, src), TARN_EARG,
            "index_add: index -1 at [1] is not in [0, 3)");
    REFUSES(tarn_gather(x, 2, index), TARN_EARG, "gather: x [2,3] has no axis 2");
    REFUSES(tarn_index_select(x, 0, wrong), TARN_EDTYPE,
            "index_select: index is float32; int32, int64 or uint8 is needed (tarn_cast converts)");
    REFUSES(
        tarn_gather(x, 1, list), TARN_ESHAPE,
        "gather: x [2,3], index [2]: as many axes are needed, none of index longer than that of "
        "x but the one gathered along");
    REFUSES(tarn_scatter_add(x, 1, index, small), TARN_ESHAPE,
            "scatter_add: x [2,3], index [2,2], src [1,2]: as many axes are needed, none of index "
            "longer than that of src, nor than that of x but the one scattered along");
    REFUSES(tarn_index_select(x, 1, index), TARN_ESHAPE,
            "index_select: x [2,3], index [2,2]: an index of one axis is needed");
    REFUSES(tarn_index_add(x, 1, list, small), TARN_ESHAPE,
            "index_add: x [2,3], index [2], src [1,2]: src is to have the shape of x with as many "
            "places along the axis as the index");
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

/* ---- products */

static void products_of_vectors(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *a = counted(tm, TARN_SHAPE(3)), *m = counted(tm, TARN_SHAPE(2, 3));
    tarn_tensor *two = counted(tm, TARN_SHAPE(2)), *scalar = tarn_ones(tm, TARN_F32, TARN_SCALAR);
    expect_shape(tarn_matmul(a, a), TARN_SCALAR);
    EXPECT(tarn_dot(a, a), 5);
    EXPECT(tarn_matmul(m, a), 5, 14);
    EXPECT(tarn_matmul(two, m), 3, 4, 5);
    EXPECT(tarn_outer(two, a), 0, 0, 0, 0, 1, 2);
    expect_shape(tarn_matmul(a, tarn_zeros(tm, TARN_F32, TARN_SHAPE(5, 3, 2))), TARN_SHAPE(5, 2));

    /* A column of a matrix is not copied. */
    tarn_tensor *column = tarn_select(m, 1, 2);
    const uint64_t before = tarn_manager_get_stats(tm).created;
    EXPECT(tarn_matmul(two, column), 5);
    assert_int_equal(tarn_manager_get_stats(tm).created, before + 1);
    EXPECT(tarn_matmul(tarn_expand(scalar, TARN_SHAPE(2)), two), 1);

    REFUSES(tarn_matmul(m, two), TARN_ESHAPE,
            "matmul: a [2,3], b [2]: rows of a have 3 elements, and columns of b 2");
    REFUSES(tarn_matmul(a, m), TARN_ESHAPE,
            "matmul: a [3], b [2,3]: rows of a have 3 elements, and columns of b 2 "
            "(tarn_transpose(b, -2, -1) makes it [3,2])");
    REFUSES(tarn_matmul(scalar, m), TARN_ESHAPE,
            "matmul: a [], b [2,3]: a scalar is neither matrix nor vector; tarn_mul multiplies by "
            "it");
    REFUSES(tarn_dot(a, m), TARN_ESHAPE, "dot: a [3], b [2,3]: vectors are needed");
    REFUSES(tarn_outer(scalar, a), TARN_ESHAPE, "outer: a [], b [3]: vectors are needed");
}

/* The fused layer gives the bits of its two operations, forward and backward, in both types. */
static void a_fused_activation_gives_the_same_bits(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int type = TARN_F32; type <= TARN_F64; type++)
        for (int f = TARN_RELU; f <= TARN_SILU; f++) {
            TARN_SCOPE(tm);
            tarn_tensor *in[3], *grads[2][3], *out[2];
            const tarn_dtype dtype = (tarn_dtype)type;
            in[0] = tarn_random_normal(tm, dtype, TARN_SHAPE(7, 20), 0, 1, 1);
            in[1] = tarn_random_normal(tm, dtype, TARN_SHAPE(30, 20), 0, 0.3, 2);
            in[2] = tarn_random_normal(tm, dtype, TARN_SHAPE(30), 0, 1, 3);
            for (int i = 0; i < 3; i++) in[i] = tarn_require_grad(in[i]);
            for (int fused = 0; fused < 2; fused++) {
                tarn_tensor *y;
                if (fused) {
                    y = tarn_affine_act(in[0], in[1], in[2], (tarn_activation)f);
                } else {
                    y = tarn_affine(in[0], in[1], in[2]);
                    y = f == TARN_RELU      ? tarn_relu(y)
                        : f == TARN_TANH    ? tarn_tanh(y)
                        : f == TARN_SIGMOID ? tarn_sigmoid(y)
                        : f == TARN_GELU    ? tarn_gelu(y)
                        : f == TARN_SILU    ? tarn_silu(y)
                                            : tarn_leaky_relu(y, 0.01);
                }
                out[fused] = tarn_keep(y);
                check_status(tarn_backward(tarn_sum(tarn_square(y), TARN_ALL_AXES)), TARN_OK);
                for (int i = 0; i < 3; i++) {
                    grads[fused][i] = tarn_tile(tarn_grad_of(in[i]), 0, 1);
                    check_status(tarn_zero_grad(in[i]), TARN_OK);
                }
            }
            const size_t size = tarn_dtype_size(dtype);
            assert_memory_equal(tarn_data(out[1]), tarn_data(out[0]), 210 * size);
            for (int i = 0; i < 3; i++)
                assert_memory_equal(tarn_data(grads[1][i]), tarn_data(grads[0][i]),
                                    (size_t)tarn_numel(in[i]) * size);
        }
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3));
    REFUSES(tarn_affine_act(x, x, NULL, (tarn_activation)-1), TARN_EARG,
            "affine_act: unknown activation -1");
    REFUSES(tarn_affine_act(x, tarn_transpose(x, 0, 1), NULL, TARN_RELU), TARN_ESHAPE,
            "affine: x [2,3], w [3,2]: rows of x have 3 elements, and w takes 2 (tarn_transpose(x, "
            "-2, -1) makes it [3,2])");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(views_share_storage),
        TEST(axes_of_size_one_come_and_go),
        TEST(views_tell_what_is_wrong),
        TEST(split_makes_slices),
        TEST(every_type_is_copied),
        TEST(zeros_of_triangles_are_zeros),
        TEST(copies_tell_what_is_wrong),
        TEST(eight_axes_are_padded),
        TEST(many_tensors_are_joined),
        TEST(many_tensors_are_stacked),
        TEST(joining_names_what_does_not_fit),
        TEST(one_hot_of_every_kind),
        TEST(sums_at_one_place_are_exact),
        TEST(an_index_may_be_a_view),
        TEST(indices_are_checked),
        TEST(products_of_vectors),
        TEST(a_fused_activation_gives_the_same_bits),
    };
    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
