/* ops.h - operations: elementwise, products, reductions. (shape.h has views, selection and copies,
 * functional.h what layers are made of, conv.h convolutions, loss.h losses.)
 *
 * An operation takes tensors of one manager and returns a new one in the open scope, or NULL with
 * the error held (TARN_ESHAPE, TARN_EDTYPE, TARN_EARG, TARN_ENOMEM, TARN_ESTALE, TARN_ESTATE). With
 * an error held and a NULL operand it returns NULL and adds nothing. Operands may have any strides.
 * Float operands are F32 or F64, all of one type, unless said otherwise. NaN propagates. When an
 * operand requires a gradient, the operation is recorded for tarn_backward; the comment gives the
 * gradients (dx is the gradient of the loss with respect to x). Negative axes count from the last.
 *
 * Accuracy: exp, expm1, log, log1p, tanh, sin, cos and erf err by at most 1 unit in the last place,
 * in both types and for all numbers, where tarn_runtime_get_info says that mathematics are SLEEF's;
 * erfc, which gelu uses, by 1.5 in F64 and by 4 in F32. (Measured on every 61st float: 0.88, 0.89,
 * 0.89, 0.95, 0.97, 0.87, 0.94 and 0.96; 3.9. On as many doubles as every 257th float: 0.97,
 * 0.9996, 0.74, 0.75, 0.9999, 0.83, 0.94 and 0.89; 1.21. F32 has functions of its own but for sin
 * and cos.) What is built on them - sigmoid, softplus, silu, gelu, elu, softmax, the losses - errs
 * by a few units. A number's result depends on the number alone, not on its place, and is the same
 * to the bit with AVX2 and with AVX-512. The C library's functions, which serve elsewhere, err by
 * up to 3 units, and give other bits. */
#ifndef TARN_OPS_H
#define TARN_OPS_H

#include <stdbool.h>
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
/* y = e^x - 1, without the difference.   dx = dy e^x. */
TARN_API tarn_tensor *tarn_expm1(tarn_tensor *x);
/* y = ln x.   dx = dy / x. */
TARN_API tarn_tensor *tarn_log(tarn_tensor *x);
/* y = ln(1 + x), without the sum.   dx = dy / (1 + x). */
TARN_API tarn_tensor *tarn_log1p(tarn_tensor *x);
/* y = the square root of x.   dx = dy / (2 y). */
TARN_API tarn_tensor *tarn_sqrt(tarn_tensor *x);
/* y = 1 / the square root of x.   dx = -dy y^3 / 2. */
TARN_API tarn_tensor *tarn_rsqrt(tarn_tensor *x);
/* y = x x.   dx = 2 dy x. */
TARN_API tarn_tensor *tarn_square(tarn_tensor *x);
/* y = 1 / x.   dx = -dy y^2. */
TARN_API tarn_tensor *tarn_reciprocal(tarn_tensor *x);
/* y = sin x, x in radians.   dx = dy cos x. */
TARN_API tarn_tensor *tarn_sin(tarn_tensor *x);
/* y = cos x, x in radians.   dx = -dy sin x. */
TARN_API tarn_tensor *tarn_cos(tarn_tensor *x);
/* y = tanh x.   dx = dy (1 - y^2). */
TARN_API tarn_tensor *tarn_tanh(tarn_tensor *x);
/* y = erf x, the error function.   dx = dy 2 e^(-x^2) / sqrt(pi). */
TARN_API tarn_tensor *tarn_erf(tarn_tensor *x);

/* y = 1 / (1 + e^-x).   dx = dy y (1 - y). */
TARN_API tarn_tensor *tarn_sigmoid(tarn_tensor *x);
/* y = x where x > 0, else 0; NaN stays NaN.   dx = dy where x > 0, else 0. */
TARN_API tarn_tensor *tarn_relu(tarn_tensor *x);
/* y = x where x > 0, else slope x.   dx = dy where x > 0, else slope dy. Fails also: TARN_EARG if
 * slope is not finite. */
TARN_API tarn_tensor *tarn_leaky_relu(tarn_tensor *x, double slope);
/* y = x where x > 0, else alpha (e^x - 1).   dx = dy where x > 0, else dy alpha e^x. Fails also:
 * TARN_EARG if alpha is not finite. */
TARN_API tarn_tensor *tarn_elu(tarn_tensor *x, double alpha);
/* y = ln(1 + e^x).   dx = dy sigmoid(x). */
TARN_API tarn_tensor *tarn_softplus(tarn_tensor *x);
/* y = x sigmoid(x), 0 at -infinity.   dx = dy (p + x p (1 - p)), p = sigmoid(x). */
TARN_API tarn_tensor *tarn_silu(tarn_tensor *x);
/* y = x P(x), 0 at -infinity; P is the standard normal distribution, (1 + erf(x / sqrt(2))) / 2.
 * dx = dy (P(x) + x P'(x)), P'(x) = e^(-x^2 / 2) / sqrt(2 pi). */
TARN_API tarn_tensor *tarn_gelu(tarn_tensor *x);
/* y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, 0 at -infinity: an approximation of gelu.
 * dx = dy times the derivative of that. */
TARN_API tarn_tensor *tarn_gelu_tanh(tarn_tensor *x);

/* y = 1 where x > 0, -1 where x < 0, else x itself: a zero or NaN.   dx = 0: like the next three it
 * has a gradient, which is zero everywhere, so that what it is a part of can be trained. */
TARN_API tarn_tensor *tarn_sign(tarn_tensor *x);
/* y = the largest whole number that is not greater than x.   dx = 0. */
TARN_API tarn_tensor *tarn_floor(tarn_tensor *x);
/* y = the smallest whole number that is not less than x.   dx = 0. */
TARN_API tarn_tensor *tarn_ceil(tarn_tensor *x);
/* y = the whole number next to x; of two the even one (0.5 gives 0, 1.5 gives 2).   dx = 0. */
TARN_API tarn_tensor *tarn_round(tarn_tensor *x);
/* y = min where x < min, max where x > max, else x; NaN stays NaN. Either bound may be infinite:
 * then the other is the only one.   dx = dy where min <= x <= max, else 0. Fails also: TARN_EARG
 * unless min <= max (NaN is no bound). */
TARN_API tarn_tensor *tarn_clamp(tarn_tensor *x, double min, double max);

/* ---- comparisons: 1 where it holds, else 0, as U8; no gradient. The operands broadcast and may
 * have any type, both the same (else TARN_EDTYPE). A number s is rounded to x's type where that is
 * a float; integers compare with it as it is: none equals 0.5, and all of U8 are less than 256. NaN
 * is equal to nothing, itself included, and neither less nor greater: not_equal alone holds. */

/* a == b. */
TARN_API tarn_tensor *tarn_equal(tarn_tensor *a, tarn_tensor *b);
/* a != b. */
TARN_API tarn_tensor *tarn_not_equal(tarn_tensor *a, tarn_tensor *b);
/* a < b. */
TARN_API tarn_tensor *tarn_less(tarn_tensor *a, tarn_tensor *b);
/* a <= b. */
TARN_API tarn_tensor *tarn_less_equal(tarn_tensor *a, tarn_tensor *b);
/* a > b. */
TARN_API tarn_tensor *tarn_greater(tarn_tensor *a, tarn_tensor *b);
/* a >= b. */
TARN_API tarn_tensor *tarn_greater_equal(tarn_tensor *a, tarn_tensor *b);

/* x == s. */
TARN_API tarn_tensor *tarn_equal_scalar(tarn_tensor *x, double s);
/* x != s. */
TARN_API tarn_tensor *tarn_not_equal_scalar(tarn_tensor *x, double s);
/* x < s. */
TARN_API tarn_tensor *tarn_less_scalar(tarn_tensor *x, double s);
/* x <= s. */
TARN_API tarn_tensor *tarn_less_equal_scalar(tarn_tensor *x, double s);
/* x > s. */
TARN_API tarn_tensor *tarn_greater_scalar(tarn_tensor *x, double s);
/* x >= s. */
TARN_API tarn_tensor *tarn_greater_equal_scalar(tarn_tensor *x, double s);

/* ---- choices. A condition is U8, I32 or I64: a comparison's result, or any integers, of which 0
 * is false and all others are true. */

/* y = a where the condition holds, else b; all three broadcast. a and b may have any type, both the
 * same (else TARN_EDTYPE).   da = dy where it holds, else 0; db = dy where it does not, else 0;
 * each summed over the axes along which its operand was repeated. */
TARN_API tarn_tensor *tarn_where(tarn_tensor *condition, tarn_tensor *a, tarn_tensor *b);

/* y = value where the mask holds, else x. x may have any type, to which the value is converted as
 * tarn_full does; the mask broadcasts to x (else TARN_ESHAPE).   dx = 0 where it holds, else dy. */
TARN_API tarn_tensor *tarn_masked_fill(tarn_tensor *x, tarn_tensor *mask, double value);

/* ---- products */

/* Matrix product y = a b over the last two axes; the axes before them are batches and broadcast.
 *   a (..., M, K)   b (..., K, N)   ->   y (..., M, N)       da = dy b^T, db = a^T dy.
 * A vector a (K) is one row, a vector b (K) one column, and y lacks the axis of it: the product of
 * two vectors is a scalar. Transposed views go to BLAS as flags, without a copy. K = 0 gives
 * zeros. */
TARN_API tarn_tensor *tarn_matmul(tarn_tensor *a, tarn_tensor *b);

/* The sum of the products of two vectors, a scalar.   a (K)   b (K)   da = dy b, db = dy a. */
TARN_API tarn_tensor *tarn_dot(tarn_tensor *a, tarn_tensor *b);

/* All products of two vectors.   a (M)   b (N)   ->   y (M, N)   da = dy b, db = a dy. */
TARN_API tarn_tensor *tarn_outer(tarn_tensor *a, tarn_tensor *b);

/* A linear layer's product and bias in one pass: y = x w^T + b.
 *   x (..., I)   w (O, I)   b (O) or NULL   ->   y (..., O)
 * dx = dy w, dw = dy^T x, db = dy summed over all axes but the last. */
TARN_API tarn_tensor *tarn_affine(tarn_tensor *x, tarn_tensor *w, tarn_tensor *b);

/* What follows a linear layer. Leaky relu has the slope 0.01 here. */
typedef enum tarn_activation {
    TARN_RELU,
    TARN_TANH,
    TARN_SIGMOID,
    TARN_LEAKY_RELU,
    TARN_GELU,
    TARN_SILU
} tarn_activation;

/* y = f(x w^T + b), to the bit what the two operations give one after the other, but computed in
 * the memory of the product wherever the gradient can be computed from y: for relu, tanh and
 * sigmoid, and for all where nothing is recorded. Shapes and gradients are
 * those of tarn_affine, with dy f' for dy. Fails also: TARN_EARG for an activation that is none. */
TARN_API tarn_tensor *tarn_affine_act(tarn_tensor *x, tarn_tensor *w, tarn_tensor *b,
                                      tarn_activation activation);

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
/* Where the smallest element is, in the same way. */
TARN_API tarn_tensor *tarn_argmin(tarn_tensor *x, tarn_axes axes);
/* The product, accumulated in double; 1 over nothing.   dx = dy times the product of all other
 * elements, which is right with zeros among them, too. (Backward needs room for the elements of up
 * to 16 products, twice and in double; the second derivative for the square of their number.) */
TARN_API tarn_tensor *tarn_prod(tarn_tensor *x, tarn_axes axes);
/* The variance: the sum of (x - mean)^2, divided by n - correction: 0 for that of the n elements
 * themselves, 1 for the unbiased estimate of what they are a sample of. Accurate for large means as
 * well: what is added up, in double, are differences from the first element. NaN, and so the
 * gradient, unless n > correction. dx = 2 dy (x - mean) / (n - correction). Fails also: TARN_EARG
 * if correction is not finite. */
TARN_API tarn_tensor *tarn_var(tarn_tensor *x, tarn_axes axes, double correction);
/* The standard deviation: the square root of that variance.
 *   dx = dy (x - mean) / (y (n - correction)), 0 where y is 0.
 * Fails also: TARN_EARG if correction is not finite. */
TARN_API tarn_tensor *tarn_std(tarn_tensor *x, tarn_axes axes, double correction);
/* The p-norm, sum(|x|^p)^(1/p), for any p > 0; p = INFINITY gives the largest |x|. 0 over nothing.
 * It overflows or vanishes only where its value does.
 *   dx = dy sign(x) (|x| / y)^(p-1), 0 where y is 0 and, for p <= 1, where x is; for INFINITY it
 * goes to the first of equals.
 * Fails also: TARN_EARG unless p > 0. */
TARN_API tarn_tensor *tarn_norm(tarn_tensor *x, double p, tarn_axes axes);
/* log(sum(e^x)), computed from x - max(x), so that nothing overflows; -INFINITY over nothing, and
 * over elements that all are.   dx = dy e^(x - y), 0 where y is -INFINITY; NaN where x is INFINITY.
 */
TARN_API tarn_tensor *tarn_logsumexp(tarn_tensor *x, tarn_axes axes);

/* Running sums along one axis, each accumulated in double: y_i = x_0 + ... + x_i.
 *   dx_i = dy_i + ... + dy_(n-1). */
TARN_API tarn_tensor *tarn_cumsum(tarn_tensor *x, int axis);

/* ---- in place: the result overwrites x, and x is returned */

/* In a computation that is recorded this saves memory where nothing needs the values before: x then
 * stands for the result, and its gradient passes on to what made it. Refused (TARN_ESTATE, with
 * nothing changed and the reason in the message) where a gradient would come out wrong: x is a
 * leaf, was saved by a recorded operation (as the result of tanh is), is an operand of one, shares
 * its memory with another tensor, or the operation's own gradient reads x. Inside TARN_NO_GRAD
 * parameters can be changed, too, and views: their elements change in the tensor that they show.
 * Refused always: frozen and expanded tensors. The result must have the shape of x (TARN_ESHAPE).
 */
TARN_API tarn_tensor *tarn_add_(tarn_tensor *x, tarn_tensor *b);
TARN_API tarn_tensor *tarn_sub_(tarn_tensor *x, tarn_tensor *b);
TARN_API tarn_tensor *tarn_mul_(tarn_tensor *x, tarn_tensor *b);
TARN_API tarn_tensor *tarn_div_(tarn_tensor *x, tarn_tensor *b);
TARN_API tarn_tensor *tarn_add_scalar_(tarn_tensor *x, double s);
TARN_API tarn_tensor *tarn_mul_scalar_(tarn_tensor *x, double s);
TARN_API tarn_tensor *tarn_neg_(tarn_tensor *x);
TARN_API tarn_tensor *tarn_exp_(tarn_tensor *x);
TARN_API tarn_tensor *tarn_sqrt_(tarn_tensor *x);
TARN_API tarn_tensor *tarn_tanh_(tarn_tensor *x);
TARN_API tarn_tensor *tarn_sigmoid_(tarn_tensor *x);
TARN_API tarn_tensor *tarn_relu_(tarn_tensor *x);
TARN_API tarn_tensor *tarn_masked_fill_(tarn_tensor *x, tarn_tensor *mask, double value);

/* ---- watching operations */

/* From now on every result, forward and backward, is looked at: the first that is not finite is an
 * error (TARN_ENUMERIC) which names operation, layer, and the ranges of what it was computed from.
 * It reads each result once more, which slows a step down by about a half; off at first. Fails:
 * TARN_EARG for NULL. */
TARN_API tarn_status tarn_check_finite(tarn_manager *tm, bool on);

/* An operation that has just run. What it shows is valid during the call. */
typedef struct tarn_operation_event {
    const char *name;  /* such as "matmul" */
    const char *layer; /* such as linear "l1"; "" outside layers and in backward */
    bool backward;
    int n_operands;
    tarn_tensor *const *operands; /* (n_operands); NULL: absent. In backward, and after an
                                     operation in place, their values may be gone */
    tarn_tensor *result;
    tarn_tensor *gradient;         /* backward: of the result */
    tarn_tensor *const *gradients; /* backward: of the operands; NULL: not computed */
} tarn_operation_event;

typedef void (*tarn_operation_hook)(void *context, const tarn_operation_event *event);

/* Calls `hook` after every operation of the manager, forward and backward; NULL ends that. It may
 * read, but not run operations. Fails: TARN_EARG for NULL. */
TARN_API tarn_status tarn_on_operation(tarn_manager *tm, tarn_operation_hook hook, void *context);

TARN_END_DECLS

#endif
