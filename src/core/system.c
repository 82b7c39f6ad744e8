/* SPDX-License-Identifier: MIT
 * system.c - the operating system as a tarn_system: the only file that calls its allocators. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE, madvise, syscall */

#include "core/system.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__)
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#endif

#include "core/size.h"

/* From MAP_FROM on whole pages, mapped for each request: they arrive as zeros without being
 * written, and go back at once. Below, the heap wastes less. */
enum {
    ALIGNMENT = 64,
    MAP_FROM = 64 * 1024,
    MAP_DRY_FROM = 4096,
    HUGE_PAGE = 2 * 1024 * 1024,
    ALIGN_FROM = 2 * HUGE_PAGE
};

/* ---- pages */

static void *map(size_t bytes, int flags)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* A mapping that does not begin at a huge page is made again, wider by one, and its ends are given
 * back. Where there is no room for the wider one, the first will do. */
static void *map_aligned(size_t bytes)
{
    void *memory = map(bytes, 0);
    if (memory == NULL || (uintptr_t)memory % HUGE_PAGE == 0) return memory;
    size_t rounded, widened;
    if (!tarn__size_round_up(bytes, (size_t)sysconf(_SC_PAGESIZE), &rounded)) return memory;
    if (!tarn__size_add(rounded, HUGE_PAGE, &widened)) return memory;
    unsigned char *wide = map(widened, 0);
    if (wide == NULL) return memory;
    munmap(memory, bytes);
    const size_t before = HUGE_PAGE - (uintptr_t)wide % HUGE_PAGE; /* from 1 page to HUGE_PAGE */
    munmap(wide, before);
    if (before < HUGE_PAGE) munmap(wide + before + rounded, HUGE_PAGE - before);
    return wide + before;
}

/* Asks for the pages that lie wholly in the memory. It is advice: what the system says to it does
 * not matter. */
static void advise_pages(void *memory, size_t bytes, int advice)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t skipped = (page - (uintptr_t)memory % page) % page;
    if (bytes < HUGE_PAGE || bytes <= skipped) return;
    (void)madvise((unsigned char *)memory + skipped, (bytes - skipped) / page * page, advice);
}

/* ---- the heap */

static void *heap_reserve(size_t bytes)
{
    size_t rounded;
    if (!tarn__size_round_up(bytes > 0 ? bytes : 1, ALIGNMENT, &rounded)) return NULL;
    void *memory = aligned_alloc(ALIGNMENT, rounded);
    if (memory != NULL) memset(memory, 0, rounded);
    return memory;
}

/* ---- the default */

static void *default_reserve(void *context, size_t bytes)
{
    (void)context;
    if (bytes >= ALIGN_FROM) return map_aligned(bytes);
    if (bytes >= MAP_FROM) return map(bytes, 0);
    return heap_reserve(bytes);
}

static void default_release(void *context, void *memory, size_t bytes)
{
    (void)context;
    if (memory == NULL) return;
    if (bytes >= MAP_FROM) munmap(memory, bytes);
    else free(memory);
}

static void default_advise(void *context, void *memory, size_t bytes, tarn_huge_pages policy)
{
    (void)context;
#if defined(MADV_HUGEPAGE) && defined(MADV_NOHUGEPAGE)
    if (policy == TARN_HUGE_PAGES_ALWAYS) advise_pages(memory, bytes, MADV_HUGEPAGE);
    if (policy == TARN_HUGE_PAGES_NEVER) advise_pages(memory, bytes, MADV_NOHUGEPAGE);
#else
    (void)memory, (void)bytes, (void)policy;
#endif
}

const tarn_system tarn__system_default = { default_reserve, default_release, NULL, default_advise };

/* ---- exact bounds */

static void *exact_reserve(void *context, size_t bytes)
{
    (void)context;
    void *memory;
    if (bytes == 0) bytes = 1;
    if (posix_memalign(&memory, ALIGNMENT, bytes) != 0) return NULL;
    return memset(memory, 0, bytes);
}

static void exact_release(void *context, void *memory, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(memory);
}

const tarn_system tarn__system_exact = { exact_reserve, exact_release, NULL, NULL };

/* ---- addresses only */

static void *dry_reserve(void *context, size_t bytes)
{
    (void)context;
    if (bytes < MAP_DRY_FROM) return heap_reserve(bytes);
    void *memory = map(bytes, MAP_NORESERVE);
#if defined(MADV_NOHUGEPAGE)
    /* What little is written shall not cost 2 MiB each. */
    if (memory != NULL) advise_pages(memory, bytes, MADV_NOHUGEPAGE);
#endif
    return memory;
}

static void dry_release(void *context, void *memory, size_t bytes)
{
    (void)context;
    if (memory == NULL) return;
    if (bytes >= MAP_DRY_FROM) munmap(memory, bytes);
    else free(memory);
}

const tarn_system tarn__system_dry = { dry_reserve, dry_release, NULL, NULL };

/* ---- a barrier for the whole process */

#if defined(__linux__) && defined(SYS_membarrier)

static long membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

bool tarn__process_barrier_works(void)
{
    const long needed =
        MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    const long known = membarrier(MEMBARRIER_CMD_QUERY);
    return known >= 0 && (known & needed) == needed;
}

/* The system itself remembers whether the process is registered, and says EPERM if not: nothing is
 * kept here that a fork or two threads at once could spoil. */
bool tarn__process_barrier(void)
{
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) return true;
    return errno == EPERM && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
           membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

#else

bool tarn__process_barrier_works(void) { return false; }

bool tarn__process_barrier(void) { return false; }

#endif
