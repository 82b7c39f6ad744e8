/* SPDX-License-Identifier: MIT
 * idx.c - arrays in IDX files.
 *
 *   file = 0, 0, type, D, then D sizes of 32 bits, then the elements; every number big-endian
 *
 * Nothing that a file says is believed before it was held against the size of the file: a plain
 * file must have exactly the bytes that its header promises, and deflate cannot make more than 1032
 * bytes out of one. A gzip file may have several members, as RFC 1952 allows; whatever follows the
 * last one is damage. */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <tarn/io.h>

#include "core/manager.h"
#include "core/size.h"
#include "core/tensor.h"

enum {
    BUFFER_BYTES = 16 * 1024,
    PIECE_BYTES = 1 << 30, /* the most that is asked of read, write or zlib at once */
    QUOTED_BYTES = 448,
    MAX_DEFLATE_RATIO = 1040
};

typedef struct idx_type {
    unsigned char code;
    unsigned char bytes; /* of an element in the file */
    tarn_dtype dtype;    /* as which it is loaded */
} idx_type;

static const idx_type idx_types[] = {
    { 0x08, 1, TARN_U8 },  { 0x09, 1, TARN_I32 }, { 0x0B, 2, TARN_I32 },
    { 0x0C, 4, TARN_I32 }, { 0x0D, 4, TARN_F32 }, { 0x0E, 8, TARN_F64 },
};

/* ---- messages */

/* The file that a call works on, as its errors name it. */
typedef struct idx_file {
    tarn_manager *tm;
    const char *call;
    const char *path;
} idx_file;

static bool needs_escape(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f || c == '"' || c == '\\';
}

/* A path as a message can show it: the last bytes of a long one, control characters as \xNN. */
static const char *quote(const char *path, char text[QUOTED_BYTES])
{
    const size_t room = QUOTED_BYTES - sizeof "...";
    const char *first = path + strlen(path);
    size_t length = 0;
    while (first > path && length + 4 <= room) {
        first--;
        length += needs_escape(*first) ? 4 : 1;
    }
    if (first > path) {
        while (((unsigned char)*first & 0xC0) == 0x80) first++; /* begin with a whole character */
    }
    char *to = text;
    if (first > path) to += snprintf(to, QUOTED_BYTES, "...");
    for (; *first != '\0'; first++) {
        if (needs_escape(*first)) {
            to += snprintf(to, 5, "\\x%02x", (unsigned)(unsigned char)*first);
        } else {
            *to++ = *first;
        }
    }
    *to = '\0';
    return text;
}

/* Holds an error that names the file: `tarn_idx_load: "x.gz" ends early`. */
TARN_PRINTF(3, 4)
static tarn_status file_fail(const idx_file *file, tarn_status code, const char *format, ...)
{
    char name[QUOTED_BYTES], reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return tarn__fail(file->tm, code, "%s: \"%s\" %s", file->call, quote(file->path, name), reason);
}

/* The same for a call of the system that has just failed. */
static tarn_status system_fail(const idx_file *file, const char *what)
{
    char text[128];
    if (strerror_r(errno, text, sizeof text) != 0) snprintf(text, sizeof text, "error %d", errno);
    return file_fail(file, TARN_EIO, "%s: %s", what, text);
}

/* ---- reading */

typedef struct idx_reader {
    idx_file file;
    int fd;
    size_t file_bytes;
    bool gzip;
    bool member_ended; /* gzip: between two members, where a file may end */
    z_stream z;
    unsigned char input[BUFFER_BYTES];
} idx_reader;

static ssize_t read_fd(int fd, void *to, size_t n)
{
    ssize_t got;
    do {
        got = read(fd, to, n < PIECE_BYTES ? n : PIECE_BYTES);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Opens without waiting, so that a pipe without a writer is refused like anything else that is no
 * regular file. */
static tarn_status reader_open(idx_reader *r)
{
    struct stat info;
    unsigned char magic[2];
    do {
        r->fd = open(r->file.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    } while (r->fd < 0 && errno == EINTR);
    if (r->fd < 0) return system_fail(&r->file, "cannot be opened");
    if (fstat(r->fd, &info) != 0) return system_fail(&r->file, "cannot be examined");
    if (S_ISDIR(info.st_mode)) return file_fail(&r->file, TARN_EIO, "is a directory");
    if (!S_ISREG(info.st_mode)) return file_fail(&r->file, TARN_EIO, "is no regular file");

    r->file_bytes = (uint64_t)info.st_size < SIZE_MAX ? (size_t)info.st_size : SIZE_MAX;
    r->gzip = pread(r->fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    if (r->gzip && inflateInit2(&r->z, MAX_WBITS + 16) != Z_OK) {
        r->gzip = false;
        return file_fail(&r->file, TARN_ENOMEM, "is compressed, and there is no memory for zlib");
    }
    return TARN_OK;
}

static void reader_close(idx_reader *r)
{
    if (r->gzip) inflateEnd(&r->z);
    if (r->fd >= 0) close(r->fd);
}

static tarn_status read_plain(idx_reader *r, unsigned char *to, size_t n, size_t *got)
{
    for (*got = 0; *got < n;) {
        const ssize_t piece = read_fd(r->fd, to + *got, n - *got);
        if (piece < 0) return system_fail(&r->file, "cannot be read");
        if (piece == 0) break;
        *got += (size_t)piece;
    }
    return TARN_OK;
}

static tarn_status read_gzip(idx_reader *r, unsigned char *to, size_t n, size_t *got)
{
    z_stream *z = &r->z;
    for (*got = 0; *got < n;) {
        if (z->avail_in == 0) {
            const ssize_t piece = read_fd(r->fd, r->input, sizeof r->input);
            if (piece < 0) return system_fail(&r->file, "cannot be read");
            if (piece == 0 && r->member_ended) break;
            if (piece == 0) return file_fail(&r->file, TARN_ECORRUPT, "ends inside its gzip data");
            z->next_in = r->input;
            z->avail_in = (uInt)piece;
        }
        if (r->member_ended) inflateReset(z);
        const size_t room = n - *got < PIECE_BYTES ? n - *got : PIECE_BYTES;
        z->next_out = to + *got;
        z->avail_out = (uInt)room;
        const int code = inflate(z, Z_NO_FLUSH);
        *got += room - z->avail_out;
        r->member_ended = code == Z_STREAM_END;
        if (code == Z_MEM_ERROR)
            return file_fail(&r->file, TARN_ENOMEM, "needs more memory for zlib than there is");
        if (code != Z_OK && code != Z_STREAM_END) {
            return file_fail(&r->file, TARN_ECORRUPT, "is damaged: %s",
                             z->msg != NULL ? z->msg : "not gzip data");
        }
    }
    return TARN_OK;
}

/* Reads n bytes, or fewer where the content ends. */
static tarn_status reader_read(idx_reader *r, unsigned char *to, size_t n, size_t *got)
{
    return r->gzip ? read_gzip(r, to, n, got) : read_plain(r, to, n, got);
}

static uint32_t read_u32(const unsigned char b[4])
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static tarn_status read_header(idx_reader *r, const idx_type **type, tarn_shape *shape)
{
    unsigned char b[4 + 4 * TARN_MAX_DIMS];
    size_t got;
    tarn_status status = reader_read(r, b, 4, &got);
    if (status != TARN_OK) return status;
    if (got < 4) return file_fail(&r->file, TARN_ECORRUPT, "has %zu bytes and cannot be IDX", got);

    *type = NULL;
    for (size_t i = 0; i < sizeof idx_types / sizeof idx_types[0]; i++) {
        if (idx_types[i].code == b[2]) *type = &idx_types[i];
    }
    if (b[0] != 0 || b[1] != 0 || *type == NULL) {
        return file_fail(&r->file, TARN_ECORRUPT, "is not IDX: it begins with %02x %02x %02x %02x",
                         (unsigned)b[0], (unsigned)b[1], (unsigned)b[2], (unsigned)b[3]);
    }
    if (b[3] > TARN_MAX_DIMS) {
        return file_fail(&r->file, TARN_ELIMIT, "has %u dimensions; %d are possible",
                         (unsigned)b[3], TARN_MAX_DIMS);
    }
    shape->ndim = b[3];
    status = reader_read(r, b, 4 * (size_t)shape->ndim, &got);
    if (status != TARN_OK) return status;
    if (got < 4 * (size_t)shape->ndim)
        return file_fail(&r->file, TARN_ECORRUPT, "ends inside its header");
    for (int i = 0; i < shape->ndim; i++) shape->dims[i] = read_u32(b + 4 * i);
    return TARN_OK;
}

/* Computes the bytes of all elements and refuses what the file cannot hold. */
static tarn_status check_claim(const idx_reader *r, const idx_type *type, const tarn_shape *shape,
                               size_t *claim)
{
    const size_t header = 4 + 4 * (size_t)shape->ndim;
    size_t bytes = type->bytes, limit = r->file_bytes;
    bool fits = true, empty = false;
    for (int i = 0; i < shape->ndim; i++) {
        const size_t size = (size_t)shape->dims[i];
        if (size == 0) empty = true;
        else fits = fits && tarn__size_mul(bytes, size, &bytes); /* strides need it even if empty */
    }
    if (empty) bytes = 0;
    size_t whole = 0;
    fits = fits && tarn__size_add(bytes, header, &whole);
    if (r->gzip && !tarn__size_mul(limit, MAX_DEFLATE_RATIO, &limit)) limit = SIZE_MAX;
    if (!fits || whole > limit) {
        return file_fail(&r->file, TARN_ECORRUPT,
                         "promises more elements than fit in its %zu bytes; it may be cut short",
                         r->file_bytes);
    }
    if (!r->gzip && whole < limit) {
        return file_fail(&r->file, TARN_ECORRUPT, "continues after its last element, for %zu bytes",
                         limit - whole);
    }
    *claim = bytes;
    return TARN_OK;
}

/* Makes n elements in the machine's order and width out of those of the file, which lie at the end
 * of the tensor's memory. Reading runs ahead of writing: no element is wider in the file. */
static void decode(unsigned char *data, size_t n, const idx_type *type)
{
    const size_t width = tarn_dtype_size(type->dtype);
    const unsigned char *from = data + n * (width - type->bytes);
    if (type->dtype == TARN_U8) return;
    for (size_t i = 0; i < n; i++, from += type->bytes, data += width) {
        if (type->bytes == 8) {
            const uint64_t v = (uint64_t)read_u32(from) << 32 | read_u32(from + 4);
            memcpy(data, &v, sizeof v);
        } else if (type->bytes == 4) {
            const uint32_t v = read_u32(from);
            memcpy(data, &v, sizeof v);
        } else if (type->bytes == 2) {
            const int32_t v = ((from[0] ^ 0x80) << 8 | from[1]) - 0x8000;
            memcpy(data, &v, sizeof v);
        } else {
            const int32_t v = (from[0] ^ 0x80) - 0x80;
            memcpy(data, &v, sizeof v);
        }
    }
}

/* Fills t with `claim` bytes of elements, after which the file must end. */
static tarn_status read_elements(idx_reader *r, const idx_type *type, size_t claim, tarn_tensor *t)
{
    unsigned char *data = t->data, more;
    size_t got;
    tarn_status status = reader_read(r, data + (tarn__bytes(t) - claim), claim, &got);
    if (status != TARN_OK) return status;
    if (got < claim) {
        return file_fail(&r->file, TARN_ECORRUPT, "ends after %zu of %zu bytes of elements", got,
                         claim);
    }
    status = reader_read(r, &more, 1, &got);
    if (status != TARN_OK) return status;
    if (got > 0) return file_fail(&r->file, TARN_ECORRUPT, "continues after its last element");
    decode(data, tarn__elements(t), type);
    return TARN_OK;
}

static tarn_tensor *load(idx_reader *r)
{
    const idx_type *type;
    tarn_shape shape = TARN_SCALAR;
    tarn__layout layout;
    size_t claim;
    if (read_header(r, &type, &shape) != TARN_OK) return NULL;
    if (check_claim(r, type, &shape, &claim) != TARN_OK) return NULL;
    const tarn_status status = tarn__layout_make(&layout, type->dtype, &shape);
    if (status != TARN_OK) {
        file_fail(&r->file, status, "has more elements than fit in memory");
        return NULL;
    }
    tarn_tensor *t = tarn__tensor_new(r->file.tm, &layout, TARN_UNINITIALIZED);
    if (t == NULL) return NULL;
    if (read_elements(r, type, claim, t) != TARN_OK) {
        tarn__unref(t);
        return NULL;
    }
    return tarn__adopt(t);
}

tarn_tensor *tarn_idx_load(tarn_manager *tm, const char *path)
{
    if (tm == NULL) return NULL;
    if (path == NULL) {
        tarn__fail(tm, TARN_EARG, "tarn_idx_load: the path is NULL");
        return NULL;
    }
    idx_reader r;
    memset(&r, 0, offsetof(idx_reader, input));
    r.file = (idx_file){ tm, "tarn_idx_load", path };
    tarn_tensor *t = reader_open(&r) == TARN_OK ? load(&r) : NULL;
    reader_close(&r);
    return t;
}

/* ---- writing */

/* A file that appears whole or not at all: written under another name in the directory where it
 * belongs. */
typedef struct idx_writer {
    idx_file file;
    const char *name; /* the last part of the path */
    int directory;    /* -1 until open, as is fd */
    int fd;
    char temporary[48];
    bool gzip;
    z_stream z;
    size_t n; /* bytes waiting in output */
    unsigned char output[BUFFER_BYTES], packed[BUFFER_BYTES];
} idx_writer;

static tarn_status open_directory(idx_writer *w)
{
    char text[PATH_MAX];
    const char *slash = strrchr(w->file.path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - w->file.path);
    w->name = slash == NULL ? w->file.path : slash + 1;
    if (length >= sizeof text) {
        errno = ENAMETOOLONG;
        return system_fail(&w->file, "cannot be written");
    }
    memcpy(text, w->file.path, length);
    if (length == 0) text[length++] = slash == NULL ? '.' : '/';
    text[length] = '\0';
    w->directory = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return w->directory < 0
               ? system_fail(&w->file, "cannot be written: its directory cannot be opened")
               : TARN_OK;
}

/* Whatever is no regular file stays as it is: renaming over a device would replace it. */
static tarn_status check_target(const idx_writer *w)
{
    struct stat info;
    if (w->name[0] == '\0')
        return file_fail(&w->file, TARN_EIO, "cannot be written: it names no file");
    if (fstatat(w->directory, w->name, &info, 0) != 0) return TARN_OK;
    if (S_ISDIR(info.st_mode))
        return file_fail(&w->file, TARN_EIO, "cannot be written: it is a directory");
    if (!S_ISREG(info.st_mode))
        return file_fail(&w->file, TARN_EIO, "cannot be written: it is no regular file");
    return TARN_OK;
}

/* A name that is taken, by another writer or one that was killed, is passed over. */
static tarn_status open_temporary(idx_writer *w)
{
    for (unsigned attempt = 0; w->fd < 0 && attempt < 1000; attempt++) {
        snprintf(w->temporary, sizeof w->temporary, ".tarn-%ld-%u.tmp", (long)getpid(), attempt);
        w->fd = openat(w->directory, w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd < 0 && errno != EEXIST && errno != EINTR) break;
    }
    return w->fd < 0 ? system_fail(&w->file, "cannot be written: no temporary file") : TARN_OK;
}

static tarn_status writer_open(idx_writer *w)
{
    const size_t length = strlen(w->file.path);
    tarn_status status = open_directory(w);
    if (status == TARN_OK) status = check_target(w);
    if (status == TARN_OK) status = open_temporary(w);
    if (status != TARN_OK || length < 3 || strcmp(w->file.path + length - 3, ".gz") != 0)
        return status;

    w->gzip = deflateInit2(&w->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                           Z_DEFAULT_STRATEGY) == Z_OK;
    if (!w->gzip)
        return file_fail(&w->file, TARN_ENOMEM, "cannot be compressed: no memory for zlib");
    return TARN_OK;
}

static tarn_status write_fd(const idx_writer *w, const unsigned char *from, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(w->fd, from, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return system_fail(&w->file, "cannot be written");
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
            w->z.avail_out = BUFFER_BYTES;
            deflate(&w->z, finish);
            status = write_fd(w, w->packed, BUFFER_BYTES - w->z.avail_out);
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
    return w->n + 8 > BUFFER_BYTES ? writer_flush(w, Z_NO_FLUSH) : TARN_OK;
}

static tarn_status put_header(idx_writer *w, const idx_type *type, const tarn__layout *layout)
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
    if (fsync(w->fd) != 0) return system_fail(&w->file, "cannot be written");
    const int closed = close(w->fd);
    w->fd = -1;
    if (closed != 0) return system_fail(&w->file, "cannot be written");
    if (renameat(w->directory, w->temporary, w->directory, w->name) != 0) {
        return system_fail(&w->file, "cannot be replaced");
    }
    w->temporary[0] = '\0';
    if (fsync(w->directory) != 0 && errno != EINVAL && errno != ENOTSUP) {
        return system_fail(&w->file, "was written, but its directory cannot be synchronised");
    }
    return TARN_OK;
}

/* Removes the temporary file unless it was renamed. */
static void writer_close(idx_writer *w)
{
    const bool made = w->fd >= 0 || w->temporary[0] != '\0';
    if (w->gzip) deflateEnd(&w->z);
    if (w->fd >= 0) close(w->fd);
    if (made && w->directory >= 0) unlinkat(w->directory, w->temporary, 0);
    if (w->directory >= 0) close(w->directory);
}

static tarn_status save(const idx_file *file, const tarn_tensor *t, const idx_type *type)
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

    const idx_file file = { tm, "tarn_idx_save", path };
    const size_t width = tarn_dtype_size((tarn_dtype)t->layout.dtype);
    const idx_type *type = NULL;
    for (size_t i = 0; i < sizeof idx_types / sizeof idx_types[0]; i++) {
        if (idx_types[i].dtype == t->layout.dtype && idx_types[i].bytes == width)
            type = &idx_types[i];
    }
    if (type == NULL) {
        return file_fail(&file, TARN_EDTYPE, "cannot be written: IDX has no type for %s",
                         tarn_dtype_name((tarn_dtype)t->layout.dtype));
    }
    for (int i = 0; i < t->layout.ndim; i++) {
        if (t->layout.dims[i] > UINT32_MAX) {
            return file_fail(&file, TARN_ELIMIT,
                             "cannot be written: a size of %lld does not fit in 32 bits",
                             (long long)t->layout.dims[i]);
        }
    }
    tarn__materialize(t);
    return save(&file, t, type);
}
