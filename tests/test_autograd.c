/* SPDX-License-Identifier: MIT
 * test_autograd.c - gradients of compositions, what backward ends and keeps, and every way to use
 * it wrongly. */
#define _GNU_SOURCE /* setrlimit, fork */

#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tarn/tarn.h>

#include "check.h"
#include "ops/op.h"

/* ---- words of these tests */

#define MANAGER(state) (((check_fixture *)*(state))->tm)
#define COUNT(...) (sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))

/* F64 constants and leaves of one axis. */
#define VECTOR(tm, ...)                                                      \
    tarn_from_array((tm), TARN_F64, TARN_SHAPE((int64_t)COUNT(__VA_ARGS__)), \
                    (const double[]){ __VA_ARGS__ })
#define LEAF(tm, ...) tarn_require_grad(VECTOR((tm), __VA_ARGS__))

/* The values, or the gradient, of t. Exact unless said otherwise. */
#define EXPECT(t, ...) check_close((t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 0)
#define EXPECT_GRAD(t, ...) EXPECT(tarn_grad_of(t), __VA_ARGS__)
#define EXPECT_GRAD_NEAR(t, ...) \
    check_close(tarn_grad_of(t), ((const double[]){ __VA_ARGS__ }), COUNT(__VA_ARGS__), 1e-12)

static tarn_tensor *total(tarn_tensor *x) { return tarn_sum(x, TARN_ALL_AXES); }

static void backward(tarn_tensor *loss) { check_status(tarn_backward(loss), TARN_OK); }

static uint64_t tape_length(tarn_manager *tm) { return tarn_manager_get_stats(tm).tape_length; }

static size_t live_blocks(tarn_manager *tm)
{
    return tarn_pool_get_stats(tarn_manager_pool(tm)).live_blocks;
}

/* A scope is over where the braces end, so that leaves of it can be looked at before. */

/* ---- right gradients */

/* loss = mean((tanh(x w^T + b) - y)^2):  with t = tanh(...) and d = 2 (t - y)(1 - t^2) / n,
 * dw = d^T x, db = d summed over rows, dx = d w. */
static void a_layer_against_its_formulas(void **state)
{
    tarn_manager *tm = MANAGER(state);
    enum { B = 5, I = 3, O = 4 };
    tarn_tensor *x =
        tarn_require_grad(tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(B, I), -1, 1, 1));
    tarn_tensor *w =
        tarn_require_grad(tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(O, I), -1, 1, 2));
    tarn_tensor *b = tarn_require_grad(tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(O), -1, 1, 3));
    tarn_tensor *y = tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(B, O), -1, 1, 4);
    const double *X = tarn_data(x), *W = tarn_data(w), *C = tarn_data(b), *Y = tarn_data(y);
    double dx[B * I] = { 0 }, dw[O * I] = { 0 }, db[O] = { 0 }, loss = 0;
    for (int i = 0; i < B; i++)
        for (int o = 0; o < O; o++) {
            double z = C[o];
            for (int k = 0; k < I; k++) z += X[i * I + k] * W[o * I + k];
            const double t = tanh(z), d = 2 * (t - Y[i * O + o]) * (1 - t * t) / (B * O);
            loss += (t - Y[i * O + o]) * (t - Y[i * O + o]) / (B * O);
            db[o] += d;
            for (int k = 0; k < I; k++) {
                dw[o * I + k] += d * X[i * I + k];
                dx[i * I + k] += d * W[o * I + k];
            }
        }
    tarn_tensor *fused = tarn_mse(tarn_tanh(tarn_affine(x, w, b)), y);
    check_close(fused, &loss, 1, 1e-14);
    backward(fused);
    check_close(tarn_grad_of(x), dx, B * I, 1e-14);
    check_close(tarn_grad_of(w), dw, O * I, 1e-14);
    check_close(tarn_grad_of(b), db, O, 1e-14);

    tarn_zero_grad(x);
    tarn_zero_grad(w);
    tarn_zero_grad(b);
    tarn_tensor *z = tarn_add(tarn_matmul(x, tarn_transpose(w, 0, 1)), b);
    backward(tarn_mean(tarn_square(tarn_sub(tarn_tanh(z), y)), TARN_ALL_AXES));
    check_close(tarn_grad_of(x), dx, B * I, 1e-14);
    check_close(tarn_grad_of(w), dw, O * I, 1e-14);
    check_close(tarn_grad_of(b), db, O, 1e-14);
}

/* a = 2 x splits into exp and tanh and meets again in their product. */
static void a_diamond(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, -0.5, 0.25);
    tarn_tensor *a = tarn_mul_scalar(x, 2);
    backward(total(tarn_mul(tarn_exp(a), tarn_tanh(a))));
    double want[2];
    const double values[] = { -0.5, 0.25 };
    for (int i = 0; i < 2; i++) {
        const double e = exp(2 * values[i]), t = tanh(2 * values[i]);
        want[i] = 2 * (e * t + e * (1 - t * t));
    }
    check_close(tarn_grad_of(x), want, 2, 1e-14);
}

/* Both operands one tensor: as a leaf, and as an intermediate, whose gradient has one buffer. */
static void both_operands_are_one_tensor(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int intermediate = 0; intermediate < 2; intermediate++) {
        tarn_tensor *x = LEAF(tm, -1.5, 2);
        for (int which = 0; which < 7; which++) {
            TARN_SCOPE(tm);
            tarn_tensor *t = intermediate ? tarn_mul_scalar(x, 1) : x, *y = NULL;
            double want[2] = { 0, 0 };
            switch (which) {
            case 0: y = tarn_add(t, t), want[0] = want[1] = 2; break;
            case 1: y = tarn_sub(t, t); break;
            case 2: y = tarn_mul(t, t), want[0] = -3, want[1] = 4; break;
            case 3: y = tarn_div(t, t); break;
            case 4: y = tarn_maximum(t, t), want[0] = want[1] = 1; break;
            case 5: y = tarn_minimum(t, t), want[0] = want[1] = 1; break;
            default: y = tarn_mse(t, t); break;
            }
            backward(which == 6 ? y : total(y));
            check_close(tarn_grad_of(x), want, 2, 1e-15);
            tarn_zero_grad(x);
        }
        tarn_tensor *m = tarn_require_grad(
            tarn_from_array(tm, TARN_F64, TARN_SHAPE(2, 2), (const double[]){ 1, 2, 3, 4 }));
        tarn_tensor *t = intermediate ? tarn_reshape(m, TARN_SHAPE(2, 2)) : m;
        backward(total(tarn_matmul(t, t))); /* dm = 1 m^T + m^T 1 */
        EXPECT_GRAD(m, 7, 11, 9, 13);
        tarn_zero_grad(m);
        t = intermediate ? tarn_reshape(m, TARN_SHAPE(2, 2)) : m;
        backward(total(tarn_affine(t, t, NULL))); /* y = m m^T: dm = 2 1 m */
        EXPECT_GRAD(m, 8, 12, 8, 12);
    }
}

static void a_tensor_used_many_times(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, -2, 0.5);
    tarn_tensor *t = tarn_neg(x), *sum = tarn_mul_scalar(t, 0);
    for (int i = 1; i <= 20; i++) sum = tarn_add(sum, tarn_mul_scalar(i % 2 == 0 ? t : x, i));
    backward(total(sum)); /* 1 + 3 + ... + 19 - (2 + 4 + ... + 20) */
    EXPECT_GRAD(x, -10, -10, -10);
}

static tarn_tensor *two_layers_of_one_weight(tarn_tensor *const *inputs, int n, void *context)
{
    (void)n;
    (void)context;
    tarn_tensor *h = tarn_tanh(tarn_affine(inputs[0], inputs[1], inputs[2]));
    return tarn_tanh(tarn_affine(h, inputs[1], inputs[2]));
}

static void a_parameter_used_twice(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *const inputs[] = {
        tarn_require_grad(tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(2, 3), -1, 1, 1)),
        tarn_require_grad(tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(3, 3), -1, 1, 2)),
        tarn_require_grad(tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(3), -1, 1, 3)),
    };
    check_status(tarn_gradcheck(two_layers_of_one_weight, inputs, 3, NULL, NULL, NULL), TARN_OK);
}

/* Gradients of one size in another shape: (1, 4) must not reach where (4) is meant. */
static void shapes_of_equal_size(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2, 3, 4, 5);
    tarn_tensor *row =
        tarn_from_array(tm, TARN_F64, TARN_SHAPE(1, 4), (const double[]){ 1, 10, 100, 1000 });
    backward(total(tarn_mul(tarn_neg(tarn_add(tarn_slice(x, 0, 1, 5), row)), row)));
    EXPECT_GRAD(x, 0, -1, -10, -100, -1000);
    tarn_zero_grad(x);
    tarn_tensor *square = tarn_reshape(tarn_slice(x, 0, 0, 4), TARN_SHAPE(2, 2));
    tarn_tensor *folded =
        tarn_reshape(tarn_transpose(tarn_mul(square, square), 0, 1), TARN_SHAPE(2, 1, 2));
    backward(total(tarn_mul(tarn_sum(folded, TARN_AXES(1)), tarn_reshape(row, TARN_SHAPE(2, 2)))));
    EXPECT_GRAD(x, 2, 400, 60, 8000, 0);
}

/* Strides of every kind as operands, against the same values without gaps. */
static void strided_operands(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *base = tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(4, 6), 0.5, 2, 1);
    tarn_tensor *cotangent = tarn_random_uniform(tm, TARN_F64, TARN_SHAPE(3, 3), -1, 1, 2);
    double values[4][9], grads[2][2][9];
    for (int copied = 0; copied < 2; copied++) {
        tarn_tensor *a = tarn_transpose(tarn_slice(tarn_slice(base, 0, 1, 4), 1, 0, 3), 0, 1);
        tarn_tensor *b =
            tarn_expand(tarn_slice(tarn_slice(base, 0, 0, 1), 1, 3, 6), TARN_SHAPE(3, 3));
        a = tarn_require_grad(copied ? tarn_contiguous(tarn_detach(a)) : tarn_detach(a));
        b = tarn_require_grad(copied ? tarn_contiguous(tarn_detach(b)) : tarn_detach(b));
        tarn_tensor *y = tarn_matmul(tarn_div(tarn_exp(a), b), tarn_softmax(tarn_add(a, b), 1));
        y = tarn_mul(y, tarn_log_softmax(tarn_pow(a, b), 0));
        tarn_copy_to(y, values[copied], sizeof values[0]);
        check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = cotangent }),
                     TARN_OK);
        tarn_copy_to(tarn_grad_of(a), grads[copied][0], sizeof grads[0][0]);
        tarn_copy_to(tarn_grad_of(b), grads[copied][1], sizeof grads[0][0]);
    }
    check_close_array(values[0], values[1], 9, 1e-13);
    check_close_array(grads[0][0], grads[1][0], 9, 1e-13);
    check_close_array(grads[0][1], grads[1][1], 9, 1e-13);
}

/* ---- accumulating, emptying, reading */

/* Every path that a leaf's gradient can take gives twice as much after two passes. */
static void two_passes_add(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *other = tarn_full(tm, TARN_F64, TARN_SHAPE(2, 2), 0.5);
    for (int which = 0; which < 9; which++) {
        double first[4], second[4];
        tarn_tensor *x = tarn_require_grad(tarn_from_array(
            tm, TARN_F64, TARN_SHAPE(2, 2), (const double[]){ 0.1, 0.7, -0.4, 1.3 }));
        for (int pass = 0; pass < 2; pass++) {
            TARN_SCOPE(tm);
            tarn_tensor *y = NULL;
            switch (which) {
            case 0: y = tarn_tanh(x); break;
            case 1: y = tarn_mul(other, x); break;
            case 2: y = tarn_matmul(x, x); break;
            case 3: y = tarn_affine(other, x, NULL); break;
            case 4: y = tarn_square(tarn_transpose(x, 0, 1)); break;
            case 5: y = tarn_square(tarn_slice(x, 0, 1, 2)); break;
            case 6: y = tarn_exp(tarn_expand(x, TARN_SHAPE(3, 2, 2))); break;
            case 7: y = tarn_softmax(x, 0); break;
            default: y = tarn_square(tarn_reshape(x, TARN_SHAPE(4))); break;
            }
            tarn_tensor *v = tarn_arange(tm, TARN_F64, 1, 1 + (double)tarn_numel(y), 1);
            v = tarn_reshape(v, tarn_get_shape(y));
            check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = v }), TARN_OK);
            tarn_copy_to(tarn_grad_of(x), pass == 0 ? first : second, sizeof first);
        }
        for (int i = 0; i < 4; i++) first[i] *= 2;
        check_close_array(second, first, 4, 1e-12);
    }
}

static void gradients_are_empty_arrived_or_consumed(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *net = tarn_module_create(tm);
    const tarn_init ones = { .kind = TARN_INIT_CONSTANT, .a = 1 };
    tarn_tensor *p = tarn_module_add_parameter(net, "p", TARN_F64, TARN_SHAPE(2), &ones);
    tarn_tensor *q = tarn_module_add_parameter(net, "q", TARN_F64, TARN_SHAPE(2), &ones);
    tarn_optimizer *opt = tarn_sgd_create(net, &(tarn_sgd_options){ .lr = 0.5 });

    assert_false(tarn_has_grad(p));
    EXPECT_GRAD(p, 0, 0);
    assert_false(tarn_has_grad(p));
    backward(total(tarn_mul_scalar(p, 3)));
    assert_true(tarn_has_grad(p));
    assert_false(tarn_has_grad(q));
    EXPECT_GRAD(p, 3, 3);
    tarn_tensor *grad = tarn_grad_of(p);

    check_status(tarn_optimizer_step(opt), TARN_OK);
    assert_false(tarn_has_grad(p));
    EXPECT(p, -0.5, -0.5);
    EXPECT(q, 1, 1);      /* it had none, and was skipped */
    EXPECT_GRAD(p, 3, 3); /* readable until the next write */
    assert_ptr_equal(tarn_grad_of(p), grad);

    backward(total(tarn_mul_scalar(p, 5)));
    EXPECT_GRAD(p, 5, 5); /* stored, not added */
    backward(total(tarn_mul_scalar(p, 5)));
    EXPECT_GRAD(p, 10, 10);
    check_status(tarn_zero_grad(p), TARN_OK);
    assert_false(tarn_has_grad(p));
    EXPECT_GRAD(p, 0, 0);
    backward(total(p));
    EXPECT_GRAD(p, 1, 1);
    tarn_module_zero_grad(net);
    EXPECT_GRAD(p, 0, 0);
    check_status(tarn_optimizer_step(opt), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "sgd: no parameter has received a gradient since the last step: was tarn_backward "
                "called, of a loss that they lead to? (An optimiser trains the parameters that its "
                "module had when it was made.)");
}

/* ---- second passes */

static void keep_graph_allows_another_pass(void **state)
{
    tarn_manager *tm = MANAGER(state);
    const tarn_backward_options keep = { .keep_graph = true };
    tarn_tensor *x = LEAF(tm, 1, 2);
    tarn_tensor *h = tarn_square(x), *loss = total(tarn_mul(h, x)); /* x^3 */
    const uint64_t length = tape_length(tm);
    check_status(tarn_backward_with(loss, &keep), TARN_OK);
    EXPECT_GRAD(x, 3, 12);
    EXPECT(h, 1, 4);
    assert_int_equal(tape_length(tm), length);
    check_status(tarn_backward_with(loss, &keep), TARN_OK);
    EXPECT_GRAD(x, 6, 24);
    backward(loss);
    EXPECT_GRAD(x, 9, 36);
    assert_int_equal(tape_length(tm), 0);
    assert_null(tarn_data(h));
    tarn_clear_error(tm);
}

static void a_second_pass_is_refused(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2);
    tarn_tensor *loss = tarn_set_name(total(tarn_square(x)), "loss");
    backward(loss);
    const size_t live = live_blocks(tm);
    check_status(tarn_backward(loss), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: the operations that computed tensor \"loss\" [] were released by "
                "an earlier pass: set keep_graph in that pass, add the losses before one pass, or "
                "cut off what the earlier one computed (tarn_detach)");
    EXPECT_GRAD(x, 2, 4);
    EXPECT(loss, 5);
    assert_int_equal(live_blocks(tm), live);
}

static void two_losses_on_a_trunk(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int kept = 0; kept < 2; kept++) {
        tarn_tensor *x = LEAF(tm, 1, 2), *z = LEAF(tm, 3, 4);
        tarn_tensor *trunk = tarn_square(x);
        tarn_tensor *a = total(tarn_exp(tarn_mul_scalar(trunk, 0))), *b = total(tarn_mul(trunk, z));
        check_status(tarn_backward_with(a, &(tarn_backward_options){ .keep_graph = kept }),
                     TARN_OK);
        EXPECT_GRAD(x, 0, 0);
        if (kept) {
            backward(b);
            EXPECT_GRAD(x, 6, 16);
            EXPECT_GRAD(z, 1, 4);
            continue;
        }
        check_status(tarn_backward(b), TARN_ESTATE);
        check_error(tm, TARN_ESTATE,
                    "tarn_backward: the operations that computed tensor [2] were released by an "
                    "earlier pass: set keep_graph in that pass, add the losses before one pass, or "
                    "cut off what the earlier one computed (tarn_detach)");
        assert_false(tarn_has_grad(z));
    }
    tarn_tensor *x = LEAF(tm, 1, 2);
    tarn_tensor *trunk = tarn_square(x);
    backward(tarn_add(total(trunk), total(tarn_mul(trunk, trunk)))); /* x^2 + x^4 */
    EXPECT_GRAD(x, 6, 36);
}

/* A trunk that a function with its own scope made; its own handles are gone when the second loss
 * goes back. */
static void two_losses_that_left_their_scope(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2), *a, *b;
    {
        TARN_SCOPE(tm);
        tarn_tensor *trunk = tarn_retain(tarn_square(x));
        a = tarn_escape(total(trunk));
        b = tarn_escape(total(tarn_mul(trunk, trunk)));
        tarn_release(trunk);
    }
    backward(a);
    EXPECT_GRAD(x, 2, 4);
    check_status(tarn_backward(b), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: the operations that computed tensor [2] were released by an "
                "earlier pass: set keep_graph in that pass, add the losses before one pass, or cut "
                "off what the earlier one computed (tarn_detach)");
    EXPECT_GRAD(x, 2, 4);
}

/* ---- seeds */

static void seeds(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = tarn_require_grad(
        tarn_from_array(tm, TARN_F64, TARN_SHAPE(2, 3), (const double[]){ 1, 2, 3, 4, 5, 6 }));
    tarn_tensor *v = tarn_arange(tm, TARN_F64, 0, 6, 1);
    tarn_tensor *turned =
        tarn_transpose(tarn_reshape(v, TARN_SHAPE(3, 2)), 0, 1); /* 0 2 4; 1 3 5 */
    check_status(tarn_backward_with(tarn_square(x), &(tarn_backward_options){ .gradient = turned }),
                 TARN_OK);
    EXPECT_GRAD(x, 0, 8, 24, 8, 30, 60);
    EXPECT(v, 0, 1, 2, 3, 4, 5);
    tarn_zero_grad(x);
    tarn_tensor *two = tarn_full(tm, TARN_F64, TARN_SCALAR, 2);
    check_status(tarn_backward_with(total(x), &(tarn_backward_options){ .gradient = two }),
                 TARN_OK);
    EXPECT_GRAD(x, 2, 2, 2, 2, 2, 2);
    /* One element is enough, of whatever rank. */
    tarn_zero_grad(x);
    backward(tarn_sum(x, TARN_AXES_KEEP(0, 1)));
    EXPECT_GRAD(x, 1, 1, 1, 1, 1, 1);
    /* A seed that requires a gradient itself gets none. */
    tarn_tensor *leaf = tarn_require_grad(tarn_full(tm, TARN_F64, TARN_SCALAR, 3));
    check_status(tarn_backward_with(total(x), &(tarn_backward_options){ .gradient = leaf }),
                 TARN_OK);
    assert_false(tarn_has_grad(leaf));
    EXPECT_GRAD(x, 4, 4, 4, 4, 4, 4);
}

static void wrong_seeds(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 1, 2, 3), *y = tarn_set_name(tarn_square(x), "y");
    const uint64_t length = tape_length(tm);
    check_status(tarn_backward(y), TARN_ESHAPE);
    check_error(tm, TARN_ESHAPE,
                "tarn_backward: the loss \"y\" [3] has 3 elements: reduce it to one "
                "(tarn_mean), or give a gradient of its shape");
    tarn_tensor *shape = tarn_ones(tm, TARN_F64, TARN_SHAPE(1, 3)),
                *type = tarn_ones(tm, TARN_F32, TARN_SHAPE(3));
    check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = shape }), TARN_ESHAPE);
    check_error(tm, TARN_ESHAPE,
                "tarn_backward: the gradient is float64 [1,3], the loss float64 \"y\" [3]");
    check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = type }), TARN_EDTYPE);
    check_error(tm, TARN_EDTYPE,
                "tarn_backward: the gradient is float32 [3], the loss float64 \"y\" [3]");

    tarn_manager *other = tarn_manager_create(NULL);
    tarn_tensor *foreign = tarn_ones(other, TARN_F64, TARN_SHAPE(3));
    check_status(tarn_backward_with(y, &(tarn_backward_options){ .gradient = foreign }),
                 TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: the gradient belongs to another manager than the loss");
    assert_true(tarn_ok(other));
    tarn_manager_destroy(other);

    assert_int_equal(tape_length(tm), length);
    assert_false(tarn_has_grad(x));
    check_status(tarn_backward(total(y)), TARN_OK);
    EXPECT_GRAD(x, 2, 4, 6);
}

/* ---- what is recorded */

static void detach_stops_gradients(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3);
    tarn_tensor *h = tarn_square(x);
    backward(total(tarn_mul(h, tarn_detach(h)))); /* as if x^2 c */
    EXPECT_GRAD(x, 16, 54);
    assert_int_equal(tape_length(tm), 0);
}

static void no_grad_records_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *y;
    {
        TARN_NO_GRAD(tm);
        y = tarn_square(x);
        assert_false(tarn_requires_grad(y));
        {
            TARN_SCOPE(tm); /* inside, a plain scope does not record either */
            assert_false(tarn_requires_grad(tarn_square(x)));
        }
        y = tarn_escape(total(y));
    }
    assert_int_equal(tape_length(tm), 0);
    assert_true(tarn_requires_grad(x));
    check_status(tarn_backward(y), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: nothing that requires a gradient leads to the loss []: its "
                "operands were constants, detached, frozen, or used inside TARN_NO_GRAD "
                "(tarn_require_grad makes a leaf of a tensor)");
    tarn_tensor *z = total(tarn_mul(x, tarn_detach(x)));
    {
        TARN_NO_GRAD(tm);
        backward(z); /* what was recorded may be used there */
    }
    EXPECT_GRAD(x, 2, 3);
}

static void frozen_leaves_get_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *w = LEAF(tm, 5, 7);
    backward(total(tarn_mul(x, w)));
    EXPECT_GRAD(w, 2, 3);
    check_status(tarn_stop_grad(w), TARN_OK);
    assert_false(tarn_requires_grad(w));
    assert_false(tarn_has_grad(w));
    tarn_zero_grad(x);
    backward(total(tarn_mul(x, w)));
    EXPECT_GRAD(x, 5, 7);
    assert_null(tarn_grad_of(w));
    check_error(
        tm, TARN_ESTATE,
        "tarn_grad_of: [2] requires no gradient: tarn_require_grad before the forward pass");
    check_status(tarn_zero_grad(w), TARN_ESTATE);
    check_error(
        tm, TARN_ESTATE,
        "tarn_zero_grad: [2] requires no gradient: tarn_require_grad before the forward pass");

    check_status(tarn_stop_grad(w), TARN_OK); /* again is fine */

    /* Between forward and backward, too; and thawed again. */
    assert_ptr_equal(tarn_require_grad(w), w);
    tarn_tensor *loss = total(tarn_mul(x, tarn_mul(w, w)));
    check_status(tarn_stop_grad(w), TARN_OK);
    tarn_zero_grad(x);
    backward(loss);
    EXPECT_GRAD(x, 25, 49);
    assert_false(tarn_has_grad(w));
}

/* What was recorded before a leaf came to require a gradient saved nothing for it, and gives it
 * none. */
static void a_leaf_made_too_late_gets_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *w = VECTOR(tm, 5, 7);
    tarn_tensor *copy = tarn_mul_scalar(x, 1);
    tarn_tensor *loss = total(tarn_mul(w, copy)); /* saves w, not the copy */
    tarn_require_grad(w);
    tarn_release(copy);
    backward(loss);
    EXPECT_GRAD(x, 5, 7);
    assert_false(tarn_has_grad(w));
    backward(total(tarn_mul(w, x)));
    EXPECT_GRAD(w, 2, 3);
}

static void what_cannot_be_a_leaf(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *labels = tarn_set_name(tarn_zeros(tm, TARN_I64, TARN_SHAPE(3)), "labels");
    assert_null(tarn_require_grad(labels));
    check_error(tm, TARN_EDTYPE,
                "tarn_require_grad: \"labels\" [3] is int64; gradients need float32 or float64");
    assert_false(tarn_requires_grad(labels));
    tarn_tensor *x = LEAF(tm, 1, 2);
    assert_ptr_equal(tarn_require_grad(x), x); /* again is fine */
    tarn_tensor *y = tarn_square(x);
    assert_null(tarn_require_grad(y));
    check_error(tm, TARN_ESTATE,
                "tarn_require_grad: [2] was computed by a recorded operation: use tarn_detach "
                "for a leaf with its values");
    check_status(tarn_stop_grad(y), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_stop_grad: [2] was computed by an operation: only leaves keep a gradient "
                "(tarn_grad and tarn_on_gradient give those of others)");
    assert_null(tarn_grad_of(y));
    tarn_clear_error(tm);
    assert_null(tarn_require_grad(NULL));
    check_status(tarn_stop_grad(NULL), TARN_EARG);
    check_status(tarn_zero_grad(NULL), TARN_EARG);
    assert_null(tarn_grad_of(NULL));
    assert_false(tarn_has_grad(NULL));
    assert_false(tarn_requires_grad(NULL));
    assert_false(tarn_requires_grad(tarn_cast(x, TARN_I32)));
}

static void a_loss_that_is_a_leaf(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 7), *v = LEAF(tm, 1, 2);
    backward(x);
    EXPECT_GRAD(x, 1);
    backward(x);
    EXPECT_GRAD(x, 2);
    tarn_tensor *seed = VECTOR(tm, 3, 4);
    check_status(tarn_backward_with(v, &(tarn_backward_options){ .gradient = seed }), TARN_OK);
    EXPECT_GRAD(v, 3, 4);
    tarn_tensor *constant = tarn_set_name(VECTOR(tm, 7), "c");
    check_status(tarn_backward(constant), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: nothing that requires a gradient leads to the loss \"c\" [1]: its "
                "operands were constants, detached, frozen, or used inside TARN_NO_GRAD "
                "(tarn_require_grad makes a leaf of a tensor)");
}

/* ---- what backward ends and what stays */

static void backward_ends_intermediates(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 0.5, 1);
    (void)tarn_grad_of(x);
    const size_t live = live_blocks(tm);
    tarn_tensor *h = tarn_set_name(tarn_tanh(x), "hidden"), *kept = tarn_keep(tarn_exp(h));
    tarn_tensor *retained = tarn_retain(tarn_square(kept)), *aside = tarn_neg(h);
    tarn_tensor *loss = total(retained);
    backward(loss);
    assert_int_equal(live_blocks(tm), live + 4); /* kept, retained, loss, and what led elsewhere */
    assert_true(tarn_item(loss) > 0);
    const double t = tanh(0.5), e = exp(t);
    assert_true(fabs(((const double *)tarn_data(kept))[0] - e) < 1e-14);
    assert_true(fabs(((const double *)tarn_data(retained))[0] - e * e) < 1e-14);
    assert_true(fabs(((const double *)tarn_data(aside))[0] + t) < 1e-14);
    tarn_release(retained);
    assert_non_null(tarn_data(retained)); /* its scope holds it */

    assert_null(tarn_data(h));
    check_error(tm, TARN_ESTALE,
                "tarn_data: tensor \"hidden\" [2] was given back by tarn_backward: keep it with "
                "tarn_keep before, or read it before");
    assert_true(isnan(tarn_item(h)));
    check_error(tm, TARN_ESTALE,
                "tarn_item: tensor \"hidden\" [2] was given back by tarn_backward: keep it with "
                "tarn_keep before, or read it before");
    assert_null(tarn_add(x, h));
    check_error(tm, TARN_ESTALE,
                "add: b: tensor \"hidden\" [2] was given back by tarn_backward: keep it with "
                "tarn_keep before, or read it before");
    double two[2];
    check_status(tarn_copy_to(h, two, sizeof two), TARN_ESTALE);
    tarn_clear_error(tm);
    assert_null(tarn_data_mut(h));
    tarn_clear_error(tm);
    assert_ptr_equal(tarn_keep(h), h); /* too late */
    check_error(tm, TARN_ESTALE,
                "tarn_keep: tensor \"hidden\" [2] was given back by tarn_backward: keep it with "
                "tarn_keep before, or read it before");
    assert_int_equal(tarn_numel(h), 0);
    assert_int_equal(tarn_ndim(h), 0);
    check_status(tarn_backward(h), TARN_ESTALE);
    tarn_clear_error(tm);
}

/* The gradient of what was kept is not: a kept tensor is a value, its operation is gone. */
static void a_kept_tensor_goes_no_further_back(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 0.5, 1), *kept = tarn_keep(tarn_exp(x));
    backward(total(kept));
    tarn_tensor *more = total(tarn_square(kept));
    check_status(tarn_backward(more), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: the operations that computed tensor [2] were released by an "
                "earlier pass: set keep_graph in that pass, add the losses before one pass, or cut "
                "off what the earlier one computed (tarn_detach)");
    tarn_tensor *leaf = tarn_require_grad(tarn_detach(kept));
    backward(total(tarn_mul_scalar(leaf, 3)));
    EXPECT_GRAD(leaf, 3, 3);
}

/* A loss that is a view of an intermediate stays readable with its storage. */
static void a_loss_that_is_a_view(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3);
    tarn_tensor *loss = tarn_reshape(tarn_mean(tarn_square(x), TARN_ALL_AXES), TARN_SHAPE(1, 1));
    backward(loss);
    assert_true(tarn_item(loss) == 6.5);
    EXPECT_GRAD(x, 2, 3);
}

/* ---- changes between forward and backward */

typedef enum change_kind {
    DATA_MUT,
    COPY_FROM,
    FILL,
    THROUGH_VIEW,
    THROUGH_DETACHED,
    N_CHANGES
} change_kind;

static void change(tarn_tensor *t, change_kind kind)
{
    static const double other[2] = { 8, 9 };
    switch (kind) {
    case DATA_MUT: memcpy(tarn_data_mut(t), other, sizeof other); break;
    case COPY_FROM: tarn_copy_from(t, other, sizeof other); break;
    case FILL: tarn_fill_with(t, 8); break;
    case THROUGH_VIEW: tarn_fill_with(tarn_slice(t, 0, 1, 2), 8); break;
    case THROUGH_DETACHED: *(double *)tarn_data_mut(tarn_detach(t)) = 8; break;
    case N_CHANGES: break;
    }
}

/* What is saved: an operand, the result, an operand through its view, an operand of a later
 * operation. */
static void a_changed_saved_tensor_is_an_error(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int kind = 0; kind < N_CHANGES; kind++) {
        TARN_SCOPE(tm);
        tarn_tensor *x = LEAF(tm, 2, 3), *w = LEAF(tm, 5, 7);
        tarn_tensor *product = tarn_mul(x, w), *loss = total(product);
        change(w, (change_kind)kind);
        check_status(tarn_backward(loss), TARN_ESTATE);
        check_error(tm, TARN_ESTATE,
                    "tarn_backward: b [2], which mul saved for backward, was changed since: change "
                    "it after tarn_backward, or change a copy");
        EXPECT(product, 10, 21); /* nothing was ended */
        assert_false(tarn_has_grad(x));

        tarn_tensor *y = tarn_set_name(tarn_exp(x), "e");
        loss = total(y);
        change(y, (change_kind)kind);
        check_status(tarn_backward(loss), TARN_ESTATE);
        check_error(tm, TARN_ESTATE,
                    "tarn_backward: result \"e\" [2], which exp saved for backward, was changed "
                    "since: change it after tarn_backward, or change a copy");

        loss = total(tarn_square(tarn_reshape(x, TARN_SHAPE(1, 2))));
        change(x, (change_kind)kind);
        check_status(tarn_backward(loss), TARN_ESTATE);
        check_error(tm, TARN_ESTATE,
                    "tarn_backward: x [1,2], which square saved for backward, was changed since: "
                    "change it after tarn_backward, or change a copy");
        assert_false(tarn_has_grad(x));
        loss = total(tarn_square(x)); /* a new forward pass sees the new values */
        backward(loss);
        const double *values = tarn_data(x);
        EXPECT_GRAD(x, 2 * values[0], 2 * values[1]);
    }
}

static void a_change_of_what_was_not_saved_is_fine(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *c = VECTOR(tm, 5, 7), *d = VECTOR(tm, 1, 1);
    tarn_tensor *h = tarn_mul(x, c), *s = tarn_add(h, d); /* only c is needed */
    tarn_tensor *loss = total(tarn_neg(s));
    tarn_fill_with(x, 100);
    tarn_fill_with(h, 100);
    tarn_fill_with(d, 100);
    tarn_fill_with(s, 100);
    tarn_fill_with(loss, 100);
    backward(loss);
    EXPECT_GRAD(x, -5, -7);
}

static void a_step_between_two_passes(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *net = tarn_module_create(tm);
    const tarn_linear_options f64 = { .dtype = TARN_F64 };
    tarn_linear l1 = tarn_linear_create_with(net, "l1", 2, 3, &f64);
    tarn_linear l2 = tarn_linear_create_with(net, "l2", 3, 1, &f64);
    tarn_optimizer *opt = tarn_sgd_create(net, NULL);
    tarn_tensor *x = tarn_ones(tm, TARN_F64, TARN_SHAPE(4, 2));
    tarn_tensor *loss = total(tarn_linear_forward(&l2, tarn_tanh(tarn_linear_forward(&l1, x))));
    check_status(tarn_backward_with(loss, &(tarn_backward_options){ .keep_graph = true }), TARN_OK);
    check_status(tarn_optimizer_step(opt), TARN_OK);
    const uint64_t digest = tarn_module_digest(net);
    check_status(tarn_backward(loss), TARN_ESTATE);
    check_error(
        tm, TARN_ESTATE,
        "tarn_backward: w \"l2.weight\" [1,3], which affine saved for backward, was changed "
        "since: change it after tarn_backward, or change a copy");
    assert_false(tarn_has_grad(l1.weight));
    assert_true(tarn_module_digest(net) == digest);

    /* One layer alone needs x for its gradients, which no step changes. */
    double first[6], second[6];
    tarn_tensor *alone = total(tarn_linear_forward(&l1, x));
    check_status(tarn_backward_with(alone, &(tarn_backward_options){ .keep_graph = true }),
                 TARN_OK);
    tarn_copy_to(tarn_grad_of(l1.weight), first, sizeof first);
    check_status(tarn_optimizer_step(opt), TARN_OK);
    backward(alone);
    tarn_copy_to(tarn_grad_of(l1.weight), second, sizeof second);
    assert_memory_equal(first, second, sizeof first);
}

/* ---- lives of what is saved */

static void what_is_saved_may_be_released(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 0.5, 1), *loss;
    tarn_tensor *h = tarn_exp(x), *c = VECTOR(tm, 3, 4), *p = tarn_mul(h, c),
                *view = tarn_reshape(p, TARN_SHAPE(2, 1));
    loss = total(tarn_mul(view, view)); /* 2 c^2 e^2x */
    tarn_release(h);
    tarn_release(c);
    tarn_release(p);
    tarn_release(view);
    backward(loss);
    EXPECT_GRAD_NEAR(x, 2 * 9 * exp(1.0), 2 * 16 * exp(2.0));
    assert_int_equal(tape_length(tm), 0);
}

/* A leaf may go, too: nobody can ask for its gradient then. */
static void a_leaf_may_be_released(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *w = LEAF(tm, 5, 7);
    tarn_tensor *loss = total(tarn_mul(x, w));
    tarn_release(w);
    backward(loss);
    EXPECT_GRAD(x, 5, 7);
}

static tarn_tensor *cube_in_its_own_scope(tarn_manager *tm, tarn_tensor *x)
{
    TARN_SCOPE(tm);
    tarn_tensor *square = tarn_mul(x, x);
    tarn_tensor *constant = VECTOR(tm, 1, 1);
    return tarn_escape(tarn_mul(tarn_mul(square, constant), x));
}

static void an_escaped_result_carries_its_graph(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3);
    {
        TARN_SCOPE(tm);
        tarn_tensor *y = cube_in_its_own_scope(tm, x);
        tarn_tensor *z = cube_in_its_own_scope(tm, y); /* x^9 */
        backward(total(z));
        EXPECT_GRAD(x, 9 * 256, 9 * 6561);
        assert_int_equal(tape_length(tm), 0);
    }
    const size_t live = live_blocks(tm);
    {
        TARN_SCOPE(tm); /* the same without a backward pass leaves nothing */
        (void)cube_in_its_own_scope(tm, cube_in_its_own_scope(tm, x));
        assert_true(tape_length(tm) > 0);
    }
    assert_int_equal(tape_length(tm), 0);
    assert_int_equal(live_blocks(tm), live);
}

/* What an escaped result needed goes with it, and nothing else of its scope stays. */
static void a_released_result_takes_its_graph_along(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *w = LEAF(tm, 1, 2, 3);
    const size_t blocks = live_blocks(tm);
    for (int step = 0; step < 3; step++) {
        tarn_scope scope = tarn_scope_begin(tm);
        tarn_tensor *unused = tarn_exp(tarn_tanh(w));
        assert_non_null(unused);
        tarn_tensor *y = tarn_escape(tarn_square(tarn_tanh(w)));
        assert_int_equal(tape_length(tm), 4);
        tarn_scope_end(scope);
        assert_int_equal(tape_length(tm), 2); /* tanh and square of y */
        tarn_release(y);
        assert_int_equal(tape_length(tm), 0);
        assert_int_equal(live_blocks(tm), blocks);
    }
}

/* A pass may not add to a gradient that it also reads, through whatever view. */
static void a_loss_of_a_leafs_own_gradient(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *w = LEAF(tm, 2, 3);
    backward(total(tarn_square(w)));
    EXPECT_GRAD(w, 4, 6);
    tarn_tensor *g = tarn_grad_of(w);
    tarn_tensor *view = tarn_reshape(g, TARN_SHAPE(2, 1));
    assert_int_equal(tarn_backward(total(tarn_mul(w, g))), TARN_ESTATE);
    check_error(tm, TARN_ESTATE,
                "tarn_backward: the loss depends on the gradient of [2], to which this pass would "
                "add: compute with a copy of it, such as tarn_add_scalar(g, 0)");
    assert_int_equal(tarn_backward(total(tarn_mul(w, tarn_reshape(view, TARN_SHAPE(2))))),
                     TARN_ESTATE);
    tarn_clear_error(tm);
    EXPECT_GRAD(w, 4, 6);
    backward(total(tarn_mul(w, tarn_add_scalar(g, 0))));
    EXPECT_GRAD(w, 8, 12);
    /* A gradient of another leaf, to which nothing is added, is like any constant. */
    tarn_tensor *v = LEAF(tm, 1, 1);
    backward(total(tarn_mul(v, g)));
    EXPECT_GRAD(v, 8, 12);
}

static void forward_alone_leaves_nothing(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3);
    const size_t live = live_blocks(tm);
    const uint64_t handles = tarn_manager_get_stats(tm).handles;
    for (int i = 0; i < 10; i++) {
        TARN_SCOPE(tm);
        tarn_tensor *y = tarn_tanh(tarn_mul(x, tarn_square(x)));
        tarn_tensor *inner;
        {
            TARN_SCOPE(tm);
            inner = tarn_exp(tarn_reshape(y, TARN_SHAPE(2, 1)));
            assert_int_equal(tape_length(tm), 5);
        }
        (void)inner;
        assert_int_equal(tape_length(tm), 3);
        if (i % 2 == 0) (void)tarn_retain(x);
        if (i % 2 == 0) tarn_release(x);
    }
    assert_int_equal(tape_length(tm), 0);
    assert_int_equal(live_blocks(tm), live);
    assert_int_equal(tarn_manager_get_stats(tm).handles, handles);
    check_status(tarn_backward(total(x)), TARN_OK); /* what the root scope has still works */
    EXPECT_GRAD(x, 1, 1);
}

/* ---- truncated backpropagation through time */

static void a_retained_result_is_a_constant_later(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3), *h;
    {
        TARN_SCOPE(tm);
        h = tarn_retain(tarn_square(x));
        assert_true(tarn_requires_grad(h));
    }
    assert_false(tarn_requires_grad(h));
    EXPECT(h, 4, 9);
    check_status(tarn_backward_with(h, &(tarn_backward_options){ .gradient = x }), TARN_ESTATE);
    check_error(
        tm, TARN_ESTATE,
        "tarn_backward: nothing that requires a gradient leads to the loss [2] any more: the "
        "scope of its operations has ended");
    backward(total(tarn_mul(x, h)));
    EXPECT_GRAD(x, 4, 9);
    tarn_release(h);
}

/* h' = tanh(w h + 1), loss = sum(h'): the gradient stops where a scope ended, whether the step
 * before went back or not, and whether a function of its own made the state. */
static void truncated_backpropagation_through_time(void **state)
{
    tarn_manager *tm = MANAGER(state);
    for (int kind = 0; kind < 3; kind++) {
        tarn_tensor *w = LEAF(tm, 0.5);
        tarn_tensor *h = tarn_retain(VECTOR(tm, 0.25));
        double value = 0.25;
        for (int step = 0; step < 5; step++) {
            TARN_SCOPE(tm);
            tarn_tensor *next, *loss;
            {
                tarn_scope cell = kind == 2 ? tarn_scope_begin(tm) : (tarn_scope){ 0 };
                next = tarn_retain(tarn_tanh(tarn_add_scalar(tarn_mul(w, h), 1)));
                loss = total(next);
                if (kind == 2) loss = tarn_escape(loss);
                tarn_scope_end(cell);
            }
            const double before = value;
            value = tanh(0.5 * before + 1);
            if (kind > 0 || step == 4) {
                tarn_zero_grad(w);
                backward(loss);
                EXPECT_GRAD_NEAR(w, before * (1 - value * value));
            }
            tarn_release(h);
            h = next;
        }
        check_close(h, &value, 1, 1e-14);
        tarn_release(h);
        assert_int_equal(tape_length(tm), 0);
    }
}

/* ---- errors that are held */

static void a_null_operand_is_an_error(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_tensor *x = LEAF(tm, 2, 3);
    assert_null(tarn_add(NULL, x));
    check_error(tm, TARN_EARG,
                "add: operand a is NULL, but no call before failed: was it ever made?");
    assert_null(tarn_mul(x, NULL));
    check_error(tm, TARN_EARG,
                "mul: operand b is NULL, but no call before failed: was it ever made?");
    assert_null(tarn_tanh(NULL));
    check_status(tarn_backward(NULL), TARN_EARG);
    assert_true(isnan(tarn_item(NULL)));
    assert_true(tarn_ok(tm));
}

static void every_side_effect_refuses_while_an_error_is_held(void **state)
{
    tarn_manager *tm = MANAGER(state);
    tarn_module *net = tarn_module_create(tm);
    const tarn_init ones = { .kind = TARN_INIT_CONSTANT, .a = 1 };
    tarn_tensor *p = tarn_module_add_parameter(net, "p", TARN_F64, TARN_SHAPE(2), &ones);
    tarn_optimizer *opt = tarn_sgd_create(net, NULL);
    tarn_tensor *data = tarn_ones(tm, TARN_F64, TARN_SHAPE(8, 2));
    tarn_loader *loader =
        tarn_loader_create(data, NULL, &(tarn_loader_options){ .dtype = TARN_F64 });
    backward(total(tarn_square(p)));
    tarn_tensor *loss = total(tarn_square(p));
    const uint64_t digest = tarn_module_digest(net);
    double grads[2], after[2];
    tarn_copy_to(tarn_grad_of(p), grads, sizeof grads);

    assert_null(tarn_reshape(p, TARN_SHAPE(3)));
    const char *message = "reshape: x \"p\" [2] with 2 elements does not fit into [3]";
    assert_string_equal(tarn_error_message(tm), message);
    assert_null(tarn_add(tarn_tanh(NULL), p)); /* passes silently */
    assert_null(tarn_slice(p, 5, 0, 1));       /* a second error, of which nothing is kept */
    check_status(tarn_backward(loss), TARN_ESHAPE);
    check_status(tarn_optimizer_step(opt), TARN_ESHAPE);
    assert_null(tarn_data_mut(p));
    check_status(tarn_fill_with(p, 0), TARN_ESHAPE);
    check_status(tarn_copy_from(p, grads, sizeof grads), TARN_ESHAPE);
    tarn_tensor *batch = data;
    assert_false(tarn_loader_next(loader, &batch, NULL));
    assert_null(batch);
    assert_true(isnan(tarn_clip_grad_norm(net, 1e-3)));
    assert_true(tarn_module_digest(net) == digest);
    assert_int_equal(tarn_optimizer_steps(opt), 0);
    tarn_copy_to(tarn_grad_of(p), after, sizeof after);
    assert_memory_equal(grads, after, sizeof grads);
    check_error(tm, TARN_ESHAPE, message);

    backward(loss); /* and all goes on */
    check_status(tarn_optimizer_step(opt), TARN_OK);
    assert_true(tarn_loader_next(loader, &batch, NULL));
    assert_true(tarn_module_digest(net) != digest);
}

static void operands_of_two_managers(void **state)
{
    tarn_manager *tm = MANAGER(state), *other = tarn_manager_create(NULL);
    tarn_tensor *x = LEAF(tm, 2, 3), *y = LEAF(other, 2, 3);
    assert_null(tarn_mul(x, y));
    check_error(tm, TARN_ESTATE,
                "mul: operand b belongs to another manager than the first operand "
                "(tarn_module_freeze lets every manager read a module)");
    assert_true(tarn_ok(other));
    assert_null(tarn_mul(y, x));
    assert_true(tarn_ok(tm));
    check_error(other, TARN_ESTATE,
                "mul: operand b belongs to another manager than the first operand "
                "(tarn_module_freeze lets every manager read a module)");
    assert_int_equal(tape_length(tm) + tape_length(other), 0);
    assert_int_equal(tarn_manager_destroy(other), 0);
}

/* ---- running out of memory */

/* Half way, what was touched becomes empty, the tape of the loss is dropped, and other losses are
 * not harmed. */
static void memory_runs_out_in_backward(void **state)
{
    check_fixture *f = *state;
    tarn_manager *tm = f->tm;
    tarn_tensor *x = LEAF(tm, 1, 2), *w = LEAF(tm, 3, 4), *aside = LEAF(tm, 5, 6);
    uint64_t n = 0;
    int n_emptied = 0;
    tarn_status status = TARN_ENOMEM;
    while (status == TARN_ENOMEM) {
        TARN_SCOPE(tm);
        tarn_tensor *other = total(tarn_square(aside));
        backward(total(tarn_mul(x, w))); /* gradients that must not stay half added to */
        tarn_tensor *early = tarn_mul(tarn_tanh(w), x), *late = tarn_mul(x, x);
        tarn_tensor *loss = total(tarn_mul(early, late)); /* x^3 tanh(w) */
        check_fail_acquisition(f->pool, ++n);
        status = tarn_backward(loss);
        check_fail_acquisition(f->pool, 0);
        assert_int_equal(tarn_error_code(tm), status);
        tarn_clear_error(tm);
        check_pool(f);
        if (status == TARN_ENOMEM) { /* the first is the seed: nothing has happened before it */
            assert_int_equal(tape_length(tm), n == 1 ? 7 : 2);
            n_emptied += !tarn_has_grad(x);
            if (tarn_has_grad(x)) EXPECT_GRAD(x, 3, 4);
            else EXPECT_GRAD(x, 0, 0);
            if (tarn_has_grad(w)) EXPECT_GRAD(w, 1, 2);
            else EXPECT_GRAD(w, 0, 0);
        } else {
            EXPECT_GRAD_NEAR(x, 3 + 3 * tanh(3), 4 + 12 * tanh(4));
        }
        backward(other);
        EXPECT_GRAD(aside, 10, 12);
        tarn_zero_grad(aside);
        tarn_zero_grad(x);
        tarn_zero_grad(w);
    }
    check_status(status, TARN_OK);
    assert_true(n > 3 && n_emptied > 0);
}

/* ---- size */

/* Runs in a process of its own with a stack of 64 KiB. Returns what went wrong, 0 for nothing. */
static int go_deep(int64_t depth)
{
    tarn_manager *tm = tarn_manager_create(NULL);
    tarn_tensor *x = LEAF(tm, 1, 2);
    {
        TARN_SCOPE(tm);
        tarn_tensor *y = x;
        for (int64_t i = 0; i < depth; i++)
            y = i % 16 == 15 ? tarn_reshape(y, TARN_SHAPE(2)) : tarn_neg(y);
        if (tarn_backward(total(y)) != TARN_OK) return 2;
        const double *g = tarn_data(tarn_grad_of(x)), sign = (depth - depth / 16) % 2 == 0 ? 1 : -1;
        if (g[0] != sign || g[1] != sign) return 3;
        if (tape_length(tm) != 0) return 4;
        y = x;
        for (int64_t i = 0; i < depth; i++) y = tarn_neg(y); /* dropped without a pass */
    }
    if (tape_length(tm) != 0) return 5;
    return tarn_manager_destroy(tm) == 0 ? 0 : 6;
}

static void a_graph_100000_deep_needs_no_stack(void **state)
{
    (void)state;
    const int64_t depth = (int64_t)check_scaled(100000);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit small = { 64 * 1024, 64 * 1024 };
        _exit(setrlimit(RLIMIT_STACK, &small) == 0 ? go_deep(depth) : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) fail_msg("killed by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A probe: an operation that does nothing, whose backward notes how many bytes are in use. */
enum { LAYERS = 8 };

typedef struct chain {
    tarn_linear layers[LAYERS];
    tarn_tensor *x;    /* (batch, width) */
    size_t activation; /* bytes of one */
} chain;

/* 512 wide, 128 rows; smaller where checking makes products slow. */
static chain make_chain(tarn_manager *tm)
{
    chain c;
    const bool slow = check_scaled(1000) != 1000;
    const int64_t width = slow ? 64 : 512, batch = slow ? 16 : 128;
    tarn_module *net = tarn_module_create(tm);
    for (int i = 0; i < LAYERS; i++)
        c.layers[i] =
            tarn_linear_create(net, (const char[]){ 'l', (char)('0' + i), 0 }, width, width);
    c.x = tarn_random_uniform(tm, TARN_F32, TARN_SHAPE(batch, width), -1, 1, 1);
    c.activation = (size_t)(batch * width) * sizeof(float);
    return c;
}

static size_t noted[LAYERS];
static int n_noted;

static tarn_status probe_forward(const tarn__call *call)
{
    memcpy(call->out->data, call->in[0]->data, tarn__bytes(call->out));
    return TARN_OK;
}

static tarn_status probe_backward(const tarn__call *call)
{
    if (call->din[0] != call->dout) return TARN_ESTATE; /* in place, as asked for */
    noted[n_noted++] = tarn_pool_get_stats(call->manager->pool).current_usage;
    return TARN_OK;
}

static const tarn__op probe = {
    .name = "probe",
    .operands = { "x" },
    .arity = 1,
    .grad_in_place = true,
    .infer = tarn__infer_same,
    .forward = TARN__ANY(probe_forward),
    .backward = TARN__ANY(probe_backward),
};

/* A chain of 8 layers linear + tanh, 512 wide, 128 rows: an activation holds 256 KiB. Keeping all
 * 16 of them and their gradients would need 32 activations, 8192 KiB. Here the forward pass holds
 * 16 (its handles are in scope), and backward never needs more than that: it first gives back the 8
 * that no operation saved. */
static void backward_needs_no_more_than_forward(void **state)
{
    check_fixture *f = *state;
    const chain c = make_chain(f->tm);
    for (int pass = 0; pass < 2; pass++) { /* the first makes the gradients of the parameters */
        TARN_SCOPE(f->tm);
        tarn_pool_reset_peaks(f->pool);
        const size_t base = tarn_pool_get_stats(f->pool).current_usage;
        tarn_tensor *h = c.x;
        for (int i = 0; i < LAYERS; i++) h = tarn_tanh(tarn_linear_forward(&c.layers[i], h));
        tarn_tensor *loss = tarn_mean(h, TARN_ALL_AXES);
        const size_t forward = tarn_pool_get_stats(f->pool).current_usage - base;
        assert_in_range(forward, 2 * LAYERS * c.activation, 2 * LAYERS * c.activation + 64);
        backward(loss);
        if (pass == 0) continue;
        const size_t peak = tarn_pool_get_stats(f->pool).peak_usage - base;
        print_message("chain of 8 layers: peak %zu KiB; keeping everything needs %zu KiB\n",
                      peak / 1024, 4 * LAYERS * c.activation / 1024);
        assert_in_range(peak, 1, forward + 64); /* the seed */
        assert_true(peak < 4 * LAYERS * c.activation * 6 / 10);
        assert_in_range(tarn_pool_get_stats(f->pool).current_usage - base, 1, 64); /* the loss */
    }
}

/* With a probe after each layer: when its turn comes, all that the layers behind it had saved has
 * gone back. What is left are the activations before it, each once, and one gradient. */
static void each_buffer_goes_back_at_its_last_use(void **state)
{
    check_fixture *f = *state;
    const chain c = make_chain(f->tm);
    for (int pass = 0; pass < 2; pass++) {
        TARN_SCOPE(f->tm);
        n_noted = 0;
        const size_t base = tarn_pool_get_stats(f->pool).current_usage;
        tarn_tensor *h = c.x;
        for (int i = 0; i < LAYERS; i++)
            h = tarn_tanh(tarn__apply1(&probe, tarn_linear_forward(&c.layers[i], h), NULL));
        backward(tarn_mean(h, TARN_ALL_AXES));
        assert_int_equal(n_noted, LAYERS);
        for (int i = 0; i < LAYERS && pass == 1; i++) {
            /* Layer 7 - i: its input and those of the layers before are saved; x is no
             * intermediate. */
            const size_t expected = (size_t)(LAYERS - i) * c.activation;
            if (noted[i] - base < expected || noted[i] - base > expected + 64)
                fail_msg("at layer %d %zu bytes are in use, not %zu", LAYERS - 1 - i,
                         noted[i] - base, expected);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_layer_against_its_formulas),
        TEST(a_diamond),
        TEST(both_operands_are_one_tensor),
        TEST(a_tensor_used_many_times),
        TEST(a_parameter_used_twice),
        TEST(shapes_of_equal_size),
        TEST(strided_operands),
        TEST(two_passes_add),
        TEST(gradients_are_empty_arrived_or_consumed),
        TEST(keep_graph_allows_another_pass),
        TEST(a_second_pass_is_refused),
        TEST(two_losses_on_a_trunk),
        TEST(two_losses_that_left_their_scope),
        TEST(seeds),
        TEST(wrong_seeds),
        TEST(detach_stops_gradients),
        TEST(no_grad_records_nothing),
        TEST(frozen_leaves_get_nothing),
        TEST(a_leaf_made_too_late_gets_nothing),
        TEST(what_cannot_be_a_leaf),
        TEST(a_loss_that_is_a_leaf),
        TEST(backward_ends_intermediates),
        TEST(a_kept_tensor_goes_no_further_back),
        TEST(a_loss_that_is_a_view),
        TEST(a_changed_saved_tensor_is_an_error),
        TEST(a_change_of_what_was_not_saved_is_fine),
        TEST(a_step_between_two_passes),
        TEST(what_is_saved_may_be_released),
        TEST(a_leaf_may_be_released),
        TEST(an_escaped_result_carries_its_graph),
        TEST(a_released_result_takes_its_graph_along),
        TEST(a_loss_of_a_leafs_own_gradient),
        TEST(forward_alone_leaves_nothing),
        TEST(a_retained_result_is_a_constant_later),
        TEST(truncated_backpropagation_through_time),
        TEST(a_null_operand_is_an_error),
        TEST(every_side_effect_refuses_while_an_error_is_held),
        TEST(operands_of_two_managers),
        TEST(memory_runs_out_in_backward),
        TEST(a_graph_100000_deep_needs_no_stack),
        TEST(backward_needs_no_more_than_forward),
        TEST(each_buffer_goes_back_at_its_last_use),
    };
    return cmocka_run_group_tests_name("autograd", tests, NULL, NULL);
}
