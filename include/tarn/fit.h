/* fit.h - the usual loop of training, for those who do not want to write it themselves.
 *
 *   static tarn_tensor *step(void *context, tarn_tensor *x, tarn_tensor *y, double *metric)
 *   {
 *       tarn_tensor *logits = tarn_sequential_forward(context, x);
 *       *metric = tarn_accuracy(logits, y);
 *       return tarn_cross_entropy(logits, y);
 *   }
 *
 *   tarn_fit_result result;
 *   tarn_fit(optimizer, root, train, &(tarn_fit_options){
 *       .step = step, .context = &net, .epochs = 100, .validation = validation,
 *       .goal = TARN_FIT_METRIC_MAX, .metric_name = "accuracy", .patience = 5,
 *       .progress = stderr }, &result);
 *
 * It calls nothing that a program could not call, and does, to the bit, what this loop does:
 *
 *   for each epoch:
 *       while (tarn_loader_next(train, &x, &y)) {
 *           TARN_SCOPE(tm);
 *           tarn_schedule_apply(optimizer, schedule, number of the step);
 *           tarn_tensor *loss = step(context, x, y, &metric);
 *           tarn_backward(loss);
 *           tarn_clip_grad_value(root, clip_value), tarn_clip_grad_norm(root, clip_norm);
 *           tarn_optimizer_step(optimizer);
 *           tarn_ema_update(ema);
 *       }
 *       the step function for the batches of validation: the module evaluates, nothing is recorded
 *
 * After the first epoch it acquires nothing of its own: tarn_expect_steady holds from step to step.
 * (Optimisers with steps of their own, such as L-BFGS, need a loop of their own, too.) */
#ifndef TARN_FIT_H
#define TARN_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/data.h"
#include "tarn/ema.h"
#include "tarn/export.h"
#include "tarn/module.h"
#include "tarn/optim.h"
#include "tarn/schedule.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- what is told */

typedef struct tarn_fit_figures {
    int64_t epoch, epochs;    /* from 1; in all */
    int64_t step, steps;      /* of the optimiser in this epoch: from 1; in all */
    double loss, metric;      /* after a step: of its batches; after an epoch: of all its rows */
    double validation_loss;   /* of the latest validation; NaN before the first */
    double validation_metric; /* the same; a metric that the step function does not give is NaN */
    double gradient_norm;     /* of the latest step, before clipping; NaN without clip_norm */
    double lr;                /* of the latest step */
    double seconds;           /* since the begin */
    bool best;                /* after an epoch: none was better */
} tarn_fit_figures;

/* ---- options */

/* What shall get better: of the validation or, without one, of the training. */
typedef enum tarn_fit_goal {
    TARN_FIT_LOSS,       /* smaller is better */
    TARN_FIT_METRIC_MAX, /* larger is better: an accuracy */
    TARN_FIT_METRIC_MIN  /* smaller is better: an error */
} tarn_fit_goal;

typedef struct tarn_fit_options {
    /* Computes the loss, a mean over the rows of a batch, of one element; y is NULL without
     * targets. *metric, NaN at first, may be set to a second figure of the batch, a mean as well.
     * The same function serves training and validation: tarn_module_is_training tells which. */
    tarn_tensor *(*step)(void *context, tarn_tensor *x, tarn_tensor *y, double *metric);
    void *context; /* passed to all functions here */

    int64_t epochs; /* 0: 1 */
    int64_t done;   /* epochs that an earlier call has done: the numbers of epochs, the schedule and
                       the loader go on from there, up to `epochs` */

    /* Validation after each epoch, and what follows from it. */
    tarn_loader *validation; /* NULL: none */
    tarn_fit_goal goal;
    int64_t patience;         /* ends after so many epochs in a row without improvement; 0: never */
    double min_delta;         /* an improvement is more than that */
    tarn_switch restore_best; /* at the end, the parameters and buffers become those of the best
                                 epoch; default: on with patience, else off. Costs a copy of them */

    /* Steps. */
    const tarn_schedule *schedule; /* part of the learning rate by step; NULL: none */
    bool schedule_epochs;          /* the schedule counts epochs instead */
    tarn_plateau *plateau; /* instead of a schedule: takes the goal's figure after each epoch */
    double clip_value;     /* tarn_clip_grad_value, first; 0: not */
    double clip_norm;      /* tarn_clip_grad_norm; infinite: only measured; 0: not */
    int64_t accumulate;    /* batches whose gradients make one step, that of their mean; 0: 1. The
                              last step of an epoch may have fewer */
    tarn_ema *ema;         /* updated after each step. Validation is that of the averages, and they
                              are what restore_best keeps and puts into the module. NULL: none */
    bool
        allow_non_finite; /* else a loss, or a goal's figure, that is NaN or infinite is an error */

    /* Called after each step and each epoch, outside of any scope but the caller's; false ends the
     * training. */
    bool (*on_step)(void *context, const tarn_fit_figures *figures);
    bool (*on_epoch)(void *context, const tarn_fit_figures *figures);

    /* Where a line an epoch is written, and between them how far it is: on a terminal in a line
     * that is written over again and again, elsewhere in a line every ten seconds. NULL: nowhere.
     */
    FILE *progress;
    const char *metric_name; /* NULL: "metric" */
} tarn_fit_options;

/* ---- training */

/* Why it ended. */
typedef enum tarn_fit_end {
    TARN_FIT_FAILED,         /* an error is held */
    TARN_FIT_COMPLETED,      /* all epochs are done */
    TARN_FIT_NO_IMPROVEMENT, /* patience was exhausted */
    TARN_FIT_STOPPED         /* on_step or on_epoch returned false */
} tarn_fit_end;

typedef struct tarn_fit_result {
    tarn_fit_end end;
    int64_t epochs;        /* the last that is complete, counted from 1; 0: none */
    uint64_t steps;        /* of the optimiser, in this call */
    int64_t best_epoch;    /* from 1; 0: none */
    double best;           /* the goal's figure then; NaN if there is none */
    bool restored;         /* the weights were put back to those of that epoch */
    tarn_fit_figures last; /* as the last call of on_step or on_epoch has, or would have, told */
} tarn_fit_result;

/* Trains the module, or what is below it, as the options say. The loader begins at the first batch
 * of its running epoch. While it trains, the module is in training: all of it if it was evaluating,
 * in which case it does so again at the end; else its parts keep the modes that they have. Nothing
 * that takes part may be destroyed before it returns, nor another call for it begin. The result may
 * be NULL.
 * Fails, with the error held and the result saying how far it came: an error already held;
 * TARN_EARG without optimizer, module, loader or step function, for numbers out of range, for a
 * schedule and a plateau, or a plateau that takes the goal for its contrary; TARN_ESTATE for parts
 * of several managers or trees, loaders without a batch; TARN_ENUMERIC, naming epoch and step;
 * whatever error the functions leave held. Parameters and buffers are then those after the last
 * step that succeeded, and gradients are empty. */
TARN_API tarn_status tarn_fit(tarn_optimizer *optimizer, tarn_module *module, tarn_loader *train,
                              const tarn_fit_options *options, tarn_fit_result *result);

TARN_END_DECLS

#endif
