/* SPDX-License-Identifier: MIT
 * pooling.h - the adjoint of average pooling, which is no public operation. */
#ifndef TARN_OPS_POOLING_H
#define TARN_OPS_POOLING_H

#include <tarn/conv.h>

#include "ops/op.h"

/* What `choice` says of an operation. */
enum { TARN__POOLING_1D = 1, TARN__POOLING_2D, TARN__POOLING_ADAPTIVE };

/* Each element of dy spread evenly over its window of x, whose rows and columns are sizes[6] and
 * sizes[7]; the other attributes are those of the pooling. With it average pooling is closed under
 * differentiation: each is the other's gradient. */
tarn_tensor *tarn__avg_unpool(tarn_tensor *dy, const tarn__attr *attr);

#endif
