/* SPDX-License-Identifier: MIT
 * for_each_float.h - includes the kernels of TARN_KERNELS once for float and once for double.
 *
 * Inside, REAL is the element type and NAME(f) is f_f32 or f_f64. <tgmath.h> picks the C library's
 * function by the type of its argument; constants are written as integers or REAL_C(0.5), so that
 * float arithmetic stays float. Deliberately without an include guard. */
#define TARN__LEVEL_NAME(f) f
#include "ops/both_floats.h"
#undef TARN__LEVEL_NAME
#undef TARN_KERNELS
