# Two commands matter: make serve, make test. The rest is in make help.

PORT ?= 8080

# Plain Go: these are tested with the race detector as well. Programs and Lua run their tests in processes of their own.
RACE = $$(go list ./... | grep -Ev '/(handler/lua|cmd/mbserve|examples/go)(/|$$)|^moonbridge$$')

.PHONY: help deps build serve test lint bench clean

help:
	@echo 'make serve   build, and run examples/example.lua on http://127.0.0.1:$(PORT)/ (PORT=9000 for another port)'
	@echo 'make test    everything that CI checks'
	@echo 'make build   bin/mbserve: one file, LuaJIT included where its static library is installed'
	@echo 'make lint    gofmt, go vet, and staticcheck and shellcheck where they are installed'
	@echo 'make bench   measure, see benchmarks/README.md'
	@echo 'make deps    install what building and testing need (Debian, Ubuntu), or say what to install'
	@echo 'make clean   remove what was built'

deps:
	@scripts/deps

build: deps
	@scripts/build

serve: build
	@echo 'http://127.0.0.1:$(PORT)/  (Ctrl-C ends it)'
	@exec bin/mbserve examples/example.lua $(PORT)

# Go's own report comes last, so that it is what a reader of the log sees.
test: deps build
	scripts/check-format
	go vet ./...
	scripts/check-portable
	scripts/check-binary
	@if [ -f benchmarks/go.mod ]; then set -x; cd benchmarks && go vet ./... && go test -timeout 5m ./...; fi
	go test -race -timeout 8m $(RACE)
	go test -timeout 8m ./...

lint:
	scripts/check-format
	go vet ./...
	@if command -v staticcheck >/dev/null; then set -x; staticcheck ./...; fi
	@if command -v shellcheck >/dev/null; then set -x; shellcheck scripts/* .ci/run; fi

bench: build
	@cd benchmarks && ./run.sh

clean:
	rm -rf bin
