/* SPDX-License-Identifier: MIT
 * sequential_layers.c - steps of chains that are layers. Each is made in the chain's module, under
 * the number of the step, and copied into it. */
#include "nn/sequential.h"

/* ---- linear */

tarn_tensor *tarn__linear_step(void *layer, tarn_tensor *x)
{
    return tarn_linear_forward(layer, x);
}

tarn_linear tarn_sequential_add_linear(tarn_sequential *chain, int64_t in, int64_t out,
                                       const tarn_linear_options *options)
{
    const tarn_linear nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_linear layer = tarn_linear_create_with(chain->module, name, in, out, options);
    return tarn__add_step(chain, layer.module, tarn__linear_step, &layer, sizeof layer) ? layer
                                                                                        : nothing;
}

/* ---- multilayer perceptrons */

static tarn_tensor *mlp_forward(void *layer, tarn_tensor *x) { return tarn_mlp_forward(layer, x); }

tarn_mlp tarn_sequential_add_mlp(tarn_sequential *chain, const int64_t *sizes, int n_sizes,
                                 const tarn_mlp_options *options)
{
    const tarn_mlp nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_mlp layer = tarn_mlp_create(chain->module, name, sizes, n_sizes, options);
    return tarn__add_step(chain, layer.module, mlp_forward, &layer, sizeof layer) ? layer : nothing;
}

/* ---- convolution */

static tarn_tensor *conv_forward(void *layer, tarn_tensor *x)
{
    return tarn_conv_forward(layer, x);
}

tarn_conv_layer tarn_sequential_add_conv2d(tarn_sequential *chain, int64_t in, int64_t out,
                                           const tarn_conv_layer_options *options)
{
    const tarn_conv_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_conv_layer layer = tarn_conv2d_create_with(chain->module, name, in, out, options);
    return tarn__add_step(chain, layer.module, conv_forward, &layer, sizeof layer) ? layer
                                                                                   : nothing;
}

tarn_conv_layer tarn_sequential_add_conv1d(tarn_sequential *chain, int64_t in, int64_t out,
                                           const tarn_conv_layer_options *options)
{
    const tarn_conv_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_conv_layer layer = tarn_conv1d_create_with(chain->module, name, in, out, options);
    return tarn__add_step(chain, layer.module, conv_forward, &layer, sizeof layer) ? layer
                                                                                   : nothing;
}

tarn_conv_layer tarn_sequential_add_conv_transpose2d(tarn_sequential *chain, int64_t in,
                                                     int64_t out,
                                                     const tarn_conv_layer_options *options)
{
    const tarn_conv_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_conv_layer layer =
        tarn_conv_transpose2d_create_with(chain->module, name, in, out, options);
    return tarn__add_step(chain, layer.module, conv_forward, &layer, sizeof layer) ? layer
                                                                                   : nothing;
}

tarn_conv_layer tarn_sequential_add_conv_transpose1d(tarn_sequential *chain, int64_t in,
                                                     int64_t out,
                                                     const tarn_conv_layer_options *options)
{
    const tarn_conv_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_conv_layer layer =
        tarn_conv_transpose1d_create_with(chain->module, name, in, out, options);
    return tarn__add_step(chain, layer.module, conv_forward, &layer, sizeof layer) ? layer
                                                                                   : nothing;
}

/* ---- normalisation */

static tarn_tensor *layer_norm_forward(void *layer, tarn_tensor *x)
{
    return tarn_layer_norm_forward(layer, x);
}

tarn_layer_norm_layer tarn_sequential_add_layer_norm(tarn_sequential *chain, tarn_shape shape,
                                                     const tarn_norm_options *options)
{
    const tarn_layer_norm_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_layer_norm_layer layer =
        tarn_layer_norm_create_with(chain->module, name, shape, options);
    return tarn__add_step(chain, layer.module, layer_norm_forward, &layer, sizeof layer) ? layer
                                                                                         : nothing;
}

static tarn_tensor *rms_norm_forward(void *layer, tarn_tensor *x)
{
    return tarn_rms_norm_forward(layer, x);
}

tarn_rms_norm_layer tarn_sequential_add_rms_norm(tarn_sequential *chain, int64_t n,
                                                 const tarn_norm_options *options)
{
    const tarn_rms_norm_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_rms_norm_layer layer = tarn_rms_norm_create_with(chain->module, name, n, options);
    return tarn__add_step(chain, layer.module, rms_norm_forward, &layer, sizeof layer) ? layer
                                                                                       : nothing;
}

static tarn_tensor *group_norm_forward(void *layer, tarn_tensor *x)
{
    return tarn_group_norm_forward(layer, x);
}

tarn_group_norm_layer tarn_sequential_add_group_norm(tarn_sequential *chain, int64_t groups,
                                                     int64_t channels,
                                                     const tarn_norm_options *options)
{
    const tarn_group_norm_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_group_norm_layer layer =
        tarn_group_norm_create_with(chain->module, name, groups, channels, options);
    return tarn__add_step(chain, layer.module, group_norm_forward, &layer, sizeof layer) ? layer
                                                                                         : nothing;
}

static tarn_tensor *batch_norm_forward(void *layer, tarn_tensor *x)
{
    return tarn_batch_norm_forward(layer, x);
}

tarn_batch_norm_layer tarn_sequential_add_batch_norm(tarn_sequential *chain, int64_t channels,
                                                     const tarn_norm_options *options)
{
    const tarn_batch_norm_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_batch_norm_layer layer =
        tarn_batch_norm_create_with(chain->module, name, channels, options);
    return tarn__add_step(chain, layer.module, batch_norm_forward, &layer, sizeof layer) ? layer
                                                                                         : nothing;
}

/* ---- embedding */

static tarn_tensor *embedding_forward(void *layer, tarn_tensor *x)
{
    return tarn_embedding_forward(layer, x);
}

tarn_embedding_layer tarn_sequential_add_embedding(tarn_sequential *chain, int64_t count,
                                                   int64_t size,
                                                   const tarn_embedding_options *options)
{
    const tarn_embedding_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_embedding_layer layer =
        tarn_embedding_create_with(chain->module, name, count, size, options);
    return tarn__add_step(chain, layer.module, embedding_forward, &layer, sizeof layer) ? layer
                                                                                        : nothing;
}

/* ---- sequences */

static tarn_tensor *attention_forward(void *layer, tarn_tensor *x)
{
    return tarn_attention_forward(layer, x, NULL);
}

tarn_attention tarn_sequential_add_attention(tarn_sequential *chain, int64_t size, int64_t heads,
                                             const tarn_attention_options *options)
{
    const tarn_attention nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_attention layer =
        tarn_attention_create_with(chain->module, name, size, heads, options);
    return tarn__add_step(chain, layer.module, attention_forward, &layer, sizeof layer) ? layer
                                                                                        : nothing;
}

static tarn_tensor *rnn_forward(void *layer, tarn_tensor *x)
{
    const tarn_rnn_state zeros = { .h = NULL };
    return tarn_rnn_forward(layer, x, zeros).y;
}

tarn_rnn tarn_sequential_add_rnn(tarn_sequential *chain, int64_t in, int64_t hidden,
                                 const tarn_rnn_options *options)
{
    const tarn_rnn nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_rnn layer = tarn_rnn_create_with(chain->module, name, in, hidden, options);
    return tarn__add_step(chain, layer.module, rnn_forward, &layer, sizeof layer) ? layer : nothing;
}

/* ---- dropout */

static tarn_tensor *dropout_forward(void *layer, tarn_tensor *x)
{
    return tarn_dropout_forward(layer, x);
}

tarn_dropout_layer tarn_sequential_add_dropout(tarn_sequential *chain, double p)
{
    const tarn_dropout_layer nothing = { .module = NULL };
    char name[TARN__NAME_BYTES];
    if (!tarn__next_step(chain, name)) return nothing;
    const tarn_dropout_layer layer = tarn_dropout_create(chain->module, name, p);
    return tarn__add_step(chain, layer.module, dropout_forward, &layer, sizeof layer) ? layer
                                                                                      : nothing;
}
