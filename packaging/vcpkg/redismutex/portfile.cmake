# RELEASE: the address and the checksum of the source.
vcpkg_from_git(
  OUT_SOURCE_PATH SOURCE_PATH
  URL "$ENV{REDISMUTEX_REPOSITORY}"
  REF "$ENV{REDISMUTEX_REVISION}")

vcpkg_check_features(
  OUT_FEATURE_OPTIONS FEATURE_OPTIONS
  FEATURES
    prometheus REDISMUTEX_PROMETHEUS
    tls REDISMUTEX_TLS)

vcpkg_cmake_configure(SOURCE_PATH "${SOURCE_PATH}" OPTIONS -DREDISMUTEX_BUILD_TOOLS=OFF ${FEATURE_OPTIONS})
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/redismutex)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
