# Install rules: headers, both libraries, the CMake package and the pkg-config file.

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tarn")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/tarn"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h")
install(TARGETS tarn tarn_static EXPORT tarn
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT tarn NAMESPACE tarn:: FILE tarnTargets.cmake DESTINATION "${package_dir}")

# Until 1.0 a minor version may change the interface.
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/tarnConfig.cmake.in"
                              "${PROJECT_BINARY_DIR}/tarnConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/tarnConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/tarnConfig.cmake"
              "${PROJECT_BINARY_DIR}/tarnConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/tarnDependencies.cmake"
        DESTINATION "${package_dir}")

# The prefix in the pkg-config file follows from where the file lies, because it may be chosen as late as at
# `cmake --install --prefix`. Absolute directories, which are allowed too, stay as they are.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
  set(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
else()
  file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
else()
  set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()

# What static linking needs besides: OpenBLAS and SLEEF by module where they have one, else by their files.
set(pc_requires zlib)
set(pc_libs "-lm ${CMAKE_THREAD_LIBS_INIT}")
if(TARN_PC_OPENBLAS_FOUND)
  string(APPEND pc_requires " openblas")
else()
  string(PREPEND pc_libs "${TARN_OPENBLAS_LIBRARY} ")
endif()
if(TARN_WITH_SLEEF STREQUAL "ON" AND TARN_PC_SLEEF_FOUND)
  string(APPEND pc_requires " sleef")
elseif(TARN_WITH_SLEEF STREQUAL "ON")
  string(PREPEND pc_libs "${TARN_SLEEF_LIBRARY} ")
endif()
string(STRIP "${pc_libs}" pc_libs)

configure_file("${CMAKE_CURRENT_LIST_DIR}/tarn.pc.in" "${PROJECT_BINARY_DIR}/tarn.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/tarn.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
