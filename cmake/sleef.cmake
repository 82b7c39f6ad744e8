# Whether this build takes vector mathematics from SLEEF: TARN_WITH_SLEEF is ON or OFF.

# MemorySanitizer would take what a library computes without it for uninitialised, and kernels for other processors than
# x86 call the C library.
if(TARN_SANITIZE MATCHES "memory" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(TARN_SLEEF OFF)
endif()

# To be called when tarn::sleef was looked for. One that lacks the functions that give the same results in vectors of
# every width is as good as none.
macro(sleef_decide)
  set(TARN_WITH_SLEEF OFF)
  if(TARGET tarn::sleef)
    include(CheckFunctionExists)
    include(CMakePushCheckState)
    cmake_push_check_state(RESET)
    set(CMAKE_REQUIRED_LIBRARIES tarn::sleef m)
    check_function_exists(Sleef_finz_erfcd8_u15avx512f TARN_SLEEF_IS_COMPLETE)
    cmake_pop_check_state()
    if(TARN_SLEEF_IS_COMPLETE)
      set(TARN_WITH_SLEEF ON)
    elseif(TARN_SLEEF STREQUAL "ON")
      message(FATAL_ERROR "${TARN_SLEEF_LIBRARY} lacks deterministic functions for AVX2 and AVX-512")
    endif()
  endif()
  message(STATUS "Vector mathematics by SLEEF: ${TARN_WITH_SLEEF}")
endmacro()
