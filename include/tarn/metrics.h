/* metrics.h - how well a model does. */
#ifndef TARN_METRICS_H
#define TARN_METRICS_H

#include <stdint.h>

#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* How many rows of logits (B, C) have their largest element (the first of equals) at the label (B,
 * integers). A row with a NaN, and a label that is no class, count as wrong. Nothing is recorded.
 * -1, with the error held, for shapes or types that do not fit. */
TARN_API int64_t tarn_count_correct(tarn_tensor *logits, tarn_tensor *labels);

/* The same as a fraction of the rows; NaN on failure or for no rows. */
TARN_API double tarn_accuracy(tarn_tensor *logits, tarn_tensor *labels);

TARN_END_DECLS

#endif
