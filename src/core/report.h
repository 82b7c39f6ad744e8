/* SPDX-License-Identifier: MIT
 * report.h - what reports share. */
#ifndef TARN_CORE_REPORT_H
#define TARN_CORE_REPORT_H

/* A number of bytes in the largest unit of which there is one: "98.00 KiB". Returns text. */
const char *tarn__bytes_text(char text[24], double bytes);

#endif
