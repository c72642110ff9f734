# make quick       the tests that need no other program: a minute and a half on two cores
# make test        installs and builds the mail programs that the tests need, then runs all tests and make lint
# make test-peers  only the tests that need those programs
# make lint        gofmt, go vet, staticcheck, go.mod, Markdown, the public API; builds for Windows and macOS
# make api         writes the API of the public packages to docs/api, which make lint compares
# make man         writes the manual pages to build/man
# make release     checks that this commit can be released, and builds the release: see docs/releasing.md
# make vuln        known vulnerabilities in dependencies (needs the network, so CI does not run it)
# make next-go     the tests that depend on how crypto/tls writes, with the newest Go, which it downloads
# make upstream    crypto/tls's own tests, the matrix and a connection's cost, with the change of docs/upstream/go-70232
# make fuzz        each fuzz target for FUZZTIME (30s)
# make mutants     changes the code at random, and prints how many changes the tests of each package notice
# make bench       compares with Postfix, nginx and go-smtp, writes bench/RESULTS.md
# make accuracy    diagnoses handshakes whose truth is known, writes docs/accuracy.md
# make matrix      runs all test clients against all servers, writes docs/interop-matrix.md
# make screenshots  takes the pictures of docs/images from the demo's dashboard, with Chromium
# make packages    builds packages and archives for users in build/packages
# make image       builds the container image localhost/postern
# make long        the crash test with 200 rounds, and a fleet with every fault, with clocks that differ, and killed often

GO ?= go
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The race detector leaves out SQLite, which is C translated to Go: with it the ledger's tests take four times the CPU.
# That is right for a package without synchronization of its own only: else races would be seen where none are.
RACE = -race -gcflags=modernc.org/sqlite/lib=-race=false
PEER_TESTS = /test$$|/internal/testpeer$$
FUZZTIME ?= 30s

# For make mutants: the packages, the changes in each, and the packages whose tests may notice them too.
MUTATED ?= sessionticket mtasts tlsrpt interop $(addprefix internal/,durable nexthop/maildir nexthop/relay smtp smtpd \
	fallback admission tlsrptin dnssec proxyprotocol fleet)
MUTANTS ?= 40
MUTANTS_SEED ?= 1
MUTANTS_ALSO ?= ./internal/casedocs

.PHONY: test test-peers quick lint api man release vuln next-go upstream fuzz mutants bench matrix accuracy screenshots packages image long peers

# The stories of test/ take longest, and wait more than they compute, so they start first, beside the others.
test: peers lint
	$(GO) test $(RACE) -p 3 -timeout 40m ./test ./...

test-peers: peers
	$(GO) test $(RACE) -timeout 40m $$($(GO) list ./... | grep -E '$(PEER_TESTS)')

# Tests wait more than they compute, so more of them run at once than there are processors.
quick:
	$(GO) test -p 4 -parallel 8 $$($(GO) list ./... | grep -vE '$(PEER_TESTS)')

peers:
	scripts/install-peers
	scripts/build-peers

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	GOOS=windows $(GO) build -o /dev/null ./cmd/postern
	GOOS=darwin $(GO) build ./cmd/postern ./cmd/postern-lab
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff
	cd examples/grpc && $(GO) mod tidy -diff
	scripts/check-markdown
	GO=$(GO) scripts/api check

api:
	GO=$(GO) scripts/api write

# The pages show the date of the commit, so that equal sources give equal pages.
man:
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH-$$(git log -1 --format=%ct)} \
		$(GO) test ./cmd/postern ./cmd/postern-lab -run TestManPages -man $(CURDIR)/build/man

release:
	GO=$(GO) scripts/release

vuln:
	$(GOVULNCHECK) ./...

# GOTOOLCHAIN overrides a setting that forbids other versions.
next-go:
	@newest=$$($(GO) list -m -f '{{.Version}}' toolchain@latest) && echo "== $$newest" && \
	GOTOOLCHAIN=$$newest $(GO) test ./sessionticket/... ./handshake/... ./interop/...

upstream:
	GO=$(GO) docs/upstream/go-70232/check

# Before Go 1.27 a run can end with "context deadline exceeded" and nothing found (go.dev/issue/75804).
# What a run finds is in testdata/fuzz, and fails again without -fuzz.
fuzz:
	@$(GO) list -f '{{.ImportPath}}{{range .TestGoFiles}} {{$$.Dir}}/{{.}}{{end}}{{range .XTestGoFiles}} {{$$.Dir}}/{{.}}{{end}}' ./... | \
	while read -r package files; do \
		for target in $$(cat $$files /dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do \
			echo "== $$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || \
				$(GO) test -count 1 -run "^$$target$$" $$package || exit 1; \
		done; \
	done

mutants:
	nice -n 10 $(GO) run ./internal/mutants -n $(MUTANTS) -seed $(MUTANTS_SEED) -also "$(MUTANTS_ALSO)" $(addprefix ./,$(MUTATED))

bench: peers
	$(GO) run ./bench

accuracy: peers
	$(GO) test ./internal/server -run TestConfidenceIsKept -update

matrix: peers
	GO=$(GO) scripts/write-matrix

screenshots: peers
	$(GO) test ./test -count 1 -run TestScreenshots -screenshots $(CURDIR)/docs/images

packages:
	GO=$(GO) scripts/build-packages

image:
	GO=$(GO) scripts/build-image

long: peers
	POSTERN_LONG=1 $(GO) test -timeout 60m ./test/...
