/* SPDX-License-Identifier: MIT
 * test_size.c - arithmetic on sizes, element types, shapes and strides. */
#include "check.h"

#include <limits.h>
#include <string.h>

#include "core/size.h"
#include "core/tensor.h"
#include "core/values.h"

/* ---- arithmetic */

static void sizes_add_and_multiply_or_refuse(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(tarn__size_add(SIZE_MAX - 1, 1, &out));
    assert_int_equal(out, SIZE_MAX);
    assert_true(tarn__size_mul((size_t)1 << 32, ((size_t)1 << 32) - 1, &out));
    assert_int_equal(out, UINT64_C(0xffffffff00000000));
    assert_true(tarn__size_mul(0, SIZE_MAX, &out));
    assert_int_equal(out, 0);

    out = 7;
    assert_false(tarn__size_add(SIZE_MAX, 1, &out));
    assert_false(tarn__size_add(SIZE_MAX, SIZE_MAX, &out));
    assert_false(tarn__size_mul((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_false(tarn__size_mul(SIZE_MAX, 2, &out));
    assert_int_equal(out, 7);
}

static void sizes_round_up_or_refuse(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(tarn__size_round_up(0, 64, &out));
    assert_int_equal(out, 0);
    assert_true(tarn__size_round_up(1, 64, &out));
    assert_int_equal(out, 64);
    assert_true(tarn__size_round_up(64, 64, &out));
    assert_int_equal(out, 64);
    assert_true(tarn__size_round_up(65, 64, &out));
    assert_int_equal(out, 128);
    assert_true(tarn__size_round_up(SIZE_MAX, 1, &out));
    assert_int_equal(out, SIZE_MAX);
    assert_true(tarn__size_round_up(SIZE_MAX - 63, 64, &out));
    assert_int_equal(out, SIZE_MAX - 63);

    out = 7;
    assert_false(tarn__size_round_up(SIZE_MAX - 62, 64, &out));
    assert_false(tarn__size_round_up(SIZE_MAX, 64, &out));
    assert_false(tarn__size_round_up(SIZE_MAX, 4096, &out));
    assert_int_equal(out, 7);
}

static void signed_numbers_add_and_multiply_or_refuse(void **state)
{
    (void)state;
    int64_t out = 7;
    assert_true(tarn__i64_mul(INT64_MAX, -1, &out));
    assert_true(out == -INT64_MAX);
    assert_true(tarn__i64_add(INT64_MIN, INT64_MAX, &out));
    assert_true(out == -1);

    out = 7;
    assert_false(tarn__i64_mul(INT64_MIN, -1, &out));
    assert_false(tarn__i64_mul(INT64_C(1) << 32, INT64_C(1) << 31, &out));
    assert_false(tarn__i64_add(INT64_MAX, 1, &out));
    assert_false(tarn__i64_add(INT64_MIN, -1, &out));
    assert_true(out == 7);
}

/* ---- shapes */

typedef struct shape_case {
    tarn_dtype dtype;
    tarn_shape shape;
    tarn_status status;
    int64_t numel;
    int64_t strides[TARN_MAX_DIMS];
} shape_case;

#define MAX64 INT64_MAX

static void shapes_pack_or_refuse(void **state)
{
    (void)state;
    const shape_case cases[] = {
        { TARN_F32, TARN_SCALAR, TARN_OK, 1, { 0 } },
        { TARN_F32, TARN_SHAPE(1), TARN_OK, 1, { 1 } },
        { TARN_F32, TARN_SHAPE(2, 3, 4), TARN_OK, 24, { 12, 4, 1 } },
        { TARN_U8,
          TARN_SHAPE(2, 2, 2, 2, 2, 2, 2, 2),
          TARN_OK,
          256,
          { 128, 64, 32, 16, 8, 4, 2, 1 } },
        { TARN_F64, TARN_SHAPE(1, 1, 1, 1, 1, 1, 1, 1), TARN_OK, 1, { 1, 1, 1, 1, 1, 1, 1, 1 } },
        /* Sizes of 0 make an empty tensor; strides are those of size 1. */
        { TARN_F32, TARN_SHAPE(0), TARN_OK, 0, { 1 } },
        { TARN_F32, TARN_SHAPE(0, 5, 7), TARN_OK, 0, { 35, 7, 1 } },
        { TARN_F32, TARN_SHAPE(3, 0, 4), TARN_OK, 0, { 4, 4, 1 } },
        { TARN_F32, TARN_SHAPE(0, 0), TARN_OK, 0, { 1, 1 } },
        /* The largest that can be spoken of, and one more. */
        { TARN_U8, TARN_SHAPE(MAX64), TARN_OK, MAX64, { 1 } },
        { TARN_F64, TARN_SHAPE((INT64_C(1) << 60) - 1), TARN_OK, (INT64_C(1) << 60) - 1, { 1 } },
        { TARN_F64, TARN_SHAPE(INT64_C(1) << 60), TARN_EOVERFLOW, 0, { 0 } },
        { TARN_F32, TARN_SHAPE(MAX64), TARN_EOVERFLOW, 0, { 0 } },
        { TARN_U8, TARN_SHAPE(INT64_C(1) << 32, INT64_C(1) << 31), TARN_EOVERFLOW, 0, { 0 } },
        /* A product that wraps to 4 in 64 bits. */
        { TARN_F32,
          TARN_SHAPE(4194305, 4194305, INT64_C(211106198978564)),
          TARN_EOVERFLOW,
          0,
          { 0 } },
        { TARN_F32, TARN_SHAPE(INT64_C(1) << 32, INT64_C(1) << 32), TARN_EOVERFLOW, 0, { 0 } },
        { TARN_U8,
          TARN_SHAPE(MAX64, MAX64, MAX64, MAX64, MAX64, MAX64, MAX64, MAX64),
          TARN_EOVERFLOW,
          0,
          { 0 } },
        /* Empty, but with strides that do not fit, wherever the 0 stands. */
        { TARN_U8, TARN_SHAPE(0, MAX64, MAX64), TARN_EOVERFLOW, 0, { 0 } },
        { TARN_U8, TARN_SHAPE(MAX64, 0, MAX64), TARN_EOVERFLOW, 0, { 0 } },
        { TARN_U8, TARN_SHAPE(MAX64, MAX64, 0), TARN_EOVERFLOW, 0, { 0 } },
        { TARN_F64, TARN_SHAPE(0, INT64_C(1) << 60), TARN_EOVERFLOW, 0, { 0 } },
        /* Negative sizes, also beside others that are wrong. */
        { TARN_F32, TARN_SHAPE(-1), TARN_ESHAPE, 0, { 0 } },
        { TARN_F32, TARN_SHAPE(2, -3), TARN_ESHAPE, 0, { 0 } },
        { TARN_F32, TARN_SHAPE(-2, -3), TARN_ESHAPE, 0, { 0 } },
        { TARN_F32, TARN_SHAPE(0, INT64_MIN), TARN_ESHAPE, 0, { 0 } },
        { TARN_F32, TARN_SHAPE(INT64_MIN, 0), TARN_ESHAPE, 0, { 0 } },
        { TARN_F32, TARN_SHAPE(-1, MAX64, MAX64), TARN_ESHAPE, 0, { 0 } },
        /* Ranks. */
        { TARN_F32, { TARN_MAX_DIMS + 1, { 1, 1, 1, 1, 1, 1, 1, 1 } }, TARN_ELIMIT, 0, { 0 } },
        { TARN_F32, { INT_MAX, { 1 } }, TARN_ELIMIT, 0, { 0 } },
        { TARN_F32, { -1, { 1 } }, TARN_EARG, 0, { 0 } },
        { TARN_F32, { INT_MIN, { 1 } }, TARN_EARG, 0, { 0 } },
        /* Element types. */
        { (tarn_dtype)5, TARN_SHAPE(1), TARN_EDTYPE, 0, { 0 } },
        { (tarn_dtype)255, TARN_SHAPE(1), TARN_EDTYPE, 0, { 0 } },
        { (tarn_dtype)-1, TARN_SHAPE(1), TARN_EDTYPE, 0, { 0 } },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const shape_case *c = &cases[i];
        tarn__layout layout = { .numel = 99 };
        const tarn_status status = tarn__layout_make(&layout, c->dtype, &c->shape);
        if (status != c->status) print_error("case %zu\n", i);
        check_status(status, c->status);
        if (status != TARN_OK) continue;
        assert_true(layout.numel == c->numel);
        assert_int_equal(layout.ndim, c->shape.ndim);
        assert_int_equal(layout.dtype, c->dtype);
        assert_true(layout.contiguous);
        for (int axis = 0; axis < layout.ndim; axis++) {
            if (layout.strides[axis] != c->strides[axis]) print_error("case %zu\n", i);
            assert_true(layout.strides[axis] == c->strides[axis]);
            assert_true(layout.dims[axis] == c->shape.dims[axis]);
        }
    }
}

static void shape_macro_counts_its_sizes(void **state)
{
    (void)state;
    const tarn_shape shape = TARN_SHAPE(4, 2, 9);
    assert_int_equal(shape.ndim, 3);
    assert_true(shape.dims[0] == 4 && shape.dims[1] == 2 && shape.dims[2] == 9);
    assert_int_equal(TARN_SCALAR.ndim, 0);
}

static void refresh_knows_gaps_from_order(void **state)
{
    (void)state;
    static const struct {
        tarn__layout layout;
        int64_t numel;
        bool contiguous;
    } cases[] = {
        { { .ndim = 2, .dims = { 2, 3 }, .strides = { 3, 1 } }, 6, true },
        { { .ndim = 2, .dims = { 3, 2 }, .strides = { 1, 3 } }, 6, false }, /* transposed */
        { { .ndim = 2, .dims = { 2, 2 }, .strides = { 3, 1 } }, 4, false }, /* a slice */
        { { .ndim = 2, .dims = { 1, 3 }, .strides = { 99, 1 } }, 3, true }, /* size 1: any stride */
        { { .ndim = 2, .dims = { 3, 1 }, .strides = { 1, 77 } }, 3, true },
        { { .ndim = 2, .dims = { 3, 4 }, .strides = { 0, 1 } }, 12, false }, /* expanded */
        { { .ndim = 2, .dims = { 0, 4 }, .strides = { 0, 9 } }, 0, true },   /* empty */
        { { .ndim = 0 }, 1, true },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tarn__layout layout = cases[i].layout;
        tarn__layout_refresh(&layout);
        assert_true(layout.numel == cases[i].numel);
        assert_int_equal(layout.contiguous, cases[i].contiguous);
    }
}

static void axes_count_from_both_ends(void **state)
{
    (void)state;
    const tarn__layout layout = { .ndim = 3 }, scalar = { .ndim = 0 };
    for (int axis = 0; axis < 3; axis++) {
        assert_int_equal(tarn__axis(&layout, axis), axis);
        assert_int_equal(tarn__axis(&layout, axis - 3), axis);
    }
    static const int outside[] = { 3, -4, INT_MAX, INT_MIN };
    for (size_t i = 0; i < 4; i++) assert_int_equal(tarn__axis(&layout, outside[i]), -1);
    assert_int_equal(tarn__axis(&scalar, 0), -1);
    assert_int_equal(tarn__axis(&scalar, -1), -1);
}

static void shapes_compare_and_describe_themselves(void **state)
{
    (void)state;
    tarn__layout a, b;
    char text[TARN__DESCRIPTION_BYTES];
    check_status(tarn__layout_make(&a, TARN_F32, &TARN_SHAPE(2, 3)), TARN_OK);
    check_status(tarn__layout_make(&b, TARN_I64, &TARN_SHAPE(2, 3)), TARN_OK);
    assert_true(tarn__same_shape(&a, &b));
    assert_string_equal(tarn__describe_layout(&a, text), "[2,3]");
    check_status(tarn__layout_make(&b, TARN_F32, &TARN_SHAPE(2, 3, 1)), TARN_OK);
    assert_false(tarn__same_shape(&a, &b));
    check_status(tarn__layout_make(&b, TARN_F32, &TARN_SHAPE(2, 4)), TARN_OK);
    assert_false(tarn__same_shape(&a, &b));
    check_status(tarn__layout_make(&b, TARN_F32, &TARN_SCALAR), TARN_OK);
    assert_string_equal(tarn__describe_layout(&b, text), "[]");

    const tarn__layout widest = { .ndim = 8,
                                  .dims = { INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN,
                                            INT64_MIN, INT64_MIN, INT64_MIN } };
    tarn__describe_layout(&widest, text);
    assert_int_equal(text[0], '[');
    assert_non_null(memchr(text, ']', sizeof(text)));
}

static void offsets_follow_strides(void **state)
{
    (void)state;
    const tarn__layout transposed = {
        .ndim = 2, .dims = { 3, 2 }, .strides = { 1, 3 }, .numel = 6
    };
    static const int64_t expected[] = { 0, 3, 1, 4, 2, 5 };
    for (int64_t i = 0; i < 6; i++) assert_true(tarn__offset_of(&transposed, i) == expected[i]);
    const tarn__layout expanded = { .ndim = 2, .dims = { 3, 2 }, .strides = { 0, 1 }, .numel = 6 };
    const tarn__layout once = { .ndim = 2, .dims = { 1, 2 }, .strides = { 0, 1 }, .numel = 2 };
    assert_true(tarn__is_expanded(&expanded));
    assert_false(tarn__is_expanded(&once));
    assert_false(tarn__is_expanded(&transposed));
    assert_true(tarn__offset_of(&expanded, 5) == 1);
}

/* ---- names */

static void element_types_have_names_and_sizes(void **state)
{
    (void)state;
#define TEST_TYPE(code, type, name)                          \
    assert_string_equal(tarn_dtype_name(TARN_##code), name); \
    assert_int_equal(tarn_dtype_size(TARN_##code), sizeof(type));
    TARN_DTYPE_LIST(TEST_TYPE)
#undef TEST_TYPE
    static const int unknown[] = { -1, 5, 255, INT_MAX, INT_MIN };
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(tarn_dtype_name((tarn_dtype)unknown[i]), "unknown");
        assert_int_equal(tarn_dtype_size((tarn_dtype)unknown[i]), 0);
    }
}

static void statuses_have_names_and_texts(void **state)
{
    (void)state;
    assert_int_equal(TARN_OK, 0);
#define TEST_STATUS(code, text)                                        \
    assert_string_equal(tarn_status_name(TARN_##code), "TARN_" #code); \
    assert_string_equal(tarn_status_text(TARN_##code), text);
    TARN_STATUS_LIST(TEST_STATUS)
#undef TEST_STATUS
    static const int unknown[] = { -1, 13, INT_MAX };
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(tarn_status_name((tarn_status)unknown[i]), "unknown status");
        assert_string_equal(tarn_status_text((tarn_status)unknown[i]), "unknown status");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_add_and_multiply_or_refuse),
        cmocka_unit_test(sizes_round_up_or_refuse),
        cmocka_unit_test(signed_numbers_add_and_multiply_or_refuse),
        cmocka_unit_test(shapes_pack_or_refuse),
        cmocka_unit_test(shape_macro_counts_its_sizes),
        cmocka_unit_test(refresh_knows_gaps_from_order),
        cmocka_unit_test(axes_count_from_both_ends),
        cmocka_unit_test(shapes_compare_and_describe_themselves),
        cmocka_unit_test(offsets_follow_strides),
        cmocka_unit_test(element_types_have_names_and_sizes),
        cmocka_unit_test(statuses_have_names_and_texts),
    };
    return cmocka_run_group_tests_name("size", tests, NULL, NULL);
}
