/* SPDX-License-Identifier: MIT
 * progress.h - how training goes: a live line on a terminal, a few plain lines an epoch elsewhere.
 */
#ifndef EXAMPLES_PROGRESS_H
#define EXAMPLES_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    int64_t epoch, epochs; /* from 1 */
    int64_t step, steps;   /* of the epoch */
    int64_t seen, images;  /* images of the epoch: so far, in all */
    double loss_sum;       /* over the images seen */
    double began;          /* the epoch, on the clock of seconds() */
    double before;         /* seconds that the epochs before it took */
    double shown;          /* when the line was last shown */
    bool live;             /* stdout is a terminal */
} progress;

/* Seconds since some moment, never going back. */
double seconds(void);

/* Begins the next epoch. */
void progress_begin(progress *p);

/* Counts a step over n images and shows the line if it is time to. */
void progress_step(progress *p, int64_t n, double loss);

/* Ends the epoch: returns the seconds it took and takes the live line away. */
double progress_end(progress *p);

/* The mean loss over the images of the epoch. */
double progress_loss(const progress *p);

#endif
