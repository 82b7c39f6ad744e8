/* SPDX-License-Identifier: MIT
 * files.c - tries what writing a file whole or not at all takes: making another one beside it. */
#define _XOPEN_SOURCE 700
#include "files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_can_be_made(const char *path)
{
    struct stat info;
    char place[PATH_MAX], trial[PATH_MAX + 16];
    const bool exists = stat(path, &info) == 0;
    if (exists ? !S_ISREG(info.st_mode) : errno != ENOENT || lstat(path, &info) == 0) return false;
    if (exists ? realpath(path, place) == NULL : strlen(path) >= sizeof place) return false;
    if (!exists) memcpy(place, path, strlen(path) + 1);
    char *name = strrchr(place, '/');
    name = name != NULL ? name + 1 : place;
    if (*name == '\0') return false; /* it would be a directory */
    snprintf(trial, sizeof trial, "%.*s.trial-XXXXXX", (int)(name - place), place);
    const int file = mkstemp(trial);
    if (file < 0) return false;
    close(file);
    return unlink(trial) == 0;
}
