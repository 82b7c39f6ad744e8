/* SPDX-License-Identifier: MIT
 * embedding.c - rows of a table, chosen by number.
 *
 * Letters: weight (V, D), n ids. The gradient is dense: row v of it is the sum of those rows of dy
 * whose id is v, in their order. The places of the ids are sorted by id first (by counting, which
 * keeps their order), so that each row is summed once, in double. */
#include <string.h>

#include "core/size.h"
#include "ops/op_list.h"

static int64_t id_at(const tarn_tensor *ids, int64_t i)
{
    switch (ids->layout.dtype) {
    case TARN_I32: return ((const int32_t *)ids->data)[i];
    case TARN_U8: return ((const uint8_t *)ids->data)[i];
    default: return ((const int64_t *)ids->data)[i];
    }
}

/* Holds that id number i is not in the table, and says where it stands. */
static tarn_status id_out_of_range(const tarn__call *call, int64_t i)
{
    const tarn__layout *l = &call->in[1]->layout;
    tarn__layout place = { .ndim = l->ndim };
    char text[TARN__DESCRIPTION_BYTES], ids[TARN__DESCRIPTION_BYTES],
        weight[TARN__DESCRIPTION_BYTES];
    int64_t rest = i;
    for (int axis = l->ndim - 1; axis >= 0; axis--) {
        place.dims[axis] = rest % l->dims[axis];
        rest /= l->dims[axis];
    }
    return tarn__call_fail(call, TARN_EARG,
                           "id %lld at %s of ids %s is not in [0, %lld), the rows of weight %s",
                           (long long)id_at(call->in[1], i), tarn__describe_layout(&place, text),
                           tarn__describe(call->in[1], ids), (long long)call->in[0]->layout.dims[0],
                           tarn__describe(call->in[0], weight));
}

/* Both passes check, although the backward pass sees the ids of the forward: a write through an old
 * pointer must not become a write outside of the gradient. */
static tarn_status check_ids(const tarn__call *call)
{
    const int64_t V = call->in[0]->layout.dims[0], n = call->in[1]->layout.numel;
    for (int64_t i = 0; i < n; i++) {
        const int64_t id = id_at(call->in[1], i);
        if (id < 0 || id >= V) return id_out_of_range(call, i);
    }
    return TARN_OK;
}

static tarn_status embedding_infer(const tarn__call *call, tarn__layout *out, int64_t *offset)
{
    const tarn__layout *w = &call->in[0]->layout, *ids = &call->in[1]->layout;
    char text[TARN__DESCRIPTION_BYTES];
    (void)offset;
    if (ids->dtype != TARN_I32 && ids->dtype != TARN_I64 && ids->dtype != TARN_U8)
        return tarn__call_fail(call, TARN_EDTYPE,
                               "ids is %s; int32, int64 or uint8 is needed (tarn_cast converts)",
                               tarn_dtype_name((tarn_dtype)ids->dtype));
    if (w->ndim != 2)
        return tarn__call_fail(call, TARN_ESHAPE, "weight %s; weight (V, D) is needed",
                               tarn__describe(call->in[0], text));
    if (ids->ndim == TARN_MAX_DIMS)
        return tarn__call_fail(call, TARN_ELIMIT, "ids %s: the result would have %d axes",
                               tarn__describe(call->in[1], text), TARN_MAX_DIMS + 1);
    *out = *ids;
    out->dtype = w->dtype;
    out->dims[out->ndim++] = w->dims[1];
    return TARN_OK;
}

/* ---- places sorted by id */

/* The places of id v are place[start[v]] to place[start[v + 1] - 1]. */
typedef struct sorted {
    int64_t *start; /* (V + 1), and one more in front while counting */
    int64_t *place; /* (n) */
    double *sum;    /* (D) */
} sorted;

static size_t embedding_scratch(const tarn__call *call)
{
    const tarn__layout *w = &call->in[0]->layout;
    size_t words;
    if (call->dout == NULL) return 0;
    if (!tarn__size_add((size_t)w->dims[0], (size_t)w->dims[1], &words) ||
        !tarn__size_add(words, (size_t)call->in[1]->layout.numel + 2, &words) ||
        !tarn__size_mul(words, sizeof(int64_t), &words))
        return SIZE_MAX;
    return words;
}

static sorted sort_ids(const tarn__call *call)
{
    const tarn_tensor *ids = call->in[1];
    const int64_t V = call->in[0]->layout.dims[0], n = ids->layout.numel;
    int64_t *count = call->scratch->data; /* (V + 2) */
    const sorted s = { count, count + V + 2, (double *)(count + V + 2 + n) };
    memset(count, 0, (size_t)(V + 2) * sizeof(int64_t));
    for (int64_t i = 0; i < n; i++) count[id_at(ids, i) + 2]++;
    for (int64_t v = 2; v <= V; v++) count[v + 1] += count[v];
    for (int64_t i = 0; i < n; i++) s.place[count[id_at(ids, i) + 1]++] = i;
    return s;
}

#define TARN_KERNELS "ops/embedding.inc"
#include "ops/for_each_simd.h"

/* ---- the operation */

static tarn_tensor *embedding_compose(const tarn__call *call)
{
    tarn_shape shape = tarn_get_shape(call->in[1]);
    tarn_tensor *ids = tarn_contiguous(call->in[1]);
    ids = tarn_reshape(ids, TARN_SHAPE(call->in[1]->layout.numel));
    tarn_tensor *rows = tarn_index_select(call->in[0], 0, ids);
    shape.dims[shape.ndim++] = call->in[0]->layout.dims[1];
    return tarn_reshape(rows, shape);
}

const tarn__op tarn__op_embedding = {
    .name = "embedding",
    .operands = { "weight", "ids" },
    .arity = 2,
    .any_dtype = 2,
    .uses = { TARN__USES_IN1, 0 },
    .infer = embedding_infer,
    .forward = TARN__KERNELS(embedding_forward),
    .backward = TARN__KERNELS(embedding_backward),
    .scratch = embedding_scratch,
    .compose = embedding_compose,

};

tarn_tensor *tarn_embedding(tarn_tensor *weight, tarn_tensor *ids)
{
    return tarn__apply2(&tarn__op_embedding, weight, ids, NULL);
}
