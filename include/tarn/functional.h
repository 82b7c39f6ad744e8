/* functional.h - what layers are made of: softmax, dropout, normalisation, embedding, attention,
 * recurrence. (ops.h says how operations fail and what they are recorded for.) */
#ifndef TARN_FUNCTIONAL_H
#define TARN_FUNCTIONAL_H

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

TARN_END_DECLS

#endif
