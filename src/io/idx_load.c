/* SPDX-License-Identifier: MIT
 * idx_load.c - reading IDX files, plain or gzip.
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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <tarn/io.h>

#include "core/manager.h"
#include "core/size.h"
#include "core/tensor.h"
#include "io/idx.h"

enum { MAX_DEFLATE_RATIO = 1040 };

typedef struct idx_reader {
    tarn__idx_file file;
    int fd;
    size_t file_bytes;
    bool gzip;
    bool member_ended; /* gzip: between two members, where a file may end */
    z_stream z;
    unsigned char input[TARN__IDX_BUFFER_BYTES];
} idx_reader;

static ssize_t read_fd(int fd, void *to, size_t n)
{
    ssize_t got;
    do {
        got = read(fd, to, n < TARN__IDX_PIECE_BYTES ? n : TARN__IDX_PIECE_BYTES);
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
    if (r->fd < 0) return tarn__idx_system_fail(&r->file, "cannot be opened");
    if (fstat(r->fd, &info) != 0) return tarn__idx_system_fail(&r->file, "cannot be examined");
    if (S_ISDIR(info.st_mode)) return tarn__idx_fail(&r->file, TARN_EIO, "is a directory");
    if (!S_ISREG(info.st_mode)) return tarn__idx_fail(&r->file, TARN_EIO, "is no regular file");

    r->file_bytes = (uint64_t)info.st_size < SIZE_MAX ? (size_t)info.st_size : SIZE_MAX;
    r->gzip = pread(r->fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    if (r->gzip && inflateInit2(&r->z, MAX_WBITS + 16) != Z_OK) {
        r->gzip = false;
        return tarn__idx_fail(&r->file, TARN_ENOMEM,
                              "is compressed, and there is no memory for zlib");
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
        if (piece < 0) return tarn__idx_system_fail(&r->file, "cannot be read");
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
            if (piece < 0) return tarn__idx_system_fail(&r->file, "cannot be read");
            if (piece == 0 && r->member_ended) break;
            if (piece == 0)
                return tarn__idx_fail(&r->file, TARN_ECORRUPT, "ends inside its gzip data");
            z->next_in = r->input;
            z->avail_in = (uInt)piece;
        }
        if (r->member_ended) inflateReset(z);
        const size_t room = n - *got < TARN__IDX_PIECE_BYTES ? n - *got : TARN__IDX_PIECE_BYTES;
        z->next_out = to + *got;
        z->avail_out = (uInt)room;
        const int code = inflate(z, Z_NO_FLUSH);
        *got += room - z->avail_out;
        r->member_ended = code == Z_STREAM_END;
        if (code == Z_MEM_ERROR)
            return tarn__idx_fail(&r->file, TARN_ENOMEM,
                                  "needs more memory for zlib than there is");
        if (code != Z_OK && code != Z_STREAM_END) {
            return tarn__idx_fail(&r->file, TARN_ECORRUPT, "is damaged: %s",
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

/* Reads the header. Returns the type of the elements; NULL after a failure, which is held. */
static const tarn__idx_type *read_header(idx_reader *r, tarn_shape *shape)
{
    unsigned char b[4 + 4 * TARN_MAX_DIMS];
    size_t got;
    if (reader_read(r, b, 4, &got) != TARN_OK) return NULL;
    if (got < 4) {
        tarn__idx_fail(&r->file, TARN_ECORRUPT, "has %zu bytes and cannot be IDX", got);
        return NULL;
    }

    const tarn__idx_type *type = NULL;
    for (size_t i = 0; i < sizeof tarn__idx_types / sizeof tarn__idx_types[0]; i++) {
        if (tarn__idx_types[i].code == b[2]) type = &tarn__idx_types[i];
    }
    if (b[0] != 0 || b[1] != 0 || type == NULL) {
        tarn__idx_fail(&r->file, TARN_ECORRUPT, "is not IDX: it begins with %02x %02x %02x %02x",
                       (unsigned)b[0], (unsigned)b[1], (unsigned)b[2], (unsigned)b[3]);
        return NULL;
    }
    if (b[3] > TARN_MAX_DIMS) {
        tarn__idx_fail(&r->file, TARN_ELIMIT, "has %u dimensions; %d are possible", (unsigned)b[3],
                       TARN_MAX_DIMS);
        return NULL;
    }
    shape->ndim = b[3];
    if (reader_read(r, b, 4 * (size_t)shape->ndim, &got) != TARN_OK) return NULL;
    if (got < 4 * (size_t)shape->ndim) {
        tarn__idx_fail(&r->file, TARN_ECORRUPT, "ends inside its header");
        return NULL;
    }
    for (int i = 0; i < shape->ndim; i++) shape->dims[i] = read_u32(b + 4 * i);
    return type;
}

/* Computes the bytes of all elements and refuses what the file cannot hold. */
static tarn_status check_claim(const idx_reader *r, const tarn__idx_type *type,
                               const tarn_shape *shape, size_t *claim)
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
        return tarn__idx_fail(
            &r->file, TARN_ECORRUPT,
            "promises more elements than fit in its %zu bytes; it may be cut short", r->file_bytes);
    }
    if (!r->gzip && whole < limit) {
        return tarn__idx_fail(&r->file, TARN_ECORRUPT,
                              "continues after its last element, for %zu bytes", limit - whole);
    }
    *claim = bytes;
    return TARN_OK;
}

/* Makes n elements in the machine's order and width out of those of the file, which lie at the end
 * of the tensor's memory. Reading runs ahead of writing: no element is wider in the file. */
static void decode(unsigned char *data, size_t n, const tarn__idx_type *type)
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
static tarn_status read_elements(idx_reader *r, const tarn__idx_type *type, size_t claim,
                                 tarn_tensor *t)
{
    unsigned char *data = t->data, more;
    size_t got;
    tarn_status status = reader_read(r, data + (tarn__bytes(t) - claim), claim, &got);
    if (status != TARN_OK) return status;
    if (got < claim) {
        return tarn__idx_fail(&r->file, TARN_ECORRUPT, "ends after %zu of %zu bytes of elements",
                              got, claim);
    }
    status = reader_read(r, &more, 1, &got);
    if (status != TARN_OK) return status;
    if (got > 0) return tarn__idx_fail(&r->file, TARN_ECORRUPT, "continues after its last element");
    decode(data, tarn__elements(t), type);
    return TARN_OK;
}

static tarn_tensor *load(idx_reader *r)
{
    tarn_shape shape = TARN_SCALAR;
    tarn__layout layout;
    size_t claim = 0;
    const tarn__idx_type *type = read_header(r, &shape);
    if (type == NULL) return NULL;
    if (check_claim(r, type, &shape, &claim) != TARN_OK) return NULL;
    const tarn_status status = tarn__layout_make(&layout, type->dtype, &shape);
    if (status != TARN_OK) {
        tarn__idx_fail(&r->file, status, "has more elements than fit in memory");
        return NULL;
    }
    tarn_manager *tm = r->file.tm;
    const tarn__place before = tarn__enter_place(tm, "idx_load", TARN_KIND_DATA);
    tarn_tensor *t = tarn__tensor_new(tm, &layout, TARN_UNINITIALIZED);
    tarn__leave_place(tm, before);
    if (t == NULL) return NULL;
    if (!tm->dry && read_elements(r, type, claim, t) != TARN_OK) {
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
    r.file = (tarn__idx_file){ tm, "tarn_idx_load", path };
    tarn_tensor *t = reader_open(&r) == TARN_OK ? load(&r) : NULL;
    reader_close(&r);
    return t;
}
