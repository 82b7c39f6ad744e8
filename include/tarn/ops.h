/* ops.h - the operations.
 *
 * An operation takes tensors of one manager and returns a new one in the open scope, or NULL with
 * the error held (TARN_ESHAPE, TARN_EDTYPE, TARN_EARG, TARN_ENOMEM, TARN_ESTALE, TARN_ESTATE). With
 * an error held and a NULL operand it returns NULL and adds nothing. Operands may have any strides.
 * Float operands are F32 or F64, all of one type, unless said otherwise. NaN propagates. When an
 * operand requires a gradient, the operation is recorded for tarn_backward; the comment gives the
 * gradients (dx is the gradient of the loss with respect to x). Negative axes count from the last.
 */
#ifndef TARN_OPS_H
#define TARN_OPS_H

#include <stdint.h>

#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- elementwise, two operands: shapes broadcast as NumPy's do (aligned at the last axis; sizes
 * equal or 1); a gradient is summed over the axes along which its operand was repeated */

/* y = a + b.   da = dy, db = dy. */
TARN_API tarn_tensor *tarn_add(tarn_tensor *a, tarn_tensor *b);

/* y = a - b.   da = dy, db = -dy. */
TARN_API tarn_tensor *tarn_sub(tarn_tensor *a, tarn_tensor *b);

/* y = a b.   da = dy b, db = dy a. */
TARN_API tarn_tensor *tarn_mul(tarn_tensor *a, tarn_tensor *b);

/* y = a / b.   da = dy / b, db = -dy y / b. */
TARN_API tarn_tensor *tarn_div(tarn_tensor *a, tarn_tensor *b);

/* y = a^b.   da = dy b a^(b-1) (0 where b is 0), db = dy y log(a) (0 where a is 0 and b >= 0). */
TARN_API tarn_tensor *tarn_pow(tarn_tensor *a, tarn_tensor *b);

/* y = the larger of a and b, NaN if either is. The gradient goes to the larger; half to each where
 * they are equal. */
TARN_API tarn_tensor *tarn_maximum(tarn_tensor *a, tarn_tensor *b);

/* y = the smaller of a and b, NaN if either is. The gradient goes to the smaller; half to each
 * where they are equal. */
TARN_API tarn_tensor *tarn_minimum(tarn_tensor *a, tarn_tensor *b);

/* ---- elementwise with a number, rounded to x's type; gradients as above, half of it where maximum
 * or minimum ties */

/* y = x + s. */
TARN_API tarn_tensor *tarn_add_scalar(tarn_tensor *x, double s);
/* y = x - s. */
TARN_API tarn_tensor *tarn_sub_scalar(tarn_tensor *x, double s);
/* y = s - x. */
TARN_API tarn_tensor *tarn_rsub_scalar(tarn_tensor *x, double s);
/* y = x s. */
TARN_API tarn_tensor *tarn_mul_scalar(tarn_tensor *x, double s);
/* y = x / s. */
TARN_API tarn_tensor *tarn_div_scalar(tarn_tensor *x, double s);
/* y = s / x. */
TARN_API tarn_tensor *tarn_rdiv_scalar(tarn_tensor *x, double s);
/* y = x^s. */
TARN_API tarn_tensor *tarn_pow_scalar(tarn_tensor *x, double s);
/* y = the larger of x and s. */
TARN_API tarn_tensor *tarn_maximum_scalar(tarn_tensor *x, double s);
/* y = the smaller of x and s. */
TARN_API tarn_tensor *tarn_minimum_scalar(tarn_tensor *x, double s);

/* ---- elementwise, one operand */

/* y = -x.   dx = -dy. */
TARN_API tarn_tensor *tarn_neg(tarn_tensor *x);
/* y = |x|.   dx = dy sign(x), 0 at 0. */
TARN_API tarn_tensor *tarn_abs(tarn_tensor *x);
/* y = e^x.   dx = dy y. */
TARN_API tarn_tensor *tarn_exp(tarn_tensor *x);
/* y = ln x.   dx = dy / x. */
TARN_API tarn_tensor *tarn_log(tarn_tensor *x);
/* y = the square root of x.   dx = dy / (2 y). */
TARN_API tarn_tensor *tarn_sqrt(tarn_tensor *x);
/* y = x x.   dx = 2 dy x. */
TARN_API tarn_tensor *tarn_square(tarn_tensor *x);
/* y = tanh x.   dx = dy (1 - y^2). */
TARN_API tarn_tensor *tarn_tanh(tarn_tensor *x);
/* y = 1 / (1 + e^-x).   dx = dy y (1 - y). */
TARN_API tarn_tensor *tarn_sigmoid(tarn_tensor *x);
/* y = x where x > 0, else 0; NaN stays NaN.   dx = dy where x > 0, else 0. */
TARN_API tarn_tensor *tarn_relu(tarn_tensor *x);
/* y = x where x > 0, else slope x.   dx = dy where x > 0, else slope dy. Fails also: TARN_EARG if
 * slope is not finite. */
TARN_API tarn_tensor *tarn_leaky_relu(tarn_tensor *x, double slope);

/* ---- products */

/* Matrix product y = a b over the last two axes; the axes before them are batches and broadcast.
 *   a (..., M, K)   b (..., K, N)   ->   y (..., M, N)       da = dy b^T, db = a^T dy.
 * Transposed views go to BLAS as flags, without a copy. K = 0 gives zeros. */
TARN_API tarn_tensor *tarn_matmul(tarn_tensor *a, tarn_tensor *b);

/* A linear layer's product and bias in one pass: y = x w^T + b.
 *   x (..., I)   w (O, I)   b (O) or NULL   ->   y (..., O)
 * dx = dy w, dw = dy^T x, db = dy summed over all axes but the last. */
TARN_API tarn_tensor *tarn_affine(tarn_tensor *x, tarn_tensor *w, tarn_tensor *b);

/* ---- reductions */

/* A set of axes. All axes: TARN_ALL_AXES. The reduced axes vanish, or stay with size 1
 * (TARN_AXES_KEEP). Naming an axis twice or out of range is an error (TARN_EARG). */
typedef struct tarn_axes {
    int n;    /* 0: all */
    int keep; /* 1: reduced axes stay with size 1 */
    int axis[TARN_MAX_DIMS];
} tarn_axes;
#define TARN_AXES_COUNT_(...) ((int)(sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int)))
#define TARN_AXES(...) ((tarn_axes){ TARN_AXES_COUNT_(__VA_ARGS__), 0, { __VA_ARGS__ } })
#define TARN_AXES_KEEP(...) ((tarn_axes){ TARN_AXES_COUNT_(__VA_ARGS__), 1, { __VA_ARGS__ } })
#define TARN_ALL_AXES ((tarn_axes){ 0, 0, { 0 } })

/* The sum, accumulated in double; 0 over nothing.   dx = dy, repeated. */
TARN_API tarn_tensor *tarn_sum(tarn_tensor *x, tarn_axes axes);
/* The mean; NaN over nothing.   dx = dy / n, repeated. */
TARN_API tarn_tensor *tarn_mean(tarn_tensor *x, tarn_axes axes);
/* The largest element; the gradient goes to the first of equals. Fails also: TARN_ESHAPE over
 * nothing. */
TARN_API tarn_tensor *tarn_max(tarn_tensor *x, tarn_axes axes);
/* The smallest element; the gradient goes to the first of equals. Fails also: TARN_ESHAPE over
 * nothing. */
TARN_API tarn_tensor *tarn_min(tarn_tensor *x, tarn_axes axes);
/* Where the largest element is (the first of equals; the first NaN, if any): its place in the order
 * of the reduced axes, last fastest. I64; no gradient. x of any type. Fails also: TARN_ESHAPE over
 * nothing. */
TARN_API tarn_tensor *tarn_argmax(tarn_tensor *x, tarn_axes axes);

/* ---- softmax and losses */

/* y = e^x / sum(e^x) along one axis, computed from x - max(x).   dx = y (dy - sum(dy y)). A row of
 * -inf gives NaN. */
TARN_API tarn_tensor *tarn_softmax(tarn_tensor *x, int axis);
/* y = x - log(sum(e^x)) along one axis.   dx = dy - e^y sum(dy). */
TARN_API tarn_tensor *tarn_log_softmax(tarn_tensor *x, int axis);
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
/* The same elements, but no gradient passes. */
TARN_API tarn_tensor *tarn_detach(tarn_tensor *x);

/* ---- copies and conversions */

/* The elements of x without gaps, last axis fastest: x itself as a view if it already is so, else a
 * copy. Any type. */
TARN_API tarn_tensor *tarn_contiguous(tarn_tensor *x);
/* x in another element type. Float to integer truncates, saturates, and turns NaN into 0; integers
 * saturate. Between floats the gradient is cast back; a cast to integers has none. */
TARN_API tarn_tensor *tarn_cast(tarn_tensor *x, tarn_dtype dtype);

/* Each element set to zero with probability p, else divided by 1 - p. The draws depend on the
 * manager's seed and `stream` alone: pass another stream for each use, such as a step number.
 * (tarn_dropout_layer, in nn.h, counts for itself.) dx = dy under the same draws, drawn again
 * rather than kept. Fails also: TARN_EARG unless 0 <= p <= 1. */
TARN_API tarn_tensor *tarn_dropout(tarn_tensor *x, double p, uint64_t stream);

TARN_END_DECLS

#endif
