/* SPDX-License-Identifier: MIT
 * test_sequential.c - chains of layers: what their steps are called and compute, chains in chains,
 * steps of one's own, what is refused, and what short memory leaves. */
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

static void expect_shape(const tarn_tensor *t, tarn_shape shape)
{
    assert_int_equal(tarn_ndim(t), shape.ndim);
    for (int i = 0; i < shape.ndim; i++) assert_int_equal(tarn_dim(t, i), shape.dims[i]);
}

/* Two tensors of the same shape and bits. */
static void expect_same(tarn_tensor *a, tarn_tensor *b)
{
    expect_shape(a, tarn_get_shape(b));
    assert_memory_equal(tarn_data(a), tarn_data(b),
                        (size_t)tarn_numel(a) * tarn_dtype_size(tarn_get_dtype(a)));
}

static const tarn_conv_layer_options same = { .kernel = { 3, 3 }, .conv = { .padding = { 1, 1 } } };

/* ---- what a chain computes */

static tarn_sequential build_cnn(tarn_module *root)
{
    tarn_sequential net = tarn_sequential_create(root, "net");
    tarn_sequential_add_conv2d(&net, 1, 4, &same);
    tarn_sequential_add_batch_norm(&net, 4, NULL);
    tarn_sequential_add_activation(&net, TARN_RELU);
    tarn_sequential_add_pooling(&net, TARN_MAX_POOLING, TARN_SHAPE(2, 2), NULL);
    tarn_sequential_add_flatten(&net);
    tarn_sequential_add_dropout(&net, 0.5);
    tarn_sequential_add_linear(&net, 4 * 4 * 3, 10, NULL);
    return net;
}

/* The same by hand, in modules of the same paths. */
typedef struct by_hand {
    tarn_conv_layer conv;
    tarn_batch_norm_layer norm;
    tarn_dropout_layer dropout;
    tarn_linear linear;
} by_hand;

static by_hand build_by_hand(tarn_module *root)
{
    tarn_module *net = tarn_module_add_child(root, "net");
    return (by_hand){
        .conv = tarn_conv2d_create_with(net, "0", 1, 4, &same),
        .norm = tarn_batch_norm_create(net, "1", 4),
        .dropout = tarn_dropout_create(net, "5", 0.5),
        .linear = tarn_linear_create(net, "6", 4 * 4 * 3, 10),
    };
}

static tarn_tensor *forward_by_hand(const by_hand *net, tarn_tensor *x)
{
    x = tarn_conv_forward(&net->conv, x);
    x = tarn_batch_norm_forward(&net->norm, x);
    x = tarn_max_pool2d(tarn_relu(x), TARN_SHAPE(2, 2), NULL);
    x = tarn_dropout_forward(&net->dropout, tarn_flatten(x, 1, -1));
    return tarn_linear_forward(&net->linear, x);
}

static tarn_tensor *make_images(tarn_manager *tm)
{
    return tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(5, 1, 8, 6), -1, 1, 7);
}

static tarn_tensor *make_labels(tarn_manager *tm)
{
    return tarn_from_array(tm, TARN_I32, TARN_SHAPE(5), (const int32_t[]){ 0, 3, 9, 3, 1 });
}

static void a_chain_is_its_layers_one_after_the_other(void **state)
{
    check_fixture *f = *state, g;
    check_begin(&g, NULL);
    tarn_module *root = tarn_module_create(f->tm), *other = tarn_module_create(g.tm);
    const tarn_sequential net = build_cnn(root);
    const by_hand hand = build_by_hand(other);
    tarn_optimizer *a = tarn_adam_create(root, NULL), *b = tarn_adam_create(other, NULL);
    assert_true(tarn_module_digest(root) == tarn_module_digest(other));
    for (int step = 0; step < 5; step++) {
        TARN_SCOPE(f->tm);
        TARN_SCOPE(g.tm);
        tarn_tensor *x = tarn_sequential_forward(&net, make_images(f->tm));
        tarn_tensor *y = forward_by_hand(&hand, make_images(g.tm));
        expect_same(x, y);
        check_status(tarn_backward(tarn_cross_entropy(x, make_labels(f->tm))), TARN_OK);
        check_status(tarn_backward(tarn_cross_entropy(y, make_labels(g.tm))), TARN_OK);
        check_status(tarn_optimizer_step(a), TARN_OK);
        check_status(tarn_optimizer_step(b), TARN_OK);
    }
    assert_true(tarn_module_digest(root) == tarn_module_digest(other));
    expect_same(tarn_module_find(root, "net.1.running_var"), hand.norm.running_var);
    check_no_error(f->tm);
    check_no_error(g.tm);
    check_end(&g);
}

/* A linear layer and the activation behind it run as one operation. */
static void activations_behind_linear_layers(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *x = tarn_random_uniform(f->tm, TARN_F32, TARN_SHAPE(9, 20), -1, 1, 1);
    for (int a = TARN_RELU; a <= TARN_SILU; a++) {
        char name[16];
        (void)snprintf(name, sizeof name, "net%d", a);
        tarn_sequential net = tarn_sequential_create(root, name);
        const tarn_linear l = tarn_sequential_add_linear(&net, 20, 30, NULL);
        tarn_sequential_add_activation(&net, (tarn_activation)a);
        tarn_sequential both = tarn_sequential_create(net.module, "both");
        tarn_sequential_add_activation(&both, (tarn_activation)a);
        tarn_tensor *y = tarn_sequential_forward(&net, x);
        expect_same(y, tarn_sequential_forward(&both, tarn_linear_forward(&l, x)));
        check_no_error(f->tm);
    }
}

static void names_are_numbers(void **state)
{
    static const char *const names[] = {
        "net.0.weight", "net.0.bias", "net.1.weight",      "net.1.bias",
        "net.6.weight", "net.6.bias", "net.1.running_var", "net.1.running_mean",
    };
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_sequential net = build_cnn(root);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_non_null(tarn_module_find(root, names[i]));
    assert_int_equal(tarn_module_parameter_count(root), 6);
    assert_int_equal(net.steps->n, 7);
    assert_int_equal(tarn_module_child_count(net.module), 7);
    int i = 0;
    for (const tarn_step *step = net.steps->first; step != NULL; step = step->next, i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        assert_string_equal(tarn_module_name(step->module), name);
        assert_ptr_equal(tarn_module_child(net.module, i), step->module);
    }
    assert_int_equal(i, 7);
    const tarn_linear *last = net.steps->last->layer;
    assert_ptr_equal(last->weight, tarn_module_find(root, "net.6.weight"));
    check_no_error(f->tm);
}

static void without_steps_x_passes_through(void **state)
{
    check_fixture *f = *state;
    const tarn_sequential net = tarn_sequential_create(tarn_module_create(f->tm), "net");
    tarn_tensor *x = make_images(f->tm);
    assert_ptr_equal(tarn_sequential_forward(&net, x), x);
}

/* Two chains of every kind of step that there is, for images and for vectors. */
static void every_layer_can_be_a_step(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_conv_layer_options three = { .kernel = { 3, 3 } };
    tarn_sequential s = tarn_sequential_create(root, "images");
    tarn_sequential_add_conv2d(&s, 2, 4, &three);
    tarn_sequential_add_conv_transpose2d(&s, 4, 6, &three);
    tarn_sequential_add_group_norm(&s, 2, 6, NULL);
    tarn_sequential_add_batch_norm(&s, 6, NULL);
    tarn_sequential_add_pooling(&s, TARN_AVG_POOLING, TARN_SHAPE(2, 2),
                                &(tarn_pooling_options){ .stride = { 1, 1 } });
    tarn_sequential_add_pooling(&s, TARN_ADAPTIVE_MAX_POOLING, TARN_SHAPE(5, 4), NULL);
    tarn_sequential_add_pooling(&s, TARN_ADAPTIVE_AVG_POOLING, TARN_SHAPE(2, 3), NULL);
    tarn_sequential_add_flatten(&s);
    tarn_sequential_add_layer_norm(&s, TARN_SHAPE(36), NULL);
    tarn_sequential_add_rms_norm(&s, 36, NULL);
    tarn_sequential_add_mlp(&s, (const int64_t[]){ 36, 8, 5 }, 3, NULL);
    tarn_sequential_add_function(&s, tarn_softplus);
    expect_shape(tarn_sequential_forward(&s, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(3, 2, 9, 8))),
                 TARN_SHAPE(3, 5));
    assert_int_equal(s.steps->n, 12);
    assert_non_null(tarn_module_find(root, "images.10.1.weight"));

    const tarn_conv_layer_options wide = { .kernel = { 3 } };
    tarn_sequential t = tarn_sequential_create(root, "words");
    tarn_sequential_add_embedding(&t, 20, 10, NULL);
    tarn_sequential_add_conv1d(&t, 8, 6, &wide);
    tarn_sequential_add_conv_transpose1d(&t, 6, 4, &wide);
    tarn_sequential_add_pooling(&t, TARN_MAX_POOLING, TARN_SHAPE(2), NULL);
    tarn_sequential_add_pooling(&t, TARN_AVG_POOLING, TARN_SHAPE(5), NULL);
    for (int a = TARN_RELU; a <= TARN_SILU; a++)
        tarn_sequential_add_activation(&t, (tarn_activation)a);
    tarn_tensor *y = tarn_sequential_forward(&t, tarn_zeros(f->tm, TARN_I64, TARN_SHAPE(3, 8)));
    expect_shape(y, TARN_SHAPE(3, 4, 1));
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    check_no_error(f->tm);
}

static void sequences_can_be_steps(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_sequential s = tarn_sequential_create(root, "net");
    tarn_sequential_add_embedding(&s, 20, 8, NULL);
    const tarn_attention attention =
        tarn_sequential_add_attention(&s, 8, 2, &(tarn_attention_options){ .causal = true });
    const tarn_rnn rnn = tarn_sequential_add_rnn(
        &s, 8, 5, &(tarn_rnn_options){ .kind = TARN_GRU, .bidirectional = true });
    assert_ptr_equal(tarn_module_find(root, "net.1.q.weight"), attention.q.weight);
    assert_ptr_equal(tarn_module_find(root, "net.2.weight_ih_l0"), rnn.weights[0].weight_ih);
    const tarn_embedding_layer *embedding = s.steps->first->layer;

    tarn_tensor *words = tarn_cast(tarn_arange(f->tm, TARN_F32, 0, 12, 1), TARN_I32);
    words = tarn_reshape(words, TARN_SHAPE(2, 6));
    tarn_tensor *y = tarn_sequential_forward(&s, words);
    expect_shape(y, TARN_SHAPE(2, 6, 10));
    tarn_tensor *x =
        tarn_attention_forward(&attention, tarn_embedding_forward(embedding, words), NULL);
    const tarn_rnn_state zeros = { .h = NULL };
    expect_same(y, tarn_rnn_forward(&rnn, x, zeros).y);
    check_no_error(f->tm);
    assert_null(tarn_sequential_add_attention(&s, 8, 3, NULL).module);
    check_error_part(f->tm, TARN_ESHAPE, "net.3");
    assert_null(tarn_sequential_add_rnn(&s, 0, 3, NULL).module);
    check_error_part(f->tm, TARN_ESHAPE, "net.3");
    assert_int_equal(s.steps->n, 3);
}

static void modes_reach_every_step(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_sequential net = tarn_sequential_create(root, "net");
    tarn_sequential inner = tarn_sequential_add_sequential(&net);
    tarn_sequential_add_dropout(&inner, 1);
    tarn_tensor *x = make_images(f->tm);
    assert_ptr_not_equal(tarn_sequential_forward(&net, x), x);
    tarn_module_eval(root);
    assert_ptr_equal(tarn_sequential_forward(&net, x), x);
}

/* ---- chains in chains, and steps of one's own */

static void chains_nest(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_sequential net = tarn_sequential_create(root, "net");
    tarn_sequential_add_linear(&net, 4, 6, NULL);
    tarn_sequential inner = tarn_sequential_add_sequential(&net);
    tarn_sequential_add_linear(&net, 3, 2, NULL);
    tarn_sequential_add_linear(&inner, 6, 3, NULL);
    tarn_sequential innermost = tarn_sequential_add_sequential(&inner);
    tarn_sequential_add_activation(&innermost, TARN_TANH);
    tarn_sequential_add_linear(&innermost, 3, 3, NULL);
    assert_string_equal(tarn_module_path(innermost.module), "net.1.1");
    assert_non_null(tarn_module_find(root, "net.1.0.weight"));
    assert_non_null(tarn_module_find(root, "net.1.1.1.bias"));
    const tarn_sequential copy = net;
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(5, 4));
    expect_shape(tarn_sequential_forward(&copy, x), TARN_SHAPE(5, 2));

    check_no_error(f->tm);
    tarn_sequential_add_linear(&innermost, 7, 3, NULL);
    assert_null(tarn_sequential_forward(&net, x));
    check_error_part(f->tm, TARN_ESHAPE, "linear \"net.1.1.2\"");
}

typedef struct residual {
    tarn_sequential body;
    int calls;
} residual;

static tarn_tensor *residual_forward(void *layer, tarn_tensor *x)
{
    residual *r = layer;
    r->calls++;
    return tarn_add(x, tarn_sequential_forward(&r->body, x));
}

static void a_step_of_ones_own(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_sequential net = tarn_sequential_create(root, "net");
    residual r = { .calls = 0 };
    tarn_module *step = tarn_sequential_add(&net, residual_forward, &r);
    assert_string_equal(tarn_module_path(step), "net.0");
    r.body = tarn_sequential_create(step, "body");
    tarn_linear linear = tarn_sequential_add_linear(&r.body, 3, 3, NULL);
    assert_ptr_equal(tarn_module_find(root, "net.0.body.0.weight"), linear.weight);

    tarn_tensor *x = tarn_random_uniform(f->tm, TARN_F32, TARN_SHAPE(2, 3), -1, 1, 1);
    expect_same(tarn_sequential_forward(&net, x), tarn_add(x, tarn_linear_forward(&linear, x)));
    assert_int_equal(r.calls, 1);
    assert_null(tarn_sequential_forward(&net, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 4))));
    check_error_part(f->tm, TARN_ESHAPE, "linear \"net.0.body.0\"");
}

static tarn_tensor *misfit(tarn_tensor *x)
{
    return tarn_add(x, tarn_ones(tarn_manager_of(x), TARN_F32, TARN_SHAPE(9)));
}

static tarn_tensor *nothing(void *layer, tarn_tensor *x)
{
    (void)layer;
    (void)x;
    return NULL;
}

/* ---- what is refused */

static void errors_name_the_step(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 3));
    tarn_sequential net = tarn_sequential_create(root, "net");
    tarn_sequential_add_activation(&net, TARN_RELU);
    tarn_sequential_add_function(&net, misfit);
    assert_null(tarn_sequential_forward(&net, x));
    check_error_part(f->tm, TARN_ESHAPE, "function \"net.1\"");

    tarn_sequential pool = tarn_sequential_create(root, "pool");
    tarn_sequential_add_pooling(&pool, TARN_MAX_POOLING, TARN_SHAPE(2, 2), NULL);
    assert_null(tarn_sequential_forward(&pool, x));
    check_error_part(f->tm, TARN_ESHAPE, "max_pool \"pool.0\"");

    tarn_sequential own = tarn_sequential_create(root, "own");
    tarn_sequential_add_activation(&own, TARN_RELU);
    tarn_sequential_add(&own, nothing, NULL);
    assert_null(tarn_sequential_forward(&own, x));
    check_error(f->tm, TARN_EARG, "step \"own.1\": it returned NULL");
    assert_null(tarn_sequential_forward(&own, NULL));
    check_error(f->tm, TARN_EARG, "sequential \"own\": x is NULL");
    assert_null(tarn_sequential_forward(NULL, x));
    check_error(f->tm, TARN_EARG, "sequential: the layer is NULL: was it ever made?");
    assert_null(tarn_sequential_forward(NULL, NULL));
    check_no_error(f->tm);
}

static void steps_that_cannot_be(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_sequential net = tarn_sequential_create(root, "net");
    tarn_sequential_add_flatten(&net);
    assert_null(tarn_sequential_add_activation(&net, (tarn_activation)17));
    check_error(f->tm, TARN_EARG, "sequential \"net\": step 1: unknown activation");
    assert_null(tarn_sequential_add_function(&net, NULL));
    check_error(f->tm, TARN_EARG, "sequential \"net\": step 1: the function is NULL");
    assert_null(tarn_sequential_add(&net, NULL, NULL));
    check_error(f->tm, TARN_EARG, "sequential \"net\": step 1: the function is NULL");
    assert_null(tarn_sequential_add_pooling(&net, (tarn_pooling)9, TARN_SHAPE(2, 2), NULL));
    check_error(f->tm, TARN_EARG, "sequential \"net\": step 1: unknown kind of pooling");
    assert_null(tarn_sequential_add_pooling(&net, TARN_MAX_POOLING, TARN_SHAPE(2, 2, 2), NULL));
    check_error(f->tm, TARN_EARG, "sequential \"net\": step 1: pooling has a size of 1 or 2 axes");
    assert_null(tarn_sequential_add_pooling(&net, TARN_ADAPTIVE_AVG_POOLING, TARN_SHAPE(2), NULL));
    check_error(f->tm, TARN_EARG,
                "sequential \"net\": step 1: adaptive pooling has a size of two axes");
    assert_null(tarn_sequential_add_pooling(&net, TARN_ADAPTIVE_AVG_POOLING, TARN_SHAPE(2, 2),
                                            &(tarn_pooling_options){ .stride = { 1, 1 } }));
    check_error(f->tm, TARN_EARG, "sequential \"net\": step 1: adaptive pooling has no options");
    assert_null(tarn_sequential_add_linear(&net, 0, 3, NULL).module);
    check_error_part(f->tm, TARN_ESHAPE, "linear \"net.1\": 0 inputs");
    assert_null(tarn_sequential_add_dropout(&net, 2).module);
    check_error_part(f->tm, TARN_EARG, "dropout of probability 2");
    assert_int_equal(net.steps->n, 1);
    assert_int_equal(tarn_module_child_count(net.module), 1);

    assert_null(tarn_sequential_create(root, "net").module);
    check_error(f->tm, TARN_EARG, "module: name \"net\" is taken by another part of it");
    assert_null(tarn_sequential_create(NULL, "net").module);
    tarn_sequential none = { .module = NULL };
    assert_null(tarn_sequential_add_linear(&none, 1, 1, NULL).module);
    assert_null(tarn_sequential_add_sequential(NULL).module);
    assert_null(tarn_sequential_add_flatten(NULL));
    assert_null(tarn_sequential_add_activation(&none, (tarn_activation)17));
    check_no_error(f->tm);
}

static void nothing_is_added_while_an_error_is_held(void **state)
{
    check_fixture *f = *state;
    tarn_sequential net = tarn_sequential_create(tarn_module_create(f->tm), "net");
    tarn_sequential_add_linear(&net, 2, 3, NULL);
    tarn_sequential_add_linear(&net, 3, -1, NULL);
    assert_null(tarn_sequential_add_linear(&net, 3, 4, NULL).module);
    assert_null(tarn_sequential_add_flatten(&net));
    assert_null(tarn_sequential_add_sequential(&net).module);
    assert_int_equal(net.steps->n, 1);
    check_error_part(f->tm, TARN_ESHAPE, "linear \"net.1\"");
    assert_non_null(tarn_sequential_add_linear(&net, 3, 4, NULL).module);
    assert_int_equal(net.steps->n, 2);
}

static void frozen_chains_run_and_do_not_grow(void **state)
{
    check_fixture *f = *state;
    tarn_sequential net = tarn_sequential_create(tarn_module_create(f->tm), "net");
    tarn_sequential_add_linear(&net, 3, 2, NULL);
    tarn_sequential_add_activation(&net, TARN_RELU);
    check_status(tarn_module_freeze(net.module), TARN_OK);
    assert_null(tarn_sequential_add_flatten(&net));
    check_error(f->tm, TARN_ESTATE, "sequential \"net\": it is frozen: add its parts before");
    check_fixture g;
    check_begin(&g, NULL);
    tarn_tensor *x = tarn_ones(g.tm, TARN_F32, TARN_SHAPE(4, 3));
    expect_shape(tarn_sequential_forward(&net, x), TARN_SHAPE(4, 2));
    check_no_error(g.tm);
    check_end(&g);
}

/* ---- short memory */

/* After a step that may have failed: whether it is to be repeated, now with memory. */
static bool again(check_fixture *f, int *failed)
{
    if (tarn_ok(f->tm)) return false;
    check_error_part(f->tm, TARN_ENOMEM, "out of memory");
    check_system_fail(&f->system, 0, false);
    ++*failed;
    return true;
}

/* Builds a chain of steps of every make, each repeated if it fails. Returns how many did. */
static int build_again(check_fixture *f, uint64_t *digest)
{
    int failed = 0;
    residual r = { .calls = 0 };
    tarn_sequential net, inner;
    tarn_module *root;
    do root = tarn_module_create(f->tm);
    while (again(f, &failed));
    do net = tarn_sequential_create(root, "net");
    while (again(f, &failed));
    do tarn_sequential_add_conv2d(&net, 1, 2, &same);
    while (again(f, &failed));
    do tarn_sequential_add_batch_norm(&net, 2, NULL);
    while (again(f, &failed));
    do tarn_sequential_add_pooling(&net, TARN_MAX_POOLING, TARN_SHAPE(2, 2), NULL);
    while (again(f, &failed));
    do tarn_sequential_add_flatten(&net);
    while (again(f, &failed));
    do inner = tarn_sequential_add_sequential(&net);
    while (again(f, &failed));
    do tarn_sequential_add_mlp(&inner, (const int64_t[]){ 24, 4, 3 }, 3, NULL);
    while (again(f, &failed));
    do tarn_sequential_add_activation(&inner, TARN_RELU);
    while (again(f, &failed));
    do tarn_sequential_add(&net, residual_forward, &r);
    while (again(f, &failed));
    assert_int_equal(net.steps->n, 6);
    assert_int_equal(tarn_module_child_count(net.module), 6);
    assert_int_equal(tarn_module_child_count(inner.module), 2);
    *digest = tarn_module_digest(root);
    check_status(tarn_module_destroy(root), TARN_OK);
    return failed;
}

/* Each acquisition from the pool, or each call to the system and all after it until the step is
 * repeated, fails in a run of its own. Returns how many runs there were. */
static int fail_each(bool at_the_pool)
{
    uint64_t digest, expected;
    check_fixture f;
    check_begin(&f, NULL);
    assert_int_equal(build_again(&f, &expected), 0);
    check_end(&f);
    int n = 0;
    for (int failed = 1; failed > 0;) {
        check_begin(&f, NULL);
        if (at_the_pool) check_fail_acquisition(f.pool, (uint64_t)++n);
        else check_system_fail(&f.system, (uint64_t)++n, true);
        failed = build_again(&f, &digest);
        assert_true(digest == expected);
        check_fail_acquisition(f.pool, 0);
        check_end(&f);
    }
    return n;
}

static void short_memory_adds_nothing(void **state)
{
    (void)state;
    assert_true(fail_each(true) > 8);
    assert_true(fail_each(false) > 30);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_chain_is_its_layers_one_after_the_other),
        TEST(activations_behind_linear_layers),
        TEST(names_are_numbers),
        TEST(without_steps_x_passes_through),
        TEST(every_layer_can_be_a_step),
        TEST(sequences_can_be_steps),
        TEST(modes_reach_every_step),
        TEST(chains_nest),
        TEST(a_step_of_ones_own),
        TEST(errors_name_the_step),
        TEST(steps_that_cannot_be),
        TEST(nothing_is_added_while_an_error_is_held),
        TEST(frozen_chains_run_and_do_not_grow),
        TEST(short_memory_adds_nothing),
    };
#undef TEST
    return cmocka_run_group_tests_name("sequential", tests, NULL, NULL);
}
