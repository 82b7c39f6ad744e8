/* functional.h - what layers are made of: softmax, dropout, normalisation, embedding, attention,
 * recurrence. (ops.h says how operations fail and what they are recorded for.) */
#ifndef TARN_FUNCTIONAL_H
#define TARN_FUNCTIONAL_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/ops.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* y = e^x / sum(e^x) along one axis, computed from x - max(x).   dx = y (dy - sum(dy y)). A row of
 * -inf, or with +inf, gives NaN. */
TARN_API tarn_tensor *tarn_softmax(tarn_tensor *x, int axis);
/* y = x - log(sum(e^x)) along one axis.   dx = dy - e^y sum(dy). */
TARN_API tarn_tensor *tarn_log_softmax(tarn_tensor *x, int axis);

/* Each element set to zero with probability p, else divided by 1 - p. The draws depend on the
 * manager's seed and `stream` alone: pass another stream for each use, such as a step number.
 * (tarn_dropout_layer, in layers.h, counts for itself.) dx = dy under the same draws, drawn again
 * rather than kept. Fails also: TARN_EARG unless 0 <= p <= 1. */
TARN_API tarn_tensor *tarn_dropout(tarn_tensor *x, double p, uint64_t stream);

/* ---- normalisation: y = u w + b with u = (x - m) / sqrt(v + eps), m and v being mean and (biased)
 * variance of a part of x. Weight and bias may be NULL: 1 and 0. Statistics are computed in double.
 * With g = dy w:   dx = (g - mean(g) - u mean(g u)) / sqrt(v + eps), dw = sum(dy u), db = sum(dy).
 * Fails also: TARN_EARG unless eps is finite and >= 0. */

/* Over the last n_axes axes together, whose sizes weight and bias have.
 *   x (..., N)   weight (N)   bias (N)   ->   y like x       with n_axes = 1
 * Fails also: TARN_EARG unless n_axes is 1 to the rank of x. */
TARN_API tarn_tensor *tarn_layer_norm(tarn_tensor *x, int n_axes, tarn_tensor *weight,
                                      tarn_tensor *bias, double eps);

/* The same with m = 0, so that v is the mean square, and without bias: over as many of the last
 * axes as weight has, or over the last if weight is NULL.   dx = (g - u mean(g u)) / sqrt(v + eps).
 */
TARN_API tarn_tensor *tarn_rms_norm(tarn_tensor *x, tarn_tensor *weight, double eps);

/* Over all that a group of channels of an example holds.
 *   x (B, C, ...)   weight (C)   bias (C)   ->   y like x
 * Fails also: TARN_EARG unless `groups` divides C. */
TARN_API tarn_tensor *tarn_group_norm(tarn_tensor *x, int64_t groups, tarn_tensor *weight,
                                      tarn_tensor *bias, double eps);

typedef struct tarn_batch_norm_options {
    tarn_tensor *mean, *var; /* (C) given statistics, both; NULL: those of the batch */
    double eps;              /* 0: 1e-5 */
} tarn_batch_norm_options;

/* Over all that a channel holds in the whole batch, or with statistics that are given.
 *   x (B, C, ...)   weight (C)   bias (C)   ->   y like x
 * With given ones dx = dy w / sqrt(var + eps), and mean and var have gradients, too.
 * (tarn_batch_norm_layer, in layers.h, keeps running statistics.) NULL options mean every default.
 * Fails also: TARN_ESHAPE for statistics of a batch with one element a channel. */
TARN_API tarn_tensor *tarn_batch_norm(tarn_tensor *x, tarn_tensor *weight, tarn_tensor *bias,
                                      const tarn_batch_norm_options *options);

/* ---- embedding */

/* Rows of a table: y[...] = weight[ids[...]].
 *   weight (V, D)   ids (...) of I32, I64 or U8   ->   y (..., D)
 * dweight, which is dense, gets the rows of dy added in the order of the ids, in double. Fails
 * also: TARN_EARG, naming the place, for an id that is not in [0, V); TARN_ELIMIT if ids has
 * TARN_MAX_DIMS axes. */
TARN_API tarn_tensor *tarn_embedding(tarn_tensor *weight, tarn_tensor *ids);

/* ---- attention */

typedef struct tarn_sdpa_options {
    tarn_tensor *mask; /* NULL: none. U8: a row may attend to the keys where it is not 0. Of the
                          type of q: is added to the scores, -inf hiding a key. Broadcasts to (...,
                          L, S) */
    bool causal;       /* row i may attend to keys 0 to i only */
    double scale;      /* of the scores; 0: 1 / sqrt(E) */
} tarn_sdpa_options;

/* Scaled dot-product attention: y = softmax(scale q k^T + mask) v, the softmax being that of each
 * row. A row that may attend to nothing gives zeros, and no gradient.
 *   q (..., L, E)   k (..., S, E)   v (..., S, V)   ->   y (..., L, V)
 * The axes in front are equal (tarn_expand repeats, without a copy). Neither the scores (..., L, S)
 * nor their softmax are ever there as a whole: only one number a row is kept for backward, which
 * computes them again. With the softmax p and t = p (dy v^T - sum(dy y)):   dv = p^T dy,
 * dq = scale t k, dk = scale t^T q; a mask of floats has the gradient t, summed over what was
 * repeated. Fails also: TARN_EARG if scale is not finite. NULL options mean every default. */
TARN_API tarn_tensor *tarn_sdpa(tarn_tensor *q, tarn_tensor *k, tarn_tensor *v,
                                const tarn_sdpa_options *options);

/* ---- recurrence */

/* What a step computes from the input's product x and the hidden product q = w h + b, with s the
 * sigmoid; gates stand one after the other in this order, in PyTorch's sense:
 *
 *     TARN_RNN_TANH   h = tanh(x + q)
 *     TARN_RNN_RELU   h = relu(x + q)
 *     TARN_GRU        r, z, n:      r = s(x_r + q_r), z = s(x_z + q_z), n = tanh(x_n + r q_n),
 *                                   h = (1 - z) n + z h_before
 *     TARN_LSTM       i, f, g, o:   i, f, o = s(x + q), g = tanh(x + q),
 *                                   c = f c_before + i g, h = o tanh(c) */
typedef enum tarn_rnn_kind { TARN_RNN_TANH, TARN_RNN_RELU, TARN_GRU, TARN_LSTM } tarn_rnn_kind;

/* What goes from step to step. */
typedef struct tarn_rnn_state {
    tarn_tensor *h;
    tarn_tensor *c; /* of an LSTM; else NULL */
} tarn_rnn_state;

/* A step of an LSTM after its products, whose sum is `gates`.
 *   gates (..., 4 H)   c (..., H)   ->   (2, ..., H): the new h and, behind it, the new c */
TARN_API tarn_tensor *tarn_lstm_gates(tarn_tensor *gates, tarn_tensor *c);

/* A step of a GRU after its products.
 *   x (..., 3 H)   q (..., 3 H)   h (..., H)   ->   the new h (..., H) */
TARN_API tarn_tensor *tarn_gru_gates(tarn_tensor *x, tarn_tensor *q, tarn_tensor *h);

typedef struct tarn_recurrence_options {
    tarn_rnn_kind kind; /* the zero value is TARN_RNN_TANH */
    bool reverse;       /* from the last time to the first */
} tarn_recurrence_options;

/* All steps of a sequence in one operation, which keeps for backward the values of its gates.
 *   x (B, T, G)   w (G, H)   b (G) or NULL   state (B, H), NULL: zeros   ->   (1, B, T, H), of an
 *   LSTM (2, B, T, H): every h and, behind them, every c; G = H, 3 H (GRU), 4 H (LSTM)
 * x are the products of the inputs, such as tarn_affine computes for all times at once; the first
 * step has no hidden product without a state. NULL options mean every default. (tarn_rnn, in
 * sequence.h, is the layer.) */
TARN_API tarn_tensor *tarn_recurrence(tarn_tensor *x, tarn_tensor *w, tarn_tensor *b,
                                      tarn_rnn_state state, const tarn_recurrence_options *options);

TARN_END_DECLS

#endif
