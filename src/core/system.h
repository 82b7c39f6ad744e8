/* SPDX-License-Identifier: MIT
 * system.h - the door to system memory. Nothing else in tarn calls the system's allocator. */
#ifndef TARN_CORE_SYSTEM_H
#define TARN_CORE_SYSTEM_H

#include <tarn/pool.h>

/* The operating system: whole pages for large requests, the C library's heap for small ones; always
 * zeroed, 64-byte aligned. */
extern const tarn_system tarn__system_default;

#endif
