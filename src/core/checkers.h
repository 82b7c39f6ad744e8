/* SPDX-License-Identifier: MIT
 * checkers.h - tells AddressSanitizer, MemorySanitizer and Valgrind which parts of pooled memory
 * may be touched; a pool would blind them otherwise. Nothing is left of it in other builds.
 *
 *                    AddressSanitizer   MemorySanitizer   Valgrind
 *   forbidden        no access          not initialised   no access
 *   allowed          access             not initialised   not initialised
 *   allowed_defined  access             initialised       initialised
 *
 * Valgrind also knows pools and their blocks, so that it can say where a block was acquired and
 * released, and that it leaks. To it, a block is all of its capacity: the memory of a block is
 * never shared, where a zone around the holder's bytes would be in part its neighbour's. Regions
 * are not made known: a mapped one needs no name, and one from the heap counts as the blocks in
 * it. */
#ifndef TARN_CORE_CHECKERS_H
#define TARN_CORE_CHECKERS_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define TARN__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TARN__ASAN 1
#elif __has_feature(memory_sanitizer)
#define TARN__MSAN 1
#endif
#endif

#if defined(TARN__ASAN)
#include <sanitizer/asan_interface.h>
#elif defined(TARN__MSAN)
#include <sanitizer/msan_interface.h>
#elif defined(TARN_VALGRIND)
#define TARN__MEMCHECK 1
#include <valgrind/memcheck.h>
#endif

/* Nobody may read or write these bytes until further notice. */
static inline void tarn__forbid(const void *memory, size_t bytes)
{
#if defined(TARN__ASAN)
    __asan_poison_memory_region(memory, bytes);
#elif defined(TARN__MSAN)
    __msan_allocated_memory(memory, bytes); /* as __msan_poison, and notes who does it */
#elif defined(TARN__MEMCHECK)
    (void)VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

/* They may be written, and read once written. */
static inline void tarn__allow(const void *memory, size_t bytes)
{
#if defined(TARN__ASAN)
    __asan_unpoison_memory_region(memory, bytes);
#elif defined(TARN__MSAN)
    __msan_allocated_memory(memory, bytes);
#elif defined(TARN__MEMCHECK)
    (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

/* They may be read: the pool knows what they hold. */
static inline void tarn__allow_defined(const void *memory, size_t bytes)
{
#if defined(TARN__MSAN)
    __msan_unpoison(memory, bytes);
#elif defined(TARN__MEMCHECK)
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#else
    tarn__allow(memory, bytes);
#endif
}

/* They were written by a library that was not compiled for MemorySanitizer, which therefore did not
 * see it. */
static inline void tarn__written(const void *memory, size_t bytes)
{
#if defined(TARN__MSAN)
    __msan_unpoison(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

/* A pool comes to be, or goes with all of its blocks; its regions are still there. */
static inline void tarn__pool_known(const void *pool)
{
#if defined(TARN__MEMCHECK)
    VALGRIND_CREATE_MEMPOOL(pool, 0, 0);
#else
    (void)pool;
#endif
}

static inline void tarn__pool_forgotten(const void *pool)
{
#if defined(TARN__MEMCHECK)
    VALGRIND_DESTROY_MEMPOOL(pool);
#else
    (void)pool;
#endif
}

/* A block of a pool goes out: of its memory, the holder may touch `bytes` bytes at `data`. */
static inline void tarn__block_known(const void *pool, const void *memory, size_t capacity,
                                     const void *data, size_t bytes)
{
#if defined(TARN__MEMCHECK)
    VALGRIND_MEMPOOL_ALLOC(pool, memory, capacity);
    (void)VALGRIND_MAKE_MEM_NOACCESS(memory, capacity);
#else
    (void)pool, (void)memory, (void)capacity;
#endif
    tarn__allow(data, bytes);
}

/* It comes back. */
static inline void tarn__block_forgotten(const void *pool, const void *memory, size_t capacity)
{
#if defined(TARN__MEMCHECK)
    (void)capacity;
    VALGRIND_MEMPOOL_FREE(pool, memory); /* forbids all of it */
#else
    (void)pool;
    tarn__forbid(memory, capacity);
#endif
}

#endif
