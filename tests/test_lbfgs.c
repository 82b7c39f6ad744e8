/* SPDX-License-Identifier: MIT
 * test_lbfgs.c - L-BFGS against PyTorch, on hard functions and small networks, and where closures
 * go wrong.
 *
 * Expected values were made with PyTorch 1.13, type float64, by calls of step(closure) of
 * torch.optim.LBFGS with the arguments that stand at each run; n_iter and func_evals are those of
 * its state. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

static tarn_tensor *plant(tarn_module *module, const char *name, tarn_dtype dtype, int n,
                          const double *values)
{
    tarn_tensor *p = tarn_module_add_parameter(module, name, dtype, TARN_SHAPE(n), NULL);
    for (int i = 0; i < n; i++) {
        if (dtype == TARN_F64) ((double *)tarn_data_mut(p))[i] = values[i];
        else ((float *)tarn_data_mut(p))[i] = (float)values[i];
    }
    return p;
}

static double value_at(tarn_tensor *p, int i)
{
    return tarn_get_dtype(p) == TARN_F64 ? ((const double *)tarn_data(p))[i]
                                         : (double)((const float *)tarn_data(p))[i];
}

static double backward(tarn_tensor *loss)
{
    (void)tarn_backward(loss);
    return tarn_item(loss);
}

/* (1 - a)^2 + 100 (b - a^2)^2, minimal at (1, 1) (Rosenbrock 1960). */
static double rosenbrock(void *context)
{
    tarn_tensor *x = context;
    tarn_tensor *a = tarn_slice(x, 0, 0, 1), *b = tarn_slice(x, 0, 1, 2);
    tarn_tensor *valley = tarn_square(tarn_sub(b, tarn_square(a)));
    tarn_tensor *slope = tarn_square(tarn_rsub_scalar(a, 1));
    return backward(tarn_sum(tarn_add(tarn_mul_scalar(valley, 100), slope), TARN_ALL_AXES));
}

/* sum((i + 1) (x_i - 1)^2) + sum((x_(i+1) - x_i)^4), of six numbers. */
static double chain(void *context)
{
    tarn_tensor *x = context;
    tarn_tensor *stiffness = tarn_arange(tarn_manager_of(x), TARN_F64, 1, 7, 1);
    tarn_tensor *step = tarn_sub(tarn_slice(x, 0, 1, 6), tarn_slice(x, 0, 0, 5));
    tarn_tensor *pull = tarn_mul(stiffness, tarn_square(tarn_sub_scalar(x, 1)));
    tarn_tensor *springs = tarn_sum(tarn_square(tarn_square(step)), TARN_ALL_AXES);
    return backward(tarn_add(tarn_sum(pull, TARN_ALL_AXES), springs));
}

static const double start_of_rosenbrock[] = { -1.2, 1 }, minimum[] = { 1, 1 };

/* ---- against PyTorch */

enum { STEPS = 8 };

typedef struct expected {
    double first_loss;
    uint64_t evaluations, iterations; /* so far */
    double x[6];
} expected;

typedef struct example {
    const char *name;
    double (*closure)(void *x);
    int n;
    double start[6];
    tarn_lbfgs_options options;
    int steps;
    expected expected[STEPS];
} example;

static const example examples[] = {
    /* max_iter=5, line_search_fn='strong_wolfe', history_size=10 */
    { "rosenbrock",
      rosenbrock,
      2,
      { -1.2, 1 },
      { .max_iter = 5 },
      8,
      { { 24.199999999999996, 6, 4, { -1.0276177663827242, 1.0584120782656612 } },
        { 4.1118164517577513, 12, 9, { -0.77457973545159764, 0.54762567923210381 } },
        { 3.4231654622927969, 19, 13, { -0.25600484511812888, 0.037227495245058778 } },
        { 1.6576993608388546, 27, 18, { 0.3415181810584082, 0.098980045615571527 } },
        { 0.46476687500715369, 33, 22, { 0.69267755320361168, 0.46631386086277316 } },
        { 0.11264059591278955, 40, 27, { 0.90096780971499302, 0.80466152564545823 } },
        { 0.014822094320292066, 46, 31, { 0.99497999963072703, 0.98954966134044764 } },
        { 4.416976693695807e-05, 51, 36, { 0.99999933340764002, 0.99999867438245438 } } } },
    /* max_iter=6, max_eval=8, line_search_fn='strong_wolfe', history_size=2 */
    { "rosenbrock, short history",
      rosenbrock,
      2,
      { -1.2, 1 },
      { .max_iter = 6, .max_eval = 8, .history = 2 },
      8,
      { { 24.199999999999996, 8, 6, { -0.98825676709250299, 0.95657784086873909 } },
        { 3.9934599008800959, 17, 12, { -0.33756475832028854, 0.066629126980785311 } },
        { 2.0130056638149418, 25, 17, { 0.1432142157822654, -0.0094378691962690303 } },
        { 0.82377123335095392, 33, 23, { 0.65957888889400196, 0.42268125646374938 } },
        { 0.13117104382879954, 41, 28, { 0.85938181379883027, 0.73712053359772145 } },
        { 0.01997414086265652, 49, 34, { 0.99921064803772719, 0.99848356527699855 } },
        { 1.0031009933888782e-06, 52, 36, { 0.99999899645573809, 0.99999784363360711 } },
        { 3.2355193720559684e-12, 53, 37, { 0.99999899645573809, 0.99999784363360711 } } } },
    /* max_iter=5, lr=0.1, history_size=3; it does not evaluate after the last iteration */
    { "rosenbrock, no search",
      rosenbrock,
      2,
      { 0.5, 0.5 },
      { .max_iter = 5, .lr = 0.1, .history = 3, .line_search = TARN_LINE_SEARCH_NONE },
      6,
      { { 6.5, 6, 5, { 0.58338980639255655, 0.43094237674365066 } },
        { 0.99437668858511896, 12, 10, { 0.61166998267211303, 0.42394726130479587 } },
        { 0.39887485967261727, 18, 15, { 0.63022490602975723, 0.42430772339953327 } },
        { 0.21030633753573316, 24, 20, { 0.64331735886150154, 0.42798241791017638 } },
        { 0.14717461618911531, 30, 25, { 0.65489576818647399, 0.43505339628479617 } },
        { 0.12289756589177582, 36, 30, { 0.67483186054966371, 0.45532423298426578 } } } },
    /* max_iter=4, line_search_fn='strong_wolfe', history_size=3 */
    { "chain",
      chain,
      6,
      { -1, -0.5, 0, 0.5, 1, 1.5 },
      { .max_iter = 4, .history = 3 },
      4,
      { { 14.3125,
          5,
          4,
          { 0.9552466863985648, 1.085447099926913, 1.0062424697131609, 1.0374663076760977,
            0.89517478828789598, 1.0483734116102408 } },
        { 0.092607071118902304,
          11,
          8,
          { 0.99861315192938016, 0.99786577994610348, 1.0006619137847501, 1.0002092478286309,
            1.0002333852761789, 0.99967075689465446 } },
        { 1.3445477389563237e-05,
          16,
          12,
          { 1.0000104475989722, 1.0000373008255117, 1.0000053225600205, 0.99999017101062915,
            1.0000178833239735, 0.99999650632910053 } },
        { 5.0355813579510496e-09,
          18,
          14,
          { 0.9999868287128072, 1.0000127489384172, 1.0000047183936149, 0.99999768641881803,
            1.0000012852146491, 1.0000002689188039 } } } },
};

/* Rounding is multiplied along the valley of Rosenbrock by some thousands. */
static void test_against_pytorch(void **state)
{
    check_fixture *f = *state;
    for (size_t k = 0; k < sizeof examples / sizeof examples[0]; k++) {
        const example *e = &examples[k];
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *x = plant(root, "x", TARN_F64, e->n, e->start);
        tarn_optimizer *lbfgs = tarn_lbfgs_create(root, &e->options);
        uint64_t evaluations = 0, iterations = 0;
        for (int step = 0; step < e->steps; step++) {
            const expected *want = &e->expected[step];
            tarn_lbfgs_result r;
            assert_int_equal(tarn_lbfgs_step(lbfgs, e->closure, x, &r), TARN_OK);
            check_close(x, want->x, (size_t)e->n, 1e-11);
            assert_true(fabs(r.first_loss - want->first_loss) <= 1e-11);
            assert_true(r.loss <= r.first_loss);
            evaluations += r.evaluations;
            iterations += r.iterations;
            assert_int_equal(evaluations, want->evaluations);
            assert_int_equal(iterations, want->iterations);
        }
        assert_int_equal(tarn_optimizer_steps(lbfgs), e->steps);
    }
}

/* A perceptron of 3, 4 and 1 units, with numbers that a formula makes. */
typedef struct perceptron {
    tarn_tensor *w1, *b1, *w2, *b2, *x, *y;
} perceptron;

static tarn_tensor *numbered(tarn_tensor *t, int k)
{
    for (int i = 0; i < tarn_numel(t); i++)
        ((double *)tarn_data_mut(t))[i] = ((7 * i + k) % 13 - 6) / 8.0;
    return t;
}

static double perceptron_loss(void *context)
{
    const perceptron *p = context;
    tarn_tensor *hidden = tarn_tanh(tarn_add(tarn_matmul(p->x, p->w1), p->b1));
    return backward(tarn_mse(tarn_add(tarn_matmul(hidden, p->w2), p->b2), p->y));
}

/* max_iter=10, line_search_fn='strong_wolfe', history_size=5 */
static void test_perceptron_against_pytorch(void **state)
{
    check_fixture *f = *state;
    tarn_module *m = tarn_module_create(f->tm);
    perceptron p = {
        .w1 = numbered(tarn_module_add_parameter(m, "w1", TARN_F64, TARN_SHAPE(3, 4), NULL), 1),
        .b1 = numbered(tarn_module_add_parameter(m, "b1", TARN_F64, TARN_SHAPE(4), NULL), 2),
        .w2 = numbered(tarn_module_add_parameter(m, "w2", TARN_F64, TARN_SHAPE(4, 1), NULL), 3),
        .b2 = numbered(tarn_module_add_parameter(m, "b2", TARN_F64, TARN_SHAPE(1), NULL), 4),
        .x = numbered(tarn_empty(f->tm, TARN_F64, TARN_SHAPE(10, 3)), 5),
        .y = numbered(tarn_empty(f->tm, TARN_F64, TARN_SHAPE(10, 1)), 6)
    };
    tarn_optimizer *lbfgs =
        tarn_lbfgs_create(m, &(tarn_lbfgs_options){ .max_iter = 10, .history = 5 });
    const double losses[] = { 0.46977453324632473, 0.13169903145260559, 0.1305192518773434 };
    const uint64_t evaluations[] = { 11, 12, 13 }, iterations[] = { 10, 9, 8 };
    for (int i = 0; i < 3; i++) {
        tarn_lbfgs_result r;
        assert_int_equal(tarn_lbfgs_step(lbfgs, perceptron_loss, &p, &r), TARN_OK);
        assert_true(fabs(r.first_loss - losses[i]) <= 1e-12);
        assert_int_equal(r.evaluations, evaluations[i]);
        assert_int_equal(r.iterations, iterations[i]);
    }
    const double b1[] = { -0.94231856239935385, 1.200798209723891, -0.34706849771548559,
                          0.68016713503881721 };
    check_close(p.b1, b1, 4, 1e-10);
}

/* ---- learning */

static void test_rosenbrock(void **state)
{
    check_fixture *f = *state;
    const double starts[][2] = { { -1.2, 1 }, { 2, 2 }, { -3, -4 }, { 0, 10 }, { 1, 1 } };
    for (size_t k = 0; k < sizeof starts / sizeof starts[0]; k++) {
        tarn_module *root = tarn_module_create(f->tm);
        tarn_tensor *x = plant(root, "x", TARN_F64, 2, starts[k]);
        tarn_optimizer *lbfgs = tarn_lbfgs_create(
            root, &(tarn_lbfgs_options){
                      .max_iter = 200, .tolerance_grad = 1e-9, .tolerance_change = TARN_ZERO });
        tarn_lbfgs_result r;
        assert_int_equal(tarn_lbfgs_step(lbfgs, rosenbrock, x, &r), TARN_OK);
        if (!(r.converged && r.loss < 1e-16 && r.iterations < 60))
            fail_msg("from (%g, %g): loss %g after %llu iterations", starts[k][0], starts[k][1],
                     r.loss, (unsigned long long)r.iterations);
        check_close(x, minimum, 2, 1e-7);
    }
}

/* The exclusive or, in F32, learnt from several seeds. */
typedef struct xor_task {
    tarn_mlp mlp;
    tarn_tensor *x, *y;
} xor_task;

static double xor_loss(void *context)
{
    const xor_task *t = context;
    return backward(tarn_mse(tarn_mlp_forward(&t->mlp, t->x), t->y));
}

static double learn_xor(tarn_pool *pool, uint64_t seed, uint64_t *digest)
{
    static const float X[] = { 0, 0, 0, 1, 1, 0, 1, 1 }, Y[] = { 0, 1, 1, 0 };
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = pool, .seed = seed });
    tarn_module *net = tarn_module_create(tm);
    xor_task t = { .mlp = tarn_mlp_create(net, "mlp", (int64_t[]){ 2, 8, 1 }, 3,
                                          &(tarn_mlp_options){ .activation = TARN_TANH }),
                   .x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 2), X),
                   .y = tarn_from_array(tm, TARN_F32, TARN_SHAPE(4, 1), Y) };
    tarn_optimizer *lbfgs = tarn_lbfgs_create(net, NULL);
    tarn_lbfgs_result r = { 0 };
    for (int step = 0; step < 6; step++) {
        assert_int_equal(tarn_lbfgs_step(lbfgs, xor_loss, &t, &r), TARN_OK);
        if (step >= 2 && check_is_plain(pool)) check_status(tarn_expect_steady(tm), TARN_OK);
    }
    *digest = tarn_module_digest(net);
    assert_string_equal(tarn_error_message(tm), "");
    tarn_manager_destroy(tm);
    return r.loss;
}

static void test_xor(void **state)
{
    check_fixture *f = *state;
    uint64_t digest, again;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        const double loss = learn_xor(f->pool, seed, &digest);
        if (!(loss < 1e-4)) fail_msg("seed %llu: loss %g", (unsigned long long)seed, loss);
    }
    learn_xor(f->pool, 5, &again);
    assert_true(digest == again);
}

/* ---- losses that are not finite */

/* x - log(x), which is NaN below zero and minimal at 1. */
static double barrier(void *context)
{
    tarn_tensor *x = context;
    return backward(tarn_sum(tarn_sub(x, tarn_log(x)), TARN_ALL_AXES));
}

static void test_walls(void **state)
{
    check_fixture *f = *state;
    const double starts[] = { 0.01, 0.3, 5, 1000 };
    const double rates[] = { 0.001, 1, 1e6 };
    for (size_t k = 0; k < 4; k++)
        for (size_t r = 0; r < 3; r++) {
            tarn_module *root = tarn_module_create(f->tm);
            tarn_tensor *x = plant(root, "x", TARN_F64, 1, &starts[k]);
            tarn_optimizer *lbfgs =
                tarn_lbfgs_create(root, &(tarn_lbfgs_options){ .lr = rates[r], .max_iter = 100 });
            tarn_lbfgs_result result;
            for (int step = 0; step < 10; step++)
                assert_int_equal(tarn_lbfgs_step(lbfgs, barrier, x, &result), TARN_OK);
            if (!(fabs(tarn_item(x) - 1) < 1e-3))
                fail_msg("from %g at rate %g: %g", starts[k], rates[r], tarn_item(x));
        }
}

/* Without a search a step into the wall is taken back. */
static void test_wall_without_search(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *x = plant(root, "x", TARN_F64, 1, &(double){ 4 });
    tarn_optimizer *lbfgs = tarn_lbfgs_create(
        root, &(tarn_lbfgs_options){ .lr = 100, .line_search = TARN_LINE_SEARCH_NONE });
    tarn_lbfgs_result r;
    assert_int_equal(tarn_lbfgs_step(lbfgs, barrier, x, &r), TARN_OK);
    assert_true(tarn_item(x) == 4 && r.loss == r.first_loss);
    assert_true(r.iterations == 1 && r.evaluations == 2 && !r.converged);
    assert_int_equal(tarn_optimizer_set_lr(lbfgs, 0.5), TARN_OK);
    for (int step = 0; step < 10; step++)
        assert_int_equal(tarn_lbfgs_step(lbfgs, barrier, x, &r), TARN_OK);
    assert_true(fabs(tarn_item(x) - 1) < 1e-4 && r.converged);
}

static void test_start_not_finite(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *x = plant(root, "x", TARN_F64, 1, &(double){ -2 });
    tarn_optimizer *lbfgs = tarn_lbfgs_create(root, NULL);
    tarn_lbfgs_result r = { .loss = 7 };
    assert_int_equal(tarn_lbfgs_step(lbfgs, barrier, x, &r), TARN_ENUMERIC);
    check_error_part(f->tm, TARN_ENUMERIC, "lbfgs: where the step begins the loss is ");
    assert_true(tarn_item(x) == -2 && r.loss == 0 && r.evaluations == 0);
    ((double *)tarn_data_mut(x))[0] = 0; /* the loss is infinite */
    assert_int_equal(tarn_lbfgs_step(lbfgs, barrier, x, &r), TARN_ENUMERIC);
    check_error_part(f->tm, TARN_ENUMERIC, "the loss is inf");
    ((double *)tarn_data_mut(x))[0] = 3;
    assert_int_equal(tarn_lbfgs_step(lbfgs, barrier, x, &r), TARN_OK);
    assert_true(fabs(tarn_item(x) - 1) < 1e-4);
    assert_int_equal(tarn_optimizer_steps(lbfgs), 1);
}

/* ---- who takes part */

typedef struct pair_task {
    tarn_tensor *a, *b;
    bool with_a, with_b;
    int calls, fail_at; /* the call at which an error comes up; 0: none */
    void (*at_failure)(struct pair_task *t);
    tarn_optimizer *optimizer;
    tarn_module *root;
} pair_task;

/* |a - 1|^4 + |b - 2|^2 of those that are asked for; b in its own type. */
static double pair_loss(void *context)
{
    pair_task *t = context;
    if (++t->calls == t->fail_at) t->at_failure(t);
    double loss = 0;
    if (t->with_a && tarn_requires_grad(t->a))
        loss +=
            backward(tarn_sum(tarn_square(tarn_square(tarn_sub_scalar(t->a, 1))), TARN_ALL_AXES));
    if (t->with_b && tarn_requires_grad(t->b))
        loss += backward(tarn_sum(tarn_square(tarn_sub_scalar(t->b, 2)), TARN_ALL_AXES));
    return loss;
}

/* Parameters of both types, and an empty one. */
static pair_task plant_pair(check_fixture *f, const tarn_lbfgs_options *options)
{
    const double a[] = { 3, -1, 0.5 }, b[] = { 7, -7 };
    pair_task t = { .root = tarn_module_create(f->tm), .with_a = true, .with_b = true };
    t.a = plant(t.root, "a", TARN_F64, 3, a);
    tarn_module_add_parameter(t.root, "none", TARN_F32, TARN_SHAPE(0, 4), NULL);
    t.b = plant(t.root, "b", TARN_F32, 2, b);
    t.optimizer = tarn_lbfgs_create(t.root, options);
    assert_non_null(t.optimizer);
    return t;
}

static void test_parts(void **state)
{
    const tarn_lbfgs_options options = { .max_iter = 60 };
    tarn_lbfgs_result r;
    pair_task t = plant_pair(*state, &options);
    t.with_b = false;
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
    assert_true(fabs(value_at(t.a, 0) - 1) < 0.01);
    assert_true(value_at(t.b, 0) == 7 && value_at(t.b, 1) == -7);

    const double a = value_at(t.a, 0);
    t.with_a = false;
    t.with_b = true;
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
    assert_true(value_at(t.a, 0) == a);
    assert_true(fabs(value_at(t.b, 0) - 2) < 1e-6 && fabs(value_at(t.b, 1) - 2) < 1e-6);

    t = plant_pair(*state, &options); /* both at once, of two types */
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
    assert_true(r.loss < 1e-5 && fabs(value_at(t.b, 0) - 2) < 1e-3);
}

/* Gradients are stopped after some steps, let through again, and at last stopped for good. */
static void test_stopped(void **state)
{
    pair_task t = plant_pair(*state, &(tarn_lbfgs_options){ .max_iter = 3 });
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, NULL), TARN_OK);
    assert_int_equal(tarn_stop_grad(t.b), TARN_OK);
    const double b = value_at(t.b, 0), a = value_at(t.a, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, NULL), TARN_OK);
    assert_true(value_at(t.b, 0) == b && value_at(t.a, 0) != a);
    assert_non_null(tarn_require_grad(t.b));
    tarn_lbfgs_result r = { 0 };
    for (int i = 0; i < 20; i++)
        assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
    assert_true(r.loss < 1e-5 && r.converged);

    check_fixture *f = *state;
    assert_int_equal(tarn_module_freeze(t.root), TARN_OK);
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "lbfgs: no parameter has received a gradient");
    assert_null(tarn_lbfgs_create(t.root, NULL));
    check_error(f->tm, TARN_ESTATE,
                "lbfgs: module is frozen: nothing of it can be trained (tarn_stop_grad holds "
                "single parameters, and not for good)");
}

/* A part of the tree that was frozen before needs no vectors, and does not move. */
static void test_frozen_part(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm), *ice = tarn_module_add_child(root, "ice");
    pair_task t = { .root = root, .with_a = true, .with_b = true };
    t.b = plant(ice, "b", TARN_F64, 1, &(double){ 5 });
    t.a = plant(root, "a", TARN_F64, 1, &(double){ 5 });
    assert_int_equal(tarn_module_freeze(ice), TARN_OK);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    t.optimizer = tarn_lbfgs_create(root, NULL);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks + 1);
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, NULL), TARN_OK);
    assert_true(fabs(tarn_item(t.a) - 1) < 0.1 && tarn_item(t.b) == 5);
}

/* What had arrived before counts for nothing, and nothing is left waiting after. */
static void test_gradients_are_consumed(void **state)
{
    tarn_lbfgs_result r, other;
    pair_task t = plant_pair(*state, NULL), u = plant_pair(*state, NULL);
    pair_loss(&t);
    pair_loss(&t);
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
    assert_int_equal(tarn_lbfgs_step(u.optimizer, pair_loss, &u, &other), TARN_OK);
    assert_true(value_at(t.a, 0) == value_at(u.a, 0) && r.loss == other.loss);
    assert_false(tarn_has_grad(t.a));
    assert_false(tarn_has_grad(t.b));
}

/* At rate zero the loss is computed, and nothing moves. */
static void test_rate_of_zero(void **state)
{
    pair_task t = plant_pair(*state, NULL);
    tarn_lbfgs_result r;
    const tarn_schedule fade = { .kind = TARN_SCHEDULE_LINEAR, .steps = 4 };
    assert_int_equal(tarn_schedule_apply(t.optimizer, &fade, 4), TARN_OK);
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
    assert_true(value_at(t.a, 0) == 3 && r.evaluations == 1 && r.iterations == 0);
    assert_int_equal(tarn_schedule_apply(t.optimizer, &fade, 0), TARN_OK);
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
    assert_true(r.loss < r.first_loss && value_at(t.a, 0) != 3);
}

/* ---- closures that go wrong */

static void hold_an_error(pair_task *t)
{
    tarn_zeros(tarn_manager_of(t->a), TARN_F32, TARN_SHAPE(-1));
}

static void step_inside(pair_task *t)
{
    assert_int_equal(tarn_lbfgs_step(t->optimizer, pair_loss, t, NULL), TARN_ESTATE);
}

static void destroy_inside(pair_task *t) { tarn_optimizer_destroy(t->optimizer); }

/* Wherever an error comes up, the parameters are those of the last iteration that was done, and
 * the next step goes on from there. */
static void test_errors_inside(void **state)
{
    check_fixture *f = *state;
    const struct {
        void (*at_failure)(pair_task *t);
        tarn_status code;
        const char *text;
    } kinds[] = { { hold_an_error, TARN_ESHAPE, "" },
                  { step_inside, TARN_ESTATE, "lbfgs: a step inside its own step" },
                  { destroy_inside, TARN_ESTATE, "lbfgs: destroyed inside its own step" } };
    for (int k = 0; k < 3; k++)
        for (int n = 1; n <= 12; n++) {
            pair_task t = plant_pair(f, &(tarn_lbfgs_options){ .max_iter = 5 });
            pair_task u = plant_pair(f, &(tarn_lbfgs_options){ .max_iter = 1 });
            t.fail_at = n;
            t.at_failure = kinds[k].at_failure;
            tarn_lbfgs_result r;
            int steps = 0;
            while (tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r) == TARN_OK) steps++;
            check_error_part(f->tm, kinds[k].code, kinds[k].text);
            assert_int_equal(tarn_optimizer_steps(t.optimizer), steps);
            assert_true(r.evaluations == 0);

            bool found = false; /* among the points after each iteration */
            for (int i = 0; i < 20 && !found; i++) {
                found =
                    value_at(t.a, 0) == value_at(u.a, 0) && value_at(t.b, 1) == value_at(u.b, 1);
                assert_int_equal(tarn_lbfgs_step(u.optimizer, pair_loss, &u, NULL), TARN_OK);
            }
            assert_true(found);
            for (int i = 0; i < 12; i++)
                assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_OK);
            assert_true(r.loss < 1e-4);
        }
}

static void end_the_module(pair_task *t) { (void)tarn_module_destroy(t->root); }

static double ends_the_module(void *context)
{
    pair_task *t = context;
    if (++t->calls == t->fail_at) {
        end_the_module(t);
        return 1;
    }
    t->calls--;
    return pair_loss(t);
}

static void test_module_ends(void **state)
{
    check_fixture *f = *state;
    for (int n = 1; n <= 4; n++) {
        pair_task t = plant_pair(f, NULL);
        t.fail_at = n;
        t.at_failure = end_the_module;
        assert_int_equal(tarn_lbfgs_step(t.optimizer, ends_the_module, &t, NULL), TARN_ESTATE);
        check_error(f->tm, TARN_ESTATE, "lbfgs: the module was destroyed");
        assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, NULL), TARN_ESTATE);
        check_error(f->tm, TARN_ESTATE, "lbfgs: the module was destroyed");
        tarn_optimizer_destroy(t.optimizer);
    }
    pair_task t = plant_pair(f, NULL), u = plant_pair(f, NULL);
    tarn_optimizer_destroy(t.optimizer);
    assert_int_equal(tarn_module_destroy(t.root), TARN_OK);
    assert_int_equal(tarn_module_destroy(u.root), TARN_OK); /* its optimiser is the manager's */
}

static double no_backward(void *context)
{
    (void)context;
    return 1;
}

static void test_calls_refused(void **state)
{
    check_fixture *f = *state;
    pair_task t = plant_pair(f, NULL);
    tarn_optimizer *sgd = tarn_sgd_create(t.root, NULL);
    tarn_lbfgs_result r = { .loss = 3 };
    assert_int_equal(tarn_lbfgs_step(NULL, pair_loss, &t, &r), TARN_EARG);
    assert_true(r.loss == 0);
    assert_int_equal(tarn_lbfgs_step(sgd, pair_loss, &t, &r), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_lbfgs_step: the optimiser is sgd");
    assert_int_equal(tarn_lbfgs_step(t.optimizer, NULL, &t, &r), TARN_EARG);
    check_error(f->tm, TARN_EARG, "tarn_lbfgs_step: the closure is NULL");
    assert_int_equal(tarn_lbfgs_step(t.optimizer, no_backward, &t, &r), TARN_ESTATE);
    check_error_part(f->tm, TARN_ESTATE, "lbfgs: no parameter has received a gradient");
    pair_loss(&t);
    assert_int_equal(tarn_optimizer_step(t.optimizer), TARN_ESTATE);
    check_error(f->tm, TARN_ESTATE, "lbfgs: its steps are those of tarn_lbfgs_step");
    t.calls = 0;
    hold_an_error(&t);
    assert_int_equal(tarn_lbfgs_step(t.optimizer, pair_loss, &t, &r), TARN_ESHAPE);
    assert_int_equal(t.calls, 0);
    tarn_clear_error(f->tm);
    assert_true(value_at(t.a, 0) == 3 && tarn_optimizer_steps(t.optimizer) == 0);
}

static void test_options_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    plant(root, "x", TARN_F64, 2, start_of_rosenbrock);
    const struct {
        tarn_lbfgs_options options;
        const char *text;
    } cases[] = {
        { { .lr = -1 }, "lbfgs: lr -1 is not in [0, inf)" },
        { { .tolerance_grad = (double)NAN }, "lbfgs: tolerance_grad nan is not in [0, inf)" },
        { { .tolerance_change = -1 }, "lbfgs: tolerance_change -1 is not in [0, inf)" },
        { { .history = 1048577 }, "lbfgs: history 1048577; at most 1048576" },
        { { .line_search = (tarn_line_search)2 }, "lbfgs: there is no line search 2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_null(tarn_lbfgs_create(root, &cases[i].options));
        check_error(f->tm, TARN_EARG, cases[i].text);
    }
    assert_null(tarn_lbfgs_create(NULL, NULL));
    assert_null(tarn_lbfgs_create(tarn_module_create(f->tm), NULL));
    check_error(f->tm, TARN_ESTATE,
                "lbfgs: the module has no parameters: its layers are made first");
}

/* ---- memory */

static void test_memory(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *x = plant(root, "x", TARN_F64, 2, start_of_rosenbrock);
    plant(root, "y", TARN_F64, 2, start_of_rosenbrock);
    const tarn_pool_stats before = tarn_pool_get_stats(f->pool);
    for (uint64_t n = 1; n <= 2; n++) {
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_lbfgs_create(root, NULL));
        check_error_part(f->tm, TARN_ENOMEM, "");
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, before.live_blocks);
    }
    tarn_optimizer *lbfgs = tarn_lbfgs_create(root, &(tarn_lbfgs_options){ .history = 7 });
    const tarn_pool_stats after = tarn_pool_get_stats(f->pool);
    assert_int_equal(after.live_blocks, before.live_blocks + 2);
    assert_int_equal(after.current_usage - before.current_usage, 2 * (8 + 2 * 7) * 2 * 8);

    /* An evaluation that cannot be done is an error like any other. */
    check_fail_acquisition(f->pool, 20);
    assert_int_equal(tarn_lbfgs_step(lbfgs, rosenbrock, x, NULL), TARN_ENOMEM);
    check_error_part(f->tm, TARN_ENOMEM, "");
    for (int i = 0; i < 6; i++)
        assert_int_equal(tarn_lbfgs_step(lbfgs, rosenbrock, x, NULL), TARN_OK);
    check_close(x, minimum, 2, 1e-4);
}

/* What is rehearsed without computing takes the memory of the step itself. */
static tarn_status program(tarn_manager *tm, void *context)
{
    (void)context;
    tarn_module *root = tarn_module_create(tm);
    tarn_tensor *x =
        tarn_module_add_parameter(root, "x", TARN_F64, TARN_SHAPE(2), &(tarn_init){ 0 });
    tarn_optimizer *lbfgs = tarn_lbfgs_create(root, NULL);
    for (int i = 0; i < 2; i++) {
        const tarn_status status = tarn_lbfgs_step(lbfgs, rosenbrock, x, NULL);
        if (status != TARN_OK) return status;
    }
    return tarn_optimizer_steps(lbfgs) == 2 ? TARN_OK : TARN_ESTATE;
}

static void test_dry_run(void **state)
{
    check_fixture *f = *state;
    char message[256];
    tarn_dry_run_result dry;
    assert_int_equal(tarn_dry_run(program, NULL, NULL, NULL, &dry, message, sizeof message),
                     TARN_OK);
    tarn_pool *pool = tarn_pool_create(NULL, NULL);
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = pool });
    assert_int_equal(program(tm, NULL), TARN_OK);
    assert_int_equal(tarn_pool_get_stats(pool).peak_in_use, dry.in_use);
    tarn_manager_destroy(tm);
    assert_int_equal(tarn_pool_destroy(pool), TARN_OK);
    check_no_error(f->tm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_against_pytorch),
        TEST(test_perceptron_against_pytorch),
        TEST(test_rosenbrock),
        TEST(test_xor),
        TEST(test_walls),
        TEST(test_wall_without_search),
        TEST(test_start_not_finite),
        TEST(test_parts),
        TEST(test_stopped),
        TEST(test_frozen_part),
        TEST(test_gradients_are_consumed),
        TEST(test_rate_of_zero),
        TEST(test_errors_inside),
        TEST(test_module_ends),
        TEST(test_calls_refused),
        TEST(test_options_refused),
        TEST(test_memory),
        TEST(test_dry_run),
    };
#undef TEST
    return cmocka_run_group_tests_name("lbfgs", tests, NULL, NULL);
}
