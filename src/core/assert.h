/* SPDX-License-Identifier: MIT
 * assert.h - assertions of tarn's own invariants: in debug builds only, and never about a caller's
 * data. */
#ifndef TARN_CORE_ASSERT_H
#define TARN_CORE_ASSERT_H

#ifdef NDEBUG
#define TARN_ASSERT(condition) ((void)0)
#else
#include <assert.h>
#define TARN_ASSERT(condition) assert(condition)
#endif

#endif
