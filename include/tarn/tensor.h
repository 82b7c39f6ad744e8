/* tensor.h - tensors: shapes, element types, factories, reading and writing values, lives.
 *
 * A tensor is a handle (shape, strides, element type, name) on storage that is a block of the pool;
 * views share storage. Every factory puts its handle into the manager's open scope. On failure a
 * factory returns NULL and the manager holds the error: TARN_ENOMEM, TARN_EDTYPE, TARN_ESHAPE for
 * negative sizes, TARN_ELIMIT for more than TARN_MAX_DIMS dimensions, TARN_EOVERFLOW when the bytes
 * do not fit. A size of 0 makes a valid, empty tensor. */
#ifndef TARN_TENSOR_H
#define TARN_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tarn/dtype.h"
#include "tarn/export.h"
#include "tarn/manager.h"
#include "tarn/status.h"

TARN_BEGIN_DECLS

#define TARN_MAX_DIMS 8

typedef struct tarn_shape {
    int ndim; /* 0: a scalar */
    int64_t dims[TARN_MAX_DIMS];
} tarn_shape;

/* A shape from its sizes: TARN_SHAPE(4, 2) has four rows and two columns. TARN_SCALAR has no
 * dimension. */
#define TARN_SHAPE(...)                                                               \
    ((tarn_shape){ (int)(sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                   { __VA_ARGS__ } })
#define TARN_SCALAR ((tarn_shape){ 0, { 0 } })

/* Several tensors: TARN_LIST(a, b), valid in the block in which it stands. */
typedef struct tarn_list {
    int n;
    tarn_tensor *const *items; /* (n) */
} tarn_list;
#define TARN_LIST(...)                                                                   \
    ((tarn_list){ (int)(sizeof((tarn_tensor *const[]){ __VA_ARGS__ }) / sizeof(void *)), \
                  (tarn_tensor *const[]){ __VA_ARGS__ } })

/* ---- factories */

/* Every element zero. Memory known to be zero is not written. */
TARN_API tarn_tensor *tarn_zeros(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape);

/* Every element one. */
TARN_API tarn_tensor *tarn_ones(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape);

/* Every element `value`, converted to the element type as tarn_cast does. */
TARN_API tarn_tensor *tarn_full(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape, double value);

/* Contents indeterminate: to be overwritten through tarn_data_mut. */
TARN_API tarn_tensor *tarn_empty(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape);

/* Independent draws, uniform in [low, high), from the manager's seed and `stream`: the same two
 * numbers give the same values, whatever else was drawn before. F32 or F64. Fails also: TARN_EARG
 * unless low <= high, both finite. */
TARN_API tarn_tensor *tarn_random_uniform(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape,
                                          double low, double high, uint64_t stream);

/* Independent draws from the normal distribution (Box-Muller), seeded as above. Fails also:
 * TARN_EARG unless mean is finite and deviation finite and >= 0. */
TARN_API tarn_tensor *tarn_random_normal(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape,
                                         double mean, double deviation, uint64_t stream);

/* start, start + step, ... while before stop (after it, for a negative step): ceil((stop - start) /
 * step) elements, none if that is negative. Shape (n). Fails also: TARN_EARG if step is 0 or a
 * number not finite. */
TARN_API tarn_tensor *tarn_arange(tarn_manager *tm, tarn_dtype dtype, double start, double stop,
                                  double step);

/* The identity matrix. Shape (n, n). */
TARN_API tarn_tensor *tarn_eye(tarn_manager *tm, tarn_dtype dtype, int64_t n);

/* A copy of the values at `values`: product(shape) elements of type `dtype`, last dimension
 * fastest. Fails also: TARN_EARG if values is NULL and the tensor not empty. */
TARN_API tarn_tensor *tarn_from_array(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape,
                                      const void *values);

/* ---- memory of the caller's own */

/* A tensor on `bytes` bytes at `data`, which are not copied: product(shape) elements of type
 * `dtype`, last dimension fastest, aligned for that type (64 bytes are faster). They count as
 * `adopted` in the pool's statistics. When nothing refers to them any more, free_memory(context,
 * data) is called, unless it is NULL; it may not call into tarn. On failure it is not called.
 * Fails also: TARN_EARG if data is NULL and the tensor not empty, is not aligned, or `bytes` is
 * less than the tensor needs. */
TARN_API tarn_tensor *tarn_from_memory(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape,
                                       void *data, size_t bytes,
                                       void (*free_memory)(void *context, void *data),
                                       void *context);

/* The opposite: takes the memory out of a tensor and gives it to the caller, who returns it with
 * tarn_pool_release to the manager's pool. The tensor's life ends.
 * Fails, with the tensor as it was and *out empty: TARN_EARG; TARN_ESTALE; TARN_ESTATE if something
 * else refers to the memory (views, the tape, a retain, a module) or it is not the pool's. */
TARN_API tarn_status tarn_take_block(tarn_tensor *t, tarn_block *out);

/* As tarn_zeros, in memory straight from the pool's system that never enters the pool: what
 * creation without a pool costs, for comparison. */
TARN_API tarn_tensor *tarn_zeros_plain(tarn_manager *tm, tarn_dtype dtype, tarn_shape shape);

/* ---- frozen tensors */

/* A handle of tm, in its open scope, on the memory of a tensor of a frozen module, whatever manager
 * made that: for operations in tm that have no other operand of tm. The module must outlive it.
 * Fails: NULL; TARN_ESTATE, held by tm, if t is not frozen. */
TARN_API tarn_tensor *tarn_borrow(tarn_manager *tm, tarn_tensor *t);

/* ---- what a tensor is; NULL or an ended tensor reads as rank 0, no elements, no name */

/* Shape, rank, one size (negative axes count from the last; 0 for an axis out of range), elements,
 * element type, stride of an axis in elements, and whether elements lie without gaps, last
 * dimension fastest. */
TARN_API tarn_shape tarn_get_shape(const tarn_tensor *t);
TARN_API int tarn_ndim(const tarn_tensor *t);
TARN_API int64_t tarn_dim(const tarn_tensor *t, int axis);
TARN_API int64_t tarn_numel(const tarn_tensor *t);
TARN_API tarn_dtype tarn_get_dtype(const tarn_tensor *t);
TARN_API int64_t tarn_stride(const tarn_tensor *t, int axis);
TARN_API bool tarn_is_contiguous(const tarn_tensor *t);
TARN_API tarn_manager *tarn_manager_of(const tarn_tensor *t);

/* The name given with tarn_set_name; "" if none. Parameters carry their path, such as "l1.weight".
 */
TARN_API const char *tarn_name(const tarn_tensor *t);

/* Names a tensor for messages and reports. The text is copied (cut to 63 bytes) and the tensor
 * returned. */
TARN_API tarn_tensor *tarn_set_name(tarn_tensor *t, const char *name);

/* ---- values */

/* The elements, for reading; NULL, with the error held, if the life of the tensor has ended
 * (TARN_ESTALE). The pointer is to the first element; strides apply. Valid until the tensor ends.
 */
TARN_API const void *tarn_data(tarn_tensor *t);

/* The elements, for writing. Marks the storage as changed: a backward pass that had saved it
 * becomes an error, never a wrong gradient. Fails as tarn_data does; TARN_ESTATE for an expanded
 * view, in which one element stands for several; any held error if the tensor is a leaf, or belongs
 * to a module or loader. */
TARN_API void *tarn_data_mut(tarn_tensor *t);

/* The value of a tensor of one element; NaN for NULL, an ended tensor, or another size (TARN_ESHAPE
 * is then held). */
TARN_API double tarn_item(tarn_tensor *t);

/* Copies all elements, last dimension fastest, from or to an array of `bytes` bytes, which must be
 * numel times the element size. Fails, with nothing copied and the error held: TARN_EARG,
 * TARN_ESTALE, TARN_ESTATE as tarn_data_mut. */
TARN_API tarn_status tarn_copy_from(tarn_tensor *t, const void *values, size_t bytes);
TARN_API tarn_status tarn_copy_to(tarn_tensor *t, void *values, size_t bytes);

/* Sets every element to `value`, converted as tarn_cast does. Fails as tarn_data_mut does. */
TARN_API tarn_status tarn_fill_with(tarn_tensor *t, double value);

/* Writes name, type, shape and values (the first and last of long ones). Fails: TARN_EARG,
 * TARN_ESTALE, TARN_EIO. */
TARN_API tarn_status tarn_print(tarn_tensor *t, FILE *stream);

/* ---- lives */

/* Makes the handle the caller's until tarn_release; may be nested. Returns t. */
TARN_API tarn_tensor *tarn_retain(tarn_tensor *t);

/* Undoes one tarn_retain. On a handle that was never retained it ends its life now, before its
 * scope does. The handle must not be used after its last release. Parameters, batches and gradients
 * belong to others: TARN_ESTATE is then held. */
TARN_API void tarn_release(tarn_tensor *t);

/* Moves the handle from the innermost open scope to the one around it, and returns it; the
 * operations that lead to it stay recorded. Handles of scopes further out, and parameters, batches
 * and gradients, stay where they are. */
TARN_API tarn_tensor *tarn_escape(tarn_tensor *t);

/* Keeps the values readable until the handle's own scope ends, even after tarn_backward. Returns t.
 */
TARN_API tarn_tensor *tarn_keep(tarn_tensor *t);

TARN_END_DECLS

#endif
