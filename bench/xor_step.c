/* SPDX-License-Identifier: MIT
 * xor_step.c - forward, backward and Adam as plain loops over fixed sizes. */
#include "xor_step.h"

#include <math.h>

static float forward(const xor_step *s, float hidden[XOR_B][XOR_H], float dlogit[XOR_B])
{
    float loss = 0;
    for (int b = 0; b < XOR_B; b++) {
        float z = s->w[XOR_B2];
        for (int h = 0; h < XOR_H; h++) {
            float sum = s->w[XOR_B1 + h];
            for (int i = 0; i < XOR_I; i++) sum += s->x[b][i] * s->w[XOR_W1 + h * XOR_I + i];
            hidden[b][h] = tanhf(sum);
            z += hidden[b][h] * s->w[XOR_W2 + h];
        }
        /* One exponential serves the loss and its gradient, sigmoid(z) - y. */
        const float e = expf(-fabsf(z));
        loss += (z > 0 ? z : 0) - z * s->y[b] + log1pf(e);
        dlogit[b] = ((z > 0 ? 1 : e) / (1 + e) - s->y[b]) / XOR_B;
    }
    return loss / XOR_B;
}

static void backward(xor_step *s, float hidden[XOR_B][XOR_H], const float dlogit[XOR_B])
{
    for (int p = 0; p < XOR_PARAMETERS; p++) s->g[p] = 0;
    for (int b = 0; b < XOR_B; b++) {
        s->g[XOR_B2] += dlogit[b];
        for (int h = 0; h < XOR_H; h++) {
            const float y = hidden[b][h];
            const float dsum = dlogit[b] * s->w[XOR_W2 + h] * (1 - y * y);
            s->g[XOR_W2 + h] += dlogit[b] * y;
            s->g[XOR_B1 + h] += dsum;
            for (int i = 0; i < XOR_I; i++) s->g[XOR_W1 + h * XOR_I + i] += dsum * s->x[b][i];
        }
    }
}

static void adam(xor_step *s)
{
    static const double beta1 = 0.9, beta2 = 0.999;
    const float b1 = (float)beta1, rest1 = (float)(1 - beta1);
    const float b2 = (float)beta2, rest2 = (float)(1 - beta2);
    s->power1 *= beta1;
    s->power2 *= beta2;
    const float step = (float)((double)s->lr / (1 - s->power1));
    const float root = (float)(1 / sqrt(1 - s->power2));
    for (int p = 0; p < XOR_PARAMETERS; p++) {
        const float g = s->g[p];
        s->m[p] = b1 * s->m[p] + rest1 * g;
        s->v[p] = b2 * s->v[p] + rest2 * g * g;
        s->w[p] -= step * s->m[p] / (root * sqrtf(s->v[p]) + 1e-8f);
    }
}

float xor_step_run(xor_step *s)
{
    float hidden[XOR_B][XOR_H], dlogit[XOR_B];
    const float loss = forward(s, hidden, dlogit);
    backward(s, hidden, dlogit);
    adam(s);
    return loss;
}
