/* SPDX-License-Identifier: MIT
 * fit.h - a training by tarn_fit while it runs. fit_check.c says what it may be asked for, fit.c is
 * the loop, fit_steps.c a step and a validation, fit_progress.c writes how it goes. */
#ifndef TARN_NN_FIT_H
#define TARN_NN_FIT_H

#include <tarn/fit.h>

#include "nn/module.h"
#include "nn/snapshot.h"

/* Means over rows. */
typedef struct tarn__mean {
    double loss, metric, rows; /* sums; those of loss and metric are of figures times rows */
} tarn__mean;

typedef struct tarn__fit {
    tarn_manager *tm;
    tarn_optimizer *optimizer;
    tarn_module *module;
    tarn_loader *train;
    tarn_fit_options o; /* with the defaults filled in */

    tarn_fit_figures now;
    tarn_fit_result result;
    bool stopped; /* a callback wants no more */

    int64_t batches;       /* in an epoch */
    tarn__mean mean;       /* of the running epoch */
    double last_good;      /* the goal's figure of the last improvement that counted */
    int64_t not_improved;  /* epochs since then */
    tarn__snapshot best;   /* parameters and buffers, or nothing */
    tarn__snapshot before; /* the buffers before the running step */
    bool in_step;          /* it has begun and may have changed these */

    bool *modes; /* owned: of the parts of the module, (n_modules) before the validation, and
                    (n_modules) before the training */
    size_t n_modules;
    bool was_evaluating;

    uint64_t began_ns, epoch_ns,
        shown_ns;   /* the training, this epoch, and the last line about it */
    bool live;      /* progress is a terminal */
    bool line_open; /* on which a line stands that will be written over */
} tarn__fit;

/* ---- fit_check.c */

/* The manager that holds the errors of a call; NULL if there is none. */
tarn_manager *tarn__fit_manager(const tarn_optimizer *optimizer, const tarn_module *module,
                                const tarn_loader *train);

/* Fills in f's arguments, or holds the error. */
tarn_status tarn__fit_resolve(tarn__fit *f, tarn_optimizer *optimizer, tarn_module *module,
                              tarn_loader *train, const tarn_fit_options *options);

/* ---- fit_steps.c */

/* Saves the modes of the module's parts at modes, and sets them again. */
void tarn__fit_save_modes(const tarn__fit *f, bool *modes);
void tarn__fit_set_modes(const tarn__fit *f, const bool *modes);

/* Adds figures of so many rows; and what their mean is. */
void tarn__mean_add(tarn__mean *m, double loss, double metric, double rows);

/* A step of the next `parts` batches, with what follows from it. False if the training is to end,
 * by an error or a callback. */
bool tarn__fit_step(tarn__fit *f, int64_t parts);

/* Puts back what a step has changed that did not succeed. */
void tarn__fit_undo_step(tarn__fit *f);

/* Runs the validation: its figures are then in f->now. False with the error held. */
bool tarn__fit_validate(tarn__fit *f);

/* Holds TARN_ENUMERIC for a figure that is not finite, unless that is allowed. */
bool tarn__fit_check_finite(const tarn__fit *f, const char *what, double value);

/* ---- fit_progress.c */

/* Prepares for writing; tells that a step, an epoch, the whole is done. They do nothing without a
 * stream to write to. */
void tarn__fit_show_begin(tarn__fit *f);
void tarn__fit_show_step(tarn__fit *f);
void tarn__fit_show_epoch(tarn__fit *f);
void tarn__fit_show_end(tarn__fit *f);

#endif
