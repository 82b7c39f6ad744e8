/* ema.h - exponential moving averages of weights, which often do better on new data than the
 * weights of the last step.
 *
 *     tarn_ema *ema = tarn_ema_create(net, NULL);
 *     for each step: tarn_optimizer_step(optimizer), tarn_ema_update(ema);
 *     tarn_ema_apply(ema); ... evaluate ... tarn_ema_restore(ema); */
#ifndef TARN_EMA_H
#define TARN_EMA_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/module.h"

TARN_BEGIN_DECLS

typedef struct tarn_ema tarn_ema;

typedef struct tarn_ema_options {
    double decay; /* below 1; 0: 0.999 */
    bool warm_up; /* smaller at first: min(decay, (1 + t) / (10 + t)) in update number t, from 1 */
} tarn_ema_options;

/* Averages of the parameters, and copies of the buffers, that the module has now, beginning as what
 * these are. Their memory comes from the pool and counts as an optimiser's; updates acquire
 * nothing. What is frozen for good is left out. NULL with the error held: TARN_EARG unless 0 <=
 * decay < 1, TARN_ESTATE if the module has no parameters or is frozen, TARN_ENOMEM. */
TARN_API tarn_ema *tarn_ema_create(tarn_module *module, const tarn_ema_options *options);

/* average = decay average + (1 - decay) parameter; buffers (running statistics) are copied. Fails,
 * with the error held and nothing changed: TARN_ESTATE while averages are applied or after the
 * module was destroyed; any error already held; TARN_EARG for NULL (returned only, as below). */
TARN_API tarn_status tarn_ema_update(tarn_ema *ema);

/* Exchanges the module's parameters and buffers for the averages, and back. What is written to the
 * module in between, such as running statistics, belongs to the averages. Fails, with the error
 * held and nothing changed: TARN_ESTATE if they are (are not) applied already, the module was
 * destroyed, or a part of it was frozen for good since; any error already held. */
TARN_API tarn_status tarn_ema_apply(tarn_ema *ema);
TARN_API tarn_status tarn_ema_restore(tarn_ema *ema);
TARN_API bool tarn_ema_is_applied(const tarn_ema *ema);

/* Updates done so far. */
TARN_API uint64_t tarn_ema_updates(const tarn_ema *ema);

/* Gives the memory back. While they are applied, the averages stay in the module, and the weights
 * are what is lost. NULL does nothing. The manager destroys what is left. */
TARN_API void tarn_ema_destroy(tarn_ema *ema);

TARN_END_DECLS

#endif
