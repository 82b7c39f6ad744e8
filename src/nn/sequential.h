/* SPDX-License-Identifier: MIT
 * sequential.h - how steps come into a chain.
 *
 *   char name[TARN__NAME_BYTES];
 *   if (!tarn__next_step(chain, name)) fail;
 *   make a layer, whose module is the child `name` of chain->module;
 *   if (!tarn__add_step(chain, layer.module, forward, &layer, sizeof layer)) fail; */
#ifndef TARN_NN_SEQUENTIAL_H
#define TARN_NN_SEQUENTIAL_H

#include <tarn/sequential.h>

#include "nn/layer.h"

/* Writes the name of the next step. False if there can be none now: without a chain, or while an
 * error is held. */
bool tarn__next_step(const tarn_sequential *chain, char name[TARN__NAME_BYTES]);

/* Adds a step that runs `forward` on a copy of the layer. False for a module that is NULL, or, the
 * module being ended, with TARN_ENOMEM held. */
bool tarn__add_step(tarn_sequential *chain, tarn_module *module,
                    tarn_tensor *(*forward)(void *layer, tarn_tensor *x), const void *layer,
                    size_t bytes);

/* What a step runs that is a tarn_linear: so they are known. */
tarn_tensor *tarn__linear_step(void *layer, tarn_tensor *x);

#endif
