/* SPDX-License-Identifier: MIT
 * layout.c - element types, shapes and strides. */
#include <stdio.h>

#include "core/size.h"
#include "core/tensor.h"

const char *tarn_dtype_name(tarn_dtype dtype)
{
    switch (dtype) {
#define DTYPE_NAME(code, type, name) \
    case TARN_##code: return name;
        TARN_DTYPE_LIST(DTYPE_NAME)
#undef DTYPE_NAME
    }
    return "unknown";
}

size_t tarn_dtype_size(tarn_dtype dtype)
{
    switch (dtype) {
#define DTYPE_SIZE(code, type, name) \
    case TARN_##code: return sizeof(type);
        TARN_DTYPE_LIST(DTYPE_SIZE)
#undef DTYPE_SIZE
    }
    return 0;
}

tarn_status tarn__layout_pack(tarn__layout *layout)
{
    /* The product of the sizes that are not zero must fit, even if the tensor is empty: strides are
     * made of it. */
    int64_t span = 1;
    bool fits = true, empty = false, negative = false;
    for (int i = layout->ndim - 1; i >= 0; i--) {
        const int64_t d = layout->dims[i];
        layout->strides[i] = span;
        negative = negative || d < 0;
        empty = empty || d == 0;
        fits = tarn__i64_mul(span, d == 0 ? 1 : d, &span) && fits;
    }
    size_t bytes;
    if (negative) return TARN_ESHAPE;
    if (!fits || !tarn__size_mul((size_t)span, tarn__dtype_size(layout->dtype), &bytes) ||
        bytes > PTRDIFF_MAX)
        return TARN_EOVERFLOW;
    layout->numel = empty ? 0 : span;
    layout->contiguous = true;
    return TARN_OK;
}

void tarn__layout_refresh(tarn__layout *layout)
{
    int64_t numel = 1;
    bool contiguous = true;
    for (int i = layout->ndim - 1; i >= 0; i--) {
        if (layout->dims[i] != 1 && layout->strides[i] != numel) contiguous = false;
        numel *= layout->dims[i]; /* of an existing tensor, or checked by the shape rule */
    }
    layout->numel = numel;
    layout->contiguous = contiguous || numel == 0;
}

tarn_status tarn__layout_make(tarn__layout *layout, tarn_dtype dtype, const tarn_shape *shape)
{
    if (tarn_dtype_size(dtype) == 0) return TARN_EDTYPE;
    if (shape->ndim < 0) return TARN_EARG;
    if (shape->ndim > TARN_MAX_DIMS) return TARN_ELIMIT;
    layout->ndim = (uint8_t)shape->ndim;
    layout->dtype = (uint8_t)dtype;
    for (int i = 0; i < shape->ndim; i++) layout->dims[i] = shape->dims[i];
    return tarn__layout_pack(layout);
}

bool tarn__same_shape(const tarn__layout *a, const tarn__layout *b)
{
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

int tarn__axis(const tarn__layout *layout, int axis)
{
    const int n = layout->ndim;
    if (axis < -n || axis >= n) return -1;
    return axis < 0 ? axis + n : axis;
}

const char *tarn__describe_layout(const tarn__layout *layout, char text[TARN__DESCRIPTION_BYTES])
{
    int n = snprintf(text, TARN__DESCRIPTION_BYTES, "[");
    for (int i = 0; i < layout->ndim; i++)
        n += snprintf(text + n, TARN__DESCRIPTION_BYTES - (size_t)n, i == 0 ? "%lld" : ",%lld",
                      (long long)layout->dims[i]);
    (void)snprintf(text + n, TARN__DESCRIPTION_BYTES - (size_t)n, "]");
    return text;
}
