/* SPDX-License-Identifier: MIT
 * plan.h - a plan as the library sees it: its recordings, and the memory that they share. */
#ifndef TARN_AUTOGRAD_PLAN_H
#define TARN_AUTOGRAD_PLAN_H

#include <tarn/plan.h>

#include "autograd/program.h"

enum { TARN__PLAN_READY = 4, TARN__PLAN_WAITING = 4, TARN__PLAN_RESULTS = 10 };

struct tarn_plan {
    tarn__object object;
    tarn_function step;
    void *context;
    tarn_plan_options options;
    tarn__program *ready[TARN__PLAN_READY]; /* owned: that can be replayed, the last used first */
    tarn__program *waiting[TARN__PLAN_WAITING]; /* owned: recorded once, the newest first */
    tarn_tensor *results[TARN__PLAN_RESULTS];   /* owned: one of each layout */
    tarn__storage *arena;                       /* owned: what all of ready run in; or NULL */
    bool busy;
    bool given_up;   /* nothing is recorded any more */
    uint32_t misses; /* recordings since the last that became ready */
    tarn_plan_reason_code reason;
    char text[512]; /* more of it */
    char why[512];  /* why nothing is recorded any more */
    char sentence[640];
    tarn_plan_stats stats;
};

/* ---- running (plan.c) */

/* Calls the step in a scope, and copies what it returns into a tensor of the plan's, which is
 * returned; recorded by the program unless that is NULL. */
tarn_tensor *tarn__plan_call(tarn_plan *plan, tarn_list inputs, tarn__program *program);

/* Replays the program, undoes that, calls the step and compares; only calls it where memory is
 * short. NULL with the error held for a difference, which is told in `what` (plan_verify.c). */
tarn_tensor *tarn__plan_verify(tarn_plan *plan, tarn__program *program, tarn_list inputs,
                               char *what, size_t size);

/* ---- recordings (plan_recordings.c) */

/* What becomes of a recording that has ended: with its like it is ready, without it waits. */
void tarn__plan_judge(tarn_plan *plan, tarn__program *program);

/* The recording that fits, which is now the last used; NULL if none does. */
tarn__program *tarn__plan_find(tarn_plan *plan, tarn_list inputs);

/* Why the recording that was used last does not fit. Lets go of those that never will. */
tarn_plan_reason_code tarn__plan_why_none_fits(tarn_plan *plan, tarn_list inputs);

/* Ends all recordings, and their arena. */
void tarn__plan_drop_all(tarn_plan *plan);

/* Nothing is recorded any more. */
void tarn__plan_give_up(tarn_plan *plan, const char *why);

/* ---- results (plan_results.c) */

/* The tensor that the program's result goes to; NULL if it has none. */
tarn_tensor *tarn__plan_result(const tarn_plan *plan, const tarn__program *program);

/* Copies y to a tensor of the plan's, as the program's result unless that is NULL. Without memory
 * for it y itself is returned, and goes to the scope around. */
tarn_tensor *tarn__plan_keep(tarn_plan *plan, tarn_tensor *y, tarn__program *program);

/* Leaves room for another result: ends those that no recording needs, if there is none. */
void tarn__plan_make_room(tarn_plan *plan);

#endif
