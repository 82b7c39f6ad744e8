/* SPDX-License-Identifier: MIT
 * target_avx2.h - from here to target_end.h functions are compiled for the level AVX2 of simd.h.
 * Deliberately without an include guard. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
