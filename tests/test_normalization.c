/* SPDX-License-Identifier: MIT
 * test_normalization.c - normalisation and embedding: their layers, particular values, what they
 * refuse. What is expected of the layers was computed by another library, in double. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)
#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define EXPECT_NEAR(t, tolerance, ...) \
    check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), (tolerance))
#define EXPECT(t, ...) EXPECT_NEAR(t, 1e-12, __VA_ARGS__)
#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

/* sin(0.7 i + phase) scale + shift, for element i. */
static tarn_tensor *wave(tarn_manager *tm, tarn_shape shape, double phase, double scale,
                         double shift)
{
    tarn_tensor *t = tarn_empty(tm, TARN_F64, shape);
    double *data = tarn_data_mut(t);
    for (int64_t i = 0; i < tarn_numel(t); i++)
        data[i] = sin(0.7 * (double)i + phase) * scale + shift;
    return t;
}

/* Overwrites a parameter. */
static void set(tarn_tensor *parameter, double phase, double shift)
{
    tarn_manager *tm = tarn_manager_of(parameter);
    tarn_tensor *t = wave(tm, tarn_get_shape(parameter), phase, 1, shift);
    const size_t bytes = (size_t)tarn_numel(t) * sizeof(double);
    check_status(tarn_copy_from(parameter, tarn_data(t), bytes), TARN_OK);
}

static void set_scaling(tarn_tensor *weight, tarn_tensor *bias)
{
    set(weight, 1, 1);
    if (bias != NULL) set(bias, 2, 0);
}

/* The backward pass of sum(y v) for a wave v. */
static void backward(tarn_tensor *y)
{
    tarn_tensor *v = wave(tarn_manager_of(y), tarn_get_shape(y), 3, 1, 0);
    check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = v }), TARN_OK);
}

static const tarn_norm_options F64 = { .dtype = TARN_F64 };

/* ---- layers */

static void layer_norm(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_layer_norm_layer l = tarn_layer_norm_create_with(root, "ln", TARN_SHAPE(4), &F64);
    set_scaling(l.weight, l.bias);
    assert_ptr_equal(tarn_module_find(root, "ln.weight"), l.weight);
    assert_ptr_equal(tarn_module_find(root, "ln.bias"), l.bias);
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(2, 4), 0, 1, 0));
    tarn_tensor *y = tarn_layer_norm_forward(&l, x);
    EXPECT(y, -2.1105744597108496, 0.5374291485077026, 1.3414509751667498, -0.16051450511010096,
           3.745087133004425, 0.8733232037561948, -1.554931135262876, -1.8476951941287154);
    backward(y);
    EXPECT(tarn_grad_of(x), 0.07117637351065365, -0.4753334198401684, -0.3504152620782599,
           0.7545723084077751, -0.14989723859347864, 0.24244207573345092, 0.39879069952258317,
           -0.49133553666255597);
    EXPECT(tarn_grad_of(l.weight), -0.9468943237242732, 0.018890348734630927, -1.522555144296702,
           -1.5719325620581934);
    EXPECT(tarn_grad_of(l.bias), -0.3234821713538901, -0.3147161528206779, -0.15793421004036334,
           0.07312665951203956);
}

static void group_norm(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_group_norm_layer l = tarn_group_norm_create_with(root, "gn", 2, 4, &F64);
    set_scaling(l.weight, l.bias);
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(2, 4, 3), 0, 1, 0));
    tarn_tensor *y = tarn_group_norm_forward(&l, x);
    EXPECT(y, -0.6970575949518147, 1.8095427671508024, 3.137249812245498, 2.3226275155799407,
           0.0997288525509353, -2.7861837752631495, -1.8855042572099379, -2.13160489273866,
           -1.3521175677844965, -0.6057329479296182, 0.2776053559902344, 0.7345842691755071,
           4.068405650878606, 2.5751514492634247, 0.6634046209688594, -1.3864078798977626,
           -1.6864412572982035, -0.5975581504920237, -1.5732388811024307, 0.6526286452524341,
           1.7762874947748837, 0.12964394901005147, -1.051055022215543, -2.5419514630478703);
    backward(y);
    EXPECT(tarn_grad_of(x), 0.6705221305717504, 0.5129882579127311, 0.17130089985275035,
           -0.4876471077350188, -0.5581424348782011, -0.3090217457240135, -0.15157606962829664,
           0.10854064009663089, 0.1405962742285305, -0.1749950165898296, 0.03140782014672122,
           0.04602635174624359, 0.1678601730328948, -0.16350440335456634, -0.3650847568381565,
           -0.15926421719904127, 0.12169243051629262, 0.3983007738425768, 0.5606269477605142,
           -0.015179630946984782, -0.5411826132682606, 0.43844400774790315, -0.01855135873100973,
           -0.4241573525621638);
    EXPECT(tarn_grad_of(l.weight), -3.5482651961352825, -3.3149028000875993, -3.924429711003219,
           -3.1167408708390556);
}

static void rms_norm(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_rms_norm_layer l = tarn_rms_norm_create_with(root, "rms", 4, &F64);
    set_scaling(l.weight, NULL);
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(2, 4), 0, 1, 0));
    tarn_tensor *y = tarn_rms_norm_forward(&l, x);
    EXPECT(y, 0.0, 1.757748761052033, 2.261920148603414, 1.231734082207493, 0.8812074963547902,
           -0.9980192730108114, -2.0860460719983327, -1.461801416491477);
    backward(y);
    EXPECT(tarn_grad_of(x), 0.3560093292591901, -0.16885188882262825, -0.2311177975568226,
           0.38976994404282483, -0.5830089133892065, -0.05725193827190467, 0.23661560106893942,
           -0.3881817384344579);
}

/* Three batches in training, then another in evaluation. */
static void batch_norm(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_batch_norm_layer l = tarn_batch_norm_create_with(root, "bn", 3, &F64);
    set_scaling(l.weight, l.bias);
    tarn_tensor *x = NULL, *y = NULL;
    for (int step = 0; step < 3; step++) {
        x = tarn_require_grad(wave(tm, TARN_SHAPE(4, 3), step, step + 1, step));
        y = tarn_batch_norm_forward(&l, x);
    }
    EXPECT(y, 2.637828646702282, 1.4302911483360048, -0.7640484566064492, -1.7421805961962302,
           -3.0043995712171325, -1.9727923288729305, 0.12177889542700046, 1.900879789224888,
           2.5222921329529067, 2.619762761369675, 1.3827481545915576, -0.8076157555808515);
    backward(y);
    EXPECT(tarn_grad_of(x), -0.15518307428600794, -0.5424004737474458, -0.5286559547638766,
           -0.4328691432435689, 0.11021998601047389, 0.7745537796951252, 0.7547459053149439,
           0.9830405207004399, 0.2779448926085474, -0.16669368778536714, -0.5508600329634677,
           -0.5238427175397959);
    EXPECT(tarn_grad_of(l.weight), 1.241699960906482, 1.0118334331330088, 1.6011382596859187);
    EXPECT(l.running_mean, 0.39668028031730956, 0.3796592280613592, 0.320470039884068);
    EXPECT(l.running_var, 1.646627394887486, 1.5360008064558146, 1.4761522102542504);

    tarn_module_eval(root);
    x = tarn_require_grad(wave(tm, TARN_SHAPE(4, 3), 5, 1, 0));
    y = tarn_batch_norm_forward(&l, x);
    EXPECT(y, -1.0360577845821428, -1.0676953124471744, -0.5367502519851934, 1.3861471601870163,
           1.4219340714546886, 0.40364987602357527, 0.6599002162817027, -0.9180027107866655,
           -1.9699907283220854, -1.0290188472711586, -1.0450161556395836, -0.5137444306829391);
    backward(y);
    EXPECT(tarn_grad_of(x), 0.20251373610730927, -0.8514530262765067, -1.3122700789893622,
           -1.3285868732494117, -0.7466212686024093, 0.296652909347236, 1.1389500790576301,
           1.6053107044071666, 1.012741947585029, 0.1785978517575215, -0.8742484429824134,
           -1.3192105637535851);
    EXPECT(l.running_mean, 0.39668028031730956, 0.3796592280613592, 0.320470039884068);
}

static void batch_norm_of_images(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    const tarn_norm_options o = { .dtype = TARN_F64, .momentum = 0.25, .eps = 0.01 };
    tarn_batch_norm_layer l = tarn_batch_norm_create_with(root, "bn", 2, &o);
    tarn_tensor *y = tarn_batch_norm_forward(&l, wave(tm, TARN_SHAPE(2, 2, 2, 3), 0, 2, 1));
    EXPECT(y, -0.10006943947709046, 0.8581968052800143, 1.3657754618047435, 1.1839443567982306,
           0.3982215001344279, -0.6218553714393785, -1.459733635500775, -1.6202974111713813,
           -1.1117354250833191, -0.1732323257940388, 0.753819214585268, 1.233412371034314,
           1.1711364008014384, 0.3745856273649883, -0.6452028406972966, -1.4086065522213609,
           -1.5565848131653974, -1.0195411351833186, -0.1488905420569674, 0.7720412367319829,
           1.2369445298481236, 1.027168054224593, 0.24137296419498933, -0.750869031012788);
    EXPECT(l.running_mean, 0.28363705192362476, 0.31821948524946403);
    EXPECT(l.running_var, 1.240311948926014, 1.2674784175512348);
}

static void running_statistics_are_buffers(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_batch_norm_layer l = tarn_batch_norm_create(root, "bn", 2);
    assert_ptr_equal(tarn_module_find(root, "bn.running_mean"), l.running_mean);
    assert_ptr_equal(tarn_module_find(root, "bn.running_var"), l.running_var);
    assert_int_equal(tarn_module_parameter_count(root), 2);
    assert_false(tarn_requires_grad(l.running_mean));
    EXPECT(l.running_mean, 0, 0);
    EXPECT(l.running_var, 1, 1);
    EXPECT(l.weight, 1, 1);
    EXPECT(l.bias, 0, 0);
}

/* Neither a call that fails nor an empty batch moves them. */
static void running_statistics_move_when_a_call_succeeds(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    tarn_module *root = tarn_module_create(tm);
    tarn_batch_norm_layer l = tarn_batch_norm_create(root, "bn", 2);
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(2, 2), (const float[]){ 1, 2, 3, 6 });
    REFUSES(tarn_batch_norm_forward(&l, tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 2))), TARN_ESHAPE,
            "batch_norm \"bn\": one element a channel in x [1,2]: more are needed in training");
    for (uint64_t n = 1; n <= 2; n++) {
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_batch_norm_forward(&l, x));
        check_error_part(tm, TARN_ENOMEM, "batch_norm \"bn\": ");
        check_fail_acquisition(f->pool, 0);
    }
    assert_int_equal(
        tarn_numel(tarn_batch_norm_forward(&l, tarn_ones(tm, TARN_F32, TARN_SHAPE(0, 2)))), 0);
    EXPECT(l.running_mean, 0, 0);
    EXPECT(l.running_var, 1, 1);
    EXPECT_NEAR(tarn_batch_norm_forward(&l, x), 1e-5, -1, -1, 1, 1);
    EXPECT_NEAR(l.running_mean, 1e-7, 0.2, 0.4);
    EXPECT_NEAR(l.running_var, 1e-6, 0.9 + 0.1 * 2, 0.9 + 0.1 * 8);
    tarn_module_eval(root);
    EXPECT_NEAR(tarn_batch_norm_forward(&l, tarn_ones(tm, TARN_F32, TARN_SHAPE(1, 2))), 1e-5,
                0.8 / sqrt(1.1 + 1e-5), 0.6 / sqrt(1.7 + 1e-5));
}

static tarn_tensor *normalize(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_batch_norm_forward(context, inputs[0]);
}

/* A pass that is computed again for backward moves them once, and gives the same gradients. */
static void running_statistics_move_once_in_checkpoints(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *mean[2], *dx[2];
    for (int i = 0; i < 2; i++) {
        tarn_module *root = tarn_module_create(tm);
        tarn_batch_norm_layer l = tarn_batch_norm_create_with(root, "bn", 3, &F64);
        set_scaling(l.weight, l.bias);
        tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(4, 3), 0, 1, 2));
        backward(i == 0 ? tarn_batch_norm_forward(&l, x)
                        : tarn_checkpoint(normalize, TARN_LIST(x), &l));
        mean[i] = l.running_mean;
        dx[i] = tarn_grad_of(x);
    }
    check_close(mean[1], tarn_data(mean[0]), 3, 0);
    check_close(dx[1], tarn_data(dx[0]), 12, 0);
}

/* A frozen layer normalises for other managers, and no longer moves. */
static void a_frozen_layer_serves_other_managers(void **state)
{
    check_fixture *f = *state;
    tarn_manager *other = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    tarn_module *root = tarn_module_create(f->tm);
    tarn_batch_norm_layer l = tarn_batch_norm_create_with(root, "bn", 3, &F64);
    (void)tarn_batch_norm_forward(&l, wave(f->tm, TARN_SHAPE(4, 3), 0, 1, 2));
    check_status(tarn_module_freeze(root), TARN_OK);
    tarn_tensor *y = tarn_batch_norm_forward(&l, wave(other, TARN_SHAPE(2, 3), 0, 1, 2));
    assert_ptr_equal(tarn_manager_of(y), other);
    tarn_tensor *mine = tarn_batch_norm_forward(&l, wave(f->tm, TARN_SHAPE(2, 3), 0, 1, 2));
    check_close(mine, tarn_data(y), 6, 0);
    assert_int_equal(tarn_manager_destroy(other), 0);
}

static void layers_without_weights(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    const tarn_norm_options bare = { .no_weight = true }, unbiased = { .no_bias = true };
    tarn_layer_norm_layer a = tarn_layer_norm_create_with(root, "a", TARN_SHAPE(2, 2), &bare);
    tarn_layer_norm_layer b = tarn_layer_norm_create_with(root, "b", TARN_SHAPE(2), &unbiased);
    tarn_batch_norm_layer c = tarn_batch_norm_create_with(root, "c", 2, &bare);
    assert_true(a.weight == NULL && a.bias == NULL && b.weight != NULL && b.bias == NULL);
    assert_int_equal(tarn_module_parameter_count(root), 1);
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(2, 2), (const float[]){ 0, 0, 4, 4 });
    EXPECT_NEAR(tarn_layer_norm_forward(&a, x), 1e-5, -1, -1, 1, 1);
    EXPECT_NEAR(tarn_layer_norm_forward(&b, x), 1e-5, 0, 0, 0, 0);
    EXPECT_NEAR(tarn_batch_norm_forward(&c, x), 1e-5, -1, -1, 1, 1);
}

/* Nothing of a layer that was refused is left. */
static void refused_layers(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    tarn_module *root = tarn_module_create(tm);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    const tarn_norm_options eps = { .eps = -1 }, momentum = { .momentum = 2 };
    REFUSES(tarn_layer_norm_create(root, "l", TARN_SCALAR).module, TARN_EARG,
            "layer_norm \"l\": a shape of 0 axes; 1 to 8 are possible");
    REFUSES(tarn_layer_norm_create_with(root, "l", TARN_SHAPE(2), &eps).module, TARN_EARG,
            "layer_norm \"l\": eps is -1; a finite number from 0 on is needed");
    REFUSES(tarn_rms_norm_create(root, "l", 0).module, TARN_ESHAPE,
            "rms_norm \"l\": 0 elements; at least 1 is needed");
    REFUSES(tarn_group_norm_create(root, "l", 4, 6).module, TARN_EARG,
            "group_norm \"l\": 4 groups of 6 channels");
    REFUSES(tarn_batch_norm_create(root, "l", -3).module, TARN_ESHAPE,
            "batch_norm \"l\": -3 channels; at least 1 is needed");
    REFUSES(tarn_batch_norm_create_with(root, "l", 2, &momentum).module, TARN_EARG,
            "batch_norm \"l\": momentum is 2; 0 to 1 is possible");
    REFUSES(tarn_embedding_create(root, "l", 5, 0).module, TARN_ESHAPE,
            "embedding \"l\": 5 rows of 0 elements; at least 1 of each is needed");
    assert_int_equal(tarn_module_parameter_count(root), 0);
    assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    for (uint64_t n = 1; n <= 4; n++) {
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_batch_norm_create(root, "l", 1000).module);
        check_error_part(tm, TARN_ENOMEM, "");
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    }
    check_fail_acquisition(f->pool, 0);
}

static void missing_layers_and_inputs(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_layer_norm_layer l = tarn_layer_norm_create(root, "l", TARN_SHAPE(2));
    tarn_batch_norm_layer b = tarn_batch_norm_create(root, "b", 2);
    tarn_embedding_layer e = tarn_embedding_create(root, "e", 5, 2);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 2));
    REFUSES(tarn_layer_norm_forward(&l, NULL), TARN_EARG, "layer_norm \"l\": x is NULL");
    REFUSES(tarn_batch_norm_forward(&b, NULL), TARN_EARG, "batch_norm \"b\": x is NULL");
    REFUSES(tarn_embedding_forward(&e, NULL), TARN_EARG, "embedding \"e\": x is NULL");
    REFUSES(tarn_rms_norm_forward(NULL, x), TARN_EARG,
            "rms_norm: the layer is NULL: was it ever made?");
    REFUSES(tarn_group_norm_forward(&(tarn_group_norm_layer){ 0 }, x), TARN_EARG,
            "group_norm: the layer is NULL: was it ever made?");
    REFUSES(tarn_layer_norm_forward(&l, tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3))), TARN_ESHAPE,
            "layer_norm \"l\": x [2,3], weight \"l.weight\" [2]; weight [3] is needed");
    REFUSES(
        tarn_embedding_forward(&e, x), TARN_EDTYPE,
        "embedding \"e\": ids is float32; int32, int64 or uint8 is needed (tarn_cast converts)");
}

/* ---- operations: particular values and refusals */

static void statistics_are_exact_far_from_zero(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const float far[] = { 16777216, 16777218, 16777220, 16777222 };
    tarn_tensor *x = tarn_from_array(tm, TARN_F32, TARN_SHAPE(1, 4), far);
    const double r = 1 / sqrt(5.0);
    EXPECT_NEAR(tarn_layer_norm(x, 1, NULL, NULL, 0), 1e-7, -3 * r, -r, r, 3 * r);
    EXPECT_NEAR(tarn_batch_norm(tarn_transpose(x, 0, 1), NULL, NULL, NULL), 1e-5, -3 * r, -r, r,
                3 * r);
    tarn_tensor *one = tarn_full(tm, TARN_F32, TARN_SHAPE(3, 1), 7);
    EXPECT(tarn_layer_norm(one, 1, NULL, NULL, 1e-5), 0, 0, 0);
    EXPECT(tarn_layer_norm(one, 1, NULL, NULL, 0), NAN, NAN, NAN); /* 0 / 0 */
    EXPECT(tarn_batch_norm(one, NULL, NULL, NULL), 0, 0, 0);
}

static void wrong_operands(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 6)),
                *v = tarn_ones(tm, TARN_F32, TARN_SHAPE(6)),
                *w = tarn_ones(tm, TARN_F32, TARN_SHAPE(4));
    REFUSES(tarn_layer_norm(x, 3, NULL, NULL, 0), TARN_EARG,
            "layer_norm: 3 axes of x [2,6]; 1 to 2 are possible");
    REFUSES(tarn_layer_norm(x, 1, v, w, 0), TARN_ESHAPE,
            "layer_norm: x [2,6], bias [4]; bias [6] is needed");
    REFUSES(tarn_layer_norm(x, 2, v, NULL, 0), TARN_ESHAPE,
            "layer_norm: x [2,6], weight [6]; weight [2,6] is needed");
    REFUSES(tarn_layer_norm(x, 1, NULL, NULL, NAN), TARN_EARG,
            "layer_norm: eps is nan; a finite number from 0 on is needed");
    REFUSES(tarn_rms_norm(x, w, 0), TARN_ESHAPE,
            "rms_norm: x [2,6], weight [4]; weight [6] is needed");
    REFUSES(tarn_group_norm(x, 4, NULL, NULL, 0), TARN_EARG,
            "group_norm: 4 groups of the 6 channels of x [2,6]");
    REFUSES(tarn_group_norm(v, 1, NULL, NULL, 0), TARN_ESHAPE,
            "group_norm: x [6]; x (B, C, ...) is needed");
    REFUSES(tarn_batch_norm(v, NULL, NULL, NULL), TARN_ESHAPE,
            "batch_norm: x [6]; x (B, C, ...) is needed");
    REFUSES(
        tarn_batch_norm(x, w, NULL, NULL), TARN_ESHAPE,
        "batch_norm: x [2,6], weight [4]: for the 6 channels of x (axis 1) weight [6] is needed");
    REFUSES(tarn_batch_norm(x, NULL, NULL, &(tarn_batch_norm_options){ .mean = v }), TARN_EARG,
            "batch_norm_given: operand var is NULL, but no call before failed: was it ever made?");
    REFUSES(
        tarn_batch_norm(x, NULL, NULL, &(tarn_batch_norm_options){ .mean = v, .var = w }),
        TARN_ESHAPE,
        "batch_norm_given: x [2,6], var [4]: for the 6 channels of x (axis 1) var [6] is needed");
}

static void wrong_ids(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *table = tarn_ones(tm, TARN_F32, TARN_SHAPE(10, 3));
    const int64_t ids[] = { 1, 9, 0, 2, 10, 3 };
    const int32_t negative[] = { 1, -1 };
    tarn_tensor *many = tarn_zeros(tm, TARN_U8, TARN_SHAPE(1, 1, 1, 1, 1, 1, 1, 1));
    REFUSES(tarn_embedding(table, tarn_from_array(tm, TARN_I64, TARN_SHAPE(2, 3), ids)), TARN_EARG,
            "embedding: id 10 at [1,1] of ids [2,3] is not in [0, 10), the rows of weight [10,3]");
    REFUSES(tarn_embedding(table, tarn_from_array(tm, TARN_I32, TARN_SHAPE(2), negative)),
            TARN_EARG,
            "embedding: id -1 at [1] of ids [2] is not in [0, 10), the rows of weight [10,3]");
    REFUSES(tarn_embedding(table, tarn_full(tm, TARN_U8, TARN_SCALAR, 200)), TARN_EARG,
            "embedding: id 200 at [] of ids [] is not in [0, 10), the rows of weight [10,3]");
    REFUSES(tarn_embedding(tarn_ones(tm, TARN_F32, TARN_SHAPE(3)), many), TARN_ESHAPE,
            "embedding: weight [3]; weight (V, D) is needed");
    REFUSES(tarn_embedding(table, many), TARN_ELIMIT,
            "embedding: ids [1,1,1,1,1,1,1,1]: the result would have 9 axes");
}

/* The gradient of a row is the sum of as many times the float next to 0.1, rounded once. */
static void gradients_of_repeated_ids_are_exact(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const int64_t n = 1 << 20;
    tarn_tensor *table = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(3, 1)));
    tarn_tensor *ids = tarn_full(tm, TARN_U8, TARN_SHAPE(n), 1);
    tarn_tensor *dy = tarn_full(tm, TARN_F32, TARN_SHAPE(n, 1), 0.1);
    for (int pass = 1; pass <= 2; pass++) {
        tarn_tensor *y = tarn_embedding(table, ids);
        check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = dy }), TARN_OK);
        const double sum = pass * (double)n * (double)0.1F;
        EXPECT_NEAR(tarn_grad_of(table), sum * 0x1p-24, 0, sum, 0);
    }
}

static void embedding_layer(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_embedding_layer e = tarn_embedding_create(root, "e", 100, 50);
    assert_ptr_equal(tarn_module_find(root, "e.weight"), e.weight);
    const double variance = tarn_item(tarn_mean(tarn_square(e.weight), TARN_ALL_AXES));
    assert_true(fabs(variance - 1) < 6 * sqrt(2.0 / 5000)); /* normal, of deviation 1 */
    const int32_t ids[] = { 7, 0, 7 };
    tarn_tensor *y = tarn_embedding_forward(&e, tarn_from_array(tm, TARN_I32, TARN_SHAPE(3), ids));
    const float *table = tarn_data(e.weight), *rows = tarn_data(y);
    assert_memory_equal(rows, table + 7 * 50, 50 * sizeof(float));
    assert_memory_equal(rows + 50, table, 50 * sizeof(float));
    assert_memory_equal(rows + 100, table + 7 * 50, 50 * sizeof(float));
}

/* ---- the steady state */

/* Nothing grew since the last call; where every block comes from the system, that cannot be told.
 */
static void expect_steady(const check_fixture *f)
{
    const tarn_status status = tarn_expect_steady(f->tm);
    if (check_is_plain(f->pool)) check_status(status, TARN_OK);
    else tarn_clear_error(f->tm);
}

static void training_is_steady(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    tarn_embedding_layer e = tarn_embedding_create(root, "e", 10, 6);
    tarn_layer_norm_layer ln = tarn_layer_norm_create(root, "ln", TARN_SHAPE(6));
    tarn_group_norm_layer gn = tarn_group_norm_create(root, "gn", 2, 6);
    tarn_batch_norm_layer bn = tarn_batch_norm_create(root, "bn", 6);
    tarn_rms_norm_layer rms = tarn_rms_norm_create(root, "rms", 6);
    tarn_optimizer *sgd = tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 0.1 });
    const uint8_t ids[] = { 1, 2, 3, 3, 9 };
    for (int step = 0; step < 20; step++) {
        tarn_scope scope = tarn_scope_begin(tm);
        tarn_tensor *x =
            tarn_embedding_forward(&e, tarn_from_array(tm, TARN_U8, TARN_SHAPE(5), ids));
        x = tarn_layer_norm_forward(&ln, x);
        x = tarn_group_norm_forward(&gn, x);
        x = tarn_batch_norm_forward(&bn, x);
        x = tarn_rms_norm_forward(&rms, x);
        tarn_tensor *loss = tarn_mse(x, tarn_ones(tm, TARN_F32, TARN_SHAPE(5, 6)));
        check_status(tarn_backward(loss), TARN_OK);
        check_status(tarn_optimizer_step(sgd), TARN_OK);
        tarn_scope_end(scope);
        if (step >= 2) expect_steady(*state);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(layer_norm),
        TEST(group_norm),
        TEST(rms_norm),
        TEST(batch_norm),
        TEST(batch_norm_of_images),
        TEST(running_statistics_are_buffers),
        TEST(running_statistics_move_when_a_call_succeeds),
        TEST(running_statistics_move_once_in_checkpoints),
        TEST(a_frozen_layer_serves_other_managers),
        TEST(layers_without_weights),
        TEST(refused_layers),
        TEST(missing_layers_and_inputs),
        TEST(statistics_are_exact_far_from_zero),
        TEST(wrong_operands),
        TEST(wrong_ids),
        TEST(gradients_of_repeated_ids_are_exact),
        TEST(embedding_layer),
        TEST(training_is_steady),
    };
    return cmocka_run_group_tests_name("normalization", tests, NULL, NULL);
}
