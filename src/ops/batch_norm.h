/* SPDX-License-Identifier: MIT
 * batch_norm.h - batch normalisation in two steps, for the layer that keeps the statistics of its
 * batches. */
#ifndef TARN_OPS_BATCH_NORM_H
#define TARN_OPS_BATCH_NORM_H

#include <tarn/tensor.h>

/* The mean and, behind it, the biased variance of each channel: x (B, C, ...)  ->  (2, C) of F64,
 * without a gradient. NaN for an empty batch. Fails also: TARN_ESHAPE for one element a channel. */
tarn_tensor *tarn__batch_moments(tarn_tensor *x);

/* tarn_batch_norm with the moments of x, as the above computed them. eps 0: the default. */
tarn_tensor *tarn__batch_norm(tarn_tensor *x, tarn_tensor *weight, tarn_tensor *bias,
                              tarn_tensor *moments, double eps);

#endif
