/* status.h - what a call can report. */
#ifndef TARN_STATUS_H
#define TARN_STATUS_H

#include "tarn/export.h"

TARN_BEGIN_DECLS

/* Every status: X(code, text). TARN_OK is zero and the only success. */
#define TARN_STATUS_LIST(X)                                      \
    X(OK, "success")                                             \
    X(EARG, "invalid argument")                                  \
    X(ESHAPE, "shapes do not fit")                               \
    X(EDTYPE, "element type not accepted")                       \
    X(EOVERFLOW, "size does not fit in memory arithmetic")       \
    X(ELIMIT, "built-in limit exceeded")                         \
    X(ENOMEM, "out of memory")                                   \
    X(EIO, "file cannot be read or written")                     \
    X(ECORRUPT, "file is damaged or not of the expected format") \
    X(EUNSUPPORTED, "not supported")                             \
    X(ESTATE, "call does not fit the state of its objects")      \
    X(ESTALE, "tensor whose life has ended")                     \
    X(ENUMERIC, "number not finite or out of range")

typedef enum tarn_status {
#define TARN_STATUS_ENUM(code, text) TARN_##code,
    TARN_STATUS_LIST(TARN_STATUS_ENUM)
#undef TARN_STATUS_ENUM
} tarn_status;

/* The name of a status, such as "TARN_ESHAPE"; "unknown status" for any other number. Static
 * storage. */
TARN_API const char *tarn_status_name(tarn_status status);

/* What a status means, in a few English words. Static storage. */
TARN_API const char *tarn_status_text(tarn_status status);

TARN_END_DECLS

#endif
