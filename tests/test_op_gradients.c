/* SPDX-License-Identifier: MIT
 * test_op_gradients.c - the gradients of operations: against central differences, in both types, at
 * kinks, added up, asked for one at a time. The cases are in op_cases.c. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"
#include "op_subjects.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

/* ---- central differences */

/* Elements of all operands together: with more, the rounding of differences comes near the
 * tolerance. Sanitizers see as much with fewer. */
static int64_t gradcheck_most(void) { return check_scaled(100) < 100 ? 60 : 200; }

static int check_gradient(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    if (strcmp(t->c->op, "cast") == 0 && t->v.dtype != TARN_F64)
        return op_skip("differences of float32 are too coarse");
    int checks = 0;
    const bool empty = t->in[0].n == 0; /* a mean of nothing is NaN, and so are its differences */
    for (int layout = 0; layout < (empty ? 1 : OP_LAYOUTS); layout++) {
        if (!op_trial_allows(t, (op_layout)layout)) continue;
        op_subject s = op_make_subject(tm, t, TARN_F64, (op_layout)layout, ~0u);
        tarn_gradcheck_report r;
        tarn_gradcheck_options options = { .seed = 1 };
        if (tarn_gradcheck(op_evaluate, s.leaf, t->n, &s, &options, &r) != TARN_OK)
            fail_msg("%s, %s: gradient %d of element %lld is %.17g, by differences %.17g: %s",
                     op_trial_text, op_layout_name((op_layout)layout), r.input,
                     (long long)r.element, r.analytic, r.numeric, tarn_error_message(tm));
        checks += (int)r.checked + 1;
    }
    return checks;
}

static void gradients_are_those_of_central_differences(void **state)
{
    op_drive(MANAGER(state), "central differences", gradcheck_most(), check_gradient);
}

/* Both operands one tensor: both of its gradients add up. */
static tarn_tensor *evaluate_twice(tarn_tensor *const *leaves, int n, void *context)
{
    const op_subject *s = context;
    tarn_tensor *const in[] = { leaves[0], leaves[0], NULL };
    (void)n;
    return s->t->c->apply(in, &s->t->v);
}

static int check_one_operand_twice(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    if (t->n != 2 || !op_is_float(t, 0) || !op_is_float(t, 1))
        return op_skip("not two operands that have gradients");
    if (t->in[0].shape.ndim != t->in[1].shape.ndim ||
        memcmp(t->in[0].shape.dims, t->in[1].shape.dims, sizeof(t->in[0].shape.dims)) != 0)
        return op_skip("operands of two shapes");
    if (strcmp(t->c->op, "bce_with_logits") == 0 || strcmp(t->c->op, "div") == 0 ||
        strcmp(t->c->op, "kl_divergence") == 0)
        memcpy(t->in[0].data, t->in[1].data, (size_t)t->in[0].n * sizeof(double));
    op_subject s = op_make_subject(tm, t, TARN_F64, OP_PLAIN, ~0u);
    tarn_gradcheck_report r;
    tarn_gradcheck_options options = { .seed = 2 };
    if (tarn_gradcheck(evaluate_twice, s.leaf, 1, &s, &options, &r) != TARN_OK)
        fail_msg("%s of one tensor: gradient of element %lld is %.17g, by differences %.17g: %s",
                 op_trial_text, (long long)r.element, r.analytic, r.numeric,
                 tarn_error_message(tm));
    return 1 + (int)r.checked;
}

static void one_tensor_as_both_operands(void **state)
{
    op_drive(MANAGER(state), "one tensor twice", gradcheck_most(), check_one_operand_twice);
}

/* ---- gradients as arrays */

static void expect_near(const op_array *a, const op_array *e, double tolerance, int operand)
{
    assert_int_equal(a->n, e->n);
    for (int64_t i = 0; i < a->n; i++)
        if (!(fabs(a->data[i] - e->data[i]) <= tolerance))
            fail_msg("%s: gradient %d of element %lld is %.17g, not %.17g +- %.3g", op_trial_text,
                     operand, (long long)i, a->data[i], e->data[i], tolerance);
}

static void expect_equal(const op_array *a, const op_array *e, int operand)
{
    expect_near(a, e, 0, operand);
}

/* ---- F32 */

/* The bound of op_cases.h. A gradient of a repeated operand is a sum of as many terms, which errs
 * by one rounding more for each. */
static int check_f32(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    op_gradients single = op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F32 });
    op_gradients twice = op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F64 });
    op_gradients size = { .largest = 0 };
    const bool linear = (t->c->flags & OP_LINEAR) != 0;
    if (linear) {
        for (int i = 0; i < t->n; i++)
            for (int64_t k = 0; k < t->in[i].n; k++) t->in[i].data[k] = fabs(t->in[i].data[k]);
        size = op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F64, .kind = OP_ABSOLUTE });
    }
    for (int i = 0; i < t->n; i++) {
        const op_array *a = &single.of[i], *e = &twice.of[i];
        const double terms = a->n > 0 ? fmax(1, (double)single.out.n / (double)a->n) : 1;
        for (int64_t k = 0; k < a->n; k++) {
            const double magnitude = linear ? fabs(size.of[i].data[k]) : terms * single.largest;
            const double bound = (t->c->grad_ulps + terms) * 0x1p-24 * magnitude;
            if (!(fabs(a->data[k] - e->data[k]) <= bound))
                fail_msg("%s: gradient %d of element %lld is %.9g in float32, not %.9g +- %.3g",
                         op_trial_text, i, (long long)k, a->data[k], e->data[k], bound);
        }
    }
    op_free_gradients(&single);
    op_free_gradients(&twice);
    op_free_gradients(&size);
    return t->n;
}

static void f32_is_as_good_as_it_can_be(void **state)
{
    op_drive(MANAGER(state), "gradients in float32", 0, check_f32);
}

/* ---- adding, repeating, asking for some */

static int check_added_twice(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    for (int dtype = TARN_F32; dtype <= TARN_F64; dtype++) {
        op_gradients once = op_differentiate(tm, t, &(op_pass){ .dtype = (tarn_dtype)dtype });
        op_gradients twice =
            op_differentiate(tm, t, &(op_pass){ .dtype = (tarn_dtype)dtype, .times = 2 });
        const double unit = dtype == TARN_F32 ? 0x1p-24 : 0x1p-53;
        for (int i = 0; i < t->n; i++) {
            double largest = 0;
            for (int64_t k = 0; k < once.of[i].n; k++) {
                once.of[i].data[k] *= 2;
                largest = fmax(largest, fabs(once.of[i].data[k]));
            }
            /* Sums of products are not added at their end, but continued. */
            const double terms = (double)(once.out.n + 100);
            expect_near(&twice.of[i], &once.of[i], terms * unit * largest, i);
        }
        op_free_gradients(&once);
        op_free_gradients(&twice);
    }
    return 2 * t->n;
}

static void a_gradient_added_twice_is_twice_it(void **state)
{
    op_drive(MANAGER(state), "added twice", 0, check_added_twice);
}

/* The trial with both operands written out in the shape of the result. */
static op_trial written_out(const op_trial *t, tarn_shape shape)
{
    op_trial whole = *t;
    for (int i = 0; i < t->n; i++) {
        op_array_make(&whole.in[i], shape);
        for (int64_t k = 0; k < whole.in[i].n; k++)
            whole.in[i].data[k] = t->in[i].data[op_place(&t->in[i], &shape, k)];
    }
    return whole;
}

/* The gradient of an operand that broadcasts is that of all its repetitions, summed. */
static int check_repeated(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    if (t->c->variant != op_any_pair) return op_skip("operands do not broadcast");
    op_array y, magnitude;
    t->c->reference(t->in, &t->v, &y, &magnitude);
    if (y.shape.ndim > 0) {
        op_trial whole = written_out(t, y.shape);
        op_gradients g = op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F64 });
        op_gradients all = op_differentiate(tm, &whole, &(op_pass){ .dtype = TARN_F64 });
        for (int i = 0; i < t->n; i++) {
            op_array sum;
            double size = 0;
            op_array_make(&sum, t->in[i].shape);
            for (int64_t k = 0; k < all.of[i].n; k++) {
                sum.data[op_place(&sum, &y.shape, k)] += all.of[i].data[k];
                size += fabs(all.of[i].data[k]);
            }
            expect_near(&g.of[i], &sum, (double)y.n * 0x1p-53 * size, i);
            op_array_free(&sum);
            op_array_free(&whole.in[i]);
        }
        op_free_gradients(&g);
        op_free_gradients(&all);
    }
    op_array_free(&y);
    op_array_free(&magnitude);
    return t->n;
}

static void repetitions_are_summed(void **state)
{
    op_drive(MANAGER(state), "repeated operands", 0, check_repeated);
}

static int check_same_bits(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    op_gradients first = op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F32 });
    op_gradients second = op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F32 });
    for (int i = 0; i < t->n; i++) expect_equal(&second.of[i], &first.of[i], i);
    op_free_gradients(&first);
    op_free_gradients(&second);
    return t->n;
}

static void the_same_again_gives_the_same_bits(void **state)
{
    op_drive(MANAGER(state), "gradients again", 0, check_same_bits);
}

/* Each set of operands that want a gradient: what the others would have read was not kept. */
static int check_subsets(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    if (t->n < 2) return op_skip("one operand");
    int checks = 0;
    op_gradients all =
        op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F64, .layout = OP_SLICED });
    for (unsigned wanted = 1; wanted < 1u << t->n; wanted++) {
        unsigned without = 0; /* operands that have no gradient */
        for (int i = 0; i < t->n; i++)
            if (!op_is_float(t, i)) without |= 1U << i;
        if ((wanted & without) != 0) continue;
        op_gradients some = op_differentiate(
            tm, t, &(op_pass){ .dtype = TARN_F64, .layout = OP_SLICED, .wanted = wanted });
        for (int i = 0; i < t->n; i++)
            if ((wanted >> i & 1) != 0) expect_equal(&some.of[i], &all.of[i], i);
        op_free_gradients(&some);
        checks++;
    }
    op_free_gradients(&all);
    return checks;
}

static void every_set_of_gradients(void **state)
{
    op_drive(MANAGER(state), "sets of gradients", 0, check_subsets);
}

static int check_zero(tarn_manager *tm, op_trial *t)
{
    if (!op_is_differentiable(t)) return op_skip("no gradient");
    op_gradients g = op_differentiate(tm, t, &(op_pass){ .dtype = TARN_F64, .kind = OP_ZERO });
    for (int i = 0; i < t->n; i++)
        for (int64_t k = 0; k < g.of[i].n; k++)
            if (g.of[i].data[k] != 0)
                fail_msg("%s: gradient %d of a zero cotangent is not 0", op_trial_text, i);
    op_free_gradients(&g);
    return t->n;
}

static void zero_cotangents_give_zero(void **state)
{
    op_drive(MANAGER(state), "zero cotangents", 0, check_zero);
}

static int check_no_gradient(tarn_manager *tm, op_trial *t)
{
    if (op_is_differentiable(t)) return op_skip("has a gradient");
    op_subject s = op_make_subject(tm, t, TARN_F64, OP_PLAIN, ~0u);
    assert_false(tarn_requires_grad(op_evaluate(s.leaf, t->n, &s)));
    return 1;
}

static void results_without_gradient(void **state)
{
    op_drive(MANAGER(state), "without gradient", 0, check_no_gradient);
}

/* ---- at the kinks */

#define COUNT(...) ((int64_t)(sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double)))
#define LEAF(tm, dtype, ...)                                                                    \
    tarn_require_grad(tarn_cast(tarn_from_array((tm), TARN_F64, TARN_SHAPE(COUNT(__VA_ARGS__)), \
                                                (const double[]){ __VA_ARGS__ }),               \
                                (dtype)))

/* The gradient of the sum of y is exactly this. */
#define EXPECT_GRADIENT(leaf, y, ...)                                       \
    do {                                                                    \
        tarn_zero_grad(leaf);                                               \
        check_status(tarn_backward(tarn_sum((y), TARN_ALL_AXES)), TARN_OK); \
        check_close(tarn_grad_of(leaf), ((const double[]){ __VA_ARGS__ }),  \
                    (size_t)COUNT(__VA_ARGS__), 0);                         \
    } while (0)

static void kinks_of_one_operand(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int type = TARN_F32; type <= TARN_F64; type++) {
        const tarn_dtype dtype = (tarn_dtype)type;
        tarn_tensor *x = LEAF(tm, dtype, -1, -0.0, 0, 1);
        EXPECT_GRADIENT(x, tarn_abs(x), -1, 0, 0, 1);
        EXPECT_GRADIENT(x, tarn_relu(x), 0, 0, 0, 1);
        EXPECT_GRADIENT(x, tarn_leaky_relu(x, 0.25), 0.25, 0.25, 0.25, 1);
        EXPECT_GRADIENT(x, tarn_maximum_scalar(x, 0), 0, 0.5, 0.5, 1);
        EXPECT_GRADIENT(x, tarn_minimum_scalar(x, 0), 1, 0.5, 0.5, 0);
        EXPECT_GRADIENT(x, tarn_pow_scalar(x, 0), 0, 0, 0, 0);
        EXPECT_GRADIENT(x, tarn_pow_scalar(x, 2), -2, 0, 0, 2);
        EXPECT_GRADIENT(x, tarn_pow_scalar(x, 1), 1, 1, 1, 1);
    }
}

static void kinks_of_two_operands(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int type = TARN_F32; type <= TARN_F64; type++) {
        const tarn_dtype dtype = (tarn_dtype)type;
        tarn_tensor *a = LEAF(tm, dtype, 1, 2, 3), *b = LEAF(tm, dtype, 2, 2, 2);
        EXPECT_GRADIENT(a, tarn_maximum(a, b), 0, 0.5, 1);
        EXPECT_GRADIENT(b, tarn_maximum(a, b), 1, 0.5, 0);
        EXPECT_GRADIENT(a, tarn_minimum(a, b), 1, 0.5, 0);
        EXPECT_GRADIENT(b, tarn_minimum(a, b), 0, 0.5, 1);
        /* 0^0 = 1, 0^2 = 0, 2^0 = 1, 0^-1 is infinite */
        tarn_tensor *base = LEAF(tm, dtype, 0, 0, 2), *exponent = LEAF(tm, dtype, 0, 2, 0);
        EXPECT_GRADIENT(base, tarn_pow(base, exponent), 0, 0, 0);
        EXPECT_GRADIENT(exponent, tarn_pow(base, exponent), 0, 0,
                        dtype == TARN_F32 ? (double)logf(2) : log(2));
    }
}

static void extremes_go_to_the_first_of_equals(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, TARN_F64, 3, 1, 3, 1, 3, 1);
    EXPECT_GRADIENT(x, tarn_max(x, TARN_ALL_AXES), 1, 0, 0, 0, 0, 0);
    EXPECT_GRADIENT(x, tarn_min(x, TARN_ALL_AXES), 0, 1, 0, 0, 0, 0);
    EXPECT_GRADIENT(x, tarn_max(tarn_reshape(x, TARN_SHAPE(2, 3)), TARN_AXES(1)), 1, 0, 0, 0, 1, 0);
    EXPECT_GRADIENT(x, tarn_max(tarn_reshape(x, TARN_SHAPE(2, 3)), TARN_AXES(0)), 1, 0, 1, 0, 1, 0);
    EXPECT_GRADIENT(
        x, tarn_min(tarn_transpose(tarn_reshape(x, TARN_SHAPE(2, 3)), 0, 1), TARN_ALL_AXES), 0, 0,
        0, 1, 0, 0);
    tarn_tensor *y = LEAF(tm, TARN_F32, 1, NAN, 9, NAN);
    EXPECT_GRADIENT(y, tarn_max(y, TARN_ALL_AXES), 0, 1, 0, 0);
    EXPECT_GRADIENT(y, tarn_min(y, TARN_ALL_AXES), 0, 1, 0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(gradients_are_those_of_central_differences),
        TEST(one_tensor_as_both_operands),
        TEST(f32_is_as_good_as_it_can_be),
        TEST(a_gradient_added_twice_is_twice_it),
        TEST(repetitions_are_summed),
        TEST(the_same_again_gives_the_same_bits),
        TEST(every_set_of_gradients),
        TEST(zero_cotangents_give_zero),
        TEST(results_without_gradient),
        TEST(kinks_of_one_operand),
        TEST(kinks_of_two_operands),
        TEST(extremes_go_to_the_first_of_equals),
    };
    return cmocka_run_group_tests_name("op_gradients", tests, NULL, NULL);
}
