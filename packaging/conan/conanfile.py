"""redismutex for Conan 2: `conan create packaging/conan` in a clone."""

import re
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir


class Redismutex(ConanFile):
    name = "redismutex"
    description = "A mutex for processes on many machines, kept in Redis or Valkey"
    license = "MIT"
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "tls": [True, False], "prometheus": [True, False]}
    default_options = {"shared": False, "tls": True, "prometheus": False}

    def set_version(self):
        # The one version is in CMakeLists.txt.
        text = load(self, Path(self.recipe_folder) / ".." / ".." / "CMakeLists.txt")
        self.version = re.search(r"^  VERSION (\S+)$", text, re.MULTILINE)[1]

    def export_sources(self):
        root = Path(self.recipe_folder) / ".." / ".."
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*", "tools/*"):
            copy(self, pattern, src=root, dst=self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("redismutex runs on Linux only")
        if self.settings.get_safe("compiler.libcxx") == "libc++":
            raise ConanInvalidConfiguration("redismutex needs libstdc++")
        check_min_cppstd(self, 20)

    def requirements(self):
        if self.options.tls:
            self.requires("openssl/[>=3 <4]")
        if self.options.prometheus:
            self.requires("prometheus-cpp/[>=1.0 <2]", transitive_headers=True)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["REDISMUTEX_BUILD_TOOLS"] = False
        toolchain.cache_variables["REDISMUTEX_TLS"] = bool(self.options.tls)
        toolchain.cache_variables["REDISMUTEX_PROMETHEUS"] = bool(self.options.prometheus)
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=Path(self.package_folder) / "licenses")
        # Conan makes its own.
        rmdir(self, Path(self.package_folder) / "lib" / "cmake")
        rmdir(self, Path(self.package_folder) / "lib" / "pkgconfig")
        rmdir(self, Path(self.package_folder) / "share")

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "redismutex")
        library = self.cpp_info.components["redismutex"]
        library.libs = ["redismutex"]
        library.system_libs = ["pthread"]
        library.set_property("cmake_target_name", "redismutex::redismutex")
        if self.options.shared:
            library.defines = ["REDISMUTEX_SHARED"]
        if self.options.tls:
            library.requires = ["openssl::ssl"]
        if self.options.prometheus:
            metrics = self.cpp_info.components["prometheus"]
            metrics.libs = ["redismutex-prometheus"]
            metrics.requires = ["redismutex", "prometheus-cpp::prometheus-cpp-core"]
            metrics.set_property("cmake_target_name", "redismutex::prometheus")
