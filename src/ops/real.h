/* SPDX-License-Identifier: MIT
 * real.h - functions of real numbers that the formulas of several operations share. Like those of
 * <tgmath.h>, which come with it, they take the type of their argument: sign(x) of a float is a
 * float. */
#ifndef TARN_OPS_REAL_H
#define TARN_OPS_REAL_H

#include <stdint.h>
#include <tgmath.h>

#define TARN_KERNELS "ops/real.inc"
#include "ops/for_each_float.h"

#define BY_TYPE(f, x) _Generic((x), float : f##_f32, double : f##_f64)

#define sign(x) BY_TYPE(sign, x)(x)
#define sigmoid(x) BY_TYPE(sigmoid, x)(x)
#define power(x, s) BY_TYPE(power, x)(x, s)
#define power_dx(g, x, s) BY_TYPE(power_dx, g)(g, x, s)
#define power_ds(g, x, s, y) BY_TYPE(power_ds, g)(g, x, s, y)
#define larger(a, b) BY_TYPE(larger, a)(a, b)
#define smaller(a, b) BY_TYPE(smaller, a)(a, b)
#define if_larger(g, a, b) BY_TYPE(if_larger, g)(g, a, b)

#endif
