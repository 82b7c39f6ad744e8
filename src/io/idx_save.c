/* SPDX-License-Identifier: MIT
 * idx_save.c - writing IDX files, whole or not at all. */
#define _XOPEN_SOURCE 700 /* realpath */
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <tarn/io.h>

#include "core/manager.h"
#include "core/size.h"
#include "core/tensor.h"
#include "io/idx.h"

/* A file that appears whole or not at all: written under another name in the directory where it
 * belongs. */
typedef struct idx_writer {
    tarn__idx_file file;
    char path[PATH_MAX]; /* where the file belongs; not that of a symbolic link to it */
    const char *name;    /* the last part of the path */
    mode_t mode;         /* the permissions of the file that is there */
    bool replaces;       /* there is one */
    int directory;       /* -1 until open, as is fd */
    int fd;
    char temporary[48];
    bool made; /* the temporary file is there, and this writer's own */
    bool gzip;
    z_stream z;
    size_t n; /* bytes waiting in output */
    unsigned char output[TARN__IDX_BUFFER_BYTES], packed[TARN__IDX_BUFFER_BYTES];
} idx_writer;

/* Of a path that is a symbolic link, what it leads to in the end: renaming over the link would
 * replace it and leave the file as it was. */
static tarn_status resolve(idx_writer *w)
{
    struct stat info;
    const size_t length = strlen(w->file.path);
    if (lstat(w->file.path, &info) == 0 && S_ISLNK(info.st_mode)) {
        if (realpath(w->file.path, w->path) != NULL) return TARN_OK;
        if (errno == ENOENT) {
            return tarn__idx_fail(&w->file, TARN_EIO,
                                  "cannot be written: it is a symbolic link to nothing");
        }
        return tarn__idx_system_fail(&w->file, "cannot be written");
    }
    if (length >= sizeof w->path) {
        errno = ENAMETOOLONG;
        return tarn__idx_system_fail(&w->file, "cannot be written");
    }
    memcpy(w->path, w->file.path, length + 1);
    return TARN_OK;
}

static tarn_status open_directory(idx_writer *w)
{
    char text[PATH_MAX];
    const char *slash = strrchr(w->path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - w->path);
    w->name = slash == NULL ? w->path : slash + 1;
    memcpy(text, w->path, length);
    if (length == 0) text[length++] = slash == NULL ? '.' : '/';
    text[length] = '\0';
    w->directory = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return w->directory < 0 ? tarn__idx_system_fail(
                                  &w->file, "cannot be written: its directory cannot be opened")
                            : TARN_OK;
}

/* Whatever is no regular file stays as it is: renaming over a device would replace it. */
static tarn_status check_target(idx_writer *w)
{
    struct stat info;
    if (w->name[0] == '\0')
        return tarn__idx_fail(&w->file, TARN_EIO, "cannot be written: it names no file");
    if (fstatat(w->directory, w->name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? TARN_OK : tarn__idx_system_fail(&w->file, "cannot be written");
    }
    if (S_ISDIR(info.st_mode))
        return tarn__idx_fail(&w->file, TARN_EIO, "cannot be written: it is a directory");
    if (!S_ISREG(info.st_mode))
        return tarn__idx_fail(&w->file, TARN_EIO, "cannot be written: it is no regular file");
    w->replaces = true;
    w->mode = info.st_mode & 0777;
    return TARN_OK;
}

/* A name that is taken, by another writer or one that was killed, is passed over. */
static tarn_status open_temporary(idx_writer *w)
{
    const mode_t mode = w->replaces ? w->mode : 0666;
    for (unsigned attempt = 0; !w->made && attempt < 1000; attempt++) {
        snprintf(w->temporary, sizeof w->temporary, ".tarn-%ld-%u.tmp", (long)getpid(), attempt);
        w->fd = openat(w->directory, w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        w->made = w->fd >= 0;
        if (!w->made && errno != EEXIST && errno != EINTR) break;
    }
    return w->made ? TARN_OK
                   : tarn__idx_system_fail(&w->file, "cannot be written: no temporary file");
}

/* Gives the new file the permissions of the old one, of which the process's mask took some away. */
static tarn_status keep_mode(const idx_writer *w)
{
    struct stat info;
    if (!w->replaces) return TARN_OK;
    if (fstat(w->fd, &info) == 0 &&
        ((info.st_mode & 0777) == w->mode || fchmod(w->fd, w->mode) == 0))
        return TARN_OK;
    return tarn__idx_system_fail(&w->file, "cannot be written: its permissions cannot be kept");
}

static tarn_status writer_open(idx_writer *w)
{
    const size_t length = strlen(w->file.path);
    tarn_status status = resolve(w);
    if (status == TARN_OK) status = open_directory(w);
    if (status == TARN_OK) status = check_target(w);
    if (status == TARN_OK) status = open_temporary(w);
    if (status == TARN_OK) status = keep_mode(w);
    if (status != TARN_OK || length < 3 || strcmp(w->file.path + length - 3, ".gz") != 0)
        return status;

    w->gzip = deflateInit2(&w->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                           Z_DEFAULT_STRATEGY) == Z_OK;
    if (!w->gzip)
        return tarn__idx_fail(&w->file, TARN_ENOMEM, "cannot be compressed: no memory for zlib");
    return TARN_OK;
}

static tarn_status write_fd(const idx_writer *w, const unsigned char *from, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(w->fd, from, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return tarn__idx_system_fail(&w->file, "cannot be written");
        from += done;
        n -= (size_t)done;
    }
    return TARN_OK;
}

/* Writes what waits; `finish` is Z_FINISH for the last time, else Z_NO_FLUSH. */
static tarn_status writer_flush(idx_writer *w, int finish)
{
    tarn_status status = TARN_OK;
    if (!w->gzip) {
        status = write_fd(w, w->output, w->n);
    } else {
        w->z.next_in = w->output;
        w->z.avail_in = (uInt)w->n;
        do {
            w->z.next_out = w->packed;
            w->z.avail_out = TARN__IDX_BUFFER_BYTES;
            deflate(&w->z, finish);
            status = write_fd(w, w->packed, TARN__IDX_BUFFER_BYTES - w->z.avail_out);
        } while (status == TARN_OK && w->z.avail_out == 0);
    }
    w->n = 0;
    return status;
}

/* Appends the `width` bytes of a number at `from`, turned into big-endian order. */
static tarn_status put(idx_writer *w, const void *from, size_t width)
{
    unsigned char *to = w->output + w->n;
    if (width == 1) {
        memcpy(to, from, 1);
    } else if (width == 4) {
        uint32_t v;
        memcpy(&v, from, sizeof v);
        for (int i = 0; i < 4; i++) to[i] = (unsigned char)(v >> (24 - 8 * i));
    } else {
        uint64_t v;
        memcpy(&v, from, sizeof v);
        for (int i = 0; i < 8; i++) to[i] = (unsigned char)(v >> (56 - 8 * i));
    }
    w->n += width;
    return w->n + 8 > TARN__IDX_BUFFER_BYTES ? writer_flush(w, Z_NO_FLUSH) : TARN_OK;
}

static tarn_status put_header(idx_writer *w, const tarn__idx_type *type, const tarn__layout *layout)
{
    const unsigned char start[4] = { 0, 0, type->code, layout->ndim };
    tarn_status status = TARN_OK;
    for (int i = 0; i < 4; i++) status = put(w, &start[i], 1);
    for (int i = 0; status == TARN_OK && i < layout->ndim; i++) {
        const uint32_t size = (uint32_t)layout->dims[i];
        status = put(w, &size, sizeof size);
    }
    return status;
}

/* Visits the elements with the last axis fastest, whatever their strides. */
static tarn_status put_elements(idx_writer *w, const tarn_tensor *t, size_t width)
{
    const tarn__layout *layout = &t->layout;
    const unsigned char *data = t->data;
    int64_t at[TARN_MAX_DIMS] = { 0 }, offset = 0;
    tarn_status status = TARN_OK;
    for (int64_t i = 0; status == TARN_OK && i < layout->numel; i++) {
        status = put(w, data + offset * (int64_t)width, width);
        for (int axis = layout->ndim - 1; axis >= 0; axis--) {
            offset += layout->strides[axis];
            if (++at[axis] < layout->dims[axis]) break;
            offset -= layout->strides[axis] * layout->dims[axis];
            at[axis] = 0;
        }
    }
    return status;
}

/* Gives the file its name once all of it is on the disk. Some file systems cannot synchronise
 * directories, and say so. */
static tarn_status writer_commit(idx_writer *w)
{
    tarn_status status = writer_flush(w, Z_FINISH);
    if (status != TARN_OK) return status;
    if (fsync(w->fd) != 0) return tarn__idx_system_fail(&w->file, "cannot be written");
    const int closed = close(w->fd);
    w->fd = -1;
    if (closed != 0) return tarn__idx_system_fail(&w->file, "cannot be written");
    if (renameat(w->directory, w->temporary, w->directory, w->name) != 0) {
        return tarn__idx_system_fail(&w->file, "cannot be replaced");
    }
    w->made = false;
    if (fsync(w->directory) != 0 && errno != EINVAL && errno != ENOTSUP) {
        return tarn__idx_system_fail(&w->file,
                                     "was written, but its directory cannot be synchronised");
    }
    return TARN_OK;
}

/* Removes the temporary file if there is one; after the renaming there is none. */
static void writer_close(idx_writer *w)
{
    if (w->gzip) deflateEnd(&w->z);
    if (w->fd >= 0) close(w->fd);
    if (w->made) unlinkat(w->directory, w->temporary, 0);
    if (w->directory >= 0) close(w->directory);
}

static tarn_status save(const tarn__idx_file *file, const tarn_tensor *t,
                        const tarn__idx_type *type)
{
    idx_writer w;
    memset(&w, 0, offsetof(idx_writer, output));
    w.file = *file;
    w.directory = w.fd = -1;
    tarn_status status = writer_open(&w);
    if (status == TARN_OK) status = put_header(&w, type, &t->layout);
    if (status == TARN_OK) status = put_elements(&w, t, type->bytes);
    if (status == TARN_OK) status = writer_commit(&w);
    writer_close(&w);
    return status;
}

tarn_status tarn_idx_save(tarn_tensor *t, const char *path)
{
    if (t == NULL) return TARN_EARG;
    tarn_manager *tm = t->manager;
    if (tm->error != TARN_OK) return tm->error;
    if (path == NULL) return tarn__fail(tm, TARN_EARG, "tarn_idx_save: the path is NULL");
    if (!tarn__readable(t, "tarn_idx_save")) return tm->error;

    const tarn__idx_file file = { tm, "tarn_idx_save", path };
    const size_t width = tarn_dtype_size((tarn_dtype)t->layout.dtype);
    const tarn__idx_type *type = NULL;
    for (size_t i = 0; i < sizeof tarn__idx_types / sizeof tarn__idx_types[0]; i++) {
        if (tarn__idx_types[i].dtype == t->layout.dtype && tarn__idx_types[i].bytes == width)
            type = &tarn__idx_types[i];
    }
    if (type == NULL) {
        return tarn__idx_fail(&file, TARN_EDTYPE, "cannot be written: IDX has no type for %s",
                              tarn_dtype_name((tarn_dtype)t->layout.dtype));
    }
    for (int i = 0; i < t->layout.ndim; i++) {
        if (t->layout.dims[i] > UINT32_MAX) {
            return tarn__idx_fail(&file, TARN_ELIMIT,
                                  "cannot be written: a size of %lld does not fit in 32 bits",
                                  (long long)t->layout.dims[i]);
        }
    }
    tarn__materialize(t);
    return save(&file, t, type);
}
