/* SPDX-License-Identifier: MIT
 * tensor.c - handles and storages: how they come and go, and what they say of themselves. */
#include "core/tensor.h"

#include <stdio.h>
#include <string.h>

#include "core/assert.h"
#include "core/manager.h"
#include "core/observer.h"
#include "core/storage.h"

/* ---- handles */

void tarn__tensor_cancel(tarn_tensor *t) { tarn__slab_give(&t->manager->tensors, t); }

/* Sets everything but manager and layout. */
static inline tarn_tensor *complete(tarn_tensor *t, tarn__storage *storage, void *data)
{
    t->data = data;
    t->storage = storage;
    t->refs = 1;
    t->retains = t->saves = t->scope = t->target = 0;
    t->owner = TARN__OWNER_NONE;
    t->ended_by = TARN__ALIVE;
    t->is_view = t->kept = t->requires_grad = t->graph_freed = t->frozen = false;
    t->grad_state = TARN__GRAD_EMPTY;
    t->node = NULL;
    t->grad = NULL;
    t->hooks = NULL;
    t->name = NULL;
    t->prev = t->next = NULL;
    t->sequence = ++t->manager->sequence;
    storage->refs++;
    return t;
}

tarn_tensor *tarn__tensor_complete(tarn_tensor *t, tarn_fill fill, uint32_t tag)
{
    tarn_manager *tm = t->manager;
    const size_t bytes = tarn__bytes(t);
    tarn__storage *storage = tarn__storage_new(tm, bytes, tag);
    if (storage == NULL) {
        tarn__tensor_cancel(t);
        (void)tarn__fail_memory(tm, tm->label != NULL ? tm->label : "tensor", bytes);
        return NULL;
    }
    storage->zero_pending = fill == TARN_ZEROED;
    complete(t, storage, storage->data);
    if (tm->zero_at_once) tarn__materialize(t);
    return t;
}

tarn_tensor *tarn__tensor_complete_view(tarn_tensor *t, tarn_tensor *base, int64_t offset)
{
    const size_t step = tarn_dtype_size((tarn_dtype)base->layout.dtype);
    if (t->manager->observer != NULL) t->manager->observer->view(t->manager, base);
    complete(t, base->storage, (unsigned char *)base->data + (size_t)offset * step);
    t->is_view = true;
    t->manager->stats.views++;
    return t;
}

tarn_tensor *tarn__tensor_try(tarn_manager *tm, const tarn__layout *layout, uint32_t tag)
{
    tarn_tensor *t = tarn__slab_take(&tm->tensors);
    if (t == NULL) return NULL;
    t->manager = tm;
    t->layout = *layout;
    tarn__storage *storage = tarn__storage_new_slowly(tm, tarn__bytes(t), tag);
    if (storage != NULL) return complete(t, storage, storage->data);
    tarn__tensor_cancel(t);
    return NULL;
}

tarn_tensor *tarn__tensor_new_tagged(tarn_manager *tm, const tarn__layout *layout, tarn_fill fill,
                                     uint32_t tag)
{
    tarn_tensor *t = tarn__tensor_begin(tm);
    if (t == NULL) return NULL;
    t->layout = *layout;
    return tarn__tensor_complete(t, fill, tag);
}

tarn_tensor *tarn__tensor_new(tarn_manager *tm, const tarn__layout *layout, tarn_fill fill)
{
    return tarn__tensor_new_tagged(tm, layout, fill, tarn__tag_here(tm));
}

tarn_tensor *tarn__tensor_view(tarn_tensor *base, const tarn__layout *layout, int64_t offset)
{
    tarn_tensor *t = tarn__tensor_begin(base->manager);
    if (t == NULL) return NULL;
    t->layout = *layout;
    return tarn__tensor_complete_view(t, base, offset);
}

/* A handle on a storage that nothing else refers to, and that goes with it on failure; memory that
 * it adopted is then its caller's again. */
static tarn_tensor *handle_on(tarn_manager *tm, const tarn__layout *layout, tarn__storage *storage,
                              void *data)
{
    tarn_tensor *t = tarn__tensor_begin(tm);
    if (t == NULL) {
        tarn__slab_give(&tm->storages, storage);
        return NULL;
    }
    t->layout = *layout;
    return complete(t, storage, data);
}

tarn_tensor *tarn__tensor_adopt(tarn_manager *tm, const tarn__layout *layout, void *data,
                                size_t bytes, void (*free_memory)(void *context, void *data),
                                void *context)
{
    tarn__storage *storage = tarn__storage_take(tm);
    if (storage == NULL) {
        (void)tarn__fail_memory(tm, "tensor", sizeof(*storage));
        return NULL;
    }
    storage->block = NULL;
    storage->data = data;
    storage->bytes = bytes;
    storage->free_memory = free_memory;
    storage->context = context;
    tarn_tensor *t = handle_on(tm, layout, storage, data);
    if (t != NULL) tarn__storage_adopted(tm, bytes);
    return t;
}

tarn_tensor *tarn__tensor_borrow(tarn_manager *tm, const tarn_tensor *frozen)
{
    tarn__storage *storage = tarn__storage_take(tm);
    if (storage == NULL) {
        (void)tarn__fail_memory(tm, "tensor", sizeof(*storage));
        return NULL;
    }
    storage->block = NULL;
    storage->read_only = true;
    storage->data = frozen->storage->data;
    storage->bytes = frozen->storage->bytes;
    storage->borrowed = true;
    return handle_on(tm, &frozen->layout, storage, frozen->data);
}

static void let_storage_go(tarn_tensor *t)
{
    if (t->storage == NULL) return;
    tarn__storage_unref(t->manager, t->storage);
    t->storage = NULL;
    t->data = NULL;
}

void tarn__unref_last(tarn_tensor *t)
{
    if (t->refs > 0) {
        t->manager->recorder->orphan(t);
        return;
    }
    TARN_ASSERT(t->saves == 0 && t->retains == 0);
    tarn_manager *tm = t->manager;
    let_storage_go(t);
    if (t->grad != NULL) tarn__tensor_end(t->grad, TARN__ENDED_BY_RELEASE);
    if (t->hooks != NULL) tarn__hooks_end(t);
    if (t->name != NULL) tarn__slab_give(&tm->names, t->name);
    if (t->ended_by == TARN__ALIVE) t->ended_by = TARN__ENDED_BY_RELEASE;
    t->name = NULL; /* a stale handle may still be asked who ended it */
    if (tm->reuse_handles) tarn__slab_give(&tm->tensors, t);
    else tm->tensors.taken--; /* full checking: the slot stays, so that whoever asks is told */
}

void tarn__hooks_end(tarn_tensor *t)
{
    while (t->hooks != NULL) {
        tarn__hook *hook = t->hooks;
        t->hooks = hook->next;
        if (hook == t->manager->next_hook) t->manager->next_hook = NULL;
        tarn__record_give(t->manager, hook, sizeof(*hook));
    }
}

void tarn__tensor_spend(tarn_tensor *t)
{
    if (t->ended_by == TARN__ALIVE) t->ended_by = TARN__ENDED_BY_BACKWARD;
    if (t->saves == 0) let_storage_go(t);
}

void tarn__unsave(tarn_tensor *t)
{
    TARN_ASSERT(t->saves > 0);
    if (--t->saves == 0 && t->ended_by != TARN__ALIVE) let_storage_go(t);
}

/* ---- elements */

void tarn__materialize_zeros(tarn_tensor *t)
{
    tarn__storage *storage = t->storage;
    storage->zero_pending = false;
    if (t->manager->observer != NULL) t->manager->observer->zero(t->manager, t);
    if (t->manager->dry) return;
    if (storage->block != NULL) tarn__block_zero(t->manager->cache, storage->block);
    else memset(storage->data, 0, storage->bytes);
}

void tarn__make_zero(tarn_tensor *t)
{
    if (t->storage->block != NULL) tarn__block_mark_dirty(t->storage->block);
    t->storage->zero_pending = true;
    t->storage->version++;
    if (t->manager->observer != NULL) t->manager->observer->empty(t->manager, t);
}

void tarn__tell_touched(tarn_tensor *t) { t->manager->observer->touch(t->manager, t); }

bool tarn__readable(const tarn_tensor *t, const char *reader)
{
    if (t->ended_by == TARN__ALIVE) return true;
    static const char *const by[] = {
        [TARN__ALIVE] = "",
        [TARN__ENDED_BY_BACKWARD] =
            "was given back by tarn_backward: keep it with tarn_keep before, "
            "or read it before",
        [TARN__ENDED_BY_RELEASE] = "was ended by tarn_release",
        [TARN__ENDED_BY_SCOPE] =
            "ended with its scope: move it out with tarn_escape, or hold it with "
            "tarn_retain",
        [TARN__ENDED_BY_OWNER] =
            "was let go by the module, loader or leaf it belonged to: hold it with tarn_retain",
    };
    char text[TARN__DESCRIPTION_BYTES];
    (void)tarn__fail(t->manager, TARN_ESTALE, "%s: tensor %s %s", reader, tarn__describe(t, text),
                     by[t->ended_by]);
    return false;
}

const char *tarn__describe(const tarn_tensor *t, char text[TARN__DESCRIPTION_BYTES])
{
    char shape[TARN__DESCRIPTION_BYTES];
    tarn__describe_layout(&t->layout, shape);
    if (t->name == NULL) {
        memcpy(text, shape, sizeof(shape));
        return text;
    }
    const int n = snprintf(text, TARN__DESCRIPTION_BYTES, "\"%s\" ", t->name);
    (void)snprintf(text + n, TARN__DESCRIPTION_BYTES - (size_t)n, "%.180s", shape);
    return text;
}

/* ---- questions */

static bool speaks(const tarn_tensor *t) { return t != NULL && t->ended_by == TARN__ALIVE; }

tarn_shape tarn_get_shape(const tarn_tensor *t)
{
    tarn_shape shape = { 0 };
    if (!speaks(t)) return shape;
    shape.ndim = t->layout.ndim;
    for (int i = 0; i < shape.ndim; i++) shape.dims[i] = t->layout.dims[i];
    return shape;
}

int tarn_ndim(const tarn_tensor *t) { return speaks(t) ? t->layout.ndim : 0; }

int64_t tarn_dim(const tarn_tensor *t, int axis)
{
    const int i = speaks(t) ? tarn__axis(&t->layout, axis) : -1;
    return i < 0 ? 0 : t->layout.dims[i];
}

int64_t tarn_stride(const tarn_tensor *t, int axis)
{
    const int i = speaks(t) ? tarn__axis(&t->layout, axis) : -1;
    return i < 0 ? 0 : t->layout.strides[i];
}

int64_t tarn_numel(const tarn_tensor *t) { return speaks(t) ? t->layout.numel : 0; }

tarn_dtype tarn_get_dtype(const tarn_tensor *t)
{
    return speaks(t) ? (tarn_dtype)t->layout.dtype : TARN_F32;
}

bool tarn_is_contiguous(const tarn_tensor *t) { return speaks(t) && t->layout.contiguous; }

tarn_manager *tarn_manager_of(const tarn_tensor *t) { return t != NULL ? t->manager : NULL; }

const char *tarn_name(const tarn_tensor *t) { return speaks(t) && t->name != NULL ? t->name : ""; }

tarn_tensor *tarn_set_name(tarn_tensor *t, const char *name)
{
    if (t == NULL || name == NULL || !tarn__readable(t, "tarn_set_name")) return t;
    if (t->name == NULL) t->name = tarn__slab_take(&t->manager->names);
    if (t->name == NULL) {
        (void)tarn__fail_memory(t->manager, "tarn_set_name", TARN__TENSOR_NAME_BYTES);
        return t;
    }
    const char *end = memchr(name, '\0', TARN__TENSOR_NAME_BYTES - 1);
    const size_t n = end != NULL ? (size_t)(end - name) : TARN__TENSOR_NAME_BYTES - 1;
    memmove(t->name, name, n); /* name may be this tensor's own */
    t->name[n] = '\0';
    for (char *c = t->name; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?'; /* messages are one line */
    return t;
}
