/* sequential.h - chains of layers and functions, built step by step and run in that order.
 *
 *   tarn_module *root = tarn_module_create(tm);
 *   tarn_sequential net = tarn_sequential_create(root, "net");
 *   const tarn_conv_layer_options same = { .kernel = { 3, 3 }, .conv = { .padding = { 1, 1 } } };
 *
 *   tarn_sequential_add_conv2d(&net, 1, 16, &same);
 *   tarn_sequential_add_batch_norm(&net, 16, NULL);
 *   tarn_sequential_add_activation(&net, TARN_RELU);
 *   tarn_sequential_add_pooling(&net, TARN_MAX_POOLING, TARN_SHAPE(2, 2), NULL);
 *   tarn_sequential_add_flatten(&net);
 *   tarn_sequential_add_dropout(&net, 0.5);
 *   tarn_sequential_add_linear(&net, 16 * 14 * 14, 10, NULL);
 *
 *   tarn_tensor *logits = tarn_sequential_forward(&net, images);
 *
 * for images (B, 1, 28, 28) and logits (B, 10), with parameters "net.0.weight" (16, 1, 3, 3),
 * "net.0.bias", "net.1.weight" and so on up to "net.6.bias".
 *
 * Each step is a module inside the chain's, named by its number from 0 on, as in PyTorch; messages
 * of what goes wrong in it begin with that name. Like all layers, chains are plain structures that
 * point into their module: copies are the same chain. Everything belongs to the module, and ends
 * with it.
 *
 * A function that cannot add its step adds nothing and returns a layer full of NULL, or NULL, with
 * the error held: what its layer's creation fails for; TARN_ENOMEM. While an error is held none
 * adds anything, so that a whole chain needs one check; to go on after tarn_clear_error, begin with
 * the step that failed. Those that make layers take the layers' options (layers.h); NULL means
 * every default. What they return may be ignored. */
#ifndef TARN_SEQUENTIAL_H
#define TARN_SEQUENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/conv.h"
#include "tarn/export.h"
#include "tarn/layers.h"
#include "tarn/module.h"
#include "tarn/ops.h"
#include "tarn/sequence.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* ---- chains */

typedef struct tarn_step {
    struct tarn_step *next; /* NULL after the last */
    tarn_module *module;    /* "0", "1", ... inside the chain's */
    tarn_tensor *(*forward)(void *layer, tarn_tensor *x);
    void *layer; /* passed to forward: the layer itself, such as a tarn_linear */
} tarn_step;

typedef struct tarn_steps {
    int n;
    tarn_step *first, *last;
} tarn_steps;

typedef struct tarn_sequential {
    tarn_module *module;
    tarn_steps *steps; /* owned by the module, and shared by copies of this */
} tarn_sequential;

/* A chain "name" inside `parent`, without steps: it passes x through. Fails: as
 * tarn_module_add_child. */
TARN_API tarn_sequential tarn_sequential_create(tarn_module *parent, const char *name);

/* x  ->  what the last step makes of what the one before made, and so on. Fails as its steps do;
 * TARN_EARG, naming the step, for one that returns NULL and leaves no error held. */
TARN_API tarn_tensor *tarn_sequential_forward(const tarn_sequential *chain, tarn_tensor *x);

/* ---- steps that are layers; each returns its layer */

/* x (..., in)  ->  (..., out); of an mlp from the first of its sizes to the last. */
TARN_API tarn_linear tarn_sequential_add_linear(tarn_sequential *chain, int64_t in, int64_t out,
                                                const tarn_linear_options *options);
TARN_API tarn_mlp tarn_sequential_add_mlp(tarn_sequential *chain, const int64_t *sizes, int n_sizes,
                                          const tarn_mlp_options *options);

/* x (B, in, H, W) or (B, in, L)  ->  (B, out, ...). The kernel's size stands in the options. */
TARN_API tarn_conv_layer tarn_sequential_add_conv2d(tarn_sequential *chain, int64_t in, int64_t out,
                                                    const tarn_conv_layer_options *options);
TARN_API tarn_conv_layer tarn_sequential_add_conv1d(tarn_sequential *chain, int64_t in, int64_t out,
                                                    const tarn_conv_layer_options *options);
TARN_API tarn_conv_layer tarn_sequential_add_conv_transpose2d(
    tarn_sequential *chain, int64_t in, int64_t out, const tarn_conv_layer_options *options);
TARN_API tarn_conv_layer tarn_sequential_add_conv_transpose1d(
    tarn_sequential *chain, int64_t in, int64_t out, const tarn_conv_layer_options *options);

/* x  ->  the same shape, whose last axes have `shape`, or n elements, or whose axis 1 has so many
 * channels. */
TARN_API tarn_layer_norm_layer tarn_sequential_add_layer_norm(tarn_sequential *chain,
                                                              tarn_shape shape,
                                                              const tarn_norm_options *options);
TARN_API tarn_rms_norm_layer tarn_sequential_add_rms_norm(tarn_sequential *chain, int64_t n,
                                                          const tarn_norm_options *options);
TARN_API tarn_group_norm_layer tarn_sequential_add_group_norm(tarn_sequential *chain,
                                                              int64_t groups, int64_t channels,
                                                              const tarn_norm_options *options);
TARN_API tarn_batch_norm_layer tarn_sequential_add_batch_norm(tarn_sequential *chain,
                                                              int64_t channels,
                                                              const tarn_norm_options *options);

/* Numbers (...) of I32, I64 or U8  ->  (..., size). */
TARN_API tarn_embedding_layer tarn_sequential_add_embedding(tarn_sequential *chain, int64_t count,
                                                            int64_t size,
                                                            const tarn_embedding_options *options);

/* Self-attention without a mask: x (..., L, size)  ->  the same shape. */
TARN_API tarn_attention tarn_sequential_add_attention(tarn_sequential *chain, int64_t size,
                                                      int64_t heads,
                                                      const tarn_attention_options *options);

/* Recurrence from zeros, of the kind that the options say: x (B, T, in)  ->  the outputs at every
 * time, (B, T, directions hidden). */
TARN_API tarn_rnn tarn_sequential_add_rnn(tarn_sequential *chain, int64_t in, int64_t hidden,
                                          const tarn_rnn_options *options);

/* x  ->  the same shape. */
TARN_API tarn_dropout_layer tarn_sequential_add_dropout(tarn_sequential *chain, double p);

/* ---- steps that are functions; these and all below return the step's module */

/* Fails also: TARN_EARG for an unknown activation. */
TARN_API tarn_module *tarn_sequential_add_activation(tarn_sequential *chain,
                                                     tarn_activation activation);

/* An operation of one operand: tarn_sequential_add_function(&net, tarn_softplus). Fails also:
 * TARN_EARG for NULL. */
TARN_API tarn_module *tarn_sequential_add_function(tarn_sequential *chain,
                                                   tarn_tensor *(*function)(tarn_tensor *x));

/* x (B, ...)  ->  (B, N). */
TARN_API tarn_module *tarn_sequential_add_flatten(tarn_sequential *chain);

typedef enum tarn_pooling {
    TARN_MAX_POOLING,
    TARN_AVG_POOLING,
    TARN_ADAPTIVE_MAX_POOLING,
    TARN_ADAPTIVE_AVG_POOLING
} tarn_pooling;

/* Pooling of images, or with a size of one number of sequences. `size` is that of the windows; for
 * the adaptive kinds, which have no options and are for images, that of what comes out. Fails also:
 * TARN_EARG for an unknown kind, a size of no such rank, or options that the kind lacks. */
TARN_API tarn_module *tarn_sequential_add_pooling(tarn_sequential *chain, tarn_pooling kind,
                                                  tarn_shape size,
                                                  const tarn_pooling_options *options);

/* ---- steps of one's own */

/* A function with a structure, which is borrowed and has to outlive the chain. Layers of its own go
 * into the module that is returned:
 *
 *   typedef struct residual { tarn_sequential body; } residual;
 *   static tarn_tensor *residual_forward(void *layer, tarn_tensor *x)
 *   {
 *       const residual *r = layer;
 *       return tarn_add(x, tarn_sequential_forward(&r->body, x));
 *   }
 *
 *   tarn_module *step = tarn_sequential_add(&net, residual_forward, &r);
 *   r.body = tarn_sequential_create(step, "body");                     "net.7.body.0.weight", ...
 *
 * Fails also: TARN_EARG without a function. */
TARN_API tarn_module *tarn_sequential_add(tarn_sequential *chain,
                                          tarn_tensor *(*forward)(void *layer, tarn_tensor *x),
                                          void *layer);

/* A chain inside the chain, to which steps can be added at any time: "net.3.0.weight". */
TARN_API tarn_sequential tarn_sequential_add_sequential(tarn_sequential *chain);

TARN_END_DECLS

#endif
