/* SPDX-License-Identifier: MIT
 * both_floats.h - the kernels of TARN_KERNELS for float and for double, at one level of simd.h.
 * For for_each_float.h and for_each_simd.h only, and so without an include guard. */
#define REAL float
#define REAL_IS_F32 1
#define REAL_C(x) x##f
#define NAME(f) TARN__LEVEL_NAME(f##_f32)
#include TARN_KERNELS
#undef REAL
#undef REAL_IS_F32
#undef REAL_C
#undef NAME

#define REAL double
#define REAL_IS_F32 0
#define REAL_C(x) x
#define NAME(f) TARN__LEVEL_NAME(f##_f64)
#include TARN_KERNELS
#undef REAL
#undef REAL_IS_F32
#undef REAL_C
#undef NAME
