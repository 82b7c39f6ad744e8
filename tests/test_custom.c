/* SPDX-License-Identifier: MIT
 * test_custom.c - operations of a program's own. */
#include <tarn/tarn.h>

#include "check.h"
#include "cube.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))
#define VECTOR(tm, ...)                                                      \
    tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                    (const double[]){ __VA_ARGS__ })
#define LEAF(tm, ...) tarn_require_grad(VECTOR(tm, __VA_ARGS__))
#define EXPECT(t, ...) \
    check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 1e-14)

/* ---- an operation like any other */

static tarn_tensor *apply_cube(tarn_tensor *const *inputs, int n, void *context)
{
    return tarn_custom_apply(context, (tarn_list){ n, inputs }, NULL, 0);
}

static void a_cube_is_an_operation_like_any_other(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_custom *op = tarn_custom_create(tm, &cube_options);
    tarn_tensor *x = LEAF(tm, 1, 2, -3, 0.5), *g[1], *h[1];
    EXPECT(tarn_custom_apply(op, TARN_LIST(x), NULL, 0), 1, 8, -27, 0.125);
    tarn_tensor *t = tarn_transpose(tarn_reshape(x, TARN_SHAPE(2, 2)), 0, 1);
    EXPECT(tarn_custom_apply(op, TARN_LIST(t), NULL, 0), 1, -27, 8, 0.125);
    check_status(tarn_gradcheck(apply_cube, &x, 1, op, NULL, NULL), TARN_OK);
    tarn_tensor *y = tarn_sum(tarn_custom_apply(op, TARN_LIST(x), NULL, 0), TARN_ALL_AXES);
    check_status(tarn_backward(tarn_add(y, y)), TARN_OK);
    EXPECT(tarn_grad_of(x), 6, 24, 54, 1.5);
    y = tarn_custom_apply(op, TARN_LIST(tarn_slice(x, 0, 0, 1)), NULL, 0);
    check_status(
        tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &(tarn_grad_options){ .create_graph = true }),
        TARN_OK);
    check_status(tarn_grad(TARN_LIST(tarn_slice(g[0], 0, 0, 1)), TARN_LIST(x), h, NULL), TARN_OK);
    EXPECT(h[0], 6, 0, 0, 0);
    tarn_tensor *single = tarn_cast(x, TARN_F32);
    EXPECT(tarn_custom_apply(op, TARN_LIST(single), NULL, 0), 1, 8, -27, 0.125);
    tarn_tensor *none = tarn_zeros(tm, TARN_F64, TARN_SHAPE(0, 3));
    assert_int_equal(tarn_dim(tarn_custom_apply(op, TARN_LIST(none), NULL, 0), 1), 3);
}

/* ---- every option: attributes, a shape of its own, optional operands, room, context */

typedef struct scaling {
    double by;
    int64_t times;
} scaling;

static tarn_status repeat_infer(const tarn_custom_call *c, tarn_shape *shape, tarn_dtype *dtype)
{
    const scaling *s = c->attributes;
    (void)dtype;
    if (c->in[0].shape.ndim != 1)
        return tarn_custom_fail(c, TARN_ESHAPE, "x has %d axes; one is needed",
                                c->in[0].shape.ndim);
    *shape = TARN_SHAPE(s->times, c->in[0].n);
    return TARN_OK;
}

static tarn_status repeat_forward(const tarn_custom_call *c)
{
    const scaling *s = c->attributes;
    const double *x = c->in[0].data, *offset = c->in[1].data;
    double *y = c->out.data, *room = c->scratch;
    (*(int *)c->context)++;
    for (int64_t i = 0; i < c->in[0].n; i++)
        room[i] = s->by * x[i] + (offset != NULL ? offset[i] : 0);
    for (int64_t i = 0; i < c->out.n; i++) y[i] = room[i % c->in[0].n];
    return TARN_OK;
}

static tarn_status repeat_backward(const tarn_custom_call *c)
{
    const scaling *s = c->attributes;
    const double *dy = c->dout.data;
    assert_null(c->scratch);
    for (int k = 0; k < 2; k++) {
        double *dx = c->din[k].data;
        for (int64_t i = 0; i < c->in[0].n && dx != NULL; i++) {
            double sum = c->add[k] ? dx[i] : 0;
            for (int64_t j = i; j < c->dout.n; j += c->in[0].n) sum += (k == 0 ? s->by : 1) * dy[j];
            dx[i] = sum;
        }
    }
    return TARN_OK;
}

static size_t repeat_scratch(const tarn_custom_call *c, bool backward)
{
    return backward ? 0 : (size_t)c->in[0].n * sizeof(double);
}

static void attributes_shapes_and_room(void **state)
{
    tarn_manager *tm = MANAGER(state);
    int calls = 0;
    tarn_custom_options o = { .name = "repeat",
                              .operands = { "x", "offset" },
                              .optional = 1u << 1,
                              .infer = repeat_infer,
                              .forward = repeat_forward,
                              .backward = repeat_backward,
                              .scratch_bytes = repeat_scratch,
                              .context = &calls };
    tarn_custom *op = tarn_custom_create(tm, &o);
    tarn_tensor *x = LEAF(tm, 1, 2), *offset = LEAF(tm, 10, 20);
    scaling s = { 3, 2 };
    tarn_tensor *y = tarn_custom_apply(op, TARN_LIST(x, offset), &s, sizeof(s));
    s.by = 0; /* it was copied */
    assert_int_equal(tarn_dim(y, 0), 2);
    EXPECT(y, 13, 26, 13, 26);
    check_status(tarn_backward(tarn_sum(y, TARN_ALL_AXES)), TARN_OK);
    EXPECT(tarn_grad_of(x), 6, 6);
    EXPECT(tarn_grad_of(offset), 2, 2);
    s.by = 3;
    EXPECT(tarn_custom_apply(op, TARN_LIST(x, NULL), &s, sizeof(s)), 3, 6, 3, 6);
    assert_int_equal(calls, 2);
    tarn_tensor *square = tarn_zeros(tm, TARN_F64, TARN_SHAPE(2, 2));
    assert_null(tarn_custom_apply(op, TARN_LIST(square, NULL), &s, sizeof(s)));
    check_error(tm, TARN_ESHAPE, "repeat: x has 2 axes; one is needed");
    s.times = -1;
    assert_null(tarn_custom_apply(op, TARN_LIST(x, NULL), &s, sizeof(s)));
    check_error_part(tm, TARN_ESHAPE, "repeat: its infer function gave a shape that cannot be");
}

/* ---- what goes wrong */

static tarn_status refuse(const tarn_custom_call *c)
{
    (void)c;
    return TARN_EIO;
}

static void functions_fail(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_custom_options o = { .name = "cube", .operands = { "x" }, .forward = refuse };
    tarn_tensor *x = LEAF(tm, 1);
    assert_null(tarn_custom_apply(tarn_custom_create(tm, &o), TARN_LIST(x), NULL, 0));
    check_error_part(tm, TARN_EIO, "cube: its forward function failed: ");
    o = cube_options;
    o.backward = refuse;
    tarn_tensor *y = tarn_custom_apply(tarn_custom_create(tm, &o), TARN_LIST(x), NULL, 0);
    check_status(tarn_backward(y), TARN_EIO);
    check_error_part(tm, TARN_EIO, "cube: its backward function failed: ");
    assert_false(tarn_has_grad(x));
}

static tarn_tensor *no_graph(tarn_list operands, tarn_tensor *result, tarn_tensor *dy, int i,
                             const void *attributes, void *context)
{
    (void)operands, (void)result, (void)dy, (void)i, (void)attributes, (void)context;
    return NULL;
}

static void a_gradient_is_missing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_custom_options o = cube_options;
    o.graph = no_graph;
    tarn_tensor *x = LEAF(tm, 1), *g[1];
    tarn_tensor *y = tarn_custom_apply(tarn_custom_create(tm, &o), TARN_LIST(x), NULL, 0);
    const tarn_grad_options create = { .create_graph = true };
    check_status(tarn_grad(TARN_LIST(y), TARN_LIST(x), g, &create), TARN_EARG);
    check_error(tm, TARN_EARG, "cube: its graph function returned NULL");
}

static void wrong_descriptions_and_calls(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1), *labels = tarn_zeros(tm, TARN_I32, TARN_SHAPE(1)), *none = NULL;
    assert_null(tarn_custom_create(tm, NULL));
    check_error(tm, TARN_EARG, "tarn_custom_create: the operation has no name");
    assert_null(tarn_custom_create(tm, &(tarn_custom_options){ .name = "f" }));
    check_error(tm, TARN_EARG, "tarn_custom_create: f has no forward function");
    assert_null(tarn_custom_create(tm, &(tarn_custom_options){ .name = "f", .forward = refuse }));
    check_error(tm, TARN_EARG, "tarn_custom_create: f needs a first operand that is not optional");
    assert_null(tarn_custom_create(NULL, &cube_options));
    tarn_custom *op = tarn_custom_create(tm, &cube_options);
    assert_null(tarn_custom_apply(op, TARN_LIST(x, x), NULL, 0));
    check_error(tm, TARN_EARG, "cube: 2 operands are given; it has 1");
    assert_null(tarn_custom_apply(op, TARN_LIST(labels), NULL, 0));
    check_error(tm, TARN_EDTYPE,
                "cube: x is int32; float32 or float64 is needed (tarn_cast converts)");
    assert_null(tarn_custom_apply(op, TARN_LIST(x), &x, 65));
    check_error_part(tm, TARN_EARG, "cube: 65 bytes of attributes");
    tarn_manager *other = tarn_manager_create(NULL);
    assert_null(tarn_custom_apply(op, TARN_LIST(LEAF(other, 1)), NULL, 0));
    check_error(tm, TARN_ESTATE, "cube: operand x belongs to another manager than the operation");
    tarn_manager_destroy(other);
    assert_null(tarn_custom_apply(op, TARN_LIST(none), NULL, 0));
    assert_null(tarn_custom_apply(NULL, TARN_LIST(x), NULL, 0));
    assert_true(tarn_ok(tm));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_cube_is_an_operation_like_any_other),
        TEST(attributes_shapes_and_room),
        TEST(functions_fail),
        TEST(a_gradient_is_missing),
        TEST(wrong_descriptions_and_calls),
    };
    return cmocka_run_group_tests_name("custom", tests, NULL, NULL);
}
