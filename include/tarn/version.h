/* version.h - the version of these headers, and the one place where it is written: the build reads
 * it from here. */
#ifndef TARN_VERSION_H
#define TARN_VERSION_H

#define TARN_VERSION_MAJOR 0
#define TARN_VERSION_MINOR 1
#define TARN_VERSION_PATCH 0

#define TARN_VERSION_TEXT_(major, minor, patch) #major "." #minor "." #patch
#define TARN_VERSION_TEXT(major, minor, patch) TARN_VERSION_TEXT_(major, minor, patch)

/* The same as text: "0.1.0". */
#define TARN_VERSION TARN_VERSION_TEXT(TARN_VERSION_MAJOR, TARN_VERSION_MINOR, TARN_VERSION_PATCH)

#endif
