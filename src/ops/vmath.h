/* SPDX-License-Identifier: MIT
 * vmath.h - exp, log and their like of many numbers at once: the one door to SLEEF.
 *
 *     tarn__exp_f32(n, y, x)           y = e^x at the plain level, by the C library
 *     tarn__exp_f32_avx2(n, y, x)      and at the others of simd.h, in their vectors: by SLEEF,
 *                                      and of floats by functions of our own (vmath_float.inc)
 *     tarn__exp_f32_avx512(n, y, x)
 *
 * and so for double (f64) and for the other functions of TARN__VMATH_LIST; and of two operands
 * tarn__pow_f32(n, y, x, s), y = x^s. Each kernel calls those
 * of its own level: inside the files of for_each_simd.h, NAME(tarn__exp)(n, y, x). y may be x, else
 * they do not overlap; n may be 0.
 *
 * The result of a number does not depend on its place, nor on n, nor on what else is in x: what is
 * left over at the end goes through the same vectors. Both levels with vectors give the same bits,
 * but those of a NaN (SLEEF's functions with FMA are made for that, and so are ours); those of the
 * C library differ.
 *
 * Errors are at most 1 unit in the last place, of erfc 1.5 and of a float's 4 (test_vmath.c); NaN,
 * infinities, zeros with their signs, numbers below the normal ones and all huge ones are what the
 * C standard wants of these functions, but nothing raises exceptions. A build without SLEEF
 * (TARN_SLEEF=OFF, or none was found) has the C library's at every level, and so have processors
 * that are not x86. */
#ifndef TARN_OPS_VMATH_H
#define TARN_OPS_VMATH_H

#include <stdint.h>

#include "core/simd.h"

#define TARN__VMATH_LIST(X) X(exp) X(expm1) X(log) X(log1p) X(tanh) X(sin) X(cos) X(erf) X(erfc)

#define TARN__VMATH_DECLARE_AT(f, type, real, level) \
    void tarn__##f##_##type##level(int64_t n, real *y, const real *x);
#if TARN__SIMD_X86
#define TARN__VMATH_DECLARE(f, type, real)       \
    TARN__VMATH_DECLARE_AT(f, type, real, )      \
    TARN__VMATH_DECLARE_AT(f, type, real, _avx2) \
    TARN__VMATH_DECLARE_AT(f, type, real, _avx512)
#else
#define TARN__VMATH_DECLARE(f, type, real) TARN__VMATH_DECLARE_AT(f, type, real, )
#endif
#define TARN__VMATH_DECLARE_BOTH(f) \
    TARN__VMATH_DECLARE(f, f32, float) TARN__VMATH_DECLARE(f, f64, double)
TARN__VMATH_LIST(TARN__VMATH_DECLARE_BOTH)
#undef TARN__VMATH_DECLARE_AT
#define TARN__VMATH_DECLARE_AT(f, type, real, level) \
    void tarn__##f##_##type##level(int64_t n, real *y, const real *x, const real *s);
TARN__VMATH_DECLARE_BOTH(pow)
#undef TARN__VMATH_DECLARE_BOTH
#undef TARN__VMATH_DECLARE
#undef TARN__VMATH_DECLARE_AT

#endif
