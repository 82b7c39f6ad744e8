/* debug.h - tools to find what is wrong with a model. (See also tarn_check_finite and
 * tarn_on_operation in ops.h, tarn_tape_print and tarn_gradcheck in autograd.h, and usage.h for
 * memory.) */
#ifndef TARN_DEBUG_H
#define TARN_DEBUG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/autograd.h"
#include "tarn/export.h"
#include "tarn/module.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- what a model is */

/* How a model is run: what these tools call. */
typedef struct tarn_model_pass {
    tarn_function forward;
    tarn_list inputs;
    void *context; /* passed to forward */
} tarn_model_pass;

/* Writes the tree of a module as a table: each layer's kind, output shape (of its last operation in
 * a forward pass run for this, without recording and without a change to running statistics or to
 * what dropout draws next), parameters and bytes; then the sums, with what
 * is frozen. NULL options: no forward pass. Fails: TARN_EARG for NULL; TARN_EIO; whatever error the
 * forward pass leaves held. */
TARN_API tarn_status tarn_model_summary(tarn_module *module, FILE *stream,
                                        const tarn_model_pass *pass);

/* ---- what does not learn */

/* Runs backward from `loss` without touching any gradient or the tape, and looks at every parameter
 * of every module of the loss's manager: those that no gradient reaches, those whose gradient is
 * all zeros, and those with a NaN or an infinity in it. Returns how many there are, -1 on failure
 * with the error held; frozen parameters do not count, and a dry run finds none. Each is written to
 * `stream`, unless that is NULL, in one line with what to look for. Hooks are called. Call it
 * before tarn_backward. */
TARN_API int tarn_model_check(tarn_tensor *loss, FILE *stream);

/* ---- gradients */

/* What the elements of a gradient are like. All figures but the counts are of the finite ones. */
typedef struct tarn_gradient_stats {
    bool arrived; /* else there is no gradient since it was last emptied, and all below is 0 */
    int64_t elements;
    int64_t zeros;      /* many: units that are dead, inputs that are constant */
    int64_t not_finite; /* NaN or infinite: something overflowed */
    double min, max;
    double mean_abs;    /* mean of the magnitudes */
    double rms;         /* root of the mean of the squares */
    double norm;        /* root of the sum of the squares */
    double weight_norm; /* of the parameter itself */
    double ratio; /* norm / weight_norm; 0 for 0 / 0: far below 1e-4 hardly anything is learnt,
                     far above 1 steps are wild, for usual learning rates */
} tarn_gradient_stats;

/* Of a parameter or another leaf; one that an optimiser's step has consumed is read as well.
 * Without a gradient all is 0, as for NULL and for tensors that are no leaves. */
TARN_API tarn_gradient_stats tarn_get_gradient_stats(tarn_tensor *parameter);

/* Writes them as a table, a line for each parameter of the module and all below it, in the order of
 * creation. Fails: TARN_EARG for NULL, TARN_EIO. */
TARN_API tarn_status tarn_module_print_gradients(const tarn_module *module, FILE *stream);

/* ---- gradients of a model against differences */

/* Compares the gradients of all parameters of the module with central differences (tarn_gradcheck):
 * pass->forward computes a loss, or any tensor, from them. Parameters have to be F64 (TARN_EDTYPE);
 * frozen ones are left out. Dropout layers draw the same in every evaluation and running statistics
 * stay as they are, so that a model is checked as it trains. Gradients are emptied. The message of
 * a failed check names the parameter. NULL options mean every default; for large models set
 * `samples`. Fails: as tarn_gradcheck; TARN_EARG for NULL. */
TARN_API tarn_status tarn_model_gradcheck(tarn_module *module, const tarn_model_pass *pass,
                                          const tarn_gradcheck_options *options,
                                          tarn_gradcheck_report *report);

TARN_END_DECLS

#endif
