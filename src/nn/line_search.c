/* SPDX-License-Identifier: MIT
 * line_search.c - bracketing and dividing. All comparisons are written so that an infinite loss is
 * too far, wherever it comes up. */
#include "nn/line_search.h"

#include <math.h>

/* The conditions at t: loss(t) <= loss(0) + C1 t slope(0), and |slope(t)| <= C2 |slope(0)|. */
static const double C1 = 1e-4, C2 = 0.9;

enum { MAX_TRIALS = 25 };

static double at_least(double x, double low) { return x < low ? low : x; }
static double at_most(double x, double high) { return x > high ? high : x; }

int tarn__line_free(int a, int b, int c)
{
    int place = 0;
    while (place == a || place == b || place == c) place++;
    return place;
}

/* The minimum in [low, high] of the cubic that has the losses and slopes of two points (formula
 * 3.59); their middle where it has none. */
static double interpolate(const tarn__trial *a, const tarn__trial *b, double low, double high)
{
    if (a->t > b->t) {
        const tarn__trial *other = a;
        a = b;
        b = other;
    }
    const double d1 = a->slope + b->slope - 3 * (a->loss - b->loss) / (a->t - b->t);
    const double square = d1 * d1 - a->slope * b->slope;
    const double d2 = sqrt(square);
    const double t = b->t - (b->t - a->t) * ((b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2));
    return isfinite(square) && isfinite(t) ? at_most(at_least(t, low), high) : (low + high) / 2;
}

/* ---- the conditions */

static bool is_too_high(const tarn__line *line, const tarn__trial *trial)
{
    return trial->loss > line->start.loss + C1 * trial->t * line->start.slope;
}

static bool is_flat(const tarn__line *line, const tarn__trial *trial)
{
    return fabs(trial->slope) <= -C2 * line->start.slope;
}

/* Evaluates at t, with the gradient in a place that neither the ends nor the start use. */
static bool try_at(const tarn__line *line, double t, const tarn__trial ends[2], tarn__trial *out)
{
    *out = (tarn__trial){ .t = t,
                          .gradient = tarn__line_free(line->start.gradient, ends[0].gradient,
                                                      ends[1].gradient) };
    return line->evaluate(line->context, out);
}

/* ---- the two phases */

/* Goes further until a point behind the minimum is found: then the ends are around it. *n counts
 * the trials, and *found says that ends[1] satisfies both conditions already. */
static bool bracket(const tarn__line *line, double t, tarn__trial ends[2], int *n, bool *found)
{
    ends[0] = ends[1] = line->start;
    if (!try_at(line, t, ends, &ends[1])) return false;
    for (*n = 0; *n < MAX_TRIALS; ++*n) {
        const tarn__trial before = ends[0], last = ends[1];
        if (is_too_high(line, &last) || (*n > 1 && last.loss >= before.loss)) return true;
        *found = is_flat(line, &last);
        if (*found || last.slope >= 0) return true;
        const double next =
            interpolate(&before, &last, last.t + 0.01 * (last.t - before.t), last.t * 10);
        ends[0] = last;
        if (!try_at(line, next, ends, &ends[1])) return false;
    }
    ends[0] = line->start;
    return true;
}

/* Where to divide the bracket. Twice in a row close to an end, or outside, is too little progress:
 * then it is a tenth of the bracket away from that end. */
static double divide(const tarn__trial ends[2], bool *close)
{
    const double low = fmin(ends[0].t, ends[1].t), high = fmax(ends[0].t, ends[1].t);
    const double margin = 0.1 * (high - low);
    const double t = interpolate(&ends[0], &ends[1], low, high);
    const bool was_close = *close;
    *close = fmin(high - t, t - low) < margin;
    if (!*close || !(was_close || t >= high || t <= low)) return t;
    *close = false;
    return fabs(t - high) < fabs(t - low) ? high - margin : low + margin;
}

static int lower_of(const tarn__trial ends[2]) { return ends[0].loss <= ends[1].loss ? 0 : 1; }

bool tarn__line_search(const tarn__line *line, double t, tarn__trial *best)
{
    tarn__trial ends[2], trial;
    int n = 0;
    bool found = false, close = false;
    if (!bracket(line, t, ends, &n, &found)) return false;
    int low = found ? 1 : lower_of(ends);
    for (; !found && n < MAX_TRIALS; n++) {
        if (fabs(ends[1].t - ends[0].t) * line->reach < line->tolerance_change) break;
        if (!try_at(line, divide(ends, &close), ends, &trial)) return false;
        if (is_too_high(line, &trial) || trial.loss >= ends[low].loss) {
            ends[1 - low] = trial;
            low = lower_of(ends);
            continue;
        }
        found = is_flat(line, &trial);
        if (!found && trial.slope * (ends[1 - low].t - ends[low].t) >= 0) ends[1 - low] = ends[low];
        ends[low] = trial;
    }
    *best = ends[low];
    return true;
}
