# What the library links: OpenBLAS, SLEEF, zlib, the mathematics library and the system's threads. The build uses this
# file, and so does the installed package, so that both look in the same places.
#
# SLEEF is looked for unless TARN_SLEEF is OFF, and may be missing unless it is ON: then tarn::sleef is no target.
#
# The targets are global: a project that adds this one as a subdirectory links them from a directory further up.

if(NOT TARGET tarn::openblas)
  # Debian keeps OpenBLAS in a directory of its own, which only its pkg-config file names.
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(TARN_PC_OPENBLAS QUIET openblas)
  endif()
  find_path(TARN_OPENBLAS_INCLUDE_DIR cblas.h
            HINTS ${TARN_PC_OPENBLAS_INCLUDE_DIRS}
            PATH_SUFFIXES openblas)
  find_library(TARN_OPENBLAS_LIBRARY openblas
               HINTS ${TARN_PC_OPENBLAS_LIBRARY_DIRS})
  mark_as_advanced(TARN_OPENBLAS_INCLUDE_DIR TARN_OPENBLAS_LIBRARY)
  if(NOT TARN_OPENBLAS_INCLUDE_DIR OR NOT TARN_OPENBLAS_LIBRARY)
    message(FATAL_ERROR "OpenBLAS was not found (on Debian and Ubuntu: libopenblas-dev)")
  endif()
  add_library(tarn::openblas UNKNOWN IMPORTED GLOBAL)
  set_target_properties(
    tarn::openblas
    PROPERTIES IMPORTED_LOCATION "${TARN_OPENBLAS_LIBRARY}"
               INTERFACE_INCLUDE_DIRECTORIES "${TARN_OPENBLAS_INCLUDE_DIR}")
endif()

if(NOT TARN_SLEEF STREQUAL "OFF" AND NOT TARGET tarn::sleef)
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(TARN_PC_SLEEF QUIET sleef)
  endif()
  find_library(TARN_SLEEF_LIBRARY sleef HINTS ${TARN_PC_SLEEF_LIBRARY_DIRS})
  mark_as_advanced(TARN_SLEEF_LIBRARY)
  if(TARN_SLEEF_LIBRARY)
    add_library(tarn::sleef UNKNOWN IMPORTED GLOBAL)
    set_target_properties(tarn::sleef PROPERTIES IMPORTED_LOCATION "${TARN_SLEEF_LIBRARY}")
  elseif(TARN_SLEEF STREQUAL "ON")
    message(FATAL_ERROR "SLEEF was not found (on Debian and Ubuntu: libsleef-dev)")
  endif()
endif()

if(NOT TARGET ZLIB::ZLIB)
  find_package(ZLIB REQUIRED)
  set_target_properties(ZLIB::ZLIB PROPERTIES IMPORTED_GLOBAL TRUE)
endif()

if(NOT TARGET Threads::Threads)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads REQUIRED)
  set_target_properties(Threads::Threads PROPERTIES IMPORTED_GLOBAL TRUE)
endif()
