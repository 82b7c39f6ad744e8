/* SPDX-License-Identifier: MIT
 * program_values.c - the memory that a step uses, as values, and what of it calls see, as views.
 *
 * A storage is marked with the recording and the number of its value; one that the recording made,
 * and that has no value yet, bears the number 0. */
#include "autograd/program_record.h"

/* ---- values */

int32_t tarn__program_add_value(tarn__program *p, tarn__value_place place, tarn__storage *storage,
                                void *data, size_t bytes)
{
    tarn__value *v = tarn__program_push(p, &p->values);
    if (v == NULL) return -1;
    const int32_t i = p->values.n - 1;
    *v = (tarn__value){ .storage = storage,
                        .data = data,
                        .bytes = bytes,
                        .first = -1,
                        .last = -1,
                        .views = -1,
                        .home = i,
                        .place = (uint8_t)place };
    if (storage != NULL) storage->recorded = p->mark | (uint64_t)(uint32_t)(i + 1);
    return i;
}

int32_t tarn__program_value_of(tarn__program *p, tarn__storage *storage)
{
    const bool marked = storage->recorded >> 32 == p->mark >> 32;
    const uint32_t number = (uint32_t)storage->recorded;
    if (marked && number != 0) return (int32_t)number - 1;
    if (marked && storage->block == NULL) {
        tarn__program_refuse(p, "it makes a tensor on memory that is not the pool's", true);
        return -1;
    }
    return tarn__program_add_value(p, marked ? TARN__VALUE_INSIDE : TARN__VALUE_OUTSIDE, storage,
                                   storage->data, storage->bytes);
}

/* ---- views */

int32_t tarn__program_add_view(tarn__program *p, int32_t value, size_t offset, const tarn_tensor *t)
{
    int32_t *newest = value < 0 ? NULL : &tarn__value_at(p, value)->views;
    for (int32_t i = newest != NULL ? *newest : -1; i >= 0; i = tarn__view_at(p, i)->next) {
        const tarn__view *known = tarn__view_at(p, i);
        if (known->offset == offset && tarn__same_layout(&known->tensor.layout, &t->layout))
            return i;
    }
    tarn__view *view = tarn__program_push(p, &p->views);
    if (view == NULL) return -1;
    *view = (tarn__view){ .value = value, .next = newest != NULL ? *newest : -1, .offset = offset };
    view->tensor.layout = t->layout;
    view->tensor.manager = p->tm;
    view->tensor.refs = 1;
    if (newest != NULL) *newest = p->views.n - 1;
    return p->views.n - 1;
}

int32_t tarn__program_view_of(tarn__program *p, tarn_tensor *t, bool used)
{
    if (t == NULL) return -1;
    (void)tarn__program_note_handle(p, t);
    if (!used || t->storage == NULL) return tarn__program_add_view(p, -1, 0, t);
    const int32_t value = tarn__program_value_of(p, t->storage);
    if (value < 0) return -1;
    const unsigned char *begin = t->storage->data;
    return tarn__program_add_view(p, value, (size_t)((const unsigned char *)t->data - begin), t);
}

int32_t tarn__program_whole_of(tarn__program *p, int32_t value)
{
    tarn_tensor t = { .layout = { .dtype = TARN_U8, .ndim = 1 } };
    t.layout.dims[0] = (int64_t)tarn__value_at(p, value)->bytes;
    (void)tarn__layout_pack(&t.layout);
    return tarn__program_add_view(p, value, 0, &t);
}
