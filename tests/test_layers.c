/* SPDX-License-Identifier: MIT
 * test_layers.c - linear layers, dropout, multilayer perceptrons and metrics. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

/* Expects the error, whose message begins with `start` and contains `part`, and forgets it. */
static void expect_error(tarn_manager *tm, tarn_status code, const char *start, const char *part)
{
    const char *message = tarn_error_message(tm);
    assert_int_equal(tarn_error_code(tm), code);
    if (strncmp(message, start, strlen(start)) != 0 || strstr(message, part) == NULL)
        fail_msg("\"%s\" does not begin with \"%s\" or lacks \"%s\"", message, start, part);
    tarn_clear_error(tm);
}

static double value(tarn_tensor *t, int64_t i)
{
    return tarn_get_dtype(t) == TARN_F32 ? (double)((const float *)tarn_data(t))[i]
                                         : ((const double *)tarn_data(t))[i];
}

/* ---- linear */

/* y = x w^T + b in double. With |x|, |w|, |b| <= X each of the `in` products and additions adds at
 * most one rounding of a sum below in X^2 + X. */
static void check_linear(const tarn_linear *l, tarn_tensor *x, double largest)
{
    tarn_tensor *y = tarn_linear_forward(l, x);
    assert_non_null(y);
    const int64_t out = tarn_dim(l->weight, 0), in = tarn_dim(l->weight, 1);
    const int64_t rows = tarn_numel(x) / in;
    const double eps = tarn_get_dtype(x) == TARN_F32 ? FLT_EPSILON : DBL_EPSILON;
    const double n = (double)in + 1, bound = n * eps * (n * largest * largest + largest);
    assert_int_equal(tarn_numel(y), rows * out);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t o = 0; o < out; o++) {
            double sum = l->bias == NULL ? 0 : value(l->bias, o);
            for (int64_t i = 0; i < in; i++)
                sum += value(x, r * in + i) * value(l->weight, o * in + i);
            assert_true(fabs(value(y, r * out + o) - sum) <= bound);
        }
    }
}

static void test_linear_forward(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const int64_t sizes[][2] = { { 1, 1 }, { 3, 2 }, { 17, 33 }, { 200, 65 } };
    for (int i = 0; i < 4; i++) {
        for (int kind = 0; kind < 4; kind++) {
            char name[] = { (char)('a' + i), (char)('0' + kind), '\0' };
            const tarn_init within = { .kind = TARN_INIT_UNIFORM, .a = -1, .b = 1 };
            const tarn_linear_options o = { .dtype = kind & 1 ? TARN_F64 : TARN_F32,
                                            .no_bias = kind > 1,
                                            .weight = within,
                                            .bias = within };
            tarn_linear l = tarn_linear_create_with(root, name, sizes[i][0], sizes[i][1], &o);
            assert_non_null(l.weight);
            assert_true((l.bias == NULL) == o.no_bias);
            for (int64_t rows = 0; rows < 40; rows += 13)
                check_linear(&l,
                             tarn_random_uniform(f->tm, o.dtype, TARN_SHAPE(rows, sizes[i][0]), -1,
                                                 1, (uint64_t)i),
                             1);
        }
    }
}

static void test_linear_shapes(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(root, "l1", 4, 6);
    assert_int_equal(tarn_dim(l.weight, 0), 6);
    assert_int_equal(tarn_dim(l.weight, 1), 4);
    assert_int_equal(tarn_dim(l.bias, 0), 6);
    assert_string_equal(tarn_name(l.weight), "l1.weight");
    assert_ptr_equal(tarn_module_find(root, "l1.bias"), l.bias);
    assert_true(value(l.bias, 5) == 0);

    tarn_tensor *y = tarn_linear_forward(&l, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(2, 3, 4)));
    assert_int_equal(tarn_ndim(y), 3);
    assert_int_equal(tarn_dim(y, 1), 3);
    assert_int_equal(tarn_dim(y, 2), 6);
    tarn_tensor *flipped = tarn_transpose(tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 5)), 0, 1);
    assert_int_equal(tarn_dim(tarn_linear_forward(&l, flipped), 0), 5);
}

static void test_linear_messages(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_linear l = tarn_linear_create(root, "l1", 2, 8);
    tarn_linear deep = tarn_linear_create(tarn_module_add_child(root, "head"), "out", 2, 8);
    assert_null(tarn_linear_forward(&l, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 3))));
    expect_error(f->tm, TARN_ESHAPE, "linear \"l1\": ", "[4,3]");
    assert_null(tarn_linear_forward(&l, tarn_ones(f->tm, TARN_F64, TARN_SHAPE(4, 2))));
    expect_error(f->tm, TARN_EDTYPE, "linear \"l1\": ", "float64");
    assert_null(tarn_linear_forward(&deep, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 3))));
    expect_error(f->tm, TARN_ESHAPE, "linear \"head.out\": ", "[4,3]");
    assert_null(tarn_linear_forward(&l, NULL));
    expect_error(f->tm, TARN_EARG, "linear \"l1\": ", "x is NULL");

    /* The label ends with the call. */
    tarn_matmul(l.weight, l.weight);
    expect_error(f->tm, TARN_ESHAPE, "matmul: ", "[8,2]");
}

static void test_linear_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    assert_non_null(tarn_module_add_child(root, "taken"));
    const size_t blocks = tarn_pool_get_stats(f->pool).live_blocks;
    const tarn_linear_options bad_type = { .dtype = TARN_I32 };
    const tarn_linear_options bad_weight = { .weight = { .kind = TARN_INIT_CONSTANT, .a = NAN } };
    const tarn_linear_options bad_bias = { .bias = { .kind = TARN_INIT_CONSTANT, .a = NAN } };
    const struct {
        const char *name;
        int64_t in, out;
        const tarn_linear_options *options;
        tarn_status code;
    } cases[] = {
        { "taken", 2, 2, NULL, TARN_EARG },
        { "", 2, 2, NULL, TARN_EARG },
        { "l", 0, 2, NULL, TARN_ESHAPE },
        { "l", 2, -1, NULL, TARN_ESHAPE },
        { "l", INT64_MAX, 2, NULL, TARN_EOVERFLOW },
        { "l", 2, 2, &bad_type, TARN_EDTYPE },
        { "l", 2, 2, &bad_weight, TARN_EARG },
        { "l", 2, 2, &bad_bias, TARN_EARG },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tarn_linear l = tarn_linear_create_with(root, cases[i].name, cases[i].in, cases[i].out,
                                                cases[i].options);
        assert_true(l.module == NULL && l.weight == NULL && l.bias == NULL);
        tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(1, 2));
        assert_null(tarn_linear_forward(&l, x)); /* silently: the first error says it all */
        tarn_release(x);
        assert_int_equal(tarn_error_code(f->tm), cases[i].code);
        tarn_clear_error(f->tm);
        assert_int_equal(tarn_module_parameter_count(root), 0);
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, blocks);
    }
    assert_non_null(tarn_linear_create(root, "l", 2, 2).bias); /* nothing of it was left */
}

/* ---- dropout */

static int64_t zeros_of(tarn_tensor *t)
{
    int64_t n = 0;
    for (int64_t i = 0; i < tarn_numel(t); i++) n += value(t, i) == 0;
    return n;
}

static bool same_values(tarn_tensor *a, tarn_tensor *b)
{
    return memcmp(tarn_data(a), tarn_data(b), (size_t)tarn_numel(a) * sizeof(float)) == 0;
}

/* The number of zeros among n has the standard error sqrt(n p (1 - p)); six of it are allowed. */
static void test_dropout_rate(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(100, 1000));
    const double rates[] = { 0.1, 0.5, 0.9 };
    for (int i = 0; i < 3; i++) {
        char name[] = { 'd', (char)('0' + i), '\0' };
        const double p = rates[i];
        tarn_dropout_layer d = tarn_dropout_create(root, name, p);
        tarn_tensor *y = tarn_dropout_forward(&d, x);
        assert_true(fabs((double)zeros_of(y) - 1e5 * p) <= 6 * sqrt(1e5 * p * (1 - p)));
        for (int64_t k = 0; k < tarn_numel(y); k++)
            assert_true(value(y, k) == 0 || fabs(value(y, k) * (1 - p) - 1) < 1e-6);
    }
    tarn_dropout_layer none = tarn_dropout_create(root, "none", 0);
    tarn_dropout_layer all = tarn_dropout_create(root, "all", 1);
    assert_int_equal(zeros_of(tarn_dropout_forward(&none, x)), 0);
    assert_int_equal(zeros_of(tarn_dropout_forward(&all, x)), 100000);
}

static void test_dropout_mode(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_dropout_layer d = tarn_dropout_create(root, "d", 0.5);
    tarn_dropout_layer copy = d;
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(500));
    tarn_tensor *first = tarn_dropout_forward(&d, x);
    tarn_module_eval(root);
    assert_true(same_values(tarn_dropout_forward(&d, x), x));
    tarn_module_train(root);
    tarn_tensor *second =
        tarn_dropout_forward(&copy, x); /* counts for the layer, not for the struct */
    tarn_tensor *third = tarn_dropout_forward(&d, x);
    assert_false(same_values(first, second) || same_values(second, third) ||
                 same_values(first, third));
}

static void test_dropout_draws(void **state)
{
    check_fixture *f = *state;
    tarn_manager *twin =
        tarn_manager_create(&(tarn_manager_options){ .pool = f->pool, .seed = 42 });
    tarn_module *a = tarn_module_create(f->tm), *b = tarn_module_create(twin);
    tarn_dropout_layer a1 = tarn_dropout_create(a, "d1", 0.5),
                       a2 = tarn_dropout_create(a, "d2", 0.5);
    tarn_dropout_layer b2 = tarn_dropout_create(b, "d2", 0.5),
                       b1 = tarn_dropout_create(b, "d1", 0.5);
    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(500));
    tarn_tensor *z = tarn_ones(twin, TARN_F32, TARN_SHAPE(500));
    tarn_tensor *x1 = tarn_dropout_forward(&a1, x), *x2 = tarn_dropout_forward(&a2, x);

    check_fail_acquisition(f->pool, 1); /* a failed call is not counted */
    assert_null(tarn_dropout_forward(&b1, z));
    expect_error(twin, TARN_ENOMEM, "dropout \"d1\": ", "");
    tarn_tensor *z2 = tarn_dropout_forward(&b2, z), *z1 = tarn_dropout_forward(&b1, z);
    assert_true(same_values(x1, z1) && same_values(x2, z2));
    assert_false(same_values(x1, x2));
    assert_int_equal(tarn_manager_destroy(twin), 0);
}

static void test_dropout_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const double bad[] = { -0.1, 1.1, NAN, INFINITY };
    for (int i = 0; i < 4; i++) {
        assert_null(tarn_dropout_create(root, "d", bad[i]).module);
        expect_error(f->tm, TARN_EARG, "module: ", "probability");
    }
    tarn_dropout_layer d = tarn_dropout_create(root, "d", 0.5);
    assert_null(tarn_dropout_forward(&d, NULL));
    expect_error(f->tm, TARN_EARG, "dropout \"d\": ", "NULL");
    assert_null(tarn_dropout_forward(&d, tarn_ones(f->tm, TARN_I32, TARN_SHAPE(3))));
    expect_error(f->tm, TARN_EDTYPE, "dropout \"d\": ", "int32");
}

/* ---- multilayer perceptron */

static void test_mlp_shapes(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const int64_t sizes[] = { 5, 7, 9, 3 };
    tarn_mlp net = tarn_mlp_create(root, "net", sizes, 4, NULL);
    assert_int_equal(net.n_layers, 3);
    assert_null(net.dropouts);
    assert_int_equal(tarn_module_parameter_count(root), 6);
    assert_int_equal(tarn_module_numel(root), 5 * 7 + 7 + 7 * 9 + 9 + 9 * 3 + 3);
    assert_ptr_equal(tarn_module_find(root, "net.1.weight"), net.layers[1].weight);
    tarn_tensor *y = tarn_mlp_forward(&net, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 5)));
    assert_int_equal(tarn_dim(y, 0), 4);
    assert_int_equal(tarn_dim(y, 1), 3);

    tarn_mlp one = tarn_mlp_create(root, "one", sizes, 2, &(tarn_mlp_options){ .dropout = 0.5 });
    assert_int_equal(one.n_layers, 1);
    assert_null(one.dropouts);
    y = tarn_mlp_forward(&one, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(5)));
    assert_int_equal(tarn_ndim(y), 1);
    assert_int_equal(tarn_dim(y, 0), 7);
}

/* The net computes what its parts compute one after the other. */
static void test_mlp_forward(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const int64_t sizes[] = { 6, 8, 8, 2 };
    tarn_tensor *x = tarn_random_normal(f->tm, TARN_F64, TARN_SHAPE(10, 6), 0, 1, 0);
    for (int a = 0; a < 6; a++) {
        char name[] = { (char)('0' + a), '\0' };
        tarn_mlp net = tarn_mlp_create(root, name, sizes, 4,
                                       &(tarn_mlp_options){ .activation = (tarn_activation)a,
                                                            .dtype = TARN_F64,
                                                            .dropout = 0.3 });
        assert_non_null(net.dropouts);
        tarn_module_eval(net.module);
        tarn_tensor *h = x;
        for (int i = 0; i < 3; i++) {
            h = tarn_linear_forward(&net.layers[i], h);
            if (i == 2) break;
            h = a == TARN_RELU      ? tarn_relu(h)
                : a == TARN_TANH    ? tarn_tanh(h)
                : a == TARN_SIGMOID ? tarn_sigmoid(h)
                : a == TARN_GELU    ? tarn_gelu(h)
                : a == TARN_SILU    ? tarn_silu(h)
                                    : tarn_leaky_relu(h, 0.01);
        }
        tarn_tensor *y = tarn_mlp_forward(&net, x);
        assert_memory_equal(tarn_data(y), tarn_data(h), 20 * sizeof(double));
        tarn_module_train(net.module);
        assert_int_not_equal(
            memcmp(tarn_data(tarn_mlp_forward(&net, x)), tarn_data(h), 20 * sizeof(double)), 0);
    }
}

static void test_mlp_messages(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const int64_t sizes[] = { 5, 7, 3 };
    tarn_mlp net = tarn_mlp_create(root, "net", sizes, 3, NULL);
    assert_null(tarn_mlp_forward(&net, tarn_ones(f->tm, TARN_F32, TARN_SHAPE(4, 6))));
    expect_error(f->tm, TARN_ESHAPE, "linear \"net.0\": ", "[4,6]");
    assert_null(tarn_mlp_forward(&net, NULL));
    expect_error(f->tm, TARN_EARG, "mlp \"net\": ", "NULL");
}

static void test_mlp_refused(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    const int64_t good[] = { 5, 7, 3 }, bad[] = { 5, 7, 0 };
    const struct {
        const int64_t *sizes;
        int n;
        tarn_mlp_options options;
        tarn_status code;
    } cases[] = {
        { NULL, 3, { 0 }, TARN_EARG },
        { good, 1, { 0 }, TARN_EARG },
        { good, -4, { 0 }, TARN_EARG },
        { bad, 3, { 0 }, TARN_ESHAPE },
        { good, 3, { .dropout = 2 }, TARN_EARG },
        { good, 3, { .dropout = NAN }, TARN_EARG },
        { good, 3, { .activation = (tarn_activation)9 }, TARN_EARG },
        { good, 3, { .dtype = TARN_U8 }, TARN_EDTYPE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tarn_mlp net = tarn_mlp_create(root, "net", cases[i].sizes, cases[i].n, &cases[i].options);
        assert_true(net.module == NULL && net.layers == NULL && net.n_layers == 0);
        assert_null(tarn_mlp_forward(&net, NULL));
        assert_int_equal(tarn_error_code(f->tm), cases[i].code);
        tarn_clear_error(f->tm);
        assert_int_equal(tarn_module_parameter_count(root), 0);
        assert_int_equal(tarn_pool_get_stats(f->pool).live_blocks, 0);
    }
}

/* A system whose n-th reservation fails, and so do all after it. */
typedef struct failing_system {
    int64_t left; /* reservations that succeed before that; negative: all succeed */
} failing_system;

static void *reserve(void *context, size_t bytes)
{
    failing_system *s = context;
    if (s->left == 0) return NULL;
    if (s->left > 0) s->left--;
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory != NULL) memset(memory, 0, bytes);
    return memory;
}

static void release(void *context, void *memory, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(memory);
}

/* Makes, trains and ends a net. Returns the digest, or 0 with the code of the error. */
static uint64_t life_of_a_net(tarn_manager *tm, tarn_status *code)
{
    const int64_t sizes[] = { 4, 16, 16, 2 };
    tarn_module *root = tarn_module_create(tm);
    tarn_mlp net = tarn_mlp_create(root, "net", sizes, 4, &(tarn_mlp_options){ .dropout = 0.2 });
    tarn_optimizer *adam = tarn_adam_create(net.module, NULL);
    TARN_SCOPE(tm);
    tarn_tensor *x = tarn_random_normal(tm, TARN_F32, TARN_SHAPE(12, 4), 0, 1, 0);
    tarn_loader *loader =
        tarn_loader_create(x, tarn_zeros(tm, TARN_F32, TARN_SHAPE(12, 2)),
                           &(tarn_loader_options){ .batch_size = 5, .shuffle = true });
    tarn_tensor *y;
    while (tarn_loader_next(loader, &x, &y)) {
        tarn_backward(tarn_mse(tarn_mlp_forward(&net, x), y));
        tarn_optimizer_step(adam);
    }
    const uint64_t digest = tarn_module_digest(root);
    *code = tarn_error_code(tm);
    tarn_loader_destroy(loader);
    tarn_optimizer_destroy(adam);
    tarn_module_destroy(root);
    return *code == TARN_OK ? digest : 0;
}

/* Lets the n-th acquisition, or reservation, fail in one life of a net, and expects the second life
 * to give the expected bits. Returns true if the first one did so, too: then n was out of reach. */
static bool survive(uint64_t n, bool of_system, uint64_t expected)
{
    failing_system memory = { -1 };
    const tarn_system system = { reserve, release, &memory, NULL };
    tarn_pool *pool = tarn_pool_create(&(tarn_pool_options){ .system = &system }, NULL);
    uint64_t digests[2] = { 0 };
    tarn_status codes[2];
    for (int life = 0; life < 2; life++) {
        tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = pool });
        assert_non_null(tm);
        if (life == 0 && of_system) memory.left = (int64_t)n - 1;
        if (life == 0 && !of_system) check_fail_acquisition(pool, n);
        digests[life] = life_of_a_net(tm, &codes[life]);
        memory.left = -1;
        check_fail_acquisition(pool, 0);
        assert_int_equal(tarn_manager_destroy(tm), 0);
        assert_int_equal(tarn_pool_get_stats(pool).live_blocks, 0);
        assert_int_equal(tarn_pool_check(pool), TARN_OK);
    }
    assert_true(codes[0] == TARN_OK || codes[0] == TARN_ENOMEM);
    assert_int_equal(codes[1], TARN_OK);
    assert_true(digests[1] == expected);
    assert_true(digests[0] == expected || codes[0] != TARN_OK);
    assert_int_equal(tarn_pool_destroy(pool), TARN_OK);
    return codes[0] == TARN_OK;
}

/* Whatever fails, there is a status, nothing leaks, and trying again gives the same bits. A
 * reservation may also fail without harm, where there is another way: only ten that do so in a row
 * count as out of reach. */
static void test_short_memory(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .pool = f->pool });
    tarn_status code;
    const uint64_t expected = life_of_a_net(tm, &code);
    assert_int_equal(code, TARN_OK);
    assert_int_equal(tarn_manager_destroy(tm), 0);
    for (int of_system = 0; of_system < 2; of_system++) {
        uint64_t n = 0;
        for (int unharmed = 0; unharmed < 10; n++)
            unharmed = survive(n + 1, of_system, expected) ? unharmed + 1 : 0;
        assert_true(n > 20);
    }
}

/* ---- metrics */

static void test_accuracy(void **state)
{
    check_fixture *f = *state;
    const double scores[] = { 1, 2, 3, 3, 2, 1, 2, 2, 1, 0, NAN, 9, -5, -4, -6, 0, 0, 0 };
    const int64_t labels[] = {
        2, 0, 0, 2, 1, 7
    }; /* the fourth row has a NaN, the last label is no class */
    tarn_tensor *x64 = tarn_from_array(f->tm, TARN_F64, TARN_SHAPE(6, 3), scores);
    tarn_tensor *y64 = tarn_from_array(f->tm, TARN_I64, TARN_SHAPE(6), labels);
    const tarn_dtype floats[] = { TARN_F32, TARN_F64 },
                     integers[] = { TARN_I32, TARN_I64, TARN_U8 };
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            tarn_tensor *x = tarn_cast(x64, floats[i]), *y = tarn_cast(y64, integers[j]);
            assert_int_equal(tarn_count_correct(x, y), 4);
            assert_true(tarn_accuracy(x, y) == 4. / 6);
            tarn_tensor *flipped = tarn_transpose(tarn_contiguous(tarn_transpose(x, 0, 1)), 0, 1);
            assert_false(tarn_is_contiguous(flipped));
            assert_int_equal(tarn_count_correct(flipped, y), 4);
        }
    }
    assert_int_equal(tarn_count_correct(tarn_expand(tarn_slice(x64, 0, 0, 1), TARN_SHAPE(5, 3)),
                                        tarn_full(f->tm, TARN_I32, TARN_SHAPE(5), 2)),
                     5);
    tarn_tensor *none = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(0, 3));
    tarn_tensor *no_labels = tarn_zeros(f->tm, TARN_I64, TARN_SHAPE(0));
    assert_int_equal(tarn_count_correct(none, no_labels), 0);
    assert_true(isnan(tarn_accuracy(none, no_labels)));
    assert_true(tarn_ok(f->tm));
}

static void test_accuracy_records_nothing(void **state)
{
    check_fixture *f = *state;
    tarn_module *root = tarn_module_create(f->tm);
    tarn_tensor *w = tarn_module_add_parameter(root, "w", TARN_F32, TARN_SHAPE(4, 3), NULL);
    tarn_tensor *labels = tarn_zeros(f->tm, TARN_I64, TARN_SHAPE(4));
    const tarn_manager_stats before = tarn_manager_get_stats(f->tm);
    assert_true(tarn_count_correct(w, labels) >= 0);
    const tarn_manager_stats after = tarn_manager_get_stats(f->tm);
    assert_int_equal(after.tape_length, before.tape_length);
    assert_int_equal(after.created, before.created);
    assert_int_equal(after.views, before.views);
}

static void test_accuracy_refused(void **state)
{
    check_fixture *f = *state;
    tarn_tensor *x = tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(4, 3));
    tarn_tensor *y = tarn_zeros(f->tm, TARN_I64, TARN_SHAPE(4));
    const struct {
        tarn_tensor *x, *y;
        tarn_status code;
    } cases[] = {
        { x, tarn_zeros(f->tm, TARN_I64, TARN_SHAPE(5)), TARN_ESHAPE },
        { x, x, TARN_ESHAPE },
        { y, y, TARN_ESHAPE },
        { x, tarn_zeros(f->tm, TARN_F32, TARN_SHAPE(4)), TARN_EDTYPE },
        { tarn_zeros(f->tm, TARN_I32, TARN_SHAPE(4, 3)), y, TARN_EDTYPE },
        { x, NULL, TARN_EARG },
        { NULL, y, TARN_EARG },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(tarn_count_correct(cases[i].x, cases[i].y), -1);
        expect_error(f->tm, cases[i].code, "tarn_count_correct: ", "");
        assert_true(isnan(tarn_accuracy(cases[i].x, cases[i].y)));
        tarn_clear_error(f->tm);
    }
}

static void test_null(void **state)
{
    check_fixture *f = *state;
    tarn_linear l = tarn_linear_create(NULL, "l", 1, 1);
    assert_true(l.module == NULL && l.weight == NULL && l.bias == NULL);
    assert_null(tarn_dropout_create(NULL, "d", 0.5).module);
    assert_null(tarn_mlp_create(NULL, "m", NULL, 0, NULL).module);
    assert_null(tarn_linear_forward(NULL, NULL));
    assert_null(tarn_dropout_forward(NULL, NULL));
    assert_null(tarn_mlp_forward(NULL, NULL));
    assert_int_equal(tarn_count_correct(NULL, NULL), -1);
    assert_true(isnan(tarn_accuracy(NULL, NULL)));

    tarn_tensor *x = tarn_ones(f->tm, TARN_F32, TARN_SHAPE(1, 1));
    assert_null(tarn_linear_forward(NULL, x));
    expect_error(f->tm, TARN_EARG, "linear: ", "NULL");
    assert_null(tarn_dropout_forward(NULL, x));
    expect_error(f->tm, TARN_EARG, "dropout: ", "NULL");
    assert_null(tarn_mlp_forward(NULL, x));
    expect_error(f->tm, TARN_EARG, "mlp: ", "NULL");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_linear_forward),
        TEST(test_linear_shapes),
        TEST(test_linear_messages),
        TEST(test_linear_refused),
        TEST(test_dropout_rate),
        TEST(test_dropout_mode),
        TEST(test_dropout_draws),
        TEST(test_dropout_refused),
        TEST(test_mlp_shapes),
        TEST(test_mlp_forward),
        TEST(test_mlp_messages),
        TEST(test_mlp_refused),
        TEST(test_short_memory),
        TEST(test_accuracy),
        TEST(test_accuracy_records_nothing),
        TEST(test_accuracy_refused),
        TEST(test_null),
    };
#undef TEST
    return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}
