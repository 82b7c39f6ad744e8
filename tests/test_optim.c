/* SPDX-License-Identifier: MIT
 * test_optim.c - optimisers against their formulas in double, and what a step promises. */
#include <float.h>
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* Adds c to the gradient of p: that of sum(p c). */
static void give_gradient(tarn_tensor *p, const void *c)
{
    tarn_manager *tm = tarn_manager_of(p);
    TARN_SCOPE(tm);
    tarn_tensor *t = tarn_from_array(tm, tarn_get_dtype(p), tarn_get_shape(p), c);
    assert_int_equal(tarn_backward(tarn_sum(tarn_mul(p, t), TARN_ALL_AXES)), TARN_OK);
}

/* A parameter of one number, `value`. */
static tarn_tensor *number(tarn_module *m, const char *name, double value)
{
    const tarn_init init = { .kind = TARN_INIT_CONSTANT, .a = value };
    return tarn_module_add_parameter(m, name, TARN_F64, TARN_SHAPE(1), &init);
}

static void give(tarn_tensor *p, double gradient) { give_gradient(p, &gradient); }

/* ---- the formulas */

enum { N = 37, STEPS = 20 };

typedef enum family { SGD, ADAM, ADAMW } family;

typedef struct recipe {
    family family;
    double lr, momentum, decay, beta1, beta2, eps; /* as they take effect */
    tarn_sgd_options sgd;
    tarn_adam_options adam;
} recipe;

typedef struct reference {
    double w[N], m[N], v[N];
} reference;

/* One step as the PyTorch documentation writes it. */
static void reference_step(reference *r, const recipe *o, const double *gradient, int t)
{
    for (int i = 0; i < N; i++) {
        double g = gradient[i];
        if (o->family == ADAMW) r->w[i] *= 1 - o->lr * o->decay;
        else g += o->decay * r->w[i];
        if (o->family == SGD) {
            r->m[i] = t == 1 ? g : o->momentum * r->m[i] + g;
            r->w[i] -= o->lr * r->m[i];
            continue;
        }
        r->m[i] = o->beta1 * r->m[i] + (1 - o->beta1) * g;
        r->v[i] = o->beta2 * r->v[i] + (1 - o->beta2) * g * g;
        const double m_hat = r->m[i] / (1 - pow(o->beta1, t));
        const double v_hat = r->v[i] / (1 - pow(o->beta2, t));
        r->w[i] -= o->lr * m_hat / (sqrt(v_hat) + o->eps);
    }
}

/* Between 1 and 3 in magnitude, of changing sign, a float in both types. */
static double gradient_at(int i, int t)
{
    const double phase = 0.7 * i + 1.3 * t;
    return (double)(float)((2 + sin(phase)) * (cos(2.1 * phase) < 0 ? -1 : 1));
}

static tarn_optimizer *create(const recipe *o, tarn_module *m)
{
    if (o->family == SGD) return tarn_sgd_create(m, &o->sgd);
    return o->family == ADAM ? tarn_adam_create(m, &o->adam) : tarn_adamw_create(m, &o->adam);
}

/* How far F32 may be from the formula after T steps, with e = FLT_EPSILON, G = 3.5 the largest |g|
 * (decay included) and W = 4 the largest |w|. A step rounds w, and its update has an error d: at
 * most T (e W + lr d) in all.
 *
 * SGD: v gains an error of 3 e |v| a step at most and forgets by the momentum p, and |v| is at most
 * G / (1 - p):
 *   d = 3 e G / (1 - p)^2.
 *
 * Adam: m gains 3 e G a step and forgets by beta1 = 0.9: 30 e G (a young m gains less, and is
 * divided by its bias correction). sqrt(v) is at least 0.5 here, with a relative error below 2 T e:
 *   d = 30 e G / 0.5 + 2 T e G / 0.5. */
static double f32_bound(const recipe *o)
{
    const double e = (double)FLT_EPSILON, g = 3.5, w = 4;
    const double forget = 1 - o->momentum;
    const double d = o->family == SGD ? 3 * e * g / (forget * forget)
                                      : 30 * e * g / 0.5 + 2 * STEPS * e * g / 0.5;
    return STEPS * (e * w + o->lr * d);
}

static void check_recipe(check_fixture *f, const recipe *o, bool wide)
{
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_dtype dtype = wide ? TARN_F64 : TARN_F32;
    tarn_tensor *p = tarn_module_add_parameter(root, "p", dtype, TARN_SHAPE(N), NULL);
    reference r = { 0 };
    for (int i = 0; i < N; i++) {
        r.w[i] = (double)(float)(2 * sin(i + 1.0));
        if (wide) ((double *)tarn_data_mut(p))[i] = r.w[i];
        else ((float *)tarn_data_mut(p))[i] = (float)r.w[i];
    }
    tarn_optimizer *optimizer = create(o, root);
    assert_non_null(optimizer);
    assert_true(tarn_optimizer_lr(optimizer) == o->lr);

    const double bound = wide ? 1e-12 : f32_bound(o);
    for (int t = 1; t <= STEPS; t++) {
        double g[N];
        float g_f32[N];
        for (int i = 0; i < N; i++) g_f32[i] = (float)(g[i] = gradient_at(i, t));
        give_gradient(p, wide ? (void *)g : (void *)g_f32);
        assert_int_equal(tarn_optimizer_step(optimizer), TARN_OK);
        reference_step(&r, o, g, t);
        for (int i = 0; i < N; i++) {
            const double got =
                wide ? ((const double *)tarn_data(p))[i] : (double)((const float *)tarn_data(p))[i];
            if (!(fabs(got - r.w[i]) <= bound))
                fail_msg("step %d, element %d: %.17g, not %.17g", t, i, got, r.w[i]);
        }
    }
    assert_int_equal(tarn_optimizer_steps(optimizer), STEPS);
}

static void test_formulas(void **state)
{
    const recipe recipes[] = {
        { .family = SGD, .lr = 0.01 },
        { .family = SGD, .lr = 0.05, .decay = 0.1, .sgd = { .lr = 0.05, .weight_decay = 0.1 } },
        { .family = SGD, .lr = 0.01, .momentum = 0.9, .sgd = { .momentum = 0.9 } },
        { .family = SGD,
          .lr = 0.02,
          .momentum = 0.5,
          .decay = 0.05,
          .sgd = { .lr = 0.02, .momentum = 0.5, .weight_decay = 0.05 } },
        { .family = ADAM, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8 },
        { .family = ADAM,
          .lr = 0.02,
          .beta1 = 0.8,
          .beta2 = 0.95,
          .eps = 0.01,
          .decay = 0.1,
          .adam = { .lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .eps = 0.01, .weight_decay = 0.1 } },
        { .family = ADAMW, .lr = 0.001, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8 },
        { .family = ADAMW,
          .lr = 0.03,
          .beta1 = 0.9,
          .beta2 = 0.99,
          .eps = 1e-8,
          .decay = 0.3,
          .adam = { .lr = 0.03, .beta2 = 0.99, .weight_decay = 0.3 } },
    };
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++) {
        check_recipe(*state, &recipes[i], true);
        check_recipe(*state, &recipes[i], false);
    }
}

/* ---- who takes part */

static void test_skipped(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = number(root, "p", 1), *q = number(root, "q", 1);
    tarn_optimizer *adam = tarn_adam_create(root, &(tarn_adam_options){ .lr = 0.1 });
    for (int t = 0; t < 5; t++) {
        give(p, 1);
        assert_int_equal(tarn_optimizer_step(adam), TARN_OK);
    }
    assert_true(tarn_item(q) == 1);
    assert_true(fabs(tarn_item(p) - 0.5) < 1e-6); /* a constant gradient moves by lr a step */

    /* The first step of q is its own first, whatever the others did: again by lr. */
    give(q, 1e-3);
    assert_int_equal(tarn_optimizer_step(adam), TARN_OK);
    assert_true(fabs(tarn_item(q) - 0.9) < 1e-5);
    assert_true(fabs(tarn_item(p) - 0.5) < 1e-6);
}

static void test_frozen(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = number(root, "p", 1), *q = number(root, "q", 1);
    tarn_optimizer *sgd = tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 1 });
    give(p, 0.25);
    give(q, 0.25);
    assert_int_equal(tarn_stop_grad(q), TARN_OK);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    tarn_optimizer_zero_grad(sgd);
    assert_true(tarn_ok(f->tm));
    assert_true(tarn_item(p) == 0.75 && tarn_item(q) == 1);
    assert_non_null(tarn_require_grad(q));
    give(q, 0.25);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(q) == 0.75);
}

static void test_part_of_a_tree(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm), *head = tarn_module_add_child(root, "head");
    tarn_tensor *p = number(root, "p", 1), *q = number(head, "q", 1);
    tarn_optimizer *sgd = tarn_sgd_create(head, &(tarn_sgd_options){ .lr = 1 });
    number(head, "late", 1);
    give(p, 0.5);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "tarn_backward");
    give(q, 0.5);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(p) == 1 && tarn_item(q) == 0.5);
    tarn_optimizer_zero_grad(sgd);
    assert_true(tarn_has_grad(p));
}

/* ---- gradients */

static void test_gradients_are_consumed(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = number(root, "p", 1);
    tarn_optimizer *sgd = tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 1 });
    assert_int_equal(tarn_optimizer_step(sgd), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "sgd: no parameter has received a gradient");

    give(p, 0.25);
    give(p, 0.25); /* they add up until a step */
    assert_true(tarn_item(tarn_grad_of(p)) == 0.5);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(p) == 0.5);
    assert_false(tarn_has_grad(p));
    assert_true(tarn_item(tarn_grad_of(p)) == 0.5); /* still readable */

    assert_int_equal(tarn_optimizer_step(sgd), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "gradient");
    assert_true(tarn_item(p) == 0.5);
    assert_int_equal(tarn_optimizer_steps(sgd), 1);

    give(p, 0.125); /* stored, not added */
    assert_true(tarn_item(tarn_grad_of(p)) == 0.125);
    tarn_optimizer_zero_grad(sgd);
    assert_true(tarn_item(tarn_grad_of(p)) == 0);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_ESTATE);
    tarn_clear_error(f->tm);
}

static void test_held_error(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = number(root, "p", 1);
    tarn_optimizer *sgd = tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 1 });
    give(p, 0.25);
    tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(-1));
    assert_int_equal(tarn_optimizer_step(sgd), TARN_ESHAPE);
    assert_true(tarn_item(p) == 1 && tarn_has_grad(p));
    tarn_clear_error(f->tm);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(p) == 0.75);
}

/* After a step, an earlier pass that saved the parameter is an error, not a wrong gradient. */
static void test_step_is_noticed(void **state)
{
    check_fixture *f = *state;
    TARN_SCOPE(f->tm);
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = number(root, "p", 1);
    tarn_optimizer *sgd = tarn_sgd_create(root, NULL);
    tarn_tensor *loss = tarn_sum(tarn_square(p), TARN_ALL_AXES);
    const tarn_backward_options keep = { .keep_graph = true };
    assert_int_equal(tarn_backward_with(loss, &keep), TARN_OK);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_int_equal(tarn_backward(loss), TARN_ESTATE);
    tarn_clear_error(f->tm);
}

/* ---- memory */

static void test_a_step_acquires_nothing(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const int64_t sizes[] = { 30, 50, 10 };
    tarn_mlp_create(root, "net", sizes, 3, NULL);
    tarn_optimizer *optimizers[] = { tarn_sgd_create(root, &(tarn_sgd_options){ .momentum = 0.9 }),
                                     tarn_adam_create(root, NULL), tarn_adamw_create(root, NULL) };
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < tarn_module_parameter_count(root); k++) {
            TARN_SCOPE(f->tm);
            tarn_tensor *p = tarn_module_parameter(root, k);
            assert_int_equal(tarn_backward(tarn_sum(tarn_square(p), TARN_ALL_AXES)), TARN_OK);
        }
        const tarn_pool_stats before = tarn_pool_get_stats(f->pool);
        assert_int_equal(tarn_optimizer_step(optimizers[i]), TARN_OK);
        tarn_optimizer_zero_grad(optimizers[i]);
        const tarn_pool_stats after = tarn_pool_get_stats(f->pool);
        assert_int_equal(after.allocations, before.allocations);
        assert_int_equal(after.system_allocations, before.system_allocations);
        assert_int_equal(after.live_blocks, before.live_blocks);
    }
}

static void test_short_memory(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    number(root, "p", 1);
    number(root, "q", 1);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    for (uint64_t n = 1; n <= 4; n++) {
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_adam_create(root, NULL));
        check_error_part(f->tm, TARN_ENOMEM, "");
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    }
    tarn_optimizer *adam = tarn_adam_create(root, NULL);
    assert_non_null(adam);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks + 4);
    tarn_optimizer_destroy(adam);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    assert_non_null(tarn_adam_create(root, NULL)); /* left to the manager */
}

static void test_module_ends_first(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm), *other = tarn_module_create(f->tm);
    tarn_tensor *p = tarn_retain(number(root, "p", 1)), *q = number(other, "q", 1);
    tarn_optimizer *a = tarn_adam_create(root, NULL), *b = tarn_sgd_create(root, NULL);
    tarn_optimizer *c = tarn_sgd_create(root, NULL);
    tarn_optimizer *d = tarn_sgd_create(other, &(tarn_sgd_options){ .lr = 1 });
    tarn_optimizer_destroy(b);
    give(p, 1);
    assert_int_equal(tarn_module_destroy(root), TARN_OK);
    assert_int_equal(tarn_optimizer_step(a), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "adam: the module was destroyed");
    assert_int_equal(tarn_optimizer_step(c), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "destroyed");
    tarn_optimizer_zero_grad(a);
    assert_int_equal(tarn_optimizer_set_lr(a, 1), TARN_OK);
    tarn_optimizer_destroy(a);
    give(q, 0.5);
    assert_int_equal(tarn_optimizer_step(d), TARN_OK);
    assert_true(tarn_item(q) == 0.5 && tarn_item(p) == 1);
    tarn_release(p);
}

static void test_empty_parameter(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_module_add_parameter(root, "none", TARN_F32, TARN_SHAPE(0, 4), NULL);
    tarn_tensor *p = number(root, "p", 1);
    tarn_optimizer *adam = tarn_adam_create(root, &(tarn_adam_options){ .lr = 0.5 });
    give(p, 1);
    assert_int_equal(tarn_optimizer_step(adam), TARN_OK);
    assert_true(fabs(tarn_item(p) - 0.5) < 1e-6);
}

/* ---- numbers */

static void test_learning_rate(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = number(root, "p", 1);
    tarn_optimizer *sgd = tarn_sgd_create(root, NULL);
    assert_true(tarn_optimizer_lr(sgd) == 0.01);
    const double bad[] = { -1, NAN, INFINITY };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tarn_optimizer_set_lr(sgd, bad[i]), TARN_EARG);
        check_error_part(f->tm, TARN_EARG, "learning rate");
        assert_true(tarn_optimizer_lr(sgd) == 0.01);
    }
    assert_int_equal(tarn_optimizer_set_lr(sgd, 0), TARN_OK);
    give(p, 1);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(p) == 1);
    assert_int_equal(tarn_optimizer_set_lr(sgd, 0.5), TARN_OK);
    give(p, 1);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(p) == 0.5);
}

static void test_options_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    assert_null(tarn_adam_create(root, NULL));
    check_error_part(f->tm, TARN_ESTATE, "adam: the module has no parameters");
    number(root, "p", 1);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;

    const tarn_sgd_options sgd[] = { { .lr = -1 },           { .lr = NAN },
                                     { .lr = INFINITY },     { .momentum = 1 },
                                     { .momentum = -.1 },    { .momentum = NAN },
                                     { .weight_decay = -1 }, { .weight_decay = INFINITY } };
    for (size_t i = 0; i < sizeof sgd / sizeof sgd[0]; i++) {
        assert_null(tarn_sgd_create(root, &sgd[i]));
        check_error_part(f->tm, TARN_EARG, "sgd: ");
    }
    const tarn_adam_options adam[] = {
        { .lr = -1 },     { .lr = NAN }, { .beta1 = 1 },      { .beta1 = -1 },       { .beta2 = 1 },
        { .beta2 = NAN }, { .eps = -1 }, { .eps = INFINITY }, { .weight_decay = -1 }
    };
    for (size_t i = 0; i < sizeof adam / sizeof adam[0]; i++) {
        assert_null(tarn_adam_create(root, &adam[i]));
        check_error_part(f->tm, TARN_EARG, "adam: ");
        assert_null(tarn_adamw_create(root, &adam[i]));
        check_error_part(f->tm, TARN_EARG, "adamw: ");
    }
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
}

static void test_null(void **state)
{
    (void)state;
    assert_null(tarn_sgd_create(NULL, NULL));
    assert_null(tarn_adam_create(NULL, NULL));
    assert_null(tarn_adamw_create(NULL, &(tarn_adam_options){ .lr = -1 }));
    assert_int_equal(tarn_optimizer_step(NULL), TARN_EARG);
    tarn_optimizer_zero_grad(NULL);
    assert_true(isnan(tarn_optimizer_lr(NULL)));
    assert_int_equal(tarn_optimizer_set_lr(NULL, 1), TARN_EARG);
    assert_int_equal(tarn_optimizer_steps(NULL), 0);
    tarn_optimizer_destroy(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_formulas),
        TEST(test_skipped),
        TEST(test_frozen),
        TEST(test_part_of_a_tree),
        TEST(test_gradients_are_consumed),
        TEST(test_held_error),
        TEST(test_step_is_noticed),
        TEST(test_a_step_acquires_nothing),
        TEST(test_short_memory),
        TEST(test_module_ends_first),
        TEST(test_empty_parameter),
        TEST(test_learning_rate),
        TEST(test_options_refused),
        TEST(test_null),
    };
#undef TEST
    return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
