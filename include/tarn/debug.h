/* debug.h - tools to find what is wrong with a model. (See also tarn_check_finite and
 * tarn_on_operation in ops.h, tarn_tape_print and tarn_gradcheck in autograd.h, and usage.h for
 * memory.) */
#ifndef TARN_DEBUG_H
#define TARN_DEBUG_H

#include <stdint.h>
#include <stdio.h>

#include "tarn/autograd.h"
#include "tarn/export.h"
#include "tarn/module.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- what a model is */

/* A forward pass for the summary to watch; without one it shows no shapes of outputs. */
typedef struct tarn_summary_options {
    tarn_function forward;
    tarn_list inputs;
    void *context; /* passed to forward */
} tarn_summary_options;

/* Writes the tree of a module as a table: each layer's kind, output shape (of its last operation in
 * a forward pass run for this, without recording), parameters and bytes; then the sums, with what
 * is frozen. NULL options: no forward pass. Fails: TARN_EARG for NULL; TARN_EIO; whatever error the
 * forward pass leaves held. */
TARN_API tarn_status tarn_model_summary(tarn_module *module, FILE *stream,
                                        const tarn_summary_options *options);

/* ---- what does not learn */

/* Runs backward from `loss` without touching any gradient or the tape, and looks at every parameter
 * of every module of the loss's manager: those that no gradient reaches, those whose gradient is
 * all zeros, and those with a NaN or an infinity in it. Returns how many there are, -1 on failure
 * with the error held; frozen parameters do not count. Each is written to `stream`, unless that is
 * NULL, in one line with what to look for. Call it before tarn_backward. */
TARN_API int tarn_model_check(tarn_tensor *loss, FILE *stream);

TARN_END_DECLS

#endif
