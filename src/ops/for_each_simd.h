/* SPDX-License-Identifier: MIT
 * for_each_simd.h - includes the kernels of TARN_KERNELS for float and double, as for_each_float.h
 * does, once for each level of simd.h.
 *
 * NAME(f) is f_f32 at the plain level, f_f32_avx2 and f_f32_avx512 at the others: so it names only
 * what these kernels define themselves. Tables take all of them by TARN__KERNELS(f), or
 * TARN__LEVELS(f_f32). Deliberately without an include guard. */
#include "core/simd.h"

#define TARN__LEVEL_NAME(f) f
#define TARN__LEVEL_BYTES 16
#include "ops/both_floats.h"
#undef TARN__LEVEL_BYTES
#undef TARN__LEVEL_NAME

#if TARN__SIMD_X86

#include "core/target_avx2.h"
#define TARN__LEVEL_NAME(f) f##_avx2
#define TARN__LEVEL_BYTES 32
#include "ops/both_floats.h"
#undef TARN__LEVEL_BYTES
#undef TARN__LEVEL_NAME
#include "core/target_end.h"

#include "core/target_avx512.h"
#define TARN__LEVEL_NAME(f) f##_avx512
#define TARN__LEVEL_BYTES 64
#include "ops/both_floats.h"
#undef TARN__LEVEL_BYTES
#undef TARN__LEVEL_NAME
#include "core/target_end.h"

#endif
#undef TARN_KERNELS
