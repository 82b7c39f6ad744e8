/* SPDX-License-Identifier: MIT
 * real.h - functions of real numbers that the formulas of several operations share. Like those of
 * <tgmath.h>, which come with it, they take the type of their argument: sign(x) of a float is a
 * float. */
#ifndef TARN_OPS_REAL_H
#define TARN_OPS_REAL_H

#include <stdint.h>
#include <tgmath.h>

/* Constants, to the precision of double. */
#define ROOT_HALF 0.70710678118654752440       /* 1 / sqrt(2) */
#define ROOT_HALF_BY_PI 0.79788456080286535588 /* sqrt(2 / pi) */
#define TWO_BY_ROOT_PI 1.12837916709551257390  /* 2 / sqrt(pi) */

/* The argument u = x (A + B x^2) = 2 sqrt(2 / pi) (x + 0.044715 x^3) of gelu's approximation
 * x sigmoid(u), which is x (1 + tanh(u / 2)) / 2 (Hendrycks and Gimpel, Gaussian Error Linear
 * Units). */
#define GELU_A (2 * ROOT_HALF_BY_PI)
#define GELU_B (2 * ROOT_HALF_BY_PI * 0.044715)

#define TARN_KERNELS "ops/real.inc"
#include "ops/for_each_float.h"

#define BY_TYPE(f, x) _Generic((x), float : f##_f32, double : f##_f64)

#define sign(x) BY_TYPE(sign, x)(x)
#define sigmoid(x, e) BY_TYPE(sigmoid, x)(x, e)
#define softplus(x, l) BY_TYPE(softplus, x)(x, l)
#define share(x, f) BY_TYPE(share, x)(x, f)
#define share_slope(x, f, df) BY_TYPE(share_slope, x)(x, f, df)
#define gated_slope(x, u, e, du) BY_TYPE(gated_slope, x)(x, u, e, du)
#define gelu_z(x) BY_TYPE(gelu_z, x)(x)
#define gelu_u(x) BY_TYPE(gelu_u, x)(x)
#define gelu_u_slope(x) BY_TYPE(gelu_u_slope, x)(x)
#define larger(a, b) BY_TYPE(larger, a)(a, b)
#define smaller(a, b) BY_TYPE(smaller, a)(a, b)
#define if_larger(g, a, b) BY_TYPE(if_larger, g)(g, a, b)

#endif
