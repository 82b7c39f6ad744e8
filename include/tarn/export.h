/* export.h - what a compiler is told about public declarations. */
#ifndef TARN_EXPORT_H
#define TARN_EXPORT_H

/* TARN_API: part of the library's interface; everything else is hidden.
 * TARN_NODISCARD: the result must be used.
 * TARN_PRINTF(f, a): parameter f, counted from 1, is a printf format and its arguments begin at
 * parameter a. */
#if defined(__GNUC__) || defined(__clang__)
#define TARN_API __attribute__((visibility("default")))
#define TARN_NODISCARD __attribute__((warn_unused_result))
#define TARN_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define TARN_API
#define TARN_NODISCARD
#define TARN_PRINTF(f, a)
#endif

/* Between these two, declarations have C linkage in C++ too. */
#ifdef __cplusplus
#define TARN_BEGIN_DECLS extern "C" {
#define TARN_END_DECLS }
#else
#define TARN_BEGIN_DECLS
#define TARN_END_DECLS
#endif

#endif
