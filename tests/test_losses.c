/* SPDX-License-Identifier: MIT
 * test_losses.c - losses: particular values, options, what they refuse. Their formulas are tested
 * by the rows of cases_losses.c and cases_label_losses.c. */
#include <math.h>

#include <tarn/tarn.h>

#include "check.h"
#include "core/tensor.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, dtype, ...)                                                         \
    tarn_cast(tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                              (const double[]){ __VA_ARGS__ }),                        \
              (dtype))
#define MATRIX(tm, dtype, rows, columns, ...) \
    tarn_reshape(VECTOR(tm, dtype, __VA_ARGS__), TARN_SHAPE(rows, columns))
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)
#define EXPECT_NEAR(t, ...) \
    check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 1e-12)

/* The gradient of the sum of y is this. */
#define EXPECT_GRADIENT(leaf, y, ...)                                       \
    do {                                                                    \
        tarn_zero_grad(leaf);                                               \
        check_status(tarn_backward(tarn_sum((y), TARN_ALL_AXES)), TARN_OK); \
        EXPECT_NEAR(tarn_grad_of(leaf), __VA_ARGS__);                       \
    } while (0)

#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

static const tarn_reduction EACH = TARN_REDUCE_NONE, SUM = TARN_REDUCE_SUM;

/* ---- labels */

/* Rows {0, 0} and {0, log 3}: their negative log-probabilities are log 2 and log 2, log 4 and
 * log 4/3. */
static tarn_tensor *two_rows(tarn_manager *tm)
{
    return tarn_require_grad(MATRIX(tm, TARN_F64, 2, 2, 0, 0, 0, log(3)));
}

static void weighted_means_divide_by_weights(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = two_rows(tm), *w = VECTOR(tm, TARN_F64, 1, 3);
    tarn_tensor *same = VECTOR(tm, TARN_I64, 0, 0), *differ = VECTOR(tm, TARN_U8, 0, 1);
    const tarn_label_options weighted = { .weights = w };
    EXPECT_NEAR(tarn_cross_entropy_with(x, same, &weighted), (log(2) + log(4)) / 2);
    EXPECT_NEAR(tarn_cross_entropy_with(x, differ, &weighted), (log(2) + 3 * log(4. / 3)) / 4);
    EXPECT_NEAR(tarn_nll_with(tarn_log_softmax(x, 1), differ, &weighted),
                (log(2) + 3 * log(4. / 3)) / 4);
    EXPECT_NEAR(tarn_cross_entropy_with(x, differ,
                                        &(tarn_label_options){ .weights = w, .reduction = EACH }),
                log(2), 3 * log(4. / 3));
    EXPECT_NEAR(
        tarn_cross_entropy_with(
            x, differ, &(tarn_label_options){ .weights = w, .reduction = TARN_REDUCE_BATCH_MEAN }),
        (log(2) + 3 * log(4. / 3)) / 2);
    EXPECT_GRADIENT(x, tarn_cross_entropy_with(x, differ, &weighted), -0.125, 0.125, 3. / 16,
                    -3. / 16);
}

static void smoothing_spreads_the_loss(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = two_rows(tm), *labels = VECTOR(tm, TARN_I32, 0, 1);
    tarn_label_options o = { .label_smoothing = 1, .reduction = EACH };
    EXPECT_NEAR(tarn_cross_entropy_with(x, labels, &o), log(2), (log(4) + log(4. / 3)) / 2);
    o.label_smoothing = 0.5;
    EXPECT_NEAR(tarn_cross_entropy_with(x, labels, &o), log(2), 0.75 * log(4. / 3) + 0.25 * log(4));
    /* Without it, classes that are ruled out cost nothing. */
    tarn_tensor *out = MATRIX(tm, TARN_F32, 1, 3, 0, -INFINITY, -INFINITY);
    EXPECT(tarn_cross_entropy(out, VECTOR(tm, TARN_I32, 0)), 0);
    EXPECT(tarn_cross_entropy(out, VECTOR(tm, TARN_I32, 1)), INFINITY);
    o = (tarn_label_options){ .label_smoothing = 0.1 };
    EXPECT(tarn_cross_entropy_with(out, VECTOR(tm, TARN_I32, 0), &o), INFINITY);
}

static void ignored_rows_count_for_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = two_rows(tm), *w = VECTOR(tm, TARN_F64, 1, 3);
    tarn_tensor *second = VECTOR(tm, TARN_I64, -100, 1), *none = VECTOR(tm, TARN_I64, -100, -100);
    tarn_label_options o = { .ignores = true, .ignore_index = -100, .weights = w };
    EXPECT_NEAR(tarn_cross_entropy_with(x, second, &o), log(4. / 3));
    EXPECT_GRADIENT(x, tarn_cross_entropy_with(x, second, &o), 0, 0, 0.25, -0.25);
    EXPECT_NEAR(tarn_nll_with(tarn_log_softmax(x, 1), second, &o), log(4. / 3));

    EXPECT(tarn_cross_entropy_with(x, none, &o), NAN);
    EXPECT_GRADIENT(x, tarn_cross_entropy_with(x, none, &o), 0, 0, 0, 0);
    o.reduction = EACH;
    EXPECT(tarn_cross_entropy_with(x, none, &o), 0, 0);
    o.reduction = SUM;
    EXPECT(tarn_nll_with(x, none, &o), 0);
    o = (tarn_label_options){ .ignores = true }; /* class 0 */
    EXPECT_NEAR(tarn_cross_entropy_with(x, VECTOR(tm, TARN_I32, 1, 0), &o), log(2));
    /* An ignored row's numbers are not read. */
    tarn_tensor *broken = MATRIX(tm, TARN_F32, 2, 2, NAN, NAN, 0, 0);
    EXPECT(tarn_cross_entropy_with(broken, VECTOR(tm, TARN_U8, 0, 1), &o), (double)(float)log(2));
}

static void labels_that_do_not_fit(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_tensor *images = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3, 2, 2));
    tarn_tensor *labels = VECTOR(tm, TARN_I32, 0, 3);
    const tarn_label_options ignores = { .ignores = true, .ignore_index = 7 };
    REFUSES(tarn_nll(x, labels), TARN_EARG,
            "nll: label 3 of row 1 is not in [0, 3), the classes of log_p [2,3]");
    REFUSES(tarn_cross_entropy_with(x, labels, &ignores), TARN_EARG,
            "cross_entropy: label 3 of row 1 is not in [0, 3), the classes of logits [2,3]");
    REFUSES(tarn_nll(x, VECTOR(tm, TARN_F32, 0, 1)), TARN_EDTYPE,
            "nll: labels is float32; int32, int64 or uint8 is needed (tarn_cast converts)");
    REFUSES(tarn_nll(x, VECTOR(tm, TARN_I32, 0)), TARN_ESHAPE,
            "nll: log_p [2,3], labels [1]: 2 and 1 rows differ");
    REFUSES(tarn_cross_entropy(images, labels), TARN_ESHAPE,
            "cross_entropy: logits [2,3,2,2], labels [2]; logits (B, C, ...) and labels (B, ...) "
            "are needed");
    REFUSES(tarn_cross_entropy(images, tarn_zeros(tm, TARN_I32, TARN_SHAPE(2, 2, 4))), TARN_ESHAPE,
            "cross_entropy: logits [2,3,2,2], labels [2,2,4]: sizes 2 and 4 differ; classes are "
            "along axis 1 of logits");
    REFUSES(tarn_nll(tarn_zeros(tm, TARN_F32, TARN_SHAPE(3)), labels), TARN_ESHAPE,
            "nll: log_p [3], labels [2]; log_p (B, C) and labels (B) are needed");
}

static void label_options_that_do_not_fit(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_tensor *labels = VECTOR(tm, TARN_I32, 0, 1);
    tarn_label_options o = { .weights = VECTOR(tm, TARN_F32, 1, 2) };
    REFUSES(tarn_cross_entropy_with(x, labels, &o), TARN_ESHAPE,
            "cross_entropy: logits [2,3], weights [2]; weights (3) is needed");
    o.weights = VECTOR(tm, TARN_F64, 1, 2, 3);
    REFUSES(tarn_nll_with(x, labels, &o), TARN_EDTYPE,
            "nll: log_p is float32, weights is float64; one type is needed (tarn_cast converts)");
    o.weights = tarn_require_grad(VECTOR(tm, TARN_F32, 1, 2, 3));
    REFUSES(tarn_nll_with(x, labels, &o), TARN_EARG,
            "nll: weights [3] requires a gradient, but receives none: pass tarn_detach of it");
    const double bad[] = { -0.1, 1.5, NAN };
    const char *texts[] = { "nll: label_smoothing is -0.1; 0 to 1 is possible",
                            "nll: label_smoothing is 1.5; 0 to 1 is possible",
                            "nll: label_smoothing is nan; 0 to 1 is possible" };
    for (int i = 0; i < 3; i++)
        REFUSES(tarn_nll_with(x, labels, &(tarn_label_options){ .label_smoothing = bad[i] }),
                TARN_EARG, texts[i]);
    REFUSES(tarn_nll_with(x, labels, &(tarn_label_options){ .reduction = (tarn_reduction)4 }),
            TARN_EARG, "nll: there is no reduction 4");
}

/* What a gradient does not read is not kept for it. */
static void little_is_kept(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3)));
    tarn_tensor *log_p = tarn_log_softmax(x, 1), *shifted = tarn_add_scalar(x, 1);
    tarn_tensor *y = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2, 3));
    const uint32_t before = log_p->saves;
    assert_non_null(tarn_nll(log_p, VECTOR(tm, TARN_I32, 0, 1)));
    assert_int_equal(log_p->saves, before);
    assert_non_null(tarn_kl_divergence(shifted, y));
    assert_int_equal(shifted->saves, 0);
    assert_int_equal(y->saves, 1);
}

/* ---- elements */

static void losses_without_elements(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *none = tarn_zeros(tm, TARN_F32, TARN_SHAPE(0, 3));
    tarn_tensor *labels = tarn_zeros(tm, TARN_I32, TARN_SHAPE(0));
    tarn_tensor *rows = tarn_zeros(tm, TARN_F32, TARN_SHAPE(0));
    EXPECT(tarn_cross_entropy(none, labels), NAN);
    EXPECT(tarn_nll(none, labels), NAN);
    EXPECT(tarn_nll_with(none, labels, &(tarn_label_options){ .reduction = SUM }), 0);
    EXPECT(tarn_l1(none, none), NAN);
    EXPECT(tarn_huber(none, none), NAN);
    EXPECT(tarn_hinge(none, none), NAN);
    EXPECT(tarn_gaussian_nll(none, none, none), NAN);
    EXPECT(tarn_bce_with_logits_with(none, none, &(tarn_bce_options){ .reduction = SUM }), 0);
    EXPECT(tarn_mse_with(none, none, &(tarn_loss_options){ .reduction = SUM }), 0);
    EXPECT(tarn_cosine_embedding(none, none, rows), NAN);
    tarn_tensor *each =
        tarn_kl_divergence_with(none, none, &(tarn_kl_options){ .reduction = EACH });
    assert_int_equal(tarn_ndim(each), 2);
    assert_int_equal(tarn_numel(each), 0);
}

static void kinks(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(VECTOR(tm, TARN_F64, 1, 2, 3, 5));
    tarn_tensor *y = tarn_require_grad(VECTOR(tm, TARN_F64, 2, 2, 2, 2));
    const tarn_loss_options each = { .reduction = EACH };
    EXPECT(tarn_l1_with(x, y, &each), 1, 0, 1, 3);
    EXPECT_GRADIENT(x, tarn_l1_with(x, y, &each), -1, 0, 1, 1);
    EXPECT_GRADIENT(y, tarn_l1_with(x, y, &each), 1, 0, -1, -1);

    const tarn_huber_options unit = { .reduction = EACH };
    const tarn_huber_options smooth = { .delta = 2, .smooth_l1 = true, .reduction = EACH };
    EXPECT(tarn_huber_with(x, y, &unit), 0.5, 0, 0.5, 2.5);
    EXPECT_GRADIENT(x, tarn_huber_with(x, y, &unit), -1, 0, 1, 1);
    EXPECT(tarn_huber_with(x, y, &smooth), 0.25, 0, 0.25, 2);
    EXPECT_GRADIENT(y, tarn_huber_with(x, y, &smooth), 0.5, 0, -0.5, -1);

    tarn_tensor *scores = tarn_require_grad(VECTOR(tm, TARN_F64, 1, 0.5, -1, 2));
    tarn_tensor *sides = VECTOR(tm, TARN_F64, 1, 1, 1, -1);
    const tarn_hinge_options hinge = { .reduction = EACH };
    const tarn_hinge_options squared = { .squared = true, .reduction = EACH };
    EXPECT(tarn_hinge_with(scores, sides, &hinge), 0, 0.5, 2, 3);
    EXPECT_GRADIENT(scores, tarn_hinge_with(scores, sides, &hinge), 0, -1, -1, 1);
    EXPECT(tarn_hinge_with(scores, sides, &squared), 0, 0.25, 4, 9);
    EXPECT_GRADIENT(scores, tarn_hinge_with(scores, sides, &squared), 0, -1, -4, 6);
    EXPECT(tarn_hinge_with(VECTOR(tm, TARN_F32, NAN), VECTOR(tm, TARN_F32, 1), &hinge), NAN);
}

static void divergence_of_what_cannot_be(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(VECTOR(tm, TARN_F64, -INFINITY, -1, NAN, -INFINITY));
    tarn_tensor *y = tarn_require_grad(VECTOR(tm, TARN_F64, 0, 0, 0, 0.5));
    tarn_tensor *log_y =
        tarn_require_grad(VECTOR(tm, TARN_F64, -INFINITY, -INFINITY, -INFINITY, log(0.5)));
    tarn_kl_options o = { .reduction = EACH };
    EXPECT(tarn_kl_divergence_with(x, y, &o), 0, 0, NAN, INFINITY);
    EXPECT_GRADIENT(y, tarn_kl_divergence_with(x, y, &o), 0, 0, NAN, INFINITY);
    EXPECT_GRADIENT(x, tarn_kl_divergence_with(x, y, &o), 0, 0, 0, -0.5);
    o.log_target = true;
    EXPECT(tarn_kl_divergence_with(x, log_y, &o), 0, 0, NAN, INFINITY);
    EXPECT_GRADIENT(log_y, tarn_kl_divergence_with(x, log_y, &o), 0, 0, NAN, INFINITY);
    EXPECT_GRADIENT(x, tarn_kl_divergence_with(x, log_y, &o), 0, 0, 0, -0.5);

    /* The mean over rows is the divergence of distributions. */
    tarn_tensor *p = MATRIX(tm, TARN_F64, 1, 2, 0.5, 0.5),
                *q = MATRIX(tm, TARN_F64, 1, 2, 0.25, 0.75);
    o = (tarn_kl_options){ .reduction = TARN_REDUCE_BATCH_MEAN };
    EXPECT_NEAR(tarn_kl_divergence_with(tarn_log(q), p, &o), 0.5 * log(2) + 0.5 * log(2. / 3));
    EXPECT_NEAR(tarn_kl_divergence(tarn_log(q), p), 0.25 * log(2) + 0.25 * log(2. / 3));
}

static void variances(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = VECTOR(tm, TARN_F64, 1, 0), *y = VECTOR(tm, TARN_F64, 3, 0);
    tarn_tensor *v = tarn_require_grad(VECTOR(tm, TARN_F64, 4, 0));
    tarn_gaussian_nll_options o = { .eps = 0.25, .reduction = EACH };
    EXPECT_NEAR(tarn_gaussian_nll_with(x, y, v, &o), log(2) + 0.5, -log(2));
    /* One that counts as 1/4 is pulled as if it were. */
    EXPECT_GRADIENT(v, tarn_gaussian_nll_with(x, y, v, &o), 0, 2);
    o = (tarn_gaussian_nll_options){ .full = true };
    EXPECT_NEAR(tarn_gaussian_nll_with(x, y, tarn_ones(tm, TARN_F64, TARN_SHAPE(2)), &o),
                1 + log(2 * acos(-1)) / 2);
    REFUSES(tarn_gaussian_nll(x, y, VECTOR(tm, TARN_F64, 1, -2)), TARN_EARG,
            "gaussian_nll: the variance of element 1 is -2; at least 0 is needed, such as tarn_exp "
            "or tarn_softplus give");
    EXPECT(tarn_gaussian_nll(x, y, VECTOR(tm, TARN_F64, 1, NAN)), NAN);
    EXPECT_NEAR(tarn_gaussian_nll(y, y, tarn_zeros(tm, TARN_F64, TARN_SHAPE(2))), log(1e-6) / 2);
}

static void weights_of_elements(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(MATRIX(tm, TARN_F64, 2, 2, 0, 0, 1e4, -1e4));
    tarn_tensor *y = MATRIX(tm, TARN_F64, 2, 2, 1, 0, 0, 1);
    tarn_bce_options o = { .pos_weight = VECTOR(tm, TARN_F64, 3, 2), .reduction = EACH };
    EXPECT_NEAR(tarn_bce_with_logits_with(x, y, &o), 3 * log(2), log(2), 1e4, 2e4);
    EXPECT_GRADIENT(x, tarn_bce_with_logits_with(x, y, &o), -1.5, 0.5, 1, -2);
    o.weight = MATRIX(tm, TARN_F64, 2, 1, 0, 0.5);
    EXPECT_NEAR(tarn_bce_with_logits_with(x, y, &o), 0, 0, 5e3, 1e4);
    o.reduction = TARN_REDUCE_MEAN;
    EXPECT_NEAR(tarn_bce_with_logits_with(x, y, &o), 15e3 / 4);

    o.weight = VECTOR(tm, TARN_F64, 1, 2, 3);
    REFUSES(tarn_bce_with_logits_with(x, y, &o), TARN_ESHAPE,
            "bce_with_logits: x [2,2], weight [3]: it does not broadcast to x");
    o.weight = tarn_ones(tm, TARN_F64, TARN_SHAPE(1, 2, 2));
    REFUSES(tarn_bce_with_logits_with(x, y, &o), TARN_ESHAPE,
            "bce_with_logits: x [2,2], weight [1,2,2]: it does not broadcast to x");
    o = (tarn_bce_options){ .pos_weight = tarn_require_grad(VECTOR(tm, TARN_F64, 1, 1)) };
    REFUSES(tarn_bce_with_logits_with(x, y, &o), TARN_EARG,
            "bce_with_logits: pos_weight [2] requires a gradient, but receives none: pass "
            "tarn_detach of it");
}

static void numbers_that_do_not_fit(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_zeros(tm, TARN_F32, TARN_SHAPE(2)),
                *y = tarn_zeros(tm, TARN_F32, TARN_SHAPE(3));
    const double bad[] = { -1, NAN, INFINITY, 1e39, 1e-46 }; /* the last two are no F32 */
    for (int i = 0; i < 5; i++) {
        assert_null(tarn_huber_with(x, x, &(tarn_huber_options){ .delta = bad[i] }));
        check_error_part(tm, TARN_EARG, "huber: delta is ");
        assert_null(tarn_hinge_with(x, x, &(tarn_hinge_options){ .margin = bad[i] }));
        check_error_part(tm, TARN_EARG, "hinge: margin is ");
        assert_null(tarn_gaussian_nll_with(x, x, x, &(tarn_gaussian_nll_options){ .eps = bad[i] }));
        check_error_part(tm, TARN_EARG, "gaussian_nll: eps is ");
    }
    REFUSES(tarn_huber_with(x, x, &(tarn_huber_options){ .delta = -1 }), TARN_EARG,
            "huber: delta is -1; a positive finite number is needed");
    REFUSES(tarn_mse_with(x, x, &(tarn_loss_options){ .reduction = (tarn_reduction)-1 }), TARN_EARG,
            "mse: there is no reduction -1");
    REFUSES(tarn_l1(x, y), TARN_ESHAPE, "l1: x [2], y [3]: one shape is needed");
    REFUSES(tarn_gaussian_nll(x, x, y), TARN_ESHAPE,
            "gaussian_nll: x [2], variance [3]: one shape is needed");
}

/* ---- directions */

static void directions(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *a = tarn_require_grad(MATRIX(tm, TARN_F64, 3, 2, 3, 4, 0, 0, 1e-200, 0));
    tarn_tensor *b = MATRIX(tm, TARN_F64, 3, 2, 6, 8, 3, 4, -5, 0);
    EXPECT_NEAR(tarn_cosine_similarity(a, b, 1), 1, 0, 0);
    /* Where a counts as 1e-8, its gradient is b / |b| times as much. */
    tarn_tensor *zero = tarn_slice(a, 0, 1, 2), *other = tarn_slice(b, 0, 1, 2);
    tarn_zero_grad(a);
    check_status(tarn_backward(tarn_cosine_similarity(zero, other, -1)), TARN_OK);
    check_close(tarn_grad_of(a), ((const double[]){ 0, 0, 0.6e8, 0.8e8, 0, 0 }), 6, 1e-6);
    EXPECT_NEAR(tarn_cosine_similarity(tarn_neg(b), b, 1), -1, -1, -1);

    tarn_tensor *y = VECTOR(tm, TARN_F64, 1, -1), *e = MATRIX(tm, TARN_F64, 2, 2, 1, 0, 1, 0);
    tarn_tensor *u = MATRIX(tm, TARN_F64, 2, 2, 0, 1, 0.6, 0.8);
    const tarn_cosine_options o = { .margin = 0.5, .reduction = EACH };
    EXPECT_NEAR(tarn_cosine_embedding_with(e, u, y, &o), 1, 0.1);
    EXPECT_NEAR(tarn_cosine_embedding(e, u, y), 0.8);
    EXPECT_NEAR(tarn_cosine_embedding(e, u, VECTOR(tm, TARN_F64, -1, NAN)), NAN);
    REFUSES(tarn_cosine_embedding(e, u, VECTOR(tm, TARN_F64, 1, 1, 1)), TARN_ESHAPE,
            "cosine_embedding: a [2,2], y [3]; a (..., D) and y (...) are needed");
    REFUSES(tarn_cosine_embedding(y, y, y), TARN_ESHAPE,
            "cosine_embedding: a [2], y [2]; a (..., D) and y (...) are needed");
    REFUSES(tarn_cosine_embedding_with(e, u, y, &(tarn_cosine_options){ .margin = -2 }), TARN_EARG,
            "cosine_embedding: margin is -2; -1 to 1 is possible");
    REFUSES(tarn_cosine_similarity(e, y, 0), TARN_ESHAPE,
            "cosine_similarity: a [2,2], b [2]: one shape is needed");
    REFUSES(tarn_cosine_similarity(e, e, 2), TARN_EARG, "cosine_similarity: a [2,2] has no axis 2");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(weighted_means_divide_by_weights),
        TEST(smoothing_spreads_the_loss),
        TEST(ignored_rows_count_for_nothing),
        TEST(labels_that_do_not_fit),
        TEST(label_options_that_do_not_fit),
        TEST(little_is_kept),
        TEST(losses_without_elements),
        TEST(kinks),
        TEST(divergence_of_what_cannot_be),
        TEST(variances),
        TEST(weights_of_elements),
        TEST(numbers_that_do_not_fit),
        TEST(directions),
    };
#undef TEST
    return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
