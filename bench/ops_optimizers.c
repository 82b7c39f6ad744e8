/* SPDX-License-Identifier: MIT
 * ops_optimizers.c - optimisers, each updating one parameter. The learning rates are such that
 * nothing moves (see steps.h). */
#include "ops.h"

static const double lr = 1e-9;

static void sgd(op_bed *b)
{
    b->optimizer = tarn_sgd_create(b->module, &(tarn_sgd_options){ .lr = lr });
}
static void momentum(op_bed *b)
{
    b->optimizer = tarn_sgd_create(b->module, &(tarn_sgd_options){ .lr = lr, .momentum = 0.9 });
}
static void nesterov(op_bed *b)
{
    b->optimizer = tarn_sgd_create(
        b->module, &(tarn_sgd_options){ .lr = lr, .momentum = 0.9, .nesterov = true });
}
static void adam(op_bed *b)
{
    b->optimizer = tarn_adam_create(b->module, &(tarn_adam_options){ .lr = lr });
}
static void adamw(op_bed *b)
{
    b->optimizer =
        tarn_adamw_create(b->module, &(tarn_adam_options){ .lr = lr, .weight_decay = 0.01 });
}
static void rmsprop(op_bed *b)
{
    b->optimizer = tarn_rmsprop_create(b->module, &(tarn_rmsprop_options){ .lr = lr });
}
static void adagrad(op_bed *b)
{
    b->optimizer = tarn_adagrad_create(b->module, &(tarn_adagrad_options){ .lr = lr });
}
static void lion(op_bed *b)
{
    b->optimizer = tarn_lion_create(b->module, &(tarn_lion_options){ .lr = lr });
}
static void ema(op_bed *b) { b->ema = tarn_ema_create(b->module, NULL); }

/* A gradient arrives first: read and written. */
#define UPDATE(r, w) MOVE2(1, 1, OPTIMIZER_ELEMENTS, r, w, OPTIMIZER_ELEMENTS)

const optimizer_row optimizer_rows[N_OPTIMIZERS] = {
    { "SGD", sgd, UPDATE(2, 1) },
    { "SGD, momentum", momentum, UPDATE(3, 2) },
    { "SGD, Nesterov", nesterov, UPDATE(3, 2) },
    { "Adam", adam, UPDATE(4, 3) },
    { "AdamW", adamw, UPDATE(4, 3) },
    { "RMSprop", rmsprop, UPDATE(3, 2) },
    { "Adagrad", adagrad, UPDATE(3, 2) },
    { "Lion", lion, UPDATE(3, 2) },
    { "average of weights", ema, UPDATE(2, 1) },
    { "clipping by norm", NULL,
      MOVE3(1, 1, OPTIMIZER_ELEMENTS, 1, 0, OPTIMIZER_ELEMENTS, 1, 1, OPTIMIZER_ELEMENTS) },
};
