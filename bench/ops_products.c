/* SPDX-License-Identifier: MIT
 * ops_products.c - products, convolution, pooling, attention, recurrence.
 *
 * The floor of a convolution is the product of its kernels and as many columns as y has places, and
 * each of its gradients is another one. How windows are brought together is the library's affair.
 */
#include "ops.h"

/* Products of backward beside one another, and moves behind them. */
/* clang-format off */
#define PRODUCT(...) { .products = { __VA_ARGS__ } }
#define PRODUCT_MOVE(r, w, n, ...) { .moves = { { r, w, n } }, .products = { __VA_ARGS__ } }

#define MATRICES { FLOATS_OF(SQUARE), FLOATS_OF(SQUARE) }
#define BATCHES { FLOATS_OF(16, 64, 64), FLOATS_OF(16, 64, 64) }
#define LINEAR { FLOATS_OF(128, 256), FLOATS_OF(SQUARE), FLOATS_OF(256) }
#define IMAGES { FLOATS_OF(8, 16, 28, 28), FLOATS_OF(32, 16, 3, 3), FLOATS_OF(32) }
#define POINTS { FLOATS_OF(8, 64, 14, 14), FLOATS_OF(64, 64, 1, 1), FLOATS_OF(64) }
#define DEPTHS { FLOATS_OF(8, 32, 28, 28), FLOATS_OF(32, 1, 3, 3), FLOATS_OF(32) }
#define SIGNALS { FLOATS_OF(16, 32, 128), FLOATS_OF(32, 32, 5), FLOATS_OF(32) }
#define SMALL_IMAGES { FLOATS_OF(8, 32, 14, 14), FLOATS_OF(32, 16, 2, 2), FLOATS_OF(16) }
#define SHORT_SIGNALS { FLOATS_OF(16, 32, 128), FLOATS_OF(32, 32, 2), FLOATS_OF(32) }
#define IMAGES_AND_DY { FLOATS_OF(8, 16, 28, 28), FLOATS_OF(8, 32, 28, 28) }
#define SIGNALS_AND_DY { FLOATS_OF(16, 32, 128), FLOATS_OF(16, 32, 128) }
#define POOLED { FLOATS_OF(8, 32, 28, 28) }
#define POOLED_SIGNALS { FLOATS_OF(16, 32, 392) }
#define HEADS { FLOATS_OF(8, 128, 64), FLOATS_OF(8, 128, 64), FLOATS_OF(8, 128, 64) }

/* Elements of what is pooled, and of scores. */
#define P (8 * 32 * 28 * 28)
#define SCORES (8 * 128 * 128)

/* Sequences of 16 steps, 32 of them, 128 units; a step's gates are G wide. */
#define SEQUENCE(G) { FLOATS_OF(32, 16, G), FLOATS_OF(G, 128), FLOATS_OF(G) }
#define SEQUENCE_FORWARD(G) PRODUCT_MOVE(1, 1, 32 * 16 * G, { 32, G, 128, 15 })
#define SEQUENCE_BACKWARD(G) PRODUCT_MOVE(1, 1, 32 * 16 * G, { 32, 128, G, 15 }, { G, 128, 480, 1 })
#define STATE(k) tarn_recurrence(x[0], x[1], x[2], (tarn_rnn_state){ 0 }, &(tarn_recurrence_options){ .kind = k })
#define U (256 * 128)
#define LSTM_GATES { FLOATS_OF(256, 512), FLOATS_OF(256, 128) }
#define GRU_GATES { FLOATS_OF(256, 384), FLOATS_OF(256, 384), FLOATS_OF(256, 128) }

#define PADDED (&(tarn_conv_options){ .padding = { 1, 1 } })
#define IN_GROUPS (&(tarn_conv_options){ .padding = { 1, 1 }, .groups = 32 })
#define PADDED_BY_TWO (&(tarn_conv_options){ .padding = { 2, 2 } })
#define STRIDDEN (&(tarn_conv_options){ .stride = { 2, 2 } })
#define HALF TARN_SHAPE(2, 2)
#define SEVEN TARN_SHAPE(7, 7)

#define LIST(ROW) \
    ROW(matmul, "matmul, 256x256x256", tarn_matmul(x[0], x[1]), MATRICES, \
        PRODUCT({ 256, 256, 256, 1 }), PRODUCT({ 256, 256, 256, 2 })) \
    ROW(matmul_batch, "matmul, 16 of 64x64x64", tarn_matmul(x[0], x[1]), BATCHES, \
        PRODUCT({ 64, 64, 64, 16 }), PRODUCT({ 64, 64, 64, 32 })) \
    ROW(affine, "affine, 128x256x256", tarn_affine(x[0], x[1], x[2]), LINEAR, \
        PRODUCT_MOVE(1, 1, 128 * 256, { 128, 256, 256, 1 }), \
        PRODUCT_MOVE(1, 0, 128 * 256, { 128, 256, 256, 1 }, { 256, 256, 128, 1 })) \
    ROW(affine_relu, "affine_act, relu, 128x256x256", tarn_affine_act(x[0], x[1], x[2], TARN_RELU), LINEAR, \
        PRODUCT_MOVE(1, 1, 128 * 256, { 128, 256, 256, 1 }), \
        PRODUCT_MOVE(2, 1, 128 * 256, { 128, 256, 256, 1 }, { 256, 256, 128, 1 })) \
    ROW(conv2d, "conv2d, 8x16x28x28, 32 of 3x3", tarn_conv2d(x[0], x[1], x[2], PADDED), IMAGES, \
        PRODUCT({ 32, 6272, 144, 1 }), PRODUCT({ 32, 144, 6272, 1 }, { 16, 6272, 288, 1 })) \
    ROW(conv2d_point, "conv2d, 8x64x14x14, 64 of 1x1", tarn_conv2d(x[0], x[1], x[2], NULL), POINTS, \
        PRODUCT({ 64, 1568, 64, 1 }), PRODUCT({ 64, 64, 1568, 1 }, { 64, 1568, 64, 1 })) \
    ROW(conv2d_depth, "conv2d, 8x32x28x28, each by 3x3", tarn_conv2d(x[0], x[1], x[2], IN_GROUPS), DEPTHS, \
        MOVE(1, 1, P), MOVE(2, 1, P)) \
    ROW(conv1d, "conv1d, 16x32x128, 32 of 5", tarn_conv1d(x[0], x[1], x[2], PADDED_BY_TWO), SIGNALS, \
        PRODUCT({ 32, 2048, 160, 1 }), PRODUCT({ 32, 160, 2048, 1 }, { 32, 2048, 160, 1 })) \
    ROW(conv_transpose2d, "conv_transpose2d, 8x32x14x14, 16 of 2x2", \
        tarn_conv_transpose2d(x[0], x[1], x[2], STRIDDEN), SMALL_IMAGES, \
        PRODUCT({ 64, 1568, 32, 1 }), PRODUCT({ 32, 1568, 64, 1 }, { 32, 64, 1568, 1 })) \
    ROW(conv_transpose1d, "conv_transpose1d, 16x32x128, 32 of 2", \
        tarn_conv_transpose1d(x[0], x[1], x[2], STRIDDEN), SHORT_SIGNALS, \
        PRODUCT({ 64, 2048, 32, 1 }), PRODUCT({ 32, 2048, 64, 1 }, { 32, 64, 2048, 1 })) \
    ROW(conv2d_dw, "conv2d_dw, 8x16x28x28, 32 of 3x3", \
        tarn_conv2d_dw(x[0], x[1], TARN_SHAPE(3, 3), PADDED), IMAGES_AND_DY, \
        PRODUCT({ 32, 144, 6272, 1 }), PRODUCT({ 16, 6272, 288, 1 }, { 32, 6272, 144, 1 })) \
    ROW(conv1d_dw, "conv1d_dw, 16x32x128, 32 of 5", \
        tarn_conv1d_dw(x[0], x[1], 5, PADDED_BY_TWO), SIGNALS_AND_DY, \
        PRODUCT({ 32, 160, 2048, 1 }), PRODUCT({ 32, 2048, 160, 2 })) \
    ROW(max_pool2d, "max_pool2d, 2x2", tarn_max_pool2d(x[0], HALF, NULL), POOLED, \
        MOVE2(1, 0, P, 0, 1, P / 4), MOVE2(2, 0, P / 4, 0, 1, P)) \
    ROW(max_pool1d, "max_pool1d, 2", tarn_max_pool1d(x[0], 2, NULL), POOLED_SIGNALS, \
        MOVE2(1, 0, P, 0, 1, P / 2), MOVE2(2, 0, P / 2, 0, 1, P)) \
    ROW(avg_pool2d, "avg_pool2d, 2x2", tarn_avg_pool2d(x[0], HALF, NULL), POOLED, \
        MOVE2(1, 0, P, 0, 1, P / 4), MOVE2(1, 0, P / 4, 0, 1, P)) \
    ROW(avg_pool1d, "avg_pool1d, 2", tarn_avg_pool1d(x[0], 2, NULL), POOLED_SIGNALS, \
        MOVE2(1, 0, P, 0, 1, P / 2), MOVE2(1, 0, P / 2, 0, 1, P)) \
    ROW(adaptive_max_pool2d, "adaptive_max_pool2d, to 7x7", tarn_adaptive_max_pool2d(x[0], SEVEN), POOLED, \
        MOVE2(1, 0, P, 0, 1, P / 16), MOVE2(2, 0, P / 16, 0, 1, P)) \
    ROW(adaptive_avg_pool2d, "adaptive_avg_pool2d, to 7x7", tarn_adaptive_avg_pool2d(x[0], SEVEN), POOLED, \
        MOVE2(1, 0, P, 0, 1, P / 16), MOVE2(1, 0, P / 16, 0, 1, P)) \
    ROW(sdpa, "sdpa, 8 heads of 128x64", tarn_sdpa(x[0], x[1], x[2], NULL), HEADS, \
        PRODUCT_MOVE(1, 1, SCORES, { 128, 128, 64, 8 }, { 128, 64, 128, 8 }), \
        PRODUCT_MOVE(2, 1, SCORES, { 128, 64, 128, 24 }, { 128, 128, 64, 8 })) \
    ROW(rnn, "recurrence, tanh, 32x16x128", STATE(TARN_RNN_TANH), SEQUENCE(128), \
        SEQUENCE_FORWARD(128), SEQUENCE_BACKWARD(128)) \
    ROW(gru, "recurrence, GRU, 32x16x128", STATE(TARN_GRU), SEQUENCE(384), \
        SEQUENCE_FORWARD(384), SEQUENCE_BACKWARD(384)) \
    ROW(lstm, "recurrence, LSTM, 32x16x128", STATE(TARN_LSTM), SEQUENCE(512), \
        SEQUENCE_FORWARD(512), SEQUENCE_BACKWARD(512)) \
    ROW(lstm_gates, "lstm_gates", tarn_lstm_gates(x[0], x[1]), LSTM_GATES, \
        MOVE2(1, 0, 5 * U, 0, 1, 2 * U), MOVE2(1, 0, 7 * U, 0, 1, 5 * U)) \
    ROW(gru_gates, "gru_gates", tarn_gru_gates(x[0], x[1], x[2]), GRU_GATES, \
        MOVE2(1, 0, 7 * U, 0, 1, U), MOVE2(1, 0, 8 * U, 0, 1, 7 * U))
/* clang-format on */

OPS_TABLE(ops_products, "products, convolution, attention, recurrence", LIST)
