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
/* Axes first to last joined into one, in the order of their elements: flatten(x, 1, -1) leaves the
 * batches of x (B, ...) and makes a row of each. A view where strides allow, else of a copy. Fails
 * also: TARN_EARG if last comes before first. */
TARN_API tarn_tensor *tarn_flatten(tarn_tensor *x, int first, int last);
/* One axis, of size 1, left out. Fails also: TARN_ESHAPE if its size is another. */
TARN_API tarn_tensor *tarn_squeeze(tarn_tensor *x, int axis);
/* Every axis of size 1 left out. */
TARN_API tarn_tensor *tarn_squeeze_all(tarn_tensor *x);
/* A new axis of size 1 in front of the axis at that place; -1 puts it last. Fails also: TARN_ELIMIT
 * if x has TARN_MAX_DIMS axes. */
TARN_API tarn_tensor *tarn_unsqueeze(tarn_tensor *x, int axis);
/* Two axes exchanged. */
TARN_API tarn_tensor *tarn_transpose(tarn_tensor *x, int axis_a, int axis_b);
/* All axes in another order: axis i of the view is axis axes.axis[i] of x, such as
 * tarn_permute(x, TARN_AXES(0, 2, 3, 1)). Fails also: TARN_EARG unless each is named once. */
TARN_API tarn_tensor *tarn_permute(tarn_tensor *x, tarn_axes axes);
/* The elements [start, stop) along an axis; negative places count from the end. Fails also:
 * TARN_EARG unless 0 <= start <= stop <= size. */
TARN_API tarn_tensor *tarn_slice(tarn_tensor *x, int axis, int64_t start, int64_t stop);
/* The same in steps: start, start + step, ... before stop. Fails also: TARN_EARG if step is less
 * than 1. (tarn_flip turns an axis round.) */
TARN_API tarn_tensor *tarn_slice_step(tarn_tensor *x, int axis, int64_t start, int64_t stop,
                                      int64_t step);
/* The elements at one place of an axis, which vanishes; a negative place counts from the end. Fails
 * also: TARN_EARG if there is no such place. */
TARN_API tarn_tensor *tarn_select(tarn_tensor *x, int axis, int64_t place);
/* n slices that lie behind one another and make up an axis, into parts[0] to parts[n - 1]: of the
 * given sizes, or, if sizes is NULL, as equal as can be (the first size % n are one larger). On
 * failure all parts are NULL, and the error is held: TARN_ESHAPE if the sizes do not add up to that
 * of the axis, TARN_EARG for a negative size or n < 1. */
TARN_API tarn_status tarn_split(tarn_tensor *x, int axis, const int64_t *sizes, int n,
                                tarn_tensor **parts);
/* Axes of size 1, and new ones in front, repeated to `shape` without a copy.   dx = dy, summed over
 * what was repeated. */
TARN_API tarn_tensor *tarn_expand(tarn_tensor *x, tarn_shape shape);
/* tarn_expand by its other name. */
TARN_API tarn_tensor *tarn_broadcast_to(tarn_tensor *x, tarn_shape shape);
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

/* The elements in opposite order along the axes, which may be TARN_ALL_AXES. Any type.   dx = dy,
 * turned back. */
TARN_API tarn_tensor *tarn_flip(tarn_tensor *x, tarn_axes axes);

/* The elements moved by `shift` places along an axis, those that fall off its end coming in again
 * at its start. Any type.   dx = dy, moved back. */
TARN_API tarn_tensor *tarn_roll(tarn_tensor *x, int axis, int64_t shift);

/* x between elements of one value, converted as tarn_cast does: before.dims[i] of them before axis
 * i, after.dims[i] after it. Both name as many axes; where these are fewer than those of x, its
 * last. Any type.   dx = dy without what was added. Fails also: TARN_EARG for a negative number. */
TARN_API tarn_tensor *tarn_pad(tarn_tensor *x, tarn_shape before, tarn_shape after, double value);

/* The matrices of the last two axes with zeros above, or below, a diagonal: number 0 begins at the
 * first element, 1 to the right of it, -1 below it. Any type.   dx = dy, likewise. Fails also:
 * TARN_ESHAPE if x has fewer than two axes. */
TARN_API tarn_tensor *tarn_tril(tarn_tensor *x, int64_t diagonal);
TARN_API tarn_tensor *tarn_triu(tarn_tensor *x, int64_t diagonal);

/* ---- joining; each gradient is the part of dy that came from its tensor */

/* n tensors behind one another along an axis, of which their sizes may differ. Any type, but one.
 * Fails also: TARN_ESHAPE and TARN_EDTYPE, which name the first tensor that does not fit; TARN_EARG
 * for n < 1. */
TARN_API tarn_tensor *tarn_concat(tarn_tensor *const *tensors, int n, int axis);

/* n tensors of one shape along a new axis at that place; -1 puts it last. Fails likewise. */
TARN_API tarn_tensor *tarn_stack(tarn_tensor *const *tensors, int n, int axis);

/* x so many times behind itself along an axis. Any type.   dx = the sum of the parts of dy. */
TARN_API tarn_tensor *tarn_tile(tarn_tensor *x, int axis, int64_t times);

/* ---- selection by indices: int32, int64 or uint8, from 0 on. Fails also: TARN_EARG, naming the
 * index and where it stands, if one is not less than the size of the axis. Sums are computed in
 * double, in the order of the indices. */

/* y = 1 where the last axis, of `classes` elements, is at the label, else 0.
 *   labels (...)   ->   y (..., classes), of any type; no gradient. */
TARN_API tarn_tensor *tarn_one_hot(tarn_tensor *labels, int64_t classes, tarn_dtype dtype);

/* For each element of the index that of x in the same place, but at the index along the axis: for
 * axis 1 of three, y[i][j][k] = x[i][index[i][j][k]][k].
 *   x, index: as many axes; the index no longer than x along the others   ->   y like index
 * x of any type.   dx = dy, scatter-added to zeros. */
TARN_API tarn_tensor *tarn_gather(tarn_tensor *x, int axis, tarn_tensor *index);

/* The opposite: y = x, and each element of src whose place the index has added to it where gather
 * takes it from: for axis 1 of three, y[i][index[i][j][k]][k] += src[i][j][k].
 *   x, index, src: as many axes; the index nowhere longer than src, nor than x along the others
 *   dx = dy, dsrc = dy gathered. */
TARN_API tarn_tensor *tarn_scatter_add(tarn_tensor *x, int axis, tarn_tensor *index,
                                       tarn_tensor *src);

/* Whole slices of x, in the order of the index: for axis 1 of three, y[i][j][k] =
 * x[i][index[j]][k]. index (n)   ->   y like x, with n places along the axis x of any type.   dx =
 * dy, index-added to zeros. */
TARN_API tarn_tensor *tarn_index_select(tarn_tensor *x, int axis, tarn_tensor *index);

/* The opposite: y = x, and slices of src added to those of y that the index names.
 *   index (n), src like x, with n places along the axis   ->   y like x
 *   dx = dy, dsrc = dy selected. */
TARN_API tarn_tensor *tarn_index_add(tarn_tensor *x, int axis, tarn_tensor *index,
                                     tarn_tensor *src);

TARN_END_DECLS

#endif
