/* SPDX-License-Identifier: MIT
 * layer.c - what every layer does around its operations. */
#include "nn/layer.h"

tarn__outside tarn__enter_layer(tarn_manager *tm, const tarn_module *layer)
{
    const tarn__outside before = { tm->label, tm->place.path, tarn__phase_auto(tm, layer->path) };
    tm->label = layer->label;
    tm->place.path = layer->path;
    return before;
}

void tarn__leave_layer(tarn_manager *tm, tarn__outside before)
{
    tarn__phase_close(before.phase);
    tm->label = before.label;
    tm->place.path = before.path;
}

tarn_tensor *tarn__without_input(const tarn_module *layer)
{
    if (layer->frozen) return NULL;
    (void)tarn__fail(layer->object.manager, TARN_EARG, "%s: x is NULL", layer->label);
    return NULL;
}

tarn_tensor *tarn__without_layer(tarn_tensor *x, const char *kind)
{
    if (x != NULL)
        (void)tarn__fail(x->manager, TARN_EARG, "%s: the layer is NULL: was it ever made?", kind);
    return NULL;
}
