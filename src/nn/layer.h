/* SPDX-License-Identifier: MIT
 * layer.h - what every layer does around its operations.
 *
 * While the operations of a layer run, the manager's label is the layer's: messages begin with
 * it. */
#ifndef TARN_NN_LAYER_H
#define TARN_NN_LAYER_H

#include <tarn/layers.h>

#include "nn/module.h"

/* What tarn__enter_layer replaced. */
typedef struct tarn__outside {
    const char *label, *path;
    tarn_phase phase;
} tarn__outside;

/* Makes operations of tm run in the name of the layer until tarn__leave_layer. */
tarn__outside tarn__enter_layer(tarn_manager *tm, const tarn_module *layer);
void tarn__leave_layer(tarn_manager *tm, tarn__outside before);

/* Holds that x is missing, unless an error is held already: then that one has said why. Whose x a
 * frozen layer misses is not known. Returns NULL. */
tarn_tensor *tarn__without_input(const tarn_module *layer);

/* Holds that the layer is missing, in the same sense. Returns NULL. */
tarn_tensor *tarn__without_layer(tarn_tensor *x, const char *kind);

/* A linear layer and an activation, which works in the memory of the product. */
tarn_tensor *tarn__hidden_forward(const tarn_linear *layer, tarn_tensor *x,
                                  tarn_activation activation);

/* The activation of x; NULL for one that does not exist. */
tarn_tensor *tarn__activate(tarn_activation activation, tarn_tensor *x);

/* "relu"; NULL for an activation that does not exist. */
const char *tarn__activation_name(tarn_activation activation);

#endif
