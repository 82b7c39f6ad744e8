/* SPDX-License-Identifier: MIT
 * for_each_float.h - includes the kernels of TARN_KERNELS once for float and once for double.
 *
 * Inside, REAL is the element type and NAME(f) is f_f32 or f_f64. <tgmath.h> picks the C library's
 * function by the type of its argument; constants are written as integers or REAL_C(0.5), so that
 * float arithmetic stays float. Deliberately without an include guard. */
#define REAL float
#define REAL_IS_F32 1
#define REAL_C(x) x##f
#define NAME(f) f##_f32
#include TARN_KERNELS
#undef REAL
#undef REAL_IS_F32
#undef REAL_C
#undef NAME

#define REAL double
#define REAL_IS_F32 0
#define REAL_C(x) x
#define NAME(f) f##_f64
#include TARN_KERNELS
#undef REAL
#undef REAL_IS_F32
#undef REAL_C
#undef NAME
#undef TARN_KERNELS
