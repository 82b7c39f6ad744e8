/* SPDX-License-Identifier: MIT
 * test_attention.c - scaled dot-product attention: masks, memory, what it refuses; the attention
 * layer, of which what is expected was computed by PyTorch, in double. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)
#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define EXPECT_NEAR(t, tolerance, ...) \
    check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), (tolerance))
#define REFUSES(call, code, text)        \
    do {                                 \
        assert_null(call);               \
        check_error(tm, (code), (text)); \
    } while (0)

/* scale sin(0.7 i + phase), for element i. */
static tarn_tensor *wave(tarn_manager *tm, tarn_shape shape, double phase, double scale)
{
    tarn_tensor *t = tarn_empty(tm, TARN_F64, shape);
    double *data = tarn_data_mut(t);
    for (int64_t i = 0; i < tarn_numel(t); i++) data[i] = scale * sin(0.7 * (double)i + phase);
    return t;
}

/* ---- particular rows */

/* Rows 0 and 2 may attend to nothing: zeros, and no gradient. */
static void rows_that_see_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const uint8_t flags[] = { 0, 0, 1, 0, 0, 0 };
    const double added[] = { -INFINITY, -INFINITY, 0, -INFINITY, -INFINITY, -INFINITY };
    tarn_tensor *masks[] = { tarn_from_array(tm, TARN_U8, TARN_SHAPE(3, 2), flags),
                             tarn_from_array(tm, TARN_F64, TARN_SHAPE(3, 2), added) };
    for (int i = 0; i < 2; i++) {
        tarn_tensor *q = tarn_require_grad(wave(tm, TARN_SHAPE(3, 2), 0, 1)),
                    *k = tarn_require_grad(wave(tm, TARN_SHAPE(2, 2), 1, 1)),
                    *v = tarn_require_grad(wave(tm, TARN_SHAPE(2, 2), 2, 1));
        const double *values = tarn_data(v);
        tarn_tensor *y = tarn_sdpa(q, k, v, &(tarn_sdpa_options){ .mask = masks[i] });
        EXPECT_NEAR(y, 0, 0, 0, values[0], values[1], 0, 0);
        check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
        EXPECT_NEAR(tarn_grad_of(q), 0, 0, 0, 0, 0, 0, 0);
        EXPECT_NEAR(tarn_grad_of(k), 0, 0, 0, 0, 0);
        EXPECT_NEAR(tarn_grad_of(v), 0, 1, 1, 0, 0);
    }
    /* No keys at all. */
    tarn_tensor *nothing = tarn_zeros(tm, TARN_F64, TARN_SHAPE(0, 2));
    EXPECT_NEAR(tarn_sdpa(wave(tm, TARN_SHAPE(1, 2), 0, 1), nothing, nothing, NULL), 0, 0, 0);
}

static void large_scores_do_not_overflow(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const float q[] = { 1e18F, -1e18F }, k[] = { 1e18F, 1, -1e18F }, v[] = { 1, 2, 4 };
    tarn_tensor *y = tarn_sdpa(tarn_from_array(tm, TARN_F32, TARN_SHAPE(2, 1), q),
                               tarn_from_array(tm, TARN_F32, TARN_SHAPE(3, 1), k),
                               tarn_from_array(tm, TARN_F32, TARN_SHAPE(3, 1), v), NULL);
    EXPECT_NEAR(y, 0, 1, 4);
}

static void causal_rows_see_what_is_before(void **state)
{
    tarn_manager *tm = MANAGER(state);
    enum { L = 200 }; /* several blocks of rows */
    tarn_tensor *zero = tarn_zeros(tm, TARN_F64, TARN_SHAPE(L, 1));
    tarn_tensor *v = tarn_reshape(tarn_arange(tm, TARN_F64, 0, L, 1), TARN_SHAPE(L, 1));
    tarn_tensor *y = tarn_sdpa(zero, zero, v, &(tarn_sdpa_options){ .causal = true });
    const double *means = tarn_data(y);
    for (int i = 0; i < L; i++) assert_true(fabs(means[i] - i / 2.0) < 1e-11);
}

/* ---- one tensor as all operands */

static tarn_tensor *of_itself(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    return tarn_sdpa(inputs[0], inputs[0], inputs[0], context);
}

static tarn_tensor *masked_by_itself(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n, (void)context;
    return tarn_sdpa(inputs[0], inputs[0], inputs[0], &(tarn_sdpa_options){ .mask = inputs[0] });
}

static void gradients_of_one_tensor_add_up(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_sdpa_options o = { .causal = true };
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(2, 70, 2), 0, 1)),
                *square = tarn_require_grad(wave(tm, TARN_SHAPE(4, 4), 0, 1));
    const tarn_gradcheck_options some = { .samples = (int64_t)check_scaled(280) }; /* or all */
    check_status(tarn_gradcheck(of_itself, &x, 1, &o, &some, NULL), TARN_OK);
    check_status(tarn_gradcheck(masked_by_itself, &square, 1, NULL, NULL, NULL), TARN_OK);
}

/* ---- memory */

/* Between forward and backward one number a row is kept beside operands and result, though there
 * are L times as many scores. */
static void one_number_a_row_is_kept(void **state)
{
    tarn_manager *tm = MANAGER(state);
    enum { HEADS = 2, L = 256, E = 8 };
    tarn_tensor *q = tarn_require_grad(tarn_ones(tm, TARN_F32, TARN_SHAPE(HEADS, L, E)));
    const size_t before = tarn_manager_get_stats(tm).total_memory;
    assert_non_null(tarn_sdpa(q, q, q, NULL));
    assert_int_equal(tarn_manager_get_stats(tm).total_memory - before,
                     (HEADS * L * E + HEADS * L) * sizeof(float));
}

/* ---- refusals */

static void wrong_operands(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *a = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3, 4)),
                *b = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 5, 4)),
                *c = tarn_ones(tm, TARN_F32, TARN_SHAPE(3, 4));
    REFUSES(tarn_sdpa(a, b, a, NULL), TARN_ESHAPE,
            "sdpa: q [2,3,4], k [2,5,4], v [2,3,4]: k and v differ in their numbers of rows; q "
            "(..., L, E), k (..., S, E), v (..., S, V) are needed");
    REFUSES(tarn_sdpa(a, c, c, NULL), TARN_ESHAPE,
            "sdpa: q [2,3,4], k [3,4], v [3,4]: all need as many axes; q (..., L, E), k (..., S, "
            "E), v (..., S, V) are needed");
    REFUSES(tarn_sdpa(a, b, b, &(tarn_sdpa_options){ .mask = c }), TARN_ESHAPE,
            "sdpa: mask [3,4] does not broadcast to the scores [2,3,5]");
    REFUSES(tarn_sdpa(a, b, b, &(tarn_sdpa_options){ .mask = tarn_cast(c, TARN_F64) }), TARN_EDTYPE,
            "sdpa: mask is float64; uint8 or float32 is needed (tarn_cast converts)");
    REFUSES(tarn_sdpa(a, b, b, &(tarn_sdpa_options){ .mask = tarn_cast(c, TARN_I64) }), TARN_EDTYPE,
            "sdpa: mask is int64; uint8 or float32 is needed (tarn_cast converts)");
    REFUSES(tarn_sdpa(a, b, b, &(tarn_sdpa_options){ .scale = NAN }), TARN_EARG,
            "sdpa: scale is nan; a finite number is needed");
}

/* ---- the layer */

/* PyTorch has q, k and v in one matrix. */
static void set(tarn_tensor *parameter, double phase, double scale)
{
    tarn_manager *tm = tarn_manager_of(parameter);
    tarn_tensor *w = wave(tm, tarn_get_shape(parameter), phase, scale);
    const size_t bytes = (size_t)tarn_numel(w) * sizeof(double);
    check_status(tarn_copy_from(parameter, tarn_data(w), bytes), TARN_OK);
}

static tarn_attention make_layer(tarn_module *root, bool causal)
{
    const tarn_attention_options o = { .dtype = TARN_F64, .causal = causal };
    tarn_attention a = tarn_attention_create_with(root, "a", 4, 2, &o);
    const tarn_linear *in[] = { &a.q, &a.k, &a.v };
    for (int i = 0; i < 3; i++) {
        set(in[i]->weight, 0.7 * 16 * i, 0.5);
        set(in[i]->bias, 0.7 * 4 * i + 1, 0.5);
    }
    set(a.o.weight, 2, 0.5);
    set(a.o.bias, 3, 1);
    return a;
}

static void backward(tarn_tensor *y)
{
    tarn_tensor *v = wave(tarn_manager_of(y), tarn_get_shape(y), 5, 1);
    check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = v }), TARN_OK);
}

static void self_attention(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_attention a = make_layer(tarn_module_create(tm), true);
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(2, 3, 4), 4, 1));
    tarn_tensor *y = tarn_attention_forward(&a, x, NULL);
    EXPECT_NEAR(y, 1e-10, 0.400629904914, -0.976790137643, -0.368851888794, -1.57702117244,
                0.241353679073, -0.817779931748, -0.50922159973, -1.47151242314, -0.0362423410723,
                -0.569490463074, -0.69951334826, -1.3612076184, -0.325927581895, -0.288485905944,
                -0.939365650552, -1.19022378017, 0.0132861858706, -0.548135884995, -0.789283396287,
                -1.21339550693, 0.0261472110551, -0.656717661145, -0.597528070915, -1.4661660338);
    backward(y);
    EXPECT_NEAR(tarn_grad_of(x), 1e-10, -0.0547948519501, -0.0017312683046, 0.0521465578763,
                0.0814990430756, 0.0355108145386, 0.100009743514, 0.11747252742, 0.0796861461209,
                0.0179458638289, -0.0159114594594, -0.0422853747404, -0.0487718175539,
                0.0108844493437, -0.0344445714997, -0.0635737721556, -0.0628032343991,
                -0.000380077207015, 0.0418580038625, 0.0644096116661, 0.0566683726752,
                0.00340268555709, -0.00799778247098, -0.0156367684342, -0.0159215378715);
    tarn_tensor *const parts[] = { tarn_grad_of(a.q.weight), tarn_grad_of(a.k.weight),
                                   tarn_grad_of(a.v.weight) };
    EXPECT_NEAR(
        tarn_concat(parts, 3, 0), 1e-10, 0.0348865654272, 0.0456443571219, 0.0349348944495,
        0.00779500504464, -0.0401647100933, -0.0842926683876, -0.0887764676299, -0.0515073069753,
        0.0359009864361, 0.0841055306544, 0.0927539296208, 0.0577787061664, -0.0569340639037,
        -0.0985391222583, -0.0937996916986, -0.0449448004724, -0.0639929178863, -0.140754516276,
        -0.15131706631, -0.0907128356651, 0.0323241643442, 0.118204933377, 0.148492075239,
        0.108941073864, -0.0751453748057, -0.0390962414842, 0.0153404651029, 0.0625623112508,
        0.0401799040999, 0.00694002910413, -0.0295638500202, -0.0521633885321, 0.108479916079,
        0.163637871348, 0.14183437881, 0.0533239616945, 0.142455944725, 0.131991523648,
        0.0594494265747, -0.0410526647395, 0.0670569993072, 0.0714319637745, 0.0422113595234,
        -0.0068619066822, -0.0243535125417, -0.115753911417, -0.152713437048, -0.117849447022);
    EXPECT_NEAR(tarn_grad_of(a.o.weight), 1e-10, -0.825399955804, 0.671143920582, -1.0019561671,
                0.44947681442, -0.86279707038, 1.23901012919, -0.625339556202, 0.685397213827,
                -0.49440724118, 1.22415051397, 0.0453840191728, 0.598964593944, 0.106510038873,
                0.633553784151, 0.694762781186, 0.230829566449);
}

static void cross_attention(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_attention a = make_layer(tarn_module_create(tm), false);
    tarn_tensor *x = tarn_require_grad(wave(tm, TARN_SHAPE(2, 3, 4), 4, 1)),
                *memory = tarn_require_grad(wave(tm, TARN_SHAPE(2, 2, 4), 6, 1));
    const uint8_t seen[] = { 1, 0, 1, 1 };
    tarn_tensor *mask = tarn_from_array(tm, TARN_U8, TARN_SHAPE(2, 1, 1, 2), seen);
    tarn_tensor *y = tarn_attention_cross_forward(&a, x, memory, mask);
    EXPECT_NEAR(y, 1e-10, -0.312986456794, -0.303480880623, -0.924049575373, -1.2040911019,
                -0.312986456794, -0.303480880623, -0.924049575373, -1.2040911019, -0.312986456794,
                -0.303480880623, -0.924049575373, -1.2040911019, -0.0322495198029, -0.579466034947,
                -0.68470775617, -1.37913236579, 0.0711442369408, -0.623033955909, -0.706000175981,
                -1.29544005757, -0.0546320449597, -0.550547488166, -0.716820632687, -1.34753597322);
    backward(y);
    EXPECT_NEAR(tarn_grad_of(x), 1e-10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0102016594361,
                0.00317401750734, -0.00534641445051, -0.0113523441523, -0.0017138344054,
                0.001778497814, 0.00443437472169, 0.00500469590874, -0.00576825706899,
                -0.00911266010206, -0.0081712366999, -0.00338675299868);
    EXPECT_NEAR(tarn_grad_of(memory), 1e-10, -5.38881629239e-05, 0.0753700404703, 0.115346261381,
                0.101073333229, 0, 0, 0, 0, 0.0152991837004, -0.00517187847596, -0.0232105253922,
                -0.030332899542, -0.00820192351667, 0.00198634686097, 0.0112404072724,
                0.0152079285074);
}

static void shapes_of_the_layer(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *root = tarn_module_create(tm);
    const tarn_attention_options o = { .memory_size = 6, .no_bias = true };
    tarn_attention a = tarn_attention_create_with(root, "a", 8, 4, &o);
    assert_int_equal(tarn_module_parameter_count(root), 4);
    assert_ptr_equal(tarn_module_find(root, "a.k.weight"), a.k.weight);
    assert_int_equal(tarn_dim(a.v.weight, 1), 6);
    const double largest = tarn_item(tarn_max(tarn_abs(a.q.weight), TARN_ALL_AXES));
    assert_true(largest <= sqrt(6.0 / 16) && largest > 0.5); /* Xavier */
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(5, 8)),
                *memory = tarn_ones(tm, TARN_F32, TARN_SHAPE(3, 6));
    tarn_tensor *y = tarn_attention_cross_forward(&a, x, memory, NULL); /* no batch axis */
    assert_int_equal(tarn_ndim(y), 2);
    assert_int_equal(tarn_dim(y, 0), 5);
    assert_int_equal(tarn_dim(y, 1), 8);
}

static void refused_layers_and_inputs(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    tarn_module *root = tarn_module_create(tm);
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    REFUSES(tarn_attention_create(root, "a", 6, 4).module, TARN_ESHAPE,
            "attention \"a\": 4 heads of vectors of 6 elements, memory of 6; size must be a "
            "multiple of heads");
    for (uint64_t n = 1; n <= 8; n++) {
        check_fail_acquisition(f->pool, n);
        assert_null(tarn_attention_create(root, "a", 500, 4).module);
        check_error_part(tm, TARN_ENOMEM, "");
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    }
    check_fail_acquisition(f->pool, 0);
    tarn_attention a = tarn_attention_create(root, "a", 4, 2);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 3, 4)),
                *other = tarn_ones(tm, TARN_F32, TARN_SHAPE(3, 3, 4));
    REFUSES(tarn_attention_forward(&a, NULL, NULL), TARN_EARG, "attention \"a\": x is NULL");
    REFUSES(tarn_attention_cross_forward(&a, x, NULL, NULL), TARN_EARG,
            "attention \"a\": x is NULL");
    REFUSES(tarn_attention_forward(NULL, x, NULL), TARN_EARG,
            "attention: the layer is NULL: was it ever made?");
    REFUSES(tarn_attention_forward(&a, tarn_ones(tm, TARN_F32, TARN_SHAPE(4)), NULL), TARN_ESHAPE,
            "attention \"a\": x [4]; a sequence of vectors is needed: 2 to 7 axes");
    REFUSES(tarn_attention_cross_forward(&a, x, other, NULL), TARN_ESHAPE,
            "attention \"a\": q [2,2,3,2], k [3,2,3,2], v [3,2,3,2]: the axes before the last two "
            "differ (tarn_expand repeats without a copy); q (..., L, E), k (..., S, E), v (..., S, "
            "V) are needed");
    assert_null(tarn_attention_forward(&a, tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 5)), NULL));
    check_error_part(tm, TARN_ESHAPE, "linear \"a.q\": ");
}

/* Without recording, what lies between the operations is gone when the layer returns. */
static void evaluation_keeps_the_output_alone(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_attention a = tarn_attention_create(tarn_module_create(tm), "a", 16, 4);
    const tarn_scope scope = tarn_no_grad_begin(tm);
    tarn_tensor *x = tarn_ones(tm, TARN_F32, TARN_SHAPE(2, 50, 16));
    const size_t before = tarn_manager_get_stats(tm).total_memory;
    assert_non_null(tarn_attention_forward(&a, x, NULL));
    assert_int_equal(tarn_manager_get_stats(tm).total_memory - before, 2 * 50 * 16 * sizeof(float));
    tarn_scope_end(scope);
}

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
    const tarn_attention_options o = { .causal = true };
    tarn_attention a = tarn_attention_create_with(root, "a", 8, 2, &o);
    tarn_optimizer *sgd = tarn_sgd_create(root, &(tarn_sgd_options){ .lr = 0.1 });
    for (int step = 0; step < 20; step++) {
        const tarn_scope scope = tarn_scope_begin(tm);
        tarn_tensor *x =
            tarn_random_normal(tm, TARN_F32, TARN_SHAPE(2, 9, 8), 0, 1, (uint64_t)step);
        tarn_tensor *y = tarn_attention_forward(&a, x, NULL);
        check_status(tarn_backward(tarn_mse(y, x)), TARN_OK);
        check_status(tarn_optimizer_step(sgd), TARN_OK);
        tarn_scope_end(scope);
        if (step >= 2) expect_steady(*state);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(rows_that_see_nothing),
        TEST(large_scores_do_not_overflow),
        TEST(causal_rows_see_what_is_before),
        TEST(gradients_of_one_tensor_add_up),
        TEST(one_number_a_row_is_kept),
        TEST(wrong_operands),
        TEST(self_attention),
        TEST(cross_attention),
        TEST(shapes_of_the_layer),
        TEST(refused_layers_and_inputs),
        TEST(evaluation_keeps_the_output_alone),
        TEST(training_is_steady),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
