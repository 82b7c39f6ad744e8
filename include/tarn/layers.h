/* layers.h - layers: plain structs that point into their module; copying one copies pointers.
 *
 * A function that cannot make its layer returns one full of NULL and the manager holds the error;
 * such a layer passes NULL through. Everything belongs to the module, and the module to its
 * manager. */
#ifndef TARN_LAYERS_H
#define TARN_LAYERS_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/conv.h"
#include "tarn/export.h"
#include "tarn/module.h"
#include "tarn/ops.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* y = x w^T + b, applied to the last axis. */
typedef struct tarn_linear {
    tarn_module *module;
    tarn_tensor *weight; /* (out, in) */
    tarn_tensor *bias;   /* (out), or NULL */
} tarn_linear;

typedef struct tarn_linear_options {
    tarn_dtype dtype; /* F32 (the zero value) or F64 */
    bool no_bias;
    tarn_init weight; /* {0}: Kaiming uniform with gain sqrt(2) */
    tarn_init bias;   /* {0}: zeros */
} tarn_linear_options;

/* A linear layer "name" inside `parent` with `in` inputs and `out` outputs; its parameters are
 * "name.weight" and "name.bias".
 * Fails: as tarn_module_add_parameter, with nothing added; TARN_ESHAPE for sizes below 1. */
TARN_API tarn_linear tarn_linear_create(tarn_module *parent, const char *name, int64_t in,
                                        int64_t out);
TARN_API tarn_linear tarn_linear_create_with(tarn_module *parent, const char *name, int64_t in,
                                             int64_t out, const tarn_linear_options *options);

/* x (..., in)  ->  (..., out). */
TARN_API tarn_tensor *tarn_linear_forward(const tarn_linear *layer, tarn_tensor *x);

/* Dropout that draws anew at each call while its module trains, and passes x through otherwise. */
typedef struct tarn_dropout_layer {
    tarn_module *module;
    double p;
} tarn_dropout_layer;

/* Fails: as tarn_module_add_child; TARN_EARG unless 0 <= p <= 1. */
TARN_API tarn_dropout_layer tarn_dropout_create(tarn_module *parent, const char *name, double p);

/* x  ->  the same shape, or x itself where nothing is dropped. The draws depend on the manager's
 * seed, the tree's creation number, the layer's path and its own count of calls; a call that fails
 * is not counted. */
TARN_API tarn_tensor *tarn_dropout_forward(const tarn_dropout_layer *layer, tarn_tensor *x);

/* A multilayer perceptron: linear layers; between them an activation and, if wished, dropout. */
typedef struct tarn_mlp {
    tarn_module *module;
    int n_layers;
    tarn_linear *layers;          /* (n_layers): "0", "1", ...; owned by the module */
    tarn_dropout_layer *dropouts; /* (n_layers - 1): "dropout0", ...; likewise; NULL: none */
    tarn_activation activation;
} tarn_mlp;

typedef struct tarn_mlp_options {
    tarn_activation activation; /* the zero value is relu */
    double dropout;             /* probability after each activation; 0: none */
    tarn_dtype dtype;
} tarn_mlp_options;

/* An MLP of n_sizes - 1 layers: sizes[0] inputs, sizes[n_sizes - 1] outputs. NULL options mean
 * every default.
 * Fails: as tarn_linear_create; TARN_EARG for fewer than two sizes, an unknown activation, or a
 * dropout that is no probability. */
TARN_API tarn_mlp tarn_mlp_create(tarn_module *parent, const char *name, const int64_t *sizes,
                                  int n_sizes, const tarn_mlp_options *options);

/* x (..., in)  ->  (..., out); no activation after the last layer. */
TARN_API tarn_tensor *tarn_mlp_forward(const tarn_mlp *mlp, tarn_tensor *x);

/* ---- convolution (pooling needs no layer: conv.h) */

/* A convolution, or its adjoint ("transposed"), in one dimension or two, and a bias. */
typedef struct tarn_conv_layer {
    tarn_module *module;
    tarn_tensor *weight; /* (out, in / groups, KH, KW), transposed (in, out / groups, KH, KW); in
                            one dimension without KH */
    tarn_tensor *bias;   /* (out), or NULL */
    tarn_conv_options options;
    bool transposed;
} tarn_conv_layer;

typedef struct tarn_conv_layer_options {
    int64_t kernel[2]; /* rows and columns; in one dimension the first */
    tarn_conv_options conv;
    tarn_dtype dtype; /* F32 (the zero value) or F64 */
    bool no_bias;
    tarn_init weight; /* {0}: Kaiming uniform with gain sqrt(2) */
    tarn_init bias;   /* {0}: zeros */
} tarn_conv_layer_options;

/* A layer "name" inside `parent` from `in` channels to `out`, with a kernel of so many places along
 * each axis or all that options say; its parameters are "name.weight" and "name.bias".
 * Fails: as tarn_module_add_parameter, with nothing added; TARN_ESHAPE for sizes below 1 and groups
 * that do not divide both. What else is wrong with conv, forward says. */
TARN_API tarn_conv_layer tarn_conv2d_create(tarn_module *parent, const char *name, int64_t in,
                                            int64_t out, int64_t kernel);
TARN_API tarn_conv_layer tarn_conv2d_create_with(tarn_module *parent, const char *name, int64_t in,
                                                 int64_t out,
                                                 const tarn_conv_layer_options *options);
TARN_API tarn_conv_layer tarn_conv1d_create(tarn_module *parent, const char *name, int64_t in,
                                            int64_t out, int64_t kernel);
TARN_API tarn_conv_layer tarn_conv1d_create_with(tarn_module *parent, const char *name, int64_t in,
                                                 int64_t out,
                                                 const tarn_conv_layer_options *options);

/* The same, transposed. */
TARN_API tarn_conv_layer tarn_conv_transpose2d_create(tarn_module *parent, const char *name,
                                                      int64_t in, int64_t out, int64_t kernel);
TARN_API tarn_conv_layer tarn_conv_transpose2d_create_with(tarn_module *parent, const char *name,
                                                           int64_t in, int64_t out,
                                                           const tarn_conv_layer_options *options);
TARN_API tarn_conv_layer tarn_conv_transpose1d_create(tarn_module *parent, const char *name,
                                                      int64_t in, int64_t out, int64_t kernel);
TARN_API tarn_conv_layer tarn_conv_transpose1d_create_with(tarn_module *parent, const char *name,
                                                           int64_t in, int64_t out,
                                                           const tarn_conv_layer_options *options);

/* x (B, in, H, W) or (B, in, L)  ->  (B, out, ...), by the function whose kind the layer is. */
TARN_API tarn_tensor *tarn_conv_forward(const tarn_conv_layer *layer, tarn_tensor *x);

/* ---- normalisation; functional.h has the formulas */

/* For all of them. NULL options mean every default. */
typedef struct tarn_norm_options {
    tarn_dtype dtype; /* F32 (the zero value) or F64 */
    double eps;       /* 0: 1e-5 */
    bool no_weight;   /* neither weight nor bias */
    bool no_bias;
    double momentum; /* of batch norm: the share of the newest batch in the running statistics;
                        0: 0.1 */
} tarn_norm_options;

/* Layer norm, or without the mean RMS norm, over the last axes. */
typedef struct tarn_layer_norm_layer {
    tarn_module *module;
    tarn_tensor *weight; /* (shape), ones at first; or NULL */
    tarn_tensor *bias;   /* (shape), zeros at first; or NULL */
    int n_axes;
    double eps;
} tarn_layer_norm_layer;

/* A layer for tensors whose last axes have this shape; its parameters are "name.weight" and
 * "name.bias".
 * Fails: as tarn_module_add_parameter, with nothing added; TARN_EARG for a shape without axes, or
 * an eps that is negative or not finite. */
TARN_API tarn_layer_norm_layer tarn_layer_norm_create(tarn_module *parent, const char *name,
                                                      tarn_shape shape);
TARN_API tarn_layer_norm_layer tarn_layer_norm_create_with(tarn_module *parent, const char *name,
                                                           tarn_shape shape,
                                                           const tarn_norm_options *options);

/* x (..., shape)  ->  the same shape. */
TARN_API tarn_tensor *tarn_layer_norm_forward(const tarn_layer_norm_layer *layer, tarn_tensor *x);

/* RMS norm has no bias. */
typedef struct tarn_rms_norm_layer {
    tarn_module *module;
    tarn_tensor *weight; /* (n), ones at first */
    double eps;
} tarn_rms_norm_layer;

/* A layer for tensors with n elements along the last axis. Fails: as tarn_layer_norm_create;
 * TARN_ESHAPE for n below 1; TARN_EARG for no_weight. */
TARN_API tarn_rms_norm_layer tarn_rms_norm_create(tarn_module *parent, const char *name, int64_t n);
TARN_API tarn_rms_norm_layer tarn_rms_norm_create_with(tarn_module *parent, const char *name,
                                                       int64_t n, const tarn_norm_options *options);

/* x (..., n)  ->  the same shape. */
TARN_API tarn_tensor *tarn_rms_norm_forward(const tarn_rms_norm_layer *layer, tarn_tensor *x);

typedef struct tarn_group_norm_layer {
    tarn_module *module;
    tarn_tensor *weight; /* (channels), ones at first; or NULL */
    tarn_tensor *bias;   /* (channels), zeros at first; or NULL */
    int64_t groups;
    double eps;
} tarn_group_norm_layer;

/* Fails: as tarn_layer_norm_create; TARN_EARG unless `groups` divides `channels`, both being 1 or
 * more. */
TARN_API tarn_group_norm_layer tarn_group_norm_create(tarn_module *parent, const char *name,
                                                      int64_t groups, int64_t channels);
TARN_API tarn_group_norm_layer tarn_group_norm_create_with(tarn_module *parent, const char *name,
                                                           int64_t groups, int64_t channels,
                                                           const tarn_norm_options *options);

/* x (B, channels, ...)  ->  the same shape. */
TARN_API tarn_tensor *tarn_group_norm_forward(const tarn_group_norm_layer *layer, tarn_tensor *x);

/* Batch norm: with the statistics of the batch while its module trains, and with the running ones
 * otherwise. */
typedef struct tarn_batch_norm_layer {
    tarn_module *module;
    tarn_tensor *weight;       /* (channels), ones at first; or NULL */
    tarn_tensor *bias;         /* (channels), zeros at first; or NULL */
    tarn_tensor *running_mean; /* (channels), a buffer, zeros at first */
    tarn_tensor *running_var;  /* (channels), a buffer, ones at first */
    double eps, momentum;
} tarn_batch_norm_layer;

/* Parameters and buffers have the names of the fields. Fails: as tarn_layer_norm_create;
 * TARN_ESHAPE for channels below 1; TARN_EARG unless 0 <= momentum <= 1. */
TARN_API tarn_batch_norm_layer tarn_batch_norm_create(tarn_module *parent, const char *name,
                                                      int64_t channels);
TARN_API tarn_batch_norm_layer tarn_batch_norm_create_with(tarn_module *parent, const char *name,
                                                           int64_t channels,
                                                           const tarn_norm_options *options);

/* x (B, channels, ...)  ->  the same shape. In training each call that succeeds, of a batch that is
 * not empty, moves the running statistics once:
 *     running = (1 - momentum) running + momentum batch,
 * the variance of the batch being the unbiased one here (n - 1 instead of n), as in PyTorch. Where
 * tarn_checkpoint computes the layer again they stay. */
TARN_API tarn_tensor *tarn_batch_norm_forward(const tarn_batch_norm_layer *layer, tarn_tensor *x);

/* ---- embedding */

/* A row of a table for each number. */
typedef struct tarn_embedding_layer {
    tarn_module *module;
    tarn_tensor *weight; /* (count, size) */
} tarn_embedding_layer;

typedef struct tarn_embedding_options {
    tarn_dtype dtype; /* F32 (the zero value) or F64 */
    tarn_init weight; /* {0}: normal, of mean 0 and deviation 1 */
} tarn_embedding_options;

/* An embedding "name" of `count` rows of `size` elements; its parameter is "name.weight".
 * Fails: as tarn_module_add_parameter, with nothing added; TARN_ESHAPE for sizes below 1. */
TARN_API tarn_embedding_layer tarn_embedding_create(tarn_module *parent, const char *name,
                                                    int64_t count, int64_t size);
TARN_API tarn_embedding_layer tarn_embedding_create_with(tarn_module *parent, const char *name,
                                                         int64_t count, int64_t size,
                                                         const tarn_embedding_options *options);

/* ids (...) of I32, I64 or U8  ->  (..., size). */
TARN_API tarn_tensor *tarn_embedding_forward(const tarn_embedding_layer *layer, tarn_tensor *ids);

TARN_END_DECLS

#endif
