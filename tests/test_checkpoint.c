/* SPDX-License-Identifier: MIT
 * test_checkpoint.c - functions that run again in backward: the same gradients with less memory. */
#include <math.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, ...)                                                      \
    tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                    (const double[]){ __VA_ARGS__ })
#define LEAF(tm, ...) tarn_require_grad(VECTOR(tm, __VA_ARGS__))
#define EXPECT(t, ...) \
    check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 1e-14)

/* Two layers with dropout between them. */
typedef struct block {
    tarn_linear first, second;
    tarn_dropout_layer dropout;
    int runs;
} block;

static tarn_tensor *run_block(tarn_tensor *const *inputs, int n, void *context)
{
    block *b = context;
    (void)n;
    b->runs++;
    tarn_tensor *h = tarn_tanh(tarn_linear_forward(&b->first, inputs[0]));
    h = tarn_dropout_forward(&b->dropout, h);
    return tarn_linear_forward(&b->second, h);
}

static block make_block(tarn_module *net)
{
    const tarn_linear_options o = { .dtype = TARN_F64 };
    return (block){ .first = tarn_linear_create_with(net, "first", 6, 5, &o),
                    .second = tarn_linear_create_with(net, "second", 5, 4, &o),
                    .dropout = tarn_dropout_create(net, "dropout", 0.5) };
}

/* Trains a net of two blocks for some steps, each run by `how`; its digest then. */
static uint64_t train(tarn_manager *tm, bool checkpointed, double *last_loss)
{
    tarn_module *net = tarn_module_create(tm);
    block a = make_block(tarn_module_add_child(net, "a"));
    const tarn_linear_options o = { .dtype = TARN_F64 };
    tarn_linear between = tarn_linear_create_with(net, "between", 4, 6, &o);
    block b = make_block(tarn_module_add_child(net, "b"));
    tarn_optimizer *opt = tarn_sgd_create(net, &(tarn_sgd_options){ .lr = 0.1, .momentum = 0.9 });
    tarn_tensor *x = tarn_random_normal(tm, TARN_F64, TARN_SHAPE(7, 6), 0, 1, 1);
    for (int step = 0; step < 5; step++) {
        TARN_SCOPE(tm);
        tarn_tensor *h =
            checkpointed ? tarn_checkpoint(run_block, TARN_LIST(x), &a) : run_block(&x, 1, &a);
        h = tarn_linear_forward(&between, h);
        h = checkpointed ? tarn_checkpoint(run_block, TARN_LIST(h), &b) : run_block(&h, 1, &b);
        tarn_tensor *loss = tarn_mean(tarn_square(h), TARN_ALL_AXES);
        check_status(tarn_backward(loss), TARN_OK);
        check_status(tarn_optimizer_step(opt), TARN_OK);
        *last_loss = tarn_item(loss);
        check_no_error(tm);
    }
    assert_int_equal(b.runs, checkpointed ? 10 : 5);
    const uint64_t digest = tarn_module_digest(net);
    check_status(tarn_module_destroy(net), TARN_OK);
    return digest;
}

/* In a manager of its own, since the trees of a manager draw different weights. */
static uint64_t train_alone(bool checkpointed, double *last_loss)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 5 });
    const uint64_t digest = train(tm, checkpointed, last_loss);
    assert_int_equal(tarn_manager_destroy(tm), 0);
    return digest;
}

static void training_gives_the_same_bits(void **state)
{
    double plain = 0, again = 1;
    (void)state;
    assert_true(train_alone(false, &plain) == train_alone(true, &again));
    assert_true(plain == again);
}

/* ---- memory */

static tarn_tensor *chain(tarn_tensor *const *inputs, int n, void *context)
{
    tarn_tensor *h = inputs[0];
    (void)n, (void)context;
    for (int i = 0; i < 10; i++) h = tarn_tanh(h);
    return h;
}

static void intermediates_are_not_kept(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(tarn_full(tm, TARN_F64, TARN_SHAPE(1000), 0.5));
    for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
        TARN_SCOPE(tm);
        const size_t before = tarn_manager_get_stats(tm).total_memory;
        tarn_tensor *h = x;
        for (int i = 0; i < 4; i++)
            h = checkpointed ? tarn_checkpoint(chain, TARN_LIST(h), NULL) : chain(&h, 1, NULL);
        const size_t kept = tarn_manager_get_stats(tm).total_memory - before;
        assert_int_equal(kept, checkpointed ? 4 * 8000 : 40 * 8000);
        check_status(tarn_backward(tarn_sum(h, TARN_ALL_AXES)), TARN_OK);
    }
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

/* ---- inside one another, several inputs, those without a gradient */

static tarn_tensor *product(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n, (void)context;
    tarn_tensor *p = tarn_mul(inputs[0], inputs[1]);
    return tarn_mul(p, inputs[0]);
}

static tarn_tensor *outer(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    tarn_tensor *y = tarn_checkpoint(product, TARN_LIST(inputs[0], inputs[1]), context);
    return tarn_exp(y);
}

static void checkpoints_in_checkpoints(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 0.5, 2), *c = VECTOR(tm, 3, 0.25);
    const double e0 = exp(0.75), e1 = exp(1);
    for (int pass = 1; pass <= 2; pass++) {
        TARN_SCOPE(tm);
        tarn_tensor *y = tarn_checkpoint(outer, TARN_LIST(x, c), NULL);
        EXPECT(y, e0, e1);
        check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
        check_close(tarn_grad_of(x), ((const double[]){ pass * e0 * 3, pass * e1 }), 2, 1e-12);
    }
    TARN_NO_GRAD(tm);
    EXPECT(tarn_checkpoint(outer, TARN_LIST(x, c), NULL), e0, e1);
}

/* Several inputs that are one tensor, and an output that is the input. */
static tarn_tensor *first_input(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n, (void)context;
    return inputs[0];
}

static void odd_functions(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *g[1];
    tarn_tensor *y = tarn_checkpoint(product, TARN_LIST(x, x), NULL);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(x), 12, 27);
    (void)tarn_zero_grad(x);
    y = tarn_checkpoint(first_input, TARN_LIST(x), NULL);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(x), 1, 1);
    y = tarn_checkpoint(product, TARN_LIST(x, x), NULL);
    check_status(tarn_grad(TARN_LIST(tarn_sum(y, TARN_ALL_AXES)), TARN_LIST(x), g, NULL), TARN_OK);
    EXPECT(g[0], 12, 27);
}

/* Of an input that is named twice, or that the function uses besides, the parts of the gradient
 * arrive in any order. */
static tarn_tensor *second_first(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n, (void)context;
    tarn_tensor *p = tarn_mul(inputs[0], inputs[1]);
    return tarn_mul(p, inputs[1]);
}

static tarn_tensor *with_context(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_mul(inputs[0], context);
}

static void inputs_that_are_used_in_several_ways(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *g[1];
    for (int i = 0; i < 2; i++) {
        tarn_tensor *y = tarn_checkpoint(second_first, TARN_LIST(x, x), NULL);
        check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
        y = tarn_checkpoint(with_context, TARN_LIST(x), x);
        check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    }
    EXPECT(tarn_grad_of(x), 2 * (12 + 4), 2 * (27 + 6));
    tarn_tensor *h = tarn_exp(x);
    tarn_tensor *y = tarn_checkpoint(second_first, TARN_LIST(h, h), NULL);
    check_status(tarn_grad(TARN_LIST(tarn_sum(y, TARN_ALL_AXES)), TARN_LIST(h), g, NULL), TARN_OK);
    check_close(g[0], ((const double[]){ 3 * exp(4), 3 * exp(6) }), 2, 1e-11);
}

/* tarn_grad reaches the leaves that a function uses, and leaves their own gradients alone. */
static void leaves_inside_are_inputs(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *w = LEAF(tm, 5, 7), *c = VECTOR(tm, 1, 10), *g[2];
    tarn_tensor *y = tarn_sum(tarn_checkpoint(with_context, TARN_LIST(x), w), TARN_ALL_AXES);
    const tarn_grad_options keep = { .keep_graph = true };
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &keep), TARN_OK);
    EXPECT(g[0], 5, 7);
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(w, x), g, &keep), TARN_OK);
    EXPECT(g[0], 2, 3);
    EXPECT(g[1], 5, 7);
    y = tarn_sum(tarn_checkpoint(with_context, TARN_LIST(c), w), TARN_ALL_AXES);
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(w), g, &keep), TARN_OK);
    EXPECT(g[0], 1, 10);
    assert_false(tarn_has_grad(w));
    assert_false(tarn_has_grad(x));
    check_status(tarn_backward(y), TARN_OK);
    EXPECT(tarn_grad_of(w), 1, 10);
}

/* Labels have no gradient. */
static tarn_tensor *best(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n, (void)context;
    return tarn_argmax(inputs[0], TARN_AXES(1));
}

static void results_without_a_gradient(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(tarn_reshape(VECTOR(tm, 1, 2, 3, 4), TARN_SHAPE(2, 2)));
    tarn_tensor *labels = tarn_checkpoint(best, TARN_LIST(x), NULL);
    assert_false(tarn_requires_grad(labels));
    check_close(labels, ((const double[]){ 1, 1 }), 2, 0);
    check_status(tarn_backward(tarn_cross_entropy(x, labels)), TARN_OK);
}

/* ---- hooks */

static void count(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)t, (void)gradient;
    ++*(int *)context;
}

/* Hooks of a leaf are called for each function that uses it, and for the pass itself. */
static void hooks_of_leaves(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *w = LEAF(tm, 2, 3);
    int called = 0;
    check_status(tarn_on_gradient(w, count, &called), TARN_OK);
    tarn_tensor *h = tarn_mul_scalar(w, 1); /* the pass's last use */
    tarn_tensor *y = tarn_checkpoint(with_context, TARN_LIST(h), w);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    assert_int_equal(called, 2);
    y = tarn_checkpoint(with_context, TARN_LIST(w), w);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    assert_int_equal(called, 4);
    EXPECT(tarn_grad_of(w), 8, 12);
}

/* ---- errors */

static void spoil(void *context, tarn_tensor *t, tarn_tensor *gradient)
{
    (void)context, (void)t;
    (void)tarn_reshape(gradient, TARN_SHAPE(7));
}

/* What a pass that fails has given to leaves goes, also where a function used them. */
static void a_pass_that_fails_leaves_no_gradient(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *w = LEAF(tm, 3, 4);
    tarn_tensor *h = tarn_square(x);
    check_status(tarn_on_gradient(h, spoil, NULL), TARN_OK);
    tarn_tensor *y = tarn_checkpoint(with_context, TARN_LIST(h), w);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_ESHAPE);
    check_error_part(tm, TARN_ESHAPE, "reshape");
    assert_false(tarn_has_grad(w));
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

static void what_was_computed_outside_is_found(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *w = LEAF(tm, 3, 4);
    tarn_tensor *h = tarn_keep(tarn_square(w));
    tarn_tensor *y = tarn_checkpoint(with_context, TARN_LIST(x), h);
    check_status(tarn_backward(tarn_sum(tarn_mul(y, h), TARN_ALL_AXES)), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_checkpoint: the function uses [2], which was computed outside from what "
                "requires a gradient: make it one of the inputs");
    assert_false(tarn_has_grad(w));
    assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
}

static tarn_tensor *fickle(tarn_tensor *const *inputs, int n, void *context)
{
    int *calls = context;
    (void)n;
    return (*calls)++ == 0 ? tarn_square(inputs[0]) : tarn_sum(inputs[0], TARN_ALL_AXES);
}

static tarn_tensor *nothing(tarn_tensor *const *inputs, int n, void *context)
{
    (void)inputs, (void)n, (void)context;
    return NULL;
}

static void functions_that_change_are_found(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *none = NULL, *g[1];
    int calls = 0;
    tarn_tensor *y = tarn_checkpoint(fickle, TARN_LIST(x), &calls);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_ESTATE);
    check_error(
        tm, TARN_ESTATE,
        "tarn_checkpoint: the function gives [] now and gave [2] first: it must do the same "
        "each time");
    assert_null(tarn_checkpoint(nothing, TARN_LIST(x), NULL));
    check_error(tm, TARN_EARG, "tarn_checkpoint: the function returned NULL");
    assert_null(tarn_checkpoint(chain, TARN_LIST(x, none), NULL));
    check_error(tm, TARN_EARG, "tarn_checkpoint: input 1 is NULL");
    assert_null(tarn_checkpoint(chain, TARN_LIST(x, x, x, x, x, x), NULL));
    check_error(tm, TARN_EARG, "tarn_checkpoint: 6 inputs; 1 to 5 are possible");
    y = tarn_checkpoint(chain, TARN_LIST(x), NULL);
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g,
                           &(tarn_grad_options){ .gradients = &x, .create_graph = true }),
                 TARN_ESTATE);
    check_error(
        tm, TARN_ESTATE,
        "tarn_grad: checkpoint has no gradient that can be recorded (create_graph): compute "
        "this part without tarn_checkpoint");
}

/* Every acquisition of a step fails in turn: a status, nothing lost, and the step goes on. */
static void memory_may_end_anywhere(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(tarn_full(tm, TARN_F64, TARN_SHAPE(10), 0.5));
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        const uint64_t handles = tarn_manager_get_stats(tm).handles;
        {
            TARN_SCOPE(tm);
            check_fail_acquisition(tarn_manager_pool(tm), n);
            tarn_tensor *y = tarn_checkpoint(chain, TARN_LIST(x), NULL);
            const tarn_status status = tarn_backward(tarn_sum(y, TARN_ALL_AXES));
            check_fail_acquisition(tarn_manager_pool(tm), 0);
            done = tarn_ok(tm);
            if (done) check_status(status, TARN_OK);
            else check_error_part(tm, TARN_ENOMEM, "not to be had");
        }
        if (!done && tarn_manager_get_stats(tm).handles > handles + 1) fail_msg("handles are lost");
        assert_int_equal(tarn_manager_get_stats(tm).tape_length, 0);
        assert_true(n < 1000);
    }
    double expected = 1, at = 0.5;
    for (int i = 0; i < 10; i++) {
        at = tanh(at);
        expected *= 1 - at * at;
    }
    check_close(tarn_slice(tarn_grad_of(x), 0, 0, 1), &expected, 1, 1e-14);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(training_gives_the_same_bits),         TEST(intermediates_are_not_kept),
        TEST(checkpoints_in_checkpoints),           TEST(odd_functions),
        TEST(inputs_that_are_used_in_several_ways), TEST(leaves_inside_are_inputs),
        TEST(results_without_a_gradient),           TEST(hooks_of_leaves),
        TEST(a_pass_that_fails_leaves_no_gradient), TEST(what_was_computed_outside_is_found),
        TEST(functions_that_change_are_found),      TEST(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
