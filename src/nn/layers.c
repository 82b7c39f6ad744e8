/* SPDX-License-Identifier: MIT
 * layers.c - linear layers, dropout and multilayer perceptrons.
 *
 * While the operations of a layer run, the manager's label is the layer's: messages begin with
 * it. */
#include <stdio.h>

#include <tarn/functional.h>

#include "core/draws.h"
#include "core/observer.h"
#include "core/random.h"
#include "core/size.h"
#include "nn/layer.h"
#include "ops/dropout.h"

/* The slope of leaky relu as an activation. */
static const double LEAKY_SLOPE = 0.01;

/* ---- linear */

tarn_linear tarn_linear_create(tarn_module *parent, const char *name, int64_t in, int64_t out)
{
    return tarn_linear_create_with(parent, name, in, out, NULL);
}

tarn_linear tarn_linear_create_with(tarn_module *parent, const char *name, int64_t in, int64_t out,
                                    const tarn_linear_options *options)
{
    static const tarn_linear_options defaults;
    const tarn_linear_options *o = options == NULL ? &defaults : options;
    const tarn_linear nothing = { 0 };
    tarn_linear layer = { 0 };

    layer.module = tarn__module_add(parent, name, "linear");
    if (layer.module == NULL) return nothing;
    if (in < 1 || out < 1) {
        (void)tarn__fail(parent->object.manager, TARN_ESHAPE,
                         "%s: %lld inputs and %lld outputs; at least 1 of each is needed",
                         layer.module->label, (long long)in, (long long)out);
        tarn__module_discard(layer.module);
        return nothing;
    }
    layer.weight = tarn_module_add_parameter(layer.module, "weight", o->dtype, TARN_SHAPE(out, in),
                                             &o->weight);
    if (layer.weight != NULL && !o->no_bias)
        layer.bias =
            tarn_module_add_parameter(layer.module, "bias", o->dtype, TARN_SHAPE(out), &o->bias);
    if (layer.weight == NULL || (layer.bias == NULL && !o->no_bias)) {
        tarn__module_discard(layer.module);
        return nothing;
    }
    return layer;
}

tarn_tensor *tarn_linear_forward(const tarn_linear *layer, tarn_tensor *x)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(x, "linear");
    if (x == NULL) return tarn__without_input(layer->module);
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    tarn_tensor *y = tarn_affine(x, layer->weight, layer->bias);
    tarn__leave_layer(x->manager, before);
    return y;
}

tarn_tensor *tarn__hidden_forward(const tarn_linear *layer, tarn_tensor *x,
                                  tarn_activation activation)
{
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    tarn_tensor *y = tarn_affine_act(x, layer->weight, layer->bias, activation);
    tarn__leave_layer(x->manager, before);
    return y;
}

/* ---- dropout */

tarn_dropout_layer tarn_dropout_create(tarn_module *parent, const char *name, double p)
{
    tarn_dropout_layer layer = { .p = p };
    if (parent != NULL && !(p >= 0 && p <= 1)) {
        (void)tarn__fail(parent->object.manager, TARN_EARG,
                         "%s: dropout of probability %g; 0 to 1 is possible", parent->label, p);
    } else {
        layer.module = tarn__module_add(parent, name, "dropout");
    }
    return layer.module == NULL ? (tarn_dropout_layer){ 0 } : layer;
}

/* The next draw inside a plan. */
static tarn_status draw_again(void *object, double number, uint64_t *key)
{
    tarn_module *module = object;
    (void)number;
    const uint64_t stream = tarn__random_key(module->key, module->calls++);
    *key = tarn__dropout_key(module->object.manager, stream);
    return TARN_OK;
}

/* Tells of a draw that is made for the first time. */
static void observe_draw(tarn_manager *tm, tarn_module *module, uint64_t stream)
{
    const tarn__action action = { .run = draw_again,
                                  .object = module,
                                  .owner = &module->root->object,
                                  .name = "draw",
                                  .state = &module->calls,
                                  .state_bytes = sizeof(module->calls),
                                  .draws = true,
                                  .key = tarn__dropout_key(tm, stream) };
    if (tm->replaying) return;
    tarn__observe_action(tm, &action);
    tarn__observe_action_end(tm);
}

/* The stream is a key of the layer's place and its count of calls; the operation adds the seed. A
 * call that fails is not counted, so that trying again gives the same draws. */
tarn_tensor *tarn_dropout_forward(const tarn_dropout_layer *layer, tarn_tensor *x)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(x, "dropout");
    tarn_module *module = layer->module;
    if (x == NULL) return tarn__without_input(module);
    tarn__observe_mode(x->manager, &module->training, &module->root->object);
    if (!module->training || layer->p == 0) return x;
    uint64_t stream;
    if (!tarn__draw(x->manager, tarn__random_key(module->key, module->calls), &stream)) return NULL;
    observe_draw(x->manager, module, stream);
    const tarn__outside before = tarn__enter_layer(x->manager, module);
    tarn_tensor *y = tarn_dropout(x, layer->p, stream);
    tarn__leave_layer(x->manager, before);
    if (y != NULL && !x->manager->replaying) module->calls++;
    return y;
}

/* ---- activations */

tarn_tensor *tarn__activate(tarn_activation activation, tarn_tensor *x)
{
    switch (activation) {
    case TARN_RELU: return tarn_relu(x);
    case TARN_TANH: return tarn_tanh(x);
    case TARN_SIGMOID: return tarn_sigmoid(x);
    case TARN_LEAKY_RELU: return tarn_leaky_relu(x, LEAKY_SLOPE);
    case TARN_GELU: return tarn_gelu(x);
    case TARN_SILU: return tarn_silu(x);
    }
    return NULL;
}

const char *tarn__activation_name(tarn_activation activation)
{
    switch (activation) {
    case TARN_RELU: return "relu";
    case TARN_TANH: return "tanh";
    case TARN_SIGMOID: return "sigmoid";
    case TARN_LEAKY_RELU: return "leaky_relu";
    case TARN_GELU: return "gelu";
    case TARN_SILU: return "silu";
    }
    return NULL;
}

/* ---- multilayer perceptron */

/* "prefix7". */
static const char *numbered(char *text, size_t size, const char *prefix, int i)
{
    (void)snprintf(text, size, "%s%d", prefix, i);
    return text;
}

/* Layers and dropouts stand in one record of the module: all layers first. */
static bool take_arrays(tarn_mlp *mlp, bool with_dropout)
{
    const size_t n = (size_t)mlp->n_layers;
    size_t layers, dropouts = 0, bytes;
    if (!tarn__size_mul(n, sizeof(tarn_linear), &layers) ||
        (with_dropout && !tarn__size_mul(n - 1, sizeof(tarn_dropout_layer), &dropouts)) ||
        !tarn__size_add(layers, dropouts, &bytes))
        return false;
    mlp->layers = tarn__module_record(mlp->module, bytes);
    if (mlp->layers == NULL) return false;
    if (with_dropout) mlp->dropouts = (tarn_dropout_layer *)(mlp->layers + n);
    return true;
}

static bool add_layers(tarn_mlp *mlp, const int64_t *sizes, const tarn_mlp_options *o)
{
    const tarn_linear_options linear = { .dtype = o->dtype };
    char name[TARN__NAME_BYTES];
    for (int i = 0; i < mlp->n_layers; i++) {
        mlp->layers[i] = tarn_linear_create_with(mlp->module, numbered(name, sizeof name, "", i),
                                                 sizes[i], sizes[i + 1], &linear);
        if (mlp->layers[i].module == NULL) return false;
        if (mlp->dropouts == NULL || i + 1 == mlp->n_layers) continue;
        mlp->dropouts[i] =
            tarn_dropout_create(mlp->module, numbered(name, sizeof name, "dropout", i), o->dropout);
        if (mlp->dropouts[i].module == NULL) return false;
    }
    return true;
}

tarn_mlp tarn_mlp_create(tarn_module *parent, const char *name, const int64_t *sizes, int n_sizes,
                         const tarn_mlp_options *options)
{
    static const tarn_mlp_options defaults;
    const tarn_mlp_options *o = options == NULL ? &defaults : options;
    tarn_mlp mlp = { .activation = o->activation };
    if (parent == NULL) return (tarn_mlp){ 0 };
    tarn_manager *tm = parent->object.manager;

    if (sizes == NULL || n_sizes < 2)
        (void)tarn__fail(tm, TARN_EARG, "%s: an mlp needs at least two sizes", parent->label);
    else if (!(o->dropout >= 0 && o->dropout <= 1))
        (void)tarn__fail(tm, TARN_EARG, "%s: dropout of probability %g; 0 to 1 is possible",
                         parent->label, o->dropout);
    else if (tarn__activation_name(o->activation) == NULL)
        (void)tarn__fail(tm, TARN_EARG, "%s: unknown activation %d", parent->label,
                         (int)o->activation);
    else mlp.module = tarn__module_add(parent, name, "mlp");
    if (mlp.module == NULL) return (tarn_mlp){ 0 };
    mlp.n_layers = n_sizes - 1;
    if (take_arrays(&mlp, o->dropout > 0 && n_sizes > 2) && add_layers(&mlp, sizes, o)) return mlp;
    tarn__module_discard(mlp.module);
    return (tarn_mlp){ 0 };
}

tarn_tensor *tarn_mlp_forward(const tarn_mlp *mlp, tarn_tensor *x)
{
    if (mlp == NULL || mlp->module == NULL) return tarn__without_layer(x, "mlp");
    if (x == NULL) return tarn__without_input(mlp->module);
    for (int i = 0; i + 1 < mlp->n_layers && x != NULL; i++) {
        x = tarn__hidden_forward(&mlp->layers[i], x, mlp->activation);
        if (x != NULL && mlp->dropouts != NULL) x = tarn_dropout_forward(&mlp->dropouts[i], x);
    }
    return x != NULL ? tarn_linear_forward(&mlp->layers[mlp->n_layers - 1], x) : NULL;
}
