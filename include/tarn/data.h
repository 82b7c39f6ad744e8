/* data.h - batches from data in memory. */
#ifndef TARN_DATA_H
#define TARN_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

typedef struct tarn_loader tarn_loader;

typedef struct tarn_loader_options {
    int64_t batch_size; /* 0: 32 */
    bool shuffle;       /* a new order each epoch, from seed, `stream` and the epoch's number */
    uint64_t stream;    /* tells loaders of one manager apart */
    bool drop_last;     /* leave out a last batch that is not full */
    bool flatten;       /* inputs (N, a, b, ...) become batches (B, a b ...), always of rank 2 */
    tarn_dtype dtype;   /* of the batches' inputs: F32 (the zero value) or F64 */
    double scale;       /* inputs become (value - shift) scale, computed in double; 0: 1 */
    double shift;
} tarn_loader_options;

/* A loader over rows of `inputs` (N, ...) of any type and, if not NULL, `targets` (N, ...), whose
 * type the batches keep. The loader keeps what it reads: their memory where it is, or a copy if it
 * has gaps. NULL options mean every default.
 * Fails: TARN_ESHAPE if the numbers of rows differ or there are none to count (rank 0), TARN_EARG
 * for a batch size below 0, a scale or shift not finite, or a dtype that is no float. */
TARN_API tarn_loader *tarn_loader_create(tarn_tensor *inputs, tarn_tensor *targets,
                                         const tarn_loader_options *options);

/* The next batch of the epoch: x (B, ...) in the loader's dtype, y (B, ...). They belong to the
 * loader and are valid until its next batch, which takes other memory while these are retained or
 * saved for backward. Either pointer may be NULL. At the end of the epoch, on failure, and while an
 * error is held the result is false and both are NULL; after the end the next call begins a new
 * epoch, after a failure it tries the same batch again. */
TARN_API bool tarn_loader_next(tarn_loader *loader, tarn_tensor **input, tarn_tensor **target);

/* Batches in an epoch; rows in all; the number of the running epoch, from 0 (between two epochs, of
 * the one that ended). 0 for NULL. */
TARN_API int64_t tarn_loader_batches(const tarn_loader *loader);
TARN_API int64_t tarn_loader_rows(const tarn_loader *loader);
TARN_API int64_t tarn_loader_epoch(const tarn_loader *loader);

/* Begins the given epoch (>= 0) at its first batch. Fails: TARN_EARG. */
TARN_API tarn_status tarn_loader_seek(tarn_loader *loader, int64_t epoch);

/* Gives its memory back. NULL does nothing. The manager destroys what is left. */
TARN_API void tarn_loader_destroy(tarn_loader *loader);

TARN_END_DECLS

#endif
