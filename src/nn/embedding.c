/* SPDX-License-Identifier: MIT
 * embedding.c - the embedding layer. */
#include <tarn/functional.h>

#include "nn/layer.h"

tarn_embedding_layer tarn_embedding_create(tarn_module *parent, const char *name, int64_t count,
                                           int64_t size)
{
    return tarn_embedding_create_with(parent, name, count, size, NULL);
}

tarn_embedding_layer tarn_embedding_create_with(tarn_module *parent, const char *name,
                                                int64_t count, int64_t size,
                                                const tarn_embedding_options *options)
{
    static const tarn_embedding_options defaults;
    const tarn_embedding_options *o = options == NULL ? &defaults : options;
    const tarn_embedding_layer nothing = { 0 };
    tarn_embedding_layer layer = { 0 };
    tarn_init init = o->weight;

    layer.module = tarn__module_add(parent, name, "embedding");
    if (layer.module == NULL) return nothing;
    if (count < 1 || size < 1) {
        (void)tarn__fail(parent->object.manager, TARN_ESHAPE,
                         "%s: %lld rows of %lld elements; at least 1 of each is needed",
                         layer.module->label, (long long)count, (long long)size);
        tarn__module_discard(layer.module);
        return nothing;
    }
    if (init.kind == TARN_INIT_DEFAULT) init = (tarn_init){ .kind = TARN_INIT_NORMAL, .b = 1 };
    layer.weight =
        tarn_module_add_parameter(layer.module, "weight", o->dtype, TARN_SHAPE(count, size), &init);
    if (layer.weight != NULL) return layer;
    tarn__module_discard(layer.module);
    return nothing;
}

tarn_tensor *tarn_embedding_forward(const tarn_embedding_layer *layer, tarn_tensor *ids)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(ids, "embedding");
    if (ids == NULL) return tarn__without_input(layer->module);
    const tarn__outside before = tarn__enter_layer(ids->manager, layer->module);
    tarn_tensor *y = tarn_embedding(layer->weight, ids);
    tarn__leave_layer(ids->manager, before);
    return y;
}
