/* SPDX-License-Identifier: MIT
 * idx.h - what loading and saving IDX files share: the types of elements, and errors that name the
 * file. */
#ifndef TARN_IO_IDX_H
#define TARN_IO_IDX_H

#include <stddef.h>

#include "core/manager.h"

enum {
    TARN__IDX_BUFFER_BYTES = 16 * 1024,
    TARN__IDX_PIECE_BYTES = 1 << 30 /* the most that is asked of read, write or zlib at once */
};

typedef struct tarn__idx_type {
    unsigned char code;
    unsigned char bytes; /* of an element in the file */
    tarn_dtype dtype;    /* as which it is loaded */
} tarn__idx_type;

enum { TARN__IDX_TYPES = 6 };
extern const tarn__idx_type tarn__idx_types[TARN__IDX_TYPES];

/* The file that a call works on, as its errors name it. */
typedef struct tarn__idx_file {
    tarn_manager *tm;
    const char *call;
    const char *path;
} tarn__idx_file;

/* Holds an error that names the file: `tarn_idx_load: "x.gz" ends early`. Returns code. */
tarn_status tarn__idx_fail(const tarn__idx_file *file, tarn_status code, const char *format, ...)
    TARN_PRINTF(3, 4);

/* The same, TARN_EIO, for a call of the system that has just failed: its errno in words. */
tarn_status tarn__idx_system_fail(const tarn__idx_file *file, const char *what);

#endif
