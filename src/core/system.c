/* SPDX-License-Identifier: MIT
 * system.c - the operating system as a tarn_system: the only file that calls its allocators. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */

#include "core/system.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/size.h"

/* From here on whole pages, mapped for each request: they arrive as zeros without being written,
 * and go back at once. Below, the heap wastes less. */
enum { MAP_FROM = 64 * 1024, ALIGNMENT = 64 };

static void *system_reserve(void *context, size_t bytes)
{
    (void)context;
    if (bytes >= MAP_FROM) {
        void *memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return memory == MAP_FAILED ? NULL : memory;
    }
    size_t rounded;
    if (!tarn__size_round_up(bytes > 0 ? bytes : 1, ALIGNMENT, &rounded)) return NULL;
    void *memory = aligned_alloc(ALIGNMENT, rounded);
    if (memory != NULL) memset(memory, 0, rounded);
    return memory;
}

static void system_release(void *context, void *memory, size_t bytes)
{
    (void)context;
    if (memory == NULL) return;
    if (bytes >= MAP_FROM) munmap(memory, bytes);
    else free(memory);
}

const tarn_system tarn__system_default = { system_reserve, system_release, NULL };
