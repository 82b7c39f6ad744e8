/* SPDX-License-Identifier: MIT
 * test_shape.c - particulars of views, selection and copies: what is shared, what is refused and
 * how it is told. Values and gradients are in the table of cases. */
#include <math.h>
#include <string.h>

#include <tarn/tarn.h>

#include "check.h"

#define MANAGER(state) (((check_fixture *)*(state))->tm)

int main(void) { return 0; }
