/* SPDX-License-Identifier: MIT
 * values.c - reading and writing elements from outside. */
#include "core/values.h"

#include <math.h>
#include <string.h>

#include "core/manager.h"

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

static int64_t saturate(double value, int64_t low, int64_t high)
{
    if (value != value) return 0;
    if (value <= (double)low) return low;
    return value >= (double)high ? high : (int64_t)value;
}

void tarn__store(void *element, tarn_dtype dtype, double value)
{
    switch (dtype) {
    case TARN_F32: *(float *)element = (float)value; break;
    case TARN_F64: *(double *)element = value; break;
    case TARN_I32: *(int32_t *)element = (int32_t)saturate(value, INT32_MIN, INT32_MAX); break;
    case TARN_I64: *(int64_t *)element = saturate(value, INT64_MIN, INT64_MAX); break;
    case TARN_U8: *(uint8_t *)element = (uint8_t)saturate(value, 0, UINT8_MAX); break;
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
    tarn__materialize(t);
    return t->data;
}

/* Whether t may be written now; the error is held otherwise. */
static tarn_status check_writable(const tarn_tensor *t, const char *writer)
{
    if (!tarn__readable(t, writer)) return TARN_ESTALE;
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
    tarn__materialize(t);
    return tarn__load(t->data, (tarn_dtype)t->layout.dtype);
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
    tarn__touch(t, bytes == t->storage->block.bytes);
    if (t->layout.contiguous) {
        memcpy(t->data, values, bytes);
        return TARN_OK;
    }
    const size_t step = tarn_dtype_size((tarn_dtype)t->layout.dtype);
    for (int64_t i = 0; i < t->layout.numel; i++)
        memcpy((unsigned char *)t->data + (size_t)tarn__offset_of(&t->layout, i) * step,
               (const unsigned char *)values + (size_t)i * step, step);
    return TARN_OK;
}

tarn_status tarn_copy_to(tarn_tensor *t, void *values, size_t bytes)
{
    if (t == NULL) return TARN_EARG;
    if (!tarn__readable(t, "tarn_copy_to")) return TARN_ESTALE;
    const tarn_status status = check_array(t, values, bytes, "tarn_copy_to");
    if (status != TARN_OK || bytes == 0) return status;
    tarn__materialize(t);
    if (t->layout.contiguous) {
        memcpy(values, t->data, bytes);
        return TARN_OK;
    }
    const size_t step = tarn_dtype_size((tarn_dtype)t->layout.dtype);
    for (int64_t i = 0; i < t->layout.numel; i++)
        memcpy((unsigned char *)values + (size_t)i * step,
               (const unsigned char *)t->data + (size_t)tarn__offset_of(&t->layout, i) * step,
               step);
    return TARN_OK;
}

tarn_status tarn_fill_with(tarn_tensor *t, double value)
{
    if (t == NULL) return TARN_EARG;
    const tarn_status status = check_writable(t, "tarn_fill_with");
    if (status != TARN_OK || t->layout.numel == 0) return status;
    tarn__touch(t, tarn__bytes(t) == t->storage->block.bytes);
    const tarn_dtype dtype = (tarn_dtype)t->layout.dtype;
    const size_t step = tarn_dtype_size(dtype);
    unsigned char *data = t->data;
    if (t->layout.contiguous) {
        unsigned char element[sizeof(double)];
        tarn__store(element, dtype, value);
        for (int64_t i = 0; i < t->layout.numel; i++)
            memcpy(data + (size_t)i * step, element, step);
        return TARN_OK;
    }
    for (int64_t i = 0; i < t->layout.numel; i++)
        tarn__store(data + (size_t)tarn__offset_of(&t->layout, i) * step, dtype, value);
    return TARN_OK;
}
