/* SPDX-License-Identifier: MIT
 * test_ops.c - particular values of operations, and what they refuse. The cases are
 * in op_cases.c, gradients in test_op_gradients.c. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_cases.h"
#include "ops/gemm.h"
#include "ops/op_list.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

/* ---- the table */

static void every_operation_has_a_case(void **state)
{
    (void)state;
    for (int i = 0; tarn__ops[i] != NULL; i++) {
        bool found = false;
        OP_EACH_CASE(c) found = found || strcmp(c->op, tarn__ops[i]->name) == 0;
        if (!found) fail_msg("no row in tests/cases_*.c for the operation %s", tarn__ops[i]->name);
    }
}

static const tarn__op *find_op(const char *name)
{
    for (int i = 0; tarn__ops[i] != NULL; i++)
        if (strcmp(tarn__ops[i]->name, name) == 0) return tarn__ops[i];
    fail_msg("%s is no operation", name);
    return NULL;
}

/* Each structure is complete and consistent with what op.h says of it. */
static void the_list_is_sound(void **state)
{
    (void)state;
    OP_EACH_CASE(c)
    {
        if ((c->flags & OP_COMPOSED) == 0) (void)find_op(c->op);
    }
    for (int i = 0; tarn__ops[i] != NULL; i++) {
        const tarn__op *op = tarn__ops[i];
        assert_ptr_equal(find_op(op->name), op);
        assert_in_range(op->arity, 1, TARN__MAX_OPERANDS);
        assert_non_null(op->infer);
        assert_true(op->is_view == (op->forward[0][0] == NULL));
        for (int level = 0; level < TARN__SIMD_LEVELS; level++)
            for (int type = 0; type < 2; type++) {
                assert_true((op->forward[0][0] == NULL) == (op->forward[level][type] == NULL));
                assert_true((op->backward[0][0] == NULL) == (op->backward[level][type] == NULL));
            }
        for (int k = 0; k < TARN__MAX_OPERANDS; k++)
            assert_true((k < op->arity) == (op->operands[k] != NULL));
    }
}

/* ---- particular values */

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, dtype, ...)                                                         \
    tarn_cast(tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                              (const double[]){ __VA_ARGS__ }),                        \
              (dtype))
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)

static void sigmoid_and_losses_keep_to_their_range(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++) {
        tarn_tensor *x =
            VECTOR(tm, (tarn_dtype)dtype, -1e4, -501, 0, 501, 1e4, INFINITY, -INFINITY);
        EXPECT(tarn_sigmoid(x), 0, dtype == TARN_F32 ? 0 : exp(-501), 0.5, 1, 1, 1, 0);
        tarn_tensor *z = VECTOR(tm, (tarn_dtype)dtype, -1e4, 1e4, 0, 1e4);
        tarn_tensor *y = VECTOR(tm, (tarn_dtype)dtype, 0, 1, 0, 0);
        check_close(tarn_bce_with_logits(z, y), (const double[]){ (log(2) + 1e4) / 4 }, 1, 1e-3);
        tarn_tensor *large =
            tarn_reshape(VECTOR(tm, (tarn_dtype)dtype, 1e3, 2e3, 1e6, 1e6), TARN_SHAPE(2, 2));
        EXPECT(tarn_softmax(large, 1), 0, 1, 0.5, 0.5);
        tarn_tensor *nothing = VECTOR(tm, (tarn_dtype)dtype, -INFINITY, -INFINITY);
        EXPECT(tarn_softmax(nothing, 0), NAN, NAN);
        EXPECT(tarn_log_softmax(nothing, 0), NAN, NAN);
    }
}

static void empty_operands(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *nothing = tarn_zeros(tm, TARN_F32, TARN_SHAPE(0, 3));
    EXPECT(tarn_sum(nothing, TARN_AXES(0)), 0, 0, 0);
    EXPECT(tarn_mean(nothing, TARN_ALL_AXES), NAN);
    EXPECT(tarn_mse(nothing, nothing), NAN);
    EXPECT(tarn_cross_entropy(nothing, tarn_zeros(tm, TARN_U8, TARN_SHAPE(0))), NAN);
    assert_int_equal(tarn_numel(tarn_max(nothing, TARN_AXES(1))), 0);
    assert_int_equal(tarn_numel(tarn_add(nothing, nothing)), 0);
    EXPECT(tarn_matmul(tarn_zeros(tm, TARN_F64, TARN_SHAPE(1, 0)),
                       tarn_zeros(tm, TARN_F64, TARN_SHAPE(0, 2))),
           0, 0);
}

static void argmax_of_equals_nan_and_integers(void **state)
{
    tarn_manager *tm = MANAGER(state);
    EXPECT(tarn_argmax(VECTOR(tm, TARN_F32, 1, 3, 3, 2), TARN_ALL_AXES), 1);
    EXPECT(tarn_argmax(VECTOR(tm, TARN_F64, 1, NAN, 3, NAN), TARN_ALL_AXES), 1);
    EXPECT(tarn_argmax(VECTOR(tm, TARN_F64, -INFINITY, -INFINITY), TARN_ALL_AXES), 0);
    EXPECT(tarn_argmax(VECTOR(tm, TARN_U8, 1, 200, 7), TARN_ALL_AXES), 1);
    EXPECT(tarn_argmax(VECTOR(tm, TARN_I32, -7, -3, -2e9), TARN_ALL_AXES), 1);
    EXPECT(tarn_argmax(
               tarn_transpose(
                   tarn_reshape(VECTOR(tm, TARN_I64, 1, 9, 5, 7, 2, 8), TARN_SHAPE(2, 3)), 0, 1),
               TARN_AXES(1)),
           1, 0, 1);
}

static void casts_saturate(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const double low = -0x1p63, high = 0x1p63;
    for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++) {
        tarn_tensor *x = VECTOR(tm, (tarn_dtype)dtype, -1e30, -3.75, -0.5, 0.5, 3.75, 255.5, 1e10,
                                1e30, NAN, INFINITY, -INFINITY);
        EXPECT(tarn_cast(x, TARN_U8), 0, 0, 0, 0, 3, 255, 255, 255, 0, 255, 0);
        EXPECT(tarn_cast(x, TARN_I32), -0x1p31, -3, 0, 0, 3, 255, 0x1p31 - 1, 0x1p31 - 1, 0,
               0x1p31 - 1, -0x1p31);
        EXPECT(tarn_cast(x, TARN_I64), low, -3, 0, 0, 3, 255, 1e10, high, 0, high, low);
    }
    const int64_t whole[] = { INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX, -1, 256 };
    tarn_tensor *x = tarn_from_array(tm, TARN_I64, TARN_SHAPE(6), whole);
    assert_memory_equal(tarn_data(tarn_cast(x, TARN_I64)), whole, sizeof(whole));
    EXPECT(tarn_cast(x, TARN_U8), 0, 0, 255, 255, 0, 255);
    EXPECT(tarn_cast(x, TARN_I32), -0x1p31, -0x1p31, 0x1p31 - 1, 0x1p31 - 1, -1, 256);
    tarn_tensor *edges = VECTOR(tm, TARN_F64, high, low, 0x1p31 - 1, 0x1p31 - 0.5, 255, 256);
    EXPECT(tarn_cast(edges, TARN_I64), high, low, 0x1p31 - 1, 0x1p31 - 1, 255, 256);
    EXPECT(tarn_cast(edges, TARN_I32), 0x1p31 - 1, -0x1p31, 0x1p31 - 1, 0x1p31 - 1, 255, 256);
    EXPECT(tarn_cast(edges, TARN_U8), 255, 0, 255, 255, 255, 255);
    EXPECT(tarn_cast(VECTOR(tm, TARN_F64, 1e300, -1e300, 1 + 0x1p-40), TARN_F32), INFINITY,
           -INFINITY, 1);
}

static void contiguous_is_a_view_where_it_can_be(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_I32, TARN_SHAPE(2, 3));
    assert_ptr_equal(tarn_data(tarn_contiguous(x)), tarn_data(x));
    tarn_tensor *t = tarn_contiguous(tarn_transpose(x, 0, 1));
    assert_ptr_not_equal(tarn_data(t), tarn_data(x));
    assert_true(tarn_is_contiguous(t));
}

static void dropout_depends_on_seed_and_stream_alone(void **state)
{
    tarn_manager *tm = MANAGER(state);
    enum { N = 100000 };
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(N));
    tarn_tensor *y = tarn_dropout(x, 0.25, 7);
    (void)tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(5), 0, 1, 7);
    assert_memory_equal(tarn_data(tarn_dropout(x, 0.25, 7)), tarn_data(y), N * sizeof(float));
    assert_memory_not_equal(tarn_data(tarn_dropout(x, 0.25, 8)), tarn_data(y), N * sizeof(float));
    /* The first elements do not depend on how many follow. */
    tarn_tensor *few = tarn_dropout(tarn_slice(x, 0, 0, 101), 0.25, 7);
    assert_memory_equal(tarn_data(few), tarn_data(y), 101 * sizeof(float));
    const double kept = 0.75 * tarn_item(tarn_mean(y, TARN_ALL_AXES));
    assert_true(fabs(kept - 0.75) < 5 * sqrt(0.25 * 0.75 / N));
}

/* ---- sums of many terms in gradients */

typedef tarn_tensor *(*repeating)(tarn_tensor *b, const tarn_shape *shape);

static tarn_tensor *repeat_by_add(tarn_tensor *b, const tarn_shape *shape)
{
    return tarn_add(tarn_zeros(tarn_manager_of(b), TARN_F32, *shape), b);
}

/* 1 / -b, whose derivative is 1 where b is, and reads b and y in backward. */
static tarn_tensor *repeat_by_div(tarn_tensor *b, const tarn_shape *shape)
{
    return tarn_div(tarn_ones(tarn_manager_of(b), TARN_F32, *shape), tarn_neg(b));
}

static tarn_tensor *repeat_by_expand(tarn_tensor *b, const tarn_shape *shape)
{
    return tarn_expand(b, *shape);
}

static tarn_tensor *repeat_by_affine(tarn_tensor *b, const tarn_shape *shape)
{
    tarn_shape input = *shape;
    const int64_t outputs = input.dims[input.ndim - 1];
    input.dims[input.ndim - 1] = 1;
    tarn_manager *tm = tarn_manager_of(b);
    return tarn_affine(tarn_zeros(tm, TARN_F32, input),
                       tarn_zeros(tm, TARN_F32, TARN_SHAPE(outputs, 1)), b);
}

/* The gradient of b, ones that are repeated to `shape`, is the sum of so many times the float next
 * to 0.1, rounded once or twice. Sums in float would be wrong in the third digit. */
static void expect_exact_sums(tarn_manager *tm, repeating repeat, tarn_shape from, tarn_shape to)
{
    TARN_SCOPE(tm);
    tarn_tensor *b = tarn_require_grad(tarn_ones(tm, TARN_F32, from));
    tarn_tensor *y = repeat(b, &to);
    tarn_tensor *dy = tarn_full(tm, TARN_F32, to, 0.1);
    const double terms = (double)(tarn_numel(dy) / tarn_numel(b));
    for (int pass = 1; pass <= 2; pass++) { /* the second is added to the first */
        assert_int_equal(
            tarn_backward_with(y, &(tarn_backward_options){ .gradient = dy, .keep_graph = true }),
            TARN_OK);
        const double expected = pass * terms * (double)0.1F;
        const float *sums = tarn_data(tarn_grad_of(b));
        for (int64_t i = 0; i < tarn_numel(b); i++)
            if (!(fabs((double)sums[i] - expected) <= 0x1p-23 * expected))
                fail_msg("sum %d of pass %d is %.9g, not %.9g", (int)i, pass, (double)sums[i],
                         expected);
    }
}

static void gradients_of_repeated_elements_are_exact(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const int64_t n = INT64_C(1) << 22;
    const repeating repeats[] = { repeat_by_add, repeat_by_div, repeat_by_expand };
    for (size_t i = 0; i < sizeof(repeats) / sizeof(repeats[0]); i++) {
        expect_exact_sums(tm, repeats[i], TARN_SHAPE(1), TARN_SHAPE(n));
        expect_exact_sums(tm, repeats[i], TARN_SHAPE(4), TARN_SHAPE(n / 4, 4));
        expect_exact_sums(tm, repeats[i], TARN_SHAPE(300), TARN_SHAPE(n / 256, 300));
        expect_exact_sums(tm, repeats[i], TARN_SHAPE(3, 1), TARN_SHAPE(n / 64, 3, 16));
        expect_exact_sums(tm, repeats[i], TARN_SHAPE(2, 1, 5), TARN_SHAPE(2, n / 8, 5));
    }
    expect_exact_sums(tm, repeat_by_affine, TARN_SHAPE(4), TARN_SHAPE(n / 4, 4));
    expect_exact_sums(tm, repeat_by_affine, TARN_SHAPE(300), TARN_SHAPE(n / 256, 300));
}

/* ---- matrix products */

enum { EDGE = 40, ROOM = 3 };

/* Fills a and b of every stored order with whole numbers, of which both products must be exact, and
 * c with NaN. */
static void expect_gemm(int64_t m, int64_t n, int64_t k, int a_order, int b_order, bool add)
{
    static double A[(EDGE + ROOM) * EDGE], B[(EDGE + ROOM) * EDGE], c[EDGE * EDGE];
    static float Af[(EDGE + ROOM) * EDGE], Bf[(EDGE + ROOM) * EDGE], cf[EDGE * EDGE];
    for (int i = 0; i < (EDGE + ROOM) * EDGE; i++) {
        A[i] = Af[i] = (float)(i * 7 % 11 - 5);
        B[i] = Bf[i] = (float)(i * 5 % 13 - 6);
    }
    for (int i = 0; i < EDGE * EDGE; i++) c[i] = cf[i] = add ? (float)(i % 17) : NAN;
    const tarn__matrix a = { A, a_order ? 1 : k + ROOM, a_order ? m + ROOM : 1 };
    const tarn__matrix b = { B, b_order ? 1 : n + ROOM, b_order ? k + ROOM : 1 };
    tarn__gemm_f64(m, n, k, a, b, c, add);
    tarn__gemm_f32(m, n, k, (tarn__matrix){ Af, a.row, a.column },
                   (tarn__matrix){ Bf, b.row, b.column }, cf, add);
    for (int64_t i = 0; i < m * n; i++) {
        double sum = add ? (double)(i % 17) : 0;
        for (int64_t p = 0; p < k; p++)
            sum += A[i / n * a.row + p * a.column] * B[p * b.row + i % n * b.column];
        if (c[i] != sum || (double)cf[i] != sum)
            fail_msg("%d x %d x %d, orders %d %d, add %d: element %d is %g and %g, not %g", (int)m,
                     (int)n, (int)k, a_order, b_order, add, (int)i, c[i], (double)cf[i], sum);
    }
}

/* All of a few sizes, on either side of where BLAS takes over; c holds NaN where it is overwritten.
 */
static void products_of_every_size_and_order(void **state)
{
    static const int64_t sizes[] = { 0, 1, 2, 3, 4, 7, 8, 9, 16, 40 };
    enum { N = sizeof(sizes) / sizeof(sizes[0]) };
    (void)state;
    for (int m = 0; m < N; m++)
        for (int n = 0; n < N; n++)
            for (int k = 0; k < N; k++)
                for (int order = 0; order < 8; order++)
                    expect_gemm(sizes[m], sizes[n], sizes[k], order & 1, order >> 1 & 1,
                                (order & 4) != 0);
}

static void transposed_operands_are_not_copied(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *a = tarn_ones(tm, TARN_F32, TARN_SHAPE(30, 20));
    tarn_tensor *b = tarn_slice(tarn_ones(tm, TARN_F32, TARN_SHAPE(30, 50)), 1, 10, 20);
    tarn_tensor *t = tarn_transpose(a, 0, 1);
    const uint64_t before = tarn_manager_get_stats(tm).created;
    (void)tarn_matmul(t, b);
    assert_int_equal(tarn_manager_get_stats(tm).created, before + 1);
}

/* A view of shape (2,1,4) whose axis of size 1 has the stride 1: without gaps, but its rows are not
 * where strides say. */
static void strides_of_single_rows_are_not_read(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_arange(tm, TARN_F64, 0, 8, 1);
    tarn_tensor *a = tarn_transpose(tarn_reshape(x, TARN_SHAPE(2, 4, 1)), 1, 2);
    assert_true(tarn_is_contiguous(a));
    assert_int_equal(tarn_stride(a, 1), 1);
    EXPECT(tarn_matmul(a, tarn_eye(tm, TARN_F64, 4)), 0, 1, 2, 3, 4, 5, 6, 7);
    EXPECT(tarn_add(a, a), 0, 2, 4, 6, 8, 10, 12, 14);
    EXPECT(tarn_sum(a, TARN_AXES(2)), 6, 22);
    EXPECT(tarn_affine(a, tarn_eye(tm, TARN_F64, 4), NULL), 0, 1, 2, 3, 4, 5, 6, 7);
}

/* ---- what operations refuse */

#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

static void wrong_shapes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *a = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3)),
                *b = tarn_zeros(tm, TARN_F32, TARN_SHAPE(4));
    tarn_tensor *c = tarn_zeros(tm, TARN_F32, TARN_SHAPE(4, 3)),
                *d = tarn_zeros(tm, TARN_F32, TARN_SHAPE(8, 3));
    tarn_tensor *batches = tarn_zeros(tm, TARN_F32, TARN_SHAPE(5, 2, 3));
    tarn_tensor *others = tarn_zeros(tm, TARN_F32, TARN_SHAPE(4, 3, 2));
    tarn_tensor *labels = tarn_zeros(tm, TARN_I64, TARN_SHAPE(3));
    REFUSES(tarn_add(a, b), TARN_ESHAPE,
            "add: a [2,3], b [4]: sizes 3 and 4 of the last axis do not broadcast; they must be "
            "equal, or one of them 1");
    REFUSES(tarn_maximum(a, c), TARN_ESHAPE,
            "maximum: a [2,3], b [4,3]: sizes 2 and 4 of axis -2 do not broadcast; they must be "
            "equal, or one of them 1");
    REFUSES(tarn_pow(tarn_set_name(b, "exponents"), a), TARN_ESHAPE,
            "pow: a \"exponents\" [4], b [2,3]: sizes 4 and 3 of the last axis do not broadcast; "
            "they must be equal, or one of them 1");
    REFUSES(tarn_matmul(a, c), TARN_ESHAPE,
            "matmul: a [2,3], b [4,3]: rows of a have 3 elements, and columns of b 4 "
            "(tarn_transpose(b, -2, -1) makes it [3,4])");
    REFUSES(tarn_matmul(a, b), TARN_ESHAPE,
            "matmul: a [2,3], b \"exponents\" [4]: rows of a have 3 elements, and columns of b 4");
    REFUSES(tarn_matmul(batches, others), TARN_ESHAPE,
            "matmul: a [5,2,3], b [4,3,2]: sizes 5 and 4 of axis -3 do not broadcast; they must be "
            "equal, or one of them 1");
    REFUSES(tarn_affine(tarn_zeros(tm, TARN_F32, TARN_SHAPE(4, 2)), d, NULL), TARN_ESHAPE,
            "affine: x [4,2], w [8,3]: rows of x have 2 elements, and w takes 3");
    REFUSES(tarn_affine(c, d, a), TARN_ESHAPE, "affine: w [8,3], b [2,3]; b (8) is needed");
    REFUSES(tarn_affine(c, batches, NULL), TARN_ESHAPE,
            "affine: x [4,3] and w [5,2,3]; x (..., I) and w (O, I) are needed");
    REFUSES(tarn_mse(a, c), TARN_ESHAPE, "mse: x [2,3], y [4,3]: one shape is needed");
    REFUSES(tarn_bce_with_logits(a, batches), TARN_ESHAPE,
            "bce_with_logits: x [2,3], y [5,2,3]: one shape is needed");
    REFUSES(tarn_cross_entropy(a, labels), TARN_ESHAPE,
            "cross_entropy: logits [2,3], labels [3]: 2 and 3 rows differ");
    REFUSES(tarn_cross_entropy(b, labels), TARN_ESHAPE,
            "cross_entropy: logits \"exponents\" [4], labels [3]; logits (B, C) and labels (B) are "
            "needed");
    REFUSES(
        tarn_cross_entropy(a, b), TARN_EDTYPE,
        "cross_entropy: labels is float32; int32, int64 or uint8 is needed (tarn_cast converts)");
    REFUSES(tarn_max(tarn_zeros(tm, TARN_F32, TARN_SHAPE(0, 3)), TARN_AXES(0)), TARN_ESHAPE,
            "max: axis 0 of x [0,3] has no elements");
    REFUSES(tarn_argmax(tarn_zeros(tm, TARN_F32, TARN_SHAPE(3, 0)), TARN_ALL_AXES), TARN_ESHAPE,
            "argmax: axis 1 of x [3,0] has no elements");
}

static void wrong_attributes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
    REFUSES(tarn_sum(x, TARN_AXES(2)), TARN_EARG, "sum: x [2,3] has no axis 2");
    REFUSES(tarn_mean(x, TARN_AXES(0, -3)), TARN_EARG, "mean: x [2,3] has no axis -3");
    REFUSES(tarn_max(x, TARN_AXES_KEEP(1, -1)), TARN_EARG,
            "max: axis -1 of x [2,3] is named twice");
    REFUSES(tarn_min(x, ((tarn_axes){ .n = 9 })), TARN_EARG,
            "min: 9 axes; 0 (all) to 8 are possible");
    REFUSES(tarn_argmax(tarn_zeros(tm, TARN_U8, TARN_SCALAR), TARN_AXES(0)), TARN_EARG,
            "argmax: x [] has no axis 0");
    REFUSES(tarn_softmax(x, 2), TARN_EARG, "softmax: x [2,3] has no axis 2");
    REFUSES(tarn_log_softmax(x, -3), TARN_EARG, "log_softmax: x [2,3] has no axis -3");
    REFUSES(tarn_leaky_relu(x, NAN), TARN_EARG, "leaky_relu: slope nan is not finite");
    REFUSES(tarn_dropout(x, 1.5, 0), TARN_EARG, "dropout: p is 1.5; 0 to 1 is possible");
    REFUSES(tarn_dropout(x, NAN, 0), TARN_EARG, "dropout: p is nan; 0 to 1 is possible");
    REFUSES(tarn_cast(x, (tarn_dtype)17), TARN_EDTYPE, "cast: 17 is no element type");
}

static void wrong_labels(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(3, 10));
    REFUSES(tarn_cross_entropy(x, VECTOR(tm, TARN_I64, 1, 9, 10)), TARN_EARG,
            "cross_entropy: label 10 of row 2 is not in [0, 10), the classes of logits [3,10]");
    REFUSES(tarn_cross_entropy(x, VECTOR(tm, TARN_I32, 1, -1, 0)), TARN_EARG,
            "cross_entropy: label -1 of row 1 is not in [0, 10), the classes of logits [3,10] "
            "(rows with the ignore_index of the options are left out)");
    REFUSES(tarn_cross_entropy(x, VECTOR(tm, TARN_U8, 255, 0, 0)), TARN_EARG,
            "cross_entropy: label 255 of row 0 is not in [0, 10), the classes of logits [3,10]");
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_operation_has_a_case),
        TEST(the_list_is_sound),
        TEST(sigmoid_and_losses_keep_to_their_range),
        TEST(empty_operands),
        TEST(argmax_of_equals_nan_and_integers),
        TEST(casts_saturate),
        TEST(contiguous_is_a_view_where_it_can_be),
        TEST(dropout_depends_on_seed_and_stream_alone),
        TEST(gradients_of_repeated_elements_are_exact),
        TEST(products_of_every_size_and_order),
        TEST(transposed_operands_are_not_copied),
        TEST(strides_of_single_rows_are_not_read),
        TEST(wrong_shapes),
        TEST(wrong_attributes),
        TEST(wrong_labels),
    };
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
