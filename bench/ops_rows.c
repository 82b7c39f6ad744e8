/* SPDX-License-Identifier: MIT
 * ops_rows.c - reductions, softmax, dropout, normalisation, losses. */
#include "ops.h"

/* clang-format off */
#define ONE { FLOATS_OF(SQUARE) }
#define TWO { FLOATS_OF(SQUARE), FLOATS_OF(SQUARE) }
#define AND_TARGETS { FLOATS_OF(SQUARE), CONSTANTS_OF(SQUARE) }
#define AND_LABELS { FLOATS_OF(SQUARE), LABELS_OF(256, 256) }
#define AND_SIGNS { FLOATS_OF(SQUARE), FLOATS_OF(SQUARE), CONSTANTS_OF(256) }
#define WITH_VARIANCE { FLOATS_OF(SQUARE), CONSTANTS_OF(SQUARE), FLOATS_OF(SQUARE) }
#define WEIGHED { FLOATS_OF(SQUARE), FLOATS_OF(256), FLOATS_OF(256) }
#define CHANNELS { FLOATS_OF(16, 16, 16, 16), FLOATS_OF(16), FLOATS_OF(16) }

#define READ MOVE(1, 0, N)
#define SPREAD MOVE(0, 1, N)
#define MAPPED MOVE(1, 1, N)
#define MAPPED_KEEPING MOVE(2, 1, N)
#define LOSS MOVE(2, 0, N)
#define LAST TARN_AXES(1)

#define LIST(ROW) \
    ROW(sum, "sum, of all", tarn_sum(x[0], TARN_ALL_AXES), ONE, READ, SPREAD) \
    ROW(sum_rows, "sum, of rows", tarn_sum(x[0], LAST), ONE, READ, SPREAD) \
    ROW(sum_columns, "sum, of columns", tarn_sum(x[0], TARN_AXES(0)), ONE, READ, SPREAD) \
    ROW(mean, "mean, of all", tarn_mean(x[0], TARN_ALL_AXES), ONE, READ, SPREAD) \
    ROW(mean_rows, "mean, of rows", tarn_mean(x[0], LAST), ONE, READ, SPREAD) \
    ROW(max, "max, of rows", tarn_max(x[0], LAST), ONE, READ, MAPPED) \
    ROW(max_columns, "max, of columns", tarn_max(x[0], TARN_AXES(0)), ONE, READ, MAPPED) \
    ROW(min, "min, of rows", tarn_min(x[0], LAST), ONE, READ, MAPPED) \
    ROW(argmax, "argmax, of rows", tarn_argmax(x[0], LAST), ONE, READ, NO_FLOOR) \
    ROW(argmin, "argmin, of rows", tarn_argmin(x[0], LAST), ONE, READ, NO_FLOOR) \
    ROW(prod, "prod, of rows", tarn_prod(x[0], LAST), ONE, READ, MAPPED) \
    ROW(prod_columns, "prod, of columns", tarn_prod(x[0], TARN_AXES(0)), ONE, READ, MAPPED) \
    ROW(var, "var, of rows", tarn_var(x[0], LAST, 1), ONE, READ, MAPPED) \
    ROW(var_columns, "var, of columns", tarn_var(x[0], TARN_AXES(0), 1), ONE, READ, MAPPED) \
    ROW(std, "std, of rows", tarn_std(x[0], LAST, 1), ONE, READ, MAPPED) \
    ROW(norm, "norm, of rows", tarn_norm(x[0], 2, LAST), ONE, READ, MAPPED) \
    ROW(logsumexp, "logsumexp, of rows", tarn_logsumexp(x[0], LAST), ONE, READ, MAPPED) \
    ROW(cumsum, "cumsum, along rows", tarn_cumsum(x[0], 1), ONE, MAPPED, MAPPED) \
    ROW(cumsum_columns, "cumsum, along columns", tarn_cumsum(x[0], 0), ONE, MAPPED, MAPPED) \
    ROW(softmax, "softmax", tarn_softmax(x[0], 1), ONE, MAPPED, MAPPED_KEEPING) \
    ROW(softmax_columns, "softmax, along columns", tarn_softmax(x[0], 0), ONE, MAPPED, MAPPED_KEEPING) \
    ROW(log_softmax, "log_softmax", tarn_log_softmax(x[0], 1), ONE, MAPPED, MAPPED_KEEPING) \
    ROW(dropout, "dropout", tarn_dropout(x[0], 0.5, 7), ONE, MAPPED, MAPPED) \
    ROW(layer_norm, "layer_norm", tarn_layer_norm(x[0], 1, x[1], x[2], 1e-5), WEIGHED, MAPPED, MAPPED_KEEPING) \
    ROW(rms_norm, "rms_norm", tarn_rms_norm(x[0], x[1], 1e-5), WEIGHED, MAPPED, MAPPED_KEEPING) \
    ROW(group_norm, "group_norm", tarn_group_norm(x[0], 4, x[1], x[2], 1e-5), CHANNELS, MAPPED, MAPPED_KEEPING) \
    ROW(batch_norm, "batch_norm", tarn_batch_norm(x[0], x[1], x[2], NULL), CHANNELS, \
        MOVE2(1, 0, N, 1, 1, N), MOVE2(2, 0, N, 2, 1, N)) \
    ROW(cross_entropy, "cross_entropy", tarn_cross_entropy(x[0], x[1]), AND_LABELS, READ, MAPPED) \
    ROW(nll, "nll", tarn_nll(x[0], x[1]), AND_LABELS, MOVE(1, 0, 256), SPREAD) \
    ROW(bce_with_logits, "bce_with_logits", tarn_bce_with_logits(x[0], x[1]), AND_TARGETS, LOSS, MAPPED_KEEPING) \
    ROW(mse, "mse", tarn_mse(x[0], x[1]), AND_TARGETS, LOSS, MAPPED_KEEPING) \
    ROW(l1, "l1", tarn_l1(x[0], x[1]), AND_TARGETS, LOSS, MAPPED_KEEPING) \
    ROW(huber, "huber", tarn_huber(x[0], x[1]), AND_TARGETS, LOSS, MAPPED_KEEPING) \
    ROW(hinge, "hinge", tarn_hinge(x[0], x[1]), AND_TARGETS, LOSS, MAPPED_KEEPING) \
    ROW(kl_divergence, "kl_divergence", tarn_kl_divergence(x[0], x[1]), AND_TARGETS, LOSS, MAPPED_KEEPING) \
    ROW(gaussian_nll, "gaussian_nll", tarn_gaussian_nll(x[0], x[1], x[2]), WITH_VARIANCE, \
        MOVE(3, 0, N), MOVE(3, 2, N)) \
    ROW(cosine_similarity, "cosine_similarity", tarn_cosine_similarity(x[0], x[1], 1), TWO, LOSS, MOVE(2, 2, N)) \
    ROW(cosine_embedding, "cosine_embedding", tarn_cosine_embedding(x[0], x[1], x[2]), AND_SIGNS, LOSS, MOVE(2, 2, N))
/* clang-format on */

OPS_TABLE(ops_rows, "reductions, rows, losses", LIST)
