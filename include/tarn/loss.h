/* loss.h - losses: numbers that training makes small. (ops.h says how operations fail and
 * what they are recorded for.)
 *
 * The short forms give the mean. Each has a longer form with options; zero in a field, and NULL for
 * the options, mean what the short form does. An unknown reduction is an error (TARN_EARG).
 *
 * Without elements, a mean is NaN, a sum 0, and losses one by one are none. */
#ifndef TARN_LOSS_H
#define TARN_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/ops.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* What becomes of the losses of all elements or rows. In the gradients below, g is the gradient of
 * one of them: dloss divided by what their sum is divided by. */
typedef enum tarn_reduction {
    TARN_REDUCE_MEAN,      /* their mean: a scalar */
    TARN_REDUCE_SUM,       /* their sum: a scalar */
    TARN_REDUCE_NONE,      /* each for itself */
    TARN_REDUCE_BATCH_MEAN /* their sum, divided by the first size: a scalar */
} tarn_reduction;

/* ---- of class labels */

/* Losses that compare each row of C numbers, one a class, with the class that is right. */
typedef struct tarn_label_options {
    tarn_tensor *weights; /* (C), of the type of the rows: how much each class counts; NULL: 1. It
                             is a constant: one that requires a gradient is an error (TARN_EARG) */
    double
        label_smoothing;  /* e from 0 to 1: the share of the loss that is spread over all classes */
    bool ignores;         /* rows whose label is ignore_index count for nothing */
    int64_t ignore_index; /* may lie outside of [0, C) */
    tarn_reduction reduction;
} tarn_label_options;

/* -log(softmax(logits)[label]) of each row, averaged.
 *   logits (B, C)   labels (B), integers in [0, C), I32, I64 or U8   ->   a scalar
 *   logits (B, C, d1, ...)   labels (B, d1, ...)                     ->   a scalar
 * dlogits = g (softmax - onehot). Fails also: TARN_EARG naming the row whose label is out of range.
 *
 * With options, a row with label y has the loss
 *   (1 - e) w_y n_y + (e / C) sum(w_c n_c),   n = -log(softmax(logits)),
 * and a mean is their sum divided by the sum of w_y: by the number of rows, if there are no
 * weights. Ignored rows are in neither sum: their losses and gradients are 0. If every row is
 * ignored, a mean is 0 / 0, NaN. */
TARN_API tarn_tensor *tarn_cross_entropy(tarn_tensor *logits, tarn_tensor *labels);
TARN_API tarn_tensor *tarn_cross_entropy_with(tarn_tensor *logits, tarn_tensor *labels,
                                              const tarn_label_options *options);

/* The same of log-probabilities, as tarn_log_softmax gives them: n = -log_p above. dlog_p = -g at
 * the label, 0 elsewhere. */
TARN_API tarn_tensor *tarn_nll(tarn_tensor *log_p, tarn_tensor *labels);
TARN_API tarn_tensor *tarn_nll_with(tarn_tensor *log_p, tarn_tensor *labels,
                                    const tarn_label_options *options);

/* ---- of two tensors x and y of one shape, element by element */

typedef struct tarn_bce_options {
    tarn_tensor *weight; /* how much each element counts; it broadcasts to the shape of x */
    tarn_tensor
        *pos_weight; /* p, how much y counts against 1 - y; it broadcasts, too. NULL: 1. Both
                        are constants: one that requires a gradient is an error (TARN_EARG) */
    tarn_reduction reduction; /* a mean divides by the number of elements, whatever their weights */
} tarn_bce_options;

/* max(x, 0) - x y + log(1 + e^-|x|): the binary cross-entropy of targets y in [0, 1] and logits x.
 * dx = g (sigmoid(x) - y), dy = -g x. With options:
 *   weight (p y log(1 + e^-x) + (1 - y) log(1 + e^x)). */
TARN_API tarn_tensor *tarn_bce_with_logits(tarn_tensor *x, tarn_tensor *y);
TARN_API tarn_tensor *tarn_bce_with_logits_with(tarn_tensor *x, tarn_tensor *y,
                                                const tarn_bce_options *options);

/* For losses that have no other options. */
typedef struct tarn_loss_options {
    tarn_reduction reduction;
} tarn_loss_options;

/* (x - y)^2.   dx = 2 g (x - y), dy = -dx. */
TARN_API tarn_tensor *tarn_mse(tarn_tensor *x, tarn_tensor *y);
TARN_API tarn_tensor *tarn_mse_with(tarn_tensor *x, tarn_tensor *y,
                                    const tarn_loss_options *options);

/* |x - y|.   dx = g sign(x - y), 0 where x = y; dy = -dx. */
TARN_API tarn_tensor *tarn_l1(tarn_tensor *x, tarn_tensor *y);
TARN_API tarn_tensor *tarn_l1_with(tarn_tensor *x, tarn_tensor *y,
                                   const tarn_loss_options *options);

typedef struct tarn_huber_options {
    double delta;   /* above 0; 0: 1 */
    bool smooth_l1; /* divide by delta: slope 1 instead of delta */
    tarn_reduction reduction;
} tarn_huber_options;

/* d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = x - y: a square near 0,
 * straight beyond.   dx = g d, cut to [-delta, delta]; dy = -dx. Fails also: TARN_EARG unless delta
 * is positive and finite in the type of x. */
TARN_API tarn_tensor *tarn_huber(tarn_tensor *x, tarn_tensor *y);
TARN_API tarn_tensor *tarn_huber_with(tarn_tensor *x, tarn_tensor *y,
                                      const tarn_huber_options *options);

typedef struct tarn_hinge_options {
    double margin; /* 0: 1 */
    bool squared;  /* the square of each loss */
    tarn_reduction reduction;
} tarn_hinge_options;

/* max(0, margin - x y), for scores x and targets y of 1 or -1: that of support vector machines.
 * dx = -g y where the loss is above 0, else 0; dy = -g x likewise; squared, both times 2 max(0,
 * margin - x y). Fails also: TARN_EARG unless margin is positive and finite in the type of x. */
TARN_API tarn_tensor *tarn_hinge(tarn_tensor *x, tarn_tensor *y);
TARN_API tarn_tensor *tarn_hinge_with(tarn_tensor *x, tarn_tensor *y,
                                      const tarn_hinge_options *options);

typedef struct tarn_kl_options {
    bool log_target; /* y are logarithms of probabilities, as x are */
    tarn_reduction reduction;
} tarn_kl_options;

/* y (log y - x): the terms of the Kullback-Leibler divergence of probabilities y from those whose
 * logarithms are x; 0 where y is 0. (TARN_REDUCE_BATCH_MEAN gives the mean divergence of rows,
 * where TARN_REDUCE_MEAN divides by the number of classes as well.)   dx = -g y, dy = g (log y + 1
 * - x), 0 where y is 0. With log_target: e^y (y - x), dx = -g e^y, dy = g e^y (y - x + 1). */
TARN_API tarn_tensor *tarn_kl_divergence(tarn_tensor *x, tarn_tensor *y);
TARN_API tarn_tensor *tarn_kl_divergence_with(tarn_tensor *x, tarn_tensor *y,
                                              const tarn_kl_options *options);

typedef struct tarn_gaussian_nll_options {
    double eps; /* variances below count as this; 0: 1e-6 */
    bool full;  /* with the constant log(2 pi) / 2 */
    tarn_reduction reduction;
} tarn_gaussian_nll_options;

/* (log v + (x - y)^2 / v) / 2: the negative logarithm of the density at y of a normal distribution
 * with mean x and variance v, all of one shape.   dx = g (x - y) / v, dy = -dx,
 * dv = g (1 - (x - y)^2 / v) / (2 v): with v at least eps, but also where it is below, so that a
 * variance can come back. Fails also: TARN_EARG naming the element whose variance is negative, and
 * unless eps is positive and finite in the type of x. */
TARN_API tarn_tensor *tarn_gaussian_nll(tarn_tensor *x, tarn_tensor *y, tarn_tensor *variance);
TARN_API tarn_tensor *tarn_gaussian_nll_with(tarn_tensor *x, tarn_tensor *y, tarn_tensor *variance,
                                             const tarn_gaussian_nll_options *options);

/* ---- of directions */

/* The cosine of the angle between a and b, of one shape, along an axis, which vanishes:
 * s = sum(a b) / (|a| |b|), where a norm below 1e-8 counts as 1e-8.
 * da = ds (b / |b| - s a / |a|) / |a|, without the second term where |a| counts as more than it is;
 * db likewise. */
TARN_API tarn_tensor *tarn_cosine_similarity(tarn_tensor *a, tarn_tensor *b, int axis);

typedef struct tarn_cosine_options {
    double margin; /* from -1 to 1: the cosine up to which unlike rows cost nothing */
    tarn_reduction reduction;
} tarn_cosine_options;

/* Of rows that are to be alike (y = 1) or not (y = -1), with the cosine s of a row of a and one of
 * b: 1 - s where y > 0, else max(0, s - margin). a, b (B, D)   y (B)   ->   a scalar, or (B) a and
 * b may have any number of axes; the last one vanishes. y receives zeros. Fails also: TARN_EARG
 * unless -1 <= margin <= 1. */
TARN_API tarn_tensor *tarn_cosine_embedding(tarn_tensor *a, tarn_tensor *b, tarn_tensor *y);
TARN_API tarn_tensor *tarn_cosine_embedding_with(tarn_tensor *a, tarn_tensor *b, tarn_tensor *y,
                                                 const tarn_cosine_options *options);

TARN_END_DECLS

#endif
