/* autograd.h - gradients by reverse-mode differentiation.
 *
 * Operations on tensors that require a gradient are recorded on the manager's tape. tarn_backward
 * walks it from the loss back, gives each buffer back to the pool at its last use, and adds to the
 * gradients of the leaves. */
#ifndef TARN_AUTOGRAD_H
#define TARN_AUTOGRAD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

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
 * tensor saved for backward was changed since (the message names the operation). Half way, if
 * memory ends (TARN_ENOMEM) or a hook, a custom operation, a function of tarn_checkpoint or
 * tarn_check_finite has an error: then the gradients that were touched become empty and the loss's
 * part of the tape is dropped; begin again at the forward pass. */
TARN_API tarn_status tarn_backward(tarn_tensor *loss);

/* The same with another seed than one, or keeping the graph. NULL options mean every default. */
TARN_API tarn_status tarn_backward_with(tarn_tensor *loss, const tarn_backward_options *options);

/* ---- gradients of outputs with respect to inputs */

typedef struct tarn_grad_options {
    tarn_tensor *const *gradients; /* of the outputs, each of its output's shape and type; NULL, or
                                      a NULL among them: one, for an output of one element */
    bool keep_graph;               /* keep tape and values for another pass over them */
    bool create_graph;   /* record how the gradients are computed, inside TARN_NO_GRAD as well, so
                            that they can be differentiated in turn; the graph is kept */
    bool unused_is_null; /* an input that no output depends on has NULL instead of zeros */
} tarn_grad_options;

/* Stores in gradients[i] the sum over all outputs of d(output)/d(inputs[i]), of the shape and type
 * of that input: tensors of the open scope. Inputs are leaves or intermediates that require a
 * gradient; the gradients of leaves (tarn_grad_of) are left alone. An input that no output depends
 * on has zeros. Without keep_graph, intermediates between inputs and outputs end as with
 * tarn_backward; inputs and outputs stay readable. NULL options mean every default.
 *     tarn_grad(TARN_LIST(loss), TARN_LIST(w, b), gradients,
 *               &(tarn_grad_options){ .create_graph = true });
 * Fails, with every gradient NULL and the error held: as tarn_backward; TARN_ESTATE for an input
 * that requires no gradient, or where create_graph meets an operation whose gradient cannot be
 * recorded (the message names it). */
TARN_API tarn_status tarn_grad(tarn_list outputs, tarn_list inputs, tarn_tensor **gradients,
                               const tarn_grad_options *options);

/* products[k] = sum over i of d(outputs[k])/d(inputs[i]) tangents[i]: the product of the Jacobian
 * with a vector, of the shape of outputs[k]. (The product with its transpose is tarn_grad with
 * `gradients`.) tangents[i] has the shape and type of inputs[i]. It is computed as the derivative
 * of the transposed product, which is linear in its vector. The graph is kept; it goes with its
 * scope. Fails as tarn_grad. */
TARN_API tarn_status tarn_jvp(tarn_list outputs, tarn_list inputs, tarn_tensor *const *tangents,
                              tarn_tensor **products);

/* products[i] = sum over j of d2(loss)/d(inputs[i])d(inputs[j]) vectors[j]: the product of the
 * Hessian with a vector, of the shape of inputs[i]. The loss has one element. The graph is kept; it
 * goes with its scope. Fails as tarn_grad. */
TARN_API tarn_status tarn_hvp(tarn_tensor *loss, tarn_list inputs, tarn_tensor *const *vectors,
                              tarn_tensor **products);

/* ---- hooks */

/* What a hook is told: the tensor, whose elements may have been given back, and its gradient,
 * complete. It may compute, change the elements of the gradient (tarn_data_mut, tarn_mul_scalar_
 * ...) unless that is recorded (create_graph), and hold it with tarn_retain, but start no backward
 * pass. An error that it leaves held ends the pass. */
typedef void (*tarn_gradient_hook)(void *context, tarn_tensor *t, tarn_tensor *gradient);

/* Calls `hook` whenever the gradient of t has been computed: for an intermediate before it is
 * passed on, for a leaf when the pass has added the last part (with tarn_checkpoint, of each of its
 * functions). Several hooks are called newest first. Fails: TARN_ESTATE if t requires no gradient;
 * TARN_EARG; TARN_ENOMEM. */
TARN_API tarn_status tarn_on_gradient(tarn_tensor *t, tarn_gradient_hook hook, void *context);

/* Removes the hooks of t; a hook may do so, too. */
TARN_API void tarn_clear_hooks(tarn_tensor *t);

/* ---- computing again instead of keeping */

/* A function of n tensors. */
typedef tarn_tensor *(*tarn_function)(tarn_tensor *const *inputs, int n, void *context);

/* function(inputs), of which only inputs and output are kept for backward: it runs without being
 * recorded, and again, recorded, when backward reaches it. It must do the same both times (dropout
 * layers draw the same again), may use parameters and other leaves, but nothing else that was
 * computed outside from what requires a gradient (backward then fails: TARN_ESTATE), and `context`
 * must be valid until backward. 1 to 5 inputs. Where nothing is recorded it is the function and no
 * more. For tarn_grad it counts as computed from every leaf; create_graph does not pass.
 * Fails: NULL with the error held: TARN_EARG, TARN_ENOMEM, whatever the function fails with. */
TARN_API tarn_tensor *tarn_checkpoint(tarn_function function, tarn_list inputs, void *context);

/* ---- looking at the tape */

/* Writes the recorded operations, oldest first: result, operands, and what each keeps for backward.
 * Bytes are those of intermediates, each counted once, where it is saved first; leaves and
 * constants are held anyway. Fails: TARN_EARG for NULL; TARN_EIO. */
TARN_API tarn_status tarn_tape_print(const tarn_manager *tm, FILE *stream);

/* Writes the same as a graph for Graphviz (dot -Tsvg). */
TARN_API tarn_status tarn_tape_dot(const tarn_manager *tm, FILE *stream);

/* ---- gradient check */

typedef struct tarn_gradcheck_options {
    double step;     /* of the central differences, times max(1, |x|); 0: 1e-5 */
    double absolute; /* tolerance |a - d| <= absolute + relative max(|a|, |d|); both 0: 1e-9 and
                        1e-7 */
    double relative;
    uint64_t seed;   /* of the random cotangent, and of the choice of samples */
    int64_t samples; /* elements of each input that are checked, drawn at random; 0: all */
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

/* Compares the gradients of `function`, which uses no other tensor requiring a gradient and gives
 * the same result when called again, with central differences of sum(v * function(inputs)) for a
 * random cotangent v, and asks for the same bits from a second backward pass. Inputs are leaves of
 * type F64 that require a gradient (others are passed through); their values are perturbed in turn
 * and restored, their gradients emptied. The report may be NULL. Fails: TARN_ENUMERIC if a
 * derivative is out of tolerance, with the report telling which; any error of the function. (A
 * function that returns what tarn_grad gives with create_graph has its second derivatives checked.)
 */
TARN_API tarn_status tarn_gradcheck(tarn_function function, tarn_tensor *const *inputs, int n,
                                    void *context, const tarn_gradcheck_options *options,
                                    tarn_gradcheck_report *report);

TARN_END_DECLS

#endif
