/* SPDX-License-Identifier: MIT
 * plan_models.c - the models, each of which shows a planner something else. */
#include "plan_models.h"

#include <string.h>

#include "check.h"

/* ---- XOR's network: as small as can be */

static void make_small(plan_model *m)
{
    m->l1 = tarn_linear_create(m->net, "l1", 2, 8);
    m->l2 = tarn_linear_create(m->net, "l2", 8, 1);
}

static tarn_tensor *small_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_tensor *hidden = tarn_tanh(tarn_linear_forward(&m->l1, x));
    return tarn_bce_with_logits(tarn_linear_forward(&m->l2, hidden), y);
}

/* ---- a perceptron, with dropout: keys drawn anew at each call */

static void make_mlp(plan_model *m)
{
    static const int64_t sizes[] = { 12, 16, 8, 5 };
    m->mlp = tarn_mlp_create(m->net, "mlp", sizes, 4, &(tarn_mlp_options){ .dropout = 0.3 });
}

static tarn_tensor *mlp_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    return tarn_cross_entropy(tarn_mlp_forward(&m->mlp, x), y);
}

/* ---- convolution, batch norm (running statistics), pooling, dropout */

static void make_cnn(plan_model *m)
{
    m->conv = tarn_conv2d_create(m->net, "conv", 1, 4, 3);
    m->batch_norm = tarn_batch_norm_create(m->net, "norm", 4);
    m->dropout = tarn_dropout_create(m->net, "dropout", 0.25);
    m->l1 = tarn_linear_create(m->net, "l1", 36, 5);
}

static tarn_tensor *cnn_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_tensor *h = tarn_batch_norm_forward(&m->batch_norm, tarn_conv_forward(&m->conv, x));
    h = tarn_max_pool2d(tarn_relu(h), TARN_SHAPE(2, 2), NULL);
    h = tarn_reshape(h, TARN_SHAPE(tarn_dim(h, 0), 36));
    return tarn_cross_entropy(tarn_linear_forward(&m->l1, tarn_dropout_forward(&m->dropout, h)), y);
}

/* ---- LSTM layers over embedded letters */

static void make_lstm(plan_model *m)
{
    m->embedding = tarn_embedding_create(m->net, "embedding", 11, 6);
    m->rnn = tarn_rnn_create_with(
        m->net, "rnn", 6, 7,
        &(tarn_rnn_options){ .kind = TARN_LSTM, .layers = 2, .bidirectional = true });
    m->l1 = tarn_linear_create(m->net, "l1", 14, 5);
}

static tarn_tensor *lstm_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_tensor *letters = tarn_embedding_forward(&m->embedding, x);
    tarn_rnn_output out = tarn_rnn_forward(&m->rnn, letters, (tarn_rnn_state){ 0 });
    return tarn_cross_entropy(tarn_linear_forward(&m->l1, tarn_select(out.y, 1, -1)), y);
}

/* ---- a cell, step by step: slices, zeros for the first state, weights used many times */

static void make_cell(plan_model *m)
{
    m->cell = tarn_gru_cell_create(m->net, "cell", 3, 6);
    m->l1 = tarn_linear_create(m->net, "l1", 6, 5);
}

static tarn_tensor *cell_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_rnn_state state = { tarn_zeros(m->tm, TARN_F32, TARN_SHAPE(tarn_dim(x, 0), 6)), NULL };
    for (int t = 0; t < 4; t++)
        state = tarn_rnn_cell_forward(&m->cell, tarn_select(x, 1, t), state);
    return tarn_cross_entropy(tarn_linear_forward(&m->l1, state.h), y);
}

/* ---- attention, layer norm, a residue, a mask made on the way (constants) */

static void make_attention(plan_model *m)
{
    m->attention = tarn_attention_create(m->net, "attention", 8, 2);
    m->norm = tarn_layer_norm_create(m->net, "norm", TARN_SHAPE(8));
    m->l1 = tarn_linear_create(m->net, "l1", 8, 5);
}

static tarn_tensor *attention_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_tensor *key = tarn_reshape(tarn_arange(m->tm, TARN_I64, 0, 6, 1), TARN_SHAPE(1, 6));
    tarn_tensor *row = tarn_reshape(tarn_arange(m->tm, TARN_I64, 0, 6, 1), TARN_SHAPE(6, 1));
    tarn_tensor *mask = tarn_less_equal(key, row);
    tarn_tensor *h = tarn_attention_forward(&m->attention, x, mask);
    h = tarn_layer_norm_forward(&m->norm, tarn_add(x, h));
    h = tarn_mean(tarn_gelu(h), TARN_AXES(1));
    return tarn_cross_entropy(tarn_linear_forward(&m->l1, h), y);
}

/* ---- views, strides, in-place operations, broadcasting, another type on the way */

static void make_mixed(plan_model *m)
{
    m->l1 = tarn_linear_create(m->net, "l1", 6, 6);
    m->l2 = tarn_linear_create(m->net, "l2", 6, 1);
}

static tarn_tensor *mixed_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_tensor *h = tarn_linear_forward(&m->l1, tarn_transpose(tarn_transpose(x, 0, 1), 0, 1));
    h = tarn_tanh_(tarn_add_scalar_(tarn_mul_scalar(h, 1.5), 0.25));
    tarn_tensor *left = tarn_slice(h, 1, 0, 3), *right = tarn_slice(h, 1, 3, 6);
    tarn_tensor *joined = tarn_concat((tarn_tensor *[]){ right, left }, 2, 1);
    tarn_tensor *double_sum = tarn_sum(tarn_cast(joined, TARN_F64), TARN_AXES(0));
    tarn_tensor *sum = tarn_mul_scalar(tarn_cast(double_sum, TARN_F32), 0.1);
    h = tarn_mul(joined, tarn_expand(sum, tarn_get_shape(joined)));
    h = tarn_add(tarn_mul(h, h), tarn_ones(m->tm, TARN_F32, TARN_SHAPE(6)));
    return tarn_bce_with_logits(tarn_linear_forward(&m->l2, h), y);
}

/* ---- a function that runs again in backward, with dropout inside */

static tarn_tensor *again(tarn_tensor *const *inputs, int n, void *context)
{
    plan_model *m = context;
    (void)n;
    tarn_tensor *h = tarn_tanh(tarn_linear_forward(&m->l1, inputs[0]));
    return tarn_dropout_forward(&m->dropout, tarn_mul(h, inputs[1]));
}

static void make_checkpointed(plan_model *m)
{
    m->dropout = tarn_dropout_create(m->net, "dropout", 0.25);
    m->l1 = tarn_linear_create(m->net, "l1", 6, 6);
    m->l2 = tarn_linear_create(m->net, "l2", 6, 1);
}

static tarn_tensor *checkpointed_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_tensor *h = tarn_checkpoint(again, TARN_LIST(x, m->l1.bias), m);
    h = tarn_checkpoint(again, TARN_LIST(tarn_sigmoid(h), m->l1.bias), m);
    return tarn_bce_with_logits(tarn_linear_forward(&m->l2, h), y);
}

/* ---- a penalty on a gradient: a pass that is recorded itself */

static tarn_tensor *penalised_loss(plan_model *m, tarn_tensor *x, tarn_tensor *y)
{
    tarn_tensor *from = tarn_require_grad(tarn_detach(x)), *slope = NULL;
    tarn_tensor *h = tarn_tanh(tarn_linear_forward(&m->l1, from));
    tarn_tensor *logits = tarn_linear_forward(&m->l2, h);
    const tarn_grad_options options = { .create_graph = true };
    (void)tarn_grad(TARN_LIST(tarn_sum(logits, TARN_ALL_AXES)), TARN_LIST(from), &slope, &options);
    tarn_tensor *penalty = tarn_mean(tarn_square(slope), TARN_ALL_AXES);
    return tarn_add(tarn_bce_with_logits(logits, y), tarn_mul_scalar(penalty, 0.5));
}

/* ---- all of them */

const plan_kind plan_kinds[] = {
    { "small", make_small, small_loss, { 1, { 2 } }, TARN_F32, 0, false },
    { "mlp", make_mlp, mlp_loss, { 1, { 12 } }, TARN_F32, 5, false },
    { "cnn", make_cnn, cnn_loss, { 3, { 1, 8, 8 } }, TARN_F32, 5, false },
    { "lstm", make_lstm, lstm_loss, { 1, { 5 } }, TARN_I64, 5, false },
    { "cell", make_cell, cell_loss, { 2, { 4, 3 } }, TARN_F32, 5, false },
    { "attention", make_attention, attention_loss, { 2, { 6, 8 } }, TARN_F32, 5, false },
    { "mixed", make_mixed, mixed_loss, { 1, { 6 } }, TARN_F32, 0, false },
    { "checkpointed", make_checkpointed, checkpointed_loss, { 1, { 6 } }, TARN_F32, 0, false },
    { "penalised", make_mixed, penalised_loss, { 1, { 6 } }, TARN_F32, 0, false },
};
const int n_plan_kinds = sizeof plan_kinds / sizeof plan_kinds[0];

const plan_kind *plan_kind_named(const char *name)
{
    for (int i = 0; i < n_plan_kinds; i++)
        if (strcmp(plan_kinds[i].name, name) == 0) return &plan_kinds[i];
    fail_msg("no kind %s", name);
    return NULL;
}

void plan_model_begin(plan_model *m, const plan_kind *kind, tarn_manager *tm)
{
    *m = (plan_model){ .kind = kind, .tm = tm, .net = tarn_module_create(tm) };
    kind->make(m);
}

void plan_model_batch(const plan_model *m, int64_t B, uint64_t seed, tarn_tensor **x,
                      tarn_tensor **y)
{
    const plan_kind *kind = m->kind;
    tarn_shape shape = kind->input;
    shape.ndim++;
    for (int i = shape.ndim - 1; i > 0; i--) shape.dims[i] = shape.dims[i - 1];
    shape.dims[0] = B;
    const double high = kind->dtype == TARN_I64 ? 10.99 : 1;
    tarn_tensor *inputs = tarn_random_uniform(m->tm, TARN_F32, shape, 0, high, 2 * seed);
    *x = kind->dtype == TARN_F32 ? inputs : tarn_cast(inputs, kind->dtype);
    const tarn_shape labels = kind->classes > 0 ? TARN_SHAPE(B) : TARN_SHAPE(B, 1);
    const double top = kind->classes > 0 ? kind->classes - 0.01 : 1;
    tarn_tensor *targets = tarn_random_uniform(m->tm, TARN_F32, labels, 0, top, 2 * seed + 1);
    *y = kind->classes > 0 ? tarn_cast(targets, TARN_I64) : targets;
}

tarn_tensor *plan_model_step(tarn_tensor *const *inputs, int n, void *context)
{
    plan_model *m = context;
    (void)n;
    m->calls++;
    if (m->zeroes) tarn_module_zero_grad(m->net);
    tarn_tensor *loss = m->kind->loss(m, inputs[0], inputs[1]);
    (void)tarn_backward(loss);
    if (m->accumulates) return loss;
    if (m->clip_norm > 0) (void)tarn_clip_grad_norm(m->net, m->clip_norm);
    if (m->clip_value > 0) (void)tarn_clip_grad_value(m->net, m->clip_value);
    (void)tarn_optimizer_step(m->optimizer);
    if (m->ema != NULL) (void)tarn_ema_update(m->ema);
    return loss;
}
