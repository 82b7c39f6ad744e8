/* dtype.h - element types. */
#ifndef TARN_DTYPE_H
#define TARN_DTYPE_H

#include <stddef.h>
#include <stdint.h>

#include "tarn/export.h"

TARN_BEGIN_DECLS

/* Element types: X(code, C type, name). */
#define TARN_DTYPE_LIST(X)    \
    X(F32, float, "float32")  \
    X(F64, double, "float64") \
    X(I32, int32_t, "int32")  \
    X(I64, int64_t, "int64")  \
    X(U8, uint8_t, "uint8")

typedef enum tarn_dtype {
#define TARN_DTYPE_ENUM(code, type, name) TARN_##code,
    TARN_DTYPE_LIST(TARN_DTYPE_ENUM)
#undef TARN_DTYPE_ENUM
} tarn_dtype;

/* "float32" and so on; "unknown" for any other number. Static storage. */
TARN_API const char *tarn_dtype_name(tarn_dtype dtype);

/* Bytes of one element; 0 for an unknown type. */
TARN_API size_t tarn_dtype_size(tarn_dtype dtype);

TARN_END_DECLS

#endif
