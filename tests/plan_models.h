/* SPDX-License-Identifier: MIT
 * plan_models.h - models whose training steps are run eagerly and planned. */
#ifndef TARN_TESTS_PLAN_MODELS_H
#define TARN_TESTS_PLAN_MODELS_H

#include <tarn/tarn.h>

typedef struct plan_model plan_model;

typedef struct plan_kind {
    const char *name;
    void (*make)(plan_model *m);
    tarn_tensor *(*loss)(plan_model *m, tarn_tensor *x, tarn_tensor *y);
    tarn_shape input; /* but for the batch; integers below `classes` where the type says so */
    tarn_dtype dtype;
    int classes;      /* of labels (B); 0: targets (B, 1) in [0, 1] */
    bool whole_batch; /* every batch has one size */
} plan_kind;

/* One model with everything that any of the kinds uses. */
struct plan_model {
    const plan_kind *kind;
    tarn_manager *tm;
    tarn_module *net;
    tarn_optimizer *optimizer;
    tarn_ema *ema;
    tarn_linear l1, l2;
    tarn_mlp mlp;
    tarn_conv_layer conv;
    tarn_batch_norm_layer batch_norm;
    tarn_layer_norm_layer norm;
    tarn_dropout_layer dropout;
    tarn_embedding_layer embedding;
    tarn_attention attention;
    tarn_rnn rnn;
    tarn_rnn_cell cell;
    double clip_norm, clip_value; /* 0: none */
    bool accumulates;             /* the step is backward alone */
    bool zeroes;                  /* the step empties gradients first */
    int calls;                    /* of the step's function */
};

extern const plan_kind plan_kinds[];
extern const int n_plan_kinds;

/* The kind of that name. */
const plan_kind *plan_kind_named(const char *name);

/* A model of the kind, without optimiser. */
void plan_model_begin(plan_model *m, const plan_kind *kind, tarn_manager *tm);

/* A batch whose numbers follow from the seed. */
void plan_model_batch(const plan_model *m, int64_t B, uint64_t seed, tarn_tensor **x,
                      tarn_tensor **y);

/* A training step, as a tarn_function: context is the model, inputs are x and y. */
tarn_tensor *plan_model_step(tarn_tensor *const *inputs, int n, void *context);

#endif
