/* SPDX-License-Identifier: MIT
 * digits.h - drawn digits in the files and the form of MNIST, for where MNIST is not at hand. */
#ifndef EXAMPLES_DIGITS_H
#define EXAMPLES_DIGITS_H

#include <stdbool.h>
#include <stdint.h>

#include <tarn/tarn.h>

enum { DIGITS_SIDE = 28, DIGITS_PIXELS = DIGITS_SIDE * DIGITS_SIDE };

/* Draws a digit, 0 to 9, as white ink on black. Number `index` of a seed is always the same
 * picture. */
void digits_draw(unsigned char pixels[DIGITS_PIXELS], int digit, uint64_t seed, uint64_t index);

/* Writes n digits to an image file, (n, 28, 28), and a label file, (n), in IDX form; they are
 * numbers first to first + n - 1 of the seed. A dry run makes the tensors for it and writes
 * nothing. False, with the manager holding the error, if that fails. */
bool digits_write(tarn_manager *tm, const char *images, const char *labels, int64_t n,
                  uint64_t seed, uint64_t first);

#endif
