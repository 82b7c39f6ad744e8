/* autograd.h - gradients by reverse-mode differentiation.
 *
 * Operations on tensors that require a gradient are recorded on the manager's tape. tarn_backward
 * walks it from the loss back, gives each buffer back to the pool at its last use, and adds to the
 * gradients of the leaves. */
#ifndef TARN_AUTOGRAD_H
#define TARN_AUTOGRAD_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* Makes a leaf of t: operations on it are recorded and tarn_backward computes its gradient. Returns
 * t, or NULL with the error held: TARN_EDTYPE unless t is F32 or F64, TARN_ESTATE if t was computed
 * by a recorded operation. Parameters of modules require gradients from the start. */
TARN_API tarn_tensor *tarn_require_grad(tarn_tensor *t);

/* Stops gradients to a leaf: a frozen parameter. Its gradient, if any, is let go. Fails:
 * TARN_ESTATE if t is no leaf. */
TARN_API tarn_status tarn_stop_grad(tarn_tensor *t);

/* True if t is a leaf that requires a gradient or was computed from one. */
TARN_API bool tarn_requires_grad(const tarn_tensor *t);

/* The gradient of a leaf, of its shape and type: a tensor that belongs to the leaf (do not release
 * it) and reads as zeros while nothing has arrived. Its values stay until the next write. What is
 * written into it by hand is no arrival: an optimiser's step skips it, and the next backward pass
 * stores over it. NULL, with the error held, if t requires no gradient or is no leaf (TARN_ESTATE),
 * or memory is short.
 */
TARN_API tarn_tensor *tarn_grad_of(tarn_tensor *t);

/* True if a gradient has arrived at the leaf since it was last emptied or consumed by an
 * optimiser's step. */
TARN_API bool tarn_has_grad(const tarn_tensor *t);

/* Empties the gradient of one leaf. Fails: TARN_ESTATE if t requires no gradient or is no leaf. */
TARN_API tarn_status tarn_zero_grad(tarn_tensor *t);

typedef struct tarn_backward_options {
    tarn_tensor
        *gradient;   /* of the loss, of its shape and type; NULL: one, for a loss of one element */
    bool keep_graph; /* keep tape and values for another pass over them */
} tarn_backward_options;

/* Adds d(loss)/d(leaf) to the gradient of every leaf that the loss was computed from. Ends the life
 * of the intermediates in between: each buffer returns to the pool at its last use; the loss
 * itself, and what tarn_keep or tarn_retain holds, stay readable. Fails, with the error held and
 * nothing changed: an error already held; TARN_EARG for NULL (returned only: there is no manager to
 * hold it); TARN_ESHAPE unless the loss has one element; TARN_ESTATE if nothing that requires a
 * gradient leads to it, if a part of its graph was already released by an earlier pass, or if a
 * tensor saved for backward was changed since (the message names the operation). TARN_ENOMEM half
 * way: the gradients that were touched become empty and the loss's part of the tape is dropped;
 * begin again at the forward pass. */
TARN_API tarn_status tarn_backward(tarn_tensor *loss);

/* The same with another seed than one, or keeping the graph. NULL options mean every default. */
TARN_API tarn_status tarn_backward_with(tarn_tensor *loss, const tarn_backward_options *options);

/* ---- gradient check */

/* What is checked: a function of n tensors that uses no other tensor requiring a gradient and gives
 * the same result when called again. */
typedef tarn_tensor *(*tarn_function)(tarn_tensor *const *inputs, int n, void *context);

typedef struct tarn_gradcheck_options {
    double step;     /* of the central differences, times max(1, |x|); 0: 1e-5 */
    double absolute; /* tolerance |a - d| <= absolute + relative max(|a|, |d|); both 0: 1e-9 and
                        1e-7 */
    double relative;
    uint64_t seed; /* of the random cotangent */
} tarn_gradcheck_options;

typedef struct tarn_gradcheck_report {
    int input; /* where the largest excess over the tolerance is (or, if all pass, the largest
                  error) */
    int64_t element;
    double analytic; /* gradient by tarn_backward */
    double numeric;  /* gradient by central differences */
    double error;    /* |analytic - numeric| */
    int64_t checked; /* derivatives compared */
    int64_t failed;  /* those out of tolerance, NaN included */
} tarn_gradcheck_report;

/* Compares the gradients of `function` with central differences of sum(v * function(inputs)) for a
 * random cotangent v, and asks for the same bits from a second backward pass. Inputs are leaves of
 * type F64 that require a gradient (others are passed through); their values are perturbed in turn
 * and restored, their gradients emptied. The report may be NULL. Fails: TARN_ENUMERIC if a
 * derivative is out of tolerance, with the report telling which; any error of the function. */
TARN_API tarn_status tarn_gradcheck(tarn_function function, tarn_tensor *const *inputs, int n,
                                    void *context, const tarn_gradcheck_options *options,
                                    tarn_gradcheck_report *report);

TARN_END_DECLS

#endif
