# The commands of everyday work. Each first has scripts/setup see to what it needs, which takes no time once it is there.

PREFIX ?= /usr/local

build = cmake --preset $(1) --log-level=WARNING >/dev/null && cmake --build --preset $(1)

# What `make test-sanitizers` runs: all of it, or unit, which takes a third of the time.
PART ?= all
sanitized_unit = redismutex_unit_tests resp_fuzzer url_fuzzer wire_fuzzer
sanitized_all = $(sanitized_unit) redismutex_integration_tests redismutex_cluster_tests redismutex_conformance_tests redismutex_quorum_tests
simulated_all = redismutex_sim_tests
kinds_all = unit|sim|integration
kinds_unit = unit

# How often `make test` may try a test. Each try that fails stands in the output.
TRIES ?= 1

# A checkout of another version, for `make bench` to compare this one with.
REFERENCE ?=

# How long `make soak` runs; 0: until it is stopped.
MINUTES ?= 5

# How often `make soak-quorum` takes the lock.
GRANTS ?= 20000
# Most tests wait most of the time; those that sanitizers slow down do not.
ctest = ctest --preset $(1) --parallel $$(($(if $(filter dev,$(1)),2 * $$(nproc) + 1,$$(nproc))))
cpp_files = git ls-files --cached --others --exclude-standard '*.cpp' '*.hpp'
shell_files = git ls-files --cached --others --exclude-standard | xargs awk 'FNR == 1 && /^\#!\/.*[ \/](ba)?sh$$/ { print FILENAME } { nextfile }'

# Spares compiling again what was compiled before, in any build directory and any clone; used where it is installed.
ifneq ($(shell command -v ccache),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1
export CCACHE_SLOPPINESS ?= pch_defines,time_macros
export CCACHE_DEPEND ?= 1
endif

.PHONY: help demo test test-sanitizers soak soak-topologies soak-quorum matrix bench docs packages format lint install uninstall clean
.SILENT:

help: ## show this list
	sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

demo: ## see it at work, against a private server
	scripts/setup demo
	$(call build,release) --target redismutex_example_turns
	scripts/demo

test: ## build and run every test
	scripts/setup test
	$(call build,dev)
	$(call ctest,dev) --repeat until-pass:$(TRIES)

test-sanitizers: ## run unit, simulation and integration tests (PART=unit: the first alone) under address and undefined, and (where there are threads) thread sanitizers
	scripts/setup test
	$(call build,asan) --target $(sanitized_$(PART)) $(simulated_$(PART))
	$(call build,tsan) --target $(sanitized_$(PART))
	# Ten times slower: what measures short leases may need a second try on a busy machine.
	$(call ctest,asan) -L '^($(kinds_$(PART)))$$' --repeat until-pass:3
	$(call ctest,tsan) -L '^($(kinds_$(PART)))$$' --repeat until-pass:3

soak: ## faults of seeds that nobody has tried, for MINUTES=5 (0: for ever): simulated ones, and on real servers
	scripts/setup test
	$(call build,dev) --target redismutex_sim_program redismutex_faults_soak
	# Both at once: the simulator takes what time the servers leave.
	nice -n 19 build/dev/bin/redismutex_sim soak $(MINUTES) >build/dev/sim_soak.log & simulator=$$!; \
	build/dev/bin/faults_soak $(MINUTES); servers=$$?; \
	wait $$simulator; simulated=$$?; cat build/dev/sim_soak.log; exit $$((servers | simulated))

soak-topologies: ## failovers under load, for MINUTES=5: of sentinels and of a cluster, whose slots move to and fro besides
	scripts/setup test
	$(call build,dev) --target redismutex_faults_soak
	build/dev/bin/faults_soak $(MINUTES) --profile sentinel --profile cluster --profile resharding --seconds 60

soak-quorum: ## 20,000 grants of a lock at five servers, two of which are frozen or restarted empty all the time; GRANTS=n
	scripts/setup test
	$(call build,dev) --target redismutex_quorum_soak
	build/dev/bin/quorum_soak $(GRANTS)

matrix: ## run integration tests, and those of status, doctor and the like, against eight versions of Redis, Redict and Valkey
	scripts/setup test
	$(call build,dev)
	scripts/matrix

bench: ## build and run the benchmarks, and draw what they have measured, or hold this version to its bars beside another: REFERENCE=checkout
	scripts/setup bench
	$(call build,bench)
	$(if $(REFERENCE),scripts/compare --bars "$(REFERENCE)",build/bench/bin/redismutex_bench && scripts/plot)

docs: ## make the API reference, build/docs/html/index.html; a warning is an error
	scripts/setup docs
	mkdir -p build/docs
	doxygen docs/Doxyfile

packages: ## make Debian packages in build/packages, and try them in an empty root
	scripts/setup packages
	$(call build,packages)
	scripts/packages

format: ## lay out the C++ files as .clang-format says
	scripts/setup lint
	$(cpp_files) | xargs clang-format-16 -i

lint: ## check layout, layers, scripts, and run clang-tidy
	scripts/setup lint
	$(cpp_files) | xargs clang-format-16 --dry-run -Werror
	scripts/check-layers
	scripts/check-names
	$(shell_files) | xargs shellcheck --external-sources
	# Each file alone, as with REDISMUTEX_UNITY=OFF.
	cmake --preset tidy --log-level=WARNING >/dev/null
	git ls-files 'src/*.cpp' 'tools/*.cpp' | xargs -n 8 -P $$(nproc) \
		clang++-16 -std=c++20 -fsyntax-only -Wall -Wextra -Wshadow -Werror -Iinclude -Ibuild/tidy/include -Isrc -Itools $$(pkg-config --cflags lua5.1) -DREDISMUTEX_LIBEXEC='""'
	cmake --build --preset tidy -- -k 0

install: ## install library and command under PREFIX (/usr/local); DESTDIR is honoured
	scripts/setup build
	$(call build,release)
	cmake --install build/release --prefix "$(PREFIX)"

uninstall: ## remove what `make install` laid down under PREFIX; DESTDIR is honoured
	cmake -DMANIFEST=build/release/install_manifest.txt -DPREFIX="$(PREFIX)" -DBASE_DIR="$(CURDIR)" -P cmake/Uninstall.cmake

clean: ## remove what was built; .deps/ stays
	rm -rf build
