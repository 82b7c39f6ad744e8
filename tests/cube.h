/* SPDX-License-Identifier: MIT
 * cube.h - y = x^3 as an operation of a program's own, in both types of floats. */
#ifndef TARN_TESTS_CUBE_H
#define TARN_TESTS_CUBE_H

#include <tarn/custom.h>

/* It differentiates any number of times, and asserts that it gets what it asked for. */
extern const tarn_custom_options cube_options;

#endif
