/* SPDX-License-Identifier: MIT
 * test_optimizers.c - every family of optimisers against its formula, and against PyTorch.
 *
 * Expected values were made with PyTorch 1.13, type float64, from
 *
 *   w = torch.tensor([(i - 2) / 2 + 0.25 for i in range(5)], requires_grad=True)
 *   for t in range(1, 25):
 *       w.grad = torch.tensor([((7 * i + 13 * t) % 11 - 5) / 4 for i in range(5)])
 *       optimizer.step()
 *
 * with the optimiser that stands at each row; Lion, which it lacks, by torch.sign and the paper's
 * program. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

enum { N = 5, STEPS = 24 };

/* Exact in both types, zeros among them. */
static double start_at(int i) { return (i - 2) / 2.0 + 0.25; }
static double gradient_at(int i, int t) { return ((7 * i + 13 * t) % 11 - 5) / 4.0; }

/* ---- the families, as their papers or PyTorch's documentation write them: one weight, its
 * gradient, its state and the number of the step from 1 on */

typedef struct weight {
    double w, a, b, c;
} weight;

static void sgd_nesterov(weight *x, double g, int t)
{
    (void)t;
    g += 0.1 * x->w;
    x->a = 0.9 * x->a + g;
    x->w -= 0.05 * (g + 0.9 * x->a);
}

static void sgd_dampened(weight *x, double g, int t)
{
    x->a = t == 1 ? g : 0.8 * x->a + 0.7 * g;
    x->w -= 0.05 * x->a;
}

static void adam(weight *x, double g, int t)
{
    g += 0.1 * x->w;
    x->a = 0.8 * x->a + 0.2 * g;
    x->b = 0.95 * x->b + 0.05 * g * g;
    x->w -= 0.02 * x->a / (1 - pow(0.8, t)) / (sqrt(x->b / (1 - pow(0.95, t))) + 0.01);
}

static void adam_without_momentum(weight *x, double g, int t)
{
    x->b = 0.999 * x->b + 0.001 * g * g;
    x->w -= 0.02 * g / (sqrt(x->b / (1 - pow(0.999, t))) + 1e-8);
}

static void adamw(weight *x, double g, int t)
{
    x->w *= 1 - 0.03 * 0.3;
    x->a = 0.9 * x->a + 0.1 * g;
    x->b = 0.99 * x->b + 0.01 * g * g;
    x->w -= 0.03 * x->a / (1 - pow(0.9, t)) / (sqrt(x->b / (1 - pow(0.99, t))) + 1e-8);
}

static void rmsprop_plain(weight *x, double g, int t)
{
    (void)t;
    x->a = 0.99 * x->a + 0.01 * g * g;
    x->w -= 0.01 * g / (sqrt(x->a) + 1e-8);
}

static void rmsprop_momentum(weight *x, double g, int t)
{
    (void)t;
    g += 0.1 * x->w;
    x->a = 0.9 * x->a + 0.1 * g * g;
    x->c = 0.5 * x->c + g / (sqrt(x->a) + 0.001);
    x->w -= 0.02 * x->c;
}

static void rmsprop_centered(weight *x, double g, int t)
{
    (void)t;
    x->a = 0.9 * x->a + 0.1 * g * g;
    x->b = 0.9 * x->b + 0.1 * g;
    x->w -= 0.02 * g / (sqrt(x->a - x->b * x->b) + 0.001);
}

static void rmsprop_all(weight *x, double g, int t)
{
    (void)t;
    g += 0.2 * x->w;
    x->a = 0.95 * x->a + 0.05 * g * g;
    x->b = 0.95 * x->b + 0.05 * g;
    x->c = 0.8 * x->c + g / (sqrt(x->a - x->b * x->b) + 1e-8);
    x->w -= 0.02 * x->c;
}

static void adagrad_plain(weight *x, double g, int t)
{
    (void)t;
    x->a += g * g;
    x->w -= 0.01 * g / (sqrt(x->a) + 1e-10);
}

static void adagrad(weight *x, double g, int t)
{
    if (t == 1) x->a = 0.5;
    g += 0.1 * x->w;
    x->a += g * g;
    x->w -= 0.3 / (1 + (t - 1) * 0.05) * g / (sqrt(x->a) + 1e-3);
}

static double sign_of(double x) { return (x > 0) - (x < 0); }

static void lion_plain(weight *x, double g, int t)
{
    (void)t;
    x->w -= 1e-4 * sign_of(0.9 * x->a + 0.1 * g);
    x->a = 0.99 * x->a + 0.01 * g;
}

static void lion(weight *x, double g, int t)
{
    (void)t;
    x->w *= 1 - 0.01 * 0.3;
    x->w -= 0.01 * sign_of(0.8 * x->a + 0.2 * g);
    x->a = 0.95 * x->a + 0.05 * g;
}

/* ---- the rows */

#define CREATOR(name, family, ...)                                                        \
    static tarn_optimizer *create_##name(tarn_module *module)                             \
    {                                                                                     \
        return tarn_##family##_create(module, &(tarn_##family##_options){ __VA_ARGS__ }); \
    }

typedef tarn_adam_options tarn_adamw_options;

CREATOR(sgd_nesterov, sgd, .lr = 0.05, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true)
CREATOR(sgd_dampened, sgd, .lr = 0.05, .momentum = 0.8, .dampening = 0.3)
CREATOR(adam, adam, .lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .eps = 0.01, .weight_decay = 0.1)
CREATOR(adam_without_momentum, adam, .lr = 0.02, .beta1 = TARN_ZERO)
CREATOR(adamw, adamw, .lr = 0.03, .beta2 = 0.99, .weight_decay = 0.3)
CREATOR(rmsprop_plain, rmsprop, .lr = 0)
CREATOR(rmsprop_momentum, rmsprop, .lr = 0.02, .alpha = 0.9, .eps = 0.001, .weight_decay = 0.1,
        .momentum = 0.5)
CREATOR(rmsprop_centered, rmsprop, .lr = 0.02, .alpha = 0.9, .eps = 0.001, .centered = true)
CREATOR(rmsprop_all, rmsprop, .lr = 0.02, .alpha = 0.95, .weight_decay = 0.2, .momentum = 0.8,
        .centered = true)
CREATOR(adagrad_plain, adagrad, .lr = 0)
CREATOR(adagrad, adagrad, .lr = 0.3, .lr_decay = 0.05, .weight_decay = 0.1, .accumulator = 0.5,
        .eps = 1e-3)
CREATOR(lion_plain, lion, .lr = 0)
CREATOR(lion, lion, .lr = 0.01, .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.3)

typedef struct row {
    const char *name;
    tarn_optimizer *(*create)(tarn_module *module);
    void (*formula)(weight *x, double g, int t);
    double expected[N];
} row;

#define ROW(name) #name, create_##name, name

static const row rows[] = {
    /* SGD(lr=0.05, momentum=0.9, weight_decay=0.1, nesterov=True) */
    { ROW(sgd_nesterov),
      { -0.19598339631298231, -0.077119891811701993, 0.0064231033610673317, 0.60294591973538292,
        0.19153524443728989 } },
    /* SGD(lr=0.05, momentum=0.8, dampening=0.3) */
    { ROW(sgd_dampened),
      { -0.66230627232277872, -0.31931480422712566, 0.20142434990696886, 1.0372471962748573,
        1.0523351123023739 } },
    /* Adam(lr=0.02, betas=(0.8, 0.95), eps=0.01, weight_decay=0.1) */
    { ROW(adam),
      { -0.67905344408288648, -0.24257912469019147, 0.19750808148103149, 0.77523209607685062,
        1.1401095196316933 } },
    /* Adam(lr=0.02, betas=(0, 0.999)) */
    { ROW(adam_without_momentum),
      { -0.74191527957389347, -0.2579886054601781, 0.20588116590089614, 0.76818525867734433,
        1.1915438013256536 } },
    /* AdamW(lr=0.03, betas=(0.9, 0.99), weight_decay=0.3) */
    { ROW(adamw),
      { -0.56189588114513889, -0.20289991051550407, 0.16403769364899529, 0.71472279055734356,
        0.93030050061848601 } },
    /* RMSprop() */
    { ROW(rmsprop_plain),
      { -0.71057577247731141, -0.2801124823748527, 0.12182485631922385, 0.85342479523211356,
        1.0885817024184397 } },
    /* RMSprop(lr=0.02, alpha=0.9, eps=0.001, weight_decay=0.1, momentum=0.5) */
    { ROW(rmsprop_momentum),
      { -0.62649500664069868, -0.28732297502752968, -0.032013828313425051, 0.73804719104930228,
        0.92910972470020459 } },
    /* RMSprop(lr=0.02, alpha=0.9, eps=0.001, centered=True) */
    { ROW(rmsprop_centered),
      { -0.726147639544792, -0.28225272967919968, 0.14880356596001609, 0.8140307490410742,
        1.1178557128338527 } },
    /* RMSprop(lr=0.02, alpha=0.95, weight_decay=0.2, momentum=0.8, centered=True) */
    { ROW(rmsprop_all),
      { -0.26458463877380217, -0.24479373860535417, -0.49235094340471802, 0.47443187800410347,
        0.21687511363439457 } },
    /* Adagrad() */
    { ROW(adagrad_plain),
      { -0.74606059796871449, -0.25290684908393635, 0.23731450409274041, 0.76043317361891294,
        1.2341314620663286 } },
    /* Adagrad(lr=0.3, lr_decay=0.05, weight_decay=0.1, initial_accumulator_value=0.5, eps=1e-3) */
    { ROW(adagrad),
      { -0.56011231591603317, -0.25089436999898518, 0.025661540596385254, 0.83244746853063301,
        0.77661778727520414 } },
    /* lr=1e-4, betas=(0.9, 0.99) */
    { ROW(lion_plain), { -0.7496, -0.2498, 0.2501, 0.7504, 1.2496 } },
    /* lr=0.01, betas=(0.8, 0.95), weight_decay=0.3 */
    { ROW(lion),
      { -0.65870021241314425, -0.21331159620673984, 0.24262924296480465, 0.77489588586209612,
        1.1242631359498461 } },
};

enum { ROWS = sizeof rows / sizeof rows[0] };

/* ---- steps */

/* Adds to the gradient of p that of sum(p c). */
static void give_gradient(tarn_tensor *p, tarn_tensor *c)
{
    assert_int_equal(tarn_backward(tarn_sum(tarn_mul(p, c), TARN_ALL_AXES)), TARN_OK);
}

/* Gives p the gradient of step t and makes the step. */
static void step(tarn_optimizer *optimizer, tarn_tensor *p, int t)
{
    tarn_manager *tm = tarn_manager_of(p);
    TARN_SCOPE(tm);
    double g[N];
    for (int i = 0; i < N; i++) g[i] = gradient_at(i, t);
    tarn_tensor *c = tarn_from_array(tm, TARN_F64, TARN_SHAPE(N), g);
    give_gradient(p, tarn_cast(c, tarn_get_dtype(p)));
    assert_int_equal(tarn_optimizer_step(optimizer), TARN_OK);
}

/* A parameter of five elements, at the start. */
static tarn_tensor *plant(tarn_module *module, const char *name, tarn_dtype dtype)
{
    tarn_tensor *p = tarn_module_add_parameter(module, name, dtype, TARN_SHAPE(N), NULL);
    for (int i = 0; i < N; i++) {
        if (dtype == TARN_F64) ((double *)tarn_data_mut(p))[i] = start_at(i);
        else ((float *)tarn_data_mut(p))[i] = (float)start_at(i);
    }
    return p;
}

/* The sums and products of F64 are ordered in another way than in the formula. Those of F32 are off
 * by some tens of roundings of numbers around 1, which a young variance of RMSprop multiplies. */
static void test_formulas(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *p = plant(root, "p", TARN_F64), *q = plant(root, "q", TARN_F32);
        tarn_optimizer *optimizer = rows[r].create(root);
        assert_non_null(optimizer);
        weight x[N] = { { 0 } };
        double expected[N];
        for (int i = 0; i < N; i++) x[i].w = start_at(i);
        for (int t = 1; t <= STEPS; t++) {
            step(optimizer, p, t);
            step(optimizer, q, t);
            for (int i = 0; i < N; i++) {
                rows[r].formula(&x[i], gradient_at(i, t), t);
                expected[i] = x[i].w;
            }
            check_close(p, expected, N, 1e-13);
            check_close(q, expected, N, 1e-5);
        }
        check_close(p, rows[r].expected, N, 1e-13);
    }
}

/* A parameter without a gradient keeps value and state, and goes on where it was. */
static void test_skipped(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *p = plant(root, "p", TARN_F64), *q = plant(root, "q", TARN_F64);
        tarn_optimizer *optimizer = rows[r].create(root);
        for (int t = 1; t <= 5; t++) step(optimizer, p, t);
        double still[N];
        for (int i = 0; i < N; i++) still[i] = start_at(i);
        check_close(q, still, N, 0);
        for (int t = 1; t <= STEPS; t++) step(optimizer, q, t);
        check_close(q, rows[r].expected, N, 1e-13);
        for (int t = 6; t <= STEPS; t++) step(optimizer, p, t);
        check_close(p, rows[r].expected, N, 1e-13);
        assert_int_equal(tarn_optimizer_steps(optimizer), 2 * STEPS);
    }
}

/* Gradients to q are stopped for some steps, and let through again. */
static void test_stopped(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *p = plant(root, "p", TARN_F64), *q = plant(root, "q", TARN_F64);
        tarn_optimizer *optimizer = rows[r].create(root);
        for (int t = 1; t <= 10; t++) step(optimizer, q, t);
        assert_int_equal(tarn_stop_grad(q), TARN_OK);
        double before[N];
        assert_int_equal(tarn_copy_to(q, before, sizeof before), TARN_OK);
        for (int t = 1; t <= STEPS; t++) step(optimizer, p, t);
        tarn_optimizer_zero_grad(optimizer);
        check_close(q, before, N, 0);
        assert_non_null(tarn_require_grad(q));
        for (int t = 11; t <= STEPS; t++) step(optimizer, q, t);
        check_close(q, rows[r].expected, N, 1e-13);
    }
}

static void test_frozen_module(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *root = tarn_module_create(f->tm), *ice = tarn_module_add_child(root, "ice");
        tarn_tensor *p = plant(root, "p", TARN_F64), *q = plant(ice, "q", TARN_F64);
        tarn_optimizer *early = rows[r].create(root);
        step(early, q, 1);
        double before[N];
        assert_int_equal(tarn_copy_to(q, before, sizeof before), TARN_OK);
        assert_int_equal(tarn_module_freeze(ice), TARN_OK);
        tarn_optimizer *late = rows[r].create(root);
        assert_non_null(late);
        step(early, p, 1);
        step(late, p, 2);
        check_close(q, before, N, 0);
        assert_null(rows[r].create(ice));
        check_error_part(f->tm, TARN_ESTATE, ": module \"ice\" is frozen");
    }
}

/* ---- memory and ends */

static void test_a_step_acquires_nothing(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *p = plant(root, "p", TARN_F64);
        tarn_optimizer *optimizer = rows[r].create(root);
        for (int t = 1; t <= 8; t++) {
            step(optimizer, p, t);
            const tarn_status status = tarn_expect_steady(f->tm);
            if (t <= 3 || !check_is_plain(f->pool)) tarn_clear_error(f->tm);
            else check_status(status, TARN_OK);
        }
        TARN_SCOPE(f->tm);
        give_gradient(p, p);
        const uint64_t before = tarn_pool_get_stats(f->pool).allocations;
        assert_int_equal(tarn_optimizer_step(optimizer), TARN_OK);
        assert_int_equal(tarn_pool_get_stats(f->pool).allocations, before);
    }
}

static void test_short_memory(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *root = tarn_module_create(f->tm);
        plant(root, "p", TARN_F64);
        plant(root, "q", TARN_F32);
        const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
        tarn_optimizer *optimizer = rows[r].create(root);
        const size_t states = tarn_pool_get_stats(f->pool).live_blocks - blocks;
        assert_in_range(states, 2, 6);
        tarn_optimizer_destroy(optimizer);
        for (uint64_t n = 1; n <= states; n++) {
            check_fail_acquisition(f->pool, n);
            assert_null(rows[r].create(root));
            check_error_part(f->tm, TARN_ENOMEM, "");
            assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
        }
    }
}

/* Module first, optimiser first, and both left to the manager. */
static void test_order_of_ends(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *a = tarn_module_create(f->tm), *b = tarn_module_create(f->tm);
        tarn_tensor *p = plant(a, "p", TARN_F32);
        plant(b, "p", TARN_F32);
        tarn_optimizer *of_a = rows[r].create(a), *of_b = rows[r].create(b);
        step(of_a, p, 1);
        assert_int_equal(tarn_module_destroy(a), TARN_OK);
        assert_int_equal(tarn_optimizer_step(of_a), TARN_ESTATE);
        check_error_part(f->tm, TARN_ESTATE, ": the module was destroyed");
        tarn_optimizer_destroy(of_a);
        tarn_optimizer_destroy(of_b);
        assert_int_equal(tarn_module_destroy(b), TARN_OK);
        tarn_module *c = tarn_module_create(f->tm);
        plant(c, "p", TARN_F32);
        assert_non_null(rows[r].create(c));
    }
}

/* ---- what is refused */

#define REFUSED(text, family, ...)                                                            \
    do {                                                                                      \
        assert_null(tarn_##family##_create(root, &(tarn_##family##_options){ __VA_ARGS__ })); \
        check_error(f->tm, TARN_EARG, text);                                                  \
    } while (0)

static void test_options_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    plant(root, "p", TARN_F32);
    REFUSED("sgd: dampening 1 is not in [0, 1)", sgd, .momentum = 0.5, .dampening = 1);
    REFUSED("sgd: nesterov with momentum 0 and dampening 0; it needs momentum, and no dampening",
            sgd, .nesterov = true);
    REFUSED("sgd: nesterov with momentum 0.5 and dampening 0.1; it needs momentum, and no "
            "dampening",
            sgd, .nesterov = true, .momentum = 0.5, .dampening = 0.1);
    REFUSED("adam: beta1 1 is not in [0, 1)", adam, .beta1 = 1);
    REFUSED("rmsprop: lr -1 is not in [0, inf)", rmsprop, .lr = -1);
    REFUSED("rmsprop: alpha 1 is not in [0, 1)", rmsprop, .alpha = 1);
    REFUSED("rmsprop: eps -1 is not in [0, inf)", rmsprop, .eps = -1);
    REFUSED("rmsprop: momentum nan is not in [0, 1)", rmsprop, .momentum = (double)NAN);
    REFUSED("rmsprop: weight_decay inf is not in [0, inf)", rmsprop,
            .weight_decay = (double)INFINITY);
    REFUSED("adagrad: lr inf is not in [0, inf)", adagrad, .lr = (double)INFINITY);
    REFUSED("adagrad: lr_decay -0.5 is not in [0, inf)", adagrad, .lr_decay = -0.5);
    REFUSED("adagrad: accumulator -1 is not in [0, inf)", adagrad, .accumulator = -1);
    REFUSED("adagrad: weight_decay -1 is not in [0, inf)", adagrad, .weight_decay = -1);
    REFUSED("adagrad: eps nan is not in [0, inf)", adagrad, .eps = (double)NAN);
    REFUSED("lion: lr -1 is not in [0, inf)", lion, .lr = -1);
    REFUSED("lion: beta1 1 is not in [0, 1)", lion, .beta1 = 1);
    REFUSED("lion: beta2 -0.1 is not in [0, 1)", lion, .beta2 = -0.1);
    REFUSED("lion: weight_decay -1 is not in [0, inf)", lion, .weight_decay = -1);
    assert_null(tarn_rmsprop_create(NULL, NULL));
    assert_null(tarn_adagrad_create(NULL, NULL));
    assert_null(tarn_lion_create(NULL, NULL));
    assert_null(tarn_sgd_create(NULL, &(tarn_sgd_options){ .nesterov = true }));
}

/* ---- particular values */

/* The variance of equal gradients is zero, and never below it by rounding. */
static void test_centered_variance(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *p = plant(root, "p", TARN_F32);
    tarn_optimizer *optimizer = tarn_rmsprop_create(
        root, &(tarn_rmsprop_options){ .lr = 1e-9, .alpha = 0.3, .eps = 1, .centered = true });
    tarn_tensor *c = tarn_full(f->tm, TARN_F32, TARN_SHAPE(N), 1.0 / 3);
    for (int t = 0; t < 60; t++) {
        TARN_SCOPE(f->tm);
        give_gradient(p, c);
        assert_int_equal(tarn_optimizer_step(optimizer), TARN_OK);
    }
    for (int i = 0; i < N; i++) assert_true(isfinite(((const float *)tarn_data(p))[i]));
}

/* NaN in a gradient is NaN in the weight, in every family. */
static void test_nan_passes(void **state)
{
    check_fixture *f = *state;
    for (int r = 0; r < ROWS; r++) {
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *p = plant(root, "p", TARN_F32);
        tarn_optimizer *optimizer = rows[r].create(root);
        TARN_SCOPE(f->tm);
        const float c[N] = { 1, NAN, 1, 1, 1 };
        give_gradient(p, tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(N), c));
        assert_int_equal(tarn_optimizer_step(optimizer), TARN_OK);
        for (int i = 0; i < N; i++)
            assert_int_equal(isnan(((const float *)tarn_data(p))[i]) != 0, i == 1);
    }
}

/* ---- learning */

/* Every family, at its own rate, brings |w - target|^2 near zero. */
static void test_quadratic(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *target = tarn_full(f->tm, TARN_F64, TARN_SHAPE(N), 0.5);
    for (int r = 0; r < 4; r++) {
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *p = plant(root, "p", TARN_F64);
        tarn_optimizer *optimizer =
            r == 0 ? tarn_sgd_create(
                         root, &(tarn_sgd_options){ .lr = 0.02, .momentum = 0.9, .nesterov = true })
            : r == 1 ? tarn_rmsprop_create(root, &(tarn_rmsprop_options){ .lr = 0.005 })
            : r == 2 ? tarn_adagrad_create(root, &(tarn_adagrad_options){ .lr = 0.5 })
                     : tarn_lion_create(root, &(tarn_lion_options){ .lr = 0.005 });
        double loss = 1;
        for (int t = 0; t < 500; t++) {
            TARN_SCOPE(f->tm);
            tarn_tensor *l = tarn_mse(p, target);
            assert_int_equal(tarn_backward(l), TARN_OK);
            assert_int_equal(tarn_optimizer_step(optimizer), TARN_OK);
            loss = tarn_item(l);
        }
        if (!(loss < 1e-3)) fail_msg("optimiser %d: loss %g", r, loss);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_formulas),
        TEST(test_skipped),
        TEST(test_stopped),
        TEST(test_frozen_module),
        TEST(test_a_step_acquires_nothing),
        TEST(test_short_memory),
        TEST(test_order_of_ends),
        TEST(test_options_refused),
        TEST(test_centered_variance),
        TEST(test_nan_passes),
        TEST(test_quadratic),
    };
#undef TEST
    return cmocka_run_group_tests_name("optimizers", tests, NULL, NULL);
}
