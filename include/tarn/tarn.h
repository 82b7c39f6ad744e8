/* tarn.h - everything tarn offers; each header below may also be included alone.
 *
 * Errors. A call that only acts returns a tarn_status. A call that makes a tensor returns it, or
 * NULL, and its manager keeps the first error: code, operation, names, shapes and numbers. While an
 * error is held, NULL operands pass through silently, so that a whole expression needs one check
 * (tarn_ok), and every side effect refuses, so that nothing is trained on garbage. Every function
 * accepts NULL objects. The library never aborts, exits or prints.
 *
 * Ownership. A scope owns every handle made in it (TARN_SCOPE); with none open, the manager's root
 * scope does. tarn_retain makes a handle yours until tarn_release. tarn_escape moves it to the
 * enclosing scope. tarn_keep keeps it readable after tarn_backward. tarn_manager_destroy ends
 * everything that the manager made.
 *
 * Threads. A manager and what it made are used by one thread at a time; a pool by any number of
 * them; the tensors of a frozen module (tarn_module_freeze) are read from every thread. */
#ifndef TARN_TARN_H
#define TARN_TARN_H

#include "tarn/autograd.h"
#include "tarn/conv.h"
#include "tarn/custom.h"
#include "tarn/data.h"
#include "tarn/debug.h"
#include "tarn/dry_run.h"
#include "tarn/dtype.h"
#include "tarn/ema.h"
#include "tarn/export.h"
#include "tarn/fit.h"
#include "tarn/functional.h"
#include "tarn/io.h"
#include "tarn/layers.h"
#include "tarn/lbfgs.h"
#include "tarn/loss.h"
#include "tarn/manager.h"
#include "tarn/metrics.h"
#include "tarn/module.h"
#include "tarn/ops.h"
#include "tarn/optim.h"
#include "tarn/plan.h"
#include "tarn/pool.h"
#include "tarn/runtime.h"
#include "tarn/schedule.h"
#include "tarn/sequence.h"
#include "tarn/sequential.h"
#include "tarn/shape.h"
#include "tarn/status.h"
#include "tarn/system.h"
#include "tarn/tensor.h"
#include "tarn/trace.h"
#include "tarn/usage.h"
#include "tarn/version.h"

#endif
