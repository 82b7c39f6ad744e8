/* SPDX-License-Identifier: MIT
 * test_views.c - reshape, transpose, slice, expand, detach: layouts, sharing, lives, errors,
 * gradients. */
#include <tarn/tarn.h>

#include "check.h"

/* ---- layouts */

/* 0, 1, 2, ... in a shape. */
static tarn_tensor *counted(tarn_manager *tm, tarn_shape shape)
{
    tarn_tensor *t = tarn_empty(tm, TARN_F64, shape);
    double *x = tarn_data_mut(t);
    for (int64_t i = 0; i < tarn_numel(t); i++) x[i] = (double)i;
    return t;
}

static void expect_sizes(const tarn_tensor *t, int ndim, const int64_t *dims)
{
    assert_non_null(t);
    assert_int_equal(tarn_ndim(t), ndim);
    for (int i = 0; i < ndim; i++) assert_int_equal(tarn_dim(t, i), dims[i]);
}

static void expect_strides(const tarn_tensor *t, const int64_t *strides)
{
    for (int i = 0; i < tarn_ndim(t); i++) assert_int_equal(tarn_stride(t, i), strides[i]);
}

#define COUNT(type, ...) ((int)(sizeof((const type[]){ __VA_ARGS__ }) / sizeof(type)))
#define EXPECT_SIZES(t, ...) \
    expect_sizes((t), COUNT(int64_t, __VA_ARGS__), (const int64_t[]){ __VA_ARGS__ })
#define EXPECT_STRIDES(t, ...) expect_strides((t), (const int64_t[]){ __VA_ARGS__ })

/* The elements in order, exactly. */
#define EXPECT_VALUES(t, ...) \
    check_close((t), ((const double[]){ __VA_ARGS__ }), (size_t)COUNT(double, __VA_ARGS__), 0)

/* How far into `base` a view begins, in elements. */
static int64_t offset_of(tarn_tensor *view, tarn_tensor *base)
{
    return (const double *)tarn_data(view) - (const double *)tarn_data(base);
}

/* ---- reshape */

static void reshape_shares_storage(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3, 4));
    const tarn_manager_stats before = tarn_manager_get_stats(tm);
    tarn_tensor *y = tarn_reshape(x, TARN_SHAPE(6, 4));
    EXPECT_SIZES(y, 6, 4);
    EXPECT_STRIDES(y, 4, 1);
    assert_true(tarn_is_contiguous(y));
    assert_ptr_equal(tarn_data(y), tarn_data(x));
    EXPECT_SIZES(tarn_reshape(x, TARN_SHAPE(-1)), 24);
    EXPECT_SIZES(tarn_reshape(x, TARN_SHAPE(4, -1, 2)), 4, 3, 2);
    EXPECT_SIZES(tarn_reshape(x, TARN_SHAPE(24, -1)), 24, 1);
    EXPECT_SIZES(tarn_reshape(x, TARN_SHAPE(1, 24, 1)), 1, 24, 1);
    const tarn_manager_stats after = tarn_manager_get_stats(tm);
    assert_int_equal(after.views - before.views, 5);
    assert_int_equal(after.created, before.created);
    assert_int_equal(after.total_memory, before.total_memory);
}

static void reshape_of_scalars_and_empty_tensors(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *s = tarn_full(tm, TARN_F64, TARN_SCALAR, 5);
    EXPECT_SIZES(tarn_reshape(s, TARN_SHAPE(1, 1)), 1, 1);
    EXPECT_SIZES(tarn_reshape(s, TARN_SHAPE(-1)), 1);
    tarn_tensor *one = tarn_reshape(tarn_reshape(s, TARN_SHAPE(1, 1, 1)), TARN_SCALAR);
    assert_int_equal(tarn_ndim(one), 0);
    assert_true(tarn_item(one) == 5);

    tarn_tensor *empty = tarn_zeros(tm, TARN_F64, TARN_SHAPE(0, 3));
    EXPECT_SIZES(tarn_reshape(empty, TARN_SHAPE(3, 0)), 3, 0);
    EXPECT_SIZES(tarn_reshape(empty, TARN_SHAPE(0)), 0);
    EXPECT_SIZES(tarn_reshape(empty, TARN_SHAPE(-1, 3)), 0, 3);
    EXPECT_SIZES(tarn_reshape(tarn_transpose(empty, 0, 1), TARN_SHAPE(7, 0, 2)), 7, 0, 2);
    assert_null(tarn_reshape(empty, TARN_SHAPE(0, -1)));
    check_error(tm, TARN_ESHAPE, "reshape: x [0,3] with 0 elements does not fit into [0,-1]");
    assert_null(tarn_reshape(empty, TARN_SHAPE(1)));
    check_error(tm, TARN_ESHAPE, "reshape: x [0,3] with 0 elements does not fit into [1]");
    assert_null(tarn_reshape(empty, TARN_SCALAR));
    check_error(tm, TARN_ESHAPE, "reshape: x [0,3] with 0 elements does not fit into []");
}

static void reshape_of_strided_operands(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(4, 6));
    tarn_tensor *left = tarn_slice(x, 1, 0, 4); /* strides 6, 1 */
    tarn_tensor *split = tarn_reshape(left, TARN_SHAPE(2, 2, 1, 2, 2));
    EXPECT_STRIDES(split, 12, 6, 4, 2, 1);
    assert_ptr_equal(tarn_data(split), tarn_data(x));
    EXPECT_VALUES(split, 0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15, 18, 19, 20, 21);
    assert_null(tarn_reshape(left, TARN_SHAPE(16)));
    check_error(tm, TARN_ESHAPE,
                "reshape: the strides of x [4,4] allow no view as [16]: use "
                "tarn_contiguous first");
    assert_null(tarn_reshape(left, TARN_SHAPE(2, 8)));
    check_error(tm, TARN_ESHAPE,
                "reshape: the strides of x [4,4] allow no view as [2,8]: use "
                "tarn_contiguous first");
    tarn_tensor *copied = tarn_reshape(tarn_contiguous(left), TARN_SHAPE(2, 8));
    EXPECT_VALUES(copied, 0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15, 18, 19, 20, 21);
    assert_true(tarn_data(copied) != tarn_data(x));

    tarn_tensor *turned = tarn_set_name(tarn_transpose(x, 0, 1), "turned");
    assert_null(tarn_reshape(turned, TARN_SHAPE(-1)));
    check_error(tm, TARN_ESHAPE,
                "reshape: the strides of x \"turned\" [6,4] allow no view as [24]: "
                "use tarn_contiguous first");
    EXPECT_STRIDES(tarn_reshape(turned, TARN_SHAPE(2, 3, 4)), 3, 1, 6);

    tarn_tensor *repeated = tarn_expand(tarn_slice(x, 1, 2, 3), TARN_SHAPE(4, 6)); /* 6, 0 */
    EXPECT_STRIDES(tarn_reshape(repeated, TARN_SHAPE(4, 2, 3)), 6, 0, 0);
    assert_null(tarn_reshape(repeated, TARN_SHAPE(24)));
    check_error(tm, TARN_ESHAPE,
                "reshape: the strides of x [4,6] allow no view as [24]: use "
                "tarn_contiguous first");
}

static void reshape_tells_what_is_wrong(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = tarn_set_name(counted(tm, TARN_SHAPE(2, 3)), "x0");
    assert_null(tarn_reshape(x, TARN_SHAPE(4)));
    check_error(tm, TARN_ESHAPE, "reshape: x \"x0\" [2,3] with 6 elements does not fit into [4]");
    assert_null(tarn_reshape(x, TARN_SHAPE(4, -1)));
    check_error(tm, TARN_ESHAPE,
                "reshape: x \"x0\" [2,3] with 6 elements does not fit into [4,-1]");
    assert_null(tarn_reshape(x, TARN_SHAPE(-1, -1)));
    check_error(tm, TARN_ESHAPE, "reshape: size -1 of axis 1; one -1 is possible");
    assert_null(tarn_reshape(x, TARN_SHAPE(-2, 3)));
    check_error(tm, TARN_ESHAPE, "reshape: size -2 of axis 0; one -1 is possible");
    assert_null(tarn_reshape(x, TARN_SHAPE(INT64_MAX, INT64_MAX)));
    check_error(tm, TARN_EOVERFLOW, "reshape: the new shape holds too many elements");
    tarn_shape nine = { .ndim = 9, .dims = { 2, 3, 1, 1, 1, 1, 1, 1 } };
    assert_null(tarn_reshape(x, nine));
    check_error(tm, TARN_ELIMIT, "reshape: 9 dimensions; 0 to 8 are possible");
    nine.ndim = -1;
    assert_null(tarn_expand(x, nine));
    check_error(tm, TARN_ELIMIT, "expand: -1 dimensions; 0 to 8 are possible");
}

/* Whether some strides over x give its elements in order in the shape: those that the first step
 * along each axis asks for either do, or none can. place[i] is where element i of x lies. */
static bool a_view_exists(const int64_t *place, int64_t numel, tarn_shape shape)
{
    int64_t strides[TARN_MAX_DIMS] = { 0 }, step = 1;
    for (int axis = shape.ndim - 1; axis >= 0; axis--) {
        if (shape.dims[axis] > 1) strides[axis] = place[step] - place[0];
        step *= shape.dims[axis];
    }
    for (int64_t i = 0; i < numel; i++) {
        int64_t at = place[0], rest = i;
        for (int axis = shape.ndim - 1; axis >= 0; axis--) {
            at += rest % shape.dims[axis] * strides[axis];
            rest /= shape.dims[axis];
        }
        if (at != place[i]) return false;
    }
    return true;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* A view of 64 counted elements after a few random steps; sizes stay powers of two, so that many
 * shapes fit. */
static tarn_tensor *random_view(tarn_manager *tm, uint32_t *seed)
{
    tarn_tensor *t = counted(tm, TARN_SHAPE(2, 4, 2, 4));
    for (int i = 0; i < 6; i++) {
        const int axis = (int)(next_random(seed) % 4);
        const int64_t size = tarn_dim(t, axis);
        const uint32_t kind = next_random(seed) % 4;
        if (kind == 0) t = tarn_transpose(t, axis, (int)(next_random(seed) % 4));
        if (kind == 1 && size > 1) t = tarn_slice(t, axis, size / 2, size / 2 + 1);
        if (kind == 2 && size > 1) t = tarn_slice(t, axis, 0, size / 2);
        if (kind == 3 && size == 1) {
            tarn_shape shape = tarn_get_shape(t);
            shape.dims[axis] = 2;
            t = tarn_expand(t, shape);
        }
    }
    return t;
}

/* Reshape gives a view exactly when there is one, and the right one. */
static void reshape_finds_every_view(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    uint32_t seed = 1;
    int given = 0, refused = 0;
    for (int round = 0; round < 3000; round++) {
        TARN_SCOPE(tm);
        tarn_tensor *x = random_view(tm, &seed);
        const int64_t numel = tarn_numel(x);
        double values[64];
        int64_t place[64];
        assert_int_equal(tarn_copy_to(x, values, (size_t)numel * sizeof *values), TARN_OK);
        for (int64_t i = 0; i < numel; i++) place[i] = (int64_t)values[i];
        tarn_shape shape = { .ndim = 0 };
        for (int64_t rest = numel; rest > 1 || shape.ndim < 2;) {
            int64_t size = (int64_t)1 << next_random(&seed) % 4;
            if (size > rest) size = rest;
            if (shape.ndim == 5) size = rest;
            shape.dims[shape.ndim++] = size;
            rest /= size;
        }
        tarn_tensor *y = tarn_reshape(x, shape);
        if (a_view_exists(place, numel, shape)) {
            given++;
            assert_non_null(y);
            double got[64];
            assert_int_equal(tarn_copy_to(y, got, (size_t)numel * sizeof *got), TARN_OK);
            assert_memory_equal(got, values, (size_t)numel * sizeof *got);
        } else {
            refused++;
            assert_null(y);
            assert_int_equal(tarn_error_code(tm), TARN_ESHAPE);
            tarn_clear_error(tm);
        }
    }
    assert_true(given > 500 && refused > 500);
}

/* ---- transpose, slice, expand */

static void transpose_exchanges_axes(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3, 4));
    tarn_tensor *y = tarn_transpose(x, 0, -1);
    EXPECT_SIZES(y, 4, 3, 2);
    EXPECT_STRIDES(y, 1, 4, 12);
    assert_false(tarn_is_contiguous(y));
    assert_ptr_equal(tarn_data(y), tarn_data(x));
    assert_true(tarn_is_contiguous(tarn_transpose(y, 2, 0)));
    assert_true(tarn_is_contiguous(tarn_transpose(x, 1, 1)));
    EXPECT_VALUES(tarn_transpose(counted(tm, TARN_SHAPE(2, 3)), 0, 1), 0, 3, 1, 4, 2, 5);
    assert_null(tarn_transpose(x, 0, 3));
    check_error(tm, TARN_EARG, "transpose: x [2,3,4] has no axis 3");
    assert_null(tarn_transpose(x, -4, 0));
    check_error(tm, TARN_EARG, "transpose: x [2,3,4] has no axis -4");
    assert_null(tarn_transpose(tarn_zeros(tm, TARN_F64, TARN_SCALAR), 0, 0));
    check_error(tm, TARN_EARG, "transpose: x [] has no axis 0");
}

static void slice_takes_a_range(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(4, 5));
    tarn_tensor *rows = tarn_slice(x, 0, 1, 3), *columns = tarn_slice(x, -1, 1, -1);
    EXPECT_SIZES(rows, 2, 5);
    assert_true(tarn_is_contiguous(rows));
    assert_int_equal(offset_of(rows, x), 5);
    EXPECT_SIZES(columns, 4, 3);
    EXPECT_STRIDES(columns, 5, 1);
    assert_false(tarn_is_contiguous(columns));
    assert_int_equal(offset_of(columns, x), 1);
    EXPECT_VALUES(tarn_slice(columns, 0, -2, 4), 11, 12, 13, 16, 17, 18);
    EXPECT_SIZES(tarn_slice(x, 0, 4, 4), 0, 5);
    EXPECT_SIZES(tarn_slice(x, 1, 0, 0), 4, 0);
    EXPECT_SIZES(tarn_slice(x, 0, -4, -4), 0, 5);
    assert_ptr_equal(tarn_data(tarn_slice(x, 0, 0, 4)), tarn_data(x));
}

static void slice_tells_what_is_wrong(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(4, 5));
    assert_null(tarn_slice(x, 0, 2, 5));
    check_error(tm, TARN_EARG, "slice: [2, 5) is not inside axis 0 of x [4,5]");
    assert_null(tarn_slice(x, 1, 3, 2));
    check_error(tm, TARN_EARG, "slice: [3, 2) is not inside axis 1 of x [4,5]");
    assert_null(tarn_slice(x, -2, -5, 2));
    check_error(tm, TARN_EARG, "slice: [-5, 2) is not inside axis -2 of x [4,5]");
    assert_null(tarn_slice(x, 2, 0, 1));
    check_error(tm, TARN_EARG, "slice: x [4,5] has no axis 2");
    assert_null(tarn_slice(x, 0, INT64_MIN, INT64_MAX));
    check_error(tm, TARN_EARG,
                "slice: [-9223372036854775808, 9223372036854775807) is not inside "
                "axis 0 of x [4,5]");
}

static void expand_repeats_without_a_copy(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(3, 1));
    const size_t usage = tarn_pool_get_stats(tarn_manager_pool(tm)).current_usage;
    tarn_tensor *y = tarn_expand(x, TARN_SHAPE(2, 3, 4));
    EXPECT_SIZES(y, 2, 3, 4);
    EXPECT_STRIDES(y, 0, 1, 0);
    assert_ptr_equal(tarn_data(y), tarn_data(x));
    EXPECT_VALUES(tarn_slice(y, 0, 1, 2), 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2);
    EXPECT_SIZES(tarn_expand(x, TARN_SHAPE(3, 0)), 3, 0);
    EXPECT_SIZES(tarn_expand(tarn_full(tm, TARN_F64, TARN_SCALAR, 1), TARN_SHAPE(2, 2)), 2, 2);
    assert_true(tarn_is_contiguous(tarn_expand(x, TARN_SHAPE(1, 3, 1))));
    tarn_tensor *vast = tarn_expand(x, TARN_SHAPE(1 << 20, 3, 1 << 20));
    assert_int_equal(tarn_numel(vast), 3 * ((int64_t)1 << 40));
    assert_int_equal(tarn_pool_get_stats(tarn_manager_pool(tm)).current_usage, usage + 8);
}

static void expand_tells_what_is_wrong(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(3, 2));
    assert_null(tarn_expand(x, TARN_SHAPE(3, 4)));
    check_error(tm, TARN_ESHAPE,
                "expand: x [3,2] does not expand to [3,4]: sizes must be equal or 1 "
                "in x");
    assert_null(tarn_expand(x, TARN_SHAPE(2)));
    check_error(tm, TARN_ESHAPE,
                "expand: x [3,2] does not expand to [2]: sizes must be equal or 1 in "
                "x");
    assert_null(tarn_expand(x, TARN_SHAPE(-1, 3, 2)));
    check_error(tm, TARN_ESHAPE,
                "expand: x [3,2] does not expand to [-1,3,2]: sizes must be equal or "
                "1 in x");
    assert_null(tarn_expand(x, TARN_SHAPE(INT64_MAX, 3, 2)));
    check_error(tm, TARN_EOVERFLOW, "expand: the new shape holds too many elements");
}

static void chains_add_up(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = counted(tm, TARN_SHAPE(4, 6));
    tarn_tensor *y = tarn_slice(tarn_transpose(tarn_slice(x, 0, 1, 4), 0, 1), 0, 2, 5); /* (3, 3) */
    EXPECT_STRIDES(y, 1, 6);
    assert_int_equal(offset_of(y, x), 8);
    EXPECT_VALUES(y, 8, 14, 20, 9, 15, 21, 10, 16, 22);
    tarn_tensor *column = tarn_reshape(tarn_slice(y, 1, 1, 2), TARN_SHAPE(3)); /* stride 1 */
    EXPECT_VALUES(column, 14, 15, 16);
    tarn_tensor *again = tarn_expand(tarn_reshape(column, TARN_SHAPE(3, 1)), TARN_SHAPE(3, 2));
    EXPECT_VALUES(tarn_transpose(again, 0, 1), 14, 15, 16, 14, 15, 16);
    tarn_tensor *eight = tarn_reshape(y, TARN_SHAPE(1, 3, 1, 1, 3, 1, 1, 1));
    EXPECT_SIZES(eight, 1, 3, 1, 1, 3, 1, 1, 1);
    EXPECT_VALUES(eight, 8, 14, 20, 9, 15, 21, 10, 16, 22);
}

static void views_of_every_type(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6 };
    tarn_tensor *x = tarn_from_array(tm, TARN_U8, TARN_SHAPE(2, 3), bytes);
    tarn_tensor *y = tarn_slice(tarn_transpose(x, 0, 1), 0, 1, 3);
    uint8_t got[4];
    assert_int_equal(tarn_copy_to(y, got, sizeof got), TARN_OK);
    assert_memory_equal(got, ((const uint8_t[]){ 2, 5, 3, 6 }), sizeof got);
    assert_false(tarn_requires_grad(y));
    assert_int_equal(tarn_get_dtype(tarn_expand(x, TARN_SHAPE(4, 2, 3))), TARN_U8);
}

/* ---- writing, and lives */

static void writes_reach_all_who_share(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = tarn_zeros(tm, TARN_F64, TARN_SHAPE(3, 3));
    tarn_tensor *columns = tarn_slice(x, 1, 1, 3), *turned = tarn_transpose(columns, 0, 1);
    assert_int_equal(tarn_fill_with(tarn_slice(x, 0, 2, 3), 7), TARN_OK);
    const double four[] = { 1, 2, 3, 4 };
    assert_int_equal(tarn_copy_from(tarn_slice(turned, 1, 0, 2), four, sizeof four), TARN_OK);
    double *corner = tarn_data_mut(tarn_slice(tarn_slice(x, 0, 0, 1), 1, 0, 1));
    *corner = 9;
    EXPECT_VALUES(x, 9, 1, 3, 0, 2, 4, 7, 7, 7);
    EXPECT_VALUES(columns, 1, 3, 2, 4, 7, 7);

    tarn_tensor *expanded = tarn_expand(tarn_slice(x, 0, 0, 1), TARN_SHAPE(2, 3));
    assert_null(tarn_data_mut(expanded));
    check_error(
        tm, TARN_ESTATE,
        "tarn_data_mut: in the expanded view [2,3] one element stands for several: write to "
        "what it was made from, or copy it with tarn_contiguous");
    assert_int_equal(tarn_fill_with(expanded, 1), TARN_ESTATE);
    tarn_clear_error(tm);
    EXPECT_VALUES(expanded, 9, 1, 3, 9, 1, 3);
}

static void a_view_outlives_its_base(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    const tarn_pool *pool = tarn_manager_pool(tm);
    const size_t before = tarn_pool_get_stats(pool).live_blocks;
    tarn_tensor *view = NULL;
    {
        TARN_SCOPE(tm);
        tarn_tensor *x = counted(tm, TARN_SHAPE(2, 3));
        tarn_tensor *y = tarn_transpose(x, 0, 1);
        tarn_release(x);
        view = tarn_escape(tarn_slice(y, 0, 1, 3));
        tarn_release(y);
    }
    EXPECT_VALUES(view, 1, 4, 2, 5);
    assert_int_equal(tarn_pool_get_stats(pool).live_blocks, before + 1);
    tarn_release(view);
    assert_int_equal(tarn_pool_get_stats(pool).live_blocks, before);
}

static void detach_shares_but_passes_no_gradient(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = tarn_require_grad(counted(tm, TARN_SHAPE(3)));
    tarn_tensor *y = tarn_detach(x);
    assert_ptr_equal(tarn_data(y), tarn_data(x));
    assert_false(tarn_requires_grad(y));
    assert_true(tarn_requires_grad(tarn_slice(x, 0, 0, 1)));
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 1);
}

static void null_operands(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    assert_null(tarn_reshape(NULL, TARN_SHAPE(1)));
    assert_null(tarn_expand(NULL, TARN_SHAPE(1)));
    assert_null(tarn_transpose(NULL, 0, 1));
    assert_null(tarn_slice(NULL, 0, 0, 1));
    assert_null(tarn_detach(NULL));
    assert_true(tarn_ok(tm));
    tarn_tensor *x = counted(tm, TARN_SHAPE(2));
    assert_null(tarn_transpose(tarn_slice(tarn_reshape(x, TARN_SHAPE(3)), 0, 0, 1), 0, 5));
    check_error(tm, TARN_ESHAPE, "reshape: x [2] with 2 elements does not fit into [3]");
}

/* ---- gradients: 0 the view itself, then views of views, with offsets, and of strided leaves */

enum { N_VIEWS = 9 };

static tarn_tensor *viewed(tarn_tensor *const *inputs, int n, void *context)
{
    tarn_tensor *x = inputs[0]; /* (4, 3) */
    (void)n;
    switch (*(const int *)context) {
    case 0: return tarn_reshape(x, TARN_SHAPE(2, 2, 3));
    case 1: return tarn_transpose(x, 0, 1);
    case 2: return tarn_slice(x, 0, 1, 3);
    case 3: return tarn_slice(x, 1, -2, 3);
    case 4: return tarn_expand(x, TARN_SHAPE(2, 4, 3));
    case 5: return tarn_expand(tarn_slice(x, 1, 1, 2), TARN_SHAPE(2, 4, 5));
    case 6: return tarn_reshape(tarn_slice(tarn_transpose(x, 0, 1), 0, 1, 3), TARN_SHAPE(2, 2, 2));
    case 7:
        return tarn_slice(tarn_reshape(tarn_contiguous(tarn_transpose(x, 0, 1)), TARN_SHAPE(12)), 0,
                          3, 8);
    default: return tarn_mul(tarn_slice(x, 0, 0, 2), tarn_slice(x, 0, 2, 4));
    }
}

static void gradients(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    for (int which = 0; which < N_VIEWS; which++)
        for (int strided = 0; strided < 3; strided++) {
            TARN_SCOPE(tm);
            const tarn_shape shape = strided == 0   ? TARN_SHAPE(4, 3)
                                     : strided == 1 ? TARN_SHAPE(3, 4)
                                                    : TARN_SHAPE(6, 5);
            tarn_tensor *base = tarn_random_uniform(tm, TARN_F64, shape, -1, 1, 3);
            tarn_tensor *x = base;
            if (strided == 1) x = tarn_transpose(base, 0, 1);
            if (strided == 2) x = tarn_slice(tarn_slice(base, 0, 1, 5), 1, 2, 5);
            tarn_tensor *const inputs[] = { tarn_require_grad(x) };
            tarn_gradcheck_report report;
            if (tarn_gradcheck(viewed, inputs, 1, &which, NULL, &report) != TARN_OK)
                fail_msg("view %d, layout %d: %s", which, strided, tarn_error_message(tm));
            assert_int_equal(report.checked, 12);
        }
}

/* A slice reads a part; the gradient of the rest is zero, and that of empty views, too. */
static void gradients_of_what_was_left_out(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    tarn_tensor *x = tarn_require_grad(counted(tm, TARN_SHAPE(2, 3)));
    assert_int_equal(tarn_backward(tarn_sum(tarn_slice(x, 1, 1, 3), TARN_ALL_AXES)), TARN_OK);
    EXPECT_VALUES(tarn_grad_of(x), 0, 1, 1, 0, 1, 1);
    assert_int_equal(tarn_backward(tarn_sum(tarn_expand(x, TARN_SHAPE(4, 2, 3)), TARN_ALL_AXES)),
                     TARN_OK);
    EXPECT_VALUES(tarn_grad_of(x), 4, 5, 5, 4, 5, 5);
    assert_int_equal(tarn_zero_grad(x), TARN_OK);
    assert_int_equal(tarn_backward(tarn_sum(tarn_slice(x, 0, 1, 1), TARN_ALL_AXES)), TARN_OK);
    EXPECT_VALUES(tarn_grad_of(x), 0, 0, 0, 0, 0, 0);
    tarn_tensor *none = tarn_expand(tarn_reshape(x, TARN_SHAPE(1, 2, 3)), TARN_SHAPE(0, 2, 3));
    assert_int_equal(tarn_backward(tarn_sum(none, TARN_ALL_AXES)), TARN_OK);
    EXPECT_VALUES(tarn_grad_of(x), 0, 0, 0, 0, 0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(reshape_shares_storage),
        TEST(reshape_of_scalars_and_empty_tensors),
        TEST(reshape_of_strided_operands),
        TEST(reshape_tells_what_is_wrong),
        TEST(reshape_finds_every_view),
        TEST(transpose_exchanges_axes),
        TEST(slice_takes_a_range),
        TEST(slice_tells_what_is_wrong),
        TEST(expand_repeats_without_a_copy),
        TEST(expand_tells_what_is_wrong),
        TEST(chains_add_up),
        TEST(views_of_every_type),
        TEST(writes_reach_all_who_share),
        TEST(a_view_outlives_its_base),
        TEST(detach_shares_but_passes_no_gradient),
        TEST(null_operands),
        TEST(gradients),
        TEST(gradients_of_what_was_left_out),
    };
    return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
