/* io.h - files of arrays.
 *
 * IDX is the format of MNIST: two zero bytes, a type, the number of dimensions, the sizes as
 * big-endian 32-bit numbers, the elements in big-endian order. A file may be compressed with gzip;
 * that is recognised by its content. */
#ifndef TARN_IO_H
#define TARN_IO_H

#include "tarn/export.h"
#include "tarn/tensor.h"

TARN_BEGIN_DECLS

/* The array of an IDX file, plain or gzip. Types: unsigned byte (U8), signed byte, 16- and 32-bit
 * integers (I32), float (F32) and double (F64). Fails, with NULL and the error held: TARN_EIO if
 * the file cannot be read or is no regular file; TARN_ECORRUPT if it is not IDX, ends early,
 * continues after its last element, claims more than its size can hold, or fails gzip's check;
 * TARN_ELIMIT for more than TARN_MAX_DIMS dimensions; TARN_ENOMEM. Memory is acquired only after
 * the claim was checked. */
TARN_API tarn_tensor *tarn_idx_load(tarn_manager *tm, const char *path);

/* Writes a U8, I32, F32 or F64 tensor as an IDX file, compressed if the name ends in ".gz". The
 * file appears whole or not at all: it is written beside its place, synchronised, and renamed over
 * what was there, whose permissions it keeps (not its owner, nor its other hard links). A symbolic
 * link stays: the file it leads to is replaced. Fails, with the error held and what was there as it
 * was: TARN_EARG; TARN_EDTYPE for other types; TARN_ELIMIT for sizes beyond 32 bits; TARN_EIO if
 * the file cannot be written, is there and no regular file, or is a symbolic link to nothing or in
 * a circle. Of these, a directory that cannot be synchronised is found only after the renaming. */
TARN_API tarn_status tarn_idx_save(tarn_tensor *t, const char *path);

TARN_END_DECLS

#endif
