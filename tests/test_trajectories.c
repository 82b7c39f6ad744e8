/* SPDX-License-Identifier: MIT
 * test_trajectories.c - the first losses of small models, as PyTorch computes them from the same
 * weights and data: golden/trajectories.py, which writes golden/trajectories.txt, has the same
 * models. In F64, to ten digits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

enum { STEPS = 20, DATA = 100, LABELS = 101 };

/* ---- numbers that both sides compute exactly: multiples of 1/64 between -1/2 and 1/2 */

static double number(int64_t i, uint64_t salt)
{
    const uint32_t h = (uint32_t)(((uint64_t)i + 1) * UINT64_C(2654435761) + salt * 40503);
    return ((double)((h >> 16) % 64) - 32) / 64;
}

static void fill(tarn_tensor *t, uint64_t salt, double scale)
{
    double *x = tarn_data_mut(t);
    for (int64_t i = 0; i < tarn_numel(t); i++) x[i] = number(i, salt) * scale;
}

static tarn_tensor *numbers(tarn_manager *tm, uint64_t salt, tarn_shape shape)
{
    tarn_tensor *t = tarn_empty(tm, TARN_F64, shape);
    fill(t, salt, 1);
    return t;
}

static tarn_tensor *labels(tarn_manager *tm, uint64_t salt, int64_t n, int64_t classes)
{
    tarn_tensor *t = tarn_empty(tm, TARN_I64, TARN_SHAPE(n));
    int64_t *x = tarn_data_mut(t);
    for (int64_t i = 0; i < n; i++) x[i] = (int64_t)(number(i, salt) * 64 + 32) % classes;
    return t;
}

/* A module whose parameters are such numbers; the salt of each is its number, from 1. */
static tarn_tensor *parameter(tarn_module *m, tarn_shape shape, double scale)
{
    char name[16];
    const int n = tarn_module_parameter_count(m) + 1;
    snprintf(name, sizeof(name), "p%d", n);
    tarn_tensor *p = tarn_module_add_parameter(m, name, TARN_F64, shape, NULL);
    fill(p, (uint64_t)n, scale);
    return p;
}

/* ---- comparison */

/* Reads the losses of a trajectory. */
static void read_losses(const char *name, double *losses)
{
    FILE *f = fopen(TARN_GOLDEN_FOLDER "/trajectories.txt", "r");
    char word[64];
    bool found = false;
    assert_non_null(f);
    while (!found && fscanf(f, "%63s", word) == 1) found = strcmp(word, name) == 0;
    if (!found) fail_msg("%s is not in golden/trajectories.txt", name);
    for (int i = 0; i < STEPS; i++) assert_int_equal(fscanf(f, "%lf", &losses[i]), 1);
    fclose(f);
}

static void expect_losses(const char *name, const double *losses)
{
    double expected[STEPS], worst = 0;
    read_losses(name, expected);
    for (int i = 0; i < STEPS; i++) {
        const double error = fabs(losses[i] - expected[i]) / fabs(expected[i]);
        if (!(error <= 1e-10))
            fail_msg("%s: loss %d is %.17g, but %.17g by PyTorch", name, i, losses[i], expected[i]);
        worst = fmax(worst, error);
    }
    assert_true(losses[STEPS - 1] < losses[0]);
    print_message("%s: %d losses, from %.4f to %.4f, within %.1e of PyTorch's\n", name, STEPS,
                  losses[0], losses[STEPS - 1], worst);
}

/* ---- training */

typedef tarn_tensor *(*loss_function)(void *model, int step);

static void train(const char *name, tarn_manager *tm, tarn_optimizer *opt, loss_function loss,
                  void *model)
{
    double losses[STEPS];
    for (int step = 0; step < STEPS; step++) {
        TARN_SCOPE(tm);
        tarn_tensor *l = loss(model, step);
        check_status(tarn_backward(l), TARN_OK);
        check_status(tarn_optimizer_step(opt), TARN_OK);
        losses[step] = tarn_item(l);
    }
    expect_losses(name, losses);
}

static tarn_optimizer *sgd(tarn_module *m)
{
    return tarn_sgd_create(m, &(tarn_sgd_options){ .lr = 0.1, .momentum = 0.9 });
}

static tarn_optimizer *adam(tarn_module *m)
{
    return tarn_adam_create(m, &(tarn_adam_options){ .lr = 0.05 });
}

/* ---- a multilayer perceptron */

typedef struct mlp {
    tarn_module *module;
    tarn_tensor *w1, *b1, *w2, *b2, *w3, *b3;
    tarn_tensor *x, *y;
} mlp;

static mlp make_mlp(tarn_manager *tm)
{
    mlp m = { .module = tarn_module_create(tm) };
    m.w1 = parameter(m.module, TARN_SHAPE(8, 4), 2);
    m.b1 = parameter(m.module, TARN_SHAPE(8), 1);
    m.w2 = parameter(m.module, TARN_SHAPE(6, 8), 2);
    m.b2 = parameter(m.module, TARN_SHAPE(6), 1);
    m.w3 = parameter(m.module, TARN_SHAPE(3, 6), 2);
    m.b3 = parameter(m.module, TARN_SHAPE(3), 1);
    m.x = numbers(tm, DATA, TARN_SHAPE(16, 4));
    m.y = labels(tm, LABELS, 16, 3);
    return m;
}

static tarn_tensor *mlp_loss(void *model, int step)
{
    const mlp *m = model;
    (void)step;
    tarn_tensor *h = tarn_tanh(tarn_affine(m->x, m->w1, m->b1));
    h = tarn_sigmoid(tarn_affine(h, m->w2, m->b2));
    return tarn_cross_entropy(tarn_affine(h, m->w3, m->b3), m->y);
}

static void a_perceptron(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    mlp by_sgd = make_mlp(tm), by_adam = make_mlp(tm);
    train("mlp_sgd", tm, sgd(by_sgd.module), mlp_loss, &by_sgd);
    train("mlp_adam", tm, adam(by_adam.module), mlp_loss, &by_adam);
}

/* ---- a convolutional network */

typedef struct cnn {
    tarn_module *module;
    tarn_tensor *w1, *b1, *w2, *b2, *w3, *b3;
    tarn_tensor *x, *y;
} cnn;

static cnn make_cnn(tarn_manager *tm)
{
    cnn m = { .module = tarn_module_create(tm) };
    m.w1 = parameter(m.module, TARN_SHAPE(4, 1, 3, 3), 1);
    m.b1 = parameter(m.module, TARN_SHAPE(4), 1);
    m.w2 = parameter(m.module, TARN_SHAPE(6, 4, 3, 3), 1);
    m.b2 = parameter(m.module, TARN_SHAPE(6), 1);
    m.w3 = parameter(m.module, TARN_SHAPE(5, 24), 1);
    m.b3 = parameter(m.module, TARN_SHAPE(5), 1);
    m.x = numbers(tm, DATA, TARN_SHAPE(8, 1, 8, 8));
    m.y = labels(tm, LABELS, 8, 5);
    return m;
}

static tarn_tensor *cnn_loss(void *model, int step)
{
    static const tarn_conv_options same_size = { .padding = { 1, 1 } };
    const cnn *m = model;
    (void)step;
    tarn_tensor *h = tarn_relu(tarn_conv2d(m->x, m->w1, m->b1, &same_size));
    h = tarn_max_pool2d(h, TARN_SHAPE(2, 2), NULL);
    h = tarn_relu(tarn_conv2d(h, m->w2, m->b2, &same_size));
    h = tarn_max_pool2d(h, TARN_SHAPE(2, 2), NULL);
    h = tarn_flatten(h, 1, -1);
    return tarn_cross_entropy(tarn_affine(h, m->w3, m->b3), m->y);
}

static void a_convolutional_network(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    cnn by_sgd = make_cnn(tm), by_adam = make_cnn(tm);
    train("cnn_sgd", tm, sgd(by_sgd.module), cnn_loss, &by_sgd);
    train("cnn_adam", tm, adam(by_adam.module), cnn_loss, &by_adam);
}

/* ---- attention: tokens predict the next one */

enum { B = 4, L = 6, V = 11, D = 8, H = 2 };

typedef struct attention {
    tarn_module *module;
    tarn_tensor *table, *places, *g1, *c1, *wq, *wk, *wv, *wo, *g2, *c2, *w, *b;
    tarn_tensor *tokens, *y;
} attention;

static attention make_attention(tarn_manager *tm)
{
    attention m = { .module = tarn_module_create(tm) };
    m.table = parameter(m.module, TARN_SHAPE(V, D), 2);
    m.places = parameter(m.module, TARN_SHAPE(L, D), 1);
    m.g1 = parameter(m.module, TARN_SHAPE(D), 1);
    m.c1 = parameter(m.module, TARN_SHAPE(D), 1);
    m.wq = parameter(m.module, TARN_SHAPE(D, D), 2);
    m.wk = parameter(m.module, TARN_SHAPE(D, D), 2);
    m.wv = parameter(m.module, TARN_SHAPE(D, D), 2);
    m.wo = parameter(m.module, TARN_SHAPE(D, D), 2);
    m.g2 = parameter(m.module, TARN_SHAPE(D), 1);
    m.c2 = parameter(m.module, TARN_SHAPE(D), 1);
    m.w = parameter(m.module, TARN_SHAPE(V, D), 1);
    m.b = parameter(m.module, TARN_SHAPE(V), 1);
    m.tokens = tarn_reshape(labels(tm, DATA, B * L, V), TARN_SHAPE(B, L));
    m.y = labels(tm, LABELS, B * L, V);
    return m;
}

/* (B, L, D) -> (B, H, L, D / H) */
static tarn_tensor *heads(tarn_tensor *h, tarn_tensor *w)
{
    tarn_tensor *t = tarn_affine(h, w, NULL);
    return tarn_transpose(tarn_reshape(t, TARN_SHAPE(B, L, H, D / H)), 1, 2);
}

static tarn_tensor *attention_loss(void *model, int step)
{
    const attention *m = model;
    (void)step;
    tarn_tensor *x = tarn_add(tarn_embedding(m->table, m->tokens), m->places);
    tarn_tensor *h = tarn_layer_norm(x, 1, m->g1, m->c1, 1e-5);
    tarn_tensor *q = heads(h, m->wq);
    tarn_tensor *k = heads(h, m->wk);
    tarn_tensor *v = heads(h, m->wv);
    h = tarn_sdpa(q, k, v, &(tarn_sdpa_options){ .causal = true });
    h = tarn_reshape(tarn_contiguous(tarn_transpose(h, 1, 2)), TARN_SHAPE(B, L, D));
    x = tarn_add(x, tarn_affine(h, m->wo, NULL));
    h = tarn_layer_norm(x, 1, m->g2, m->c2, 1e-5);
    h = tarn_affine(h, m->w, m->b);
    return tarn_cross_entropy(tarn_reshape(h, TARN_SHAPE(B * L, V)), m->y);
}

static void attention_with_layer_norm(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    attention by_sgd = make_attention(tm), by_adam = make_attention(tm);
    train("attention_sgd", tm, sgd(by_sgd.module), attention_loss, &by_sgd);
    train("attention_adam", tm, adam(by_adam.module), attention_loss, &by_adam);
}

/* ---- recurrence: sequences to labels; one long sequence in parts */

enum { PART = 4 }; /* steps */

typedef struct recurrent {
    tarn_module *module;
    tarn_rnn layer;
    tarn_tensor *w, *b;
    tarn_tensor *x, *y;
    tarn_rnn_state state; /* carried from part to part */
} recurrent;

static recurrent make_recurrent(tarn_manager *tm, int64_t outputs)
{
    recurrent m = { .module = tarn_module_create(tm) };
    m.layer = tarn_rnn_create_with(m.module, "lstm", 3, 5,
                                   &(tarn_rnn_options){ .kind = TARN_LSTM, .dtype = TARN_F64 });
    for (int i = 0; i < tarn_module_parameter_count(m.module); i++)
        fill(tarn_module_parameter(m.module, i), (uint64_t)i + 1, 1);
    m.w = parameter(m.module, TARN_SHAPE(outputs, 5), 2);
    m.b = parameter(m.module, TARN_SHAPE(outputs), 1);
    return m;
}

static tarn_tensor *last_loss(void *model, int step)
{
    const recurrent *m = model;
    (void)step;
    const tarn_rnn_output out = tarn_rnn_forward(&m->layer, m->x, (tarn_rnn_state){ 0 });
    tarn_tensor *h = tarn_select(out.state.h, 0, 0);
    return tarn_cross_entropy(tarn_affine(h, m->w, m->b), m->y);
}

static void a_recurrent_network(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    recurrent by_sgd = make_recurrent(tm, 4), by_adam = make_recurrent(tm, 4);
    by_sgd.x = by_adam.x = tarn_mul_scalar(numbers(tm, DATA, TARN_SHAPE(8, 6, 3)), 4);
    by_sgd.y = by_adam.y = labels(tm, LABELS, 8, 4);
    train("lstm_sgd", tm, sgd(by_sgd.module), last_loss, &by_sgd);
    train("lstm_adam", tm, adam(by_adam.module), last_loss, &by_adam);
}

static tarn_tensor *part_loss(void *model, int step)
{
    recurrent *m = model;
    const int64_t from = PART * (int64_t)step;
    tarn_tensor *x = tarn_slice(m->x, 1, from, from + PART);
    const tarn_rnn_output out = tarn_rnn_forward(&m->layer, x, m->state);
    check_status(tarn_rnn_state_carry(&m->state, out.state), TARN_OK);
    tarn_tensor *y = tarn_affine(out.y, m->w, m->b);
    return tarn_mse(y, tarn_slice(m->y, 1, from, from + PART));
}

static void states_carried_over(void **state)
{
    tarn_manager *tm = ((check_fixture *)*state)->tm;
    recurrent m = make_recurrent(tm, 2);
    m.x = tarn_mul_scalar(numbers(tm, DATA, TARN_SHAPE(2, PART * STEPS, 3)), 4);
    m.y = numbers(tm, LABELS, TARN_SHAPE(2, PART * STEPS, 2));
    train("carried_adam", tm, adam(m.module), part_loss, &m);
    tarn_rnn_state_release(&m.state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, check_setup, check_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_perceptron),        TEST(a_convolutional_network), TEST(attention_with_layer_norm),
        TEST(a_recurrent_network), TEST(states_carried_over),
    };
    return cmocka_run_group_tests_name("trajectories", tests, NULL, NULL);
}
