/* SPDX-License-Identifier: MIT
 * usage.c - the live tensors of a manager, and memory that tensors adopt or give away. */
#include <stdint.h>
#include <string.h>

#include "core/manager.h"
#include "core/pool.h"

typedef struct visitor {
    void (*visit)(void *context, const tarn_tensor_usage *tensor);
    void *context;
    const tarn_manager *tm;
    size_t n;
} visitor;

/* A record that was never used, or is free, has no reference. */
static void visit_record(void *context, void *record)
{
    visitor *v = context;
    const tarn_tensor *t = record;
    if (t->refs == 0 || t->storage == NULL) return;
    tarn_tensor_usage row = {
        .tensor = t,
        .name = t->name != NULL ? t->name : "",
        .shape = { .ndim = t->layout.ndim },
        .dtype = (tarn_dtype)t->layout.dtype,
        .bytes = tarn__bytes(t),
        .is_view = t->is_view,
        .sequence = t->sequence,
        .kind = TARN_KIND_OTHER,
    };
    for (int i = 0; i < t->layout.ndim; i++) row.shape.dims[i] = t->layout.dims[i];
    if (t->storage->block != NULL && v->tm->tags) {
        const tarn__tag *tag = tarn__tag_at(v->tm->pool, t->storage->block->tag);
        row.kind = (tarn_kind)tag->kind;
        memcpy(row.path, tag->path, sizeof(row.path));
        memcpy(row.operation, tag->operation, sizeof(row.operation));
    }
    v->n++;
    if (v->visit != NULL) v->visit(v->context, &row);
}

size_t tarn_manager_each_tensor(const tarn_manager *tm,
                                void (*visit)(void *context, const tarn_tensor_usage *tensor),
                                void *context)
{
    if (tm == NULL) return 0;
    visitor v = { visit, context, tm, 0 };
    tarn__slab_each(&tm->tensors, visit_record, &v);
    return v.n;
}
