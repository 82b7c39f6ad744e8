/* SPDX-License-Identifier: MIT
 * values.h - single elements of any type, and walks over the elements of a strided tensor. */
#ifndef TARN_CORE_VALUES_H
#define TARN_CORE_VALUES_H

#include "core/tensor.h"

/* The element as a double (64-bit integers are rounded). */
double tarn__load(const void *element, tarn_dtype dtype);

/* The value as an integer of a range: truncates towards zero and saturates; NaN becomes 0.
 * ((double)INT64_MAX is 2^63, which is already too large.) */
static inline int64_t tarn__saturate(double value, int64_t low, int64_t high)
{
    if (value != value) return 0;
    if (value <= (double)low) return low;
    return value >= (double)high ? high : (int64_t)value;
}

/* Stores a double: truncates towards zero and saturates for integers, NaN becomes 0. */
void tarn__store(void *element, tarn_dtype dtype, double value);

/* The offset, in elements, of element i (last axis fastest) of a layout. */
int64_t tarn__offset_of(const tarn__layout *layout, int64_t i);

/* True if the same element stands for several indices. */
bool tarn__is_expanded(const tarn__layout *layout);

#endif
