/* SPDX-License-Identifier: MIT
 * line_search.h - a point along a direction that satisfies the strong Wolfe conditions
 * (Nocedal and Wright, Numerical Optimization, 2006, section 3.5). */
#ifndef TARN_NN_LINE_SEARCH_H
#define TARN_NN_LINE_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

/* Places for gradients: that of the start of a search, of the two ends of its bracket, and of the
 * point that is being evaluated. */
enum { TARN__LINE_GRADIENTS = 4 };

/* The loss at x + t d, its slope along d, and the place of its gradient. Where loss or gradient are
 * not finite, the loss is infinite. */
typedef struct tarn__trial {
    double t, loss, slope;
    int gradient;
} tarn__trial;

typedef struct tarn__line {
    /* Fills in the trial, whose t and place of the gradient are set. False ends the search. */
    bool (*evaluate)(void *context, tarn__trial *trial);
    void *context;
    tarn__trial start;       /* at t = 0, with a finite loss and a slope below zero */
    double reach;            /* the largest component of d */
    double tolerance_change; /* a bracket in which no parameter changes more is not divided */
} tarn__line;

/* A place that none of the three trials uses. */
int tarn__line_free(int a, int b, int c);

/* Searches from a first t on. *best is the point found, or, where none satisfies both conditions,
 * that of the least loss among the ends of the last bracket: the start, at worst. False if an
 * evaluation said so. */
bool tarn__line_search(const tarn__line *line, double t, tarn__trial *best);

#endif
