/* SPDX-License-Identifier: MIT
 * checkers.h - tells AddressSanitizer and Valgrind which parts of pooled memory may be touched; a
 * pool would blind them otherwise. Nothing is left of it in other builds. */
#ifndef TARN_CORE_CHECKERS_H
#define TARN_CORE_CHECKERS_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define TARN__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TARN__ASAN 1
#endif
#endif

#if defined(TARN__ASAN)
#include <sanitizer/asan_interface.h>
#elif defined(TARN_VALGRIND)
#include <valgrind/memcheck.h>
#endif

/* Nobody may read or write these bytes until further notice. */
static inline void tarn__forbid(const void *memory, size_t bytes)
{
#if defined(TARN__ASAN)
    __asan_poison_memory_region(memory, bytes);
#elif defined(TARN_VALGRIND)
    (void)VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

/* They may be written, and read once written. */
static inline void tarn__allow(const void *memory, size_t bytes)
{
#if defined(TARN__ASAN)
    __asan_unpoison_memory_region(memory, bytes);
#elif defined(TARN_VALGRIND)
    (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

/* They may be read: the pool knows what they hold. */
static inline void tarn__allow_defined(const void *memory, size_t bytes)
{
#if defined(TARN_VALGRIND) && !defined(TARN__ASAN)
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#else
    tarn__allow(memory, bytes);
#endif
}

#endif
