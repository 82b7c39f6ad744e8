/* SPDX-License-Identifier: MIT
 * steps.h - the training steps that benchmarks run, and their floors. */
#ifndef TARN_BENCH_STEPS_H
#define TARN_BENCH_STEPS_H

#include <tarn/tarn.h>

#include "floor.h"
#include "measure.h"
#include "xor_step.h"

enum { MAX_SIZES = 5 };

/* A step: an MLP on random numbers with relu and cross-entropy, or the XOR net of the README, which
 * has tanh and binary cross-entropy. */
typedef struct step_kind {
    const char *name;
    int batch;
    int sizes[MAX_SIZES]; /* ends with a zero */
    optimizer_kind optimizer;
    bool is_xor;
} step_kind;

/* The steps by which the library is judged. */
enum { N_STEP_KINDS = 6 };
extern const step_kind step_kinds[N_STEP_KINDS];

typedef struct step {
    tarn_manager *tm;
    tarn_module *net;
    tarn_mlp mlp;
    tarn_linear l1, l2; /* of XOR */
    tarn_optimizer *opt;
    tarn_tensor *x, *y;
    tarn_plan *plan; /* NULL until step_run_planned has made it */
} step;

/* Makes the net and its batch in the manager. The learning rate is such that nothing is learnt: the
 * gradients of a net that knows all underflow, and processors take many times as long over such
 * numbers. */
void step_make(step *s, const step_kind *kind, tarn_manager *tm);

/* The loss, as an expression that is being recorded. */
tarn_tensor *step_forward(const step *s);

/* Makes one step; an arm of measure. */
void step_run(void *context);

/* The same by a plan: recorded once, then replayed. */
void step_run_planned(void *context);

/* Measures the step, and unless `planned` is NULL another of its kind that is planned, in turns
 * with their floor, and sets the figures of the rows. False, with the reason printed, if something
 * failed or the plan was not replayed. */
bool step_measure(const bench_options *options, const step_kind *kind, bench_row *eager,
                  bench_row *planned);

/* Sets the step that is written by hand to what a step of XOR holds. */
void step_copy_xor(xor_step *to, const step *from, double lr);

/* Trains XOR by the library and by hand; false, with the reason printed, unless their losses agree
 * all the way. */
bool step_check_xor(void);

#endif
