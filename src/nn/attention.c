/* SPDX-License-Identifier: MIT
 * attention.c - the attention layer: projections around scaled dot-product attention.
 *
 * Letters: L places of x and S of the memory, H heads of E elements each. What lies between the
 * projections is let go at once: where backward needs it, the tape has it. */
#include <tarn/sequence.h>

#include <tarn/functional.h>
#include <tarn/shape.h>

#include "nn/layer.h"

/* ---- making */

tarn_attention tarn_attention_create(tarn_module *parent, const char *name, int64_t size,
                                     int64_t heads)
{
    return tarn_attention_create_with(parent, name, size, heads, NULL);
}

/* The four projections; false if one could not be made. */
static bool add_projections(tarn_attention *a, int64_t size, const tarn_attention_options *o)
{
    const int64_t memory = o->memory_size != 0 ? o->memory_size : size;
    tarn_linear_options linear = { .dtype = o->dtype, .no_bias = o->no_bias, .weight = o->weight };
    if (linear.weight.kind == TARN_INIT_DEFAULT) linear.weight.kind = TARN_INIT_XAVIER_UNIFORM;
    a->q = tarn_linear_create_with(a->module, "q", size, size, &linear);
    if (a->q.module == NULL) return false;
    a->k = tarn_linear_create_with(a->module, "k", memory, size, &linear);
    if (a->k.module == NULL) return false;
    a->v = tarn_linear_create_with(a->module, "v", memory, size, &linear);
    if (a->v.module == NULL) return false;
    a->o = tarn_linear_create_with(a->module, "o", size, size, &linear);
    return a->o.module != NULL;
}

tarn_attention tarn_attention_create_with(tarn_module *parent, const char *name, int64_t size,
                                          int64_t heads, const tarn_attention_options *options)
{
    static const tarn_attention_options defaults;
    const tarn_attention_options *o = options == NULL ? &defaults : options;
    tarn_attention a = { .heads = heads, .causal = o->causal };
    a.module = tarn__module_add(parent, name, "attention");
    if (a.module == NULL) return (tarn_attention){ 0 };
    if (size < 1 || heads < 1 || size % heads != 0 || o->memory_size < 0)
        (void)tarn__fail(
            parent->object.manager, TARN_ESHAPE,
            "%s: %lld heads of vectors of %lld elements, memory of %lld; size must be a "
            "multiple of heads",
            a.module->label, (long long)heads, (long long)size,
            (long long)(o->memory_size != 0 ? o->memory_size : size));
    else if (add_projections(&a, size, o)) return a;
    tarn__module_discard(a.module);
    return (tarn_attention){ 0 };
}

/* ---- forward */

static void let_go(tarn_tensor *t)
{
    if (t != NULL) tarn_release(t);
}

/* (..., L, H E) as (..., H, L, E); a view. */
static tarn_tensor *split_heads(tarn_tensor *x, int64_t heads)
{
    if (x == NULL) return NULL;
    tarn_shape shape = tarn_get_shape(x);
    if (shape.ndim < 2 || shape.ndim == TARN_MAX_DIMS) {
        char text[TARN__DESCRIPTION_BYTES];
        (void)tarn__fail(x->manager, TARN_ESHAPE,
                         "%s: x %s; a sequence of vectors is needed: 2 to %d axes",
                         x->manager->label, tarn__describe(x, text), TARN_MAX_DIMS - 1);
        return NULL;
    }
    shape.dims[shape.ndim] = shape.dims[shape.ndim - 1] / heads;
    shape.dims[shape.ndim - 1] = heads;
    shape.ndim++;
    tarn_tensor *apart = tarn_reshape(x, shape);
    tarn_tensor *y = tarn_transpose(apart, -3, -2);
    let_go(apart);
    return y;
}

/* The other way round; a copy. */
static tarn_tensor *join_heads(tarn_tensor *x)
{
    if (x == NULL) return NULL;
    tarn_shape shape = tarn_get_shape(x);
    const int last = --shape.ndim;
    shape.dims[last - 2] = x->layout.dims[last - 1];
    shape.dims[last - 1] = x->layout.dims[last - 2] * x->layout.dims[last];
    tarn_tensor *apart = tarn_transpose(x, -3, -2);
    tarn_tensor *packed = tarn_contiguous(apart);
    tarn_tensor *y = tarn_reshape(packed, shape);
    let_go(apart);
    let_go(packed);
    return y;
}

/* Attention of all heads, on what was projected; (..., L, H E). */
static tarn_tensor *attend(const tarn_attention *layer, tarn_tensor *const projected[3],
                           tarn_tensor *mask)
{
    tarn_tensor *heads[3];
    for (int i = 0; i < 3; i++) heads[i] = split_heads(projected[i], layer->heads);
    tarn_tensor *apart = tarn_sdpa(heads[0], heads[1], heads[2],
                                   &(tarn_sdpa_options){ .mask = mask, .causal = layer->causal });
    tarn_tensor *y = join_heads(apart);
    let_go(apart);
    for (int i = 0; i < 3; i++) let_go(heads[i]);
    return y;
}

tarn_tensor *tarn_attention_cross_forward(const tarn_attention *layer, tarn_tensor *x,
                                          tarn_tensor *memory, tarn_tensor *mask)
{
    if (layer == NULL || layer->module == NULL)
        return tarn__without_layer(x != NULL ? x : memory, "attention");
    if (x == NULL || memory == NULL) return tarn__without_input(layer->module);
    tarn_manager *tm = x->manager;
    tarn_tensor *projected[3];
    projected[0] = tarn_linear_forward(&layer->q, x);
    projected[1] = projected[0] != NULL ? tarn_linear_forward(&layer->k, memory) : NULL;
    projected[2] = projected[1] != NULL ? tarn_linear_forward(&layer->v, memory) : NULL;
    tarn_tensor *joined = NULL;
    if (projected[2] != NULL) {
        const tarn__outside before = tarn__enter_layer(tm, layer->module);
        joined = attend(layer, projected, mask);
        tarn__leave_layer(tm, before);
    }
    for (int i = 0; i < 3; i++) let_go(projected[i]);
    tarn_tensor *y = joined != NULL ? tarn_linear_forward(&layer->o, joined) : NULL;
    let_go(joined);
    return y;
}

tarn_tensor *tarn_attention_forward(const tarn_attention *layer, tarn_tensor *x, tarn_tensor *mask)
{
    return tarn_attention_cross_forward(layer, x, x, mask);
}
