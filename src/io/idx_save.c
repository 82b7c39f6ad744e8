/* SPDX-License-Identifier: MIT
 * idx_save.c - writing IDX files, whole or not at all. */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include <tarn/io.h>

#include "core/manager.h"
#include "core/observer.h"
#include "core/size.h"
#include "core/tensor.h"
#include "io/idx.h"
#include "io/save.h"

/* A file that is written, and what of it is not written yet. */
typedef struct idx_writer {
    tarn__idx_file file;
    tarn__save save;
    bool gzip;
    z_stream z;
    size_t n; /* bytes waiting in output */
    unsigned char output[TARN__IDX_BUFFER_BYTES], packed[TARN__IDX_BUFFER_BYTES];
} idx_writer;

/* Holds the error of the saving that has just failed. */
static tarn_status save_fail(const idx_writer *w)
{
    if (w->save.error == 0) return tarn__idx_fail(&w->file, TARN_EIO, "%s", w->save.problem);
    errno = w->save.error;
    return tarn__idx_system_fail(&w->file, w->save.problem);
}

static tarn_status writer_open(idx_writer *w)
{
    const size_t length = strlen(w->file.path);
    if (!tarn__save_begin(&w->save, w->file.path)) return save_fail(w);
    if (length < 3 || strcmp(w->file.path + length - 3, ".gz") != 0) return TARN_OK;

    w->gzip = deflateInit2(&w->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                           Z_DEFAULT_STRATEGY) == Z_OK;
    if (!w->gzip)
        return tarn__idx_fail(&w->file, TARN_ENOMEM, "cannot be compressed: no memory for zlib");
    return TARN_OK;
}

static tarn_status write_out(idx_writer *w, const unsigned char *from, size_t n)
{
    return tarn__save_write(&w->save, from, n) ? TARN_OK : save_fail(w);
}

/* Writes what waits; `finish` is Z_FINISH for the last time, else Z_NO_FLUSH. */
static tarn_status writer_flush(idx_writer *w, int finish)
{
    tarn_status status = TARN_OK;
    if (!w->gzip) {
        status = write_out(w, w->output, w->n);
    } else {
        w->z.next_in = w->output;
        w->z.avail_in = (uInt)w->n;
        do {
            w->z.next_out = w->packed;
            w->z.avail_out = TARN__IDX_BUFFER_BYTES;
            deflate(&w->z, finish);
            status = write_out(w, w->packed, TARN__IDX_BUFFER_BYTES - w->z.avail_out);
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

/* Gives the file its name once all of it is on the disk. */
static tarn_status writer_commit(idx_writer *w)
{
    const tarn_status status = writer_flush(w, Z_FINISH);
    if (status != TARN_OK) return status;
    return tarn__save_commit(&w->save) ? TARN_OK : save_fail(w);
}

static void writer_close(idx_writer *w)
{
    if (w->gzip) deflateEnd(&w->z);
    tarn__save_end(&w->save);
}

static tarn_status save(const tarn__idx_file *file, const tarn_tensor *t,
                        const tarn__idx_type *type)
{
    idx_writer w;
    memset(&w, 0, offsetof(idx_writer, output));
    w.file = *file;
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
    tarn__observe_refusal(t->manager, "it writes a tensor to a file");
    tarn__materialize(t);
    return save(&file, t, type);
}
