/* SPDX-License-Identifier: MIT
 * xor_step.h - a training step of the XOR net, written by hand for this net alone: the floor under
 * the library's step, whose mathematics it shares.
 *
 * hidden = tanh(x w1^T + b1), logit = hidden w2^T + b2, the loss is the mean of the binary
 * cross-entropies, and Adam follows the gradients. */
#ifndef TARN_BENCH_XOR_STEP_H
#define TARN_BENCH_XOR_STEP_H

/* B examples, I inputs, H hidden units. */
enum { XOR_B = 4, XOR_I = 2, XOR_H = 8 };

/* Where the parameters lie, one behind another: w1 (H,I), b1 (H), w2 (1,H), b2 (1). */
enum {
    XOR_W1 = 0,
    XOR_B1 = XOR_W1 + XOR_H * XOR_I,
    XOR_W2 = XOR_B1 + XOR_H,
    XOR_B2 = XOR_W2 + XOR_H,
    XOR_PARAMETERS = XOR_B2 + 1
};

typedef struct xor_step {
    float x[XOR_B][XOR_I], y[XOR_B];
    float w[XOR_PARAMETERS], g[XOR_PARAMETERS]; /* parameters and gradients */
    float m[XOR_PARAMETERS], v[XOR_PARAMETERS]; /* Adam's moments */
    float lr;
    double power1, power2; /* beta1^t and beta2^t: both 1 at first */
} xor_step;

/* Makes one step and returns the loss that it began with. */
float xor_step_run(xor_step *s);

#endif
