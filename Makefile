# gregor's build. Everything runs from a fresh clone with Go; `run`, `cluster` and `test` also need Java 17 and Maven, the client tests
# a C compiler, Python 3 and Node. Nothing here stops a process that it did not start.

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20s
SCHEDULES   ?= 100000
MODULES     := . integration
COUNT       ?= 20
FAULTS      ?=
MUTANTS     ?=
SEED        ?= $(shell date +%s)
CHAOS_KEEP  ?= $(CURDIR)/data/chaos

.PHONY: build run cluster test unit sim integration bench curves chaos mutants lint fuzz clean

## build: the static binary bin/gregor
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/gregor ./cmd/gregor

## run: a real ZooKeeper and one broker on 127.0.0.1:9092, data under data/, until Ctrl-C
run: build
	cd integration && go run ./cmd/sandbox -gregor ../bin/gregor -data ../data

## cluster: a real ZooKeeper and three brokers on 127.0.0.1:9092, 9093 and 9094, data under data/cluster/, until Ctrl-C
cluster: build
	cd integration && go run ./cmd/sandbox -gregor ../bin/gregor -data ../data/cluster -brokers 3

## test: all of it, as .ci/run does
test: lint unit sim integration

## unit: the product's own tests, with the race detector; what a request allocates is counted without it
unit:
	go test -race -timeout 15m ./...
	go test -run 'Alloc|Cost|SystemCalls' ./broker/... ./coordinator/... ./protocol/... ./replication ./storage/...

## sim: SCHEDULES random schedules of brokers, controllers and ZooKeeper under a simulated clock, network and disk (replication/sim); a seed
## that fails is printed with its story, and runs again with -seed
sim:
	go test -timeout 30m ./replication/sim -run TestSchedules -schedules $(SCHEDULES) -v

## integration: from outside, with stock Kafka tools, brokers and clients
integration: build
	cd integration && GREGOR_BIN=$(CURDIR)/bin/gregor go test -count=1 -timeout 35m ./...

## chaos: COUNT rounds of every fault, or of FAULTS (F1,F4,...), on three gregor brokers; histories that went wrong stay in CHAOS_KEEP. Needs root
chaos: build
	cd integration && GREGOR_BIN=$(CURDIR)/bin/gregor go test -count=1 -v -timeout 24h ./chaos \
		-chaos.count=$(COUNT) -chaos.faults=$(FAULTS) -chaos.seed=$(SEED) -chaos.keep=$(CHAOS_KEEP)

## mutants: takes rules out of the code, one at a time (or MUTANTS=name,...), and shows which of the judges that its patch names notice; fails when none does. Needs root
mutants:
	cd integration && go run ./cmd/mutants -only=$(MUTANTS) $(if $(filter command,$(origin SEED)),-seed=$(SEED)) -keep=$(CHAOS_KEEP)/mutants

## lint: formatting, go vet, staticcheck, in both modules
lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt: the files above need it"; exit 1; }
	@for module in $(MODULES); do (cd $$module && echo "vet and staticcheck: $$module" && go vet ./... && $(STATICCHECK) ./...) || exit 1; done

## bench: costs side by side with Apache Kafka 3.9.2 (prints ratios; no pass or fail). ROW=G2 or ROW=G,R1 runs some rows, LONG=1 all of them;
## WRITE=1 writes the report into docs and README.md; BENCHFLAGS: see go run ./bench -help
bench:
	go run ./bench $(if $(ROW),-row $(ROW)) $(if $(LONG),-long) $(if $(WRITE),-write docs/performance.md -readme README.md) $(BENCHFLAGS)

## curves: cost against what drives it, both brokers, with slopes
curves:
	$(MAKE) bench ROW=K

## fuzz: every fuzz target for FUZZTIME
fuzz:
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

## clean: what build made
clean:
	rm -rf bin
