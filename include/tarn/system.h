/* system.h - where a pool gets its memory: the operating system, an allocator of the program's own,
 * or one piece of memory that the program hands over. */
#ifndef TARN_SYSTEM_H
#define TARN_SYSTEM_H

#include <stddef.h>

#include "tarn/export.h"
#include "tarn/status.h"

TARN_BEGIN_DECLS

/* What to ask of the operating system for regions of 2 MiB and more. */
typedef enum tarn_huge_pages {
    TARN_HUGE_PAGES_AUTO,   /* leave it to the system's own setting */
    TARN_HUGE_PAGES_ALWAYS, /* ask for huge pages: fewer page faults, at times a pause while the
                               system makes room for one */
    TARN_HUGE_PAGES_NEVER   /* ask for small pages: memory appears and goes 4 KiB at a time */
} tarn_huge_pages;

/* A source of memory. reserve returns `bytes` bytes that read as zero, aligned to 64, or NULL;
 * release takes back exactly what reserve gave, with the same size. advise tells how pages of
 * reserved memory shall be backed; it may be NULL. None may call into tarn. One pool calls from one
 * thread at a time; a source that serves several pools must be safe for their threads. */
typedef struct tarn_system {
    void *(*reserve)(void *context, size_t bytes);
    void (*release)(void *context, void *memory, size_t bytes);
    void *context;
    void (*advise)(void *context, void *memory, size_t bytes, tarn_huge_pages policy);
} tarn_system;

/* Makes `bytes` bytes at `memory` the only memory of one pool, for hosts without malloc: the pool,
 * its records and those of its managers lie in it, and nothing else is asked for memory. A pool, a
 * manager and their first tensors take about 120 KiB of records. The memory is the caller's: it
 * must stay until the pool is destroyed, and need not be zero. It is handed out first fit, by
 * address, and joined again as it comes back. (The first manager of a process looks through /proc
 * once, with the C library's own buffer; see runtime.h.) Fails: TARN_EARG for NULL, TARN_ENOMEM for
 * less than 1 KiB. *out is then empty. */
TARN_API TARN_NODISCARD tarn_status tarn_system_from_arena(void *memory, size_t bytes,
                                                           tarn_system *out);

/* Bytes of an arena that nobody holds, and the largest piece among them; 0 for a system that is no
 * arena. */
TARN_API size_t tarn_arena_free_bytes(const tarn_system *system);
TARN_API size_t tarn_arena_largest_free(const tarn_system *system);

TARN_END_DECLS

#endif
