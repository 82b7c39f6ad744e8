/* lbfgs.h - L-BFGS (Nocedal 1980), which learns the curvature of a loss from its gradients: for few
 * parameters and losses without noise, such as a small network on all its data. There it needs far
 * fewer evaluations than the optimisers of optim.h, and each costs it
 *
 *   (8 + 2 history) times the memory of the parameters, acquired at creation.
 *
 * It decides itself where to evaluate the loss, and so is given a function for that:
 *
 *   static double loss_of(void *context)
 *   {
 *       const task *t = context;
 *       tarn_tensor *loss = tarn_mse(tarn_mlp_forward(&t->mlp, t->x), t->y);
 *       tarn_backward(loss);
 *       return tarn_item(loss);
 *   }
 *
 *   tarn_optimizer *lbfgs = tarn_lbfgs_create(net, NULL);
 *   for (int step = 0; step < 20; step++) tarn_lbfgs_step(lbfgs, loss_of, &task, NULL); */
#ifndef TARN_LBFGS_H
#define TARN_LBFGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/optim.h"

TARN_BEGIN_DECLS

typedef enum tarn_line_search {
    TARN_LINE_SEARCH_STRONG_WOLFE, /* until the loss has fallen enough and its slope has flattened
                                      (Nocedal and Wright 2006, algorithms 3.5 and 3.6) */
    TARN_LINE_SEARCH_NONE          /* goes lr times the direction, whatever the loss does there */
} tarn_line_search;

typedef struct tarn_lbfgs_options {
    double lr;               /* of the direction: what is tried first; 0: 1 */
    uint64_t max_iter;       /* directions of a step; 0: 20 */
    uint64_t max_eval;       /* evaluations after which no direction is begun; 0: 5/4 max_iter */
    size_t history;          /* pairs that the curvature is known from; at most 1048576; 0: 10 */
    double tolerance_grad;   /* ends a step: no derivative is larger; 0: 1e-7 */
    double tolerance_change; /* ends a step: no parameter, or not the loss, changes more; 0: 1e-9 */
    tarn_line_search line_search;
} tarn_lbfgs_options;

/* An optimiser whose steps are those of tarn_lbfgs_step; all else is as of other optimisers. Fails
 * as they do; TARN_EARG also for an unknown line search and too long a history. */
TARN_API tarn_optimizer *tarn_lbfgs_create(tarn_module *module, const tarn_lbfgs_options *options);

/* Computes the loss of the parameters as they are, calls tarn_backward once (or more often, for
 * parts of a batch), and returns the value. It must be the same function at each call of a step: no
 * dropout, no next batch. Each call runs in a scope of its own, and may not use the optimiser. */
typedef double (*tarn_closure)(void *context);

typedef struct tarn_lbfgs_result {
    double first_loss, loss; /* before the step, and as last evaluated where it ended */
    uint64_t iterations, evaluations;
    bool converged; /* ended by a tolerance */
} tarn_lbfgs_result;

/* Does up to max_iter iterations: a direction from gradient and curvature, and a search along it.
 * Gradients that had arrived before count for nothing; those of the closure are consumed.
 * Parameters that receive none in the first call do not move in this step; if they are others than
 * in the step before, the curvature is forgotten. Where the loss or a derivative is not finite, the
 * search turns back. The result may be NULL; on failure it is zero.
 *
 * Fails, with the error held and the parameters where the last iteration left them: an error
 * already held, or held by the closure; TARN_EARG for NULL, and for an optimiser of another family;
 * TARN_ESTATE if the closure sends no gradient, uses the optimiser, or the module was destroyed;
 * TARN_ENUMERIC if loss or gradient are not finite where the step begins. */
TARN_API tarn_status tarn_lbfgs_step(tarn_optimizer *optimizer, tarn_closure closure, void *context,
                                     tarn_lbfgs_result *result);

TARN_END_DECLS

#endif
