# Debian packages, by `make packages`: cpack makes one of each component of RedismutexInstall.cmake. Only where REDISMUTEX_PACKAGES is ON,
# because packages have licences and changes in places of their own.
set(REDISMUTEX_PACKAGER "The redismutex authors <maintainers@redismutex.invalid>" CACHE STRING "Who made the packages: NAME <ADDRESS>")

set(abi "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file("${PROJECT_SOURCE_DIR}/packaging/debian/changelog.in" "${PROJECT_BINARY_DIR}/changelog" @ONLY)
add_custom_command(
  OUTPUT "${PROJECT_BINARY_DIR}/changelog.Debian.gz"
  COMMAND sh -ec "gzip -9nc '${PROJECT_BINARY_DIR}/changelog' >'${PROJECT_BINARY_DIR}/changelog.Debian.gz'"
  DEPENDS "${PROJECT_BINARY_DIR}/changelog"
  VERBATIM)
add_custom_target(redismutex_changelog ALL DEPENDS "${PROJECT_BINARY_DIR}/changelog.Debian.gz")

set(CPACK_COMPONENTS_ALL "")
# redismutex_package(COMPONENT PACKAGE SECTION DESCRIPTION)
macro(redismutex_package component package section description)
  list(APPEND CPACK_COMPONENTS_ALL ${component})
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${upper}_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${about}\n${description}")
  install(FILES "${PROJECT_SOURCE_DIR}/packaging/debian/copyright" "${PROJECT_BINARY_DIR}/changelog.Debian.gz"
          DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/${package}" COMPONENT ${component})
endmacro()

set(about "Processes take turns by a lease on a key in Redis or Valkey: in order, without\npolling, and told when they lose it.")
redismutex_package(runtime libredismutex${abi} libs "This is the shared library.")
redismutex_package(development libredismutex-dev libdevel "This is what programs are compiled with.")
redismutex_package(command redismutex utils "This is the command, which holds a mutex while another command runs, and\nlooks at mutexes and servers.")
redismutex_package(prometheus_runtime libredismutex-prometheus${abi} libs "This is the library that counts for Prometheus what happens.")
redismutex_package(prometheus_development libredismutex-prometheus-dev libdevel
                   "This is what programs are compiled with that serve metrics for Prometheus.")

foreach(library IN ITEMS RUNTIME PROMETHEUS_RUNTIME)
  set(CPACK_DEBIAN_${library}_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/packaging/debian/triggers")
endforeach()

set(exactly "(= ${PROJECT_VERSION}-1)")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libredismutex${abi} ${exactly}")
set(CPACK_DEBIAN_COMMAND_PACKAGE_DEPENDS "libredismutex${abi} ${exactly}")
set(CPACK_DEBIAN_COMMAND_PACKAGE_SUGGESTS "redis-server | valkey-server")
set(CPACK_DEBIAN_PROMETHEUS_RUNTIME_PACKAGE_DEPENDS "libredismutex${abi} ${exactly}")
set(CPACK_DEBIAN_PROMETHEUS_DEVELOPMENT_PACKAGE_DEPENDS
    "libredismutex-prometheus${abi} ${exactly}, libredismutex-dev ${exactly}, prometheus-cpp-dev")

# The pages of man(1), compressed as Debian has them.
install(CODE "file(GLOB pages \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1/*.1\")
              execute_process(COMMAND gzip -9nf \${pages} COMMAND_ERROR_IS_FATAL ANY)" COMPONENT command)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "mutex for processes on many machines, kept in Redis or Valkey")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_PACKAGE_CONTACT "${REDISMUTEX_PACKAGER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}/src" "${PROJECT_BINARY_DIR}/src/metrics")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
