# What `cmake --install` lays down: headers, library, the command, and the two ways in, CMake's package and pkg-config's.
# All paths in it are relative, so an installed tree may be moved.
include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" "${PROJECT_BINARY_DIR}/include/"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" PATTERN testing.hpp EXCLUDE)
install(TARGETS redismutex EXPORT redismutexTargets)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
if(REDISMUTEX_BUILD_TOOLS)
  install(TARGETS redismutex_command)
  if(REDISMUTEX_TLS)
    install(TARGETS redismutex_tls_command DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/redismutex")
  endif()
  if(TARGET redismutex_on_call)
    install(TARGETS redismutex_on_call DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/redismutex")
    install(FILES "${PROJECT_SOURCE_DIR}/tools/on_call/LICENSE.nlohmann-json" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
  endif()
  install(FILES "${PROJECT_SOURCE_DIR}/tools/shared/LICENSE.CLI11" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
  if(TARGET redismutex_on_call)
    # Where each shell looks.
    install(FILES "${PROJECT_SOURCE_DIR}/completions/redismutex.bash" RENAME redismutex
            DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
    install(FILES "${PROJECT_SOURCE_DIR}/completions/_redismutex" DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions")
    install(FILES "${PROJECT_SOURCE_DIR}/completions/redismutex.fish"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
  endif()
  get_property(man_pages GLOBAL PROPERTY redismutex_man_pages)
  install(FILES ${man_pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
endif()

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/redismutex")

# Who links our static library links its dependencies too. pkg-config would list them only under --static, which nobody
# passes, so they go where they are always seen.
set(PC_REQUIRES "")
set(PC_LIBS "-L\${libdir} -lredismutex")
set(REDISMUTEX_NEEDS_OPENSSL FALSE)
if(REDISMUTEX_TLS AND NOT BUILD_SHARED_LIBS)
  set(REDISMUTEX_NEEDS_OPENSSL TRUE)
  set(PC_REQUIRES "openssl")
endif()

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/redismutexConfig.cmake.in" "${PROJECT_BINARY_DIR}/redismutexConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/redismutexConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/redismutexConfig.cmake" "${PROJECT_BINARY_DIR}/redismutexConfigVersion.cmake"
  DESTINATION "${package_dir}")
install(EXPORT redismutexTargets NAMESPACE redismutex:: DESTINATION "${package_dir}")
if(TARGET redismutex_testing)
  install(FILES "${PROJECT_SOURCE_DIR}/include/redismutex/testing.hpp" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/redismutex")
  install(TARGETS redismutex_testing EXPORT redismutexTestingTargets)
  install(EXPORT redismutexTestingTargets NAMESPACE redismutex:: DESTINATION "${package_dir}")
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/RedismutexLua.cmake" DESTINATION "${package_dir}")
endif()

set(PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
if(NOT IS_ABSOLUTE "${PC_INCLUDEDIR}")
  string(PREPEND PC_INCLUDEDIR "\${prefix}/")
endif()
set(PC_CFLAGS "")
if(BUILD_SHARED_LIBS)
  set(PC_CFLAGS " -DREDISMUTEX_SHARED")
endif()
file(RELATIVE_PATH PC_LIBDIR_TO_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}" "${CMAKE_INSTALL_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/redismutex.pc.in" "${PROJECT_BINARY_DIR}/redismutex.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/redismutex.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(TARGET redismutex_testing)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/redismutex-testing.pc.in" "${PROJECT_BINARY_DIR}/redismutex-testing.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/redismutex-testing.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endif()

# Inside another project the name belongs to that project.
if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(
    uninstall
    COMMAND "${CMAKE_COMMAND}" "-DMANIFEST=${PROJECT_BINARY_DIR}/install_manifest.txt" -P
            "${PROJECT_SOURCE_DIR}/cmake/Uninstall.cmake"
    COMMENT "Removing what was installed last"
    VERBATIM)
endif()
