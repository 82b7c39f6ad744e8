/* SPDX-License-Identifier: MIT
 * normalization.c - layer norm, RMS norm, group norm and batch norm. */
#include <math.h>

#include <tarn/functional.h>

#include "core/values.h"
#include "nn/layer.h"
#include "ops/batch_norm.h"
#include "ops/observe.h"

static const double DEFAULT_EPS = 1e-5, DEFAULT_MOMENTUM = 0.1;

/* ---- making: a module with a weight of ones and a bias of zeros */

typedef struct scaling {
    tarn_module *module; /* NULL: it could not be made, and nothing was */
    tarn_tensor *weight, *bias;
    double eps;
} scaling;

/* NULL with the error held: eps and momentum must be possible. */
static tarn_module *add_module(tarn_module *parent, const char *name, const char *kind,
                               const tarn_norm_options *o)
{
    tarn_module *module = tarn__module_add(parent, name, kind);
    if (module == NULL) return NULL;
    tarn_manager *tm = module->object.manager;
    if (o->eps >= 0 && o->eps < INFINITY && o->momentum >= 0 && o->momentum <= 1) return module;
    if (!(o->eps >= 0 && o->eps < INFINITY))
        (void)tarn__fail(tm, TARN_EARG, "%s: eps is %g; a finite number from 0 on is needed",
                         module->label, o->eps);
    else
        (void)tarn__fail(tm, TARN_EARG, "%s: momentum is %g; 0 to 1 is possible", module->label,
                         o->momentum);
    tarn__module_discard(module);
    return NULL;
}

/* The scaling of a module; if it cannot be, the module ends, too. */
static scaling add_scaling(tarn_module *module, tarn_shape shape, const tarn_norm_options *o)
{
    const tarn_init ones = { .kind = TARN_INIT_CONSTANT, .a = 1 };
    const tarn_init zeros = { .kind = TARN_INIT_CONSTANT };
    scaling s = { .module = module, .eps = o->eps != 0 ? o->eps : DEFAULT_EPS };
    if (module == NULL || o->no_weight) return s;
    s.weight = tarn_module_add_parameter(module, "weight", o->dtype, shape, &ones);
    if (s.weight != NULL && !o->no_bias)
        s.bias = tarn_module_add_parameter(module, "bias", o->dtype, shape, &zeros);
    if (s.weight != NULL && (s.bias != NULL || o->no_bias)) return s;
    tarn__module_discard(module);
    return (scaling){ 0 };
}

static const tarn_norm_options *or_defaults(const tarn_norm_options *options)
{
    static const tarn_norm_options defaults;
    return options != NULL ? options : &defaults;
}

/* Ends a module that was asked for with sizes that cannot be. */
static tarn_module *refuse(tarn_module *module, tarn_status code, const char *text, int64_t n,
                           int64_t m)
{
    (void)tarn__fail(module->object.manager, code, text, module->label, (long long)n, (long long)m);
    tarn__module_discard(module);
    return NULL;
}

/* ---- layer norm */

tarn_layer_norm_layer tarn_layer_norm_create(tarn_module *parent, const char *name,
                                             tarn_shape shape)
{
    return tarn_layer_norm_create_with(parent, name, shape, NULL);
}

tarn_layer_norm_layer tarn_layer_norm_create_with(tarn_module *parent, const char *name,
                                                  tarn_shape shape,
                                                  const tarn_norm_options *options)
{
    const tarn_norm_options *o = or_defaults(options);
    tarn_module *module = add_module(parent, name, "layer_norm", o);
    if (module != NULL && (shape.ndim < 1 || shape.ndim > TARN_MAX_DIMS))
        module = refuse(module, TARN_EARG, "%s: a shape of %lld axes; 1 to %lld are possible",
                        shape.ndim, TARN_MAX_DIMS);
    const scaling s = add_scaling(module, shape, o);
    if (s.module == NULL) return (tarn_layer_norm_layer){ 0 };
    return (tarn_layer_norm_layer){ s.module, s.weight, s.bias, shape.ndim, s.eps };
}

tarn_tensor *tarn_layer_norm_forward(const tarn_layer_norm_layer *layer, tarn_tensor *x)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(x, "layer_norm");
    if (x == NULL) return tarn__without_input(layer->module);
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    tarn_tensor *y = tarn_layer_norm(x, layer->n_axes, layer->weight, layer->bias, layer->eps);
    tarn__leave_layer(x->manager, before);
    return y;
}

/* ---- RMS norm */

tarn_rms_norm_layer tarn_rms_norm_create(tarn_module *parent, const char *name, int64_t n)
{
    return tarn_rms_norm_create_with(parent, name, n, NULL);
}

tarn_rms_norm_layer tarn_rms_norm_create_with(tarn_module *parent, const char *name, int64_t n,
                                              const tarn_norm_options *options)
{
    tarn_norm_options o = *or_defaults(options);
    tarn_module *module = add_module(parent, name, "rms_norm", &o);
    if (module != NULL && n < 1)
        module = refuse(module, TARN_ESHAPE, "%s: %lld elements; at least %lld is needed", n, 1);
    o.no_bias = true;
    const scaling s = add_scaling(module, TARN_SHAPE(n), &o);
    if (s.module == NULL) return (tarn_rms_norm_layer){ 0 };
    return (tarn_rms_norm_layer){ s.module, s.weight, s.eps };
}

tarn_tensor *tarn_rms_norm_forward(const tarn_rms_norm_layer *layer, tarn_tensor *x)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(x, "rms_norm");
    if (x == NULL) return tarn__without_input(layer->module);
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    tarn_tensor *y = tarn_rms_norm(x, layer->weight, layer->eps);
    tarn__leave_layer(x->manager, before);
    return y;
}

/* ---- group norm */

tarn_group_norm_layer tarn_group_norm_create(tarn_module *parent, const char *name, int64_t groups,
                                             int64_t channels)
{
    return tarn_group_norm_create_with(parent, name, groups, channels, NULL);
}

tarn_group_norm_layer tarn_group_norm_create_with(tarn_module *parent, const char *name,
                                                  int64_t groups, int64_t channels,
                                                  const tarn_norm_options *options)
{
    const tarn_norm_options *o = or_defaults(options);
    tarn_module *module = add_module(parent, name, "group_norm", o);
    if (module != NULL && (groups < 1 || channels < 1 || channels % groups != 0))
        module = refuse(module, TARN_EARG, "%s: %lld groups of %lld channels", groups, channels);
    const scaling s = add_scaling(module, TARN_SHAPE(channels), o);
    if (s.module == NULL) return (tarn_group_norm_layer){ 0 };
    return (tarn_group_norm_layer){ s.module, s.weight, s.bias, groups, s.eps };
}

tarn_tensor *tarn_group_norm_forward(const tarn_group_norm_layer *layer, tarn_tensor *x)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(x, "group_norm");
    if (x == NULL) return tarn__without_input(layer->module);
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    tarn_tensor *y = tarn_group_norm(x, layer->groups, layer->weight, layer->bias, layer->eps);
    tarn__leave_layer(x->manager, before);
    return y;
}

/* ---- batch norm */

tarn_batch_norm_layer tarn_batch_norm_create(tarn_module *parent, const char *name,
                                             int64_t channels)
{
    return tarn_batch_norm_create_with(parent, name, channels, NULL);
}

tarn_batch_norm_layer tarn_batch_norm_create_with(tarn_module *parent, const char *name,
                                                  int64_t channels,
                                                  const tarn_norm_options *options)
{
    const tarn_norm_options *o = or_defaults(options);
    tarn_module *module = add_module(parent, name, "batch_norm", o);
    if (module != NULL && channels < 1)
        module =
            refuse(module, TARN_ESHAPE, "%s: %lld channels; at least %lld is needed", channels, 1);
    const tarn_shape shape = TARN_SHAPE(channels);
    const scaling s = add_scaling(module, shape, o);
    if (s.module == NULL) return (tarn_batch_norm_layer){ 0 };
    tarn_batch_norm_layer layer = { .module = s.module,
                                    .weight = s.weight,
                                    .bias = s.bias,
                                    .eps = s.eps,
                                    .momentum = o->momentum != 0 ? o->momentum : DEFAULT_MOMENTUM };
    layer.running_mean = tarn_module_add_buffer(s.module, "running_mean", o->dtype, shape);
    if (layer.running_mean != NULL)
        layer.running_var = tarn_module_add_buffer(s.module, "running_var", o->dtype, shape);
    if (layer.running_var != NULL && tarn_fill_with(layer.running_var, 1) == TARN_OK) return layer;
    tarn__module_discard(s.module);
    return (tarn_batch_norm_layer){ 0 };
}

/* running = (1 - momentum) running + momentum factor batch, where running is operand 0 and the
 * output, batch begins at element `axis` of operand 1. */
static tarn_status move_kernel(const tarn__call *call)
{
    tarn_tensor *running = call->out;
    const double momentum = call->attr->value, factor = call->attr->value_b;
    const double *batch = (const double *)call->in[1]->data + call->attr->axis;
    const tarn_dtype dtype = (tarn_dtype)running->layout.dtype;
    const size_t size = tarn_dtype_size(dtype);
    for (int64_t c = 0; c < running->layout.numel; c++) {
        unsigned char *at = (unsigned char *)running->data + (size_t)c * size;
        const double old = tarn__load(at, dtype);
        tarn__store(at, dtype, (1 - momentum) * old + momentum * factor * batch[c]);
    }
    return TARN_OK;
}

static void move_towards(tarn_tensor *running, tarn_tensor *moments, int32_t first, double factor,
                         double momentum)
{
    static const tarn__op moving = { .name = "running statistics", .arity = 2 };
    const tarn__attr attr = { .value = momentum, .value_b = factor, .axis = first };
    const tarn__call call = { .op = &moving,
                              .manager = running->manager,
                              .attr = &attr,
                              .in = { running, moments },
                              .out = running };
    tarn__touch(running, false);
    (void)move_kernel(&call);
    tarn__observe_call(move_kernel, &call);
}

/* Moves the running statistics towards those of a batch with n elements a channel. */
static void update_running(const tarn_batch_norm_layer *layer, tarn_tensor *moments, int64_t n)
{
    const tarn_manager *tm = moments->manager;
    const int32_t channels = (int32_t)layer->running_var->layout.numel;
    if (tm->dry || n == 0) return;
    move_towards(layer->running_mean, moments, 0, 1, layer->momentum);
    move_towards(layer->running_var, moments, channels, (double)n / (double)(n - 1),
                 layer->momentum);
}

/* A pass in training. Running statistics move where it succeeded, and not once more where a
 * checkpoint computes it again. */
static tarn_tensor *train(const tarn_batch_norm_layer *layer, tarn_tensor *x)
{
    tarn_tensor *moments = tarn__batch_moments(x);
    tarn_tensor *y = tarn__batch_norm(x, layer->weight, layer->bias, moments, layer->eps);
    if (y != NULL && !y->manager->replaying)
        update_running(layer, moments, x->layout.numel / layer->running_mean->layout.numel);
    if (moments != NULL) tarn_release(moments);
    return y;
}

tarn_tensor *tarn_batch_norm_forward(const tarn_batch_norm_layer *layer, tarn_tensor *x)
{
    if (layer == NULL || layer->module == NULL) return tarn__without_layer(x, "batch_norm");
    if (x == NULL) return tarn__without_input(layer->module);
    const tarn_batch_norm_options running = { layer->running_mean, layer->running_var, layer->eps };
    tarn__observe_mode(x->manager, &layer->module->training, &layer->module->root->object);
    const tarn__outside before = tarn__enter_layer(x->manager, layer->module);
    tarn_tensor *y = layer->module->training
                         ? train(layer, x)
                         : tarn_batch_norm(x, layer->weight, layer->bias, &running);
    tarn__leave_layer(x->manager, before);
    return y;
}
