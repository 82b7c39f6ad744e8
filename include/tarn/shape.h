/* shape.h - operations on shapes: views, selection, copies. (ops.h says how operations
 * fail and what they are recorded for.) */
#ifndef TARN_SHAPE_H
#define TARN_SHAPE_H

#include <stdint.h>

#include "tarn/export.h"
#include "tarn/ops.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- views: they share storage and never copy; tensors of any type */

/* The same elements in another shape; one size may be -1 and is computed. Fails also: TARN_ESHAPE
 * if the number of elements differs or the strides of x do not allow a view (tarn_contiguous
 * first). */
TARN_API tarn_tensor *tarn_reshape(tarn_tensor *x, tarn_shape shape);
/* Two axes exchanged. */
TARN_API tarn_tensor *tarn_transpose(tarn_tensor *x, int axis_a, int axis_b);
/* The elements [start, stop) along an axis; negative places count from the end. Fails also:
 * TARN_EARG unless 0 <= start <= stop <= size. */
TARN_API tarn_tensor *tarn_slice(tarn_tensor *x, int axis, int64_t start, int64_t stop);
/* Axes of size 1, and new ones in front, repeated to `shape` without a copy. */
TARN_API tarn_tensor *tarn_expand(tarn_tensor *x, tarn_shape shape);
/* The same elements by another handle: its gradient can be asked for apart (tarn_grad). */
TARN_API tarn_tensor *tarn_alias(tarn_tensor *x);
/* The same elements, but no gradient passes. */
TARN_API tarn_tensor *tarn_detach(tarn_tensor *x);

/* ---- copies and conversions */

/* The elements of x without gaps, last axis fastest: x itself as a view if it already is so, else a
 * copy. Any type. */
TARN_API tarn_tensor *tarn_contiguous(tarn_tensor *x);
/* x in another element type. Float to integer truncates, saturates, and turns NaN into 0; integers
 * saturate. Between floats the gradient is cast back; a cast to integers has none. */
TARN_API tarn_tensor *tarn_cast(tarn_tensor *x, tarn_dtype dtype);

TARN_END_DECLS

#endif
