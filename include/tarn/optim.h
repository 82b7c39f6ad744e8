/* optim.h - optimisers.
 *
 * An optimiser serves the parameters that its module had when it was made. Its state comes from the
 * pool at creation, so that a step acquires nothing. Zero in a field of options means the default
 * given there. Creation fails, with NULL and the error held, for numbers that are negative or not
 * finite (TARN_EARG), a module without parameters (TARN_ESTATE) or lack of memory. */
#ifndef TARN_OPTIM_H
#define TARN_OPTIM_H

#include <stdint.h>

#include "tarn/export.h"
#include "tarn/module.h"

TARN_BEGIN_DECLS

typedef struct tarn_optimizer tarn_optimizer;

typedef struct tarn_sgd_options {
    double lr;           /* 0: 0.01 */
    double momentum;     /* below 1; 0: none */
    double weight_decay; /* L2 penalty added to the gradient; 0: none */
} tarn_sgd_options;

/* Stochastic gradient descent: g += weight_decay w;  v = momentum v + g;  w -= lr v.
 * (The first step sets v = g.) */
TARN_API tarn_optimizer *tarn_sgd_create(tarn_module *module, const tarn_sgd_options *options);

typedef struct tarn_adam_options {
    double lr;           /* 0: 0.001 */
    double beta1;        /* below 1; 0: 0.9 */
    double beta2;        /* below 1; 0: 0.999 */
    double eps;          /* 0: 1e-8 */
    double weight_decay; /* 0: none */
} tarn_adam_options;

/* Adam (Kingma and Ba 2015): g += weight_decay w;
 * m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
 * w -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). */
TARN_API tarn_optimizer *tarn_adam_create(tarn_module *module, const tarn_adam_options *options);

/* AdamW (Loshchilov and Hutter 2019): Adam in which weight_decay leaves the gradient alone and acts
 * by w -= lr weight_decay w beside it. 0: none; 0.01 is usual. */
TARN_API tarn_optimizer *tarn_adamw_create(tarn_module *module, const tarn_adam_options *options);

/* Updates each parameter that received a gradient and consumes the gradients: the next backward
 * pass stores anew. Parameters without one are skipped, frozen ones too; t counts the steps in
 * which a parameter took part.
 * Fails, with the error held and nothing changed: an error already held; TARN_EARG for NULL
 * (returned only: there is no manager to hold it); TARN_ESTATE if no parameter has received a
 * gradient since the last step, or the module was destroyed. */
TARN_API tarn_status tarn_optimizer_step(tarn_optimizer *optimizer);

/* Empties the gradients of its parameters; nothing once the module was destroyed. */
TARN_API void tarn_optimizer_zero_grad(tarn_optimizer *optimizer);

/* The learning rate; NaN for NULL. Setting fails for a rate that is negative or not finite
 * (TARN_EARG); 0 is allowed. */
TARN_API double tarn_optimizer_lr(const tarn_optimizer *optimizer);
TARN_API tarn_status tarn_optimizer_set_lr(tarn_optimizer *optimizer, double lr);

/* Steps done so far. */
TARN_API uint64_t tarn_optimizer_steps(const tarn_optimizer *optimizer);

/* Gives its state back. NULL does nothing. The manager destroys what is left. */
TARN_API void tarn_optimizer_destroy(tarn_optimizer *optimizer);

TARN_END_DECLS

#endif
