/* SPDX-License-Identifier: MIT
 * loader.h - what the library asks of loaders. */
#ifndef TARN_NN_LOADER_H
#define TARN_NN_LOADER_H

#include <tarn/data.h>

/* The manager that made it. */
tarn_manager *tarn__loader_manager(const tarn_loader *loader);

#endif
