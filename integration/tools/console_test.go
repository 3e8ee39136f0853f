package tools

import (
	"strconv"
	"strings"
)

// brokerFlag is how a release's console producer names the broker.
func brokerFlag(version string) string {
	if version == "2.0.0" {
		return "--broker-list {addr}"
	}
	return "--bootstrap-server {addr}"
}

func consoleSteps(version, prefix string) []step {
	producer, consumer := brokerFlag(version)+" --topic {t}", "--bootstrap-server {addr} --topic {t}"
	codecs := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	if version == "2.0.0" {
		codecs = codecs[:4] // zstd came with 2.1
	}
	var steps []step
	for _, codec := range codecs {
		steps = append(steps, step{name: "produce " + codec, tool: "console-producer", args: producer + "one --compression-codec " + codec,
			stdin: codec + " 1\n" + codec + " 2\n" + codec + " with a longer text " + strings.Repeat("abc ", 100) + "\n"})
	}
	steps = append(steps,
		step{name: "produce keyed", tool: "console-producer", args: producer + "three --property parse.key=true --property key.separator=:",
			stdin: "a:1\nb:2\nc:3\na:4\nb:5\nc:6\nd:7\n"},
		step{name: "consume all codecs", tool: "console-consumer", args: consumer + "one --from-beginning --timeout-ms 8000 --max-messages " + strconv.Itoa(3*len(codecs)),
			errors: version != "2.0.0", show: []func(string) string{withoutLogLines}},
		step{name: "consume keyed", tool: "console-consumer",
			args: consumer + "three --from-beginning --property print.key=true --property print.partition=true --property print.offset=true --timeout-ms 8000 --max-messages 7",
			show: []func(string) string{sorted}},
		step{name: "consume from offset", tool: "console-consumer", args: consumer + "one --partition 0 --offset 3 --max-messages 3 --timeout-ms 8000"},
		step{name: "consume in a group", tool: "console-consumer", args: consumer + "one --group {t}g1 --from-beginning --max-messages 4 --timeout-ms 20000"},
		step{name: "the group goes on", tool: "console-consumer", args: consumer + "one --group {t}g1 --max-messages 2 --timeout-ms 20000"},
		step{name: "consume with timestamps", tool: "console-consumer", args: consumer + "one --from-beginning --property print.timestamp=true --max-messages 2 --timeout-ms 8000"},
		step{name: "consume committed only", tool: "console-consumer", args: consumer + "one --from-beginning --isolation-level read_committed --max-messages 4 --timeout-ms 8000"},
	)
	if version == "2.0.0" {
		return append(steps, step{name: "auto-created topic", tool: "console-producer", args: producer + "auto", stdin: "x\n"}, awaitTopics(prefix, "auto"))
	}
	return append(steps,
		step{name: "produce headers", tool: "console-producer", args: producer + "headers --property parse.headers=true --property parse.key=true",
			stdin: "h1:v1,h2:v2\tk\tv\nh1:\tk2\tv2\n"},
		step{name: "consume headers", tool: "console-consumer",
			args: consumer + "headers --from-beginning --property print.headers=true --property print.key=true --max-messages 2 --timeout-ms 8000"},
		step{name: "produce acks 0", tool: "console-producer", args: producer + "acks0 --producer-property acks=0 --producer-property enable.idempotence=false", stdin: "x\ny\n"},
		step{name: "consume acks 0", tool: "console-consumer", args: consumer + "acks0 --from-beginning --max-messages 2 --timeout-ms 8000"},
	)
}

// withoutLogLines drops the log4j lines that go to standard error with the tool's own messages.
var withoutLogLines = without(`(?m)^\[(DATE|\d{4})[^\n]*\n`, "")
