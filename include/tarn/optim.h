/* optim.h - optimisers.
 *
 * An optimiser serves the parameters that its module had when it was made. Its state comes from the
 * pool at creation, so that a step acquires nothing. Zero in a field of options means the default
 * given there, and TARN_ZERO a zero that is meant. Creation fails, with NULL and the error held,
 * for numbers that are negative, not finite or beyond the bound given there (TARN_EARG), a module
 * without parameters (TARN_ESTATE) or lack of memory. */
#ifndef TARN_OPTIM_H
#define TARN_OPTIM_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/module.h"

TARN_BEGIN_DECLS

typedef struct tarn_optimizer tarn_optimizer;

/* A number for fields in which 0 stands for something else: it means zero itself. (It is the
 * smallest normal number, taken as zero by all that read such fields.) */
#define TARN_ZERO DBL_MIN

/* ---- groups
 *
 * Parameters with numbers of their own, in every optimiser's options:
 *
 *   const tarn_optimizer_group groups[] = {
 *       { .pattern = "*.bias", .weight_decay = TARN_ZERO },
 *       { .pattern = "encoder.*", .lr_factor = 0.1 },
 *   };
 *   tarn_adamw_create(net, &(tarn_adam_options){
 *       .weight_decay = 0.01, .groups = groups, .n_groups = 2 }); */

/* The parameters whose path, relative to the optimiser's module, is such as `pattern`: as in a
 * shell, * stands for any characters, dots included, ? for one, [a-z] for one of these, [!a-z] for
 * one of all others. A parameter belongs to the first group that fits, or to none. It is an error
 * (TARN_EARG) if no parameter has such a path, or the optimiser has no such number. */
typedef struct tarn_optimizer_group {
    const char *pattern;
    double lr_factor;    /* times the optimiser's learning rate; 0: 1; TARN_ZERO: does not move */
    double weight_decay; /* 0: the optimiser's; TARN_ZERO: none; and so for the others */
    double momentum;     /* of SGD and RMSprop */
    double beta1, beta2; /* of Adam, AdamW and Lion */
} tarn_optimizer_group;

/* ---- families */

typedef struct tarn_sgd_options {
    double lr;                          /* 0: 0.01 */
    double momentum;                    /* below 1; 0: none */
    double weight_decay;                /* L2 penalty added to the gradient; 0: none */
    double dampening;                   /* below 1; 0: none */
    bool nesterov;                      /* looks ahead; needs momentum, and no dampening */
    const tarn_optimizer_group *groups; /* (n_groups); need not outlive the call */
    size_t n_groups;
} tarn_sgd_options;

/* Stochastic gradient descent:
 * g += weight_decay w;  v = momentum v + (1 - dampening) g, at first v = g;
 * w -= lr v, or with nesterov w -= lr (g + momentum v). */
TARN_API tarn_optimizer *tarn_sgd_create(tarn_module *module, const tarn_sgd_options *options);

typedef struct tarn_adam_options {
    double lr;           /* 0: 0.001 */
    double beta1;        /* below 1; 0: 0.9 */
    double beta2;        /* below 1; 0: 0.999 */
    double eps;          /* 0: 1e-8 */
    double weight_decay; /* 0: none */
    const tarn_optimizer_group *groups;
    size_t n_groups;
} tarn_adam_options;

/* Adam (Kingma and Ba 2015): g += weight_decay w;
 * m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
 * w -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). */
TARN_API tarn_optimizer *tarn_adam_create(tarn_module *module, const tarn_adam_options *options);

/* AdamW (Loshchilov and Hutter 2019): Adam in which weight_decay leaves the gradient alone and acts
 * by w -= lr weight_decay w beside it. 0: none; 0.01 is usual. */
TARN_API tarn_optimizer *tarn_adamw_create(tarn_module *module, const tarn_adam_options *options);

typedef struct tarn_rmsprop_options {
    double lr;           /* 0: 0.01 */
    double alpha;        /* below 1; 0: 0.99 */
    double eps;          /* 0: 1e-8 */
    double weight_decay; /* added to the gradient; 0: none */
    double momentum;     /* below 1; 0: none */
    bool centered;       /* divides by the deviation of the gradients instead of their size */
    const tarn_optimizer_group *groups;
    size_t n_groups;
} tarn_rmsprop_options;

/* RMSprop (Hinton 2012; centered: Graves 2013): g += weight_decay w;
 * v = alpha v + (1 - alpha) g^2;  a = alpha a + (1 - alpha) g;
 * u = g / (sqrt(v) + eps), or centered u = g / (sqrt(v - a^2) + eps);
 * w -= lr u, or with momentum b = momentum b + u;  w -= lr b. */
TARN_API tarn_optimizer *tarn_rmsprop_create(tarn_module *module,
                                             const tarn_rmsprop_options *options);

typedef struct tarn_adagrad_options {
    double lr;           /* 0: 0.01 */
    double lr_decay;     /* 0: none */
    double weight_decay; /* added to the gradient; 0: none */
    double accumulator;  /* what v is at first; 0: 0 */
    double eps;          /* 0: 1e-10 */
    const tarn_optimizer_group *groups;
    size_t n_groups;
} tarn_adagrad_options;

/* Adagrad (Duchi et al. 2011): g += weight_decay w;  v += g^2;
 * w -= lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps). */
TARN_API tarn_optimizer *tarn_adagrad_create(tarn_module *module,
                                             const tarn_adagrad_options *options);

typedef struct tarn_lion_options {
    double lr;           /* 0: 0.0001 */
    double beta1;        /* below 1; 0: 0.9 */
    double beta2;        /* below 1; 0: 0.99 */
    double weight_decay; /* beside the gradient, as in AdamW; 0: none */
    const tarn_optimizer_group *groups;
    size_t n_groups;
} tarn_lion_options;

/* Lion (Chen et al. 2023): w -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay w);
 * m = beta2 m + (1 - beta2) g. Every step moves every weight by lr, so that rates are smaller than
 * Adam's by three to ten times. */
TARN_API tarn_optimizer *tarn_lion_create(tarn_module *module, const tarn_lion_options *options);

/* ---- steps */

/* Updates each parameter that received a gradient and consumes the gradients: the next backward
 * pass stores anew. Parameters without one are skipped, and so are those to which gradients were
 * stopped (tarn_stop_grad; tarn_require_grad lets them go on with the state they had) and frozen
 * ones; t counts the steps in which a parameter took part.
 *
 * Gradients of several backward passes add up until a step, so that a batch may be worked through
 * in k parts of one size: of each, tarn_backward(loss / k), and after the last one step. It
 * is the step of the whole batch, in the memory of a part.
 *
 * Fails, with the error held and nothing changed: an error already held; TARN_EARG for NULL
 * (returned only: there is no manager to hold it); TARN_ESTATE if no parameter has received a
 * gradient since the last step, or the module was destroyed. */
TARN_API tarn_status tarn_optimizer_step(tarn_optimizer *optimizer);

/* Empties the gradients of its parameters; nothing once the module was destroyed. */
TARN_API void tarn_optimizer_zero_grad(tarn_optimizer *optimizer);

/* Steps done so far. */
TARN_API uint64_t tarn_optimizer_steps(const tarn_optimizer *optimizer);

/* Gives its state back. NULL does nothing. The manager destroys what is left. */
TARN_API void tarn_optimizer_destroy(tarn_optimizer *optimizer);

/* ---- learning rates */

/* The learning rate in use; NaN for NULL. */
TARN_API double tarn_optimizer_lr(const tarn_optimizer *optimizer);

/* Sets the learning rate; those of groups follow by their factors. Fails for a rate that is
 * negative or not finite (TARN_EARG); 0 is allowed. */
TARN_API tarn_status tarn_optimizer_set_lr(tarn_optimizer *optimizer, double lr);

/* Uses a part of the rate that was set last (at creation, or by tarn_optimizer_set_lr), until the
 * next call of either: what schedules do (see schedule.h). Fails as tarn_optimizer_set_lr. */
TARN_API tarn_status tarn_optimizer_scale_lr(tarn_optimizer *optimizer, double part);

/* The learning rate in use in a group of the options, by its index there; NaN if there is none. */
TARN_API double tarn_optimizer_group_lr(const tarn_optimizer *optimizer, size_t group);

/* Sets the factor of a group. Fails as tarn_optimizer_set_lr, and if there is no such group. */
TARN_API tarn_status tarn_optimizer_set_group_factor(tarn_optimizer *optimizer, size_t group,
                                                     double factor);

/* The index of the group that a parameter belongs to; -1 if it belongs to none, or is not one of
 * the optimiser's. */
TARN_API int64_t tarn_optimizer_group_of(const tarn_optimizer *optimizer,
                                         const tarn_tensor *parameter);

TARN_END_DECLS

#endif
