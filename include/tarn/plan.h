/* plan.h - a training step that is recorded once and then runs without tape, pool or handles.
 *
 * A step is a function that a program could as well call itself:
 *
 *     static tarn_tensor *step(tarn_tensor *const *inputs, int n, void *context)
 *     {
 *         struct model *m = context;
 *         tarn_tensor *loss = tarn_cross_entropy(forward(m, inputs[0]), inputs[1]);
 *         tarn_backward(loss);
 *         tarn_optimizer_step(m->optimizer);
 *         return loss;
 *     }
 *
 *     tarn_plan *plan = tarn_plan_create(tm, step, &m, NULL);
 *     while (tarn_loader_next(loader, &x, &y)) {
 *         tarn_tensor *loss = tarn_plan_run(plan, TARN_LIST(x, y));
 *         ...
 *     }
 *
 * The first runs call the function, and write down every kernel with the memory that it reads and
 * writes. When two of them were alike, all that was made in the step gets a fixed place in one
 * block of the pool, elementwise results in the memory of their operands where that is legal; from
 * then on a run goes through the list and calls nothing but kernels, with the same results, bit for
 * bit: loss, parameters, gradients, the optimiser's state, running statistics, draws of dropout.
 *
 * A run is replayed only while everything that the step depends on is as it was: shapes, types and
 * strides of the inputs; train or evaluation mode of what asked for it; TARN_NO_GRAD; parameters
 * and other tensors, whether they require gradients, whether gradients have arrived before;
 * optimisers and modules. Otherwise the function is called as if there were no plan, and
 * tarn_plan_reason says why. A plan keeps up to four recordings, such as one for the last, smaller
 * batch of an epoch, one for evaluation, one for a gradient that is added to; what fits none of
 * them runs eagerly. Learning rates set between runs, schedules, factors of groups, step counts and
 * call counts are used as they are at each run.
 *
 * What a plan cannot see is the function's own C code, for a replay does not call it: whatever
 * changes from step to step must be an input. A number passed to an operation is part of the
 * recording; so is the branch that an `if` took; so is a tensor that the context points to, until
 * it ends. Where the step lets the program in - it reads or writes elements (tarn_item, tarn_data),
 * makes tensors of arrays, sets a learning rate, switches modes, takes a batch, keeps a tensor for
 * later, has hooks - the plan is given up for good, and says so. options.verify finds the rest. */
#ifndef TARN_PLAN_H
#define TARN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/autograd.h"
#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

typedef struct tarn_plan tarn_plan;

typedef struct tarn_plan_options {
    /* Each so many replays one is checked: it is run, undone and done again by calling the
     * function, whose results stand, and all bytes that either changed are compared. A difference
     * is an error (TARN_ESTATE) that names the tensor, and the plan is given up. 0: never; 1: each
     * replay, to test a step. */
    uint64_t verify;
    bool eager; /* never plan: every run calls the function */
} tarn_plan_options;

/* Why a run was not a replay. X(name, text) */
#define TARN_PLAN_REASON_LIST(X)                                                   \
    X(NONE, "it was replayed")                                                     \
    X(RECORDING, "the step is being recorded")                                     \
    X(INPUTS, "inputs are not as recorded")                                        \
    X(MODES, "a mode is not as recorded")                                          \
    X(TENSORS, "tensors are not as recorded")                                      \
    X(GRADIENTS, "gradients are not as recorded")                                  \
    X(WATCHED, "operations are watched, or nothing is computed (a dry run)")       \
    X(INSIDE, "it runs inside another recording, a backward pass or a checkpoint") \
    X(MEMORY, "memory was short")                                                  \
    X(REFUSED, "the step cannot be planned")                                       \
    X(OFF, "options.eager")

typedef enum tarn_plan_reason_code {
#define TARN_PLAN_REASON_CODE(name, text) TARN_PLAN_##name,
    TARN_PLAN_REASON_LIST(TARN_PLAN_REASON_CODE)
#undef TARN_PLAN_REASON_CODE
        TARN_PLAN_REASONS /* how many there are */
} tarn_plan_reason_code;

typedef struct tarn_plan_stats {
    uint64_t runs, replays;
    uint64_t verified;                   /* replays that were checked and right */
    uint64_t reasons[TARN_PLAN_REASONS]; /* runs by why they were not replayed; [NONE]: replays */
    size_t recordings;                   /* that can be replayed now */

    /* Of the recording that was replayed or made last. */
    size_t instructions, values; /* values: pieces of memory in the arena */
    size_t in_place;             /* results that took the memory of an operand */
    size_t bytes;                /* of the arena that it needs */
    size_t lower_bound;          /* the largest sum of the bytes that live at one time */

    size_t arena_bytes; /* of the block that all recordings share */
} tarn_plan_stats;

/* A plan for the step, which is called with the inputs of a run and the context. It belongs to the
 * manager. NULL, with the error held, without a step (TARN_EARG) or memory; NULL for NULL. */
TARN_API tarn_plan *tarn_plan_create(tarn_manager *tm, tarn_function step, void *context,
                                     const tarn_plan_options *options);

/* Ends the plan and the tensor that its runs returned. Not inside its own step: TARN_ESTATE is
 * held. NULL is nothing. */
TARN_API void tarn_plan_destroy(tarn_plan *plan);

/* Runs the step in a scope of its own and returns what it returned: a tensor without a gradient
 * that belongs to the plan and is overwritten by the next run (and ended when a result of another
 * shape needs its place; tarn_contiguous or tarn_mul_scalar make a copy). NULL if the step returned
 * NULL; tarn_ok tells whether that was a failure. Inputs are only read; they may be other tensors
 * in every run, and none (TARN_LIST needs one: (tarn_list){ 0 }).
 *
 * Fails: NULL, with the error held, where the step fails; TARN_EARG, if an input is NULL;
 * TARN_ESTATE for tensors of another manager, and inside its own step; nothing is done while an
 * error is held. A replay that fails (a label out of range) leaves what the function would have
 * left. */
TARN_API tarn_tensor *tarn_plan_run(tarn_plan *plan, tarn_list inputs);

/* True if the last run was a replay. */
TARN_API bool tarn_plan_is_replayed(const tarn_plan *plan);

/* Why the last run was not a replay, such as "inputs are not as recorded: input 0 is float32 [96,
 * 784] instead of float32 [128,784]"; "" if it was, or there was none. The text stays until the
 * next run. */
TARN_API const char *tarn_plan_reason(tarn_plan *plan);
TARN_API tarn_plan_reason_code tarn_plan_reason_of(const tarn_plan *plan);

/* The figures so far; zeros for NULL. */
TARN_API tarn_plan_stats tarn_plan_get_stats(const tarn_plan *plan);

/* Writes what the last replayed recording does, one instruction a line, and which memory each piece
 * of the arena has when. Fails: TARN_EARG for NULL, TARN_EIO. */
TARN_API tarn_status tarn_plan_print(const tarn_plan *plan, FILE *stream);

TARN_END_DECLS

#endif
