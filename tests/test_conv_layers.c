/* SPDX-License-Identifier: MIT
 * test_conv_layers.c - layers of convolution, alone and in a network that trains. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* ---- shapes, names, values */

static void expect_shape(const tarn_tensor *t, tarn_shape shape)
{
    assert_int_equal(tarn_ndim(t), shape.ndim);
    for (int i = 0; i < shape.ndim; i++) assert_int_equal(tarn_dim(t, i), shape.dims[i]);
}

static void shapes_and_names(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const tarn_conv_layer_options o = { .kernel = { 3, 5 },
                                        .conv = { .stride = { 2, 1 }, .groups = 2 } };
    tarn_conv_layer a = tarn_conv2d_create(root, "a", 4, 6, 3);
    tarn_conv_layer b = tarn_conv2d_create_with(root, "b", 4, 6, &o);
    tarn_conv_layer c = tarn_conv_transpose2d_create_with(root, "c", 4, 6, &o);
    tarn_conv_layer d = tarn_conv1d_create(root, "d", 4, 6, 3);
    tarn_conv_layer e = tarn_conv_transpose1d_create(root, "e", 4, 6, 3);
    expect_shape(a.weight, TARN_SHAPE(6, 4, 3, 3));
    expect_shape(b.weight, TARN_SHAPE(6, 2, 3, 5));
    expect_shape(c.weight, TARN_SHAPE(4, 3, 3, 5));
    expect_shape(d.weight, TARN_SHAPE(6, 4, 3));
    expect_shape(e.weight, TARN_SHAPE(4, 6, 3));
    expect_shape(c.bias, TARN_SHAPE(6));
    assert_string_equal(tarn_name(a.weight), "a.weight");
    assert_ptr_equal(tarn_module_find(root, "e.bias"), e.bias);

    tarn_tensor *image = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 4, 8, 9));
    tarn_tensor *sequence = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 4, 9));
    expect_shape(tarn_conv_forward(&a, image), TARN_SHAPE(2, 6, 6, 7));
    expect_shape(tarn_conv_forward(&b, image), TARN_SHAPE(2, 6, 3, 5));
    expect_shape(tarn_conv_forward(&c, image), TARN_SHAPE(2, 6, 17, 13));
    expect_shape(tarn_conv_forward(&d, sequence), TARN_SHAPE(2, 6, 7));
    expect_shape(tarn_conv_forward(&e, sequence), TARN_SHAPE(2, 6, 11));
    check_no_error(f->tm);
}

/* Kaiming: uniform within sqrt(6 / fan_in), of 4 channels and 9 places; biases begin as zeros. */
static void weights_begin_like_those_of_linear_layers(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_conv_layer a = tarn_conv2d_create(root, "a", 4, 64, 3);
    const double bound = sqrt(6.0 / 36);
    const double most = tarn_item(tarn_max(tarn_abs(a.weight), TARN_ALL_AXES));
    assert_true(most <= bound && most > 0.99 * bound);
    assert_true(tarn_item(tarn_max(tarn_abs(a.bias), TARN_ALL_AXES)) == 0);

    const tarn_conv_layer_options o = { .kernel = { 2, 1 },
                                        .dtype = TARN_F64,
                                        .no_bias = true,
                                        .weight = { .kind = TARN_INIT_CONSTANT, .a = 0.5 } };
    tarn_conv_layer b = tarn_conv2d_create_with(root, "b", 1, 1, &o);
    assert_null(b.bias);
    tarn_tensor *x = tarn_reshape(tarn_arange(f->tm, TARN_F64, 0, 6, 1), TARN_SHAPE(1, 1, 3, 2));
    check_close(tarn_conv_forward(&b, x), ((const double[]){ 1, 2, 3, 4 }), 4, 0);
}

static void what_layers_refuse(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    tarn_module *root = tarn_module_create(tm);
    const tarn_conv_layer_options groups = { .kernel = { 3, 3 }, .conv = { .groups = 3 } };
    const tarn_conv_layer_options no_columns = { .kernel = { 3 } };
    const tarn_conv_layer_options bad_type = { .kernel = { 3 }, .dtype = TARN_I32 };
    assert_null(tarn_conv2d_create(root, "a", 0, 6, 3).module);
    check_error(tm, TARN_ESHAPE,
                "conv2d \"a\": 0 inputs, 6 outputs and a kernel of 3 x 3; at least 1 of each is "
                "needed");
    assert_null(tarn_conv2d_create_with(root, "a", 4, 6, &no_columns).module);
    check_error(tm, TARN_ESHAPE,
                "conv2d \"a\": 4 inputs, 6 outputs and a kernel of 3 x 0; at least 1 of each is "
                "needed");
    assert_null(tarn_conv1d_create_with(root, "a", 4, 6, NULL).module);
    check_error(tm, TARN_ESHAPE,
                "conv1d \"a\": 4 inputs, 6 outputs and a kernel of 1 x 0; at least 1 of each is "
                "needed");
    assert_null(tarn_conv_transpose2d_create_with(root, "a", 6, 4, &groups).module);
    check_error(tm, TARN_ESHAPE,
                "conv_transpose2d \"a\": 6 inputs and 4 outputs in 3 groups; groups that divide "
                "both are needed");
    assert_null(tarn_conv1d_create_with(root, "a", 4, 6, &bad_type).module);
    check_error_part(tm, TARN_EDTYPE, "int32");
    assert_int_equal(tarn_module_parameter_count(root), 0);

    tarn_conv_layer a = tarn_conv2d_create(root, "a", 4, 6, 3);
    assert_null(tarn_conv_forward(&a, tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 3, 5, 5))));
    check_error(tm, TARN_ESHAPE,
                "conv2d \"a\": x [1,3,5,5], w \"a.weight\" [6,4,3,3]: x has 3 channels (axis 1), "
                "and w takes 4");
    assert_null(tarn_conv_forward(&a, NULL));
    check_error(tm, TARN_EARG, "conv2d \"a\": x is NULL");
    assert_null(tarn_conv_forward(NULL, a.weight));
    check_error(tm, TARN_EARG, "conv: the layer is NULL: was it ever made?");
}

/* ---- training */

/* A small network for images of 12 x 12: which of two stripes' directions. */
typedef struct net {
    tarn_conv_layer first, second;
    tarn_linear last;
} net;

static net make_net(tarn_module *root)
{
    const tarn_conv_layer_options o = { .kernel = { 3, 3 },
                                        .conv = { .padding = { 1, 1 }, .groups = 2 } };
    return (net){ .first = tarn_conv2d_create(root, "first", 1, 8, 3),
                  .second = tarn_conv2d_create_with(root, "second", 8, 8, &o),
                  .last = tarn_linear_create(root, "last", 8, 2) };
}

static tarn_tensor *forward(const net *n, tarn_tensor *x)
{
    x = tarn_max_pool2d(tarn_relu(tarn_conv_forward(&n->first, x)), TARN_SHAPE(2, 2), NULL);
    x = tarn_avg_pool2d(tarn_relu(tarn_conv_forward(&n->second, x)), TARN_SHAPE(2, 2), NULL);
    x = tarn_adaptive_avg_pool2d(x, TARN_SHAPE(1, 1));
    return tarn_linear_forward(&n->last, tarn_reshape(x, TARN_SHAPE(tarn_dim(x, 0), 8)));
}

enum { IMAGES = 16, SIDE = 12, STEPS = 60 };

static void draw_images(float *x, int32_t *labels)
{
    uint64_t random = 5;
    for (int b = 0; b < IMAGES; b++) {
        const int phase = (int)(check_random(&random) % 3);
        labels[b] = b % 2;
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) *x++ = ((b % 2 == 0 ? i : j) + phase) % 3 == 0 ? 1 : 0;
    }
}

/* It learns, and from its third step on asks nothing of the system. */
static void training_is_steady(void **state)
{
    check_fixture *f = *state;
    static float x[IMAGES * SIDE * SIDE];
    int32_t labels[IMAGES];
    draw_images(x, labels);
    tarn_module *root = tarn_module_create(f->tm);
    const net n = make_net(root);
    tarn_optimizer *opt = tarn_adam_create(root, &(tarn_adam_options){ .lr = 0.02 });
    tarn_tensor *images = tarn_from_array(f->tm, TARN_F32, TARN_SHAPE(IMAGES, 1, SIDE, SIDE), x);
    tarn_tensor *targets = tarn_from_array(f->tm, TARN_I32, TARN_SHAPE(IMAGES), labels);
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        {
            TARN_SCOPE(f->tm);
            tarn_tensor *loss = tarn_cross_entropy(forward(&n, images), targets);
            last = tarn_item(loss);
            if (step == 0) first = last;
            tarn_backward(loss);
            tarn_optimizer_step(opt);
        }
        check_no_error(f->tm);
        if (step >= 2 && check_is_plain(f->pool)) check_status(tarn_expect_steady(f->tm), TARN_OK);
    }
    assert_true(first > 0.3 && last < 0.05);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(shapes_and_names),
        TEST(weights_begin_like_those_of_linear_layers),
        TEST(what_layers_refuse),
        TEST(training_is_steady),
    };
    return cmocka_run_group_tests_name("conv_layers", tests, NULL, NULL);
}
