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

    /* Only a part of the N rows: from row `from` N up to, and without, row `to` N, both rounded to
     * whole rows; if `from` is larger, from there to the end and on from row 0. The same number
     * here and there makes loaders that share no row and leave none out:
     *
     *     train = { .to = 0.9, .mix = true, .shuffle = true },  validation = { .from = 0.9, .mix =
     * true } fold i of k: train = { .from = (i + 1) / k, .to = i / k },  validation the other way
     * round */
    double from; /* 0 to 1 */
    double to;   /* 0 to 1; 0: 1 */
    bool mix;    /* rows are counted in an order that is drawn once, from the seed and N alone */

    /* The next batch is filled in a thread of the loader's own while the program uses this one: the
     * same batches in the same order, to the bit. It takes the memory of a second batch, and it
     * pays where a processor is idle meanwhile and filling takes longer than waking a thread, some
     * microseconds; where none is, tarn_loader_next fills what the thread has not come to. The data
     * must not be written to while an epoch runs, in whatever thread: a write through the library
     * after a batch was read ahead is an error of the next call, which the one after that forgets
     * once it is cleared. Where the system has no thread to give, and in a forked process, batches
     * are filled in place. */
    bool prefetch;
} tarn_loader_options;

/* A loader over rows of `inputs` (N, ...) of any type and, if not NULL, `targets` (N, ...), whose
 * type the batches keep. The loader keeps what it reads: their memory where it is, or a copy if it
 * has gaps. NULL options mean every default.
 * Fails: TARN_ESHAPE if the numbers of rows differ or there are none to count (rank 0), TARN_EARG
 * for a batch size below 0, a scale or shift not finite, a dtype that is no float, or from and to
 * that are equal or not in [0, 1]. */
TARN_API tarn_loader *tarn_loader_create(tarn_tensor *inputs, tarn_tensor *targets,
                                         const tarn_loader_options *options);

/* The next batch of the epoch: x (B, ...) in the loader's dtype, y (B, ...). They belong to the
 * loader and are valid until its next batch, which takes other memory while these are retained or
 * saved for backward. Either pointer may be NULL. At the end of the epoch, on failure, and while an
 * error is held the result is false and both are NULL; after the end the next call begins a new
 * epoch, after a failure it tries the same batch again. */
TARN_API bool tarn_loader_next(tarn_loader *loader, tarn_tensor **input, tarn_tensor **target);

/* Batches in an epoch; rows of its part of the data; the number of the running epoch, from 0
 * (between two epochs, of the one that ended). 0 for NULL. */
TARN_API int64_t tarn_loader_batches(const tarn_loader *loader);
TARN_API int64_t tarn_loader_rows(const tarn_loader *loader);
TARN_API int64_t tarn_loader_epoch(const tarn_loader *loader);

/* Begins the given epoch (>= 0) at its first batch. Fails: TARN_EARG. */
TARN_API tarn_status tarn_loader_seek(tarn_loader *loader, int64_t epoch);

/* Goes back to the first batch of the running epoch, whose order stays. Between two epochs, and
 * after the last batch of one, it stands at the next one's already. */
TARN_API void tarn_loader_rewind(tarn_loader *loader);

/* Gives its memory back. NULL does nothing. The manager destroys what is left. */
TARN_API void tarn_loader_destroy(tarn_loader *loader);

TARN_END_DECLS

#endif
