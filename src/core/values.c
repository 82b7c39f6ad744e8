/* SPDX-License-Identifier: MIT
 * values.c - reading and writing elements from outside. */
#include "core/values.h"

#include <math.h>
#include <string.h>

#include "core/assert.h"
#include "core/fill.h"
#include "core/manager.h"
#include "core/observer.h"

/* ---- single elements */

double tarn__load(const void *element, tarn_dtype dtype)
{
    switch (dtype) {
#define LOAD(code, type, name) \
    case TARN_##code: return (double)*(const type *)element;
        TARN_DTYPE_LIST(LOAD)
#undef LOAD
    }
    return NAN;
}

void tarn__store(void *element, tarn_dtype dtype, double value)
{
    switch (dtype) {
    case TARN_F32: *(float *)element = (float)value; break;
    case TARN_F64: *(double *)element = value; break;
    case TARN_I32:
        *(int32_t *)element = (int32_t)tarn__saturate(value, INT32_MIN, INT32_MAX);
        break;
    case TARN_I64: *(int64_t *)element = tarn__saturate(value, INT64_MIN, INT64_MAX); break;
    case TARN_U8: *(uint8_t *)element = (uint8_t)tarn__saturate(value, 0, UINT8_MAX); break;
    }
}

int64_t tarn__offset_of(const tarn__layout *layout, int64_t i)
{
    if (layout->contiguous) return i;
    int64_t offset = 0;
    for (int axis = layout->ndim - 1; axis >= 0; axis--) {
        offset += i % layout->dims[axis] * layout->strides[axis];
        i /= layout->dims[axis];
    }
    return offset;
}

bool tarn__is_expanded(const tarn__layout *layout)
{
    for (int i = 0; i < layout->ndim; i++)
        if (layout->strides[i] == 0 && layout->dims[i] > 1) return true;
    return false;
}

/* ---- access */

const void *tarn_data(tarn_tensor *t)
{
    if (t == NULL || !tarn__readable(t, "tarn_data")) return NULL;
    tarn__observe_refusal(t->manager, "it reads elements with tarn_data");
    tarn__materialize(t);
    return t->data;
}

/* Whether t may be written now; the error is held otherwise. */
static tarn_status check_writable(const tarn_tensor *t, const char *writer)
{
    if (!tarn__readable(t, writer)) return TARN_ESTALE;
    if (t->storage->read_only) {
        char name[TARN__DESCRIPTION_BYTES];
        return tarn__fail(t->manager, TARN_ESTATE, "%s: %s is frozen", writer,
                          tarn__describe(t, name));
    }
    const bool trained = t->owner == TARN__OWNER_OBJECT || (t->requires_grad && t->node == NULL);
    if (trained && !tarn_ok(t->manager)) return t->manager->error;
    if (!tarn__is_expanded(&t->layout)) return TARN_OK;
    char text[TARN__DESCRIPTION_BYTES];
    return tarn__fail(
        t->manager, TARN_ESTATE,
        "%s: in the expanded view %s one element stands for several: write to what it "
        "was made from, or copy it with tarn_contiguous",
        writer, tarn__describe(t, text));
}

void *tarn_data_mut(tarn_tensor *t)
{
    if (t == NULL || check_writable(t, "tarn_data_mut") != TARN_OK) return NULL;
    tarn__observe_refusal(t->manager, "it reaches for elements with tarn_data_mut");
    tarn__touch(t, false);
    return t->data;
}

double tarn_item(tarn_tensor *t)
{
    if (t == NULL || !tarn__readable(t, "tarn_item")) return NAN;
    if (t->layout.numel != 1) {
        char text[TARN__DESCRIPTION_BYTES];
        (void)tarn__fail(t->manager, TARN_ESHAPE, "tarn_item: %s has %lld elements, not one",
                         tarn__describe(t, text), (long long)t->layout.numel);
        return NAN;
    }
    tarn__observe_refusal(t->manager, "it reads an element with tarn_item");
    tarn__materialize(t);
    return tarn__load(t->data, (tarn_dtype)t->layout.dtype);
}

/* ---- rows */

/* A walk over a tensor that is not empty: n elements, `step` elements apart, at a time. */
typedef struct rows {
    const tarn__layout *layout;
    int64_t n, step;
    size_t size; /* bytes of an element */
    int64_t place[TARN_MAX_DIMS];
    unsigned char *at; /* the first element of the row */
} rows;

/* A row is the last axis, or all of a tensor without gaps. */
static rows rows_of(const tarn_tensor *t)
{
    const tarn__layout *layout = &t->layout;
    const size_t size = tarn_dtype_size((tarn_dtype)layout->dtype);
    rows r = { .layout = layout, .n = layout->numel, .step = 1, .size = size, .at = t->data };
    if (!layout->contiguous) {
        r.n = layout->dims[layout->ndim - 1];
        r.step = layout->strides[layout->ndim - 1];
    }
    return r;
}

/* Goes to the next row; false if there is none. */
static bool next_row(rows *r)
{
    const tarn__layout *layout = r->layout;
    if (layout->contiguous) return false;
    for (int axis = layout->ndim - 2; axis >= 0; axis--) {
        const int64_t stride = layout->strides[axis] * (int64_t)r->size;
        if (++r->place[axis] < layout->dims[axis]) {
            r->at += stride;
            return true;
        }
        r->at -= (layout->dims[axis] - 1) * stride;
        r->place[axis] = 0;
    }
    return false;
}

/* Copies n elements of `size` bytes, which need not be aligned for their type. */
static void copy_row(size_t size, int64_t n, unsigned char *to, int64_t to_step,
                     const unsigned char *from, int64_t from_step)
{
    if (to_step == 1 && from_step == 1) {
        tarn__copy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
#define COPY(bytes)                                                                    \
    case bytes:                                                                        \
        for (int64_t i = 0; i < n; i++)                                                \
            memcpy(to + i * to_step * (bytes), from + i * from_step * (bytes), bytes); \
        break;
        COPY(1)
        COPY(4)
        COPY(8)
#undef COPY
    default: TARN_ASSERT(size == 1 || size == 4 || size == 8);
    }
}

/* Stores one value n times. */
static void fill_row(void *row, tarn_dtype dtype, int64_t n, int64_t step, double value)
{
    switch (dtype) {
#define FILL(code, type, name)                                               \
    case TARN_##code: {                                                      \
        type element, *to = row;                                             \
        tarn__store(&element, dtype, value);                                 \
        if (step == 1) tarn__fill(to, (size_t)n, &element, sizeof(element)); \
        else                                                                 \
            for (int64_t i = 0; i < n; i++) to[i * step] = element;          \
        break;                                                               \
    }
        TARN_DTYPE_LIST(FILL)
#undef FILL
    }
}

/* ---- whole tensors */

/* Checks an exchange with an array of `bytes` bytes. */
static tarn_status check_array(const tarn_tensor *t, const void *values, size_t bytes,
                               const char *caller)
{
    if (bytes == tarn__bytes(t) && (values != NULL || bytes == 0)) return TARN_OK;
    char text[TARN__DESCRIPTION_BYTES];
    return tarn__fail(t->manager, TARN_EARG, "%s: %s holds %zu bytes, the array %zu%s", caller,
                      tarn__describe(t, text), tarn__bytes(t), bytes,
                      values == NULL ? "; it is NULL" : "");
}

tarn_status tarn_copy_from(tarn_tensor *t, const void *values, size_t bytes)
{
    if (t == NULL) return TARN_EARG;
    tarn_status status = check_writable(t, "tarn_copy_from");
    if (status == TARN_OK) status = check_array(t, values, bytes, "tarn_copy_from");
    if (status != TARN_OK || bytes == 0) return status;
    tarn__observe_refusal(t->manager, "it writes elements with tarn_copy_from");
    tarn__touch(t, bytes == t->storage->bytes);
    if (t->manager->dry) return TARN_OK;
    const unsigned char *from = values;
    rows r = rows_of(t);
    do {
        copy_row(r.size, r.n, r.at, r.step, from, 1);
        from += (size_t)r.n * r.size;
    } while (next_row(&r));
    return TARN_OK;
}

tarn_status tarn_copy_to(tarn_tensor *t, void *values, size_t bytes)
{
    if (t == NULL) return TARN_EARG;
    if (!tarn__readable(t, "tarn_copy_to")) return TARN_ESTALE;
    const tarn_status status = check_array(t, values, bytes, "tarn_copy_to");
    if (status != TARN_OK || bytes == 0) return status;
    tarn__observe_refusal(t->manager, "it reads elements with tarn_copy_to");
    tarn__materialize(t);
    unsigned char *to = values;
    rows r = rows_of(t);
    do {
        copy_row(r.size, r.n, to, 1, r.at, r.step);
        to += (size_t)r.n * r.size;
    } while (next_row(&r));
    return TARN_OK;
}

tarn_status tarn_fill_with(tarn_tensor *t, double value)
{
    if (t == NULL) return TARN_EARG;
    const tarn_status status = check_writable(t, "tarn_fill_with");
    if (status != TARN_OK || t->layout.numel == 0) return status;
    tarn__touch(t, tarn__bytes(t) == t->storage->bytes);
    if (t->manager->dry) return TARN_OK;
    rows r = rows_of(t);
    do fill_row(r.at, (tarn_dtype)t->layout.dtype, r.n, r.step, value);
    while (next_row(&r));
    tarn__observe_constant(t);
    return TARN_OK;
}
