/* SPDX-License-Identifier: MIT
 * conv_layers.c - convolution with a weight and a bias of its own. */
#include "nn/layer.h"

/* What distinguishes the four kinds. */
typedef struct kind {
    const char *name;
    int dimensions;
    bool transposed;
} kind;

static const kind CONV1D = { "conv1d", 1, false };
static const kind CONV2D = { "conv2d", 2, false };
static const kind TRANSPOSE1D = { "conv_transpose1d", 1, true };
static const kind TRANSPOSE2D = { "conv_transpose2d", 2, true };

static tarn_status check_sizes(const tarn_module *module, const kind *k, int64_t in, int64_t out,
                               const tarn_conv_layer_options *o)
{
    tarn_manager *tm = module->object.manager;
    const int64_t groups = o->conv.groups == 0 ? 1 : o->conv.groups;
    const int64_t rows = k->dimensions == 2 ? o->kernel[0] : 1;
    const int64_t columns = o->kernel[k->dimensions - 1];
    if (in < 1 || out < 1 || rows < 1 || columns < 1)
        return tarn__fail(
            tm, TARN_ESHAPE,
            "%s: %lld inputs, %lld outputs and a kernel of %lld x %lld; at least 1 of "
            "each is needed",
            module->label, (long long)in, (long long)out, (long long)rows, (long long)columns);
    if (groups < 1 || in % groups != 0 || out % groups != 0)
        return tarn__fail(
            tm, TARN_ESHAPE,
            "%s: %lld inputs and %lld outputs in %lld groups; groups that divide both "
            "are needed",
            module->label, (long long)in, (long long)out, (long long)groups);
    return TARN_OK;
}

static tarn_shape weight_shape(const kind *k, int64_t in, int64_t out,
                               const tarn_conv_layer_options *o)
{
    const int64_t groups = o->conv.groups == 0 ? 1 : o->conv.groups;
    const int64_t first = k->transposed ? in : out, second = (k->transposed ? out : in) / groups;
    if (k->dimensions == 1) return TARN_SHAPE(first, second, o->kernel[0]);
    return TARN_SHAPE(first, second, o->kernel[0], o->kernel[1]);
}

static tarn_conv_layer create(const kind *k, tarn_module *parent, const char *name,
                              const int64_t channels[2], const tarn_conv_layer_options *options)
{
    static const tarn_conv_layer_options defaults;
    const tarn_conv_layer_options *o = options == NULL ? &defaults : options;
    const int64_t in = channels[0], out = channels[1];
    tarn_conv_layer layer = { .options = o->conv, .transposed = k->transposed };
    layer.module = tarn__module_add(parent, name, k->name);
    if (layer.module == NULL) return (tarn_conv_layer){ 0 };
    if (check_sizes(layer.module, k, in, out, o) == TARN_OK)
        layer.weight = tarn_module_add_parameter(layer.module, "weight", o->dtype,
                                                 weight_shape(k, in, out, o), &o->weight);
    if (layer.weight != NULL && !o->no_bias)
        layer.bias =
            tarn_module_add_parameter(layer.module, "bias", o->dtype, TARN_SHAPE(out), &o->bias);
    if (layer.weight != NULL && (layer.bias != NULL || o->no_bias)) return layer;
    tarn__module_discard(layer.module);
    return (tarn_conv_layer){ 0 };
}

#define CREATE(prefix, kind)                                                                  \
    tarn_conv_layer prefix##_create(tarn_module *parent, const char *name, int64_t in,        \
                                    int64_t out, int64_t kernel)                              \
    {                                                                                         \
        const tarn_conv_layer_options options = { .kernel = { kernel, kernel } };             \
        return create(&(kind), parent, name, (const int64_t[]){ in, out }, &options);         \
    }                                                                                         \
    tarn_conv_layer prefix##_create_with(tarn_module *parent, const char *name, int64_t in,   \
                                         int64_t out, const tarn_conv_layer_options *options) \
    {                                                                                         \
        return create(&(kind), parent, name, (const int64_t[]){ in, out }, options);          \
    }
CREATE(tarn_conv1d, CONV1D)
CREATE(tarn_conv2d, CONV2D)
CREATE(tarn_conv_transpose1d, TRANSPOSE1D)
CREATE(tarn_conv_transpose2d, TRANSPOSE2D)
#undef CREATE

tarn_tensor *tarn_conv_forward(const tarn_conv_layer *layer, tarn_tensor *x)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(x, "conv");
    if (x == NULL) return tarn__without_input(layer->module);
    const bool one = tarn_ndim(layer->weight) == 3;
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    tarn_tensor *y = (layer->transposed ? (one ? tarn_conv_transpose1d : tarn_conv_transpose2d)
                                        : (one ? tarn_conv1d : tarn_conv2d))(
        x, layer->weight, layer->bias, &layer->options);
    tarn__leave_layer(x->manager, before);
    return y;
}
