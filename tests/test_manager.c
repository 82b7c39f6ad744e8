/* SPDX-License-Identifier: MIT
 * test_manager.c - the tensor manager: factories, values, names, statistics, errors, destruction.
 */
#include "check.h"

#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "core/manager.h"
#include "core/pool.h"
#include "core/values.h"

static const tarn_dtype all_dtypes[] = { TARN_F32, TARN_F64, TARN_I32, TARN_I64, TARN_U8 };
enum { N_DTYPES = sizeof(all_dtypes) / sizeof(all_dtypes[0]) };

static tarn_manager_stats stats_of(const check_fixture *f) { return tarn_manager_get_stats(f->tm); }

/* A view of t with other sizes and strides, as operations make them. */
static tarn_tensor *view_of(tarn_tensor *t, tarn_shape shape, const int64_t *strides,
                            int64_t offset)
{
    tarn__layout layout = { .ndim = (uint8_t)shape.ndim, .dtype = (uint8_t)tarn_get_dtype(t) };
    for (int i = 0; i < shape.ndim; i++) {
        layout.dims[i] = shape.dims[i];
        layout.strides[i] = strides[i];
    }
    tarn__layout_refresh(&layout);
    return tarn__adopt(tarn__tensor_view(t, &layout, offset));
}

static tarn_tensor *transposed(tarn_tensor *t)
{
    return view_of(t, TARN_SHAPE(tarn_dim(t, 1), tarn_dim(t, 0)),
                   (const int64_t[]){ tarn_stride(t, 1), tarn_stride(t, 0) }, 0);
}

/* ---- factories */

static void factories_fill_every_type(void **state)
{
    const check_fixture *f = *state;
    static const double zeros[6], ones[6] = { 1, 1, 1, 1, 1, 1 }, threes[6] = { 3, 3, 3, 3, 3, 3 };
    static const double identity[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 }, range[4] = { 2, 5, 8, 11 };
    for (size_t i = 0; i < N_DTYPES; i++) {
        const tarn_dtype dtype = all_dtypes[i];
        for (int round = 0; round < 2; round++) { /* from fresh memory, and from used */
            TARN_SCOPE(f->tm);
            tarn_tensor *t = tarn_full(f->tm, dtype, TARN_SHAPE(2, 3), 3);
            check_close(t, threes, 6, 0);
            tarn_release(t);
            t = tarn_zeros(f->tm, dtype, TARN_SHAPE(2, 3));
            check_close(t, zeros, 6, 0);
            assert_int_equal(tarn_get_dtype(t), dtype);
            check_close(tarn_ones(f->tm, dtype, TARN_SHAPE(3, 2)), ones, 6, 0);
            check_close(tarn_eye(f->tm, dtype, 3), identity, 9, 0);
            check_close(tarn_eye(f->tm, dtype, 1), ones, 1, 0);
            check_close(tarn_eye(f->tm, dtype, 0), ones, 0, 0);
            check_close(tarn_arange(f->tm, dtype, 2, 12, 3), range, 4, 0);
            check_close(tarn_ones(f->tm, dtype, TARN_SCALAR), ones, 1, 0);
            check_close(tarn_zeros(f->tm, dtype, TARN_SHAPE(0, 3)), zeros, 0, 0);
            assert_non_null(tarn_data(tarn_empty(f->tm, dtype, TARN_SHAPE(5))));
        }
    }
}

static void numbers_are_converted_without_surprise(void **state)
{
    const check_fixture *f = *state;
    static const struct {
        double given, i32, i64, u8;
    } cases[] = {
        { 1.9, 1, 1, 1 },
        { -1.9, -1, -1, 0 },
        { 255, 255, 255, 255 },
        { 256, 256, 256, 255 },
        { 1e30, INT32_MAX, 9223372036854775807.0, 255 },
        { -1e30, INT32_MIN, -9223372036854775808.0, 0 },
        { 2147483647, INT32_MAX, 2147483647, 255 },
        { 2147483648, INT32_MAX, 2147483648, 255 },
        { -2147483649.0, INT32_MIN, -2147483649.0, 0 },
        { 9223372036854775808.0, INT32_MAX, 9223372036854775807.0, 255 },
        { INFINITY, INT32_MAX, 9223372036854775807.0, 255 },
        { -INFINITY, INT32_MIN, -9223372036854775808.0, 0 },
        { NAN, 0, 0, 0 },
        { -0.0, 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        TARN_SCOPE(f->tm);
        const double given = cases[i].given, single = (double)(float)given;
        check_close(tarn_full(f->tm, TARN_F64, TARN_SCALAR, given), &given, 1, 0);
        check_close(tarn_full(f->tm, TARN_F32, TARN_SCALAR, given), &single, 1, 0);
        check_close(tarn_full(f->tm, TARN_I32, TARN_SCALAR, given), &cases[i].i32, 1, 0);
        check_close(tarn_full(f->tm, TARN_I64, TARN_SCALAR, given), &cases[i].i64, 1, 0);
        check_close(tarn_full(f->tm, TARN_U8, TARN_SCALAR, given), &cases[i].u8, 1, 0);
    }
    const int64_t *largest = tarn_data(tarn_full(f->tm, TARN_I64, TARN_SCALAR, 1e300));
    assert_true(*largest == INT64_MAX);
    const int64_t *smallest = tarn_data(tarn_full(f->tm, TARN_I64, TARN_SCALAR, -1e300));
    assert_true(*smallest == INT64_MIN);
}

static void arrays_are_copied(void **state)
{
    const check_fixture *f = *state;
    float values[] = { 1, 2, 3, 4, 5, 6 };
    static const double expected[] = { 1, 2, 3, 4, 5, 6 };
    tarn_tensor *t = tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(2, 3), values);
    values[0] = 99;
    check_close(t, expected, 6, 0);
    static const int64_t large[] = { INT64_MIN, INT64_MAX };
    const int64_t *stored = tarn_data(tarn_from_array(f->tm, TARN_I64, TARN_SHAPE(2), large));
    assert_memory_equal(stored, large, sizeof(large));

    assert_non_null(tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(0), NULL));
    check_no_error(f->tm);
    assert_null(tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(2), NULL));
    check_error(f->tm, TARN_EARG, "tarn_from_array: values is NULL");
    assert_int_equal(stats_of(f).active, 3);
}

static void arange_counts_by_its_formula(void **state)
{
    const check_fixture *f = *state;
    static const struct {
        double start, stop, step;
        int64_t n;
    } cases[] = {
        { 0, 5, 1, 5 },     { 0, 5, 2, 3 },
        { 5, 0, -1, 5 },    { 5, 0, -2, 3 },
        { 0, 0, 1, 0 },     { 1, 0, 1, 0 },
        { 0, 1, -1, 0 },    { 0, 1, 0.1, 10 },
        { 0, 0.3, 0.1, 3 }, { 0, 1, 5, 1 },
        { -1, 1, 0.5, 4 },  { 0, 1e-300, 1, 1 },
        { 1, 2, 1e308, 1 }, { -DBL_MAX, DBL_MAX, -1, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        TARN_SCOPE(f->tm);
        tarn_tensor *t = tarn_arange(f->tm, TARN_F64, cases[i].start, cases[i].stop, cases[i].step);
        assert_non_null(t);
        assert_int_equal(tarn_ndim(t), 1);
        assert_int_equal(tarn_numel(t), cases[i].n);
        const double *data = tarn_data(t);
        for (int64_t k = 0; k < cases[i].n; k++)
            assert_true(data[k] == cases[i].start + (double)k * cases[i].step);
    }
    assert_null(tarn_arange(f->tm, TARN_F32, 0, 5, 0));
    check_error(f->tm, TARN_EARG, "tarn_arange: from 0 to 5 in steps of 0 is no range");
    assert_null(tarn_arange(f->tm, TARN_F32, NAN, 5, 1));
    check_error(f->tm, TARN_EARG, "tarn_arange: from nan to 5 in steps of 1 is no range");
    assert_null(tarn_arange(f->tm, TARN_F32, 0, INFINITY, 1));
    check_error(f->tm, TARN_EARG, "tarn_arange: from 0 to inf in steps of 1 is no range");
    assert_null(tarn_arange(f->tm, TARN_F32, 0, 5, -INFINITY));
    check_error(f->tm, TARN_EARG, "tarn_arange: from 0 to 5 in steps of -inf is no range");
    assert_null(tarn_arange(f->tm, TARN_F32, 0, 1e300, 1e-300));
    check_error(f->tm, TARN_EARG, "tarn_arange: from 0 to 1e+300 in steps of 1e-300 is no range");
    assert_null(tarn_arange(f->tm, TARN_F64, 0, 0x1p61, 1));
    check_error(f->tm, TARN_EOVERFLOW,
                "tarn_arange: shape [2305843009213693952] holds too many bytes");
}

static void factories_refuse_what_is_impossible(void **state)
{
    const check_fixture *f = *state;
    tarn_release(tarn_empty(f->tm, TARN_F32, TARN_SHAPE(0))); /* there are records of handles */
    const tarn_pool_stats before = tarn_pool_get_stats(f->pool);
    const tarn_shape nine = { 9, { 1, 1, 1, 1, 1, 1, 1, 1 } }, minus = { -1, { 0 } };
    assert_null(tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2, -3)));
    check_error(f->tm, TARN_ESHAPE, "tarn_zeros: shape [2,-3] has a negative size");
    assert_null(tarn_eye(f->tm, TARN_F32, -1));
    check_error(f->tm, TARN_ESHAPE, "tarn_eye: shape [-1,-1] has a negative size");
    assert_null(tarn_ones(f->tm, TARN_F32, nine));
    check_error(f->tm, TARN_ELIMIT, "tarn_ones: 9 dimensions; 0 to 8 are possible");
    assert_null(tarn_empty(f->tm, TARN_F32, minus));
    check_error(f->tm, TARN_EARG, "tarn_empty: -1 dimensions; 0 to 8 are possible");
    assert_null(tarn_full(f->tm, (tarn_dtype)77, TARN_SHAPE(1), 0));
    check_error(f->tm, TARN_EDTYPE, "tarn_full: 77 is no element type");
    assert_null(
        tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(4194305, 4194305, INT64_C(211106198978564))));
    check_error(f->tm, TARN_EOVERFLOW,
                "tarn_zeros: shape [4194305,4194305,211106198978564] holds too many bytes");
    assert_null(tarn_from_array(f->tm, TARN_F64, TARN_SHAPE(INT64_C(1) << 60), &before));
    check_error(f->tm, TARN_EOVERFLOW,
                "tarn_from_array: shape [1152921504606846976] holds too many bytes");
    assert_null(tarn_eye(f->tm, TARN_U8, INT64_MAX));
    check_error(f->tm, TARN_EOVERFLOW,
                "tarn_eye: shape [9223372036854775807,9223372036854775807] "
                "holds too many bytes");
    const tarn_pool_stats after = tarn_pool_get_stats(f->pool);
    check_same_stats(&after, &before);
    assert_int_equal(stats_of(f).created, 1);
    assert_int_equal(stats_of(f).handles, 0);
}

static void running_out_of_memory_names_the_figures(void **state)
{
    (void)state;
    check_fixture f;
    check_begin(&f, &(tarn_pool_options){ .max_capacity = 100000 });
    assert_non_null(tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(16000)));
    assert_null(tarn_zeros(f.tm, TARN_F32, TARN_SHAPE(25000)));
    if (check_is_plain(f.pool))
        check_error(
            f.tm, TARN_ENOMEM,
            "tensor: out of memory: 100000 bytes more are not to be had (max_capacity 100000, "
            "reserved 64000, in use 64000, cached 0, largest free block 0; held by zeros data "
            "64000); "
            "raise max_capacity, or hold less: smaller batches, inner scopes");
    else
        check_error_part(f.tm, TARN_ENOMEM,
                         "tensor: out of memory: 100000 bytes more are not to be had");
    assert_int_equal(stats_of(&f).active, 1);
    assert_int_equal(stats_of(&f).handles, 1);
    check_end(&f);

    check_begin(&f, NULL);
    check_fail_acquisition(f.pool, 1);
    assert_null(tarn_ones(f.tm, TARN_F32, TARN_SHAPE(3)));
    check_error(
        f.tm, TARN_ENOMEM,
        "tensor: out of memory: 12 bytes more are not to be had "
        "(no cap, reserved 0, in use 0, cached 0, largest free block 0; held by nobody); the "
        "failure was injected with tarn_pool_inject_faults");
    check_end(&f);
}

/* ---- chance */

enum { DRAWS = 10000 };

static void random_numbers_follow_their_distribution(void **state)
{
    const check_fixture *f = *state;
    for (size_t i = 0; i < 2; i++) {
        TARN_SCOPE(f->tm);
        static double values[DRAWS];
        double sum = 0, squares = 0;
        tarn_tensor *u = tarn_random_uniform(f->tm, all_dtypes[i], TARN_SHAPE(100, 100), -1, 3, 5);
        for (size_t k = 0; k < DRAWS; k++) {
            values[k] = tarn__load((const char *)tarn_data(u) + k * tarn_dtype_size(all_dtypes[i]),
                                   all_dtypes[i]);
            assert_true(values[k] >= -1 && values[k] < 3);
            sum += values[k];
        }
        assert_true(fabs(sum / DRAWS - 1) < 0.05); /* deviation of the mean: 0.012 */

        sum = 0;
        tarn_tensor *n = tarn_random_normal(f->tm, all_dtypes[i], TARN_SHAPE(DRAWS), 10, 2, 5);
        for (size_t k = 0; k < DRAWS; k++) {
            values[k] = tarn__load((const char *)tarn_data(n) + k * tarn_dtype_size(all_dtypes[i]),
                                   all_dtypes[i]);
            assert_true(isfinite(values[k]));
            sum += values[k];
            squares += (values[k] - 10) * (values[k] - 10);
        }
        assert_true(fabs(sum / DRAWS - 10) < 0.1); /* deviation of the mean: 0.02 */
        assert_true(fabs(squares / DRAWS - 4) < 0.25);
    }
    static const double same[] = { 2, 2, 2 };
    check_close(tarn_random_uniform(f->tm, TARN_F32, TARN_SHAPE(3), 2, 2, 0), same, 3, 0);
    check_close(tarn_random_normal(f->tm, TARN_F64, TARN_SHAPE(3), 2, 0, 0), same, 3, 0);
}

static bool same_values(tarn_tensor *a, tarn_tensor *b)
{
    const size_t bytes = (size_t)tarn_numel(a) * tarn_dtype_size(tarn_get_dtype(a));
    return memcmp(tarn_data(a), tarn_data(b), bytes) == 0;
}

static void random_numbers_depend_on_seed_and_stream_alone(void **state)
{
    const check_fixture *f = *state;
    const tarn_shape shape = TARN_SHAPE(50);
    tarn_manager *same = tarn_manager_create(&(tarn_manager_options){ .seed = 42 });
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .seed = 43 });
    assert_true(same != NULL && other != NULL);
    assert_true(tarn_manager_seed(same) == 42 && tarn_manager_seed(other) == 43);
    for (size_t i = 0; i < 2; i++) {
        const tarn_dtype dtype = all_dtypes[i];
        tarn_tensor *u = tarn_random_uniform(f->tm, dtype, shape, 0, 1, 7);
        tarn_tensor *n = tarn_random_normal(f->tm, dtype, shape, 0, 1, 7);
        assert_false(same_values(u, n));
        /* In another manager, in another order, after other draws, in a longer tensor. */
        (void)tarn_random_uniform(same, dtype, shape, 0, 1, 8);
        tarn_tensor *n2 = tarn_random_normal(same, dtype, TARN_SHAPE(50), 0, 1, 7);
        tarn_tensor *u2 = tarn_random_uniform(same, dtype, TARN_SHAPE(101), 0, 1, 7);
        assert_memory_equal(tarn_data(u), tarn_data(u2), 50 * tarn_dtype_size(dtype));
        assert_true(same_values(n, n2));
        assert_true(same_values(u, tarn_random_uniform(f->tm, dtype, shape, 0, 1, 7)));
        assert_false(same_values(u, tarn_random_uniform(f->tm, dtype, shape, 0, 1, 8)));
        for (uint64_t stream = 5; stream < 10; stream++) /* no sum or difference gives it again */
            assert_false(same_values(u, tarn_random_uniform(other, dtype, shape, 0, 1, stream)));
    }
    assert_int_equal(tarn_manager_destroy(same), 0);
    assert_int_equal(tarn_manager_destroy(other), 0);
}

static void impossible_distributions_are_refused(void **state)
{
    const check_fixture *f = *state;
    const tarn_shape shape = TARN_SHAPE(4);
    assert_null(tarn_random_uniform(f->tm, TARN_F32, shape, 2, 1, 0));
    check_error(f->tm, TARN_EARG, "tarn_random_uniform: [2, 1) is no interval");
    assert_null(tarn_random_uniform(f->tm, TARN_F32, shape, 0, INFINITY, 0));
    check_error(f->tm, TARN_EARG, "tarn_random_uniform: [0, inf) is no interval");
    assert_null(tarn_random_uniform(f->tm, TARN_F32, shape, NAN, 1, 0));
    check_error(f->tm, TARN_EARG, "tarn_random_uniform: [nan, 1) is no interval");
    assert_null(tarn_random_normal(f->tm, TARN_F32, shape, 0, -1, 0));
    check_error(f->tm, TARN_EARG,
                "tarn_random_normal: mean 0 and deviation -1 are no distribution");
    assert_null(tarn_random_normal(f->tm, TARN_F32, shape, INFINITY, 1, 0));
    check_error(f->tm, TARN_EARG,
                "tarn_random_normal: mean inf and deviation 1 are no distribution");
    assert_null(tarn_random_uniform(f->tm, TARN_I32, shape, 0, 1, 0));
    check_error(f->tm, TARN_EDTYPE,
                "tarn_random_uniform: element type int32; float32 or float64 is needed");
    assert_null(tarn_random_normal(f->tm, TARN_U8, shape, 0, 1, 0));
    check_error(f->tm, TARN_EDTYPE,
                "tarn_random_normal: element type uint8; float32 or float64 is needed");
}

/* ---- what a tensor says of itself */

static void tensors_answer_questions(void **state)
{
    const check_fixture *f = *state;
    tarn_tensor *t = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2, 3, 4));
    const tarn_shape shape = tarn_get_shape(t);
    assert_int_equal(shape.ndim, 3);
    assert_true(shape.dims[0] == 2 && shape.dims[1] == 3 && shape.dims[2] == 4);
    assert_int_equal(tarn_ndim(t), 3);
    assert_int_equal(tarn_numel(t), 24);
    assert_true(tarn_dim(t, 0) == 2 && tarn_dim(t, -1) == 4 && tarn_dim(t, -3) == 2);
    assert_true(tarn_dim(t, 3) == 0 && tarn_dim(t, -4) == 0 && tarn_dim(t, INT_MIN) == 0);
    assert_true(tarn_stride(t, 0) == 12 && tarn_stride(t, 1) == 4 && tarn_stride(t, -1) == 1);
    assert_true(tarn_stride(t, 9) == 0);
    assert_true(tarn_is_contiguous(t));
    assert_ptr_equal(tarn_manager_of(t), f->tm);
    assert_int_equal((uintptr_t)tarn_data(t) % 64, 0);
}

static void names_are_copied_and_cut(void **state)
{
    const check_fixture *f = *state;
    char text[200];
    tarn_tensor *t = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2));
    assert_string_equal(tarn_name(t), "");
    (void)snprintf(text, sizeof(text), "x");
    assert_ptr_equal(tarn_set_name(t, text), t);
    text[0] = 'y';
    assert_string_equal(tarn_name(t), "x");
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_ptr_equal(tarn_set_name(t, text), t);
    text[63] = '\0';
    assert_string_equal(tarn_name(t), text);
    assert_ptr_equal(tarn_set_name(t, tarn_name(t) + 60), t); /* from its own name */
    assert_string_equal(tarn_name(t), "aaa");
    assert_ptr_equal(tarn_set_name(t, NULL), t);
    assert_string_equal(tarn_name(t), "aaa");
    assert_ptr_equal(tarn_set_name(t, ""), t);
    assert_string_equal(tarn_name(t), "");
}

/* ---- values */

static void item_reads_the_only_element(void **state)
{
    const check_fixture *f = *state;
    for (size_t i = 0; i < N_DTYPES; i++) {
        assert_true(tarn_item(tarn_full(f->tm, all_dtypes[i], TARN_SCALAR, 7)) == 7);
        assert_true(tarn_item(tarn_full(f->tm, all_dtypes[i], TARN_SHAPE(1, 1), 7)) == 7);
        assert_true(tarn_item(tarn_zeros(f->tm, all_dtypes[i], TARN_SCALAR)) == 0);
    }
    assert_true(
        isnan(tarn_item(tarn_set_name(tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2, 3)), "x"))));
    check_error(f->tm, TARN_ESHAPE, "tarn_item: \"x\" [2,3] has 6 elements, not one");
    assert_true(isnan(tarn_item(tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(0)))));
    check_error(f->tm, TARN_ESHAPE, "tarn_item: [0] has 0 elements, not one");
    assert_true(isnan(tarn_item(NULL)));
    check_no_error(f->tm);
}

static void writing_marks_the_storage_as_changed(void **state)
{
    const check_fixture *f = *state;
    static const float values[] = { 1, 2, 3, 4 };
    float copy[4];
    tarn_tensor *t = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(4));
    tarn_tensor *v = view_of(t, TARN_SHAPE(2), (const int64_t[]){ 1 }, 2);
    const tarn__storage *storage = t->storage;
    assert_ptr_equal(v->storage, storage);
    uint32_t version = storage->version;
    assert_non_null(tarn_data(t));
    check_status(tarn_copy_to(t, copy, sizeof(copy)), TARN_OK);
    assert_int_equal(storage->version, version); /* reading does not */

    float *data = tarn_data_mut(t);
    assert_true(storage->version > version);
    assert_true(data[0] == 0 && data[3] == 0); /* what was zero still is */
    version = storage->version;
    check_status(tarn_copy_from(t, values, sizeof(values)), TARN_OK);
    assert_true(storage->version > version);
    version = storage->version;
    check_status(tarn_fill_with(v, 9), TARN_OK); /* through a view, too */
    assert_true(storage->version > version);
    version = storage->version;
    assert_non_null(tarn_data_mut(v));
    assert_true(storage->version > version);
    static const double expected[] = { 1, 2, 9, 9 };
    check_close(t, expected, 4, 0);
}

static void part_of_zeros_is_written(void **state)
{
    const check_fixture *f = *state;
    /* Memory that holds something, so that the zeros must be written. */
    tarn_release(tarn_full(f->tm, TARN_F32, TARN_SHAPE(2, 3), 5));
    tarn_tensor *t = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_tensor *column = view_of(t, TARN_SHAPE(2), (const int64_t[]){ 3 }, 1);
    check_status(tarn_fill_with(column, 7), TARN_OK);
    static const double expected[] = { 0, 7, 0, 0, 7, 0 };
    check_close(t, expected, 6, 0);
    static const float pair[] = { 1, 2 };
    tarn_release(t);
    tarn_release(column);
    t = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(2, 3));
    column = view_of(t, TARN_SHAPE(2), (const int64_t[]){ 3 }, 2);
    check_status(tarn_copy_from(column, pair, sizeof(pair)), TARN_OK);
    static const double copied[] = { 0, 0, 1, 0, 0, 2 };
    check_close(t, copied, 6, 0);
}

static void copies_follow_strides(void **state)
{
    const check_fixture *f = *state;
    for (size_t i = 0; i < N_DTYPES; i++) {
        TARN_SCOPE(f->tm);
        const tarn_dtype dtype = all_dtypes[i];
        tarn_tensor *t = tarn_arange(f->tm, dtype, 0, 6, 1);
        t = view_of(t, TARN_SHAPE(2, 3), (const int64_t[]){ 3, 1 }, 0);
        tarn_tensor *transpose = transposed(t);
        static const double turned[] = { 0, 3, 1, 4, 2, 5 };
        assert_false(tarn_is_contiguous(transpose));
        check_close(transpose, turned, 6, 0); /* by tarn_copy_to */

        tarn_tensor *source = tarn_arange(f->tm, dtype, 10, 16, 1);
        const size_t bytes = 6 * tarn_dtype_size(dtype);
        check_status(tarn_copy_from(transpose, tarn_data(source), bytes), TARN_OK);
        static const double written[] = { 10, 12, 14, 11, 13, 15 };
        check_close(t, written, 6, 0);

        tarn_tensor *slice = view_of(t, TARN_SHAPE(2, 2), (const int64_t[]){ 3, 1 }, 1);
        check_status(tarn_fill_with(slice, 1), TARN_OK);
        static const double sliced[] = { 10, 1, 1, 11, 1, 1 };
        check_close(t, sliced, 6, 0);
    }
}

static void arrays_of_another_size_are_refused(void **state)
{
    const check_fixture *f = *state;
    float values[8] = { 0 };
    tarn_tensor *t = tarn_set_name(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 3)), "w");
    static const double ones[] = { 1, 1, 1, 1, 1, 1 };
    check_status(tarn_copy_from(t, values, 20), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_copy_from: \"w\" [2,3] holds 24 bytes, the array 20");
    check_status(tarn_copy_to(t, values, 32), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_copy_to: \"w\" [2,3] holds 24 bytes, the array 32");
    check_status(tarn_copy_from(t, NULL, 24), TARN_EARG);
    check_error(f->tm, TARN_EARG,
                "tarn_copy_from: \"w\" [2,3] holds 24 bytes, the array 24; it is NULL");
    check_status(tarn_copy_to(t, NULL, 24), TARN_EARG);
    check_error(f->tm, TARN_EARG,
                "tarn_copy_to: \"w\" [2,3] holds 24 bytes, the array 24; it is NULL");
    check_close(t, ones, 6, 0);
    check_bytes(values, 0, sizeof(values));

    tarn_tensor *empty = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(3, 0));
    check_status(tarn_copy_from(empty, NULL, 0), TARN_OK);
    check_status(tarn_copy_to(empty, NULL, 0), TARN_OK);
    check_status(tarn_fill_with(empty, 1), TARN_OK);
}

static void expanded_views_are_read_only(void **state)
{
    const check_fixture *f = *state;
    static const float values[] = { 1, 2 }, six[6] = { 0 };
    tarn_tensor *t = tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(2), values);
    tarn_tensor *v = view_of(t, TARN_SHAPE(3, 2), (const int64_t[]){ 0, 1 }, 0);
    static const double expected[] = { 1, 2, 1, 2, 1, 2 };
    check_close(v, expected, 6, 0);
    assert_non_null(tarn_data(v));
    const uint32_t version = t->storage->version;
#define EXPANDED                                                                     \
    ": in the expanded view [3,2] one element stands for several: write to what it " \
    "was made from, or copy it with tarn_contiguous"
    assert_null(tarn_data_mut(v));
    check_error(f->tm, TARN_ESTATE, "tarn_data_mut" EXPANDED);
    check_status(tarn_fill_with(v, 3), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_fill_with" EXPANDED);
    check_status(tarn_copy_from(v, six, sizeof(six)), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "tarn_copy_from" EXPANDED);
#undef EXPANDED
    assert_int_equal(t->storage->version, version);
    check_close(v, expected, 6, 0);
}

/* ---- zeros that are not written */

static void zeros_cost_nothing_until_they_are_read(void **state)
{
    const check_fixture *f = *state;
    const tarn_shape shape = TARN_SHAPE(1000);
    tarn_release(tarn_ones(f->tm, TARN_F32, shape));
    tarn_tensor *t = tarn_zeros(f->tm, TARN_F32, shape);
    assert_int_equal(tarn_pool_get_stats(f->pool).zeroed_bytes, 0);
    check_status(tarn_fill_with(t, 3), TARN_OK); /* overwritten: no zero was ever needed */
    assert_int_equal(tarn_pool_get_stats(f->pool).zeroed_bytes, 0);
    tarn_release(t);
    t = tarn_zeros(f->tm, TARN_F32, shape);
    check_bytes(tarn_data(t), 0, 4000);
    const bool fresh = tarn_pool_get_options(f->pool).mode == TARN_PASS_THROUGH; /* so it is zero */
    assert_int_equal(tarn_pool_get_stats(f->pool).zeroed_bytes, fresh ? 0 : 4000);
    assert_non_null(tarn_data(t));
    assert_int_equal(tarn_pool_get_stats(f->pool).zeroed_bytes, fresh ? 0 : 4000); /* once */

    t = tarn_empty(f->tm, TARN_F32, TARN_SHAPE(1001)); /* fresh memory, dirty since */
    memset(tarn_data_mut(t), 1, 4004);
    tarn__make_zero(t);
    check_bytes(tarn_data(t), 0, 4004);
}

/* ---- printing */

static void expect_print(tarn_tensor *t, const char *expected)
{
    FILE *stream = tmpfile();
    assert_non_null(stream);
    check_status(tarn_print(t, stream), TARN_OK);
    assert_string_equal(check_stream_text(stream), expected);
    fclose(stream);
}

static void tensors_print(void **state)
{
    const check_fixture *f = *state;
    static const float values[] = { 1, 2.5f, -3, 0.1f, 1e10f, NAN };
    static const int64_t large[] = { INT64_MIN, INT64_MAX };
    tarn_tensor *t = tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(2, 3), values);
    (void)tarn_set_name(t, "w");
    expect_print(t, "float32 \"w\" [2,3]\n[[1, 2.5, -3],\n [0.1, 1e+10, nan]]\n");
    expect_print(transposed(t), "float32 [3,2]\n[[1, 0.1],\n [2.5, 1e+10],\n [-3, nan]]\n");
    expect_print(tarn_full(f->tm, TARN_F64, TARN_SCALAR, 3), "float64 []\n3\n");
    expect_print(tarn_zeros(f->tm, TARN_U8, TARN_SHAPE(0)), "uint8 [0]\n[]\n");
    expect_print(tarn_zeros(f->tm, TARN_U8, TARN_SHAPE(2, 0)), "uint8 [2,0]\n[[],\n []]\n");
    expect_print(tarn_from_array(f->tm, TARN_I64, TARN_SHAPE(2), large),
                 "int64 [2]\n[-9223372036854775808, 9223372036854775807]\n");
    expect_print(tarn_arange(f->tm, TARN_I32, 0, 10, 1),
                 "int32 [10]\n[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n");
    expect_print(tarn_arange(f->tm, TARN_I32, 0, 11, 1), "int32 [11]\n[0, 1, 2, ..., 8, 9, 10]\n");
    expect_print(tarn_zeros(f->tm, TARN_U8, TARN_SHAPE(1, 2, 2)),
                 "uint8 [1,2,2]\n[[[0, 0],\n  [0, 0]]]\n");
    check_status(tarn_print(t, NULL), TARN_EARG);
    check_status(tarn_print(NULL, stdout), TARN_EARG);
    FILE *read_only = fopen("/dev/null", "r");
    assert_non_null(read_only);
    check_status(tarn_print(t, read_only), TARN_EIO);
    check_status(tarn_manager_print_stats(f->tm, read_only), TARN_EIO);
    fclose(read_only);
}

/* ---- statistics */

static void statistics_follow_the_lives(void **state)
{
    const check_fixture *f = *state;
    tarn_manager_stats s = stats_of(f);
    const tarn_manager_stats none = { 0 };
    assert_memory_equal(&s, &none, sizeof(s));

    tarn_tensor *a = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(25));
    tarn_tensor *b = tarn_zeros(f->tm, TARN_F64, TARN_SHAPE(100));
    s = stats_of(f);
    assert_true(s.created == 2 && s.released == 0 && s.active == 2 && s.peak == 2);
    assert_true(s.total_memory == 900 && s.peak_memory == 900);
    assert_true(s.handles == 2 && s.root_handles == 2 && s.views == 0 && s.retained == 0);

    tarn_tensor *v = view_of(a, TARN_SHAPE(5, 5), (const int64_t[]){ 5, 1 }, 0);
    tarn_tensor *w = view_of(v, TARN_SHAPE(5), (const int64_t[]){ 1 }, 5);
    s = stats_of(f);
    assert_true(s.created == 2 && s.active == 2 && s.views == 2 && s.handles == 4);
    assert_true(s.total_memory == 900);

    tarn_release(a); /* its memory lives on in the views */
    tarn_release(v);
    s = stats_of(f);
    assert_true(s.released == 0 && s.active == 2 && s.handles == 2 && s.root_handles == 2);
    tarn_release(w);
    s = stats_of(f);
    assert_true(s.released == 1 && s.active == 1 && s.total_memory == 800 && s.handles == 1);
    assert_true(s.peak == 2 && s.peak_memory == 900);
    assert_true(tarn_pool_get_stats(f->pool).current_usage == 800);

    tarn_manager_reset_peaks(f->tm);
    s = stats_of(f);
    assert_true(s.peak == 1 && s.peak_memory == 800 && s.created == 2 && s.views == 2);
    {
        TARN_SCOPE(f->tm);
        (void)tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(1));
        s = stats_of(f);
        assert_true(s.handles == 2 && s.root_handles == 1 && s.peak == 2 && s.peak_memory == 804);
    }
    (void)tarn_retain(b);
    assert_true(stats_of(f).retained == 1);
    (void)tarn_retain(b);
    assert_true(stats_of(f).retained == 1);
    tarn_release(b);
    assert_true(stats_of(f).retained == 1);
    tarn_release(b);
    assert_true(stats_of(f).retained == 0);
    tarn_release(b);
    s = stats_of(f);
    assert_true(s.created == 3 && s.released == 3 && s.active == 0 && s.total_memory == 0);
    assert_true(s.handles == 0 && s.root_handles == 0 && s.tape_length == 0);
}

static void statistics_print_and_parse(void **state)
{
    const check_fixture *f = *state;
    tarn_tensor *t = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(25));
    (void)view_of(t, TARN_SHAPE(5), (const int64_t[]){ 1 }, 0);
    const tarn_manager_stats s = stats_of(f);
    char json[2048], line[256];
    const size_t length = tarn_manager_stats_json(&s, json, sizeof(json));
    assert_int_equal(length, strlen(json));
    assert_int_equal(tarn_manager_stats_json(&s, NULL, 0), length);
    assert_int_equal(tarn_manager_stats_json(&s, line, 10), length);
    assert_int_equal(strlen(line), 9);
    FILE *stream = tmpfile();
    assert_non_null(stream);
    check_status(tarn_manager_print_stats(f->tm, stream), TARN_OK);
    const char *text = check_stream_text(stream);
    assert_memory_equal(text, "tensors\n", 8);
#define FIND(type, field, meaning)                                                               \
    assert_true(check_json_number(json, #field) == (double)s.field);                             \
    (void)snprintf(line, sizeof(line), "  %-20s %16" PRIu64 "  %s\n", #field, (uint64_t)s.field, \
                   meaning);                                                                     \
    assert_non_null(strstr(text, line));
    TARN_MANAGER_STATS_LIST(FIND)
#undef FIND
    fclose(stream);
    check_status(tarn_manager_print_stats(f->tm, NULL), TARN_EARG);
    check_status(tarn_manager_print_stats(NULL, stdout), TARN_EARG);
}

/* ---- errors */

typedef struct listener {
    int calls;
    tarn_status code;
    char text[1024];
} listener;

static void on_error(void *context, tarn_status code, const char *message)
{
    listener *l = context;
    l->calls++;
    l->code = code;
    (void)snprintf(l->text, sizeof(l->text), "%s", message);
}

static void on_unreleased(void *context, const char *description)
{
    listener *l = context;
    const size_t used = strlen(l->text);
    l->calls++;
    (void)snprintf(l->text + used, sizeof(l->text) - used, "%s\n", description);
}

static void the_first_error_is_kept(void **state)
{
    (void)state;
    listener heard = { 0 };
    tarn_manager *tm =
        tarn_manager_create(&(tarn_manager_options){ .on_error = on_error, .context = &heard });
    assert_true(tarn_ok(tm));
    check_no_error(tm);
    assert_null(tarn_zeros(tm, TARN_F32, TARN_SHAPE(-1)));
    assert_null(tarn_arange(tm, TARN_F32, 0, 1, 0));
    assert_null(tarn_zeros(tm, (tarn_dtype)9, TARN_SHAPE(1)));
    assert_false(tarn_ok(tm));
    assert_int_equal(heard.calls, 1);
    check_status(heard.code, TARN_ESHAPE);
    assert_string_equal(heard.text, "tarn_zeros: shape [-1] has a negative size");
    check_error(tm, TARN_ESHAPE, "tarn_zeros: shape [-1] has a negative size");
    check_no_error(tm);

    assert_null(tarn_arange(tm, TARN_F32, 0, 1, 0)); /* heard again after a clear */
    assert_int_equal(heard.calls, 2);
    check_error(tm, TARN_EARG, "tarn_arange: from 0 to 1 in steps of 0 is no range");
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

static void long_messages_are_cut(void **state)
{
    const check_fixture *f = *state;
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    check_status(tarn__fail(f->tm, TARN_EIO, "%s", text), TARN_EIO);
    assert_int_equal(strlen(tarn_error_message(f->tm)), sizeof(f->tm->message) - 1);
    tarn_clear_error(f->tm);
    check_status(tarn__fail(f->tm, TARN_EIO, "100%% of %d", 3), TARN_EIO);
    check_error(f->tm, TARN_EIO, "100% of 3");
}

/* ---- managers and pools */

static void a_manager_takes_options_for_its_own_pool(void **state)
{
    check_fixture *f = *state;
    const tarn_pool_options capped = { .max_capacity = 1 << 20 };
    const tarn_pool_options wrong = { .growth_factor = 0.5 };
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool_options = &capped });
    assert_non_null(tm);
    assert_int_equal(tarn_pool_get_options(tarn_manager_pool(tm)).max_capacity, 1 << 20);
    assert_null(tarn_empty(tm, TARN_U8, TARN_SHAPE(2 << 20)));
    check_error_part(tm, TARN_ENOMEM, "max_capacity 1048576");
    assert_int_equal(tarn_manager_destroy(tm), 0);
    assert_null(tarn_manager_create(&(tarn_manager_options){ .pool_options = &wrong }));
    assert_null(
        tarn_manager_create(&(tarn_manager_options){ .pool = f->pool, .pool_options = &capped }));
}

static void managers_share_a_pool(void **state)
{
    check_fixture *f = *state;
    tarn_manager *second = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    assert_non_null(second);
    assert_ptr_equal(tarn_manager_pool(second), f->pool);
    tarn_tensor *a = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100));
    tarn_tensor *b = tarn_ones(second, TARN_F32, TARN_SHAPE(100));
    assert_true(tarn_data(a) != tarn_data(b));
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 2);
    assert_int_equal(stats_of(f).active, 1);
    tarn_release(a);
    tarn_tensor *c =
        tarn_zeros(second, TARN_F32, TARN_SHAPE(100)); /* each keeps what it gave back */
    check_bytes(tarn_data(c), 0, 400);

    assert_null(tarn_zeros(second, TARN_F32, TARN_SHAPE(-1))); /* errors are each manager's own */
    assert_true(tarn_ok(f->tm) && !tarn_ok(second));
    check_status(tarn_pool_destroy(f->pool), TARN_ESTATE);
    assert_int_equal(tarn_manager_destroy(second), 0);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
    check_pool(f);
    check_status(tarn_pool_destroy(f->pool), TARN_ESTATE); /* the first still uses it */
    assert_non_null(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100)));
}

static void a_manager_makes_its_own_pool(void **state)
{
    (void)state;
    tarn_manager *tm = tarn_manager_create(NULL);
    assert_non_null(tm);
    assert_int_equal(tarn_manager_seed(tm), 0);
    assert_non_null(tarn_manager_pool(tm));
    check_status(tarn_pool_destroy(tarn_manager_pool(tm)), TARN_ESTATE);
    assert_non_null(tarn_ones(tm, TARN_F32, TARN_SHAPE(1000, 1000)));
    assert_int_equal(tarn_manager_destroy(tm), 0);
}

static void destroy_names_what_was_retained(void **state)
{
    check_fixture *f = *state;
    listener heard = { 0 };
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){
        .pool = f->pool, .on_unreleased = on_unreleased, .context = &heard });
    assert_non_null(tm);
    (void)tarn_set_name(tarn_zeros(tm, TARN_F32, TARN_SHAPE(9)), "not retained");
    tarn_tensor *kept = tarn_retain(tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3)));
    (void)tarn_set_name(kept, "kept");
    (void)tarn_retain(kept);
    (void)tarn_retain(kept);
    const tarn_scope scope = tarn_scope_begin(tm);
    (void)tarn_retain(tarn_zeros(tm, TARN_I64, TARN_SCALAR));
    tarn_scope_end(scope);
    const tarn_scope open = tarn_scope_begin(tm); /* never ended */
    assert_true(open.depth == 1);
    (void)tarn_set_name(tarn_retain(tarn_ones(tm, TARN_U8, TARN_SHAPE(1))), "inner");
    tarn_tensor *released = tarn_retain(tarn_ones(tm, TARN_U8, TARN_SHAPE(1)));
    tarn_release(released);
    assert_int_equal(tarn_manager_destroy(tm), 3);
    assert_int_equal(heard.calls, 3);
    assert_string_equal(heard.text,
                        "uint8 \"inner\" [1] by ones (data), retained and not released\n"
                        "float32 \"kept\" [2,3] by zeros (data), retained and not released\n"
                        "int64 [] by zeros (data), retained and not released\n");
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
    check_pool(f);
}

/* ---- NULL */

static void no_manager_is_no_crash(void **state)
{
    (void)state;
    const tarn_shape shape = TARN_SHAPE(2);
    const tarn_manager_stats none = { 0 }, stats = tarn_manager_get_stats(NULL);
    assert_memory_equal(&stats, &none, sizeof(none));
    assert_int_equal(tarn_manager_destroy(NULL), 0);
    assert_null(tarn_manager_pool(NULL));
    assert_int_equal(tarn_manager_seed(NULL), 0);
    tarn_manager_reset_peaks(NULL);
    assert_true(tarn_manager_stats_json(NULL, NULL, 0) > 0);
    assert_false(tarn_ok(NULL));
    check_status(tarn_error_code(NULL), TARN_EARG);
    assert_string_equal(tarn_error_message(NULL),
                        "no manager: tarn_manager_create returned NULL or was not called");
    tarn_clear_error(NULL);
    tarn_scope_end(tarn_scope_begin(NULL));
    tarn_scope_end(tarn_no_grad_begin(NULL));
    tarn_scope_cleanup(NULL);
    {
        TARN_SCOPE(NULL);
        TARN_NO_GRAD(NULL);
    }
    assert_null(tarn_zeros(NULL, TARN_F32, shape));
    assert_null(tarn_ones(NULL, TARN_F32, shape));
    assert_null(tarn_full(NULL, TARN_F32, shape, 1));
    assert_null(tarn_empty(NULL, TARN_F32, shape));
    assert_null(tarn_random_uniform(NULL, TARN_F32, shape, 0, 1, 0));
    assert_null(tarn_random_normal(NULL, TARN_F32, shape, 0, 1, 0));
    assert_null(tarn_arange(NULL, TARN_F32, 0, 1, 1));
    assert_null(tarn_eye(NULL, TARN_F32, 1));
    assert_null(tarn_from_array(NULL, TARN_F32, shape, &shape));
}

static void no_tensor_is_no_crash(void **state)
{
    (void)state;
    float value = 0;
    assert_int_equal(tarn_get_shape(NULL).ndim, 0);
    assert_int_equal(tarn_ndim(NULL), 0);
    assert_int_equal(tarn_dim(NULL, 0), 0);
    assert_int_equal(tarn_numel(NULL), 0);
    assert_int_equal(tarn_get_dtype(NULL), TARN_F32);
    assert_int_equal(tarn_stride(NULL, 0), 0);
    assert_false(tarn_is_contiguous(NULL));
    assert_null(tarn_manager_of(NULL));
    assert_string_equal(tarn_name(NULL), "");
    assert_null(tarn_set_name(NULL, "x"));
    assert_null(tarn_data(NULL));
    assert_null(tarn_data_mut(NULL));
    assert_true(isnan(tarn_item(NULL)));
    check_status(tarn_copy_from(NULL, &value, 4), TARN_EARG);
    check_status(tarn_copy_to(NULL, &value, 4), TARN_EARG);
    check_status(tarn_fill_with(NULL, 1), TARN_EARG);
    check_status(tarn_print(NULL, stdout), TARN_EARG);
    assert_null(tarn_retain(NULL));
    tarn_release(NULL);
    assert_null(tarn_escape(NULL));
    assert_null(tarn_keep(NULL));
}

int main(void)
{
#define WITH_MANAGER(test) cmocka_unit_test_setup_teardown(test, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        WITH_MANAGER(factories_fill_every_type),
        WITH_MANAGER(numbers_are_converted_without_surprise),
        WITH_MANAGER(arrays_are_copied),
        WITH_MANAGER(arange_counts_by_its_formula),
        WITH_MANAGER(factories_refuse_what_is_impossible),
        cmocka_unit_test(running_out_of_memory_names_the_figures),
        WITH_MANAGER(random_numbers_follow_their_distribution),
        WITH_MANAGER(random_numbers_depend_on_seed_and_stream_alone),
        WITH_MANAGER(impossible_distributions_are_refused),
        WITH_MANAGER(tensors_answer_questions),
        WITH_MANAGER(names_are_copied_and_cut),
        WITH_MANAGER(item_reads_the_only_element),
        WITH_MANAGER(writing_marks_the_storage_as_changed),
        WITH_MANAGER(part_of_zeros_is_written),
        WITH_MANAGER(copies_follow_strides),
        WITH_MANAGER(arrays_of_another_size_are_refused),
        WITH_MANAGER(expanded_views_are_read_only),
        WITH_MANAGER(zeros_cost_nothing_until_they_are_read),
        WITH_MANAGER(tensors_print),
        WITH_MANAGER(statistics_follow_the_lives),
        WITH_MANAGER(statistics_print_and_parse),
        cmocka_unit_test(the_first_error_is_kept),
        WITH_MANAGER(long_messages_are_cut),
        WITH_MANAGER(a_manager_takes_options_for_its_own_pool),
        WITH_MANAGER(managers_share_a_pool),
        cmocka_unit_test(a_manager_makes_its_own_pool),
        WITH_MANAGER(destroy_names_what_was_retained),
        cmocka_unit_test(no_manager_is_no_crash),
        cmocka_unit_test(no_tensor_is_no_crash),
    };
    return cmocka_run_group_tests_name("manager", tests, NULL, NULL);
}
