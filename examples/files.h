/* SPDX-License-Identifier: MIT
 * files.h - whether a file can be written, before there is anything to write. */
#ifndef EXAMPLES_FILES_H
#define EXAMPLES_FILES_H

#include <stdbool.h>

/* Whether a regular file can be written there, whole or not at all. Leaves nothing behind. */
bool file_can_be_made(const char *path);

#endif
