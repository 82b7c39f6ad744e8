/* SPDX-License-Identifier: MIT
 * target_end.h - ends what target_avx2.h or target_avx512.h began. Deliberately without an include
 * guard. */
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
