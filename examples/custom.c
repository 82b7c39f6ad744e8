/* SPDX-License-Identifier: MIT
 * custom.c - an operation of one's own: its values and gradients on plain arrays, checked against
 * differences, and a small network that learns a wave with it.
 *
 * The operation is the activation "snake" (Liu, Hartwig and Ueda 2020): y = x + sin^2(a x) / a,
 * with a learnt for each unit. */
#include <math.h>
#include <stdio.h>

#include <tarn/tarn.h>

/* x (B, N)   a (N)   ->   y (B, N) */
static tarn_status snake_infer(const tarn_custom_call *c, tarn_shape *shape, tarn_dtype *dtype)
{
    *shape = c->in[0].shape;
    *dtype = c->in[0].dtype;
    if (*dtype != TARN_F64) return tarn_custom_fail(c, TARN_EDTYPE, "it is written for float64");
    if (shape->ndim != 2 || c->in[1].shape.ndim != 1 || c->in[1].n != shape->dims[1])
        return tarn_custom_fail(c, TARN_ESHAPE, "x (B, N) and a (N) are needed");
    return TARN_OK;
}

static tarn_status snake_forward(const tarn_custom_call *c)
{
    const double *x = c->in[0].data, *a = c->in[1].data;
    const int64_t N = c->in[1].n;
    double *y = c->out.data;
    for (int64_t i = 0; i < c->out.n; i++) {
        const double s = sin(a[i % N] * x[i]);
        y[i] = x[i] + s * s / a[i % N];
    }
    return TARN_OK;
}

/* dx = dy (1 + sin(2 a x));  da = sum over the batch of dy (x sin(2 a x) - sin^2(a x) / a) / a. */
static tarn_status snake_backward(const tarn_custom_call *c)
{
    const double *x = c->in[0].data, *a = c->in[1].data, *dy = c->dout.data;
    const int64_t N = c->in[1].n;
    double *dx = c->din[0].data, *da = c->din[1].data;
    for (int64_t i = 0; i < c->in[0].n && dx != NULL; i++)
        dx[i] = (c->add[0] ? dx[i] : 0) + dy[i] * (1 + sin(2 * a[i % N] * x[i]));
    for (int64_t j = 0; j < N && da != NULL; j++) {
        double sum = c->add[1] ? da[j] : 0;
        for (int64_t i = j; i < c->in[0].n; i += N) {
            const double s = sin(a[j] * x[i]);
            sum += dy[i] * (x[i] * sin(2 * a[j] * x[i]) - s * s / a[j]) / a[j];
        }
        da[j] = sum;
    }
    return TARN_OK;
}

typedef struct model {
    tarn_custom *snake;
    tarn_linear l1, l2;
    tarn_tensor *a; /* (N) */
} model;

static tarn_tensor *forward(tarn_tensor *const *inputs, int n, void *context)
{
    const model *m = context;
    (void)n;
    tarn_tensor *h = tarn_linear_forward(&m->l1, inputs[0]);
    h = tarn_custom_apply(m->snake, TARN_LIST(h, m->a), NULL, 0);
    return tarn_mse(tarn_linear_forward(&m->l2, h), inputs[1]);
}

enum { POINTS = 64, UNITS = 16, STEPS = 600 };

int main(void)
{
    tarn_manager *tm = tarn_manager_create(&(tarn_manager_options){ .seed = 1 });
    const tarn_custom_options snake = { .name = "snake",
                                        .operands = { "x", "a" },
                                        .infer = snake_infer,
                                        .forward = snake_forward,
                                        .backward = snake_backward,
                                        .uses = { TARN_USES_OPERAND(0) | TARN_USES_OPERAND(1),
                                                  TARN_USES_OPERAND(0) | TARN_USES_OPERAND(1) } };
    tarn_module *net = tarn_module_create(tm);
    const tarn_linear_options f64 = { .dtype = TARN_F64 };
    model m = { .snake = tarn_custom_create(tm, &snake),
                .l1 = tarn_linear_create_with(net, "l1", 1, UNITS, &f64),
                .l2 = tarn_linear_create_with(net, "l2", UNITS, 1, &f64) };
    m.a = tarn_module_add_parameter(net, "a", TARN_F64, TARN_SHAPE(UNITS),
                                    &(tarn_init){ .kind = TARN_INIT_UNIFORM, .a = 0.5, .b = 2 });

    double x[POINTS], y[POINTS];
    for (int i = 0; i < POINTS; i++) {
        x[i] = 6.0 * i / POINTS - 3;
        y[i] = sin(3 * x[i]) + 0.3 * x[i];
    }
    tarn_tensor *inputs[] = { tarn_from_array(tm, TARN_F64, TARN_SHAPE(POINTS, 1), x),
                              tarn_from_array(tm, TARN_F64, TARN_SHAPE(POINTS, 1), y) };

    const tarn_model_pass pass = { forward, { 2, inputs }, &m };
    tarn_gradcheck_report report;
    if (tarn_model_gradcheck(net, &pass, NULL, &report) == TARN_OK)
        printf("%lld gradients agree with central differences\n", (long long)report.checked);

    double loss = NAN;
    tarn_optimizer *opt = tarn_adam_create(net, &(tarn_adam_options){ .lr = 0.02 });
    for (int step = 0; step < STEPS && tarn_ok(tm); step++) {
        TARN_SCOPE(tm);
        tarn_tensor *l = forward(inputs, 2, &m);
        tarn_backward(l);
        tarn_optimizer_step(opt);
        loss = tarn_item(l);
        if (step % 100 == 0) printf("%4d  loss %.5f\n", step, loss);
        if (step >= 2) tarn_expect_steady(tm);
    }
    printf("%4d  loss %.5f\n", STEPS, loss);

    const bool failed = !tarn_ok(tm) || !(loss < 0.01);
    if (!tarn_ok(tm)) fprintf(stderr, "%s\n", tarn_error_message(tm));
    tarn_manager_destroy(tm);
    return failed;
}
