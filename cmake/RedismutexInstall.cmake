# What `cmake --install` lays down: headers, library, the command, and the two ways in, CMake's package and pkg-config's.
# All paths in it are relative, so an installed tree may be moved. The components become packages (RedismutexPackages.cmake).
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/redismutex")

# ---- the library

install(
  DIRECTORY "${PROJECT_SOURCE_DIR}/include/" "${PROJECT_BINARY_DIR}/include/"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT development
  PATTERN prometheus.hpp EXCLUDE
  PATTERN testing.hpp EXCLUDE)
install(
  TARGETS redismutex
  EXPORT redismutexTargets
  ARCHIVE COMPONENT development
  LIBRARY COMPONENT runtime NAMELINK_COMPONENT development)

# Who links our static library links its dependencies too. pkg-config would list them only under --static, which nobody
# passes, so they go where they are always seen.
set(REDISMUTEX_NEEDS_OPENSSL FALSE)
set(requires "")
if(REDISMUTEX_TLS AND NOT BUILD_SHARED_LIBS)
  set(REDISMUTEX_NEEDS_OPENSSL TRUE)
  set(requires "openssl")
endif()

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/redismutexConfig.cmake.in" "${PROJECT_BINARY_DIR}/redismutexConfig.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/redismutexConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(
  FILES "${PROJECT_BINARY_DIR}/redismutexConfig.cmake" "${PROJECT_BINARY_DIR}/redismutexConfigVersion.cmake"
  DESTINATION "${package_dir}"
  COMPONENT development)
install(EXPORT redismutexTargets NAMESPACE redismutex:: DESTINATION "${package_dir}" COMPONENT development)

# redismutex_install_pc(NAME DESCRIPTION REQUIRES COMPONENT [LIBS]): LIBS are what links it, if that is more than its name.
function(redismutex_install_pc PC_NAME PC_DESCRIPTION PC_REQUIRES component)
  set(PC_LIBS "-l${PC_NAME}")
  if(ARGC GREATER 4)
    set(PC_LIBS "${ARGV4}")
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
  configure_file("${PROJECT_SOURCE_DIR}/cmake/redismutex.pc.in" "${PROJECT_BINARY_DIR}/${PC_NAME}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${PC_NAME}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT ${component})
endfunction()

redismutex_install_pc(redismutex "${PROJECT_DESCRIPTION}" "${requires}" development)

# ---- metrics

if(REDISMUTEX_PROMETHEUS)
  install(FILES "${PROJECT_SOURCE_DIR}/include/redismutex/prometheus.hpp" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/redismutex"
          COMPONENT prometheus_development)
  install(
    TARGETS redismutex_prometheus
    EXPORT redismutexPrometheusTargets
    ARCHIVE COMPONENT prometheus_development
    LIBRARY COMPONENT prometheus_runtime NAMELINK_COMPONENT prometheus_development)
  install(EXPORT redismutexPrometheusTargets NAMESPACE redismutex:: DESTINATION "${package_dir}" COMPONENT prometheus_development)
  redismutex_install_pc(redismutex-prometheus "Metrics of redismutex for Prometheus" "redismutex prometheus-cpp-core"
                        prometheus_development)
endif()

# ---- servers inside the process

if(TARGET redismutex_testing)
  install(FILES "${PROJECT_SOURCE_DIR}/include/redismutex/testing.hpp" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/redismutex"
          COMPONENT development)
  install(TARGETS redismutex_testing EXPORT redismutexTestingTargets ARCHIVE COMPONENT development
          LIBRARY COMPONENT runtime NAMELINK_COMPONENT development)
  install(EXPORT redismutexTestingTargets NAMESPACE redismutex:: DESTINATION "${package_dir}" COMPONENT development)
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/RedismutexLua.cmake" DESTINATION "${package_dir}" COMPONENT development)
  redismutex_install_pc(
    redismutex-testing "Servers inside the process (memory: URLs), for tests of programs that use redismutex" "redismutex" development
    "-Wl,--undefined=redismutex_testing -lredismutex_testing ${REDISMUTEX_LUA_LIBRARY}")
endif()

# ---- the command

if(REDISMUTEX_BUILD_TOOLS)
  install(TARGETS redismutex_command COMPONENT command)
  if(REDISMUTEX_TLS)
    install(TARGETS redismutex_tls_command DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/redismutex" COMPONENT command)
  endif()
  if(TARGET redismutex_on_call)
    install(TARGETS redismutex_on_call DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/redismutex" COMPONENT command)
    # Where each shell looks.
    install(FILES "${PROJECT_SOURCE_DIR}/completions/redismutex.bash" RENAME redismutex
            DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" COMPONENT command)
    install(FILES "${PROJECT_SOURCE_DIR}/completions/_redismutex"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" COMPONENT command)
    install(FILES "${PROJECT_SOURCE_DIR}/completions/redismutex.fish"
            DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d" COMPONENT command)
  endif()
  get_property(man_pages GLOBAL PROPERTY redismutex_man_pages)
  install(FILES ${man_pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT command)
endif()

# ---- licences, ours and those of what is in the binaries; packages have them in their own place

if(NOT REDISMUTEX_PACKAGES)
  install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT development)
  if(REDISMUTEX_BUILD_TOOLS)
    install(FILES "${PROJECT_SOURCE_DIR}/tools/shared/LICENSE.CLI11" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT command)
  endif()
  if(TARGET redismutex_on_call)
    install(FILES "${PROJECT_SOURCE_DIR}/tools/on_call/LICENSE.nlohmann-json" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT command)
  endif()
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
