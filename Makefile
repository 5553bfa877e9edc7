# Two commands matter: make serve, make test. The rest is in make help.

PORT ?= 8080

# Where make install puts files, and the directory that stands for / there. It may come from the environment, too: what is meant for
# another root must not get into this one.
PREFIX = /usr/local
DESTDIR ?=

# Who gives packages to others puts a name and an address here, for make dist: MAINTAINER='Name <address>'. Otherwise it is that of
# packaging/nfpm.yaml, which leads nowhere.
MAINTAINER ?=

# Which Lua goes into bin/mbserve: luajit, or lua54 for Lua 5.4 of PUC-Rio.
LUA = luajit

# examples/example.lua calls C functions in the way of LuaJIT.
EXAMPLE = examples/$(if $(filter lua54,$(LUA)),lua54,example).lua

# Packages that start processes of their own, or need Lua, gain nothing from the race detector. All others are tested with it.
PROGRAMS = /handler/worker$$|/(cmd/mbserve|examples/go)(/|$$)|^moonbridge$$

# Without a commit the go command would fail on programs: see scripts/build.
GO_LIST = go list -buildvcs=false

export MAINTAINER

.PHONY: help deps build serve test test-programs test-packages lint bench bench-quick install dist test-dist clean

help:
	@echo 'make serve   build, and run an example on http://127.0.0.1:$(PORT)/ (PORT=9000 for another port)'
	@echo 'make test    everything that CI checks'
	@echo 'make build   bin/mbserve: one file, LuaJIT included where its static library is installed'
	@echo '             (with LUA=lua54, here and for make serve: Lua 5.4 in its place)'
	@echo 'make lint    gofmt, go vet, and staticcheck and shellcheck where they are installed'
	@echo 'make bench   measure everything in two hours, see benchmarks/README.md; make bench-quick takes two minutes'
	@echo 'make install install bin/mbserve with manual pages, units and completions (PREFIX=/usr/local, DESTDIR=)'
	@echo 'make dist    packages in dist: .deb, .rpm, tarball, container image; make test-dist tests them, as root'
	@echo "             (MAINTAINER='Name <address>' for packages that you give to others)"
	@echo 'make deps    install what building and testing need (Debian, Ubuntu), or say what to install'
	@echo 'make clean   remove what was built'

deps:
	@scripts/deps $(LUA)

build: deps
	@scripts/build $(LUA)

serve: build
	@echo 'http://127.0.0.1:$(PORT)/  (Ctrl-C ends it)'
	@exec bin/mbserve $(EXAMPLE) $(PORT)

# Go's own report comes last, so that it is what a reader of the log sees. go vet has run already when tests begin. The tests of programs
# mostly wait, and the others mostly compute, so they run at the same time.
test: deps build
	scripts/check-format
	go vet ./...
	scripts/check-tidy
	scripts/check-portable
	scripts/check-binary $(LUA)
	scripts/beside '$(MAKE) --no-print-directory test-programs' '$(MAKE) --no-print-directory test-packages'

# Four tests of mbserve at a time do not need more than two cores.
test-programs:
	go test -vet=off -timeout 20m -parallel 4 $$($(GO_LIST) ./... | grep -E '$(PROGRAMS)')
	scripts/test-lua54

# The two tests with names count allocations and instructions, which the race detector changes.
test-packages:
	@if [ -f benchmarks/go.mod ]; then set -x; cd benchmarks && go vet ./... && go test -timeout 20m ./...; fi
	cd handler/parity && go vet ./... && go test -timeout 5m ./...
	cd examples/go/libraries && go vet ./... && go test -timeout 20m ./...
	cd packaging/tools && go vet ./manpage ./sbom ./image ./manifests && go test -timeout 5m ./manpage ./sbom ./image ./manifests
	go test -vet=off -race -timeout 20m $$($(GO_LIST) ./... | grep -Ev '$(PROGRAMS)')
	go test -vet=off -run '^(TestAccessLogAllocatesNothing|TestInstructions)$$' ./engine ./httpparse

lint:
	scripts/check-format
	go vet ./...
	@if command -v staticcheck >/dev/null; then set -x; staticcheck ./...; fi
	@if command -v shellcheck >/dev/null; then set -x; shellcheck -x scripts/* .ci/run packaging/deb/* packaging/test/*; fi

bench: build
	@cd benchmarks && ./run.sh all

bench-quick: build
	@cd benchmarks && ./run.sh quick

# What is built already is installed: root has no compiler, and needs none.
install:
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' scripts/install

dist: deps
	@scripts/dist

test-dist:
	@scripts/test-dist

clean:
	rm -rf bin dist
