/* SPDX-License-Identifier: MIT
 * test_optimizer_groups.c - parameters with numbers of their own, learning rates, and gradients
 * that add up over several passes. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* A parameter of one number, `value`. */
static tarn_tensor *number(tarn_module *m, const char *name, double value)
{
    const tarn_init init = { .kind = TARN_INIT_CONSTANT, .a = value };
    return tarn_module_add_parameter(m, name, TARN_F64, TARN_SHAPE(1), &init);
}

/* Adds to the gradient of p. */
static void give(tarn_tensor *p, double gradient)
{
    tarn_manager *tm = tarn_manager_of(p);
    TARN_SCOPE(tm);
    tarn_tensor *c = tarn_full(tm, TARN_F64, TARN_SHAPE(1), gradient);
    assert_int_equal(tarn_backward(tarn_sum(tarn_mul(p, c), TARN_ALL_AXES)), TARN_OK);
}

static bool is_close(double a, double b) { return fabs(a - b) <= 1e-14; }

/* An encoder and a head, each with weight and bias, all 1. */
typedef struct net {
    tarn_module *root;
    tarn_tensor *weight, *bias, *head_weight, *head_bias;
} net;

static net plant(check_fixture *f)
{
    net n = { .root = tarn_module_create(f->tm) };
    tarn_module *encoder = tarn_module_add_child(n.root, "encoder");
    tarn_module *head = tarn_module_add_child(n.root, "head");
    n.weight = number(encoder, "weight", 1);
    n.bias = number(encoder, "bias", 1);
    n.head_weight = number(head, "weight", 1);
    n.head_bias = number(head, "bias", 1);
    return n;
}

static void give_all(const net *n, double gradient)
{
    give(n->weight, gradient);
    give(n->bias, gradient);
    give(n->head_weight, gradient);
    give(n->head_bias, gradient);
}

/* ---- whose numbers hold */

static void test_first_match(void **state)
{
    const net n = plant(*state);
    const tarn_optimizer_group groups[] = { { .pattern = "*.bias", .weight_decay = TARN_ZERO },
                                            { .pattern = "encoder.*", .lr_factor = 0.5 } };
    tarn_optimizer *sgd = tarn_sgd_create(
        n.root,
        &(tarn_sgd_options){ .lr = 0.5, .weight_decay = 0.25, .groups = groups, .n_groups = 2 });
    assert_non_null(sgd);
    assert_int_equal(tarn_optimizer_group_of(sgd, n.weight), 1);
    assert_int_equal(tarn_optimizer_group_of(sgd, n.bias), 0);
    assert_int_equal(tarn_optimizer_group_of(sgd, n.head_weight), -1);
    assert_int_equal(tarn_optimizer_group_of(sgd, n.head_bias), 0);
    give_all(&n, 0.125);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(n.bias) == 1 - 0.5 * 0.125);
    assert_true(tarn_item(n.head_bias) == 1 - 0.5 * 0.125);
    assert_true(tarn_item(n.weight) == 1 - 0.25 * (0.125 + 0.25));
    assert_true(tarn_item(n.head_weight) == 1 - 0.5 * (0.125 + 0.25));
}

/* Groups are as optimisers of their own: each parameter alike in the one and the other. */
static void test_as_optimizers_of_their_own(void **state)
{
    check_fixture *f = *state;
    const net one = plant(f), other = plant(f);
    const tarn_optimizer_group groups[] = {
        { .pattern = "encoder.weight", .beta1 = 0.5, .beta2 = 0.75, .weight_decay = 0.5 },
        { .pattern = "encoder.bias", .lr_factor = 3, .beta1 = TARN_ZERO },
    };
    const tarn_adam_options shared = {
        .lr = 0.01, .weight_decay = 0.125, .groups = groups, .n_groups = 2
    };
    const tarn_adam_options alone[] = {
        { .lr = 0.01, .beta1 = 0.5, .beta2 = 0.75, .weight_decay = 0.5 },
        { .lr = 0.03, .beta1 = TARN_ZERO, .weight_decay = 0.125 },
        { .lr = 0.01, .weight_decay = 0.125 },
    };
    tarn_optimizer *grouped = tarn_adamw_create(one.root, &shared);
    tarn_tensor *p[] = { one.weight, one.bias, one.head_weight };
    tarn_tensor *q[] = { other.weight, other.bias, other.head_weight };
    for (int i = 0; i < 3; i++) {
        tarn_optimizer *own = tarn_adamw_create(other.root, &alone[i]);
        for (int t = 1; t <= 10; t++) {
            give(p[i], sin(t));
            give(q[i], sin(t));
            assert_int_equal(tarn_optimizer_step(grouped), TARN_OK);
            assert_int_equal(tarn_optimizer_step(own), TARN_OK);
            assert_true(is_close(tarn_item(p[i]), tarn_item(q[i])));
        }
        assert_true(fabs(tarn_item(p[i]) - 1) > 0.01);
    }
}

/* Momentum in one group only: the others keep no state for it. */
static void test_momentum_of_a_group(void **state)
{
    check_fixture *f = *state;
    const net n = plant(f);
    const tarn_optimizer_group groups[] = { { .pattern = "head.*", .momentum = 0.5 } };
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    tarn_optimizer *sgd =
        tarn_sgd_create(n.root, &(tarn_sgd_options){ .lr = 0.25, .groups = groups, .n_groups = 1 });
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks + 2);
    for (int t = 0; t < 2; t++) {
        give_all(&n, 0.5);
        assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    }
    assert_true(tarn_item(n.weight) == 1 - 0.25 * (0.5 + 0.5));
    assert_true(tarn_item(n.head_weight) == 1 - 0.25 * (0.5 + 0.75));

    const tarn_optimizer_group off[] = { { .pattern = "*", .momentum = TARN_ZERO } };
    const net m = plant(f);
    sgd = tarn_sgd_create(
        m.root, &(tarn_sgd_options){
                    .lr = 0.25, .momentum = 0.5, .nesterov = true, .groups = off, .n_groups = 1 });
    give(m.weight, 1);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    give(m.weight, 1);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(m.weight) == 0.5);
}

/* Parameters of one group that have made different numbers of steps. */
static void test_interleaved_steps(void **state)
{
    check_fixture *f = *state;
    const net n = plant(f), m = plant(f);
    const tarn_optimizer_group groups[] = { { .pattern = "*.bias", .lr_factor = 2 } };
    tarn_optimizer *grouped =
        tarn_adam_create(n.root, &(tarn_adam_options){ .groups = groups, .n_groups = 1 });
    tarn_optimizer *plain = tarn_adam_create(m.root, NULL);
    for (int t = 0; t < 6; t++) {
        give(n.weight, t + 1);
        give(m.weight, t + 1);
        if (t % 2 == 0) give(n.head_weight, t + 1);
        if (t % 2 == 0) give(m.head_weight, t + 1);
        if (t % 3 == 0) give(n.head_bias, t + 1);
        if (t % 3 == 0) give(m.head_bias, t + 1);
        give(n.bias, 1);
        assert_int_equal(tarn_optimizer_step(grouped), TARN_OK);
        assert_int_equal(tarn_optimizer_step(plain), TARN_OK);
    }
    assert_true(tarn_item(n.weight) == tarn_item(m.weight));
    assert_true(tarn_item(n.head_weight) == tarn_item(m.head_weight));
    assert_true(is_close(tarn_item(n.head_bias) - 1, 2 * (tarn_item(m.head_bias) - 1)));
}

/* ---- learning rates */

static void test_rates_of_groups(void **state)
{
    check_fixture *f = *state;
    const net n = plant(f);
    const tarn_optimizer_group groups[] = { { .pattern = "head.*", .lr_factor = TARN_ZERO },
                                            { .pattern = "*.bias", .lr_factor = 4 } };
    tarn_optimizer *sgd = tarn_sgd_create(
        n.root, &(tarn_sgd_options){ .lr = 0.125, .groups = groups, .n_groups = 2 });
    assert_true(tarn_optimizer_lr(sgd) == 0.125);
    assert_true(tarn_optimizer_group_lr(sgd, 0) == 0);
    assert_true(tarn_optimizer_group_lr(sgd, 1) == 0.5);
    assert_true(isnan(tarn_optimizer_group_lr(sgd, 2)));
    assert_true(isnan(tarn_optimizer_group_lr(NULL, 0)));

    give_all(&n, 1);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(n.weight) == 0.875 && tarn_item(n.bias) == 0.5);
    assert_true(tarn_item(n.head_weight) == 1 && tarn_item(n.head_bias) == 1);

    assert_int_equal(tarn_optimizer_set_lr(sgd, 0.25), TARN_OK);
    assert_true(tarn_optimizer_group_lr(sgd, 1) == 1);
    assert_int_equal(tarn_optimizer_scale_lr(sgd, 0.5), TARN_OK);
    assert_true(tarn_optimizer_lr(sgd) == 0.125 && tarn_optimizer_group_lr(sgd, 1) == 0.5);
    assert_int_equal(tarn_optimizer_scale_lr(sgd, 0.25), TARN_OK); /* of what was set */
    assert_true(tarn_optimizer_lr(sgd) == 0.0625);
    assert_int_equal(tarn_optimizer_set_group_factor(sgd, 0, 2), TARN_OK);
    assert_true(tarn_optimizer_group_lr(sgd, 0) == 0.125);
    give_all(&n, 1);
    assert_int_equal(tarn_optimizer_step(sgd), TARN_OK);
    assert_true(tarn_item(n.weight) == 0.8125 && tarn_item(n.bias) == 0.25);
    assert_true(tarn_item(n.head_weight) == 0.875);
}

static void test_rates_refused(void **state)
{
    check_fixture *f = *state;
    const net n = plant(f);
    const tarn_optimizer_group groups[] = { { .pattern = "head.*" } };
    tarn_optimizer *sgd =
        tarn_sgd_create(n.root, &(tarn_sgd_options){ .lr = 2, .groups = groups, .n_groups = 1 });
    assert_int_equal(tarn_optimizer_scale_lr(sgd, -1), TARN_EARG);
    check_error(f->tm, TARN_EARG,
                "sgd: part of the learning rate -1; a finite number from 0 on is needed");
    assert_int_equal(tarn_optimizer_scale_lr(sgd, 1e308), TARN_EARG);
    check_error(f->tm, TARN_EARG, "sgd: learning rate inf; a finite number from 0 on is needed");
    assert_int_equal(tarn_optimizer_set_group_factor(sgd, 0, (double)NAN), TARN_EARG);
    check_error(f->tm, TARN_EARG,
                "sgd: factor of the learning rate nan; a finite number from 0 on is needed");
    assert_int_equal(tarn_optimizer_set_group_factor(sgd, 1, 1), TARN_EARG);
    check_error(f->tm, TARN_EARG, "sgd: group 1 of 1");
    assert_true(tarn_optimizer_lr(sgd) == 2 && tarn_optimizer_group_lr(sgd, 0) == 2);
    assert_int_equal(tarn_optimizer_scale_lr(NULL, 1), TARN_EARG);
    assert_int_equal(tarn_optimizer_set_group_factor(NULL, 0, 1), TARN_EARG);
    assert_int_equal(tarn_optimizer_group_of(NULL, n.weight), -1);
    assert_int_equal(tarn_optimizer_group_of(sgd, NULL), -1);
}

static void test_groups_refused(void **state)
{
    check_fixture *f = *state;
    const net n = plant(f);
    const struct {
        tarn_optimizer_group group;
        const char *text;
    } cases[] = {
        { { .pattern = NULL }, "adam: group 1 has no pattern" },
        { { .pattern = "*.gamma" }, "adam: group 1 (\"*.gamma\"): no parameter has such a path" },
        { { .pattern = "*", .weight_decay = -1 },
          "adam: group 1 (\"*\"): weight_decay -1 is not in [0, inf)" },
        { { .pattern = "*", .lr_factor = (double)INFINITY },
          "adam: group 1 (\"*\"): lr_factor inf is not in [0, inf)" },
        { { .pattern = "*", .beta2 = 1 }, "adam: group 1 (\"*\"): beta2 1 is not in [0, 1)" },
        { { .pattern = "*", .momentum = 0.5 }, "adam: group 1 (\"*\"): adam has no momentum" },
    };
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const tarn_optimizer_group groups[] = { { .pattern = "*" }, cases[i].group };
        assert_null(
            tarn_adam_create(n.root, &(tarn_adam_options){ .groups = groups, .n_groups = 2 }));
        check_error(f->tm, TARN_EARG, cases[i].text);
    }
    const tarn_optimizer_group beta[] = { { .pattern = "*", .beta1 = TARN_ZERO } };
    assert_null(tarn_sgd_create(n.root, &(tarn_sgd_options){ .groups = beta, .n_groups = 1 }));
    check_error(f->tm, TARN_EARG, "sgd: group 0 (\"*\"): sgd has no beta1");
    assert_null(tarn_lion_create(n.root, &(tarn_lion_options){ .n_groups = 3 }));
    check_error(f->tm, TARN_EARG, "lion: 3 groups, but none is given");
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
}

/* ---- gradients of several passes */

enum { ROWS = 12, PARTS = 3 };

/* Trains a perceptron on all rows, `parts` of one size a step. */
static void train(tarn_module *root, tarn_mlp *mlp, tarn_tensor *x, tarn_tensor *y, int parts)
{
    tarn_manager *tm = tarn_manager_of(x);
    tarn_optimizer *optimizer = tarn_adamw_create(root, &(tarn_adam_options){ .lr = 0.05 });
    const int64_t rows = ROWS / parts;
    for (int step = 0; step < 10; step++) {
        for (int k = 0; k < parts; k++) {
            TARN_SCOPE(tm);
            tarn_tensor *in = tarn_slice(x, 0, k * rows, (k + 1) * rows);
            tarn_tensor *loss =
                tarn_mse(tarn_mlp_forward(mlp, in), tarn_slice(y, 0, k * rows, (k + 1) * rows));
            assert_int_equal(tarn_backward(tarn_div_scalar(loss, parts)), TARN_OK);
        }
        assert_int_equal(tarn_optimizer_step(optimizer), TARN_OK);
        if (step >= 3 && check_is_plain(tarn_manager_pool(tm)))
            check_status(tarn_expect_steady(tm), TARN_OK);
    }
}

/* A batch in parts is the batch as a whole. */
static void test_accumulation(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *x = tarn_random_normal(f->tm, TARN_F64, TARN_SHAPE(ROWS, 3), 0, 1, 1);
    tarn_tensor *y = tarn_random_normal(f->tm, TARN_F64, TARN_SHAPE(ROWS, 2), 0, 1, 2);
    double whole[64], start[64];
    size_t n = 0;
    for (int parts = 1; parts <= PARTS; parts += 2) {
        const tarn_manager_options options = { .pool = f->pool, .seed = 7 };
        tarn_manager *tm = tarn_manager_create(&options);
        tarn_module *root = tarn_module_create(tm);
        tarn_mlp mlp = tarn_mlp_create(root, "mlp", (int64_t[]){ 3, 4, 2 }, 3,
                                       &(tarn_mlp_options){ .dtype = TARN_F64 });
        tarn_tensor *own_x = tarn_from_array(tm, TARN_F64, TARN_SHAPE(ROWS, 3), tarn_data(x));
        tarn_tensor *own_y = tarn_from_array(tm, TARN_F64, TARN_SHAPE(ROWS, 2), tarn_data(y));
        tarn_tensor *w = tarn_module_parameter(root, 0);
        n = (size_t)tarn_numel(w);
        memcpy(start, tarn_data(w), n * sizeof(double));
        train(root, &mlp, own_x, own_y, parts);
        assert_string_equal(tarn_error_message(tm), "");
        if (parts == 1) memcpy(whole, tarn_data(w), n * sizeof(double));
        else check_close(w, whole, n, 1e-12);
        tarn_manager_destroy(tm);
    }
    double moved = 0;
    for (size_t i = 0; i < n; i++) moved += fabs(whole[i] - start[i]);
    assert_true(moved > 0.1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_first_match),         TEST(test_as_optimizers_of_their_own),
        TEST(test_momentum_of_a_group), TEST(test_interleaved_steps),
        TEST(test_rates_of_groups),     TEST(test_rates_refused),
        TEST(test_groups_refused),      TEST(test_accumulation),
    };
#undef TEST
    return cmocka_run_group_tests_name("optimizer_groups", tests, NULL, NULL);
}
