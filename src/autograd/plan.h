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

/* Calls the step in a scope, and copies what it returns into a tensor of the plan's, which is
 * returned; recorded by the program unless that is NULL. */
tarn_tensor *tarn__plan_call(tarn_plan *plan, tarn_list inputs, tarn__program *program);

/* Replays the program, undoes that, calls the step and compares; only calls it where memory is
 * short. NULL with the error held for a difference, which is told in `what`. */
tarn_tensor *tarn__plan_verify(tarn_plan *plan, tarn__program *program, tarn_list inputs,
                               char *what, size_t size);

/* The tensor that the program's result goes to; NULL if it has none. */
tarn_tensor *tarn__plan_result(const tarn_plan *plan, const tarn__program *program);

#endif
