/* SPDX-License-Identifier: MIT
 * save.h - a file that appears whole or not at all: written under another name in the directory
 * where it belongs, synchronised, and renamed. */
#ifndef TARN_IO_SAVE_H
#define TARN_IO_SAVE_H

#include <stdbool.h>
#include <stddef.h>

enum { TARN__SAVE_PATH_BYTES = 4096 }; /* PATH_MAX */

typedef struct tarn__save {
    char
        path[TARN__SAVE_PATH_BYTES]; /* where the file belongs; not that of a symbolic link to it */
    const char *name;                /* the last part of the path */
    unsigned mode;                   /* the permissions of the file that is there */
    bool replaces;                   /* there is one */
    int directory;                   /* -1 until open, as is fd */
    int fd;
    char temporary[48];
    bool made; /* the temporary file is there, and this one's own */

    const char *problem; /* after a failure: what is wrong, such as "cannot be written" */
    int error;           /* and the errno that says why; 0 if the problem says all */
} tarn__save;

/* Opens a temporary file; what is at `path` stays as it is. A save ends with tarn__save_end whether
 * or not it began. Each function returns false on failure, with the problem told. */
bool tarn__save_begin(tarn__save *save, const char *path);
bool tarn__save_write(tarn__save *save, const void *bytes, size_t n);

/* Gives the file its name once all of it is on the disk. */
bool tarn__save_commit(tarn__save *save);

/* Removes the temporary file if it was not committed. */
void tarn__save_end(tarn__save *save);

#endif
