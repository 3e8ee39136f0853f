// Command gregor runs a Kafka broker. It holds flags, signals and exit codes; everything else is package broker.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// version is set by the linker (-X main.version=...); without it the version control stamp of the build is shown.
var version string

// kafkaVersion is the Kafka release whose broker gregor stands in for.
const kafkaVersion = "3.9"

const usage = `Usage:
  gregor server FILE [--override KEY=VALUE]...   run a broker with the server.properties FILE
  gregor healthcheck [HOST:PORT]                 exit 0 if a broker answers there (localhost:9092), 1 if not
  gregor --version

Options of server:
  --override KEY=VALUE   set KEY whatever FILE says; may be repeated, the last one counts
  -daemon                run in the background, with output in $LOG_DIR/kafkaServer.out (LOG_DIR is "logs" if not set)
  -name NAME, -loggc     accepted for the sake of Kafka's start scripts, without effect

Environment:
  KAFKA_LOG4J_ROOT_LOGLEVEL=LEVEL          the root logger's level, INFO if not set
  KAFKA_LOG4J_LOGGERS=LOGGER=LEVEL,...     levels of single loggers
`

// usageError is a command line that gregor does not understand; the text may be empty. It makes report say how gregor
// is called.
type usageError string

func (e usageError) Error() string { return string(e) }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run does what the arguments say and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var err error = usageError("")
	if len(args) > 0 {
		switch args[0] {
		case "server":
			return server(args[1:], stdout, stderr)
		case "healthcheck":
			err = healthcheck(args[1:])
		case "--version", "-version", "version":
			fmt.Fprintln(stdout, versionLine())
			return 0
		case "--help", "-help", "-h", "help":
			fmt.Fprint(stdout, usage)
			return 0
		}
	}
	return report(err, stderr)
}

// report prints an error of the command line and returns the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	var misused usageError
	if !errors.As(err, &misused) {
		fmt.Fprintln(stderr, "gregor:", err)
		return 1
	}
	if misused != "" {
		fmt.Fprintf(stderr, "gregor: %s\n", misused)
	}
	fmt.Fprint(stderr, usage)
	return 1
}

func versionLine() string {
	name := version
	if name == "" {
		name = "development build"
		if info, ok := debug.ReadBuildInfo(); ok {
			for _, setting := range info.Settings {
				if setting.Key == "vcs.revision" {
					name += " " + setting.Value[:min(12, len(setting.Value))]
				}
			}
		}
	}
	return fmt.Sprintf("gregor %s (Kafka %s)", name, kafkaVersion)
}
