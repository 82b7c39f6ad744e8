/* SPDX-License-Identifier: MIT
 * fill.h - writing long stretches of memory as fast as the processor can. */
#ifndef TARN_CORE_FILL_H
#define TARN_CORE_FILL_H

#include <stddef.h>

/* Stores an element of `size` bytes (1, 2, 4 or 8) n times. */
void tarn__fill(void *to, size_t n, const void *element, size_t size);

/* Copies between places that do not overlap. */
void tarn__copy(void *to, const void *from, size_t bytes);

#endif
