/* loss.h - losses: numbers that training makes small. (ops.h says how operations fail and
 * what they are recorded for.) */
#ifndef TARN_LOSS_H
#define TARN_LOSS_H

#include <stdint.h>

#include "tarn/export.h"
#include "tarn/ops.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* What becomes of the losses of all elements or rows. */
typedef enum tarn_reduction {
    TARN_REDUCE_MEAN, /* their mean: a scalar */
    TARN_REDUCE_SUM,  /* their sum: a scalar */
    TARN_REDUCE_NONE  /* each for itself */
} tarn_reduction;

/* Mean over the rows of -log(softmax(logits)[label]).
 *   logits (B, C)   labels (B), integers in [0, C), I32, I64 or U8   ->   a scalar
 * dlogits = (softmax - onehot) / B; NaN for B = 0. Fails also: TARN_EARG naming the row whose label
 * is out of range. */
TARN_API tarn_tensor *tarn_cross_entropy(tarn_tensor *logits, tarn_tensor *labels);
/* Mean of max(x, 0) - x y + log(1 + e^-|x|): the binary cross-entropy of targets y in [0, 1] and
 * logits x of one shape. A scalar; dx = (sigmoid(x) - y) / n, dy = -x / n. */
TARN_API tarn_tensor *tarn_bce_with_logits(tarn_tensor *x, tarn_tensor *y);
/* Mean of (x - y)^2; x and y of one shape. A scalar; dx = 2 (x - y) / n, dy = -dx. */
TARN_API tarn_tensor *tarn_mse(tarn_tensor *x, tarn_tensor *y);

TARN_END_DECLS

#endif
